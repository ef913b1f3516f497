"""What is said of the process itself: health, documentation, what every answer carries."""

import re

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from app.settings import Settings
from tests.api.conftest import Connect


async def test_liveness_and_readiness_need_no_key(connect: Connect) -> None:
    anyone = await connect(peer="192.0.2.7", host="desk.example")
    alive = (await anyone.get("/healthz")).json()
    assert (alive["status"], alive["sandbox"]) == ("ok", False)
    ready = await anyone.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


async def test_an_instance_on_another_schema_is_not_ready(
    connect: Connect, database_url: str
) -> None:
    owner = await asyncpg.connect(database_url)
    await owner.execute("UPDATE alembic_version SET version_num = 'other'")
    await owner.close()
    answer = await (await connect()).get("/readyz")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "other" in answer.json()["detail"]


class TestSandbox:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"sandbox": True})

    async def test_healthz_tells_that_the_time_can_be_moved(self, connect: Connect) -> None:
        assert (await (await connect()).get("/healthz")).json()["sandbox"] is True


async def test_the_documentation_loads_nothing_from_elsewhere(connect: Connect) -> None:
    anyone = await connect(peer="192.0.2.7", host="desk.example")
    page = await anyone.get("/docs")
    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert [url for url in loaded if not url.startswith(("/docs/assets/", "data:"))] == []
    assert "http" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    nonce = re.search(r"'nonce-([^']+)'", policy)
    assert nonce is not None
    assert f'<script nonce="{nonce[1]}">' in page.text
    for url in loaded:
        if url.startswith("/"):
            asset = await anyone.get(url)
            assert asset.status_code == 200
            assert len(asset.content) > 10_000
    assert (await anyone.get("/docs/assets/../core.py")).status_code == 404
    assert (await anyone.get("/docs/assets/redoc.standalone.js")).status_code == 422
    assert (await anyone.get("/redoc")).status_code == 404


async def test_below_a_proxy_the_documentation_finds_its_files(app: FastAPI) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, root_path="/desk"), base_url="http://localhost"
    ) as browser:
        page = await browser.get("/desk/docs")
        assert 'src="/desk/docs/assets/swagger-ui-bundle.js"' in page.text
        assert 'url: "/desk/openapi.json"' in page.text


async def test_every_answer_carries_the_id_of_its_request(connect: Connect) -> None:
    anyone = await connect()
    for path in ("/healthz", "/v1/stores", "/nowhere", "/docs"):
        assert (await anyone.get(path)).headers["x-request-id"]
    kept = await anyone.get("/v1/stores/NONE", headers={"X-Request-Id": "dms-4711"})
    assert kept.headers["x-request-id"] == "dms-4711"
    assert kept.json()["instance"] == "urn:servicelane:request:dms-4711"


async def test_a_text_that_no_database_holds_is_refused_wherever_it_stands(
    client: httpx.AsyncClient,
) -> None:
    store = {"name": "a", "time_zone": "Asia/Shanghai", "currency": "CNY", "locale": "zh-CN"}
    assert (await client.put("/v1/stores/SH01", json=store)).status_code == 201
    for answer in (
        await client.put("/v1/stores/SH01", json=store | {"name": "a\0b"}),
        await client.get("/v1/stores/SH01/repair-orders/a%00b"),
    ):
        assert answer.status_code == 422
        assert answer.json()["type"] == "urn:servicelane:problem:invalid-input"
