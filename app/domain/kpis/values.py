"""From summed parts to the values of the wire: exact texts, rounded once, half up.

Null is for what has no value (a ratio over 0, a median without samples, growth without last year),
never 0.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal

import msgspec

from app.domain.kpis.facts import ZERO
from app.domain.kpis.kpi import Kpi

RATIO_PLACES: Final = 6
MEDIAN_PLACES: Final = 2

_SECONDS: Final = {"hours": 3600, "minutes": 60}


class Value(msgspec.Struct, frozen=True, gc=False):
    """One value as the wire has it, decimal numbers as text.

    Attributes:
        numerator: Exact; None for medians and growth (J7).
        denominator: Exact; None likewise, and for sums (J2).
        value: Ratios and growth with 6 decimals, medians with 2; a sum's own text.
    """

    numerator: str | None
    denominator: str | None
    value: str | None


NO_VALUE: Final = Value(None, None, None)


def decimal_text(number: Decimal) -> str:
    """Write a number exactly: no exponent, no trailing zeros, no negative zero.

    So 1.10 and 1.1 read the same (A16), whatever scale a database or a sum left behind.
    """
    if not number:
        return "0"
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def ratio(numerator: Decimal, denominator: Decimal) -> Value:
    """Value of two sums; its value is None on a denominator of exactly 0 (G4)."""
    value = _quotient(numerator, denominator, RATIO_PLACES) if denominator else None
    return Value(decimal_text(numerator), decimal_text(denominator), value)


def total(numerator: Decimal) -> Value:
    """Value of a count or a sum: the sum itself (J2)."""
    text = decimal_text(numerator)
    return Value(text, None, text)


def median(
    lower: Decimal | None, upper: Decimal | None, unit: Literal["hours", "minutes"]
) -> Value:
    """Value of a median, from the two middle samples in seconds (G9, J17).

    With an odd number of samples both are the same one; without any sample both are None.
    """
    if lower is None or upper is None:
        return NO_VALUE
    return Value(None, None, _quotient(lower + upper, Decimal(2 * _SECONDS[unit]), MEDIAN_PLACES))


def growth(now: Decimal | None, before: Decimal | None) -> Value:
    """Value of a period's sum against the same period a year earlier.

    None where last year's sum is 0 or there is none (G5).
    """
    if not before:
        return NO_VALUE
    return Value(None, None, _quotient((now or ZERO) - before, before, RATIO_PLACES))


def value_of(kpi: Kpi, first: Decimal | None, second: Decimal | None) -> Value:
    """Value of a KPI from the two figures that its aggregation needs.

    Args: kpi: Decides what the figures are. first: Ratio and sum: the numerator; median: the lower
        middle sample in seconds; growth: this period's sum. None where there is nothing. second:
        Ratio: the denominator; sum: not looked at; median: the upper middle sample; growth: the
        sum of the same period a year earlier.
    """
    match kpi.aggregation:
        case "ratio":
            return ratio(first or ZERO, second or ZERO)
        case "sum":
            return total(first or ZERO)
        case "median":
            return median(first, second, "hours" if kpi.unit == "hours" else "minutes")
        case _:
            return growth(first, second)


def over_the_whole_store(
    parts: Mapping[str | None, tuple[Decimal, Decimal]],
) -> dict[str | None, tuple[Decimal, Decimal]]:
    """Put the store's denominator under each member's numerator (J11).

    For the grains in `Kpi.whole_store_denominator`: a complaint has a nature, a visit has none.

    Args: parts: Numerator and denominator of each member, complete, so that they add up to the
        store's.

    Returns:
        The members that have a numerator.
    """
    denominator = sum((part[1] for part in parts.values()), ZERO)
    return {
        member: (numerator, denominator) for member, (numerator, _) in parts.items() if numerator
    }


def _quotient(numerator: Decimal, denominator: Decimal, places: int) -> str:
    """Divide exactly and round once, half away from zero, to a fixed number of decimals."""
    a, b = numerator.as_integer_ratio()
    c, d = denominator.as_integer_ratio()
    over, under = a * d, b * c
    scale = 10**places
    size = abs(under)
    rounded = (2 * abs(over) * scale + size) // (2 * size)
    sign = "-" if rounded and (over < 0) != (under < 0) else ""
    return f"{sign}{rounded // scale}.{rounded % scale:0{places}d}"
