"""KPIs over HTTP: the wire form, what is behind a value, published values, and nights."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.domain.access import Scope
from app.domain.kpis.registry import KPIS
from app.routers.schemas.kpis import (
    ExplanationOut,
    KpiOut,
    KpiValuesOut,
    OverviewOut,
    PublishedValuesOut,
)
from app.services.time_source import MovableTimeSource
from tests.api.conftest import Connect, Issue
from tests.support.desk import at, visit
from tests.support.histories import cloud_event

CODE = "on_time_delivery_rate"
STORE = "/v1/stores/SH01/kpis"
JUNE = {"from": "2026-06-01", "to": "2026-07-01", "period": "month"}
DAY = timedelta(days=1)


@pytest.fixture
async def shop(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A store with a June: A07 had three visits, of them one late and one without a promise."""
    made = await client.put("/v1/stores/SH01", json={"name": "示例店"})
    assert made.status_code == 201
    unpromised = visit("R3", at("2026-06-12 09:00"), advisor="A07", store="SH01")
    del unpromised[0]["data"]["promised_at"]
    unpromised[0]["data"]["contact"] = {"name": "客户0001", "phone": "13800000001"}
    nobody = visit("R5", at("2026-06-14 09:00"), store="SH01")
    await _post(
        client,
        *visit("R1", at("2026-06-10 09:00"), advisor="A07", store="SH01"),
        *visit("R2", at("2026-06-11 09:00"), advisor="A07", late_hours=0.5, store="SH01"),
        *unpromised,
        *visit("R4", at("2026-06-13 09:00"), advisor="A08", late_hours=2, store="SH01"),
        *nobody[2:],
    )
    run = await client.post("/v1/jobs/nightly/runs", json={"store_id": "SH01"})
    assert run.status_code == 200
    assert [item["state"] for item in run.json()["items"]] == ["done"]
    return client


async def _post(client: httpx.AsyncClient, *events: dict[str, Any]) -> None:
    answer = await client.post(
        "/v1/events",
        json=list(events),
        headers={"Content-Type": "application/cloudevents-batch+json"},
    )
    assert answer.status_code == 202
    assert answer.json()["accepted"] == len(events), answer.json()


async def _get(client: httpx.AsyncClient, path: str, **query: str) -> Any:
    answer = await client.get(f"{STORE}{path}", params={**JUNE, **query})
    assert answer.status_code == 200, answer.json()
    return answer.json()


