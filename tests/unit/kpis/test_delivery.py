"""Delivery: the verdict walk of design/kpis.md and D1 to D18 of the fine print."""

from datetime import date
from typing import Literal

import pytest

from app.domain.kpis.judge import judge_repair_order
from app.domain.policies import DEFAULT_POLICY, Policies, Policy, ValidPolicy
from app.domain.repair_order import RepairOrder
from tests.unit.kpis.shop import (
    ZONE,
    Told,
    at,
    authorized,
    call,
    cancelled,
    changed,
    completed,
    entry,
    noted,
    opened,
    order,
    outcome,
    overdue,
    reviewed,
    says,
    scheduled,
    settled,
    verdict,
    withdrawn,
)

RATE = "on_time_delivery_rate"
FIRST = "on_time_first_promise_rate"
ON_TIME = ("1", "1", "on-time")
LATE = ("0", "1", "late")
NOT_JUDGED = (None, None, "no-promise")


def reference(repair_order: RepairOrder, policy: Policy = DEFAULT_POLICY) -> str | None:
    """The promised time in force, as local hour and minute."""
    found = verdict(repair_order, policy=policy).reference
    return None if found is None else found.astimezone(ZONE).strftime("%H:%M")


# --- Annex B, vector 7 --------------------------------------------------------------------------


def test_annex_b7_delivered_in_the_promised_minute_is_on_time() -> None:
    assert outcome(RATE, order(opened(promised="17:00"), settled("17:00"))) == ON_TIME


def test_annex_b7_a_minute_later_is_late() -> None:
    assert outcome(RATE, order(opened(promised="17:00"), settled("17:01"))) == LATE


def test_annex_b7_an_add_on_confirmed_by_the_customer_moves_the_promise() -> None:
    told = order(opened(promised="17:00"), changed("15:00", "18:30"), settled("18:20"))
    assert outcome(RATE, told) == ON_TIME


def test_annex_b7_a_new_time_that_the_customer_did_not_confirm_has_no_effect() -> None:
    told = order(
        opened(promised="17:00"), changed("15:00", "18:30", confirmed=False), settled("18:20")
    )
    assert outcome(RATE, told) == LATE


# --- Annex B, vector 6: the rate ----------------------------------------------------------------


def test_annex_b6_150_settled_9_late_are_94_percent() -> None:
    orders = [order(opened(promised="17:00"), settled("17:00")) for _ in range(141)]
    orders += [order(opened(promised="17:00"), settled("17:25")) for _ in range(9)]
    entries = [found for each in orders if (found := entry(RATE, each)) is not None]
    assert sum(found.numerator or 0 for found in entries) == 141
    assert sum(found.denominator or 0 for found in entries) == 150


# --- Step 1 -------------------------------------------------------------------------------------


def test_without_a_promise_an_order_is_in_neither_part() -> None:
    told = order(opened(), settled())
    assert outcome(RATE, told) == NOT_JUDGED
    assert outcome(FIRST, told) == NOT_JUDGED
    assert verdict(told).verdict == "not_judged"
    assert verdict(told).reference is None


def test_without_a_promise_an_order_is_late_under_count_late() -> None:
    policy = Policy(on_time_no_promise="count_late")
    told = order(opened(), settled())
    assert outcome(RATE, told, policy=policy) == ("0", "1", "no-promise")
    assert outcome(FIRST, told, policy=policy) == ("0", "1", "no-promise")
    assert verdict(told, policy=policy).verdict == "late"


@pytest.mark.parametrize("no_promise", ["exclude", "count_late"])
def test_b3_settled_without_opening_is_not_judged(
    no_promise: Literal["exclude", "count_late"],
) -> None:
    policy = Policy(on_time_no_promise=no_promise)
    assert outcome(RATE, order(settled()), policy=policy) == NOT_JUDGED
    told = order(authorized("10:00", "17:00"), settled("18:00"))
    for code in (RATE, FIRST):
        assert outcome(code, told, policy=policy) == (None, None, "never-opened")
    assert verdict(told, policy=policy).verdict == "not_judged"


# --- Step 2: the reference ----------------------------------------------------------------------


def test_d1_the_first_change_sets_the_promise_whatever_its_reason() -> None:
    told = order(
        opened(), changed("10:00", "16:00", reason="shop_delay", confirmed=False), settled("16:00")
    )
    assert reference(told) == "16:00"
    assert outcome(RATE, told) == ON_TIME
    assert outcome(FIRST, told) == ON_TIME


