"""Whatever the order of arrival, the same facts lead to the same states (J15).

Random histories of a shop, with corrections, retractions, retractions of those, and retractions
that overtake their targets, go through the real ingest into the real database: in the order in
which they were sent, and shuffled, cut into batches at random, through two processes. Each telling
has a store of its own.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from app.db.engine import Pool
from app.domain.customer import Customer
from app.domain.events.envelope import Kind
from app.domain.events.names import is_surrogate
from app.domain.fold import State
from app.domain.follow_up import FollowUp
from app.domain.staff import Staff
from app.domain.vehicle import Vehicle
from app.factory import Factory, open_factory
from app.services.time_source import MovableTimeSource
from app.services.units import Sweep
from app.settings import Settings
from tests.support.facts import event, retraction
from tests.support.histories import CloudEvent, History, follow_up_id, random_history
from tests.support.logs import check_store, read_states
from tests.support.oracle import Oracle
from tests.support.posting import add_store, post

SEEDS = range(24)
GROUP = 4
KINDS = ("first", "second")
VIN = "LSVAA4182E2100001"

Telling = Callable[[str], History]


def as_sent(seed: int) -> Telling:
    """The history as it happened."""
    return lambda store_id: random_history(Random(seed), store_id=store_id, doubles=False)


def shuffled(seed: int, again: int) -> Telling:
    """The same facts in any order and in any batches, all at once or as time goes by."""

    def tell(store_id: str) -> History:
        history = as_sent(seed)(store_id)
        rng = Random(1000 * seed + again)
        events = history.events
        rng.shuffle(events)
        arrivals: list[tuple[CloudEvent, datetime]] = []
        last = history.arrivals[-1][1]
        moment = last if again % 2 else last - timedelta(days=20)
        while events:
            size = rng.choice((1, 1, 2, 3, 8, 20))
            unit, events = events[:size], events[size:]
            latest = max(datetime.fromisoformat(event["time"].upper()) for event in unit)
            moment = max(moment + rng.choice((timedelta(seconds=1), timedelta(hours=9))), latest)
            arrivals += [(event, moment) for event in unit]
        now = max(history.now, moment) + timedelta(days=60)
        return History(store_id, history.zone, tuple(arrivals), now)

    return tell


class Teller:
    """Lets histories happen, each in a store of its own, through one of several processes."""

    def __init__(
        self, factories: Sequence[Factory], time_source: MovableTimeSource, pool: Pool
    ) -> None:
        self._factories = factories
        self._time = time_source
        self._pool = pool

    async def play(self, history: History, rng: Random) -> None:
        """Play a history to its end."""
        self._time.set(history.arrivals[0][1])
        await add_store(self._factories[0], history.store_id, zone=history.zone)
        for recorded_at, unit in history.units():
            await self._move(history.store_id, recorded_at)
            await post(rng.choice(self._factories), *unit)
        await self._move(history.store_id, history.now)

    async def _move(self, store_id: str, to: datetime) -> None:
        """Move the time, stopping where a clock of the store falls due."""
        while True:
            due = await self._pool.fetchval(
                "SELECT min(next_at) FROM clock WHERE store_id = $1 AND state = 'running'",
                store_id,
            )
            if due is None or due > to:
                break
            self._time.set(due)
            sweep = Sweep(store_id)
            await self._factories[0].appender.submit(sweep)
            assert sweep.breached, "a running clock that is due is a breach"
            assert not sweep.failed
        self._time.set(to)


@pytest.fixture
async def teller(
    factory: Factory, database_url: str, time_source: MovableTimeSource, pool: Pool
) -> AsyncIterator[Teller]:
    settings = Settings(database_url=SecretStr(database_url))
    async with open_factory(settings, time_source=time_source) as other:
        yield Teller([factory, other], time_source, pool)


@pytest.mark.parametrize("first", SEEDS[::GROUP])
async def test_j15_any_order_of_arrival_leads_to_the_same_states(
    first: int, teller: Teller, pool: Pool
) -> None:
    for seed in range(first, first + GROUP):
        seen = []
        tellings = [as_sent(seed), shuffled(seed, 1), shuffled(seed, 2)]
        for number, telling in enumerate(tellings):
            store_id = f"H{seed}-{number}"
            history = telling(store_id)
            history = History(store_id, history.zone, history.arrivals, last_moment(seed))
            await teller.play(history, Random(seed + number))
            await check_store(pool, store_id)
            states = await read_states(pool, store_id)
            plainly = {key: state for key, (_, state) in states.items()}
            check_windows(history, plainly)
            seen.append(said(history, plainly))
        assert seen[1] == seen[0], f"history {seed}, shuffled"
        assert seen[2] == seen[0], f"history {seed}, shuffled and as time goes by"


def last_moment(seed: int) -> datetime:
    """When all tellings of a history are over, and all that hangs on them."""
    tellings = (as_sent(seed), shuffled(seed, 1), shuffled(seed, 2))
    return max(telling("X").now for telling in tellings)


# -- the windows, against the oracle


def check_windows(history: History, states: dict[tuple[Kind, str], State]) -> None:
    """Compare the calls of each order with those of the oracle, which knows nothing of ours."""
    oracle = Oracle(history.arrivals, history.zone, history.now, store_id=history.store_id)
    orders = {
        event["subject"] for event in history.events if event["type"].startswith("repair_order.")
    }
    for ro_number in sorted(orders):
        wanted = oracle.follow_ups(ro_number)
        for kind, view in (("first", wanted.first), ("second", wanted.second)):
            call = states.get((Kind.FOLLOW_UP, follow_up_id(history.store_id, ro_number, kind)))
            where = f"{history.store_id} {ro_number} {kind}"
            assert call is None or isinstance(call, FollowUp)
            if view is None:
                # staff may call off what was not planned yet; the oracle then plans nothing
                assert (
                    call is None
                    or call.due_at is None
                    or call.called_off_seq is not None
                    or call.status in {"unscheduled", "cancelled"}
                ), where
                continue
            assert call is not None, where
            status = call.status_at(history.now)
            assert {"open": "planned"}.get(status, status) == view.status, where
            assert call.completed_at == view.completed_at, where
            assert call.assignee == view.assignee, where
            if view.window is not None and view.status != "cancelled":
                assert (
                    call.anchor,
                    call.opens_at,
                    call.target_at,
                    call.due_at,
                    # once it is completed this says nothing any more (H3)
                    call.missed_on_arrival and view.status != "completed",
                ) == (
                    view.window.anchor,
                    view.window.opens_at,
                    view.window.target_at,
                    view.window.due_at,
                    view.missed_on_arrival and view.status != "completed",
                ), where


# -- what states say, without what depends on the order of arrival


LEFT_OUT = {
    "opened_recorded_at",
    "last_fact_seq",
    "missed_on_arrival",
    "breaches",
    "relief",
    "scheduled_at",
    "withdrawn_at",
    "withdrawn_reason",
}
WINDOW = {
    "own",
    "kind",
    "customer_no",
    "ro_number",
    "scheduled_ro_number",
    "opens_at",
    "target_at",
    "due_at",
    "anchor",
    "policy_version",
}


def said(history: History, states: dict[tuple[Kind, str], State]) -> dict[tuple[str, str], Any]:
    """Write down what the states say; calls of ours go by the order and kind that name them."""
    names = {
        follow_up_id(history.store_id, ro_number, kind): f"{ro_number}/{kind}"
        for ro_number in {event["subject"] for event in history.events}
        for kind in KINDS
    }
    found: dict[tuple[str, str], Any] = {}
    for (kind, key), state in states.items():
        words = plain(msgspec.to_builtins(state))
        if isinstance(state, FollowUp):
            words["follow_up_id"] = name = names.get(key, key)
            words["status"] = {"missed_on_arrival": "overdue"}.get(
                status := state.status_at(history.now), status
            )
            if state.cancelled_by_service or state.due_at is None:
                # whether it was ever planned depends on what was known when
                words = {k: v for k, v in words.items() if k not in WINDOW | {"status"}}
                if set(words) <= {"follow_up_id", "posted"}:
                    continue
            found[kind.value, name] = words
        else:
            found[kind.value, key] = words
    return found


def plain(value: Any) -> Any:
    """Leave out what depends on the order of arrival; of lists of seqs their length is left."""
    if isinstance(value, dict):
        return {
            key: len(inner) if key.endswith("_seqs") else plain(inner)
            for key, inner in value.items()
            if key not in LEFT_OUT and key != "seq" and not key.endswith("_seq")
        }
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return "~" if isinstance(value, str) and is_surrogate(value) else value  # of the store


def test_the_histories_hold_what_this_is_about() -> None:
    """Enough of them have retractions, early ones and such of retractions, and several kinds."""
    events = [event for seed in SEEDS for event in as_sent(seed)("X").events]
    retractions = {event["id"]: event["data"]["id"] for event in events if is_retraction(event)}
    assert len(retractions) > 40
    assert len(set(retractions) & set(retractions.values())) > 2
    assert len({event["type"] for event in events}) > 25
    assert early(as_sent(seed)("X").events for seed in SEEDS) > 2


def is_retraction(event: CloudEvent) -> bool:
    return bool(event["type"] == "event.retracted")


def early(histories: Iterable[Sequence[CloudEvent]]) -> int:
    """Count the retractions that arrive before their targets."""
    count = 0
    for events in histories:
        place = {event["id"]: number for number, event in enumerate(events)}
        count += sum(
            place[event["data"]["id"]] > place[event["id"]]
            for event in events
            if is_retraction(event)
        )
    return count


FILES: tuple[tuple[CloudEvent, ...], ...] = (
    (
        event("customer.registered", "C1", "2026-05-01T09:00:00+08:00", name="客户1", segment="a"),
        event("customer.updated", "C1", "2026-05-02T09:00:00+08:00", phones=["1"], segment=None),
        event("customer.updated", "C1", "2026-05-03T09:00:00+08:00", name="客户2", member_no="7"),
        event("customer.updated", "C1", "2026-05-04T09:00:00+08:00", phones=None, kind="fleet"),
        event("customer.merged", "C1", "2026-05-05T09:00:00+08:00", into="C2"),
    ),
    (
        event("vehicle.registered", VIN, "2026-05-01T09:00:00+08:00", customer_no="C1", plate="A"),
        event("vehicle.transferred", VIN, "2026-05-02T09:00:00+08:00", customer_no="C2"),
        event("vehicle.registered", VIN, "2026-05-03T09:00:00+08:00", brand="X", plate="B"),
        event("vehicle.transferred", VIN, "2026-05-04T09:00:00+08:00", customer_no="C3"),
    ),
    (
        event("staff.registered", "T1", "2026-05-01T09:00:00+08:00", name="员工1", team="RED"),
        event("staff.registered", "T1", "2026-05-02T09:00:00+08:00", name="员工2", roles=["x"]),
        event("staff.registered", "T1", "2026-05-04T09:00:00+08:00", aliases=["小员", "员工 一"]),
        event("staff.registered", "T1", "2026-05-03T09:00:00+08:00", team="BLUE"),
    ),
)


@pytest.mark.parametrize("facts", FILES, ids=["customer", "vehicle", "staff"])
async def test_j15_files_are_the_same_in_any_order_of_arrival(
    facts: tuple[CloudEvent, ...], factory: Factory, pool: Pool
) -> None:
    """With the retraction of one of the facts, and what is personal of them."""
    told = [*facts, retraction(facts[1], "2026-05-06T09:00:00+08:00")]
    kind: Any = {"customer": Customer, "vehicle": Vehicle, "staff": Staff}[
        facts[0]["type"].partition(".")[0]
    ]
    seen = []
    for number in range(24):
        store_id = f"F{number}"
        await add_store(factory, store_id)
        arriving = [each | {"store": store_id} for each in told]
        Random(number).shuffle(arriving)
        for position in range(0, len(arriving), 2):
            await post(factory, *arriving[position : position + 2])
        await check_store(pool, store_id)
        view = await factory.files.get(kind, store_id, facts[0]["subject"])
        seen.append((plain(msgspec.to_builtins(view.state)), dict(view.personal)))
    assert all(each == seen[0] for each in seen)
