"""Rows that no event could be made of, as items of the quarantine.

Such an item says by itself what it is: the cells, the source whose mapping reads them, the store
of the file. So it can be corrected like an event and read again, by the mapping of that day. The
number of the row and the time of the file are no part of what it is told by: the same row again,
wherever it stands and in the file of whichever night, is the same item (A12).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final

import orjson

from app.domain.cells import Row, shown
from app.domain.errors import Fault
from app.domain.events.envelope import Reason, Rejected
from app.domain.events.item import Item
from app.domain.events.shape import escape
from app.domain.mapping.unreadable import CellFault

ROW_TYPE: Final = "application/vnd.servicelane.row+json"
"""Content type of a row as an item."""

_UNKNOWN_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RowItem:
    """What an item says that is a row, or the rows of a group.

    Attributes:
        source: Whose mapping reads it.
        file_time: Of its file, where the mapping asks for it.
    """

    source: str
    store_id: str
    rows: Sequence[Row]
    file_time: datetime


def row_item(
    rows: Sequence[Row],
    *,
    source: str,
    store_id: str,
    file_time: datetime | None,
    alike: bytes | None = None,
) -> Item:
    """Write a row, or the rows of a group, as an item.

    Args:
        rows: At least one.
        source: Whose mapping reads it.
        store_id: Of the file.
        file_time: Where the mapping needs it.
        alike: What it says, whatever the format of its file.
    """
    objects = [
        {name: _plain(cell) for name, cell in row.cells.items()}
        or {str(place): _plain(cell) for place, cell in enumerate(row.raw, 1)}
        for row in rows
    ]
    said: dict[str, Any] = {"mapping": source, "store": store_id}
    said |= {"row": objects[0]} if len(objects) == 1 else {"rows": objects}
    body = orjson.dumps(said, default=str)
    if file_time is None:
        return Item(body, ROW_TYPE, {}, alike=alike)
    whole = orjson.dumps({"file_time": file_time.isoformat()} | said, default=str)
    return Item(whole, ROW_TYPE, {}, told_by=body, alike=alike)


def read_row_item(value: object) -> RowItem | None:
    """Read the JSON value of an item as rows; None if it is anything else."""
    if not isinstance(value, dict) or "specversion" in value:
        return None
    source, store_id = value.get("mapping"), value.get("store")
    objects = [value["row"]] if "row" in value else value.get("rows")
    if not (isinstance(source, str) and isinstance(store_id, str) and isinstance(objects, list)):
        return None
    if not objects or not all(isinstance(cells, dict) for cells in objects):
        return None
    try:
        orjson.dumps(objects)
    except TypeError:
        return None  # what no file holds: an integer without end, lists in lists in lists
    rows = [Row(number, cells) for number, cells in enumerate(objects, 1)]
    return RowItem(source, store_id, rows, _time(value.get("file_time")))


def rejected_row(
    rows: Sequence[Row], faults: Sequence[CellFault], *, source: str, store_id: str
) -> Rejected:
    """Say why no event could be made of a row; pointers lead to its cells in the item."""
    return Rejected(
        Reason.INVALID_DATA,
        tuple(_fault(fault, rows) for fault in faults),
        store_id,
        source,
    )


def _fault(fault: CellFault, rows: Sequence[Row]) -> Fault:
    numbers = [row.number for row in rows]
    index = numbers.index(fault.row) if fault.row in numbers else 0
    pointer = "/row" if len(rows) == 1 else f"/rows/{index}"
    if fault.column in rows[index].cells:
        pointer += f"/{escape(fault.column)}"
    name = f"{fault.column}: " if fault.column else ""
    detail = fault.bare or fault.detail
    return Fault(pointer, fault.code, f"{name}{detail} {fault.hint}".rstrip())


def _plain(cell: object) -> object:
    """Write a cell as JSON holds it, so that it is read as before."""
    if isinstance(cell, date | time):
        return cell.isoformat()
    if cell is None or isinstance(cell, str | int | float | bool | list | dict):
        return cell
    return shown(cell)  # type: ignore[arg-type]  # what is left is a cell, too


def _time(said: object) -> datetime:
    try:
        moment = datetime.fromisoformat(said) if isinstance(said, str) else _UNKNOWN_TIME
    except ValueError:
        moment = _UNKNOWN_TIME
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def uses_file_time(mapping: Mapping[str, Any]) -> bool:
    """Tell whether a mapping, as plain data, takes a time from its file."""
    return any(
        (name in {"value", "default"} and inner == "file")
        or (isinstance(inner, dict) and uses_file_time(inner))
        or (
            isinstance(inner, list)
            and any(isinstance(one, dict) and uses_file_time(one) for one in inner)
        )
        for name, inner in mapping.items()
    )
