"""Replays and discardings of everything that matches, over HTTP."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.db.engine import Pool
from app.domain.events.catalog import CATALOG
from app.factory import Factory
from app.services import quarantine_runs
from app.services.time_source import MovableTimeSource
from tests.api.conftest import Connect, Issue
from tests.support.facts import delivered, event, opened, retraction, settled
from tests.support.logs import check_store, read_log
from tests.support.posting import add_store
from tests.support.quarantine import QUARANTINE, send


@pytest.fixture(autouse=True)
async def store(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    await add_store(factory)
    monkeypatch.setattr(quarantine_runs, "PART", 3)


async def start(client: httpx.AsyncClient, kind: str, **body: Any) -> dict[str, Any]:
    response = await client.post(f"{QUARANTINE}/{kind}", json=body)
    assert response.status_code == 202, response.text
    run: dict[str, Any] = response.json()
    return run


async def finished(
    client: httpx.AsyncClient, factory: Factory, kind: str, **body: Any
) -> dict[str, Any]:
    """Start a run, let a process do it, and get what came of it."""
    run = await start(client, kind, **body)
    assert (run["state"], run["done"]) == ("queued", 0)
    await factory.quarantine_runs.tick()
    found: dict[str, Any] = (await client.get(f"{QUARANTINE}/{kind}/{run['run_id']}")).json()
    assert found["total"] == run["total"]
    assert found["done"] == found["accepted"] + found["discarded"] + found["waiting"]
    return found


async def waiting(client: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    response = await client.get(QUARANTINE, params=params)
    items: list[dict[str, Any]] = response.json()["items"]
    return items


async def test_all_that_match_are_replayed_with_a_suggestion(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    naive = [opened(f"R{number}", "2026-06-01 09:00:00") for number in range(7)]
    both = opened("R7", "2026-06-01 09:00:00", advisor=None)
    await send(client, *naive, both, opened("R8", advisor=None), opened("R9", waiter="是"))
    run = await finished(
        client, factory, "replays", filter={"fault": "/time"}, apply="add-store-offset"
    )
    assert (run["state"], run["kind"], run["total"]) == ("finished", "replay", 8)
    assert (run["accepted"], run["waiting_by_reason"]) == (7, {"invalid-data": 1})
    assert (run["gone"], run["error"]) == (0, None)
    assert run["requested_by"]["name"] == "test"
    assert run["started_at"] == run["finished_at"] == "2026-07-01T02:00:00Z"
    assert [logged.key for logged in await check_store(pool)] == [f"R{n}" for n in range(7)]
    left = await waiting(client)
    assert [(item["subject"], item["corrected"]) for item in left] == [
        ("R7", 1),
        ("R8", 0),
        ("R9", 0),
    ]
    # harmless to repeat, and what no suggestion is made for is left alone
    again = await finished(client, factory, "replays", filter={}, apply="add-store-offset")
    assert (again["total"], again["accepted"], again["waiting"]) == (3, 0, 3)
    assert await waiting(client) == left


async def test_a_rehearsal_tells_what_would_come_of_it_and_changes_nothing(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    first = opened("R0")
    await send(client, first)
    conflict = first | {"time": "2026-06-01 09:00:00", "data": {**first["data"], "advisor": "B"}}
    fine = opened("R1", "2026-06-01 09:00:00")
    twin = fine | {"data": {**fine["data"], "advisor": "B"}}
    await send(client, conflict, fine, twin, opened("R2", advisor=None))
    before = await pool.fetch("SELECT * FROM quarantine ORDER BY quarantine_id")
    rehearsed = await finished(
        client, factory, "replays", filter={}, apply="add-store-offset", dry_run=True
    )
    assert rehearsed["dry_run"] is True
    assert rehearsed["accepted"] == 1
    assert rehearsed["waiting_by_reason"] == {"invalid-data": 1, "identity-conflict": 2}
    assert await pool.fetch("SELECT * FROM quarantine ORDER BY quarantine_id") == before
    assert len(await check_store(pool)) == 1
    real = await finished(client, factory, "replays", filter={}, apply="add-store-offset")
    assert {name: real[name] for name in ("accepted", "waiting_by_reason")} == {
        name: rehearsed[name] for name in ("accepted", "waiting_by_reason")
    }


async def test_a_rehearsal_knows_what_its_earlier_parts_and_the_log_would_say(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    there = opened("R9")
    await send(client, there)
    naive = [opened(f"R{number}", "2026-06-01 09:00:00") for number in range(4)]
    twin = naive[0] | {"data": {**naive[0]["data"], "advisor": "B"}}
    elsewhere = retraction(there) | {"subject": "R1", "time": "2026-06-01 09:00:00"}
    await send(client, *naive, twin, elsewhere)
    asked: dict[str, Any] = {"filter": {}, "apply": "add-store-offset"}
    rehearsed = await finished(client, factory, "replays", **asked, dry_run=True)
    assert rehearsed["waiting_by_reason"] == {"invalid-data": 1, "identity-conflict": 1}
    real = await finished(client, factory, "replays", **asked)
    assert [real[name] for name in ("accepted", "waiting_by_reason")] == [
        rehearsed[name] for name in ("accepted", "waiting_by_reason")
    ]


async def test_all_that_match_are_replayed_with_a_patch_where_it_fits(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    await send(
        client,
        *(event("tyre.rotated", f"R{number}", technician="T1") for number in range(4)),
        event("tyre.rotated", "R4") | {"data": None},
    )
    patch = [
        {"op": "test", "path": "/data/technician", "value": "T1"},
        {"op": "replace", "path": "/type", "value": "repair_order.work_started"},
    ]
    run = await finished(client, factory, "replays", filter={"type": "tyre.rotated"}, patch=patch)
    assert (run["accepted"], run["waiting_by_reason"]) == (4, {"unknown-type": 1})
    assert {logged.type for logged in await check_store(pool)} == {"repair_order.work_started"}
    for body in (
        {"filter": {}, "patch": [{"op": "shine", "path": ""}]},
        {"filter": {}, "patch": [], "apply": "all"},
        {"filter": {}, "apply": "no-such"},
        {"filter": {"colour": "red"}},
        {},
    ):
        response = await client.post(f"{QUARANTINE}/replays", json=body)
        assert response.status_code == 422, body


async def test_what_became_right_by_an_upgrade_or_by_time_enters_by_a_replay_alone(
    client: httpx.AsyncClient,
    factory: Factory,
    pool: Pool,
    time_source: MovableTimeSource,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await send(client, event("tyre.rotated", "R1"), opened("R2", "2026-07-02T09:00:00+08:00"))
    rotated = replace(CATALOG["repair_order.cleaned"], name="tyre.rotated")
    monkeypatch.setitem(CATALOG, rotated.name, rotated)  # the upgrade
    time_source.set(await time_source.now() + timedelta(days=2))
    await factory.quarantine_runs.tick()
    items = await waiting(client)
    assert [item["reason"] for item in items] == ["unknown-type", "time-in-future"]
    for item in items:
        found = (await client.get(f"{QUARANTINE}/{item['quarantine_id']}")).json()
        assert [each["name"] for each in found["suggestions"]] == ["replay-now"]
    run = await finished(client, factory, "replays", filter={})
    assert run["accepted"] == 2
    assert len(await check_store(pool)) == 2


async def test_events_of_a_store_that_is_made_enter_by_themselves(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    await send(
        client,
        *(opened(f"R{number}", store="S2") for number in range(7)),
        opened("R7", store="S2", advisor=None),
        opened("R1", store="S3"),
    )
    assert len(await waiting(client, store="")) == 9
    await factory.quarantine_runs.tick()
    assert (await client.get(f"{QUARANTINE}/runs")).json()["items"] == []
    assert (await client.put("/v1/stores/S2", json={"name": "S2"})).status_code == 201
    assert len(await waiting(client, store="")) == 9, "the request does not wait for them"
    await factory.quarantine_runs.tick()
    (run,) = (await client.get(f"{QUARANTINE}/runs")).json()["items"]
    assert (run["awaits_store"], run["state"]) == ("S2", "finished")
    assert run["requested_by"] == {"id": "servicelane", "name": "Servicelane"}
    assert (run["total"], run["accepted"]) == (8, 7)
    assert run["waiting_by_reason"] == {"invalid-data": 1}
    assert [logged.key for logged in await check_store(pool, "S2")] == [f"R{n}" for n in range(7)]
    assert [(item["store_id"], item["subject"]) for item in await waiting(client)] == [
        ("S2", "R7"),
        (None, "R1"),
    ]
    # once is enough
    await factory.quarantine_runs.tick()
    assert len((await client.get(f"{QUARANTINE}/runs")).json()["items"]) == 1


async def test_what_was_corrected_waits_for_the_store_that_it_names_now(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    sent = opened("R1", store="S2")
    (result,) = await send(client, sent)
    path = f"{QUARANTINE}/{result['quarantine_id']}/replay"
    corrected = (await client.post(path, json={"event": sent | {"store": "S3"}})).json()
    assert (corrected["state"], corrected["reason"]) == ("waiting", "unknown-store")
    assert "enters by itself" in corrected["errors"][0]["detail"]
    await client.put("/v1/stores/S2", json={"name": "S2"})
    await factory.quarantine_runs.tick()
    assert (await client.get(f"{QUARANTINE}/runs")).json()["items"] == []
    await client.put("/v1/stores/S3", json={"name": "S3"})
    await factory.quarantine_runs.tick()
    assert [logged.key for logged in await check_store(pool, "S3")] == ["R1"]


async def test_the_same_bytes_from_a_key_that_may_and_one_that_may_not(
    client: httpx.AsyncClient, connect: Connect, issue: Issue, factory: Factory, pool: Pool
) -> None:
    """Whoever comes second: what a permitted key sent enters."""
    bound = await connect(await issue(stores=["S1"]))
    first, second = opened("R1", store="S2"), opened("R2", store="S2")
    await send(client, first)
    await send(bound, first, second, opened("R3", store="S2"))
    await send(client, second)
    await client.put("/v1/stores/S2", json={"name": "S2"})
    await factory.quarantine_runs.tick()
    assert [logged.key for logged in await check_store(pool, "S2")] == ["R1", "R2"]
    (item,) = await waiting(client)
    assert (item["subject"], item["errors"][0]["code"]) == ("R3", "key-not-bound")


async def test_all_that_match_are_discarded_with_a_reason(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    await send(client, *(opened(f"R{number}", advisor=None) for number in range(7)))
    await send(client, event("tyre.rotated", "R1"))
    for body in (
        {"filter": {}, "reason": "x"},
        {"filter": {"reason": "invalid-data"}},
        {"filter": {"reason": "invalid-data"}, "reason": ""},
    ):
        response = await client.post(f"{QUARANTINE}/discards", json=body)
        assert response.status_code == 422, body
    wanted = {"filter": {"reason": "invalid-data"}, "reason": "from the test system"}
    rehearsed = await finished(client, factory, "discards", **wanted, dry_run=True)
    assert (rehearsed["discarded"], len(await waiting(client))) == (7, 8)
    run = await finished(client, factory, "discards", **wanted)
    assert (run["total"], run["discarded"], run["waiting"]) == (7, 7, 0)
    assert [item["reason"] for item in await waiting(client)] == ["unknown-type"]
    discarded = await waiting(client, state="discarded")
    assert {item["discard_reason"] for item in discarded} == {"from the test system"}
    assert {item["resolved_by"]["name"] for item in discarded} == {"test"}


async def test_a_run_is_over_what_waited_when_it_was_asked_for(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    await send(client, *(opened(f"R{number}", advisor=None) for number in range(4)))
    run = await start(client, "discards", filter={"store": "S1"}, reason="old")
    later = (await send(client, opened("R9", advisor=None)))[0]["quarantine_id"]
    first = (await waiting(client))[0]["quarantine_id"]
    await client.post(f"{QUARANTINE}/{first}/discard", json={"reason": "by hand"})
    await factory.quarantine_runs.tick()
    done = (await client.get(f"{QUARANTINE}/discards/{run['run_id']}")).json()
    assert (done["total"], done["discarded"], done["gone"]) == (4, 3, 1)
    assert [item["quarantine_id"] for item in await waiting(client)] == [later]


async def test_a_run_can_be_stopped(
    client: httpx.AsyncClient, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send(client, *(opened(f"R{number}", advisor=None) for number in range(9)))
    body: dict[str, Any] = {"filter": {"store": "S1"}, "reason": "old"}
    queued = await start(client, "discards", **body)
    path = f"{QUARANTINE}/discards/{queued['run_id']}/cancel"
    assert (await client.post(path)).json()["state"] == "cancelled"
    assert (await client.post(path)).status_code == 409
    await factory.quarantine_runs.tick()
    assert len(await waiting(client)) == 9
    # and in the middle: the part that is under way is finished and counted
    running = await start(client, "discards", **body)
    path = f"{QUARANTINE}/discards/{running['run_id']}"
    discard = factory.quarantine_runs._discard

    async def and_cancel(*args: Any) -> Any:
        done = await discard(*args)
        assert (await client.post(f"{path}/cancel")).json()["state"] == "cancelled"
        return done

    monkeypatch.setattr(factory.quarantine_runs, "_discard", and_cancel)
    await factory.quarantine_runs.tick()
    stopped = (await client.get(path)).json()
    assert (stopped["state"], stopped["discarded"], stopped["total"]) == ("cancelled", 3, 9)
    assert len(await waiting(client)) == 6


async def test_an_item_that_breaks_the_run_is_left_and_the_others_go_on(
    client: httpx.AsyncClient, factory: Factory, monkeypatch: pytest.MonkeyPatch, pool: Pool
) -> None:
    await send(client, *(opened(f"R{number}", store="S2") for number in range(5)))
    await add_store(factory, "S2")
    submit = factory.appender.submit

    async def trip(unit: Any) -> None:
        if any(each.subject == "R1" for each in unit.events):
            raise ZeroDivisionError
        await submit(unit)

    monkeypatch.setattr(factory.appender, "submit", trip)
    await factory.quarantine_runs.tick()
    (run,) = (await client.get(f"{QUARANTINE}/runs")).json()["items"]
    assert (run["state"], run["accepted"], run["waiting"]) == ("finished", 4, 1)
    assert [logged.key for logged in await check_store(pool, "S2")] == ["R0", "R2", "R3", "R4"]


async def test_a_conflict_is_corrected_in_a_run_too(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    first = [settled(f"R{number}") for number in range(4)]
    await send(client, *first, *(opened(f"R{number}") for number in range(4)))
    await send(client, *(each | {"data": {"amounts": {"labor": 7}}} for each in first))
    run = await finished(
        client,
        factory,
        "replays",
        filter={"reason": "identity-conflict"},
        apply="keep-as-correction",
    )
    assert (run["accepted"], run["waiting"]) == (4, 0)
    await check_store(pool)
    log = [logged for logged in await read_log(pool) if logged.type == "event.retracted"]
    assert len(log) == 4


async def test_a_bound_key_runs_over_its_stores_alone(
    client: httpx.AsyncClient, connect: Connect, issue: Issue, factory: Factory
) -> None:
    await add_store(factory, "S2")
    await send(
        client,
        opened("R1", advisor=None),
        opened("R1", advisor=None, store="S2"),
        opened("R1", store="S9"),
    )
    bound = await connect(await issue(stores=["S1"]))
    run = await finished(bound, factory, "discards", filter={"fault": "/"}, reason="old")
    assert (run["total"], run["discarded"]) == (1, 1)
    assert {item["store_id"] for item in await waiting(client)} == {None, "S2"}
    whole = await start(client, "replays", filter={})
    assert whole["total"] == 2
    for path in (f"replays/{whole['run_id']}", f"discards/{whole['run_id']}", "replays/none"):
        assert (await bound.get(f"{QUARANTINE}/{path}")).status_code == 404
    assert (await bound.post(f"{QUARANTINE}/replays/{whole['run_id']}/cancel")).status_code == 404
    assert [
        each["run_id"] for each in (await bound.get(f"{QUARANTINE}/runs")).json()["items"]
    ] == [run["run_id"]]
    listed = (await client.get(f"{QUARANTINE}/runs?limit=1")).json()
    assert [each["run_id"] for each in listed["items"]] == [whole["run_id"]]
    rest = await client.get(f"{QUARANTINE}/runs", params={"cursor": listed["next_cursor"]})
    assert [each["run_id"] for each in rest.json()["items"]] == [run["run_id"]]


async def test_nobody_waits_for_a_run(client: httpx.AsyncClient, factory: Factory) -> None:
    await send(client, delivered("R1", odometer_km="x"))
    for _ in range(2):
        await start(client, "replays", filter={})
    assert len(await factory.quarantine_runs.tick()) == 2
    assert await factory.quarantine_runs.tick() == []
