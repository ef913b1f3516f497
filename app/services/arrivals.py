"""Waiting for a log to grow: woken by this process's own appends, and by a look at the heads.

All who wait in this process share one reader: it asks for the heads of their stores when an append
of this process was written, and every second for those of others. Nothing is told by the database
(LISTEN would make commits wait for each other, and ends at the node).
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Final

from app.domain.errors import UnavailableError

POLL_SECONDS: Final = 1.0
"""How often the heads are looked at for what other processes wrote."""

RETRY_SECONDS: Final = 2

ReadHeads = Callable[[Collection[str]], Awaitable[Mapping[str, int]]]
"""Reads the last seq of each of these stores."""


class Arrivals:
    """Who waits for which log. One per process."""

    def __init__(
        self, read_heads: ReadHeads, *, most: int, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._read_heads = read_heads
        self._most = most
        self._poll_seconds = poll_seconds
        self._waiting: dict[str, set[tuple[int, asyncio.Future[int | None]]]] = defaultdict(set)
        self._held = 0
        self._nudge = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._released = False

    @property
    def held(self) -> int:
        """How many wait just now."""
        return self._held

    def announce(self, stores: Iterable[str]) -> None:
        """Tell that something was written to these stores; costs nothing if nobody waits."""
        if self._waiting and not self._waiting.keys().isdisjoint(stores):
            self._nudge.set()

    async def wait_beyond(self, store_id: str, seq: int, *, seconds: float) -> int | None:
        """Wait until the log of a store goes beyond `seq`.

        Who is cancelled while waiting waits no more.

        Returns:
            The last seq of the log; None where it did not in that time, or nobody may wait longer
            because the process ends.

        Raises:
            UnavailableError: As many as may wait do already.
            OSError, asyncpg.PostgresError: The database is away.
        """
        if self._released or seconds <= 0:
            return None
        if self._held >= self._most:
            message = (
                f"{self._most} requests are being held by this process already; ask again, or "
                "without `wait`."
            )
            raise UnavailableError(message, retry_after=RETRY_SECONDS)
        arrival: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        entry = (seq, arrival)
        self._waiting[store_id].add(entry)
        self._held += 1
        self._nudge.set()  # it may have come between the caller's look and now
        self._start()
        try:
            with suppress(TimeoutError):
                return await asyncio.wait_for(arrival, seconds)
            return None
        finally:
            self._held -= 1
            self._waiting[store_id].discard(entry)
            if not self._waiting[store_id]:
                del self._waiting[store_id]

    def release(self) -> None:
        """Send away everybody who waits, and let nobody wait any more: the process ends."""
        self._released = True
        for entries in self._waiting.values():
            for _, arrival in entries:
                if not arrival.done():
                    arrival.set_result(None)

    async def aclose(self) -> None:
        """Release who waits, and stop looking."""
        self.release()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    def _start(self) -> None:
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read(), name="arrivals")

    async def _read(self) -> None:
        """Look at the heads for as long as somebody waits."""
        while self._waiting:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._nudge.wait(), self._poll_seconds)
            self._nudge.clear()
            waiting = {store_id: list(entries) for store_id, entries in self._waiting.items()}
            try:
                heads = await self._read_heads(waiting)
            except Exception as error:  # noqa: BLE001 - those who wait hear of it
                self._fail(waiting, error)
                continue
            for store_id, entries in waiting.items():
                head = heads.get(store_id, 0)
                for seq, arrival in entries:
                    if head > seq and not arrival.done():
                        arrival.set_result(head)

    def _fail(
        self,
        waiting: Mapping[str, Iterable[tuple[int, asyncio.Future[int | None]]]],
        error: Exception,
    ) -> None:
        for entries in waiting.values():
            for _, arrival in entries:
                if not arrival.done():
                    arrival.set_exception(error)
