"""A process that watches an inbox, for tests that kill it: `inbox_worker.py URL FOLDER PLACE`.

It stops dead at a place (`imported`: when some of the file is in; `moved`: when all is, before the
file is moved), says so in a line, and waits to be killed.
"""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr

from app.factory import open_factory
from app.settings import Settings
from tests.support.inbox import watch

LEASE = timedelta(seconds=2)


async def main(url: str, folder: Path, place: str) -> None:
    async with open_factory(Settings(database_url=SecretStr(url))) as factory:
        take = factory.ingest.take
        chunks = 0

        async def stop() -> None:
            print(place, flush=True)
            await asyncio.Event().wait()

        async def take_some(incoming: Any, turns: Any = None) -> Any:
            nonlocal chunks
            taken = await take(incoming, turns)
            chunks += 1
            if place == "imported" and chunks == 2:
                await stop()
            return taken

        async def move(*_: Any) -> Any:
            await stop()

        factory.ingest.take = take_some  # type: ignore[method-assign]
        watching = watch(factory, folder, lease=LEASE)
        if place == "moved":
            watching._move = move  # type: ignore[assignment,method-assign]
        await watching.tick()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
