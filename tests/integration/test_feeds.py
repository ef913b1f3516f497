"""Feeds: what came from whom is counted with it, and a silence is said once, and ends."""

import asyncio
from datetime import timedelta
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from app.db.engine import Connection, Pool
from app.domain.access import LOCAL
from app.domain.errors import NotFoundError
from app.domain.events.envelope import DESK_SOURCE
from app.domain.feed_watch import FeedRule, FeedView, Look, look
from app.domain.pages import PageRequest
from app.factory import Factory
from app.services.desk import Caller
from app.services.feed_watch import BREAK_AFTER
from app.services.feeds import FeedReport
from app.services.time_source import MovableTimeSource
from tests.support.facts import CRM, DMS, complaint, delivered, event, opened, retraction
from tests.support.feeds import another_process, live, local, send, told
from tests.support.logs import check_store
from tests.support.posting import add_store, outcomes, post
from tests.support.webhooks import MachineClock

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DEATH = local("2026-07-06T09:50")
"""A Monday morning."""


async def reports(factory: Factory, store_id: str = "S1") -> list[FeedReport]:
    return (await factory.feeds.list_page(store_id, PageRequest(), lag_days=7)).items


async def report(factory: Factory, source: str = DMS, store_id: str = "S1") -> FeedReport:
    (found,) = [found for found in await reports(factory, store_id) if found.feed.source == source]
    return found


async def rows(pool: Pool) -> list[dict[str, Any]]:
    found = await pool.fetch("SELECT * FROM feed_hour ORDER BY store_id, source, hour")
    return [dict(row) for row in found]


# What is counted


async def test_what_comes_is_counted_by_what_becomes_of_it(
    factory: Factory, time_source: MovableTimeSource
) -> None:
    time_source.set(local("2026-06-02T10:20"))
    first = opened("R1", at="2026-06-02T10:00:00+08:00")
    await post(factory, first, opened("R2", at="2026-05-30T10:00:00+08:00"))
    time_source.set(local("2026-06-02T11:05"))
    conflict = first | {"data": first["data"] | {"advisor": "A9"}}
    await post(factory, first, conflict, opened("R3", advisor=None), first | {"store": "S9"})

    found = await report(factory)
    today = found.sums.today
    assert (today.events, today.duplicates, today.quarantined) == (2, 1, 2)
    assert found.sums.total == found.sums.week == today
    assert found.feed.first_seen_at == local("2026-06-02T10:20")
    assert found.feed.last_seen_at == local("2026-06-02T11:05")
    assert found.sums.last_occurred_at == local("2026-06-02T10:00")
    assert (found.lag.events, found.lag.late, str(found.lag.late_share)) == (2, 1, "0.500000")
    assert found.lag.most == 3 * 86_400 + 20 * 60
    assert found.lag.median is not None
    assert 900 < found.lag.median <= 3600, "within the class in which 20 minutes lie"


async def test_the_desk_is_a_source_and_the_service_itself_is_none(factory: Factory) -> None:
    await post(factory, opened("R1"), delivered("R1"))
    await factory.complaints.open(
        "S1",
        {"channel": "phone", "text": "等太久"},
        Caller(LOCAL),
        lambda _: b"{}",
    )
    assert [feed.feed.source for feed in await reports(factory)] == [DMS, DESK_SOURCE]
    first = await factory.feeds.list_page("S1", PageRequest(limit=1), lag_days=7)
    assert first.next_after == (DMS,)
    rest = await factory.feeds.list_page("S1", PageRequest(after=first.next_after), lag_days=7)
    assert [feed.feed.source for feed in rest.items] == [DESK_SOURCE]


async def test_a_replay_is_no_sign_of_life(
    factory: Factory, time_source: MovableTimeSource
) -> None:
    await post(factory, retraction(opened("R1", event_id="r1")))
    seen = (await report(factory)).feed.last_seen_at
    time_source.advance(5 * HOUR)
    await post(factory, opened("R1", event_id="r1", source=CRM) | {"source": CRM})
    assert (await report(factory)).feed.last_seen_at == seen
    # what it waited for comes, and it enters the log by itself
    await post(factory, opened("R1", event_id="r1"))
    found = await report(factory)
    assert found.sums.total.events == 2
    assert found.sums.total.quarantined == 1


