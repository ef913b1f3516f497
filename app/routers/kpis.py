"""KPIs 指标: what each means, its values, what is behind them, what became of published ones."""

from dataclasses import replace
from datetime import date
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Response

from app.domain.access import Principal, Scope
from app.domain.errors import NotFoundError
from app.domain.kpis.registry import KPIS
from app.problems import responses
from app.routers.deps import FactoryDep, Listing, PageDep, StoreId, requires
from app.routers.schemas.kpis import (
    GRAINS,
    PERIODS,
    ExplanationOut,
    KpiOut,
    KpiValuesOut,
    OverviewOut,
    PublishedValuesOut,
)
from app.services.kpi_queries import KpiQuery

router = APIRouter(prefix="/v1", tags=["kpis"])

_STORE: Final = "/stores/{store_id}/kpis"

Code = Annotated[
    str,
    Path(
        description="Code of the KPI 指标代码",
        examples=["on_time_delivery_rate"],
        json_schema_extra={"enum": list(KPIS)},
    ),
]
From = Annotated[
    date,
    Query(
        alias="from",
        description="First local day; widened to whole periods 开始日期（含）",
        examples=["2026-01-01"],
    ),
]
To = Annotated[
    date,
    Query(
        alias="to",
        description="Local day after the last 结束日期（不含）",
        examples=["2026-03-01"],
    ),
]
PeriodLength = Annotated[
    str,
    Query(
        description="Length of each period 周期",
        json_schema_extra={"enum": PERIODS},
        examples=["month"],
    ),
]
Later = Annotated[str | None, Query(description="Not supported yet 暂不支持")]
By = Annotated[
    str,
    Query(
        description="By whom; each KPI lists its grains 维度", json_schema_extra={"enum": GRAINS}
    ),
]
Member = Annotated[
    str | None,
    Query(
        description="Only this one; empty: what has none (null). Staff by number, by `~...` of a "
        "name that nobody knows yet, or by name, for keys with `personal:read` 成员",
        examples=["A07"],
    ),
]
PartName = Annotated[
    Literal["numerator", "denominator", "not_counted"],
    Query(description="Which part to open 分子 / 分母 / 未计入"),
]
Reader = Annotated[Principal, requires(Scope.KPIS_READ)]


def _period_query(
    starts_on: From,
    ends_on: To,
    period: PeriodLength,
    as_of: Later = None,
    as_of_seq: Later = None,
) -> KpiQuery:
    return KpiQuery(starts_on, ends_on, period, as_of=as_of, as_of_seq=as_of_seq)


def _value_query(
    periods: Annotated[KpiQuery, Depends(_period_query)],
    by: By = "store",
    member: Member = None,
) -> KpiQuery:
    return replace(periods, by=by, member=member)


PeriodQueryDep = Annotated[KpiQuery, Depends(_period_query)]
ValueQueryDep = Annotated[KpiQuery, Depends(_value_query)]


@router.get(
    "/kpis", operation_id="list_kpis", summary="The catalogue 指标目录", responses=responses()
)
async def list_kpis(_: Reader) -> Listing[KpiOut]:
    """List every KPI: what it counts, by whom it can be split, its target and its source."""
    return Listing(items=[KpiOut.of(kpi) for kpi in KPIS.values()], next_cursor=None)


@router.get(
    _STORE,
    operation_id="get_kpi_overview",
    summary="All KPIs of a store 门店指标总览",
    response_model=OverviewOut,
    responses=responses(NotFoundError),
)
async def get_kpi_overview(
    store_id: StoreId,
    query: PeriodQueryDep,
    factory: FactoryDep,
    _: Reader,
) -> Response:
    """Get every KPI of the store as a whole against its target, for each period."""
    return _json(await factory.kpis.get_overview(store_id, query))


@router.get(
    f"{_STORE}/{{code}}",
    operation_id="get_kpi_values",
    summary="Values of a KPI 指标值",
    response_model=KpiValuesOut,
    responses=responses(NotFoundError),
)
async def get_kpi_values(
    store_id: StoreId,
    code: Code,
    query: ValueQueryDep,
    factory: FactoryDep,
    principal: Reader,
) -> Response:
    """Get the values as known now, refreshed every minute; `as_of_seq` says how far.

    Every period appears for the store as a whole; a member only where it has a part. Rates are
    never averaged: add up numerators and denominators.
    """
    return _json(await factory.kpis.get_values(store_id, code, query, principal))


@router.get(
    f"{_STORE}/{{code}}/explain",
    operation_id="explain_kpi",
    summary="What is behind a value 指标明细",
    response_model=ExplanationOut,
    responses=responses(NotFoundError),
)
async def explain_kpi(
    store_id: StoreId,
    code: Code,
    query: ValueQueryDep,
    page: PageDep,
    factory: FactoryDep,
    principal: Reader,
    part: PartName = "numerator",
) -> Response:
    """Open a value down to its repair orders or calls, the latest first.

    Each carries its verdict in words and the events that decided it. Behind growth the denominator
    is the revenue of the same period last year.
    """
    return _json(
        await factory.kpis.explain(store_id, code, query, principal, part=part, page=page)
    )


@router.get(
    f"{_STORE}/{{code}}/published",
    operation_id="get_published_kpi_values",
    summary="What became of published values 已发布指标与更正",
    response_model=PublishedValuesOut,
    responses=responses(NotFoundError),
)
async def get_published_kpi_values(
    store_id: StoreId,
    code: Code,
    query: ValueQueryDep,
    factory: FactoryDep,
    principal: Reader,
) -> Response:
    """Get each value as published, its restatements with what moved them, and the value known now.

    A published value is never overwritten: when a late fact changes July, July is restated under a
    new version, with the subjects that moved it and the events between.
    """
    return _json(await factory.kpis.get_published(store_id, code, query, principal))


def _json(answer: Any) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")
