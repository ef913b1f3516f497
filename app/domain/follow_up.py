"""A follow-up call: its window, the attempts, the answer; and the commands that it allows.

One state for ours and for those that a CRM keeps (H8). The window of ours is set by the service's
own events, in seq order; everything else is a fact, in the order (occurred_at, seq). Both commute.
"""

from datetime import datetime
from typing import Literal

import msgspec

from app.domain.subject import Breach, Relief, Subject

StoredStatus = Literal["unscheduled", "scheduled", "completed", "cancelled"]
FollowUpStatus = Literal[
    "unscheduled", "planned", "open", "overdue", "completed", "cancelled", "missed_on_arrival"
]


class Completion(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The customer was reached."""

    at: datetime
    seq: int
    by: str
    channel: str
    outcome: str
    ro_number: str | None = None
    customer_says_on_time: bool | None = None


class Attempt(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The customer was not reached, or did not want to talk."""

    at: datetime
    seq: int
    by: str
    channel: str
    outcome: str
    call_later_at: datetime | None = None


class Assignment(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Who shall call."""

    at: datetime
    seq: int
    assignee: str
    acting_for: str | None = None
    appointed_by: str | None = None


class FollowUp(Subject, kw_only=True, omit_defaults=True):
    """The state of a follow-up. All lists are in the order (at, seq).

    Attributes:
        ro_number: The order that it is joined to: that of the window in force, else of the last
            completion that names one (D10); None where it is joined to none (H10).
        scheduled_ro_number: That of the window in force alone (H8).
        kind: `first`, `second` or another text; None while nothing was scheduled.
        own: Whether the service planned it: no CRM's `scheduled` stands.
        opens_at: Opening bound of the window in force; None while none was ever set.
        target_at: Where the window has none, `due_at` (H10).
        due_at: Last second of the window.
        anchor: Local day that the window counts from, ISO text; a CRM's may have none.
        missed_on_arrival: The window was over before it was recorded (H3). As stored: a completed
            one is an ordinary completed one all the same.
        scheduled_seq: Of the event that set the window in force.
        withdrawn_seq: Of the service's own cancellation, None while there is none in force.
        called_off_seq: Of a posted (or commanded) cancellation, likewise.
        breaches: Every deadline of this follow-up that the log says was missed.
        relief: The last notice that an overdue one was done.
    """

    follow_up_id: str
    ro_number: str | None = None
    scheduled_ro_number: str | None = None
    customer_no: str | None = None
    kind: str | None = None
    own: bool = False
    posted: bool = False
    opens_at: datetime | None = None
    target_at: datetime | None = None
    due_at: datetime | None = None
    anchor: str | None = None
    policy_version: int | None = None
    missed_on_arrival: bool = False
    scheduled_at: datetime | None = None
    scheduled_seq: int = 0

    withdrawn_at: datetime | None = None
    withdrawn_seq: int | None = None
    withdrawn_reason: str | None = None
    called_off_at: datetime | None = None
    called_off_seq: int | None = None
    called_off_reason: str | None = None

    breaches: list[Breach] = msgspec.field(default_factory=list)
    relief: Relief | None = None
    completions: list[Completion] = msgspec.field(default_factory=list)
    attempts: list[Attempt] = msgspec.field(default_factory=list)
    assignments: list[Assignment] = msgspec.field(default_factory=list)

    @property
    def status(self) -> StoredStatus:
        """What is so whatever the time is.

        A completion beats a cancellation, except for the service's own: that stands only where the
        order is cancelled or no anchor stands (H5).
        """
        if self.withdrawn_seq is not None:
            return "cancelled"
        if self.completions:
            return "completed"
        if self.called_off_seq is not None:
            return "cancelled"
        return "unscheduled" if self.due_at is None else "scheduled"

    @property
    def cancelled_reason(self) -> str | None:
        """Why it is cancelled; None if it is not."""
        if self.status != "cancelled":
            return None
        return self.called_off_reason if self.withdrawn_seq is None else self.withdrawn_reason

    @property
    def cancelled_at(self) -> datetime | None:
        """When it was cancelled; None if it is not."""
        if self.status != "cancelled":
            return None
        return self.called_off_at if self.withdrawn_seq is None else self.withdrawn_at

    @property
    def cancelled_by_service(self) -> bool:
        """Whether the service's own cancellation is in force."""
        return self.withdrawn_seq is not None

    @property
    def completed_at(self) -> datetime | None:
        """Time of the first completion (H6), whatever became of the follow-up."""
        return self.completions[0].at if self.completions else None

    @property
    def completed_by(self) -> str | None:
        """Caller of the first completion (H6)."""
        return self.completions[0].by if self.completions else None

    @property
    def assignee(self) -> str | None:
        """Whom it counts for: the last assigned, else who completed (H12)."""
        return self.assignments[-1].assignee if self.assignments else self.completed_by

    @property
    def customer_says_on_time(self) -> bool | None:
        """The last answer given to that question (D9, H6); None if none was."""
        for completion in reversed(self.completions):
            if completion.customer_says_on_time is not None:
                return completion.customer_says_on_time
        return None

    @property
    def breach(self) -> Breach | None:
        """The breach of the deadline in force; None if the log has none."""
        for breach in reversed(self.breaches):
            if breach.due_at == self.due_at:
                return breach
        return None

    @property
    def overdue_seq(self) -> int | None:
        """Seq of the `follow_up.overdue` for the deadline in force."""
        breach = self.breach
        return None if breach is None else breach.seq

    @property
    def overdue_due_at(self) -> datetime | None:
        """The deadline in force if the log says that it was missed."""
        breach = self.breach
        return None if breach is None else breach.due_at

    @property
    def resolved_seq(self) -> int | None:
        """Seq of the last `follow_up.resolved`."""
        return None if self.relief is None else self.relief.seq

    @property
    def counts(self) -> bool:
        """Whether it is due or completed, as the KPIs mean it (H3, H4, H15)."""
        if self.due_at is None:
            return False
        status = self.status
        if status == "scheduled":
            return not self.missed_on_arrival and self.breach is not None
        return status == "completed"
