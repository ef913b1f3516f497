"""The quarantine: what lies there, looked at, sent in again, thrown away."""

import asyncio
from random import Random
from typing import Any

import httpx
import orjson
import pytest

from app.db.engine import Pool
from app.domain.access import MASK, Scope
from app.factory import Factory
from app.services.time_source import MovableTimeSource
from tests.api.conftest import Connect, Issue
from tests.support.facts import delivered, event, opened, retraction
from tests.support.logs import check_store
from tests.support.posting import add_store
from tests.support.quarantine import QUARANTINE, get, quarantined, send


@pytest.fixture(autouse=True)
async def store(factory: Factory) -> None:
    await add_store(factory)


async def listed(client: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    response = await client.get(QUARANTINE, params=params)
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


async def test_an_item_shows_what_is_wrong_and_its_own_bytes(client: httpx.AsyncClient) -> None:
    broken = opened("R1", advisor=7) | {"extra": [1, 2]}
    own_bytes = orjson.dumps(broken, option=orjson.OPT_INDENT_2)
    body = b"[" + orjson.dumps(opened("R0")) + b", " + own_bytes + b"]"
    response = await client.post("/v1/events", content=body)
    item = response.json()["results"][1]["quarantine_id"]
    found = await get(client, item)
    assert found == {
        "quarantine_id": item,
        "store_id": "S1",
        "state": "waiting",
        "reason": "invalid-data",
        "errors": [
            {
                "pointer": "/data/advisor",
                "code": "not-text",
                "detail": found["errors"][0]["detail"],
            }
        ],
        "source": "/dms/test",
        "id": broken["id"],
        "type": "repair_order.opened",
        "subject": "R1",
        "received_at": "2026-07-01T02:00:00Z",
        "last_seen_at": "2026-07-01T02:00:00Z",
        "seen_count": 1,
        "again_count": 0,
        "again_at": None,
        "seq": None,
        "resolved_at": None,
        "resolved_by": None,
        "discard_reason": None,
        "corrected": 0,
        "corrections": [],
        "suggestions": found["suggestions"],
        "content_type": "application/cloudevents+json",
        "attributes": {},
        "body": own_bytes.decode(),
        "body_base64": None,
    }
    (in_list,) = await listed(client)
    assert found.items() >= in_list.items()
    assert found.keys() - in_list.keys() == {
        *("content_type", "attributes", "body", "body_base64"),
        *("corrections", "suggestions"),
    }


async def test_a12_the_same_bytes_again_are_a_counted_repeat(
    client: httpx.AsyncClient, time_source: MovableTimeSource
) -> None:
    broken = opened("R1", advisor=None)
    first = await quarantined(client, broken)
    time_source.set((await time_source.now()).replace(hour=5))
    assert await quarantined(client, broken) == first
    results = await send(client, broken, broken)
    assert {result["quarantine_id"] for result in results} == {first}
    found = await get(client, first)
    assert found["seen_count"] == 4
    assert found["received_at"] == "2026-07-01T02:00:00Z"
    assert found["last_seen_at"] == "2026-07-01T05:00:00Z"
    assert await quarantined(client, broken | {"extra": 1}) != first


async def test_a12_a_quarantined_event_takes_no_identity(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    broken = opened("R1", advisor=None)
    await quarantined(client, broken)
    corrected = broken | {"data": broken["data"] | {"advisor": "A1"}}
    (result,) = await send(client, corrected)
    assert (result["outcome"], result["seq"]) == ("accepted", "1")
    # the broken one stays as it was: still broken, still waiting
    assert (await listed(client))[0]["reason"] == "invalid-data"


async def test_a20_events_of_an_unknown_store_enter_by_replay_once_it_is_there(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    item = await quarantined(client, opened("R1", store="S2"))
    found = await get(client, item)
    assert (found["store_id"], found["reason"]) == (None, "unknown-store")
    replay = f"{QUARANTINE}/{item}/replay"
    still = (await client.post(replay)).json()
    assert (still["state"], still["reason"]) == ("waiting", "unknown-store")
    await client.put("/v1/stores/S2", json={"name": "S2"})
    done = (await client.post(replay)).json()
    assert (done["state"], done["seq"], done["store_id"]) == ("replayed", "1", "S2")
    assert done["resolved_at"] == "2026-07-01T02:00:00Z"
    assert await listed(client) == []
    assert len(await check_store(pool, "S2")) == 1


async def test_a20_without_a_readable_store_it_lies_in_that_of_no_store(
    client: httpx.AsyncClient,
) -> None:
    await send(client, 7, opened("R1", store="S 1"), opened("R1", store="S9"), {"store": "S1"})
    reasons = [(item["store_id"], item["reason"]) for item in await listed(client)]
    assert sorted(reasons, key=str) == [
        ("S1", "missing-attribute"),
        (None, "missing-attribute"),
        (None, "unknown-store"),
        (None, "unknown-store"),
    ]
    assert len(await listed(client, store="")) == 3
    assert len(await listed(client, store="S1")) == 1


async def test_a_replay_that_finds_another_fault_says_so(client: httpx.AsyncClient) -> None:
    item = await quarantined(client, opened("R1", store="S2", advisor=None))
    await client.put("/v1/stores/S2", json={"name": "S2"})
    found = (await client.post(f"{QUARANTINE}/{item}/replay")).json()
    assert (found["store_id"], found["state"], found["reason"]) == (
        "S2",
        "waiting",
        "invalid-data",
    )
    assert found["errors"][0]["pointer"] == "/data/advisor"


async def test_a_replay_of_what_entered_meanwhile_is_that_event(
    client: httpx.AsyncClient, pool: Pool, time_source: MovableTimeSource
) -> None:
    early = opened("R1", "2026-07-02T09:00:00+08:00")
    item = await quarantined(client, early)
    time_source.set((await time_source.now()).replace(day=3))
    await send(client, opened("R0"), early)
    done = (await client.post(f"{QUARANTINE}/{item}/replay")).json()
    assert (done["state"], done["seq"]) == ("replayed", "2")
    assert len(await check_store(pool)) == 2


async def test_a_replay_of_a_conflict_stays_one(client: httpx.AsyncClient, pool: Pool) -> None:
    first = opened("R1")
    other = first | {"data": first["data"] | {"advisor": "A2"}}
    await send(client, first)
    item = await quarantined(client, other)
    found = (await client.post(f"{QUARANTINE}/{item}/replay")).json()
    assert (found["state"], found["reason"]) == ("waiting", "identity-conflict")
    assert "1" in found["errors"][0]["detail"]
    assert len(await check_store(pool)) == 1


async def test_an_event_of_binary_mode_is_replayed_from_its_headers(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    sent = opened("R1", store="S2")
    headers = {f"ce-{name}": value for name, value in sent.items() if name != "data"}
    headers.pop("ce-datacontenttype")
    body = orjson.dumps(sent["data"])
    response = await client.post(
        "/v1/events", content=body, headers={"Content-Type": "application/json", **headers}
    )
    item = response.json()["results"][0]["quarantine_id"]
    found = await get(client, item)
    assert found["body"] == body.decode()
    assert found["attributes"] == headers
    await client.put("/v1/stores/S2", json={"name": "S2"})
    done = (await client.post(f"{QUARANTINE}/{item}/replay")).json()
    assert (done["state"], done["seq"]) == ("replayed", "1")
    await check_store(pool, "S2")


async def test_discarding_takes_a_reason_and_is_final(client: httpx.AsyncClient) -> None:
    broken = opened("R1", advisor=None)
    item = await quarantined(client, broken)
    discard = f"{QUARANTINE}/{item}/discard"
    for body in ({}, {"reason": ""}, {"reason": "x", "more": 1}, {"reason": None}):
        assert (await client.post(discard, json=body)).status_code == 422, body
    done = (await client.post(discard, json={"reason": "a test of the DMS"})).json()
    assert (done["state"], done["discard_reason"]) == ("discarded", "a test of the DMS")
    assert done["body"] is not None, "the bytes stay"
    for path, body in ((discard, {"reason": "again"}), (f"{QUARANTINE}/{item}/replay", {})):
        response = await client.post(path, json=body)
        assert response.status_code == 409
        assert "discarded" in response.json()["detail"]
    # the same bytes sent later are no other item
    (again,) = await send(client, broken)
    assert (again["outcome"], again["seq"], again["quarantine_id"]) == ("duplicate", None, item)
    assert await listed(client) == []
    assert [found["quarantine_id"] for found in await listed(client, state="discarded")] == [item]


async def test_a_replayed_item_can_be_neither_replayed_nor_discarded(
    client: httpx.AsyncClient,
) -> None:
    target = opened("R1")
    item = await quarantined(client, retraction(target))
    await send(client, target)
    for path, body in (("replay", {}), ("discard", {"reason": "x"})):
        response = await client.post(f"{QUARANTINE}/{item}/{path}", json=body)
        assert response.status_code == 409
        assert "replayed" in response.json()["detail"]


async def test_unknown_items_are_404(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{QUARANTINE}/nothing")).status_code == 404
    for path, body in (("replay", {}), ("discard", {"reason": "x"})):
        response = await client.post(f"{QUARANTINE}/nothing/{path}", json=body)
        assert response.status_code == 404


async def test_lists_filter_and_page(client: httpx.AsyncClient, factory: Factory) -> None:
    await add_store(factory, "S2")
    await send(client, *(opened(f"R{number}", advisor=None) for number in range(7)))
    await send(client, delivered("R1", odometer_km=-1, store="S2", source="/dms/b"))
    await send(client, event("repair_order.painted", "R1"))
    assert len(await listed(client)) == 9
    assert len(await listed(client, store="S1")) == 8
    assert len(await listed(client, reason="unknown-type")) == 1
    assert len(await listed(client, source="/dms/b")) == 1
    assert len(await listed(client, type="repair_order.opened")) == 7
    assert await listed(client, state="replayed") == []
    assert (await client.get(QUARANTINE, params={"reason": "no-such"})).status_code == 422
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params: dict[str, Any] = {"limit": 4, **({"cursor": cursor} if cursor else {})}
        page = (await client.get(QUARANTINE, params=params)).json()
        seen += [item["quarantine_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        # one that comes while somebody pages is at the end
        if len(seen) == 4:
            await send(client, opened("late", advisor=None))
    assert len(seen) == 10
    assert len(set(seen)) == 10


async def test_a_key_sees_the_items_of_its_stores_only(
    client: httpx.AsyncClient, connect: Connect, issue: Issue, factory: Factory
) -> None:
    await add_store(factory, "S2")
    items = [
        await quarantined(client, broken)
        for broken in (
            opened("R1", advisor=None),
            opened("R1", advisor=None, store="S2"),
            opened("R1", store="S9"),
        )
    ]
    bound = await connect(await issue(stores=["S1"]))
    assert [item["quarantine_id"] for item in await listed(bound)] == items[:1]
    assert await listed(bound, store="S2") == []
    assert await listed(bound, store="") == []
    await get(bound, items[0])
    for item in items[1:]:
        assert (await bound.get(f"{QUARANTINE}/{item}")).status_code == 404
        for path, body in (("replay", {}), ("discard", {"reason": "x"})):
            response = await bound.post(f"{QUARANTINE}/{item}/{path}", json=body)
            assert response.status_code == 404
    assert len(await listed(client)) == 3


async def test_own_bytes_are_masked_without_the_right_to_personal_data(
    client: httpx.AsyncClient, connect: Connect, issue: Issue
) -> None:
    """Headers that are no known attribute may be personal too."""
    sent = opened("R1", advisor=None, plate="沪A00001")
    headers = {f"ce-{name}": value for name, value in sent.items() if name != "data"}
    response = await client.post(
        "/v1/events",
        content=orjson.dumps(sent["data"]),
        headers={"Content-Type": "application/json", **headers, "ce-driver": "customer-0001"},
    )
    item = response.json()["results"][0]["quarantine_id"]
    reader = await connect(await issue(Scope.QUARANTINE_READ, Scope.QUARANTINE_WRITE))
    found = await get(reader, item)
    assert (found["body"], found["body_base64"]) == (MASK, None)
    assert found["attributes"]["ce-driver"] == MASK
    assert found["attributes"]["ce-subject"] == "R1"
    for text in ("00001", "customer-0001"):
        assert text not in (await reader.get(f"{QUARANTINE}/{item}")).text
        assert text not in (await reader.get(QUARANTINE)).text
        assert text not in (await reader.post(f"{QUARANTINE}/{item}/replay")).text
    assert "00001" in (await get(client, item))["body"]


async def test_two_replays_at_once_enter_it_once(client: httpx.AsyncClient, pool: Pool) -> None:
    item = await quarantined(client, opened("R1", store="S2"))
    await client.put("/v1/stores/S2", json={"name": "S2"})
    responses = await asyncio.gather(
        *(client.post(f"{QUARANTINE}/{item}/replay") for _ in range(6))
    )
    assert {response.status_code for response in responses} <= {200, 404, 409}
    assert (await get(client, item))["seq"] == "1"
    assert len(await check_store(pool, "S2")) == 1
    assert await pool.fetchval("SELECT count(*) FROM quarantine") == 1


async def test_many_callers_with_the_same_broken_events_in_any_order(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    """They count each other's items without waiting for each other in a ring."""
    rng = Random(3)
    broken = [opened(f"R{number}", advisor=None) for number in range(12)]
    batches = [rng.sample(broken, len(broken)) for _ in range(16)]
    await asyncio.gather(*(send(client, *batch) for batch in batches))
    rows = await pool.fetch("SELECT seen_count FROM quarantine")
    assert [row["seen_count"] for row in rows] == [16] * 12
