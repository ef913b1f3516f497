"""Cells that the library reads as empty, though they hold an error: they would be lost.

Also formulas that were never computed. Of `.xls` neither can be told.
"""

import io
import re
import zipfile
from collections.abc import Mapping
from typing import Final

from lxml import etree

from app.domain.cells import FORMULA_WITHOUT_VALUE
from app.services.sheet_reading.sheet import Format

Odd = Mapping[tuple[int, int], str]
"""Row and column, from 0 -> what the cell shows."""

_CELL: Final = re.compile(rb"<c ([^>]*)>(.*?)</c>", re.DOTALL)
_PLACE: Final = re.compile(rb'\br="([A-Z]+)([0-9]+)"')
_VALUE: Final = re.compile(rb"<v[^>]*>([^<]+)</v>")
_MAIN: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LINK: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_TABLE: Final = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TYPE: Final = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}value-type"
_CELLS: Final = (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell")


def odd_cells(content: bytes, sheet: str, kind: Format) -> Odd:
    """Find them in a sheet of a workbook.

    Args:
        content: The workbook.
        sheet: Name of the sheet.
        kind: What the workbook is.
    """
    match kind:
        case "xlsx":
            return _of_xlsx(content, sheet)
        case "ods":
            return _of_ods(content, sheet)
        case _:
            return {}


def _of_ods(content: bytes, sheet: str) -> Odd:
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        xml = package.read("content.xml")
    odd: dict[tuple[int, int], str] = {}
    if b'"error"' not in xml:
        return odd
    book = etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True))
    for table in book.iter(f"{_TABLE}table"):
        if table.get(f"{_TABLE}name") != sheet:
            continue
        row = 0
        for line in table.iter(f"{_TABLE}table-row"):
            column = 0
            for cell in line.iterchildren(*_CELLS):
                if cell.get(_TYPE) == "error":
                    odd[row, column] = "".join(map(str, cell.itertext()))
                column += _repeated(cell, "columns")
            row += _repeated(line, "rows")
    return odd


def _repeated(node: etree._Element, what: str) -> int:
    return int(node.get(f"{_TABLE}number-{what}-repeated", "1"))


def _of_xlsx(content: bytes, sheet: str) -> Odd:
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        member = _member(package, sheet)
        xml = b"" if member is None else package.read(member)
    odd: dict[tuple[int, int], str] = {}
    if b't="e"' not in xml and b"<f" not in xml:
        return odd
    for match in _CELL.finditer(xml):
        attributes, inner = match[1], match[2]
        value = _VALUE.search(inner)
        if b't="e"' in attributes:
            text = "#N/A" if value is None else value[1].decode("utf-8", "replace")
        elif value is None and b"<f" in inner and b't="str"' not in attributes:
            text = FORMULA_WITHOUT_VALUE
        else:
            continue
        if place := _PLACE.search(attributes):
            odd[int(place[2]) - 1, _number(place[1].decode())] = text
    return odd


def _member(package: zipfile.ZipFile, sheet: str) -> str | None:
    """Find the part of a package that holds a sheet."""
    names = set(package.namelist())
    if not {"xl/workbook.xml", "xl/_rels/workbook.xml.rels"} <= names:
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    book = etree.fromstring(package.read("xl/workbook.xml"), parser)
    links = etree.fromstring(package.read("xl/_rels/workbook.xml.rels"), parser)
    wanted = next(
        (node.get(_LINK) for node in book.iter(f"{_MAIN}sheet") if node.get("name") == sheet), None
    )
    for link in links:
        if link.get("Id") == wanted:
            target = str(link.get("Target")).lstrip("/")
            member = target if target.startswith("xl/") else f"xl/{target}"
            return member if member in names else None
    return None


def _number(letters: str) -> int:
    """Return the number of a column, from 0."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1
