"""From what may be sent to the value that is kept: numbers, instants, days, labels and answers.

Every reader `read_*` takes a JSON value (or the value that it stands for) and either returns the
canonical value or raises `PydanticCustomError`, whose type is the code of the fault. A `QUICK_*`
reads the usual spellings to the same value, and refuses the others.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from functools import partial
from operator import methodcaller
from typing import Any, Final

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MAX_NUMBER: Final = 10**12
"""Every number is below it, and above its negative."""

MAX_DIGITS: Final = 64
"""Characters of the longest number, without an exponent."""

MAX_ANSWER: Final = 128
"""Characters of the longest answer."""

FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2200


def _quick(pattern: str, *steps: Callable[[Any], Any]) -> CoreSchema:
    """Return a reader of text that matches; each step is a function written in C."""
    schema: CoreSchema = core_schema.str_schema(pattern=pattern, coerce_numbers_to_str=True)
    for step in steps:
        schema = core_schema.no_info_after_validator_function(step, schema)
    return schema


# Numbers

_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_SMALL: Final = len(str(MAX_NUMBER)) - 1
"""Characters that no number out of range fits into."""
_END: Final = Decimal(MAX_NUMBER)
_ZERO: Final = Decimal(0)


def read_number(value: object) -> Decimal:
    """Return a number in its shortest decimal form, never with a positive exponent (A16).

    A JSON number is taken by its shortest decimal form, a text as written.
    """
    if isinstance(value, str):
        text = value
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= MAX_NUMBER:
            raise _out_of_range()
        return Decimal(value)
    elif isinstance(value, float | Decimal):
        text = str(value)
    else:
        raise _not_a_number()
    spelled = _NUMBER.fullmatch(text) if len(text) <= MAX_DIGITS else None
    if spelled is None:
        raise _not_a_number()
    if spelled.lastindex:  # an exponent: the same with all its zeros
        text = plain(Decimal(text))
        if len(text) > MAX_DIGITS:
            raise _out_of_range()
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    number = Decimal(text)
    if len(text) > _SMALL and abs(number) >= _END:
        raise _out_of_range()
    return number or _ZERO


def _not_a_number() -> PydanticCustomError:
    return PydanticCustomError("not-a-number", "must be a finite number, or one as text")


def _out_of_range() -> PydanticCustomError:
    return PydanticCustomError(
        "out-of-range", "must be between -10^12 and 10^12, with few decimals"
    )


def read_quantity(value: object) -> Decimal:
    """Return a number that is not negative."""
    number = read_number(value)
    if number.is_signed():
        raise PydanticCustomError("negative", "must not be negative")
    return number


def read_count(value: object) -> int:
    """Return a whole number that is not negative."""
    number = read_quantity(value)
    whole = int(number)
    if whole != number:
        raise PydanticCustomError("not-whole", "must be a whole number")
    return whole


_EXACT: Final = Context(prec=MAX_DIGITS)
_SHORTEST: Final = (
    Decimal,
    _EXACT.normalize,  # 860.00 to 860, but 1000 to 1E+3
    partial(_EXACT.add, _ZERO),  # 1E+3 to 1000, and -0 to 0
)
QUICK_AMOUNT: Final = _quick(r"^-?[0-9]{1,12}(?:\.[0-9]{1,18})?$", *_SHORTEST)
QUICK_QUANTITY: Final = _quick(r"^[0-9]{1,12}(?:\.[0-9]{1,18})?$", *_SHORTEST)
QUICK_COUNT: Final = core_schema.int_schema(strict=True, ge=0, lt=MAX_NUMBER)


def read_level(value: object) -> int:
    """Return the level of an inspection: 1, 2 or 3."""
    level = read_count(value)
    if level not in {1, 2, 3}:
        raise PydanticCustomError("not-one-of", "must be 1, 2 or 3")
    return level


def plain(number: Decimal) -> str:
    """Return the number as text without an exponent."""
    return format(number, "f")


# Time

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_INSTANT_LENGTH: Final = 64
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def read_instant(value: object) -> datetime:
    """Return an instant of RFC 3339 in UTC, cut at the microsecond (B2)."""
    if isinstance(value, str) and len(value) <= _INSTANT_LENGTH and _INSTANT.fullmatch(value):
        try:
            instant = datetime.fromisoformat(value if value[-1] != "z" else value[:-1] + "Z")
        except ValueError:
            raise PydanticCustomError("not-an-instant", "names a day that doesn't exist") from None
    elif isinstance(value, datetime) and value.tzinfo is not None:
        instant = value
    else:
        raise PydanticCustomError(
            "not-an-instant",
            "must be a time of RFC 3339 with an offset: 2026-01-31T17:00:00+08:00",
        )
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise PydanticCustomError("out-of-range", "must lie between the years 1900 and 2200")
    return instant if instant.tzinfo is UTC else instant.astimezone(UTC)


def read_date(value: object) -> date:
    """Return a calendar day of ISO 8601."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            raise PydanticCustomError("not-a-date", "names a day that doesn't exist") from None
    elif isinstance(value, date) and not isinstance(value, datetime):
        day = value
    else:
        raise PydanticCustomError("not-a-date", "must be a date of ISO 8601: 2026-01-31")
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise PydanticCustomError("out-of-range", "must lie between the years 1900 and 2200")
    return day


QUICK_INSTANT: Final = _quick(
    r"^(?:19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$",
    datetime.fromisoformat,
    methodcaller("astimezone", UTC),
)
QUICK_DATE: Final = _quick(r"^(?:19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}$", date.fromisoformat)


def read_day_or_instant(value: object) -> str:
    """Return the canonical text of a calendar day or of an instant."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        return read_date(value).isoformat()
    return read_instant(value).isoformat().replace("+00:00", "Z")


# What people chose or said


def read_label(value: object) -> str:
    """Return a short text; a number stands for its plain text."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return plain(read_number(value))
    if not isinstance(value, str):
        raise PydanticCustomError("not-text", "must be text or a number")
    return value


def read_answer(value: object) -> Decimal | bool | str:
    """Return what was answered: a number (as text too), yes or no, or a short text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        if len(value) > MAX_ANSWER:
            raise PydanticCustomError("too-long", "must have at most 128 characters")
        return value
    return read_number(value)
