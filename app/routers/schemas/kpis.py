"""Bodies and parameters of the KPI routes. Numbers are decimal texts, seqs too."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from app.domain.events.envelope import Kind
from app.domain.kpis.kpi import Aggregation, Direction, Grain, Kpi, Unit, Words
from app.domain.kpis.values import decimal_text
from app.services.kpis import KpiQuery

PERIODS = ("day", "month", "quarter", "year")
GRAINS = ("store", "advisor", "technician", "team", "work_type", "assignee", "nature")


class PeriodParameters(BaseModel):
    """Which periods are asked for."""

    starts_on: Annotated[
        date,
        Field(
            alias="from",
            description="First local day; widened to whole periods 开始日期（含）",
            examples=["2026-01-01"],
        ),
    ]
    ends_on: Annotated[
        date,
        Field(
            alias="to",
            description="Local day after the last 结束日期（不含）",
            examples=["2026-03-01"],
        ),
    ]
    period: Annotated[
        str,
        Field(
            description="Length of each period 周期",
            json_schema_extra={"enum": list(PERIODS)},
            examples=["month"],
        ),
    ]
    as_of: Annotated[
        str | None, Field(description="Not supported yet: what was known at a time")
    ] = None
    as_of_seq: Annotated[
        str | None, Field(description="Not supported yet: what was known at a seq")
    ] = None


class OverviewParameters(PeriodParameters):
    """What the overview takes."""

    def query(self) -> KpiQuery:
        """As the service takes it."""
        return KpiQuery(self.starts_on, self.ends_on, self.period, as_of=self._as_of)

    @property
    def _as_of(self) -> str | None:
        return self.as_of or self.as_of_seq


class ValueParameters(PeriodParameters):
    """Which values are asked for."""

    by: Annotated[
        str,
        Field(
            description="By whom; each KPI lists its grains 维度",
            json_schema_extra={"enum": list(GRAINS)},
        ),
    ] = "store"
    member: Annotated[
        str | None,
        Field(description="Only this one; empty: what has none (null) 成员", examples=["A07"]),
    ] = None

    def query(self) -> KpiQuery:
        """As the service takes it."""
        return KpiQuery(
            self.starts_on,
            self.ends_on,
            self.period,
            self.by,
            self.member,
            as_of=self.as_of or self.as_of_seq,
        )
