"""RFC 9457 problem details: the only place that knows failure statuses.

A `DomainError` becomes the problem of its class, what the framework refuses becomes one of the
same kind, a database that is away is a 503, and anything else is logged once with its traceback
and answered as a plain 500 that names the request. `docs/problems.md` tells callers the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.errors import (
    ConflictError,
    DomainError,
    Fault,
    ForbiddenError,
    IdempotencyConflictError,
    InvalidInputError,
    MalformedBodyError,
    NotFoundError,
    PayloadTooLargeError,
    StrictHandlingError,
    UnauthenticatedError,
    UnavailableError,
    VersionMismatchError,
)
from app.domain.events.marks import CAREFUL, QUICK
from app.services.database_failures import is_database_away, is_unsupported_text
from app.telemetry import current_request_id

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:servicelane:problem:"
INSTANCE_PREFIX: Final = "urn:servicelane:request:"

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of failure as callers see it.

    Attributes:
        code: Last segment of the type; programs branch on the type.
        status: HTTP status.
        title: The same for every occurrence.
        title_zh: The title in Chinese, for the documentation.
        error: The class of errors that it stands for; None if the service itself makes it.
        members: What its document carries besides the standard members, name to meaning.
    """

    code: str
    status: int
    title: str
    title_zh: str
    error: type[DomainError] | None = None
    members: Mapping[str, str] | None = None

    @property
    def type(self) -> str:
        """URI that identifies the kind of problem."""
        return TYPE_PREFIX + self.code


def _of(
    error: type[DomainError], status: int, title: str, title_zh: str, **members: str
) -> Problem:
    return Problem(error.code, status, title, title_zh, error, members or None)


METHOD_NOT_ALLOWED: Final = Problem(
    "method-not-allowed", 405, "The resource does not know this method", "不支持的方法"
)
INTERNAL_ERROR: Final = Problem("internal-error", 500, "The service failed", "服务内部错误")

PROBLEMS: Final[tuple[Problem, ...]] = (
    _of(MalformedBodyError, 400, "The body cannot be read", "请求体无法读取"),
    _of(UnauthenticatedError, 401, "A valid key is needed", "需要有效的密钥"),
    _of(ForbiddenError, 403, "The key does not allow this", "密钥没有此权限"),
    _of(NotFoundError, 404, "There is no such thing", "不存在"),
    METHOD_NOT_ALLOWED,
    _of(
        ConflictError,
        409,
        "The present state forbids this",
        "当前状态不允许",
        state="the state that forbids it, where there is a word for it",
    ),
    _of(
        VersionMismatchError,
        412,
        "The subject has another version",
        "版本不一致",
        actual_version="the version that the subject has now",
    ),
    _of(
        PayloadTooLargeError,
        413,
        "The request is too large",
        "请求过大",
        limit="the most that is taken, in bytes or elements",
    ),
    _of(
        InvalidInputError,
        422,
        "The input is invalid",
        "输入无效",
        errors="every fault: pointer (JSON pointer), code, detail",
    ),
    _of(
        IdempotencyConflictError,
        422,
        "The Idempotency-Key was used for another request",
        "幂等键已用于其他请求",
    ),
    _of(
        StrictHandlingError,
        422,
        "Some event would be quarantined, so none is stored",
        "存在会被隔离的事件，全部未存储",
        accepted="how many events would be accepted",
        duplicate="how many are in the log already",
        quarantined="how many would be quarantined",
        results="the outcome of each event; `seq` and `quarantine_id` are null",
    ),
    INTERNAL_ERROR,
    _of(UnavailableError, 503, "The service cannot do this right now", "服务暂时不可用"),
)
"""Every problem that the service answers with, by status."""

_BY_ERROR: Final = {problem.error: problem for problem in PROBLEMS if problem.error}
_BY_STATUS: Final = {
    400: _BY_ERROR[MalformedBodyError],
    401: _BY_ERROR[UnauthenticatedError],
    403: _BY_ERROR[ForbiddenError],
    404: _BY_ERROR[NotFoundError],
    405: METHOD_NOT_ALLOWED,
    413: _BY_ERROR[PayloadTooLargeError],
}
_COMMON: Final = (UnauthenticatedError, ForbiddenError, InvalidInputError, UnavailableError)


class ProblemFault(BaseModel):
    """One thing that is wrong with the input."""

    pointer: str = Field(
        description="JSON pointer into the body; parameters are at /query/..., /path/..., "
        "/header/...",
        examples=["/promised_at"],
    )
    code: str = Field(description="Stable, for programs", examples=["missing"])
    detail: str = Field(description="For people", examples=["Field required"])


