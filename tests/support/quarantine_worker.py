"""A process that does runs over the quarantine; tests start several, and kill them.

`python -m tests.support.quarantine_worker <database URL> <items in a part>`: says `ready`, waits
for a line, does what runs there are, and prints a line `<accepted> <waiting>` after each part and
`done` at the end.
"""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from pydantic import SecretStr

from app.domain.quarantine import QuarantinedItem
from app.domain.quarantine_runs import QuarantineRun
from app.factory import open_factory
from app.services import quarantine_runs
from app.services.earlier import Earlier
from app.services.time_source import MovableTimeSource
from app.settings import Settings


async def main(database_url: str, part: int) -> None:
    """Open the service as a process of its own would, and do the runs."""
    settings = Settings(database_url=SecretStr(database_url))
    time_source = MovableTimeSource(datetime(2026, 6, 2, 2, tzinfo=UTC))
    quarantine_runs.PART = part  # type: ignore[misc]  # small parts, to be killed in between
    async with open_factory(settings, time_source=time_source) as factory:
        service = factory.quarantine_runs
        handle = service._handle

        async def told(
            run: QuarantineRun, items: Sequence[QuarantinedItem], earlier: Earlier
        ) -> QuarantineRun | None:
            handled = await handle(run, items, earlier)
            if handled is not None:
                print(handled.accepted, sum(handled.waiting.values()), flush=True)
            return handled

        service._handle = told  # type: ignore[method-assign]  # it only tells
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await service.tick()
        print("done", flush=True)


if __name__ == "__main__":
    # what goes wrong is told beside the answers, which nobody reads while they wait for the end
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
