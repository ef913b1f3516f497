"""Volume and money, productivity, parts: G1 to G13, C25."""

from decimal import Decimal

import pytest

from app.domain.kpis.judge import judge_timecard
from app.domain.kpis.registry import KPIS
from app.domain.kpis.values import value_of
from tests.unit.kpis.shop import (
    DAY,
    Told,
    authorized,
    cancelled,
    dispatched,
    entry,
    facts,
    handed_over,
    opened,
    order,
    outcome,
    plain,
    settled,
    timecard,
    work_completed,
    work_started,
    worked,
)

AMOUNTS = {"labor": "500.10", "parts": "200", "sublet": "30", "other": "20"}


def test_j14_b5_an_order_arrives_once_on_the_day_of_its_first_opening() -> None:
    told = order(opened("03-02 09:00"), opened("03-04 09:00", advisor="A02"))
    fact = facts(told)["opened"]
    assert (fact.day, fact.advisor) == (DAY, "A02")
    assert outcome("arrivals", told) == ("1", None, "opened")


def test_c2_a_cancelled_order_counts_nowhere() -> None:
    told = order(opened(), dispatched("09:10"), settled("17:00"), cancelled("08:00"))
    assert facts(told) == {}


def test_c6_delivered_without_settlement_is_in_no_kpi_by_settled_day() -> None:
    assert set(facts(order(opened(), handed_over("17:00")))) == {"opened"}


def test_b3_settled_without_opening_counts_without_members_and_is_no_arrival() -> None:
    told = order(dispatched("09:10"), settled("17:00", amounts=AMOUNTS))
    by_basis = facts(told)
    assert set(by_basis) == {"settled", "dispatched"}
    fact = by_basis["settled"]
    assert (fact.advisor, fact.technician, fact.team, fact.work_type) == (None,) * 4
    assert outcome("visits_settled", told) == ("1", None, "settled")
    assert outcome("repair_revenue", told)[0] == "750.1"
    assert by_basis["dispatched"].technician == "T01"


def test_a_settled_order_counts_on_the_day_of_its_delivered_time() -> None:
    told = order(opened(), settled("03-03 09:00", delivered="03-02 23:59:59"))
    assert facts(told)["settled"].day == DAY


def test_g1_the_latest_settlement_counts_as_a_whole() -> None:
    told = order(
        opened(),
        settled("17:00", amounts=AMOUNTS, costs={"parts": "100"}, billed="2", clocked="1"),
        settled("18:00", amounts={"labor": "10"}),
    )
    assert outcome("repair_revenue", told)[0] == "10"
    assert outcome("gross_margin", told) == (None, None, "no-costs")
    assert outcome("labor_efficiency", told) == (None, None, "hours-missing")


def test_g2_absent_kinds_are_0() -> None:
    told = order(opened(), settled(amounts={"labor": "500"}))
    assert outcome("repair_revenue", told) == ("500", None, "settled")
    assert outcome("revenue_per_visit", told) == ("500", "1", "settled")
    assert outcome("repair_revenue", order(opened(), settled()))[0] == "0"


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        (None, (None, None, "no-costs")),
        ({}, (None, None, "no-costs")),
        ({"labor": "0"}, ("750.1", "750.1", "carries-costs")),
        ({"labor": "300", "parts": "150.1"}, ("300", "750.1", "carries-costs")),
    ],
)
def test_g3_carries_costs_with_at_least_one_kind(
    costs: dict[str, str] | None, expected: tuple[str | None, str | None, str]
) -> None:
    told = order(opened(), settled(amounts=AMOUNTS, costs=costs))
    assert outcome("gross_margin", told) == expected


def test_g4_a_credit_is_summed() -> None:
    told = order(opened(), settled(amounts={"labor": "-80", "parts": "30"}))
    assert outcome("repair_revenue", told)[0] == "-50"


def test_annex_b14_750_a_visit() -> None:
    found = entry("revenue_per_visit", order(opened(), settled(amounts=AMOUNTS)))
    assert found is not None
    value = value_of(KPIS["revenue_per_visit"], Decimal(9_000_000), Decimal(12_000))
    assert (value.numerator, value.denominator, value.value) == ("9000000", "12000", "750.000000")


# --- Productivity -------------------------------------------------------------------------------


def test_g6_efficiency_by_the_settlement_alone() -> None:
    told = order(opened(), work_completed("16:00", "T01"), settled(billed="2.2", clocked="2"))
    assert outcome("labor_efficiency", told) == ("2.2", "2", "hours-known")


@pytest.mark.parametrize(("billed", "clocked"), [("2", None), (None, "2"), (None, None)])
def test_efficiency_needs_both_hours(billed: str | None, clocked: str | None) -> None:
    told = order(opened(), settled(billed=billed, clocked=clocked))
    assert outcome("labor_efficiency", told) == (None, None, "hours-missing")


