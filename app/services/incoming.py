"""A message behind the door: what of it can enter the logs, by store, and what can't be read."""

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from app.db.quarantine import QuarantineRow, add_row, quarantine_row
from app.domain.access import Principal
from app.domain.errors import Fault
from app.domain.events.envelope import NewEvent, Reason, Rejected
from app.domain.events.item import Item
from app.domain.events.wire import Message
from app.domain.quarantine import NO_STORE, faults_of
from app.services.taken import Taken
from app.services.units import Facts, Outcome, Quarantined


@dataclass(slots=True)
class _Part:
    """The part of a message that belongs to one store."""

    events: list[NewEvent] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)


class Incoming:
    """A message that was read at the door and is not yet written."""

    def __init__(
        self, message: Message, *, known: Collection[str], principal: Principal, now: datetime
    ) -> None:
        """Begin with nothing read.

        Args:
            message: What was sent.
            known: Stores that the caller may write to.
            principal: The caller.
            now: When it came.
        """
        self.message = message
        self._known = known
        self._may = principal.may
        self._now = now
        self._outcomes: list[Outcome | None] = [None] * len(message.items)
        self._warnings: dict[int, tuple[Fault, ...]] = {}
        self._parts: dict[str, _Part] = defaultdict(_Part)
        self._refused: dict[int, tuple[Rejected, Quarantined, str | None]] = {}
        self._units: list[tuple[Facts, _Part]] | None = None

    def add(self, position: int, event: NewEvent | Rejected) -> None:
        """Take in what the door made of the item at a position; once for each, in order."""
        if isinstance(event, Rejected):
            store_id = event.store_id if event.store_id in self._known else None
            body_hash = self.message.item(position).body_hash
            faults, awaits_store = faults_of(event, self._may)
            outcome = Quarantined(event.reason, faults, store_id or NO_STORE, body_hash)
            self._outcomes[position] = outcome
            self._refused[position] = event, outcome, awaits_store
            return
        part = self._parts[event.store_id]
        part.events.append(event)
        part.positions.append(position)
        if event.warnings:
            self._warnings[position] = event.warnings

    @property
    def is_refused(self) -> bool:
        """Whether some of it could not be read."""
        return bool(self._refused)

    def units(self) -> list[Facts]:
        """Give what could be read as units of work, one for each store."""
        if self._units is None:
            self._units = [
                (Facts(store_id, part.events, item_of=_item_of(self.message, part)), part)
                for store_id, part in self._parts.items()
            ]
        return [unit for unit, _ in self._units]

    def rows(self) -> Collection[QuarantineRow]:
        """Give what could not be read as rows of the quarantine; the same bytes twice are one."""
        rows: dict[tuple[str, bytes], QuarantineRow] = {}
        for position, (rejected, outcome, awaits_store) in self._refused.items():
            add_row(
                rows,
                quarantine_row(
                    self.message.item(position),
                    store_id=outcome.store_id,
                    reason=rejected.reason,
                    faults=outcome.faults,
                    source=rejected.source,
                    event_id=rejected.id,
                    event_type=rejected.type,
                    subject=rejected.subject,
                    now=self._now,
                    awaits_store=awaits_store,
                ),
            )
        return rows.values()

    def reasons(self) -> list[Reason]:
        """Give why each of what could not be read is refused."""
        return [outcome.reason for _, outcome, _ in self._refused.values()]

    def place(self, placed: dict[tuple[str, bytes], str]) -> None:
        """Note where in the quarantine its rows lie, by (store, hash of the bytes)."""
        for _, outcome, _ in self._refused.values():
            outcome.quarantine_id = placed[outcome.store_id, outcome.body_hash]

    def taken(self) -> Taken:
        """Give the outcome of each event, once the units have theirs."""
        for unit, part in self._units or ():
            for position, outcome in zip(part.positions, unit.outcomes, strict=True):
                self._outcomes[position] = outcome
        return Taken(self.message.items, self._outcomes, self._warnings)


def _item_of(message: Message, part: _Part) -> Callable[[int], Item]:
    # not a method: a message that knew itself would lie in memory until the next collection
    return lambda position: message.item(part.positions[position])
