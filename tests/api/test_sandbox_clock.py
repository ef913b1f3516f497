"""The sandbox clock: the service's time is moved, and stops where something falls due."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.db.engine import Pool
from app.domain.ids import follow_up_id
from app.domain.reactions import overdue_events
from app.factory import Factory, open_factory
from app.main import create_app
from app.settings import Settings
from tests.support.facts import complaint, delivered, opened
from tests.support.logs import check_store
from tests.support.posting import add_store, post

CLOCK = "/v1/sandbox/clock"
ZONE = ZoneInfo("Asia/Shanghai")
DAY = timedelta(days=1)
CLOSE = timedelta(seconds=20)


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=SecretStr(database_url), key_cache_seconds=0, sandbox=True)


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """On the machine's time and the offset, as it is served."""
    made = create_app(settings, ticking=False)
    async with made.router.lifespan_context(made):
        yield made


async def time_of(client: httpx.AsyncClient) -> datetime:
    response = await client.get(CLOCK)
    assert response.status_code == 200, response.text
    return datetime.fromisoformat(response.json()["now"])


async def move(client: httpx.AsyncClient, to: datetime) -> dict[str, Any]:
    response = await client.put(CLOCK, json={"now": to.isoformat()})
    assert response.status_code == 200, response.text
    moved: dict[str, Any] = response.json()
    return moved


def midnight(moment: datetime, days: int) -> datetime:
    day = moment.astimezone(ZONE).date() + days * DAY
    return datetime(day.year, day.month, day.day, tzinfo=ZONE)


