"""Every number opens: the verdict in words, in both languages, and the events that decided it."""

import re
from decimal import Decimal

import pytest

from app.domain.kpis.explain import explain_complaint, explain_timecard
from app.domain.kpis.promises import reference_in_force
from app.domain.kpis.registry import KPIS
from app.domain.kpis.visit import settled_day
from app.domain.policies import DEFAULT_POLICY, Policy
from tests.unit.kpis.shop import (
    DAY,
    ZONE,
    Told,
    assessed,
    assigned,
    at,
    authorized,
    call,
    came_back,
    cancelled,
    changed,
    complained,
    complaint,
    completed,
    contacted,
    dispatched,
    handed_over,
    inspected,
    noted,
    opened,
    order,
    overdue,
    reviewed,
    says,
    scheduled,
    settled,
    timecard,
    verdict,
    why,
    why_call,
    withdrawn,
    worked,
)

RATE = "on_time_delivery_rate"


def test_the_example_of_the_design() -> None:
    told = order(
        opened(promised="17:00"), changed("16:00", "18:00", confirmed=False), settled("17:25")
    )
    for found in (verdict(told), why(RATE, told)):
        assert found.verdict == "late"
        assert found.reasons == ("late",)
        assert found.explanation.en == (
            "late: promised 17:00, delivered 17:25; "
            "the new time 18:00 was never confirmed by the customer"
        )
        assert (
            found.explanation.zh == "迟交：承诺17:00交车，实际17:25交车；新时间18:00未经客户确认"
        )
        assert found.seqs == (1, 2, 3)


def test_dates_are_said_where_they_differ() -> None:
    told = order(opened(promised="17:00"), settled("03-03 09:10"))
    assert verdict(told).explanation.en == (
        "late: promised 2026-03-02 17:00, delivered 2026-03-03 09:10"
    )


@pytest.mark.parametrize(
    ("story", "policy", "en", "zh"),
    [
        (
            (changed("16:00", "18:00"),),
            DEFAULT_POLICY,
            (
                "on time: promised 18:00, delivered 17:25; "
                "the new time 18:00 instead of 17:00 for an add-on was confirmed by the customer"
            ),
            "准时：承诺18:00交车，实际17:25交车；因增项将17:00改为18:00，已经客户确认",
        ),
        (
            (changed("17:10", "18:00", reason="shop_delay"),),
            DEFAULT_POLICY,
            (
                "late: promised 17:00, delivered 17:25; the new time 18:00 was given for a delay "
                "in the shop, which does not move a promise, and came when "
                "17:00 had already passed"
            ),
            (
                "迟交：承诺17:00交车，实际17:25交车；新时间18:00原因是车间延误，不能变更承诺，"
                "且提出时17:00已过"
            ),
        ),
        (
            (changed("16:00", "18:00", reason=None, confirmed=None),),
            Policy(on_time_unknown_confirmation="reject"),
            (
                "late: promised 17:00, delivered 17:25; the new time 18:00 has no known reason, "
                "and is not known to be confirmed by the customer"
            ),
            "迟交：承诺17:00交车，实际17:25交车；新时间18:00原因未知，且不知客户是否确认",
        ),
        (
            (noted("17:30", signed=False),),
            DEFAULT_POLICY,
            (
                "late: promised 17:00, delivered 17:25; "
                "a note of the customer's own delay was not signed"
            ),
            "迟交：承诺17:00交车，实际17:25交车；客户原因的备注未经客户签字",
        ),
        (
            (noted("17:30"), reviewed("18:00", accepted=False)),
            DEFAULT_POLICY,
            (
                "late: promised 17:00, delivered 17:25; "
                "the customer's signed note was rejected in the spot check"
            ),
            "迟交：承诺17:00交车，实际17:25交车；客户签字的备注被抽查驳回",
        ),
        (
            (noted("17:30"),),
            DEFAULT_POLICY,
            (
                "excused: promised 17:00, delivered 17:25; the customer signed that the delay was "
                "on the customer's side, so it counts as on time"
            ),
            "免责：承诺17:00交车，实际17:25交车；客户已签字确认延误由客户造成，按准时计算",
        ),
        (
            (noted("17:30"),),
            Policy(on_time_customer_caused="exclude"),
            (
                "excused: promised 17:00, delivered 17:25; the customer signed that the delay was "
                "on the customer's side, so it is left out"
            ),
            "免责：承诺17:00交车，实际17:25交车；客户已签字确认延误由客户造成，不计入",
        ),
        (
            (noted("17:30"),),
            Policy(on_time_customer_caused="count_late"),
            (
                "late: promised 17:00, delivered 17:25; "
                "the customer signed for the delay, which by the policy excuses nothing"
            ),
            "迟交：承诺17:00交车，实际17:25交车；客户已签字认可延误，但按规则不免责",
        ),
    ],
)
def test_what_moved_the_promise_and_what_did_not(
    story: tuple[Told, ...], policy: Policy, en: str, zh: str
) -> None:
    told = order(opened(promised="17:00"), *story, settled("17:25"))
    found = verdict(told, policy=policy)
    assert found.explanation.en == en
    assert found.explanation.zh == zh


