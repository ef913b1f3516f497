"""What a row says, whatever the format of its file: 860, 860.00 and "860" are one number.

A workbook keeps numbers and dates as what they are, separated values keep the text that was shown.
Which columns are numbers or moments is known from the mapping; everything else must be the same
text. Nothing that two rows can differ in is left out: a row that changed is another row.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, time
from decimal import Decimal
from typing import Any, Final

import orjson

from app.domain.cells import Cell, Row, clean, folded, is_empty, plain_number
from app.domain.mapping.field_reader import FieldReader
from app.domain.mapping.moments import MomentReader
from app.domain.mapping.numbers import plain_decimal
from app.domain.mapping.unreadable import UnreadableError

_NUMBER: Final = re.compile(r"-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?")
_NUMBERS: Final = frozenset({"number", "count"})
_MOMENTS: Final = frozenset({"instant", "date"})
_FINEST: Final = {datetime: "auto", time: "seconds"}


class RowForms:
    """Writes rows of one mapping so that the same row of two formats comes to the same."""

    def __init__(self, readers: Iterable[FieldReader], as_text: Iterable[str]) -> None:
        """Look at what the columns are read as.

        Args:
            readers: Of all fields.
            as_text: Columns that are compared as text.
        """
        by_column: dict[str, list[FieldReader]] = {}
        for reader in readers:
            for name in reader.names() if reader.model.path is None else ():
                by_column.setdefault(folded(name), []).append(reader)
        for name in as_text:
            by_column.pop(folded(name), None)
        self._numbers: set[str] = set()
        self._moments: dict[str, MomentReader] = {}
        for name, found in by_column.items():
            if any(reader.model.values is not None for reader in found):
                continue
            kinds = {reader.kind for reader in found}
            if kinds <= _NUMBERS and all(reader.model.decimal == "." for reader in found):
                self._numbers.add(name)
            elif kinds <= _MOMENTS and len({_way(reader) for reader in found}) == 1:
                formats, from_1904 = _way(found[0])
                self._moments[name] = MomentReader(formats, from_1904=from_1904)

    def write(self, rows: Sequence[Row]) -> list[dict[str, Any]] | None:
        """Write rows, each without its empty cells; None if one of them has no cells to it."""
        if not all(row.cells for row in rows):
            return None
        return [
            {
                name: self._form(name, cell)
                for name, cell in row.cells.items()
                if not is_empty(cell)
            }
            for row in rows
        ]

    def _form(self, name: str, cell: Cell) -> Any:
        name = folded(name)
        said = None
        if name in self._numbers:
            said = _number(cell)
        elif name in self._moments:
            said = _moment(cell, self._moments[name])
        if said is not None:
            return said
        return cell if isinstance(cell, list | dict) else clean(cell)


def alike(said: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Write what tells rows of one source and store from others, in whatever file they are."""
    return orjson.dumps({**said, "rows": rows}, option=orjson.OPT_SORT_KEYS, default=str)


def _way(reader: FieldReader) -> tuple[tuple[str, ...], bool]:
    """How the moments of a field are written."""
    return tuple(reader.model.format), reader.counts_from_1904


def _number(cell: Cell) -> str | None:
    if isinstance(cell, bool):
        return None
    if isinstance(cell, float):
        return plain_decimal(Decimal(plain_number(cell))) if cell - cell == 0 else None
    if isinstance(cell, int | Decimal):
        return plain_decimal(Decimal(cell))
    text = clean(cell) if isinstance(cell, str) else ""
    return plain_decimal(Decimal(text.replace(",", ""))) if _NUMBER.fullmatch(text) else None


def _moment(cell: Cell, reader: MomentReader) -> str | None:
    reads: Sequence[Callable[[], datetime | time | None]] = (
        lambda: reader.read((cell,)),
        lambda: reader.time_of_day(cell),
    )
    for read in reads:
        try:
            moment = read()
        except (UnreadableError, ArithmeticError, ValueError):
            continue
        # a time of day has no fraction of a second, but for what a fraction of a day leaves
        return None if moment is None else moment.isoformat(timespec=_FINEST[type(moment)])
    return None
