"""Lines of JSON, one event each: from lines to a message, line by line.

A line is read like an event in structured mode. One that is no JSON, no UTF-8 or too long is no
event at all, but in a long stream it must not stop the rest: it is an outcome of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from app.domain.errors import Fault, MalformedBodyError
from app.domain.events.item import Item, Unreadable
from app.domain.events.wire import STRUCTURED, Message, read_message
from app.domain.lines import Line

MEDIA_TYPES: Final = (
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
)

_SIZE: Final = "line-bytes"
_DIGEST: Final = "line-sha256"
"""What is noted of a line that is too long to be kept, beside its first bytes."""

_HEAVY: Final = 65_536
"""Bytes of odd lines that take long enough to read that others should get their turns."""


class Lines:
    """Lines on their way to a message: read quickly when made, the odd ones when asked for.

    Odd is what the quick parser refuses though it may be JSON: two thousand brackets in a row, a
    lone surrogate, a number out of range. Those are read in Python.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self._items: list[Any] = []
        self._odd: list[int] = []
        loads = orjson.loads
        for position, line in enumerate(lines):
            try:
                self._items.append(loads(line.body))
            except orjson.JSONDecodeError:
                self._items.append(None)
                self._odd.append(position)

    @property
    def heavy(self) -> bool:
        """Whether `message` takes long: it is work for a thread of its own."""
        return sum(len(self._lines[position].body) for position in self._odd) > _HEAVY

    def message(self) -> Message:
        """Read the rest; gives a message with an event for each line. No line is refused."""
        apart: dict[int, Item] = {}
        for position in self._odd:
            line = self._lines[position]
            self._items[position] = _read_carefully(line)
        for position, line in enumerate(self._lines):
            if line.digest is not None:
                # its first bytes may be JSON by chance
                apart[position] = _kept_of(line, line.digest)
                self._items[position] = _too_long(f"Line {line.number}", line.size)
        parts = [line.body for line in self._lines]
        return Message(self._items, b"", STRUCTURED, {}, batch=True, parts=parts, apart=apart)


def read_item(item: Item) -> Any:
    """Read an item that was kept, as it was read when it came.

    Returns:
        The JSON value, or what stands for one.
    """
    if _SIZE in item.attributes:
        return _too_long("The line", int(item.attributes[_SIZE]))
    try:
        return read_message(item.body, item.content_type, item.attributes).items[0]
    except MalformedBodyError as error:
        return Unreadable(Fault("", "not-json", str(error)))


def _read_carefully(line: Line) -> Any:
    try:
        return read_message(line.body, STRUCTURED).items[0]
    except MalformedBodyError as error:
        why = str(error).removeprefix("The body ")
        cut = "" if line.ended else " It is the last line and has no line end: perhaps it was cut."
        return Unreadable(Fault("", "not-json", f"Line {line.number} {why}{cut}"))


def _too_long(name: str, size: int) -> Unreadable:
    detail = (
        f"{name} has {size} bytes, more than a line may have. Its first bytes, its length and its "
        "SHA-256 are kept; send it again in less."
    )
    return Unreadable(Fault("", "line-too-long", detail))


def _kept_of(line: Line, digest: bytes) -> Item:
    """Make the item of a line that is too long; the same line again is the same item (A12)."""
    noted: Mapping[str, str] = {_SIZE: str(line.size), _DIGEST: digest.hex()}
    return Item(line.body, STRUCTURED, noted)
