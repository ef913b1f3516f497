"""A repair order: where the car is, how far the paper is, and all that was said of both.

Two axes, as in STAR: `stage` is where the car is, `status` how far the paper is.
`app.domain.repair_order_course` tells what each event does to them.
"""

from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

import msgspec

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
OtherRole = Literal["inspector", "delay_warner"]


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