def test_causes_without_a_name_of_their_own() -> None:
    told = order(
        opened(promised="17:00"), changed("16:00", "18:00", reason="other"), settled("17:25")
    )
    assert "was given for another reason" in verdict(told).explanation.en


def test_promises_that_came_too_early_or_too_late_for_the_walk() -> None:
    told = order(
        opened("08:00"),
        changed("08:30", "20:00"),
        authorized("09:00", "17:00"),
        settled("17:00"),
        changed("17:30", "18:00"),
    )
    words = verdict(told).explanation
    assert "the change to 20:00 came before the first promise and has no effect" in words.en
    assert "18:00 was promised only after the delivery" in words.en


def test_no_promise_under_both_policies() -> None:
    told = order(opened(), settled("17:25"))
    assert verdict(told).explanation.en == "not judged: no delivery time was promised"
    late = verdict(told, policy=Policy(on_time_no_promise="count_late"))
    assert late.explanation.en == (
        "late: no delivery time was promised; by the policy an order without a promise is late"
    )


def test_never_opened() -> None:
    assert "the opening was never reported" in verdict(order(settled())).explanation.en
    told = order(authorized("09:00", "17:00"), settled("17:25"))
    assert verdict(told).explanation.en == (
        "not judged: the opening was never reported; promised 17:00, delivered 17:25"
    )


def test_the_customers_word() -> None:
    told = order(opened(promised="17:00"), settled("17:00"))
    late = verdict(told, says(on_time=False))
    assert late.explanation.en == (
        "late: promised 17:00, delivered 17:00; the customer said in a follow-up that it was late"
    )
    policy = Policy(on_time_customer_report="papers")
    shown = verdict(told, says(on_time=False), policy=policy)
    assert "which does not count under the policy papers" in shown.explanation.en
    noted_too = order(opened(promised="17:00"), settled("17:00"), noted("16:00"))
    flagged = verdict(noted_too, says(on_time=False))
    assert "the signed note stands" in flagged.explanation.en
    assert flagged.seqs == (1, 2, 3)


def test_the_answer_that_decided_is_named() -> None:
    told = order(opened(promised="17:00"), settled("17:00"))
    answered = call(
        completed("03-05 10:00"),
        completed("03-06 10:00", on_time=False),
        completed("03-07 10:00"),
        own=(scheduled(),),
    )
    assert verdict(told, answered, says(on_time=True)).seqs == (1, 2, 3)


def test_the_note_and_its_review_are_named() -> None:
    told = order(
        opened(promised="17:00"),
        settled("17:25"),
        noted("17:30", signed=False),
        noted("17:40"),
        reviewed("18:00", accepted=True),
    )
    assert verdict(told).seqs == (1, 2, 4, 5)


def test_f5_several_settlements_are_said() -> None:
    moved = order(opened(promised="17:00"), settled("16:00"), settled("17:25"))
    assert "its own time is the delivered time" in verdict(moved).explanation.en
    sheet = order(opened(promised="17:00"), settled("16:00"), settled("19:00", delivered="17:25"))
    assert verdict(sheet).explanation.en.endswith("the last of 2 settlements counts")


def test_the_reference_in_force_of_an_open_and_of_a_settled_order() -> None:
    told = order(opened(promised="17:00"), changed("16:00", "18:00"))
    assert reference_in_force(told, DEFAULT_POLICY) == at("18:00")
    told = order(opened(promised="17:00"), settled("15:00"), changed("16:00", "18:00"))
    assert reference_in_force(told, DEFAULT_POLICY) == at("17:00")
    assert reference_in_force(order(opened()), DEFAULT_POLICY) is None


