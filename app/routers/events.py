"""Events 事件: how everything that happened in the shop comes in."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from starlette.types import Scope as Connection

from app.domain.access import Principal, Scope
from app.domain.errors import (
    InvalidInputError,
    MalformedBodyError,
    PayloadTooLargeError,
    StrictHandlingError,
    UnavailableError,
)
from app.domain.events.ndjson import MEDIA_TYPES
from app.domain.events.wire import Message, check_charset, read_message
from app.factory import Factory
from app.problems import responses
from app.routers.bodies import body_parts, preferences, read_body
from app.routers.deps import FactoryDep, HotRoute, requires
from app.routers.schemas.events import (
    INGEST_REQUEST,
    LINES,
    VALIDATE_REQUEST,
    IngestOut,
)
from app.routers.streams import StreamedAnswer

router = APIRouter(prefix="/v1/events", tags=["events"], route_class=HotRoute)

_CE_PREFIX: Final = "ce-"

_LARGE: Final = 65_536
"""Bytes of a body that may take long to read."""

_LINES: Final = {"content": {"application/x-ndjson": LINES}}


def is_stream(scope: Connection) -> bool:
    """Tell whether a request brings lines of events: its body may have any length."""
    if not scope["path"].endswith((router.prefix, f"{router.prefix}/validate")):
        return False
    told = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return _media_type(told.decode("latin-1")) in MEDIA_TYPES


@router.post(
    "",
    operation_id="post_events",
    status_code=202,
    summary="Send events 上报事件",
    response_model=IngestOut,
    responses={
        202: _LINES,
        **responses(
            MalformedBodyError, PayloadTooLargeError, StrictHandlingError, UnavailableError
        ),
    },
    openapi_extra=INGEST_REQUEST,
)
async def post_events(
    request: Request,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.EVENTS_WRITE)],
) -> Response:
    """Send one event or a batch, as CloudEvents 1.0 over HTTP in any of its three modes, or lines.

    Answers 202 with the outcome of each event, in order: accepted, duplicate (of one that is in
    the log, with its seq), or quarantined with the reason. An accepted event is durable.
    `Prefer: return=minimal` leaves `results` to what was not accepted; with `handling=strict`
    nothing is stored, in quarantine neither, if any event would be quarantined (422).

    Lines of events (`application/x-ndjson`, one event each) may go on without end. They are
    stored in chunks, and a line of the answer is the outcome of a chunk. If something goes wrong
    in the middle, the last line is a problem that says how many lines are stored.
    """
    preferred = preferences(request)
    strict = preferred.get("handling") == "strict"
    minimal = preferred.get("return") == "minimal"
    applied = _applied(strict=strict, minimal=minimal)
    if is_stream(request.scope):
        if strict:
            raise InvalidInputError.at("/header/Prefer", "not-for-lines", _NOT_STRICT)
        check_charset(request.headers.get("content-type"))
        taking = factory.bulk.take(body_parts(request), principal=principal, minimal=minimal)
        return await StreamedAnswer.begun(taking, status=202, headers=applied)
    message = await _read(request, factory)
    taken = await factory.ingest.ingest(message, principal=principal, strict=strict)
    return _answer(202, taken.answer(minimal=minimal), applied)


@router.post(
    "/validate",
    operation_id="validate_events",
    summary="Try events out 校验事件",
    response_model=IngestOut,
    responses={
        200: _LINES,
        **responses(MalformedBodyError, PayloadTooLargeError, UnavailableError),
    },
    openapi_extra=VALIDATE_REQUEST,
)
async def validate_events(
    request: Request,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.EVENTS_WRITE)],
) -> Response:
    """Answer what `POST /v1/events` would answer, and store nothing, in quarantine neither.

    Takes the same bodies. What the log holds already is looked at, too: duplicates are told with
    their seq, and conflicts and retractions are told. An event that would be accepted has no seq,
    one that would be quarantined has no quarantine id. Of lines, all before count as if they were
    stored.
    """
    minimal = preferences(request).get("return") == "minimal"
    applied = _applied(minimal=minimal)
    if is_stream(request.scope):
        check_charset(request.headers.get("content-type"))
        trying = factory.bulk.validate(body_parts(request), principal=principal, minimal=minimal)
        return await StreamedAnswer.begun(trying, status=200, headers=applied)
    message = await _read(request, factory)
    taken = await factory.ingest.validate(message, principal=principal)
    return _answer(200, taken.answer(minimal=minimal), applied)


async def _read(request: Request, factory: Factory) -> Message:
    body = await read_body(request, factory.settings.max_body_bytes)
    headers = request.headers
    attributes = {name: value for name, value in headers.items() if name.startswith(_CE_PREFIX)}
    content_type = headers.get("content-type")
    if len(body) > _LARGE:
        # odd JSON is read the slow way: other requests must get their turns meanwhile
        return await asyncio.to_thread(read_message, body, content_type, attributes)
    return read_message(body, content_type, attributes)


def _answer(status: int, body: bytes, headers: dict[str, str]) -> Response:
    return Response(body, status_code=status, media_type="application/json", headers=headers)


def _applied(*, strict: bool = False, minimal: bool = False) -> dict[str, str]:
    """Say which preferences are heeded (RFC 7240, section 3)."""
    applied = ["handling=strict"] * strict + ["return=minimal"] * minimal
    return {"Preference-Applied": ", ".join(applied)} if applied else {}


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


_NOT_STRICT: Final = (
    "Lines are stored in chunks: handling=strict can't hold for all of them. Try them out first "
    "(POST /v1/events/validate), or send a batch."
)
