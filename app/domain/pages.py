"""Lists in parts: what one page asks for, what it answers, and the opaque cursor between two.

A list is ordered by a unique key; a page begins after the key of the last item of the page before.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Generic, TypeVar

import msgspec

from app.domain.errors import InvalidInputError

Item = TypeVar("Item")
KeyPart = str | int | datetime | date | None

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list is wanted.

    Attributes:
        limit: Most items in the page.
        after: Key of the last item already seen, as the cursor carried it; None begins anew.
    """

    limit: int = DEFAULT_LIMIT
    after: tuple[KeyPart, ...] | None = None

    def key(self, *types: type) -> tuple[KeyPart, ...] | None:
        """The key to go on after, checked to be one of this list.

        Args:
            types: Of the key's parts, in order; None is let through for each.

        Raises:
            InvalidInputError: the cursor was made by another list.
        """
        if self.after is None:
            return None
        fits = len(self.after) == len(types) and all(
            part is None or type(part) is kind
            for part, kind in zip(self.after, types, strict=True)
        )
        if not fits:
            raise broken_cursor()
        return self.after


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list.

    Attributes:
        items: In the order of the list.
        next_after: Key of the last item where more follow, else None.
    """

    items: list[Item]
    next_after: tuple[KeyPart, ...] | None = None


def page_of(
    found: Sequence[Item], limit: int, key: Callable[[Item], tuple[KeyPart, ...]]
) -> Page[Item]:
    """Make the page of what a list found when it was asked for one more than `limit`."""
    items = list(found[:limit])
    return Page(items, key(items[-1]) if len(found) > limit else None)


def encode_cursor(key: tuple[KeyPart, ...]) -> str:
    """Write a key as the opaque text that callers hand back unread."""
    parts = [_tagged(part) for part in key]
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> tuple[KeyPart, ...]:
    """Read a cursor that `encode_cursor` wrote.

    Raises:
        InvalidInputError: with a fault at /query/cursor.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        parts = msgspec.json.decode(
            base64.b64decode(padded, altchars=b"-_", validate=True),
            type=list[tuple[str, str | int | None]],
        )
        return tuple(_untagged(tag, part) for tag, part in parts)
    except (binascii.Error, ValueError, OverflowError, msgspec.DecodeError) as error:
        raise broken_cursor() from error


def broken_cursor() -> InvalidInputError:
    """The error for a cursor that no page of this list has given out."""
    return InvalidInputError.at(
        "/query/cursor", "broken-cursor", "This is no cursor that a page of this list gave out."
    )


def _tagged(part: KeyPart) -> tuple[str, str | int | None]:
    match part:
        case datetime():
            return "t", part.astimezone(UTC).isoformat()
        case date():
            return "d", part.isoformat()
        case int():
            return "i", part
        case _:
            return "s", part


def _untagged(tag: str, part: str | int | None) -> KeyPart:
    match tag, part:
        case "t", str():
            instant = datetime.fromisoformat(part)
            if instant.tzinfo is None:
                raise ValueError("a time without offset")
            return instant.astimezone(UTC)
        case "d", str():
            return date.fromisoformat(part)
        case "i", int() if abs(part) < 2**63:
            return part
        case "s", None:
            return None
        case "s", str() if "\0" not in part:
            return part
        case _:
            raise ValueError("an unknown kind of part")