def test_d1_later_changes_need_the_conditions() -> None:
    told = order(
        opened(),
        changed("10:00", "16:00"),
        changed("11:00", "18:00", reason="shop_delay"),
        settled("17:00"),
    )
    assert reference(told) == "16:00"
    assert outcome(RATE, told) == LATE


def test_d2_a_second_opening_neither_replaces_nor_counts() -> None:
    told = order(
        opened("09:00", promised="17:00"), opened("10:00", promised="19:00"), settled("18:00")
    )
    assert reference(told) == "17:00"
    assert outcome(RATE, told) == LATE
    assert outcome(FIRST, told) == LATE
    assert outcome("promise_changes_per_visit", told) == ("0", "1", "promise-unchanged")


def test_d2_the_first_promise_is_that_of_the_first_that_carries_one() -> None:
    told = order(
        opened("09:00"),
        authorized("09:30", "16:00"),
        opened("10:00", promised="19:00"),
        settled("16:00"),
    )
    assert reference(told) == "16:00"
    assert outcome(FIRST, told) == ON_TIME


def test_a_change_before_the_first_promise_of_an_opening_is_passed_over() -> None:
    told = order(
        opened("08:00"), changed("08:30", "20:00"), authorized("09:00", "17:00"), settled("18:00")
    )
    assert reference(told) == "17:00"
    assert outcome(RATE, told) == LATE
    assert outcome(FIRST, told) == LATE
    assert outcome("promise_changes_per_visit", told) == ("1", "1", "promise-changed")


def test_d3_an_authorization_replaces_the_promise_without_conditions() -> None:
    told = order(opened(promised="17:00"), authorized("17:30", "19:00"), settled("18:00"))
    assert reference(told) == "19:00"
    assert outcome(RATE, told) == ON_TIME
    assert outcome(FIRST, told) == LATE
    assert "authorization moved 17:00 to 19:00" in verdict(told).explanation.en


def test_d3_only_up_to_the_delivered_time() -> None:
    told = order(opened(promised="17:00"), settled("18:00"), authorized("18:01", "19:00"))
    assert reference(told) == "17:00"
    assert outcome(RATE, told) == LATE


def test_d3_an_authorization_without_a_promise_changes_nothing() -> None:
    told = order(opened(promised="17:00"), authorized("10:00"), settled("17:00"))
    assert reference(told) == "17:00"


@pytest.mark.parametrize(
    ("change", "policy", "in_force"),
    [
        (changed("15:00", "18:00"), DEFAULT_POLICY, "18:00"),
        (changed("15:00", "18:00", reason="customer_request"), DEFAULT_POLICY, "17:00"),
        (
            changed("15:00", "18:00", reason="customer_request"),
            Policy(on_time_repromise_reasons=frozenset({"add_on", "customer_request"})),
            "18:00",
        ),
        (changed("15:00", "18:00", confirmed=False), DEFAULT_POLICY, "17:00"),
        (changed("15:00", "18:00", reason=None), DEFAULT_POLICY, "18:00"),
        (changed("15:00", "18:00", confirmed=None), DEFAULT_POLICY, "18:00"),
        (changed("15:00", "18:00", reason=None, confirmed=False), DEFAULT_POLICY, "17:00"),
        (
            changed("15:00", "18:00", reason=None),
            Policy(on_time_unknown_confirmation="reject"),
            "17:00",
        ),
        (
            changed("15:00", "18:00", confirmed=None),
            Policy(on_time_unknown_confirmation="reject"),
            "17:00",
        ),
        (changed("17:01", "18:00"), DEFAULT_POLICY, "17:00"),
        (changed("17:01", "18:00"), Policy(on_time_repromise_after_due=True), "18:00"),
    ],
)
def test_which_change_replaces_the_promise(change: Told, policy: Policy, in_force: str) -> None:
    told = order(opened(promised="17:00"), change, settled("17:30"))
    assert reference(told, policy) == in_force
    assert outcome(RATE, told, policy=policy) == (ON_TIME if in_force == "18:00" else LATE)


def test_an_unknown_confirmation_taken_for_granted_is_said() -> None:
    told = order(
        opened(promised="17:00"), changed("15:00", "18:00", confirmed=None), settled("17:30")
    )
    assert "taken for granted" in verdict(told).explanation.en
    assert "按已确认处理" in verdict(told).explanation.zh


def test_each_change_is_measured_against_the_reference_then_in_force() -> None:
    told = order(
        opened(promised="12:00"),
        changed("11:00", "15:00"),
        changed("14:00", "18:00"),
        settled("18:00"),
    )
    assert outcome(RATE, told) == ON_TIME


