"""HTTP messages with CloudEvents in them: from bytes to JSON values, one per event (J19).

Only a body that is no JSON or no UTF-8 is refused as a whole. The quick way reads it at once; what
the quick parser can't hold though it is JSON (a lone surrogate, 1e400, two hundred thousand
brackets) is read the careful way, so that it is an outcome of its own event and of no other.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import orjson

from app.domain.errors import MalformedBodyError
from app.domain.events.item import Item

STRUCTURED: Final = "application/cloudevents+json"

_CLOUD_EVENTS: Final = "application/cloudevents"
_PREFIX: Final = "ce-"
_FROM_ELSEWHERE: Final = frozenset({"data", "datacontenttype"})
"""What no `ce-` header sets in binary mode: the body and Content-Type do."""

_JSON_TYPE: Final = re.compile(r"application/(?:[^\s;/]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_CHARSET: Final = re.compile(r""";\s*charset\s*=\s*"?([^\s;"]*)""", re.IGNORECASE)
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_BYTE_ORDER_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)

_LONGEST_INTEGER: Final = 4000
"""Digits; the time to read one grows with their square, and Python refuses more than 4300."""

_DEEP_LEVELS: Final = 4
"""Levels of objects that are told apart in an event that is nested too deeply."""


@dataclass(frozen=True)
class Message:
    """What one request holds.

    Attributes:
        items: One JSON value per event, in structured form whatever the mode was; [] if an empty
            batch was sent.
        body: As received.
        content_type: As sent.
        attributes: The `ce-` headers in binary mode, else empty.
        batch: Whether the body is an array of events.
        parts: The own bytes of each event, where they are known: of a batch that was read the
            careful way, and of lines.
        apart: By position: what stands in place of an item's own bytes, which are too many.
        told_by: By position: what tells an item from others (see `Item`); None: its own bytes.
    """

    items: list[Any]
    body: bytes
    content_type: str | None
    attributes: Mapping[str, str]
    batch: bool
    parts: list[bytes] | None = None
    apart: Mapping[int, Item] = field(default_factory=dict)
    told_by: Callable[[int], bytes] | None = None

    def item(self, position: int) -> Item:
        """Return an event with its own bytes; `read_item` reads the same event from it."""
        if position in self.apart:
            return self.apart[position]
        if self.batch:
            told_by = None if self.told_by is None else self.told_by(position)
            return Item(self._parts[position], STRUCTURED, {}, told_by)
        return Item(self.body, self.content_type, self.attributes)

    @cached_property
    def _parts(self) -> list[bytes]:
        return split_batch(self.body) if self.parts is None else self.parts


def read_message(
    body: bytes, content_type: str | None, attributes: Mapping[str, str] | None = None
) -> Message:
    """Read a message of CloudEvents 1.0 over HTTP, in any of the three modes.

    Binary mode is told by `ce-` headers, unless Content-Type says that the event is in the body. A
    body that is an array is a batch, unless Content-Type says that it is one event.

    Args:
        body: As received.
        content_type: The header, None if there was none.
        attributes: The headers that begin with `ce-`.

    Raises:
        MalformedBodyError: The body is no JSON or no UTF-8.
    """
    _check_encoding(body, content_type)
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if attributes and not media_type.startswith(_CLOUD_EVENTS):
        item = event_from_binary(attributes, body, content_type)
        return Message([item], body, content_type, attributes, batch=False)
    parts = None
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value, parts = _read_with_parts(body, one=media_type == STRUCTURED)
    batch = isinstance(value, list) and media_type != STRUCTURED
    return Message(value if batch else [value], body, content_type, {}, batch=batch, parts=parts)


def event_from_binary(
    attributes: Mapping[str, str], body: bytes, content_type: str | None
) -> dict[str, Any]:
    """Put an event of binary mode into structured form (HTTP binding, section 3.1).

    Args:
        attributes: The `ce-` headers, each byte of them one character (ISO 8859-1).
        body: The data.
        content_type: Its type; data that isn't JSON is left out, the event then has no chance.

    Raises:
        MalformedBodyError: The data is said to be JSON and isn't.
    """
    item: dict[str, Any] = {
        name: _header(value)
        for header, value in attributes.items()
        if (name := header.lower().removeprefix(_PREFIX)) not in _FROM_ELSEWHERE
    }
    if content_type is not None:
        item["datacontenttype"] = content_type
    if body and (content_type is None or _JSON_TYPE.fullmatch(content_type)):
        try:
            item["data"] = orjson.loads(body)
        except orjson.JSONDecodeError:
            item["data"] = _read_carefully(body, one=True)
    return item


def split_batch(body: bytes) -> list[bytes]:
    """Return the bytes of each element of a JSON array, as they were sent.

    Raises:
        MalformedBodyError: The body is no JSON array.
    """
    text = _decode(body)
    try:
        return [text[start:end].encode() for _, start, end in _elements(text)]
    except ValueError as error:
        raise _not_json(error) from None


def _check_encoding(body: bytes, content_type: str | None) -> None:
    if body.startswith(_BYTE_ORDER_MARKS):
        raise MalformedBodyError(
            "The body begins with a byte order mark. Send JSON as UTF-8 without one (RFC 8259)."
        )
    check_charset(content_type)


def check_charset(content_type: str | None) -> None:
    """Look at the charset that a Content-Type names.

    Raises:
        MalformedBodyError: It is another one than UTF-8.
    """
    charset = _CHARSET.search(content_type or "")
    if charset is not None and charset[1].lower() not in _CHARSETS:
        raise MalformedBodyError(f"The charset {charset[1]} isn't read. Send JSON as UTF-8.")


def _header(value: str) -> str:
    """Decode the value of a `ce-` header: a quoted string, then percent-encoding."""
    if quoted := _QUOTED.fullmatch(value):
        value = _ESCAPED.sub(r"\1", quoted[1])
    try:
        raw = value.encode("latin-1")
    except UnicodeEncodeError:
        raw = value.encode("utf-8", "surrogatepass")
    return unquote_to_bytes(raw).decode("utf-8", "surrogateescape")


def _decode(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise MalformedBodyError(
            f"The body is not UTF-8: byte {error.start} can't be read."
        ) from None


def _not_json(error: ValueError) -> MalformedBodyError:
    return MalformedBodyError(f"The body is not JSON: {error}.")


# The careful way


def _read_carefully(body: bytes, *, one: bool) -> Any:
    """Read JSON of which the quick parser refuses something; see `_read_with_parts`."""
    return _read_with_parts(body, one=one)[0]


def _read_with_parts(body: bytes, *, one: bool) -> tuple[Any, list[bytes] | None]:
    """Read JSON of which the quick parser refuses something.

    Of a batch, each element is read by itself, so that only those that have the trouble lose by
    it. They hold what no check lets pass: lone surrogates, infinite numbers, `TOO_DEEP`.

    Returns:
        The value, and of a batch the bytes of each element.
    """
    text = _decode(body)
    try:
        if one or text[_skip(text, 0) :][:1] != "[":
            value, end = _value(text, _skip(text, 0))
            _expect_end(text, end)
            return value, None
        values, parts = [], []
        for value, start, end in _elements(text):
            part = text[start:end].encode()
            values.append(_again(part, value))
            parts.append(part)
    except ValueError as error:
        raise _not_json(error) from None
    return values, parts


def _again(part: bytes, value: Any) -> Any:
    """Prefer what the quick parser reads, so that an event doesn't depend on its neighbours."""
    try:
        return orjson.loads(part)
    except orjson.JSONDecodeError:
        return value