async def test_what_was_counted_can_be_made_again_from_the_log(
    factory: Factory, time_source: MovableTimeSource, pool: Pool, connection: Connection
) -> None:
    for number in range(6):
        time_source.advance(timedelta(minutes=47))
        at = (await time_source.now() - number * timedelta(hours=7)).isoformat()
        await post(
            factory,
            opened(f"R{number}", at=at),
            delivered(f"R{number}", at=at),
            opened("B", advisor=7, at=at),
            event("staff.registered", f"T{number}", at, source=CRM),
        )
    before = await rows(pool)
    sources = await pool.fetch("SELECT source, last_seen_at FROM feed_source ORDER BY source")
    await connection.execute("SELECT rebuild_feeds('S1')")
    assert await rows(pool) == before
    assert sources == await pool.fetch(
        "SELECT source, last_seen_at FROM feed_source ORDER BY source"
    )


# Silence


async def test_a_feed_that_dies_is_missed_once_by_all_processes_and_heard_of_again(
    factory: Factory, database_url: str, time_source: MovableTimeSource, pool: Pool
) -> None:
    await live(factory, time_source, until=DEATH, weeks=4)
    assert await told(pool) == []
    due = local("2026-07-06T12:00")
    assert await factory.feed_watch.next_due_at(DEATH) is not None
    async with another_process(database_url, time_source) as other:
        time_source.set(due - MINUTE)
        await factory.feed_watch.watch()
        assert await told(pool) == []
        time_source.set(due + MINUTE)
        said = await asyncio.gather(
            *(each.feed_watch.watch() for each in (factory, other) for _ in range(3))
        )
        assert sum(said) == 1
        (alarm,) = await told(pool)
        assert (alarm["type"], alarm["subject"]) == ("feed.silent", DMS)
        assert alarm["occurred_at"] == due
        assert alarm["data"] == {
            "source": DMS,
            "last_seen_at": "2026-07-06T01:50:00Z",
            "since": "2026-07-06T04:00:00Z",
            "expected": "2026-07-06T03:00:00Z",
        }
        # however long it lasts there is one alarm
        time_source.advance(timedelta(days=9))
        assert await factory.feed_watch.watch() == 0
        assert (await report(factory)).feed.state is not None

        back = await time_source.now()
        await send(factory, back)
        time_source.advance(MINUTE)
        await send(factory, back + MINUTE)
        assert sorted(
            await asyncio.gather(*(each.feed_watch.watch() for each in (factory, other)))
        ) == [0, 1]
        (_, resumed) = await told(pool)
        assert resumed["type"] == "feed.resumed"
        assert resumed["occurred_at"] == back
        assert resumed["data"]["reason"] == "seen"
        assert resumed["data"]["silent_from"] == alarm["data"]["last_seen_at"]
    found = await report(factory)
    assert found.feed.state is not None
    assert found.feed.state.silent_from is None
    assert [(silence.start, silence.end) for silence in found.silences] == [(DEATH, back)]
    assert found.silent_at is not None, "it is watched as before"
    await check_store(pool)


async def test_a_duplicate_is_a_sign_of_life(
    factory: Factory, time_source: MovableTimeSource, pool: Pool
) -> None:
    await live(factory, time_source, until=DEATH, weeks=4)
    sent = opened("R1", at=DEATH.isoformat())
    await post(factory, sent)
    for _ in range(6):
        time_source.advance(HOUR)
        assert (await outcomes(factory, sent))[0].startswith("=")
        await factory.feed_watch.watch()
    assert await told(pool) == []
    # and what only comes into quarantine is a matter of the quarantine
    time_source.advance(HOUR)
    await post(factory, opened("B", advisor=7, at=DEATH.isoformat()))
    time_source.set(local("2026-07-06T17:59"))
    await factory.feed_watch.watch()
    assert await told(pool) == []


async def test_nights_and_sundays_raise_nothing(
    factory: Factory, time_source: MovableTimeSource, pool: Pool
) -> None:
    saturday = local("2026-07-04T17:50")
    await live(factory, time_source, until=saturday, weeks=4)
    while await time_source.now() < local("2026-07-06T09:00"):
        time_source.advance(timedelta(minutes=30))
        await factory.feed_watch.watch()
    assert await told(pool) == []


