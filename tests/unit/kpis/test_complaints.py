"""Complaints: J11."""

from decimal import Decimal

from app.domain.kpis.judge import judge_complaint
from app.domain.kpis.values import over_the_whole_store
from tests.unit.kpis.shop import (
    DAY,
    ZONE,
    complained,
    complaint,
    contacted,
    opened,
    order,
    outcome,
    plain,
    settled,
)


def test_a_complaint_counts_on_the_day_of_its_first_opening() -> None:
    (fact,) = judge_complaint(
        complaint(complained("23:59:59"), complained("03-04 09:00", "quality")), None, zone=ZONE
    )
    assert (fact.day, fact.basis, fact.nature, fact.advisor) == (DAY, "opened", "quality", None)
    assert plain(fact.entries[0]) == ("1", "0", "complaint-opened")


def test_j11_it_counts_for_the_advisor_of_the_order_it_names() -> None:
    told = complaint(complained("18:00", number="R1"))
    (fact,) = judge_complaint(told, order(opened(advisor="A07"), settled()), zone=ZONE)
    assert fact.advisor == "A07"


def test_a_complaint_whose_opening_is_not_known_counts_nowhere() -> None:
    assert judge_complaint(complaint(contacted("18:00")), None, zone=ZONE) == []


def test_a_settled_order_is_a_visit_below_the_line() -> None:
    assert outcome("complaint_rate", order(opened(), settled())) == ("0", "1", "settled")


def test_j11_by_nature_it_is_over_the_whole_stores_visits() -> None:
    parts = {
        None: (Decimal(0), Decimal(50)),
        "quality": (Decimal(2), Decimal(0)),
        "price": (Decimal(1), Decimal(0)),
    }
    assert over_the_whole_store(parts) == {
        "quality": (Decimal(2), Decimal(50)),
        "price": (Decimal(1), Decimal(50)),
    }
