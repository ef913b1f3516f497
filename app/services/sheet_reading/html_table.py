"""Tables of web pages: what many systems hand out as .xls."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from lxml import etree, html

from app.domain.cells import Cell
from app.services.sheet_reading.content import Source, encoding_of
from app.services.sheet_reading.sheet import Sheet, SheetError
from app.services.sheet_reading.table import (
    LOOK_AHEAD,
    find_heading,
    heading_above_rows,
    rows_below,
)

_MAX_SPAN: Final = 1000
"""Cells over which one is merged at most, as browsers have it."""

_Grid = list[list[Cell]]
_Span = tuple[int, int, int, int]


def open_html(source: Source, *, sheet: str | None, header_row: int | None) -> Sheet:
    """Read a table of a page.

    Args:
        source: The file.
        sheet: Number of the table, from 1; None: the one with most cells.
        header_row: Row of the heading, from 1, where that is known.
    """
    encoding = encoding_of(source)
    text = source.read_all().decode(encoding)
    name = source.path.name
    try:
        page = html.document_fromstring(_without_declaration(text))
    except etree.ParserError:
        raise SheetError("empty", f"{name} is an empty page.") from None
    tables = [_grid(table) for table in page.iter("table")]
    tables = [table for table in tables if table[0]]
    if not tables:
        raise SheetError("not-a-table", f"{name} is a page without a table.")
    if sheet is None:
        grid, spans = max(tables, key=lambda table: sum(map(len, table[0])))
    elif sheet.isdecimal() and 1 <= int(sheet) <= len(tables):
        grid, spans = tables[int(sheet) - 1]
    else:
        message = f"{name} has no table {sheet!r}: its tables are numbered 1 to {len(tables)}."
        raise SheetError("no-such-sheet", message)
    heading = find_heading(grid[:LOOK_AHEAD], name=name, header_row=header_row, spans=spans)

    def others() -> Mapping[str, Sequence[str]]:
        found: dict[str, Sequence[str]] = {}
        for number, (cells, merged) in enumerate(tables, 1):
            columns = heading_above_rows(cells[:LOOK_AHEAD], spans=merged)
            if cells is not grid and columns is not None:
                found[f"table {number}"] = columns
        return found

    return Sheet(
        "html",
        heading.columns,
        len(grid) - heading.row - 1,
        lambda: rows_below(grid, heading, spans=spans),
        lambda: None,
        others if sheet is None else dict,
        places=heading.places,
        header_row=heading.row + 1,
        above=grid[: heading.top],
        encoding=encoding,
        compressed=source.compressed,
    )


def _without_declaration(text: str) -> str:
    """Drop an XML declaration: its encoding was that of the bytes."""
    text = text.lstrip("\ufeff \r\n\t")
    return text[text.find("?>") + 2 :] if text.startswith("<?xml") else text


def _grid(table: html.HtmlElement) -> tuple[_Grid, list[_Span]]:
    """Return the cells of a table, "" where one is merged into another, and what is merged."""
    grid: _Grid = []
    spans: list[_Span] = []
    taken: set[tuple[int, int]] = set()
    for row, line in enumerate(_lines(table)):
        cells: list[Cell] = []
        for cell in line.iterchildren("td", "th"):
            while (row, len(cells)) in taken:
                cells.append("")
            column = len(cells)
            wide, high = _span(cell, "colspan"), _span(cell, "rowspan")
            for line_end in cell.iter("br"):
                line_end.tail = "\n" + (line_end.tail or "")
            cells.append(cell.text_content())
            cells += [""] * (wide - 1)
            if wide > 1 or high > 1:
                spans.append((row, column, row + high - 1, column + wide - 1))
                covered = range(column, column + wide)
                taken.update((r, c) for r in range(row + 1, row + high) for c in covered)
        grid.append(cells)
    return grid, spans


def _lines(table: html.HtmlElement) -> Iterator[html.HtmlElement]:
    """Give the rows of a table, not those of a table inside."""
    for child in table:
        if child.tag == "tr":
            yield child
        elif child.tag in {"thead", "tbody", "tfoot"}:
            yield from child.iterchildren("tr")


def _span(cell: html.HtmlElement, attribute: str) -> int:
    value = cell.get(attribute, "1").strip()
    return min(int(value), _MAX_SPAN) if value.isdecimal() and int(value) > 0 else 1
