"""What is asked of KPIs, and whether it can be answered."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from app.db.snapshots import STORE_GRAIN
from app.domain.errors import Fault, InvalidInputError, NotFoundError
from app.domain.kpis.kpi import Kpi
from app.domain.kpis.registry import KPIS
from app.domain.periods import Period, PeriodUnit, widened
from app.services.publishing import PUBLISHED_UNITS

MAX_PERIODS: Final = 4_000
MAX_PUBLISHED_PERIODS: Final = 400
_FIRST_DAY: Final = date(1900, 1, 1)
_LAST_DAY: Final = date(2201, 1, 1)
_DAYS_AT_LEAST: Final = {
    PeriodUnit.DAY: 1,
    PeriodUnit.MONTH: 28,
    PeriodUnit.QUARTER: 90,
    PeriodUnit.YEAR: 365,
}


@dataclass(frozen=True, slots=True)
class KpiQuery:
    """Which values are asked for.

    Attributes:
        starts_on: First local day; widened to whole periods (J1).
        ends_on: Local day after the last.
        period: Length of each.
        by: Grain.
        member: Only this one; "" is member null (J18), None is all.
        as_of: Not supported yet, like `as_of_seq`.
    """

    starts_on: date
    ends_on: date
    period: str
    by: str = STORE_GRAIN
    member: str | None = None
    as_of: str | None = None
    as_of_seq: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A query that was checked."""

    kpi: Kpi
    unit: PeriodUnit
    period: Period
    grain: str
    member: str | None


def checked(code: str, query: KpiQuery, max_periods: int = MAX_PERIODS) -> Wanted:
    """Check a query for the values of a KPI.

    Raises:
        NotFoundError: There is no such KPI.
        InvalidInputError: The query can't be answered; says why.
    """
    kpi = KPIS.get(code)
    if kpi is None:
        raise NotFoundError(f"There is no KPI {code}. GET /v1/kpis lists them.")
    unit, period = checked_period(query, max_periods)
    if query.by not in kpi.grains:
        raise InvalidInputError.at(
            "/query/by",
            "not-a-grain",
            f"{code} is told by {', '.join(kpi.grains)}, not by {query.by}.",
        )
    if query.by == STORE_GRAIN and query.member:
        raise InvalidInputError.at(
            "/query/member", "no-member", "A member needs `by`; the store as a whole has none."
        )
    member = None if query.by == STORE_GRAIN else query.member
    return Wanted(kpi, unit, period, query.by, member)


def checked_period(query: KpiQuery, max_periods: int = MAX_PERIODS) -> tuple[PeriodUnit, Period]:
    """Check which periods a query asks for.

    Raises:
        InvalidInputError: There are none, too many, or they are not supported.
    """
    faults = []
    unit = next((found for found in PUBLISHED_UNITS if found == query.period), None)
    if unit is None:
        listed = ", ".join(PUBLISHED_UNITS)
        known = query.period in set(PeriodUnit)
        faults.append(
            Fault(
                "/query/period",
                "not-yet-supported" if known else "unknown-period",
                f"{query.period} is not supported yet; the periods are {listed}."
                if known
                else f"The periods are {listed}.",
            )
        )
    for name, day in (("from", query.starts_on), ("to", query.ends_on)):
        if not _FIRST_DAY <= day <= _LAST_DAY:
            faults.append(
                Fault(
                    f"/query/{name}",
                    "out-of-range",
                    f"The days are those from {_FIRST_DAY} to {_LAST_DAY}.",
                )
            )
    for name, given in (("as_of", query.as_of), ("as_of_seq", query.as_of_seq)):
        if given is not None:
            faults.append(
                Fault(
                    f"/query/{name}",
                    "not-yet-supported",
                    "What was known at another time is not supported yet; values are as now.",
                )
            )
    if query.ends_on <= query.starts_on:
        faults.append(
            Fault("/query/to", "no-days", "`to` is excluded, so it has to be after `from`.")
        )
    if unit is None or faults:
        raise InvalidInputError(faults)
    period = widened(query.starts_on, query.ends_on, unit)
    if (period.end - period.start).days > max_periods * _DAYS_AT_LEAST[unit]:
        raise InvalidInputError.at(
            "/query/to", "too-many-periods", f"At most {max_periods} periods in one answer."
        )
    return unit, period
