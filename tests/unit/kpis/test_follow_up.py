"""Follow-up: the H rules. The window of the stories is 5 to 9 March, target 5 March."""

import pytest

from app.domain.follow_up import FollowUp
from app.domain.kpis.judge import judge_follow_up
from tests.unit.kpis.shop import (
    ZONE,
    assigned,
    call,
    call_outcome,
    cancelled,
    completed,
    opened,
    order,
    overdue,
    scheduled,
    settled,
    withdrawn,
)

RATE = "follow_up_rate"
ON_TIME = "follow_up_on_time_rate"
TARGET = "follow_up_target_rate"
ALL = (RATE, ON_TIME, TARGET)


def made(time: str, *, kind: str = "first", missed: bool = False) -> FollowUp:
    return call(completed(time), own=(scheduled(kind=kind, missed=missed),))


@pytest.mark.parametrize(
    ("time", "on_time", "by_target"),
    [
        ("03-04 23:59:59", "completed-too-early", "completed-by-target"),
        ("03-05 00:00", "completed-in-time", "completed-by-target"),
        ("03-05 23:59:59.9", "completed-in-time", "completed-by-target"),
        ("03-06 00:00", "completed-in-time", "completed-after-target"),
        ("03-09 23:59:59.9", "completed-in-time", "completed-after-target"),
        ("03-10 00:00", "completed-too-late", "completed-after-target"),
    ],
)
def test_h2_h11_bounds_by_whole_seconds(time: str, on_time: str, by_target: str) -> None:
    followed = made(time)
    assert call_outcome(RATE, followed) == ("1", "1", "completed")
    good = "1" if on_time == "completed-in-time" else "0"
    assert call_outcome(ON_TIME, followed) == (good, "1", on_time)
    good = "1" if by_target == "completed-by-target" else "0"
    assert call_outcome(TARGET, followed) == (good, "1", by_target)


def test_by_the_local_day_of_the_due_time() -> None:
    (fact,) = judge_follow_up(made("03-05 10:00"), None, zone=ZONE)
    assert (str(fact.day), fact.basis, fact.key) == ("2026-03-09", "due", "f1")


def test_h14_completed_early_counts_at_once_on_the_day_of_due() -> None:
    assert call_outcome(RATE, made("03-02 18:00")) == ("1", "1", "completed")


def test_h4_due_is_what_the_log_says_is_overdue() -> None:
    waiting = call(own=(scheduled(),))
    missed = call(own=(scheduled(), overdue()))
    for code in ALL:
        assert call_outcome(code, waiting) == (None, None, "not-due")
        assert call_outcome(code, missed) == ("0", "1", "not-completed")


def test_h4_a_breach_of_a_window_that_was_moved_is_none_of_the_new_one() -> None:
    moved = call(own=(scheduled(), overdue(), scheduled(due="03-12 23:59:59")))
    back = call(own=(scheduled(), overdue(), scheduled(due="03-12 23:59:59"), scheduled()))
    assert call_outcome(RATE, moved) == (None, None, "not-due")
    assert call_outcome(RATE, back) == ("0", "1", "not-completed")


def test_h3_missed_on_arrival_is_in_neither_part_until_it_is_completed() -> None:
    for code in ALL:
        assert call_outcome(code, call(own=(scheduled(missed=True),))) == (
            None,
            None,
            "missed-on-arrival",
        )
    done = made("03-20 10:00", missed=True)
    assert call_outcome(RATE, done) == ("1", "1", "completed")
    assert call_outcome(ON_TIME, done) == ("0", "1", "completed-too-late")


def test_cancelled_is_in_neither_part() -> None:
    gone = call(withdrawn("03-06 10:00", "customer moved away"), own=(scheduled(),))
    for code in ALL:
        assert call_outcome(code, gone) == (None, None, "cancelled")


def test_h5_a_completion_beats_a_cancellation() -> None:
    both = call(
        withdrawn("03-04 10:00", "not wanted"), completed("03-05 10:00"), own=(scheduled(),)
    )
    assert call_outcome(RATE, both) == ("1", "1", "completed")


def test_c2_h5_but_not_that_of_the_order() -> None:
    gone = order(opened(), settled(), cancelled("03-06 09:00"))
    assert call_outcome(RATE, made("03-05 10:00"), gone) == (None, None, "cancelled")
    assert call_outcome(RATE, made("03-05 10:00"), order(opened(), settled())) == (
        "1",
        "1",
        "completed",
    )


@pytest.mark.parametrize("reason", ["no-anchor", "first-pending"])
def test_h5_without_an_anchor_there_is_no_due_day(reason: str) -> None:
    lost = call(completed("03-05 10:00"), own=(scheduled(), withdrawn("03-06 10:00", reason)))
    assert judge_follow_up(lost, None, zone=ZONE) == []


def test_h8_ours_is_cancelled_where_a_crm_keeps_the_call() -> None:
    ours = call(own=(scheduled(), withdrawn("03-06 10:00", "kept-elsewhere")))
    assert call_outcome(RATE, ours) == (None, None, "cancelled")


def test_h6_the_first_completion_is_time_and_caller() -> None:
    twice = call(
        completed("03-05 10:00", by="C01"),
        completed("03-20 10:00", by="C02"),
        own=(scheduled(),),
    )
    assert call_outcome(ON_TIME, twice) == ("1", "1", "completed-in-time")
    (fact,) = judge_follow_up(twice, None, zone=ZONE)
    assert fact.assignee == "C01"


def test_h10_without_a_target_the_due_time_is_the_target() -> None:
    posted = call(scheduled(target=None), completed("03-09 20:00"))
    assert call_outcome(TARGET, posted) == ("1", "1", "completed-by-target")


def test_h12_the_last_assigned_else_who_completed_else_nobody() -> None:
    someone = call(
        assigned("03-03 09:00", "C07"),
        assigned("03-04 09:00", "C08"),
        completed("03-05 10:00", by="C01"),
        own=(scheduled(),),
    )
    nobody = call(own=(scheduled(),))
    members = [
        judge_follow_up(one, None, zone=ZONE)[0].assignee
        for one in (someone, made("03-05 10:00"), nobody)
    ]
    assert members == ["C08", "C01", None]


def test_h15_completed_but_never_scheduled_counts_nowhere() -> None:
    assert judge_follow_up(call(completed("03-05 10:00")), None, zone=ZONE) == []


def test_second_follow_ups_are_in_the_on_time_rate_alone() -> None:
    second = made("03-05 10:00", kind="second")
    assert call_outcome(ON_TIME, second) == ("1", "1", "completed-in-time")
    assert call_outcome(RATE, second) is None
    assert call_outcome(TARGET, second) is None


def test_other_kinds_are_in_none() -> None:
    assert judge_follow_up(made("03-05 10:00", kind="consultation"), None, zone=ZONE) == []