async def test_the_catalogue_lists_every_kpi(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/v1/kpis")).json()
    assert answer["next_cursor"] is None
    assert [item["code"] for item in answer["items"]] == list(KPIS)
    on_time = answer["items"][0]
    assert on_time["name"]["zh"] == "准时交车率"
    assert (on_time["target"], on_time["direction"]) == ("0.96", "up")
    assert on_time["grains"] == ["store", "advisor", "technician", "team", "work_type"]
    for item in answer["items"]:
        KpiOut.model_validate(item)
        assert all(item["formula"].values())
        assert item["contract"]
        assert item["source"]


async def test_values_have_the_wire_form(shop: httpx.AsyncClient) -> None:
    answer = await _get(shop, f"/{CODE}", by="advisor")
    KpiValuesOut.model_validate(answer)
    as_of_seq = answer.pop("as_of_seq")
    assert int(as_of_seq) >= 13
    assert answer == {
        "code": CODE,
        "store_id": "SH01",
        "period": "month",
        "by": "advisor",
        "values": [
            {
                "period_start": "2026-06-01",
                "period_end": "2026-07-01",
                "member": "A07",
                "member_name": None,
                "numerator": "1",
                "denominator": "2",
                "value": "0.500000",
                "not_counted": {"no-promise": 1},
            },
            {
                "period_start": "2026-06-01",
                "period_end": "2026-07-01",
                "member": "A08",
                "member_name": None,
                "numerator": "0",
                "denominator": "1",
                "value": "0.000000",
                "not_counted": {},
            },
        ],
    }


async def test_b3_who_was_never_opened_counts_under_member_null(shop: httpx.AsyncClient) -> None:
    everybody = await _get(shop, "/visits_settled", by="advisor")
    assert [(value["member"], value["value"]) for value in everybody["values"]] == [
        ("A07", "3"),
        ("A08", "1"),
        (None, "1"),
    ]
    nobody = await _get(shop, "/visits_settled", by="advisor", member="")
    assert [(value["member"], value["value"]) for value in nobody["values"]] == [(None, "1")]
    one = await _get(shop, "/visits_settled", by="advisor", member="A07")
    assert [(value["member"], value["value"]) for value in one["values"]] == [("A07", "3")]


async def test_j1_days_are_widened_and_every_period_appears(shop: httpx.AsyncClient) -> None:
    days = {"from": "2026-05-31", "to": "2026-06-02", "period": "month"}
    answer = await _get(shop, "/arrivals", **days)
    assert [
        (value["period_start"], value["numerator"], value["denominator"], value["value"])
        for value in answer["values"]
    ] == [("2026-05-01", "0", None, "0"), ("2026-06-01", "4", None, "4")]
    median = await _get(shop, "/repair_cycle_hours", **days)
    assert [(value["numerator"], value["value"]) for value in median["values"]] == [
        (None, None),
        (None, "3.75"),
    ]
    by_team = await _get(shop, "/arrivals", **days, by="team")
    assert [value["period_start"] for value in by_team["values"]] == ["2026-06-01"]


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ({"by": "assignee"}, "/query/by", "not-a-grain"),  # E9
        ({"by": "customer"}, "/query/by", "not-a-grain"),
        ({"period": "week"}, "/query/period", "not-yet-supported"),
        ({"period": "range"}, "/query/period", "not-yet-supported"),
        ({"period": "fortnight"}, "/query/period", "unknown-period"),
        ({"as_of": "2026-06-15T00:00:00Z"}, "/query/as_of", "not-yet-supported"),
        ({"as_of_seq": "7"}, "/query/as_of_seq", "not-yet-supported"),
        ({"to": "2026-06-01"}, "/query/to", "no-days"),
        ({"from": "0001-01-01", "period": "year"}, "/query/from", "out-of-range"),
        ({"to": "9999-12-31", "period": "year"}, "/query/to", "out-of-range"),
        ({"from": "1990-01-01", "period": "day"}, "/query/to", "too-many-periods"),
        ({"member": "A07"}, "/query/member", "no-member"),
        ({"from": "yesterday"}, "/query/from", "date-from-datetime-parsing"),
    ],
)
async def test_a_query_that_cannot_be_answered_says_why(
    shop: httpx.AsyncClient, query: dict[str, str], pointer: str, code: str
) -> None:
    for path in (f"/{CODE}", f"/{CODE}/explain", f"/{CODE}/published"):
        answer = await shop.get(f"{STORE}{path}", params={**JUNE, **query})
        assert answer.status_code == 422
        assert [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]] == [
            (pointer, code)
        ]


async def test_the_parameters_are_asked_for(shop: httpx.AsyncClient) -> None:
    answer = await shop.get(f"{STORE}/{CODE}")
    assert {fault["pointer"] for fault in answer.json()["errors"]} == {
        "/query/from",
        "/query/to",
        "/query/period",
    }


async def test_what_is_not_there_is_not_found(shop: httpx.AsyncClient) -> None:
    for path in ("", "/explain", "/published"):
        assert (await shop.get(f"{STORE}/nonsense{path}", params=JUNE)).status_code == 404
        other = await shop.get(f"/v1/stores/SH99/kpis/{CODE}{path}", params=JUNE)
        assert other.status_code == 404
    assert (await shop.get("/v1/stores/SH99/kpis", params=JUNE)).status_code == 404


async def test_the_overview_tells_every_kpi_against_its_target(shop: httpx.AsyncClient) -> None:
    answer = await _get(shop, "")
    OverviewOut.model_validate(answer)
    items = {item["code"]: item for item in answer["items"]}
    assert list(items) == list(KPIS)
    (on_time,) = items[CODE]["values"]
    assert (on_time["value"], on_time["met"]) == ("0.333333", False)
    (rework,) = items["rework_rate"]["values"]
    assert (rework["value"], rework["met"]) == ("0.000000", True)
    (arrivals,) = items["arrivals"]["values"]
    assert (arrivals["value"], arrivals["met"]) == ("4", None)
    (parts,) = items["parts_fill_rate"]["values"]
    assert (parts["value"], parts["met"]) == (None, None)


