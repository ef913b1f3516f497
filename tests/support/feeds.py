"""A feed that is alive: it sends at its hours while time goes by."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from pydantic import SecretStr

from app.db.engine import Pool
from app.factory import Factory, open_factory
from app.services.time_source import MovableTimeSource
from app.settings import Settings
from tests.support.facts import DMS, event
from tests.support.posting import post

SHANGHAI = ZoneInfo("Asia/Shanghai")


def local(text: str) -> datetime:
    """Read a local time of Shanghai."""
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).astimezone(UTC)


def in_shop_hours(at: datetime) -> bool:
    """From 8 to 18, not on Sundays."""
    return at.weekday() < 6 and 8 <= at.hour < 18


async def send(factory: Factory, at: datetime, source: str = DMS, store: str = "S1") -> None:
    """Send an event that happened just now."""
    card: dict[str, Any] = {"work_date": f"{at:%Y-%m-%d}", "attended_hours": at.hour}
    await post(
        factory,
        event("staff.timecard_recorded", "T1", at.isoformat(), source=source, store=store, **card),
    )


async def live(
    factory: Factory,
    time_source: MovableTimeSource,
    *,
    until: datetime,
    weeks: int,
    comes: Callable[[datetime], bool] = in_shop_hours,
    source: str = DMS,
) -> None:
    """Let a feed come in each of its hours, at 50 past, for some weeks until a moment."""
    at = until.replace(minute=50) - timedelta(weeks=weeks, hours=1)
    time_source.set(at)
    await factory.feed_watch.watch()
    while at <= until:
        if comes(at.astimezone(SHANGHAI)):
            time_source.set(at)
            await send(factory, at, source)
        at += timedelta(hours=1)
    time_source.set(until)
    await factory.feed_watch.watch()


async def told(pool: Pool, prefix: str = "feed.") -> list[dict[str, Any]]:
    """List what the service wrote about feeds: type, subject, its time, and the data."""
    rows = await pool.fetch(
        "SELECT type, subject, occurred_at, data FROM event"
        " WHERE starts_with(type, $1) AND source = '/servicelane' ORDER BY store_id, seq",
        prefix,
    )
    return [dict(row) | {"data": orjson.loads(row["data"])} for row in rows]


@asynccontextmanager
async def another_process(
    database_url: str, time_source: MovableTimeSource
) -> AsyncIterator[Factory]:
    """Open the service once more on the same database."""
    settings = Settings(database_url=SecretStr(database_url))
    async with open_factory(settings, time_source=time_source) as opened:
        yield opened
