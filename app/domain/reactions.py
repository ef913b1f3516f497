"""What couples subjects: which events of its own the service wants, given how things are.

A delivery plans a call, a corrected delivery moves it, a cancelled order takes it back, the first
call plans the second one. All of it is a function of states: in which order they came to be does
not matter, and what is wanted and already so is not wanted again (H16).

The caller reacts once per touched subject after a whole batch has evolved, appends what is wanted
in the same transaction and lets the states evolve by it; reacting again then wants nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Literal, TypeGuard
from zoneinfo import ZoneInfo

import msgspec

from app.domain.clocks import Window, contact_due_at, first_window, second_window
from app.domain.complaint import Complaint
from app.domain.events.complaint import ComplaintContactOverdue, ComplaintContactResolved
from app.domain.events.envelope import Kind
from app.domain.events.follow_up import (
    FollowUpCancelled,
    FollowUpOverdue,
    FollowUpResolved,
    FollowUpScheduled,
)
from app.domain.events.payload import Payload
from app.domain.follow_up import Completion, FollowUp, Withdrawal, overdue_from
from app.domain.ids import follow_up_id
from app.domain.links import customer_of
from app.domain.periods import local_day
from app.domain.policies import Policies
from app.domain.repair_order import RepairOrder
from app.domain.subject import Breach, Relief, Subject
from app.domain.vehicle import Ownership

Planned = Literal["first", "second"]


class Cause(msgspec.Struct, frozen=True, gc=False):
    """The event that makes the service write one of its own: its last touch of the subject.

    Attributes:
        seq: Goes into the id of the own event (H16).
        occurred_at: The own event's time, for display only.
    """

    seq: int
    occurred_at: datetime


class Wanted(msgspec.Struct, frozen=True):
    """An event that the service wants to write."""

    type: str
    kind: Kind
    subject: str
    payload: Payload
    cause: Cause


@lru_cache(maxsize=4096)
def planned_ids(store_id: str, ro_number: str) -> tuple[str, str]:
    """The ids of the follow-ups that the service plans for an order: first, second.

    Their states are needed for a reaction even where they are joined to no order yet: a completion
    can arrive before the delivery that plans the call.
    """
    return (
        follow_up_id(store_id, ro_number, "first"),
        follow_up_id(store_id, ro_number, "second"),
    )


def react_repair_order(
    ro_number: str,
    order: RepairOrder | None,
    follow_ups: Iterable[FollowUp],
    *,
    store_id: str,
    policies: Policies,
    zone: ZoneInfo,
    recorded_at: datetime,
    cause: Cause,
    owners: Sequence[Ownership] = (),
) -> list[Wanted]:
    """What an order and its follow-ups want, after either was touched.

    Args:
        ro_number: The order.
        order: Its state; None where nothing is known of it, or all was retracted.
        follow_ups: All that are joined to it, and those of `planned_ids`; in any order.
        store_id: The store, for the ids.
        policies: Of the store.
        zone: Of the store.
        recorded_at: When what is wanted will be recorded: tells what is missed on arrival (H3).
        cause: The last event of this batch that touched the order, one of the follow-ups or the
            vehicle's owners.
        owners: Of its vehicle, by whom an order belongs to somebody that names no customer.
    """
    calls = {call.follow_up_id: call for call in follow_ups}
    if not calls and (order is None or order.cancelled or not _has_left(order)):
        return []
    known = RepairOrder(ro_number=ro_number) if order is None else order
    reaction = _Reaction(
        ro_number,
        known,
        customer_of(known, owners),
        calls,
        planned_ids(store_id, ro_number),
        policies,
        zone,
        recorded_at,
        cause,
    )
    reaction.keep_posted()
    reaction.drop_strays()
    reaction.plan_second(reaction.plan_first())
    return reaction.wanted


def react_follow_up(follow_up: FollowUp, *, cause: Cause) -> list[Wanted]:
    """What a follow-up wants that is joined to no order.

    To count again if it was cancelled with an order that it is no longer joined to; and the notice
    that it was done after all.
    """
    wanted: list[Wanted] = []
    if follow_up.posted and follow_up.withdrawn_seq is not None:
        wanted += _restored(follow_up, cause)
    if follow_up.completions and follow_up.due_at is not None:
        wanted += _relieved(follow_up, follow_up.due_at, cause)
    return wanted


def react_complaint(
    complaint: Complaint, *, policies: Policies, zone: ZoneInfo, cause: Cause
) -> list[Wanted]:
    """What a complaint wants after it was touched: the notice that contact was made after all."""
    due_at = contact_due_at(complaint, policies, zone)
    if due_at is None or complaint.contacted_at is None or complaint.breach_of(due_at) is None:
        return []
    late_seconds = _late(due_at, complaint.contacted_at)
    if _is_told(complaint.relief, due_at, late_seconds):
        return []
    notice = ComplaintContactResolved(due_at=due_at, late_seconds=late_seconds)
    return [
        Wanted("complaint.contact_resolved", Kind.COMPLAINT, complaint.complaint_id, notice, cause)
    ]


def overdue_events(
    state: Subject, now: datetime, *, policies: Policies, zone: ZoneInfo
) -> list[Wanted]:
    """What is to be written of a clock that may have fallen due: the breach, with its deadline.

    Empty where it is not due, and where it no longer runs: the deed was done, the breach is known.
    """
    match state:
        case FollowUp():
            return _follow_up_overdue(state, now)
        case Complaint():
            return _contact_overdue(state, now, policies, zone)
        case _:
            return []


def _follow_up_overdue(call: FollowUp, now: datetime) -> list[Wanted]:
    if call.due_at is None or call.status_at(now) != "overdue" or call.breach is not None:
        return []
    return [
        Wanted(
            "follow_up.overdue",
            Kind.FOLLOW_UP,
            call.follow_up_id,
            FollowUpOverdue(due_at=call.due_at),
            Cause(call.scheduled_seq, call.due_at),
        )
    ]


def _contact_overdue(
    complaint: Complaint, now: datetime, policies: Policies, zone: ZoneInfo
) -> list[Wanted]:
    due_at = contact_due_at(complaint, policies, zone)
    if (
        due_at is None
        or complaint.opened_seq is None
        or now <= due_at
        or complaint.contacts
        or complaint.missed(due_at)
        or complaint.breach_of(due_at) is not None
    ):
        return []
    return [
        Wanted(
            "complaint.contact_overdue",
            Kind.COMPLAINT,
            complaint.complaint_id,
            ComplaintContactOverdue(due_at=due_at),
            Cause(complaint.opened_seq, due_at),
        )
    ]


@dataclass(frozen=True, slots=True)
class _View:
    """The first call as the second one sees it, once what is wanted has been written."""

    due_at: datetime
    missed: bool
    completion: Completion | None
    cancelled: bool


@dataclass(slots=True)
class _Reaction:
    """One order's reaction: how things are on one side, what is wanted on the other."""

    ro_number: str
    order: RepairOrder
    customer_no: str | None
    calls: dict[str, FollowUp]
    ids: tuple[str, str]
    policies: Policies
    zone: ZoneInfo
    recorded_at: datetime
    cause: Cause
    wanted: list[Wanted] = field(default_factory=list)

    def keep_posted(self) -> None:
        """Let a CRM's calls follow the order: what a cancelled order has counts nowhere (C2)."""
        for call in self.calls.values():
            if not call.posted or call.due_at is None:
                continue
            counts = not self.order.cancelled or call.scheduled_ro_number != self.ro_number
            if not counts and call.withdrawn_seq is None:
                self._cancel(call.follow_up_id, Withdrawal.ORDER_CANCELLED)
            elif counts and call.withdrawn_seq is not None:
                self.wanted += _restored(call, self.cause)
            if counts and call.completions:
                self.wanted += _relieved(call, call.due_at, self.cause)

    def drop_strays(self) -> None:
        """Take back what a CRM's call left behind whose every `scheduled` was retracted."""
        for call in self.calls.values():
            if call.follow_up_id not in self.ids:
                self._withdraw(call, Withdrawal.NO_ANCHOR)

    def plan_first(self) -> _View | None:
        """Have the first call as it should be; None if there is none of ours."""
        key = self.ids[0]
        call = self.calls.get(key)
        anchor = self._first_anchor(call)
        if self.order.cancelled:
            self._withdraw(call, Withdrawal.ORDER_CANCELLED)
        elif anchor is None:
            self._withdraw(call, Withdrawal.NO_ANCHOR)
        elif self._is_kept_elsewhere("first", call):
            self._withdraw(call, Withdrawal.KEPT_ELSEWHERE)
        else:
            return self._plan("first", key, call, anchor)
        return None

    def plan_second(self, first: _View | None) -> None:
        """Have the second call as it should be, after the first one (H9)."""
        key = self.ids[1]
        call = self.calls.get(key)
        if self.order.cancelled:
            self._withdraw(call, Withdrawal.ORDER_CANCELLED)
        elif first is None or first.cancelled:
            self._withdraw(call, Withdrawal.FIRST_CANCELLED)
        elif (anchor := self._second_anchor(first, call)) is None:
            self._withdraw(call, Withdrawal.FIRST_PENDING)
        elif self._is_kept_elsewhere("second", call):
            self._withdraw(call, Withdrawal.KEPT_ELSEWHERE)
        else:
            self._plan("second", key, call, anchor)

    def _first_anchor(self, call: FollowUp | None) -> date | None:
        """The local day that the first call counts from; None while there is none (H1, H7).

        The latest handover; once the call was made, the latest one before the call. Without such a
        handover the delivered time of the settlement, where the policy takes it; without that too
        a handover after the call has to do.
        """
        handovers = self.order.handovers
        before = handovers
        if _was_made(call):
            made = (call.completions[0].at, call.completions[0].seq)
            before = [handover for handover in handovers if (handover.at, handover.seq) < made]
        if before:
            return local_day(before[-1].at, self.zone)
        delivered_at = self.order.delivered_at
        if delivered_at is not None:
            day = local_day(delivered_at, self.zone)
            if self.policies.valid_on(day).follow_up_anchor == "delivered_or_settled":
                return day
        return local_day(handovers[-1].at, self.zone) if handovers else None

    def _second_anchor(self, first: _View, second: FollowUp | None) -> date | None:
        """The local day that the second call counts from; None while the first can still be made.

        The day of the first call; the last day of its window if it was missed. A late first call
        no longer moves a second one that was made before it (H9).
        """
        made = first.completion
        if made is None:
            return local_day(first.due_at, self.zone) if first.missed else None
        if _was_made(second) and made.at >= overdue_from(first.due_at):
            earlier = second.completions[0]
            if (earlier.at, earlier.seq) < (made.at, made.seq):
                return local_day(first.due_at, self.zone)
        return local_day(made.at, self.zone)

    def _is_kept_elsewhere(self, kind: Planned, call: FollowUp | None) -> bool:
        """Whether a CRM's call of that kind for that very order takes the place of ours (H8).

        Not where ours was made: a completion beats that cancellation (H5).
        """
        if _was_made(call):
            return False
        return any(
            other is call or (other.kind == kind and other.scheduled_ro_number == self.ro_number)
            for other in self.calls.values()
            if other.posted
        )

    def _plan(self, kind: Planned, key: str, call: FollowUp | None, anchor: date) -> _View:
        """Have the window of that anchor in force; one that is keeps its times (H18).

        Be it called off by those who call, too: they may take that back.
        """
        window, missed, policy_version = self._window(kind, call, anchor)
        if (
            call is None
            or not _in_force(call, anchor)
            or call.customer_no != self.customer_no
            or call.scheduled_ro_number != self.ro_number
        ):
            self._schedule(kind, key, window, anchor, policy_version, missed=missed)
        if call is None:
            return _View(window.due_at, missed, None, cancelled=False)
        if call.completions:
            self.wanted += _relieved(call, window.due_at, self.cause)
        return _View(
            window.due_at,
            missed or _breach_of(call, window.due_at) is not None,
            call.completions[0] if call.completions else None,
            cancelled=not call.completions and call.called_off_seq is not None,
        )

    def _window(
        self, kind: Planned, call: FollowUp | None, anchor: date
    ) -> tuple[Window, bool, int | None]:
        """The window, whether it is missed on arrival, and the version of the policy behind it."""
        if call is not None and _in_force(call, anchor) and call.opens_at and call.due_at:
            kept = Window(call.opens_at, call.target_at, call.due_at)
            return kept, call.missed_on_arrival, call.policy_version
        policy = self.policies.valid_on(anchor)
        make = first_window if kind == "first" else second_window
        window = make(anchor, policy, self.zone)
        return window, window.due_at < self.recorded_at, policy.version

    def _schedule(
        self,
        kind: Planned,
        key: str,
        window: Window,
        anchor: date,
        policy_version: int | None,
        *,
        missed: bool,
    ) -> None:
        self._want(
            "follow_up.scheduled",
            key,
            FollowUpScheduled(
                ro_number=self.ro_number,
                customer_no=self.customer_no,
                kind=kind,
                opens_at=window.opens_at,
                target_at=window.target_at,
                due_at=window.due_at,
                anchor=anchor,
                missed_on_arrival=missed,
                policy_version=policy_version,
            ),
        )

    def _withdraw(self, call: FollowUp | None, reason: Withdrawal) -> None:
        """Take back a window of the service's own, if one was set; for that very reason (H16)."""
        if call is not None and call.own and call.withdrawn_reason != reason:
            self._cancel(call.follow_up_id, reason)

    def _cancel(self, key: str, reason: Withdrawal) -> None:
        self._want("follow_up.cancelled", key, FollowUpCancelled(reason=reason))

    def _want(self, event_type: str, key: str, payload: Payload) -> None:
        self.wanted.append(Wanted(event_type, Kind.FOLLOW_UP, key, payload, self.cause))


