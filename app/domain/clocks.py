"""Deadlines: their windows, and the clocks that a state implies.

Days are counted from the local day of the anchor, and bounds are local too (J10): a window opens
with its first day and ends with the last second of its last day (H2). A contact is due after hours
that have elapsed.
"""

from datetime import date, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from app.domain.complaint import Complaint
from app.domain.follow_up import FollowUp
from app.domain.periods import end_of_day, local_day, start_of_day
from app.domain.policies import Policies, Policy
from app.domain.subject import Subject

ClockState = Literal["running", "met", "breached", "cancelled", "missed_on_arrival"]

FOLLOW_UP_CLOCK: Final = "follow_up"
CONTACT_CLOCK: Final = "contact"

_INSTANT: Final = timedelta(microseconds=1)


class Window(msgspec.Struct, frozen=True, gc=False):
    """A deadline with its opening bound; all UTC.

    Attributes:
        opens_at: First instant that is not too early.
        target_at: The wish, None where there is none.
        due_at: Last second that is in time.
    """

    opens_at: datetime
    target_at: datetime | None
    due_at: datetime


class Clock(msgspec.Struct, frozen=True):
    """A clock of a subject, as its state implies it.

    Attributes:
        name: `follow_up` or `contact`; a subject has one clock of each name at most.
        opens_at: First instant that is not too early.
        target_at: The wish, None where there is none.
        due_at: The deadline, which a breach is stamped with.
        next_at: First instant at which it is overdue; what a sweep looks for while it runs.
        state: `met` and `breached` by what was done once it was done, else by the log: a deadline
            that has passed unnoticed still runs.
        policy_version: Of the policy that set it; None for a CRM's.
    """

    name: str
    opens_at: datetime
    target_at: datetime | None
    due_at: datetime
    next_at: datetime
    state: ClockState
    policy_version: int | None


def first_window(anchor: date, policy: Policy, zone: ZoneInfo) -> Window:
    """The window of the first follow-up of a car that left on a local day."""
    return Window(
        start_of_day(anchor + timedelta(policy.follow_up_first_opens_day), zone),
        end_of_day(anchor + timedelta(policy.follow_up_first_target_day), zone),
        end_of_day(anchor + timedelta(policy.follow_up_first_due_day), zone),
    )


def second_window(anchor: date, policy: Policy, zone: ZoneInfo) -> Window:
    """The window of the second follow-up, counted from the local day of the first."""
    return Window(
        start_of_day(anchor + timedelta(policy.follow_up_second_opens_day), zone),
        None,
        end_of_day(anchor + timedelta(policy.follow_up_second_due_day), zone),
    )


def contact_due_at(complaint: Complaint, policies: Policies, zone: ZoneInfo) -> datetime | None:
    """The exact instant until which the customer is to be contacted; None while nothing is opened.

    Only the first opening starts the clock: neither a second one nor a reopening does.
    """
    opened_at = complaint.opened_at
    if opened_at is None:
        return None
    policy = policies.valid_on(local_day(opened_at, zone))
    return opened_at + timedelta(hours=policy.complaint_contact_hours)


def clocks_of(state: Subject, policies: Policies, zone: ZoneInfo) -> list[Clock]:
    """The clocks that a state implies; what has none gives an empty list."""
    match state:
        case FollowUp():
            clock = _follow_up_clock(state)
        case Complaint():
            clock = _contact_clock(state, policies, zone)
        case _:
            clock = None
    return [] if clock is None else [clock]


def _follow_up_clock(follow_up: FollowUp) -> Clock | None:
    if follow_up.opens_at is None or follow_up.due_at is None:
        return None
    state: ClockState
    match follow_up.status:
        case "cancelled":
            state = "cancelled"
        case "completed":
            state = "met" if follow_up.in_time else "breached"
        case _ if follow_up.missed_on_arrival:
            state = "missed_on_arrival"
        case _:
            state = "running" if follow_up.breach is None else "breached"
    return Clock(
        FOLLOW_UP_CLOCK,
        follow_up.opens_at,
        follow_up.target_at,
        follow_up.due_at,
        follow_up.overdue_from,
        state,
        follow_up.policy_version,
    )


def _contact_clock(complaint: Complaint, policies: Policies, zone: ZoneInfo) -> Clock | None:
    due_at = contact_due_at(complaint, policies, zone)
    if due_at is None or complaint.opened_at is None:
        return None
    state: ClockState
    if complaint.contacted_at is not None:
        state = "met" if complaint.contacted_at <= due_at else "breached"
    elif complaint.breach_of(due_at) is not None:
        state = "breached"
    else:
        state = "missed_on_arrival" if complaint.missed(due_at) else "running"
    return Clock(
        CONTACT_CLOCK,
        complaint.opened_at,
        None,
        due_at,
        due_at + _INSTANT,
        state,
        policies.valid_on(local_day(complaint.opened_at, zone)).version,
    )
