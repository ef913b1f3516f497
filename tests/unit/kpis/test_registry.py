"""The registry: every KPI of the slice, complete and consistent with what the judge writes."""

import re

from app.domain.kpis.reasons import REASONS
from app.domain.kpis.registry import KPIS
from app.domain.policies import DEFAULT_POLICY
from tests.unit.kpis.shop import dispatched, facts, noted, opened, order, settled

CODES = [
    *("on_time_delivery_rate", "on_time_first_promise_rate", "promise_changes_per_visit"),
    *("promise_coverage_rate", "excused_late_count", "repair_cycle_hours"),
    *("external_rework_rate", "internal_rework_rate", "rework_rate"),
    *("first_time_fix_rate", "quality_containment_rate"),
    *("arrivals", "visits_settled", "repair_revenue"),
    *("revenue_per_visit", "gross_margin", "revenue_growth"),
    *("labor_efficiency", "labor_utilization", "dispatch_minutes"),
    *("parts_fill_rate", "parts_shortage_rate"),
    *("follow_up_rate", "follow_up_on_time_rate", "follow_up_target_rate"),
    "complaint_rate",
]


def test_j8_codes_in_the_order_of_the_definitions() -> None:
    assert list(KPIS) == CODES
    assert [kpi.code for kpi in KPIS.values()] == CODES


def test_every_kpi_speaks_both_languages_and_has_a_contract() -> None:
    for kpi in KPIS.values():
        for words in (kpi.name, kpi.formula, kpi.family):
            assert words.en
            assert re.search(r"[一-鿿]", words.zh)
        assert kpi.contract.endswith(".")
        assert "Base of the KPIs" not in kpi.contract
        assert kpi.source.startswith("design/kpis.md")
        assert kpi.grains[0] == "store"


def test_targets() -> None:
    targets = {code: str(kpi.target) for code, kpi in KPIS.items() if kpi.target is not None}
    assert targets == {
        "on_time_delivery_rate": "0.96",
        "external_rework_rate": "0.005",
        "rework_rate": "0.03",
        "labor_efficiency": "1.10",
        "labor_utilization": "0.85",
        "parts_fill_rate": "0.95",
        "parts_shortage_rate": "0.05",
        "follow_up_rate": "0.30",
    }
    assert all(kpi.direction for kpi in KPIS.values() if kpi.target is not None)


def test_policy_keys_exist() -> None:
    known = set(DEFAULT_POLICY.as_dict())
    for kpi in KPIS.values():
        assert set(kpi.policy_keys) <= known


def test_growth_names_the_sums_that_it_is_computed_from() -> None:
    for kpi in KPIS.values():
        assert (kpi.sums_of is not None) == (kpi.aggregation == "growth")
        assert kpi.sums_of is None or KPIS[kpi.sums_of].aggregation == "sum"


def test_the_judge_writes_each_kpi_on_its_own_basis_in_its_own_form() -> None:
    told = order(
        opened("09:00", "17:00"),
        dispatched("09:10"),
        settled("17:25", amounts={"labor": "1"}, costs={"labor": "1"}, billed="1", clocked="1"),
        noted("17:30"),
    )
    seen = set()
    for fact in facts(told).values():
        codes = [entry.code for entry in fact.entries]
        assert len(codes) == len(set(codes))
        for entry in fact.entries:
            kpi = KPIS[entry.code]
            seen.add(entry.code)
            assert fact.basis in kpi.bases
            assert entry.reason in REASONS
            if entry.counted:
                assert (entry.denominator is not None) == (kpi.aggregation == "ratio")
    by_order = {code for code, kpi in KPIS.items() if kpi.bases not in {("due",), ("work",)}}
    assert seen == by_order - {"revenue_growth"}


def test_reasons_speak_both_languages() -> None:
    for code, words in REASONS.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert words.en
        assert re.search(r"[一-鿿]", words.zh)
