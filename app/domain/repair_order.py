"""A repair order: what its events say of it, in the order in which they happened.

Two axes, as in STAR: `stage` is where the car is, `status` how far the paper is. An event that
does not fit the stage is still a fact and still applies what it carries (C3, C4).
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from app.domain.events.envelope import Event
from app.domain.events.names import is_surrogate
from app.domain.events.repair_order import (
    Amounts,
    RepairOrderAddOnDecided,
    RepairOrderAddOnProposed,
    RepairOrderAuthorized,
    RepairOrderCancelled,
    RepairOrderCleaned,
    RepairOrderComebackAssessed,
    RepairOrderComebackReported,
    RepairOrderCustomerDelayNoted,
    RepairOrderDelayReviewed,
    RepairOrderDelayWarned,
    RepairOrderDelivered,
    RepairOrderDispatched,
    RepairOrderInspected,
    RepairOrderLinked,
    RepairOrderOpened,
    RepairOrderPromiseChanged,
    RepairOrderSettled,
    RepairOrderWorkCompleted,
    RepairOrderWorkPaused,
    RepairOrderWorkResumed,
    RepairOrderWorkStarted,
)
from app.domain.events.snapshot import RepairOrderSnapshot, RepairOrderSnapshotRepeated
from app.domain.sightings import Sighting
from app.domain.subject import Subject

Stage = Literal[
    "appointment",
    "received",
    "awaiting_authorization",
    "waiting",
    "in_work",
    "paused",
    "inspection",
    "cleaning",
    "ready",
    "delivered",
]
Status = Literal["open", "ready_to_bill", "settled", "closed", "cancelled"]
AmountKind = Literal["labor", "parts", "sublet", "other"]
OtherRole = Literal["inspector", "delay_warner"]

LAST_INSPECTION_LEVEL: Final = 3


class Promise(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A delivery time that was promised.

    Attributes:
        at: When it was given.
        seq: Of the event.
        by: What gave it: the opening (only while no promise of an opening or an authorization
            stands, D2), the customer's authorization, or a change.
        promised_at: The delivery time.
        reason: Of a change; None where the DMS does not know it.
        confirmed: Whether the customer confirmed a change; None where the DMS does not know it.
        inferred: Whether nobody told of it: it was read out of a snapshot.
    """

    at: datetime
    seq: int
    by: Literal["opened", "authorized", "changed"]
    promised_at: datetime
    reason: str | None = None
    confirmed: bool | None = None
    inferred: bool = False


