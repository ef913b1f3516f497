"""Webhooks on the real database: fan-out, claims, retries, and receivers that verify."""

import asyncio
import itertools
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.db.engine import Database
from app.db.webhooks import Behind, WebhookRepository
from app.domain.webhooks import (
    DELAYS,
    Attempt,
    Delivery,
    DeliveryState,
    EndpointState,
    Verdict,
)
from app.services import webhook_delivery
from app.services.http_out import HttpOut
from app.services.webhook_delivery import LONGEST_PAUSE, WebhookDispatcher
from tests.support.webhooks import (
    NOT_AN_ALERT,
    SECRET,
    Log,
    MachineClock,
    endpoint,
    public,
    receiver,
    scripted,
)

LOOPBACK = (ip_network("127.0.0.0/8"),)
LATE = timedelta(hours=25)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(database: Database) -> WebhookRepository:
    return WebhookRepository(database.read)


@pytest.fixture
async def log(database: Database) -> Log:
    log = Log(database.read)
    await log.add_store()
    return log


@pytest.fixture
def clock() -> MachineClock:
    return MachineClock()


Dispatch = Callable[..., WebhookDispatcher]


@pytest.fixture
async def dispatch(
    database: Database, repository: WebhookRepository, clock: MachineClock
) -> AsyncIterator[Dispatch]:
    """Make dispatchers, as many processes would have."""
    opened: list[HttpOut] = []

    def make(
        *, below: httpx.AsyncBaseTransport | None = None, timeout_seconds: float = 5
    ) -> WebhookDispatcher:
        out = HttpOut(
            timeout_seconds=timeout_seconds,
            allowed_networks=LOOPBACK,
            resolve=public if below else None,
            below=below,
        )
        opened.append(out)
        return WebhookDispatcher(repository, database.read, out, now=clock, jitter=lambda: 0.0)

    yield make
    for out in opened:
        await out.aclose()


async def deliveries(repository: WebhookRepository, endpoint_id: str) -> list[Delivery]:
    """The endpoint's deliveries, oldest first."""
    found = await repository.list_deliveries(
        endpoint_id, before=None, limit=1000, state=None, store_id=None
    )
    return found[::-1]


async def settle(dispatcher: WebhookDispatcher) -> None:
    """Tick once and wait for what it began."""
    await dispatcher.tick()
    await dispatcher.wait()


async def test_an_alert_arrives_signed_in_its_envelope(
    log: Log, repository: WebhookRepository, dispatch: Dispatch
) -> None:
    async with receiver() as consumer:
        await repository.add_endpoint(endpoint(consumer.url), SECRET, from_beginning=False)
        seq = await log.record("follow_up.overdue", event_id="e-1", data={"due_at": "d"})
        await settle(dispatch())

    [request] = consumer.received
    event = request.verify()
    assert request.headers["content-type"].startswith("application/cloudevents+json")
    assert event["specversion"] == "1.0"
    assert (event["source"], event["id"], event["type"]) == (
        "/servicelane",
        "e-1",
        "follow_up.overdue",
    )
    assert (event["store"], event["seq"]) == ("SH01", str(seq))
    assert event["alertid"] == "e-1"
    assert event["data"] == {"due_at": "d"}
    assert datetime.fromisoformat(event["recordedtime"]) >= datetime.fromisoformat(event["time"])


async def test_the_end_of_an_alert_carries_the_id_of_the_notice_that_raised_it(
    log: Log, repository: WebhookRepository, dispatch: Dispatch
) -> None:
    async with receiver() as consumer:
        await repository.add_endpoint(endpoint(consumer.url), SECRET, from_beginning=False)
        await log.record("follow_up.overdue", event_id="first")
        await log.record("follow_up.resolved", event_id="first-end")
        await log.record("follow_up.overdue", event_id="second")
        await log.record("follow_up.overdue", event_id="another-call", subject="another")
        await log.record("follow_up.resolved", event_id="second-end")
        await log.record("complaint.contact_overdue", event_id="c", subject="c")
        await log.record("complaint.contact_resolved", event_id="c-end", subject="c")
        await log.record("feed.silent", event_id="f", subject="/dms/a")
        await log.record("quarantine.growing", event_id="q", subject="SH01")
        await log.record("quarantine.settled", event_id="q-end", subject="SH01")
        await log.record("feed.resumed", event_id="f-end", subject="/dms/a")
        await settle(dispatch())

    alerts = {request.verify()["id"]: request.verify()["alertid"] for request in consumer.received}
    assert alerts == {
        "first": "first",
        "first-end": "first",
        "second": "second",
        "another-call": "another-call",
        "second-end": "second",
        "c": "c",
        "c-end": "c",
        "f": "f",
        "q": "q",
        "q-end": "q",
        "f-end": "f",
    }
    assert len(set(consumer.ids())) == 11


