"""Every event type: what it is about, what its data holds, and who may post it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from app.domain.events import (
    backlog,
    complaint,
    customer_file,
    feed,
    follow_up,
    repair_order,
    retraction,
    snapshot,
    staff,
)
from app.domain.events.envelope import Kind
from app.domain.events.form import Form
from app.domain.events.names import Naming
from app.domain.events.payload import MAX_KEY, Payload
from app.domain.events.shape import storable
from app.domain.events.upcasters import UPCASTERS, Upcasters, upcast

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class SubjectForm:
    """What the subject of an event must look like.

    Attributes:
        pattern: Matches all of it; None: any text of 1 to 64 characters.
        detail: What is wrong with another one.
        example: For documents.
        lower: Whether its key is the lower-case form.
    """

    pattern: str | None
    detail: str
    example: str
    lower: bool = False

    def canonical(self, subject: str) -> str | None:
        """Return the subject in the form that is its key, None if it can't be one."""
        if self.pattern is None:
            return subject if 0 < len(subject) <= MAX_KEY and storable(subject) else None
        if not re.fullmatch(self.pattern, subject):
            return None
        return subject.lower() if self.lower else subject


_STAFF_NO: Final = SubjectForm(
    r"[A-Za-z0-9_-]{1,32}",
    "The subject must be a staff number: 1 to 32 letters, digits, - or _.",
    "T12",
)
_UUID: Final = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"

SUBJECTS: Final[Mapping[Kind | None, SubjectForm]] = {
    Kind.CUSTOMER: SubjectForm(
        None, "The subject must be a customer number of 1 to 64 characters.", "C000123"
    ),
    Kind.VEHICLE: SubjectForm(
        r"[A-HJ-NPR-Za-hj-npr-z0-9]{17}",
        "The subject must be a VIN: 17 letters and digits without I, O and Q.",
        "LSVAA4182E2100001",
    ),
    Kind.REPAIR_ORDER: SubjectForm(
        None, "The subject must be an RO number of 1 to 64 characters.", "RO20260105-001"
    ),
    Kind.STAFF: _STAFF_NO,
    Kind.TIMECARD: _STAFF_NO,
    Kind.COMPLAINT: SubjectForm(
        _UUID,
        "The subject must be the UUID of a complaint.",
        "0199a3c4-6f1e-7b3a-9c52-3f8f0d6b1a20",
        lower=True,
    ),
    Kind.FOLLOW_UP: SubjectForm(
        _UUID,
        "The subject must be the UUID of a follow-up.",
        "5f0c1d52-6a44-5a3b-8b0e-2a7c8c1f4e10",
        lower=True,
    ),
    Kind.FEED: SubjectForm(
        rf"(?s:.{{1,{feed.MAX_SOURCE}}})",
        f"The subject must be a source of 1 to {feed.MAX_SOURCE} characters.",
        "/dms/sh01",
    ),
    Kind.BACKLOG: SubjectForm(
        r"[A-Za-z0-9_-]{1,32}", "The subject must be the code of a store.", "SH01"
    ),
    None: SubjectForm(None, "The subject must be that of the retracted event.", "RO20260105-001"),
}
"""Kind -> form of its subjects; None stands for `event.retracted`, which is about any of them."""


