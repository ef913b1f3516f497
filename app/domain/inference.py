"""What snapshots of a repair order imply, beyond what was told of it.

A pure function of the facts that stand: in which order they arrived makes no difference. Snapshots
and told facts are walked in the order in which they happened; a fact is inferred where a snapshot
shows something that its source did not show before and that differs from what is in force as of
its time. So a told fact that comes later than the snapshot that showed it takes the place of what
was inferred, and an export that goes on showing the same overrules nothing.

A fact without a time of its own happened at the latest when a snapshot first showed it, and no
later than what comes after it in the life of an order. Times that differ within a minute are the
same: many a DMS keeps no seconds.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from app.domain.events.envelope import Event
from app.domain.events.payload import Payload
from app.domain.events.repair_order import (
    RepairOrderAuthorized,
    RepairOrderCancelled,
    RepairOrderDelivered,
    RepairOrderDispatched,
    RepairOrderLinked,
    RepairOrderOpened,
    RepairOrderPromiseChanged,
    RepairOrderSettled,
    RepairOrderWorkCompleted,
    RepairOrderWorkStarted,
    Sheet,
)
from app.domain.events.retraction import EventRetracted
from app.domain.events.snapshot import RepairOrderSnapshot, RepairOrderSnapshotRepeated
from app.domain.inferred_settlement import infer_settlement
from app.domain.repair_order_course import OPENED_FIELDS
from app.domain.seen import Inferred, Seen, later, run_of, same_minute, sightings_of, walk

_LINKS: Final = ("customer_no", "vin")
_ESTIMATES: Final = ("estimate_amount", "estimate_hours")
_SNAPSHOTS: Final = (RepairOrderSnapshot, RepairOrderSnapshotRepeated)
_AFTER_DISPATCH: Final = (
    RepairOrderWorkStarted,
    RepairOrderWorkCompleted,
    RepairOrderSettled,
    RepairOrderDelivered,
)
_AFTER_OPENING: Final = (
    RepairOrderAuthorized,
    RepairOrderDispatched,
    RepairOrderPromiseChanged,
    *_AFTER_DISPATCH,
)
_BEARS_ON_SNAPSHOTS: Final = frozenset(
    {
        RepairOrderOpened,
        RepairOrderLinked,
        RepairOrderCancelled,
        EventRetracted,
        *_AFTER_OPENING,
        *_SNAPSHOTS,
    }
)


def tells_snapshots(events: Iterable[Event]) -> bool:
    """Whether there was ever a snapshot among the events of an order."""
    return any(type(event.payload) is RepairOrderSnapshot for event in events)


def bears_on_snapshots(events: Iterable[Event]) -> bool:
    """Whether any of the events can change what the snapshots of its order imply."""
    return any(type(event.payload) in _BEARS_ON_SNAPSHOTS for event in events)


def infer(events: Iterable[Event]) -> list[Inferred]:
    """List what snapshots imply and nothing told says, in the order in which it happened.

    Args:
        events: All events of one order that stand (`app.domain.fold.standing`), in any order;
            those that were inferred before don't count.
    """
    facts = sorted(events, key=lambda event: (event.occurred_at, event.seq))
    seen = sightings_of(facts)
    if not seen:
        return []
    told = [
        event for event in facts if not event.inferred and type(event.payload) not in _SNAPSHOTS
    ]
    handovers = _handovers(_of(told, RepairOrderDelivered), seen)
    left_at = _earliest(_of(told, RepairOrderDelivered), handovers)
    settlements = infer_settlement(told, seen, not_after=left_at)
    work = [
        *_once(RepairOrderWorkStarted, "repair_order.work_started", "work_started_at", told, seen),
        *_once(
            RepairOrderWorkCompleted,
            "repair_order.work_completed",
            "work_completed_at",
            told,
            seen,
        ),
    ]
    done = [*work, *settlements, *handovers]
    done_told = [event for event in told if type(event.payload) in _AFTER_DISPATCH]
    dispatches = _dispatches(told, seen, not_after=_earliest(done_told, done))
    authorizations = _authorizations(
        _of(told, RepairOrderAuthorized), seen, not_after=_earliest(done_told, done)
    )
    first, changes = _promises(told, seen, not_after=_left_at(told, [*settlements, *handovers]))
    after = [*authorizations, *dispatches, *done, *changes]
    after_told = [event for event in told if type(event.payload) in _AFTER_OPENING]
    openings = _openings(told, seen, first, not_after=_earliest(after_told, after))
    cancellations = _cancellations(_of(told, RepairOrderCancelled), seen)
    inferred = [*openings, *authorizations, *dispatches, *work, *changes]
    inferred += [*settlements, *handovers, *cancellations]
    # stable: at one instant things happen in the order of an order's life
    return sorted(inferred, key=lambda fact: fact.occurred_at)


def _of(told: Iterable[Event], *payloads: type[Payload]) -> list[Event]:
    return [event for event in told if type(event.payload) in payloads]


def _earliest(told: Sequence[Event], inferred: Sequence[Inferred]) -> datetime | None:
    times = [event.occurred_at for event in told] + [fact.occurred_at for fact in inferred]
    return min(times, default=None)


def _left_at(told: Iterable[Event], inferred: Sequence[Inferred]) -> datetime | None:
    """When the car left, as the earliest of all that says so has it."""
    left: list[Event | Inferred] = [*_of(told, RepairOrderSettled, RepairOrderDelivered)]
    left += inferred
    times = []
    for fact in left:
        on_sheet = fact.payload.delivered_at if isinstance(fact.payload, Sheet) else None
        times.append(on_sheet or fact.occurred_at)
    return min(times, default=None)


def _no_later(at: datetime, limit: datetime | None) -> datetime:
    return at if limit is None else min(at, limit)


# --- opened --------------------------------------------------------------------------------------


def _openings(
    told: Sequence[Event],
    seen: Sequence[Seen],
    first: tuple[datetime, Seen] | None,
    *,
    not_after: datetime | None,
) -> list[Inferred]:
    """What each snapshot says anew of the order as it was written, at the time of its opening.

    Whose an order is, once it was linked, changes by another link.

    Args:
        told: What was told; the arrival stays that of a told opening.
        seen: The snapshots.
        first: The first promise and the snapshot that shows it, if nothing told says so.
        not_after: What the order was opened before.
    """
    arrival = run_of(seen, "opened_at")
    links: list[Inferred] = []
    linked: set[str] = set()
    facts, told = _of(told, RepairOrderOpened, RepairOrderLinked), _of(told, RepairOrderOpened)
    place = told[0].occurred_at if told else None
    if place is None:
        place = arrival[0] if arrival else _no_later(seen[0].at, not_after)
    openings: list[Inferred] = []
    known: dict[str, Any] = {}
    for item in walk(facts, seen):
        if isinstance(item, Event):
            if type(item.payload) is RepairOrderLinked:
                known |= (link := _carried(item.payload, _LINKS))
                linked |= link.keys()
            else:
                known |= _carried(item.payload, OPENED_FIELDS)
                place = item.occurred_at
            continue
        news = {
            name: value
            for name, value in item.news.items()
            if name in OPENED_FIELDS
            and known.get(name) != value
            # told only later, but then told
            and not (told and item.at < told[0].occurred_at and _has(told[0].payload, name))
        }
        if link := {name: news.pop(name) for name in linked & news.keys()}:
            payload = RepairOrderLinked.model_construct(**link)
            links.append(Inferred("repair_order.linked", item.at, payload, item.event))
            known |= link
        is_first = first is not None and first[1] is item
        if first is not None and is_first and (not told or place == told[0].occurred_at):
            news["promised_at"] = first[0]
        elif first is not None and is_first:
            openings.append(_opening(told[0].occurred_at, {"promised_at": first[0]}, known, item))
        if news or not (told or openings):
            openings.append(_opening(place, news, known, item))
            known |= news
    if arrival and openings and not told:
        openings[0] = msgspec.structs.replace(
            openings[0], evidence=later(openings[0].evidence, arrival[1].event)
        )
    return openings + links


def _opening(at: datetime, news: dict[str, Any], known: dict[str, Any], seen: Seen) -> Inferred:
    """An `opened` with news; it repeats the estimate, which says where the car is (C3)."""
    estimate = {name: known[name] for name in _ESTIMATES if name in known}
    payload = RepairOrderOpened.model_construct(**(estimate | news))
    return Inferred("repair_order.opened", at, payload, seen.event)


def _carried(payload: Payload, names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(payload, name)) is not None}


def _has(payload: Payload, name: str) -> bool:
    return getattr(payload, name) is not None


# --- promises ------------------------------------------------------------------------------------


def _promises(
    told: Sequence[Event], seen: Sequence[Seen], *, not_after: datetime | None
) -> tuple[tuple[datetime, Seen] | None, list[Inferred]]:
    """The first promise, where nothing told says it, and every change that snapshots show.

    Why a promise changed and whether the customer confirmed it is not to be seen.
    """
    given = [event for event in told if _promised(event) is not None]
    first = _first_promise(given, seen)
    current = None if first is None else first[0]
    given_at: datetime | None = None
    opened = first is not None
    changes: list[Inferred] = []
    for item in walk(given, seen):
        if isinstance(item, Event):
            if type(item.payload) is RepairOrderOpened and opened:
                continue  # neither replaces nor counts (D2)
            opened = opened or type(item.payload) is not RepairOrderPromiseChanged
            current, given_at = _promised(item), item.occurred_at
            continue
        promised = item.news.get("promised_at")
        if promised is None or same_minute(promised, current):
            continue
        if current is None and given and same_minute(promised, _promised(given[0])):
            current = promised  # told, if only as of later
            continue
        possible = [
            at
            for at in (item.data.promise_changed_at, _no_later(item.at, not_after))
            if at is not None and at <= item.at and (given_at is None or at > given_at)
        ]
        changed_at = possible[0] if possible else item.at
        changes.append(
            Inferred(
                "repair_order.promise_changed",
                changed_at,
                RepairOrderPromiseChanged.model_construct(promised_at=promised),
                item.event,
            )
        )
        current, given_at = promised, changed_at
    return first, changes


def _promised(event: Event) -> datetime | None:
    payload = event.payload
    if isinstance(payload, RepairOrderOpened | RepairOrderAuthorized | RepairOrderPromiseChanged):
        return payload.promised_at
    return None


def _first_promise(given: Sequence[Event], seen: Sequence[Seen]) -> tuple[datetime, Seen] | None:
    """The promise of the opening; None where one was told, or none is to be seen."""
    if any(type(event.payload) is RepairOrderOpened for event in given):
        return None
    shown = next((item for item in seen if "promised_at" in item.news), None)
    is_shown_first = shown is not None and not (given and given[0].occurred_at <= shown.at)
    if (carried := run_of(seen, "first_promised_at")) is not None:
        is_told = bool(given) and same_minute(_promised(given[0]), carried[0])
        return None if is_told and not is_shown_first else carried
    if shown is None or shown.data.promised_at is None or not is_shown_first:
        return None
    return shown.data.promised_at, shown


# --- authorized, work, handover, cancelled -------------------------------------------------------


def _authorizations(
    told: Sequence[Event], seen: Sequence[Seen], *, not_after: datetime | None
) -> list[Inferred]:
    signed, amount = run_of(seen, "authorized_at"), run_of(seen, "authorized_amount")
    if signed is None and amount is None:
        return []
    evidence = later(*(found[1].event for found in (signed, amount) if found is not None))
    same = [event for event in told if signed and same_minute(event.occurred_at, signed[0])]
    known = [event for event in told if event.occurred_at <= evidence.occurred_at or event in same]
    sums = [
        event.payload.amount
        for event in known
        if isinstance(event.payload, RepairOrderAuthorized) and event.payload.amount is not None
    ]
    is_time_told = bool(same) if signed else bool(known)
    is_amount_told = amount is None or (bool(sums) and sums[-1] == amount[0])
    if is_time_told and is_amount_told:
        return []
    if same:
        at = same[-1].occurred_at
    elif signed is not None:
        at = signed[0]
    elif known:
        at = known[-1].occurred_at
    else:
        at = _no_later(evidence.occurred_at, not_after)
    payload = RepairOrderAuthorized.model_construct(amount=None if amount is None else amount[0])
    return [Inferred("repair_order.authorized", at, payload, evidence)]


def _once(
    model: type[Payload], event_type: str, name: str, told: Sequence[Event], seen: Sequence[Seen]
) -> list[Inferred]:
    """A fact of which one is enough, whenever it was told up to the snapshots that carry it."""
    carried = run_of(seen, name)
    if carried is None:
        return []
    at, since = carried
    if any(
        event.occurred_at <= since.at or same_minute(event.occurred_at, at)
        for event in _of(told, model)
    ):
        return []
    return [Inferred(event_type, at, model.model_construct(), since.event)]


def _handovers(told: Sequence[Event], seen: Sequence[Seen]) -> list[Inferred]:
    handed_over = run_of(seen, "handed_over_at")
    odometer = run_of(seen, "handover_odometer_km")
    same = told
    if handed_over is not None:
        same = [event for event in told if same_minute(event.occurred_at, handed_over[0])]
    elif odometer is None or not told:
        return []
    readings = [
        event.payload.odometer_km
        for event in told
        if isinstance(event.payload, RepairOrderDelivered)
        and event.payload.odometer_km is not None
    ]
    if same and (odometer is None or (bool(readings) and readings[-1] == odometer[0])):
        return []
    found = [run for run in (handed_over, odometer) if run is not None]
    at: datetime = same[-1].occurred_at if same else found[0][0]
    payload = RepairOrderDelivered.model_construct(
        odometer_km=None if odometer is None else odometer[0]
    )
    evidence = later(*(run[1].event for run in found))
    return [Inferred("repair_order.delivered", at, payload, evidence)]


def _cancellations(told: Sequence[Event], seen: Sequence[Seen]) -> list[Inferred]:
    """None where one was told: that is final (C1)."""
    since: Seen | None = None
    at: datetime | None = None
    reason: str | None = None
    evidence: Event | None = None
    for item in seen:
        status = item.news.get("status")
        if status not in {None, "cancelled"}:
            since = at = reason = evidence = None
        elif (
            status is not None
            or since is not None
            or (item.status in {None, "cancelled"} and "cancelled_at" in item.news)
        ):
            carried = item.news if status is None else dict(item.data)
            since = since or item
            shown = (carried.get("cancelled_at") or at, carried.get("cancel_reason") or reason)
            if evidence is None or shown != (at, reason):
                evidence = item.event
            at, reason = shown
    if told or since is None or evidence is None:
        return []
    payload = RepairOrderCancelled.model_construct(reason=reason)
    return [Inferred("repair_order.cancelled", at or since.at, payload, evidence)]


# --- dispatched ----------------------------------------------------------------------------------


class _Work(msgspec.Struct):
    """Who has the work, as of a moment; `worked` is named by a work event alone (E5)."""

    technician: str | None = None
    team: str | None = None
    bay: str | None = None
    worked: str | None = None
    since: datetime | None = None


def _dispatches(
    told: Sequence[Event], seen: Sequence[Seen], *, not_after: datetime | None
) -> list[Inferred]:
    """A dispatch wherever the technician, the team or the bay is another one than in force."""
    work = _Work()
    dispatches: list[Inferred] = []
    for item in walk(_of(told, *_OF_WORK), seen):
        if isinstance(item, Event):
            _take_work(work, item)
            continue
        other = item.news.get("technician")
        bay = item.news.get("bay")
        # a team is that of its technician (E2)
        team = item.news.get("team") if other is None else item.data.team
        technician = other or work.technician
        if technician is None or (
            other in {None, work.technician or work.worked}
            and team in {None, work.team}
            and bay in {None, work.bay}
        ):
            continue
        at = _given_at(item, work.since)
        if at is None:
            at = item.at if work.since else _no_later(item.at, not_after)
        stays = other in {None, work.technician}
        team = team or (work.team if stays else None)
        work = _Work(technician, team, bay or work.bay, work.worked, at)
        payload = RepairOrderDispatched.model_construct(
            technician=technician, team=team, bay=work.bay
        )
        dispatches.append(Inferred("repair_order.dispatched", at, payload, item.event))
    return dispatches


def _given_at(item: Seen, after: datetime | None) -> datetime | None:
    """When the work was given to who has it, if the snapshot says so and it can be."""
    at = item.data.dispatched_at
    if at is None or at > item.at or (after is not None and at <= after):
        return None
    return at


def _take_work(work: _Work, event: Event) -> None:
    payload = event.payload
    if isinstance(payload, RepairOrderDispatched):
        work.technician, work.team = payload.technician, payload.team
        work.bay = payload.bay or work.bay
        work.since = event.occurred_at
    elif isinstance(payload, RepairOrderWorkStarted):
        work.worked = payload.technician or work.worked
        work.bay = payload.bay or work.bay
    elif isinstance(payload, RepairOrderWorkCompleted):
        work.worked = payload.technician or work.worked


_OF_WORK: Final = (RepairOrderDispatched, RepairOrderWorkStarted, RepairOrderWorkCompleted)
