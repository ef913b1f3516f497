"""Quarantine 隔离区: what could not be taken, with the reason; replay it, or throw it away."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.domain.access import Principal, Scope
from app.domain.errors import ConflictError, NotFoundError
from app.domain.events.envelope import Reason
from app.domain.quarantine import NO_STORE, QuarantineFilter, QuarantineState
from app.problems import responses
from app.routers.deps import FactoryDep, Listing, PageDep, next_cursor, requires
from app.routers.schemas.quarantine import (
    DiscardIn,
    QuarantinedItemDetail,
    QuarantinedItemOut,
)

router = APIRouter(prefix="/v1/quarantine", tags=["quarantine"])

QuarantineId = Annotated[str, Path(max_length=64, description="`quarantine_id` of the outcome")]


@router.get("", operation_id="list_quarantine", summary="What lies in quarantine 隔离区列表")
async def list_quarantine(
    page: PageDep,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.QUARANTINE_READ)],
    *,
    store: Annotated[
        str | None, Query(max_length=32, description="Code; empty: items of no known store 门店")
    ] = None,
    state: Annotated[
        QuarantineState | None, Query(description="Absent: all 状态")
    ] = QuarantineState.WAITING,
    reason: Annotated[Reason | None, Query(description="Reason code 原因")] = None,
    source: Annotated[str | None, Query(max_length=256, description="Source 来源")] = None,
    event_type: Annotated[
        str | None, Query(alias="type", max_length=128, description="Event type 事件类型")
    ] = None,
) -> Listing[QuarantinedItemOut]:
    """List items, the oldest first; those that wait, unless `state` says otherwise."""
    found = await factory.quarantine.list_page(
        QuarantineFilter(
            stores=None if store is None else [store or NO_STORE],
            state=state,
            reason=reason,
            source=source,
            type=event_type,
        ),
        page,
        principal=principal,
    )
    return Listing(
        items=[QuarantinedItemOut.of(item) for item in found.items],
        next_cursor=next_cursor(found),
    )


@router.get(
    "/{quarantine_id}",
    operation_id="get_quarantined",
    summary="One item with its bytes 隔离项详情",
    responses=responses(NotFoundError),
)
async def get_quarantined(
    quarantine_id: QuarantineId,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.QUARANTINE_READ)],
) -> QuarantinedItemDetail:
    """Get one item; its own bytes are shown to keys with `personal:read`."""
    item = await factory.quarantine.get(quarantine_id, principal=principal)
    return QuarantinedItemDetail.detail_of(item, principal)


@router.post(
    "/{quarantine_id}/replay",
    operation_id="replay_quarantined",
    summary="Send an item in again 重放",
    responses=responses(NotFoundError, ConflictError),
)
async def replay_quarantined(
    quarantine_id: QuarantineId,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.QUARANTINE_WRITE)],
) -> QuarantinedItemDetail:
    """Send an item in again as it is, by today's stores and catalogue.

    Answers the item: `replayed` with its seq, or waiting still with what is wrong with it now.
    """
    item = await factory.quarantine.replay(quarantine_id, principal=principal)
    return QuarantinedItemDetail.detail_of(item, principal)


@router.post(
    "/{quarantine_id}/discard",
    operation_id="discard_quarantined",
    summary="Throw an item away 丢弃",
    responses=responses(NotFoundError, ConflictError),
)
async def discard_quarantined(
    quarantine_id: QuarantineId,
    body: DiscardIn,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.QUARANTINE_WRITE)],
) -> QuarantinedItemDetail:
    """Throw an item away, with the reason; its bytes stay on record."""
    item = await factory.quarantine.discard(quarantine_id, reason=body.reason, principal=principal)
    return QuarantinedItemDetail.detail_of(item, principal)
