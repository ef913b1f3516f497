"""The settlement that snapshots of a repair order imply."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from app.domain.events.envelope import Event
from app.domain.events.repair_order import Amounts, RepairOrderSettled, Sheet
from app.domain.seen import Inferred, Seen, same_minute, walk

_FIELDS: Final = tuple(Sheet.model_fields)
_SETTLED: Final = frozenset({"settled", "closed"})
_UNSETTLED: Final = frozenset({"open", "ready_to_bill"})


class _Told(msgspec.Struct, frozen=True):
    """A settlement that was told."""

    at: datetime
    sheet: RepairOrderSettled


class _Bill(msgspec.Struct):
    """How the bill stands as of a moment of the walk.

    Attributes:
        told: The last settlement that was told.
        since: The snapshot that first showed the order settled, in its present run.
        settled_at: As snapshots say it.
        shown: What snapshots carry of the sheet, since the last one that was told.
        inferred: What follows from all that.
    """

    told: _Told | None = None
    since: Seen | None = None
    settled_at: datetime | None = None
    shown: dict[str, Any] = {}
    inferred: Inferred | None = None


def infer_settlement(
    told: Sequence[Event], seen: Sequence[Seen], *, not_after: datetime | None
) -> list[Inferred]:
    """The settlement that snapshots show and nothing told says; one at most.

    The latest settlement counts as a whole (G1): what the snapshots are silent about is carried
    over from the one that was told.

    Args:
        told: What was told, in order of time.
        seen: The snapshots, in order of time.
        not_after: The handover: where snapshots say that the bill was made but not when, it was
            made before.
    """
    bill = _Bill()
    for item in walk(told, seen):
        if isinstance(item, Event):
            if isinstance(item.payload, RepairOrderSettled):
                bill = _Bill(told=_Told(item.occurred_at, item.payload))
            continue
        status, settled_at = item.news.get("status"), item.news.get("settled_at")
        carried = {name: item.news[name] for name in _FIELDS if name in item.news}
        bill.shown |= carried
        if status in _UNSETTLED:
            bill.since = bill.settled_at = bill.inferred = None
        if item.status in _UNSETTLED:
            continue
        if status in _SETTLED or settled_at is not None:
            bill.since = bill.since or item
            bill.settled_at = item.data.settled_at or bill.settled_at
        elif not (carried and (bill.since or bill.told)):
            continue
        _draw_up(bill, item, not_after)
    return [] if bill.inferred is None else [bill.inferred]


def _draw_up(bill: _Bill, item: Seen, not_after: datetime | None) -> None:
    """Write the sheet as it is known with one more snapshot."""
    if bill.told is None:
        at, sheet = _untold(bill, item, not_after)
    else:
        changed = _corrected(bill, bill.told)
        if changed is None:
            bill.inferred = None
            return
        at, sheet = changed
    payload = RepairOrderSettled.model_construct(**sheet)
    before = bill.inferred
    if before is None or (before.occurred_at, before.payload) != (at, payload):
        bill.inferred = Inferred("repair_order.settled", at, payload, item.event)


def _untold(
    bill: _Bill, item: Seen, not_after: datetime | None
) -> tuple[datetime, dict[str, Any]]:
    at = bill.settled_at
    if at is None:
        at = (bill.since or item).at
        at = at if not_after is None else min(at, not_after)
    return at, {"amounts": Amounts(), **bill.shown}


def _corrected(bill: _Bill, told: _Told) -> tuple[datetime, dict[str, Any]] | None:
    """The told sheet with what snapshots show otherwise; None where they show nothing else.

    It stands at the time of the told one, or later: an earlier one would not count.
    """
    at, base = told.at, told.sheet
    is_time_told = bill.settled_at is None or same_minute(bill.settled_at, at)
    if is_time_told and all(_agrees(name, value, base, at) for name, value in bill.shown.items()):
        return None
    sheet = {name: value for name in _FIELDS if (value := getattr(base, name)) is not None}
    sheet |= bill.shown
    if bill.settled_at is not None and not is_time_told:
        if bill.settled_at > at:
            at = bill.settled_at
        else:
            sheet.setdefault("delivered_at", bill.settled_at)
    return at, sheet


def _agrees(name: str, value: Any, base: RepairOrderSettled, at: datetime) -> bool:
    """Whether a told sheet says the same of a field."""
    known = getattr(base, name)
    if name == "delivered_at":
        return same_minute(value, at if known is None else known)
    if isinstance(value, Amounts):
        return _by_kind(value) == _by_kind(known) and (known is not None or not _kinds(value))
    return bool(known == value)


def _by_kind(sums: Amounts | None) -> dict[str, Decimal]:
    """What is not 0 (G2)."""
    return {kind: value for kind, value in _kinds(sums).items() if value}


def _kinds(sums: Amounts | None) -> dict[str, Decimal]:
    if sums is None:
        return {}
    return {
        kind: value for kind in Amounts.model_fields if (value := getattr(sums, kind)) is not None
    }
