"""The demo's numbers are the oracle's: a made-up shop's weeks through the real service."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, islice
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from pydantic import SecretStr

from app.demo.calendar import Calendar
from app.demo.life import arrivals
from app.demo.posting import Arrival
from app.domain.kpis.registry import KPIS as SERVED
from app.factory import Factory
from app.main import create_app
from app.services.time_source import MovableTimeSource
from app.settings import Settings
from tests.support.oracle import KPIS, Oracle, comparable

ZONE = "Asia/Shanghai"
STORE = "SH01"
START = datetime(2026, 3, 14, 2, 0, tzinfo=UTC)
STOP = START + timedelta(days=38)
FIRST, AFTER = date(2026, 3, 1), date(2026, 6, 1)
ORDERS_PER_DAY = 14
BATCH = "application/cloudevents-batch+json"
TAKEN = {"accepted", "duplicate"}


class Shop:
    """The service, its time, and what it was told so far."""

    def __init__(
        self, client: httpx.AsyncClient, factory: Factory, time_source: MovableTimeSource
    ) -> None:
        self.client = client
        self.factory = factory
        self.time_source = time_source
        self.told: list[tuple[dict[str, Any], datetime]] = []
        self.refused: set[int] = set()

    async def post(self, batch: list[Arrival]) -> None:
        now = await self.time_source.now()
        answer = await self.client.post(
            "/v1/events",
            json=[arrival.event for arrival in batch],
            headers={"content-type": BATCH},
        )
        assert answer.status_code == 202, answer.text
        for arrival, result in zip(batch, answer.json()["results"], strict=True):
            outcome = result.get("reason", result["outcome"])
            assert outcome == arrival.outcome, (arrival, result)
            if outcome not in TAKEN:
                self.refused.add(len(self.told))
            self.told.append((arrival.event, now))

    async def move_to(self, moment: datetime) -> None:
        """Let the time pass, and what falls due on the way fall due."""
        while True:
            due = await self.factory.clocks.next_due_at(moment)
            if due is None or due > moment:
                break
            self.time_source.set(max(due, await self.time_source.now()))
            await self.factory.clocks.do_due()
        self.time_source.set(moment)

    async def run_night(self) -> None:
        answer = await self.client.post("/v1/jobs/nightly/runs", json={"store_id": STORE})
        assert answer.json()["items"][0]["state"] == "done", answer.text

    async def values(self, code: str, period: str, by: str) -> list[dict[str, Any]]:
        query = {"from": str(FIRST), "to": str(AFTER), "period": period, "by": by}
        answer = await self.client.get(f"/v1/stores/{STORE}/kpis/{code}", params=query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["values"]
        return found

    async def assert_numbers_are_those_of_the_oracle(self) -> None:
        """Compare every KPI, by every member, for every day and month, to the last digit."""
        oracle = Oracle(
            self.told, ZONE, await self.time_source.now(), store_id=STORE, skip=self.refused
        )
        differences = []
        compared = 0
        for code, (_, grains) in KPIS.items():
            assert tuple(SERVED[code].grains) == ("store", *grains)
            for by in ("store", *grains):
                for period in ("day", "month"):
                    theirs = oracle.kpi(code, period, FIRST, AFTER, by)
                    ours = await self.values(code, period, by)
                    expected = comparable([value.on_the_wire() for value in theirs])
                    got = comparable(ours)
                    compared += len(expected)
                    differences += [
                        f"{code} by {by} {key}: {got.get(key)}, not {expected.get(key)}"
                        for key in expected.keys() | got.keys()
                        if expected.get(key) != got.get(key)
                    ]
                    if by == "store":
                        left_out = _left_out(row["not_counted"] for row in ours)
                        expected_out = _left_out(value.not_counted for value in theirs)
                        if left_out != expected_out:
                            differences.append(
                                f"{code} per {period} leaves out {left_out}, "
                                f"the oracle {expected_out}"
                            )
        assert set(KPIS) == set(SERVED)
        assert not differences, "\n".join(differences[:20])
        assert compared > 3000


def _left_out(rows: Iterable[Mapping[str, int]]) -> list[int]:
    """Count what was left out in each period; why is not the same code, except where it binds."""
    return [sum(count for reason, count in row.items() if reason != "not-due") for row in rows]


def batches(arriving: Iterable[Arrival]) -> Iterator[list[Arrival]]:
    """Cut what arrives into requests."""
    left = iter(arriving)
    while batch := list(islice(left, 700)):
        yield batch


def life() -> Iterator[Arrival]:
    return arrivals([STORE], START, STOP, 5, zone=ZONE, orders_per_day=ORDERS_PER_DAY)


@asynccontextmanager
async def open_shop(database_url: str, now: datetime) -> AsyncIterator[Shop]:
    time_source = MovableTimeSource(now)
    app = create_app(
        Settings(database_url=SecretStr(database_url)), time_source=time_source, ticking=False
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1"
        ) as client,
    ):
        factory: Factory = app.state.factory
        await factory.stores.put(
            store_id=STORE, name="Demo", zone=ZoneInfo(ZONE), currency="CNY", locale="zh-CN"
        )
        yield Shop(client, factory, time_source)


@pytest.mark.timeout(600)
async def test_a_history_that_is_filled_in_afterwards(database_url: str) -> None:
    async with open_shop(database_url, STOP) as shop:
        for batch in batches(life()):
            shop.time_source.advance(timedelta(seconds=1))
            await shop.post(batch)
        await shop.run_night()
        await shop.assert_numbers_are_those_of_the_oracle()
        _, month, _ = await shop.values("follow_up_rate", "month", "store")
        assert month["not_counted"]["missed-on-arrival"] > 10


@pytest.mark.timeout(600)
async def test_a_shop_that_joins_with_a_history_and_lives_on(database_url: str) -> None:
    calendar = Calendar(START, START + timedelta(days=12), STOP, FIRST)
    async with open_shop(database_url, calendar.joins) as shop:
        for is_history, part in groupby(life(), key=calendar.is_history):
            if is_history:
                for batch in batches(part):
                    shop.time_source.advance(timedelta(seconds=1))
                    await shop.post(batch)
                continue
            for number, (moment, batch) in enumerate(calendar.as_told(part)):
                await shop.move_to(moment)
                await shop.post(batch)
                if number % 4 == 0:
                    await shop.run_night()
        await shop.move_to(STOP + timedelta(days=9))
        await shop.run_night()
        await shop.assert_numbers_are_those_of_the_oracle()
        _, month, _ = await shop.values("follow_up_rate", "month", "store")
        assert 0.6 < float(month["value"]) < 0.95
