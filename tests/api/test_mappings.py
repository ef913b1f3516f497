"""Mappings over HTTP, and what their value maps do to the events of their source."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import orjson
import pytest
import yaml

from app.db.engine import Pool
from app.domain.access import Scope
from app.domain.mapping.source_mapping import Context
from app.factory import Factory, open_factory
from app.services import mappings
from app.services.mappings import shipped_mappings
from app.services.sheet_reading import open_sheet
from tests.api.conftest import Connect, Issue
from tests.support.facts import opened, settled
from tests.support.posting import add_store, outcomes, post

PATH = "/v1/mappings/dms/coded"
SOURCE = "/dms/coded"
SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.fixture(autouse=True)
async def stores(factory: Factory) -> None:
    for store_id in ("S1", "S2"):
        await add_store(factory, store_id)


def text(version: int = 1, **more: Any) -> bytes:
    values = {
        "work_type": {"保养": "regular_maintenance", "事故": "accident"},
        "waiter": {"是": True, "否": False},
    }
    document = {"source": SOURCE, "version": version, "values": values, **more}
    return yaml.safe_dump(document, allow_unicode=True).encode()


async def put(client: httpx.AsyncClient, body: bytes, path: str = PATH) -> httpx.Response:
    return await client.put(path, content=body, headers={"Content-Type": "application/yaml"})


def coded(event_id: str, number: str = "R1", **data: Any) -> dict[str, Any]:
    item = opened(number, event_id=event_id, **data)
    return {**item, "source": SOURCE}


async def test_a_mapping_is_stored_shown_and_listed(client: httpx.AsyncClient) -> None:
    stored = await put(client, text(title="门店系统"))
    assert (stored.status_code, stored.json()["version"]) == (201, 1)
    assert (await put(client, b"# the same\n" + text(title="门店系统"))).status_code == 200
    assert (await put(client, text(2), "/v1/mappings/%2Fdms%2Fcoded")).status_code == 201
    shown = (await client.get(PATH)).json()
    assert (shown["version"], shown["versions"], shown["store"]) == (2, [2, 1], None)
    first = (await client.get(PATH, params={"version": 1})).json()
    assert yaml.safe_load(first["yaml"])["title"] == "门店系统"
    listed = (await client.get("/v1/mappings")).json()
    assert [(item["source"], item["version"]) for item in listed["items"]] == [(SOURCE, 2)]
    assert (await client.get("/v1/mappings/dms/unknown")).status_code == 404
    assert (await client.get(PATH, params={"version": 3})).status_code == 404


async def test_the_mapping_that_the_document_shows_can_be_stored(
    client: httpx.AsyncClient,
) -> None:
    document = (await client.get("/openapi.json")).json()
    operation = document["paths"]["/v1/mappings/{source}"]["put"]
    path = next(each for each in operation["parameters"] if each["name"] == "source")["example"]
    shown = operation["requestBody"]["content"]["application/yaml"]["example"]
    assert (await put(client, shown.encode(), f"/v1/mappings/{path}")).status_code == 201


async def test_a_version_never_changes(client: httpx.AsyncClient) -> None:
    assert (await put(client, text(5))).status_code == 201
    changed = await put(client, text(5, title="other"))
    assert changed.status_code == 409
    assert "number 6" in changed.json()["detail"]
    older = await put(client, text(4))
    assert older.status_code == 409
    assert "Version 5 is stored" in older.json()["detail"]
    assert (await client.get(PATH)).json()["versions"] == [5]


async def test_of_writers_of_one_version_one_comes_first(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(put(client, text(1, title=f"t{n}")) for n in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]


async def test_what_is_wrong_is_told_with_line_and_pointer(client: httpx.AsyncClient) -> None:
    refused = await put(client, text(0))
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/version"]
    assert (await put(client, text(), "/v1/mappings/dms/other")).status_code == 422
    assert (await put(client, b"\xff")).status_code == 400


async def test_a_key_of_some_stores_changes_only_what_is_theirs(
    client: httpx.AsyncClient, connect: Connect, issue: Issue
) -> None:
    bound = await connect(await issue(Scope.STORES_WRITE, Scope.STORES_READ, stores=["S1"]))
    assert (await put(bound, text())).status_code == 403
    assert (await put(bound, text(store="S2"))).status_code == 403
    assert (await put(bound, text(store="S1"))).status_code == 201
    assert (await put(client, text(2, store="S2"))).status_code == 201
    assert (await put(bound, text(3, store="S1"))).status_code == 403  # it is S2's by now
    assert (await bound.get("/v1/mappings")).json()["items"] == []
    assert (await bound.get(PATH)).json()["version"] == 1


async def test_coded_values_are_read_at_the_door_and_kept_as_sent(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    before = coded("e-1", work_type="保养")
    assert await outcomes(factory, before) == ["1"]
    assert await outcomes(factory, coded("e-2", "R2", waiter="是")) == ["invalid-data"]
    await put(client, text())
    after = coded("e-3", "R3", work_type="保养", waiter="是", plate="沪A1")
    other = {**after, "id": "e-4", "source": "/dms/plain", "subject": "R4"}
    assert await outcomes(factory, after, other, before) == ["2", "invalid-data", "=1"]
    rows = await pool.fetch(
        """SELECT e.data::text AS data, p.fields::text AS aside FROM event e
             JOIN personal p USING (store_id, seq) ORDER BY seq"""
    )
    first, second = ((orjson.loads(row["data"]), orjson.loads(row["aside"])) for row in rows)
    assert (first[0]["work_type"], first[1]) == ("other", {"work_type": "保养"})
    assert (second[0]["work_type"], second[0]["waiter"]) == ("regular_maintenance", True)
    assert second[1] == {"work_type": "保养", "waiter": "是", "plate": "沪A1"}
    order = await client.get("/v1/stores/S1/repair-orders/R3")
    assert order.json()["work_type"] == "regular_maintenance"


async def test_a_later_version_lets_what_is_sent_again_be_a_duplicate(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    await put(client, text())
    sent = coded("e-1", work_type="事故")
    assert await outcomes(factory, sent) == ["1"]
    await put(client, text(2, values={"work_type": {"事故": "ordinary_repair"}}))
    assert await outcomes(factory, sent, coded("e-1", work_type="保养")) == [
        "=1",
        "identity-conflict",
    ]


async def test_every_mode_and_the_quarantine_read_by_the_maps(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    waiting = coded("e-1", waiter="是")
    assert await outcomes(factory, waiting) == ["invalid-data"]
    await put(client, text())
    (item,) = (await client.get("/v1/quarantine", params={"store": "S1"})).json()["items"]
    replayed = await client.post(f"/v1/quarantine/{item['quarantine_id']}/replay")
    assert replayed.status_code == 200, replayed.text
    assert await outcomes(factory, waiting) == ["=1"]
    binary = await client.post(
        "/v1/events",
        content=orjson.dumps({"advisor": "A1", "work_type": "保养", "waiter": "否"}),
        headers={
            "Content-Type": "application/json",
            "ce-specversion": "1.0",
            "ce-id": "e-2",
            "ce-source": SOURCE,
            "ce-type": "repair_order.opened",
            "ce-store": "S1",
            "ce-subject": "R2",
            "ce-time": "2026-06-01T09:00:00+08:00",
        },
    )
    assert binary.json()["accepted"] == 1


async def test_a_mapping_of_one_store_leaves_others_alone(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    await put(client, text(store="S2"))
    here, there = ({**coded(f"e-{store}", waiter="是"), "store": store} for store in ("S1", "S2"))
    assert await outcomes(factory, here, there) == ["invalid-data", "1"]


async def test_another_process_learns_of_a_mapping_within_seconds(
    client: httpx.AsyncClient, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = settled("R1", event_id="e-1") | {"source": SOURCE}
    async with open_factory(factory.settings, time_source=factory.time_source) as other:
        assert await outcomes(other, sent) == ["1"]
        await put(client, text())
        assert await outcomes(other, coded("e-2", waiter="是")) == ["invalid-data"]
        monkeypatch.setattr(mappings, "KEEP_SECONDS", 0.0)
        assert await outcomes(other, coded("e-3", waiter="是")) == ["4"]
        await put(client, text(2, values={"work_type": {"保养": "warranty"}}))
        assert await outcomes(other, coded("e-4", waiter="是")) == ["invalid-data"]


async def test_the_first_events_of_a_process_wait_for_its_maps(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    await put(client, text())
    async with open_factory(factory.settings, time_source=factory.time_source) as other:
        told = await asyncio.gather(
            *(outcomes(other, coded(f"e-{n}", f"R{n}", waiter="是")) for n in range(4))
        )
    assert not any("invalid-data" in words for words in told)


async def test_a_settlement_list_becomes_orders_and_files_once(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    def events(exported: str) -> list[dict[str, Any]]:
        context = Context("S1", ZoneInfo("Asia/Shanghai"), datetime.fromisoformat(exported))
        with open_sheet(SAMPLES / "settlement-list.csv") as sheet:
            rows = list(
                shipped_mappings()["settlement-list"].read_all(sheet.rows(), context=context)
            )
        return [event for row in rows for event in row.events]

    first = await post(factory, *events("2026-01-07T09:00:00+08:00"))
    assert (first["accepted"], first["duplicate"], first["quarantined"]) == (9, 0, 0)
    order = (await client.get("/v1/stores/S1/repair-orders/RO20260105-002")).json()
    assert (order["status"], order["work_type"], order["advisor"]) == ("closed", "accident", "A08")
    assert order["promised_at"] == "2026-01-06T09:00:00Z"
    assert order["settled_at"] == "2026-01-06T08:30:00Z"
    customer = (await client.get("/v1/stores/S1/customers/C000124")).json()
    assert customer["name"] == "客户0002"
    again = await post(factory, *events("2026-01-08T09:00:00+08:00"))
    assert (again["accepted"], again["duplicate"]) == (0, 9)
