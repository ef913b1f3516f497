"""The service without HTTP, on a database of the test's own."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from app.factory import Factory, open_factory
from app.services.time_source import MovableTimeSource
from app.settings import Settings
from tests.support.posting import add_store

NOW = datetime(2026, 6, 2, 2, 0, tzinfo=UTC)
"""Where the time of each test begins: 10:00 in Shanghai."""


@pytest.fixture
def time_source() -> MovableTimeSource:
    return MovableTimeSource(NOW)


@pytest.fixture
async def factory(database_url: str, time_source: MovableTimeSource) -> AsyncIterator[Factory]:
    """A process of the service, with one store, S1."""
    settings = Settings(database_url=SecretStr(database_url))
    async with open_factory(settings, time_source=time_source) as opened:
        await add_store(opened)
        yield opened
