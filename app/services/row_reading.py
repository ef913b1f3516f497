"""Rows that lie in quarantine, read again by the mapping of today."""

from typing import Any

from app.domain.errors import Fault
from app.domain.events.envelope import Reason, Rejected
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

    async def events_of(self, value: object) -> list[dict[str, Any]] | Rejected | None:
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
