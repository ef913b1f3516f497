"""A follow-up call: its window, the attempts, the answer.

One state for ours and for those that a CRM keeps (H8). The window of ours is set by the service's
own events, in seq order; everything else is a fact, in the order (occurred_at, seq). Both commute.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

from app.domain.events.envelope import Event
from app.domain.events.follow_up import (
    FollowUpAssigned,
    FollowUpAttempted,
    FollowUpCancelled,
    FollowUpCompleted,
    FollowUpOverdue,
    FollowUpResolved,
    FollowUpScheduled,
)
from app.domain.subject import Breach, Relief, Subject

StoredStatus = Literal["unscheduled", "scheduled", "completed", "cancelled"]
FollowUpStatus = Literal[
    "unscheduled", "planned", "open", "overdue", "completed", "cancelled", "missed_on_arrival"
]

_SECOND: Final = timedelta(seconds=1)


class Withdrawal(StrEnum):
    """Why the service itself cancels a follow-up. Nobody else may give these reasons.

    It takes all of them back as soon as they no longer hold.
    """

    ORDER_CANCELLED = "order-cancelled"
    NO_ANCHOR = "no-anchor"
    KEPT_ELSEWHERE = "kept-elsewhere"
    FIRST_CANCELLED = "first-cancelled"
    FIRST_PENDING = "first-pending"


WITHDRAWALS: Final = frozenset(Withdrawal)


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
        anchor: Local day that the window counts from; a CRM's may have none.
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
    anchor: date | None = None
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

    def status_at(self, now: datetime) -> FollowUpStatus:
        """What is so at a moment, whether or not the log says it already."""
        status = self.status
        if status != "scheduled" or self.opens_at is None:
            return status  # type: ignore[return-value]  # never `scheduled`, which has a window
        if self.missed_on_arrival:
            return "missed_on_arrival"
        if now < self.opens_at:
            return "planned"
        return "overdue" if now >= self.overdue_from else "open"

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
    def overdue_from(self) -> datetime:
        """First instant after the last second of the window in force (H2).

        Raises:
            ValueError: it has no window.
        """
        if self.due_at is None:
            raise ValueError("what was never scheduled is never overdue")
        return overdue_from(self.due_at)

    @property
    def in_time(self) -> bool:
        """Whether it was completed by the last second of its window, even if too early."""
        completed_at, due_at = self.completed_at, self.due_at
        return (
            completed_at is not None and due_at is not None and completed_at < overdue_from(due_at)
        )

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


def overdue_from(due_at: datetime) -> datetime:
    """First instant after a deadline's second: completions compare by whole seconds (H2)."""
    return due_at.replace(microsecond=0) + _SECOND


def is_service_event(event: Event) -> bool:
    """Whether the service wrote it about a window: such an event applies in seq order (H16).

    All others are facts, also those that a command of the staff wrote.
    """
    data = event.payload
    match data:
        case FollowUpOverdue() | FollowUpResolved():
            return True
        case FollowUpScheduled():
            return event.own
        case FollowUpCancelled():
            return event.own and data.reason in WITHDRAWALS
        case _:
            return False


def evolve(follow_up: FollowUp, event: Event) -> FollowUp:
    """Apply an event to the draft and hand it back.

    Facts must come in the order (occurred_at, seq), the service's own events in seq order; how the
    two are mixed makes no difference.
    """
    if is_service_event(event):
        _APPLY_OWN[type(event.payload)](follow_up, event.payload, event)
    else:
        _APPLY_FACT[type(event.payload)](follow_up, event.payload, event)
        follow_up.last_occurred_at = event.occurred_at
        follow_up.last_fact_seq = event.seq
    return follow_up


def _planned(follow_up: FollowUp, data: FollowUpScheduled, event: Event) -> None:
    """The service sets a window, or lets a posted one count again."""
    follow_up.withdrawn_at = follow_up.withdrawn_seq = follow_up.withdrawn_reason = None
    if not follow_up.posted:
        follow_up.own = True
        _set_window(follow_up, data, event)
        follow_up.missed_on_arrival = bool(data.missed_on_arrival)