def _elements(text: str) -> Iterator[tuple[Any, int, int]]:
    """Yield value, start and end of each element of a JSON array.

    Raises:
        ValueError: It isn't one.
    """
    position = _skip(text, 0)
    if text[position : position + 1] != "[":
        raise json.JSONDecodeError("Expecting an array", text, position)
    start = _skip(text, position + 1)
    closed = text[start : start + 1] == "]"
    end = start
    while not closed:
        value, end = _value(text, start)
        yield value, start, end
        end = _skip(text, end)
        closed = text[end : end + 1] == "]"
        if not closed and text[end : end + 1] != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, end)
        start = _skip(text, end + 1)
    _expect_end(text, end + 1)


def _skip(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return position if space is None else space.end()


def _expect_end(text: str, position: int) -> None:
    if _skip(text, position) != len(text):
        raise json.JSONDecodeError("Extra data", text, position)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else math.inf


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


_DECODER: Final = json.JSONDecoder(parse_int=_integer, parse_constant=_no_constant)


class TooDeep:
    """Stands for an object or a list that is nested too deeply to be kept."""


TOO_DEEP: Final = TooDeep()


def _value(text: str, position: int, levels: int = _DEEP_LEVELS) -> tuple[Any, int]:
    """Return the JSON value that starts at a position, and where it ends.

    Of a value that is nested too deeply for recursion, the outermost objects are read, `levels` of
    them; what is too deep inside of those is `TOO_DEEP`.
    """
    try:
        return _DECODER.raw_decode(text, position)
    except RecursionError:
        if levels == 0 or text[position] != "{":
            return TOO_DEEP, _end_of_value(text, position)
    members = {}
    closed = False
    while not closed:
        key, position = _key(text, _skip(text, position + 1))
        members[key], position = _value(text, _skip(text, position + 1), levels - 1)
        position = _skip(text, position)
        closed = text[position : position + 1] == "}"
        if not closed and text[position : position + 1] != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, position)
    return members, position + 1


