"""What was dealt with in quarantine and comes again every night is nobody's work a second time."""

from typing import Any

import httpx
import orjson
import pytest

from app.db.engine import Pool
from app.domain.access import Scope
from app.factory import Factory
from tests.api.conftest import Connect, Issue
from tests.support.facts import opened, retraction, settled
from tests.support.histories import CloudEvent
from tests.support.logs import check_store, read_log
from tests.support.posting import add_store
from tests.support.quarantine import QUARANTINE, get

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
BROKEN = opened("R1", event_id="e-broken", odometer_km=-5)
MENDED: list[dict[str, Any]] = [{"op": "replace", "path": "/data/odometer_km", "value": 5}]


@pytest.fixture(autouse=True)
async def store(factory: Factory) -> None:
    await add_store(factory)


async def post(
    client: httpx.AsyncClient, *events: Any, path: str = "/v1/events", **headers: str
) -> dict[str, Any]:
    content = orjson.dumps(events)
    response = await client.post(path, content=content, headers=JSON | headers)
    assert response.status_code in {200, 202}, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def send(client: httpx.AsyncClient, *events: Any) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = (await post(client, *events))["results"]
    return results


async def kept(client: httpx.AsyncClient, sent: Any) -> str:
    """Send what can't be taken; gives the item."""
    (result,) = await send(client, sent)
    assert result["outcome"] == "quarantined", result
    item: str = result["quarantine_id"]
    return item


