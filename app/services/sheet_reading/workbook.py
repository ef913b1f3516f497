"""Workbooks: .xlsx and .xls (and whatever else calamine opens), one sheet of them."""

import io
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from lxml import etree
from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from app.services.sheet_reading.content import MAX_UNPACKED, Source, is_archive
from app.services.sheet_reading.odd_cells import Odd, odd_cells
from app.services.sheet_reading.sheet import Format, Sheet, SheetError
from app.services.sheet_reading.table import (
    LOOK_AHEAD,
    Cells,
    Spans,
    find_heading,
    heading_above_rows,
    rows_below,
)

_DAMAGES: Final = (
    CalamineError,
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    etree.XMLSyntaxError,
    ValueError,  # of a zip: places that can't be
    NotImplementedError,  # raised by `zipfile` for a part that is packed in a way it can't read
)
_ENCRYPTED: Final = "EncryptedPackage".encode("utf-16-le")
_SHEETS: Final = tuple(name.encode("utf-16-le") for name in ("Workbook", "WORKBOOK", "Book"))
_WORD: Final = "WordDocument".encode("utf-16-le")
_ODS: Final = b"application/vnd.oasis.opendocument.spreadsheet"
_FAR: Final = re.compile(rb'\br="(?:[A-Z]{3,}[0-9]|[A-Z]*[0-9]{6})')


