"""A follow-up's state, and the commands that it allows."""

from collections.abc import Callable
from datetime import datetime

import pytest

from app.domain import follow_up_commands as rules
from app.domain.errors import ConflictError, InvalidInputError
from app.domain.events.follow_up import (
    FollowUpAssigned,
    FollowUpAttempted,
    FollowUpCancelled,
    FollowUpCompleted,
)
from app.domain.follow_up import FollowUp, Withdrawal, overdue_from
from tests.support.simulate import Fact, Simulator, local, retraction, tell

CRM = "8d0c5f0e-6a0e-4a57-9f0d-2f2ce9a5c001"
LEFT = tell("repair_order.delivered", "R1", "2024-03-01 16:00")


def scheduled(time: str, **data: object) -> Fact:
    """A call that a CRM plans: from 2 to 5 March unless told otherwise."""
    window = {
        "kind": "courtesy",
        "opens_at": "2024-03-02T09:00:00+08:00",
        "due_at": "2024-03-05T18:00:00+08:00",
    }
    return tell("follow_up.scheduled", CRM, time, **(window | data))


def completed(call: str, time: str, **data: object) -> Fact:
    said = {"by": "C01", "channel": "phone", "outcome": "reached"} | data
    return tell("follow_up.completed", call, time, **said)


def cancelled(call: str, time: str, reason: str = "客户不愿接听") -> Fact:
    return tell("follow_up.cancelled", call, time, reason=reason)


@pytest.fixture
def shop() -> Simulator:
    return Simulator(local("2024-03-01 17:00"))


def late_seconds(call: FollowUp) -> int:
    assert call.relief is not None
    return call.relief.late_seconds


def crm(shop: Simulator) -> FollowUp:
    found = shop.find(FollowUp, CRM)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("now", "status"),
    [
        ("2024-03-03 23:59:59.999999", "planned"),
        ("2024-03-04 00:00", "open"),
        ("2024-03-08 23:59:59.999999", "open"),
        ("2024-03-09 00:00", "overdue"),
    ],
)
def test_h2_a_call_is_overdue_from_midnight(shop: Simulator, now: str, status: str) -> None:
    shop.post(LEFT)
    assert shop.first().status_at(local(now)) == status


def test_h2_completions_compare_by_whole_seconds(shop: Simulator) -> None:
    shop.post(LEFT)
    shop.post(completed(shop.first().follow_up_id, "2024-03-08 23:59:59.999999"))
    assert shop.first().in_time
    assert shop.first().status_at(local("2024-04-01 00:00")) == "completed"


def test_h3_missed_on_arrival_until_it_is_completed_after_all() -> None:
    shop = Simulator(local("2024-05-01 10:00"))
    shop.post(LEFT)
    first = shop.first()
    assert first.missed_on_arrival
    assert first.status == "scheduled"
    assert first.status_at(shop.now) == "missed_on_arrival"
    assert not first.counts
    shop.post(completed(first.follow_up_id, "2024-03-06 10:00"))
    assert shop.first().status_at(shop.now) == "completed"
    assert shop.first().counts
    assert shop.first().in_time


def test_h3_a_crms_window_that_was_over_when_it_came_is_missed_on_arrival() -> None:
    shop = Simulator(local("2024-03-05 18:00"))
    shop.post(scheduled("2024-03-01 12:00"))
    assert not crm(shop).missed_on_arrival
    shop.now = local("2024-03-06 12:00")
    shop.post(scheduled("2024-03-01 13:00"))
    assert crm(shop).missed_on_arrival


def test_h4_due_is_what_the_log_says_is_overdue(shop: Simulator) -> None:
    shop.post(LEFT)
    first = shop.first()
    assert first.status_at(local("2024-03-20 00:00")) == "overdue"
    assert not first.counts
    shop.advance(local("2024-03-09 00:00"))
    first = shop.first()
    assert first.counts
    assert first.overdue_due_at == first.due_at == local("2024-03-08 23:59:59")
    assert first.overdue_seq == shop.log[-2].seq
    (event,) = shop.own("follow_up.overdue")
    assert event.occurred_at == first.due_at
    assert event.recorded_at == local("2024-03-09 00:00")


def test_h5_a_completion_beats_a_cancellation(shop: Simulator) -> None:
    shop.post(LEFT)
    call = shop.first().follow_up_id
    called_off = cancelled(call, "2024-03-05 10:00")
    shop.post(called_off)
    assert shop.first().status == "cancelled"
    assert shop.first().cancelled_reason == "客户不愿接听"
    assert shop.first().cancelled_at == local("2024-03-05 10:00")
    assert not shop.first().cancelled_by_service
    shop.post(completed(call, "2024-03-06 10:00"))
    assert shop.first().status == "completed"
    assert shop.first().cancelled_reason is None
    assert shop.first().cancelled_at is None


