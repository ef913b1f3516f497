"""Ingest takes what the PyPI package `cloudevents` sends, in each content mode."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1.conversion import to_binary as old_to_binary
from cloudevents.v1.conversion import to_structured as old_to_structured
from cloudevents.v1.http import CloudEvent as OldCloudEvent

from app.db.engine import Pool
from app.factory import Factory
from tests.support.posting import add_store

OPENED = {"work_type": "ordinary_repair", "advisor": "A1", "plate": "沪A·00001", "bay_wish": 3}
BATCH = "application/cloudevents-batch+json"


@pytest.fixture(autouse=True)
async def store(factory: Factory) -> None:
    await add_store(factory)


def made(subject: str = "RO 1/一", **attributes: Any) -> CloudEvent:
    """Make an event as the package's documentation does; `store` is an extension."""
    return CloudEvent(
        {
            "id": f"e-{subject}",
            "source": "/dms/丰田",
            "type": "repair_order.opened",
            "time": datetime(2026, 6, 1, 1, 0, 0, 123456, tzinfo=UTC),
            "subject": subject,
            "datacontenttype": "application/json",
            "store": "S1",
            "correlationid": "visit 7",
            **attributes,
        },
        OPENED,
    )


async def send(client: httpx.AsyncClient, message: HTTPMessage) -> dict[str, Any]:
    response = await client.post("/v1/events", content=message.body, headers=message.headers)
    assert response.status_code == 202, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def check_logged(pool: Pool, subject: str = "RO 1/一") -> None:
    """Check that the event stands in the log as it was made."""
    row = await pool.fetchrow(
        "SELECT e.*, p.fields FROM event e LEFT JOIN personal p USING (store_id, seq)"
        " WHERE subject = $1",
        subject,
    )
    assert row is not None
    assert (row["source"], row["event_id"]) == ("/dms/丰田", f"e-{subject}")
    assert row["occurred_at"] == datetime(2026, 6, 1, 1, 0, 0, 123456, tzinfo=UTC)
    assert row["correlation_id"] == "visit 7"
    assert orjson.loads(row["data"]) == {"work_type": "ordinary_repair", "advisor": "A1"}
    assert orjson.loads(row["fields"]) == {"plate": "沪A·00001", "bay_wish": 3}


@pytest.mark.parametrize("mode", [to_structured_event, to_binary_event])
async def test_a_single_event(
    mode: Callable[[CloudEvent], HTTPMessage], client: httpx.AsyncClient, pool: Pool
) -> None:
    answer = await send(client, mode(made()))
    assert (answer["accepted"], answer["results"][0]["seq"]) == (1, "1")
    await check_logged(pool)


async def test_both_modes_say_the_same(client: httpx.AsyncClient) -> None:
    await send(client, to_structured_event(made()))
    again = await send(client, to_binary_event(made()))
    assert again["results"][0] == {
        "index": 0,
        "source": "/dms/丰田",
        "id": "e-RO 1/一",
        "outcome": "duplicate",
        "store": "S1",
        "seq": "1",
        "warnings": [],
    }


async def test_without_a_content_type_the_data_is_json(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    event = made()
    attributes = event.get_attributes() | {"datacontenttype": None}
    message = to_binary_event(
        CloudEvent({k: v for k, v in attributes.items() if v is not None}, OPENED)
    )
    assert "content-type" not in message.headers
    assert (await send(client, message))["accepted"] == 1
    await check_logged(pool)


async def test_a_batch(client: httpx.AsyncClient, pool: Pool) -> None:
    """The package writes no batches; one is the JSON array of structured events."""
    bodies = [to_structured_event(made(f"R{number}")).body for number in range(3)]
    message = HTTPMessage({"content-type": BATCH}, b"[" + b",".join(bodies) + b"]")
    answer = await send(client, message)
    assert [result["seq"] for result in answer["results"]] == ["1", "2", "3"]
    await check_logged(pool, "R2")


@pytest.mark.parametrize("mode", [old_to_structured, old_to_binary])
async def test_the_older_interface_of_the_package(
    mode: Callable[[OldCloudEvent], tuple[dict[str, str], bytes]],
    client: httpx.AsyncClient,
    pool: Pool,
) -> None:
    attributes = {
        "id": "e-R1",
        "source": "/dms/a",
        "type": "repair_order.opened",
        "time": "2026-06-01T01:00:00.123456+00:00",
        "subject": "R1",
        "store": "S1",
    }
    headers, body = mode(OldCloudEvent(attributes, OPENED))
    answer = await send(client, HTTPMessage(dict(headers), body))
    assert answer["accepted"] == 1
    assert await pool.fetchval("SELECT subject FROM event") == "R1"


async def test_an_event_of_another_content_type_lies_in_quarantine(
    client: httpx.AsyncClient,
) -> None:
    attributes = made().get_attributes() | {"datacontenttype": "text/xml"}
    message = to_binary_event(CloudEvent(attributes, "<opened/>"))
    result = (await send(client, message))["results"][0]
    assert result["reason"] == "invalid-data"
    assert result["errors"][0]["pointer"] == "/datacontenttype"
    item = (await client.get(f"/v1/quarantine/{result['quarantine_id']}")).json()
    assert item["body"] == "<opened/>"
    assert item["content_type"] == "text/xml"
    assert item["attributes"]["ce-type"] == "repair_order.opened"
