"""Answers that begin before the request has ended: a line for each chunk of a stream.

Nothing is sent before the first chunk is decided, so that until then a failure is an ordinary
problem with its status. Later the status is told; then the last line is the problem. An answer
that just stops, without the end that HTTP knows, was cut.
"""

import asyncio
import tempfile
from collections.abc import Mapping
from typing import Final

import structlog
from fastapi import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from app import problems
from app.services.bulk import BulkStream, DisconnectedError

MEDIA_TYPE: Final = "application/x-ndjson"

_IN_MEMORY: Final = 1024 * 1024
_AT_MOST: Final = 512 * 1024 * 1024
"""Bytes of answers that wait for a caller who doesn't read them; then the stream waits, too."""

_PIECE: Final = 65_536

log = structlog.stdlib.get_logger(__name__)


class Spool:
    """Answers on their way to a caller who may read them late, or only once it has sent all.

    Most HTTP clients first send, then read: a service that waited for its answers to be read
    would wait forever. Little is held in memory, the rest lies in a temporary file.
    """

    def __init__(self, *, in_memory: int = _IN_MEMORY, at_most: int = _AT_MOST) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=in_memory)  # noqa: SIM115 - `close`
        self._at_most = at_most
        self._written = self._given = 0
        self._ended = False
        self._error: Exception | None = None
        self._changed = asyncio.Condition()

    async def write(self, data: bytes) -> None:
        """Add to the end; waits while too much lies there unread."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._written - self._given < self._at_most)
            self._file.seek(self._written)
            self._file.write(data)
            self._written += len(data)
            self._changed.notify_all()

    async def end(self, error: Exception | None = None) -> None:
        """Say that nothing more comes, because of an error where there is one."""
        async with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    async def read(self) -> bytes:
        """Give what comes next, b"" at the end.

        Raises:
            Exception: That which it ended with.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._ended or self._given < self._written)
            if self._given == self._written:
                if self._error is not None:
                    raise self._error
                return b""
            self._file.seek(self._given)
            data = self._file.read(_PIECE)
            self._given += len(data)
            if self._given == self._written:
                # all of it was read: begin anew, in memory or at the start of the file
                self._file.seek(0)
                self._file.truncate()
                self._written = self._given = 0
            self._changed.notify_all()
            return data

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class StreamedAnswer(Response):
    """Runs a stream and answers a line for each of its chunks."""

    def __init__(self, stream: BulkStream, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status_code=status, media_type=MEDIA_TYPE, headers=headers)
        del self.headers["content-length"]
        self._stream = stream
        self._spool = Spool()
        self._first = b""
        self._running = asyncio.create_task(self._run())

    @classmethod
    async def begun(
        cls, stream: BulkStream, *, status: int, headers: Mapping[str, str]
    ) -> "StreamedAnswer":
        """Begin a stream; gives its answer as soon as the first chunk is decided.

        Raises:
            Exception: What the stream ended with before any chunk was decided.
        """
        answer = cls(stream, status, headers)
        try:
            answer._first = await answer._spool.read()
        except BaseException:
            await answer._let_go()
            raise
        return answer

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            data = self._first
            while data:
                await send({"type": "http.response.body", "body": data, "more_body": True})
                data = await self._spool.read()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await self._let_go()

    async def _run(self) -> None:
        begun = False

        async def emit(answer: bytes) -> None:
            nonlocal begun
            await self._spool.write(answer)
            begun = True

        try:
            await self._stream.run(emit)
        except Exception as error:  # noqa: BLE001 - the caller hears of it, whatever it is
            if not begun:
                await self._spool.end(error)
                return
            if isinstance(error, DisconnectedError):
                log.info("the caller of a stream went away", lines=self._stream.durable_lines)
            await self._spool.write(
                problems.last_line(
                    error,
                    durable_lines=self._stream.durable_lines,
                    advice=self._stream.whereabouts(),
                )
            )
        await self._spool.end()

    async def _let_go(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        self._spool.close()
