"""Lines of events: one bad line stops no other, nothing is lost, nothing is there twice."""

import hashlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import orjson
import pytest

from app.db.engine import Pool
from app.factory import Factory
from app.services.bulk import CHUNK_LINES
from tests.support.facts import event, opened
from tests.support.histories import CloudEvent
from tests.support.logs import check_store
from tests.support.posting import add_store, word

NDJSON = "application/x-ndjson"
MEBIBYTE = 1024 * 1024


@pytest.fixture(autouse=True)
async def store(factory: Factory) -> None:
    await add_store(factory)


def lines(events: Iterable[CloudEvent]) -> bytes:
    return b"".join(orjson.dumps(event) + b"\n" for event in events)


async def send(
    client: httpx.AsyncClient,
    content: bytes | AsyncIterator[bytes],
    *,
    path: str = "/v1/events",
    **headers: str,
) -> list[dict[str, Any]]:
    """Send lines that are taken; gives the lines of the answer."""
    response = await client.post(
        path, content=content, headers={"Content-Type": NDJSON, **headers}, timeout=60
    )
    assert response.status_code == (202 if path == "/v1/events" else 200), response.text
    assert response.headers["Content-Type"] == NDJSON
    assert response.text.endswith("\n")
    return [orjson.loads(line) for line in response.text.splitlines()]


