"""Files come back as they were put in, with the faults marked in their rows.

A sheet gets two more columns, and in a workbook colours and comments; lines of JSON get a file
beside them that names line, pointer and reason. What is corrected there can be put in again as a
whole: the rows that were fine are known, what is said of faults is not read, and the items of the
quarantine that a row lay in are let go (`returned_rows.py`). Blocks; called in threads.
"""

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import msgspec
from openpyxl import Workbook, load_workbook
from openpyxl.cell import Cell as SheetCell
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.comments import Comment
from openpyxl.styles import Font, PatternFill
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet.worksheet import Worksheet

from app.domain.fault_words import in_both_languages
from app.domain.imports import FAULT_COLUMN, FAULTS, MARKS
from app.services import inbox_folder
from app.services.import_reading import FileFormat
from app.services.import_report import FaultLog, ImportReport, RowFault
from app.services.sheet_reading import Row, Sheet, SheetError, open_sheet
from app.services.sheet_reading.content import Source

AUTHOR: Final = "Servicelane"
_LIST: Final = ".faults.ndjson"
_ROW: Final = "整行 Row"
_RED: Final = PatternFill("solid", fgColor="FFC7CE")
_NONE: Final = PatternFill()
_BOLD: Final = Font(bold=True)
_MOST_CELLS: Final = 400_000
"""Cells of a workbook that is changed in place; a larger one is written anew, row by row."""

_HELD: Final = (int, float, bool, datetime, date, time, timedelta, Decimal)
"""What a workbook holds as it is; all else becomes text."""

_MOST_COMMENTS: Final = 2_000


def return_with_faults(taken: Path, folder: Path, report: ImportReport) -> Path:
    """Write the marked copy of a file into `faults/`; the file itself is moved by the caller.

    Returns:
        The copy; of JSON the list of faults.
    """
    name = taken.name.removesuffix(".gz")
    draft = folder / FAULTS / f".{taken.parent.name}.part"
    draft.parent.mkdir(parents=True, exist_ok=True)
    if report.summary.format in {FileFormat.NDJSON, FileFormat.JSON}:
        _list_faults(report.faults, draft)
        suffix = _LIST
    else:
        try:
            suffix = mark(taken, report, draft)
        except (SheetError, csv.Error):
            # it breaks off in the middle: there is no whole sheet to return
            _list_faults(report.faults, draft)
            suffix = _LIST
    target = inbox_folder.reserve(draft.parent, name, suffix=suffix)
    draft.replace(target)
    if report.summary.problem is not None:
        inbox_folder.say_beside(target, f"{taken.name}\n\n{report.summary.problem}\n")
    return target


def mark(path: Path, report: ImportReport, target: Path) -> str:
    """Write a copy of a file with the faults of its sheet marked.

    Returns:
        The ending that fits the copy: `.csv`, or `.xlsx` of everything else.
    """
    with open_sheet(path, sheet=report.sheet, header_row=report.header_row) as sheet:
        by_row = _Faults(report.faults)
        if sheet.format == "csv":
            _mark_separated(path, sheet, by_row, target)
            return path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
        cells = (sheet.total_rows or 0) * len(sheet.columns)
        if sheet.format == "xlsx" and not sheet.compressed and cells <= _MOST_CELLS:
            _mark_in_place(path, sheet, by_row, target)
        else:
            _write_anew(sheet, by_row, target)
        return ".xlsx"


class _Faults:
    """The faults of each row, asked for in the order of rows."""

    def __init__(self, faults: FaultLog) -> None:
        real = (fault for fault in faults.by_row() if not fault.is_warning)
        self._groups: Iterator[tuple[int, list[RowFault]]] = (
            (row, list(group)) for row, group in groupby(real, key=lambda fault: fault.row)
        )
        self._next = next(self._groups, None)

    def of(self, row: int) -> Sequence[RowFault]:
        """Give those of a row; rows that were passed over are lost."""
        while self._next is not None and self._next[0] < row:
            self._next = next(self._groups, None)
        if self._next is None or self._next[0] != row:
            return ()
        return self._next[1]

    def rest(self) -> Iterator[tuple[int, list[RowFault]]]:
        """Give all that were not asked for yet."""
        if self._next is not None:
            yield self._next
            yield from self._groups


