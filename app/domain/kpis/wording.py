"""How explanations write times, numbers and lists."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from app.domain.kpis.kpi import Words
from app.domain.kpis.values import decimal_text


class Times:
    """Writes instants as local times of the store: with the date where they differ in it."""

    def __init__(self, zone: ZoneInfo, instants: Iterable[datetime | None]) -> None:
        self._zone = zone
        days = {at.astimezone(zone).date() for at in instants if at is not None}
        self._form: Final = "%H:%M" if len(days) == 1 else "%Y-%m-%d %H:%M"

    def __call__(self, instant: datetime) -> str:
        """Write an instant, seconds cut off."""
        return instant.astimezone(self._zone).strftime(self._form)


def date_and_time(instant: datetime, zone: ZoneInfo) -> str:
    """Write an instant as local date and time, seconds cut off."""
    return instant.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def date_and_second(instant: datetime, zone: ZoneInfo) -> str:
    """Write an instant as local date and time, to the second."""
    return instant.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def number(value: Decimal | None) -> str:
    """Write a number exactly and plainly; a question mark if it is not known."""
    return "?" if value is None else decimal_text(value)


def joined(parts: Iterable[Words]) -> Words:
    """Several clauses as one text."""
    clauses = list(parts)
    return Words("; ".join(part.en for part in clauses), "；".join(part.zh for part in clauses))


def times_word(count: int, one: str, more: str) -> str:
    """A count with its English noun."""
    return f"{count} {one if count == 1 else more}"


def span_words(span: timedelta) -> Words:
    """An elapsed time in hours, minutes and seconds, without what is 0; whole seconds."""
    minutes, rest = divmod(abs(span) // timedelta(seconds=1), 60)
    hours, minutes = divmod(minutes, 60)
    units = ((hours, "h", "小时"), (minutes, "min", "分"), (rest, "s", "秒"))
    known = [unit for unit in units if unit[0]] or [(0, "min", "分")]
    return Words(
        " ".join(f"{count} {en}" for count, en, _ in known),
        "".join(f"{count}{zh}" for count, _, zh in known),
    )
