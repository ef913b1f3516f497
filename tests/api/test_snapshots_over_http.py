"""Snapshots as a DMS posts them, and what readers are told of where a fact comes from."""

from typing import Any

import httpx
import orjson
import pytest

from app.domain.access import MASK, Scope
from app.factory import Factory
from tests.api.conftest import Connect, Issue
from tests.support.facts import event, retraction
from tests.support.posting import add_store

ORDER = "/v1/stores/S1/repair-orders/R1"
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


def at(time: str) -> str:
    return f"2026-06-01T{time}:00+08:00"


SHOWN: dict[str, Any] = {
    "opened_at": at("09:00"),
    "advisor": "A1",
    "work_type": "accident",
    "plate": "沪A00001",
    "contact": {"name": "客户0001", "relation": "owner"},
    "promised_at": at("17:00"),
}
FIRST = event("repair_order.snapshot", "R1", at("10:00"), event_id="R1@1", **SHOWN)
SECOND = event(
    "repair_order.snapshot",
    "R1",
    at("12:00"),
    event_id="R1@2",
    **SHOWN | {"promised_at": at("18:00"), "plate": "沪A00002"},
)
LAST = event(
    "repair_order.snapshot",
    "R1",
    at("23:00"),
    event_id="R1@3",
    status="closed",
    settled_at=at("17:30"),
    handed_over_at=at("17:40"),
)


@pytest.fixture
async def shop(client: httpx.AsyncClient, factory: Factory) -> httpx.AsyncClient:
    await add_store(factory)
    answer = await client.post(
        "/v1/events", content=orjson.dumps([FIRST, SECOND, LAST]), headers=BATCH
    )
    assert [result["outcome"] for result in answer.json()["results"]] == ["accepted"] * 3
    return client


async def test_the_timeline_says_what_was_inferred_from_what(shop: httpx.AsyncClient) -> None:
    entries = (await shop.get(f"{ORDER}/timeline")).json()["items"]
    shown = [
        (entry["type"].partition(".")[2], entry["time"], entry["evidence"])
        for entry in entries
        if entry["inferred"]
    ]

    def evidence(number: int, time: str, after: str | None) -> dict[str, Any]:
        return {
            "seq": str(number),
            "source": "/dms/test",
            "id": f"R1@{number}",
            "time": utc(time),
            "after": None if after is None else utc(after),
        }

    assert shown == [
        ("delivered", utc("17:40"), evidence(3, "23:00", "12:00")),
        ("settled", utc("17:30"), evidence(3, "23:00", "12:00")),
        ("promise_changed", utc("12:00"), evidence(2, "12:00", "10:00")),
        ("opened", utc("09:00"), evidence(1, "10:00", None)),
    ]
    told = [entry for entry in entries if entry["type"] == "repair_order.snapshot"]
    assert [entry["inferred"] for entry in told] == [False] * 3
    assert all(entry["evidence"] is None for entry in told)
    assert told[0]["data"]["status"] == "closed"
    assert told[1]["personal"]["plate"] == "沪A00002"


def utc(time: str) -> str:
    hour, minute = time.split(":")
    return f"2026-06-01T{int(hour) - 8:02}:{minute}:00Z"


async def test_the_order_says_what_nobody_told(shop: httpx.AsyncClient) -> None:
    order = (await shop.get(ORDER)).json()
    assert (order["status"], order["advisor"]) == ("closed", "A1")
    assert (order["plate"], order["contact"]["name"]) == ("沪A00002", "客户0001")
    assert [fact["type"].partition(".")[2] for fact in order["inferred"]] == [
        "opened",
        "promise_changed",
        "settled",
        "delivered",
    ]
    assert order["inferred"][1]["evidence"]["id"] == "R1@2"
    (listed,) = (await shop.get("/v1/stores/S1/repair-orders")).json()["items"]
    assert listed["inferred"] == order["inferred"]
    words = order["on_time"]["explanation"]
    assert order["on_time"]["verdict"] == "on_time"
    assert "read out of a snapshot" in words["en"]
    assert "由工单快照推断" in words["zh"]


async def test_after_a_retraction_nothing_is_left_of_a_snapshot(shop: httpx.AsyncClient) -> None:
    body = orjson.dumps([retraction(SECOND), retraction(LAST)])
    assert (await shop.post("/v1/events", content=body, headers=BATCH)).status_code == 202
    order = (await shop.get(ORDER)).json()
    assert [fact["type"] for fact in order["inferred"]] == ["repair_order.opened"]
    assert (order["status"], order["plate"]) == ("open", "沪A00001")
    entries = (await shop.get(f"{ORDER}/timeline")).json()["items"]
    gone = [entry for entry in entries if entry["inferred"] and entry["retracted"]]
    assert {entry["type"].partition(".")[2] for entry in gone} == {
        "promise_changed",
        "settled",
        "delivered",
    }
    assert {entry["evidence"]["id"] for entry in gone} == {"R1@2", "R1@3"}