async def test_without_a_filter_only_alerts_are_sent(
    log: Log, repository: WebhookRepository, dispatch: Dispatch
) -> None:
    transport, requests = scripted(lambda _: httpx.Response(200))
    await repository.add_endpoint(endpoint(), SECRET, from_beginning=False)
    await log.record(NOT_AN_ALERT)
    await log.record("follow_up.completed")
    await log.record("complaint.contact_overdue")
    await settle(dispatch(below=transport))

    assert [httpx.Response(200, content=r.content).json()["type"] for r in requests] == [
        "complaint.contact_overdue"
    ]


async def test_endpoints_hear_of_their_types_and_stores_only(
    log: Log, repository: WebhookRepository, dispatch: Dispatch
) -> None:
    await log.add_store("SH02")
    narrow = endpoint(event_types=(NOT_AN_ALERT,), stores=("SH02",))
    wide = endpoint(event_types=("follow_up.overdue", NOT_AN_ALERT))
    for each in (narrow, wide):
        await repository.add_endpoint(each, SECRET, from_beginning=False)
    for store_id in ("SH01", "SH02"):
        for name in (NOT_AN_ALERT, "follow_up.overdue", "follow_up.resolved"):
            await log.record(name, store_id=store_id)

    assert await dispatch().fan_out() == 5
    assert {(d.store_id, d.type) for d in await deliveries(repository, narrow.endpoint_id)} == {
        ("SH02", NOT_AN_ALERT)
    }
    assert Counter(d.type for d in await deliveries(repository, wide.endpoint_id)) == {
        "follow_up.overdue": 2,
        NOT_AN_ALERT: 2,
    }


async def test_an_endpoint_starts_at_the_head_or_at_the_beginning(
    log: Log, repository: WebhookRepository, dispatch: Dispatch
) -> None:
    await log.record(event_id="before")
    from_now, from_beginning = endpoint(), endpoint()
    await repository.add_endpoint(from_now, SECRET, from_beginning=False)
    await repository.add_endpoint(from_beginning, SECRET, from_beginning=True)
    await log.record(event_id="after")
    await dispatch().fan_out()

    assert [d.seq for d in await deliveries(repository, from_now.endpoint_id)] == [2]
    assert [d.seq for d in await deliveries(repository, from_beginning.endpoint_id)] == [1, 2]


async def test_a_store_that_is_made_later_is_heard_from_its_first_event(
    log: Log, repository: WebhookRepository, dispatch: Dispatch
) -> None:
    everything = endpoint()
    await repository.add_endpoint(everything, SECRET, from_beginning=False)
    await log.add_store("SH09")
    await log.record(store_id="SH09")
    await dispatch().fan_out()

    [delivery] = await deliveries(repository, everything.endpoint_id)
    assert (delivery.store_id, delivery.seq) == ("SH09", 1)


async def test_a_store_that_is_added_to_the_filter_is_heard_from_now_on(
    log: Log, repository: WebhookRepository, dispatch: Dispatch
) -> None:
    await log.add_store("SH02")
    one = endpoint(stores=("SH01",))
    await repository.add_endpoint(one, SECRET, from_beginning=False)
    await log.record(store_id="SH02")
    await repository.update_endpoint(
        one.endpoint_id, lambda e: replace(e, stores=("SH01", "SH02"))
    )
    seq = await log.record(store_id="SH02")
    await dispatch().fan_out()
    assert [d.seq for d in await deliveries(repository, one.endpoint_id)] == [seq]

    # left out and taken in again: what came in between is not made up for
    await repository.update_endpoint(one.endpoint_id, lambda e: replace(e, stores=("SH01",)))
    await log.record(store_id="SH02")
    await dispatch().fan_out()
    await repository.update_endpoint(one.endpoint_id, lambda e: replace(e, stores=None))
    await log.record(store_id="SH01")
    assert await dispatch().fan_out() == 1


