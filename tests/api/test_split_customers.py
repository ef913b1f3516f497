"""One car, several customers: the work list, and both answers to it, over HTTP."""

from typing import Any

import httpx
import pytest

from app.db.engine import Pool
from app.domain.access import Scope
from app.factory import Factory
from app.services import split_customers
from tests.api.conftest import Connect, Issue
from tests.support.facts import event, opened
from tests.support.logs import check_store, read_log
from tests.support.posting import add_store, outcomes

BASE = "/v1/stores/S1"
LIST = f"{BASE}/work-lists/split-customers"
VIN = "LSVAA4182E2100001"
ODD = "NO-VIN-1"
Json = dict[str, Any]


@pytest.fixture(autouse=True)
async def family(factory: Factory) -> None:
    """Two people bring one car in turn, and another that has no proper VIN."""
    await add_store(factory)
    taken = await outcomes(
        factory,
        opened("R1", customer_no="K1", vin=VIN),
        opened("R2", "2026-06-02T09:00:00+08:00", customer_no="K2", vin=VIN),
        opened("R3", "2026-06-03T09:00:00+08:00", customer_no="K2", vin=ODD),
        opened("R4", "2026-06-04T09:00:00+08:00", customer_no="K1", vin=ODD),
    )
    assert all(word.isdigit() for word in taken)


async def vins(client: httpx.AsyncClient, **query: Any) -> list[str]:
    response = await client.get(LIST, params=query)
    assert response.status_code == 200, response.text
    return [item["vin"] for item in response.json()["items"]]


