"""Replays: items of the quarantine enter the log, or wait on with what is wrong with them now.

Hundreds at a time: they are read at the door again, lie with their stores from then on if those
are known by now, and go to the appender, one unit of work per store.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.db.quarantine import FoundAgain, QuarantineRepository
from app.domain.events.envelope import NewEvent, Reason, Rejected
from app.domain.events.item import Item
from app.domain.quarantine import (
    SERVICE,
    Actor,
    Correction,
    Place,
    QuarantinedItem,
    corrected,
    faults_of,
)
from app.domain.stores import named_stores
from app.services.appender import Appender
from app.services.door import Door
from app.services.earlier import Earlier
from app.services.group_states import YIELD_EVERY
from app.services.mappings import MappingDirectory
from app.services.row_reading import RowReader
from app.services.stores import StoreDirectory
from app.services.time_source import TimeSource
from app.services.units import Facts, Outcome, Quarantined


@dataclass(frozen=True, slots=True)
class Attempt:
    """An item to replay.

    Attributes:
        correction: What is made of it first; it is kept, whatever comes of it.
    """

    item: QuarantinedItem
    correction: Correction | None = None

    @property
    def present(self) -> Sequence[Item]:
        """What is sent in, in order; the last one is what the item itself becomes."""
        made = self.correction or next(reversed(self.item.corrections), None)
        if made is None:
            return (self.item.item,)
        return [corrected(event) for event in (*made.first, made.event)]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of an attempt.

    Attributes:
        quarantine_id: Of the item now: another one if the same bytes waited at its store already.
        waits: Why it waits on; None if it is in the log.
    """

    quarantine_id: str
    waits: Reason | None


@dataclass(frozen=True, slots=True)
class _Read:
    """An attempt as the door reads it.

    Attributes:
        events: All of its events, if none was refused.
        refusal: The first refusal.
        store_id: Of the last event, as far as readable.
    """

    items: Sequence[Item]
    events: Sequence[NewEvent]
    refusal: Rejected | None
    store_id: str | None


@dataclass(slots=True)
class _Part:
    """What enters the log of one store."""

    events: list[NewEvent] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    places: dict[int, Place] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)

    def add(self, read: _Read, place: Place, quarantine_id: str) -> None:
        """Take in an item: once its last event is in the log, so are those before it."""
        self.events += read.events
        self.items += read.items
        last = len(self.events) - 1
        self.places[last] = place
        self.ids[last] = quarantine_id

    def facts(self, store_id: str, *, by: Actor = SERVICE, run_id: str | None = None) -> Facts:
        """Make it a unit of work."""
        return Facts(
            store_id,
            self.events,
            item_of=self.items.__getitem__,
            replays=self.places,
            replayed_by=by,
            run_id=run_id,
        )

    def outcomes(self, facts: Facts) -> dict[str, Replayed]:
        """Tell what came of its items, once the unit is done."""
        return {
            quarantine_id: Replayed(self.places[position][1], _reason(facts.outcomes[position]))
            for position, quarantine_id in self.ids.items()
        }