def test_h5_but_not_that_of_a_cancelled_order(shop: Simulator) -> None:
    shop.post(LEFT)
    call = shop.first().follow_up_id
    off = tell("repair_order.cancelled", "R1", "2024-03-07 10:00")
    shop.post(completed(call, "2024-03-06 10:00"))
    shop.post(off)
    assert shop.first().status == "cancelled"
    assert shop.first().cancelled_reason == Withdrawal.ORDER_CANCELLED
    assert shop.first().cancelled_at == off.occurred_at
    assert not shop.first().counts
    shop.post(retraction(off))
    assert shop.first().status == "completed"


def test_h6_the_first_completion_is_time_and_caller_the_last_answer_the_answer(
    shop: Simulator,
) -> None:
    shop.post(LEFT)
    call = shop.first().follow_up_id
    shop.post(
        completed(call, "2024-03-07 10:00", by="C02", customer_says_on_time=False),
        completed(call, "2024-03-05 10:00", customer_says_on_time=True),
        completed(call, "2024-03-07 11:00", by="C03"),
    )
    first = shop.first()
    assert (first.completed_at, first.completed_by) == (local("2024-03-05 10:00"), "C01")
    assert first.customer_says_on_time is False


def test_d9_no_answer_was_given(shop: Simulator) -> None:
    shop.post(completed(CRM, "2024-03-05 10:00"))
    assert crm(shop).customer_says_on_time is None


def test_d10_a_completion_may_name_the_order(shop: Simulator) -> None:
    shop.post(
        completed(CRM, "2024-03-05 10:00", ro_number="R7"), completed(CRM, "2024-03-05 11:00")
    )
    assert crm(shop).ro_number == "R7"
    shop.post(scheduled("2024-03-02 10:00", ro_number="R8"))
    assert crm(shop).ro_number == "R8"


def test_h10_the_last_posted_window_counts_and_target_is_due_by_default(shop: Simulator) -> None:
    shop.post(
        scheduled("2024-03-02 12:00", due_at="2024-03-06T12:00:00+08:00"),
        scheduled("2024-03-02 10:00", customer_no="K1", target_at="2024-03-03T12:00:00+08:00"),
    )
    call = crm(shop)
    assert call.due_at == call.target_at == local("2024-03-06 12:00")
    assert call.customer_no is None
    assert call.ro_number is None
    assert call.posted
    assert not call.own


def test_h10_a_crm_may_schedule_again_what_it_called_off(shop: Simulator) -> None:
    shop.post(scheduled("2024-03-01 12:00"), cancelled(CRM, "2024-03-01 13:00"))
    assert crm(shop).status == "cancelled"
    shop.post(scheduled("2024-03-01 14:00"))
    assert crm(shop).status == "scheduled"


def test_h12_the_assignee_is_the_last_assigned_else_who_completed(shop: Simulator) -> None:
    shop.post(LEFT)
    call = shop.first().follow_up_id
    assert shop.first().assignee is None
    shop.post(completed(call, "2024-03-05 10:00", by="C09"))
    assert shop.first().assignee == "C09"
    shop.post(
        tell("follow_up.assigned", call, "2024-03-04 10:00", assignee="C02", acting_for="C03"),
        tell("follow_up.assigned", call, "2024-03-03 10:00", assignee="C01"),
    )
    assert shop.first().assignee == "C02"
    assert shop.first().assignments[1].acting_for == "C03"


def test_h15_completed_but_never_scheduled_counts_nowhere(shop: Simulator) -> None:
    shop.post(completed(CRM, "2024-03-05 10:00"))
    assert crm(shop).status == "completed"
    assert crm(shop).due_at is None
    assert not crm(shop).counts
    assert not crm(shop).in_time
    with pytest.raises(ValueError, match="never scheduled"):
        _ = crm(shop).overdue_from


def test_h19_attempts_never_complete(shop: Simulator) -> None:
    shop.post(
        tell(
            "follow_up.attempted",
            CRM,
            "2024-03-05 10:00",
            by="C01",
            channel="phone",
            outcome="call_later",
            call_later_at="2024-03-06T10:00:00+08:00",
        )
    )
    assert crm(shop).status == "unscheduled"
    assert crm(shop).status_at(shop.now) == "unscheduled"
    assert crm(shop).attempts[0].call_later_at == local("2024-03-06 10:00")


