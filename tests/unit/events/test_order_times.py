"""Times of an order that can't be, or that deserve a look."""

from typing import Any

import pytest

from tests.unit.events.test_event_parsing import accepted, opened, refused, sent


def snapshot(**data: Any) -> dict[str, Any]:
    return sent("repair_order.snapshot", data={"status": "open"} | data)


@pytest.mark.parametrize(
    "name",
    [
        "opened_at",
        "promise_changed_at",
        "authorized_at",
        "dispatched_at",
        "work_started_at",
        "work_completed_at",
        "settled_at",
        "handed_over_at",
        "cancelled_at",
    ],
)
def test_a_snapshot_tells_no_fact_that_is_still_to_come(name: str) -> None:
    fault = {(f"/data/{name}", "time-in-future")}
    assert refused(snapshot(**{name: "2170-01-01T10:00:00+08:00"})) == ("invalid-data", fault)
    assert refused(snapshot(**{name: "2026-01-31T12:10:01Z"})) == ("invalid-data", fault)
    assert accepted(snapshot(**{name: "2026-01-31T12:10:00Z"})).warnings == ()


def test_a_snapshot_may_promise_a_time_to_come() -> None:
    later = "2026-02-03T17:00:00+08:00"
    assert accepted(snapshot(promised_at=later, first_promised_at=later)).warnings == ()


@pytest.mark.parametrize(
    ("promised_at", "is_odd"),
    [("2026-01-05T09:29:59+08:00", True), ("2026-01-05T09:30:00+08:00", False), (None, False)],
)
def test_a_promise_before_the_opening_is_taken_with_a_warning(
    promised_at: str | None, *, is_odd: bool
) -> None:
    at = "2026-01-05T09:30:00+08:00"
    found = [("/data/promised_at", "promised-before-opened")] if is_odd else []
    for item in (
        opened(promised_at=promised_at) | {"time": at},
        snapshot(promised_at=promised_at, opened_at=at),
    ):
        warnings = accepted(item).warnings
        assert [(fault.pointer, fault.code) for fault in warnings] == found
    assert accepted(snapshot(promised_at=promised_at)).warnings == ()


@pytest.mark.parametrize("name", ["settled_at", "delivered_at", "handed_over_at"])
def test_a_car_that_left_before_it_came_is_taken_with_a_warning(name: str) -> None:
    at = "2026-01-05T09:30:00+08:00"
    before = snapshot(**{name: "2026-01-05T09:29:59+08:00", "opened_at": at})
    (warning,) = accepted(before).warnings
    assert (warning.pointer, warning.code) == (f"/data/{name}", "ended-before-opened")
    for item in (snapshot(**{name: at, "opened_at": at}), snapshot(**{name: at})):
        assert accepted(item).warnings == ()