async def test_late_events_are_not_sent_unless_asked_for(
    log: Log, repository: WebhookRepository, dispatch: Dispatch
) -> None:
    plain, all_of_it = endpoint(), endpoint(include_late=True)
    for each in (plain, all_of_it):
        await repository.add_endpoint(each, SECRET, from_beginning=False)
    in_time = await log.record(late=timedelta(hours=23))
    late = await log.record(late=LATE)
    await dispatch().fan_out()

    assert [d.seq for d in await deliveries(repository, plain.endpoint_id)] == [in_time]
    assert [d.seq for d in await deliveries(repository, all_of_it.endpoint_id)] == [in_time, late]


async def test_the_end_of_an_alert_that_was_sent_is_sent_however_late(
    log: Log, repository: WebhookRepository, dispatch: Dispatch
) -> None:
    one = endpoint()
    await repository.add_endpoint(one, SECRET, from_beginning=False)
    raised = await log.record(subject="told")
    await log.record(subject="not told", late=LATE)
    await dispatch().fan_out()
    end = await log.record("follow_up.resolved", subject="told", late=LATE)
    await log.record("follow_up.resolved", subject="not told", late=LATE)
    await log.record("follow_up.resolved", subject="never raised", late=LATE)
    both = [
        await log.record("complaint.contact_overdue", subject="in one stretch"),
        await log.record("complaint.contact_resolved", subject="in one stretch", late=LATE),
    ]
    await dispatch().fan_out()

    assert [d.seq for d in await deliveries(repository, one.endpoint_id)] == [raised, end, *both]


async def test_a_long_log_is_fanned_out_stretch_by_stretch(
    log: Log,
    repository: WebhookRepository,
    dispatch: Dispatch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_delivery, "STRETCH", 3)
    first, second = endpoint(), endpoint()
    await repository.add_endpoint(first, SECRET, from_beginning=False)
    names = ["follow_up.overdue", NOT_AN_ALERT, NOT_AN_ALERT, NOT_AN_ALERT, NOT_AN_ALERT] * 4
    for index, name in enumerate(names):
        if index == 7:
            await repository.add_endpoint(second, SECRET, from_beginning=False)
        await log.record(name)

    assert await dispatch().fan_out() == 6
    assert [d.seq for d in await deliveries(repository, first.endpoint_id)] == [1, 6, 11, 16]
    assert [d.seq for d in await deliveries(repository, second.endpoint_id)] == [11, 16]
    assert await dispatch().fan_out() == 0
    assert await repository.list_behind() == []


async def test_racing_fan_outs_make_each_delivery_once(
    log: Log,
    repository: WebhookRepository,
    dispatch: Dispatch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_delivery, "STRETCH", 2)
    endpoints = [endpoint() for _ in range(3)]
    for each in endpoints:
        await repository.add_endpoint(each, SECRET, from_beginning=False)
    workers = [dispatch() for _ in range(4)]
    made = 0
    for _ in range(10):
        await log.record()
        await log.record()
        made += sum(await asyncio.gather(*(worker.fan_out() for worker in workers)))

    assert made == 60
    for each in endpoints:
        seqs = [d.seq for d in await deliveries(repository, each.endpoint_id)]
        assert sorted(seqs) == list(range(1, 21))


