"""Records of JSON: an array of objects, an object around one, or one object per line."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

import jmespath
import orjson
from jmespath.exceptions import JMESPathError

from app.domain.cells import Row
from app.services.sheet_reading.content import Source, encoding_of
from app.services.sheet_reading.separated import lines_of
from app.services.sheet_reading.sheet import Sheet, SheetError

MAX_LINE: Final = 10 << 20
"""Characters of the longest line."""

_FIRST: Final = 100
"""Records whose fields are the columns."""

_AROUND: Final = frozenset(
    (
        *("data", "items", "records", "rows", "results", "result", "list", "value", "values"),
        *("content", "entities", "elements", "orders", "repairorders", "ros"),
    )
)
"""What the field around the records is called, as far as nobody says (lower case, without _)."""


def open_records(source: Source, *, path: str | None) -> Sheet:
    """Read a file of records.

    Args:
        source: The file.
        path: JMESPath of the list of records in one document; None: found by its usual names.
    """
    encoding = encoding_of(source)
    if path is None and _is_lines(source, encoding):
        return _lines(source, encoding)
    with source.text(encoding) as stream:
        text = stream.read()
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        message = f"{source.path.name} is no JSON: line {error.lineno}, {error.msg}."
        raise SheetError("corrupt", message) from None
    records = (
        _found(document, source.path.name)
        if path is None
        else _at(document, path, source.path.name)
    )
    if not records:
        raise SheetError("empty", f"{source.path.name} has no records.")

    def rows() -> Iterator[Row]:
        for number, record in enumerate(records, 1):
            if _is_too_deep(record):
                message = f"Record {number} of {source.path.name} is nested too deeply."
                raise SheetError("corrupt", message)
            yield _row(number, record)

    return Sheet(
        "json",
        _columns(records[:_FIRST]),
        len(records),
        rows,
        lambda: None,
        encoding=encoding,
        compressed=source.compressed,
    )


def _lines(source: Source, encoding: str) -> Sheet:
    """Read one record per line; flat memory for any length."""

    def rows() -> Iterator[Row]:
        with source.text(encoding) as stream:
            for number, line in enumerate(lines_of(stream, source.path.name, limit=MAX_LINE), 1):
                if not (text := line.strip()):
                    continue
                try:
                    record = orjson.loads(text)
                except orjson.JSONDecodeError as error:
                    yield Row(number, {}, (text,), f"The line is no JSON: {error.msg}.")
                else:
                    if _is_too_deep(record):
                        yield Row(number, {}, (text,), "The line is nested too deeply.")
                    else:
                        yield _row(number, record)

    first = [row.cells for row in islice(rows(), _FIRST)]
    return Sheet(
        "ndjson",
        _columns(first),
        None,
        rows,
        source.share_read,
        encoding=encoding,
        compressed=source.compressed,
    )


def _is_lines(source: Source, encoding: str) -> bool:
    """Whether the first line is a whole object and another line follows."""
    with source.text(encoding) as stream:
        lines = (line for line in _bounded(stream) if line.strip())
        first = next(lines, "")
        try:
            return isinstance(orjson.loads(first), dict) and next(lines, None) is not None
        except orjson.JSONDecodeError:
            # a document over many lines begins with a line that is none; a damaged file of lines
            # has whole objects after it
            return _is_object(next(lines, "")) and first.lstrip().startswith("{")


def _bounded(stream: Any) -> Iterator[str]:
    while line := stream.readline(MAX_LINE):
        yield line


def _is_object(line: str) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _row(number: int, record: Any) -> Row:
    if isinstance(record, dict):
        return Row(number, record, (record,))
    return Row(number, {}, (record,), "The record is no object.")


def _is_too_deep(record: Any) -> bool:
    """Whether a record can be read, but not be written into the quarantine."""
    try:
        orjson.dumps(record)
    except TypeError:
        return True
    return False


def _columns(records: Sequence[Any]) -> tuple[str, ...]:
    objects = [record for record in records if isinstance(record, dict)]
    return tuple(dict.fromkeys(key for record in objects for key in record))


def _at(document: Any, path: str, name: str) -> list[Any]:
    try:
        found = jmespath.search(path, document)
    except JMESPathError as error:
        message = (
            f"{path!r}, to be looked for in {name}, is no JMESPath: {str(error).splitlines()[0]}"
        )
        raise SheetError("no-such-sheet", message) from None
    if found is None:
        raise SheetError("no-such-sheet", f"{name} has nothing at {path!r}.")
    return found if isinstance(found, list) else [found]


def _found(document: Any, name: str) -> list[Any]:
    """Find the records of a document: a list, a list in an object around it, or the object."""
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        raise SheetError("not-a-table", f"{name} is JSON without any record.")
    for key, value in document.items():
        if key.lower().replace("_", "") in _AROUND or len(document) == 1:
            if isinstance(value, list) and all(isinstance(element, dict) for element in value):
                return value
            if isinstance(value, dict) and isinstance(inner := _found(value, name), list):
                return inner
    return [document]
