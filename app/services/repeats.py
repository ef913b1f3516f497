"""Snapshots that say nothing new: they append nothing, yet what they say is not lost.

A DMS that exports sends most orders as they were. Each snapshot is compared with what its source
last showed of the order up to its time; the same again is a duplicate. Until when a snapshot was
repeated is kept beside the log. Where another one turns up late that belongs in between, the log
gets the word that the earlier one was so again, so that an old snapshot never wins by arriving
late.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from app.db.event_log import EventLog
from app.db.state_rows import SubjectKey
from app.domain.events.envelope import Event, Kind, NewEvent
from app.domain.events.retraction import EventRetracted
from app.domain.events.snapshot import RepairOrderSnapshot
from app.domain.fold import fold
from app.domain.inferred import repeated_event
from app.domain.repair_order import RepairOrder
from app.domain.sightings import Sighting, in_force
from app.services.group_states import Document, GroupStates

_Repeats = dict[tuple[str, int], datetime]
"""(store_id, seq of a snapshot) -> until when it was repeated."""


class Repeats:
    """The repeats of one group of appends."""

    def __init__(self, log: EventLog, states: GroupStates) -> None:
        self._log = log
        self._states = states
        self._views: dict[SubjectKey, list[Sighting]] = {}
        self._stale: set[SubjectKey] = set()
        self._read: dict[tuple[str, int], datetime | None] = {}
        self._relied_on: set[tuple[str, int]] = set()
        self._noted: _Repeats = {}
        self._accepted: Sequence[NewEvent] = ()
        self._orders: set[SubjectKey] = set()

    def begin(self, events: Iterable[NewEvent], accepted: Sequence[NewEvent]) -> None:
        """Begin with a unit.

        Args:
            events: The unit's.
            accepted: What the unit appends so far; the caller adds to it.
        """
        self._accepted = accepted
        self._orders = {
            _subject(event) for event in events if type(event.payload) is RepairOrderSnapshot
        }
        self._views.clear()
        self._stale.clear()

    def accept(self, event: NewEvent, seq: int) -> None:
        """Hear of an event that the unit appends under that seq."""
        subject = _subject(event)
        if type(event.payload) is EventRetracted:
            self._stale.add(subject)
        elif type(event.payload) is RepairOrderSnapshot:
            sighting = Sighting(event.occurred_at, seq, event.source, event.id, event.content_hash)
            self._show(event, sighting)

    async def find(self, event: NewEvent) -> int | None:
        """Find the seq of what a snapshot repeats; None where it is news.

        It repeats what its source last showed of the order as of its time, if that is the same.
        """
        shown = in_force(await self._view(event), event.source, event.occurred_at)
        return shown.seq if shown is not None and shown.content == event.content_hash else None

    async def said_again(
        self, event: NewEvent, same: int | None, *, next_seq: int
    ) -> list[NewEvent]:
        """Make the words that snapshots were so again, where any is needed.

        Args:
            event: A snapshot that was taken in.
            same: The seq of the same one in the log; None if it is news itself.
            next_seq: The seq of the first one that is made.
        """
        view = await self._view(event)
        if same is None:
            identity = event.source, event.id, event.occurred_at
            news = next(known for known in view if (known.source, known.id, known.at) == identity)
            return await self._overtaken(event, news, next_seq)
        shown = in_force(view, event.source, event.occurred_at)
        if shown is not None and shown.content == event.content_hash:
            key = event.store_id, shown.seq
            if event.occurred_at > max(shown.at, self._noted.get(key, shown.at)):
                self._noted[key] = event.occurred_at
            return []
        # under its old identity, though another one was so in between, or it was so before
        known = next((known for known in view if known.seq == same), None)
        if known is None:
            return []
        again = msgspec.structs.replace(known, at=event.occurred_at)
        self._show(event, again)
        word = repeated_event(event, again, at=again.at, seq=next_seq)
        return [word, *await self._overtaken(event, again, next_seq + 1)]

    async def _overtaken(self, event: NewEvent, news: Sighting, next_seq: int) -> list[NewEvent]:
        """Let what was in force before a late snapshot be so again, if it was repeated since."""
        others = [known for known in await self._view(event) if known is not news]
        before = in_force(others, event.source, event.occurred_at)
        if before is None:
            return []
        until = await self._until(event, before)
        if until is None or until <= event.occurred_at:
            return []
        if in_force(others, event.source, until) is not before:
            return []  # it was repeated after yet another one
        again = msgspec.structs.replace(before, at=until)
        self._show(event, again)
        return [repeated_event(event, again, at=until, seq=next_seq)]

    def rows(self, document: Document) -> None:
        """Add to what is written: repeats, and those that were relied on."""
        if self._noted:
            document["snapshot_repeat"] = [
                _row(key, last_at) for key, last_at in sorted(self._noted.items())
            ]
        if self._relied_on:
            document["repeats_read"] = [
                _row(key, self._read[key]) for key in sorted(self._relied_on)
            ]

    def _show(self, event: NewEvent, sighting: Sighting) -> None:
        view = self._views[_subject(event)]
        view.append(sighting)
        view.sort(key=lambda known: known.at)

    async def _view(self, event: NewEvent) -> list[Sighting]:
        """The sightings of an order, with those of this unit so far."""
        subject = _subject(event)
        if subject in self._stale:
            self._stale.discard(subject)
            self._views[subject] = await self._folded(subject)
        elif subject not in self._views:
            self._views[subject] = list(self._states.sightings(subject))
        return self._views[subject]

    async def _folded(self, subject: SubjectKey) -> list[Sighting]:
        """The sightings of an order of which this unit retracts something."""
        store_id, _, key = subject
        head = self._states.heads[store_id]
        events = await self._events_of(subject) + self._states.entered_of(subject)
        events += [
            event.logged(seq, head.recorded_at)
            for seq, event in enumerate(self._accepted, start=head.seq + 1)
            if _subject(event) == subject
        ]
        return sightings_of(key, events)

    async def _events_of(self, subject: SubjectKey) -> list[Event]:
        """Read what the log has of an order."""
        store_id, kind, key = subject
        logged = await self._log.read_subjects(store_id, [(kind, key)])
        return logged[kind, key]

    async def _until(self, event: NewEvent, sighting: Sighting) -> datetime | None:
        """Until when a snapshot was repeated, as far as the database and this group know."""
        key = event.store_id, sighting.seq
        if key not in self._read:
            seqs = {sighting.seq for view in self._views.values() for sighting in view} | {
                sighting.seq
                for subject in self._orders
                for sighting in self._states.sightings(subject)
            }
            found = await self._log.read_repeats(event.store_id, sorted(seqs))
            for seq in seqs:
                self._read.setdefault((event.store_id, seq), found.get(seq))
        self._relied_on.add(key)
        known = [at for at in (self._read[key], self._noted.get(key)) if at is not None]
        return max(known, default=None)


def sightings_of(ro_number: str, events: Iterable[Event]) -> list[Sighting]:
    """The sightings of an order that stand, from its events."""
    state = fold(Kind.REPAIR_ORDER, ro_number, events)
    return list(state.sightings) if isinstance(state, RepairOrder) else []


def _subject(event: NewEvent) -> SubjectKey:
    return event.store_id, event.kind, event.key


def _row(key: tuple[str, int], last_at: datetime | None) -> dict[str, Any]:
    store_id, seq = key
    return {"store_id": store_id, "seq": seq, "last_at": last_at}