class DelayNote(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The note that the customer himself caused the delay."""

    at: datetime
    seq: int
    signed: bool


class DelayReview(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The spot check of such a note."""

    at: datetime
    seq: int
    accepted: bool
    reviewer: str | None = None


class Settlement(msgspec.Struct, frozen=True, omit_defaults=True):
    """A settlement sheet.

    Attributes:
        at: When it was settled.
        seq: Of the event.
        delivered_at: The delivery time on the sheet, else `at`.
        explicit: Whether the sheet itself carries the delivery time.
        amounts: By kind (labor, parts, sublet, other); only the kinds on the sheet.
        costs: Likewise; empty where the sheet carries no costs (G3).
        billed_hours: Hours sold.
        clocked_hours: Hours worked.
        parts_requested: Lines asked of the parts store.
        parts_filled: Lines fully supplied.
    """

    at: datetime
    seq: int
    delivered_at: datetime
    explicit: bool
    amounts: dict[str, Decimal] = {}
    costs: dict[str, Decimal] = {}
    billed_hours: Decimal | None = None
    clocked_hours: Decimal | None = None
    parts_requested: int | None = None
    parts_filled: int | None = None


class Handover(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The car was handed over to the customer."""

    at: datetime
    seq: int
    odometer_km: Decimal | None = None


class ComebackReport(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The customer came back with what should have been repaired."""

    at: datetime
    seq: int
    comeback_ro: str | None = None


class ComebackAssessment(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a comeback turned out to be."""

    at: datetime
    seq: int
    verdict: str
    comeback_ro: str | None = None
    technician: str | None = None
    team: str | None = None


class Comeback(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A reported comeback with the last assessment that belongs to it, None if none does (F1)."""

    report: ComebackReport
    assessment: ComebackAssessment | None


class AddOn(msgspec.Struct, gc=False, omit_defaults=True):
    """Extra work found in the workshop: proposed to the customer, and what he decided."""

    proposed_at: datetime | None = None
    decided_at: datetime | None = None
    accepted: bool | None = None
    amount: Decimal | None = None
    hours: Decimal | None = None


class RepairOrder(Subject, kw_only=True, omit_defaults=True):
    """The state of a repair order. All lists are in the order (at, seq).

    Attributes:
        ro_number: The order, exactly as written (B4).
        stage: Where the car is.
        cancelled_seq: Of the standing cancellation, which is final in whatever order (C1).
        first_opened_at: The arrival (B5); the fields after it are those of the last `opened`
            that carries them, customer_no and vin of the last `opened` or `linked`.
        dispatched_technician: Of the last dispatch, with the team that it names (E2).
        worked_technician: Of the last work event that names one (E5).
        promises: In order; see `Promise.by` for which openings are in.
        settlements: All that stand; the last counts (C5).
        inspection_seqs: seqs of all inspections.
        failed_inspection_seqs: seqs of those not passed.
        add_ons: By add-on id, in the order in which they are first heard of.
        sightings: Every snapshot of the order that stands, and every time at which one was so
            again.
        also_named: Surrogates of those whom no other field keeps, by what they did.
    """

    ro_number: str
    stage: Stage = "received"
    cancelled_seq: int | None = None
    cancelled_at: datetime | None = None
    cancel_reason: str | None = None

    first_opened_at: datetime | None = None
    first_opened_seq: int | None = None
    customer_no: str | None = None
    vin: str | None = None
    work_type: str | None = None
    pay_type: str | None = None
    advisor: str | None = None
    odometer_km: Decimal | None = None
    estimate_amount: Decimal | None = None
    estimate_hours: Decimal | None = None
    waiter: bool | None = None
    appointment_id: str | None = None

    first_authorized_at: datetime | None = None
    first_authorized_seq: int | None = None
    authorized_amount: Decimal | None = None
    first_dispatched_at: datetime | None = None
    first_dispatched_seq: int | None = None
    dispatched_technician: str | None = None
    dispatched_team: str | None = None
    worked_technician: str | None = None
    bay: str | None = None
    pause_reason: str | None = None
    delay_warned_at: datetime | None = None

    promises: list[Promise] = msgspec.field(default_factory=list)
    delay_notes: list[DelayNote] = msgspec.field(default_factory=list)
    delay_reviews: list[DelayReview] = msgspec.field(default_factory=list)
    settlements: list[Settlement] = msgspec.field(default_factory=list)
    handovers: list[Handover] = msgspec.field(default_factory=list)
    inspection_seqs: list[int] = msgspec.field(default_factory=list)
    failed_inspection_seqs: list[int] = msgspec.field(default_factory=list)
    comeback_reports: list[ComebackReport] = msgspec.field(default_factory=list)
    comeback_assessments: list[ComebackAssessment] = msgspec.field(default_factory=list)
    add_ons: dict[str, AddOn] = msgspec.field(default_factory=dict)
    sightings: list[Sighting] = msgspec.field(default_factory=list)
    also_named: dict[OtherRole, list[str]] = msgspec.field(default_factory=dict)

    @property
    def cancelled(self) -> bool:
        """Whether a cancellation stands: the order then counts nowhere (C2)."""
        return self.cancelled_seq is not None

    @property
    def visited_at(self) -> datetime | None:
        """When the car was here: the arrival, else when the order was last heard of."""
        return self.first_opened_at or self.last_occurred_at

    @property
    def settled(self) -> bool:
        """Whether the order is settled or closed, as the KPIs mean it."""
        return self.cancelled_seq is None and bool(self.settlements)

    @property
    def status(self) -> Status:
        """How far the paper is (C3)."""
        if self.cancelled_seq is not None:
            return "cancelled"
        if self.settlements:
            return "closed" if self.handovers else "settled"
        return "ready_to_bill" if self.stage in _READY_TO_BILL else "open"

    @property
    def settlement(self) -> Settlement | None:
        """The settlement that counts, as a whole: the latest (G1)."""
        return self.settlements[-1] if self.settlements else None

    @property
    def settled_at(self) -> datetime | None:
        """When it was settled: the time of the settlement that counts."""
        return self.settlements[-1].at if self.settlements else None

    @property
    def delivered_at(self) -> datetime | None:
        """The delivered time of the verdict: on the last settlement, else that one's time (F5)."""
        return self.settlements[-1].delivered_at if self.settlements else None

    @property
    def handover(self) -> Handover | None:
        """The latest handover."""
        return self.handovers[-1] if self.handovers else None

    @property
    def handover_odometer_km(self) -> Decimal | None:
        """Odometer of the last handover that has one, else of the opening (F4)."""
        for handover in reversed(self.handovers):
            if handover.odometer_km is not None:
                return handover.odometer_km
        return self.odometer_km

    @property
    def technician(self) -> str | None:
        """Of the last dispatch, else of the last work event that names one."""
        return (
            self.worked_technician
            if self.dispatched_technician is None
            else self.dispatched_technician
        )

    @property
    def team(self) -> str | None:
        """Of the event that names the technician, never carried over (E2)."""
        return self.dispatched_team

    @property
    def first_promised_at(self) -> datetime | None:
        """The first promise of opening or authorization, else of the first change (D1, D2)."""
        for promise in self.promises:
            if promise.by != "changed":
                return promise.promised_at
        return self.promises[0].promised_at if self.promises else None

    @property
    def promise_changes(self) -> int:
        """How many changes of the promise stand (D14)."""
        return sum(promise.by == "changed" for promise in self.promises)

    @property
    def inspections(self) -> int:
        """How many inspections there were."""
        return len(self.inspection_seqs)

    @property
    def inspections_failed(self) -> int:
        """How many of them were not passed."""
        return len(self.failed_inspection_seqs)


_READY_TO_BILL: Final = frozenset({"cleaning", "ready"})


def comebacks(order: RepairOrder) -> list[Comeback]:
    """Each reported comeback with its own last assessment, in order (F1).

    An assessment belongs to the latest report before it, to the first if none is before. If both
    name the comeback's order, that decides. One that fits no report belongs to none.
    """
    assessed: dict[int, ComebackAssessment] = {}
    for assessment in order.comeback_assessments:
        report = _report_of(assessment, order.comeback_reports)
        if report is not None:
            assessed[report.seq] = assessment
    return [Comeback(report, assessed.get(report.seq)) for report in order.comeback_reports]


def _report_of(
    assessment: ComebackAssessment, reports: list[ComebackReport]
) -> ComebackReport | None:
    if assessment.comeback_ro is not None:
        named = [report for report in reports if report.comeback_ro == assessment.comeback_ro]
        reports = named or [report for report in reports if report.comeback_ro is None]
    if not reports:
        return None
    before = [r for r in reports if (r.at, r.seq) < (assessment.at, assessment.seq)]
    return before[-1] if before else reports[0]


def evolve(order: RepairOrder, event: Event) -> RepairOrder:
    """Apply the next event, in the order (occurred_at, seq), to the draft and hand it back."""
    _APPLY[type(event.payload)](order, event.payload, event)
    order.last_occurred_at = event.occurred_at
    order.last_fact_seq = event.seq
    return order


def _move(order: RepairOrder, stage: Stage) -> None:
    """Put the car elsewhere; `delivered` is left by a retraction alone (C4)."""
    if order.stage != "delivered":
        order.stage = stage


def _opened(order: RepairOrder, data: RepairOrderOpened, event: Event) -> None:
    if order.first_opened_at is None:
        order.first_opened_at = event.occurred_at
        order.first_opened_seq = event.seq
    for name in OPENED_FIELDS:
        value = getattr(data, name)
        if value is not None:
            setattr(order, name, value)
    if data.promised_at is not None and all(p.by == "changed" for p in order.promises):
        order.promises.append(
            Promise(
                event.occurred_at,
                event.seq,
                "opened",
                data.promised_at,
                inferred=event.inferred,
            )
        )
    estimated = data.estimate_amount is not None or data.estimate_hours is not None
    _move(order, "awaiting_authorization" if estimated else "received")


OPENED_FIELDS: Final = (
    "customer_no",
    "vin",
    "work_type",
    "pay_type",
    "advisor",
    "odometer_km",
    "estimate_amount",
    "estimate_hours",
    "waiter",
    "appointment_id",
)
"""What each `opened` may say anew; of each field the last one that carries it counts (B5)."""


def _linked(order: RepairOrder, data: RepairOrderLinked, _event: Event) -> None:
    """Customer and car; the car stays where it is, and nothing was promised by it."""
    if data.customer_no is not None:
        order.customer_no = data.customer_no
    if data.vin is not None:
        order.vin = data.vin


def _authorized(order: RepairOrder, data: RepairOrderAuthorized, event: Event) -> None:
    if order.first_authorized_at is None:
        order.first_authorized_at = event.occurred_at
        order.first_authorized_seq = event.seq
    if data.amount is not None:
        order.authorized_amount = data.amount
    if data.promised_at is not None:
        order.promises.append(
            Promise(event.occurred_at, event.seq, "authorized", data.promised_at)
        )
    _move(order, "waiting")


def _dispatched(order: RepairOrder, data: RepairOrderDispatched, event: Event) -> None:
    if order.first_dispatched_at is None:
        order.first_dispatched_at = event.occurred_at
        order.first_dispatched_seq = event.seq
    order.dispatched_technician = data.technician
    order.dispatched_team = data.team
    if data.bay is not None:
        order.bay = data.bay
    _move(order, "waiting")


def _work_started(order: RepairOrder, data: RepairOrderWorkStarted, _event: Event) -> None:
    if data.technician is not None:
        order.worked_technician = data.technician
    if data.bay is not None:
        order.bay = data.bay
    _move(order, "in_work")


def _work_paused(order: RepairOrder, data: RepairOrderWorkPaused, _event: Event) -> None:
    order.pause_reason = data.reason
    _move(order, "paused")


def _work_resumed(order: RepairOrder, _data: RepairOrderWorkResumed, _event: Event) -> None:
    _move(order, "in_work")


def _work_completed(order: RepairOrder, data: RepairOrderWorkCompleted, _event: Event) -> None:
    if data.technician is not None:
        order.worked_technician = data.technician
    _move(order, "inspection")


def _inspected(order: RepairOrder, data: RepairOrderInspected, event: Event) -> None:
    order.inspection_seqs.append(event.seq)
    if not data.passed:
        order.failed_inspection_seqs.append(event.seq)
        _move(order, "in_work")
    else:
        _move(order, "cleaning" if data.level == LAST_INSPECTION_LEVEL else "inspection")
    _name(order, "inspector", data.inspector)


def _name(order: RepairOrder, role: OtherRole, value: str | None) -> None:
    """Keep a surrogate, so that whom it stands for can be asked; numbers need no such care."""
    if value is not None and is_surrogate(value):
        order.also_named[role] = sorted({*order.also_named.get(role, []), value})


def _cleaned(order: RepairOrder, _data: RepairOrderCleaned, _event: Event) -> None:
    _move(order, "ready")


def _add_on_proposed(order: RepairOrder, data: RepairOrderAddOnProposed, event: Event) -> None:
    add_on = order.add_ons.setdefault(data.add_on_id, AddOn())
    add_on.proposed_at = event.occurred_at
    if data.amount is not None:
        add_on.amount = data.amount
    if data.hours is not None:
        add_on.hours = data.hours


def _add_on_decided(order: RepairOrder, data: RepairOrderAddOnDecided, event: Event) -> None:
    add_on = order.add_ons.setdefault(data.add_on_id, AddOn())
    add_on.decided_at = event.occurred_at
    add_on.accepted = data.accepted


def _promise_changed(order: RepairOrder, data: RepairOrderPromiseChanged, event: Event) -> None:
    order.promises.append(
        Promise(
            event.occurred_at,
            event.seq,
            "changed",
            data.promised_at,
            data.reason,
            data.confirmed_by_customer,
            event.inferred,
        )
    )


def _delay_warned(order: RepairOrder, data: RepairOrderDelayWarned, event: Event) -> None:
    order.delay_warned_at = event.occurred_at
    _name(order, "delay_warner", data.by)


def _delay_noted(order: RepairOrder, data: RepairOrderCustomerDelayNoted, event: Event) -> None:
    order.delay_notes.append(DelayNote(event.occurred_at, event.seq, data.signed))


def _delay_reviewed(order: RepairOrder, data: RepairOrderDelayReviewed, event: Event) -> None:
    order.delay_reviews.append(
        DelayReview(event.occurred_at, event.seq, data.accepted, data.reviewer)
    )


def _settled(order: RepairOrder, data: RepairOrderSettled, event: Event) -> None:
    explicit = data.delivered_at is not None
    order.settlements.append(
        Settlement(
            event.occurred_at,
            event.seq,
            data.delivered_at if data.delivered_at is not None else event.occurred_at,
            explicit,
            _by_kind(data.amounts),
            _by_kind(data.costs),
            data.billed_hours,
            data.clocked_hours,
            data.parts_requested,
            data.parts_filled,
        )
    )


def _by_kind(sums: Amounts | None) -> dict[str, Decimal]:
    """The kinds that the sheet carries."""
    if sums is None:
        return {}
    by_kind = {kind: getattr(sums, kind) for kind in _AMOUNT_KINDS}
    return {kind: value for kind, value in by_kind.items() if value is not None}


_AMOUNT_KINDS: Final[tuple[AmountKind, ...]] = ("labor", "parts", "sublet", "other")


def _delivered(order: RepairOrder, data: RepairOrderDelivered, event: Event) -> None:
    order.handovers.append(Handover(event.occurred_at, event.seq, data.odometer_km))
    order.stage = "delivered"


def _comeback_reported(
    order: RepairOrder, data: RepairOrderComebackReported, event: Event
) -> None:
    order.comeback_reports.append(ComebackReport(event.occurred_at, event.seq, data.comeback_ro))


def _comeback_assessed(
    order: RepairOrder, data: RepairOrderComebackAssessed, event: Event
) -> None:
    order.comeback_assessments.append(
        ComebackAssessment(
            event.occurred_at,
            event.seq,
            data.verdict,
            data.comeback_ro,
            data.technician,
            data.team,
        )
    )


def _cancelled(order: RepairOrder, data: RepairOrderCancelled, event: Event) -> None:
    order.cancelled_at = event.occurred_at
    order.cancelled_seq = event.seq
    order.cancel_reason = data.reason


def _snapshot(order: RepairOrder, _data: RepairOrderSnapshot, event: Event) -> None:
    """What it implies comes as events of their own, see `app.domain.inference`."""
    sighting = Sighting(event.occurred_at, event.seq, event.source, event.id, event.content_hash)
    order.sightings = [
        msgspec.structs.replace(sighting, at=known.at)
        if (known.source, known.id) == (event.source, event.id)
        else known
        for known in order.sightings
    ]
    order.sightings.append(sighting)


def _snapshot_repeated(
    order: RepairOrder, data: RepairOrderSnapshotRepeated, event: Event
) -> None:
    """The snapshot itself may be of a later time: what it is of is then known with that."""
    known = next(
        (
            sighting
            for sighting in order.sightings
            if (sighting.source, sighting.id) == (data.source, data.id)
        ),
        Sighting(event.occurred_at, event.seq, data.source, data.id, b""),
    )
    order.sightings.append(msgspec.structs.replace(known, at=event.occurred_at))


_APPLY: Final[Mapping[type, Callable[[RepairOrder, Any, Event], None]]] = {
    RepairOrderOpened: _opened,
    RepairOrderLinked: _linked,
    RepairOrderAuthorized: _authorized,
    RepairOrderDispatched: _dispatched,
    RepairOrderWorkStarted: _work_started,
    RepairOrderWorkPaused: _work_paused,
    RepairOrderWorkResumed: _work_resumed,
    RepairOrderAddOnProposed: _add_on_proposed,
    RepairOrderAddOnDecided: _add_on_decided,
    RepairOrderPromiseChanged: _promise_changed,
    RepairOrderDelayWarned: _delay_warned,
    RepairOrderWorkCompleted: _work_completed,
    RepairOrderInspected: _inspected,
    RepairOrderCleaned: _cleaned,
    RepairOrderSettled: _settled,
    RepairOrderDelivered: _delivered,
    RepairOrderCustomerDelayNoted: _delay_noted,
    RepairOrderDelayReviewed: _delay_reviewed,
    RepairOrderComebackReported: _comeback_reported,
    RepairOrderComebackAssessed: _comeback_assessed,
    RepairOrderCancelled: _cancelled,
    RepairOrderSnapshot: _snapshot,
    RepairOrderSnapshotRepeated: _snapshot_repeated,
}
