"""The appender on a real database: order, identity, retraction, groups, many writers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from app.db.engine import Database, Pool
from app.db.event_log import EventLog
from app.domain.events.envelope import Kind, NewEvent, Reason, Rejected
from app.domain.events.form import Limits
from app.domain.events.parse import parse_event
from app.domain.policies import Policies
from app.domain.quarantine import Item
from app.services.append_session import Accepted, Duplicate, Facts, Quarantined, Sweep
from app.services.appender import Appender
from app.services.stores import StoreDirectory, StoreService
from app.services.time_source import MovableTimeSource
from app.db.stores import StoreRepository
from zoneinfo import ZoneInfo

NOW = datetime(2026, 3, 20, 4, tzinfo=UTC)
SECRET = b"secret of the tests"


def item_of(event: dict[str, Any]) -> Item:
    import orjson

    return Item(orjson.dumps(event), "application/cloudevents+json", {})


def make(event: dict[str, Any]) -> NewEvent:
    parsed = parse_event(
        event, limits=Limits(), now=NOW, secret=SECRET, known_store=lambda _: True
    )
    assert isinstance(parsed, NewEvent), parsed
    return parsed


def event(
    event_type: str,
    subject: str,
    data: dict[str, Any],
    *,
    at: str = "2026-03-01T09:00:00+08:00",
    store: str = "SH01",
    event_id: str | None = None,
    source: str = "/dms/test",
) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event_id or f"{event_type}/{subject}/{at}",
        "source": source,
        "type": event_type,
        "store": store,
        "subject": subject,
        "time": at,
        "data": data,
    }


def opened(ro: str, **kwargs: Any) -> dict[str, Any]:
    data = {"work_type": "ordinary_repair", "advisor": "A1", "customer_no": "C1"}
    return event("repair_order.opened", ro, data, **kwargs)


def delivered(ro: str, at: str, **kwargs: Any) -> dict[str, Any]:
    return event("repair_order.delivered", ro, {}, at=at, **kwargs)


class Bench:
    """An appender with what tests need around it."""

    def __init__(self, database: Database, lanes: int = 2) -> None:
        self.database = database
        self.time = MovableTimeSource(NOW)
        repository = StoreRepository(database.read)
        self.directory = StoreDirectory(repository)
        self.stores = StoreService(repository, self.directory, self.time)
        self.appender = Appender(
            database.log,
            stores=self.directory,
            policies=Policies(),
            time_source=self.time,
            reparse=self.reparse,
            lanes=lanes,
        )

    def reparse(self, item: Item, now: datetime) -> NewEvent | Rejected:
        import orjson

        return parse_event(
            orjson.loads(item.body), limits=Limits(), now=now, secret=SECRET,
            known_store=self.directory.knows,
        )

    async def add_store(self, store_id: str = "SH01") -> None:
        await self.stores.put(
            store_id=store_id, name=store_id, zone=ZoneInfo("Asia/Shanghai"), currency="CNY",
            locale="zh-CN",
        )

    async def post(self, *events: dict[str, Any]) -> Sequence[Any]:
        facts = Facts(
            events[0]["store"],
            [make(each) for each in events],
            item_of=lambda position: item_of(events[position]),
        )
        await self.appender.submit(facts)
        return facts.outcomes


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[Bench]:
    bench = Bench(database)
    await bench.add_store()
    yield bench
    await bench.appender.close()


async def test_seqs_follow_the_order_of_the_batch(bench: Bench) -> None:
    outcomes = await bench.post(opened("R1"), opened("R2"), opened("R3"))
    assert outcomes == [Accepted(1), Accepted(2), Accepted(3)]
    assert await bench.post(opened("R2"), opened("R4")) == [Duplicate(2), Accepted(4)]


async def test_delivery_plans_a_call(bench: Bench, pool: Pool) -> None:
    await bench.post(opened("R1"), delivered("R1", "2026-03-18T16:00:00+08:00"))
    row = await pool.fetchrow("SELECT * FROM follow_up")
    assert row["status"] == "scheduled"
    clock = await pool.fetchrow("SELECT * FROM clock")
    assert clock["state"] == "running"
    bench.time.set(datetime(2026, 3, 25, 16, 0, 1, tzinfo=UTC))
    sweep = Sweep("SH01")
    await bench.appender.submit(sweep)
    assert sweep.breached == 1
    rows = await pool.fetch("SELECT type, data FROM event ORDER BY seq")
    assert [row["type"] for row in rows] == [
        "repair_order.opened", "repair_order.delivered", "follow_up.scheduled",
        "follow_up.overdue", "follow_up.scheduled",
    ]
