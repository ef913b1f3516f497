"""What a file is, told by its content: compressed or not, workbook, page, records or text."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Literal, TextIO, cast

from app.services.sheet_reading.sheet import SheetError

Kind = Literal["zip", "ole", "xml", "html", "json", "text"]

MAX_UNPACKED: Final = 1 << 30
"""Bytes of the largest workbook or page: it is held in memory."""

_HEAD: Final = 65_536
_CHUNK: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK"
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OPEN_DOCUMENT: Final = b"urn:oasis:names:tc:opendocument"
_XML_SPREADSHEET: Final = b"urn:schemas-microsoft-com:office:spreadsheet"
_ARCHIVES: Final = ((b"Rar!", "a RAR archive"), (b"7z\xbc\xaf", "a 7z archive"))
_OTHERS: Final = (
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"{\\rtf", "a text document"),
    (b"SQLite format 3", "a database"),
)


class Source:
    """The bytes of a file, unpacked if they are compressed.

    Attributes:
        path: Of the file.
        compressed: Whether it is a gzip.
        head: Its first bytes, unpacked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = path.stat().st_size
        self._raw: BinaryIO | None = None
        with path.open("rb") as raw:
            self.compressed = raw.read(2) == _GZIP
        with self.stream() as stream:
            self.head = stream.read(_HEAD)
        if not self.head:
            raise SheetError("empty", f"{path.name} is empty.")

    @contextmanager
    def stream(self) -> Iterator[BinaryIO]:
        """Open it; a damaged archive is a `SheetError` when it shows."""
        with self.path.open("rb") as raw:
            self._raw = raw
            try:
                if self.compressed:
                    with gzip.open(raw) as unpacked:
                        yield cast("BinaryIO", unpacked)
                else:
                    yield raw
            except EOFError:
                message = (
                    f"{self.path.name} is cut off: the gzip ends in the middle. Copy or export "
                    "it again."
                )
                raise SheetError("truncated", message) from None
            except (gzip.BadGzipFile, zlib.error) as error:
                message = f"{self.path.name} is a damaged gzip ({error}). Copy or export it again."
                raise SheetError("corrupt", message) from None
            finally:
                self._raw = None

    def read_all(self) -> bytes:
        """Return all of it.

        Raises:
            SheetError: It is larger than what is held in memory.
        """
        with self.stream() as stream:
            content = stream.read(MAX_UNPACKED + 1)
        if len(content) > MAX_UNPACKED:
            limit = MAX_UNPACKED >> 20
            message = f"{self.path.name} has more than {limit} MiB. Export it as CSV, or in parts."
            raise SheetError("too-large", message)
        return content

    def share_read(self) -> float | None:
        """Tell how far a reader has come, 0 to 1."""
        if self._raw is None or not self._size:
            return None
        return min(1.0, self._raw.tell() / self._size)

    @contextmanager
    def text(self, encoding: str) -> Iterator[TextIO]:
        """Open it as text whose line ends are as written."""
        with self.stream() as stream:
            try:
                yield io.TextIOWrapper(stream, encoding=encoding, newline="")
            except UnicodeDecodeError as error:
                raise _wrong_charset(self.path.name, encoding, None) from error


def kind_of(source: Source) -> Kind:
    """Tell what a file holds.

    Raises:
        SheetError: It is something that has no table.
    """
    head, name = source.head, source.path.name
    if head.startswith(_ZIP):
        return "zip"
    if head.startswith(_OLE):
        return "ole"
    for mark, words in _OTHERS:
        if head.startswith(mark):
            message = f"{name} is {words}, not a table. Export it as .xlsx or .csv."
            raise SheetError("not-a-table", message)
    for mark, words in _ARCHIVES:
        if head.startswith(mark):
            raise is_archive(name, words)
    text = head
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            text = head.decode(encoding, "ignore").encode()
            break
    start = text.lstrip()[:1]
    if start == b"<":
        return _markup(text.lower(), name)
    return "json" if start in {b"{", b"["} else "text"


def is_archive(name: str, words: str) -> SheetError:
    """Say of an archive what to do."""
    message = f"{name} is {words}, not a table. Unpack it and use the files in it."
    return SheetError("archive", message)


def _markup(lowered: bytes, name: str) -> Kind:
    """Tell what a file of tags holds, from its beginning."""
    if _XML_SPREADSHEET in lowered and b"<workbook" in lowered:
        return "xml"
    if _OPEN_DOCUMENT in lowered:
        message = f"{name} is a flat OpenDocument file. Save it as .xlsx or .csv."
        raise SheetError("not-a-table", message)
    if b"<table" in lowered or b"<html" in lowered:
        return "html"
    message = (
        f"{name} is XML without a table. Open it in a spreadsheet program, if it is a "
        "spreadsheet, and save it as .xlsx."
    )
    raise SheetError("not-a-table", message)


def encoding_of(source: Source) -> str:
    """Tell the encoding of a text by reading all of it once, in flat memory.

    Raises:
        SheetError: It is in no encoding that is read here, with the place of the first odd byte.
    """
    for mark, encoding in _MARKS:
        if source.head.startswith(mark):
            if (place := _first_odd(source, encoding)) is not None:
                raise _wrong_charset(source.path.name, encoding, place)
            return encoding
    if b"\0" in source.head:
        message = (
            f"{source.path.name} has NUL bytes: it is no text, or UTF-16 without a byte order "
            "mark. Save it as CSV UTF-8."
        )
        raise SheetError("wrong-charset", message)
    place = _first_odd(source, "utf-8")
    if place is None:
        return "utf-8"
    if _first_odd(source, "gb18030") is None:
        return "gb18030"
    raise _wrong_charset(source.path.name, "utf-8", place)


def _first_odd(source: Source, encoding: str) -> int | None:
    """Return the line of the first byte that isn't of an encoding, None if all are."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, chunk = 1, b""
    with source.stream() as stream:
        try:
            while chunk := stream.read(_CHUNK):
                line += decoder.decode(chunk).count("\n")
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            return line + chunk[: error.start].count(b"\n")
    return None


def _wrong_charset(name: str, encoding: str, line: int | None) -> SheetError:
    place = "" if line is None else f" from line {line} on"
    message = (
        f"{name} is neither {encoding.upper().removesuffix('-SIG')} nor GB18030{place}. "
        "Save it as CSV UTF-8."
    )
    return SheetError("wrong-charset", message)