def test_the_settled_day() -> None:
    assert settled_day(order(opened(), settled("03-04 09:00", delivered="23:59")), ZONE) == DAY
    assert settled_day(order(opened()), ZONE) is None
    assert settled_day(order(opened(), settled(), cancelled("18:00")), ZONE) is None


# --- Every KPI ----------------------------------------------------------------------------------

STORY = (
    opened("09:00", "17:00", odometer="1000"),
    dispatched("09:12"),
    inspected("16:00", passed=False),
    inspected("16:30"),
    settled(
        "17:25",
        amounts={"labor": "500", "parts": "200.50"},
        costs={"parts": "150"},
        billed="2.2",
        clocked="2",
        requested=4,
        filled=3,
    ),
    came_back("03-10 09:00", "R2"),
    assessed("03-10 11:00", "diagnosis", technician="T09"),
)

EXPECTED: dict[str, tuple[str, str]] = {
    "on_time_first_promise_rate": ("late", "late: first promised 17:00, delivered 17:25"),
    "promise_changes_per_visit": ("denominator", "the promise was never changed"),
    "promise_coverage_rate": ("both_parts", "in both parts: promised 17:00"),
    "excused_late_count": ("not_counted", "not counted: no excused lateness; late: promised"),
    "repair_cycle_hours": (
        "counted",
        "counted: opened 2026-03-02 09:00, delivered 2026-03-02 17:25: 8 h 25 min",
    ),
    "external_rework_rate": (
        "both_parts",
        "in both parts: the comeback of 2026-03-10 09:00 (R2) counts: diagnosis, responsible T09",
    ),
    "internal_rework_rate": ("both_parts", "in both parts: 1 of 2 inspections not passed"),
    "rework_rate": ("both_parts", "1 of 2 inspections not passed; the comeback of"),
    "first_time_fix_rate": ("denominator", "in the denominator only: the comeback of"),
    "quality_containment_rate": ("both_parts", "1 of 2 inspections not passed; the comeback of"),
    "arrivals": ("counted", "counted: opened 2026-03-02 09:00"),
    "visits_settled": ("counted", "counted: a visit, delivered 2026-03-02 17:25"),
    "repair_revenue": ("counted", "counted: revenue labor 500 + parts 200.5 = 700.5"),
    "revenue_per_visit": ("both_parts", "revenue labor 500 + parts 200.5 = 700.5"),
    "gross_margin": ("both_parts", "= 700.5; costs parts 150"),
    "revenue_growth": ("counted", "counted: revenue labor 500 + parts 200.5 = 700.5"),
    "labor_efficiency": ("both_parts", "in both parts: billed 2.2 h, clocked 2 h"),
    "dispatch_minutes": (
        "counted",
        "counted: opened 2026-03-02 09:00, dispatched 2026-03-02 09:12: 12 min",
    ),
    "parts_fill_rate": (
        "denominator",
        "in the denominator only: 3 of 4 requested lines supplied",
    ),
    "parts_shortage_rate": ("both_parts", "in both parts: 3 of 4 requested lines supplied"),
    "complaint_rate": ("denominator", "in the denominator only: a visit, delivered"),
}


@pytest.mark.parametrize("code", EXPECTED)
def test_an_order_opens_in_every_kpi(code: str) -> None:
    found = why(code, order(*STORY))
    expected, words = EXPECTED[code]
    assert found.verdict == expected
    assert words in found.explanation.en
    assert re.search(r"[一-鿿]", found.explanation.zh)
    assert list(found.seqs) == sorted(found.seqs)
    assert found.seqs


@pytest.mark.parametrize("code", KPIS)
def test_c2_a_cancelled_order_opens_in_none(code: str) -> None:
    found = why(code, order(*STORY, cancelled("03-11 09:00")))
    assert (found.verdict, found.reasons) == ("not_counted", ("cancelled",))
    assert found.seqs == (8,)


