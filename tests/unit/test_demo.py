"""The made-up shop: the same for a seed, plausible, and valid where it should be."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from app.demo import shop
from app.demo.bench import bench_lifecycle
from app.demo.life import arrivals, events, months_before, store_codes
from app.demo.posting import Arrival
from tests.support.oracle import Oracle, follow_up_id

ZONE = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 3, 2, tzinfo=ZONE)
TAKEN = {"accepted", "duplicate", "identity-conflict", "retraction-target-unknown"}
REASONS = {
    "identity-conflict",
    "invalid-data",
    "missing-attribute",
    "retraction-target-unknown",
    "time-in-future",
    "unknown-store",
    "unknown-type",
    "unsupported-version",
}
REQUIRED = {
    "customer.registered": {"name", "phones"},
    "vehicle.registered": {"customer_no", "plate"},
    "repair_order.opened": {"work_type", "advisor"},
    "repair_order.authorized": set(),
    "repair_order.dispatched": {"technician"},
    "repair_order.work_started": {"technician"},
    "repair_order.work_paused": {"reason"},
    "repair_order.work_resumed": set(),
    "repair_order.add_on_proposed": {"add_on_id"},
    "repair_order.add_on_decided": {"add_on_id", "accepted"},
    "repair_order.promise_changed": {"promised_at"},
    "repair_order.delay_warned": {"by"},
    "repair_order.work_completed": {"technician", "clocked_hours"},
    "repair_order.inspected": {"level", "inspector", "passed"},
    "repair_order.cleaned": set(),
    "repair_order.settled": {"amounts"},
    "repair_order.delivered": set(),
    "repair_order.customer_delay_noted": {"note", "signed"},
    "repair_order.delay_reviewed": {"accepted", "reviewer"},
    "repair_order.comeback_reported": {"comeback_ro"},
    "repair_order.comeback_assessed": {"verdict", "comeback_ro"},
    "repair_order.cancelled": {"reason"},
    "staff.registered": {"name", "roles"},
    "staff.timecard_recorded": {"work_date", "attended_hours"},
    "complaint.opened": {"channel", "text"},
    "complaint.contacted": {"by", "channel"},
    "complaint.resolved": {"by", "solution"},
    "complaint.reopened": {"by", "reason"},
    "follow_up.assigned": {"assignee"},
    "follow_up.attempted": {"by", "channel", "outcome"},
    "follow_up.completed": {"by", "channel", "outcome"},
    "event.retracted": {"source", "id", "reason"},
}


@pytest.fixture(scope="module")
def month() -> list[Arrival]:
    """Forty days of one shop, with calls and comebacks of the first of them."""
    return list(arrivals(["SH01"], START, START + timedelta(days=40), 1))


def identity(event: dict[str, Any]) -> tuple[str, str]:
    return event["source"], event["id"]


def test_same_seed_same_shop() -> None:
    stop = START + timedelta(days=2)
    once = list(events(["SH01"], START, stop, 1))
    assert once == list(events(["SH01"], START, stop, 1))
    assert once != list(events(["SH01"], START, stop, 2))


def test_asked_again_a_day_later_it_is_still_the_same_shop() -> None:
    stop = START + timedelta(days=3)
    earlier = [json.dumps(event) for event in events(["SH01"], START, stop, 1)]
    longer = [json.dumps(e) for e in events(["SH01"], START, stop + timedelta(days=1), 1)]
    assert longer[: len(earlier)] == earlier
    shifted = events(["SH01"], START + timedelta(days=1), stop, 1)
    assert {json.dumps(event) for event in shifted} <= set(earlier)


def test_arrives_in_order_and_never_before_it_happened(month: list[Arrival]) -> None:
    moments = [arrival.arrives_at for arrival in month]
    assert moments == sorted(moments)
    assert moments[0] >= START
    assert moments[-1] <= START + timedelta(days=40)
    for arrival in month:
        if arrival.outcome == "accepted":
            assert datetime.fromisoformat(arrival.event["time"]) <= arrival.arrives_at
    times = [datetime.fromisoformat(a.event["time"]) for a in month if a.outcome == "accepted"]
    assert times != sorted(times)


def test_events_carry_what_their_type_requires(month: list[Arrival]) -> None:
    seen = set()
    for arrival in month:
        if arrival.outcome not in {"accepted", "duplicate"}:
            continue
        event = arrival.event
        assert event["specversion"] == "1.0"
        assert event["store"] == "SH01"
        assert event["datacontenttype"] == "application/json"
        assert 0 < len(event["id"]) <= 128
        assert event["source"].startswith("/")
        assert event["subject"]
        assert datetime.fromisoformat(event["time"]).utcoffset() is not None
        assert REQUIRED[event["type"]] <= set(event["data"]), event["type"]
        assert None not in event["data"].values()
        seen.add(event["type"])
        if event["type"].startswith(("follow_up.", "complaint.")):
            UUID(event["subject"])
    assert set(REQUIRED) - seen <= {"complaint.reopened"}  # rare


def test_identities_are_unique_but_for_repeats(month: list[Arrival]) -> None:
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for arrival in month:
        event = arrival.event
        if arrival.outcome == "duplicate":
            assert first[identity(event)] == event
        elif arrival.outcome == "identity-conflict":
            assert first[identity(event)] != event
        elif arrival.outcome == "accepted":
            assert identity(event) not in first
            first[identity(event)] = event


def test_every_reason_for_quarantine_has_its_turn(month: list[Arrival]) -> None:
    outcomes = Counter(arrival.outcome for arrival in month)
    assert set(outcomes) == REASONS | {"accepted", "duplicate"}
    assert outcomes["accepted"] > 0.98 * len(month)
    assert outcomes["duplicate"] > 50


def test_retractions_follow_what_they_retract(month: list[Arrival]) -> None:
    arrived: set[tuple[str, str]] = set()
    retractions = 0
    for arrival in month:
        event = arrival.event
        if event.get("type") == "event.retracted":
            retractions += 1
            target = (event["data"]["source"], event["data"]["id"])
            known = arrival.outcome in {"accepted", "duplicate"}
            assert (target in arrived) == known
        if arrival.outcome == "accepted":
            arrived.add(identity(event))
    assert retractions > 5


def test_nobody_is_real(month: list[Arrival]) -> None:
    for arrival in month:
        data = arrival.event["data"]
        text = json.dumps(data, ensure_ascii=False)
        assert all(number.startswith("1200") for number in re.findall(r'"(1\d{10})"', text))
        if arrival.event.get("type") == "customer.registered":
            assert re.fullmatch(r"客户\d{4}", data["name"])
        if "plate" in data:
            assert re.fullmatch(r"样A\d{5}", data["plate"])


def test_a23_vins_have_17_characters_and_no_i_o_q() -> None:
    vins = [shop.customer("SH01", number).vin for number in range(1, 400)]
    assert len(set(vins)) == len(vins)
    assert all(re.fullmatch(r"[A-HJ-NPR-Z0-9]{17}", vin) for vin in vins)
    values = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", "12345678123457923456789", strict=True))
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)

    def check_digit(vin: str) -> str:
        pairs = zip(vin, weights, strict=True)
        return "0123456789X"[sum(int(values.get(c, c)) * weight for c, weight in pairs) % 11]

    assert check_digit("1M8GDM9AXKP042788") == "X"  # the standard's own example
    assert all(vin[8] == check_digit(vin) for vin in vins)


def test_h13_calls_are_posted_for_the_ids_that_the_service_derives(month: list[Arrival]) -> None:
    orders = {
        arrival.event["subject"]
        for arrival in month
        if arrival.event.get("type") == "repair_order.opened" and arrival.outcome == "accepted"
    }
    derived = {
        follow_up_id("SH01", order, kind) for order in orders for kind in ("first", "second")
    }
    called = {
        arrival.event["subject"]
        for arrival in month
        if arrival.event.get("type") == "follow_up.completed"
    }
    assert len(called - derived) < 5  # of orders whose opening is still on its way
    assert len(called) > 1000


def test_numbers_are_plausible_against_the_targets(month: list[Arrival]) -> None:
    skip = {n for n, arrival in enumerate(month) if arrival.outcome not in TAKEN}
    told = [(arrival.event, arrival.arrives_at) for arrival in month]
    now = START + timedelta(days=40)
    oracle = Oracle(told, "Asia/Shanghai", now, store_id="SH01", skip=skip)

    def value(code: str) -> float:
        [year] = oracle.kpi(code, "year", date(2026, 1, 1), date(2027, 1, 1))
        assert year.value is not None
        return float(year.value)

    assert 0.91 < value("on_time_delivery_rate") < 0.955
    assert 0.003 < value("external_rework_rate") < 0.015
    assert 0.015 < value("rework_rate") < 0.035
    assert 1.05 < value("labor_efficiency") < 1.15
    assert 0.8 < value("labor_utilization") < 0.9
    assert 0.93 < value("parts_fill_rate") < 0.98
    assert 0.77 < value("follow_up_rate") < 0.87
    assert 0.3 < value("gross_margin") < 0.45
    assert 0.004 < value("complaint_rate") < 0.02
    assert 36 < value("visits_settled") / 40 < 44
    assert value("excused_late_count") > 5
    assert value("promise_coverage_rate") < 1
    assert value("first_time_fix_rate") < 1
    [day] = oracle.kpi("visits_settled", "day", date(2026, 3, 8), date(2026, 3, 9))  # a Sunday
    assert Fraction(day.value or 0) < 30


def test_it_is_lazy_and_stores_are_interleaved() -> None:
    endless = events(store_codes(3), START, START + timedelta(days=36500), 1)
    some = list(itertools.islice(endless, 600))
    assert store_codes(3) == ["SH01", "SH02", "SH03"]
    assert {event["store"] for event in some} >= {"SH01", "SH02", "SH03"}


@pytest.mark.parametrize(
    ("now", "months", "expected"),
    [
        ("2026-11-21", 6, "2026-05-21"),
        ("2026-05-31", 6, "2025-11-30"),
        ("2026-03-31", 1, "2026-02-28"),
        ("2026-12-05", 12, "2025-12-05"),
    ],
)
def test_months_before(now: str, months: int, expected: str) -> None:
    assert months_before(datetime.fromisoformat(now), months) == datetime.fromisoformat(expected)


def test_bench_events_are_clean_recent_and_interleaved() -> None:
    until = datetime(2026, 3, 2, 8, tzinfo=UTC)
    made = list(bench_lifecycle(4000, ["S1", "S2"], 7, until=until))
    assert made == list(bench_lifecycle(4000, ["S1", "S2"], 7, until=until))
    assert len({identity(event) for event in made}) == len(made) == 4000
    times = [datetime.fromisoformat(event["time"]) for event in made]
    assert times == sorted(set(times))
    assert times[-1] == until
    assert until - times[0] < timedelta(days=2)
    lives: dict[str, list[str]] = {}
    for event in made:
        assert REQUIRED[event["type"]] <= set(event["data"])
        lives.setdefault(event["subject"], []).append(event["type"])
    done = [life for life in lives.values() if life[-1] == "repair_order.delivered"]
    assert all(life[0] == "repair_order.opened" for life in lives.values())
    assert {len(life) for life in done} == {8, 9, 10}
    assert len(done) > 350
    neighbours = itertools.pairwise(made)
    assert all(one["subject"] != other["subject"] for one, other in neighbours)
    assert Counter(event["store"] for event in made) == {"S1": 2000, "S2": 2000}


def test_bench_events_fit_into_two_days_however_many() -> None:
    until = datetime(2026, 3, 2, 8, tzinfo=UTC)
    first = next(bench_lifecycle(1_000_000, ["S1"], 7, until=until))
    assert until - datetime.fromisoformat(first["time"]) <= timedelta(days=2)
