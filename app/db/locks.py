"""Advisory locks: one process at a time, over all that use a database."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


def lock_key(name: str) -> int:
    """The number of a named lock: 64 bits of its hash, the same in every process."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


@asynccontextmanager
async def advisory_lock(url: str, name: str) -> AsyncIterator[None]:
    """Hold a named lock on a connection of its own, waiting for it as long as it takes.

    The database gives it back when the connection ends, so a kill -9 leaves none behind.
    """
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", lock_key(name))
        yield
    finally:
        await connection.close()
