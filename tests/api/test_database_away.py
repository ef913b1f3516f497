"""While the database is away every caller gets a clear 503, and afterwards all is well (J19)."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import orjson
import pytest
from pydantic import SecretStr

from app.db.engine import Pool
from app.factory import Factory
from app.settings import Settings
from tests.support.facts import opened
from tests.support.logs import check_store
from tests.support.posting import add_store
from tests.support.proxy import Wire, wired

REQUESTS = (
    ("POST", "/v1/events"),
    ("GET", "/v1/stores"),
    ("GET", "/v1/stores/S1/repair-orders"),
    ("GET", "/v1/stores/S1/customers/C1"),
    ("GET", "/v1/quarantine"),
    ("PUT", "/v1/stores/S2"),
    ("POST", "/v1/stores/S1/complaints"),
)
BODIES = {
    "/v1/events": opened("R1"),
    "/v1/stores/S2": {"name": "S2"},
    "/v1/stores/S1/complaints": {"channel": "phone", "text": "x"},
}


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[Wire]:
    async with wired(database_url) as laid:
        yield laid


@pytest.fixture
def settings(wire: Wire) -> Settings:
    return Settings(database_url=SecretStr(wire.url), key_cache_seconds=60)


async def test_j19_503_with_retry_after_and_then_it_works_again(
    wire: Wire, factory: Factory, client: httpx.AsyncClient, pool: Pool
) -> None:
    await add_store(factory)
    assert (await client.get("/v1/stores")).status_code == 200
    await wire.cut()
    for _ in range(2):
        for method, path in REQUESTS:
            response = await asyncio.wait_for(
                client.request(method, path, json=BODIES.get(path)), timeout=60
            )
            assert response.status_code == 503, (method, path, response.text)
            assert int(response.headers["Retry-After"]) > 0
            problem = response.json()
            assert problem["type"].endswith(":unavailable")
            assert response.headers["Content-Type"] == "application/problem+json"
            assert "postgres" not in response.text.lower(), "nothing of the inside is told"
    assert (await client.get("/healthz")).status_code == 200, "the process itself is alive"
    assert (await client.get("/readyz")).status_code == 503
    await wire.mend()
    for method, path in REQUESTS:
        response = await client.request(method, path, json=BODIES.get(path))
        assert response.status_code in {200, 201, 202, 404}, (method, path, response.text)
    assert (await client.get("/readyz")).status_code == 200
    assert len(await check_store(pool)) == 2


async def test_a_request_that_is_given_up_midway_leaves_nothing_behind(
    factory: Factory, client: httpx.AsyncClient, pool: Pool
) -> None:
    await add_store(factory)
    tasks = [
        asyncio.create_task(
            client.post(
                "/v1/events",
                content=orjson.dumps([opened(f"R{n}-{k}", event_id=f"{n}-{k}") for k in range(3)]),
            )
        )
        for n in range(24)
    ]
    for number, task in enumerate(tasks):
        await asyncio.sleep(0.002)
        if number % 2:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (await client.post("/v1/events", json=opened("after"))).status_code == 202
    log = await check_store(pool)
    ids = {event.id for event in log}
    for n in range(24):
        there = [f"{n}-{k}" in ids for k in range(3)]
        assert there in ([True] * 3, [False] * 3)
        assert n % 2 or all(there)