def _list_faults(faults: FaultLog, target: Path) -> None:
    with target.open("wb") as file:
        for fault in faults:
            if not fault.is_warning:
                file.write(msgspec.json.encode(_listed(fault)) + b"\n")


def _listed(fault: RowFault) -> Mapping[str, Any]:
    return {
        "line": fault.row,
        "pointer": fault.pointer,
        "reason": fault.reason,
        "code": fault.code,
        "detail": fault.detail,
        "quarantine_id": fault.quarantine_id,
    }


def _said(faults: Sequence[RowFault]) -> str:
    """Say all that is wrong in a row; never begins like a formula."""
    return "; ".join(
        f"[{fault.place or _ROW}] {in_both_languages(fault.code, fault.detail)}"
        for fault in faults
    )


def _marks(faults: Sequence[RowFault]) -> tuple[str, str]:
    """Say of a row what is wrong, and the items of the quarantine that it lies in."""
    items = dict.fromkeys(fault.quarantine_id for fault in faults if fault.quarantine_id)
    return _said(faults), ", ".join(items)


def _places_of_marks(columns: Mapping[str, int], free: int) -> list[int]:
    """Give the places of the columns that are added: those of an earlier return, or behind all."""
    places = []
    for name in MARKS:
        places.append(columns.get(name, free))
        free += name not in columns
    return places


# Separated values


def _mark_separated(path: Path, sheet: Sheet, faults: _Faults, target: Path) -> None:
    encoding, delimiter = sheet.encoding or "utf-8", sheet.delimiter or ","
    with ExitStack() as opened:
        source = opened.enter_context(Source(path).text(encoding))
        copy = opened.enter_context(target.open("w", encoding=encoding, newline=""))
        with Source(path).text(encoding) as beginning:
            first = beginning.readline()
        end = "\r\n" if first.endswith("\r\n") or not first.endswith("\n") else "\n"
        writer = csv.writer(copy, delimiter=delimiter, lineterminator=end)
        places: list[int] = []
        marked = False
        for number, cells in enumerate(csv.reader(source, delimiter=delimiter), 1):
            if number == sheet.header_row:
                marked = FAULT_COLUMN in cells
                heading = {name: place for place, name in enumerate(cells)}
                places = _places_of_marks(heading, len(cells))
                _put(cells, places, MARKS)
            elif places:
                found = faults.of(number)
                if len(cells) > places[0] and not marked:
                    # it has more cells than the heading: none is lost
                    cells[places[0] : places[0]] = _marks(found)
                elif found or len(cells) > places[0]:
                    _put(cells, places, _marks(found))
            writer.writerow(cells)


def _put(cells: list[str], places: Sequence[int], texts: Sequence[str]) -> None:
    cells += [""] * (max(places) + 1 - len(cells))
    for place, text in zip(places, texts, strict=True):
        cells[place] = text


# Workbooks


def _mark_in_place(path: Path, sheet: Sheet, faults: _Faults, target: Path) -> None:
    """Mark a workbook as it is; whatever else it holds stays."""
    workbook = _loaded(path)
    page = workbook[sheet.name] if workbook and sheet.name in workbook.sheetnames else None
    if workbook is None or not isinstance(page, Worksheet) or sheet.header_row is None:
        _write_anew(sheet, faults, target)
        return
    columns = dict(zip(sheet.columns, sheet.places, strict=True))
    places = _places_of_marks(columns, page.max_column)
    for name, place in zip(MARKS, places, strict=True):
        page.cell(sheet.header_row, place + 1, name).font = _BOLD
    if FAULT_COLUMN in columns:
        _wipe(page, sheet.header_row, {place + 1 for place in places})
    comments = 0
    for row, found in faults.rest():
        for place, text in zip(places, _marks(found), strict=True):
            page.cell(row, place + 1, clean_text(text))
        page.cell(row, places[0] + 1).fill = _RED
        for fault in found:
            if fault.column not in columns:
                continue
            marked = page.cell(row, columns[fault.column] + 1)
            if isinstance(marked, SheetCell):
                marked.fill = _RED
                comments += 1
                if comments <= _MOST_COMMENTS:
                    marked.comment = _comment(fault)
    workbook.save(target)


