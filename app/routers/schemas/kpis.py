"""Bodies of the KPI routes. Numbers are decimal texts, and so are seqs."""

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field

from app.domain.events.envelope import Kind
from app.domain.kpis.kpi import Aggregation, Direction, Grain, Kpi, Unit
from app.domain.kpis.values import decimal_text
from app.routers.schemas.desk import WordsOut

PERIODS: Final = ["day", "month", "quarter", "year"]
GRAINS: Final = list(get_args(Grain))

Seq = Annotated[str, Field(description="Position in the store's log", examples=["20411"])]


class Out(BaseModel):
    """Base of the answers: what is not described here is not answered."""

    model_config = ConfigDict(extra="forbid")


class KpiOut(Out):
    """What a KPI says of itself."""

    code: Annotated[str, Field(description="Code 指标代码", examples=["on_time_delivery_rate"])]
    name: Annotated[WordsOut, Field(description="Name 指标名称")]
    family: Annotated[WordsOut, Field(description="Family 指标类别")]
    formula: Annotated[WordsOut, Field(description="Formula in words 计算公式")]
    contract: Annotated[str, Field(description="What exactly is counted 口径")]
    aggregation: Annotated[
        Aggregation, Field(description="How values come from what is counted 汇总方式")
    ]
    unit: Annotated[Unit, Field(description="Of the value; money is in the store's currency 单位")]
    target: Annotated[
        str | None, Field(description="Of the value; null: none 目标值", examples=["0.96"])
    ]
    direction: Annotated[
        Direction | None, Field(description="Which way is better; null: neither 方向")
    ]
    grains: Annotated[list[Grain], Field(description="What `by` takes 可用维度")]
    periods: Annotated[list[str], Field(description="What `period` takes 可用周期")]
    policy_keys: Annotated[list[str], Field(description="The policies that decide 相关规则")]
    source: Annotated[str, Field(description="Where the definition comes from 出处")]

    @classmethod
    def of(cls, kpi: Kpi) -> Self:
        """Show a KPI."""
        return cls(
            code=kpi.code,
            name=WordsOut.of(kpi.name),
            family=WordsOut.of(kpi.family),
            formula=WordsOut.of(kpi.formula),
            contract=kpi.contract,
            aggregation=kpi.aggregation,
            unit=kpi.unit,
            target=None if kpi.target is None else decimal_text(kpi.target),
            direction=kpi.direction,
            grains=list(kpi.grains),
            periods=PERIODS,
            policy_keys=list(kpi.policy_keys),
            source=kpi.source,
        )


class CoverageHintOut(Out):
    """A feed was silent in the period: its figures may be low for lack of data, not of work."""

    source: Annotated[str, Field(description="Source of the feed 数据源", examples=["/dms/sh01"])]
    silent_from: Annotated[datetime, Field(description="Last heard of before 中断起点")]
    silent_until: Annotated[
        datetime | None, Field(description="Heard of again; null: silent still 恢复时间")
    ]
    note: WordsOut


Coverage = Annotated[
    list[CoverageHintOut],
    Field(
        description="Feeds that were silent in the period; absent when all was well 数据中断提示"
    ),
]


class PartsOut(Out):
    """A value and its parts."""

    numerator: Annotated[
        str | None, Field(description="Exact; null for medians and growth 分子", examples=["118"])
    ]
    denominator: Annotated[
        str | None,
        Field(description="Exact; null for counts, sums, medians 分母", examples=["124"]),
    ]
    value: Annotated[
        str | None,
        Field(description="Rounded half up; null: no data, never 0 指标值", examples=["0.951613"]),
    ]


class PeriodValueOut(PartsOut):
    """A value of one period and member."""

    period_start: Annotated[date, Field(description="First day 周期开始")]
    period_end: Annotated[date, Field(description="Day after the last 周期结束（不含）")]
    member: Annotated[
        str | None,
        Field(
            description="Null: the store, or what has no member; `~...`: a name that nobody "
            "knows yet 成员",
            examples=["A07"],
        ),
    ]
    member_name: Annotated[
        str | None,
        Field(
            description="Of a member of staff; masked without personal:read; null where none is "
            "known 姓名"
        ),
    ]
    not_counted: Annotated[
        dict[str, int],
        Field(
            description="Settled or due, but in neither part, by reason 未计入",
            examples=[{"no-promise": 3}],
        ),
    ]
    coverage: Coverage = []


class KpiValuesOut(Out):
    """Values of a KPI, as known at `as_of_seq`."""

    code: str
    store_id: str
    period: str
    by: str
    as_of_seq: Seq
    values: list[PeriodValueOut]


class OverviewValueOut(PeriodValueOut):
    """A value against its target."""

    met: Annotated[bool | None, Field(description="Null: no target, or no value 是否达标")]


class OverviewItemOut(Out):
    """A KPI of the overview."""

    code: str
    name: WordsOut
    unit: Unit
    target: str | None
    direction: Direction | None
    values: list[OverviewValueOut]


