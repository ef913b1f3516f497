"""The night after one day of news, on a short log and on one ten times as long.

Its cost must follow the news. Both stores live through the same days; the time of the service is
passed in, so that a year takes a minute.
"""

import statistics
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from pydantic import SecretStr

from app.demo.life import events
from app.domain.access import ALL_SCOPES, Principal
from app.domain.events.wire import read_message
from app.factory import Factory, open_factory
from app.services.time_source import MovableTimeSource
from app.settings import Settings

ZONE = ZoneInfo("Asia/Shanghai")
LAST_DAY = date(2026, 6, 1)
NIGHTS = 7
SHORT_DAYS = 20
TIMES = 10
CALLER = Principal("bench", "bench", ALL_SCOPES)


async def compare_nights(url: str) -> None:
    """Print what the long log's nights take, as a ratio to the short one's."""
    clock = MovableTimeSource(_morning(LAST_DAY))
    settings = Settings(database_url=SecretStr(url))
    async with open_factory(settings, time_source=clock) as factory:
        news = {
            "SHORT": await _live_through(factory, "SHORT", SHORT_DAYS),
            "LONG": await _live_through(factory, "LONG", SHORT_DAYS * TIMES),
        }
        ratios, longs, shorts = [], [], []
        for night in range(1, NIGHTS + 1):
            clock.set(_morning(LAST_DAY + timedelta(night)))
            spent = {}
            for store_id in ("SHORT", "LONG") if night % 2 else ("LONG", "SHORT"):
                await _post(factory, news[store_id][night - 1])
                begin = time.perf_counter()
                await factory.nightly.run_now(store_id)
                spent[store_id] = time.perf_counter() - begin
            ratios.append(spent["LONG"] / spent["SHORT"])
            longs.append(spent["LONG"])
            shorts.append(spent["SHORT"])
    print(
        f"{'night, log 10 times as long':34} {statistics.median(ratios):5.2f}"
        f" [{min(ratios):.2f}-{max(ratios):.2f}]"
        f"  {1000 * statistics.median(longs):6.0f} ms against"
        f" {1000 * statistics.median(shorts):6.0f} ms",
        flush=True,
    )


async def _live_through(factory: Factory, store_id: str, days: int) -> list[list[dict[str, Any]]]:
    """Post so many days of a shop's life and run the night; give the news of the days after."""
    await factory.stores.put(
        store_id=store_id, name=store_id, zone=ZONE, currency="CNY", locale="zh-CN"
    )
    begin = _morning(LAST_DAY - timedelta(days))
    end = _morning(LAST_DAY + timedelta(NIGHTS))
    life = list(events([store_id], begin, end, seed=7))
    bounds = [_morning(LAST_DAY + timedelta(night)) for night in range(NIGHTS + 1)]
    await _post(factory, [event for event in life if _time(event) < bounds[0]])
    await factory.nightly.run_now(store_id)
    return [
        [event for event in life if since <= _time(event) < until]
        for since, until in pairwise(bounds)
    ]


async def _post(factory: Factory, sent: list[dict[str, Any]]) -> None:
    for part in _parts(sent, 1_000):
        message = read_message(orjson.dumps(part), "application/json")
        await factory.ingest.ingest(message, principal=CALLER)


def _parts(sent: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    rest = iter(sent)
    while part := list(islice(rest, size)):
        yield part


def _morning(day: date) -> datetime:
    """The moment of the night on a day."""
    return datetime(day.year, day.month, day.day, 3, tzinfo=ZONE).astimezone(UTC)


def _time(event: dict[str, Any]) -> datetime:
    try:
        return datetime.fromisoformat(event["time"])
    except (KeyError, TypeError, ValueError):
        return datetime.max.replace(tzinfo=UTC)
