"""What a group of appends has to do with the quarantine: what goes in, what comes out, what waits.

What is refused is looked up among what was dealt with before, once for all that a unit has of it;
what enters the log asks for nothing here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from app.db.event_log import EventLog
from app.db.known_items import KnownItems, again_rows
from app.db.quarantine import QuarantineRow, add_row, quarantine_row
from app.domain.errors import Fault
from app.domain.events.envelope import NewEvent, Reason, Rejected
from app.domain.events.item import Item
from app.domain.events.retraction import EventRetracted
from app.domain.quarantine import Place, QuarantineState, Sought, dealt_with_note, passes
from app.services.group_states import Document, GroupStates
from app.services.units import DealtWith, Duplicate, Facts, Quarantined, Reparse


class GroupQuarantine:
    """The quarantine of one group; see the module's docstring."""

    def __init__(
        self, log: EventLog, states: GroupStates, *, now: datetime, reparse: Reparse
    ) -> None:
        self._log = log
        self._states = states
        self._now = now
        self._reparse = reparse
        self._known_items = KnownItems(log.connection)
        self._refused: dict[int, tuple[Quarantined, Item]] = {}
        self._rows: dict[tuple[str, bytes], QuarantineRow] = {}
        self._unplaced: list[Quarantined] = []
        self._again: Counter[Place] = Counter()
        self._early: dict[tuple[str, str, str], dict[str, Item]] = defaultdict(dict)
        self._resolved: dict[Place, dict[str, Any]] = {}

    # ---- in

    def refuse(self, unit: Facts, position: int, reason: Reason, fault: Fault) -> None:
        """Refuse an event of a unit; what becomes of it is decided by `decide`."""
        item = unit.item_of(position)
        outcome = Quarantined(reason, (fault,), unit.store_id, item.body_hash)
        unit.outcomes.append(outcome)
        self._refused[position] = outcome, item

    async def decide(self, unit: Facts) -> None:
        """Put what was refused of a unit into quarantine, but for what is known there already."""
        if not self._refused:
            return
        refused, self._refused = self._refused, {}
        new = [position for position in refused if position not in unit.replays]
        found = await self._known_items.find(
            [
                Sought(*outcome.key, item.alike_hash, passes(outcome.reason, None))
                for outcome, item in map(refused.__getitem__, new)
            ]
        )
        known = dict(zip(new, found, strict=True))
        for position, (outcome, item) in refused.items():
            again = known.get(position)
            if again is None:
                self._keep(unit, position, outcome, item)
                continue
            self._again[again.place] += 1
            outcome.quarantine_id = again.quarantine_id
            if again.is_done:
                note = dealt_with_note(again, store_id=unit.store_id)
                before = DealtWith(again.quarantine_id, unit.store_id, note)
                seq = again.seq if again.store_id == unit.store_id else None
                unit.outcomes[position] = Duplicate(seq or 0, before)

    def _keep(self, unit: Facts, position: int, outcome: Quarantined, item: Item) -> None:
        """Put an event in quarantine, or leave it there with what is wrong with it now."""
        event = unit.events[position]
        if position in unit.replays:
            place = unit.replays[position]
            row = self._left(unit, place, outcome)
            outcome.quarantine_id = place[1]
        else:
            row = quarantine_row(
                item,
                store_id=unit.store_id,
                reason=outcome.reason,
                faults=outcome.faults,
                source=event.source,
                event_id=event.id,
                event_type=event.type,
                subject=event.subject,
                now=self._now,
            )
            self._unplaced.append(outcome)
            if not add_row(self._rows, row):
                return
        if outcome.reason is Reason.RETRACTION_TARGET_UNKNOWN and isinstance(
            event.payload, EventRetracted
        ):
            aimed_at = event.payload.source, event.payload.id
            row["target_source"], row["target_id"] = aimed_at
            self._early[unit.store_id, *aimed_at][row["quarantine_id"]] = item
            self._states.heads[unit.store_id].waiting_retractions += 1

    def _left(self, unit: Facts, place: Place, outcome: Quarantined) -> dict[str, Any]:
        row = self._resolved[place] = {
            "store_id": place[0],
            "quarantine_id": place[1],
            "state": QuarantineState.WAITING,
            "reason": outcome.reason,
            "errors": [msgspec.to_builtins(fault) for fault in outcome.faults],
            "run_id": unit.run_id,
            "last_seen_at": self._now,
        }
        return row

    # ---- out

    def resolve(self, unit: Facts, position: int, seq: int) -> None:
        """Note that an event is in the log, which may come from here."""
        if position in unit.replays:
            store_id, quarantine_id = unit.replays[position]
            self._resolved[store_id, quarantine_id] = {
                "store_id": store_id,
                "quarantine_id": quarantine_id,
                "state": QuarantineState.REPLAYED,
                "seq": seq,
                "resolved_at": self._now,
                "resolved_by": msgspec.to_builtins(unit.replayed_by),
                "run_id": unit.run_id,
                "last_seen_at": self._now,
            }

    # ---- retractions that wait

    async def waiting_for(self, store_id: str, targets: Iterable[NewEvent]) -> Facts:
        """Make a unit of the retractions in quarantine that wait for these events."""
        aims = [(event.source, event.id) for event in targets]
        waiting = dict(await self._log.list_waiting_retractions(store_id, aims))
        for each in aims:
            waiting |= self._early.get((store_id, *each), {})
        items: list[Item] = []
        replays: dict[int, Place] = {}
        events: list[NewEvent] = []
        for quarantine_id, item in sorted(waiting.items()):
            if not self._waits(store_id, quarantine_id):
                continue
            event = self._reparse(item, self._now)
            if isinstance(event, Rejected):
                continue
            replays[len(events)] = (store_id, quarantine_id)
            events.append(event)
            items.append(item)
        return Facts(store_id, events, item_of=items.__getitem__, replays=replays)

    def expect(self, store_id: str, aim: tuple[str, str], quarantine_id: str, item: Item) -> None:
        """Hear of a retraction that waits for an event and is in no database."""
        self._early[store_id, *aim][quarantine_id] = item
        self._states.heads[store_id].waiting_retractions += 1

    def _waits(self, store_id: str, quarantine_id: str) -> bool:
        """Whether a retraction in quarantine waits still, as far as this group knows."""
        row = self._resolved.get((store_id, quarantine_id))
        return row is None or row.get("reason") is Reason.RETRACTION_TARGET_UNKNOWN

    async def count_waiting(self, store_id: str) -> None:
        """Count anew; only where events were appended, so that a lower count moves the head."""
        early = {
            quarantine_id
            for (store, _, _), waiting in self._early.items()
            if store == store_id
            for quarantine_id in waiting
        }
        known = {quarantine_id for store, quarantine_id in self._resolved if store == store_id}
        self._states.heads[store_id].waiting_retractions = sum(
            self._waits(store_id, quarantine_id) for quarantine_id in early
        ) + await self._log.count_waiting_retractions(store_id, sorted(known | early))

    # ---- writing

    def add_to(self, document: Document) -> None:
        """Add to what is written: what goes in and what comes out."""
        if self._rows:
            document["quarantine"] = list(self._rows.values())
        if self._resolved:
            document["resolved"] = list(self._resolved.values())

    def add_again(self, document: Document) -> None:
        """Add to what is written: how often known items came again. No head is moved for it."""
        if self._again:
            document["seen_again"] = again_rows(self._again, self._now)

    def place(self, placed: Mapping[tuple[str, bytes], str]) -> None:
        """Note where what went in lies."""
        for outcome in self._unplaced:
            outcome.quarantine_id = placed[outcome.key]
