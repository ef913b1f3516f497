"""A complaint: opened, contacted, resolved, perhaps reopened; and the commands that it allows."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from app.domain.errors import ConflictError, InvalidInputError
from app.domain.events.complaint import (
    ComplaintContacted,
    ComplaintContactOverdue,
    ComplaintContactResolved,
    ComplaintOpened,
    ComplaintReopened,
    ComplaintResolved,
)
from app.domain.events.envelope import Event
from app.domain.subject import Breach, Relief, Subject

ComplaintStatus = Literal["opened", "contacted", "resolved", "reopened"]


class Contact(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The customer was contacted about it."""

    at: datetime
    seq: int
    by: str
    channel: str


class Resolution(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A solution was found."""

    at: datetime
    seq: int
    by: str


class Reopening(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The solution did not hold."""

    at: datetime
    seq: int
    by: str


class Complaint(Subject, kw_only=True, omit_defaults=True):
    """The state of a complaint. All lists are in the order (at, seq).

    Attributes:
        status: Of the last of its events; a contact does not undo a resolution, a second opening
            changes no status.
        opened_at: The first opening, None while only others of its events are known; the fields
            after it are those of the last `opened` that carries them.
        opened_recorded_at: When that first opening was recorded: a contact deadline before it was
            missed on arrival.
        breaches: Every contact deadline that the log says was missed.
        relief: The last notice that an overdue contact was made.
    """

    complaint_id: str
    status: ComplaintStatus = "opened"
    opened_at: datetime | None = None
    opened_seq: int | None = None
    opened_recorded_at: datetime | None = None
    customer_no: str | None = None
    ro_number: str | None = None
    channel: str | None = None
    nature: str | None = None
    severity: str | None = None
    responsible: str | None = None

    contacts: list[Contact] = msgspec.field(default_factory=list)
    resolutions: list[Resolution] = msgspec.field(default_factory=list)
    reopenings: list[Reopening] = msgspec.field(default_factory=list)
    breaches: list[Breach] = msgspec.field(default_factory=list)
    relief: Relief | None = None

    @property
    def contacted_at(self) -> datetime | None:
        """The first contact, which stops the clock."""
        return self.contacts[0].at if self.contacts else None

    @property
    def resolved_at(self) -> datetime | None:
        """The last resolution, None while it is not resolved."""
        return self.resolutions[-1].at if self.status == "resolved" else None

    @property
    def contact_overdue_seq(self) -> int | None:
        """Seq of the last `complaint.contact_overdue`."""
        return self.breaches[-1].seq if self.breaches else None

    @property
    def contact_resolved_seq(self) -> int | None:
        """Seq of the last `complaint.contact_resolved`."""
        return None if self.relief is None else self.relief.seq

    def breach_of(self, due_at: datetime) -> Breach | None:
        """The breach of a contact deadline; None if the log has none."""
        for breach in reversed(self.breaches):
            if breach.due_at == due_at:
                return breach
        return None

    def missed(self, due_at: datetime) -> bool:
        """Whether a deadline was over before the complaint was recorded (as H3)."""
        return self.opened_recorded_at is not None and due_at < self.opened_recorded_at


def is_service_event(event: Event) -> bool:
    """Whether the service wrote it about the contact clock: it then applies in seq order (H16)."""
    return type(event.payload) in _APPLY_OWN


def evolve(complaint: Complaint, event: Event) -> Complaint:
    """Apply an event to the draft and hand it back.

    Facts must come in the order (occurred_at, seq), the service's own events in seq order; how the
    two are mixed makes no difference.
    """
    kind = type(event.payload)
    own = _APPLY_OWN.get(kind)
    if own is not None:
        own(complaint, event.payload, event)
    else:
        _APPLY_FACT[kind](complaint, event.payload, event)
        complaint.last_occurred_at = event.occurred_at
        complaint.last_fact_seq = event.seq
    return complaint


_OPENED_FIELDS: Final = (
    "customer_no",
    "ro_number",
    "channel",
    "nature",
    "severity",
    "responsible",
)


def _opened(complaint: Complaint, data: ComplaintOpened, event: Event) -> None:
    if complaint.opened_at is None:
        complaint.opened_at = event.occurred_at
        complaint.opened_seq = event.seq
        complaint.opened_recorded_at = event.recorded_at
    for name in _OPENED_FIELDS:
        value = getattr(data, name)
        if value is not None:
            setattr(complaint, name, value)


def _contacted(complaint: Complaint, data: ComplaintContacted, event: Event) -> None:
    complaint.contacts.append(Contact(event.occurred_at, event.seq, data.by, data.channel))
    if complaint.status != "resolved":
        complaint.status = "contacted"


def _resolved(complaint: Complaint, data: ComplaintResolved, event: Event) -> None:
    complaint.resolutions.append(Resolution(event.occurred_at, event.seq, data.by))
    complaint.status = "resolved"


def _reopened(complaint: Complaint, data: ComplaintReopened, event: Event) -> None:
    complaint.reopenings.append(Reopening(event.occurred_at, event.seq, data.by))
    complaint.status = "reopened"


def _contact_overdue(complaint: Complaint, data: ComplaintContactOverdue, event: Event) -> None:
    complaint.breaches.append(Breach(data.due_at, event.seq))


def _contact_resolved(complaint: Complaint, data: ComplaintContactResolved, event: Event) -> None:
    complaint.relief = Relief(data.due_at, data.late_seconds or 0, event.seq)


_APPLY_OWN: Final[Mapping[type, Callable[[Complaint, Any, Event], None]]] = {
    ComplaintContactOverdue: _contact_overdue,
    ComplaintContactResolved: _contact_resolved,
}
_APPLY_FACT: Final[Mapping[type, Callable[[Complaint, Any, Event], None]]] = {
    ComplaintOpened: _opened,
    ComplaintContacted: _contacted,
    ComplaintResolved: _resolved,
    ComplaintReopened: _reopened,
}


def open_complaint(complaint: Complaint | None, data: ComplaintOpened) -> ComplaintOpened:
    """Take in a complaint.

    Raises:
        ConflictError: it was opened already.
    """
    if complaint is not None and complaint.opened_at is not None:
        raise ConflictError("This complaint was opened already.", state=complaint.status)
    return data


def contact(
    complaint: Complaint, data: ComplaintContacted, *, occurred_at: datetime, now: datetime
) -> ComplaintContacted:
    """Note that the customer was contacted about it.

    Raises:
        ConflictError: it is resolved, or was never opened.
        InvalidInputError: the contact lies in the future.
    """
    _check_unresolved(complaint, "contact the customer")
    _check_past(occurred_at, now)
    return data


def resolve(
    complaint: Complaint, data: ComplaintResolved, *, occurred_at: datetime, now: datetime
) -> ComplaintResolved:
    """Note the solution.

    Raises:
        ConflictError: it is resolved already, or was never opened.
        InvalidInputError: the resolution lies in the future.
    """
    _check_unresolved(complaint, "resolve it")
    _check_past(occurred_at, now)
    return data


def reopen(
    complaint: Complaint, data: ComplaintReopened, *, occurred_at: datetime, now: datetime
) -> ComplaintReopened:
    """Note that the solution did not hold.

    Raises:
        ConflictError: it is not resolved.
        InvalidInputError: the reopening lies in the future.
    """
    if complaint.status != "resolved":
        raise ConflictError(
            f"The complaint is {complaint.status}; only a resolved one can be reopened.",
            state=complaint.status,
        )
    _check_past(occurred_at, now)
    return data


def _check_unresolved(complaint: Complaint, deed: str) -> None:
    if complaint.opened_at is None:
        raise ConflictError("The complaint was never opened.", state="unopened")
    if complaint.status == "resolved":
        raise ConflictError(
            f"The complaint is resolved; reopen it to {deed}.", state=complaint.status
        )


def _check_past(occurred_at: datetime, now: datetime) -> None:
    if occurred_at > now:
        raise InvalidInputError.at(
            "/occurred_at", "future", "What has happened can't lie in the future."
        )
