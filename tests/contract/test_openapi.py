"""The OpenAPI document: valid, unchanged, and complete in its words."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.domain.access import Scope
from app.main import create_app
from app.settings import Settings

SNAPSHOT = Path(__file__).parents[2] / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings(), ticking=False).openapi()


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_the_document_is_unchanged(document: dict[str, Any]) -> None:
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    assert SNAPSHOT.read_text(encoding="utf-8") == text, (
        "The OpenAPI document changed. If that is meant to be: "
        "servicelane openapi export docs/openapi.json, and read the diff."
    )


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_every_operation_states_its_scope(document: dict[str, Any]) -> None:
    for where, operation in _operations(document):
        told = re.findall(r"`([a-z_]+:[a-z]+)`", operation["description"].rpartition("\n\n")[2])
        needed = [scope for each in operation.get("security", ()) for scope in each["key"]]
        assert told == needed, where
        assert {*needed} <= {*Scope}, where


def test_every_parameter_and_answer_is_described(document: dict[str, Any]) -> None:
    for where, operation in _operations(document):
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), f"{where}: {parameter['name']}"
        for status, response in operation["responses"].items():
            assert response["description"], f"{where}: {status}"


def test_every_parameter_that_must_be_given_has_an_example(document: dict[str, Any]) -> None:
    for where, operation in _operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter.get("required"):
                assert "example" in parameter, f"{where}: {parameter['name']}"


def test_every_tag_is_used(document: dict[str, Any]) -> None:
    used = {tag for _, operation in _operations(document) for tag in operation["tags"]}
    assert used == {tag["name"] for tag in document["tags"]}
