"""A wire between the service and its database that tests can cut, and mend again."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

from tests.support.ports import reserved_port

PORT = 5432
_TURNS = 10


class Wire:
    """Carries every connection to the database.

    Attributes:
        url: What the service is to connect to.
    """

    def __init__(self, database_url: str, port: int) -> None:
        self._parts = urlsplit(database_url)
        self._port = port
        self._pairs: set[tuple[StreamWriter, ...]] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._deaf = False
        self._open = False

    @property
    def url(self) -> str:
        parts = self._parts
        user = parts.netloc.rpartition("@")[0]
        return parts._replace(
            netloc=f"{user}@127.0.0.1:{self._port}" if user else f"127.0.0.1:{self._port}",
            query="sslmode=disable",
        ).geturl()

    async def mend(self) -> None:
        """Take connections (again)."""
        self._deaf = False
        self._open = True
        self._server = await asyncio.start_server(
            self._carry, "127.0.0.1", self._port, start_serving=False
        )
        await self._server.start_serving()

    async def cut(self) -> None:
        """Break all connections and take no new ones."""
        self._open = False
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for pair in list(self._pairs):
            for writer in pair:
                writer.transport.abort()
        for _ in range(_TURNS):
            await asyncio.sleep(0.001)  # what was accepted just now comes to `_carry` yet
        while self._carrying:
            await asyncio.sleep(0.001)
        if server is not None:
            await server.wait_closed()

    def lose_answers(self) -> None:
        """Break each connection at the next thing that the database says; it has done it then."""
        self._deaf = True

    async def _carry(self, reader: StreamReader, writer: StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        pair: tuple[StreamWriter, ...] = (writer,)
        try:
            upstream = await self._connect()
            pair = writer, upstream[1]
            self._pairs.add(pair)
            if self._server is not None:
                await asyncio.gather(
                    self._copy(reader, upstream[1]), self._copy(upstream[0], writer, answers=True)
                )
        finally:
            for end in pair:
                end.transport.abort()
            self._pairs.discard(pair)
            self._carrying.discard(task)

    async def _connect(self) -> tuple[StreamReader, StreamWriter]:
        options = parse_qs(self._parts.query)
        if "host" in options:
            port = options.get("port", [str(PORT)])[0]
            return await asyncio.open_unix_connection(f"{options['host'][0]}/.s.PGSQL.{port}")
        return await asyncio.open_connection(self._parts.hostname, self._parts.port or PORT)

    async def _copy(
        self, source: StreamReader, target: StreamWriter, *, answers: bool = False
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                if answers and self._deaf:
                    break
                target.write(data)
                await target.drain()
        target.transport.abort()


@asynccontextmanager
async def wired(database_url: str) -> AsyncIterator[Wire]:
    """Lay a wire to a database."""
    with reserved_port() as port:  # nobody else may take it while the wire is cut
        wire = Wire(database_url, port)
        await wire.mend()
        try:
            yield wire
        finally:
            await wire.cut()