def test_d4_the_change_in_the_minute_of_the_reference_is_not_after_it() -> None:
    told = order(opened(promised="17:00"), changed("17:00:59", "18:00"), settled("17:30"))
    assert outcome(RATE, told) == ON_TIME


def test_d4_a_promise_in_the_minute_of_the_delivery_counts() -> None:
    told = order(opened(), authorized("17:00:59", "16:00"), settled("17:00:01"))
    assert outcome(RATE, told) == LATE


@pytest.mark.parametrize(
    ("promised", "delivered", "expected"),
    [
        ("17:00:00", "17:00:59", ON_TIME),
        ("17:00:59", "17:01:00", LATE),
        ("17:00:59", "17:00:00", ON_TIME),
        ("17:01:00", "17:00:59", ON_TIME),
    ],
)
def test_d4_seconds_are_cut_off_on_both_sides(
    promised: str, delivered: str, expected: tuple[str, str, str]
) -> None:
    told = order(opened(promised=promised), settled("19:00", delivered=delivered))
    assert outcome(RATE, told) == expected
    assert outcome(FIRST, told) == expected


def test_d5_promised_only_after_the_delivery_is_no_promise() -> None:
    told = order(opened(), settled("17:00"), changed("17:01", "18:00"))
    assert outcome(RATE, told) == NOT_JUDGED
    assert outcome("promise_coverage_rate", told) == ("0", "1", "no-promise")
    assert outcome("promise_changes_per_visit", told) == ("1", "1", "promise-changed")
    assert "promised only after the delivery" in verdict(told).explanation.en


def test_d5_the_delivered_time_of_the_sheet_decides_not_that_of_the_event() -> None:
    told = order(opened(), changed("16:30", "18:00"), settled("19:00", delivered="16:00"))
    assert outcome(RATE, told) == NOT_JUDGED


def test_d15_no_accepted_add_on_is_needed_and_the_new_time_may_be_earlier() -> None:
    told = order(opened(promised="17:00"), changed("10:00", "15:00"), settled("16:00"))
    assert outcome(RATE, told) == LATE
    assert outcome(FIRST, told) == ON_TIME


# --- Step 3 -------------------------------------------------------------------------------------


def test_d13_grace_applies_to_both_promises() -> None:
    policy = Policy(on_time_grace_minutes=10)
    in_time = order(opened(promised="17:00"), settled("17:10:59"))
    too_late = order(opened(promised="17:00"), settled("17:11"))
    for code in (RATE, FIRST):
        assert outcome(code, in_time, policy=policy) == ON_TIME
        assert outcome(code, too_late, policy=policy) == LATE
    assert "10 minutes of grace" in verdict(in_time, policy=policy).explanation.en


# --- Step 4: the excuse -------------------------------------------------------------------------

EXCUSED: tuple[Told, ...] = (opened(promised="17:00"), settled("17:25"), noted("17:30"))


def test_a_signed_note_excuses_and_counts_as_on_time() -> None:
    told = order(*EXCUSED)
    assert outcome(RATE, told) == ("1", "1", "excused-by-customer")
    assert outcome("excused_late_count", told) == ("1", None, "excused-by-customer")
    assert verdict(told).verdict == "excused"
    assert verdict(told).reasons == ("excused-by-customer",)


def test_d12_under_exclude_it_is_in_neither_part_and_still_listed() -> None:
    policy = Policy(on_time_customer_caused="exclude")
    told = order(*EXCUSED)
    assert outcome(RATE, told, policy=policy) == (None, None, "excused-by-customer")
    assert outcome("excused_late_count", told, policy=policy) == (
        "1",
        None,
        "excused-by-customer",
    )
    assert verdict(told, policy=policy).verdict == "excused"


def test_d12_under_count_late_it_is_late_and_not_listed() -> None:
    policy = Policy(on_time_customer_caused="count_late")
    told = order(*EXCUSED)
    assert outcome(RATE, told, policy=policy) == LATE
    assert entry("excused_late_count", told, policy=policy) is None
    assert verdict(told, policy=policy).verdict == "late"


@pytest.mark.parametrize("caused", ["count_on_time", "exclude", "count_late"])
def test_d13_the_first_promise_knows_no_excuse_and_no_exclusion(
    caused: Literal["count_on_time", "exclude", "count_late"],
) -> None:
    assert outcome(FIRST, order(*EXCUSED), policy=Policy(on_time_customer_caused=caused)) == LATE


def test_an_unsigned_note_excuses_nothing() -> None:
    told = order(opened(promised="17:00"), settled("17:25"), noted("17:30", signed=False))
    assert outcome(RATE, told) == LATE