def _was_made(call: FollowUp | None) -> TypeGuard[FollowUp]:
    """Whether that call is ours and was completed."""
    return call is not None and not call.posted and bool(call.completions)


def _in_force(call: FollowUp, anchor: date) -> bool:
    """Whether the service's own window of that anchor is in force."""
    return call.own and call.withdrawn_seq is None and call.anchor == anchor


def _has_left(order: RepairOrder) -> bool:
    """Whether there may be an anchor."""
    return bool(order.handovers or order.settlements)


def _restored(call: FollowUp, cause: Cause) -> list[Wanted]:
    """A CRM's window that counts again, as the CRM set it."""
    if call.kind is None or call.opens_at is None or call.due_at is None:
        return []
    payload = FollowUpScheduled(
        ro_number=call.scheduled_ro_number,
        customer_no=call.customer_no,
        kind=call.kind,
        opens_at=call.opens_at,
        target_at=call.target_at,
        due_at=call.due_at,
        anchor=call.anchor,
        missed_on_arrival=call.missed_on_arrival,
        policy_version=call.policy_version,
    )
    return [Wanted("follow_up.scheduled", Kind.FOLLOW_UP, call.follow_up_id, payload, cause)]


def _breach_of(call: FollowUp, due_at: datetime) -> Breach | None:
    for breach in call.breaches:
        if breach.due_at == due_at:
            return breach
    return None


def _relieved(call: FollowUp, due_at: datetime, cause: Cause) -> list[Wanted]:
    """The notice that a completed call was overdue; none where it says nothing new."""
    if _breach_of(call, due_at) is None:
        return []
    late_seconds = _late(due_at, call.completions[0].at)
    if _is_told(call.relief, due_at, late_seconds):
        return []
    notice = FollowUpResolved(due_at=due_at, late_seconds=late_seconds)
    return [Wanted("follow_up.resolved", Kind.FOLLOW_UP, call.follow_up_id, notice, cause)]


def _late(due_at: datetime, done_at: datetime) -> int:
    """Whole seconds past a deadline; 0 for what was in time and heard of late."""
    return max(0, int((done_at - due_at).total_seconds()))


def _is_told(relief: Relief | None, due_at: datetime, late_seconds: int) -> bool:
    return relief is not None and relief.due_at == due_at and relief.late_seconds == late_seconds
