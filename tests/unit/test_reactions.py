"""What couples orders and calls: given what arrived, then which calls are planned for when."""

from datetime import date, timedelta
from itertools import permutations
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.clocks import clocks_of
from app.domain.events.envelope import Event
from app.domain.events.follow_up import FollowUpScheduled
from app.domain.follow_up import FollowUp, Withdrawal
from app.domain.policies import DEFAULT_POLICIES, Policies, Policy, ValidPolicy
from app.domain.reactions import (
    Cause,
    overdue_events,
    planned_ids,
    react_follow_up,
    react_repair_order,
)
from app.domain.repair_order import RepairOrder
from tests.support.histories import History, random_history
from tests.support.oracle import FollowUpView, Oracle
from tests.support.simulate import SHANGHAI, Fact, Simulator, local, replayed, retraction, tell

FIRST, SECOND = planned_ids("SH01", "R1")
CRM: Final = "8d0c5f0e-6a0e-4a57-9f0d-2f2ce9a5c001"
OTHER_CRM: Final = "8d0c5f0e-6a0e-4a57-9f0d-2f2ce9a5c002"


def left(time: str) -> Fact:
    return tell("repair_order.delivered", "R1", time)


def settled(time: str, **data: object) -> Fact:
    return tell("repair_order.settled", "R1", time, amounts={}, **data)


def off(time: str) -> Fact:
    return tell("repair_order.cancelled", "R1", time)


def called(call: str, time: str) -> Fact:
    return tell("follow_up.completed", call, time, by="C01", channel="phone", outcome="reached")


def called_off(call: str, time: str) -> Fact:
    return tell("follow_up.cancelled", call, time, reason="客户不愿接听")


def posted(time: str, kind: str = "first", *, call: str = CRM, **data: object) -> Fact:
    window = {
        "ro_number": "R1",
        "kind": kind,
        "opens_at": "2024-03-02T09:00:00+08:00",
        "due_at": "2024-03-06T18:00:00+08:00",
    }
    return tell("follow_up.scheduled", call, time, **(window | data))


@pytest.fixture
def shop() -> Simulator:
    return Simulator(local("2024-03-01 17:00"))


def anchor(call: FollowUp) -> date | None:
    """The day that the window in force counts from."""
    return call.anchor if call.status != "cancelled" else None


def written(shop: Simulator) -> list[str]:
    """What the service wrote, in words."""
    return [_words(event) for event in shop.own()]


def _words(event: Event) -> str:
    call = {FIRST: "first", SECOND: "second"}.get(event.subject, "crm")
    verb = event.type.rpartition(".")[2]
    if isinstance(event.payload, FollowUpScheduled):
        return f"{call} {verb} {event.payload.anchor}"
    return f"{call} {verb} {getattr(event.payload, 'reason', '')}".strip()


# ---- the first call


