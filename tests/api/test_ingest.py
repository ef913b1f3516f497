"""POST /v1/events: what is refused as a whole, and what is an outcome of its own event (J19)."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from app.db.engine import Pool
from app.domain.access import Scope
from app.factory import Factory
from tests.api.conftest import Connect, Issue
from tests.support.facts import opened, settled
from tests.support.posting import add_store, word

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
MEGABYTE = 1024 * 1024


@pytest.fixture(autouse=True)
async def store(factory: Factory) -> None:
    await add_store(factory)


async def send(
    client: httpx.AsyncClient, body: bytes, content_type: str = BATCH, **headers: str
) -> list[dict[str, Any]]:
    """Post what must be taken; gives the results."""
    response = await client.post(
        "/v1/events", content=body, headers={"Content-Type": content_type, **headers}
    )
    assert response.status_code == 202, response.text
    answer = response.json()
    assert answer["accepted"] + answer["duplicate"] + answer["quarantined"] >= len(
        answer["results"]
    )
    results: list[dict[str, Any]] = answer["results"]
    return results


async def nothing_is_stored(pool: Pool) -> bool:
    return not await pool.fetchval(
        "SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM quarantine)"
    )


def raw(**parts: str) -> bytes:
    """Write an event as JSON by hand; parts replace what its members are written as."""
    members = {
        "specversion": '"1.0"',
        "id": '"e-raw"',
        "source": '"/dms/test"',
        "type": '"repair_order.opened"',
        "store": '"S1"',
        "subject": '"R1"',
        "time": '"2026-06-01T09:00:00+08:00"',
        "data": '{"work_type":"ordinary_repair","advisor":"A1"}',
        **parts,
    }
    return ("{" + ",".join(f'"{name}":{text}' for name, text in members.items()) + "}").encode()


def with_data(text: str) -> bytes:
    """Write an event whose data has another member at its end."""
    return raw(data=f'{{"work_type":"ordinary_repair","advisor":"A1",{text}}}')


GOOD = orjson.dumps(opened("R-good", event_id="good"))


# -- refused as a whole


NO_JSON = (
    b"",
    b" ",
    b"{",
    GOOD[:-1],
    b"[" + GOOD,
    b"[" + GOOD + b",]",
    b"[" + GOOD + b"]]",
    GOOD + b"x",
    b"not json",
    b"{'id': 1}",
    with_data('"x": NaN'),
    with_data('"x": Infinity'),
    with_data('"x": 01'),
    with_data('"x": "\x01"'),
    raw(id='"\\x41"'),
    b"\xef\xbb\xbf" + GOOD,
    GOOD.replace(b"R-good", b"R-\xff"),
    GOOD.decode().encode("utf-16"),
    '{"id": "车"}'.encode("gbk"),
    b"[" * 200_000,
)


async def test_j19_what_is_no_json_in_utf8_is_400_and_stores_nothing(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    for body in NO_JSON:
        for content_type in (STRUCTURED, BATCH):
            response = await client.post(
                "/v1/events", content=body, headers={"Content-Type": content_type}
            )
            assert response.status_code == 400, (body[:40], response.text)
            assert response.json()["type"].endswith(":malformed-body")
    assert await nothing_is_stored(pool)


async def test_j19_another_charset_than_utf8_is_400(client: httpx.AsyncClient, pool: Pool) -> None:
    for charset in ("gbk", '"utf-16"', "latin-1"):
        response = await client.post(
            "/v1/events",
            content=GOOD,
            headers={"Content-Type": f"{STRUCTURED}; charset={charset}"},
        )
        assert response.status_code == 400
    assert await nothing_is_stored(pool)
    for charset in ("utf-8", '"UTF-8"', "us-ascii"):
        (result,) = await send(client, GOOD, f"{STRUCTURED}; charset={charset}")
        assert result["seq"] == "1"


async def test_j19_a_body_over_10_mebibytes_is_413(client: httpx.AsyncClient, pool: Pool) -> None:
    padding = b" " * (10 * MEGABYTE - len(GOOD))
    (result,) = await send(client, GOOD + padding, STRUCTURED)
    assert result["outcome"] == "accepted"

    async def in_parts() -> AsyncIterator[bytes]:
        yield GOOD
        for _ in range(11):
            yield b" " * MEGABYTE

    for body in (GOOD + padding + b" ", in_parts()):
        response = await client.post(
            "/v1/events", content=body, headers={"Content-Type": STRUCTURED}
        )
        assert response.status_code == 413
        assert response.json()["limit"] == 10 * MEGABYTE
    assert await pool.fetchval("SELECT count(*) FROM event") == 1


async def test_j19_a_batch_over_10_000_events_is_413(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    response = await client.post(
        "/v1/events",
        content=b"[" + b",".join([GOOD] * 10_001) + b"]",
        headers={"Content-Type": BATCH},
    )
    assert response.status_code == 413
    assert response.json()["limit"] == 10_000
    assert await nothing_is_stored(pool)


async def test_a12_10_000_times_the_same_odd_thing_is_one_item(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    results = await send(client, b"[" + b",".join([b"1"] * 10_000) + b"]")
    assert len(results) == 10_000
    assert len({result["quarantine_id"] for result in results}) == 1
    assert results[9_999]["reason"] == "missing-attribute"
    assert results[9_999]["errors"][0]["pointer"] == ""
    row = await pool.fetchrow("SELECT body, seen_count FROM quarantine")
    assert row is not None
    assert (row["body"], row["seen_count"]) == (b"1", 10_000)


# -- an outcome of its own event

DEEPEST = "[" * 200_000 + "]" * 200_000
DEEP = "[" * 20_000 + "]" * 20_000
DEEP_OBJECT = '{"a":' * 20_000 + "1" + "}" * 20_000

ODD: dict[str, tuple[bytes, str, str]] = {
    "a NUL in a text": (with_data('"pay_type": "a\\u0000b"'), "invalid-data", "/data/pay_type"),
    "a NUL in a personal text": (with_data('"plate": "\\u0000"'), "invalid-data", "/data/plate"),
    "a NUL in an unknown field": (with_data('"x": {"y": "\\u0000"}'), "invalid-data", "/data/x/y"),
    "a NUL in a name": (with_data('"x\\u0000": 1'), "invalid-data", "/data/x\ufffd"),
    "a NUL in the id": (raw(id='"a\\u0000"'), "invalid-data", "/id"),
    "a NUL in the source": (raw(source='"a\\u0000"'), "invalid-data", "/source"),
    "a NUL in the subject": (raw(subject='"a\\u0000"'), "invalid-data", "/subject"),
    "a NUL in the type": (raw(type='"a\\u0000"'), "unknown-type", "/type"),
    "a NUL in the store": (raw(store='"S1\\u0000"'), "unknown-store", "/store"),
    "a NUL in the time": (raw(time='"2026\\u0000"'), "invalid-data", "/time"),
    "a NUL in a trace": (raw(correlationid='"\\u0000"'), "invalid-data", "/correlationid"),
    "a NUL in an extension": (raw(extension='"\\u0000"'), "invalid-data", "/extension"),
    "a surrogate in a text": (
        with_data('"pay_type": "\\ud800"'),
        "invalid-data",
        "/data/pay_type",
    ),
    "a surrogate in an unknown field": (
        with_data('"x": ["\\udfff"]'),
        "invalid-data",
        "/data/x/0",
    ),
    "a surrogate in a name": (with_data('"\\ud83d": 1'), "invalid-data", "/data/?"),
    "a surrogate in the id": (raw(id='"\\ud800"'), "invalid-data", "/id"),
    "a surrogate in the subject": (raw(subject='"\\ud800"'), "invalid-data", "/subject"),
    "a surrogate in the type": (raw(type='"\\ud800"'), "unknown-type", "/type"),
    "a surrogate in the store": (raw(store='"\\ud800"'), "unknown-store", "/store"),
    "1e400": (with_data('"odometer_km": 1e400'), "invalid-data", "/data/odometer_km"),
    "1e400 in an unknown field": (with_data('"x": -1e400'), "invalid-data", "/data/x"),
    "1e400 for a text": (with_data('"pay_type": 1e400'), "invalid-data", "/data/pay_type"),
    "5 000 digits": (with_data(f'"x": {"9" * 5_000}'), "invalid-data", "/data/x"),
    "5 000 digits in a field": (
        with_data(f'"odometer_km": {"9" * 5_000}'),
        "invalid-data",
        "/data/odometer_km",
    ),
    "200 000 lists": (with_data(f'"x": {DEEPEST}'), "invalid-data", "/data/x"),
    "20 000 objects": (with_data(f'"x": {DEEP_OBJECT}'), "invalid-data", "/data/x"),
    "20 000 lists for a text": (with_data(f'"plate": {DEEP}'), "invalid-data", "/data/plate"),
    "20 000 lists for the data": (raw(data=DEEP), "invalid-data", "/data"),
    "20 000 lists for the id": (raw(id=DEEP), "missing-attribute", "/id"),
    "a long text": (with_data(f'"x": "{"x" * 10_001}"'), "invalid-data", "/data/x"),
    "a long plate": (with_data(f'"plate": "{"x" * 129}"'), "invalid-data", "/data/plate"),
    "a long id": (raw(id=f'"{"i" * 129}"'), "invalid-data", "/id"),
    "a long source": (raw(source=f'"{"s" * 257}"'), "invalid-data", "/source"),
    "a long subject": (raw(subject=f'"{"s" * 65}"'), "invalid-data", "/subject"),
    "no object": (b'"text"', "missing-attribute", ""),
    "null": (b"null", "missing-attribute", ""),
    "a number for the id": (raw(id="7"), "missing-attribute", "/id"),
    "an empty id": (raw(id='""'), "missing-attribute", "/id"),
    "a list for the store": (raw(store="[]"), "missing-attribute", "/store"),
    "an object for the store": (raw(store="{}"), "missing-attribute", "/store"),
    "a list for the source": (raw(source="[]"), "missing-attribute", "/source"),
    "a list for the type": (raw(type="[]"), "missing-attribute", "/type"),
}


@pytest.mark.parametrize("mode", ["alone", "in a batch", "binary"])
async def test_j19_odd_things_are_outcomes_and_their_bytes_are_kept(
    mode: str, client: httpx.AsyncClient, pool: Pool
) -> None:
    for name, (event, reason, pointer) in ODD.items():
        body, position, headers = event, 0, {"Content-Type": STRUCTURED}
        if mode == "in a batch":
            body, position = b" [ " + GOOD + b" ,\n" + event + b" , " + GOOD + b"]", 1
            headers = {"Content-Type": BATCH}
        elif mode == "binary":
            if b'"data":' not in event or not pointer.startswith("/data"):
                continue
            body = event[event.index(b'"data":') + 7 : -1]
            headers = {
                "Content-Type": "application/json",
                **{
                    f"ce-{key}": value
                    for key, value in orjson.loads(raw()).items()
                    if key != "data"
                },
            }
        response = await client.post("/v1/events", content=body, headers=headers)
        assert response.status_code == 202, (name, response.text)
        result = response.json()["results"][position]
        assert (result["outcome"], result.get("reason")) == ("quarantined", reason), name
        assert result["errors"][0]["pointer"].startswith(pointer), (name, result["errors"])
        kept = await pool.fetchval(
            "SELECT body FROM quarantine WHERE quarantine_id = $1", result["quarantine_id"]
        )
        assert kept == (body if mode == "binary" else event), name
        if mode == "in a batch":
            assert [word(each) for each in response.json()["results"]][2] == "=1", name
        shown = await client.get(f"/v1/quarantine/{result['quarantine_id']}")
        assert shown.status_code == 200, name
        again = await client.post(f"/v1/quarantine/{result['quarantine_id']}/replay")
        assert again.status_code == 200, (name, again.text)
        assert (again.json()["state"], again.json()["reason"]) == ("waiting", reason), name
    listed = await client.get("/v1/quarantine", params={"limit": 200})
    assert listed.status_code == 200


WITHIN = (
    with_data(f'"x": {"[" * 32}1{"]" * 32}'),
    with_data(f'"x": "{"x" * 10_000}"'),
    with_data('"x": 1e300, "odometer_km": 1e5'),
    with_data('"x": "\\ud83d\\ude97"'),
    raw(id=f'"{"i" * 128}"', source=f'"{"s" * 256}"', subject=f'"{"车" * 64}"'),
    raw(time='"2026-06-01t01:00:00.123456789z"'),
    raw(data='{"work_type":"ordinary_repair","advisor":"A1","advisor":"A1"}'),
)


async def test_what_is_just_within_the_limits_is_accepted(client: httpx.AsyncClient) -> None:
    for number, event in enumerate(WITHIN):
        numbered = event.replace(b'"e-raw"', b'"e-%d"' % number)
        (result,) = await send(client, numbered, STRUCTURED)
        assert result["outcome"] == "accepted", result


async def test_j19_odd_bytes_that_are_no_text_are_kept_too(client: httpx.AsyncClient) -> None:
    body = bytes(range(256))
    attributes = orjson.loads(raw())
    headers = {f"ce-{key}": value for key, value in attributes.items() if key != "data"}
    (result,) = await send(client, body, "application/octet-stream", **headers)
    assert (result["reason"], result["errors"][0]["pointer"]) == (
        "invalid-data",
        "/datacontenttype",
    )
    item = (await client.get(f"/v1/quarantine/{result['quarantine_id']}")).json()
    assert item["body"] is None
    assert item["body_base64"] == (b64encode(body).decode())


async def test_long_headers_of_binary_mode_are_kept_whole(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    """Else a replay would read another event than the one that was sent."""
    attributes = orjson.loads(raw())
    headers = {f"ce-{key}": value for key, value in attributes.items() if key != "data"}
    headers["ce-source"] = "/dms/" + "x" * 300
    body = orjson.dumps(attributes["data"])
    (result,) = await send(client, body, "application/json", **headers)
    assert result["errors"][0]["pointer"] == "/source"
    item = (await client.get(f"/v1/quarantine/{result['quarantine_id']}")).json()
    assert item["attributes"]["ce-source"] == headers["ce-source"]
    again = await client.post(f"/v1/quarantine/{result['quarantine_id']}/replay")
    assert again.json()["state"] == "waiting"


async def test_headers_of_binary_mode_in_odd_bytes(client: httpx.AsyncClient) -> None:
    attributes = orjson.loads(raw())
    headers = {
        f"ce-{key}".encode(): str(value).encode()
        for key, value in attributes.items()
        if key != "data"
    }
    body = orjson.dumps(attributes["data"])
    for odd in (b"\xff\xfe", b"%FF", b"%00", b"%ED%A0%80", b'"a\\"b%', "沪".encode()):
        response = await client.post(
            "/v1/events",
            content=body,
            headers=headers | {b"ce-subject": odd, b"content-type": b"application/json"},
        )
        assert response.status_code == 202, (odd, response.text)
        result = response.json()["results"][0]
        if result["outcome"] == "quarantined":
            assert result["errors"][0]["pointer"] in {"/subject", "/id"}, (odd, result)
            item = await client.get(f"/v1/quarantine/{result['quarantine_id']}")
            assert item.status_code == 200
        headers[b"ce-id"] += b"x"


async def test_others_are_served_while_a_large_odd_body_is_read(client: httpx.AsyncClient) -> None:
    """It is read the slow way, because of a single lone surrogate."""
    odd = with_data('"x": "\\ud800"')
    body = b"[" + b",".join([GOOD] * 9_998 + [with_data(f'"x": {DEEPEST}'), odd]) + b"]"
    slow = asyncio.create_task(send(client, body, Prefer="return=minimal"))
    await asyncio.sleep(0.05)
    served = 0
    while not slow.done():
        assert (await client.get("/healthz")).status_code == 200
        served += 1
        await asyncio.sleep(0)
    results = await slow
    assert [result["index"] for result in results if result["outcome"] == "quarantined"] == [
        9_998,
        9_999,
    ]
    assert served > 10


# -- the answer


async def test_the_answer_has_each_outcome_in_order(client: httpx.AsyncClient) -> None:
    first = opened("R1", work_type="glass_polishing")
    conflict = {**first, "data": {**first["data"], "advisor": "A2"}}
    body = orjson.dumps([first, first, conflict, opened("R2", store="S9"), opened("R3")])
    response = await client.post("/v1/events", content=body, headers={"Content-Type": BATCH})
    answer = response.json()
    assert (answer["accepted"], answer["duplicate"], answer["quarantined"]) == (2, 1, 2)
    results = answer["results"]
    assert [result["index"] for result in results] == [0, 1, 2, 3, 4]
    assert [word(result) for result in results] == [
        "1",
        "=1",
        "identity-conflict",
        "unknown-store",
        "2",
    ]
    assert results[0]["warnings"] == [
        {
            "pointer": "/data/work_type",
            "code": "counted-as-other",
            "detail": "The value isn't known and counts as `other`.",
        }
    ]
    assert results[4] == {
        "index": 4,
        "source": "/dms/test",
        "id": results[4]["id"],
        "outcome": "accepted",
        "store": "S1",
        "seq": "2",
        "warnings": [],
    }
    assert set(results[3]) == {
        "index",
        "source",
        "id",
        "outcome",
        "reason",
        "quarantine_id",
        "errors",
    }


async def test_prefer_minimal_leaves_out_what_was_accepted(client: httpx.AsyncClient) -> None:
    twice = opened("R1")
    body = orjson.dumps([twice, opened("R2"), twice, opened("R3", store="S9")])
    response = await client.post(
        "/v1/events",
        content=body,
        headers={"Content-Type": BATCH, "Prefer": "respond-async, return=minimal"},
    )
    answer = response.json()
    assert (answer["accepted"], answer["duplicate"], answer["quarantined"]) == (2, 1, 1)
    assert [result["index"] for result in answer["results"]] == [2, 3]


async def test_an_empty_batch_is_a_batch(client: httpx.AsyncClient) -> None:
    assert await send(client, b" [ ] ") == []


async def test_a10_the_first_fault_in_order_gives_the_reason(client: httpx.AsyncClient) -> None:
    """Each event has all the faults that come later too."""
    faults = {
        "missing-attribute": {"subject": ""},
        "unsupported-version": {"specversion": "0.3"},
        "unknown-type": {"type": "repair_order.painted"},
        "unknown-store": {"store": "S9"},
        "invalid-data": {"time": "yesterday"},
    }
    event = opened("R1", "2036-06-01T09:00:00+08:00", advisor=None)
    broken = [event]
    for change in reversed(faults.values()):
        broken.append(broken[-1] | change)
    results = await send(client, orjson.dumps(broken))
    assert [result["reason"] for result in results] == ["time-in-future", *reversed(faults)]


@pytest.mark.parametrize(
    "schema", ["https://example.com/repair_order.opened/v2", "v2", "urn:x/v999999999"]
)
async def test_a11_a_higher_version_is_unsupported(schema: str, client: httpx.AsyncClient) -> None:
    (result,) = await send(client, orjson.dumps(opened("R1") | {"dataschema": schema}), STRUCTURED)
    assert (result["reason"], result["errors"][0]["pointer"]) == (
        "unsupported-version",
        "/dataschema",
    )


async def test_a13_time_in_future_looks_at_receipt_and_allows_ten_minutes(
    client: httpx.AsyncClient,
) -> None:
    """It is 10:00 in Shanghai."""
    events = [
        opened("R1", "2026-07-01T10:10:00+08:00"),
        opened("R2", "2026-07-01T10:10:00.000001+08:00"),
        opened("R3", "2026-07-01T02:10:01Z"),
    ]
    words = [word(result) for result in await send(client, orjson.dumps(events))]
    assert words == ["1", "time-in-future", "time-in-future"]


async def test_a14_a_delivered_at_ahead_of_now_is_accepted(client: httpx.AsyncClient) -> None:
    event = settled("R1", delivered_at="2026-08-01T10:00:00+08:00")
    (result,) = await send(client, orjson.dumps(event), STRUCTURED)
    assert result["outcome"] == "accepted"


# -- who may


async def test_a_key_writes_to_its_own_stores_only(
    client: httpx.AsyncClient, connect: Connect, issue: Issue, factory: Factory, pool: Pool
) -> None:
    await add_store(factory, "S2")
    bound = await connect(await issue(Scope.EVENTS_WRITE, stores=["S1"]))
    body = orjson.dumps([opened("R1"), opened("R2", store="S2")])
    results = await send(bound, body)
    assert [word(result) for result in results] == ["1", "unknown-store"]
    assert await pool.fetchval("SELECT store_id FROM quarantine") == ""


async def test_without_the_scope_it_is_403_and_without_a_key_401(
    connect: Connect, issue: Issue, pool: Pool
) -> None:
    reader = await connect(await issue(Scope.REPAIR_ORDERS_READ))
    stranger = await connect()
    for client, status in ((reader, 403), (stranger, 401)):
        response = await client.post("/v1/events", content=GOOD)
        assert response.status_code == status
    assert await nothing_is_stored(pool)