async def do(client: httpx.AsyncClient, item: str, what: str, **body: Any) -> dict[str, Any]:
    response = await client.post(f"{QUARANTINE}/{item}/{what}", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def waiting(client: httpx.AsyncClient) -> list[str]:
    found = (await client.get(QUARANTINE)).json()["items"]
    return [item["quarantine_id"] for item in found]


async def test_what_was_corrected_is_a_duplicate_of_what_it_became(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    item = await kept(client, BROKEN)
    done = await do(client, item, "replay", patch=MENDED)
    assert done["state"] == "replayed"
    for _ in range(2):
        answer = await post(client, opened("R0", event_id="fine"), BROKEN, BROKEN)
        assert (answer["duplicate"], answer["quarantined"]) in {(2, 0), (3, 0)}
        for again in answer["results"][1:]:
            assert again["outcome"] == "duplicate"
            assert again["seq"] == done["seq"]
            assert (again["source"], again["id"], again["store"]) == (
                BROKEN["source"],
                "e-broken",
                "S1",
            )
            assert again["quarantine_id"] == item
            assert [note["code"] for note in again["warnings"]] == ["dealt-with-in-quarantine"]
    assert await waiting(client) == []
    found = await get(client, item)
    assert (found["seen_count"], found["again_count"]) == (1, 4)
    assert found["again_at"] is not None
    assert found["state"] == "replayed"
    assert len(await check_store(pool)) == 2
    # the feed is heard of, and what it repeats is no new trouble
    assert await pool.fetchval("SELECT sum(quarantined) FROM feed_hour") == 1
    assert await pool.fetchval("SELECT sum(duplicates) FROM feed_hour") == 5
    # what the sender corrects there is another event, as ever
    right = BROKEN | {"data": BROKEN["data"] | {"odometer_km": 5}}
    assert [each["outcome"] for each in await send(client, right)] == ["duplicate"]
    other = BROKEN | {"data": BROKEN["data"] | {"odometer_km": 6}}
    assert [each.get("reason") for each in await send(client, other)] == ["identity-conflict"]
    third = other | {"id": "another"}
    assert [each["outcome"] for each in await send(client, third)] == ["accepted"]


@pytest.mark.parametrize("how", ["corrected", "discarded"])
async def test_every_way_in_says_the_same(client: httpx.AsyncClient, pool: Pool, how: str) -> None:
    first = opened("R2", event_id="e-first")
    conflict = first | {"data": first["data"] | {"advisor": "A2"}}
    await send(client, first)
    for sent, apply in ((BROKEN, None), (conflict, "keep-as-correction")):
        item = await kept(client, sent)
        if how == "discarded":
            await do(client, item, "discard", reason="the list of the old system")
        elif apply is None:
            await do(client, item, "replay", patch=MENDED)
        else:
            await do(client, item, "replay", apply=apply)
    before = await pool.fetchval("SELECT count(*) FROM event")
    events = [BROKEN, conflict, opened("R3", event_id="third")]
    tried = await post(client, *events, path="/v1/events/validate")
    assert await pool.fetchval("SELECT sum(again_count) FROM quarantine") == 0
    strict = await post(client, *events, Prefer="handling=strict")
    assert await pool.fetchval("SELECT sum(again_count) FROM quarantine") == 2
    lines = b"".join(orjson.dumps(each) + b"\n" for each in [*events[:2], opened("R4")])
    streamed = await client.post("/v1/events", content=lines, headers=NDJSON)
    await client.post("/v1/events/validate", content=lines, headers=NDJSON)
    assert await pool.fetchval("SELECT sum(again_count) FROM quarantine") == 4
    for answer in (tried, strict, orjson.loads(streamed.content)):
        assert [answer[name] for name in ("accepted", "duplicate", "quarantined")] == [1, 2, 0]
        assert answer["results"][:2] == strict["results"][:2]
        for result in answer["results"][:2]:
            assert (result["seq"] is None) is (how == "discarded")
    assert await pool.fetchval("SELECT count(*) FROM event") == before + 2
    assert await waiting(client) == []
    # one that nobody has dealt with is refused as a whole, as ever
    response = await client.post(
        "/v1/events",
        content=orjson.dumps([*events, opened("R5", odometer_km=-1)]),
        headers=JSON | {"Prefer": "handling=strict"},
    )
    assert response.status_code == 422
    assert await pool.fetchval("SELECT sum(again_count) FROM quarantine") == 4


async def test_what_may_pass_by_itself_waits_again_though_it_was_thrown_away(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    target = opened("R1", event_id="e-target")
    early = retraction(target)
    await do(client, await kept(client, early), "discard", reason="not understood")
    again = await kept(client, early)
    await send(client, target)
    assert (await get(client, again))["state"] == "replayed"
    unplaced = opened("R2", event_id="e-unplaced") | {"store": "S7"}
    await do(client, await kept(client, unplaced), "discard", reason="no such shop")
    again = await kept(client, unplaced)
    await add_store(factory, "S7")
    await factory.quarantine_runs.tick()
    assert (await get(client, again))["state"] == "replayed"
    assert [event.id for event in await read_log(pool, "S7")] == ["e-unplaced"]


async def test_what_was_moved_to_its_store_is_known_where_it_came_to(
    client: httpx.AsyncClient, factory: Factory, pool: Pool, issue: Issue, connect: Connect
) -> None:
    nameless = opened("R1", event_id="nameless", odometer_km=-5) | {"store": ""}
    item = await kept(client, nameless)
    named = {"op": "replace", "path": "/store", "value": "S1"}
    found = await do(client, item, "replay", patch=[named])
    assert (found["state"], found["store_id"]) == ("waiting", "S1")
    # it lies elsewhere by now, with what is wrong with it there: no second item
    assert await kept(client, nameless) == item
    assert (await get(client, item))["seen_count"] == 2
    done = await do(client, item, "replay", patch=MENDED)
    assert done["state"] == "replayed"
    (again,) = await send(client, nameless)
    assert (again["outcome"], again["seq"], again["store"]) == ("duplicate", done["seq"], "S1")
    # whoever may not see that store is told nothing of it
    await add_store(factory, "S2")
    odd = opened("R5", event_id="odd")
    await send(client, odd)
    other = odd | {"data": odd["data"] | {"advisor": "A9"}}
    item = await kept(client, other)
    moved = [
        {"op": "replace", "path": "/store", "value": "S2"},
        {"op": "replace", "path": "/id", "value": "odd-2"},
    ]
    assert (await do(client, item, "replay", patch=moved))["store_id"] == "S2"
    (again,) = await send(client, other)
    assert (again["outcome"], again["seq"], again["store"]) == ("duplicate", None, "S1")
    assert "of the store that it was found to be of" in again["warnings"][0]["detail"]
    bound = await connect(await issue(Scope.EVENTS_WRITE, stores=["S2"]))
    (theirs,) = await send(bound, nameless)
    assert theirs["outcome"] == "quarantined"
    assert theirs["quarantine_id"] != item


async def test_runs_deal_with_many_and_all_are_known(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    firsts: list[CloudEvent] = [settled(f"R{n}", event_id=f"n-{n}") for n in range(40)]
    others = [each | {"data": {"amounts": {"labor": 7}}} for each in firsts]
    await send(client, *firsts)
    await send(client, *others)
    response = await client.post(
        f"{QUARANTINE}/discards", json={"filter": {"store": "S1"}, "reason": "of the old system"}
    )
    assert response.status_code == 202, response.text
    await factory.quarantine_runs.tick()
    answer = await post(client, *others, settled("R99", event_id="n-99"))
    assert (answer["accepted"], answer["duplicate"], answer["quarantined"]) == (1, 40, 0)
    items = (await client.get(QUARANTINE, params={"state": "discarded"})).json()["items"]
    assert [item["again_count"] for item in items] == [1] * 40
    assert [each["quarantine_id"] for each in answer["results"][:-1]] == [
        item["quarantine_id"] for item in sorted(items, key=lambda item: int(item["id"][2:]))
    ]


async def test_what_was_thrown_away_by_mistake_waits_again(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    item = await kept(client, BROKEN)
    response = await client.post(f"{QUARANTINE}/{item}/reopen")
    assert response.status_code == 409, "it waits as it is"
    await do(client, item, "discard", reason="by mistake")
    await send(client, BROKEN)
    found = await do(client, item, "reopen")
    assert (found["state"], found["discard_reason"], found["resolved_by"]) == (
        "waiting",
        None,
        None,
    )
    assert await kept(client, BROKEN) == item
    found = await get(client, item)
    assert (found["seen_count"], found["again_count"]) == (2, 1)
    assert (await do(client, item, "replay", patch=MENDED))["state"] == "replayed"
    assert (await client.post(f"{QUARANTINE}/{item}/reopen")).status_code == 409
    assert (await client.post(f"{QUARANTINE}/nothing/reopen")).status_code == 404
    # a retraction waits for its target again, as if it had never been thrown away
    target = opened("R7", event_id="e-late")
    early = retraction(target)
    item = await kept(client, early)
    await do(client, item, "discard", reason="by mistake")
    await pool.execute("UPDATE stream_head SET waiting_retractions = 0")
    other = await kept(client, early)
    assert (await client.post(f"{QUARANTINE}/{item}/reopen")).status_code == 409, "it waits anew"
    await do(client, other, "discard", reason="twice is too much")
    await pool.execute("UPDATE stream_head SET waiting_retractions = 0")
    await do(client, item, "reopen")
    await send(client, target)
    assert (await get(client, item))["state"] == "replayed"
    await check_store(pool)