async def test_a_store_that_fails_does_not_keep_the_others_back(
    log: Log, repository: WebhookRepository, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.add_store("SH02")
    await repository.add_endpoint(endpoint(), SECRET, from_beginning=False)
    await log.record(store_id="SH01")
    await log.record(store_id="SH02")
    move = WebhookRepository.move_cursors

    async def fails_once(self: WebhookRepository, store_id: str, *args: Any, **how: Any) -> int:
        if store_id == "SH01":
            raise OSError("away")
        return await move(self, store_id, *args, **how)

    with monkeypatch.context() as patched:
        patched.setattr(WebhookRepository, "move_cursors", fails_once)
        assert await dispatch().fan_out() == 1
    assert await dispatch().fan_out() == 1


async def test_a_disabled_endpoint_is_sent_nothing_and_catches_up(
    log: Log, repository: WebhookRepository, dispatch: Dispatch
) -> None:
    transport, requests = scripted(lambda _: httpx.Response(200))
    worker = dispatch(below=transport)
    one = endpoint()
    await repository.add_endpoint(one, SECRET, from_beginning=False)
    await log.record()
    await worker.fan_out()
    await repository.update_endpoint(
        one.endpoint_id, lambda e: replace(e, state=EndpointState.DISABLED)
    )
    await log.record()
    await settle(worker)
    assert requests == []

    await repository.update_endpoint(
        one.endpoint_id, lambda e: replace(e, state=EndpointState.ENABLED)
    )
    await settle(worker)
    assert len(requests) == 2


async def test_a_deleted_endpoint_takes_everything_with_it(
    log: Log, repository: WebhookRepository, dispatch: Dispatch, database: Database
) -> None:
    transport, _ = scripted(lambda _: httpx.Response(500))
    one, other = endpoint(), endpoint()
    for each in (one, other):
        await repository.add_endpoint(each, SECRET, from_beginning=False)
    await log.record()
    await settle(dispatch(below=transport))

    assert await repository.delete_endpoint(one.endpoint_id)
    assert not await repository.delete_endpoint(one.endpoint_id)
    for table in ("webhook_endpoint", "webhook_cursor", "webhook_delivery", "webhook_attempt"):
        assert await database.read.fetchval(f"SELECT count(*) FROM {table}") == 1
    assert await dispatch().fan_out() == 0


async def test_failures_are_tried_again_by_the_schedule_and_given_up(
    log: Log, repository: WebhookRepository, dispatch: Dispatch, clock: MachineClock
) -> None:
    statuses = itertools.chain([500, 404, 302, 429], itertools.repeat(503))

    def answer(request: httpx.Request) -> httpx.Response:
        status = next(statuses)
        if status == 429:
            raise httpx.ReadTimeout("slow", request=request)
        return httpx.Response(status, text="no", headers={"location": "http://10.0.0.1/"})

    transport, requests = scripted(answer)
    worker = dispatch(below=transport)
    one = endpoint()
    await repository.add_endpoint(one, SECRET, from_beginning=False)
    await log.record()
    await settle(worker)
    for number, delay in enumerate(DELAYS[1:], start=1):
        [delivery] = await deliveries(repository, one.endpoint_id)
        assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, number)
        assert delivery.finished_at is None
        clock.ahead += delay - timedelta(seconds=2)
        await settle(worker)
        assert len(requests) == number
        clock.ahead += timedelta(seconds=2)
        await settle(worker)
        assert len(requests) == number + 1

    [delivery] = await deliveries(repository, one.endpoint_id)
    assert (delivery.state, delivery.attempts) == (DeliveryState.FAILED, 10)
    assert delivery.finished_at is not None
    clock.ahead += timedelta(days=30)
    await settle(worker)
    assert len(requests) == 10
    assert len({request.headers["webhook-id"] for request in requests}) == 1
    assert len({request.headers["webhook-timestamp"] for request in requests}) == 10
    attempts = await repository.list_attempts(
        delivery.store_id, delivery.delivery_id, after=0, limit=100
    )
    assert [attempt.attempt for attempt in attempts] == list(range(1, 11))
    assert [attempt.status for attempt in attempts] == [500, 404, 302, None, *[503] * 6]
    assert attempts[0].response_excerpt == "no"
    assert attempts[3].error == "no answer within 5 s"