async def test_a_fixed_rule_counts_at_once_and_needs_no_history(
    factory: Factory, time_source: MovableTimeSource, pool: Pool
) -> None:
    time_source.set(DEATH)
    await factory.feed_watch.watch()
    await send(factory, DEATH)
    time_source.advance(timedelta(minutes=45))
    rule = FeedRule(silent_after=timedelta(minutes=30))
    found = await factory.feeds.set_rule("S1", DMS, rule, lag_days=7)
    assert found.feed.state is not None
    assert found.feed.state.silent_from == DEATH
    (alarm,) = await told(pool)
    assert alarm["occurred_at"] == DEATH + timedelta(minutes=30)
    assert alarm["data"]["silent_after_minutes"] == 30
    # by a longer one it is not silent, muted it is not told of
    await factory.feeds.set_rule(
        "S1", DMS, FeedRule(silent_after=timedelta(minutes=60)), lag_days=7
    )
    time_source.advance(HOUR)
    await factory.feed_watch.watch()
    await factory.feeds.set_rule("S1", DMS, FeedRule(muted=True), lag_days=7)
    assert [(word["type"], word["data"].get("reason")) for word in await told(pool)] == [
        ("feed.silent", None),
        ("feed.resumed", "rule"),
        ("feed.silent", None),
        ("feed.resumed", "muted"),
    ]
    time_source.advance(timedelta(days=30))
    assert await factory.feed_watch.watch() == 0
    await check_store(pool)


async def test_a_rule_is_for_a_feed_that_is_known(factory: Factory) -> None:
    with pytest.raises(NotFoundError, match="Nothing ever came from /dms/none"):
        await factory.feeds.set_rule("S1", "/dms/none", FeedRule(muted=True), lag_days=7)


async def test_what_nobody_watched_is_not_held_against_a_feed(
    factory: Factory, time_source: MovableTimeSource, pool: Pool
) -> None:
    machine = MachineClock()
    factory.feed_watch._machine_now = machine
    await live(factory, time_source, until=DEATH, weeks=4)
    # the service is off for two days; when it is back, the feed comes an hour later
    machine.ahead = BREAK_AFTER + MINUTE
    time_source.set(local("2026-07-08T10:00"))
    assert await factory.feed_watch.watch() == 0
    time_source.set(local("2026-07-08T11:59"))
    assert await factory.feed_watch.watch() == 0
    time_source.set(local("2026-07-08T12:00"))
    assert await factory.feed_watch.watch() == 1
    (alarm,) = await told(pool)
    assert alarm["data"]["last_seen_at"] == "2026-07-06T01:50:00Z"


async def test_a_feed_is_one_of_its_store(
    factory: Factory, time_source: MovableTimeSource, pool: Pool
) -> None:
    await add_store(factory, "S2")
    await live(factory, time_source, until=DEATH, weeks=4)
    time_source.set(local("2026-07-06T13:00"))
    await send(factory, local("2026-07-06T13:00"), store="S2")
    await factory.feed_watch.watch()
    assert [alarm["subject"] for alarm in await told(pool)] == [DMS]
    assert [feed.feed.source for feed in await reports(factory, "S2")] == [DMS]
    assert (await report(factory, store_id="S2")).rhythm is None


