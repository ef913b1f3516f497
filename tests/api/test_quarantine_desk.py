"""The desk of the quarantine: filters, counts, suggestions, corrections, and who did what."""

from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from app.db.engine import Pool
from app.domain.access import MASK, Scope
from app.factory import Factory
from app.services.time_source import MovableTimeSource
from tests.api.conftest import Connect, Issue
from tests.support.facts import delivered, event, opened, retraction, settled
from tests.support.logs import check_store, read_log
from tests.support.posting import add_store
from tests.support.quarantine import QUARANTINE, get, quarantined, send


@pytest.fixture(autouse=True)
async def store(factory: Factory) -> None:
    await add_store(factory)


async def replay(client: httpx.AsyncClient, item: str, **body: Any) -> dict[str, Any]:
    response = await client.post(f"{QUARANTINE}/{item}/replay", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def ids(client: httpx.AsyncClient, **params: Any) -> list[str]:
    response = await client.get(QUARANTINE, params=params)
    assert response.status_code == 200, response.text
    return [item["quarantine_id"] for item in response.json()["items"]]


async def counts(client: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    response = await client.get(f"{QUARANTINE}/counts", params=params)
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


# Looking


async def test_items_are_found_by_subject_age_and_fault(
    client: httpx.AsyncClient, time_source: MovableTimeSource
) -> None:
    first = await quarantined(client, opened("R1", advisor=None))
    time_source.set(await time_source.now() + timedelta(hours=2))
    second = await quarantined(client, delivered("R2", odometer_km="many"))
    assert await ids(client) == [first, second]
    assert await ids(client, subject="R2") == [second]
    assert await ids(client, fault="/DATA/odo") == [second]
    assert await ids(client, fault="not-a-number") == [second]
    assert await ids(client, fault="%") == []
    assert await ids(client, min_age_seconds=3600) == [first]
    assert await ids(client, min_age_seconds=0) == [first, second]
    assert await ids(client, received_from="2026-07-01T11:00:00+08:00") == [second]
    assert await ids(client, received_until="2026-07-01T04:00:00Z") == [first]
    for wrong in (
        {"received_from": "2026-07-01T11:00:00"},
        {"min_age_seconds": -1},
        {"fault": ""},
        {"min_age_seconds": 10**12},
    ):
        assert (await client.get(QUARANTINE, params=wrong)).status_code == 422, wrong


async def test_items_are_counted_by_what_they_have_in_common(
    client: httpx.AsyncClient,
    factory: Factory,
    time_source: MovableTimeSource,
    connect: Connect,
    issue: Issue,
) -> None:
    await add_store(factory, "S2")
    broken = opened("R1", advisor=None)
    await send(client, broken, opened("R2", advisor=None))
    time_source.set(await time_source.now() + timedelta(hours=1))
    await send(client, broken, broken)
    await send(client, event("tyre.rotated", "R1", store="S2", source="/dms/b"))
    await send(client, opened("R1", store="S9"))
    assert await counts(client) == [
        {
            "store_id": "S1",
            "reason": "invalid-data",
            "items": 2,
            "repeats": 2,
            "oldest_received_at": "2026-07-01T02:00:00Z",
            "newest_received_at": "2026-07-01T02:00:00Z",
        },
        {
            "store_id": "",
            "reason": "unknown-store",
            "items": 1,
            "repeats": 0,
            "oldest_received_at": "2026-07-01T03:00:00Z",
            "newest_received_at": "2026-07-01T03:00:00Z",
        },
        {
            "store_id": "S2",
            "reason": "unknown-type",
            "items": 1,
            "repeats": 0,
            "oldest_received_at": "2026-07-01T03:00:00Z",
            "newest_received_at": "2026-07-01T03:00:00Z",
        },
    ]
    by_source = await counts(client, by="source")
    assert [(row["source"], row["items"]) for row in by_source] == [
        ("/dms/test", 3),
        ("/dms/b", 1),
    ]
    assert {*by_source[0]} == {
        *("source", "items", "repeats", "oldest_received_at", "newest_received_at")
    }
    both = await counts(client, by=["type", "store"], reason="unknown-type")
    assert [(row["store_id"], row["type"]) for row in both] == [("S2", "tyre.rotated")]
    assert await counts(client, state="discarded") == []
    assert len(await counts(client, limit=1)) == 1
    assert (await client.get(f"{QUARANTINE}/counts?by=colour")).status_code == 422
    bound = await connect(await issue(stores=["S2"]))
    assert [row["store_id"] for row in await counts(bound, by="store")] == ["S2"]


# Correcting


async def test_a_corrected_event_enters_and_the_bytes_stay_as_they_were_sent(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    broken = opened("R1", advisor=None, odometer_km="42,010")
    item = await quarantined(client, broken)
    right = broken | {"data": broken["data"] | {"advisor": "A1", "odometer_km": 42010}}
    done = await replay(client, item, event=right)
    assert (done["state"], done["seq"]) == ("replayed", "1")
    assert done["resolved_by"]["name"] == "test"
    assert orjson.loads(done["body"]) == broken
    (correction,) = done["corrections"]
    assert orjson.loads(correction["event"]) == right
    assert (correction["means"], correction["by"]["name"]) == ("event", "test")
    assert correction["at"] == "2026-07-01T02:00:00Z"
    assert (done["suggestions"], done["corrected"]) == ([], 1)
    # it kept its identity (A12)
    assert [each["outcome"] for each in await send(client, right)] == ["duplicate"]
    assert len(await check_store(pool)) == 1


async def test_a_correction_that_is_faulty_is_kept_and_the_next_one_builds_on_it(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    item = await quarantined(client, opened("R1", advisor=None, odometer_km="42,010"))
    still = await replay(
        client, item, patch=[{"op": "replace", "path": "/data/advisor", "value": "A1"}]
    )
    assert (still["state"], still["reason"]) == ("waiting", "invalid-data")
    assert [fault["pointer"] for fault in still["errors"]] == ["/data/odometer_km"]
    assert [each["name"] for each in still["suggestions"]] == ["plain-number"]
    # sent again it is the same item (A12), and shows what is wrong with its correction
    assert (await get(client, item))["errors"] == still["errors"]
    again = await replay(client, item)
    assert [fault["pointer"] for fault in again["errors"]] == ["/data/odometer_km"]
    done = await replay(client, item, apply="plain-number")
    assert (done["state"], done["seq"], done["corrected"]) == ("replayed", "1", 2)
    assert [made["means"] for made in done["corrections"]] == ["patch", "plain-number"]
    (logged,) = await read_log(pool)
    assert str(logged.payload.odometer_km) == "42010"  # type: ignore[attr-defined]


async def test_the_same_bytes_again_leave_a_correction_as_it_is(
    client: httpx.AsyncClient,
) -> None:
    broken = opened("R1", advisor=None, odometer_km="42,010")
    item = await quarantined(client, broken)
    patch = [{"op": "replace", "path": "/data/advisor", "value": "A1"}]
    corrected = await replay(client, item, patch=patch)
    assert await quarantined(client, broken) == item
    found = await get(client, item)
    assert (found["seen_count"], found["errors"]) == (2, corrected["errors"])


async def test_suggestions_are_applied_one_or_all(client: httpx.AsyncClient) -> None:
    broken = opened("R1", "2026-06-01 09:00:00", waiter="是", promised_at="2026-06-01")
    item = await quarantined(client, broken)
    found = await get(client, item)
    assert {each["name"]: each["settles"] for each in found["suggestions"]} == {
        "add-store-offset": False,
        "all": True,
    }
    (offset, whole) = found["suggestions"]
    assert offset["patch"] == [
        {"op": "replace", "path": "/time", "value": "2026-06-01T09:00:00+08:00"}
    ]
    assert "offset" in offset["description"]
    assert "时区" in offset["description_zh"]
    assert [operation["path"] for operation in whole["patch"]] == [
        "/time",
        "/data/promised_at",
        "/data/waiter",
    ]
    several = await replay(client, item, apply=["add-store-offset", "day-end"])
    assert [fault["pointer"] for fault in several["errors"]] == ["/data/waiter"]
    assert (await replay(client, item, apply="all"))["state"] == "replayed"


async def test_what_is_not_suggested_can_t_be_applied(client: httpx.AsyncClient) -> None:
    item = await quarantined(client, opened("R1", waiter="是"))
    path = f"{QUARANTINE}/{item}/replay"
    for body, pointer in (
        ({"apply": "make-store"}, "/apply"),
        ({"apply": ["plain-number"]}, "/apply"),
        ({"patch": [{"op": "remove", "path": "/nothing"}]}, "/patch/0"),
        ({"patch": [{"op": "replace", "path": "", "value": 7}]}, "/patch"),
        ({"patch": [{"op": "shine", "path": ""}]}, "/patch/0"),
        ({"apply": "no-such"}, "/apply"),
        ({"event": 7}, "/event"),
        ({"event": {}, "patch": []}, ""),
        ({"more": 1}, "/more"),
    ):
        response = await client.post(path, json=body)
        assert response.status_code == 422, body
        pointers = [fault["pointer"] for fault in response.json()["errors"]]
        assert any(each.startswith(pointer) for each in pointers), (body, pointers)
    response = await client.post(path, json={"apply": "make-store"})
    assert "read-yes-no" in response.json()["detail"]
    found = await get(client, item)
    assert (found["state"], found["corrected"]) == ("waiting", 0)


async def test_an_odd_correction_is_an_outcome_like_any_other(client: httpx.AsyncClient) -> None:
    item = await quarantined(client, opened("R1", advisor=None))
    path = f"{QUARANTINE}/{item}/replay"
    for content in (
        b'{"event": {"type": "\\u0000"}}',
        b'{"event": {"type": "\\ud800", "id": 1e400}}',
        b'{"event": {}}',
        b'{"event": {"store": "S9"}}',
    ):
        response = await client.post(
            path, content=content, headers={"Content-Type": "application/json"}
        )
        assert response.status_code in {200, 422}, response.text
        assert (await get(client, item))["state"] == "waiting"


async def test_a_conflict_is_kept_as_a_correction_with_the_old_event_retracted(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    first = settled("R1", event_id="e-first")
    await send(client, opened("R1"), first)
    other = first | {"data": {"amounts": {"labor": 250}}}
    item = await quarantined(client, other)
    found = await get(client, item)
    assert [each["name"] for each in found["suggestions"]] == ["keep-as-correction"]
    done = await replay(client, item, apply="keep-as-correction")
    assert done["state"] == "replayed"
    log = await check_store(pool)
    facts = [(logged.type, logged.id) for logged in log if not logged.own]
    assert facts[2:] == [
        ("event.retracted", "e-first~2~retraction"),
        ("repair_order.settled", "e-first~2"),
    ]
    order = (await client.get("/v1/stores/S1/repair-orders/R1")).json()
    assert order["status"] == "settled"
    # the same once more changes nothing, and is nobody's work
    (again,) = await send(client, other)
    assert (again["outcome"], again["seq"]) == ("duplicate", done["seq"])
    assert again["quarantine_id"] == item
    assert await ids(client) == []
    # another content under the first identity is a matter of its own
    third = first | {"data": {"amounts": {"labor": 260}}}
    found = await get(client, await quarantined(client, third))
    assert [each["name"] for each in found["suggestions"]] == ["keep-as-correction"]


async def test_a_conflict_about_nothing_is_said_to_be_so(client: httpx.AsyncClient) -> None:
    first = opened("R1", plate="沪A00001", appointment_id="ap-1")
    await send(client, first)
    other = first | {"data": first["data"] | {"plate": " 沪A00001", "appointment_id": "AP-1"}}
    found = await get(client, await quarantined(client, other))
    assert [(each["name"], each["action"]) for each in found["suggestions"]] == [
        ("discard-trivial", "discard"),
        ("keep-as-correction", "replay"),
    ]


async def test_a_corrected_retraction_waits_for_the_target_that_it_names_now(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    target = opened("R1")
    wrong = retraction(target)
    wrong["data"]["id"] = "e-typo"
    item = await quarantined(client, wrong)
    patch = [{"op": "replace", "path": "/data/id", "value": target["id"]}]
    still = await replay(client, item, patch=patch)
    assert (still["state"], still["reason"]) == ("waiting", "retraction-target-unknown")
    assert [each["name"] for each in still["suggestions"]] == ["wait-for-target"]
    await send(client, target)
    done = await get(client, item)
    assert (done["state"], done["seq"]) == ("replayed", "2")
    assert done["resolved_by"] == {"id": "servicelane", "name": "Servicelane"}
    await check_store(pool)


async def test_a_corrected_store_moves_the_item(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    await add_store(factory, "S2")
    item = await quarantined(client, opened("R1", advisor=None))
    patch = [{"op": "replace", "path": "/store", "value": "S2"}]
    moved = await replay(client, item, patch=patch)
    assert (moved["store_id"], moved["state"]) == ("S2", "waiting")
    patch = [{"op": "replace", "path": "/data/advisor", "value": "A1"}]
    done = await replay(client, item, patch=patch)
    assert (done["store_id"], done["state"], done["seq"]) == ("S2", "replayed", "1")
    assert await check_store(pool) == []
    assert len(await check_store(pool, "S2")) == 1
    # a code in other case
    item = await quarantined(client, opened("R2", store="s1 "))
    assert [each["name"] for each in (await get(client, item))["suggestions"]] == [
        "known-store-code"
    ]
    done = await replay(client, item, apply="known-store-code")
    assert (done["store_id"], done["state"]) == ("S1", "replayed")


# Who may


async def test_values_are_masked_without_the_right_to_personal_data(
    client: httpx.AsyncClient, connect: Connect, issue: Issue
) -> None:
    sent = opened("R1", advisor=" A1", plate="沪A00001", concerns="13号")
    item = await quarantined(client, sent)
    desk = await connect(await issue(Scope.QUARANTINE_READ, Scope.QUARANTINE_WRITE))
    found = await get(desk, item)
    assert {
        operation["value"] for each in found["suggestions"] for operation in each["patch"]
    } == {MASK}
    patch = [{"op": "add", "path": "/data/x", "value": "customer-0001"}]
    corrected = await desk.post(f"{QUARANTINE}/{item}/replay", json={"patch": patch})
    assert corrected.json()["corrections"][0]["event"] == MASK
    done = await desk.post(f"{QUARANTINE}/{item}/replay", json={"apply": "all"})
    assert done.json()["state"] == "replayed", "who may not see it may still repair it"
    for text in ("00001", "customer-0001", "13号"):
        assert text not in found.__repr__() + corrected.text + done.text
        assert text in (await client.get(f"{QUARANTINE}/{item}")).text


async def test_a_bound_key_corrects_nothing_into_another_store(
    client: httpx.AsyncClient, connect: Connect, issue: Issue, factory: Factory, pool: Pool
) -> None:
    await add_store(factory, "S2")
    item = await quarantined(client, opened("R1", advisor=None))
    bound = await connect(await issue(stores=["S1"]))
    patch = [
        {"op": "replace", "path": "/store", "value": "S2"},
        {"op": "replace", "path": "/data/advisor", "value": "A1"},
    ]
    found = await replay(bound, item, patch=patch)
    assert (found["store_id"], found["state"], found["reason"]) == (
        "S1",
        "waiting",
        "unknown-store",
    )
    assert await check_store(pool, "S2") == []
    # nor does it hear which other stores there are
    heard = []
    for code in ("S2", "S8", "s2"):
        named = [{"op": "replace", "path": "/store", "value": code}]
        found = await replay(bound, item, patch=named)
        heard.append([suggestion["name"] for suggestion in found["suggestions"]])
    assert heard == [["bind-key"]] * 3
    own = await replay(bound, item, patch=[{"op": "replace", "path": "/store", "value": "s1"}])
    assert "known-store-code" in [suggestion["name"] for suggestion in own["suggestions"]]


async def test_an_event_that_its_sender_s_key_is_not_bound_to_says_so(
    client: httpx.AsyncClient, connect: Connect, issue: Issue, factory: Factory
) -> None:
    await add_store(factory, "S2")
    bound = await connect(await issue(stores=["S1"]))
    (known,) = await send(bound, opened("R1", store="S2"))
    (unknown,) = await send(bound, opened("R1", store="S9"))
    for result, store in ((known, "S2"), (unknown, "S9")):
        assert result["reason"] == "unknown-store"
        (fault,) = result["errors"]
        assert fault["code"] == "key-not-bound"
        assert store in fault["detail"]
    names = [
        [each["name"] for each in (await get(client, result["quarantine_id"]))["suggestions"]]
        for result in (known, unknown)
    ]
    assert names == [["replay-now", "bind-key"], ["bind-key"]]
    # a store that is made lets in nobody who may not write to it
    await client.put("/v1/stores/S9", json={"name": "S9"})
    await factory.quarantine_runs.tick()
    assert (await get(client, unknown["quarantine_id"]))["state"] == "waiting"


async def test_who_discarded_is_on_record(client: httpx.AsyncClient) -> None:
    item = await quarantined(client, opened("R1", advisor=None))
    response = await client.post(f"{QUARANTINE}/{item}/discard", json={"reason": "a test"})
    assert response.json()["resolved_by"]["name"] == "test"
    assert response.json()["suggestions"] == []