@pytest.mark.parametrize(
    ("reviews", "excused"),
    [
        ([("18:00", False)], False),
        ([("18:00", True)], True),
        ([("18:00", False), ("19:00", True)], True),
        ([("18:00", True), ("19:00", False)], False),
        ([("17:29", False)], True),
    ],
)
def test_d6_the_last_review_after_the_note_decides(
    reviews: list[tuple[str, bool]], excused: bool
) -> None:
    told = order(*EXCUSED, *(reviewed(time, accepted) for time, accepted in reviews))
    assert (verdict(told).verdict == "excused") is excused


def test_d7_any_signed_note_that_the_last_review_does_not_reject_is_enough() -> None:
    told = order(*EXCUSED, reviewed("18:00", accepted=False), noted("18:30"))
    assert verdict(told).verdict == "excused"


def test_d7_note_and_review_count_at_any_time() -> None:
    told = order(
        noted("08:00"),
        opened(promised="17:00"),
        settled("17:25"),
        reviewed("03-20 09:00", accepted=True),
    )
    assert verdict(told).verdict == "excused"


def test_an_order_on_time_by_the_papers_needs_no_excuse() -> None:
    told = order(opened(promised="17:00"), settled("17:00"), noted("16:00"))
    assert outcome(RATE, told) == ON_TIME
    assert entry("excused_late_count", told) is None


# --- Step 5: the customer's word ----------------------------------------------------------------

PUNCTUAL: tuple[Told, ...] = (opened(promised="17:00"), settled("17:00"))


def test_a_customer_who_says_late_outweighs_the_papers() -> None:
    told = order(*PUNCTUAL)
    assert outcome(RATE, told, says(on_time=False)) == ("0", "1", "customer-says-late")
    assert verdict(told, says(on_time=False)).verdict == "late"
    assert outcome(FIRST, told, says(on_time=False)) == ON_TIME


def test_d18_under_papers_it_is_shown_and_not_counted() -> None:
    policy = Policy(on_time_customer_report="papers")
    told = order(*PUNCTUAL)
    assert outcome(RATE, told, says(on_time=False), policy=policy) == ON_TIME
    assert verdict(told, says(on_time=False), policy=policy).reasons == (
        "on-time",
        "customer-says-late",
    )


def test_an_excused_order_stays_excused_and_is_flagged() -> None:
    told = order(*EXCUSED)
    assert outcome(RATE, told, says(on_time=False)) == ("1", "1", "excused-by-customer")
    assert verdict(told, says(on_time=False)).reasons == (
        "excused-by-customer",
        "customer-says-late",
    )


def test_d8_on_time_with_a_signed_note_stays_on_time_and_is_flagged() -> None:
    told = order(*PUNCTUAL, noted("16:00"))
    assert outcome(RATE, told, says(on_time=False)) == ON_TIME
    assert verdict(told, says(on_time=False)).reasons == ("on-time", "customer-says-late")
    assert entry("excused_late_count", told, says(on_time=False)) is None


def test_d8_a_rejected_note_protects_nothing() -> None:
    told = order(*PUNCTUAL, noted("16:00"), reviewed("18:00", accepted=False))
    assert outcome(RATE, told, says(on_time=False)) == ("0", "1", "customer-says-late")


def test_d9_the_last_answer_within_a_follow_up_counts() -> None:
    told = order(*PUNCTUAL)
    corrected = call(
        completed("03-05 10:00", on_time=False),
        completed("03-06 10:00", on_time=True),
        completed("03-07 10:00", on_time=None),
        own=(scheduled(),),
    )
    assert outcome(RATE, told, corrected) == ON_TIME


def test_d9_h20_no_in_any_one_suffices() -> None:
    second = call(completed("03-14 10:00", on_time=False), own=(scheduled(kind="second"),))
    assert outcome(RATE, order(*PUNCTUAL), says(on_time=True), second)[2] == "customer-says-late"


def test_d9_whatever_became_of_the_follow_up_later() -> None:
    gone = call(
        completed("03-05 10:00", on_time=False),
        own=(scheduled(), withdrawn("03-06 10:00", "no-anchor")),
    )
    assert outcome(RATE, order(*PUNCTUAL), gone)[2] == "customer-says-late"


def test_d10_a_call_that_was_never_scheduled_is_heard() -> None:
    crm = call(completed("03-05 10:00", on_time=False, number="R1"))
    assert crm.ro_number == "R1"
    assert outcome(RATE, order(*PUNCTUAL), crm)[2] == "customer-says-late"


def test_a_follow_up_without_an_answer_says_nothing() -> None:
    told = order(*PUNCTUAL)
    assert outcome(RATE, told, says(on_time=None), call(own=(scheduled(), overdue()))) == ON_TIME