async def test_a_value_opens_down_to_its_events(shop: httpx.AsyncClient) -> None:
    answer = await _get(shop, f"/{CODE}/explain", part="denominator")
    ExplanationOut.model_validate(answer)
    assert [item["subject"] for item in answer["items"]] == ["R4", "R2", "R1"]  # the latest first
    latest = answer["items"][0]
    assert (latest["verdict"], latest["reasons"]) == ("late", ["late"])
    assert (latest["numerator"], latest["denominator"]) == ("0", "1")
    assert (latest["day"], latest["advisor"], latest["late_seconds"]) == (
        "2026-06-13",
        "A08",
        7200,
    )
    assert "13:00" in latest["explanation"]["en"]
    assert "15:00" in latest["explanation"]["zh"]
    assert {event["type"] for event in latest["events"]} >= {
        "repair_order.opened",
        "repair_order.settled",
    }
    assert all(event["subject"] == "R4" for event in latest["events"])
    late, no_promise, on_time = answer["totals"]
    assert late == {
        "reason": "late",
        "words": {"en": "delivered after the promise in force", "zh": "晚于有效承诺时间交车"},
        "numerator": 0,
        "denominator": 2,
        "not_counted": 0,
    }
    assert (no_promise["reason"], no_promise["not_counted"]) == ("no-promise", 2)
    assert (on_time["numerator"], on_time["denominator"]) == (1, 1)


async def test_both_parts_and_what_was_not_counted_can_be_opened(
    shop: httpx.AsyncClient,
) -> None:
    async def subjects(code: str, **query: str) -> list[str]:
        answer = await _get(shop, f"/{code}/explain", **query)
        return [item["subject"] for item in answer["items"]]

    assert await subjects(CODE) == ["R1"]  # the numerator, if no part is named
    assert await subjects(CODE, part="not_counted", by="advisor", member="A07") == ["R3"]
    assert await subjects(CODE, part="denominator", by="advisor", member="A07") == ["R2", "R1"]
    assert await subjects(CODE, part="denominator", by="advisor", member="") == []
    assert await subjects("visits_settled", by="advisor", member="") == ["R5"]  # J18
    assert await subjects("repair_cycle_hours") == ["R4", "R2", "R1", "R3"]
    assert await subjects("repair_cycle_hours", part="not_counted") == ["R5"]
    assert await subjects("repair_revenue", part="denominator") == []
    assert await subjects("revenue_growth", part="denominator") == []
    assert len(await subjects("revenue_growth")) == 5


async def test_j11_behind_a_nature_stand_the_visits_of_the_store(shop: httpx.AsyncClient) -> None:
    complaint = "7f6a1f9e-3f0c-4e6e-9f0a-0c8f6f2d1a10"
    await _post(
        shop,
        cloud_event(
            "complaint.opened",
            complaint,
            at("2026-06-20 09:00"),
            {"channel": "phone", "nature": "time", "text": "太慢"},
            event_id="c",
            store="SH01",
        ),
    )
    await shop.post("/v1/jobs/nightly/runs")
    query = {"by": "nature", "member": "time"}
    (value,) = (await _get(shop, "/complaint_rate", **query))["values"]
    assert (value["numerator"], value["denominator"]) == ("1", "5")
    over = await _get(shop, "/complaint_rate/explain", **query)
    assert [(item["kind"], item["subject"]) for item in over["items"]] == [
        ("complaint", complaint)
    ]
    under = await _get(shop, "/complaint_rate/explain", **query, part="denominator")
    assert len(under["items"]) == 5
    assert "太慢" not in str(over)


async def test_what_is_behind_a_value_comes_in_pages(shop: httpx.AsyncClient) -> None:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await _get(shop, "/visits_settled/explain", limit="2", **cursor)
        seen += [item["subject"] for item in answer["items"]]
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}
    assert seen == ["R1", "R2", "R3", "R4", "R5"]
    foreign = (await shop.get("/v1/jobs/nightly/runs", params={"limit": 1})).json()
    assert foreign["next_cursor"] is None
    broken = await shop.get(
        f"{STORE}/{CODE}/explain", params={**JUNE, "cursor": "W1siZCIsIjIwMjYtMDEtMDEiXV0"}
    )
    assert broken.status_code == 422


