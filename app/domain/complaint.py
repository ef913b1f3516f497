"""A complaint: opened, contacted, resolved, perhaps reopened; and the commands that it allows."""

from datetime import datetime
from typing import Literal

import msgspec

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
