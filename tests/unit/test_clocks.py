"""Windows and clocks; the numbered examples are those of the domain catalogue, annex B."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.domain.clocks import Clock, clocks_of, contact_due_at, first_window, second_window
from app.domain.complaint import Complaint
from app.domain.follow_up import FollowUp
from app.domain.policies import DEFAULT_POLICIES, DEFAULT_POLICY, Policies, Policy, ValidPolicy
from app.domain.repair_order import RepairOrder
from app.domain.subject import Subject
from tests.support.simulate import SHANGHAI, Simulator, local, retraction, tell


def clock_of(state: Subject) -> Clock:
    (clock,) = clocks_of(state, DEFAULT_POLICIES, SHANGHAI)
    return clock


def test_annex_b2_the_first_call_opens_after_three_days_and_is_due_after_seven() -> None:
    window = first_window(date(2024, 3, 1), DEFAULT_POLICY, SHANGHAI)
    assert window.opens_at == local("2024-03-04 00:00")
    assert window.target_at == local("2024-03-04 23:59:59")
    assert window.due_at == local("2024-03-08 23:59:59")


def test_annex_b3_the_second_call_opens_a_week_after_the_first() -> None:
    window = second_window(date(2024, 3, 6), DEFAULT_POLICY, SHANGHAI)
    assert window.opens_at == local("2024-03-13 00:00")
    assert window.target_at is None
    assert window.due_at == local("2024-03-20 23:59:59")


def test_j10_a_window_keeps_local_midnights_when_the_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    window = first_window(date(2025, 3, 27), DEFAULT_POLICY, berlin)
    assert window.opens_at == datetime(2025, 3, 29, 23, tzinfo=UTC)
    assert window.target_at == datetime(2025, 3, 30, 21, 59, 59, tzinfo=UTC)
    assert window.due_at == datetime(2025, 4, 3, 21, 59, 59, tzinfo=UTC)


def test_d17_a_window_is_that_of_the_policy_of_its_anchors_day() -> None:
    policy = Policy(
        version=2,
        follow_up_first_opens_day=0,
        follow_up_first_target_day=2,
        follow_up_first_due_day=3,
    )
    shop = Simulator(
        local("2024-03-01 17:00"), policies=Policies([ValidPolicy(date(2024, 3, 2), policy)])
    )
    shop.post(tell("repair_order.delivered", "R1", "2024-03-01 16:00"))
    assert shop.first().policy_version == 1
    assert shop.first().due_at == local("2024-03-08 23:59:59")
    shop.post(tell("repair_order.delivered", "R1", "2024-03-02 09:00"))
    assert shop.first().policy_version == 2
    assert shop.first().opens_at == local("2024-03-02 00:00")
    assert shop.first().target_at == local("2024-03-04 23:59:59")
    assert shop.first().due_at == local("2024-03-05 23:59:59")


COMPLAINT = "0199a3c4-6f1e-7b3a-9c52-3f8f0d6b1a20"
OPENED = tell("complaint.opened", COMPLAINT, "2024-03-06 15:00", channel="phone")
CONTACTED = tell("complaint.contacted", COMPLAINT, "2024-03-07 15:00", by="C01", channel="phone")


def test_annex_b4_a_complaint_is_to_be_answered_within_24_hours() -> None:
    shop = Simulator(local("2024-03-06 15:01"))
    shop.post(OPENED)
    clock = clock_of(shop.states[next(iter(shop.states))])
    assert clock.name == "contact"
    assert clock.opens_at == local("2024-03-06 15:00")
    assert clock.due_at == local("2024-03-07 15:00")
    assert clock.next_at == clock.due_at + timedelta(microseconds=1)
    assert clock.state == "running"
    assert clock.policy_version == 1


def test_the_contact_deadline_counts_elapsed_hours_of_the_policy() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    opened_at = datetime(2025, 3, 29, 20, tzinfo=UTC)  # the night is an hour short
    complaint = Complaint(complaint_id=COMPLAINT, opened_at=opened_at)
    assert contact_due_at(complaint, DEFAULT_POLICIES, berlin) == opened_at + timedelta(hours=24)
    policies = Policies([ValidPolicy(date(2025, 3, 29), Policy(complaint_contact_hours=4))])
    assert contact_due_at(complaint, policies, berlin) == opened_at + timedelta(hours=4)
    unopened = Complaint(complaint_id=COMPLAINT)
    assert contact_due_at(unopened, policies, berlin) is None
    assert clocks_of(unopened, policies, berlin) == []


def test_a_contact_at_the_very_deadline_is_in_time() -> None:
    shop = Simulator(local("2024-03-06 15:01"))
    shop.post(OPENED)
    shop.advance(local("2024-03-07 15:00"))
    assert not shop.own()
    shop.post(CONTACTED)
    complaint = shop.find(Complaint, COMPLAINT)
    assert complaint is not None
    assert clock_of(complaint).state == "met"
    late = tell("complaint.contacted", COMPLAINT, "2024-03-07 15:00:01", by="C01", channel="sms")
    shop.post(retraction(CONTACTED), late)
    complaint = shop.find(Complaint, COMPLAINT)
    assert complaint is not None
    assert clock_of(complaint).state == "breached"


def test_a_complaint_that_is_heard_of_too_late_was_missed_on_arrival() -> None:
    shop = Simulator(local("2024-03-09 10:00"))
    shop.post(OPENED)
    complaint = shop.find(Complaint, COMPLAINT)
    assert complaint is not None
    assert clock_of(complaint).state == "missed_on_arrival"
    shop.advance(local("2024-04-09 10:00"))
    assert not shop.own()


def test_a_breach_that_is_known_no_longer_runs() -> None:
    shop = Simulator(local("2024-03-06 15:01"))
    shop.post(OPENED)
    shop.advance(local("2024-03-08 15:00"))
    complaint = shop.find(Complaint, COMPLAINT)
    assert complaint is not None
    assert clock_of(complaint).state == "breached"
    assert [event.occurred_at for event in shop.own("complaint.contact_overdue")] == [
        local("2024-03-07 15:00")
    ]


def test_the_clock_of_a_call_follows_what_becomes_of_it() -> None:
    shop = Simulator(local("2024-03-01 16:30"))
    delivered = tell("repair_order.delivered", "R1", "2024-03-01 16:00")
    shop.post(delivered)
    clock = clock_of(shop.first())
    assert clock.name == "follow_up"
    assert clock.target_at == local("2024-03-04 23:59:59")
    assert clock.next_at == local("2024-03-09 00:00")
    assert clock.state == "running"
    shop.advance(local("2024-03-10 00:00"))
    assert clock_of(shop.first()).state == "breached"
    call = tell(
        "follow_up.completed",
        shop.first().follow_up_id,
        "2024-03-08 23:59:59.9",
        by="C01",
        channel="phone",
        outcome="reached",
    )
    shop.post(call)
    assert clock_of(shop.first()).state == "met"
    shop.post(retraction(call), retraction(delivered))
    assert clock_of(shop.first()).state == "cancelled"


@pytest.mark.parametrize("outcome", ["reached", "partial"])
def test_a_late_call_has_breached_its_deadline(outcome: str) -> None:
    shop = Simulator(local("2024-03-20 00:00"))
    shop.post(tell("repair_order.delivered", "R1", "2024-03-01 16:00"))
    assert clock_of(shop.first()).state == "missed_on_arrival"
    shop.post(
        tell(
            "follow_up.completed",
            shop.first().follow_up_id,
            "2024-03-09 00:00",
            by="C01",
            channel="phone",
            outcome=outcome,
        )
    )
    assert clock_of(shop.first()).state == "breached"


def test_what_has_no_window_has_no_clock() -> None:
    assert clocks_of(FollowUp(follow_up_id="x"), DEFAULT_POLICIES, SHANGHAI) == []
    assert clocks_of(RepairOrder(ro_number="R1"), DEFAULT_POLICIES, SHANGHAI) == []
