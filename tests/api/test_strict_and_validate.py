"""All or nothing where that is preferred (RFC 7240), and what only tries events out."""

import asyncio
from typing import Any

import httpx
import orjson
import pytest

from app.db.engine import Pool
from app.domain.ids import follow_up_id
from app.factory import Factory
from app.services.bulk import CHUNK_LINES
from tests.support.facts import event, opened, retraction, settled
from tests.support.histories import CloudEvent
from tests.support.logs import check_store
from tests.support.posting import add_store, word

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
STRICT = {**JSON, "Prefer": 'respond-async, handling = "strict"; x=1, handling=lenient'}
OPENED = opened("R1", event_id="first")
CONFLICT = {**OPENED, "data": {**OPENED["data"], "advisor": "A2"}}

REFUSED: dict[str, list[CloudEvent]] = {
    "missing-attribute": [{**OPENED, "time": None}],
    "unknown-type": [{**OPENED, "type": "repair_order.polished"}],
    "unknown-store": [opened("R2") | {"store": "S9"}],
    "time-in-future": [opened("R2", at="2170-01-01T00:00:00Z")],
    "invalid-data": [opened("R2", odometer_km=-1)],
    "invalid-data, known by the appender alone": [
        event(
            "follow_up.scheduled",
            follow_up_id("S1", "R2", "first"),
            ro_number="R2",
            kind="first",
            opens_at="2026-06-04T09:00:00+08:00",
            due_at="2026-06-08T09:00:00+08:00",
        )
    ],
    "identity-conflict": [CONFLICT],
    "identity-conflict within": [
        opened("R2", event_id="same"),
        opened("R3", event_id="same"),
    ],
    "retraction-target-unknown": [retraction(opened("R9", event_id="never"))],
}


@pytest.fixture(autouse=True)
async def store(factory: Factory) -> None:
    await add_store(factory)
    await add_store(factory, "S2")


async def counts(pool: Pool) -> tuple[int, int, int]:
    row = await pool.fetchrow(
        """SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM quarantine),
                  (SELECT sum(waiting_retractions) FROM stream_head)"""
    )
    assert row is not None
    return row[0], row[1], row[2]


async def post(client: httpx.AsyncClient, events: list[CloudEvent], **more: Any) -> httpx.Response:
    return await client.post(
        "/v1/events", content=orjson.dumps(events), **{"headers": JSON, **more}
    )


@pytest.mark.parametrize("name", REFUSED)
async def test_strict_stores_nothing_if_anything_would_be_quarantined(
    name: str, client: httpx.AsyncClient, pool: Pool
) -> None:
    await post(client, [OPENED])
    before = await counts(pool)
    elsewhere = {**opened("R2"), "store": "S2"}
    events = [elsewhere, OPENED, opened("R4"), *REFUSED[name]]
    answer = await post(client, events, headers=STRICT)
    assert answer.status_code == 422, answer.text
    assert answer.headers["Preference-Applied"] == "handling=strict"
    problem = answer.json()
    assert problem["type"].endswith(":strict-handling")
    assert problem["quarantined"] == 1
    assert [result["index"] for result in problem["results"]] == list(range(len(events)))
    words = [result.get("reason", result["outcome"]) for result in problem["results"]]
    assert words[:3] == ["accepted", "duplicate", "accepted"]
    assert words[-1] == name.partition(",")[0].partition(" ")[0]
    assert [result.get("seq") for result in problem["results"]][:3] == [None, "1", None]
    assert problem["results"][-1]["quarantine_id"] is None
    assert problem["results"][-1]["errors"][0]["detail"]
    assert await counts(pool) == before