class ProblemDocument(BaseModel):
    """Problem details (RFC 9457) 错误详情."""

    type: str = Field(description="Kind of problem", examples=[TYPE_PREFIX + "not-found"])
    title: str = Field(description="The kind in words", examples=["There is no such thing"])
    status: int = Field(description="HTTP status, once more", examples=[404])
    detail: str | None = Field(
        None, description="This occurrence in words", examples=["There is no store SH01."]
    )
    instance: str | None = Field(
        None,
        description="This occurrence; ends in the X-Request-Id that the logs carry",
        examples=[INSTANCE_PREFIX + "5c1e9ab0c1d84b6fb4a1c8a2"],
    )
    errors: list[ProblemFault] | None = Field(None, description="Each fault of an invalid input")
    state: str | None = Field(None, description="The state that forbids the command")
    actual_version: int | None = Field(None, description="The version that the subject has now")
    limit: int | None = Field(None, description="The most that is taken")
    accepted: int | None = Field(None, description="How many events would be accepted")
    duplicate: int | None = Field(None, description="How many are in the log already")
    quarantined: int | None = Field(None, description="How many would be quarantined")
    results: list[dict[str, Any]] | None = Field(
        None, description="What would become of each event, as in the answer of ingest"
    )
    durable_lines: int | None = Field(
        None, description="At the end of a stream: lines up to this one are stored, none is lost"
    )


def problem_of(error: DomainError) -> Problem:
    """The kind of problem that an error is: that of its class or of the nearest base."""
    for base in type(error).__mro__:
        if base in _BY_ERROR:
            return _BY_ERROR[base]
    raise LookupError(f"{type(error).__name__} has no problem")


def responses(*errors: type[DomainError]) -> dict[int | str, dict[str, Any]]:
    """What an operation's `responses=` says of its failures.

    Those that any operation may meet (no key, no right, invalid input, the database away, a
    defect) are always among them.
    """
    by_status: dict[int, list[Problem]] = {}
    wanted = {*errors, *_COMMON}
    for problem in PROBLEMS:
        if problem.error in wanted or problem is INTERNAL_ERROR:
            by_status.setdefault(problem.status, []).append(problem)
    return {status: _response(problems) for status, problems in sorted(by_status.items())}


def _response(problems: list[Problem]) -> dict[str, Any]:
    return {
        "description": " / ".join(f"{problem.title} {problem.title_zh}" for problem in problems),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/ProblemDocument"},
                "examples": {
                    problem.code: {
                        "summary": problem.title,
                        "value": {
                            "type": problem.type,
                            "title": problem.title,
                            "status": problem.status,
                        },
                    }
                    for problem in problems
                },
            }
        },
    }


def schemas() -> dict[str, Any]:
    """The schemas that the responses refer to, for the OpenAPI document."""
    schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), ProblemDocument.__name__: schema}


def install(app: FastAPI) -> None:
    """Make the app answer each failure as a problem."""
    app.add_exception_handler(DomainError, _domain_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)


