"""What must be true of the log at any moment, and of everything that is written with it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from app.db.engine import Pool
from app.db.event_log import EventLog
from app.domain.clocks import clocks_of
from app.domain.customer import Customer
from app.domain.events.envelope import Event, Kind
from app.domain.fold import STATE_TYPES, State, fold
from app.domain.follow_up import FollowUp
from app.domain.links import customer_of, surviving_no
from app.domain.mentions import mentions_of
from app.domain.policies import DEFAULT_POLICIES
from app.domain.repair_order import RepairOrder
from app.domain.subject import decode
from app.domain.vehicle import Vehicle

TABLES = {
    Kind.REPAIR_ORDER: ("repair_order", "ro_number"),
    Kind.FOLLOW_UP: ("follow_up", "follow_up_id"),
    Kind.COMPLAINT: ("complaint", "complaint_id"),
    Kind.CUSTOMER: ("customer", "customer_no"),
    Kind.VEHICLE: ("vehicle", "vin"),
    Kind.STAFF: ("staff", "staff_no"),
    Kind.TIMECARD: ("timecard", "key"),
    Kind.FEED: ("feed", "source"),
    Kind.BACKLOG: ("backlog", "key"),
}

Key = tuple[Kind, str]


async def read_log(pool: Pool, store_id: str = "S1") -> list[Event]:
    """Read the whole log of a store."""
    async with pool.acquire() as connection:
        return await EventLog(connection).read_after(store_id, 0, 1_000_000)


async def read_states(pool: Pool, store_id: str = "S1") -> dict[Key, tuple[int, State]]:
    """Read every state of a store with its version."""
    states: dict[Key, tuple[int, State]] = {}
    for kind, (table, column) in TABLES.items():
        for row in await pool.fetch(
            f"SELECT {column} AS key, version, state FROM {table} WHERE store_id = $1", store_id
        ):
            states[kind, row["key"]] = row["version"], decode(STATE_TYPES[kind], row["state"])
    return states


async def check_store(pool: Pool, store_id: str = "S1") -> list[Event]:
    """Check that nothing is missing, and that states and clocks are what the log says.

    Returns:
        The log.
    """
    log = await read_log(pool, store_id)
    head = await pool.fetchrow("SELECT * FROM stream_head WHERE store_id = $1", store_id)
    assert head is not None
    assert [event.seq for event in log] == list(range(1, head["seq"] + 1))
    assert all(earlier.recorded_at <= later.recorded_at for earlier, later in pairwise(log))
    assert not log or log[-1].recorded_at == head["recorded_at"]
    assert head["waiting_retractions"] >= await _count_waiting(pool, store_id)
    of_subject: dict[Key, list[Event]] = defaultdict(list)
    for event in log:
        of_subject[event.kind, event.key].append(event)
    folded = {
        subject: (events[-1].seq, state)
        for subject, events in of_subject.items()
        if (state := fold(*subject, events)) is not None
    }
    states = await read_states(pool, store_id)
    for subject in sorted(states.keys() | folded.keys()):
        kept, wanted = states.get(subject), folded.get(subject)
        assert kept == wanted, f"{store_id} {subject}: kept {kept}, the log says {wanted}"
    await _check_clocks(pool, store_id, states)
    await _check_links(pool, store_id, {key: state for key, (_, state) in states.items()})
    await _check_mentions(pool, store_id, states)
    return log


async def _check_clocks(pool: Pool, store_id: str, states: dict[Key, tuple[int, State]]) -> None:
    zone = ZoneInfo(
        await pool.fetchval("SELECT time_zone FROM store WHERE store_id = $1", store_id)
    )
    implied = {
        (kind.value, key, clock.name): (clock.due_at, clock.next_at, clock.state)
        for (kind, key), (_, state) in states.items()
        for clock in clocks_of(state, DEFAULT_POLICIES, zone)
    }
    rows = await pool.fetch("SELECT * FROM clock WHERE store_id = $1", store_id)
    kept = {
        (row["kind"], row["key"], row["name"]): (
            row["due_at"],
            row["due_at"] if row["failures"] else row["next_at"],
            row["state"],
        )
        for row in rows
    }
    assert kept == implied


async def _check_links(pool: Pool, store_id: str, states: dict[Key, State]) -> None:
    """Check whose orders are, and under which number customers count, by looking at everything."""
    owners: dict[str, list[Any]] = defaultdict(list)
    files: dict[str, Customer] = {}
    for state in states.values():
        if isinstance(state, Vehicle):
            owners[state.vin.upper()] += [(said.at, said) for said in state.owners]
        elif isinstance(state, Customer):
            files[state.customer_no] = state
    for row in await pool.fetch("SELECT * FROM repair_order WHERE store_id = $1", store_id):
        order = states[Kind.REPAIR_ORDER, row["ro_number"]]
        assert isinstance(order, RepairOrder)
        vin = None if order.vin is None else order.vin.strip().upper()
        said = [owner for _, owner in sorted(owners[vin or ""], key=itemgetter(0))]
        assert row["vin"] == (vin or None)
        assert row["customer_no"] == customer_of(order, said), row["ro_number"]
        for call in states.values():
            if isinstance(call, FollowUp) and call.ro_number == row["ro_number"] and call.own:
                assert call.withdrawn_seq or call.customer_no == row["customer_no"], call
    for row in await pool.fetch("SELECT * FROM customer WHERE store_id = $1", store_id):
        counts = surviving_no(row["customer_no"], files)
        assert row["surviving_no"] == (None if counts == row["customer_no"] else counts)


async def _check_mentions(pool: Pool, store_id: str, states: dict[Key, tuple[int, State]]) -> None:
    implied = {
        (kind.value, key, surrogate, role, seen.first_at, seen.last_at)
        for (kind, key), (_, state) in states.items()
        for (surrogate, role), seen in mentions_of(state).items()
    }
    rows = await pool.fetch(
        "SELECT kind, key, surrogate, role, first_seen_at, last_seen_at FROM staff_mention"
        " WHERE store_id = $1",
        store_id,
    )
    assert {tuple(row) for row in rows} == implied


async def _count_waiting(pool: Pool, store_id: str) -> int:
    count: int = await pool.fetchval(
        "SELECT count(*) FROM quarantine WHERE store_id = $1 AND state = 'waiting'"
        " AND reason = 'retraction-target-unknown'",
        store_id,
    )
    return count


@dataclass
class Watcher:
    """A reader that follows streams while others write them.

    Attributes:
        seen: Store -> how far it read.
        polls: How often it looked.
    """

    seen: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    polls: int = 0

    async def poll(self, pool: Pool, stores: Sequence[str]) -> None:
        """Look once: heads first, then the events after those that were seen."""
        heads: dict[str, int] = {
            row["store_id"]: row["seq"]
            for row in await pool.fetch(
                "SELECT store_id, seq FROM stream_head WHERE store_id = ANY($1)", list(stores)
            )
        }
        self.polls += 1
        for store_id in stores:
            seen = self.seen[store_id]
            seqs: list[Any] = [
                row["seq"]
                for row in await pool.fetch(
                    "SELECT seq FROM event WHERE store_id = $1 AND seq > $2 ORDER BY seq",
                    store_id,
                    seen,
                )
            ]
            last = seen + len(seqs)
            assert seqs == list(range(seen + 1, last + 1)), "an event came after a later one"
            assert last >= heads[store_id], "the head was ahead of the events"
            self.seen[store_id] = last


@asynccontextmanager
async def watched(pool: Pool, *stores: str) -> AsyncIterator[Watcher]:
    """Follow streams without a pause while the block runs; any gap fails the test."""
    watcher = Watcher()
    over = asyncio.Event()

    async def follow() -> None:
        while not over.is_set():
            await watcher.poll(pool, stores)
            await asyncio.sleep(0.001)

    task = asyncio.create_task(follow())
    try:
        yield watcher
    finally:
        over.set()
        await task
    await watcher.poll(pool, stores)
