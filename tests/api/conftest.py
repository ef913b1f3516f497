"""The application on a database of the test's own, and clients with and without keys."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Protocol

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.domain.access import ALL_SCOPES, Scope
from app.factory import Factory
from app.services.time_source import MovableTimeSource
from app.settings import PREFIX, Settings
from tests.support.apps import make_app

NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
"""Where the time of each test begins: 10:00 in Shanghai."""

Issue = Callable[..., Awaitable[str]]


class Connect(Protocol):
    """Makes a client of the application."""

    async def __call__(
        self, token: str | None = None, *, peer: str = "127.0.0.1", host: str = "127.0.0.1"
    ) -> httpx.AsyncClient: ...


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(PREFIX) and not name.startswith(f"{PREFIX}TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=SecretStr(database_url), key_cache_seconds=0)


@pytest.fixture
def time_source() -> MovableTimeSource:
    return MovableTimeSource(NOW)


@pytest.fixture
async def app(settings: Settings, time_source: MovableTimeSource) -> AsyncIterator[FastAPI]:
    made = make_app(settings, time_source=time_source)
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
def factory(app: FastAPI) -> Factory:
    made: Factory = app.state.factory
    return made


@pytest.fixture
async def connect(app: FastAPI) -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        async def make(
            token: str | None = None, *, peer: str = "127.0.0.1", host: str = "127.0.0.1"
        ) -> httpx.AsyncClient:
            return await stack.enter_async_context(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(app, client=(peer, 50_000)),
                    base_url=f"http://{host}",
                    headers={} if token is None else {"Authorization": f"Bearer {token}"},
                )
            )

        yield make


@pytest.fixture
def issue(factory: Factory) -> Issue:
    """Issue a key and return its text."""

    async def make(*scopes: Scope, stores: list[str] | None = None) -> str:
        issued = await factory.access.issue(
            name="test", scopes=scopes or ALL_SCOPES, stores=stores
        )
        return issued.token

    return make


@pytest.fixture
async def client(connect: Connect, issue: Issue) -> httpx.AsyncClient:
    """A client that may do everything, in every store."""
    return await connect(await issue())