class UnexpectedErrorMiddleware:
    """Answers what no handler took: 503 for a database that is away, else a plain 500.

    It stands inside the CORS middleware, so that a browser may read these answers too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - the last stop of every defect
            answer = _unexpected(error)
            if not started:
                await answer(scope, receive, send)


class _BodyTooLargeError(HTTPException):
    """The one kind of error that the framework lets through while it reads a body."""

    def __init__(self, detail: str, limit: int) -> None:
        super().__init__(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        self.limit = limit


class BodyLimitMiddleware:
    """Refuses a body that is larger than the limit, before it is read where its length is told.

    The framework's own limit answers in plain text.
    """

    def __init__(
        self, app: ASGIApp, *, limit: int, is_stream: Callable[[Scope], bool] = lambda _: False
    ) -> None:
        """Stand before an app.

        Args:
            app: What comes next.
            limit: In bytes.
            is_stream: Tells the requests whose body may have any length, as it is never held.
        """
        self._app = app
        self._limit = limit
        self._is_stream = is_stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or self._is_stream(scope):
            await self._app(scope, receive, send)
            return
        told = next((value for name, value in scope["headers"] if name == b"content-length"), None)
        if told is None:
            receive = self._counted(receive)
        elif int(told) > self._limit:
            await self._refusal()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _counted(self, receive: Receive) -> Receive:
        taken = 0

        async def receive_within_limit() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._limit:
                raise _BodyTooLargeError(self._detail(), self._limit)
            return message

        return receive_within_limit

    def _refusal(self) -> Response:
        return _answer(_BY_ERROR[PayloadTooLargeError], self._detail(), {"limit": self._limit})

    def _detail(self) -> str:
        return f"The body is larger than {self._limit} bytes; send it in parts."


def _unexpected(error: Exception) -> Response:
    if is_unsupported_text(error):
        fault = Fault("", "unsupported-character", "A text holds a character that is not kept.")
        return _answer(_BY_ERROR[InvalidInputError], fault.detail, {"errors": [fault]})
    if is_database_away(error):
        log.warning("database away", error=f"{type(error).__name__}: {error}")
        return _answer(
            _BY_ERROR[UnavailableError],
            "The database cannot be reached; try again.",
            headers={"Retry-After": "2"},
        )
    log.error("unexpected error", exc_info=error)
    return _answer(
        INTERNAL_ERROR,
        "This is a defect of the service; its operator finds it in the log under the request id "
        f"{current_request_id()}.",
    )


def last_line(error: Exception, *, durable_lines: int, advice: str) -> bytes:
    """The problem that ends the answer to a stream when it is too late for a status.

    Args:
        error: What happened.
        durable_lines: Lines of the body whose outcome is stored, all from the first.
        advice: What the caller can do about the rest, in words.
    """
    if isinstance(error, DomainError):
        problem, detail = problem_of(error), str(error)
        log.info("refused in the middle of a stream", problem=problem.code, detail=detail)
    elif is_database_away(error):
        problem, detail = _BY_ERROR[UnavailableError], "The database went away."
        log.warning("database away", error=f"{type(error).__name__}: {error}")
    else:
        problem, detail = INTERNAL_ERROR, "This is a defect of the service."
        log.error("unexpected error", exc_info=error)
    return _document(problem, f"{detail} {advice}", {"durable_lines": durable_lines}) + b"\n"


async def _domain_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)  # noqa: S101 - the handler's contract
    problem = problem_of(error)
    members = dict(error.fields())
    headers = {}
    match error:
        case InvalidInputError():
            members["errors"] = error.faults
        case UnauthenticatedError():
            headers["WWW-Authenticate"] = 'Bearer realm="servicelane"'
        case UnavailableError():
            headers["Retry-After"] = str(error.retry_after)
        case StrictHandlingError():
            headers["Preference-Applied"] = "handling=strict"
        case _:
            pass
    log.info("refused", problem=problem.code, detail=str(error))
    return _answer(problem, str(error), members, headers)


async def _validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the handler's contract
    found = error.errors()
    if any(fault["type"] == "json_invalid" for fault in found):
        return _answer(_BY_ERROR[MalformedBodyError], "The body is not JSON.")
    faults = [
        Fault(
            pointer_of(fault["loc"]),
            fault["type"].replace("_", "-"),
            fault["msg"].removeprefix("Value error, "),
        )
        for fault in found
        if QUICK not in fault["loc"]  # what the careful reader says of it counts
    ]
    first, more = faults[0], len(faults) - 1
    detail = f"{first.pointer or 'The body'}: {first.detail}" + (f" ({more} more)" if more else "")
    return _answer(_BY_ERROR[InvalidInputError], detail, {"errors": faults})


async def _http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler's contract
    problem = _BY_STATUS.get(error.status_code)
    if problem is None:
        problem = Problem("", error.status_code, HTTPStatus(error.status_code).phrase, "")
    standard = HTTPStatus(error.status_code).phrase
    detail = None if error.detail == standard else error.detail
    members = {"limit": error.limit} if isinstance(error, _BodyTooLargeError) else None
    return _answer(problem, detail, members, error.headers)


def _answer(
    problem: Problem,
    detail: str | None,
    members: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    return Response(
        _document(problem, detail, members),
        status_code=problem.status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def _document(
    problem: Problem, detail: str | None, members: Mapping[str, object] | None = None
) -> bytes:
    document: dict[str, object] = {
        "type": problem.type if problem.code else "about:blank",
        "title": problem.title,
        "status": problem.status,
    }
    if detail:
        document["detail"] = detail
    request_id = current_request_id()
    if request_id is not None:
        document["instance"] = INSTANCE_PREFIX + request_id
    document.update(members or {})
    return orjson.dumps(document, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Fault):
        return {"pointer": value.pointer, "code": value.code, "detail": value.detail}
    return str(value)


def pointer_of(location: tuple[str | int, ...]) -> str:
    """Write where a fault lies as a JSON pointer (RFC 6901).

    A fault in the body points into the body; one in a parameter begins with its kind.
    """
    parts = location[1:] if location and location[0] == "body" else location
    return "".join(
        f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts if part != CAREFUL
    )