def test_h1_the_handover_is_the_anchor(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"))
    first = shop.first()
    assert first.follow_up_id == FIRST
    assert (first.kind, first.ro_number, first.own) == ("first", "R1", True)
    assert first.opens_at == local("2024-03-04 00:00")
    assert first.target_at == local("2024-03-04 23:59:59")
    assert first.due_at == local("2024-03-08 23:59:59")
    assert not first.missed_on_arrival
    assert shop.call("R1", 2) is None


def test_h1_without_a_handover_the_settlement_is(shop: Simulator) -> None:
    shop.post(settled("2024-03-01 16:00", delivered_at="2024-02-29T16:00:00+08:00"))
    assert anchor(shop.first()) == date(2024, 2, 29)
    shop.post(left("2024-03-01 16:30"))
    assert anchor(shop.first()) == date(2024, 3, 1)
    assert written(shop) == ["first scheduled 2024-02-29", "first scheduled 2024-03-01"]


def test_h1_under_delivered_no_handover_means_no_call() -> None:
    strict = Policy(version=2, follow_up_anchor="delivered")
    shop = Simulator(
        local("2024-03-01 17:00"), policies=Policies([ValidPolicy(date(2024, 1, 1), strict)])
    )
    shop.post(settled("2024-03-01 16:00"))
    assert shop.call("R1") is None
    shop.post(left("2024-03-01 16:30"))
    assert shop.first().policy_version == 2


@pytest.mark.parametrize("arrival", list(permutations(range(3))))
def test_h7_the_latest_handover_is_the_anchor(arrival: tuple[int, ...]) -> None:
    shop = Simulator(local("2024-03-03 20:00"))
    facts = [left("2024-03-01 16:00"), left("2024-03-03 16:00"), left("2024-03-02 16:00")]
    for place in arrival:
        shop.post(facts[place])
    assert anchor(shop.first()) == date(2024, 3, 3)


@pytest.mark.parametrize("arrival", list(permutations(range(4))))
def test_h7_once_the_call_was_made_the_latest_before_it(arrival: tuple[int, ...]) -> None:
    shop = Simulator(local("2024-03-20 20:00"))
    facts = [
        left("2024-03-01 16:00"),
        left("2024-03-02 16:00"),
        called(FIRST, "2024-03-06 10:00"),
        left("2024-03-07 16:00"),
    ]
    for place in arrival:
        shop.post(facts[place])
    assert anchor(shop.first()) == date(2024, 3, 2)
    assert anchor(shop.second()) == date(2024, 3, 6)


def test_h7_a_call_before_every_handover_keeps_to_the_settlement(shop: Simulator) -> None:
    shop.post(settled("2024-03-01 16:00"), called(FIRST, "2024-03-02 10:00"))
    shop.post(left("2024-03-04 16:00"))
    assert anchor(shop.first()) == date(2024, 3, 1)


def test_h7_without_a_settlement_a_later_handover_has_to_do(shop: Simulator) -> None:
    shop.post(called(FIRST, "2024-03-02 10:00"))
    shop.post(left("2024-03-04 16:00"))
    assert anchor(shop.first()) == date(2024, 3, 4)
    assert shop.first().status == "completed"


def test_h16_what_is_in_force_is_not_said_again(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"))
    shop.post(left("2024-03-01 17:00"), tell("repair_order.cleaned", "R1", "2024-03-01 15:00"))
    assert written(shop) == ["first scheduled 2024-03-01"]


def test_h16_the_time_is_that_of_the_fact_that_caused_it(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"), tell("repair_order.cleaned", "R1", "2024-03-01 15:00"))
    (event,) = shop.own()
    assert event.occurred_at == local("2024-03-01 15:00")
    assert event.recorded_at == shop.now
    assert shop.first().last_occurred_at is None


def test_from_a_to_b_and_back_to_a(shop: Simulator) -> None:
    there = left("2024-03-02 16:00")
    shop.post(left("2024-03-01 16:00"))
    shop.post(there)
    shop.post(retraction(there))
    assert anchor(shop.first()) == date(2024, 3, 1)
    assert written(shop) == [
        "first scheduled 2024-03-01",
        "first scheduled 2024-03-02",
        "first scheduled 2024-03-01",
    ]


def test_a_handover_that_is_retracted_and_replaced_in_one_unit_moves_nothing(
    shop: Simulator,
) -> None:
    wrong = left("2024-03-01 16:00")
    shop.post(wrong)
    shop.post(retraction(wrong), left("2024-03-01 16:10"))
    assert written(shop) == ["first scheduled 2024-03-01"]


def test_h5_without_an_anchor_nothing_is_due_not_even_what_was_done(shop: Simulator) -> None:
    wrong = left("2024-03-01 16:00")
    shop.post(wrong, called(FIRST, "2024-03-05 10:00"))
    assert anchor(shop.second()) == date(2024, 3, 5)
    shop.post(retraction(wrong))
    assert shop.first().cancelled_reason == Withdrawal.NO_ANCHOR
    assert shop.second().cancelled_reason == Withdrawal.FIRST_CANCELLED
    shop.post(settled("2024-03-01 16:00"))
    assert shop.first().status == "completed"
    assert anchor(shop.second()) == date(2024, 3, 5)


def test_when_all_of_an_order_is_retracted_its_calls_are_cancelled(shop: Simulator) -> None:
    fact = left("2024-03-01 16:00")
    shop.post(fact)
    shop.post(retraction(fact))
    assert shop.find(RepairOrder, "R1") is None
    assert shop.first().status == "cancelled"


def test_the_call_belongs_to_the_customer_of_the_order(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"))
    shop.advance(local("2024-03-10 00:00"))
    assert shop.first().customer_no is None
    data = {"work_type": "other", "advisor": "A01", "customer_no": "K1"}
    shop.post(tell("repair_order.opened", "R1", "2024-03-01 08:00", **data))
    first = shop.first()
    assert first.customer_no == "K1"
    assert not first.missed_on_arrival  # its window was set in time
    assert first.breach is not None


def test_h18_planned_calls_keep_their_times_when_a_policy_changes(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"))
    slower = Policy(version=2, follow_up_first_due_day=30)
    shop.policies = Policies([ValidPolicy(date(2024, 1, 1), slower)])
    shop.post(left("2024-03-01 17:00"))
    assert shop.first().due_at == local("2024-03-08 23:59:59")
    shop.post(left("2024-03-02 17:00"))
    assert shop.first().due_at == local("2024-04-01 23:59:59")


# ---- cancelled orders


def test_c2_open_calls_of_a_cancelled_order_are_cancelled_and_come_back(shop: Simulator) -> None:
    gone = off("2024-03-02 10:00")
    shop.post(left("2024-03-01 16:00"))
    shop.post(gone)
    assert shop.first().cancelled_reason == Withdrawal.ORDER_CANCELLED
    shop.advance(local("2024-03-07 00:00"))
    shop.post(retraction(gone))
    assert anchor(shop.first()) == date(2024, 3, 1)
    assert not shop.first().missed_on_arrival
    shop.advance(local("2024-03-10 00:00"))
    assert shop.first().breach is not None


def test_c2_what_was_done_for_a_cancelled_order_leaves_both_parts(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"), called(FIRST, "2024-03-05 10:00"))
    shop.post(called(SECOND, "2024-03-13 10:00"))
    shop.post(posted("2024-03-01 18:00", "courtesy"), called(CRM, "2024-03-02 10:00"))
    gone = off("2024-03-14 10:00")
    shop.post(gone)
    calls = [shop.first(), shop.second(), shop.find(FollowUp, CRM)]
    assert [call.status for call in calls if call] == ["cancelled"] * 3
    assert not any(call.counts for call in calls if call)
    shop.post(retraction(gone))
    calls = [shop.first(), shop.second(), shop.find(FollowUp, CRM)]
    assert [call.status for call in calls if call] == ["completed"] * 3


def test_c2_nothing_is_planned_for_an_order_that_is_cancelled_already(shop: Simulator) -> None:
    shop.post(off("2024-03-01 09:00"), left("2024-03-01 16:00"))
    assert not shop.own()


def test_c2_a_crms_open_call_of_a_cancelled_order_raises_no_alarm(shop: Simulator) -> None:
    gone = off("2024-03-02 10:00")
    shop.post(posted("2024-03-01 18:00"), left("2024-03-01 16:00"), gone)
    call = shop.find(FollowUp, CRM)
    assert call is not None
    assert call.cancelled_reason == Withdrawal.ORDER_CANCELLED
    shop.advance(local("2024-03-05 00:00"))
    shop.post(retraction(gone))
    call = shop.find(FollowUp, CRM)
    assert call is not None
    assert call.status == "scheduled"
    assert call.due_at == local("2024-03-06 18:00")
    assert call.posted
    shop.advance(local("2024-04-01 00:00"))
    assert [event.subject for event in shop.own("follow_up.overdue")] == [CRM]


def test_h10_a_crms_call_that_names_no_order_is_cancelled_with_none(shop: Simulator) -> None:
    done = tell(
        "follow_up.completed",
        CRM,
        "2024-03-02 10:00",
        by="C01",
        channel="phone",
        outcome="reached",
        ro_number="R1",
    )
    shop.post(off("2024-03-02 10:00"), posted("2024-03-01 18:00", ro_number=None), done)
    call = shop.find(FollowUp, CRM)
    assert call is not None
    assert call.ro_number == "R1"
    assert call.status == "completed"


def test_h10_a_crms_call_that_leaves_a_cancelled_order_counts_again(shop: Simulator) -> None:
    shop.post(off("2024-03-02 10:00"), posted("2024-03-01 18:00"))
    shop.post(posted("2024-03-01 19:00", ro_number=None))
    call = shop.find(FollowUp, CRM)
    assert call is not None
    assert (call.status, call.ro_number) == ("scheduled", None)


# ---- calls that are kept elsewhere


@pytest.mark.parametrize("arrival", list(permutations(range(2))))
def test_h8_a_crms_call_takes_the_place_of_ours(arrival: tuple[int, ...]) -> None:
    shop = Simulator(local("2024-03-01 17:00"))
    facts = [left("2024-03-01 16:00"), posted("2024-03-01 18:00")]
    for place in arrival:
        shop.post(facts[place])
    ours = shop.call("R1")
    assert ours is None or ours.cancelled_reason == Withdrawal.KEPT_ELSEWHERE
    shop.post(retraction(facts[1]))
    assert anchor(shop.first()) == date(2024, 3, 1)


def test_h16_a_cancellation_says_its_latest_reason(shop: Simulator) -> None:
    fact = left("2024-03-01 16:00")
    shop.post(fact)
    shop.post(posted("2024-03-01 18:00"))
    shop.post(retraction(fact))
    assert shop.first().cancelled_reason == Withdrawal.NO_ANCHOR
    shop.post(off("2024-03-01 19:00"))
    assert shop.first().cancelled_reason == Withdrawal.ORDER_CANCELLED


@pytest.mark.parametrize(
    "other",
    [
        posted("2024-03-01 18:00", "courtesy"),
        posted("2024-03-01 18:00", ro_number="R2"),
        posted("2024-03-01 18:00", ro_number=None),
    ],
)
def test_h8_not_one_of_another_kind_or_order(shop: Simulator, other: Fact) -> None:
    shop.post(left("2024-03-01 16:00"), other)
    assert anchor(shop.first()) == date(2024, 3, 1)


def test_h5_but_what_was_called_before_counts(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"))
    shop.post(posted("2024-03-01 18:00"))
    call = called(FIRST, "2024-03-05 10:00")
    shop.post(call)
    assert shop.first().status == "completed"
    assert anchor(shop.second()) == date(2024, 3, 5)
    shop.post(retraction(call))
    assert shop.first().cancelled_reason == Withdrawal.KEPT_ELSEWHERE
    assert shop.second().cancelled_reason == Withdrawal.FIRST_CANCELLED


def test_h8_the_second_call_too_may_be_kept_elsewhere(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"), called(FIRST, "2024-03-05 10:00"))
    shop.post(posted("2024-03-06 18:00", "second"))
    assert shop.second().cancelled_reason == Withdrawal.KEPT_ELSEWHERE


def test_a7_ours_is_never_planned_over_a_posted_call_of_its_id(shop: Simulator) -> None:
    shop.post(posted("2024-03-01 15:00", "courtesy", call=FIRST))
    shop.post(left("2024-03-01 16:00"))
    assert not shop.own()
    assert shop.first().kind == "courtesy"


def test_what_a_crms_call_leaves_behind_is_taken_back(shop: Simulator) -> None:
    gone, plan = off("2024-03-02 10:00"), posted("2024-03-01 18:00")
    shop.post(plan, gone)
    shop.post(retraction(gone))
    shop.post(retraction(plan))
    call = shop.find(FollowUp, CRM)
    assert call is not None
    assert call.cancelled_reason == Withdrawal.NO_ANCHOR


# ---- the second call


def test_annex_b3_the_second_call_counts_from_the_first(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"))
    shop.post(called(FIRST, "2024-03-06 15:00"))
    second = shop.second()
    assert (second.kind, second.ro_number) == ("second", "R1")
    assert second.opens_at == local("2024-03-13 00:00")
    assert second.target_at == second.due_at == local("2024-03-20 23:59:59")
    assert second.overdue_from == local("2024-03-21 00:00")


def test_h9_after_a_missed_first_call_from_its_due_day(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"))
    shop.advance(local("2024-03-08 23:59:59.999999"))
    assert shop.call("R1", 2) is None
    shop.advance(local("2024-03-09 00:00"))
    assert anchor(shop.second()) == date(2024, 3, 8)
    assert written(shop) == [
        "first scheduled 2024-03-01",
        "first overdue",
        "second scheduled 2024-03-08",
    ]


def test_h9_it_moves_to_the_day_of_a_late_first_call_and_back(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"))
    shop.advance(local("2024-03-10 00:00"))
    late = called(FIRST, "2024-03-10 10:00")
    shop.post(late)
    assert anchor(shop.second()) == date(2024, 3, 10)
    shop.post(retraction(late))
    assert anchor(shop.second()) == date(2024, 3, 8)


@pytest.mark.parametrize("arrival", list(permutations(range(2))))
def test_h9_unless_itself_completed_before(shop: Simulator, arrival: tuple[int, ...]) -> None:
    shop.post(left("2024-03-01 16:00"))
    shop.advance(local("2024-03-20 00:00"))
    facts = [called(SECOND, "2024-03-16 10:00"), called(FIRST, "2024-03-17 10:00")]
    for place in arrival:
        shop.post(facts[place])
    assert anchor(shop.second()) == date(2024, 3, 8)


def test_h9_a_second_call_before_a_first_in_time_moves_with_it(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"))
    shop.post(called(SECOND, "2024-03-04 10:00"), called(FIRST, "2024-03-05 10:00"))
    assert anchor(shop.second()) == date(2024, 3, 5)


def test_h9_none_if_the_first_is_cancelled(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"))
    shop.advance(local("2024-03-10 00:00"))
    drop = called_off(FIRST, "2024-03-10 10:00")
    shop.post(drop)
    assert shop.second().cancelled_reason == Withdrawal.FIRST_CANCELLED
    shop.post(retraction(drop))
    assert anchor(shop.second()) == date(2024, 3, 8)


def test_a_call_that_was_called_off_follows_its_anchor_all_the_same(shop: Simulator) -> None:
    drop = called_off(FIRST, "2024-03-01 16:30")
    shop.post(drop)
    shop.post(left("2024-03-02 16:00"))
    assert shop.first().status == "cancelled"
    shop.advance(local("2024-03-08 00:00"))
    shop.post(retraction(drop))
    assert anchor(shop.first()) == date(2024, 3, 2)
    assert shop.first().status_at(shop.now) == "open"


def test_h9_a_first_call_that_runs_again_takes_the_second_back(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"))
    shop.advance(local("2024-03-10 00:00"))
    shop.post(left("2024-03-09 16:00"))
    assert shop.first().status_at(shop.now) == "planned"
    assert shop.second().cancelled_reason == Withdrawal.FIRST_PENDING
    shop.advance(local("2024-03-17 00:00"))
    assert len(shop.own("follow_up.overdue")) == 2
    assert anchor(shop.second()) == date(2024, 3, 16)


def test_h3_an_import_of_two_years_raises_no_alarm() -> None:
    shop = Simulator(local("2026-03-01 17:00"))
    shop.post(left("2024-03-01 16:00"))
    assert shop.first().missed_on_arrival
    assert shop.second().missed_on_arrival
    assert anchor(shop.second()) == date(2024, 3, 8)
    shop.advance(local("2026-06-01 00:00"))
    assert written(shop) == ["first scheduled 2024-03-01", "second scheduled 2024-03-08"]


def test_h3_an_import_may_end_within_a_window() -> None:
    shop = Simulator(local("2024-03-20 17:00"))
    shop.post(left("2024-03-01 16:00"))
    assert shop.first().missed_on_arrival
    assert not shop.second().missed_on_arrival
    shop.advance(local("2024-03-23 00:00"))
    assert [event.subject for event in shop.own("follow_up.overdue")] == [SECOND]


def test_h3_a_window_that_is_set_anew_when_it_is_over_is_missed_on_arrival(
    shop: Simulator,
) -> None:
    gone = off("2024-03-02 10:00")
    shop.post(left("2024-03-01 16:00"))
    shop.advance(local("2024-03-09 00:00"))
    shop.post(gone)
    shop.post(retraction(gone))
    assert shop.first().missed_on_arrival
    assert not shop.first().counts


def test_h20_the_second_call_is_made_and_that_is_all(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"), called(FIRST, "2024-03-05 10:00"))
    shop.advance(local("2024-03-20 00:00"))
    shop.post(called(SECOND, "2024-03-20 10:00"))
    shop.advance(local("2024-06-20 00:00"))
    assert written(shop) == [
        "first scheduled 2024-03-01",
        "second scheduled 2024-03-05",
        "second overdue",
        "second resolved",
    ]


# ---- overdue


def test_what_is_not_due_or_has_no_clock_says_nothing(shop: Simulator) -> None:
    shop.post(left("2024-03-01 16:00"))
    now = local("2024-03-08 23:59:59.999999")
    for state in (shop.first(), shop.order("R1"), FollowUp(follow_up_id="x")):
        assert overdue_events(state, now, policies=DEFAULT_POLICIES, zone=SHANGHAI) == []
    moment = now + timedelta(microseconds=1)
    (wanted,) = overdue_events(shop.first(), moment, policies=DEFAULT_POLICIES, zone=SHANGHAI)
    assert wanted.cause == Cause(shop.first().scheduled_seq, local("2024-03-08 23:59:59"))


def test_nothing_is_wanted_of_what_nobody_knows() -> None:
    cause = Cause(1, local("2024-03-01 16:00"))
    assert (
        react_repair_order(
            "R1",
            None,
            [],
            store_id="SH01",
            policies=DEFAULT_POLICIES,
            zone=SHANGHAI,
            recorded_at=cause.occurred_at,
            cause=cause,
        )
        == []
    )


def test_what_has_no_window_cannot_count_again() -> None:
    state = FollowUp(follow_up_id=CRM, posted=True, withdrawn_seq=1)
    assert react_follow_up(state, cause=Cause(1, local("2024-03-01 16:00"))) == []


# ---- against the oracle


def seen(shop: Simulator, ro_number: str, position: int) -> object:
    call = shop.call(ro_number, position)
    if call is None or not (call.own or call.cancelled_by_service):
        return None
    status = call.status_at(shop.now)
    status = "planned" if status == "open" else status
    if status == "cancelled":
        return status
    return status, call.anchor, call.opens_at, call.target_at, call.due_at, call.completed_at


def expected(view: FollowUpView | None) -> object:
    if view is None or view.status == "cancelled":
        return None if view is None else "cancelled"
    window = view.window
    assert window is not None
    return (
        view.status,
        window.anchor,
        window.opens_at,
        window.target_at,
        window.due_at,
        view.completed_at,
    )


def differs_on_purpose(history: History) -> bool:
    """Whether the oracle may tell "missed on arrival" from "overdue" otherwise.

    Staff cancel a planned call: the oracle then leaves its window alone, here it follows its
    anchor all the same, so that the retraction of the cancellation finds it whatever arrived
    first. Or an order comes back: the oracle keeps the windows of its completed calls meanwhile,
    here they are cancelled with it (H5) and set anew.
    """
    off = {event["id"] for event in history.events if event["type"] == "repair_order.cancelled"}
    return any(
        (event["type"] == "follow_up.cancelled" and event["source"] == "/dms/test")
        or (event["type"] == "event.retracted" and event["data"]["id"] in off)
        for event in history.events
    )


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_calls_are_planned_as_the_oracle_plans_them(seed: int) -> None:
    history = random_history(Random(seed), orders=3, doubles=False)
    shop = replayed(history)
    oracle = Oracle(history.arrivals, history.zone, history.now, store_id=history.store_id)
    if differs_on_purpose(history):
        return
    orders = {e["subject"] for e in history.events if e["type"].startswith("repair_order.")}
    for ro_number in orders:
        views = oracle.follow_ups(ro_number)
        assert seen(shop, ro_number, 1) == expected(views.first)
        assert seen(shop, ro_number, 2) == expected(views.second)
    for state in shop.states.values():
        assert len(clocks_of(state, DEFAULT_POLICIES, shop.zone)) <= 1