async def test_retry_after_keeps_back_the_whole_endpoint_but_no_other(
    log: Log, repository: WebhookRepository, dispatch: Dispatch, clock: MachineClock
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "busy" in request.headers["host"] and len(requests) < 3:
            return httpx.Response(429, headers={"retry-after": "600"})
        return httpx.Response(200)

    transport, requests = scripted(answer)
    worker = dispatch(below=transport)
    busy, other = endpoint("https://busy.example/"), endpoint("https://other.example/")
    for each in (busy, other):
        await repository.add_endpoint(each, SECRET, from_beginning=False)
    await log.record()
    await settle(worker)
    [delivery] = await deliveries(repository, busy.endpoint_id)
    wait = delivery.next_attempt_at - clock()
    assert timedelta(seconds=590) < wait <= timedelta(seconds=600)

    await log.record()
    clock.ahead += timedelta(seconds=300)
    await settle(worker)
    assert Counter(request.headers["host"] for request in requests) == {
        "busy.example": 1,
        "other.example": 2,
    }
    clock.ahead += timedelta(seconds=301)
    await settle(worker)
    assert {d.state for d in await deliveries(repository, busy.endpoint_id)} == {
        DeliveryState.DELIVERED
    }


async def test_an_endless_retry_after_is_capped(
    log: Log, repository: WebhookRepository, dispatch: Dispatch, clock: MachineClock
) -> None:
    transport, requests = scripted(
        lambda _: httpx.Response(503, headers={"retry-after": "Wed, 04 Mar 2099 05:00:00 GMT"})
    )
    worker = dispatch(below=transport)
    one = endpoint()
    await repository.add_endpoint(one, SECRET, from_beginning=False)
    await log.record()
    await settle(worker)
    [delivery] = await deliveries(repository, one.endpoint_id)
    assert delivery.next_attempt_at - clock() <= timedelta(hours=24)

    await log.record()
    clock.ahead += LONGEST_PAUSE + timedelta(seconds=1)
    await settle(worker)
    assert len(requests) == 2


async def test_410_disables_the_endpoint(
    log: Log, repository: WebhookRepository, dispatch: Dispatch
) -> None:
    transport, requests = scripted(lambda _: httpx.Response(410))
    worker = dispatch(below=transport)
    one = endpoint()
    await repository.add_endpoint(one, SECRET, from_beginning=False)
    await log.record()
    await settle(worker)
    await log.record()
    await settle(worker)

    assert len(requests) == 1
    found = await repository.find_endpoint(one.endpoint_id)
    assert found is not None
    assert (found.state, found.disabled_reason) == (EndpointState.DISABLED, "gone")
    [delivery] = await deliveries(repository, one.endpoint_id)
    assert delivery.state is DeliveryState.FAILED


async def test_a_refused_address_is_told_in_the_attempt(
    log: Log, repository: WebhookRepository, dispatch: Dispatch
) -> None:
    one = endpoint("http://10.0.0.1/")
    await repository.add_endpoint(one, SECRET, from_beginning=False)
    await log.record()
    await settle(dispatch())

    [delivery] = await deliveries(repository, one.endpoint_id)
    assert delivery.state is DeliveryState.PENDING
    [attempt] = await repository.list_attempts("SH01", delivery.delivery_id, after=0, limit=10)
    assert "SERVICELANE_WEBHOOK_ALLOWED_NETWORKS" in (attempt.error or "")


async def test_racing_workers_send_each_delivery_once(
    log: Log, repository: WebhookRepository, dispatch: Dispatch
) -> None:
    await log.add_store("SH02")
    async with receiver(delay=0.01) as consumer:
        await repository.add_endpoint(endpoint(consumer.url), SECRET, from_beginning=False)
        for _ in range(15):
            await log.record(store_id="SH01")
            await log.record(store_id="SH02")
        workers = [dispatch() for _ in range(3)]
        await asyncio.gather(*(settle(worker) for worker in workers))
        await asyncio.gather(*(settle(worker) for worker in workers))

    assert len(consumer.received) == 30
    assert len(set(consumer.ids())) == 30
    assert {(r.verify()["store"], r.verify()["seq"]) for r in consumer.received} == {
        (store_id, str(seq)) for store_id in ("SH01", "SH02") for seq in range(1, 16)
    }


async def test_a_claim_runs_out_and_its_owner_can_keep_nothing_any_more(
    log: Log, repository: WebhookRepository, dispatch: Dispatch, clock: MachineClock
) -> None:
    transport, requests = scripted(lambda _: httpx.Response(200))
    worker = dispatch(below=transport)
    one = endpoint()
    await repository.add_endpoint(one, SECRET, from_beginning=False)
    await log.record()
    await worker.fan_out()
    [lost] = await repository.claim(
        "SH01",
        one.endpoint_id,
        owner="dead",
        now=clock(),
        lease_until=clock() + timedelta(seconds=20),
        limit=5,
    )
    await settle(worker)
    assert requests == []
    clock.ahead += timedelta(seconds=21)
    await settle(worker)
    assert [request.headers["webhook-id"] for request in requests] == [lost.delivery_id]

    attempt = Attempt(1, clock(), 1, 500, None, None)
    verdict = Verdict(DeliveryState.PENDING, next_attempt_at=clock())
    assert not await repository.finish(lost, attempt, verdict, owner="dead", now=clock())
    [delivery] = await deliveries(repository, one.endpoint_id)
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)


async def test_a_slow_endpoint_keeps_no_other_waiting(
    log: Log, repository: WebhookRepository, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_delivery, "LANES", 2)
    async with receiver(delay=60) as slow, receiver() as quick:
        await repository.add_endpoint(endpoint(slow.url), SECRET, from_beginning=False)
        await repository.add_endpoint(endpoint(quick.url), SECRET, from_beginning=False)
        worker = dispatch(timeout_seconds=60)
        for _ in range(10):
            await log.record()
            await worker.tick()
            await asyncio.sleep(0.02)
        async with asyncio.timeout(30):
            while len(quick.received) < 10:
                await worker.tick()
                await asyncio.sleep(0.02)
        assert len(slow.received) <= webhook_delivery.IN_FLIGHT
        monkeypatch.setattr(webhook_delivery, "STOP_SECONDS", 0.1)
        await worker.stop()