def test_an_overdue_call_that_is_made_is_resolved_once(shop: Simulator) -> None:
    shop.post(scheduled("2024-03-01 12:00"))
    shop.advance(local("2024-03-07 00:00"))
    assert crm(shop).status_at(shop.now) == "overdue"
    call = completed(CRM, "2024-03-05 18:01:00.5")
    shop.post(call)
    shop.post(completed(CRM, "2024-03-06 18:01:00"))
    (event,) = shop.own("follow_up.resolved")
    assert crm(shop).resolved_seq == event.seq
    assert late_seconds(crm(shop)) == 60
    shop.post(retraction(call))
    assert late_seconds(crm(shop)) == 24 * 3600 + 60


def test_a_call_in_time_that_was_heard_of_late_is_resolved_with_no_lateness(
    shop: Simulator,
) -> None:
    shop.post(LEFT)
    shop.advance(local("2024-03-10 00:00"))
    shop.post(completed(shop.first().follow_up_id, "2024-03-08 12:00"))
    assert late_seconds(shop.first()) == 0
    assert shop.first().resolved_seq == shop.own("follow_up.resolved")[0].seq


def test_a_call_that_is_not_overdue_needs_no_notice(shop: Simulator) -> None:
    shop.post(scheduled("2024-03-01 12:00"), completed(CRM, "2024-03-04 18:01"))
    shop.advance(local("2024-06-01 00:00"))
    assert not shop.own()
    assert crm(shop).resolved_seq is None
    assert crm(shop).overdue_seq is None
    assert crm(shop).overdue_due_at is None


# ---- commands

NOW = local("2024-03-05 12:00")
Command = Callable[[FollowUp], object]


def said(outcome: str = "reached") -> FollowUpCompleted:
    return FollowUpCompleted.model_validate({"by": "C01", "channel": "phone", "outcome": outcome})


def tried() -> FollowUpAttempted:
    return FollowUpAttempted(by="C01", channel="phone", outcome="busy")


def moved(call: FollowUp, opens: str, target: str | None, due: str) -> object:
    return rules.move(
        call,
        opens_at=local(opens),
        target_at=None if target is None else local(target),
        due_at=local(due),
        now=NOW,
    )


COMMANDS: list[tuple[str, Command]] = [
    ("assigned", lambda call: rules.assign(call, FollowUpAssigned(assignee="C02"))),
    ("attempted", lambda call: rules.attempt(call, tried(), occurred_at=NOW, now=NOW)),
    ("completed", lambda call: rules.complete(call, said(), occurred_at=NOW, now=NOW)),
    ("cancelled", lambda call: rules.cancel(call, FollowUpCancelled(reason="x"))),
    ("moved", lambda call: moved(call, "2024-03-05 00:00", None, "2024-03-09 00:00")),
]


@pytest.mark.parametrize(("deed", "command"), COMMANDS)
def test_a_planned_call_allows_every_command(shop: Simulator, deed: str, command: Command) -> None:
    shop.post(LEFT)
    assert command(shop.first()) is not None


@pytest.mark.parametrize(("deed", "command"), COMMANDS)
def test_a_completed_call_says_who_completed_it_and_when(
    shop: Simulator, deed: str, command: Command
) -> None:
    shop.post(LEFT)
    shop.post(completed(shop.first().follow_up_id, "2024-03-05 10:00"))
    with pytest.raises(ConflictError, match="by C01 at 2024-03-05T02:00:00Z") as refusal:
        command(shop.first())
    assert refusal.value.state == "completed"
    assert deed in str(refusal.value)


@pytest.mark.parametrize(("deed", "command"), COMMANDS)
def test_a_cancelled_call_says_why(shop: Simulator, deed: str, command: Command) -> None:
    shop.post(LEFT, tell("repair_order.cancelled", "R1", "2024-03-02 10:00"))
    shop.post(scheduled("2024-03-01 12:00"), cancelled(CRM, "2024-03-01 13:00", "其他原因"))
    with pytest.raises(ConflictError, match="其他原因") as refusal:
        command(crm(shop))
    assert refusal.value.state == "cancelled"
    assert deed in str(refusal.value)


@pytest.mark.parametrize(("deed", "command"), COMMANDS)
def test_a_call_that_was_never_scheduled_allows_nothing(deed: str, command: Command) -> None:
    with pytest.raises(ConflictError, match="never scheduled") as refusal:
        command(FollowUp(follow_up_id="x"))
    assert refusal.value.state == "unscheduled"
    assert deed in str(refusal.value)


@pytest.mark.parametrize("command", [rules.attempt, rules.complete])
def test_a_call_cannot_lie_in_the_future(shop: Simulator, command: Callable[..., object]) -> None:
    shop.post(LEFT)
    data = tried() if command is rules.attempt else said()
    with pytest.raises(InvalidInputError) as refusal:
        command(shop.first(), data, occurred_at=local("2024-03-05 12:00:01"), now=NOW)
    assert refusal.value.faults[0].pointer == "/occurred_at"