def _loaded(path: Path) -> Workbook | None:
    """Open a workbook to change it; None where that can't be done, though it could be read."""
    try:
        return load_workbook(path)
    except (InvalidFileException, KeyError, ValueError, TypeError, OSError):
        return None


def _wipe(page: Worksheet, header_row: int, places: Collection[int]) -> None:
    """Take away what an earlier return has marked."""
    for cells in page.iter_rows(min_row=header_row + 1):
        for cell in cells:
            if not isinstance(cell, SheetCell):
                continue
            marked = cell.comment is not None and cell.comment.author == AUTHOR
            if marked or cell.column in places:
                cell.fill = _NONE
                cell.comment = None
            if cell.column in places:
                cell.value = None


def _write_anew(sheet: Sheet, faults: _Faults, target: Path) -> None:
    """Write the table into a workbook of its own, row by row in flat memory."""
    workbook = Workbook(write_only=True)
    page = workbook.create_sheet("Faults")
    columns = dict(zip(sheet.columns, sheet.places, strict=True))
    places = _places_of_marks(columns, max(sheet.places, default=-1) + 1)
    header_row = sheet.header_row or 1
    for above in sheet.above:
        page.append([text_cell(page, value) for value in above])
    for _ in range(len(sheet.above), header_row - 1):
        page.append([])
    names: list[Any] = [None] * (max(*places, *columns.values()) + 1)
    for name, at in (*columns.items(), *zip(MARKS, places, strict=True)):
        names[at] = name
    page.append([text_cell(page, name, bold=True) for name in names])
    written, comments = header_row, 0
    for row in sheet.rows():
        for _ in range(written + 1, row.number):
            page.append([])
        written = row.number
        found = faults.of(row.number)
        cells: list[Any] = [text_cell(page, value) for value in _filled(row, columns, places)]
        if found:
            said, items = _marks(found)
            cells[places[0]] = text_cell(page, said, red=True)
            cells[places[1]] = text_cell(page, items)
        for fault in found:
            if fault.column in columns:
                comments += 1
                marked = cells[columns[fault.column]] or WriteOnlyCell(page)
                marked.fill = _RED
                if comments <= _MOST_COMMENTS:
                    marked.comment = _comment(fault)
                cells[columns[fault.column]] = marked
        page.append(cells)
    workbook.save(target)


def _filled(row: Row, columns: Mapping[str, int], places: Sequence[int]) -> list[Any]:
    """Give the cells of a row; what was merged from above stands in each row of its own."""
    width = max(max(places) + 1, len(row.raw))
    cells: list[Any] = [*row.raw, *[None] * (width - len(row.raw))]
    for name, at in columns.items():
        if cells[at] in {None, ""}:
            cells[at] = row.cells.get(name)
    for place in places:
        cells[place] = None
    return cells


def text_cell(page: Any, value: object, *, bold: bool = False, red: bool = False) -> Any:
    """Make a cell that shows a value as it was; a text is never taken for a formula."""
    if value is None or value == "":
        return None
    written: Any = value if isinstance(value, _HELD) else clean_text(str(value))
    cell = WriteOnlyCell(page, written)
    if isinstance(written, str):
        cell.data_type = "s"
    if bold:
        cell.font = _BOLD
    if red:
        cell.fill = _RED
    return cell


def clean_text(text: str) -> str:
    """Leave out what a workbook can't hold."""
    return ILLEGAL_CHARACTERS_RE.sub("", text)[:32_000]


def _comment(fault: RowFault) -> Comment:
    text = clean_text(in_both_languages(fault.code, fault.detail))
    return Comment(text[:500], AUTHOR, height=90, width=260)