async def test_nothing_personal_is_behind_a_value(shop: httpx.AsyncClient) -> None:
    answer = await _get(shop, f"/{CODE}/explain", part="not_counted")
    told = str(answer)
    assert "R3" in told
    assert "客户0001" not in told
    assert "13800000001" not in told


async def test_published_values_and_their_restatements(
    shop: httpx.AsyncClient, time_source: MovableTimeSource
) -> None:
    (before,) = (await _get(shop, f"/{CODE}/published"))["values"]
    assert before["published"]["value"] == "0.333333"
    time_source.advance(DAY)
    await _post(shop, *visit("R9", at("2026-06-20 09:00"), advisor="A07", store="SH01"))
    await shop.post("/v1/jobs/nightly/runs", json={})

    answer = await _get(shop, f"/{CODE}/published")
    PublishedValuesOut.model_validate(answer)
    (value,) = answer["values"]
    assert value["published"] == before["published"]
    assert value["published"]["version"] == 1
    (restated,) = value["restatements"]
    assert (restated["version"], restated["value"]) == (2, "0.500000")
    assert restated["published_at"] == "2026-07-02T02:00:00Z"
    (change,) = restated["changes"]
    assert (change["subject"], change["before"], change["after"]["reason"]) == (
        "R9",
        None,
        "on-time",
    )
    assert change["events"][0]["type"] == "repair_order.opened"
    assert value["current"]["value"] == "0.500000"


async def test_nights_are_listed(shop: httpx.AsyncClient, time_source: MovableTimeSource) -> None:
    time_source.advance(DAY)
    answer = await shop.post("/v1/jobs/nightly/runs")  # no body: all stores
    (run,) = answer.json()["items"]
    assert (run["store_id"], run["run_date"], run["state"]) == ("SH01", "2026-07-02", "done")
    assert int(run["as_of_seq"]) >= 13
    listed = (await shop.get("/v1/jobs/nightly/runs", params={"limit": 1})).json()
    assert listed["items"] == [run]
    rest = await shop.get("/v1/jobs/nightly/runs", params={"cursor": listed["next_cursor"]})
    assert [item["run_date"] for item in rest.json()["items"]] == ["2026-07-01"]
    other = await shop.get("/v1/jobs/nightly/runs", params={"store_id": "SH99"})
    assert other.json()["items"] == []


@pytest.mark.parametrize("body", [{"store_id": "SH99"}, {"store_id": "S H"}, {"shop": "SH01"}])
async def test_a_night_needs_a_store_that_is_there(
    shop: httpx.AsyncClient, body: dict[str, str]
) -> None:
    answer = await shop.post("/v1/jobs/nightly/runs", json=body)
    assert answer.status_code == (404 if body == {"store_id": "SH99"} else 422)


async def test_a_key_bound_to_a_store_sees_no_other(
    shop: httpx.AsyncClient, connect: Connect, issue: Issue
) -> None:
    await shop.put("/v1/stores/SH02", json={"name": "二店"})
    await shop.post("/v1/jobs/nightly/runs")
    bound = await connect(await issue(Scope.KPIS_READ, Scope.JOBS_RUN, stores=["SH02"]))
    assert (await bound.get(f"{STORE}/{CODE}", params=JUNE)).status_code == 403
    assert (
        await bound.post("/v1/jobs/nightly/runs", json={"store_id": "SH01"})
    ).status_code == 403
    runs = (await bound.post("/v1/jobs/nightly/runs")).json()["items"]
    assert [run["store_id"] for run in runs] == ["SH02"]
    listed = (await bound.get("/v1/jobs/nightly/runs")).json()["items"]
    assert {run["store_id"] for run in listed} == {"SH02"}
    assert (
        await bound.get("/v1/jobs/nightly/runs", params={"store_id": "SH01"})
    ).status_code == 403


async def test_a_key_without_the_scope_may_not(
    shop: httpx.AsyncClient, connect: Connect, issue: Issue
) -> None:
    writer = await connect(await issue(Scope.EVENTS_WRITE))
    assert (await writer.get("/v1/kpis")).status_code == 403
    assert (await writer.get(f"{STORE}/{CODE}", params=JUNE)).status_code == 403
    assert (await writer.post("/v1/jobs/nightly/runs")).status_code == 403
