"""From a grid of cells to named columns and rows: where the heading is, and what it says."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Final

from app.domain.cells import Cell, Row, clean, is_empty
from app.services.sheet_reading.sheet import SheetError

Cells = Sequence[Cell]
Spans = Sequence[tuple[int, int, int, int]]
"""Merged cells: first row, first column, last row, last column, from 0."""

LOOK_AHEAD: Final = 60
"""Rows among which the heading is."""

_VALUE: Final = re.compile(
    r"[-+(]?[￥¥$]?[\d,.]+\)?%?"
    r"|\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}.*"
    r"|\d{1,2}[-/]\d{1,2}[-/]\d{4}.*"
    r"|\d{1,2}:\d{2}.*"
    r"|[^:：]{1,12}[:：].+"
)
_LONGEST: Final = 40
"""Characters of the longest heading."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What the columns of a table are called.

    Attributes:
        columns: Their names, each once.
        places: Which cell of a row each of them is.
        row: The last row of the heading, from 0.
        top: The first one: above it is no table.
    """

    columns: tuple[str, ...]
    places: tuple[int, ...]
    row: int
    top: int


def find_heading(
    grid: Sequence[Cells], *, name: str, header_row: int | None, spans: Spans = ()
) -> Heading:
    """Find the heading among the first rows of a table.

    Title rows and print times above it are told by having few cells or values in them. A heading
    of two rows, one merged over columns of the other, is read as one.

    Args:
        grid: The first rows, from the first row of the sheet on.
        name: What the table is called in an error.
        header_row: The row that it is, from 1, where that is known.
        spans: Merged cells.

    Raises:
        SheetError: There is none.
    """
    if not any(not is_empty(cell) for cells in grid for cell in cells):
        raise SheetError("empty", f"{name} has no rows.")
    spread = _spread(grid, spans)
    if header_row is not None:
        if header_row > len(grid) or not _filled(grid[header_row - 1]):
            message = f"Row {header_row} of {name} is empty, it can't be the heading."
            raise SheetError("no-heading", message)
        row = header_row - 1
    else:
        row = _most_likely(grid, spread, name)
    top, row = _both_rows(spread, row, spans)
    names = _joined(spread[top], spread[row]) if top < row else [clean(c) for c in spread[row]]
    width = max(len(cells) for cells in grid)
    columns, places = _unique(names, _used(grid[row + 1 :], width))
    return Heading(columns, places, row, top)


def heading_above_rows(grid: Sequence[Cells], *, spans: Spans = ()) -> Sequence[str] | None:
    """Return the headings of a table that has rows; None of what is no such table.

    Args:
        grid: Its first rows, from the first row of the sheet on.
        spans: Merged cells.
    """
    try:
        heading = find_heading(grid, name="", header_row=None, spans=spans)
    except SheetError:
        return None
    return heading.columns if any(rows_below(grid, heading, spans=spans)) else None


def rows_below(
    grid: Iterable[Cells], heading: Heading, *, spans: Spans = (), limit: int | None = None
) -> Iterator[Row]:
    """Give the rows below a heading, without empty ones.

    Args:
        grid: All rows, from the first row of the sheet on.
        heading: Of the table.
        spans: Merged cells; what is merged over several rows counts for each of them.
        limit: Ends after so many rows of the sheet.
    """
    carried: dict[int, list[tuple[int, int]]] = {}
    for first, column, last, _ in spans:
        if last > first > heading.row:
            for row in range(first + 1, last + 1):
                carried.setdefault(row, []).append((first, column))
    starts = {place for places in carried.values() for place in places}
    values: dict[tuple[int, int], Cell] = {}
    columns = list(zip(heading.columns, heading.places, strict=True))
    for index, raw in enumerate(grid):
        if limit is not None and index >= limit:
            return
        if index <= heading.row:
            continue
        cells = raw
        if carried:
            cells = _with_carried(raw, index, carried, starts, values)
        width = len(cells)
        named = {name: cells[place] if place < width else None for name, place in columns}
        if not all(map(is_empty, named.values())):
            yield Row(index + 1, named, raw, None, heading.columns)


def _with_carried(
    raw: Cells,
    row: int,
    carried: Mapping[int, Sequence[tuple[int, int]]],
    starts: set[tuple[int, int]],
    values: dict[tuple[int, int], Cell],
) -> Cells:
    """Put into a row what is merged into it from above."""
    for column, cell in enumerate(raw):
        if (row, column) in starts:
            values[row, column] = cell
    if row not in carried:
        return raw
    cells = list(raw)
    for place in carried[row]:
        column = place[1]
        cells += [None] * (column + 1 - len(cells))
        if is_empty(cells[column]):
            cells[column] = values.get(place)
    return cells


def _most_likely(grid: Sequence[Cells], spread: Sequence[Cells], name: str) -> int:
    widest = max(_filled(cells) for cells in grid)
    least = max(2, widest / 2) if widest > 1 else 1
    candidates = {
        row: _filled(spread[row])
        for row, cells in enumerate(grid)
        if _filled(cells) >= least and _reads_as_heading(cells)
    }
    if not candidates:
        message = (
            f"No row among the first {len(grid)} of {name} looks like a heading. Say which one "
            "it is (header_row)."
        )
        raise SheetError("no-heading", message)
    enough = 0.8 * max(candidates.values())
    return next(row for row, filled in candidates.items() if filled >= enough)


def _reads_as_heading(cells: Cells) -> bool:
    texts = [cell for cell in cells if not is_empty(cell)]
    if any(isinstance(cell, int | float | Decimal | date | time | timedelta) for cell in texts):
        return False
    words = [clean(cell) for cell in texts]
    odd = sum(_VALUE.fullmatch(word) is not None or len(word) > _LONGEST for word in words)
    return odd * 5 <= len(words) and len(set(words)) * 2 > len(words)


def _spread(grid: Sequence[Cells], spans: Spans) -> list[list[Cell]]:
    """Repeat what is merged in each of its cells."""
    spread = [list(cells) for cells in grid]
    for top, left, bottom, right in spans:
        if bottom >= len(spread) or left >= len(spread[top]):
            continue
        value = spread[top][left]
        for row in range(top, bottom + 1):
            cells = spread[row]
            cells += [None] * (right + 1 - len(cells))
            cells[left : right + 1] = [value] * (right + 1 - left)
    return spread


def _both_rows(spread: Sequence[Cells], row: int, spans: Spans) -> tuple[int, int]:
    """Return first and last row of the heading that has this row."""
    for upper in (row - 1, row):
        over = any(
            top == bottom == upper
            and right > left
            and any(t == upper and b == upper + 1 for t, _, b, _ in spans)
            for top, left, bottom, right in spans
        )
        if 0 <= upper < len(spread) - 1 and over and _reads_as_heading(spread[upper + 1]):
            return upper, upper + 1
    return row, row


def _joined(upper: Cells, lower: Cells) -> list[str]:
    """Name each column by the lower row, with the upper one before where that says too little."""
    width = max(len(upper), len(lower))
    above = [clean(cell) for cell in upper] + [""] * (width - len(upper))
    below = [clean(cell) for cell in lower] + [""] * (width - len(lower))
    return [
        low if low and (low == high or not high or below.count(low) == 1) else f"{high} {low}"
        for high, low in zip(above, below, strict=True)
    ]


def _unique(names: Sequence[str], used: Sequence[bool]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Name each column once: a second 备注 is 备注 (2), one without a heading `column C`."""
    columns: list[str] = []
    places: list[int] = []
    for place, has_values in enumerate(used):
        name = names[place].strip() if place < len(names) else ""
        if not name and not has_values:
            continue
        base = name = name or f"column {letters(place)}"
        number = 2
        while name in columns:
            name = f"{base} ({number})"
            number += 1
        columns.append(name)
        places.append(place)
    return tuple(columns), tuple(places)


def _used(grid: Sequence[Cells], width: int) -> list[bool]:
    return [
        any(place < len(cells) and not is_empty(cells[place]) for cells in grid)
        for place in range(width)
    ]


def _filled(cells: Cells) -> int:
    return sum(not is_empty(cell) for cell in cells)


def letters(place: int) -> str:
    """Return what a spreadsheet calls a column: A, B, ... Z, AA."""
    name = ""
    place += 1
    while place:
        place, digit = divmod(place - 1, 26)
        name = chr(65 + digit) + name
    return name
