"""Dates and times as sheets have them: real ones, serial numbers, and a dozen ways of writing."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from app.domain.cells import Cell, clean, is_empty, shown
from app.domain.mapping.numbers import is_blank
from app.domain.mapping.unreadable import UnreadableError

_EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - serial numbers have no zone
_EPOCH_1904: Final = datetime(1904, 1, 1)  # noqa: DTZ001 - likewise
_FIRST_SERIAL: Final = 10_000
_LAST_SERIAL: Final = 109_574
"""Days of the years 1927 to 2199."""

_DAY: Final = r"([0-9]{4})\s*[-/.年]\s*([0-9]{1,2})\s*[-/.月]\s*([0-9]{1,2})\s*[日号]?"
_NOON: Final = r"(上午|下午|中午|晚上|凌晨|早上|am|pm)?"
_CLOCK: Final = (
    _NOON + r"\s*([0-9]{1,2})\s*(?:[:时点]\s*(?:([0-9]{1,2})\s*分?)?\s*)"
    r"(?:[:]?\s*([0-9]{1,2})(?:\.[0-9]+)?\s*秒?)?\s*(am|pm)?"
)
_OFFSET: Final = r"\s*(z|[+-][0-9]{2}:?[0-9]{2})?"
_TEXT: Final = re.compile(_DAY + r"(?:\s*t?\s*" + _CLOCK + _OFFSET + r")?")
_COMPACT: Final = re.compile(r"((?:19|20|21)[0-9]{2})([0-9]{2})([0-9]{2})\s*([0-9:]{4,8})?")
_DAYTIME: Final = re.compile(_CLOCK)
_DIGITS: Final = re.compile(r"([0-9]{1,2})([0-9]{2})([0-9]{2})?")
_WEEKDAY: Final = re.compile(r"\s*[(]?(?:星期|周|礼拜)[一二三四五六日天][)]?\s*")
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_ISO_DAY: Final = 10
_NOON_HOUR: Final = 12
_HALF_SECOND: Final = timedelta(milliseconds=500)

_HINT: Final = 'Say how it is written with `format`, such as "%m/%d/%Y %H:%M".'


class MomentReader:
    """Reads the cells of one field as a moment of the shop's wall clock.

    Args:
        formats: Of `strptime`, tried before the usual ways of writing.
        at: Time of day where the cell has none.
        from_1904: Whether serial numbers count from 1904.
    """

    def __init__(
        self, formats: Sequence[str] = (), *, at: time | None = None, from_1904: bool = False
    ) -> None:
        self._formats = formats
        self._at = at
        self._epoch = _EPOCH_1904 if from_1904 else _EPOCH

    def read(self, cells: Sequence[Cell]) -> datetime | None:
        """Read a day and, if there is one, a time of day from one cell or from several in a row.

        Returns:
            With an offset only where the cell has one; midnight where no time is given; None if
            the cells say that there is no moment.

        Raises:
            UnreadableError: There is something else.
        """
        filled = [cell for cell in cells if not _is_nothing(cell)]
        if not filled or is_empty(cells[0]):
            return None
        if len(filled) > 1 and all(isinstance(cell, str) for cell in filled):
            joined = " ".join(clean(cell) for cell in filled)
            moment = self._formatted(joined) or _written(joined)
            if moment is not None:
                return moment
        moment = self._one(filled[0])
        for cell in filled[1:]:
            day_time = self.time_of_day(cell)
            moment = moment.replace(
                hour=day_time.hour, minute=day_time.minute, second=day_time.second
            )
        if self._at is not None and moment.time() == time():
            moment = datetime.combine(moment.date(), self._at, tzinfo=moment.tzinfo)
        return moment

    def _one(self, cell: Cell) -> datetime:
        if isinstance(cell, datetime):
            return _whole_seconds(cell)
        if isinstance(cell, date):
            return datetime.combine(cell, time())
        if isinstance(cell, int | float | Decimal) and not isinstance(cell, bool):
            moment = self._formatted(shown(cell)) if self._formats else None
            moment = moment or self._serial(float(cell)) or _written(shown(cell))
            if moment is not None:
                return moment
        elif isinstance(cell, str):
            text = clean(cell)
            moment = self._formatted(text) or _written(text)
            if moment is None and _NUMBER.fullmatch(text):
                moment = self._serial(float(text))
            if moment is not None:
                return moment
        raise _not_a_time("{} is no date or time.", cell)

    def _formatted(self, text: str) -> datetime | None:
        for form in self._formats:
            try:
                return datetime.strptime(text, form)  # noqa: DTZ007 - the caller knows the zone
            except ValueError:
                continue
        return None

    def _serial(self, days: float) -> datetime | None:
        if not _FIRST_SERIAL <= days <= _LAST_SERIAL:
            return None
        return _whole_seconds(self._epoch + timedelta(days=days))

    @staticmethod
    def time_of_day(cell: Cell) -> time:
        """Read a time of day.

        Raises:
            UnreadableError: It is something else.
        """
        if isinstance(cell, time):
            return cell
        if isinstance(cell, datetime):
            return _whole_seconds(cell).time()
        if isinstance(cell, timedelta):
            return (_EPOCH + cell + _HALF_SECOND).time()
        if isinstance(cell, int | float) and not isinstance(cell, bool) and 0 <= cell < 1:
            return (_EPOCH + timedelta(days=cell) + _HALF_SECOND).time()
        text = unicodedata.normalize("NFKC", shown(cell)).casefold().strip()
        for pattern in (_DAYTIME, _DIGITS):
            if match := pattern.fullmatch(text):
                found = _clock(match.groups()) if pattern is _DAYTIME else _digits(text)
                if found is not None:
                    return found
        raise _not_a_time("{} is no time of day.", cell)


def in_zone(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return a moment with the offset that it has in a zone, unless it has one of its own."""
    if moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)