def results(answer: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [result for chunk in answer for result in chunk["results"]]


async def test_each_chunk_has_its_answer_and_an_index_is_its_lines_number_less_one(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    events = [opened(f"R{number}") for number in range(2 * CHUNK_LINES + 100)]
    body = lines(events[:50]) + b"\n\n" + lines(events[50:])
    answer = await send(client, body)
    assert [chunk["accepted"] for chunk in answer] == [CHUNK_LINES, CHUNK_LINES, 100]
    told = results(answer)
    expected = [*range(50), *range(52, len(events) + 2)]
    assert [result["index"] for result in told] == expected
    assert [result["id"] for result in told] == [event["id"] for event in events]
    assert [result["seq"] for result in told] == [str(seq + 1) for seq in range(len(events))]
    assert len(await check_store(pool)) == len(events)

    again = await send(client, body, Prefer="return=minimal")
    assert [(chunk["accepted"], chunk["duplicate"]) for chunk in again] == [
        (0, CHUNK_LINES),
        (0, CHUNK_LINES),
        (0, 100),
    ]
    assert len(await check_store(pool)) == len(events)


async def test_what_is_accepted_is_left_out_where_that_is_preferred(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post(
        "/v1/events",
        content=lines([opened("R1")]) + b"{}\n",
        headers={"Content-Type": "application/jsonl; charset=utf-8", "Prefer": "Return = minimal"},
    )
    assert response.headers["Preference-Applied"] == "return=minimal"
    (chunk,) = response.text.splitlines()
    assert [result["index"] for result in orjson.loads(chunk)["results"]] == [1]
    assert orjson.loads(chunk)["accepted"] == 1


async def test_line_ends_of_all_kinds_a_byte_order_mark_and_none_at_the_end(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    events = [orjson.dumps(opened(f"R{number}", concerns=["异响"])) for number in range(5)]
    body = b"\xef\xbb\xbf%b\n%b\r\n%b\r%b\n\r\n \t\r\n%b" % tuple(events)

    async def byte_by_byte() -> AsyncIterator[bytes]:
        for place in range(len(body)):
            yield body[place : place + 1]

    (chunk,) = await send(client, byte_by_byte())
    assert [result["index"] for result in chunk["results"]] == [0, 1, 2, 3, 6]
    assert chunk["accepted"] == 5
    assert len(await check_store(pool)) == 5


@pytest.mark.parametrize("body", [b"", b"\n\r\n  \n"])
async def test_a_stream_without_a_line_has_an_answer_too(
    body: bytes, client: httpx.AsyncClient
) -> None:
    assert await send(client, body) == [
        {"accepted": 0, "duplicate": 0, "quarantined": 0, "results": []}
    ]


BROKEN = {
    "cut in the middle": (b'{"specversion":"1.0","id":', "not-json"),
    "no JSON": (b"specversion=1.0;id=7", "not-json"),
    "two in a line": (b"{}{}", "not-json"),
    "NaN": (b'{"id": NaN}', "not-json"),
    "GBK": ('{"id": "车"}'.encode("gbk"), "not-json"),
    "a mark in the middle": (b"\xef\xbb\xbf{}", "not-json"),
    "a list": (b"[]", "not-an-object"),
    "a number": (b"1", "not-an-object"),
    "too deep": (b"[" * 5000 + b"]" * 5000, "not-an-object"),
    "too deep and cut": (b'{"a":' * 5000, "not-json"),
    "an empty object": (b"{}", "missing"),
}


async def test_a_line_that_is_no_event_is_an_outcome_and_lies_in_quarantine(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    good = [opened(f"R{number}") for number in range(len(BROKEN) + 1)]
    body = b"".join(
        orjson.dumps(event) + b"\n" + broken + b"\n"
        for event, (broken, _) in zip(good, BROKEN.values(), strict=False)
    ) + orjson.dumps(good[-1])
    (answer,) = await send(client, body)
    assert (answer["accepted"], answer["quarantined"]) == (len(good), len(BROKEN))
    for number, (name, (broken, code)) in enumerate(BROKEN.items()):
        result = answer["results"][2 * number + 1]
        assert (result["index"], result["reason"]) == (2 * number + 1, "missing-attribute"), name
        fault = result["errors"][0]
        assert fault["code"] == code, name
        if code == "not-json":
            assert fault["pointer"] == ""
            assert fault["detail"].startswith(f"Line {2 * number + 2} "), fault
            assert "cut" not in fault["detail"]
        item = await pool.fetchrow(
            "SELECT body, state FROM quarantine WHERE quarantine_id = $1", result["quarantine_id"]
        )
        assert item is not None
        assert (item["body"], item["state"]) == (broken, "waiting"), name
    assert len(await check_store(pool)) == len(good)


async def test_an_item_that_is_no_json_can_be_tried_again_and_thrown_away(
    client: httpx.AsyncClient,
) -> None:
    (answer,) = await send(client, b"{\n")
    item = f"/v1/quarantine/{answer['results'][0]['quarantine_id']}"
    replayed = await client.post(f"{item}/replay")
    assert replayed.status_code == 200, replayed.text
    assert replayed.json()["state"] == "waiting"
    assert replayed.json()["errors"][0]["code"] == "not-json"
    assert (await client.get(item)).status_code == 200
    discarded = await client.post(f"{item}/discard", json={"reason": "a slip of the pen"})
    assert discarded.json()["state"] == "discarded"


async def test_a_last_line_that_was_cut_says_so(client: httpx.AsyncClient) -> None:
    (answer,) = await send(client, lines([opened("R1"), opened("R2")])[:-10])
    assert [result["outcome"] for result in answer["results"]] == ["accepted", "quarantined"]
    assert "perhaps it was cut" in answer["results"][1]["errors"][0]["detail"]


async def test_of_a_line_of_100_megabytes_the_first_bytes_are_kept(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    part = b"y" * MEBIBYTE
    digest = hashlib.sha256(b'{"id":"')

    async def body() -> AsyncIterator[bytes]:
        yield lines([opened("R1", event_id="before")]) + b'{"id":"'
        for _ in range(100):
            digest.update(part)
            yield part
        yield b"\n" + lines([opened("R2", event_id="after")])

    (answer,) = await send(client, body())
    assert [word(result) for result in answer["results"]] == ["1", "missing-attribute", "2"]
    fault = answer["results"][1]["errors"][0]
    assert (fault["pointer"], fault["code"]) == ("", "line-too-long")
    assert f"Line 2 has {100 * MEBIBYTE + 7} bytes" in fault["detail"]
    digest = hashlib.sha256(b'{"id":"')
    (again,) = await send(client, body())
    assert [word(result) for result in again["results"]] == ["=1", "missing-attribute", "=2"]
    item = (await client.get(f"/v1/quarantine/{answer['results'][1]['quarantine_id']}")).json()
    assert item["seen_count"] == 2
    noted = orjson.loads(await pool.fetchval("SELECT attributes FROM quarantine"))
    assert noted == {"line-bytes": str(100 * MEBIBYTE + 7), "line-sha256": digest.hexdigest()}
    assert await pool.fetchval("SELECT length(body) FROM quarantine") == 65_536
    replayed = (await client.post(f"/v1/quarantine/{item['quarantine_id']}/replay")).json()
    assert (replayed["state"], replayed["errors"][0]["code"]) == ("waiting", "line-too-long")


async def test_what_is_no_utf8_as_a_whole_is_refused(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    body = lines([opened("R1")])
    for content, content_type in (
        (body, f"{NDJSON}; charset=gbk"),
        (body.decode().encode("utf-16"), NDJSON),
    ):
        response = await client.post(
            "/v1/events", content=content, headers={"Content-Type": content_type}
        )
        assert response.status_code == 400, response.text
        assert response.json()["type"].endswith(":malformed-body")
    assert (
        await pool.fetchval(
            "SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM quarantine)"
        )
        == 0
    )


async def test_odd_facts_are_told_one_by_one(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    """What a workshop's system gets wrong is a fact of its own; each has a clear outcome."""
    await add_store(factory, "S2")
    first = opened("R1", event_id="same")
    sent: list[tuple[CloudEvent, str]] = [
        (first, "1"),
        (first, "=1"),
        ({**first, "data": {**first["data"], "advisor": "A2"}}, "identity-conflict"),
        (opened("R1970", at="1970-01-01T00:00:00Z"), "2"),
        (opened("R2170", at="2170-01-01T00:00:00Z"), "time-in-future"),
        (opened("R3", promised_at="2026-05-31T09:00:00+08:00"), "3"),
        (opened("R4", odometer_km=-1), "invalid-data"),
        (opened("R5", odometer_km="99999999999999999999"), "invalid-data"),
        (opened("R5", odometer_km=9_999_999), "4"),
        (opened("R6", odometer_km="1e400"), "invalid-data"),
        (event("repair_order.opened", "R1", store="S2", work_type="other", advisor="B1"), "1"),
        (
            event("repair_order.opened", "R1", store="S9", work_type="other", advisor="B1"),
            "unknown-store",
        ),
    ]
    (answer,) = await send(client, lines(event for event, _ in sent))
    assert [word(result) for result in answer["results"]] == [told for _, told in sent]
    assert {event.subject for event in await check_store(pool, "S2")} == {"R1"}
    await check_store(pool)


async def test_identities_are_compared_across_chunks(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    events = [opened(f"R{number}") for number in range(CHUNK_LINES)]
    other = {**events[0], "data": {**events[0]["data"], "advisor": "A2"}}
    answer = await send(client, lines([*events, events[0], other]))
    assert [word(result) for result in answer[1]["results"]] == ["=1", "identity-conflict"]
    assert len(await check_store(pool)) == CHUNK_LINES


async def test_lines_cannot_be_all_or_nothing(client: httpx.AsyncClient, pool: Pool) -> None:
    response = await client.post(
        "/v1/events",
        content=lines([opened("R1")]),
        headers={"Content-Type": NDJSON, "Prefer": "handling=strict"},
    )
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/header/Prefer"
    assert await pool.fetchval("SELECT count(*) FROM event") == 0