def open_workbook(
    source: Source, kind: Format, *, sheet: str | None, header_row: int | None
) -> Sheet:
    """Read a sheet of a workbook.

    Args:
        source: The file.
        kind: What it is.
        sheet: Name or number (from 1) of the sheet; None: the first visible one with cells.
        header_row: Row of the heading, from 1, where that is known.
    """
    name, content = source.path.name, source.read_all()
    if kind == "xls":
        _check_streams(content, name)
    else:
        kind = _check_package(content, name)
    if kind == "xls" or _reaches_far(content, name):
        _check_room(content, name)
    with _reading(name):
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        chosen = _choose(workbook, sheet, name)
        odd = odd_cells(content, chosen.name, kind)
    spans = _spans(chosen)

    def grid() -> Iterator[Cells]:
        with _reading(name):
            for row, cells in enumerate(_rows(chosen)):
                yield _mended(row, cells, odd)

    def others() -> Mapping[str, Sequence[str]]:
        with _reading(name):
            return _others(workbook, chosen.name)

    first = [*islice(grid(), LOOK_AHEAD)]
    heading = find_heading(
        first, name=f"Sheet {chosen.name!r} of {name}", header_row=header_row, spans=spans
    )
    total = 0 if chosen.end is None else chosen.end[0] - heading.row
    return Sheet(
        kind,
        heading.columns,
        total,
        lambda: rows_below(grid(), heading, spans=spans),
        lambda: None,
        others if sheet is None else dict,
        name=chosen.name,
        names=workbook.sheet_names,
        places=heading.places,
        header_row=heading.row + 1,
        above=first[: heading.top],
        compressed=source.compressed,
    )


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Say of a damaged workbook that it is one, in whatever way the libraries stumble over it.

    Raises:
        SheetError: It can't be read.
    """
    try:
        yield
    except PasswordError:
        raise _encrypted(name) from None
    except _DAMAGES as error:
        raise _corrupt(name, error) from None
    except BaseException as error:
        # what the library panics with is no `Exception`, and of a class that none can name
        if type(error).__module__ != "pyo3_runtime":
            raise
        raise _corrupt(name, error) from None


def _corrupt(name: str, error: BaseException) -> SheetError:
    why = " ".join(str(error).split())
    words = f"{name} can't be opened as a workbook ({why}). Open it and save it again."
    return SheetError("corrupt", words)


def _check_streams(content: bytes, name: str) -> None:
    """Refuse what Office packs likewise and is no workbook that can be read."""
    if _ENCRYPTED in content:
        raise _encrypted(name)
    if _WORD in content and not any(stream in content for stream in _SHEETS):
        raise _no_workbook(name, "a text document")


def _check_package(content: bytes, name: str) -> Format:
    """Tell what a package is; refuse what is none, or unpacks to more than is held in memory."""
    try:
        package = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        message = f"{name} is a damaged or incomplete workbook ({error}). Save or copy it again."
        raise SheetError("corrupt", message) from None
    with package, _reading(name):
        if sum(member.file_size for member in package.infolist()) > MAX_UNPACKED:
            message = f"{name} unpacks to more than {MAX_UNPACKED >> 20} MiB. Save it in parts."
            raise SheetError("too-large", message)
        members = set(package.namelist())
        if "mimetype" in members and package.read("mimetype").startswith(_ODS):
            return "ods"
        if any(member.startswith("xl/") for member in members):
            return "xlsx"
    if "word/document.xml" in members:
        raise _no_workbook(name, "a text document")
    raise is_archive(name, "a zip archive")


def _no_workbook(name: str, what: str) -> SheetError:
    message = f"{name} is {what}, not a table. Save the table in it as .xlsx or .csv."
    return SheetError("not-a-table", message)


def _reaches_far(content: bytes, name: str) -> bool:
    """Whether a package has a cell so far out that there may be no room for all before it."""
    with _reading(name), zipfile.ZipFile(io.BytesIO(content)) as package:
        return any(
            _FAR.search(package.read(member))
            for member in package.namelist()
            if member.startswith("xl/worksheets/")
        )


def _check_room(content: bytes, name: str) -> None:
    """Refuse a workbook for whose cells there is no room."""
    script = Path(__file__).with_name("open_apart.py")
    tried = subprocess.run(  # noqa: S603 - a script of ours, which is handed no argument
        [sys.executable, "-I", str(script)], input=content, capture_output=True, check=False
    )
    if tried.returncode:
        message = (
            f"{name} is damaged, or has cells so far out that there is no room for all before "
            "them. Delete the empty rows and columns around the table and save it again."
        )
        raise SheetError("too-large", message)


def _choose(workbook: CalamineWorkbook, sheet: str | None, name: str) -> CalamineSheet:
    names = workbook.sheet_names
    if sheet is not None:
        if sheet in names:
            return workbook.get_sheet_by_name(sheet)
        if sheet.isdecimal() and 1 <= int(sheet) <= len(names):
            return workbook.get_sheet_by_index(int(sheet) - 1)
        listed = ", ".join(names)
        message = f"{name} has no sheet {sheet!r}. Its sheets are: {listed}."
        raise SheetError("no-such-sheet", message)
    for found in _visible(workbook):
        return found
    raise SheetError("empty", f"{name} has no visible sheet with anything in it.")


def _visible(workbook: CalamineWorkbook, *, but: str | None = None) -> Iterator[CalamineSheet]:
    """Open the sheets that show, one after the other; those without any cell are left out."""
    for index, about in enumerate(workbook.sheets_metadata):
        is_sheet = about.typ == SheetTypeEnum.WorkSheet and about.name != but
        if is_sheet and about.visible == SheetVisibleEnum.Visible:
            found = workbook.get_sheet_by_index(index)
            if found.end is not None:
                yield found


def _others(workbook: CalamineWorkbook, chosen: str) -> Mapping[str, Sequence[str]]:
    """Find the other sheets that are tables, with their headings."""
    found: dict[str, Sequence[str]] = {}
    for sheet in _visible(workbook, but=chosen):
        first = [*islice(_rows(sheet), LOOK_AHEAD)]
        if (columns := heading_above_rows(first, spans=_spans(sheet))) is not None:
            found[sheet.name] = columns
    return found


def _rows(sheet: CalamineSheet) -> Iterator[Cells]:
    """Give the rows; the library leaves out the columns before the first cell, not the rows."""
    before = [""] * (0 if sheet.start is None else sheet.start[1])
    return ([*before, *cells] for cells in sheet.iter_rows())


def _spans(sheet: CalamineSheet) -> Spans:
    return [
        (top, left, bottom, right)
        for (top, left), (bottom, right) in sheet.merged_cell_ranges or ()
    ]


def _encrypted(name: str) -> SheetError:
    message = f"{name} is protected by a password. Remove the password and save it again."
    return SheetError("encrypted", message)


def _mended(row: int, cells: Cells, odd: Odd) -> Cells:
    if not odd:
        return cells
    return [odd.get((row, column), cell) for column, cell in enumerate(cells)]
