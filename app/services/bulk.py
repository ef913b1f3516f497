"""Bulk: lines of events without end, taken in chunk by chunk, each durable before it is answered.

One task reads ahead: it cuts the stream into lines and reads the next chunks at the door while the
chunk before is being written. A chunk is handed to the appender only when the one before is
durable, so what is stored is always all of the lines up to one. Only a few chunks are ever held.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from app.domain.access import Principal
from app.domain.errors import MalformedBodyError
from app.domain.events.ndjson import Lines
from app.domain.lines import Line, LineReader
from app.services.incoming import Incoming
from app.services.ingest import IngestService
from app.services.taken import Taken
from app.services.trial import Earlier

CHUNK_LINES: Final = 1_000
"""Lines after which a chunk is written."""

CHUNK_BYTES: Final = 2 * 1024 * 1024
"""Bytes after which a chunk of fewer lines is written; it has at most one line more."""

AHEAD: Final = 1
"""Chunks that wait, read, for the one before; another is being read meanwhile."""

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
        reading = _Reading(self._ingest, body, principal, self._max_line_bytes)
        return BulkStream(reading, self._ingest.take, minimal=minimal)

    def validate(
        self, body: AsyncIterator[bytes], *, principal: Principal, minimal: bool = False
    ) -> "BulkStream":
        """Make a stream that answers what would become of each event, and stores nothing."""
        earlier = Earlier()

        async def try_out(incoming: Incoming) -> Taken:
            return await self._ingest.try_out(incoming, earlier)

        reading = _Reading(self._ingest, body, principal, self._max_line_bytes)
        return BulkStream(reading, try_out, minimal=minimal)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Lines that were read at the door, and where they stand in the stream."""

    incoming: Incoming
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
    ) -> None:
        self._ingest = ingest
        self._body = body
        self._principal = principal
        self._reader = LineReader(limit=max_line_bytes)
        self._lines: list[Line] = []
        self._size = 0
        self._ready: asyncio.Queue[_Chunk | Exception | None] = asyncio.Queue(AHEAD)
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

    async def run(self) -> None:
        """Read until the end of the stream; what goes wrong is told by `next_chunk`."""
        try:
            await self._read()
        except DisconnectedError as error:
            self._gone = error
            with suppress(asyncio.QueueFull):
                self._ready.put_nowait(error)
        except Exception as error:  # noqa: BLE001 - it is raised where the chunks are asked for
            await self._ready.put(error)
        else:
            await self._ready.put(None)

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
        indexes = [line.number - 1 for line in lines]
        await self._ready.put(_Chunk(incoming, indexes, lines[-1].number))


class BulkStream:
    """A stream on its way in.

    Attributes:
        durable_lines: All lines up to this one, from 1, have an outcome that is stored.
        asked_lines: Of the lines behind those, up to this one, it isn't known while the stream
            stands still; the lines behind this one are not stored.
    """

    def __init__(
        self,
        reading: _Reading,
        take: Callable[[Incoming], Awaitable[Taken]],
        *,
        minimal: bool,
    ) -> None:
        self._reading = reading
        self._take = take
        self._minimal = minimal
        self.durable_lines = 0
        self.asked_lines = 0

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
                self.asked_lines = chunk.last_line
                taken = await self._take(chunk.incoming)
                self.durable_lines = chunk.last_line
                answer = taken.answer(minimal=self._minimal, indexes=chunk.indexes)
                await emit(answer + b"\n")
                first = False
            if first:
                await emit(_NOTHING)
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    def whereabouts(self) -> str:
        """Say what is stored of a stream that broke off, and what to do about the rest."""
        stored, asked = self.durable_lines, self.asked_lines
        said = f"Lines up to {stored} are stored" if stored else "No line is known to be stored"
        if asked > stored:
            said += f"; of lines {stored + 1} to {asked} it is not known"
        return (
            f"{said}; nothing behind is. Send again from line {stored + 1}, or all of it: what is "
            "stored already comes back as duplicate."
        )


async def _next_part(body: AsyncIterator[bytes]) -> bytes | None:
    return await anext(body, None)


_NOTHING: Final = Taken([], [], {}).answer() + b"\n"
"""The answer to a stream without a line."""
