"""A repair order's state: given what happened, then how it stands."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from app.domain.events.envelope import Kind
from app.domain.fold import fold
from app.domain.repair_order import RepairOrder, comebacks
from tests.support.simulate import Fact, event_of, local, retraction, tell
from tests.support.simulate import Simulator as Shop

DAY = "2026-03-02 "


def did(name: str, time: str, **data: object) -> Fact:
    """Something about R1 on 2 March."""
    return tell(f"repair_order.{name}", "R1", DAY + time, **data)


def opened(time: str, **data: object) -> Fact:
    return did("opened", time, **({"work_type": "warranty", "advisor": "A01"} | data))


def order_of(*facts: Fact) -> RepairOrder:
    """The order after these facts, in the order given here."""
    events = [event_of(fact, seq) for seq, fact in enumerate(facts, 1)]
    order = fold(Kind.REPAIR_ORDER, "R1", events)
    assert isinstance(order, RepairOrder)
    return order


def inspected(time: str, level: int, *, passed: bool) -> Fact:
    return did("inspected", time, level=level, inspector="Q01", passed=passed)


def settled(time: str, **data: object) -> Fact:
    return did("settled", time, **({"amounts": {"labor": "100"}} | data))


STEPS: list[tuple[Callable[[], Fact], str, str]] = [
    (lambda: opened("08:00", estimate_hours=2), "awaiting_authorization", "open"),
    (lambda: did("authorized", "08:10"), "waiting", "open"),
    (lambda: did("authorized", "08:15"), "waiting", "open"),
    (lambda: did("dispatched", "08:20", technician="T01"), "waiting", "open"),
    (lambda: did("work_started", "08:30", bay="B2"), "in_work", "open"),
    (
        lambda: did("add_on_proposed", "08:40", add_on_id="1", amount=80, hours=1),
        "in_work",
        "open",
    ),
    (lambda: did("work_paused", "08:50", reason="awaiting_approval"), "paused", "open"),
    (lambda: did("add_on_decided", "08:55", add_on_id="1", accepted=True), "paused", "open"),
    (lambda: did("work_resumed", "09:00"), "in_work", "open"),
    (lambda: did("delay_warned", "09:10"), "in_work", "open"),
    (lambda: did("work_completed", "10:00", technician="T02"), "inspection", "open"),
    (lambda: inspected("10:05", 1, passed=True), "inspection", "open"),
    (lambda: inspected("10:10", 2, passed=False), "in_work", "open"),
    (lambda: did("work_completed", "10:20"), "inspection", "open"),
    (lambda: inspected("10:30", 3, passed=True), "cleaning", "ready_to_bill"),
    (lambda: did("cleaned", "10:40"), "ready", "ready_to_bill"),
    (lambda: settled("10:50"), "ready", "settled"),
    (lambda: did("delivered", "11:00", odometer_km="1200"), "delivered", "closed"),
    (lambda: did("work_started", "11:30"), "delivered", "closed"),
    (lambda: did("cancelled", "12:00", reason="客户取消"), "delivered", "cancelled"),
]


def test_c3_stage_and_status_follow_the_events() -> None:
    facts = []
    for make, stage, status in STEPS:
        facts.append(make())
        order = order_of(*facts)
        assert (order.stage, order.status) == (stage, status)
    order = order_of(*facts)
    assert order.add_ons["1"].accepted is True
    assert order.add_ons["1"].hours == 1
    assert order.pause_reason == "awaiting_approval"
    assert order.delay_warned_at == local(DAY + "09:10")
    assert order.cancel_reason == "客户取消"


def test_c3_without_an_estimate_the_car_is_received() -> None:
    assert order_of(opened("08:00")).stage == "received"
    assert order_of(opened("08:00", estimate_amount=0)).stage == "awaiting_authorization"


def test_c4_only_a_retraction_undoes_delivered_and_data_apply_all_the_same() -> None:
    handed_over = did("delivered", "09:00")
    order = order_of(
        opened("08:00"), handed_over, did("dispatched", "10:00", technician="T09", bay="B1")
    )
    assert order.stage == "delivered"
    assert order.technician == "T09"
    assert order.bay == "B1"
    shop = Shop(local(DAY + "18:00"))
    shop.post(opened("08:00"), handed_over, did("dispatched", "10:00", technician="T09"))
    shop.post(retraction(handed_over))
    assert shop.order("R1").stage == "waiting"


@pytest.mark.parametrize("place", range(3))
def test_c1_a_cancellation_is_final_in_whatever_order(place: int) -> None:
    facts = [opened("08:00"), settled("10:00")]
    facts.insert(place, did("cancelled", "07:00"))
    order = order_of(*facts)
    assert order.status == "cancelled"
    assert order.cancelled
    assert not order.settled


def test_c1_its_retraction_brings_the_order_back() -> None:
    shop = Shop(local(DAY + "18:00"))
    cancelled = did("cancelled", "09:00")
    shop.post(opened("08:00"), cancelled, settled("10:00"))
    assert shop.order("R1").status == "cancelled"
    shop.post(retraction(cancelled))
    assert shop.order("R1").status == "settled"


def test_c5_a_retracted_settlement_lets_an_earlier_one_count_again() -> None:
    shop = Shop(local(DAY + "18:00"))
    again = settled("11:00", amounts={"parts": 5})
    shop.post(opened("08:00"), settled("10:00"), again)
    assert shop.order("R1").settled_at == local(DAY + "11:00")
    shop.post(retraction(again))
    order = shop.order("R1")
    assert order.settled_at == local(DAY + "10:00")
    assert order.settlement is not None
    assert order.settlement.amounts == {"labor": Decimal(100)}


def test_c6_delivered_without_a_settlement_is_not_settled() -> None:
    order = order_of(opened("08:00"), did("delivered", "09:00"))
    assert order.status == "open"
    assert not order.settled
    assert order.settled_at is None
    assert order.delivered_at is None


def test_b3_an_order_that_was_never_opened_has_no_members() -> None:
    order = order_of(settled("10:00"))
    assert order.settled
    assert order.first_opened_at is None
    assert (order.advisor, order.work_type, order.technician, order.team) == (None,) * 4


def test_b5_the_first_opening_is_the_arrival_and_each_field_the_last_that_is_carried() -> None:
    order = order_of(
        opened("08:00", customer_no="K1", vin="V1", odometer_km=10, waiter=True),
        opened("08:30", advisor="A02", vin="V2", work_type="accident", pay_type="WARRANTY"),
    )
    assert order.first_opened_at == local(DAY + "08:00")
    assert order.first_opened_seq == 1
    assert (order.customer_no, order.vin, order.advisor) == ("K1", "V2", "A02")
    assert (order.work_type, order.pay_type, order.waiter) == ("accident", "WARRANTY", True)
    assert order.odometer_km == 10


def test_b1_ties_in_time_are_broken_by_seq() -> None:
    one, other = opened("08:00", vin="V1"), opened("08:00", vin="V2")
    assert order_of(one, other).vin == "V2"
    assert order_of(other, one).vin == "V1"


def test_d1_a_promise_that_only_a_change_gives_is_the_first() -> None:
    order = order_of(
        opened("08:00"),
        did("promise_changed", "09:00", promised_at="2026-03-02T17:00:00+08:00", reason="other"),
        did("promise_changed", "10:00", promised_at="2026-03-02T18:00:00+08:00"),
    )
    assert order.first_promised_at == local(DAY + "17:00")
    assert order.promise_changes == 2
    assert [promise.by for promise in order.promises] == ["changed", "changed"]
    assert order.promises[0].reason == "other"
    assert order.promises[0].confirmed is None
    assert order_of(opened("08:00")).first_promised_at is None


def test_d2_a_second_opening_neither_replaces_the_promise_nor_counts() -> None:
    order = order_of(
        did(
            "promise_changed",
            "07:59",
            promised_at="2026-03-02T15:00:00+08:00",
            confirmed_by_customer=True,
        ),
        opened("08:00", promised_at="2026-03-02T16:00:00+08:00"),
        did("authorized", "08:10", promised_at="2026-03-02T17:00:00+08:00", amount="99"),
        opened("08:30", promised_at="2026-03-02T18:00:00+08:00"),
    )
    assert order.first_promised_at == local(DAY + "16:00")
    assert [promise.by for promise in order.promises] == ["changed", "opened", "authorized"]
    assert order.promises[0].confirmed is True
    assert order.authorized_amount == 99
    assert order.first_authorized_at == local(DAY + "08:10")


def test_d14_all_changes_that_stand_are_counted() -> None:
    shop = Shop(local(DAY + "18:00"))
    changes = [
        did("promise_changed", f"09:0{n}", promised_at="2026-03-02T17:00:00+08:00")
        for n in range(3)
    ]
    shop.post(opened("08:00"), *changes)
    shop.post(retraction(changes[1]))
    assert shop.order("R1").promise_changes == 2


def test_d6_notes_and_reviews_are_kept_in_order() -> None:
    order = order_of(
        did("delay_reviewed", "12:00", accepted=False, reviewer="M01"),
        did("customer_delay_noted", "11:00", note="客户不在店", signed=True),
    )
    assert [note.signed for note in order.delay_notes] == [True]
    assert [(review.accepted, review.reviewer) for review in order.delay_reviews] == [
        (False, "M01")
    ]


def test_e2_the_team_is_that_of_the_event_that_names_the_technician() -> None:
    dispatched = did("dispatched", "08:20", technician="T01", team="RED")
    order = order_of(dispatched, did("dispatched", "08:30", technician="T02"))
    assert (order.technician, order.team) == ("T02", None)
    assert order.first_dispatched_at == local(DAY + "08:20")
    assert (order_of(dispatched).technician, order_of(dispatched).team) == ("T01", "RED")


def test_e4_the_last_dispatch_has_no_time_bound() -> None:
    late = tell("repair_order.dispatched", "R1", "2026-05-01 08:00", technician="T03", team="B")
    assert order_of(late, settled("10:00")).technician == "T03"


def test_e5_else_the_last_work_event_that_names_one() -> None:
    order = order_of(
        did("work_started", "09:00", technician="T01"),
        did("work_completed", "10:00", technician="T02"),
        did("work_completed", "11:00"),
    )
    assert (order.technician, order.team) == ("T02", None)


def test_f1_an_assessment_belongs_to_the_latest_report_before_it() -> None:
    order = order_of(
        did("comeback_assessed", "07:00", verdict="diagnosis"),
        did("comeback_reported", "08:00"),
        did("comeback_reported", "10:00"),
        did("comeback_assessed", "11:00", verdict="workmanship", technician="T01", team="RED"),
        did("comeback_assessed", "12:00", verdict="not_rework"),
    )
    found = comebacks(order)
    assert [c.assessment.verdict for c in found if c.assessment] == ["diagnosis", "not_rework"]


def test_f1_the_comebacks_order_decides_where_both_carry_it() -> None:
    order = order_of(
        did("comeback_reported", "08:00", comeback_ro="R8"),
        did("comeback_reported", "09:00"),
        did("comeback_reported", "10:00", comeback_ro="R9"),
        did("comeback_assessed", "11:00", verdict="workmanship", comeback_ro="R8"),
        did("comeback_assessed", "12:00", verdict="diagnosis", comeback_ro="R7"),
    )
    assert [c.assessment and c.assessment.verdict for c in comebacks(order)] == [
        "workmanship",
        "diagnosis",
        None,
    ]


def test_f1_an_assessment_without_a_fitting_report_belongs_to_none() -> None:
    alone = did("comeback_assessed", "12:00", verdict="diagnosis", comeback_ro="R7")
    assert comebacks(order_of(alone)) == []
    (comeback,) = comebacks(order_of(alone, did("comeback_reported", "08:00", comeback_ro="R8")))
    assert comeback.assessment is None


def test_f4_the_odometer_is_that_of_the_last_handover_that_has_one() -> None:
    arrived = opened("08:00", odometer_km=100)
    assert order_of(arrived).handover_odometer_km == 100
    order = order_of(
        arrived, did("delivered", "09:00", odometer_km=110), did("delivered", "10:00")
    )
    assert order.handover_odometer_km == 110
    assert order.handover is not None
    assert order.handover.at == local(DAY + "10:00")
    assert order_of(opened("08:00")).handover is None


def test_f5_a_later_settlement_without_delivered_at_moves_the_delivered_time() -> None:
    first = settled("10:00", delivered_at="2026-03-02T09:30:00+08:00")
    assert order_of(first).delivered_at == local(DAY + "09:30")
    order = order_of(first, settled("11:00"))
    assert order.delivered_at == local(DAY + "11:00")
    assert [settlement.explicit for settlement in order.settlements] == [True, False]


def test_g1_a_settlement_is_kept_as_a_whole() -> None:
    order = order_of(
        settled("10:00", costs={"labor": 3}, billed_hours=2, parts_requested=1),
        settled(
            "11:00",
            amounts={"labor": "10.5", "other": -1},
            clocked_hours="1.5",
            parts_filled=0,
        ),
    )
    assert order.settlement is not None
    assert order.settlement.amounts == {"labor": Decimal("10.5"), "other": Decimal(-1)}
    assert order.settlement.costs == {}
    assert order.settlement.billed_hours is None
    assert order.settlement.clocked_hours == Decimal("1.5")
    assert order.settlement.parts_requested is None
    assert order.settlement.parts_filled == 0


def test_f6_failed_inspections_are_counted_as_events() -> None:
    order = order_of(
        inspected("10:00", 1, passed=False),
        inspected("10:30", 1, passed=False),
        inspected("11:00", 3, passed=True),
    )
    assert (order.inspections, order.inspections_failed) == (3, 2)
    assert order.failed_inspection_seqs == [1, 2]


def test_an_add_on_may_be_decided_before_it_is_heard_of() -> None:
    decided = did("add_on_decided", "09:00", add_on_id="7", accepted=False)
    proposed = did("add_on_proposed", "08:00", add_on_id="7")
    add_on = order_of(decided, proposed).add_ons["7"]
    assert add_on.accepted is False
    assert add_on.proposed_at == local(DAY + "08:00")
    assert (add_on.amount, add_on.hours) == (None, None)


def test_b_the_order_of_arrival_makes_no_difference() -> None:
    facts = [
        opened("08:00", promised_at="2026-03-02T16:00:00+08:00"),
        opened("08:30", vin="V2"),
        did("authorized", "08:10", promised_at="2026-03-02T17:00:00+08:00"),
        did("work_completed", "10:00", technician="T02"),
        settled("11:00"),
    ]
    expected = None
    for arrival in permutations(facts):
        shop = Shop(local(DAY + "18:00") + timedelta(days=60))
        for fact in arrival:
            shop.post(fact)
        order = shop.order("R1")
        seen = (
            order.stage,
            order.status,
            order.vin,
            order.first_opened_at,
            order.technician,
            [(promise.by, promise.promised_at) for promise in order.promises],
            order.delivered_at,
        )
        expected = expected or seen
        assert seen == expected
