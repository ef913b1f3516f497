"""Names in the place of staff numbers: exports often hold 王伟 where a staff number belongs.

A name must not enter the log. What enters is a surrogate: `~` and an HMAC of the name in its
normal form. So the same name is the same person in every event of a store, nobody reads it from
the log, and who knows the log of two stores can't tell whether they name the same person.
"""

import hashlib
import hmac
import re
from base64 import b32encode
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final
from unicodedata import category, normalize

from pydantic_core import PydanticCustomError

MAX_ALIAS: Final = 128
"""Characters of the longest name, as sent."""

STAFF_NO_PATTERN: Final = r"^[A-Za-z0-9_-]{1,32}$"
SURROGATE_PATTERN: Final = r"^~[a-z2-7]{26}$"

_STAFF_NO: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_SURROGATE: Final = re.compile(r"~[a-z2-7]{26}")
_BYTES: Final = 16
"""Of the HMAC in a surrogate: two of 2^32 names share one with a chance of 2^-65."""
_PURPOSE: Final = b"servicelane staff alias\0"
"""Keeps surrogates apart from whatever else the secret is used for."""

_SPACE: Final = re.compile(r"\s+")
_HAN: Final = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SPACE_IN_HAN: Final = re.compile(rf"(?<=[{_HAN}]) (?=[{_HAN}])")
"""Sheets set 王　伟 as wide as 欧阳建国; that is no part of the name."""


def is_staff_no(text: str) -> bool:
    """Whether a text has the form of a staff number."""
    return _STAFF_NO.fullmatch(text) is not None


def is_surrogate(text: str) -> bool:
    """Whether a text has the form of a surrogate."""
    return _SURROGATE.fullmatch(text) is not None


def clean(text: str) -> str:
    """Return a text without what nobody sees: widths, outer and double spaces, format characters.

    Raises:
        UnicodeEncodeError: It has a lone surrogate.
    """
    if not text.isascii():
        text.encode()
        text = normalize("NFKC", text)
        text = "".join(character for character in text if category(character) != "Cf")
    return _SPACE.sub(" ", text).strip()


def normalized(text: str) -> str:
    """Return the form in which two spellings of a name are the same text; "" if nothing is left.

    Case, widths, spaces and compatibility characters (NFKC) don't tell names apart.

    Raises:
        UnicodeEncodeError: It has a lone surrogate.
    """
    return _SPACE_IN_HAN.sub("", clean(clean(text).casefold()))


@lru_cache(maxsize=4096)
def surrogate_of(secret: bytes, store_id: str, text: str) -> str:
    """Return what stands in a store's log for a name.

    Args:
        secret: Of the installation.
        store_id: Of the store; the same name has another surrogate in every store.
        text: As somebody wrote it.

    Raises:
        UnicodeEncodeError: It has a lone surrogate.
    """
    key = hmac.digest(secret, _PURPOSE + store_id.encode(), hashlib.sha256)
    digest = hmac.digest(key, normalized(text).encode(), hashlib.sha256)
    return "~" + b32encode(digest[:_BYTES]).decode().rstrip("=").lower()


def staff_no_in(text: object) -> str | None:
    """Return the staff number that a text is, full-width or padded as it may be; None if none."""
    if not isinstance(text, str):
        return None
    if is_staff_no(text):
        return text
    try:
        plain = clean(text)
    except UnicodeEncodeError:
        return None
    return plain if is_staff_no(plain) else None


class Naming:
    """Reads the names of one event; hand it to the model as validation context.

    Attributes:
        used: Whether any text was a name, which then lies beside the log as it was sent.
    """

    __slots__ = ("_secret", "_store_id", "used")

    def __init__(self, secret: bytes, store_id: str) -> None:
        self._secret = secret
        self._store_id = store_id
        self.used = False

    def read(self, text: str) -> str:
        """Return the staff number that a text is, else the surrogate of the name that it is.

        A text that looks like a surrogate is a name like any other: nobody can send one.

        Raises:
            PydanticCustomError: It can't be a name.
        """
        if len(text) > MAX_ALIAS:
            raise PydanticCustomError("too-long", "must have at most 128 characters")
        try:
            if (number := staff_no_in(text)) is not None:
                return number
            if not normalized(text):
                raise PydanticCustomError("too-short", "must have a visible character")
            surrogate = surrogate_of(self._secret, self._store_id, text)
        except UnicodeEncodeError:
            raise PydanticCustomError("bad-unicode", "must not have a lone surrogate") from None
        self.used = True
        return surrogate

    def key_of(self, name: str) -> str | None:
        """Return the surrogate of a registered name, be it of the form of a staff number.

        None if nothing in it is visible, or it can't be stored anyway.
        """
        try:
            return surrogate_of(self._secret, self._store_id, name) if normalized(name) else None
        except UnicodeEncodeError:
            return None

    def keys_of(self, aliases: Iterable[str]) -> list[str]:
        """Return the surrogates of registered aliases, each once and in order."""
        keys = (self.key_of(alias) for alias in aliases)
        return sorted({key for key in keys if key is not None})


def texts_beside(data: Any, aside: Any) -> Iterator[tuple[str, str]]:
    """Yield each surrogate in an event's data with the name that was sent in its place.

    Args:
        data: Of the log.
        aside: What lies beside it, nested alike.
    """
    if isinstance(data, dict) and isinstance(aside, dict):
        for key in data.keys() & aside.keys():
            yield from texts_beside(data[key], aside[key])
    elif isinstance(data, list) and isinstance(aside, list):
        for inner, beside in zip(data, aside, strict=False):
            yield from texts_beside(inner, beside)
    elif isinstance(data, str) and isinstance(aside, str) and is_surrogate(data):
        yield data, aside
