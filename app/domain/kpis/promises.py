"""The walk through the promises of an order: which was first, which is in force."""

from datetime import datetime
from typing import Literal

import msgspec

from app.domain.kpis.visit import minute
from app.domain.policies import Policy
from app.domain.repair_order import Promise, RepairOrder

Effect = Literal["first", "replaced", "refused", "ignored", "after_delivery"]
Refusal = Literal["reason", "unknown_reason", "unconfirmed", "unknown_confirmation", "after_due"]


class Step(msgspec.Struct, frozen=True, gc=False):
    """What the walk did with one promise.

    Attributes: promise: The promise. effect: It set the reference first, replaced it, was refused,
        was ignored (it came before the promise that set the reference), or came after the
        delivery. refusals: Why it was refused, all that apply.
    """

    promise: Promise
    effect: Effect
    refusals: tuple[Refusal, ...] = ()


class Walk(msgspec.Struct, frozen=True, gc=False):
    """The promises of an order, walked through.

    Attributes:
        first: The first promise (D1, D2).
        reference: The promise in force at the end of the walk. Both are None without any promise.
        steps: What became of each promise.
    """

    first: Promise | None
    reference: Promise | None
    steps: tuple[Step, ...]


def walk_promises(promises: list[Promise], policy: Policy, delivered_at: datetime | None) -> Walk:
    """Find the first promise and the one in force.

    Args:
        promises: In (at, seq) order.
        policy: Says which changes replace the reference.
        delivered_at: Only promises given up to that minute count (D4, D5); None: all do.
    """
    counting = _given_until(promises, delivered_at)
    steps: list[Step] = []
    first: Promise | None = None
    reference: Promise | None = None
    start = next((index for index, given in enumerate(counting) if given.by != "changed"), 0)
    for index, promise in enumerate(counting):
        refusals: tuple[Refusal, ...] = ()
        effect: Effect
        if index < start:
            effect = "ignored"
        elif reference is None:
            effect = "first"
            first = reference = promise
        else:
            if promise.by == "changed":
                refusals = _refusals(promise, reference, policy)
            effect = "refused" if refusals else "replaced"
            if not refusals:
                reference = promise
        steps.append(Step(promise, effect, refusals))
    steps.extend(Step(promise, "after_delivery") for promise in promises[len(counting) :])
    return Walk(first, reference, tuple(steps))


def reference_in_force(order: RepairOrder, policy: Policy) -> datetime | None:
    """The promised time that holds for the order: up to its delivered time once it is settled."""
    reference = walk_promises(order.promises, policy, order.delivered_at).reference
    return None if reference is None else reference.promised_at


def taken_for_granted(promise: Promise) -> bool:
    """Whether a change replaced the reference although its reason or confirmation is not known."""
    return promise.by == "changed" and (promise.reason is None or promise.confirmed is None)


def _given_until(promises: list[Promise], delivered_at: datetime | None) -> list[Promise]:
    if delivered_at is None or not promises:
        return promises
    limit = minute(delivered_at)
    if minute(promises[-1].at) <= limit:
        return promises
    return [promise for promise in promises if minute(promise.at) <= limit]


def _refusals(change: Promise, reference: Promise, policy: Policy) -> tuple[Refusal, ...]:
    """Why a change does not replace the reference; empty if it does."""
    found: list[Refusal] = []
    unknown_is_refused = policy.on_time_unknown_confirmation == "reject"
    if change.reason is None:
        if unknown_is_refused:
            found.append("unknown_reason")
    elif change.reason not in policy.on_time_repromise_reasons:
        found.append("reason")
    if change.confirmed is None:
        if unknown_is_refused:
            found.append("unknown_confirmation")
    elif not change.confirmed:
        found.append("unconfirmed")
    too_late = minute(change.at) > minute(reference.promised_at)
    if too_late and not policy.on_time_repromise_after_due:
        found.append("after_due")
    return tuple(found)