async def test_a_store_that_can_not_be_watched_stands_in_nobody_s_way(
    factory: Factory,
    time_source: MovableTimeSource,
    pool: Pool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await add_store(factory, "S2")
    await factory.feed_watch.watch()
    for store_id, source in (("S1", "/bad"), ("S2", DMS)):
        await send(factory, await time_source.now(), source, store_id)
        rule = FeedRule(silent_after=HOUR)
        await factory.feeds.set_rule(store_id, source, rule, lag_days=7)

    def stumble(view: FeedView, **more: Any) -> Look:
        if view.source == "/bad":
            raise RuntimeError("it can't be told")
        return look(view, **more)

    monkeypatch.setattr("app.services.watching.look", stumble)
    time_source.advance(2 * HOUR)
    with capture_logs() as logs:
        assert await factory.feed_watch.watch() == 1
    assert [line["store_id"] for line in logs if line["log_level"] == "error"] == ["S1"]
    assert [alarm["subject"] for alarm in await told(pool)] == [DMS]
    monkeypatch.undo()
    assert await factory.feed_watch.watch() == 1, "it is made good by the next"


# The backlog in quarantine


async def test_a_burst_in_quarantine_is_told_once_and_settles_when_it_is_dealt_with(
    factory: Factory, database_url: str, time_source: MovableTimeSource, pool: Pool
) -> None:
    await post(factory, *(opened(f"R{number}") for number in range(200)))
    await post(factory, *(opened(f"B{number}", advisor=7) for number in range(19)))
    assert await factory.feed_watch.watch() == 0
    await post(factory, event("no.such", "X"), opened("B19", advisor=7))
    async with another_process(database_url, time_source) as other:
        said = await asyncio.gather(factory.feed_watch.watch(), other.feed_watch.watch())
    assert sorted(said) == [0, 1]
    (alarm,) = await told(pool, "quarantine.")
    assert alarm["type"] == "quarantine.growing"
    assert alarm["subject"] == "S1"
    assert alarm["data"] == {
        "sign": "burst",
        "waiting": 21,
        "new": 21,
        "oldest_received_at": "2026-06-02T02:00:00Z",
        "by_reason": [
            {"reason": "invalid-data", "count": 20},
            {"reason": "unknown-type", "count": 1},
        ],
        "by_source": [{"source": DMS, "count": 21}],
    }
    time_source.advance(3 * HOUR)
    assert await factory.feed_watch.watch() == 0, "it is calm, but nothing was dealt with"
    ids = [row["quarantine_id"] for row in await pool.fetch("SELECT * FROM quarantine")]
    for quarantine_id in ids[:12]:
        await factory.quarantine.discard(quarantine_id, reason="test", principal=LOCAL)
    assert await factory.feed_watch.watch() == 1
    (_, settled) = await told(pool, "quarantine.")
    assert settled["type"] == "quarantine.settled"
    assert settled["data"] == {"waiting": 9, "growing_since": "2026-06-02T02:00:00Z"}
    # the nine that are left grow old
    due = await factory.feed_watch.next_due_at(await time_source.now())
    assert due is not None
    time_source.set(due)
    assert await factory.feed_watch.watch() == 1
    assert (await told(pool, "quarantine."))[-1]["data"]["sign"] == "age"
    await check_store(pool)


async def test_twenty_of_many_are_no_burst(factory: Factory) -> None:
    for _ in range(2):
        await post(factory, *(opened(f"R{number}") for number in range(1000)))
    await post(factory, *(opened(f"B{number}", advisor=7) for number in range(20)))
    assert await factory.feed_watch.watch() == 0
    await post(factory, *(opened(f"C{number}", advisor=7) for number in range(5)))
    assert await factory.feed_watch.watch() == 1


async def test_what_waits_for_no_store_is_told_to_the_operator(
    factory: Factory, pool: Pool
) -> None:
    await post(
        factory,
        *(complaint(event_id=f"lost-{number}") | {"store": "S9"} for number in range(20)),
    )
    with capture_logs() as logs:
        await factory.feed_watch.watch()
        await factory.feed_watch.watch()
    warned = [line for line in logs if line["event"] == "events of no store wait in quarantine"]
    assert [line["waiting"] for line in warned] == [20]
    assert await told(pool, "quarantine.") == []


async def test_a_watch_and_what_comes_meanwhile_take_feeds_in_one_order(pool: Pool) -> None:
    def rows_of(*sources: str) -> list[dict[str, Any]]:
        at = local("2026-06-02T10:20")
        seen = {"first_seen_at": at, "last_seen_at": at, "look_at": at, "silent": False}
        return [{"store_id": "S1", "source": source, **seen} for source in sources]

    async def write(connection: Connection, **document: Any) -> None:
        await connection.execute(
            "SELECT append_group($1)", orjson.dumps({"heads": [], **document}).decode()
        )

    async with pool.acquire() as first, pool.acquire() as second:
        await write(first, feed_source=rows_of("/a", "/b"))
        async with first.transaction():
            await write(first, feed_source=rows_of("/a"))
            watching = asyncio.create_task(
                write(second, feed_source=rows_of("/b"), feed_look=rows_of("/a"))
            )
            await asyncio.wait({watching}, timeout=0.5)
            await write(first, feed_source=rows_of("/b"))
        await watching
