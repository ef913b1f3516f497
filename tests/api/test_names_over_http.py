"""Names in the place of staff numbers, over HTTP: who sees them, and who says whose they are."""

from typing import Any

import httpx
import pytest

from app.domain.access import MASK, Scope
from app.factory import Factory
from tests.api.conftest import Connect, Issue
from tests.support.facts import complaint, completed, delivered, event, opened, settled
from tests.support.posting import add_store, outcomes

BASE = "/v1/stores/S1"
LIST = f"{BASE}/work-lists/unresolved-names"
JUNE = {"from": "2026-06-01", "to": "2026-07-01", "period": "month"}
WANG, LI = "王伟", "李娜"


@pytest.fixture
async def shop(client: httpx.AsyncClient, factory: Factory) -> httpx.AsyncClient:
    """Three visits: of one advisor two are told by name, the third by number."""
    await add_store(factory)
    taken = await outcomes(
        factory,
        opened("R1", advisor=WANG),
        opened("R2", advisor="王　伟"),
        opened("R3", advisor="A7"),
        event("repair_order.dispatched", "R1", "2026-06-01T09:30:00+08:00", technician=LI),
        event(
            "repair_order.inspected",
            "R1",
            "2026-06-01T15:00:00+08:00",
            level=3,
            inspector=LI,
            passed=True,
        ),
        *(settled(number) for number in ("R1", "R2", "R3")),
        delivered("R1"),
        complaint("3f1c9a52-6d2e-4c0e-9a3d-0c1f5f5b8f11", ro_number="R1", responsible=LI),
    )
    assert all(word.isdigit() for word in taken)
    return client


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    response = await client.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def unresolved(client: httpx.AsyncClient) -> dict[str, Any]:
    """The work list, by name."""
    return {item["text"]: item for item in (await get(client, LIST))["items"]}


async def give(
    client: httpx.AsyncClient, staff_no: str, *, status: int = 201, **request: Any
) -> Any:
    headers = request.pop("headers", {})
    response = await client.post(f"{BASE}/staff/{staff_no}/aliases", json=request, headers=headers)
    assert response.status_code == status, response.text
    return response.json()


async def test_the_work_list_names_who_is_not_known(shop: httpx.AsyncClient) -> None:
    items = (await get(shop, LIST))["items"]
    assert [
        (item["text"], item["roles"], item["subjects"], item["candidates"]) for item in items
    ] == [
        (items[0]["text"], items[0]["roles"], 2, []),
        (items[1]["text"], items[1]["roles"], 2, []),
    ]
    assert {item["text"]: item["roles"] for item in items} == {
        "王　伟": ["advisor"],
        LI: ["inspector", "responsible", "technician"],
    }
    assert {item["first_seen_at"] for item in items} == {"2026-06-01T01:00:00Z"}
    pages = []
    cursor: dict[str, str] = {}
    for _ in items:
        page = await get(shop, LIST, limit=1, **cursor)
        pages += page["items"]
        cursor = {"cursor": page["next_cursor"]}
    assert pages == items
    assert cursor == {"cursor": None}


async def test_names_are_for_those_who_may_see_them(
    shop: httpx.AsyncClient, connect: Connect, issue: Issue
) -> None:
    board = await connect(
        await issue(
            Scope.STAFF_READ,
            Scope.REPAIR_ORDERS_READ,
            Scope.COMPLAINTS_READ,
            Scope.FOLLOW_UPS_READ,
            Scope.KPIS_READ,
        )
    )
    await shop.post("/v1/events", json=event("staff.registered", "A7", name="赵敏"))
    await shop.post("/v1/jobs/nightly/runs", json={"store_id": "S1"})
    for path, query in (
        (LIST, {}),
        (f"{BASE}/repair-orders", {}),
        (f"{BASE}/repair-orders/R1", {}),
        (f"{BASE}/repair-orders/R1/timeline", {}),
        (f"{BASE}/complaints", {}),
        (f"{BASE}/staff/A7", {}),
        (f"{BASE}/kpis/visits_settled", {**JUNE, "by": "advisor"}),
        (f"{BASE}/kpis/visits_settled/explain", {**JUNE, "by": "advisor"}),
        (f"{BASE}/kpis/visits_settled/published", {**JUNE, "by": "advisor"}),
    ):
        seen = (await shop.get(path, params=query)).text
        hidden = (await board.get(path, params=query)).text
        assert any(name in seen for name in (WANG, "王　伟", LI, "赵敏")), path
        assert not any(name in hidden for name in (WANG, "王　伟", LI, "赵敏")), path
        assert MASK in hidden, path
    refused = await board.post(f"{BASE}/staff/A7/aliases", json={"alias": WANG})
    assert refused.status_code == 403