@pytest.mark.parametrize("code", KPIS)
def test_an_order_that_nothing_is_known_of_opens_too(code: str) -> None:
    found = why(code, order(handed_over("09:00")))
    assert found.verdict == "not_counted"
    expected = {"arrivals": "never-opened", "dispatch_minutes": "not-dispatched"}
    other = "not-settled" if "settled" in KPIS[code].bases else "unrelated"
    assert found.reasons == (expected.get(code, other),)


@pytest.mark.parametrize("code", KPIS)
def test_a_bare_settlement_opens_too(code: str) -> None:
    found = why(code, order(settled()))
    assert found.explanation.en
    assert found.explanation.zh


def test_first_promise_in_words() -> None:
    code = "on_time_first_promise_rate"
    assert why(code, order(opened(promised="17:00"), settled())).verdict == "on_time"
    none = why(code, order(opened(), settled()))
    assert (none.verdict, none.reasons) == ("not_judged", ("no-promise",))
    unopened = why(code, order(authorized("09:00", "17:00"), settled()))
    assert unopened.explanation.en == (
        "not judged: the opening was never reported; first promised 17:00, delivered 17:00"
    )


def test_changes_and_excuses_in_words() -> None:
    told = order(
        opened(promised="17:00"), changed("16:00", "17:10"), settled("17:25"), noted("17:30")
    )
    assert "the promise was changed 1 time" in (
        why("promise_changes_per_visit", told).explanation.en
    )
    assert why("excused_late_count", told).explanation.en.startswith(
        "counted: late, and the customer signed"
    )
    assert why("promise_coverage_rate", order(opened(), settled())).explanation.en == (
        "in the denominator only: no delivery time was promised"
    )


@pytest.mark.parametrize(
    ("delivered", "words"),
    [
        ("08:00", "not counted: the end lies before the start; opened"),
        ("09:00", "delivered 2026-03-02 09:00: 0 min"),
        ("10:00:05", "delivered 2026-03-02 10:00: 1 h 5 s"),
    ],
)
def test_spans_in_words(delivered: str, words: str) -> None:
    told = order(opened("09:00"), settled("18:00", delivered=delivered))
    assert words in why("repair_cycle_hours", told).explanation.en


def test_dispatch_in_words() -> None:
    code = "dispatch_minutes"
    negative = order(opened("09:00"), dispatched("08:00"))
    assert why(code, negative).explanation.en.startswith("not counted: the end lies before")
    by_signature = order(authorized("08:50"), opened("09:00"), dispatched("09:00"))
    assert "authorized 2026-03-02 08:50" in why(code, by_signature).explanation.en
    assert why(code, by_signature).seqs == (1, 3)
    assert why(code, order(dispatched("09:00"))).reasons == ("no-start",)


@pytest.mark.parametrize(
    ("story", "words"),
    [
        ((), "no comeback was reported"),
        ((came_back("03-10 09:00"),), "the comeback of 2026-03-10 09:00 is not assessed yet"),
        (
            (came_back("03-10 09:00"), assessed("03-10 10:00", "not_rework", "R2")),
            "the comeback of 2026-03-10 09:00 (R2) does not count: not rework",
        ),
        (
            (came_back("04-10 09:00"), assessed("04-10 10:00", technician="T1", team="B1")),
            (
                "was reported after 2026-04-01, the last of 30 days, and does not count: "
                "workmanship, responsible T1, B1"
            ),
        ),
    ],
)
def test_comebacks_in_words(story: tuple[Told, ...], words: str) -> None:
    told = order(opened(), settled("17:00"), *story)
    assert words in why("external_rework_rate", told).explanation.en


def test_a_comeback_too_far_away_in_words() -> None:
    told = order(
        opened(odometer="1000"),
        settled("17:00"),
        came_back("03-10 09:00", "R2"),
        assessed("03-10 10:00"),
    )
    policy = Policy(rework_window_km=Decimal(500))
    found = why("rework_rate", told, policy=policy, odometers={"R2": Decimal("1500.5")})
    assert "came after 500.5 km, more than 500, and does not count" in found.explanation.en


def test_quality_without_its_subject_in_words() -> None:
    told = order(opened(work_type="accident"), settled())
    assert why("first_time_fix_rate", told).explanation.en == (
        "not counted: neither an ordinary repair nor warranty work"
    )
    assert why("internal_rework_rate", told).explanation.en == (
        "not counted: no inspection was reported"
    )


