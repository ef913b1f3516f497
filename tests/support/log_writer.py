"""A process that appends like one of the service; tests start several, and kill them.

`python -m tests.support.log_writer <database URL> <name> <stores> <posts>`: posts that many
batches to each of the stores (comma-separated), eight at a time, and prints a line
`<store> <seq> <id>` for each event once it was answered.
"""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import SecretStr

from app.factory import Factory, open_factory
from app.services.time_source import MovableTimeSource
from app.settings import Settings
from tests.support.facts import delivered, opened
from tests.support.posting import post

AT_ONCE = 8


async def write(factory: Factory, name: str, stores: Sequence[str], posts: int) -> None:
    """Let cars come and go, each in a batch of two events."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(store_id: str, number: int) -> None:
        ro_number = f"{name}-{number}"
        batch = [
            opened(ro_number, store=store_id, event_id=f"{name}-{number}-opened"),
            delivered(ro_number, store=store_id, event_id=f"{name}-{number}-delivered"),
        ]
        async with gate:
            answer = await post(factory, *batch)
        for result in answer["results"]:
            print(result["store"], result["seq"], result["id"], flush=True)

    async with asyncio.TaskGroup() as group:
        for number in range(posts):
            for store_id in stores:
                group.create_task(one(store_id, number))


async def main(database_url: str, name: str, stores: str, posts: str) -> None:
    """Open the service as a process of its own would, and write."""
    settings = Settings(database_url=SecretStr(database_url))
    time_source = MovableTimeSource(datetime(2026, 6, 2, 2, tzinfo=UTC))
    async with open_factory(settings, time_source=time_source) as factory:
        print("ready", flush=True)
        await write(factory, name, stores.split(","), int(posts))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
