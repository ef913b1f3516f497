"""What staff may do with a follow-up call; each command returns what its event is to say."""

from datetime import datetime

from app.domain.errors import ConflictError, Fault, InvalidInputError
from app.domain.events.follow_up import (
    FollowUpAssigned,
    FollowUpAttempted,
    FollowUpCancelled,
    FollowUpCompleted,
    FollowUpScheduled,
)
from app.domain.follow_up import WITHDRAWALS, FollowUp, overdue_from


def assign(follow_up: FollowUp, data: FollowUpAssigned) -> FollowUpAssigned:
    """Decide who shall call.

    Raises:
        ConflictError: there is nothing left to call for.
    """
    _check_running(follow_up, "assigned")
    return data


def attempt(
    follow_up: FollowUp, data: FollowUpAttempted, *, occurred_at: datetime, now: datetime
) -> FollowUpAttempted:
    """Note that the customer was not reached.

    Raises:
        ConflictError: there is nothing left to call for.
        InvalidInputError: the attempt lies in the future.
    """
    _check_running(follow_up, "attempted")
    _check_past(occurred_at, now)
    return data


def complete(
    follow_up: FollowUp, data: FollowUpCompleted, *, occurred_at: datetime, now: datetime
) -> FollowUpCompleted:
    """Note that the customer was reached; too early a call is noted too, as what it was.

    Raises:
        ConflictError: it is completed already, or there is nothing to call for.
        InvalidInputError: the call lies in the future.
    """
    _check_running(follow_up, "completed")
    _check_past(occurred_at, now)
    return data


def cancel(follow_up: FollowUp, data: FollowUpCancelled) -> FollowUpCancelled:
    """Call it off for good.

    Raises:
        ConflictError: it is completed or cancelled already.
        InvalidInputError: the reason is one that only the service gives.
    """
    _check_running(follow_up, "cancelled")
    if data.reason in WITHDRAWALS:
        raise InvalidInputError.at(
            "/reason", "reserved", "This reason is one that only the service itself gives."
        )
    return data


def move(
    follow_up: FollowUp,
    *,
    opens_at: datetime,
    target_at: datetime | None,
    due_at: datetime,
    now: datetime,
) -> FollowUpScheduled | None:
    """Give it another window, which stays until its anchor moves to another day.

    Returns:
        None if that window is in force already.

    Raises:
        ConflictError: there is nothing left to call for, or a CRM keeps the window.
        InvalidInputError: the window is over, or its bounds are in the wrong order.
    """
    _check_running(follow_up, "moved")
    if follow_up.posted:
        raise ConflictError(
            "The window of this follow-up is kept elsewhere; move it there.", state="posted"
        )
    faults = []
    if not opens_at < due_at:
        faults.append(Fault("/opens_at", "order", "It must open before it is due."))
    if target_at is not None and not opens_at <= target_at <= due_at:
        faults.append(Fault("/target_at", "order", "The target must lie within the window."))
    if overdue_from(due_at) <= now:
        faults.append(Fault("/due_at", "past", "The new window must not be over already."))
    if faults:
        raise InvalidInputError(faults)
    wanted = (opens_at, due_at if target_at is None else target_at, due_at)
    if wanted == (follow_up.opens_at, follow_up.target_at, follow_up.due_at):
        return None
    return FollowUpScheduled(
        ro_number=follow_up.scheduled_ro_number,
        customer_no=follow_up.customer_no,
        kind=follow_up.kind or "",
        opens_at=opens_at,
        target_at=target_at,
        due_at=due_at,
        anchor=follow_up.anchor,
        missed_on_arrival=False,
        policy_version=follow_up.policy_version,
    )


def _check_running(follow_up: FollowUp, deed: str) -> None:
    status = follow_up.status
    if status == "completed":
        first = follow_up.completions[0]
        why = f"was completed by {first.by} at {_words(first.at)}"
    elif status == "cancelled":
        why = f"is cancelled ({follow_up.cancelled_reason})"
    elif status == "unscheduled":
        why = "was never scheduled"
    else:
        return
    raise ConflictError(f"The follow-up {why}; it can't be {deed}.", state=status)


def _check_past(occurred_at: datetime, now: datetime) -> None:
    if occurred_at > now:
        raise InvalidInputError.at(
            "/occurred_at", "future", "What has happened can't lie in the future."
        )


def _words(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds").replace("+00:00", "Z")
