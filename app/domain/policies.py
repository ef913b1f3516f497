"""Rules as data: each deadline and threshold with key, default, source and first day of validity.

The keys are those of the KPI definitions (J8). A version of the policy is a whole: judging takes
the one valid on the settled day, windows take the one valid on the anchor's day (D17).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, get_type_hints

NoPromise = Literal["exclude", "count_late"]
UnknownConfirmation = Literal["accept", "reject"]
CustomerCaused = Literal["count_on_time", "exclude", "count_late"]
CustomerReport = Literal["union", "papers"]
Anchor = Literal["delivered_or_settled", "delivered"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What the outside knows a rule by, and where its default comes from."""

    key: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One version of the rules of a store.

    Attributes:
        version: Rises with each change; kept with every window that it set.
        on_time_no_promise: Orders without any promise: in neither part, or late.
        on_time_repromise_reasons: Reasons for which a changed promise replaces the reference.
        on_time_repromise_after_due: Whether one that came after the reference still may.
        on_time_unknown_confirmation: What an absent reason or confirmation is taken for.
        on_time_grace_minutes: Added to the reference.
        on_time_customer_caused: Lateness that the customer signed for.
        on_time_customer_report: Whether a customer who says "late" outweighs the papers.
        rework_window_days: Calendar days after the delivered time in which a comeback counts.
        rework_window_days_by_work_type: Other such windows; see `rework_days`.
        rework_window_km: Most kilometres between delivery and comeback; None: any number.
        follow_up_anchor: What the first call counts from (H1).
        complaint_contact_hours: Elapsed hours from a complaint to the first contact.
    """

    version: int = 1
    on_time_no_promise: Annotated[
        NoPromise, Rule("on_time.no_promise", "KPI definitions, verdict, step 1")
    ] = "exclude"
    on_time_repromise_reasons: Annotated[
        frozenset[str], Rule("on_time.repromise_reasons", "catalogue 2.14, C13")
    ] = frozenset({"add_on"})
    on_time_repromise_after_due: Annotated[
        bool, Rule("on_time.repromise_after_due", "catalogue C13")
    ] = False
    on_time_unknown_confirmation: Annotated[
        UnknownConfirmation,
        Rule("on_time.unknown_confirmation", "KPI definitions, verdict, step 2"),
    ] = "accept"
    on_time_grace_minutes: Annotated[int, Rule("on_time.grace_minutes", "catalogue C14")] = 0
    on_time_customer_caused: Annotated[
        CustomerCaused, Rule("on_time.customer_caused", "catalogue C10")
    ] = "count_on_time"
    on_time_customer_report: Annotated[
        CustomerReport, Rule("on_time.customer_report", "catalogue C11")
    ] = "union"
    rework_window_days: Annotated[int, Rule("rework.window_days", "catalogue C37")] = 30
    rework_window_days_by_work_type: Annotated[
        Mapping[str, int], Rule("rework.window_days", "fine print F9")
    ] = field(default_factory=dict)
    rework_window_km: Annotated[
        Decimal | None, Rule("rework.window_km", "KPI definitions, quality")
    ] = None
    follow_up_anchor: Annotated[Anchor, Rule("follow_up.anchor", "KPI definitions, follow-up")] = (
        "delivered_or_settled"
    )
    follow_up_first_opens_day: Annotated[
        int, Rule("follow_up.first.opens_day", "catalogue 2.4, C1")
    ] = 3
    follow_up_first_target_day: Annotated[
        int, Rule("follow_up.first.target_day", "catalogue 2.4, C1")
    ] = 3
    follow_up_first_due_day: Annotated[
        int, Rule("follow_up.first.due_day", "catalogue 2.4, C1")
    ] = 7
    follow_up_second_opens_day: Annotated[
        int, Rule("follow_up.second.opens_day", "catalogue 2.5, C2")
    ] = 7
    follow_up_second_due_day: Annotated[
        int, Rule("follow_up.second.due_day", "catalogue 2.5, C2")
    ] = 14
    complaint_contact_hours: Annotated[
        int, Rule("complaint.contact_hours", "catalogue 2.18, C9")
    ] = 24

    def rework_days(self, work_type: str | None) -> int:
        """Days in which a comeback of an order of that type counts (F9)."""
        if work_type is None:
            return self.rework_window_days
        return self.rework_window_days_by_work_type.get(work_type, self.rework_window_days)

    def as_dict(self) -> dict[str, Any]:
        """The values by their keys; a work type's own window has the type as last part."""
        values: dict[str, Any] = {}
        for name, rule in _RULES.items():
            value = getattr(self, name)
            if isinstance(value, Mapping):
                values.update({f"{rule.key}.{part}": value[part] for part in sorted(value)})
            else:
                values[rule.key] = sorted(value) if isinstance(value, frozenset) else value
        return values


def _rules() -> dict[str, Rule]:
    hints = get_type_hints(Policy, include_extras=True)
    return {
        name: rule
        for name, hint in hints.items()
        for rule in getattr(hint, "__metadata__", ())
        if isinstance(rule, Rule)
    }


_RULES: Final = _rules()
SOURCES: Final[Mapping[str, str]] = {rule.key: rule.source for rule in reversed(_RULES.values())}


DEFAULT_POLICY: Final = Policy()


@dataclass(frozen=True, slots=True)
class ValidPolicy:
    """A version of the policy and the first local day on which it is valid."""

    valid_from: date
    policy: Policy


class Policies:
    """All versions of the policy of a store."""

    __slots__ = ("_versions",)

    def __init__(self, versions: Iterable[ValidPolicy] = ()) -> None:
        self._versions = sorted(
            versions, key=lambda version: (version.valid_from, version.policy.version)
        )

    def valid_on(self, day: date) -> Policy:
        """The version in force on that local day; the default before the first version."""
        valid = DEFAULT_POLICY
        for version in self._versions:
            if version.valid_from > day:
                break
            valid = version.policy
        return valid


DEFAULT_POLICIES: Final = Policies()
