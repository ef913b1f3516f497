"""Imports over HTTP."""

from pathlib import Path

import httpx

from app.domain.access import LOCAL, Scope
from app.factory import Factory
from tests.api.conftest import Connect, Issue
from tests.support.facts import opened
from tests.support.inbox import lines, watch
from tests.support.posting import add_store


async def test_what_was_imported_is_listed_by_store_and_state(
    factory: Factory, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    await add_store(factory)
    await add_store(factory, "S2")
    inbox = watch(factory, tmp_path)
    (tmp_path / "S1").mkdir()
    for number, content in enumerate(
        [lines([opened("R1")]), lines([opened("R2", odometer_km=-1)]), b""]
    ):
        (tmp_path / "S1" / f"{number}.ndjson").write_bytes(content)
        assert await inbox.tick() == 1
    listed = (await client.get("/v1/stores/S1/imports")).json()
    assert [(item["name"], item["state"]) for item in listed["items"]] == [
        ("2.ndjson", "failed"),
        ("1.ndjson", "faults"),
        ("0.ndjson", "done"),
    ]
    failed, faulty, done = listed["items"]
    assert done["counts"]["accepted"] == 1
    assert done["way"] == "inbox"
    assert faulty["by_reason"] == {"invalid-data": 1}
    (fault,) = faulty["faults"]
    assert (fault["row"], fault["column"]) == (1, "/data/odometer_km")
    found = await client.get(f"/v1/quarantine/{fault['quarantine_id']}")
    assert found.json()["store_id"] == "S1"
    assert "empty" in failed["problem"]
    first = (await client.get("/v1/stores/S1/imports", params={"limit": 2})).json()
    rest = await client.get("/v1/stores/S1/imports", params={"cursor": first["next_cursor"]})
    assert first["items"] + rest.json()["items"] == listed["items"]
    only = await client.get("/v1/stores/S1/imports", params={"state": "done"})
    assert only.json()["items"] == [done]
    assert (await client.get(f"/v1/stores/S1/imports/{done['import_id']}")).json() == done
    assert (await client.get(f"/v1/stores/S2/imports/{done['import_id']}")).status_code == 404
    assert (await client.get("/v1/stores/S2/imports")).json()["items"] == []


async def test_an_import_of_the_command_is_on_record_for_each_of_its_stores(
    factory: Factory, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    for store in ("S1", "S2"):
        await add_store(factory, store)
    path = tmp_path / "a.ndjson"
    path.write_bytes(lines([opened("R1"), opened("R2", odometer_km=-1) | {"store": "S2"}]))
    with await factory.imports.import_file(path, principal=LOCAL) as report:
        started_at = await factory.time_source.now()
        await factory.imports.record(report, store_id=None, started_at=started_at, sha256="0" * 64)
    for store, state in (("S1", "done"), ("S2", "faults")):
        (item,) = (await client.get(f"/v1/stores/{store}/imports")).json()["items"]
        assert (item["way"], item["state"], item["counts"]["rows"]) == ("command", state, 1)
        assert item["import_id"] == report.import_ids[store]


async def test_a_key_needs_the_scope_and_the_store(
    factory: Factory, connect: Connect, issue: Issue
) -> None:
    await add_store(factory)
    for token in (
        await issue(Scope.EVENTS_WRITE),
        await issue(Scope.QUARANTINE_READ, stores=["S2"]),
    ):
        refused = await (await connect(token)).get("/v1/stores/S1/imports")
        assert refused.status_code == 403
