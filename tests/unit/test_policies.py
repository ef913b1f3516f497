"""Rules as data."""

from datetime import date
from decimal import Decimal

import pytest

from app.domain.policies import (
    DEFAULT_POLICIES,
    DEFAULT_POLICY,
    SOURCES,
    Policies,
    Policy,
    ValidPolicy,
)


def test_j8_keys_are_spelled_as_in_the_definitions() -> None:
    assert DEFAULT_POLICY.as_dict() == {
        "on_time.no_promise": "exclude",
        "on_time.repromise_reasons": ["add_on"],
        "on_time.repromise_after_due": False,
        "on_time.unknown_confirmation": "accept",
        "on_time.grace_minutes": 0,
        "on_time.customer_caused": "count_on_time",
        "on_time.customer_report": "union",
        "rework.window_days": 30,
        "rework.window_km": None,
        "follow_up.anchor": "delivered_or_settled",
        "follow_up.first.opens_day": 3,
        "follow_up.first.target_day": 3,
        "follow_up.first.due_day": 7,
        "follow_up.second.opens_day": 7,
        "follow_up.second.due_day": 14,
        "complaint.contact_hours": 24,
    }


def test_every_rule_names_its_source() -> None:
    assert set(SOURCES) == set(DEFAULT_POLICY.as_dict())
    assert all(SOURCES.values())


def test_f9_a_work_type_may_have_a_window_of_its_own() -> None:
    policy = Policy(
        version=2,
        rework_window_days=20,
        rework_window_days_by_work_type={"accident": 90},
        rework_window_km=Decimal(1000),
    )
    assert policy.rework_days("accident") == 90
    assert policy.rework_days("warranty") == 20
    assert policy.rework_days(None) == 20
    spelled = policy.as_dict()
    assert spelled["rework.window_days"] == 20
    assert spelled["rework.window_days.accident"] == 90


@pytest.mark.parametrize(
    ("day", "version"),
    [(date(2025, 12, 31), 1), (date(2026, 1, 1), 2), (date(2026, 6, 1), 4), (date(2027, 1, 1), 4)],
)
def test_d17_the_version_valid_on_the_day_counts(day: date, version: int) -> None:
    policies = Policies(
        [
            ValidPolicy(date(2026, 6, 1), Policy(version=4)),
            ValidPolicy(date(2026, 6, 1), Policy(version=3)),
            ValidPolicy(date(2026, 1, 1), Policy(version=2)),
        ]
    )
    assert policies.valid_on(day).version == version
    assert DEFAULT_POLICIES.valid_on(day) is DEFAULT_POLICY
