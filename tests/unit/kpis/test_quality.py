"""Quality: F1 to F9, E6."""

from decimal import Decimal

import pytest

from app.domain.policies import DEFAULT_POLICY, Policy
from tests.unit.kpis.shop import (
    Told,
    assessed,
    came_back,
    dispatched,
    facts,
    handed_over,
    inspected,
    opened,
    order,
    outcome,
    settled,
    why,
)

EXTERNAL = "external_rework_rate"
COUNTED = ("1", "1", "comeback-counted")
REPAIR: tuple[Told, ...] = (opened(), settled("17:00"))


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("workmanship", COUNTED),
        ("diagnosis", COUNTED),
        ("part_defect", COUNTED),
        ("part_unavailable", ("0", "1", "comeback-not-counted")),
        ("not_rework", ("0", "1", "comeback-not-counted")),
    ],
)
def test_f8_the_assessment_decides(verdict: str, expected: tuple[str, str, str]) -> None:
    told = order(*REPAIR, came_back("03-10 09:00"), assessed("03-10 11:00", verdict))
    assert outcome(EXTERNAL, told) == expected


def test_without_a_comeback() -> None:
    told = order(*REPAIR)
    assert outcome(EXTERNAL, told) == ("0", "1", "no-comeback")
    assert outcome("rework_rate", told) == ("0", "1", "no-comeback")


def test_a_comeback_that_is_not_assessed_is_not_counted_and_listed_as_open() -> None:
    told = order(*REPAIR, came_back("03-10 09:00"))
    assert outcome(EXTERNAL, told) == ("0", "1", "comeback-open")
    assert outcome("quality_containment_rate", told) == (None, None, "comeback-open")


def test_an_assessment_without_a_report_makes_no_comeback() -> None:
    told = order(*REPAIR, assessed("03-10 11:00"))
    assert outcome(EXTERNAL, told) == ("0", "1", "no-comeback")


def test_f1_the_last_assessment_of_a_comeback_decides() -> None:
    told = order(
        *REPAIR,
        came_back("03-10 09:00"),
        assessed("03-10 11:00", "workmanship"),
        assessed("03-11 11:00", "not_rework"),
    )
    assert outcome(EXTERNAL, told) == ("0", "1", "comeback-not-counted")


def test_f1_an_assessment_belongs_to_the_latest_report_before_it() -> None:
    told = order(
        *REPAIR,
        came_back("03-10 09:00"),
        assessed("03-10 11:00", "workmanship"),
        came_back("03-12 09:00"),
        assessed("03-12 11:00", "not_rework"),
    )
    assert outcome("quality_containment_rate", told) == ("0", "1", "comeback-counted")


def test_f1_it_belongs_to_the_first_report_if_none_is_before() -> None:
    told = order(*REPAIR, assessed("03-09 11:00"), came_back("03-10 09:00"))
    assert outcome(EXTERNAL, told) == COUNTED


def test_f1_the_comeback_order_decides_where_both_carry_it() -> None:
    told = order(
        *REPAIR,
        came_back("03-10 09:00", "R2"),
        came_back("03-11 09:00", "R3"),
        assessed("03-12 11:00", "workmanship", "R2"),
        assessed("03-12 12:00", "not_rework", "R3"),
        assessed("03-12 13:00", "not_rework", "R9"),
    )
    assert outcome("quality_containment_rate", told) == ("0", "1", "comeback-counted")


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ("04-01 23:59:59", COUNTED),
        ("04-02 00:00", ("0", "1", "comeback-not-counted")),
    ],
)
def test_f2_the_window_ends_with_the_local_day(
    reported: str, expected: tuple[str, str, str]
) -> None:
    told = order(*REPAIR, came_back(reported), assessed("04-03 11:00"))
    assert outcome(EXTERNAL, told) == expected


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ("17:00", COUNTED),
        ("16:59:59", ("0", "1", "comeback-not-counted")),
    ],
)
def test_f3_reported_before_the_delivery_does_not_count(
    reported: str, expected: tuple[str, str, str]
) -> None:
    told = order(
        opened(),
        settled("18:00", delivered="17:00"),
        came_back(reported),
        assessed("03-03 11:00"),
    )
    assert outcome(EXTERNAL, told) == expected


def test_f9_the_window_is_that_of_the_work_type() -> None:
    policy = Policy(rework_window_days=10, rework_window_days_by_work_type={"warranty": 60})
    back: tuple[Told, ...] = (came_back("03-20 09:00"), assessed("03-20 11:00"))
    ordinary = order(opened(), settled("17:00"), *back)
    warranty = order(opened(work_type="warranty"), settled("17:00"), *back)
    unknown = order(settled("17:00"), *back)
    assert outcome(EXTERNAL, ordinary, policy=policy)[0] == "0"
    assert outcome(EXTERNAL, warranty, policy=policy)[0] == "1"
    assert outcome(EXTERNAL, unknown, policy=policy)[0] == "0"