async def test_it_stops_at_each_moment_at_which_something_falls_due(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    await add_store(factory)
    start = await time_of(client)
    an_hour_ago = (start - timedelta(hours=1)).isoformat()
    said = complaint(at=an_hour_ago)
    await post(factory, opened("R1", an_hour_ago), delivered("R1", an_hour_ago), said)
    to = start + 40 * DAY
    moved = await move(client, to)
    stops = [datetime.fromisoformat(stop) for stop in moved["stops"]]
    assert all(earlier < later for earlier, later in pairwise(stops))
    assert stops[0] >= start
    assert stops[-1] <= to
    first_due = midnight(start - timedelta(hours=1), 8)
    second_due = midnight(start - timedelta(hours=1), 7 + 15)
    assert {first_due, second_due, start + 23 * timedelta(hours=1)} <= {
        *stops,
        *(stop - timedelta(microseconds=1) for stop in stops),
    }
    now = datetime.fromisoformat(moved["now"])
    assert to <= now < to + CLOSE
    assert now <= await time_of(client) < to + 2 * CLOSE
    rows = await pool.fetch(
        "SELECT type, subject, recorded_at FROM event WHERE type ~ 'overdue$' ORDER BY seq"
    )
    noticed = [(row["type"], row["subject"], row["recorded_at"]) for row in rows]
    expected = [
        ("complaint.contact_overdue", said["subject"], start + timedelta(hours=23)),
        ("follow_up.overdue", follow_up_id("S1", "R1", "first"), first_due),
        ("follow_up.overdue", follow_up_id("S1", "R1", "second"), second_due),
    ]
    for found, (event_type, subject, due) in zip(noticed, expected, strict=True):
        assert found[:2] == (event_type, subject)
        assert due <= found[2] < due + CLOSE, "recorded when it would have been"
    lags = [row["lag_seconds"] for row in await pool.fetch("SELECT lag_seconds FROM clock")]
    assert len(lags) == 3
    assert all(0 < lag < CLOSE.total_seconds() for lag in lags)
    # to the second: stops of other kinds follow the time of day at which the test began
    nights = [stop for stop in stops if f"{stop.astimezone(ZONE):%T}" == "02:00:00"]
    assert 39 <= len(nights) <= 41, "and the nights are run"
    await check_store(pool)


async def test_time_only_moves_forward(client: httpx.AsyncClient) -> None:
    start = await time_of(client)
    await move(client, start + DAY)
    for body in (
        {"now": (start + DAY - timedelta(seconds=1)).isoformat()},
        {"now": "2000-01-01T00:00:00Z"},
        {"now": (start + 2 * DAY).replace(tzinfo=None).isoformat()},
        {"now": "soon"},
        {},
        {"now": (start + 2 * DAY).isoformat(), "more": 1},
    ):
        response = await client.put(CLOCK, json=body)
        assert response.status_code == 422, (body, response.text)
        if set(body) == {"now"}:
            assert response.json()["errors"][0]["pointer"] == "/now"
    assert await time_of(client) < start + DAY + CLOSE
    # none of them holds the clock
    await move(client, start + 2 * DAY)


async def test_a_second_mover_gets_409(
    client: httpx.AsyncClient, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = await time_of(client)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        await go_on.wait()

    monkeypatch.setattr(factory.clocks, "do_due", wait)
    moving = asyncio.create_task(move(client, start + DAY))
    await asyncio.wait_for(reached.wait(), timeout=10)
    response = await client.put(CLOCK, json={"now": (start + 2 * DAY).isoformat()})
    assert response.status_code == 409
    assert response.json()["type"].endswith(":conflict")
    go_on.set()
    await moving
    await move(client, start + 2 * DAY)


async def test_a_move_that_fails_lets_go_of_the_clock(
    client: httpx.AsyncClient, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = await time_of(client)

    async def fail() -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(factory.clocks, "do_due", fail)
    with capture_logs() as logged:
        response = await client.put(CLOCK, json={"now": (start + DAY).isoformat()})
    assert response.status_code == 500
    assert [entry["event"] for entry in logged if entry["log_level"] == "error"]
    monkeypatch.undo()
    await move(client, start + 2 * DAY)


async def test_a_mover_that_died_holds_the_clock_for_a_quarter_of_an_hour(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    start = await time_of(client)
    await move(client, start + DAY)
    for minutes, status in ((14, 409), (16, 200)):
        await pool.execute(
            "UPDATE sandbox_clock SET mover = 'dead', moving_since = $1",
            datetime.now(UTC) - timedelta(minutes=minutes),
        )
        response = await client.put(CLOCK, json={"now": (start + 2 * DAY).isoformat()})
        assert response.status_code == status, response.text


async def test_a_clock_that_fails_does_not_hold_the_time(
    client: httpx.AsyncClient, factory: Factory, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_store(factory)
    start = await time_of(client)
    left = start.isoformat()  # today, whatever the hour is
    await post(factory, delivered("R1", left), delivered("R2", left))
    bad = follow_up_id("S1", "R1", "first")

    def fail(state: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(state, "follow_up_id", None) == bad:
            raise ValueError("a defect")
        return overdue_events(state, *args, **kwargs)

    monkeypatch.setattr("app.services.append_session.overdue_events", fail)
    with capture_logs() as logged:
        moved = await move(client, midnight(start, 8) + timedelta(minutes=12))
    assert "a clock failed to evaluate" in [entry["event"] for entry in logged]
    assert len(moved["stops"]) < 20
    overdue = await pool.fetch("SELECT subject FROM event WHERE type = 'follow_up.overdue'")
    assert [row["subject"] for row in overdue] == [follow_up_id("S1", "R2", "first")]
    assert await pool.fetchval("SELECT failures FROM clock WHERE key = $1", bad) >= 2


async def test_every_process_sees_the_time(
    client: httpx.AsyncClient, settings: Settings, factory: Factory
) -> None:
    start = await time_of(client)
    async with open_factory(settings) as other:
        assert abs(await other.time_source.now() - start) < CLOSE
        await move(client, start + 100 * DAY)
        assert timedelta() <= await other.time_source.now() - (start + 100 * DAY) < CLOSE
        moved = await other.sandbox.move(start + 101 * DAY)
        assert moved.now >= start + 101 * DAY
    assert await time_of(client) >= start + 101 * DAY
    async with open_factory(settings) as later:
        assert await later.time_source.now() >= start + 101 * DAY, "also after a restart"


async def test_what_is_posted_is_recorded_at_the_services_time(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    await add_store(factory)
    start = await time_of(client)
    at = (start + 10 * DAY).isoformat()
    answer = await post(factory, opened("R1", at))
    assert answer["results"][0]["reason"] == "time-in-future"
    await move(client, start + 10 * DAY)
    answer = await post(factory, opened("R1", at))
    assert answer["accepted"] == 1
    recorded_at = await pool.fetchval(
        "SELECT recorded_at FROM event WHERE type = 'repair_order.opened'"
    )
    assert start + 10 * DAY <= recorded_at < start + 10 * DAY + CLOSE


async def test_health_shows_that_it_is_a_sandbox(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json()["sandbox"] is True


async def test_it_stops_where_a_feed_is_missed_and_where_a_backlog_is_old(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    """Every night something comes, for a month; then nothing: two nights later it is missed."""
    await add_store(factory)
    start = midnight(await time_of(client), 1)
    at = start.isoformat()
    night = timedelta(hours=2, minutes=10)
    for number in range(29):
        await move(client, start + number * DAY + night)
        at = (start + number * DAY).isoformat()
        await post(factory, opened(f"R{number}", at))
    await post(factory, opened("R-odd", at, advisor=7))
    last = start + 28 * DAY + night
    moved = await move(client, last + 5 * DAY)
    rows = await pool.fetch(
        "SELECT type, occurred_at, recorded_at FROM event"
        " WHERE type IN ('feed.silent', 'quarantine.growing') ORDER BY seq"
    )
    missed_at = start + 30 * DAY + timedelta(hours=3)
    old_at = last + DAY
    assert [row["type"] for row in rows] == ["quarantine.growing", "feed.silent"]
    assert [missed_at <= row["recorded_at"] < missed_at + CLOSE for row in rows] == [False, True]
    assert rows[1]["occurred_at"] == missed_at
    assert old_at < rows[0]["recorded_at"] < old_at + 2 * CLOSE
    stops = [datetime.fromisoformat(stop) for stop in moved["stops"]]
    assert missed_at in stops
    back = await time_of(client)
    await post(factory, opened("R-late", back.isoformat()))
    await move(client, back + timedelta(minutes=1))
    (resumed,) = await pool.fetch("SELECT * FROM event WHERE type = 'feed.resumed'")
    assert back <= resumed["occurred_at"] < back + CLOSE
    await check_store(pool)
