"""Who is let in: keys, their scopes and stores, the setup token, and the open door on loopback."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.db.engine import Pool
from app.domain.access import ALL_SCOPES, Scope
from app.domain.errors import InvalidInputError
from app.factory import Factory
from app.main import create_app
from app.settings import Settings
from tests.api.conftest import Connect, Issue

STORE = {"name": "一店", "time_zone": "Asia/Shanghai", "currency": "CNY", "locale": "zh-CN"}
SETUP_TOKEN = "a-token-for-setting-up"
PROBLEM = "urn:servicelane:problem:"


async def test_without_any_key_whoever_is_on_this_machine_may_do_everything(
    connect: Connect,
) -> None:
    for peer, host in (("127.0.0.1", "localhost:8000"), ("::1", "[::1]:8000")):
        local = await connect(peer=peer, host=host)
        assert (await local.put("/v1/stores/SH01", json=STORE)).status_code in {200, 201}


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("192.0.2.7", "127.0.0.1"),
        ("127.0.0.1", "rebound.example"),
        ("127.0.0.1", "localhost.example:8000"),
    ],
)
async def test_without_any_key_others_are_refused(connect: Connect, peer: str, host: str) -> None:
    other = await connect(peer=peer, host=host)
    answer = await other.get("/v1/stores")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["type"] == PROBLEM + "unauthenticated"


@pytest.mark.parametrize(
    "header",
    [
        {"Origin": "https://page.example"},
        {"Origin": "null"},
        {"X-Forwarded-For": "192.0.2.7"},
        {"Forwarded": "for=192.0.2.7"},
    ],
)
async def test_without_any_key_foreign_pages_and_proxies_are_refused(
    connect: Connect, header: dict[str, str]
) -> None:
    local = await connect()
    assert (await local.get("/v1/stores", headers=header)).status_code == 401


async def test_without_any_key_a_page_of_this_machine_is_let_in(connect: Connect) -> None:
    local = await connect()
    answer = await local.get("/v1/stores", headers={"Origin": "http://localhost:3000"})
    assert answer.status_code == 200


async def test_the_first_key_closes_the_door_and_revoking_it_does_not_open_it(
    connect: Connect, issue: Issue, factory: Factory
) -> None:
    local = await connect()
    assert (await local.get("/v1/stores")).status_code == 200
    await issue(Scope.STORES_READ)
    assert (await local.get("/v1/stores")).status_code == 401
    (key,) = await factory.access.list_all()
    await factory.access.revoke(key_id=key.key_id)
    assert (await local.get("/v1/stores")).status_code == 401


async def test_a_key_opens_what_its_scopes_name(connect: Connect, issue: Issue) -> None:
    reader = await connect(await issue(Scope.STORES_READ), peer="192.0.2.7", host="desk.example")
    assert (await reader.get("/v1/stores")).status_code == 200
    answer = await reader.put("/v1/stores/SH01", json=STORE)
    assert answer.status_code == 403
    assert answer.json()["type"] == PROBLEM + "forbidden"
    assert "stores:write" in answer.json()["detail"]


async def test_a_key_gets_no_scope_that_came_after_it_until_somebody_gives_it(
    connect: Connect, issue: Issue, factory: Factory, pool: Pool
) -> None:
    """What `--all-scopes` gave was all of its version; the list of names is what counts."""
    everything = await connect(await issue())
    assert (await everything.get("/metrics")).status_code == 200
    newer = "later:write"  # a scope of a version to come, that this key was given there
    await pool.execute(
        "UPDATE access_key SET scopes = array_remove(scopes, $1) || $2::text",
        Scope.METRICS_READ,
        newer,
    )
    (key,) = await factory.access.list_all()
    assert key.missing == {Scope.METRICS_READ}
    assert key.scopes == ALL_SCOPES - {Scope.METRICS_READ}
    refused = await everything.get("/metrics")
    assert (refused.status_code, "metrics:read" in refused.json()["detail"]) == (403, True)
    assert (await everything.get("/v1/stores")).status_code == 200
    widened = await factory.access.widen(key_id=key.key_id, scopes=[Scope.METRICS_READ])
    assert not widened.missing
    assert (await everything.get("/metrics")).status_code == 200
    assert newer in await pool.fetchval("SELECT scopes FROM access_key")
    with pytest.raises(InvalidInputError):
        await factory.access.widen(key_id=key.key_id, scopes=[])


async def test_a_bound_key_opens_its_stores_only(
    client: httpx.AsyncClient, connect: Connect, issue: Issue
) -> None:
    for store in ("SH01", "SH02"):
        await client.put(f"/v1/stores/{store}", json=STORE)
    bound = await connect(await issue(Scope.STORES_READ, stores=["SH02"]))
    assert (await bound.get("/v1/stores/SH02")).status_code == 200
    assert (await bound.get("/v1/stores/SH01")).status_code == 403
    listed = (await bound.get("/v1/stores")).json()["items"]
    assert [store["store_id"] for store in listed] == ["SH02"]


async def test_a_revoked_key_opens_nothing(
    connect: Connect, issue: Issue, factory: Factory
) -> None:
    once = await connect(await issue(Scope.STORES_READ))
    assert (await once.get("/v1/stores")).status_code == 200
    (key,) = await factory.access.list_all()
    assert key.last_used_at is not None
    await factory.access.revoke(key_id=key.key_id)
    assert (await once.get("/v1/stores")).status_code == 401


@pytest.mark.parametrize(
    "authorization", ["Bearer sl_nothing", "Bearer sl_" + "0" * 43, "Bearer ", "Basic YTpi"]
)
async def test_a_wrong_key_is_refused_though_the_door_is_open(
    connect: Connect, authorization: str
) -> None:
    local = await connect()
    answer = await local.get("/v1/stores", headers={"Authorization": authorization})
    assert answer.status_code == 401


class TestSetupToken:
    @pytest.fixture
    def settings(self, database_url: str) -> Settings:
        return Settings(database_url=SecretStr(database_url), setup_token=SecretStr(SETUP_TOKEN))

    async def test_it_has_every_right_from_everywhere(self, connect: Connect) -> None:
        setup = await connect(SETUP_TOKEN, peer="192.0.2.7", host="desk.example")
        assert (await setup.put("/v1/stores/SH01", json=STORE)).status_code == 201

    async def test_it_closes_the_open_door(self, connect: Connect) -> None:
        local = await connect()
        assert (await local.get("/v1/stores")).status_code == 401

    async def test_another_token_is_none(self, connect: Connect) -> None:
        other = await connect(SETUP_TOKEN + "x")
        assert (await other.get("/v1/stores")).status_code == 401


class TestCors:
    @pytest.fixture
    async def app(self, settings: Settings) -> AsyncIterator[FastAPI]:
        made = create_app(
            settings.model_copy(update={"cors_origins": ("https://front.example",)}),
            ticking=False,
        )
        async with made.router.lifespan_context(made):
            yield made

    async def test_a_page_of_a_named_origin_may_ask_and_read_errors(
        self, connect: Connect
    ) -> None:
        browser = await connect()
        preflight = await browser.options(
            "/v1/stores/SH01",
            headers={
                "Origin": "https://front.example",
                "Access-Control-Request-Method": "PUT",
                "Access-Control-Request-Headers": "authorization,content-type",
            },
        )
        assert preflight.headers["access-control-allow-origin"] == "https://front.example"
        refused = await browser.get("/v1/stores", headers={"Origin": "https://front.example"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://front.example"
        assert "X-Request-Id" in refused.headers["access-control-expose-headers"]