def test_the_services_own_reasons_are_its_own(shop: Simulator) -> None:
    shop.post(LEFT)
    with pytest.raises(InvalidInputError) as refusal:
        rules.cancel(shop.first(), FollowUpCancelled(reason="kept-elsewhere"))
    assert refusal.value.faults[0].code == "reserved"


def test_a_crms_window_is_moved_by_the_crm(shop: Simulator) -> None:
    shop.post(scheduled("2024-03-01 12:00"))
    with pytest.raises(ConflictError, match="kept elsewhere"):
        moved(crm(shop), "2024-03-05 00:00", None, "2024-03-09 00:00")


@pytest.mark.parametrize(
    ("opens", "target", "due", "pointers"),
    [
        ("2024-03-09 00:00", None, "2024-03-09 00:00", ["/opens_at"]),
        ("2024-03-06 00:00", "2024-03-05 00:00", "2024-03-09 00:00", ["/target_at"]),
        ("2024-03-06 00:00", "2024-03-10 00:00", "2024-03-09 00:00", ["/target_at"]),
        ("2024-03-01 00:00", None, "2024-03-05 11:59:59", ["/due_at"]),
        (
            "2024-03-05 00:00",
            "2024-03-05 00:00",
            "2024-03-04 00:00",
            ["/opens_at", "/target_at", "/due_at"],
        ),
    ],
)
def test_a_new_window_has_its_bounds_in_order_and_is_not_over(
    shop: Simulator, opens: str, target: str | None, due: str, pointers: list[str]
) -> None:
    shop.post(LEFT)
    with pytest.raises(InvalidInputError) as refusal:
        moved(shop.first(), opens, target, due)
    assert [fault.pointer for fault in refusal.value.faults] == pointers


def test_a_move_to_where_it_is_says_nothing(shop: Simulator) -> None:
    shop.post(LEFT)
    window = ("2024-03-04 00:00", "2024-03-04 23:59:59", "2024-03-08 23:59:59")
    assert moved(shop.first(), *window) is None


def test_a_moved_call_stays_moved_until_its_anchor_moves(shop: Simulator) -> None:
    shop.post(
        LEFT,
        tell("repair_order.opened", "R1", "2024-03-01 08:00", work_type="other", advisor="A01"),
    )
    shop.command(
        shop.first().follow_up_id,
        moved(shop.first(), "2024-03-10 09:00", None, "2024-03-12 09:00"),
    )
    shop.post(tell("repair_order.cleaned", "R1", "2024-03-01 15:00"))
    shop.post(tell("repair_order.delivered", "R1", "2024-03-01 17:00"))
    first = shop.first()
    assert (first.opens_at, first.due_at) == (local("2024-03-10 09:00"), local("2024-03-12 09:00"))
    assert first.target_at == first.due_at
    shop.post(tell("repair_order.delivered", "R1", "2024-03-02 17:00"))
    assert shop.first().opens_at == local("2024-03-05 00:00")


def test_a_moved_call_that_was_overdue_runs_again(shop: Simulator) -> None:
    shop.post(LEFT)
    shop.advance(local("2024-03-10 00:00"))
    assert shop.first().breach is not None
    assert shop.second().status == "scheduled"
    shop.command(
        shop.first().follow_up_id,
        moved(shop.first(), "2024-03-10 09:00", None, "2024-03-12 09:00"),
    )
    assert shop.first().breach is None
    assert shop.first().status_at(shop.now) == "planned"
    assert shop.second().cancelled_reason == Withdrawal.FIRST_PENDING
    shop.advance(local("2024-03-13 00:00"))
    assert shop.first().overdue_due_at == local("2024-03-12 09:00")
    assert [event.occurred_at for event in shop.own("follow_up.overdue")] == [
        local("2024-03-08 23:59:59"),
        local("2024-03-12 09:00"),
    ]
    assert shop.second().opens_at == local("2024-03-19 00:00")


def test_a_cancellation_by_the_staff_is_a_fact(shop: Simulator) -> None:
    shop.post(LEFT)
    call = shop.first().follow_up_id
    shop.command(call, rules.cancel(shop.first(), FollowUpCancelled(reason="客户不愿接听")))
    assert shop.first().status == "cancelled"
    assert not shop.first().cancelled_by_service
    assert shop.first().last_occurred_at == shop.now


def test_a_window_may_be_moved_to_an_instant_within_a_second(shop: Simulator) -> None:
    moment: datetime = local("2024-03-09 12:00:00.5")
    assert overdue_from(moment) == local("2024-03-09 12:00:01")
