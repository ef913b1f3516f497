"""A message behind the door: what of it can enter the logs, by store, and what can't be read."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.db.feeds import Fate, FeedTally
from app.db.quarantine import QuarantineRow, add_row, quarantine_row
from app.domain.access import Principal
from app.domain.errors import Fault
from app.domain.events.envelope import NewEvent, Reason, Rejected
from app.domain.events.item import Item
from app.domain.events.wire import Message
from app.domain.quarantine import (
    NO_STORE,
    KnownItem,
    Place,
    Sought,
    dealt_with_note,
    faults_of,
    passes,
)
from app.services.taken import Taken
from app.services.units import DealtWith, Duplicate, Facts, Outcome, Quarantined


@dataclass(slots=True)
class _Part:
    """The part of a message that belongs to one store."""

    events: list[NewEvent] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Refused:
    """What the door refused.

    Attributes:
        known: The item that says the same, if there is one and it is to be found nowhere else.
    """

    rejected: Rejected
    outcome: Quarantined
    awaits_store: str | None
    known: KnownItem | None = None

    @property
    def is_done(self) -> bool:
        """Whether it was dealt with before."""
        return self.known is not None and self.known.is_done


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
        self.now = now
        self._outcomes: list[Outcome | None] = [None] * len(message.items)
        self._warnings: dict[int, tuple[Fault, ...]] = {}
        self._parts: dict[str, _Part] = defaultdict(_Part)
        self._refused: dict[int, _Refused] = {}
        self._units: list[tuple[Facts, _Part]] | None = None

    def add(self, position: int, event: NewEvent | Rejected) -> None:
        """Take in what the door made of the item at a position; once for each, in order."""
        if isinstance(event, Rejected):
            store_id = event.store_id if event.store_id in self._known else None
            body_hash = self.message.item(position).body_hash
            faults, awaits_store = faults_of(event, self._may)
            outcome = Quarantined(event.reason, faults, store_id or NO_STORE, body_hash)
            self._outcomes[position] = outcome
            self._refused[position] = _Refused(event, outcome, awaits_store)
            return
        part = self._parts[event.store_id]
        part.events.append(event)
        part.positions.append(position)
        if event.warnings:
            self._warnings[position] = event.warnings

    @property
    def dealt_with(self) -> int:
        """How much of it could not be read, but was dealt with before."""
        return sum(refused.is_done for refused in self._refused.values())

    def sought(self) -> list[Sought]:
        """Give what could not be read, to be looked up: it may have been dealt with before."""
        sought = []
        for position, refused in self._refused.items():
            item, reason = self.message.item(position), refused.rejected.reason
            may_pass = passes(reason, refused.awaits_store)
            sought.append(Sought(*refused.outcome.key, item.alike_hash, may_pass))
        return sought

    def know(self, found: Sequence[KnownItem | None]) -> None:
        """Hear which items say the same as what could not be read, in the order of `sought`."""
        for (position, refused), known in zip(self._refused.items(), found, strict=True):
            store_id = refused.outcome.store_id
            if known is None or not (known.store_id == store_id or self._may(known.store_id)):
                continue  # what lies with a store of others is none of the caller's business
            refused.known = known
            if known.is_done:
                note = dealt_with_note(known, store_id=known.store_id)
                before = DealtWith(known.quarantine_id, known.store_id, note)
                self._outcomes[position] = Duplicate(known.seq or 0, before)

    @property
    def is_kept(self) -> bool:
        """Whether some of it has to be noted in quarantine."""
        return bool(self._refused)

    @property
    def is_refused(self) -> bool:
        """Whether some of it would lie in quarantine as nobody has dealt with it."""
        return not all(refused.is_done for refused in self._refused.values())

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
        for position, refused in self._refused.items():
            if refused.known is not None:
                continue
            rejected, outcome = refused.rejected, refused.outcome
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
                    now=self.now,
                    awaits_store=refused.awaits_store,
                ),
            )
        return rows.values()

    def again(self) -> Counter[Place]:
        """Count how often known items came again."""
        return Counter(
            refused.known.place for refused in self._refused.values() if refused.known is not None
        )

    def tally(self) -> FeedTally:
        """Count what could not be read; what names no store or no source is nobody's."""
        tally = FeedTally()
        for refused in self._refused.values():
            store_id, source = refused.outcome.store_id, refused.rejected.source
            if store_id != NO_STORE and source:
                fate: Fate = "duplicates" if refused.is_done else "quarantined"
                tally.count(store_id, source, fate, at=self.now)
        return tally

    def reasons(self) -> list[Reason]:
        """Give why each of what could not be read is refused, but for what was dealt with."""
        return [
            refused.outcome.reason for refused in self._refused.values() if not refused.is_done
        ]

    def place(self, placed: dict[tuple[str, bytes], str]) -> None:
        """Note where in the quarantine its rows lie, by (store, hash of the bytes)."""
        for refused in self._refused.values():
            refused.outcome.quarantine_id = (
                placed[refused.outcome.key]
                if refused.known is None
                else refused.known.quarantine_id
            )

    def taken(self) -> Taken:
        """Give the outcome of each event, once the units have theirs."""
        for unit, part in self._units or ():
            for position, outcome in zip(part.positions, unit.outcomes, strict=True):
                self._outcomes[position] = outcome
        return Taken(self.message.items, self._outcomes, self._warnings)


def _item_of(message: Message, part: _Part) -> Callable[[int], Item]:
    # not a method: a message that knew itself would lie in memory until the next collection
    return lambda position: message.item(part.positions[position])