async def test_what_is_personal_in_a_snapshot_is_masked(
    shop: httpx.AsyncClient, connect: Connect, issue: Issue
) -> None:
    reader = await connect(await issue(Scope.REPAIR_ORDERS_READ))
    assert (await reader.get(ORDER)).json()["plate"] == MASK
    assert "沪A0000" not in (await reader.get(f"{ORDER}/timeline")).text


async def test_of_two_snapshots_of_one_id_the_one_that_stands_is_the_evidence(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    await add_store(factory)
    other = FIRST | {"source": "/dms/other", "data": {**SHOWN, "vin": "V1"}, "time": at("11:00")}
    await client.post("/v1/events", content=orjson.dumps([FIRST, other]), headers=BATCH)
    await client.post("/v1/events", content=orjson.dumps([retraction(FIRST)]), headers=BATCH)
    (fact,) = (await client.get(ORDER)).json()["inferred"]
    assert fact["evidence"]["source"] == "/dms/other"


async def test_explained_values_name_the_snapshots(
    shop: httpx.AsyncClient, factory: Factory
) -> None:
    await factory.metrics.refresh("S1")
    answer = await shop.get(
        "/v1/stores/S1/kpis/on_time_delivery_rate/explain",
        params={"from": "2026-06-01", "to": "2026-07-01", "period": "month"},
    )
    (item,) = answer.json()["items"]
    assert "read out of a snapshot" in item["explanation"]["en"]
    assert {event["type"]: event["inferred_from"] for event in item["events"]} == {
        "repair_order.opened": "R1@1",
        "repair_order.promise_changed": "R1@2",
        "repair_order.settled": "R1@3",
    }


async def test_two_sources_with_one_id_are_each_the_evidence_of_what_they_showed(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    """The DMS and the cashier's system both count their exports from 1."""
    await add_store(factory)
    shown = event("repair_order.snapshot", "R1", at("10:00"), event_id="1", **SHOWN)
    paid = event(
        "repair_order.snapshot",
        "R1",
        at("18:00"),
        source="/cashier",
        event_id="1",
        status="settled",
        settled_at=at("17:30"),
    )
    answer = await client.post("/v1/events", content=orjson.dumps([shown, paid]), headers=BATCH)
    assert answer.json()["accepted"] == 2

    async def evidence() -> dict[str, tuple[str, str]]:
        entries = (await client.get(f"{ORDER}/timeline")).json()["items"]
        return {
            entry["type"].partition(".")[2]: (
                entry["evidence"]["source"],
                entry["evidence"]["seq"],
            )
            for entry in entries
            if entry["inferred"]
        }

    exact = {"opened": ("/dms/test", "1"), "settled": ("/cashier", "2")}
    assert await evidence() == exact
    order = (await client.get(ORDER)).json()
    assert [fact["evidence"]["source"] for fact in order["inferred"]] == ["/dms/test", "/cashier"]
    entries = (await client.get(f"{ORDER}/timeline")).json()["items"]
    (bill,) = [entry for entry in entries if entry["type"] == "repair_order.settled"]
    await factory.metrics.refresh("S1")
    june = {"from": "2026-06-01", "to": "2026-07-01", "period": "month"}
    told = await client.get("/v1/stores/S1/kpis/visits_settled/explain", params=june)
    assert {
        (fact["type"], fact["inferred_from"], fact["inferred_from_source"])
        for fact in told.json()["items"][0]["events"]
    } >= {("repair_order.settled", "1", "/cashier")}
    refused = retraction(
        event("repair_order.settled", "R1", source=bill["source"], event_id=bill["id"])
    )
    (outcome,) = (await client.post("/v1/events", json=refused)).json()["results"]
    assert "the snapshot 1 of source /cashier" in outcome["errors"][0]["detail"]
    # what was taken back was read out of the cashier's snapshot all the same
    back = retraction(paid, at("19:00"))
    assert (await client.post("/v1/events", json=back)).json()["accepted"] == 1
    assert await evidence() == exact
    assert [fact["type"] for fact in (await client.get(ORDER)).json()["inferred"]] == [
        "repair_order.opened"
    ]