async def test_one_click_says_whose_it_is(shop: httpx.AsyncClient) -> None:
    surrogate = (await unresolved(shop))["王　伟"]["surrogate"]
    kpi = f"{BASE}/kpis/visits_settled"
    await shop.post("/v1/jobs/nightly/runs", json={"store_id": "S1"})
    values = (await get(shop, kpi, **JUNE, by="advisor"))["values"]
    assert {(value["member"], value["member_name"], value["value"]) for value in values} == {
        (surrogate, "王　伟", "2"),
        ("A7", None, "1"),
    }
    order = await get(shop, f"{BASE}/repair-orders/R1")
    assert (order["advisor"], order["advisor_name"]) == (surrogate, "王　伟")  # as last sent
    assert order["technician_name"] == LI

    given = await give(shop, "A7", surrogate=surrogate)
    assert given["surrogate"] == surrogate
    assert given["event"]["source"] == "/servicelane/desk"
    assert set(await unresolved(shop)) == {LI}
    order = await get(shop, f"{BASE}/repair-orders/R1")
    assert (order["advisor"], order["advisor_name"]) == ("A7", "王　伟")
    await shop.post("/v1/jobs/nightly/runs", json={"store_id": "S1"})
    for member in ("A7", surrogate):
        (value,) = (await get(shop, kpi, **JUNE, by="advisor", member=member))["values"]
        assert (value["member"], value["value"]) == ("A7", "3")
        explained = await get(shop, f"{kpi}/explain", **JUNE, by="advisor", member=member)
        assert [item["advisor"] for item in explained["items"]] == ["A7"] * 3
        assert explained["names"]["A7"] == "王　伟"
    published = (await get(shop, f"{kpi}/published", **JUNE, by="advisor"))["values"]
    restated = {
        value["member"]: [version["value"] for version in value["restatements"]]
        for value in published
    }
    assert restated == {"A7": ["3"], surrogate: ["0"]}

    again = await give(shop, "A7", status=200, alias="王 伟")
    assert (again["event"], again["version"]) == (None, given["version"])
    staff = await get(shop, f"{BASE}/staff/A7")
    assert (staff["name"], staff["aliases"]) == (None, ["王　伟"])

    back = event("event.retracted", "A7", "2026-06-30T09:00:00+08:00")
    back["data"] = {**given["event"], "reason": "wrong person"}
    assert (await shop.post("/v1/events", json=back)).json()["accepted"] == 1
    assert set(await unresolved(shop)) == {"王　伟", LI}
    missing = await shop.get(f"{BASE}/staff/A7")
    assert missing.status_code == 404


async def test_lists_find_what_belongs_to_a_member_under_any_name(
    shop: httpx.AsyncClient, factory: Factory
) -> None:
    call = (await get(shop, f"{BASE}/repair-orders/R1/follow-ups/first"))["follow_up_id"]
    await outcomes(factory, completed(call, "2026-06-05T10:00:00+08:00", by=LI))
    li = (await unresolved(shop))[LI]["surrogate"]
    await give(shop, "A7", alias=WANG)

    async def found(path: str, key: str, **query: Any) -> list[str]:
        return [item[key] for item in (await get(shop, f"{BASE}/{path}", **query))["items"]]

    orders = ("repair-orders", "ro_number")
    assert await found(*orders, advisor="A7") == ["R3", "R2", "R1"]
    assert await found(*orders, technician=li) == ["R1"]
    assert await found(*orders, technician="T9") == []
    await give(shop, "T9", surrogate=li)
    for who in ("T9", li):
        assert await found(*orders, technician=who) == ["R1"]
        assert await found("follow-ups", "follow_up_id", assignee=who) == [call]
        assert len(await found("complaints", "complaint_id", responsible=who)) == 1
    view = await get(shop, f"{BASE}/follow-ups/{call}")
    assert (view["assignee"], view["assignee_name"]) == ("T9", LI)
    assert [made["by"] for made in view["completions"]] == ["T9"]
    (item,) = (await get(shop, f"{BASE}/complaints"))["items"]
    assert (item["responsible"], item["responsible_name"]) == ("T9", LI)


