"""Query parameters that an operation does not have: refused by every operation of the API."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from app.domain.access import Scope
from app.factory import Factory
from app.main import create_app
from app.routers.query_names import query_names
from app.settings import Settings
from tests.api.conftest import Connect, Issue
from tests.support.posting import add_store

METHODS = {"get", "post", "put", "patch", "delete"}


@dataclass
class Operation:
    """What the OpenAPI document says of one."""

    method: str
    path: str
    names: set[str] = field(default_factory=set)
    url: str = ""


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method in METHODS & set(methods):
            found = Operation(method, path, url=path)
            for parameter in methods[method].get("parameters", ()):
                if parameter["in"] == "query":
                    found.names.add(parameter["name"])
                elif parameter["in"] == "path":
                    name, example = parameter["name"], str(parameter["example"])
                    found.url = found.url.replace(f"{{{name}}}", example)
            yield found


OPERATIONS = [
    found
    for found in operations(create_app(Settings(), ticking=False).openapi())
    if found.path.startswith("/v1/")
]


def test_the_names_that_are_taken_are_those_of_the_document(app: FastAPI) -> None:
    taken = {
        (method.lower(), route.path.replace(":path}", "}")): query_names(route.original_route)
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute) and route.path
        for method in route.methods or ()
    }
    for operation in OPERATIONS:
        assert taken[operation.method, operation.path] == operation.names, operation
    assert sum(len(operation.names) for operation in OPERATIONS) > 100


async def test_ingest_refuses_nothing_for_its_query(client: httpx.AsyncClient) -> None:
    """Forwarders drop a whole partition on a 4xx (design, 4)."""
    for path in ("/v1/events", "/v1/events/validate"):
        answer = await client.post(path, params={"from": "dms"}, json=[{}])
        assert answer.is_success, answer.text
        assert answer.json()["quarantined"] == 1


async def test_every_operation_refuses_a_name_that_it_does_not_have(
    client: httpx.AsyncClient,
) -> None:
    for operation in OPERATIONS:
        if operation.path.startswith("/v1/events"):
            continue
        answer = await client.request(
            operation.method, operation.url, params={"zz~/": "1", "qq": ""}, json={}
        )
        assert answer.status_code == 422, (operation, answer.text)
        problem = answer.json()
        assert problem["type"].endswith("invalid-input"), operation
        told = [(fault["pointer"], fault["code"]) for fault in problem["errors"]]
        assert told == [
            ("/query/zz~0~1", "unknown-parameter"),
            ("/query/qq", "unknown-parameter"),
        ], operation
        for name in operation.names:
            assert name in problem["errors"][1]["detail"], operation
    assert (await client.get("/v1/stores")).json()["items"] == []


async def test_each_slip_is_told_with_the_name_that_was_meant(client: httpx.AsyncClient) -> None:
    for operation in OPERATIONS:
        for name in operation.names:
            answer = await client.request(
                operation.method, operation.url, params={f"{name}x".upper(): "1"}, json={}
            )
            (fault,) = answer.json()["errors"]
            assert fault["detail"].endswith(f"Did you mean {name}?"), (operation, fault)


async def test_rights_go_first_and_the_logs_hear_no_name(
    client: httpx.AsyncClient,
    connect: Connect,
    issue: Issue,
    factory: Factory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await add_store(factory)
    orders = "/v1/stores/S1/repair-orders"
    stranger = await connect(await issue(Scope.STORES_READ))
    assert (await stranger.get(orders, params={"vim": "1"})).status_code == 403
    nobody = await connect()
    assert (await nobody.get(orders, params={"vim": "1"})).status_code == 401
    answer = await client.get(orders, params={"kehu-wang": "1", "limit": "5"})
    assert "kehu-wang" in answer.text
    assert "kehu-wang" not in answer.json()["detail"]
    assert (await client.get(orders, params={"limit": "5"})).status_code == 200
    logged = "".join(capsys.readouterr())
    assert "The query parameters of this operation are" in logged
    assert "kehu-wang" not in logged
    # probes and pages are no part of the API
    assert (await client.get("/healthz", params={"from": "balancer"})).status_code == 200
    assert (await client.get("/openapi.json", params={"v": "1"})).status_code == 200