@pytest.mark.parametrize(
    ("at_handover", "at_opening", "at_comeback", "counted"),
    [
        ("1000", "900", "1500", "1"),
        ("1000", "900", "1501", "0"),
        (None, "900", "1400", "1"),
        (None, "900", "1401", "0"),
        (None, None, "9999", "1"),
        ("1000", "900", None, "1"),
        ("1000", "900", "999", "1"),
    ],
)
def test_f4_within_the_kilometres_where_both_are_known(
    at_handover: str | None, at_opening: str | None, at_comeback: str | None, counted: str
) -> None:
    told = order(
        opened(odometer=at_opening),
        settled("17:00"),
        handed_over("17:10", at_handover),
        came_back("03-10 09:00", "R2"),
        assessed("03-10 11:00"),
    )
    odometers = {} if at_comeback is None else {"R2": Decimal(at_comeback)}
    policy = Policy(rework_window_km=Decimal(500))
    assert outcome(EXTERNAL, told, policy=policy, odometers=odometers)[0] == counted
    assert outcome(EXTERNAL, told, policy=DEFAULT_POLICY, odometers=odometers)[0] == "1"


def test_f4_the_last_handover_that_has_an_odometer_counts() -> None:
    told = order(
        opened(odometer="900"),
        settled("17:00"),
        handed_over("17:10", "1000"),
        handed_over("17:20"),
        came_back("03-10 09:00"),
        assessed("03-10 11:00", number="R2"),
    )
    policy = Policy(rework_window_km=Decimal(500))
    odometers = {"R2": Decimal(1501)}
    assert outcome(EXTERNAL, told, policy=policy, odometers=odometers)[0] == "0"
    assert "came after 501 km, more than 500" in (
        why(EXTERNAL, told, policy=policy, odometers=odometers).explanation.en
    )


def test_f5_a_later_settlement_moves_the_window() -> None:
    told = order(
        opened(),
        settled("17:00"),
        came_back("03-10 09:00"),
        assessed("03-10 11:00"),
        settled("03-11 09:00"),
    )
    assert outcome(EXTERNAL, told) == ("0", "1", "comeback-not-counted")
    assert "was reported before the delivery" in why(EXTERNAL, told).explanation.en
    assert "its own time is the delivered time" in (
        why("on_time_delivery_rate", told).explanation.en
    )


def test_e6_a_comeback_counts_for_the_technician_of_the_original() -> None:
    told = order(
        opened(),
        dispatched("09:10", "T01", "B1"),
        settled("17:00"),
        came_back("03-10 09:00"),
        assessed("03-10 11:00", technician="T09", team="B9"),
    )
    fact = facts(told)["settled"]
    assert (fact.technician, fact.team) == ("T01", "B1")
    assert "responsible T09, B9" in why(EXTERNAL, told).explanation.en


@pytest.mark.parametrize(
    ("inspections", "internal", "rework", "containment"),
    [
        ([], (None, None, "not-inspected"), "0", (None, None, "no-defect")),
        ([True], ("0", "1", "inspections-passed"), "0", (None, None, "no-defect")),
        ([False, True], ("1", "1", "inspection-failed"), "1", ("1", "1", "inspection-failed")),
        ([False, False], ("1", "1", "inspection-failed"), "1", ("2", "2", "inspection-failed")),
    ],
)
def test_f6_f7_failed_inspections(
    inspections: list[bool],
    internal: tuple[str | None, str | None, str],
    rework: str,
    containment: tuple[str | None, str | None, str],
) -> None:
    told = order(*REPAIR, *(inspected("03-05 09:00", passed) for passed in inspections))
    assert outcome("internal_rework_rate", told) == internal
    assert outcome("rework_rate", told)[:2] == (rework, "1")
    assert outcome("quality_containment_rate", told) == containment


def test_containment_counts_events_and_rework_counts_orders() -> None:
    told = order(
        *REPAIR,
        inspected("15:00", passed=False),
        inspected("15:30", passed=False),
        came_back("03-10 09:00"),
        assessed("03-10 11:00"),
        came_back("03-11 09:00"),
        assessed("03-11 11:00"),
    )
    assert outcome("quality_containment_rate", told) == ("2", "4", "inspection-failed")
    assert outcome("rework_rate", told) == ("1", "1", "comeback-counted")
    assert outcome(EXTERNAL, told) == COUNTED


@pytest.mark.parametrize(
    ("work_type", "expected"),
    [
        ("ordinary_repair", ("0", "1", "comeback-counted")),
        ("warranty", ("0", "1", "comeback-counted")),
        ("accident", (None, None, "other-work-type")),
    ],
)
def test_first_time_fix(work_type: str, expected: tuple[str | None, str | None, str]) -> None:
    told = order(
        opened(work_type=work_type),
        settled("17:00"),
        came_back("03-10 09:00"),
        assessed("03-10 11:00"),
    )
    assert outcome("first_time_fix_rate", told) == expected


def test_first_time_fix_without_a_comeback() -> None:
    assert outcome("first_time_fix_rate", order(*REPAIR)) == ("1", "1", "no-comeback")
    assert outcome("first_time_fix_rate", order(settled())) == (None, None, "other-work-type")