def test_annex_b10_utilization_and_efficiency() -> None:
    card = timecard(worked("18:00", "8", "6.8", team="B1"))
    (fact,) = judge_timecard(card)
    assert (fact.day, fact.technician, fact.team) == (DAY, "T01", "B1")
    assert plain(fact.entries[0]) == ("6.8", "8", "hours-known")
    used = value_of(KPIS["labor_utilization"], Decimal("6.8"), Decimal(8))
    assert used.value == "0.850000"
    sold = value_of(KPIS["labor_efficiency"], Decimal("7.48"), Decimal("6.8"))
    assert sold.value == "1.100000"


def test_g10_the_latest_card_without_clocked_hours_takes_the_day_out() -> None:
    assert judge_timecard(timecard(worked("18:00", "8", "7"), worked("19:00", "8", None))) == []


def test_e7_a_card_without_a_team_counts_for_none() -> None:
    (fact,) = judge_timecard(timecard(worked("18:00", "8", "7")))
    assert fact.team is None


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ((opened("09:00"), dispatched("09:12:30")), ("750", None, "measured")),
        (
            (opened("09:00"), authorized("08:50"), dispatched("09:00")),
            ("600", None, "measured"),
        ),
        ((authorized("08:50"), dispatched("09:00")), ("600", None, "measured")),
        ((opened("09:00"), dispatched("09:00")), ("0", None, "measured")),
        ((opened("09:00"), dispatched("08:59")), (None, None, "negative-span")),
        ((dispatched("09:00"),), (None, None, "no-start")),
    ],
)
def test_g7_g8_dispatch_minutes(
    told: tuple[Told, ...], expected: tuple[str | None, None, str]
) -> None:
    assert outcome("dispatch_minutes", order(*told)) == expected


def test_g7_by_the_day_of_the_first_dispatch_for_the_technician_of_the_last() -> None:
    told = order(
        opened("03-02 18:00"), dispatched("03-03 08:00"), dispatched("03-04 08:00", "T02", None)
    )
    fact = facts(told)["dispatched"]
    assert str(fact.day) == "2026-03-03"
    assert (fact.technician, fact.team) == ("T02", None)
    assert outcome("dispatch_minutes", told)[0] == str(14 * 3600)


# --- Members ------------------------------------------------------------------------------------


def test_e2_the_team_is_that_of_the_dispatch_that_names_the_technician() -> None:
    told = order(
        opened(), dispatched("09:10", "T01", "B1"), dispatched("10:00", "T02", None), settled()
    )
    fact = facts(told)["settled"]
    assert (fact.technician, fact.team) == ("T02", None)


def test_e5_without_a_dispatch_the_last_work_event_names_the_technician() -> None:
    told = order(opened(), work_started("10:00", "T01"), work_completed("12:00", "T03"), settled())
    fact = facts(told)["settled"]
    assert (fact.technician, fact.team) == ("T03", None)


def test_e4_the_last_dispatch_has_no_time_bound() -> None:
    told = order(opened(), dispatched("09:10"), settled("17:00"), dispatched("03-05 09:00", "T07"))
    assert facts(told)["settled"].technician == "T07"


# --- Parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requested", "filled", "fill", "shortage"),
    [
        (4, 4, ("1", "1", "parts-filled"), ("0", "1", "parts-filled")),
        (4, 5, ("1", "1", "parts-filled"), ("0", "1", "parts-filled")),
        (4, 3, ("0", "1", "parts-not-filled"), ("1", "1", "parts-not-filled")),
        (4, None, ("0", "1", "parts-not-filled"), ("1", "1", "parts-not-filled")),
        (0, 0, (None, None, "no-parts-requested"), (None, None, "no-parts-requested")),
        (None, 2, (None, None, "no-parts-requested"), (None, None, "no-parts-requested")),
    ],
)
def test_g11_c25_parts(
    requested: int | None,
    filled: int | None,
    fill: tuple[str | None, str | None, str],
    shortage: tuple[str | None, str | None, str],
) -> None:
    told = order(opened(), settled(requested=requested, filled=filled))
    assert outcome("parts_fill_rate", told) == fill
    assert outcome("parts_shortage_rate", told) == shortage


def test_annex_b9_190_of_200_are_95_percent() -> None:
    orders = [order(opened(), settled(requested=2, filled=2)) for _ in range(190)]
    orders += [order(opened(), settled(requested=2, filled=1)) for _ in range(10)]
    values = []
    for code in ("parts_fill_rate", "parts_shortage_rate"):
        entries = [found for each in orders if (found := entry(code, each)) is not None]
        numerator = sum((found.numerator or Decimal(0) for found in entries), Decimal(0))
        denominator = sum((found.denominator or Decimal(0) for found in entries), Decimal(0))
        values.append(value_of(KPIS[code], numerator, denominator).value)
    assert values == ["0.950000", "0.050000"]
