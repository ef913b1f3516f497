import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
import sqlalchemy.exc
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field
from starlette.middleware import Middleware
from structlog.testing import capture_logs

from app import problems
from app.domain import errors
from app.telemetry import RequestLogMiddleware

PREFIX = "urn:servicelane:problem:"
RAISED: dict[str, Exception] = {}


class Promise(BaseModel):
    number: str = Field(max_length=3)
    lines: list[int] = []


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI(
        middleware=[
            Middleware(RequestLogMiddleware),
            Middleware(problems.UnexpectedErrorMiddleware),
            Middleware(problems.BodyLimitMiddleware, limit=2_000),
        ],
    )
    problems.install(app)

    @app.get("/raise")
    async def fail() -> None:
        raise RAISED["error"]

    @app.post("/promises/{number}")
    async def promise(number: int, body: Promise, limit: int = 1) -> dict[str, Any]:
        return {"number": number, "body": body, "limit": limit}

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1"
    ) as made:
        yield made


async def answer_to(client: httpx.AsyncClient, error: Exception) -> httpx.Response:
    RAISED["error"] = error
    answer = await client.get("/raise")
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["instance"].endswith(":" + answer.headers["x-request-id"])
    return answer


def all_errors(base: type[errors.DomainError] = errors.DomainError) -> set[type]:
    return {found for kind in base.__subclasses__() for found in ({kind} | all_errors(kind))}


def test_every_anticipated_error_of_the_tree_has_its_problem() -> None:
    in_module = {kind for kind in all_errors() if kind.__module__ == errors.__name__}
    assert in_module == {problem.error for problem in problems.PROBLEMS if problem.error}
    documented = errors.__doc__ or ""
    for problem in problems.PROBLEMS:
        if problem.error:
            line = next(
                line for line in documented.splitlines() if f" {problem.error.__name__} " in line
            )
            assert str(problem.status) in line


async def test_an_error_of_a_service_of_its_own_is_answered_as_its_base(
    client: httpx.AsyncClient,
) -> None:
    class SpecialError(errors.ConflictError):
        pass

    answer = await answer_to(client, SpecialError("It is settled.", state="settled"))
    assert answer.status_code == 409
    assert answer.json() | {"instance": ""} == {
        "type": PREFIX + "conflict",
        "title": "The present state forbids this",
        "status": 409,
        "detail": "It is settled.",
        "instance": "",
        "state": "settled",
    }


@pytest.mark.parametrize(
    ("error", "status", "members"),
    [
        (errors.MalformedBodyError("No JSON."), 400, {}),
        (errors.NotFoundError("No."), 404, {}),
        (errors.ForbiddenError("No."), 403, {}),
        (errors.ConflictError("No."), 409, {}),
        (
            errors.VersionMismatchError(expected_version=1, actual_version=2),
            412,
            {"actual_version": 2},
        ),
        (errors.PayloadTooLargeError("Long.", limit=7), 413, {"limit": 7}),
        (errors.IdempotencyConflictError("k"), 422, {}),
        (
            errors.InvalidInputError(
                [errors.Fault("/a", "x", "A."), errors.Fault("/b", "y", "B.")]
            ),
            422,
            {
                "errors": [
                    {"pointer": "/a", "code": "x", "detail": "A."},
                    {"pointer": "/b", "code": "y", "detail": "B."},
                ],
                "detail": "A. (1 more)",
            },
        ),
    ],
)
async def test_errors_carry_their_data(
    client: httpx.AsyncClient,
    error: errors.DomainError,
    status: int,
    members: dict[str, Any],
) -> None:
    answer = await answer_to(client, error)
    assert answer.status_code == status
    document = answer.json()
    assert document["type"] == PREFIX + error.code
    assert document | members == document


async def test_401_says_how_and_503_when(client: httpx.AsyncClient) -> None:
    refused = await answer_to(client, errors.UnauthenticatedError("Who?"))
    assert (refused.status_code, refused.headers["www-authenticate"]) == (
        401,
        'Bearer realm="servicelane"',
    )
    away = await answer_to(client, errors.UnavailableError("Later.", retry_after=7))
    assert (away.status_code, away.headers["retry-after"]) == (503, "7")


