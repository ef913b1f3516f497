"""Late linking over HTTP: work lists, the commands that link, and what is found under whom."""

import asyncio
from typing import Any

import httpx
import pytest

from app.db.engine import Pool
from app.domain.access import Scope
from app.domain.ids import follow_up_id
from app.factory import Factory
from tests.api.conftest import Connect, Issue
from tests.support.facts import (
    complaint,
    delivered,
    event,
    opened,
    retraction,
    scheduled,
    settled,
)
from tests.support.logs import check_store, read_log
from tests.support.posting import add_store, outcomes

BASE = "/v1/stores/S1"
VIN = "LSVAA4182E2100001"
OTHER_VIN = "LSVAA4182E2100002"
CALL = follow_up_id("S1", "R1", "first")
CRM_CALL = "5f0c1d52-6a44-5a3b-8b0e-2a7c8c1f4e10"
GRUMBLE = "3f1c9a52-6d2e-4c0e-9a3d-0c1f5f5b8f11"
MISSED = {"by": "C1", "channel": "phone", "outcome": "no_answer"}
Json = dict[str, Any]


@pytest.fixture(autouse=True)
async def shop(factory: Factory) -> None:
    await add_store(factory)


async def read(client: httpx.AsyncClient, path: str, **query: str) -> Json:
    response = await client.get(f"{BASE}{path}", params=query)
    assert response.status_code == 200, response.text
    found: Json = response.json()
    return found


async def items(client: httpx.AsyncClient, path: str, **query: str) -> list[Json]:
    found: list[Json] = (await read(client, path, **query))["items"]
    return found


async def command(
    client: httpx.AsyncClient, path: str, body: Json, status: int = 200, **headers: str
) -> Json:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await client.post(f"{BASE}{path}", json=body, headers=headers)
    assert response.status_code == status, response.text
    found: Json = response.json()
    return found


def registered(vin: str = VIN, at: str = "2026-06-20T09:00:00+08:00", **data: Any) -> Json:
    return event("vehicle.registered", vin, at, **data)


def merged(customer_no: str, into: str, at: str = "2026-06-25T09:00:00+08:00") -> Json:
    return event("customer.merged", customer_no, at, into=into)


# An order that learns whose it is


