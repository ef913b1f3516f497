"""A process that fans out and delivers like a worker of the service, to be killed by a test."""

import asyncio
import sys
from ipaddress import ip_network

from app.db.engine import open_database
from app.db.webhooks import WebhookRepository
from app.services.http_out import HttpOut
from app.services.webhook_delivery import WebhookDispatcher


async def work(database_url: str) -> None:
    """Tick for ever."""
    async with open_database(database_url) as database:
        worker = WebhookDispatcher(
            WebhookRepository(database.read),
            database.read,
            HttpOut(timeout_seconds=60, allowed_networks=[ip_network("127.0.0.0/8")]),
        )
        while True:
            await worker.tick()
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
