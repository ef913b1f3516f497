"""What must stay true of every route, whoever writes it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from app.domain.access import Scope
from app.main import TAGS, create_app
from app.problems import METHOD_NOT_ALLOWED, PROBLEMS, TYPE_PREFIX
from app.routers.deps import Requires, is_public_marker
from app.settings import Settings

ROOT = Path(__file__).parents[2]

PUBLIC = {
    "/healthz",
    "/readyz",
    "/v1/event-types",
    "/v1/event-types/{type}",
    "/openapi.json",
    "/docs",
    "/docs/assets/{name}",
}
"""Every route that anyone may call. Adding one is a decision: say why in its docstring."""


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(Settings(), ticking=False)


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def _routes(app: FastAPI) -> Iterator[RouteContext]:
    yield from iter_route_contexts(app.routes)


def _dependencies(dependant: Dependant) -> Iterator[object]:
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from _dependencies(dependency)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_route_declares_its_scopes_or_says_that_it_is_public(app: FastAPI) -> None:
    seen_public = set()
    for route in _routes(app):
        assert isinstance(route.original_route, APIRoute), f"{route.path} can't be checked"
        calls = list(_dependencies(route.dependant))
        declared = [call for call in calls if isinstance(call, Requires)]
        public = any(is_public_marker(call) for call in calls)
        assert len(declared) + public == 1, f"{route.path} must say who may call it, once"
        assert public or declared[0].scopes, f"{route.path} asks for a key but for no scope"
        if public:
            seen_public.add(route.path)
    assert seen_public == PUBLIC


def test_a_path_with_a_store_names_it_store_id(app: FastAPI) -> None:
    for route in _routes(app):
        if route.path and "/stores/{" in route.path:
            assert "/stores/{store_id}" in route.path, "its key is checked against `store_id`"


def test_every_scope_is_needed_somewhere(app: FastAPI) -> None:
    needed = {
        scope
        for route in _routes(app)
        for call in _dependencies(route.dependant)
        if isinstance(call, Requires)
        for scope in call.scopes
    }
    assert needed | {Scope.PERSONAL_READ} == set(Scope)  # that one unmasks, it opens no route


def test_every_operation_can_be_told_apart_and_has_its_words(document: dict[str, Any]) -> None:
    operations = list(_operations(document))
    ids = [operation["operationId"] for _, _, operation in operations]
    assert sorted(ids) == sorted(set(ids))
    tags = {name for name, _ in TAGS}
    for path, method, operation in operations:
        where = f"{method} {path}"
        assert operation.get("description"), f"{where} lacks a description"
        assert re.search("[\u4e00-\u9fff]", operation["summary"]), f"{where} lacks Chinese"
        assert set(operation["tags"]) <= tags, f"{where} has a tag that is not described"


def test_every_operation_lists_its_problems(document: dict[str, Any]) -> None:
    for path, method, operation in _operations(document):
        listed = set(operation["responses"])
        assert {"422", "500", "503"} <= listed, (method, path)
        assert ({"401", "403"} <= listed) == ("security" in operation), (method, path)
        assert "requestBody" not in operation or {"400", "413"} <= listed, (method, path)


def test_what_is_refused_is_always_a_problem(document: dict[str, Any]) -> None:
    for path, method, operation in _operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (method, path)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_the_problems_of_the_registry_the_document_and_the_documentation_are_the_same(
    document: dict[str, Any],
) -> None:
    in_document = {
        (example["value"]["type"].removeprefix(TYPE_PREFIX), example["value"]["status"])
        for _, _, operation in _operations(document)
        for status, response in operation["responses"].items()
        if int(status) >= 400
        for example in response["content"]["application/problem+json"]["examples"].values()
    }
    text = (ROOT / "docs" / "problems.md").read_text(encoding="utf-8")
    documented = re.findall(r"^## ([a-z-]+)\n\n(\d{3}) ([^.]+)\.", text, re.MULTILINE)
    registry = [(problem.code, str(problem.status), problem.title_zh) for problem in PROBLEMS]
    assert documented == registry
    unlisted = {METHOD_NOT_ALLOWED.code}  # no operation answers it: it belongs to the path
    assert {code for code, _ in in_document} == {p.code for p in PROBLEMS} - unlisted
    assert in_document <= {(problem.code, problem.status) for problem in PROBLEMS}


def test_each_problem_has_a_code_of_its_own_that_ends_its_type() -> None:
    codes = [problem.code for problem in PROBLEMS]
    assert sorted(codes) == sorted(set(codes))
    assert all(problem.type == TYPE_PREFIX + problem.code for problem in PROBLEMS)


def test_every_reference_of_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    names = set(document["components"]["schemas"])

    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            for value in part.values():
                yield from references(value)
        elif isinstance(part, list):
            for value in part:
                yield from references(value)

    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in names
