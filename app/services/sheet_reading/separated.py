"""Separated values: CSV, TSV and their kin, read as a stream."""

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, TextIO

from app.domain.cells import Cell, Row, is_empty
from app.services.sheet_reading.content import Source, encoding_of
from app.services.sheet_reading.sheet import Sheet, SheetError
from app.services.sheet_reading.table import (
    LOOK_AHEAD,
    Cells,
    Heading,
    find_heading,
    rows_below,
)

MAX_LINE: Final = 1 << 20
"""Characters of the longest line."""

_DELIMITERS: Final = ",\t;|"
_SAYS: Final = "sep="
"""With which Excel lets the first line name the delimiter."""


def open_separated(source: Source, *, header_row: int | None) -> Sheet:
    """Read a file of separated values; flat memory for any length."""
    encoding = encoding_of(source)
    name = source.path.name
    with source.text(encoding) as stream:
        sample = list(islice(lines_of(stream, name), LOOK_AHEAD))
    delimiter = _delimiter(sample)

    def grid() -> Iterator[list[str]]:
        with source.text(encoding) as stream:
            number = 0
            try:
                for cells in csv.reader(lines_of(stream, name), delimiter=delimiter, strict=True):
                    number += 1
                    if number == 1 and ",".join(cells).startswith(_SAYS):
                        cells = []  # noqa: PLW2901 - the line is no row, but it counts
                    yield cells
            except csv.Error as error:
                message = (
                    f"Row {number + 1} of {name} can't be read ({error}): a quotation mark is "
                    "missing or stands in the middle of a value."
                )
                raise SheetError("corrupt", message) from None

    first: list[list[Cell]] = [list(cells) for cells in islice(grid(), LOOK_AHEAD)]
    heading = find_heading(first, name=name, header_row=header_row)

    most = _most_cells(first, heading)

    def rows() -> Iterator[Row]:
        for row in rows_below(grid(), heading):
            yield row if (width := _width(row.raw)) <= most else _too_wide(row, width, most)

    return Sheet(
        "csv",
        heading.columns,
        None,
        rows,
        source.share_read,
        places=heading.places,
        header_row=heading.row + 1,
        above=first[: heading.top],
        encoding=encoding,
        delimiter=delimiter,
        compressed=source.compressed,
    )


def _most_cells(first: Sequence[Cells], heading: Heading) -> int:
    """Return how many cells a row may have: as many as the heading.

    Where all rows have more, the last columns are simply not named.
    """
    named = len(first[heading.row])
    widths = [width for cells in first[heading.row + 1 :] if (width := _width(cells))]
    is_unnamed = len(widths) > 1 and min(widths) > named
    return max(widths) if is_unnamed else named


def _width(cells: Cells) -> int:
    """Return the number of cells up to the last one with a value."""
    width = len(cells)
    while width and is_empty(cells[width - 1]):
        width -= 1
    return width


def _too_wide(row: Row, width: int, most: int) -> Row:
    """Don't read a row whose values may stand in the wrong columns: an amount of 1,200 as 1."""
    fault = (
        f"The row has {width} cells, but the heading {most}: some value has a separator in it, "
        "and no quotation marks around it."
    )
    return Row(row.number, {}, row.raw, fault)


def lines_of(stream: TextIO, name: str, *, limit: int = MAX_LINE) -> Iterator[str]:
    """Give the lines of a text as written.

    Raises:
        SheetError: One is longer than what is taken; no more than that of it is held.
    """
    number = 0
    while line := stream.readline(limit):
        number += 1
        if len(line) == limit and line[-1] not in "\r\n":
            message = (
                f"Line {number} of {name} has more than {limit} characters: the file is no table "
                "of lines, or its line ends are lost."
            )
            raise SheetError("line-too-long", message)
        yield line


def _delimiter(sample: list[str]) -> str:
    """Tell what separates the values: what gives most rows of the same, large width."""
    said = sample[0].strip().strip('"') if sample else ""
    if said.startswith(_SAYS) and len(said) > len(_SAYS):
        return said[len(_SAYS)]

    def fits(delimiter: str) -> int:
        try:
            widths = [len(cells) for cells in csv.reader(sample, delimiter=delimiter) if cells]
        except csv.Error:
            return 0
        return max(((width - 1) * widths.count(width) for width in set(widths)), default=0)

    return max(_DELIMITERS, key=fits)
