"""Lines of a stream of bytes, however it is cut into parts: for NDJSON over HTTP and from files.

Pure and incremental: feed what came, get the lines that are complete. What is held is never more
than one line within the limit. JSON has no raw CR or LF inside a line, so that LF, CRLF and CR end
one alike, mixed too.
"""

import codecs
import hashlib
from typing import Final

import msgspec

from app.domain.errors import MalformedBodyError

KEPT_OF_LONG_LINE: Final = 65_536
"""Bytes that are kept of a line over the limit: enough to see what it is and whose."""

_OTHER_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NEWLINES: Final = b"\r\n"


class Line(msgspec.Struct, frozen=True):
    """One line that isn't blank.

    Attributes:
        number: From 1; blank lines are counted.
        body: Without its end; of a line over the limit the first `KEPT_OF_LONG_LINE` bytes.
        size: Bytes of the whole line.
        digest: SHA-256 of the whole line, where it is over the limit and `body` is not all of it.
        ended: Whether a line end followed; False at most of the last line, which may be cut.
    """

    number: int
    body: bytes
    size: int
    digest: bytes | None = None
    ended: bool = True


class LineReader:
    """Cuts a stream into lines; one per stream.

    A UTF-8 byte order mark at the start is left out, blank lines are skipped.
    """

    def __init__(self, *, limit: int) -> None:
        """Begin a stream.

        Args:
            limit: Bytes that a line may have to be held and given whole.
        """
        self._limit = limit
        self._number = 0
        self._start: bytes | None = b""
        self._skip_lf = False
        self._held: list[bytes] = []
        self._size = 0
        self._digest = hashlib.sha256()

    @property
    def number(self) -> int:
        """How many lines were complete so far, blank ones included."""
        return self._number

    def feed(self, data: bytes) -> list[Line]:
        """Take the next part of the stream; give the lines that it completes.

        Raises:
            MalformedBodyError: The stream begins as UTF-16: none of it could be read.
        """
        if self._start is not None:
            data = self._start + data
            if len(data) < len(codecs.BOM_UTF8):
                self._start = data
                return []
            data = self._begin(data)
        return self._split(data)

    def finish(self) -> list[Line]:
        """End the stream; give the last line if it had no line end."""
        lines = [] if self._start is None else self._split(self._begin(self._start))
        if self._size:
            self._complete(lines, ended=False)
        return lines

    def _split(self, data: bytes) -> list[Line]:
        if self._skip_lf and data:
            self._skip_lf = False
            if data.startswith(b"\n"):
                data = data[1:]
        if not data:
            return []
        self._skip_lf = data.endswith(b"\r")
        parts = data.splitlines()
        rest = None if data[-1] in _NEWLINES else parts.pop()
        lines: list[Line] = []
        if parts:
            self._hold(parts[0])
            self._complete(lines, ended=True)
            number, limit = self._number, self._limit
            for part in parts[1:]:
                number += 1
                if len(part) > limit:
                    self._number = number - 1
                    self._hold(part)
                    self._complete(lines, ended=True)
                elif part and not part.isspace():
                    lines.append(Line(number, part, len(part)))
            self._number = number
        if rest is not None:
            self._hold(rest)
        return lines

    def _begin(self, data: bytes) -> bytes:
        self._start = None
        if data.startswith(_OTHER_MARKS):
            raise MalformedBodyError(
                "The stream begins with a byte order mark of UTF-16. Send lines of JSON as UTF-8."
            )
        return data.removeprefix(codecs.BOM_UTF8)

    def _hold(self, part: bytes) -> None:
        """Hold a part of the present line, as far as it is within the limit."""
        before, self._size = self._size, self._size + len(part)
        if self._size <= self._limit:
            self._held.append(part)
            return
        if before <= self._limit:
            whole = b"".join(self._held)
            self._digest = hashlib.sha256(whole)
            self._held = [whole[:KEPT_OF_LONG_LINE]]
        if len(self._held[0]) < KEPT_OF_LONG_LINE:
            self._held[0] = (self._held[0] + part)[:KEPT_OF_LONG_LINE]
        self._digest.update(part)

    def _complete(self, lines: list[Line], *, ended: bool) -> None:
        """End the present line."""
        self._number += 1
        body, size = b"".join(self._held), self._size
        self._held, self._size = [], 0
        if size > self._limit:
            lines.append(Line(self._number, body, size, self._digest.digest(), ended))
        elif body and not body.isspace():
            lines.append(Line(self._number, body, size, None, ended))