async def test_invalid_input_lists_each_fault_with_a_pointer(client: httpx.AsyncClient) -> None:
    answer = await client.post("/promises/x?limit=y", json={"number": "long", "lines": [1, "a/b"]})
    assert answer.status_code == 422
    faults = {fault["pointer"]: fault["code"] for fault in answer.json()["errors"]}
    assert faults == {
        "/path/number": "int-parsing",
        "/query/limit": "int-parsing",
        "/number": "string-too-long",
        "/lines/1": "int-parsing",
    }
    assert "a/b" not in answer.text  # what was sent is not told again: it may be personal


def test_pointers_escape_what_pointers_must() -> None:
    assert problems.pointer_of(("body", "a/b", "c~d", 0)) == "/a~1b/c~0d/0"
    assert problems.pointer_of(("body",)) == ""
    assert problems.pointer_of(("header", "if-match")) == "/header/if-match"


async def test_a_body_that_is_no_json_is_malformed(client: httpx.AsyncClient) -> None:
    for body in (b"{", b"\xff", b"[" * 1_999):
        answer = await client.post(
            "/promises/1", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 400, body
        assert answer.json()["type"] == PREFIX + "malformed-body"


async def test_a_body_over_the_limit_is_too_large(client: httpx.AsyncClient) -> None:
    async def in_chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0)
            yield b"1" * 1_000

    for content in (b"1" * 2_001, in_chunks()):
        answer = await client.post("/promises/1", content=content)
        assert answer.status_code == 413
        assert answer.json()["type"] == PREFIX + "payload-too-large"


async def test_what_the_framework_refuses_is_a_problem_too(client: httpx.AsyncClient) -> None:
    assert (await client.get("/nowhere")).json()["type"] == PREFIX + "not-found"
    wrong = await client.delete("/raise")
    assert (wrong.json()["type"], wrong.headers["allow"]) == (PREFIX + "method-not-allowed", "GET")
    other = await answer_to(client, HTTPException(418, detail="No coffee."))
    assert other.json()["type"] == "about:blank"
    assert other.json()["detail"] == "No coffee."


async def test_a_defect_is_logged_once_with_its_traceback_and_tells_nothing(
    client: httpx.AsyncClient,
) -> None:
    with capture_logs() as logs:
        answer = await answer_to(client, RuntimeError("secret of the shop"))
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.json()["detail"]
    logged = [entry for entry in logs if entry["log_level"] == "error"]
    assert len(logged) == 1
    assert isinstance(logged[0]["exc_info"], RuntimeError)


async def connection_refused() -> Exception:
    try:
        await asyncpg.connect("postgresql://nobody@127.0.0.1:1/none", timeout=5)
    except OSError as error:
        return error
    raise AssertionError


async def test_a_database_that_is_away_is_503(client: httpx.AsyncClient) -> None:
    refused = await connection_refused()
    for error in (
        refused,
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.InterfaceError("pool is closing"),
        sqlalchemy.exc.TimeoutError("QueuePool limit"),
        sqlalchemy.exc.OperationalError("SELECT", {}, asyncpg.AdminShutdownError("shut down")),
        ExceptionGroup("several", [ValueError("x"), refused]),
    ):
        with capture_logs() as logs:
            answer = await answer_to(client, error)
        assert answer.status_code == 503, error
        assert answer.json()["type"] == PREFIX + "unavailable"
        assert int(answer.headers["retry-after"]) > 0
        assert [entry["event"] for entry in logs] == ["database away", "request"]


async def test_other_failures_are_no_excuse(client: httpx.AsyncClient) -> None:
    for error in (
        OSError("disk"),
        FileNotFoundError("a file of ours"),
        TimeoutError(),
        asyncpg.UniqueViolationError("twice"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
    ):
        assert (await answer_to(client, error)).status_code == 500, error


async def test_a_text_that_the_database_cannot_hold_is_invalid_input(
    client: httpx.AsyncClient,
) -> None:
    answer = await answer_to(client, asyncpg.UntranslatableCharacterError("NUL"))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "unsupported-character"


async def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    sent: list[dict[str, Any]] = []

    async def broken(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    async def receive() -> Any:
        return {}

    with capture_logs():
        await problems.UnexpectedErrorMiddleware(broken)({"type": "http"}, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start"]


def test_responses_of_an_operation_are_grouped_by_status() -> None:
    made = problems.responses(errors.IdempotencyConflictError, errors.NotFoundError)
    assert list(made) == [401, 403, 404, 422, 500, 503]
    examples = made[422]["content"][problems.MEDIA_TYPE]["examples"]
    assert list(examples) == ["invalid-input", "idempotency-conflict"]
    assert orjson.dumps(made, option=orjson.OPT_NON_STR_KEYS)
