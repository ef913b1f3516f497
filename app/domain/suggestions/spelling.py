"""Odd spellings of numbers, times, days and yes or no, as shops' systems and sheets write them.

Each reader takes what was sent and returns the canonical text or value, or None where it can't be
told for certain what is meant: nothing here chooses between two readings.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from app.domain.events.readers import FIRST_YEAR, LAST_YEAR

_MAX_LENGTH: Final = 64
"""Characters of the longest text that is looked at."""

_TEN_THOUSAND: Final = Decimal(10_000)

_NUMBER: Final = re.compile(
    r"(?P<open>\()?(?P<sign>[+-])?(?:RMB|CNY|[¥$€])?\s*(?P<sign2>[+-])?"
    r"(?P<whole>[0-9]{1,3}(?:(?P<mark>[, '])[0-9]{3})(?:(?P=mark)[0-9]{3})*|[0-9]+)"
    r"(?P<part>\.[0-9]+)?\s*(?P<myriad>万)?\s*"
    r"(?:元|圆|人民币|RMB|CNY|km|KM|Km|公里|千米|h|小时|工时|项|个|次)?(?P<close>\))?"
)
_DAY: Final = (
    r"(?P<year>[0-9]{4})(?:(?P<mark>[-/.])(?P<month>[0-9]{1,2})(?P=mark)(?P<day>[0-9]{1,2})"
    r"|年(?P<month2>[0-9]{1,2})月(?P<day2>[0-9]{1,2})日)"
)
_TIME: Final = (
    r"(?P<hour>[0-9]{1,2})[:时](?P<minute>[0-9]{2})(?:[:分](?P<second>[0-9]{2})"
    r"(?P<fraction>\.[0-9]{1,9})?|分)?秒?"
)
_MOMENT: Final = re.compile(
    rf"{_DAY}(?:(?:\s*[Tt]\s*|\s+){_TIME}\s*(?P<offset>[Zz]|[+-][0-9]{{2}}:?[0-9]{{2}})?)?"
)
_COMPACT: Final = re.compile(
    r"(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})"
    r"(?:[T ]?(?P<hour>[0-9]{2})(?P<minute>[0-9]{2})(?P<second>[0-9]{2}))?"
)

_EPOCH_SECONDS: Final = range(946_684_800, 4_102_444_800)
"""Seconds since 1970 that lie in this century: no other number is taken for a time."""

_MILLISECONDS: Final = 1_000

_YES_NO: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("是", "有", "真", "对", "已", "yes", "y", "true", "t", "1", "√"), True),
    **dict.fromkeys(("同意", "合格", "已确认", "已签", "已签字", "通过"), True),
    **dict.fromkeys(("否", "无", "假", "错", "未", "no", "n", "false", "f", "0", "×"), False),
    **dict.fromkeys(("不同意", "不合格", "未确认", "未签", "未签字", "不通过"), False),
}

_NOTHING: Final = frozenset(
    {"", "-", "--", "—", "/", "\\", "无", "空", "n/a", "na", "nil", "null", "none", "#n/a"}
)


@dataclass(frozen=True, slots=True)
class Moment:
    """What a text says of a moment.

    Attributes:
        day: The day.
        time: The time of day on it, None where only the day is told; without zone where
            `offset` is None.
        offset: From UTC, where the text tells it.
    """

    day: date
    time: datetime | None
    offset: timezone | None


def clean(text: str) -> str:
    """Return a text in plain characters (NFKC: full-width ones become narrow), trimmed."""
    return unicodedata.normalize("NFKC", text).strip().strip("\ufeff\u200b").strip()


def is_nothing(value: object) -> bool:
    """Whether a text stands for no value at all."""
    return isinstance(value, str) and clean(value).casefold() in _NOTHING


def read_yes_no(value: object) -> bool | None:
    """Read yes or no."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    if isinstance(value, int):
        return {0: False, 1: True}.get(value)
    return _YES_NO.get(clean(value).casefold()) if len(value) <= _MAX_LENGTH else None


def read_number(value: object) -> str | None:
    """Read a number with thousands separators, currency, unit or 万; gives it as plain text."""
    if not isinstance(value, str) or len(value) > _MAX_LENGTH:
        return None
    found = _NUMBER.fullmatch(clean(value))
    if found is None or (found["open"] is None) != (found["close"] is None):
        return None
    signs = [sign for sign in (found["sign"], found["sign2"], found["open"]) if sign]
    if len(signs) > 1:
        return None
    digits = re.sub(r"[^0-9]", "", found["whole"]) + (found["part"] or "")
    number = Decimal(digits)
    if found["myriad"]:
        number *= _TEN_THOUSAND
    return f"{'-' if signs and signs[0] in '-(' else ''}{number:f}"


def read_moment(value: object) -> Moment | None:
    """Read a day, or a day with a time, in one of the usual ways."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _epoch(value)
    if not isinstance(value, str) or len(value) > _MAX_LENGTH:
        return None
    text = clean(value)
    found = _MOMENT.fullmatch(text) or _COMPACT.fullmatch(text)
    # 9999-12-31 is what systems write where they know no day
    if found is None or not FIRST_YEAR <= int(found["year"]) <= LAST_YEAR:
        return None
    parts = found.groupdict()
    try:
        day = date(
            int(parts["year"]),
            int(parts.get("month") or parts["month2"]),
            int(parts.get("day") or parts["day2"]),
        )
        if not parts.get("hour"):
            return Moment(day, None, None)
        fraction = (parts.get("fraction") or "")[1:7]
        clock = time(
            int(parts["hour"]),
            int(parts["minute"]),
            int(parts.get("second") or 0),
            int(fraction.ljust(6, "0")),
        )
        return Moment(day, datetime.combine(day, clock), _offset(parts.get("offset")))
    except ValueError:
        return None


def in_zone(local: datetime, zone: ZoneInfo) -> datetime | None:
    """Put a time of day into a zone; None where the zone has it twice or not at all."""
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    return first if first.utcoffset() == second.utcoffset() else None


def _epoch(value: int) -> Moment | None:
    if value in _EPOCH_SECONDS:
        told = datetime.fromtimestamp(value, UTC)
    elif value // _MILLISECONDS in _EPOCH_SECONDS:
        told = datetime.fromtimestamp(value // _MILLISECONDS, UTC)
        told += timedelta(milliseconds=value % _MILLISECONDS)
    else:
        return None
    return Moment(told.date(), told.replace(tzinfo=None), UTC)


def _offset(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text in {"Z", "z"}:
        return UTC
    span = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-span if text[0] == "-" else span)
