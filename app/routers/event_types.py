"""Event types 事件类型: what may be sent, with the schema of its data."""

from typing import Annotated

from fastapi import APIRouter, Path

from app.domain.errors import NotFoundError
from app.domain.events.catalog import CATALOG
from app.problems import responses
from app.routers.deps import PUBLIC, Listing
from app.routers.schemas.event_types import EventTypeDetail, EventTypeOut

router = APIRouter(prefix="/v1/event-types", tags=["events"], dependencies=[PUBLIC])


@router.get(
    "",
    operation_id="list_event_types",
    summary="The catalogue 事件类型目录",
    responses=responses(),
)
async def list_event_types() -> Listing[EventTypeOut]:
    """List every event type, those that only the service writes included.

    Public: it is the same for every shop, and part of this document.
    """
    return Listing(
        items=[EventTypeOut.of(event_type) for event_type in CATALOG.values()], next_cursor=None
    )


@router.get(
    "/{type}",
    operation_id="get_event_type",
    summary="One type with its schema 事件类型详情",
    responses=responses(NotFoundError),
)
async def get_event_type(
    name: Annotated[
        str, Path(alias="type", max_length=128, description="Name of the type 类型名称")
    ],
) -> EventTypeDetail:
    """Get an event type with the JSON Schema (2020-12) of its data, and a whole event. Public."""
    if name not in CATALOG:
        message = f"There is no event type {name}; GET {router.prefix} lists them."
        raise NotFoundError(message)
    return EventTypeDetail.of(CATALOG[name])
