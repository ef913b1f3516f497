"""Feeds 数据源: what comes from whom, in which rhythm, how late, and who has fallen silent."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from app.domain.access import Principal, Scope
from app.domain.errors import NotFoundError
from app.domain.feed_watch import FeedRule
from app.problems import responses
from app.routers.deps import FactoryDep, Listing, PageDep, StoreId, next_cursor, requires
from app.routers.schemas.feeds import FeedOut, FeedRuleIn

router = APIRouter(prefix="/v1/stores/{store_id}/feeds", tags=["feeds"])

LagDays = Annotated[
    int, Query(ge=1, le=366, description="Over how many days lags are told 延迟统计天数")
]


@router.get(
    "",
    operation_id="list_feeds",
    summary="Feeds of a store 数据源与覆盖情况",
    responses=responses(NotFoundError),
)
async def list_feeds(
    store_id: StoreId,
    page: PageDep,
    factory: FactoryDep,
    _: Annotated[Principal, requires(Scope.STORES_READ)],
    lag_days: LagDays = 7,
) -> Listing[FeedOut]:
    """List every source that was ever heard of: when last, how much, how late, whether silent.

    A KPI that dropped because a feed died is not bad work.
    """
    found = await factory.feeds.list_page(store_id, page, lag_days=lag_days)
    return Listing(
        items=[FeedOut.of(report) for report in found.items], next_cursor=next_cursor(found)
    )


@router.put(
    "",
    operation_id="put_feed_rule",
    summary="Set the alarm of a feed 设置中断告警",
    responses=responses(NotFoundError),
)
async def put_feed_rule(
    store_id: StoreId,
    body: FeedRuleIn,
    factory: FactoryDep,
    _: Annotated[Principal, requires(Scope.STORES_WRITE)],
    lag_days: LagDays = 7,
) -> FeedOut:
    """Set a fixed span, or no alarm at all, in place of the usual rhythm; counts at once.

    Without either the rhythm counts again. A repeat is harmless.
    """
    minutes = body.silent_after_minutes
    rule = FeedRule(None if minutes is None else timedelta(minutes=minutes), body.muted)
    return FeedOut.of(await factory.feeds.set_rule(store_id, body.source, rule, lag_days=lag_days))
