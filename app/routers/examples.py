"""The recorded examples, shown in the OpenAPI document beside the operations they belong to.

They lie in `openapi-examples/`, are replayed by `tests/contract`, and travel in the wheel. They
are read when the document is first asked for, never while events come in.
"""

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import app

_PROBLEM: Final = "application/problem+json"
_JSON: Final = "application/json"


def add_examples(document: dict[str, Any]) -> None:
    """Put each example where the document describes what it shows.

    The request of what succeeds goes to the request body and to the parameters, so that "Try it
    out" starts with something that works; every answer goes to its status.
    """
    operations = {
        operation["operationId"]: (path, operation)
        for path, methods in document["paths"].items()
        for operation in methods.values()
    }
    for outcome, example in _examples():
        path, operation = operations[example["operation_id"]]
        request, response = example["request"], example["response"]
        if response["status"] < HTTPStatus.BAD_REQUEST:
            _add_request(operation, outcome, example["summary"], request)
            _add_parameters(operation, path, request)
        _add_response(operation, outcome, example["summary"], response)


def folder() -> Path:
    """Where the examples lie: beside the code where it is installed, else in the repository."""
    package = Path(app.__file__).parent
    installed = package / "openapi_examples"
    return installed if installed.is_dir() else package.parent / "openapi-examples"


def _examples() -> Iterator[tuple[str, dict[str, Any]]]:
    """Outcome and example, in order of name."""
    for path in sorted(folder().glob("*.json")):
        yield path.stem.partition(".")[2], json.loads(path.read_text(encoding="utf-8"))


def _add_request(
    operation: dict[str, Any], outcome: str, summary: str, request: Mapping[str, Any]
) -> None:
    if "body" in request and "requestBody" in operation:
        contents = operation["requestBody"]["content"]
        media_type = request["headers"]["Content-Type"]
        content = contents[media_type if media_type in contents else _JSON]
        content.pop("example", None)
        content.setdefault("examples", {})[outcome] = {
            "summary": summary,
            "value": request["body"],
        }


def _add_parameters(operation: dict[str, Any], template: str, request: Mapping[str, Any]) -> None:
    """Fill in what must be given; optional filters stay empty."""
    given = {
        part[1:-1]: value
        for part, value in zip(
            template.split("/"), request["path"].split("/", template.count("/")), strict=True
        )
        if part.startswith("{")
    } | request.get("query", {})
    for parameter in operation.get("parameters", ()):
        if parameter.get("required") and parameter["name"] in given:
            parameter.setdefault("example", given[parameter["name"]])


def _add_response(
    operation: dict[str, Any], outcome: str, summary: str, response: Mapping[str, Any]
) -> None:
    if "body" not in response:
        return
    described = operation["responses"][str(response["status"])]["content"]
    media_type = response["headers"]["Content-Type"].partition(";")[0]
    examples = described[media_type].setdefault("examples", {})
    if media_type == _PROBLEM:
        # a problem that was recorded tells more than its bare form
        code = response["body"]["type"].rpartition(":")[2]
        examples.pop(code, None)
    examples[outcome] = {"summary": summary, "value": response["body"]}
