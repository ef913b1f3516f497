"""The examples of `openapi-examples/` are what the service does: replayed, compared, complete."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator

from app.main import create_app
from app.settings import Settings
from tests.contract.record import tell
from tests.contract.stage import FOLDER, Example
from tests.contract.story import story

RENEW = "If that is meant to be: python -m tests.contract.record, and read the diff."


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(Settings(), ticking=False)


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


@pytest.fixture(scope="module")
def examples() -> dict[str, dict[str, Any]]:
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(FOLDER.iterdir())
    }


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


async def test_every_example_is_what_the_service_does(database_url: str) -> None:
    told = await tell(database_url)
    for name, exchange in told.items():
        path = FOLDER / f"{name}.json"
        assert path.exists(), f"{name} has no file. {RENEW}"
        kept = json.loads(path.read_text(encoding="utf-8"))
        assert kept == exchange, f"{name} changed. {RENEW}"


def test_every_file_belongs_to_the_story() -> None:
    told = {f"{part.name}.json" for part in story() if isinstance(part, Example)}
    assert {path.name for path in FOLDER.iterdir()} == told, RENEW


def test_every_operation_shows_a_success_and_a_refusal(
    document: dict[str, Any], examples: dict[str, dict[str, Any]]
) -> None:
    cannot_be_refused = {
        "healthz",
        "readyz",
        "list_event_types",
        "list_kpis",
        "list_webhook_endpoints",
        "list_nights",
    }
    shown: dict[str, set[bool]] = {}
    for example in examples.values():
        succeeded = example["response"]["status"] < 400
        shown.setdefault(example["operation_id"], set()).add(succeeded)
    for path, method, operation in _operations(document):
        expected = {True} if operation["operationId"] in cannot_be_refused else {True, False}
        assert shown.get(operation["operationId"], set()) >= expected, (method, path)


def test_every_answer_has_a_documented_status_and_form(
    document: dict[str, Any], examples: dict[str, dict[str, Any]]
) -> None:
    operations = {operation["operationId"]: operation for _, _, operation in _operations(document)}
    for name, example in examples.items():
        response = example["response"]
        documented = operations[example["operation_id"]]["responses"]
        assert str(response["status"]) in documented, name
        if "body" not in response:
            assert "content" not in documented[str(response["status"])], name
            continue
        media_type = response["headers"]["Content-Type"].partition(";")[0]
        schema = documented[str(response["status"])]["content"][media_type]["schema"]
        faults = _faults(document, schema, response["body"])
        assert not faults, f"{name}: {faults}"


def test_every_request_that_succeeds_has_the_documented_form(
    document: dict[str, Any], examples: dict[str, dict[str, Any]]
) -> None:
    operations = {operation["operationId"]: operation for _, _, operation in _operations(document)}
    for name, example in examples.items():
        request = example["request"]
        if "body" not in request or example["response"]["status"] >= 400:
            continue
        if example["operation_id"] == "post_events":
            continue  # it takes what breaks the schema, too: into quarantine
        content = operations[example["operation_id"]]["requestBody"]["content"]
        faults = _faults(document, content["application/json"]["schema"], request["body"])
        assert not faults, f"{name}: {faults}"


def test_events_that_are_accepted_have_the_documented_form(
    document: dict[str, Any], examples: dict[str, dict[str, Any]]
) -> None:
    content = document["paths"]["/v1/events"]["post"]["requestBody"]["content"]
    schema = content["application/cloudevents+json"]["schema"]
    coded = examples["put_mapping.stored"]["request"]["body"]["source"]  # has a form of its own
    checked = 0
    for example in examples.values():
        if example["operation_id"] != "post_events" or example["response"]["status"] != 202:
            continue
        body = example["request"]["body"]
        if "ce-id" in example["request"]["headers"] or isinstance(body, str):
            continue  # the data of one alone, or lines
        events = body if isinstance(body, list) else [body]
        for result in example["response"]["body"]["results"]:
            if result["outcome"] == "accepted" and not result["warnings"]:
                event = events[result["index"]]
                if event["source"] == coded:
                    continue
                assert not _faults(document, schema, event), event
                checked += 1
    assert checked > 10


def _faults(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    whole = {**schema, "components": document["components"]}
    return [
        f"{fault.json_path}: {fault.message}"
        for fault in Draft202012Validator(whole).iter_errors(value)
    ]


def test_the_document_shows_every_example(
    document: dict[str, Any], examples: dict[str, dict[str, Any]]
) -> None:
    operations = {operation["operationId"]: operation for _, _, operation in _operations(document)}
    for name, example in examples.items():
        operation = operations[example["operation_id"]]
        outcome = name.partition(".")[2]
        response = example["response"]
        if "body" in response:
            contents = operation["responses"][str(response["status"])]["content"]
            content = contents[response["headers"]["Content-Type"].partition(";")[0]]
            assert content["examples"][outcome]["value"] == response["body"], name
        request = example["request"]
        if "body" in request and response["status"] < 400:
            shown = {
                value
                for content in operation["requestBody"]["content"].values()
                for value in content.get("examples", {})
            }
            assert outcome in shown, name
