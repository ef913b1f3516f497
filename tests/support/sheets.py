"""The same table written down in every way that a shop has it."""

import csv
import gzip
import html
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import xlwt

Table = Sequence[Sequence[Any]]


def shown(value: Any) -> str:
    """A cell as a spreadsheet exports it to text."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y/%m/%d %H:%M:%S")
    if isinstance(value, date):
        return value.strftime("%Y/%m/%d")
    return str(value)


def csv_text(table: Table, *, delimiter: str = ",", line_end: str = "\r\n") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=line_end).writerows(
        [[shown(cell) for cell in row] for row in table]
    )
    return out.getvalue()


def as_csv(path: Path, table: Table, *, encoding: str = "utf-8", **form: str) -> Path:
    path.write_bytes(csv_text(table, **form).encode(encoding))
    return path


def as_gzip(path: Path, table: Table) -> Path:
    with gzip.open(path, "wb") as out:
        out.write(csv_text(table).encode("gb18030"))
    return path


def as_xlsx(path: Path, table: Table) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in table:
        sheet.append(list(row))
    book.save(path)
    return path


def as_xls(path: Path, table: Table) -> Path:
    book = xlwt.Workbook()
    sheet = book.add_sheet("Sheet1")
    moment = xlwt.easyxf(num_format_str="yyyy-mm-dd hh:mm:ss")
    for row, cells in enumerate(table):
        for column, cell in enumerate(cells):
            if isinstance(cell, datetime):
                sheet.write(row, column, cell, moment)
            elif cell is not None:
                sheet.write(row, column, cell)
    book.save(str(path))
    return path


def as_html(path: Path, table: Table) -> Path:
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(shown(cell))}</td>" for cell in row) + "</tr>"
        for row in table
    )
    text = f'<html><head><meta charset="gb2312"></head><body><table>{lines}</table></body></html>'
    path.write_bytes(text.encode("gb18030"))
    return path


WAYS: Mapping[str, Callable[[Path, Table], Path]] = {
    "utf-8": as_csv,
    "utf-8 with mark": lambda path, table: as_csv(path, table, encoding="utf-8-sig"),
    "utf-16": lambda path, table: as_csv(path, table, encoding="utf-16", delimiter="\t"),
    "gb18030": lambda path, table: as_csv(path, table, encoding="gb18030", delimiter=";"),
    "line ends of an old Mac": lambda path, table: as_csv(path, table, line_end="\r"),
    "gzip": as_gzip,
    "xlsx": as_xlsx,
    "xls": as_xls,
    "html": as_html,
}
"""Name -> writes a table to a path whose name says nothing."""