class ReplayService:
    """Sends items in again."""

    def __init__(
        self,
        *,
        repository: QuarantineRepository,
        appender: Appender,
        door: Door,
        rows: RowReader,
        mappings: MappingDirectory,
        stores: StoreDirectory,
        time_source: TimeSource,
    ) -> None:
        self._repository = repository
        self._appender = appender
        self._door = door
        self._rows = rows
        self._mappings = mappings
        self._stores = stores
        self._time_source = time_source

    async def replay(
        self,
        attempts: Sequence[Attempt],
        *,
        by: Actor,
        stores: Collection[str] | None,
        run_id: str | None = None,
    ) -> dict[str, Replayed]:
        """Replay items; what came of each is durable when this returns. Harmless to repeat.

        Args:
            attempts: In the order in which their events shall enter, each item once.
            by: Who replays them.
            stores: The only stores into which they may enter; None: any.
            run_id: The run that they are replayed in.

        Returns:
            What came of each, by the item's id; what waited no more is missing.
        """
        now = await self._time_source.now()
        reads, known = await self._read(attempts, stores, now)
        places = await self._move(attempts, reads, known)
        corrections = [
            (places[attempt.item.quarantine_id], attempt.correction)
            for attempt in attempts
            if attempt.correction is not None and attempt.item.quarantine_id in places
        ]
        if corrections:
            await self._repository.add_corrections(corrections)
        done: dict[str, Replayed] = {}
        refused: list[FoundAgain] = []
        parts: dict[str, _Part] = defaultdict(_Part)
        for attempt, read in zip(attempts, reads, strict=True):
            quarantine_id = attempt.item.quarantine_id
            place = places.get(quarantine_id)
            if place is None:
                continue
            if read.refusal is not None:
                faults, awaits_store = faults_of(
                    read.refusal, lambda code: stores is None or code in stores
                )
                refused.append(FoundAgain(place, read.refusal.reason, faults, awaits_store))
                done[quarantine_id] = Replayed(place[1], read.refusal.reason)
            else:
                parts[read.events[-1].store_id].add(read, place, quarantine_id)
        if refused:
            await self._repository.save_faults(refused, now=now, run_id=run_id)
        for entered in await asyncio.gather(
            *(self._enter(store_id, part, by, run_id) for store_id, part in parts.items()),
            return_exceptions=True,
        ):
            if isinstance(entered, BaseException):
                raise entered
            done |= entered
        return done

    async def rehearse(
        self, attempts: Sequence[Attempt], *, stores: Collection[str] | None, earlier: Earlier
    ) -> dict[str, Replayed]:
        """Tell what would come of a replay; changes nothing.

        Args:
            attempts: As of `replay`.
            stores: Likewise.
            earlier: What was rehearsed before in the same run; takes in what would enter.
        """
        now = await self._time_source.now()
        reads, _ = await self._read(attempts, stores, now)
        done: dict[str, Replayed] = {}
        parts: dict[str, _Part] = defaultdict(_Part)
        for attempt, read in zip(attempts, reads, strict=True):
            item = attempt.item
            if read.refusal is not None:
                done[item.quarantine_id] = Replayed(item.quarantine_id, read.refusal.reason)
            else:
                place = item.home, item.quarantine_id
                parts[read.events[-1].store_id].add(read, place, item.quarantine_id)
        units = {store_id: part.facts(store_id) for store_id, part in parts.items()}
        await self._appender.try_out([*units.values()], earlier)
        for store_id, part in parts.items():
            done |= part.outcomes(units[store_id])
        return done

    async def _read(
        self, attempts: Sequence[Attempt], stores: Collection[str] | None, now: datetime
    ) -> tuple[list[_Read], Collection[str]]:
        """Read items as the door does; gives with them the stores that are known."""
        await self._mappings.refresh()
        expanded = [await self._rows.expanded(attempt.present) for attempt in attempts]
        named = named_stores(value for present in expanded for _, value in present)
        named |= {
            value.store_id
            for present in expanded
            for _, value in present
            if isinstance(value, Rejected) and value.store_id is not None
        }
        known = await self._stores.get_many(
            [code for code in named if stores is None or code in stores]
        )
        reads: list[_Read] = []
        for number, present in enumerate(expanded):
            found = [
                self._door.read(value, now=now, known_store=known.__contains__)
                for _, value in present
            ]
            refusal = next((each for each in found if isinstance(each, Rejected)), None)
            events = [each for each in found if isinstance(each, NewEvent)]
            reads.append(
                _Read(
                    [item for item, _ in present],
                    events if refusal is None else (),
                    refusal,
                    found[-1].store_id,
                )
            )
            if number % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
        return reads, known

    async def _move(
        self, attempts: Sequence[Attempt], reads: Sequence[_Read], known: Collection[str]
    ) -> dict[str, Place]:
        """Let items lie with the stores that they are read as events of; gives where each lies."""
        places: dict[str, Place] = {}
        moving: dict[tuple[str, str], list[str]] = defaultdict(list)
        for attempt, read in zip(attempts, reads, strict=True):
            item = attempt.item
            places[item.quarantine_id] = item.home, item.quarantine_id
            if read.store_id is not None and read.store_id in known and read.store_id != item.home:
                moving[item.home, read.store_id].append(item.quarantine_id)
        for (from_store, to_store), ids in moving.items():
            moved = await self._repository.move(ids, from_store=from_store, to_store=to_store)
            for quarantine_id in ids:
                del places[quarantine_id]
                if quarantine_id in moved:
                    places[quarantine_id] = to_store, moved[quarantine_id]
        return places

    async def _enter(
        self, store_id: str, part: _Part, by: Actor, run_id: str | None
    ) -> dict[str, Replayed]:
        facts = part.facts(store_id, by=by, run_id=run_id)
        await self._appender.submit(facts)
        return part.outcomes(facts)


def _reason(outcome: Outcome) -> Reason | None:
    return outcome.reason if isinstance(outcome, Quarantined) else None
