"""The service without HTTP: facts go in, clocks are swept, metrics and nights are run."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from app.db.engine import Database
from app.db.names import NameRepository
from app.db.personal import PersonalRepository
from app.db.stores import StoreRepository
from app.db.timelines import TimelineRepository
from app.domain.events.envelope import NewEvent, Rejected
from app.domain.events.form import Limits
from app.domain.events.item import Item
from app.domain.events.parse import parse_event
from app.domain.policies import DEFAULT_POLICIES, Policies
from app.services.appender import Appender
from app.services.clocks import ClockService
from app.services.desk import PersonalFields
from app.services.door import Door
from app.services.instruments import Instruments
from app.services.kpis import KpiService
from app.services.metrics import MetricsService
from app.services.names import NameService
from app.services.nightly import NightlyService
from app.services.stores import StoreDirectory, StoreService
from app.services.time_source import MovableTimeSource
from app.services.units import Facts, Outcome
from tests.support.histories import History, cloud_event

SECRET = b"s" * 32


class Desk:
    """A service process on a database, with a time that tests move."""

    def __init__(
        self, database: Database, time_source: MovableTimeSource, policies: Policies
    ) -> None:
        self.time_source = time_source
        directory = StoreDirectory(StoreRepository(database.read))
        self.stores = StoreService(StoreRepository(database.read), directory, time_source)
        self.appender = Appender(
            database.log,
            stores=directory,
            policies=policies,
            time_source=time_source,
            reparse=lambda item, now: self._parse(orjson.loads(item.body), now),
            instruments=Instruments(),
        )
        self.clocks = ClockService(database.read, self.appender, time_source)
        self.metrics = MetricsService(database.read, policies=policies)
        self.nightly = NightlyService(database.read, metrics=self.metrics, time_source=time_source)
        timelines = TimelineRepository(database.read)
        self.names = NameService(
            NameRepository(database.read),
            PersonalFields(PersonalRepository(database.read), timelines),
            timelines,
            appender=self.appender,
            door=Door(Limits(), secret=SECRET, knows_store=lambda _: True, value_maps={}),
            stores=directory,
        )
        self.kpis = KpiService(database.read, policies=policies, names=self.names)

    async def add_store(self, store_id: str = "S1", zone: str = "Asia/Shanghai") -> None:
        """Make a store, or correct its zone."""
        await self.stores.put(
            store_id=store_id, name=store_id, zone=ZoneInfo(zone), currency="CNY", locale="zh-CN"
        )

    async def send(self, *events: Mapping[str, Any]) -> list[Outcome | Rejected]:
        """Let events of one store arrive in one request."""
        now = await self.time_source.now()
        parsed = [self._parse(event, now) for event in events]
        facts = [event for event in parsed if isinstance(event, NewEvent)]
        raw = [
            event
            for event, result in zip(events, parsed, strict=True)
            if isinstance(result, NewEvent)
        ]
        outcomes: list[Outcome] = []
        if facts:
            unit = Facts(
                facts[0].store_id,
                facts,
                item_of=lambda position: Item(
                    orjson.dumps(raw[position]), "application/cloudevents+json", {}
                ),
            )
            await self.appender.submit(unit)
            outcomes = list(unit.outcomes)
        left = iter(outcomes)
        return [result if isinstance(result, Rejected) else next(left) for result in parsed]

    async def move_to(self, moment: datetime) -> None:
        """Move the time, and stop where a clock falls due."""
        swept_at: datetime | None = None
        while True:
            due = await self.clocks.next_due_at(moment)
            if due is None or due > moment or (swept_at is not None and due <= swept_at):
                break
            swept_at = due
            self.time_source.set(max(due, await self.time_source.now()))
            await self.clocks.sweep()
        self.time_source.set(max(moment, await self.time_source.now()))

    async def play(self, history: History) -> AsyncIterator[datetime]:
        """Let a history happen; yields the time after each request, and in the end."""
        for recorded_at, unit in history.units():
            await self.move_to(recorded_at)
            await self.send(*unit)
            yield recorded_at
        await self.move_to(history.now)
        yield history.now

    async def play_all(self, *histories: History) -> None:
        """Let histories happen, one after the other."""
        for history in histories:
            async for _ in self.play(history):
                pass

    @staticmethod
    def _parse(event: object, now: datetime) -> NewEvent | Rejected:
        return parse_event(
            event, limits=Limits(), now=now, secret=SECRET, known_store=lambda _: True
        )


@asynccontextmanager
async def open_desk(
    database: Database,
    now: datetime = datetime(2026, 7, 1, 2, 0, tzinfo=UTC),
    *,
    policies: Policies = DEFAULT_POLICIES,
) -> AsyncIterator[Desk]:
    """A service process on a database, its time standing at `now`."""
    desk = Desk(database, MovableTimeSource(now), policies)
    try:
        yield desk
    finally:
        await desk.appender.close()


def at(text: str, zone: str = "Asia/Shanghai") -> datetime:
    """A local time of a zone, such as ``2026-07-01 10:30``."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def visit(
    ro_number: str,
    opened_at: datetime,
    *,
    hours: float = 4,
    late_hours: float = -1,
    advisor: str = "A1",
    technician: str = "T1",
    team: str | None = "RED",
    labor: str = "100",
    store: str = "S1",
    source: str = "/dms/test",
) -> list[dict[str, Any]]:
    """The events of an ordinary visit: opened, dispatched, settled."""

    def event(name: str, moment: datetime, data: Mapping[str, Any]) -> dict[str, Any]:
        return cloud_event(
            f"repair_order.{name}",
            ro_number,
            moment,
            data,
            event_id=f"{ro_number}-{name}",
            store=store,
            source=source,
        )

    promised_at = opened_at + timedelta(hours=hours)
    return [
        event(
            "opened",
            opened_at,
            {
                "customer_no": f"C-{ro_number}",
                "work_type": "ordinary_repair",
                "advisor": advisor,
                "promised_at": promised_at.isoformat(),
            },
        ),
        event(
            "dispatched",
            opened_at + timedelta(minutes=10),
            {"technician": technician, "team": team},
        ),
        event("settled", promised_at + timedelta(hours=late_hours), {"amounts": {"labor": labor}}),
    ]


def retraction(event: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    """The event that takes another one back."""
    return cloud_event(
        "event.retracted",
        event["subject"],
        moment,
        {"source": event["source"], "id": event["id"], "reason": "typing error"},
        event_id=f"not-{event['id']}",
        store=event["store"],
        source=event["source"],
    )
