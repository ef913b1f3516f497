"""Bulk: lines of events without end, taken in chunk by chunk, each durable before it is answered.

One task reads ahead: it cuts the stream into lines and reads the next chunk at the door while the
two before are being written. Of each store, a chunk's events wait for those of the chunk before;
behind some that could not be written none is. Only a few chunks are ever held.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from app.domain.access import Principal
from app.domain.errors import MalformedBodyError
from app.domain.events.ndjson import Lines
from app.domain.lines import Line, LineReader
from app.services.earlier import Earlier
from app.services.incoming import Incoming
from app.services.ingest import IngestService
from app.services.taken import Taken
from app.services.turns import Turns

CHUNK_LINES: Final = 1_000
"""Lines after which a chunk is written."""

CHUNK_BYTES: Final = 2 * 1024 * 1024
"""Bytes after which a chunk of fewer lines is written; it has at most one line more."""

AHEAD: Final = 1
"""Chunks that are being written beside the one whose answer comes next."""

IDLE_SECONDS: Final = 0.5
"""How long a chunk that isn't full waits for more."""

_PIECE: Final = 65_536
"""Bytes that are cut into lines at once."""

Emit = Callable[[bytes], Awaitable[None]]
"""Takes the answer of a chunk, one line."""


class DisconnectedError(MalformedBodyError):
    """The caller went away before the end of its body."""

    def __init__(self) -> None:
        super().__init__("The body ends early: the caller went away.")


