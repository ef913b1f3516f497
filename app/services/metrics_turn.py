"""One store's metrics, held by one refresher at a time: a transaction that is one snapshot."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg

from app.db.engine import Connection, Pool
from app.db.facts import FactRepository
from app.db.judged_states import JudgedStates
from app.db.snapshots import Progress, SnapshotRepository, StoreHead
from app.domain.errors import NotFoundError, UnavailableError

_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class Turn:
    """One store's metrics, held, as one snapshot has them."""

    store_id: str
    facts: FactRepository
    snapshots: SnapshotRepository
    states: JudgedStates
    progress: Progress
    head: StoreHead

    @property
    def zone(self) -> ZoneInfo:
        """Where the store's days are cut."""
        return ZoneInfo(self.head.time_zone)

    @property
    def is_zone_new(self) -> bool:
        """Whether the store's days are cut elsewhere than when the facts were judged (J4)."""
        return self.progress.time_zone not in {None, self.head.time_zone}

    def is_closed(self, day: date) -> bool:
        """Whether a night has published the day."""
        closed_until = self.progress.closed_until
        return closed_until is not None and day < closed_until


@asynccontextmanager
async def hold_turn(pool: Pool, store_id: str, *, wait: bool) -> AsyncIterator[Turn]:
    """Hold the store's metrics; everything in it is one transaction and one snapshot.

    Raises:
        NotFoundError: There is no such store.
        UnavailableError: Another holds them and `wait` is off, or others did again and again.
    """
    for _ in range(_TRIES):
        async with pool.acquire() as connection:
            try:
                async with connection.transaction(isolation="repeatable_read"):
                    yield await _take_turn(store_id, connection, wait=wait)
                    return
            except _NotYetError as error:
                if not error.try_again:
                    break
    raise UnavailableError(f"The metrics of store {store_id} are being refreshed just now.")


class _NotYetError(Exception):
    """Another has the turn, or had it while this one waited: its snapshot is then too old.

    After an import a turn may last longer than a statement may wait.
    """

    def __init__(self, *, try_again: bool) -> None:
        super().__init__("not yet")
        self.try_again = try_again


async def _take_turn(store_id: str, connection: Connection, *, wait: bool) -> Turn:
    snapshots = SnapshotRepository(connection)
    try:
        progress = await snapshots.lock_cursor(store_id, wait=wait)
        head = await snapshots.find_head(store_id)
        if head is None:
            raise NotFoundError(
                f"There is no store {store_id}. PUT /v1/stores/{store_id} makes one."
            )
        if progress is None:
            await snapshots.add_cursor(store_id)
            progress = Progress(seq=0, closed_until=None, closed_seq=None, time_zone=None)
    except (asyncpg.SerializationError, TimeoutError) as error:
        raise _NotYetError(try_again=True) from error
    except asyncpg.LockNotAvailableError as error:
        raise _NotYetError(try_again=False) from error
    return Turn(
        store_id, FactRepository(connection), snapshots, JudgedStates(connection), progress, head
    )
