"""Events 事件: how everything that happened in the shop comes in."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response

from app.domain.access import Principal, Scope
from app.domain.errors import MalformedBodyError, PayloadTooLargeError, UnavailableError
from app.domain.events.wire import read_message
from app.problems import responses
from app.routers.deps import FactoryDep, HotRoute, requires
from app.routers.schemas.events import INGEST_REQUEST, IngestOut

router = APIRouter(prefix="/v1/events", tags=["events"], route_class=HotRoute)

_CE_PREFIX: Final = "ce-"

_LARGE: Final = 262_144
"""Bytes of a body that may take long to read."""


@router.post(
    "",
    operation_id="post_events",
    status_code=202,
    summary="Send events 上报事件",
    response_model=IngestOut,
    responses=responses(MalformedBodyError, PayloadTooLargeError, UnavailableError),
    openapi_extra=INGEST_REQUEST,
)
async def post_events(
    request: Request,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.EVENTS_WRITE)],
) -> Response:
    """Send one event or a batch, as CloudEvents 1.0 over HTTP in any of its three modes.

    Answers 202 with the outcome of each event, in order: accepted, duplicate (of one that is in
    the log, with its seq), or quarantined with the reason. An accepted event is durable.
    `Prefer: return=minimal` leaves `results` to what was not accepted.
    """
    body = await _read_body(request, factory.settings.max_body_bytes)
    headers = request.headers
    attributes = {name: value for name, value in headers.items() if name.startswith(_CE_PREFIX)}
    content_type = headers.get("content-type")
    if len(body) > _LARGE:
        # odd JSON is read the slow way: other requests must get their turns meanwhile
        message = await asyncio.to_thread(read_message, body, content_type, attributes)
    else:
        message = read_message(body, content_type, attributes)
    minimal = "return=minimal" in headers.get("prefer", "").replace(" ", "").lower()
    taken = await factory.ingest.ingest(message, principal=principal)
    return Response(taken.answer(minimal=minimal), status_code=202, media_type="application/json")


async def _read_body(request: Request, limit: int) -> bytes:
    """Read the body, but no more of it than is taken.

    Raises:
        PayloadTooLargeError: It is larger than `limit` bytes.
    """
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise PayloadTooLargeError(
                f"The body is larger than {limit} bytes. Send the events in parts.", limit=limit
            )
        parts.append(part)
    return b"".join(parts)
