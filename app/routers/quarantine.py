"""Quarantine 隔离区: what could not be taken; correct and replay it, or throw it away."""

from datetime import timedelta
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Body, Depends, Path, Query

from app.domain.access import Principal, Scope
from app.domain.errors import ConflictError, NotFoundError
from app.domain.events.envelope import Reason
from app.domain.quarantine import NO_STORE, CountBy, QuarantineFilter, QuarantineState
from app.problems import responses
from app.routers.deps import FactoryDep, Listing, PageDep, next_cursor, requires
from app.routers.schemas.moments import Moment
from app.routers.schemas.quarantine import (
    DiscardIn,
    QuarantineCountOut,
    QuarantinedItemDetail,
    QuarantinedItemOut,
    ReplayIn,
)

router = APIRouter(prefix="/v1/quarantine", tags=["quarantine"])

QuarantineId = Annotated[str, Path(max_length=64, description="`quarantine_id` of the outcome")]

_MOST_AGE = 10 * 366 * 24 * 3600


class _Wanted(NamedTuple):
    """Which items a caller asks for."""

    filter: QuarantineFilter
    min_age: timedelta | None


async def _wanted(
    *,
    store: Annotated[
        str | None, Query(max_length=32, description="Code; empty: items of no known store 门店")
    ] = None,
    state: Annotated[
        QuarantineState | None, Query(description="Absent: those that wait 状态")
    ] = QuarantineState.WAITING,
    reason: Annotated[Reason | None, Query(description="Reason code 原因")] = None,
    source: Annotated[str | None, Query(max_length=256, description="Source 来源")] = None,
    event_type: Annotated[
        str | None, Query(alias="type", max_length=128, description="Event type 事件类型")
    ] = None,
    subject: Annotated[
        str | None, Query(max_length=128, description="Subject, such as an RO number 主体")
    ] = None,
    received_from: Annotated[
        Moment | None, Query(description="Received at or after 接收时间起")
    ] = None,
    received_until: Annotated[
        Moment | None, Query(description="Received before 接收时间止")
    ] = None,
    fault: Annotated[
        str | None,
        Query(min_length=1, max_length=256, description="Part of a fault's code or pointer 错误"),
    ] = None,
    min_age_seconds: Annotated[
        int | None, Query(ge=0, le=_MOST_AGE, description="Received as long ago 最短等待秒数")
    ] = None,
) -> _Wanted:
    wanted = QuarantineFilter(
        stores=None if store is None else [store or NO_STORE],
        state=state,
        reason=reason,
        source=source,
        type=event_type,
        subject=subject,
        received_from=received_from,
        received_until=received_until,
        fault=fault,
    )
    age = None if min_age_seconds is None else timedelta(seconds=min_age_seconds)
    return _Wanted(wanted, age)


WantedDep = Annotated[_Wanted, Depends(_wanted)]


@router.get("", operation_id="list_quarantine", summary="What lies in quarantine 隔离区列表")
async def list_quarantine(
    page: PageDep,
    wanted: WantedDep,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.QUARANTINE_READ)],
) -> Listing[QuarantinedItemOut]:
    """List items, the oldest first; those that wait, unless `state` says otherwise."""
    found = await factory.quarantine.list_page(
        wanted.filter, page, min_age=wanted.min_age, principal=principal
    )
    return Listing(
        items=[QuarantinedItemOut.of(item) for item in found.items],
        next_cursor=next_cursor(found),
    )


@router.get(
    "/counts",
    operation_id="count_quarantine",
    summary="How much lies in quarantine 隔离区统计",
    response_model_exclude_unset=True,
)
async def count_quarantine(
    wanted: WantedDep,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.QUARANTINE_READ)],
    *,
    by: Annotated[
        list[CountBy] | None,
        Query(description="What items are told apart by; repeat for several 分组"),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most counts 最多条数")] = 200,
) -> Listing[QuarantineCountOut]:
    """Count items by store and reason, or as `by` says, the most first."""
    counted = set(by or (CountBy.STORE, CountBy.REASON))
    found = await factory.quarantine.count(
        wanted.filter, by=counted, limit=limit, min_age=wanted.min_age, principal=principal
    )
    return Listing(
        items=[QuarantineCountOut.of(count, counted) for count in found], next_cursor=None
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
    """Get one item, with what may be done about it.

    Its own bytes, its corrections and the values of suggestions are shown to keys with
    `personal:read`.
    """
    item = await factory.quarantine.get(quarantine_id, principal=principal)
    suggestions = await factory.quarantine.suggest(item, principal=principal)
    return QuarantinedItemDetail.detail_of(item, suggestions, principal)


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
    body: Annotated[ReplayIn | None, Body()] = None,
) -> QuarantinedItemDetail:
    """Send an item in again, by today's stores and catalogue: as it is, or corrected.

    A correction is the whole `event`, a `patch` for it, or names of suggestions to `apply`; it
    may keep the event's identity, is kept with who made it, and is what a later replay sends in.
    The bytes as they were sent stay. Answers the item: `replayed` with its seq, or waiting still
    with what is wrong with it now.
    """
    how = body or ReplayIn()
    item = await factory.quarantine.replay(
        quarantine_id, event=how.event, patch=how.patch, apply=how.names, principal=principal
    )
    suggestions = await factory.quarantine.suggest(item, principal=principal)
    return QuarantinedItemDetail.detail_of(item, suggestions, principal)


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
    return QuarantinedItemDetail.detail_of(item, (), principal)


@router.post(
    "/{quarantine_id}/reopen",
    operation_id="reopen_quarantined",
    summary="Let a discarded item wait again 撤销丢弃",
    responses=responses(NotFoundError, ConflictError),
)
async def reopen_quarantined(
    quarantine_id: QuarantineId,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.QUARANTINE_WRITE)],
) -> QuarantinedItemDetail:
    """Let an item wait again that was discarded by mistake.

    As long as it is discarded, the same bytes are answered as a duplicate and counted here.
    """
    item = await factory.quarantine.reopen(quarantine_id, principal=principal)
    suggestions = await factory.quarantine.suggest(item, principal=principal)
    return QuarantinedItemDetail.detail_of(item, suggestions, principal)
