"""Events as they come back from the log."""

from typing import Any, Protocol

import orjson

from app.domain.events.catalog import CATALOG, Catalog
from app.domain.events.envelope import Event, Kind


class StoredRow(Protocol):
    """A row of the log, by column name; `data` is JSON text."""

    def __getitem__(self, column: str, /) -> Any:
        """Return the value of a column."""


def stored_event(row: StoredRow, catalog: Catalog = CATALOG) -> Event:
    """Make the event of a row, its data lifted to the current version of its type.

    Nothing is required again that only the door requires (A18).

    Raises:
        KeyError: The type isn't in the catalogue.
        pydantic.ValidationError: The data is none that the door ever let in.
    """
    event_type = catalog[row["type"]]
    version = row["schema_version"]
    if version == event_type.version:
        payload = event_type.forms[-1].read_json(row["data"])
    else:
        payload = event_type.lift(orjson.loads(row["data"]), version)
    return Event(
        row["store_id"],
        row["seq"],
        row["source"],
        row["event_id"],
        event_type.name,
        Kind(row["kind"]),
        row["key"],
        row["subject"],
        row["occurred_at"],
        row["recorded_at"],
        version,
        payload,
        row["content_hash"],
        row["causation_id"],
        row["correlation_id"],
    )
