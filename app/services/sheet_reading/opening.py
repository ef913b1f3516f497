"""Opening a file, whatever it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.services.sheet_reading.content import Source, kind_of
from app.services.sheet_reading.html_table import open_html
from app.services.sheet_reading.records import open_records
from app.services.sheet_reading.separated import open_separated
from app.services.sheet_reading.sheet import Sheet, SheetError
from app.services.sheet_reading.workbook import open_workbook
from app.services.sheet_reading.xml_workbook import open_xml_workbook


@contextmanager
def open_sheet(
    path: Path | str, *, sheet: str | None = None, header_row: int | None = None
) -> Iterator[Sheet]:
    """Open a file as a table: .csv, .xlsx, .xls (a page or XML, too), .ods, .json, .ndjson, .gz.

    What is wrong with the file as a whole shows here, before any row was read, as far as that can
    be: separated values and lines are checked for their encoding to the end, archives for being
    whole.

    Args:
        path: Of the file; its name says nothing about what it is.
        sheet: Name or number (from 1) of the sheet or table; of a JSON document the JMESPath of
            its records. None: found by itself.
        header_row: Row of the heading, from 1; None: found by itself.

    Raises:
        SheetError: It can't be read as a table, with what to do.
        OSError: It can't be read at all.
    """
    path = Path(path)
    if path.is_dir():
        raise SheetError("not-a-table", f"{path.name} is a folder.")
    source = Source(path)
    match kind_of(source):
        case "zip":
            yield open_workbook(source, "xlsx", sheet=sheet, header_row=header_row)
        case "ole":
            yield open_workbook(source, "xls", sheet=sheet, header_row=header_row)
        case "xml":
            yield open_xml_workbook(source, sheet=sheet, header_row=header_row)
        case "html":
            yield open_html(source, sheet=sheet, header_row=header_row)
        case "json":
            yield open_records(source, path=sheet)
        case "text":
            yield open_separated(source, header_row=header_row)