async def test_a_link_reaches_order_call_and_lists(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    left = (opened("R1", vin=f" {VIN.lower()} "), delivered("R1"))
    await outcomes(factory, *left, registered(OTHER_VIN, customer_no="K2", brand="X"))
    (waiting,) = await items(client, "/work-lists/unlinked-repair-orders")
    assert (waiting["ro_number"], waiting["missing"]) == ("R1", ["customer"])
    before = await read(client, f"/follow-ups/{CALL}")
    assert before["customer_no"] is None

    answer = await command(client, "/repair-orders/R1/link", {"customer_no": "K1"})
    assert (answer["customer_no"], answer["vin"]) == ("K1", f" {VIN.lower()} ")

    order = await read(client, "/repair-orders/R1")
    assert (order["customer_no"], order["customer_from"]) == ("K1", "order")
    assert order["stage"] == "delivered"
    call = await read(client, f"/follow-ups/{CALL}")
    assert call["customer_no"] == "K1"
    assert call["due_at"] == before["due_at"]
    for path in ("/repair-orders", "/follow-ups"):
        found = await items(client, path, customer_no="K1")
        assert {one["ro_number"] for one in found} == {"R1"}
    assert [one["ro_number"] for one in await items(client, "/repair-orders", vin=VIN)] == ["R1"]
    assert await items(client, "/work-lists/unlinked-repair-orders") == []
    timeline = await items(client, "/repair-orders/R1/timeline")
    (link,) = [entry for entry in timeline if entry["type"] == "repair_order.linked"]
    assert link["source"] == "/servicelane/desk"

    await outcomes(factory, retraction({**link, "store": "S1"}))
    assert (await read(client, "/repair-orders/R1"))["customer_no"] is None
    assert (await read(client, f"/follow-ups/{CALL}"))["customer_no"] is None
    await check_store(pool)


async def test_the_file_of_the_vehicle_tells_whose_an_order_is(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    await outcomes(factory, opened("R1", vin=VIN.lower()), delivered("R1"))
    await outcomes(factory, registered(customer_no="K1"))
    order = await read(client, "/repair-orders/R1")
    assert (order["customer_no"], order["customer_from"]) == ("K1", "vehicle")
    assert (await read(client, f"/follow-ups/{CALL}"))["customer_no"] == "K1"
    written = len(await read_log(pool))

    # sold on after the visit: the visit stays with whom it was
    transfer = event("vehicle.transferred", VIN, "2026-06-25T09:00:00+08:00", customer_no="K2")
    await outcomes(factory, transfer, opened("R2", "2026-06-26T09:00:00+08:00", vin=VIN))
    assert (await read(client, "/repair-orders/R1"))["customer_no"] == "K1"
    assert (await read(client, "/repair-orders/R2"))["customer_no"] == "K2"
    assert len(await read_log(pool)) == written + 2, "the call had nothing new to say"
    assert await items(client, "/work-lists/split-customers") == []

    # a customer's only vehicle is no reason to think that it was the one
    await outcomes(factory, opened("R3", customer_no="K2"))
    (lacking,) = await items(client, "/work-lists/unlinked-repair-orders")
    assert (lacking["ro_number"], lacking["missing"], lacking["vin"]) == ("R3", ["vehicle"], None)
    assert lacking["suggestions"] == [
        {"what": "vehicle", "key": VIN, "because": "vehicle-of-customer"}
    ]
    await check_store(pool)


async def test_what_links_say_of_calls_and_complaints_that_others_keep(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    """A CRM's call and a complaint without a customer are their order's customer's."""
    window = ("2026-07-02T00:00:00+08:00", "2026-07-05T23:59:59+08:00")
    await outcomes(
        factory,
        opened("R1", vin=VIN),
        scheduled(CRM_CALL, *window, kind="courtesy", ro_number="R1"),
        complaint(GRUMBLE, ro_number="R1"),
        registered(customer_no="K1"),
        merged("K1", "K2"),
    )
    for path in (f"/follow-ups/{CRM_CALL}", f"/complaints/{GRUMBLE}", "/repair-orders/R1"):
        assert (await read(client, path))["customer_no"] == "K2", path
    for path in ("/follow-ups", "/complaints", "/repair-orders"):
        assert len(await items(client, path, customer_no="K1")) == 1
        assert len(await items(client, path, customer_no="K2")) == 1
        assert await items(client, path, customer_no="K3") == []
    noted = await command(
        client, f"/complaints/{GRUMBLE}/contacts", {"by": "C1", "channel": "phone"}
    )
    called = await command(client, f"/follow-ups/{CRM_CALL}/attempts", MISSED)
    told = await command(
        client, "/complaints", {"channel": "phone", "text": "x", "customer_no": "K1"}, 201
    )
    assert {noted["customer_no"], called["customer_no"], told["customer_no"]} == {"K2"}


# Work lists


async def test_the_work_list_pages_and_filters(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    await outcomes(
        factory,
        opened("R1", "2026-06-03T09:00:00+08:00", vin=VIN),
        opened("R2", "2026-06-01T09:00:00+08:00", customer_no="K1"),
        opened("R3", "2026-06-02T09:00:00+08:00"),
        opened("R4", "2026-06-04T09:00:00+08:00"),
        event("repair_order.cancelled", "R4", "2026-06-05T09:00:00+08:00"),
        opened("R5", customer_no="K1", vin=VIN),
    )
    path = "/work-lists/unlinked-repair-orders"

    async def listed(**query: str) -> list[str]:
        return [item["ro_number"] for item in await items(client, path, **query)]

    assert await listed() == ["R2", "R3", "R1"]
    assert await listed(missing="customer") == ["R3", "R1"]
    assert await listed(missing="vehicle") == ["R2", "R3"]
    assert await listed(missing="both") == ["R3"]
    assert await listed(status="cancelled") == ["R4"]
    first = await read(client, path, limit="2")
    assert [item["ro_number"] for item in first["items"]] == ["R2", "R3"]
    assert await listed(cursor=first["next_cursor"], limit="2") == ["R1"]
    assert (await client.get(f"{BASE}{path}", params={"missing": "plate"})).status_code == 422
    for name in ("unlinked-repair-orders", "split-customers"):
        assert (await client.get(f"/v1/stores/S9/work-lists/{name}")).status_code == 404


async def test_suggestions_come_from_plates_and_other_orders(
    client: httpx.AsyncClient, factory: Factory, connect: Connect, issue: Issue
) -> None:
    taken_back = registered(OTHER_VIN, customer_no="K9", plate="沪A00001")
    await outcomes(
        factory,
        registered(customer_no="K1", plate="沪A00001"),
        taken_back,
        retraction(taken_back),
        opened("R1", plate="沪A00001"),
        opened("R2", "2026-06-02T09:00:00+08:00", vin=OTHER_VIN),
        opened("R3", "2026-06-03T09:00:00+08:00", vin=OTHER_VIN, customer_no="K2"),
        merged("K2", "K3"),
    )
    plate, vin = await items(client, "/work-lists/unlinked-repair-orders")
    assert plate["plate"] == "沪A00001"
    assert plate["suggestions"] == [
        {"what": "vehicle", "key": VIN, "because": "same-plate"},
        {"what": "customer", "key": "K1", "because": "same-plate"},
    ]
    assert vin["suggestions"] == [{"what": "customer", "key": "K3", "because": "same-vin"}]
    blind = await connect(await issue(Scope.REPAIR_ORDERS_READ))
    assert (await items(blind, "/work-lists/unlinked-repair-orders"))[0]["plate"] == "***"


async def test_split_files_are_told_and_merged_with_one_command(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    await outcomes(
        factory,
        registered(customer_no="K1"),
        opened("R1", customer_no="K1", vin=VIN),
        opened("R2", "2026-06-21T09:00:00+08:00", customer_no="K2", vin=VIN.lower()),
        registered(OTHER_VIN, customer_no="K3"),
        event("vehicle.transferred", OTHER_VIN, "2026-06-22T09:00:00+08:00", customer_no="K4"),
        opened("R3", "2026-06-21T09:00:00+08:00", customer_no="K3", vin=OTHER_VIN),
        opened("R4", "2026-06-23T09:00:00+08:00", customer_no="K4", vin=OTHER_VIN),
    )
    (split,) = await items(client, "/work-lists/split-customers")
    assert (split["vin"], split["owner"]) == (VIN, "K1")
    assert [(one["customer_no"], one["repair_orders"]) for one in split["customers"]] == [
        ("K1", 1),
        ("K2", 1),
    ]
    done = await command(
        client, "/customers/K2/merge", {"into": "K1"}, Idempotency_Key="m-1", If_Match='"0"'
    )
    assert (done["customer_no"], done["merged_into"], done["counts_as"]) == ("K2", "K1", "K1")
    again = await command(
        client, "/customers/K2/merge", {"into": "K1"}, Idempotency_Key="m-1", If_Match='"0"'
    )
    assert again == done
    assert await items(client, "/work-lists/split-customers") == []
    await check_store(pool)


async def test_what_is_no_plate_is_kept_and_suggests_nothing(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    """An unknown field of that name may be longer than an index takes, or no text at all."""
    endless = "".join(chr(0x4E00 + (7 * number) % 20_000) for number in range(9_000))
    assert await outcomes(
        factory,
        opened("R1", plate="无"),
        opened("R2", "2026-06-02T09:00:00+08:00", vin=VIN, plate="无"),
        event("repair_order.cleaned", "R3", "2026-06-03T09:00:00+08:00", plate=endless),
        event("repair_order.cleaned", "R4", "2026-06-04T09:00:00+08:00", plate=["无"]),
    ) == ["1", "2", "3", "4"]
    found = await items(client, "/work-lists/unlinked-repair-orders")
    assert [one["plate"] for one in found] == ["无", "无", endless, None]
    assert [len(one["suggestions"]) for one in found] == [1, 0, 0, 0]


# Customers with several files


async def test_everything_is_found_under_the_file_that_remains(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    """A chain of mergers that arrives backwards, before the files themselves."""
    await outcomes(factory, merged("B", "C"), merged("A", "B"))
    await outcomes(
        factory,
        opened("R1", customer_no="A", vin=VIN),
        delivered("R1"),
        opened("R2", "2026-06-20T09:00:00+08:00", customer_no="C"),
        registered(customer_no="B"),
        complaint(GRUMBLE, customer_no="A"),
        event("customer.registered", "A", name="客户A", phones=["1"], segment="S", kind="fleet"),
        event("customer.registered", "C", name="客户C", consent={"calls": True}),
    )
    whole = await read(client, "/customers/C")
    assert (whole["counts_as"], whole["merged_into"]) == ("C", None)
    assert whole["merged_numbers"] == ["A", "B"]
    assert (whole["vehicles"], whole["repair_orders"]) == ([VIN], ["R2", "R1"])
    assert (whole["follow_ups"][-1], whole["complaints"]) == (CALL, [GRUMBLE])
    assert (whole["name"], whole["phones"], whole["segment"]) == ("客户C", ["1"], "S")
    part = await read(client, "/customers/A")
    assert (part["merged_into"], part["counts_as"], part["name"]) == ("B", "C", "客户A")
    assert part["repair_orders"] == whole["repair_orders"]
    listed = {one["customer_no"]: one["counts_as"] for one in await items(client, "/customers")}
    assert listed == {"A": "C", "B": "C", "C": "C"}
    for number in "ABC":
        assert len(await items(client, f"/customers/{number}/timeline")) == 11
        vehicles = await items(client, f"/customers/{number}/vehicles")
        assert [one["customer_no"] for one in vehicles] == ["C"]
    assert (await read(client, f"/follow-ups/{CALL}"))["customer_no"] == "C"
    state = await pool.fetchval(
        "SELECT state ->> 'customer_no' FROM follow_up WHERE follow_up_id = $1", CALL
    )
    assert state == "A", "no event was written for the merger"
    await check_store(pool)


async def test_a_merger_that_is_taken_back_splits_again(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    merger = merged("A", "B")
    await outcomes(factory, opened("R1", customer_no="A"), opened("R2", customer_no="B"), merger)
    assert len(await items(client, "/repair-orders", customer_no="B")) == 2
    # the file that remains has no file of its own, and is found all the same
    assert (await read(client, "/customers/B"))["repair_orders"] == ["R2", "R1"]
    await outcomes(factory, retraction(merger))
    assert [
        one["ro_number"] for one in await items(client, "/repair-orders", customer_no="B")
    ] == ["R2"]
    assert (await client.get(f"{BASE}/customers/B")).status_code == 404
    await check_store(pool)


async def test_of_mergers_in_a_circle_the_oldest_is_overruled(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    await outcomes(
        factory,
        merged("B", "A", "2026-06-26T09:00:00+08:00"),
        merged("A", "B", "2026-06-25T09:00:00+08:00"),
        merged("D", "D"),
        merged("E", "B", "2026-06-27T09:00:00+08:00"),
    )
    counts = {one["customer_no"]: one["counts_as"] for one in await items(client, "/customers")}
    assert counts == {"A": "A", "B": "A", "D": "D", "E": "A"}
    await check_store(pool)


# Refusals


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"vin": None}, ""),
        ({"customer_no": ""}, "/customer_no"),
        ({"customer_no": "K\0"}, "/customer_no"),
        ({"customer_no": "K1", "stage": "ready"}, "/stage"),
        ({"customer_no": "K1", "occurred_at": "2036-01-01T00:00:00Z"}, "/occurred_at"),
    ],
)
async def test_a_link_that_says_nothing_sensible_is_refused(
    client: httpx.AsyncClient, factory: Factory, body: Json, pointer: str
) -> None:
    await outcomes(factory, opened("R1"))
    problem = await command(client, "/repair-orders/R1/link", body, 422)
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]


async def test_links_are_refused_where_there_is_nothing_to_link(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    await command(client, "/repair-orders/R9/link", {"customer_no": "K1"}, 404)
    await outcomes(factory, opened("R/1", customer_no="K1"))
    path = "/repair-orders/R/1/link"
    await command(client, path, {"vin": VIN}, 412, If_Match='"7"')
    linked = await command(client, path, {"vin": VIN}, If_Match='"1"')
    assert await command(client, path, {"vin": VIN, "customer_no": "K1"}) == linked
    assert len(await read_log(pool)) == 2, "what it says already is not written again"


async def test_mergers_that_lead_nowhere_are_refused(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    await outcomes(
        factory, opened("R1", customer_no="A"), opened("R2", customer_no="B"), merged("C", "A")
    )
    await command(client, "/customers/Z/merge", {"into": "A"}, 404)
    unknown = await command(client, "/customers/A/merge", {"into": "Z"}, 422)
    assert unknown["errors"][0]["pointer"] == "/into"
    await command(client, "/customers/A/merge", {"into": "Z\0"}, 422)
    same = await command(client, "/customers/A/merge", {"into": "A"}, 422)
    assert same["errors"][0]["code"] == "same-customer"
    circle = await command(client, "/customers/A/merge", {"into": "C"}, 409)
    assert "circle" in circle["detail"]
    twice = await command(client, "/customers/C/merge", {"into": "B"}, 409)
    assert "went into A already" in twice["detail"]
    assert (await command(client, "/customers/C/merge", {"into": "A"}))["counts_as"] == "A"
    chained = await command(client, "/customers/A/merge", {"into": "B"})
    assert chained["counts_as"] == "B"
    await command(client, "/customers/B/merge", {"into": "C"}, 409)
    assert len(await read_log(pool)) == 4
    await check_store(pool)


async def test_linking_needs_rights_of_its_own(connect: Connect, issue: Issue) -> None:
    reader = await connect(await issue(Scope.REPAIR_ORDERS_READ, Scope.CUSTOMERS_READ))
    await command(reader, "/repair-orders/R1/link", {"vin": VIN}, 403)
    await command(reader, "/customers/A/merge", {"into": "B"}, 403)
    stranger = await connect(await issue(Scope.EVENTS_WRITE))
    for name in ("unlinked-repair-orders", "split-customers"):
        assert (await stranger.get(f"{BASE}/work-lists/{name}")).status_code == 403


async def test_the_advisor_of_an_order_that_lacks_a_link_is_named_as_known_now(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    path = "/work-lists/unlinked-repair-orders"
    assert await outcomes(factory, opened("R1", advisor="王伟"), opened("R2")) == ["1", "2"]
    unknown, _ = await items(client, path)
    assert unknown["advisor"].startswith("~")
    await command(client, "/staff/A7/aliases", {"alias": "王 伟"}, 201)
    assert [order["advisor"] for order in await items(client, path)] == ["A7", "A1"]


async def test_a_number_that_can_not_be_kept_moves_no_other_subject_of_its_group(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    await outcomes(factory, opened("R1"), opened("R2"))
    odd = asyncio.gather(
        *(client.post(f"{BASE}/repair-orders/R%00{n}/link", json={"vin": VIN}) for n in range(8))
    )
    await asyncio.gather(*(outcomes(factory, delivered("R1"), settled("R2")) for _ in range(8)))
    assert {answer.status_code for answer in await odd} == {422}
    await check_store(pool)
