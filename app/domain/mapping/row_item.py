"""Rows that no event could be made of, as items of the quarantine: their cells are their bytes.

The number of the row is no part of it: the same row again, in another file or place, is the same
item (A12). Nor is the version of the mapping: it is read again by the one of that day.
"""

from collections.abc import Mapping, Sequence
from datetime import date, time
from typing import Any, Final

import orjson

from app.domain.errors import Fault
from app.domain.events.envelope import Reason, Rejected
from app.domain.events.item import Item
from app.domain.events.shape import escape
from app.domain.mapping.cells import Row, shown
from app.domain.mapping.unreadable import CellFault

ROW_TYPE: Final = "application/vnd.servicelane.row+json"
"""Content type of a row: an object, column to cell; of the rows of a group an array of them."""

ROW_MAPPING: Final = "row-mapping"
ROW_STORE: Final = "row-store"
"""Attributes of a row: the source whose mapping reads it, and the store of its file."""


def row_item(rows: Sequence[Row], *, source: str, store_id: str) -> Item:
    """Write a row, or the rows of a group, as an item."""
    objects = [{name: _plain(cell) for name, cell in row.cells.items()} for row in rows]
    if len(rows) == 1 and not rows[0].cells:
        objects = [{"": [_plain(cell) for cell in rows[0].raw]}]
    body = orjson.dumps(objects[0] if len(objects) == 1 else objects, default=str)
    return Item(body, ROW_TYPE, {ROW_MAPPING: source, ROW_STORE: store_id})


def is_row(item: Item) -> bool:
    """Tell rows from events."""
    return item.content_type == ROW_TYPE


def rows_of(item: Item) -> list[Row]:
    """Read the rows of an item; corrected ones too.

    Raises:
        ValueError: The bytes are no JSON, or no rows.
    """
    found = orjson.loads(item.body)
    objects: list[Any] = found if isinstance(found, list) else [found]
    if not objects or not all(isinstance(cells, dict) for cells in objects):
        raise ValueError("the bytes are neither an object of cells nor an array of them")
    return [Row(number, cells) for number, cells in enumerate(objects, 1)]


def rejected_row(
    rows: Sequence[Row], faults: Sequence[CellFault], *, source: str, store_id: str
) -> Rejected:
    """Say why no event could be made of a row; pointers lead into its cells."""
    places = {row.number: index for index, row in enumerate(rows)}
    return Rejected(
        Reason.INVALID_DATA,
        tuple(_fault(fault, places, rows) for fault in faults),
        store_id,
        source,
    )


def _fault(fault: CellFault, places: Mapping[int, int], rows: Sequence[Row]) -> Fault:
    index = places.get(fault.row, 0)
    pointer = f"/{index}" if len(rows) > 1 else ""
    if fault.column in rows[index].cells:
        pointer += f"/{escape(fault.column)}"
    name = f"{fault.column}: " if fault.column else ""
    return Fault(pointer, fault.code, f"{name}{fault.detail} {fault.hint}".rstrip())


def _plain(cell: object) -> object:
    """Write a cell as JSON holds it, so that it is read as before."""
    if isinstance(cell, date | time):
        return cell.isoformat()
    if cell is None or isinstance(cell, str | int | float | bool | list | dict):
        return cell
    return shown(cell)  # type: ignore[arg-type]  # what is left is a cell, too
