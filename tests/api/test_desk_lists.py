"""Lists of the desk: pages, filters, and what is not there."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.domain.access import Scope
from app.factory import Factory
from app.services.time_source import MovableTimeSource
from tests.api.conftest import Connect, Issue
from tests.support.facts import complaint, delivered, event, opened, scheduled, settled
from tests.support.histories import random_history
from tests.support.posting import add_store, outcomes, post

BASE = "/v1/stores/S1"
Item = dict[str, Any]


async def pages(
    client: httpx.AsyncClient,
    path: str,
    *,
    limit: int = 200,
    between: Callable[[int], Any] | None = None,
    **params: Any,
) -> list[Item]:
    """Read a list to its end; `between` pages something may happen."""
    items: list[Item] = []
    cursor: str | None = None
    for number in range(1000):
        query = {"limit": limit, **params} | ({"cursor": cursor} if cursor else {})
        response = await client.get(path, params=query)
        assert response.status_code == 200, response.text
        page = response.json()
        assert set(page) == {"items", "next_cursor"}
        assert len(page["items"]) <= limit
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items
        assert page["items"], "a page before the last has items"
        if between is not None:
            await between(number)
    raise AssertionError("the list has no end")


@pytest.fixture
async def shop(factory: Factory, time_source: MovableTimeSource) -> datetime:
    """Three random histories in one store; gives the moment at which it is looked at."""
    now = None
    for seed in range(6):
        history = random_history(
            Random(seed), orders=9, store_id="S1", zone="Asia/Shanghai", backfill=False
        )
        for recorded_at, unit in history.units():
            if now is None:
                time_source.set(recorded_at)
                await add_store(factory)
            now = recorded_at if now is None else max(now, recorded_at)
            time_source.set(now)
            for each in unit:
                each["id"] += f"/{seed}"
                if each["type"].startswith("repair_order"):
                    each["subject"] += f"/{seed}"
            await post(factory, *unit)
    assert now is not None
    return now


at = datetime.fromisoformat


def is_open(order: Item) -> bool:
    return order["status"] in {"open", "ready_to_bill"}


async def test_filters_of_repair_orders_pick_what_they_say(
    shop: datetime, client: httpx.AsyncClient, time_source: MovableTimeSource
) -> None:
    shop -= timedelta(days=20)
    time_source.set(shop)
    path = f"{BASE}/repair-orders"
    orders = await pages(client, path)
    assert len(orders) > 20
    times = [at(order["opened_at"]) for order in orders if order["opened_at"]]
    assert times == sorted(times, reverse=True)
    for name in ("status", "stage", "work_type", "advisor", "technician", "customer_no"):
        values = {order[name] for order in orders} - {None}
        assert len(values) > 1, name
        for value in values:
            found = await pages(client, path, **{name: value})
            assert found == [order for order in orders if order[name] == value], (name, value)
    for moment in (shop - timedelta(days=3), shop):
        assert await pages(client, path, due_before=moment.isoformat()) == [
            order
            for order in orders
            if is_open(order) and order["promised_at"] and at(order["promised_at"]) < moment
        ]
    late = await pages(client, path, overdue="true")
    assert late == [order for order in orders if order["overdue"]]
    assert late == [
        order
        for order in orders
        if is_open(order) and order["promised_at"] and at(order["promised_at"]) < shop
    ]
    middle = times[len(times) // 2]
    earlier = await pages(client, path, opened_to=middle.isoformat())
    later = await pages(client, path, opened_from=middle.isoformat())
    assert later + earlier == orders
    assert await pages(client, path, advisor="nobody") == []
    assert await pages(client, path, vin="nothing") == []


async def test_filters_of_follow_ups_pick_what_they_say(
    shop: datetime, client: httpx.AsyncClient, time_source: MovableTimeSource
) -> None:
    path = f"{BASE}/follow-ups"
    statuses = set()
    for days in range(0, 72, 6):
        time_source.set(shop - timedelta(days=days))
        calls = await pages(client, path)
        for status in (
            "planned",
            "open",
            "overdue",
            "completed",
            "cancelled",
            "missed_on_arrival",
        ):
            found = await pages(client, path, status=status)
            assert found == [call for call in calls if call["status"] == status], status
        statuses |= {call["status"] for call in calls}
    assert len(statuses) == 6
    calls = await pages(client, path)
    due = [at(call["due_at"]) for call in calls]
    assert due == sorted(due)
    for name in ("kind", "assignee", "ro_number", "customer_no"):
        values = {call[name] for call in calls} - {None}
        assert values, name
        for value in values:
            found = await pages(client, path, **{name: value})
            assert found == [call for call in calls if call[name] == value], (name, value)
    middle = due[len(due) // 2]
    assert await pages(client, path, due_before=middle.isoformat()) == [
        call for call in calls if at(call["due_at"]) < middle
    ]


async def test_a_list_of_follow_ups_agrees_with_their_status_at_each_instant(
    client: httpx.AsyncClient, factory: Factory, time_source: MovableTimeSource
) -> None:
    """Also within the second in which a call is due."""
    await add_store(factory)
    call = "0b9c6f0a-7d0e-4c39-9e9a-0c4a3a5f2f11"
    window = "2026-07-02T10:00:00.5+08:00", "2026-07-03T10:00:00.7+08:00"
    await outcomes(factory, scheduled(call, *window, at="2026-07-01T09:00:00+08:00"))
    seen = []
    for moment in (
        "2026-07-02T10:00:00.499999+08:00",
        "2026-07-02T10:00:00.500000+08:00",
        "2026-07-03T10:00:00.999999+08:00",
        "2026-07-03T10:00:01.000000+08:00",
        "2026-07-03T10:00:01.600000+08:00",
        "2026-07-03T10:00:01.700000+08:00",
    ):
        time_source.set(datetime.fromisoformat(moment))
        (item,) = await pages(client, f"{BASE}/follow-ups")
        (same,) = await pages(client, f"{BASE}/follow-ups", status=item["status"])
        assert same == item
        seen.append(item["status"])
    assert seen == ["planned", "open", "open", "overdue", "overdue", "overdue"]


async def test_filters_of_complaints_pick_what_they_say(
    factory: Factory, client: httpx.AsyncClient, time_source: MovableTimeSource
) -> None:
    await add_store(factory)
    base = await time_source.now()
    events = []
    for number in range(24):
        said = complaint(
            at=(base - timedelta(hours=5 * number, minutes=1)).isoformat(),
            nature=("quality", "time", None)[number % 3],
            severity=("normal", "important")[number % 2],
            responsible=("A1", "A2")[number % 2],
            ro_number=f"R{number % 4}",
            customer_no=f"C{number % 5}",
        )
        events.append(said)
        done = (base - timedelta(minutes=30)).isoformat()
        if number % 4 == 0:
            contact = event("complaint.contacted", said["subject"], done, by="C1", channel="phone")
            events.append(contact)
        if number % 8 == 0:
            solved = event("complaint.resolved", said["subject"], done, by="C1", solution="x")
            solved["time"] = (base - timedelta(minutes=20)).isoformat()
            events.append(solved)
    await outcomes(factory, *events)
    path = f"{BASE}/complaints"
    complaints = await pages(client, path)
    assert len(complaints) == 24
    for name in ("status", "nature", "severity", "responsible", "ro_number", "customer_no"):
        for value in {item[name] for item in complaints} - {None}:
            found = await pages(client, path, **{name: value})
            assert found == [item for item in complaints if item[name] == value], (name, value)
    for flag in (True, False):
        found = await pages(client, path, overdue=str(flag).lower())
        assert found == [item for item in complaints if item["overdue"] is flag]
        assert found
    soon = base + timedelta(hours=10)
    assert await pages(client, path, due_before=soon.isoformat()) == [
        item
        for item in complaints
        if item["contacted_at"] is None and at(item["contact_due_at"]) < soon
    ]


PATHS = ("repair-orders", "follow-ups", "complaints", "customers", "vehicles", "staff")
KEYS = {
    "repair-orders": "ro_number",
    "follow-ups": "follow_up_id",
    "complaints": "complaint_id",
    "customers": "customer_no",
    "vehicles": "vin",
    "staff": "staff_no",
}


def arrivals(number: int) -> list[Item]:
    """What comes in with a car: something in every list."""
    vin = f"LSVAA4182E21{number:05}"
    # many at the same instant, some late
    time = f"2026-06-{20 - number % 7:02}T0{number % 3}:00:00+08:00"
    return [
        event("customer.registered", f"C{number}", time, name=f"客户{number:04}"),
        event("vehicle.registered", vin, time, customer_no=f"C{number}"),
        event("staff.registered", f"T{number}", time, name=f"员工{number:04}"),
        opened(f"R{number}", time, customer_no=f"C{number}", vin=vin, plate=f"沪A{number:05}"),
        delivered(f"R{number}", time.replace(":00:00", ":30:00")),
        complaint(at=time, ro_number=f"R{number}"),
    ]


async def test_no_item_comes_twice_or_is_missed_while_new_ones_arrive(
    factory: Factory, client: httpx.AsyncClient
) -> None:
    await add_store(factory)
    numbers = iter(range(1000))

    async def more(count: int) -> None:
        batch = [each for _ in range(count) for each in arrivals(next(numbers))]
        assert (await post(factory, *batch))["quarantined"] == 0

    await more(25)
    for path in PATHS:
        before = {item[KEYS[path]] for item in await pages(client, f"{BASE}/{path}")}
        for limit in (1, 7):
            seen = [
                item[KEYS[path]]
                for item in await pages(
                    client, f"{BASE}/{path}", limit=limit, between=lambda n: more(n % 9 == 1)
                )
            ]
            assert len(seen) == len(set(seen)), f"{path}: one came twice"
            assert before <= set(seen), f"{path}: one was missed"


async def test_timelines_page_without_gap_or_repeat(
    factory: Factory, client: httpx.AsyncClient
) -> None:
    await add_store(factory)
    batch = [
        event(
            "repair_order.inspected",
            "R1",
            f"2026-06-01T09:{number // 4:02}:00+08:00",
            level=1,
            inspector="Q1",
            passed=True,
        )
        for number in range(30)
    ]
    await outcomes(factory, *batch)
    path = f"{BASE}/repair-orders/R1/timeline"
    whole = await pages(client, path)
    assert [item["seq"] for item in whole] == [str(seq) for seq in range(30, 0, -1)]
    assert await pages(client, path, limit=1) == whole
    assert await pages(client, path, limit=7) == whole


async def test_odd_cursors_and_limits_are_422(factory: Factory, client: httpx.AsyncClient) -> None:
    await add_store(factory)
    await post(factory, *(each for number in range(3) for each in arrivals(number)))
    cursors = {}
    for path in PATHS:
        page = (await client.get(f"{BASE}/{path}", params={"limit": 1})).json()
        cursors[path] = page["next_cursor"]
        for params in (
            {"limit": 0},
            {"limit": 201},
            {"limit": "many"},
            {"cursor": "nonsense"},
            {"cursor": "%00"},
            {"cursor": page["next_cursor"][:-3]},
            {"cursor": "W10"},
        ):
            response = await client.get(f"{BASE}/{path}", params=params)
            assert response.status_code == 422, (path, params, response.text)
    # a cursor of a list of another form
    for path, other in (("customers", "complaints"), ("follow-ups", "staff")):
        response = await client.get(f"{BASE}/{path}", params={"cursor": cursors[other]})
        assert response.status_code == 422
        assert response.json()["errors"][0]["pointer"] == "/query/cursor"


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_times_that_utc_does_not_have_are_422(
    moment: str, factory: Factory, client: httpx.AsyncClient
) -> None:
    await add_store(factory)
    for path, name in (
        (f"{BASE}/repair-orders", "due_before"),
        (f"{BASE}/repair-orders", "opened_from"),
        (f"{BASE}/repair-orders", "opened_to"),
        (f"{BASE}/follow-ups", "due_before"),
        (f"{BASE}/complaints", "due_before"),
        ("/v1/quarantine", "received_from"),
        ("/v1/quarantine", "received_until"),
        ("/v1/quarantine/counts", "received_until"),
    ):
        response = await client.get(path, params={name: moment})
        assert response.status_code == 422, (path, name)
        assert response.json()["errors"][0]["pointer"] == f"/query/{name}"
    body = {"filter": {"received_from": moment}}
    assert (await client.post("/v1/quarantine/replays", json=body)).status_code == 422


async def test_what_is_not_there_is_404(factory: Factory, client: httpx.AsyncClient) -> None:
    await add_store(factory)
    for path in (
        "repair-orders/R1",
        "repair-orders/R1/timeline",
        "repair-orders/R1/follow-ups",
        "repair-orders/R1/follow-ups/first",
        "follow-ups/nothing",
        "follow-ups/5f0c1d52-6a44-5a3b-8b0e-2a7c8c1f4e10",
        "complaints/nothing",
        "customers/C1",
        "customers/C1/timeline",
        "customers/C1/vehicles",
        "vehicles/LSVAA4182E2100001",
        "staff/T1",
    ):
        response = await client.get(f"{BASE}/{path}")
        assert response.status_code == 404, path
        assert response.json()["type"].endswith(":not-found"), path
    for path in PATHS:
        assert (await client.get(f"/v1/stores/S9/{path}")).status_code == 404, path
        assert await pages(client, f"{BASE}/{path}") == []
    await post(factory, opened("R1"))
    assert (await client.get(f"{BASE}/repair-orders/R1/follow-ups")).json()["items"] == []
    assert (await client.get(f"{BASE}/repair-orders/R1/follow-ups/first")).status_code == 404


async def test_b4_an_order_is_found_under_its_number_as_written(
    factory: Factory, client: httpx.AsyncClient
) -> None:
    await add_store(factory)
    for number in ("R/1/", "工单 1", "R%2F1", "a?b#c", "../R1", "timeline", "+", "x" * 64):
        await outcomes(
            factory,
            opened(number, "2026-06-30T09:00:00+08:00", customer_no=number),
            settled(number, "2026-06-30T10:00:00+08:00"),
            event("customer.registered", number, name="客户0001"),
        )
        written = quote(number, safe="")
        order = await client.get(f"{BASE}/repair-orders/{written}")
        assert order.status_code == 200, (number, order.text)
        assert order.json()["ro_number"] == number
        path = f"{BASE}/repair-orders/{written}"
        entries = (await client.get(f"{path}/timeline")).json()["items"]
        assert len(entries) == 3
        (call,) = (await client.get(f"{path}/follow-ups")).json()["items"]
        assert (await client.get(f"{path}/follow-ups/first")).json() == call
        customer = f"{BASE}/customers/{written}"
        assert (await client.get(customer)).json()["customer_no"] == number
        assert (await client.get(f"{customer}/vehicles")).json()["items"] == []
        assert len((await client.get(f"{customer}/timeline")).json()["items"]) == 4


async def test_a_bound_key_reads_its_own_stores_only(
    factory: Factory, connect: Connect, issue: Issue
) -> None:
    for store_id in ("S1", "S2"):
        await add_store(factory, store_id)
    bound = await connect(await issue(stores=["S1"]))
    narrow = await connect(await issue(Scope.STORES_READ))
    for path in PATHS:
        assert (await bound.get(f"/v1/stores/S1/{path}")).status_code == 200
        assert (await bound.get(f"/v1/stores/S2/{path}")).status_code == 403
        assert (await narrow.get(f"/v1/stores/S1/{path}")).status_code == 403
    assert [item["store_id"] for item in await pages(bound, "/v1/stores")] == ["S1"]
    assert len(await pages(narrow, "/v1/stores", limit=1)) == 2


async def test_stores_are_made_once_and_changed(client: httpx.AsyncClient) -> None:
    body = {"name": "一店", "time_zone": "Europe/Berlin", "currency": "EUR", "locale": "de-DE"}
    first = await client.put("/v1/stores/S1", json=body)
    assert first.status_code == 201
    again = await client.put("/v1/stores/S1", json=body | {"name": "二店"})
    assert again.status_code == 200
    assert again.json() | {"updated_at": ""} == first.json() | {"name": "二店", "updated_at": ""}
    assert (await client.get("/v1/stores/S1")).json() == again.json()
    assert (await client.get("/v1/stores/S2")).status_code == 404
    for change in (
        {"time_zone": "Mars/Olympus"},
        {"currency": "rmb"},
        {"locale": "?"},
        {"name": ""},
        {"name": None},
        {"more": 1},
    ):
        assert (await client.put("/v1/stores/S3", json=body | change)).status_code == 422, change
    for store_id in ("S%201", "x" * 33, "店"):
        assert (await client.put(f"/v1/stores/{store_id}", json=body)).status_code == 422
    made = await asyncio.gather(*(client.put("/v1/stores/S4", json=body) for _ in range(5)))
    assert sorted(response.status_code for response in made) == [200, 200, 200, 200, 201]
