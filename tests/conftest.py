"""Databases for tests: one server per run, one migrated template, a clone for each test.

The server is the embedded one, in a temporary folder of its own, unless
SERVICELANE_TEST_DATABASE_URL names a server whose user may create databases.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
import structlog
from hypothesis import HealthCheck, settings

from app.db import embedded, migrations
from app.db.engine import Connection, Database, Pool, open_database

# how long an example takes tells of the machine; in CI all runs try the same ones
settings.register_profile(
    "patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

# as the service logs: the rich form of a traceback takes seconds
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)

MEMORY = Path("/dev/shm")
ENOUGH = 2**30

# a test's database is thrown away: it need not survive a power cut
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database-only",
        action="store_true",
        help="leave out the tests that do without a database, or bring one of their own",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--database-only"):
        others = [item for item in items if "server_url" not in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The URL of a maintenance database of the server that the tests use."""
    given = os.environ.get("SERVICELANE_TEST_DATABASE_URL")
    if given:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="servicelane-tests-", dir=_parent()))
    folder.chmod(0o711)  # as root, the server runs as another user
    try:
        with embedded.start(folder, options=FAST) as server:
            yield server.url("postgres")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def template(server_url: str) -> AsyncIterator[str]:
    """The name of a migrated, empty database to clone."""
    async with _new_database(server_url) as name:
        await migrations.upgrade(_with_database(server_url, name))
        yield name


@pytest.fixture
async def database_url(server_url: str, template: str) -> AsyncIterator[str]:
    """The URL of a migrated, empty database of the test's own, for its owner."""
    async with _new_database(server_url, template) as name:
        yield _with_database(server_url, name)


@pytest.fixture
async def empty_database_url(server_url: str) -> AsyncIterator[str]:
    """The URL of a database that was never migrated."""
    async with _new_database(server_url) as name:
        yield _with_database(server_url, name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The test's database as the service opens it, in the serving role."""
    async with open_database(database_url) as opened:
        yield opened


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Up to 10 connections to the test's database, as its owner."""
    async with asyncpg.create_pool(database_url, min_size=1, max_size=10) as opened:
        yield opened


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    """One connection to the test's database, as its owner."""
    opened = await asyncpg.connect(database_url)
    try:
        yield opened
    finally:
        await opened.close()


def _parent() -> Path | None:
    """Memory, where there is plenty: a clone is 300 files, and disks take their time with them."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
        return MEMORY if shutil.disk_usage(MEMORY).free > ENOUGH else None
    return None


@asynccontextmanager
async def _new_database(server_url: str, template: str = "template1") -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    server = await asyncpg.connect(server_url)
    try:
        # copying files takes a fraction of the time that copying through the WAL takes
        await server.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield name
        finally:
            await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await server.close()


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