def test_d11_without_a_promise_the_customer_cannot_make_it_late() -> None:
    assert outcome(RATE, order(opened(), settled()), says(on_time=False)) == NOT_JUDGED


def test_d16_reason_codes() -> None:
    late = order(opened(promised="17:00"), settled("17:25"))
    codes = {
        outcome(RATE, order(opened(), settled()))[2],
        outcome(RATE, order(*PUNCTUAL))[2],
        outcome(RATE, late)[2],
        outcome(RATE, order(*EXCUSED))[2],
        outcome(RATE, order(*PUNCTUAL), says(on_time=False))[2],
    }
    assert codes == {
        "no-promise",
        "on-time",
        "late",
        "excused-by-customer",
        "customer-says-late",
    }


def test_d17_the_policy_valid_on_the_settled_day_judges() -> None:
    policies = Policies([ValidPolicy(date(2026, 3, 3), Policy(on_time_grace_minutes=30))])
    for day, expected in (("03-02", "0"), ("03-03", "1")):
        told = order(opened("03-01 09:00", f"{day} 17:00"), settled(f"{day} 17:20"))
        judged = judge_repair_order(
            told, follow_ups=(), comeback_odometers={}, policies=policies, zone=ZONE
        )
        found = next(e for fact in judged for e in fact.entries if e.code == RATE)
        assert str(found.numerator) == expected


# --- The others of the family -------------------------------------------------------------------


def test_d14_all_changes_that_stand_are_counted() -> None:
    told = order(
        opened(promised="17:00"),
        changed("15:00", "18:00", confirmed=False),
        changed("16:00", "18:00", reason="other"),
        settled("17:25"),
        changed("19:00", "20:00"),
    )
    assert outcome("promise_changes_per_visit", told) == ("3", "1", "promise-changed")


def test_promise_coverage() -> None:
    covered = order(opened(promised="17:00"), settled())
    assert outcome("promise_coverage_rate", covered) == ("1", "1", "promised")
    assert outcome("promise_coverage_rate", order(settled())) == ("0", "1", "no-promise")


@pytest.mark.parametrize(
    ("delivered", "expected"),
    [
        ("17:25:30", ("30330", None, "measured")),
        ("09:00", ("0", None, "measured")),
        ("08:59:59", (None, None, "negative-span")),
        ("09:00:00.000001", ("0.000001", None, "measured")),
    ],
)
def test_g8_the_cycle_is_exact_and_never_negative(
    delivered: str, expected: tuple[str | None, None, str]
) -> None:
    told = order(opened("09:00"), settled("18:00", delivered=delivered))
    assert outcome("repair_cycle_hours", told) == expected


def test_the_cycle_of_an_order_that_was_never_opened_is_unknown() -> None:
    assert outcome("repair_cycle_hours", order(settled())) == (None, None, "never-opened")


def test_the_list_is_ordered_by_lateness() -> None:
    late = entry(RATE, order(opened(promised="17:00"), settled("17:25:59")))
    early = entry(RATE, order(opened(promised="17:00"), settled("16:00")))
    assert late is not None
    assert early is not None
    assert (late.sort, early.sort) == (25 * 60, -3600)


# --- The block of the order ---------------------------------------------------------------------


def test_an_order_that_is_not_settled_is_not_judged_yet() -> None:
    told = order(opened(promised="17:00"), changed("15:00", "18:00"))
    found = verdict(told)
    assert (found.verdict, found.reasons) == ("not_judged", ("not-settled",))
    assert found.reference == at("18:00")
    assert found.seqs == (1, 2)
    assert found.explanation.en == (
        "not judged: the order is not settled yet; promised 18:00; "
        "the new time 18:00 instead of 17:00 for an add-on was confirmed by the customer"
    )


def test_an_order_without_a_promise_that_is_not_settled() -> None:
    found = verdict(order(opened()))
    assert (found.verdict, found.reference) == ("not_judged", None)
    assert "no delivery time was promised" in found.explanation.en


def test_c2_a_cancelled_order_is_not_judged() -> None:
    told = order(opened(promised="17:00"), settled("17:25"), cancelled("18:00"))
    found = verdict(told)
    assert (found.verdict, found.reasons) == ("not_judged", ("cancelled",))
    assert found.seqs == (3,)


def test_c5_the_latest_settlement_is_judged() -> None:
    told = order(opened(promised="17:00"), settled("16:00"), settled("17:25"))
    assert outcome(RATE, told) == LATE
    assert "the last of 2 settlements counts" in verdict(told).explanation.en
