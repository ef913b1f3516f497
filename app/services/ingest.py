"""Ingest: what DMSs send enters the log, or lies in quarantine with a reason. Nothing is lost.

A request is answered after all of it is durable. What can be read goes to the appender, a unit of
work per store; what can't goes to quarantine with its own bytes.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.db.quarantine import QuarantineRepository, QuarantineRow, add_row, quarantine_row
from app.domain.access import Principal
from app.domain.errors import Fault, PayloadTooLargeError
from app.domain.events.envelope import NewEvent, Rejected
from app.domain.events.wire import Message
from app.domain.quarantine import NO_STORE, faults_of
from app.domain.stores import named_stores
from app.services.appender import Appender
from app.services.door import Door
from app.services.group_states import YIELD_EVERY
from app.services.instruments import Instruments
from app.services.stores import StoreDirectory
from app.services.taken import Taken
from app.services.time_source import TimeSource
from app.services.units import Facts, Outcome, Quarantined


class IngestService:
    """Takes in messages of one or many events."""

    def __init__(
        self,
        *,
        appender: Appender,
        quarantine: QuarantineRepository,
        stores: StoreDirectory,
        time_source: TimeSource,
        door: Door,
        max_batch: int,
        instruments: Instruments,
    ) -> None:
        self._appender = appender
        self._quarantine = quarantine
        self._stores = stores
        self._time_source = time_source
        self._door = door
        self._max_batch = max_batch
        self._instruments = instruments

    async def ingest(self, message: Message, *, principal: Principal) -> Taken:
        """Take in a message; everything that it holds is durable when this returns.

        Args:
            message: What was sent, read as far as JSON.
            principal: Events of stores that it is not bound to count as of an unknown store.

        Returns:
            The outcome of each event in order.

        Raises:
            PayloadTooLargeError: More events than a batch may have.
        """
        if len(message.items) > self._max_batch:
            raise PayloadTooLargeError(
                f"The batch has {len(message.items)} events; at most {self._max_batch} are taken "
                "in one request. Send it in parts.",
                limit=self._max_batch,
            )
        now = await self._time_source.now()
        known = await self._known_stores(message.items, principal)
        outcomes: list[Outcome | None] = [None] * len(message.items)
        warnings: dict[int, tuple[Fault, ...]] = {}
        units: dict[str, _Part] = defaultdict(_Part)
        refused = _Refused(message, principal)
        for position, item in enumerate(message.items):
            event = self._door.read(item, now=now, known_store=known.__contains__)
            if isinstance(event, Rejected):
                outcomes[position] = refused.add(position, event, now, known)
            else:
                unit = units[event.store_id]
                unit.events.append(event)
                unit.positions.append(position)
                if event.warnings:
                    warnings[position] = event.warnings
            if position % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
        await asyncio.gather(
            self._keep(refused),
            *(self._append(store_id, unit, message, outcomes) for store_id, unit in units.items()),
        )
        return Taken(message.items, outcomes, warnings)

    async def _known_stores(self, items: Sequence[Any], principal: Principal) -> Collection[str]:
        """Look up the stores that the events name, without those that the caller may not write."""
        return await self._stores.get_many(
            [code for code in named_stores(items) if principal.may(code)]
        )

    async def _append(
        self, store_id: str, part: "_Part", message: Message, outcomes: list[Outcome | None]
    ) -> None:
        """Let one store's part of a message enter its log."""
        facts = Facts(
            store_id,
            part.events,
            item_of=lambda position: message.item(part.positions[position]),
        )
        await self._appender.submit(facts)
        for position, outcome in zip(part.positions, facts.outcomes, strict=True):
            outcomes[position] = outcome

    async def _keep(self, refused: "_Refused") -> None:
        """Put in quarantine what could not be read."""
        if refused.rows:
            placed = await self._quarantine.put(refused.rows)
            for outcome in refused.outcomes:
                outcome.quarantine_id = placed[outcome.store_id, outcome.body_hash]
            self._instruments.note_refused(outcome.reason for outcome in refused.outcomes)


@dataclass(slots=True)
class _Part:
    """The part of a message that belongs to one store."""

    events: list[NewEvent] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)


class _Refused:
    """What of a message could not be read."""

    def __init__(self, message: Message, principal: Principal) -> None:
        self._message = message
        self._principal = principal
        self._rows: dict[tuple[str, bytes], QuarantineRow] = {}
        self.outcomes: list[Quarantined] = []

    @property
    def rows(self) -> Collection[QuarantineRow]:
        """The rows to be kept; the same bytes twice are one."""
        return self._rows.values()

    def add(
        self, position: int, rejected: Rejected, now: datetime, known: Collection[str]
    ) -> Quarantined:
        """Take in the event at a position, under its store if that is known."""
        item = self._message.item(position)
        store_id = rejected.store_id if rejected.store_id in known else None
        faults, awaits_store = faults_of(rejected, self._principal)
        outcome = Quarantined(rejected.reason, faults, store_id or NO_STORE, item.body_hash)
        add_row(
            self._rows,
            quarantine_row(
                item,
                store_id=outcome.store_id,
                reason=rejected.reason,
                faults=faults,
                source=rejected.source,
                event_id=rejected.id,
                event_type=rejected.type,
                subject=rejected.subject,
                now=now,
                awaits_store=awaits_store,
            ),
        )
        self.outcomes.append(outcome)
        return outcome