def _key(text: str, position: int) -> tuple[str, int]:
    """Return the key at a position, and where its colon is."""
    if text[position : position + 1] != '"':
        message = "Expecting property name enclosed in double quotes"
        raise json.JSONDecodeError(message, text, position)
    key, position = _DECODER.raw_decode(text, position)
    position = _skip(text, position)
    if text[position : position + 1] != ":":
        raise json.JSONDecodeError("Expecting ':' delimiter", text, position)
    return key, position


_LIST, _OBJECT, _END_LIST, _END_OBJECT, _COMMA, _COLON, _TEXT, _OTHER = range(1, 9)
"""The groups of a token."""

_TOKEN: Final = re.compile(
    r"""[ \t\n\r]*+(?:((?:\[[ \t\n\r]*+)++)|(\{)|((?:\][ \t\n\r]*+)++)|(\})|(,)|(:)"""
    r"""|("(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+")"""
    r"""|(-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null)|(.))""",
    re.DOTALL,
)
"""Brackets in a row are one token: ten million of them must not take seconds."""

_VALUE: Final = frozenset({_LIST, _OBJECT, _TEXT, _OTHER})
_FIRST: Final = {_LIST: _VALUE | {_END_LIST}, _OBJECT: frozenset({_TEXT, _END_OBJECT})}
_NEXT: Final = {_LIST: _VALUE, _OBJECT: frozenset({_TEXT})}
_AFTER: Final = {
    _LIST: frozenset({_COMMA, _END_LIST}),
    _OBJECT: frozenset({_COMMA, _END_OBJECT}),
}
_NAMED: Final = frozenset({_COLON})


def _end_of_value(text: str, position: int) -> int:
    """Return where the JSON value that starts at a position ends, however deep it is.

    Raises:
        json.JSONDecodeError: It is no JSON.
    """
    path: list[tuple[int, int]] = []  # what is open, and how many of it in a row
    expected = _VALUE
    for token in _TOKEN.finditer(text, position):
        kind = token.lastindex
        if kind not in expected:
            raise json.JSONDecodeError("Unexpected token", text, token.end() - 1)
        if kind in _FIRST:
            path.append((kind, 1 if kind == _OBJECT else token[kind].count("[")))
            expected = _FIRST[kind]
        elif kind == _COMMA:
            expected = _NEXT[path[-1][0]]
        elif kind == _COLON:
            expected = _VALUE
        elif kind == _TEXT and _OTHER not in expected:
            expected = _NAMED
        else:
            beyond = _close(path, kind, token[kind])
            if beyond < 0:
                raise json.JSONDecodeError("Unexpected token", text, token.end() - 1)
            if not path:
                end = token.end()
                return _before_last(text, end, beyond) if kind == _END_LIST else end
            expected = _AFTER[path[-1][0]]
    raise json.JSONDecodeError("Unexpected end", text, len(text))


def _close(path: list[tuple[int, int]], kind: int, token: str) -> int:
    """Close what a token closes; gives how many of its brackets close nothing, -1 if it can't."""
    closing = {_END_LIST: token.count("]"), _END_OBJECT: 1}.get(kind, 0)
    while closing and path:
        opened, count = path.pop()
        if (opened == _LIST) != (kind == _END_LIST):
            return -1
        if count > closing:
            path.append((opened, count - closing))
        closing -= min(count, closing)
    return closing


def _before_last(text: str, end: int, beyond: int) -> int:
    """Return where the brackets that end there end without the last, which are somebody else's."""
    for _ in range(beyond + 1):
        end = text.rindex("]", 0, end)
    return end + 1