class BulkService:
    """Takes in streams of lines."""

    def __init__(self, ingest: IngestService, *, max_line_bytes: int) -> None:
        self._ingest = ingest
        self._max_line_bytes = max_line_bytes

    def take(
        self, body: AsyncIterator[bytes], *, principal: Principal, minimal: bool = False
    ) -> "BulkStream":
        """Make a stream whose events are stored when it runs.

        Args:
            body: The lines, in parts of any size.
            principal: As of `IngestService.ingest`.
            minimal: Leave out of the answers what was accepted.
        """
        turns = Turns()

        async def take(incoming: Incoming) -> Taken:
            return await self._ingest.take(incoming, turns)

        reading = _Reading(self._ingest, body, principal, self._max_line_bytes, take)
        return BulkStream(reading, minimal=minimal)

    def validate(
        self, body: AsyncIterator[bytes], *, principal: Principal, minimal: bool = False
    ) -> "BulkStream":
        """Make a stream that answers what would become of each event, and stores nothing."""
        earlier = Earlier()

        async def try_out(incoming: Incoming) -> Taken:
            return await self._ingest.try_out(incoming, earlier)

        reading = _Reading(self._ingest, body, principal, self._max_line_bytes, try_out)
        return BulkStream(reading, minimal=minimal, at_end=earlier.close)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Lines on their way in, and where they stand in the stream."""

    taking: asyncio.Task[Taken]
    indexes: list[int]
    last_line: int


class _Reading:
    """Reads a stream ahead, chunk by chunk."""

    def __init__(
        self,
        ingest: IngestService,
        body: AsyncIterator[bytes],
        principal: Principal,
        max_line_bytes: int,
        take: Callable[[Incoming], Awaitable[Taken]],
    ) -> None:
        self._ingest = ingest
        self._take = take
        self._turn = asyncio.Semaphore(AHEAD + 1)
        self._under_way: set[asyncio.Task[Taken]] = set()
        self._body = body
        self._principal = principal
        self._reader = LineReader(limit=max_line_bytes)
        self._lines: list[Line] = []
        self._size = 0
        self._ready: asyncio.Queue[_Chunk | Exception | None] = asyncio.Queue()
        self.asked_lines = 0
        self._gone: DisconnectedError | None = None

    async def next_chunk(self) -> _Chunk | None:
        """Get the next chunk, None at the end of the stream.

        Raises:
            DisconnectedError: As soon as it is known, whatever was read before.
            MalformedBodyError: The stream can't be read from here on.
            asyncpg.PostgresError, OSError: The database is away.
        """
        chunk = await self._ready.get()
        if self._gone is not None:
            raise self._gone
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    def done(self, chunk: _Chunk) -> None:
        """Say that a chunk has its answer: another may be written."""
        self._under_way.discard(chunk.taking)
        self._turn.release()

    async def stop(self) -> None:
        """Let go of what is under way; what a transaction has in hand may still be written."""
        for taking in self._under_way:
            taking.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def run(self) -> None:
        """Read until the end of the stream; what goes wrong is told by `next_chunk`."""
        try:
            await self._read()
        except DisconnectedError as error:
            self._gone = error
            self._ready.put_nowait(error)
        except Exception as error:  # noqa: BLE001 - it is raised where the chunks are asked for
            self._ready.put_nowait(error)
        else:
            self._ready.put_nowait(None)

    async def _read(self) -> None:
        part = asyncio.ensure_future(_next_part(self._body))
        try:
            while True:
                await asyncio.wait({part}, timeout=IDLE_SECONDS if self._lines else None)
                if not part.done():
                    await self._pass_on()
                    continue
                try:
                    data = part.result()
                except DisconnectedError:
                    raise
                except MalformedBodyError:
                    # the lines before are whole; the one that breaks off is not
                    await self._pass_on()
                    raise
                if data is None:
                    break
                for start in range(0, len(data), _PIECE):
                    await self._add(self._reader.feed(data[start : start + _PIECE]))
                part = asyncio.ensure_future(_next_part(self._body))
        finally:
            part.cancel()
        await self._add(self._reader.finish())
        await self._pass_on()

    async def _add(self, lines: list[Line]) -> None:
        for line in lines:
            self._lines.append(line)
            self._size += len(line.body)
            if len(self._lines) >= CHUNK_LINES or self._size >= CHUNK_BYTES:
                await self._pass_on()

    async def _pass_on(self) -> None:
        """Read the lines so far at the door, and wait until they are wanted."""
        if not self._lines:
            return
        lines, self._lines, self._size = self._lines, [], 0
        read = Lines(lines)
        # odd lines are read the slow way: other requests must get their turns meanwhile
        message = await asyncio.to_thread(read.message) if read.heavy else read.message()
        incoming = await self._ingest.read(message, principal=self._principal)
        await self._turn.acquire()
        taking = asyncio.create_task(_as_task(self._take(incoming)))
        self._under_way.add(taking)
        self.asked_lines = lines[-1].number
        indexes = [line.number - 1 for line in lines]
        self._ready.put_nowait(_Chunk(taking, indexes, lines[-1].number))


class BulkStream:
    """A stream on its way in.

    Attributes:
        durable_lines: All lines up to this one, from 1, have an outcome that is stored.
    """

    def __init__(
        self, reading: _Reading, *, minimal: bool, at_end: Callable[[], None] | None = None
    ) -> None:
        self._reading = reading
        self._at_end = at_end
        self._minimal = minimal
        self.durable_lines = 0

    async def run(self, emit: Emit) -> None:
        """Take in the whole stream.

        Args:
            emit: Is given the answer of each chunk, a line of JSON with its end; at least one. The
                index of an event is its line's number, less one.

        Raises:
            DomainError, asyncpg.PostgresError, OSError: It ends here; `whereabouts` says where.
        """
        ahead = asyncio.create_task(self._reading.run())
        try:
            first = True
            while (chunk := await self._reading.next_chunk()) is not None:
                taken = await chunk.taking
                self._reading.done(chunk)
                self.durable_lines = chunk.last_line
                answer = taken.answer(minimal=self._minimal, indexes=chunk.indexes)
                await emit(answer + b"\n")
                first = False
            if first:
                await emit(_NOTHING)
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
            await self._reading.stop()
            if self._at_end is not None:
                self._at_end()

    def whereabouts(self) -> str:
        """Say what is stored of a stream that broke off, and what to do about the rest."""
        stored, asked = self.durable_lines, self._reading.asked_lines
        said = f"Lines up to {stored} are stored" if stored else "No line is known to be stored"
        if asked > stored:
            said += f"; of lines {stored + 1} to {asked} it is not known"
        return (
            f"{said}; nothing behind is. Send again from line {stored + 1}, or all of it: what is "
            "stored already comes back as duplicate."
        )


async def _as_task(taking: Awaitable[Taken]) -> Taken:
    return await taking


async def _next_part(body: AsyncIterator[bytes]) -> bytes | None:
    return await anext(body, None)


_NOTHING: Final = Taken([], [], {}).answer() + b"\n"
"""The answer to a stream without a line."""