async def test_strict_stores_all_of_all_stores_if_nothing_is_wrong(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    events = [
        OPENED,
        {**opened("R1"), "store": "S2"},
        settled("R1"),
        retraction(OPENED),
    ]
    for outcome in ("accepted", "duplicate"):
        answer = await post(client, events, headers=STRICT)
        assert answer.status_code == 202, answer.text
        assert answer.headers["Preference-Applied"] == "handling=strict"
        assert {result["outcome"] for result in answer.json()["results"]} == {outcome}
        assert [result["seq"] for result in answer.json()["results"]] == ["1", "1", "2", "3"]
    assert len(await check_store(pool, "S2")) == 1
    await check_store(pool)


async def test_who_waits_for_news_hears_of_what_came_strictly_at_once(
    client: httpx.AsyncClient, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(factory.appender, "_announce", told.extend)
    await post(client, [OPENED, settled("R1", "no time")], headers=STRICT)
    assert told == []
    await post(client, [OPENED, {**opened("R1"), "store": "S2"}], headers=STRICT)
    assert sorted(told) == ["S1", "S2"]


async def test_strict_and_lenient_requests_at_once_leave_one_log(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    requests = [
        post(
            client,
            [{**opened(f"R{number}-{k}"), "store": f"S{1 + (number + k) % 2}"} for k in range(4)],
            headers=STRICT if number % 2 else JSON,
        )
        for number in range(30)
    ]
    answers = await asyncio.gather(*requests)
    assert {answer.status_code for answer in answers} == {202}
    assert len(await check_store(pool)) >= 60
    assert len(await check_store(pool, "S2")) >= 60


async def test_strict_in_structured_and_binary_mode(client: httpx.AsyncClient, pool: Pool) -> None:
    bad = opened("R1", odometer_km=-1)
    structured = await client.post("/v1/events", json=bad, headers={"Prefer": "handling=strict"})
    binary = await client.post(
        "/v1/events",
        json=bad["data"],
        headers={
            "Prefer": "handling=strict",
            **{f"ce-{name}": value for name, value in bad.items() if name != "data"},
        },
    )
    assert (structured.status_code, binary.status_code) == (422, 422)
    assert structured.json()["results"] == binary.json()["results"]
    assert await counts(pool) == (0, 0, 0)


async def validate(client: httpx.AsyncClient, events: list[CloudEvent]) -> list[dict[str, Any]]:
    """Try a batch out, and as lines; both must say the same."""
    batch = await client.post("/v1/events/validate", content=orjson.dumps(events), headers=JSON)
    assert batch.status_code == 200, batch.text
    lines = await client.post(
        "/v1/events/validate",
        content=b"\n".join(orjson.dumps(event) for event in events),
        headers=NDJSON,
    )
    assert lines.status_code == 200, lines.text
    assert [orjson.loads(line) for line in lines.text.splitlines()] == [batch.json()]
    results: list[dict[str, Any]] = batch.json()["results"]
    return results


async def test_validate_says_what_ingest_would_and_stores_nothing(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    await post(client, [OPENED])
    before = await counts(pool)
    events = [event for group in REFUSED.values() for event in group]
    new = opened("R7", event_id="new", work_type="glass_polishing")
    events += [OPENED, new, new, {**new, "subject": "R8"}, retraction(new), {}, {"id": 1}]
    tried = await validate(client, events)
    assert await counts(pool) == before
    posted = (await post(client, events)).json()["results"]
    for one, other in zip(tried, posted, strict=True):
        same = {"index", "source", "id", "outcome", "store", "reason", "warnings"}
        assert {k: one.get(k) for k in same} == {k: other.get(k) for k in same}
        if one["outcome"] == "quarantined":
            assert one["quarantine_id"] is None
            assert [fault["code"] for fault in one["errors"]] == [
                fault["code"] for fault in other["errors"]
            ]
        else:
            assert one["seq"] == (other["seq"] if other["seq"] == "1" else None)


async def test_validate_waits_for_no_lock(client: httpx.AsyncClient, pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT * FROM stream_head FOR UPDATE")
        tried = await asyncio.wait_for(validate(client, [OPENED, retraction(OPENED)]), 60)
    assert [result["outcome"] for result in tried] == ["accepted", "accepted"]


async def test_validate_knows_the_lines_of_earlier_chunks(client: httpx.AsyncClient) -> None:
    events = [OPENED, *(opened(f"R-{number}") for number in range(CHUNK_LINES))]
    events += [OPENED, CONFLICT, retraction(OPENED)]
    answer = await client.post(
        "/v1/events/validate",
        content=b"\n".join(orjson.dumps(event) for event in events),
        headers={**NDJSON, "Prefer": "return=minimal"},
    )
    last = orjson.loads(answer.text.splitlines()[-1])
    assert (last["accepted"], last["duplicate"], last["quarantined"]) == (2, 1, 1)
    assert [word(result) for result in last["results"]] == ["=None", "identity-conflict"]
    assert "an event before it" in last["results"][1]["errors"][0]["detail"]


async def test_what_cannot_be_read_at_all_is_refused_by_validate_too(
    client: httpx.AsyncClient,
) -> None:
    for content, headers, status in (
        (b"{", JSON, 400),
        (b"{", {**NDJSON, "Content-Encoding": "gzip"}, 400),
        (b"[" + b"1," * 10_000 + b"1]", JSON, 413),
    ):
        answer = await client.post("/v1/events/validate", content=content, headers=headers)
        assert answer.status_code == status, answer.text