async def test_the_desk_may_name_somebody_too(shop: httpx.AsyncClient) -> None:
    """Its answers, which are kept, never hold the name."""
    await give(shop, "A7", alias=WANG)
    path = f"{BASE}/repair-orders/R1/follow-ups"
    call = (await get(shop, f"{path}/second"))["follow_up_id"]
    for name, member in ((WANG, "A7"), ("新来的", None)):
        answer = await shop.put(f"{BASE}/follow-ups/{call}/assignee", json={"assignee": name})
        assert answer.status_code == 200
        assert name not in answer.text
        assert answer.json()["assignee"] == (member or answer.json()["assignee"])
        assert answer.json()["assignee_name"] is None
    assert (await get(shop, f"{path}/second"))["assignee_name"] == "新来的"
    assert (await unresolved(shop))["新来的"]["roles"] == ["assignee"]


async def test_what_is_no_alias_is_refused(shop: httpx.AsyncClient) -> None:
    await give(shop, "A7", alias=WANG)
    taken = await give(shop, "A8", status=409, alias="王 伟")
    assert taken["state"] == "taken"
    assert "A7" in taken["detail"]
    surrogate = (await unresolved(shop))[LI]["surrogate"]
    for body, pointer, code in (
        ({}, "", "one-of"),
        ({"alias": "x y", "surrogate": surrogate}, "", "one-of"),
        ({"alias": "A8"}, "/alias", "staff-number"),
        ({"alias": "Ａ８"}, "/alias", "staff-number"),
        ({"alias": " \u200b"}, "/alias", "too-short"),
        ({"alias": "x y\0"}, "/alias", "nul-character"),
        ({"alias": "x" * 129}, "/alias", "string-too-long"),
        ({"surrogate": "~" + "a" * 26}, "/surrogate", "unknown"),
        ({"surrogate": "王伟"}, "/surrogate", "string-pattern-mismatch"),
        ({"name": "王伟"}, "/name", "extra-forbidden"),
    ):
        problem = await give(shop, "A8", status=422, **body)
        assert [(fault["pointer"], fault["code"]) for fault in problem["errors"]] == [
            (pointer, code)
        ], body
    assert (await shop.get(f"{BASE}/staff/A8")).status_code == 404
    response = await shop.post("/v1/stores/S9/staff/A8/aliases", json={"alias": "x y"})
    assert response.status_code == 404


async def test_the_command_is_done_once_and_on_condition(shop: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "once"}
    given = await give(shop, "A7", alias=WANG, headers=key)
    assert await give(shop, "A7", alias=WANG, headers=key) == given
    await give(shop, "A7", status=422, alias=LI, headers=key)
    await give(shop, "A7", status=412, alias=LI, headers={"If-Match": '"1"'})
    await give(shop, "A7", alias=LI, headers={"If-Match": f'"{given["version"]}"'})
    assert (await get(shop, f"{BASE}/staff/A7"))["aliases"] == [LI, WANG]
    log = [
        item
        for item in (await get(shop, f"{BASE}/repair-orders/R1/timeline"))["items"]
        if item["type"] == "repair_order.opened"
    ]
    assert log[0]["personal"] == {"advisor": WANG}
    assert log[0]["data"]["advisor"].startswith("~")


# Asking for somebody by name

FILTERS = (
    ("/repair-orders", "advisor", WANG, ["R1", "R2"]),
    ("/repair-orders", "advisor", " 王 伟\u200b ", ["R1", "R2"]),
    ("/repair-orders", "technician", LI, ["R1"]),
    ("/complaints", "responsible", LI, ["R1"]),
)


async def asked(client: httpx.AsyncClient, path: str, field: str, text: str) -> list[str]:
    found = (await get(client, f"{BASE}{path}", **{field: text}))["items"]
    return sorted(item["ro_number"] for item in found)


async def refused(
    client: httpx.AsyncClient, path: str, query: dict[str, str], status: int = 422
) -> Any:
    response = await client.get(f"{BASE}{path}", params=query)
    assert response.status_code == status, response.text
    return response.json()


@pytest.mark.parametrize(("path", "field", "text", "orders"), FILTERS)
async def test_a_filter_takes_the_name_of_one_whom_nobody_knows_yet(
    shop: httpx.AsyncClient, path: str, field: str, text: str, orders: list[str]
) -> None:
    assert await asked(shop, path, field, text) == orders
    (fault,) = (await refused(shop, path, {field: "没有 这人"}))["errors"]
    assert (fault["pointer"], fault["code"]) == (f"/query/{field}", "unknown")
    assert "没有" not in fault["detail"]
    (fault,) = (await refused(shop, path, {field: "\u200b"}))["errors"]
    assert fault["code"] == "too-short"


