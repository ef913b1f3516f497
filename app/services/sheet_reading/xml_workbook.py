"""XML spreadsheets of 2003: workbooks in one XML file, named .xls or .xml."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from lxml import etree

from app.domain.cells import Cell
from app.services.sheet_reading.content import Source
from app.services.sheet_reading.sheet import Sheet, SheetError
from app.services.sheet_reading.table import (
    LOOK_AHEAD,
    find_heading,
    heading_above_rows,
    rows_below,
)

_SS: Final = "{urn:schemas-microsoft-com:office:spreadsheet}"
_LAST_ROW: Final = 1_048_576
_LAST_COLUMN: Final = 16_384

_Grid: TypeAlias = list[list[Cell]]
_Span: TypeAlias = tuple[int, int, int, int]


def open_xml_workbook(source: Source, *, sheet: str | None, header_row: int | None) -> Sheet:
    """Read a sheet of a workbook.

    Args:
        source: The file.
        sheet: Name or number (from 1) of the sheet; None: the first one with cells.
        header_row: Row of the heading, from 1, where that is known.
    """
    name = source.path.name
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    try:
        book = etree.fromstring(source.read_all(), parser)
    except etree.XMLSyntaxError as error:
        message = f"{name} is a damaged XML spreadsheet ({error}). Export it again."
        raise SheetError("corrupt", message) from None
    sheets = {str(part.get(f"{_SS}Name")): part for part in book.iter(f"{_SS}Worksheet")}
    chosen = _choose(sheets, sheet, name)
    grid, spans = _grid(sheets[chosen])
    heading = find_heading(
        grid[:LOOK_AHEAD],
        name=f"Sheet {chosen!r} of {name}",
        header_row=header_row,
        spans=spans,
    )

    def others() -> Mapping[str, Sequence[str]]:
        found: dict[str, Sequence[str]] = {}
        for other, part in sheets.items():
            cells, merged = ([], []) if other == chosen else _grid(part)
            columns = heading_above_rows(cells[:LOOK_AHEAD], spans=merged)
            if columns is not None:
                found[other] = columns
        return found

    return Sheet(
        "xml",
        heading.columns,
        len(grid) - heading.row - 1,
        lambda: rows_below(grid, heading, spans=spans),
        lambda: None,
        others if sheet is None else dict,
        name=chosen,
        names=tuple(sheets),
        header_row=heading.row + 1,
        above=grid[: heading.top],
        compressed=source.compressed,
    )


def _choose(sheets: dict[str, etree._Element], sheet: str | None, name: str) -> str:
    names = list(sheets)
    if sheet is None:
        for found, part in sheets.items():
            if part.find(f"{_SS}Table/{_SS}Row/{_SS}Cell/{_SS}Data") is not None:
                return found
        raise SheetError("empty", f"{name} has no sheet with anything in it.")
    if sheet in sheets:
        return sheet
    if sheet.isdecimal() and 1 <= int(sheet) <= len(names):
        return names[int(sheet) - 1]
    message = f"{name} has no sheet {sheet!r}. Its sheets are: {', '.join(names)}."
    raise SheetError("no-such-sheet", message)


def _grid(part: etree._Element) -> tuple[_Grid, Sequence[_Span]]:
    """Return the cells of a sheet, None where there is nothing, and what is merged."""
    grid: _Grid = []
    spans: list[_Span] = []
    for row in part.iterfind(f"{_SS}Table/{_SS}Row"):
        grid += [[] for _ in range(_index(row, len(grid), _LAST_ROW) - len(grid) + 1)]
        cells = grid[-1]
        for cell in row.iterfind(f"{_SS}Cell"):
            place = _index(cell, len(cells), _LAST_COLUMN)
            cells += [None] * (place - len(cells))
            cells.append(_value(cell.find(f"{_SS}Data")))
            wide, high = _more(cell, "MergeAcross"), _more(cell, "MergeDown")
            if wide or high:
                top = len(grid) - 1
                spans.append((top, place, top + high, place + wide))
                cells += [None] * wide
    return grid, spans


def _index(node: etree._Element, following: int, last: int) -> int:
    """Return where a row or cell is, from 0: where it says, else behind the one before."""
    said = node.get(f"{_SS}Index", "")
    place = int(said) - 1 if said.isdecimal() else following
    return min(max(place, following), last)


def _more(cell: etree._Element, attribute: str) -> int:
    said = cell.get(f"{_SS}{attribute}", "")
    return min(int(said), _LAST_COLUMN) if said.isdecimal() else 0


def _value(data: etree._Element | None) -> Cell:
    if data is None:
        return None
    text = "".join(_texts(data))
    try:
        match data.get(f"{_SS}Type"):
            case "Number":
                return float(text)
            case "DateTime":
                return datetime.fromisoformat(text)
            case "Boolean":
                return text == "1"
            case _:
                return text
    except ValueError:
        return text


def _texts(data: etree._Element) -> Iterator[str]:
    return (str(text) for text in data.itertext())
