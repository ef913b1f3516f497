"""Rows that lie in quarantine, read again by the mapping of today."""

from collections.abc import Iterable
from typing import Any

import orjson

from app.domain.errors import Fault
from app.domain.events.envelope import Reason, Rejected
from app.domain.events.item import Item
from app.domain.events.ndjson import read_item
from app.domain.events.wire import STRUCTURED
from app.domain.mapping.field_reader import Context
from app.domain.mapping.row_item import read_row_item, rejected_row
from app.services.mappings import MappingDirectory
from app.services.stores import StoreDirectory


class RowReader:
    """Makes events of the rows that lie in quarantine."""

    def __init__(
        self, mappings: MappingDirectory, stores: StoreDirectory, *, secret: bytes
    ) -> None:
        self._mappings = mappings
        self._stores = stores
        self._secret = secret

    async def expanded(self, items: Iterable[Item]) -> list[tuple[Item, Any]]:
        """Give items as the door reads them, each with its value: a row as the events it makes.

        A row that still makes none has what is wrong with it as its value: the door hands a
        `Rejected` back as it is.
        """
        found: list[tuple[Item, Any]] = []
        for item in items:
            value = read_item(item)
            events = await self._events_of(value)
            if isinstance(events, list):
                found += [
                    (Item(orjson.dumps(event, default=str), STRUCTURED, {}), event)
                    for event in events
                ]
            else:
                found.append((item, value if events is None else events))
        return found

    async def _events_of(self, value: object) -> list[dict[str, Any]] | Rejected | None:
        """Make the events of a row.

        Args:
            value: The JSON value of an item.

        Returns:
            At least one event in structured form; why there is none; None if it is no row.
        """
        item = read_row_item(value)
        if item is None:
            return None
        store = (await self._stores.get_many((item.store_id,))).get(item.store_id)
        if store is None:
            fault = Fault("/store", "unknown-store", f"There is no store {item.store_id}.")
            return Rejected(Reason.UNKNOWN_STORE, (fault,), item.store_id, item.source)
        mapping = await self._mappings.find(item.source)
        if mapping is None:
            detail = (
                f"No mapping of {item.source} is stored here. Store the one that the file was "
                "imported with, then replay."
            )
            fault = Fault("/mapping", "unknown-mapping", detail)
            return Rejected(Reason.INVALID_DATA, (fault,), store.store_id, item.source)
        context = Context(store.store_id, store.zone, item.file_time, self._secret)
        events: list[dict[str, Any]] = []
        for mapped in mapping.read_all(item.rows, context=context):
            if mapped.faults:
                return rejected_row(
                    mapped.rows, mapped.faults, source=item.source, store_id=store.store_id
                )
            events += mapped.events
        if not events:
            fault = Fault("/row", "nothing-to-say", "The mapping makes no event of this row.")
            return Rejected(Reason.INVALID_DATA, (fault,), store.store_id, item.source)
        return events
