"""The appender: everything that changes the subjects of a store goes through it.

Callers hand in units of work (`Facts`, `Command`, `Sweep`) and get them back decided and durable.
Units that arrive while a write is under way go together into the next one, so that many callers
share one commit; a store is in one group at a time. A group takes two round trips: one read, one
write that is refused when a head moved in between (another process appended); it is then done
once more under the locks of its heads. A group that fails is done again unit by unit: a bad unit
fails alone. Only where it is not known whether the group was written is nothing done twice.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import structlog

from app.db.engine import Pool
from app.db.event_log import EventLog, StaleHeadError
from app.domain.errors import DomainError
from app.domain.policies import Policies
from app.services.append_session import AppendSession
from app.services.database_failures import is_answer_lost
from app.services.earlier import Earlier
from app.services.instruments import Instruments
from app.services.stores import StoreDirectory
from app.services.time_source import TimeSource
from app.services.trial import TrialSession
from app.services.units import Answer, Command, Facts, Reparse, Unit

logger = structlog.get_logger(__name__)

GROUP_WEIGHT = 1_000
"""Events after which a group takes no further unit; a single unit may be larger."""

LEAST_SHARE = 250
"""Events that are worth a group of their own while another lane is free."""

PLAN_AGAIN_FACTOR = 4
"""Growth of the longest stream after which a connection's plans are made anew."""


