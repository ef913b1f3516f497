"""Short words for the stories of these tests: what happened in a shop in Shanghai, and when.

A time is "17:00" (2 March 2026, a Monday), "03-04 17:00" or "03-04 17:00:59", local to the store.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import cast
from zoneinfo import ZoneInfo

from app.domain.complaint import Complaint
from app.domain.events.complaint import ComplaintContacted, ComplaintOpened
from app.domain.events.envelope import OWN_SOURCE, Event, Kind
from app.domain.events.follow_up import (
    FollowUpAssigned,
    FollowUpCancelled,
    FollowUpCompleted,
    FollowUpOverdue,
    FollowUpScheduled,
)
from app.domain.events.payload import Payload
from app.domain.events.repair_order import (
    Amounts,
    RepairOrderAuthorized,
    RepairOrderCancelled,
    RepairOrderComebackAssessed,
    RepairOrderComebackReported,
    RepairOrderCustomerDelayNoted,
    RepairOrderDelayReviewed,
    RepairOrderDelivered,
    RepairOrderDispatched,
    RepairOrderInspected,
    RepairOrderOpened,
    RepairOrderPromiseChanged,
    RepairOrderSettled,
    RepairOrderWorkCompleted,
    RepairOrderWorkStarted,
)
from app.domain.events.staff import StaffTimecardRecorded
from app.domain.fold import State, fold
from app.domain.follow_up import FollowUp
from app.domain.kpis.explain import explain_follow_up, explain_repair_order, on_time
from app.domain.kpis.facts import Fact, FactEntry
from app.domain.kpis.judge import judge_follow_up, judge_repair_order
from app.domain.kpis.verdict import OnTime, Verdict
from app.domain.policies import DEFAULT_POLICY, Policies, Policy, ValidPolicy
from app.domain.repair_order import RepairOrder
from app.domain.staff import Timecard

ZONE = ZoneInfo("Asia/Shanghai")
DAY = date(2026, 3, 2)

Told = tuple[str, Payload]


def at(text: str) -> datetime:
    """An instant of a story, UTC."""
    if " " not in text:
        text = f"03-02 {text}"
    form = "%Y-%m-%d %H:%M:%S" if text.count(":") == 2 else "%Y-%m-%d %H:%M"
    if "." in text:
        form += ".%f"
    return datetime.strptime(f"2026-{text}", form).replace(tzinfo=ZONE).astimezone(UTC)


def maybe(text: str | None) -> datetime | None:
    return None if text is None else at(text)


def maybe_number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def tell(kind: Kind, key: str, *told: Told, source: str = "/dms") -> list[Event]:
    """The events of one subject, seq 1, 2, 3 ... in the order in which they are told."""
    return [
        Event(
            store_id="SH01",
            seq=seq,
            source=source,
            id=f"e{seq}",
            type="as.told",
            kind=kind,
            key=key,
            subject=key.split("/", maxsplit=1)[0],
            occurred_at=at(time),
            recorded_at=at(time),
            schema_version=1,
            payload=payload,
        )
        for seq, (time, payload) in enumerate(told, start=1)
    ]


def _state(kind: Kind, key: str, events: list[Event]) -> State:
    state = fold(kind, key, events)
    assert state is not None
    return state


# --- Repair orders ------------------------------------------------------------------------------


def order(*told: Told, number: str = "R1") -> RepairOrder:
    return cast(
        "RepairOrder", _state(Kind.REPAIR_ORDER, number, tell(Kind.REPAIR_ORDER, number, *told))
    )


def opened(
    time: str = "09:00",
    promised: str | None = None,
    work_type: str = "ordinary_repair",
    advisor: str = "A01",
    odometer: str | None = None,
) -> Told:
    return time, RepairOrderOpened.model_validate(
        {
            "work_type": work_type,
            "advisor": advisor,
            "promised_at": maybe(promised),
            "odometer_km": maybe_number(odometer),
        }
    )


def authorized(time: str, promised: str | None = None) -> Told:
    return time, RepairOrderAuthorized.model_validate({"promised_at": maybe(promised)})


def changed(
    time: str, promised: str, reason: str | None = "add_on", confirmed: bool | None = True
) -> Told:
    return time, RepairOrderPromiseChanged.model_validate(
        {"promised_at": at(promised), "reason": reason, "confirmed_by_customer": confirmed}
    )


def dispatched(time: str, technician: str = "T01", team: str | None = "B1") -> Told:
    return time, RepairOrderDispatched.model_validate({"technician": technician, "team": team})


def work_started(time: str, technician: str | None = None) -> Told:
    return time, RepairOrderWorkStarted.model_validate({"technician": technician})


def work_completed(time: str, technician: str | None = None) -> Told:
    return time, RepairOrderWorkCompleted.model_validate({"technician": technician})


def inspected(time: str, passed: bool = True, level: int = 1) -> Told:
    return time, RepairOrderInspected.model_validate(
        {"level": level, "inspector": "I01", "passed": passed}
    )


def settled(
    time: str = "17:00",
    delivered: str | None = None,
    amounts: Mapping[str, str] | None = None,
    costs: Mapping[str, str] | None = None,
    billed: str | None = None,
    clocked: str | None = None,
    requested: int | None = None,
    filled: int | None = None,
) -> Told:
    return time, RepairOrderSettled.model_validate(
        {
            "amounts": Amounts.model_validate(amounts or {}),
            "costs": None if costs is None else Amounts.model_validate(costs),
            "billed_hours": maybe_number(billed),
            "clocked_hours": maybe_number(clocked),
            "parts_requested": requested,
            "parts_filled": filled,
            "delivered_at": maybe(delivered),
        }
    )


def handed_over(time: str, odometer: str | None = None) -> Told:
    return time, RepairOrderDelivered.model_validate({"odometer_km": maybe_number(odometer)})


def noted(time: str, signed: bool = True) -> Told:
    return time, RepairOrderCustomerDelayNoted.model_validate({"note": "说明", "signed": signed})


def reviewed(time: str, accepted: bool) -> Told:
    return time, RepairOrderDelayReviewed.model_validate({"accepted": accepted, "reviewer": "M01"})


def came_back(time: str, number: str | None = None) -> Told:
    return time, RepairOrderComebackReported.model_validate({"comeback_ro": number})


def assessed(
    time: str,
    verdict: str = "workmanship",
    number: str | None = None,
    technician: str | None = None,
    team: str | None = None,
) -> Told:
    return time, RepairOrderComebackAssessed.model_validate(
        {"verdict": verdict, "comeback_ro": number, "technician": technician, "team": team}
    )


def cancelled(time: str) -> Told:
    return time, RepairOrderCancelled.model_validate({})


# --- Follow-ups, complaints, timecards ----------------------------------------------------------


def call(*told: Told, own: tuple[Told, ...] = ()) -> FollowUp:
    """A follow-up: what the service wrote first, then what was posted."""
    events = tell(Kind.FOLLOW_UP, "f1", *own, *told)
    for event in events[: len(own)]:
        event.source = OWN_SOURCE
    return cast("FollowUp", _state(Kind.FOLLOW_UP, "f1", events))


def scheduled(
    opens: str = "03-05 00:00",
    due: str = "03-09 23:59:59",
    target: str | None = "03-05 23:59:59",
    kind: str = "first",
    number: str | None = "R1",
    missed: bool = False,
) -> Told:
    return "03-02 17:00", FollowUpScheduled.model_validate(
        {
            "kind": kind,
            "ro_number": number,
            "opens_at": at(opens),
            "target_at": maybe(target),
            "due_at": at(due),
            "missed_on_arrival": missed,
        }
    )


def overdue(due: str = "03-09 23:59:59") -> Told:
    return due, FollowUpOverdue.model_validate({"due_at": at(due)})


def withdrawn(time: str, reason: str) -> Told:
    return time, FollowUpCancelled.model_validate({"reason": reason})


def completed(
    time: str, on_time: bool | None = None, by: str = "C01", number: str | None = None
) -> Told:
    return time, FollowUpCompleted.model_validate(
        {
            "by": by,
            "channel": "phone",
            "outcome": "reached",
            "customer_says_on_time": on_time,
            "ro_number": number,
        }
    )


def assigned(time: str, assignee: str) -> Told:
    return time, FollowUpAssigned.model_validate({"assignee": assignee})


def says(*, on_time: bool | None, time: str = "03-05 10:00") -> FollowUp:
    """A call in which the customer said whether the car was ready on time."""
    return call(completed(time, on_time), own=(scheduled(),))


def complaint(*told: Told) -> Complaint:
    events = tell(Kind.COMPLAINT, "c1", *told)
    return cast("Complaint", _state(Kind.COMPLAINT, "c1", events))


def complained(time: str, nature: str | None = None, number: str | None = None) -> Told:
    return time, ComplaintOpened.model_validate(
        {"channel": "phone", "nature": nature, "ro_number": number, "text": "内容"}
    )


def contacted(time: str) -> Told:
    return time, ComplaintContacted.model_validate({"by": "C01", "channel": "phone"})


def timecard(*told: Told) -> Timecard:
    events = tell(Kind.TIMECARD, "T01/2026-03-02", *told)
    return cast("Timecard", _state(Kind.TIMECARD, "T01/2026-03-02", events))


def worked(time: str, attended: str, clocked: str | None, team: str | None = None) -> Told:
    return time, StaffTimecardRecorded.model_validate(
        {"work_date": DAY, "attended_hours": attended, "clocked_hours": clocked, "team": team}
    )


# --- The judge ----------------------------------------------------------------------------------


def always(policy: Policy) -> Policies:
    return Policies([ValidPolicy(date.min, policy)])


def facts(
    repair_order: RepairOrder,
    *follow_ups: FollowUp,
    policy: Policy = DEFAULT_POLICY,
    odometers: Mapping[str, Decimal] | None = None,
) -> dict[str, Fact]:
    """The facts of an order by basis."""
    judged = judge_repair_order(
        repair_order,
        follow_ups=follow_ups,
        comeback_odometers=odometers or {},
        policies=always(policy),
        zone=ZONE,
    )
    return {fact.basis: fact for fact in judged}


def entry(
    code: str,
    repair_order: RepairOrder,
    *follow_ups: FollowUp,
    policy: Policy = DEFAULT_POLICY,
    odometers: Mapping[str, Decimal] | None = None,
) -> FactEntry | None:
    """What an order gives to a KPI."""
    by_basis = facts(repair_order, *follow_ups, policy=policy, odometers=odometers)
    found = [one for fact in by_basis.values() for one in fact.entries if one.code == code]
    assert len(found) <= 1
    return found[0] if found else None


def outcome(
    code: str,
    repair_order: RepairOrder,
    *follow_ups: FollowUp,
    policy: Policy = DEFAULT_POLICY,
    odometers: Mapping[str, Decimal] | None = None,
) -> tuple[str | None, str | None, str]:
    """Numerator, denominator and reason of what an order gives to a KPI."""
    found = entry(code, repair_order, *follow_ups, policy=policy, odometers=odometers)
    assert found is not None
    return plain(found)


def plain(found: FactEntry) -> tuple[str | None, str | None, str]:
    parts = [
        None if part is None else format(part.normalize(), "f")
        for part in (found.numerator, found.denominator)
    ]
    return parts[0], parts[1], found.reason


def call_outcome(
    code: str, follow_up: FollowUp, repair_order: RepairOrder | None = None
) -> tuple[str | None, str | None, str] | None:
    """Numerator, denominator and reason of what a follow-up gives to a KPI; None for nothing."""
    for fact in judge_follow_up(follow_up, repair_order, zone=ZONE):
        for found in fact.entries:
            if found.code == code:
                return plain(found)
    return None


def verdict(
    repair_order: RepairOrder, *follow_ups: FollowUp, policy: Policy = DEFAULT_POLICY
) -> OnTime:
    """The `on_time` block of an order."""
    return on_time(repair_order, follow_ups, policy, ZONE)


def why(
    code: str,
    repair_order: RepairOrder,
    *follow_ups: FollowUp,
    policy: Policy = DEFAULT_POLICY,
    odometers: Mapping[str, Decimal] | None = None,
) -> Verdict:
    """Why an order counts in a KPI."""
    return explain_repair_order(
        code,
        repair_order,
        follow_ups=follow_ups,
        comeback_odometers=odometers or {},
        policies=always(policy),
        zone=ZONE,
    )


def why_call(code: str, follow_up: FollowUp, repair_order: RepairOrder | None = None) -> Verdict:
    """Why a follow-up counts in a KPI."""
    return explain_follow_up(code, follow_up, repair_order, zone=ZONE)