async def test_lanes_are_taken_in_turn(
    log: Log, repository: WebhookRepository, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_delivery, "LANES", 1)
    transport, requests = scripted(lambda _: httpx.Response(500))
    worker = dispatch(below=transport)
    hosts = [f"{name}.example" for name in "abc"]
    for host in hosts:
        await repository.add_endpoint(endpoint(f"https://{host}/"), SECRET, from_beginning=False)
    for _ in range(webhook_delivery.IN_FLIGHT * 2):
        await log.record()
    await worker.fan_out()
    for _ in range(3):
        assert await worker.deliver_due() == 1
        await worker.wait()

    per_turn = webhook_delivery.IN_FLIGHT
    assert Counter(request.headers["host"] for request in requests) == dict.fromkeys(
        hosts, per_turn
    )


async def test_a_stopped_worker_leaves_its_claims_to_others(
    log: Log,
    repository: WebhookRepository,
    dispatch: Dispatch,
    clock: MachineClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_delivery, "STOP_SECONDS", 0.1)
    async with receiver(delay=60) as consumer:
        await repository.add_endpoint(endpoint(consumer.url), SECRET, from_beginning=False)
        await log.record()
        stopped = dispatch(timeout_seconds=60)
        await stopped.tick()
        while not consumer.received:
            await asyncio.sleep(0.01)
        await stopped.stop()
        await stopped.stop()
        consumer.delay = 0
        clock.ahead += timedelta(minutes=2)
        await settle(dispatch())

    first, second = consumer.ids()
    assert first == second


async def test_finished_deliveries_are_forgotten_after_a_month(
    log: Log,
    repository: WebhookRepository,
    dispatch: Dispatch,
    clock: MachineClock,
    database: Database,
) -> None:
    transport, _ = scripted(
        lambda request: httpx.Response(500 if "down" in request.headers["host"] else 200)
    )
    worker = dispatch(below=transport)
    up, down = endpoint("https://up.example/"), endpoint("https://down.example/")
    for each in (up, down):
        await repository.add_endpoint(each, SECRET, from_beginning=False)
    await log.record()
    await settle(worker)
    clock.ahead += timedelta(days=29)
    await worker.forget_finished()
    assert len(await deliveries(repository, up.endpoint_id)) == 1
    clock.ahead += timedelta(days=2)
    await worker.forget_finished()

    assert await deliveries(repository, up.endpoint_id) == []
    assert len(await deliveries(repository, down.endpoint_id)) == 1
    assert await database.read.fetchval("SELECT count(*) FROM webhook_attempt") == 1
    assert await worker.fan_out() == 0


async def test_a_worker_that_is_killed_in_the_middle_loses_nothing(
    log: Log,
    repository: WebhookRepository,
    dispatch: Dispatch,
    clock: MachineClock,
    database_url: str,
) -> None:
    async with receiver(delay=60) as consumer:
        one = endpoint(consumer.url)
        await repository.add_endpoint(one, SECRET, from_beginning=False)
        for _ in range(6):
            await log.record()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.support.webhook_worker",
            database_url,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            async with asyncio.timeout(120):
                while len(consumer.received) < webhook_delivery.IN_FLIGHT:
                    await asyncio.sleep(0.02)
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        killed = list(consumer.ids())

        consumer.delay = 0
        worker = dispatch()
        await settle(worker)
        assert len(consumer.received) == len(killed) + 2  # the others were not claimed
        clock.ahead += timedelta(minutes=2)
        await settle(worker)

    assert set(killed) == set(consumer.ids()[len(killed) + 2 :])
    assert {request.verify()["seq"] for request in consumer.received[: len(killed) + 2]} == {
        str(seq) for seq in range(1, 7)
    }
    found = await deliveries(repository, one.endpoint_id)
    assert [(d.seq, d.state, d.attempts) for d in found] == [
        (seq, DeliveryState.DELIVERED, 1) for seq in range(1, 7)
    ]
    assert {d.delivery_id for d in found} == set(consumer.ids())


async def test_behind_names_each_endpoint_with_its_cursor(
    log: Log, repository: WebhookRepository
) -> None:
    one, off = endpoint(), endpoint(state=EndpointState.DISABLED)
    for each in (one, off):
        await repository.add_endpoint(each, SECRET, from_beginning=False)
    assert await repository.list_behind() == []
    await log.record()

    assert await repository.list_behind() == [Behind("SH01", 1, {one.endpoint_id: 0})]
