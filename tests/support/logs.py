"""What must be true of the log at any moment, and of everything that is written with it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from app.db.engine import Pool
from app.db.event_log import EventLog
from app.domain.clocks import clocks_of
from app.domain.events.envelope import Event, Kind
from app.domain.fold import STATE_TYPES, State, fold
from app.domain.policies import DEFAULT_POLICIES
from app.domain.subject import decode

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