@dataclass(frozen=True)
class EventType:
    """One type of the catalogue.

    Attributes:
        name: As on the wire.
        kind: What its subject is; None for `event.retracted`, which shares that of its target.
        models: One payload class per version, the first is version 1.
        example: Data of the current version, realistic and complete.
        posted: Whether callers may post it; what only the service writes is False (A7).
        timed: Whether its time is part of its content; a snapshot says the same at any time.
        upcasters: Lift data from each version to the next.
    """

    name: str
    kind: Kind | None
    models: tuple[type[Payload], ...]
    example: Mapping[str, Any]
    posted: bool = True
    timed: bool = True
    upcasters: Upcasters = field(default_factory=lambda: UPCASTERS)

    @property
    def version(self) -> int:
        """The current version."""
        return len(self.models)

    @property
    def model(self) -> type[Payload]:
        """The payload class of the current version."""
        return self.models[-1]

    @property
    def description(self) -> str:
        """One sentence in English, then the Chinese term."""
        return (self.model.__doc__ or "").strip()

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        """One form per version."""
        return tuple(Form(model) for model in self.models)

    def lift(self, data: dict[str, Any], version: int, names: Naming | None = None) -> Payload:
        """Return data of an older version as a payload of the current one.

        Args:
            data: Of that version; from the door with the names as sent.
            version: See `data`.
            names: At the door: what reads the names.
        """
        data = upcast(self.name, data, version=version, to=self.version, upcasters=self.upcasters)
        return self.forms[-1].read(data, context=names)

    @cached_property
    def subject(self) -> SubjectForm:
        """What its subject must look like."""
        return SUBJECTS[self.kind]

    @cached_property
    def is_plain(self) -> bool:
        """Whether its data may be taken as the model reads them, without a second look."""
        return self.posted and self.kind is not None and not self.model.merge_patch

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of the data on the wire, definitions under `$defs`."""
        return {"$schema": DIALECT, **self.model.model_json_schema()}

    @cached_property
    def example_event(self) -> dict[str, Any]:
        """A whole event in structured mode, ready to be posted."""
        return {
            "specversion": "1.0",
            "id": f"example-{self.name}",
            "source": "/dms/sh01",
            "type": self.name,
            "store": "SH01",
            "subject": self.subject.example,
            "time": "2026-01-05T09:30:00+08:00",
            "datacontenttype": "application/json",
            "data": dict(self.example),
        }


_CUSTOMER_FIELDS: Final = {
    "kind": "private",
    "name": "客户0001",
    "phones": ["00000000001"],
    "address": "示例路1号",
    "email": "c0001@example.com",
    "wechat": "c0001",
    "birthday": "1988-05-01",
    "preferred_contact": {"channel": "phone", "from": "09:00", "to": "18:00"},
    "consent": {"calls": True, "messages": False},
    "wanted_services": ["pick_up"],
    "segment": "A",
    "member_no": "M0001",
}

_TYPES: Final = (
    EventType(
        "customer.registered",
        Kind.CUSTOMER,
        (customer_file.CustomerRegistered,),
        _CUSTOMER_FIELDS,
    ),
    EventType(
        "customer.updated",
        Kind.CUSTOMER,
        (customer_file.CustomerUpdated,),
        {"phones": ["00000000002"], "consent": {"messages": True}, "segment": None},
    ),
    EventType(
        "customer.merged", Kind.CUSTOMER, (customer_file.CustomerMerged,), {"into": "C000120"}
    ),
    EventType(
        "customer.told_apart",
        Kind.CUSTOMER,
        (customer_file.CustomerToldApart,),
        {"others": ["C000456"], "by": "A07", "reason": "夫妻共用一辆车"},
    ),
    EventType(
        "vehicle.registered",
        Kind.VEHICLE,
        (customer_file.VehicleRegistered,),
        {
            "customer_no": "C000123",
            "plate": "沪A00001",
            "engine_no": "E0000001",
            "brand": "Example",
            "model": "X1",
            "model_year": 2023,
            "sold_here": True,
            "purchased_on": "2023-06-18",
            "interval_km": 10000,
            "interval_months": 12,
        },
    ),
    EventType(
        "vehicle.transferred",
        Kind.VEHICLE,
        (customer_file.VehicleTransferred,),
        {"customer_no": "C000456"},
    ),
    EventType(
        "repair_order.opened",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderOpened,),
        {
            "customer_no": "C000123",
            "vin": "LSVAA4182E2100001",
            "plate": "沪A00001",
            "odometer_km": 42010,
            "contact": {"name": "客户0001", "phone": "00000000001", "relation": "owner"},
            "work_type": "regular_maintenance",
            "pay_type": "CUSTOMER_PAY",
            "advisor": "A07",
            "promised_at": "2026-01-05T17:00:00+08:00",
            "estimate_amount": "860.00",
            "estimate_hours": "1.5",
            "concerns": ["刹车异响"],
            "waiter": True,
            "appointment_id": "AP-0815",
        },
    ),
    EventType(
        "repair_order.linked",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderLinked,),
        {"customer_no": "C000123", "vin": "LSVAA4182E2100001"},
    ),
    EventType(
        "repair_order.authorized",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderAuthorized,),
        {"promised_at": "2026-01-05T17:00:00+08:00", "amount": "860.00"},
    ),
    EventType(
        "repair_order.dispatched",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderDispatched,),
        {"technician": "T12", "team": "B1", "bay": "07"},
    ),
    EventType(
        "repair_order.work_started",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderWorkStarted,),
        {"technician": "T12", "bay": "07"},
    ),
    EventType(
        "repair_order.work_paused",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderWorkPaused,),
        {"reason": "awaiting_parts"},
    ),
    EventType(
        "repair_order.work_resumed",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderWorkResumed,),
        {},
    ),
    EventType(
        "repair_order.add_on_proposed",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderAddOnProposed,),
        {
            "add_on_id": "1",
            "description": "更换前刹车片",
            "amount": "420.00",
            "hours": "0.8",
        },
    ),
    EventType(
        "repair_order.add_on_decided",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderAddOnDecided,),
        {"add_on_id": "1", "accepted": True},
    ),
    EventType(
        "repair_order.promise_changed",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderPromiseChanged,),
        {
            "promised_at": "2026-01-05T18:00:00+08:00",
            "reason": "add_on",
            "confirmed_by_customer": True,
        },
    ),
    EventType(
        "repair_order.delay_warned",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderDelayWarned,),
        {"by": "T12"},
    ),
    EventType(
        "repair_order.work_completed",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderWorkCompleted,),
        {"technician": "T12", "clocked_hours": "1.4"},
    ),
    EventType(
        "repair_order.inspected",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderInspected,),
        {"level": 3, "inspector": "Q02", "passed": True, "findings": "合格"},
    ),
    EventType("repair_order.cleaned", Kind.REPAIR_ORDER, (repair_order.RepairOrderCleaned,), {}),
    EventType(
        "repair_order.settled",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderSettled,),
        {
            "amounts": {"labor": "360.00", "parts": "480.50", "sublet": "0", "other": "20.00"},
            "costs": {"labor": "150.00", "parts": "310.00"},
            "jobs": [
                {
                    "code": "M10",
                    "text": "10000公里保养",
                    "hours": "1.5",
                    "amount": "360.00",
                    "pay_type": "CUSTOMER_PAY",
                }
            ],
            "billed_hours": "1.5",
            "clocked_hours": "1.4",
            "parts_requested": 4,
            "parts_filled": 4,
            "delivered_at": "2026-01-05T16:55:00+08:00",
        },
    ),
    EventType(
        "repair_order.delivered",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderDelivered,),
        {"odometer_km": 42012},
    ),
    EventType(
        "repair_order.customer_delay_noted",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderCustomerDelayNoted,),
        {"note": "客户要求次日取车", "signed": True},
    ),
    EventType(
        "repair_order.delay_reviewed",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderDelayReviewed,),
        {"accepted": True, "reviewer": "M01"},
    ),
    EventType(
        "repair_order.comeback_reported",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderComebackReported,),
        {"comeback_ro": "RO20260112-004", "concern": "异响未消除"},
    ),
    EventType(
        "repair_order.comeback_assessed",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderComebackAssessed,),
        {
            "verdict": "workmanship",
            "comeback_ro": "RO20260112-004",
            "technician": "T12",
            "team": "B1",
        },
    ),
    EventType(
        "repair_order.cancelled",
        Kind.REPAIR_ORDER,
        (repair_order.RepairOrderCancelled,),
        {"reason": "opened twice"},
    ),
    EventType(
        "repair_order.snapshot",
        Kind.REPAIR_ORDER,
        (snapshot.RepairOrderSnapshot,),
        {
            "status": "settled",
            "opened_at": "2026-01-05T08:40:00+08:00",
            "customer_no": "C000123",
            "vin": "LSVAA4182E2100001",
            "plate": "沪A00001",
            "odometer_km": 42010,
            "contact": {"name": "客户0001", "phone": "00000000001", "relation": "owner"},
            "work_type": "regular_maintenance",
            "pay_type": "CUSTOMER_PAY",
            "advisor": "A07",
            "estimate_amount": "860.00",
            "estimate_hours": "1.5",
            "concerns": ["刹车异响"],
            "waiter": True,
            "appointment_id": "AP-0815",
            "first_promised_at": "2026-01-05T16:00:00+08:00",
            "promised_at": "2026-01-05T17:00:00+08:00",
            "promise_changed_at": "2026-01-05T11:20:00+08:00",
            "authorized_at": "2026-01-05T08:55:00+08:00",
            "authorized_amount": "860.00",
            "technician": "T12",
            "team": "B1",
            "bay": "3",
            "dispatched_at": "2026-01-05T09:00:00+08:00",
            "work_started_at": "2026-01-05T09:10:00+08:00",
            "work_completed_at": "2026-01-05T15:30:00+08:00",
            "settled_at": "2026-01-05T16:40:00+08:00",
            "amounts": {"labor": "360.00", "parts": "480.50", "sublet": "0", "other": "20.00"},
            "costs": {"labor": "150.00", "parts": "310.00"},
            "jobs": [
                {
                    "code": "M10",
                    "text": "10000公里保养",
                    "hours": "1.5",
                    "amount": "360.00",
                    "pay_type": "CUSTOMER_PAY",
                }
            ],
            "billed_hours": "1.5",
            "clocked_hours": "1.4",
            "parts_requested": 4,
            "parts_filled": 4,
            "delivered_at": "2026-01-05T16:55:00+08:00",
            "handed_over_at": "2026-01-05T16:58:00+08:00",
            "handover_odometer_km": 42012,
        },
        timed=False,
    ),
    EventType(
        "repair_order.snapshot_repeated",
        Kind.REPAIR_ORDER,
        (snapshot.RepairOrderSnapshotRepeated,),
        {"source": "/dms/sh01", "id": "RO20260105-001@17"},
        posted=False,
    ),
    EventType(
        "staff.registered",
        Kind.STAFF,
        (staff.StaffRegistered,),
        {"name": "员工0012", "roles": ["technician"], "team": "B1", "aliases": ["员工12"]},
    ),
    EventType(
        "staff.timecard_recorded",
        Kind.TIMECARD,
        (staff.StaffTimecardRecorded,),
        {
            "work_date": "2026-01-05",
            "attended_hours": "8",
            "clocked_hours": "6.5",
            "team": "B1",
        },
    ),
    EventType(
        "complaint.opened",
        Kind.COMPLAINT,
        (complaint.ComplaintOpened,),
        {
            "customer_no": "C000123",
            "ro_number": "RO20260105-001",
            "channel": "phone",
            "nature": "quality",
            "severity": "important",
            "text": "异响未消除",
            "responsible": "A07",
        },
    ),
    EventType(
        "complaint.contacted",
        Kind.COMPLAINT,
        (complaint.ComplaintContacted,),
        {"by": "A07", "channel": "phone", "note": "约定明日到店"},
    ),
    EventType(
        "complaint.resolved",
        Kind.COMPLAINT,
        (complaint.ComplaintResolved,),
        {"by": "A07", "solution": "免费复检"},
    ),
    EventType(
        "complaint.reopened",
        Kind.COMPLAINT,
        (complaint.ComplaintReopened,),
        {"by": "A07", "reason": "异响再次出现"},
    ),
    EventType(
        "complaint.contact_overdue",
        Kind.COMPLAINT,
        (complaint.ComplaintContactOverdue,),
        {"due_at": "2026-01-06T09:30:00+08:00", "late_seconds": 0},
        posted=False,
    ),
    EventType(
        "complaint.contact_resolved",
        Kind.COMPLAINT,
        (complaint.ComplaintContactResolved,),
        {"due_at": "2026-01-06T09:30:00+08:00", "late_seconds": 5400},
        posted=False,
    ),
    EventType(
        "follow_up.scheduled",
        Kind.FOLLOW_UP,
        (follow_up.FollowUpScheduled,),
        {
            "ro_number": "RO20260105-001",
            "customer_no": "C000123",
            "kind": "first",
            "opens_at": "2026-01-08T00:00:00+08:00",
            "target_at": "2026-01-08T23:59:59+08:00",
            "due_at": "2026-01-12T23:59:59+08:00",
            "anchor": "2026-01-05",
            "missed_on_arrival": False,
            "policy_version": 1,
        },
    ),
    EventType(
        "follow_up.assigned",
        Kind.FOLLOW_UP,
        (follow_up.FollowUpAssigned,),
        {"assignee": "F03", "acting_for": "F01", "appointed_by": "M01"},
    ),
    EventType(
        "follow_up.attempted",
        Kind.FOLLOW_UP,
        (follow_up.FollowUpAttempted,),
        {
            "by": "F03",
            "channel": "phone",
            "outcome": "call_later",
            "call_later_at": "2026-01-08T19:00:00+08:00",
            "note": "开会中",
        },
    ),
    EventType(
        "follow_up.completed",
        Kind.FOLLOW_UP,
        (follow_up.FollowUpCompleted,),
        {
            "by": "F03",
            "channel": "phone",
            "outcome": "reached",
            "ro_number": "RO20260105-001",
            "customer_says_on_time": True,
            "answers": [{"question": "service", "version": "1", "scale": "4", "value": "100"}],
            "requests": ["寄送发票"],
            "note": "满意",
            "next_contact": "2026-02-05",
        },
    ),
    EventType(
        "follow_up.overdue",
        Kind.FOLLOW_UP,
        (follow_up.FollowUpOverdue,),
        {"due_at": "2026-01-12T23:59:59+08:00", "late_seconds": 0},
        posted=False,
    ),
    EventType(
        "follow_up.resolved",
        Kind.FOLLOW_UP,
        (follow_up.FollowUpResolved,),
        {"due_at": "2026-01-12T23:59:59+08:00", "late_seconds": 34201},
        posted=False,
    ),
    EventType(
        "follow_up.cancelled",
        Kind.FOLLOW_UP,
        (follow_up.FollowUpCancelled,),
        {"reason": "kept-elsewhere"},
    ),
    EventType(
        "feed.silent",
        Kind.FEED,
        (feed.FeedSilent,),
        {
            "source": "/dms/sh01",
            "last_seen_at": "2026-01-05T09:58:20+08:00",
            "since": "2026-01-05T12:58:20+08:00",
            "expected": "2026-01-05T12:58:20+08:00",
            "silent_after_minutes": 180,
        },
        posted=False,
    ),
    EventType(
        "feed.resumed",
        Kind.FEED,
        (feed.FeedResumed,),
        {
            "source": "/dms/sh01",
            "silent_from": "2026-01-05T09:58:20+08:00",
            "resumed_at": "2026-01-05T14:31:07+08:00",
            "reason": "seen",
        },
        posted=False,
    ),
    EventType(
        "quarantine.growing",
        Kind.BACKLOG,
        (backlog.QuarantineGrowing,),
        {
            "sign": "burst",
            "waiting": 42,
            "new": 40,
            "oldest_received_at": "2026-01-04T16:20:00+08:00",
            "by_reason": [
                {"reason": "invalid-data", "count": 40},
                {"reason": "unknown-type", "count": 2},
            ],
            "by_source": [{"source": "/dms/sh01", "count": 42}],
        },
        posted=False,
    ),
    EventType(
        "quarantine.settled",
        Kind.BACKLOG,
        (backlog.QuarantineSettled,),
        {"waiting": 3, "growing_since": "2026-01-05T09:31:00+08:00"},
        posted=False,
    ),
    EventType(
        "event.retracted",
        None,
        (retraction.EventRetracted,),
        {"source": "/dms/sh01", "id": "e-1041", "reason": "posted to the wrong order"},
    ),
)

Catalog = Mapping[str, EventType]
CATALOG: Final[Catalog] = {known.name: known for known in _TYPES}
"""Type name -> type, in the order of design/events.md."""