async def tell(
    client: httpx.AsyncClient,
    customer_no: str,
    *others: str,
    status: int = 200,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Json:
    response = await client.post(
        f"{BASE}/customers/{customer_no}/tell-apart",
        json={"others": others, "by": "A7", **more},
        headers=headers,
    )
    assert response.status_code == status, response.text
    found: Json = response.json()
    return found


async def retract(factory: Factory, subject: str, said: Json) -> None:
    (taken,) = await outcomes(
        factory,
        event("event.retracted", subject, "2026-06-20T09:00:00+08:00", reason="x")
        | {"data": {**said, "reason": "x"}},
    )
    assert taken.isdigit(), taken


async def test_who_was_told_apart_leaves_the_list_for_every_car_and_comes_back_when_taken_back(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    assert await vins(client) == [VIN, ODD]
    done = await tell(
        client, "K1", "K2", reason="夫妻", headers={"Idempotency-Key": "t-1", "If-Match": '"0"'}
    )
    (said,) = done["told_apart"]
    assert (done["customer_no"], said["customer_no"], said["by"]) == ("K1", "K2", "A7")
    assert (done["version"], said["at"]) == ("5", "2026-07-01T02:00:00Z")
    assert await vins(client) == []
    assert await vins(client, answered="true") == [VIN, ODD]
    (shown, _) = (await client.get(LIST, params={"answered": "true"})).json()["items"]
    (pair,) = shown["told_apart"]
    assert pair == {
        "customers": ["K1", "K2"],
        "subject": "K1",
        "at": said["at"],
        "by": "A7",
        "event": said["event"],
    }
    # the same again, whoever it is said of, writes nothing
    again = await tell(
        client, "K1", "K2", reason="夫妻", headers={"Idempotency-Key": "t-1", "If-Match": '"0"'}
    )
    assert again == done
    assert (await tell(client, "K1", "K2"))["version"] == "5"
    assert (await tell(client, "K2", "K1"))["told_apart"] == []
    assert len(await read_log(pool)) == 5
    await retract(factory, pair["subject"], pair["event"])
    assert await vins(client) == [VIN, ODD]
    assert await vins(client, answered="true") == []
    await check_store(pool)


async def test_a_third_number_brings_the_car_back_until_all_are_told_apart(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    await tell(client, "K1", "K2")
    await outcomes(factory, opened("R5", "2026-06-05T09:00:00+08:00", customer_no="K3", vin=VIN))
    assert await vins(client) == [VIN]
    (split,) = (await client.get(LIST)).json()["items"]
    assert [one["customer_no"] for one in split["customers"]] == ["K1", "K2", "K3"]
    assert [pair["customers"] for pair in split["told_apart"]] == [["K1", "K2"]]
    await tell(client, "K3", "K1")
    assert await vins(client) == [VIN]  # of K2 and K3 nobody has said anything
    await tell(client, "K3", "K1", "K2")
    assert await vins(client) == []
    await check_store(pool)


async def test_a_merger_afterwards_overrules_and_what_is_known_goes_on_under_the_new_number(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    await tell(client, "K1", "K2")
    await outcomes(factory, opened("R5", "2026-06-05T09:00:00+08:00", customer_no="K3", vin=VIN))
    # K3 turns out to be another file of K1, and becomes the number that counts
    merged = await client.post(f"{BASE}/customers/K1/merge", json={"into": "K3"})
    assert merged.json()["counts_as"] == "K3"
    assert await vins(client) == []
    (shown, _) = (await client.get(LIST, params={"answered": "true"})).json()["items"]
    assert shown["told_apart"][0]["customers"] == ["K2", "K3"]
    refused = await tell(client, "K3", "K1", status=409)
    assert refused["state"] == "merged"
    # all three are one after all
    merged = await client.post(f"{BASE}/customers/K2/merge", json={"into": "K3"})
    assert merged.json()["counts_as"] == "K3"
    assert await vins(client) == await vins(client, answered="true") == []
    back = next(fact for fact in await read_log(pool) if fact.type == "customer.merged")
    await retract(factory, "K1", {"source": back.source, "id": back.id})
    assert await vins(client) == []  # K1 is somebody else than K2, who is K3 now
    await check_store(pool)


async def test_pages_go_on_past_any_number_of_answered_cars(
    client: httpx.AsyncClient, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split_customers, "CANDIDATES", 1)
    monkeypatch.setattr(split_customers, "MOST_CANDIDATES", 2)
    cars = [f"CAR-{number}" for number in range(9)]
    moments = iter(range(10, 60))
    await outcomes(
        factory,
        *(
            opened(
                f"{car}-{customer_no}",
                f"2026-06-10T09:{next(moments)}:00+08:00",
                customer_no=customer_no,
                vin=car,
            )
            for car in cars
            for customer_no in ("K1", "K2" if car < "CAR-7" else "K3")
        ),
    )
    await tell(client, "K1", "K2")
    assert await pages(client) == ["CAR-7", "CAR-8"]
    assert await pages(client, answered="true") == [*cars[:7], VIN, ODD]


async def pages(client: httpx.AsyncClient, **query: Any) -> list[str]:
    """All that the list has, one item a page."""
    found: list[str] = []
    page: dict[str, Any] | None = {"limit": 1, **query}
    while page is not None:
        answer = (await client.get(LIST, params=page)).json()
        found += [item["vin"] for item in answer["items"]]
        cursor = answer["next_cursor"]
        page = None if cursor is None else {**page, "cursor": cursor}
    return found


async def test_what_can_not_be_told_apart_is_refused_in_words(
    client: httpx.AsyncClient, connect: Connect, issue: Issue, pool: Pool
) -> None:
    assert "no customer K9" in (await tell(client, "K9", "K1", status=404))["detail"]
    unknown = await tell(client, "K1", "K2", "K9", status=422)
    assert (unknown["errors"][0]["pointer"], unknown["errors"][0]["code"]) == (
        "/others",
        "unknown",
    )
    same = await tell(client, "K1", "K2", "K1", status=422)
    assert same["errors"][0]["code"] == "same-customer"
    nobody = await tell(client, "K1", status=422)
    assert nobody["errors"][0] == {
        "pointer": "/others",
        "code": "too-short",
        "detail": nobody["errors"][0]["detail"],
    }
    odd = await tell(client, "K1", "K2\0", status=422)
    assert odd["errors"][0]["pointer"].startswith("/others")
    await tell(client, "K1", "K2", status=412, headers={"If-Match": '"3"'})
    reader = await connect(await issue(Scope.CUSTOMERS_READ))
    await tell(reader, "K1", "K2", status=403)
    assert len(await read_log(pool)) == 4


async def test_a_feed_may_say_it_and_who_said_so_is_named_as_known_now(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    fact = event(
        "customer.told_apart",
        "K2",
        "2026-06-10T09:00:00+08:00",
        others=["K2", "K1", "K1"],
        by="王伟",
    )
    empty = event("customer.told_apart", "K2", "2026-06-10T09:00:00+08:00", others=[], by="A7")
    assert await outcomes(factory, fact, empty) == ["5", "invalid-data"]
    assert await vins(client) == []
    unresolved = (await client.get(f"{BASE}/work-lists/unresolved-names")).json()["items"]
    assert [(name["text"], name["roles"]) for name in unresolved] == [
        ("王伟", ["customer_teller"])
    ]
    await factory.metrics.refresh("S1")
    given = await client.post(f"{BASE}/staff/A7/aliases", json={"alias": "王伟"})
    assert given.status_code == 201
    await factory.metrics.refresh("S1")
    (shown, _) = (await client.get(LIST, params={"answered": "true"})).json()["items"]
    assert [pair["by"] for pair in shown["told_apart"]] == ["A7"]
    await check_store(pool)