class OverviewOut(Out):
    """Every KPI of a store against its target."""

    store_id: str
    period: str
    as_of_seq: Seq
    items: list[OverviewItemOut]
    next_cursor: Annotated[None, Field(description="Always null: all KPIs in one answer")]


class DecidingEventOut(Out):
    """An event of the log, named as in its envelope; nothing in it is personal."""

    seq: Seq
    source: str
    id: str
    type: str
    subject: str
    time: Annotated[datetime, Field(description="When it happened in the shop 发生时间")]
    recordedtime: Annotated[datetime, Field(description="When it was recorded here 记录时间")]
    inferred_from: Annotated[
        str | None,
        Field(
            description="Id of the snapshot that it was read out of; null where it was told "
            "推断所依据的快照"
        ),
    ]
    inferred_from_source: Annotated[
        str | None, Field(description="Source of that snapshot 快照来源")
    ]
    data: dict[str, Any]


class ExplainedItemOut(Out):
    """A subject in a part of a value, and why it is there."""

    kind: Annotated[Kind, Field(description="What the subject is 对象类型")]
    subject: Annotated[
        str, Field(description="RO number, id, or staff/date 对象", examples=["RO20260105-0042"])
    ]
    day: Annotated[date, Field(description="The day that it counts for 归属日")]
    advisor: str | None
    technician: str | None
    team: str | None
    work_type: str | None
    assignee: str | None
    nature: str | None
    numerator: Annotated[str | None, Field(description="What it gives to the part 分子")]
    denominator: Annotated[str | None, Field(description="What it gives to the part 分母")]
    reason: Annotated[str, Field(description="Stable code 原因代码", examples=["late"])]
    late_seconds: Annotated[
        int,
        Field(
            description="The list is ordered by it, descending: lateness; of medians the sample; "
            "0 where there is neither"
        ),
    ]
    verdict: Annotated[str | None, Field(description="Verdict 判定", examples=["late"])]
    reasons: Annotated[list[str], Field(description="The deciding one first, then flags")]
    explanation: Annotated[WordsOut | None, Field(description="In words 判定说明")]
    events: Annotated[list[DecidingEventOut], Field(description="What decided it 依据事件")]


class ReasonTotalOut(Out):
    """How many subjects of a reason are in each part."""

    reason: str
    words: WordsOut | None
    numerator: int
    denominator: int
    not_counted: int


class ExplanationOut(Out):
    """What is behind a value."""

    code: str
    store_id: str
    period: str
    period_start: date
    period_end: date
    by: str
    member: str | None
    part: Literal["numerator", "denominator", "not_counted"]
    as_of_seq: Seq
    totals: Annotated[list[ReasonTotalOut], Field(description="Of all parts, by reason 汇总")]
    items: list[ExplainedItemOut]
    names: Annotated[
        dict[str, str],
        Field(
            description="Of the staff in it, by number or `~...`, as far as known; masked without "
            "personal:read 姓名"
        ),
    ]
    next_cursor: str | None
    coverage: Coverage = []


class ChangeSideOut(Out):
    """What a subject gave to the KPI."""

    day: date
    member: str | None
    numerator: str | None
    denominator: str | None
    reason: str
    words: WordsOut | None


class SubjectChangeOut(Out):
    """A subject that moved a published value."""

    kind: Kind
    subject: str
    before: Annotated[ChangeSideOut | None, Field(description="Null: it gave nothing 变更前")]
    after: Annotated[ChangeSideOut | None, Field(description="Null: it gives nothing 变更后")]
    events: Annotated[
        list[DecidingEventOut], Field(description="Between the two versions 期间的事件")
    ]


class PublishedVersionOut(PartsOut):
    """A value as a night published it."""

    version: Annotated[int, Field(description="1: the first night after the period 版本")]
    as_of_seq: Seq
    published_at: datetime


class RestatementOut(PublishedVersionOut):
    """A later version, and what moved it."""

    changes: Annotated[list[SubjectChangeOut], Field(description="The last 50 at most")]
    changes_total: int


class PublishedValueOut(Out):
    """What became of a value."""

    period_start: date
    period_end: date
    member: str | None
    member_name: Annotated[
        str | None,
        Field(
            description="Of a member of staff; masked without personal:read; null where none is "
            "known 姓名"
        ),
    ]
    published: Annotated[
        PublishedVersionOut | None,
        Field(description="As published first; null: there was nothing, or not yet 首次发布值"),
    ]
    restatements: Annotated[list[RestatementOut], Field(description="In order 更正记录")]
    current: Annotated[
        PeriodValueOut | None, Field(description="As known now; null: nothing is left 当前值")
    ]


class PublishedValuesOut(Out):
    """What became of the values of a KPI."""

    code: str
    store_id: str
    period: str
    by: str
    as_of_seq: Seq
    values: list[PublishedValueOut]