async def test_a_filter_takes_the_name_of_a_member_and_finds_the_number_too(
    shop: httpx.AsyncClient, factory: Factory
) -> None:
    kpi = "/kpis/visits_settled"
    await shop.post("/v1/jobs/nightly/runs", json={"store_id": "S1"})
    by_name = {**JUNE, "by": "advisor", "member": "王 伟"}
    surrogate = (await unresolved(shop))["王　伟"]["surrogate"]
    (value,) = (await get(shop, f"{BASE}{kpi}", **by_name))["values"]
    assert (value["member"], value["value"]) == (surrogate, "2")
    await outcomes(factory, event("staff.registered", "A7", name=WANG, aliases=["早班 王"]))
    await shop.post("/v1/jobs/nightly/runs", json={"store_id": "S1"})
    for text in (WANG, "早班 王", "A7", "Ａ７"):
        assert await asked(shop, "/repair-orders", "advisor", text) == ["R1", "R2", "R3"]
        by_name["member"] = text
        (value,) = (await get(shop, f"{BASE}{kpi}", **by_name))["values"]
        assert (value["member"], value["value"]) == ("A7", "3")
        told = await get(shop, f"{BASE}{kpi}/explain", **by_name)
        assert (told["member"], len(told["items"])) == ("A7", 3)
        (value,) = (await get(shop, f"{BASE}{kpi}/published", **by_name))["values"]
        assert (value["member"], value["restatements"][0]["value"]) == ("A7", "3")
    call = (await get(shop, f"{BASE}/follow-ups"))["items"][0]["follow_up_id"]
    given = await shop.put(f"{BASE}/follow-ups/{call}/assignee", json={"assignee": "A7"})
    assert given.status_code == 200, given.text
    assert await asked(shop, "/follow-ups", "assignee", "早班 王") == ["R1"]


async def test_a_name_of_two_is_refused_with_what_to_ask_for_instead(
    shop: httpx.AsyncClient, factory: Factory
) -> None:
    await outcomes(factory, *(event("staff.registered", who, name=WANG) for who in ("A7", "A8")))
    paths = {
        "/repair-orders": {"advisor": WANG},
        "/follow-ups": {"assignee": WANG},
        "/complaints": {"responsible": WANG},
        "/kpis/visits_settled": {**JUNE, "by": "advisor", "member": WANG},
    }
    surrogate = (await unresolved(shop))["王　伟"]["surrogate"]
    for path, query in paths.items():
        problem = await refused(shop, path, query)
        (fault,) = problem["errors"]
        assert (fault["pointer"], fault["code"]) == (f"/query/{[*query][-1]}", "ambiguous")
        assert "A7 and A8" in fault["detail"]
        assert surrogate in fault["detail"]
        assert WANG not in problem["detail"]
    assert await asked(shop, "/repair-orders", "advisor", surrogate) == ["R1", "R2"]


async def test_who_may_not_see_names_may_not_find_out_whose_one_is(
    shop: httpx.AsyncClient, connect: Connect, issue: Issue
) -> None:
    board = await connect(
        await issue(
            Scope.REPAIR_ORDERS_READ,
            Scope.COMPLAINTS_READ,
            Scope.FOLLOW_UPS_READ,
            Scope.KPIS_READ,
        )
    )
    surrogate = (await unresolved(shop))["王　伟"]["surrogate"]
    for name in (WANG, "没有 这人"):
        for path, query in (
            ("/repair-orders", {"technician": name}),
            ("/follow-ups", {"assignee": name}),
            ("/complaints", {"responsible": name}),
            ("/kpis/visits_settled", {**JUNE, "by": "advisor", "member": name}),
            ("/kpis/visits_settled/explain", {**JUNE, "by": "advisor", "member": name}),
            ("/kpis/visits_settled/published", {**JUNE, "by": "advisor", "member": name}),
        ):
            assert "personal:read" in (await refused(board, path, query, 403))["detail"]
    assert await asked(board, "/repair-orders", "advisor", surrogate) == ["R1", "R2"]
    # of what is no member of staff the text is taken as it is
    teams = {**JUNE, "by": "team", "member": "一 班"}
    assert (await get(board, f"{BASE}/kpis/visits_settled", **teams))["values"] == []
