"""Ingest: what DMSs send enters the log, or lies in quarantine with a reason. Nothing is lost.

A request is answered after all of it is durable. What can be read goes to the appender, a unit of
work per store; what can't goes to quarantine with its own bytes.
"""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import orjson

from app.db.quarantine import QuarantineRepository
from app.domain.access import Principal
from app.domain.errors import PayloadTooLargeError, StrictHandlingError
from app.domain.events.envelope import NewEvent, Rejected
from app.domain.events.wire import Message
from app.domain.quarantine import NO_STORE, QuarantinedItem
from app.domain.stores import is_store_code
from app.services.appender import Appender
from app.services.door import Door
from app.services.group_states import YIELD_EVERY
from app.services.incoming import Incoming
from app.services.mappings import MappingDirectory
from app.services.row_reading import RowReader
from app.services.stores import StoreDirectory
from app.services.taken import Taken
from app.services.time_source import TimeSource
from app.services.trial import Earlier
from app.services.turns import Turns
from app.services.units import Facts


class IngestService:
    """Takes in messages of one or many events."""

    def __init__(
        self,
        *,
        appender: Appender,
        quarantine: QuarantineRepository,
        stores: StoreDirectory,
        mappings: MappingDirectory,
        time_source: TimeSource,
        door: Door,
        rows: RowReader,
        max_batch: int,
    ) -> None:
        self._appender = appender
        self._quarantine = quarantine
        self._stores = stores
        self._mappings = mappings
        self._time_source = time_source
        self._door = door
        self._rows = rows
        self._max_batch = max_batch

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
            await self._appender.try_out(incoming.units(), Earlier())
        elif await self._appender.submit_together(incoming.units()):
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
        return await self.try_out(await self.read(message, principal=principal), Earlier())

    async def read(self, message: Message, *, principal: Principal) -> Incoming:
        """Read a message of any length at the door, and nothing more: `take` writes it."""
        now = await self._time_source.now()
        known = await self._known_stores(message.items, principal)
        incoming = Incoming(message, known=known, now=now)
        for position, item in enumerate(message.items):
            event = self._door.read(item, now=now, known_store=known.__contains__)
            incoming.add(position, event)
            if position % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
        return incoming

    async def take(self, incoming: Incoming, turns: Turns | None = None) -> Taken:
        """Write what was read; all of it is durable when this returns.

        Args:
            incoming: A message, or the next part of a stream.
            turns: Of the stream, whose parts may be on their way at once.
        """
        units = incoming.units()
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

    async def replay(self, waiting: QuarantinedItem) -> str:
        """Send a waiting item in again; if it still can't be taken, what is wrong is noted.

        One whose store was unknown lies with its store from now on, if that is known.

        Returns:
            The id of the item; another one where the same bytes waited at its store already.
        """
        now = await self._time_source.now()
        present = await self._rows.expanded((waiting.item,))
        known = await self._known_stores([value for _, value in present], None)
        read = [
            self._door.read(value, now=now, known_store=known.__contains__) for _, value in present
        ]
        events = [event for event in read if isinstance(event, NewEvent)]
        store_id = read[-1].store_id
        home = await self._home(waiting, store_id if store_id in known else None)
        if len(events) < len(read):
            refused = next(event for event in read if isinstance(event, Rejected))
            await self._quarantine.save_faults(*home, refused.reason, refused.faults, now=now)
        else:
            # of the events of a row, the last one says that all are in
            unit = Facts(
                events[0].store_id,
                events,
                item_of=lambda position: present[position][0],
                replays={len(events) - 1: home},
            )
            await self._appender.submit(unit)
        return home[1]

    async def _home(self, waiting: QuarantinedItem, store_id: str | None) -> tuple[str, str]:
        """Tell where an item lies; one of no store moves to its store, if that is known."""
        if waiting.store_id is not None or store_id is None:
            return waiting.store_id or NO_STORE, waiting.quarantine_id
        return store_id, await self._quarantine.move(waiting.quarantine_id, to_store=store_id)

    async def _known_stores(
        self, items: Sequence[Any], principal: Principal | None
    ) -> Collection[str]:
        """Look up the stores that the events name, without those that the caller may not write.

        The value maps of their sources are brought up to date, too.
        """
        await self._mappings.refresh()
        named = {item.get("store") for item in items if isinstance(item, dict)}
        named |= {item.store_id for item in items if isinstance(item, Rejected)}
        codes = [code for code in named if isinstance(code, str) and is_store_code(code)]
        if principal is not None:
            codes = [code for code in codes if principal.may(code)]
        return await self._stores.get_many(codes)

    def _check_size(self, message: Message) -> None:
        if len(message.items) > self._max_batch:
            raise PayloadTooLargeError(
                f"The batch has {len(message.items)} events; at most {self._max_batch} are taken "
                "in one request. Send it in parts, or as lines (application/x-ndjson).",
                limit=self._max_batch,
            )

    async def _keep(self, incoming: Incoming) -> None:
        """Put in quarantine what could not be read."""
        if incoming.is_refused:
            incoming.place(await self._quarantine.put(incoming.rows()))