def _not_a_time(detail: str, cell: Cell) -> UnreadableError:
    return UnreadableError("not-a-time", detail, _HINT, of=repr(shown(cell)))


def _is_nothing(cell: Cell) -> bool:
    return is_empty(cell) or (isinstance(cell, str) and is_blank(clean(cell)))


def _whole_seconds(moment: datetime) -> datetime:
    """Round away what the fractions of a day leave: 9:29:59.999997 is 9:30."""
    return (moment + _HALF_SECOND).replace(microsecond=0) if moment.microsecond else moment


def _written(text: str) -> datetime | None:
    """Read the usual ways of writing; the year comes first, another order must be said."""
    if len(text) >= _ISO_DAY and text[4] == "-" == text[7]:
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    text = _WEEKDAY.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
    try:
        if match := _TEXT.fullmatch(text):
            year, month, day, *clock, offset = match.groups()
            moment = datetime(int(year), int(month), int(day))  # noqa: DTZ001 - zone of the store
            if clock[1] is not None:
                found = _clock(clock)
                if found is None:
                    return None
                moment = datetime.combine(moment.date(), found)
            return moment if offset is None else _with_offset(moment, offset)
        if match := _COMPACT.fullmatch(text):
            year, month, day, rest = match.groups()
            moment = datetime(int(year), int(month), int(day))  # noqa: DTZ001 - zone of the store
            found = time() if rest is None else _digits(rest.replace(":", ""))
            return None if found is None else datetime.combine(moment.date(), found)
    except ValueError:
        return None
    return None


def _with_offset(moment: datetime, offset: str) -> datetime:
    return datetime.fromisoformat(moment.isoformat() + offset.upper())


def _clock(parts: Sequence[str | None]) -> time | None:
    """Make a time of the groups of `_CLOCK`."""
    before, hours, minutes, seconds, after = parts
    hour = int(hours or 0)
    noon = before or after
    if noon in {"下午", "晚上", "pm"} and hour < _NOON_HOUR:
        hour += _NOON_HOUR
    elif noon in {"上午", "凌晨", "早上", "am"} and hour == _NOON_HOUR:
        hour = 0
    try:
        return time(hour, int(minutes or 0), int(seconds or 0))
    except ValueError:
        return None


def _digits(text: str) -> time | None:
    match = _DIGITS.fullmatch(text)
    if match is None:
        return None
    try:
        return time(int(match[1]), int(match[2]), int(match[3] or 0))
    except ValueError:
        return None
