"""Runs migrations on the connection that `app.db.migrations` hands over, or on a database URL."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, text

from app.db.engine import create_engine
from app.db.tables import metadata


def run(connection: Connection) -> None:
    """Run what was asked for in one transaction; wait for no lock longer than 10 seconds."""
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        connection.execute(text("SET LOCAL lock_timeout = '10s'"))
        context.run_migrations()


async def run_on_url(url: str) -> None:
    """Run on a connection of our own: that is the `alembic` command of a developer."""
    engine = create_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()


given: Connection | None = context.config.attributes.get("connection")
if given is None:
    asyncio.run(run_on_url(os.environ["SERVICELANE_DATABASE_URL"]))
else:
    run(given)