def test_money_hours_and_parts_that_are_missing_in_words() -> None:
    told = order(opened(), settled(requested=1))
    assert why("gross_margin", told).explanation.en == (
        "not counted: revenue 0; the settlement carries no costs"
    )
    assert why("labor_efficiency", told).explanation.en == "not counted: billed ? h, clocked ? h"
    assert why("parts_fill_rate", told).explanation.en == (
        "in the denominator only: 1 line requested, how many came is not known"
    )
    assert why("parts_fill_rate", order(opened(), settled())).reasons == ("no-parts-requested",)


def test_a_code_that_is_none() -> None:
    with pytest.raises(KeyError):
        why("no_such_rate", order(opened()))


# --- Follow-ups, complaints, timecards ----------------------------------------------------------


def test_a_call_in_words() -> None:
    made = call(completed("03-05 10:00"), own=(scheduled(),))
    found = why_call("follow_up_on_time_rate", made)
    assert found.verdict == "both_parts"
    assert found.explanation.en == (
        "in both parts: the call was completed within its window; opens 2026-03-05 00:00:00; "
        "due 2026-03-09 23:59:59; completed 2026-03-05 10:00:00"
    )
    assert found.seqs == (1, 2)
    target = why_call("follow_up_target_rate", made)
    assert "target 2026-03-05 23:59:59" in target.explanation.en


def test_a_missed_call_in_words() -> None:
    missed = call(own=(scheduled(), overdue()))
    found = why_call("follow_up_rate", missed)
    assert found.verdict == "denominator"
    assert found.explanation.zh == "仅计入分母：回访到期未完成；2026-03-09 23:59:59到期"
    assert found.seqs == (1, 2)


def test_a_cancelled_call_in_words() -> None:
    gone = call(withdrawn("03-06 10:00", "moved away"), own=(scheduled(),))
    found = why_call("follow_up_rate", gone)
    assert "reason: moved away" in found.explanation.en
    assert found.seqs == (1, 2)
    told = order(opened(), settled(), cancelled("18:00"))
    of_order = why_call("follow_up_rate", call(own=(scheduled(),)), told)
    assert "its repair order is cancelled" in of_order.explanation.en
    assert of_order.seqs == (1, 3)


def test_calls_that_a_kpi_is_not_about_in_words() -> None:
    second = call(own=(scheduled(kind="second"),))
    assert why_call("follow_up_rate", second).reasons == ("other-kind",)
    assert why_call("follow_up_on_time_rate", second).reasons == ("not-due",)
    other = call(own=(scheduled(kind="consultation"),))
    assert why_call("follow_up_rate", other).reasons == ("other-kind",)
    assert why_call("arrivals", other).reasons == ("unrelated",)


def test_a_call_without_a_window_in_words() -> None:
    never = call(assigned("03-03 09:00", "C01"))
    assert why_call("follow_up_on_time_rate", never).reasons == ("no-window",)
    lost = call(own=(scheduled(), withdrawn("03-06 10:00", "no-anchor")))
    assert why_call("follow_up_rate", lost).reasons == ("no-window",)


def test_complaints_in_words() -> None:
    told = complaint(complained("18:00", "quality", "R1"))
    found = explain_complaint("complaint_rate", told, None, zone=ZONE)
    assert found.verdict == "numerator"
    assert found.explanation.en == (
        "in the numerator: complaint opened 2026-03-02 18:00, quality, R1"
    )
    plain = explain_complaint("complaint_rate", complaint(complained("18:00")), None, zone=ZONE)
    assert plain.explanation.en == "in the numerator: complaint opened 2026-03-02 18:00"
    unknown = explain_complaint("complaint_rate", complaint(contacted("18:00")), None, zone=ZONE)
    assert unknown.reasons == ("never-opened",)
    unrelated = explain_complaint("arrivals", told, None, zone=ZONE)
    assert unrelated.reasons == ("unrelated",)


def test_timecards_in_words() -> None:
    card = timecard(worked("18:00", "8", "6.8"))
    found = explain_timecard("labor_utilization", card)
    assert found.explanation.en == "in both parts: clocked 6.8 h of 8 h attended"
    without = timecard(worked("18:00", "8", None))
    assert explain_timecard("labor_utilization", without).reasons == ("hours-missing",)
    assert explain_timecard("arrivals", card).reasons == ("unrelated",)
