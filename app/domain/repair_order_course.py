"""The course of a repair order: what each event does to it, in the order in which they happened.

An event that does not fit the stage is still a fact and still applies what it carries (C3, C4).
"""

from collections.abc import Callable, Mapping
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
from app.domain.repair_order import (
    AddOn,
    ComebackAssessment,
    ComebackReport,
    DelayNote,
    DelayReview,
    Handover,
    OtherRole,
    Promise,
    RepairOrder,
    Settlement,
    Stage,
)
from app.domain.sightings import Sighting

AmountKind = Literal["labor", "parts", "sublet", "other"]

LAST_INSPECTION_LEVEL: Final = 3


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