def _withdrawn(follow_up: FollowUp, data: FollowUpCancelled, event: Event) -> None:
    follow_up.withdrawn_at = event.occurred_at
    follow_up.withdrawn_seq = event.seq
    follow_up.withdrawn_reason = data.reason


def _overdue(follow_up: FollowUp, data: FollowUpOverdue, event: Event) -> None:
    follow_up.breaches.append(Breach(data.due_at, event.seq))


def _resolved(follow_up: FollowUp, data: FollowUpResolved, event: Event) -> None:
    follow_up.relief = Relief(data.due_at, data.late_seconds or 0, event.seq)


def _posted(follow_up: FollowUp, data: FollowUpScheduled, event: Event) -> None:
    """A CRM sets a window: the last one counts (H10), a cancellation before it no longer does."""
    follow_up.posted = True
    follow_up.own = False
    follow_up.called_off_at = follow_up.called_off_seq = follow_up.called_off_reason = None
    _set_window(follow_up, data, event)
    follow_up.missed_on_arrival = event.recorded_at >= overdue_from(data.due_at)


def _set_window(follow_up: FollowUp, data: FollowUpScheduled, event: Event) -> None:
    follow_up.kind = data.kind
    follow_up.customer_no = data.customer_no
    follow_up.scheduled_ro_number = data.ro_number
    follow_up.opens_at = data.opens_at
    follow_up.target_at = data.due_at if data.target_at is None else data.target_at
    follow_up.due_at = data.due_at
    follow_up.anchor = data.anchor
    follow_up.policy_version = data.policy_version
    follow_up.scheduled_at = event.occurred_at
    follow_up.scheduled_seq = event.seq
    _join(follow_up)


def _join(follow_up: FollowUp) -> None:
    """Join it to the order of the window, else to the one that a completion names (D10)."""
    follow_up.ro_number = follow_up.scheduled_ro_number
    if follow_up.ro_number is None:
        for completion in follow_up.completions:
            follow_up.ro_number = completion.ro_number or follow_up.ro_number


def _assigned(follow_up: FollowUp, data: FollowUpAssigned, event: Event) -> None:
    follow_up.assignments.append(
        Assignment(event.occurred_at, event.seq, data.assignee, data.acting_for, data.appointed_by)
    )


def _attempted(follow_up: FollowUp, data: FollowUpAttempted, event: Event) -> None:
    follow_up.attempts.append(
        Attempt(
            event.occurred_at, event.seq, data.by, data.channel, data.outcome, data.call_later_at
        )
    )


def _completed(follow_up: FollowUp, data: FollowUpCompleted, event: Event) -> None:
    follow_up.completions.append(
        Completion(
            event.occurred_at,
            event.seq,
            data.by,
            data.channel,
            data.outcome,
            data.ro_number,
            data.customer_says_on_time,
        )
    )
    _join(follow_up)


def _called_off(follow_up: FollowUp, data: FollowUpCancelled, event: Event) -> None:
    follow_up.called_off_at = event.occurred_at
    follow_up.called_off_seq = event.seq
    follow_up.called_off_reason = data.reason


_APPLY_OWN: Final[Mapping[type, Callable[[FollowUp, Any, Event], None]]] = {
    FollowUpScheduled: _planned,
    FollowUpCancelled: _withdrawn,
    FollowUpOverdue: _overdue,
    FollowUpResolved: _resolved,
}
_APPLY_FACT: Final[Mapping[type, Callable[[FollowUp, Any, Event], None]]] = {
    FollowUpScheduled: _posted,
    FollowUpAssigned: _assigned,
    FollowUpAttempted: _attempted,
    FollowUpCompleted: _completed,
    FollowUpCancelled: _called_off,
}
