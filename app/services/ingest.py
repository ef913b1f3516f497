"""Ingest: what DMSs send enters the log, or lies in quarantine with a reason. Nothing is lost.

A request is answered after all of it is durable. What can be read goes to the appender, a unit of
work per store; what can't goes to quarantine with its own bytes.
"""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import orjson

from app.db.known_items import KnownItems
from app.db.quarantine import QuarantineRepository
from app.domain.access import Principal
from app.domain.errors import PayloadTooLargeError, StrictHandlingError
from app.domain.events.envelope import Rejected
from app.domain.events.wire import Message
from app.domain.stores import named_stores
from app.services.appender import Appender
from app.services.door import Door
from app.services.earlier import Earlier
from app.services.group_states import YIELD_EVERY
from app.services.incoming import Incoming
from app.services.instruments import Instruments
from app.services.mappings import MappingDirectory
from app.services.stores import StoreDirectory
from app.services.taken import Taken
from app.services.time_source import TimeSource
from app.services.turns import Turns


class IngestService:
    """Takes in messages of one or many events."""

    def __init__(
        self,
        *,
        appender: Appender,
        quarantine: QuarantineRepository,
        known_items: KnownItems,
        stores: StoreDirectory,
        mappings: MappingDirectory,
        time_source: TimeSource,
        door: Door,
        max_batch: int,
        instruments: Instruments,
    ) -> None:
        self._appender = appender
        self._quarantine = quarantine
        self._known_items = known_items
        self._stores = stores
        self._mappings = mappings
        self._time_source = time_source
        self._door = door
        self._max_batch = max_batch
        self._instruments = instruments

    async def ingest(
        self, message: Message, *, principal: Principal, strict: bool = False
    ) -> Taken:
        """Take in a message; everything that it holds is durable when this returns.

        Args:
            message: What was sent, read as far as JSON.
            principal: Events of stores that it is not bound to count as of an unknown store.
            strict: Store nothing at all if anything would lie in quarantine.

        Returns:
            The outcome of each event in order.

        Raises:
            PayloadTooLargeError: More events than a batch may have.
            StrictHandlingError: Strict, and something would lie in quarantine.
        """
        self._check_size(message)
        incoming = await self.read(message, principal=principal)
        if not strict:
            return await self.take(incoming)
        if incoming.is_refused:
            with Earlier() as nothing:
                await self._appender.try_out(incoming.units(), nothing)
        elif await self._appender.submit_together(incoming.units()):
            await self._keep(incoming)
            return incoming.taken()
        taken = incoming.taken()
        raise StrictHandlingError(
            quarantined=taken.quarantined,
            of=len(message.items),
            answer=orjson.loads(taken.answer()),
        )

    async def validate(self, message: Message, *, principal: Principal) -> Taken:
        """Find out what `ingest` would answer; nothing is stored, in quarantine neither.

        Raises:
            PayloadTooLargeError: More events than a batch may have.
        """
        self._check_size(message)
        with Earlier() as nothing:
            return await self.try_out(await self.read(message, principal=principal), nothing)

    async def read(self, message: Message, *, principal: Principal) -> Incoming:
        """Read a message of any length at the door, and nothing more: `take` writes it.

        What the door refuses is looked up among what was dealt with in quarantine before.
        """
        now = await self._time_source.now()
        known = await self._known_stores(message.items, principal)
        incoming = Incoming(message, known=known, principal=principal, now=now)
        for position, item in enumerate(message.items):
            event = self._door.read(item, now=now, known_store=known.__contains__)
            incoming.add(position, event)
            if position % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
        if sought := incoming.sought():
            incoming.know(await self._known_items.find(sought))
        return incoming

    async def take(self, incoming: Incoming, turns: Turns | None = None) -> Taken:
        """Write what was read; all of it is durable when this returns.

        Args:
            incoming: A message, or the next part of a stream.
            turns: Of the stream, whose parts may be on their way at once.
        """
        units = incoming.units()
        if len(units) == 1 and turns is None and not incoming.is_kept:
            await self._appender.submit(units[0])  # as most requests are: no task is needed
            return incoming.taken()
        submit = partial(self._appender.submit, with_others=len(units) > 1)
        await asyncio.gather(
            self._keep(incoming),
            *(submit(unit) if turns is None else turns.take(unit, submit) for unit in units),
        )
        return incoming.taken()

    async def try_out(self, incoming: Incoming, earlier: Earlier) -> Taken:
        """Find out what `take` would do, and do nothing.

        Args:
            incoming: The next part of a request.
            earlier: What was tried of the same request before.
        """
        await self._appender.try_out(incoming.units(), earlier)
        return incoming.taken()

    async def _known_stores(self, items: Sequence[Any], principal: Principal) -> Collection[str]:
        """Look up the stores that the events name, without those that the caller may not write.

        The value maps of their sources are brought up to date, too.
        """
        await self._mappings.refresh()
        named = named_stores(items)
        named |= {item.store_id for item in items if isinstance(item, Rejected) and item.store_id}
        return await self._stores.get_many([code for code in named if principal.may(code)])

    def _check_size(self, message: Message) -> None:
        if len(message.items) > self._max_batch:
            raise PayloadTooLargeError(
                f"The batch has {len(message.items)} events; at most {self._max_batch} are taken "
                "in one request. Send it in parts, or as lines (application/x-ndjson).",
                limit=self._max_batch,
            )

    async def _keep(self, incoming: Incoming) -> None:
        """Put in quarantine what could not be read, or count it where it is known."""
        if incoming.is_kept:
            incoming.place(
                await self._quarantine.put(
                    incoming.rows(), incoming.again(), incoming.tally(), now=incoming.now
                )
            )
            self._instruments.note_refused(incoming.reasons())
            self._instruments.note_dealt_with(incoming.dealt_with)