class Appender:
    """Groups units of work and owns their transactions.

    One per process. `lanes` groups of different stores may be under way at once, so that one
    group's work in Python overlaps another's in the database. `announce` is told the stores of
    each group that is done.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        stores: StoreDirectory,
        policies: Policies,
        time_source: TimeSource,
        reparse: Reparse,
        instruments: Instruments,
        announce: Callable[[Iterable[str]], None] | None = None,
        lanes: int = 2,
    ) -> None:
        self._pool = pool
        self._stores = stores
        self._policies = policies
        self._time_source = time_source
        self._reparse = reparse
        self._instruments = instruments
        self._announce = announce
        self._lanes = lanes
        self._waiting: dict[str, deque[tuple[Unit, asyncio.Future[None]]]] = defaultdict(deque)
        self._busy: set[str] = set()
        self._groups: set[asyncio.Task[None]] = set()
        self._closed = False
        self._largest = 0
        self._planned_at: dict[int, int] = {}
        # what has no group keeps to one connection: the lanes must not wait for it
        self._apart = asyncio.Semaphore()

    async def submit(self, unit: Unit, *, with_others: bool = False) -> None:
        """Do a unit of work; when this returns, what it decided is durable.

        The unit carries its result (`outcomes`, `answer`, `breached`).

        Args:
            unit: What is to be done.
            with_others: Whether more is handed in this very moment, to share a group with it: the
                units of one message, of a store each.

        Raises:
            DomainError: The command was refused, or there is no such store.
            asyncpg.PostgresError, OSError: The database failed; it is not known whether the unit
                was written. Facts and commands with an Idempotency-Key are safe to repeat.
        """
        if self._closed:
            message = "the appender is closed"
            raise RuntimeError(message)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting[unit.store_id].append((unit, done))
        if with_others:
            loop.call_soon(self._start_groups)
        else:
            self._start_groups()
        await done

    async def execute(self, command: Command) -> Answer:
        """Do a command.

        Returns:
            Its answer; the one given before where its Idempotency-Key was used before.

        Raises:
            DomainError: It was refused.
        """
        await self.submit(command)
        if command.answer is None:
            message = "a command that was done has an answer"
            raise RuntimeError(message)
        return command.answer

    async def submit_together(self, units: Sequence[Facts]) -> bool:
        """Write facts of several stores in one transaction, if all of them would be accepted.

        It has no part in any group: the heads of its stores are locked, in order of code, what
        would become of each event is found out under the locks, and only then it is written. One
        transaction over several stores is for a single node (design/distribution.md, 4).

        Returns:
            Whether it is written. If not, nothing is; the units carry the outcomes all the same.

        Raises:
            DomainError: There is no such store.
            asyncpg.PostgresError, OSError: As of `submit`.
        """
        async with self._apart, self._pool.acquire() as connection, connection.transaction():
            log = EventLog(connection)
            await log.lock_heads({unit.store_id for unit in units})
            with Earlier() as nothing:
                if not await self._try_out(log, units, nothing):
                    return False
            for error in await self._attempt(log, units):
                if error is not None:
                    raise error
        self._tell(units)
        return True

    async def try_out(self, units: Sequence[Facts], earlier: Earlier) -> None:
        """Find out what would become of facts; takes no locks and writes nothing.

        Args:
            units: Get the outcomes, without seqs and quarantine ids of their own.
            earlier: What of the same request was tried before, and would be in the log by now.
        """
        async with self._apart, self._pool.acquire() as connection:
            await self._try_out(EventLog(connection), units, earlier)

    async def _try_out(self, log: EventLog, units: Sequence[Facts], earlier: Earlier) -> bool:
        session = TrialSession(
            log,
            earlier,
            now=await self._time_source.now(),
            stores=await self._stores.get_many({unit.store_id for unit in units}),
            policies=self._policies,
            reparse=self._reparse,
        )
        return await session.try_out(units)

    async def close(self) -> None:
        """Finish what was handed in, then take nothing more."""
        self._closed = True
        while self._groups or self._waiting:
            await asyncio.gather(*self._groups, return_exceptions=True)
            self._start_groups()

    def _start_groups(self) -> None:
        while (free := self._lanes - len(self._groups)) > 0:
            units = self._take_group(self._share(free))
            if not units:
                return
            task = asyncio.create_task(self._do_group(units))
            self._groups.add(task)
            task.add_done_callback(self._finish_group)

    def _finish_group(self, task: asyncio.Task[None]) -> None:
        self._groups.discard(task)
        self._start_groups()

    def _share(self, free: int) -> int:
        """Give the weight of the next group: what waits is shared out among the free lanes."""
        waiting = sum(
            unit.weight
            for store_id, queue in self._waiting.items()
            if store_id not in self._busy
            for unit, _ in queue
        )
        return max(LEAST_SHARE, min(GROUP_WEIGHT, -(-waiting // free)))

    def _take_group(self, share: int) -> list[tuple[Unit, asyncio.Future[None]]]:
        """Take waiting units of stores that no other group has in hand, in order per store."""
        units: list[tuple[Unit, asyncio.Future[None]]] = []
        weight = 0
        for store_id in list(self._waiting):
            if store_id in self._busy:
                continue
            queue = self._waiting[store_id]
            while queue and (not units or weight + queue[0][0].weight <= share):
                unit = queue.popleft()
                weight += unit[0].weight
                units.append(unit)
            if queue:
                # the next time it is the others' turn first
                self._waiting[store_id] = self._waiting.pop(store_id)
            else:
                del self._waiting[store_id]
            if weight >= share:
                break
        self._busy.update(unit.store_id for unit, _ in units)
        return units

    async def _do_group(self, group: Sequence[tuple[Unit, asyncio.Future[None]]]) -> None:
        try:
            try:
                results: Sequence[Exception | None] = await self._decide_and_write(
                    [unit for unit, _ in group]
                )
            except Exception as error:
                if len(group) == 1 or is_answer_lost(error):
                    raise
                logger.info("a group of appends failed and is done unit by unit", exc_info=True)
                results = [await self._alone(unit) for unit, _ in group]
            for (_, done), result in zip(group, results, strict=True):
                _settle(done, result)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers hear of it
            for _, done in group:
                _settle(done, error)
        finally:
            self._busy.difference_update(unit.store_id for unit, _ in group)
            self._tell(unit for unit, _ in group)

    def _tell(self, units: Iterable[Unit]) -> None:
        """Tell whose logs may have grown."""
        if self._announce is not None:
            self._announce({unit.store_id for unit in units})

    async def _alone(self, unit: Unit) -> Exception | None:
        try:
            (result,) = await self._decide_and_write([unit])
        except Exception as error:  # noqa: BLE001 - the unit's caller hears of it
            return error
        return result

    async def _decide_and_write(self, units: Sequence[Unit]) -> list[DomainError | None]:
        """Do the units as one group: on what was read, and under the locks if that was stale."""
        async with self._pool.acquire() as connection:
            log = EventLog(connection)
            await self._keep_plans_fresh(log, connection.get_server_pid())
            with suppress(StaleHeadError):
                return await self._attempt(log, units)
            async with connection.transaction():
                await log.lock_heads({unit.store_id for unit in units})
                return await self._attempt(log, units)

    async def _attempt(self, log: EventLog, units: Sequence[Unit]) -> list[DomainError | None]:
        started = time.perf_counter()
        now = await self._time_source.now()
        session = AppendSession(
            log,
            now=now,
            stores=await self._stores.get_many({unit.store_id for unit in units}),
            policies=self._policies,
            reparse=self._reparse,
        )
        await session.load(units)
        results: list[DomainError | None] = []
        for unit in units:
            try:
                await session.run(unit)
            except DomainError as error:
                results.append(error)
            else:
                results.append(None)
        await session.write()
        self._largest = max(self._largest, session.largest_seq)
        self._instruments.note_group(units, time.perf_counter() - started, now)
        return results

    async def _keep_plans_fresh(self, log: EventLog, connection_id: int) -> None:
        """Forget plans that were made for a much smaller log.

        The planner can't tell the indexes of a small table apart, and keeps the plan that it made
        by chance: on a log that grew it reads a whole store for each event.
        """
        if (
            self._largest
            > PLAN_AGAIN_FACTOR * self._planned_at.get(connection_id, 0) + GROUP_WEIGHT
        ):
            await log.forget_plans()
            self._planned_at[connection_id] = self._largest


def _settle(done: asyncio.Future[None], result: Exception | None) -> None:
    """Wake the caller, unless it has gone away."""
    if done.done():
        return
    if result is None:
        done.set_result(None)
    else:
        done.set_exception(result)
