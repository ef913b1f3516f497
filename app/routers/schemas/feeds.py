"""Bodies of the feed routes."""

from collections import defaultdict
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.domain.rhythm import Rhythm
from app.services.feeds import FeedReport, Lag

_MOST_MINUTES = 60 * 24 * 366

Source = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        description="`source` of its events 数据源",
        examples=["/dms/sh01"],
    ),
]


class FeedRuleIn(BaseModel):
    """How the silence of a feed is told."""

    model_config = ConfigDict(extra="forbid")

    source: Source
    silent_after_minutes: Annotated[
        int | None,
        Field(
            ge=1,
            le=_MOST_MINUTES,
            description="Silent after so many minutes without anything; null: by its usual rhythm "
            "固定阈值（分钟）",
        ),
    ] = None
    muted: Annotated[bool, Field(description="No alarm 静音")] = False

    @model_validator(mode="after")
    def _either(self) -> Self:
        if self.muted and self.silent_after_minutes is not None:
            raise ValueError("a feed is either muted or has a fixed span")
        return self


class FeedRuleOut(BaseModel):
    """The rule of a feed."""

    silent_after_minutes: Annotated[int | None, Field(description="Null: by its rhythm 固定阈值")]
    muted: Annotated[bool, Field(description="No alarm 静音")]


class CountsOut(BaseModel):
    """What became of what was received."""

    model_config = ConfigDict(from_attributes=True)

    events: Annotated[int, Field(description="In the log 已入库")]
    duplicates: Annotated[int, Field(description="Were there already 重复")]
    quarantined: Annotated[int, Field(description="Could not be taken 进入隔离区")]


class ReceivedOut(BaseModel):
    """What was received of a feed."""

    today: Annotated[CountsOut, Field(description="Since the store's midnight 今日")]
    last_7_days: Annotated[CountsOut, Field(description="近7天")]
    total: Annotated[CountsOut, Field(description="Ever 累计")]


class LagOut(BaseModel):
    """How long events took from happening to being recorded, in whole seconds."""

    events: Annotated[int, Field(description="That were counted 统计事件数")]
    median_seconds: Annotated[int | None, Field(description="Estimate 中位数")]
    p95_seconds: Annotated[int | None, Field(description="Estimate 95分位")]
    max_seconds: Annotated[int | None, Field(description="Exact 最大值")]
    late: Annotated[int, Field(description="Recorded more than 24 hours after it happened 迟到数")]
    late_share: Annotated[
        str | None, Field(description="Of the events; null: none 迟到占比", examples=["0.004032"])
    ]

    @classmethod
    def of(cls, lag: Lag) -> Self:
        """Show lags."""
        return cls(
            events=lag.events,
            median_seconds=lag.median,
            p95_seconds=lag.p95,
            max_seconds=lag.most,
            late=lag.late,
            late_share=None if lag.late_share is None else format(lag.late_share, "f"),
        )


class WeekdayOut(BaseModel):
    """When a feed is usually active on a weekday."""

    weekday: Annotated[int, Field(description="1 is Monday 星期")]
    hours: Annotated[list[int], Field(description="Local hours; 9 is from 9:00 to 10:00 时段")]


class RhythmOut(BaseModel):
    """The usual rhythm of a feed."""

    weeks: Annotated[int, Field(description="Whole weeks that it was learnt from 参考周数")]
    usual: Annotated[
        list[WeekdayOut],
        Field(description="Weekdays on which it is usually active; no hours: at any 常态时段"),
    ]

    @classmethod
    def of(cls, rhythm: Rhythm) -> Self:
        """Show a rhythm."""
        hours: dict[int, list[int]] = defaultdict(list)
        for weekday, hour in sorted(rhythm.hours):
            hours[weekday].append(hour)
        return cls(
            weeks=rhythm.weeks,
            usual=[
                WeekdayOut(weekday=weekday + 1, hours=hours[weekday])
                for weekday in sorted(rhythm.days.keys() | hours.keys())
            ],
        )


class SilenceOut(BaseModel):
    """A silence that is over."""

    silent_from: Annotated[datetime, Field(description="Last heard of before 中断起点")]
    silent_until: Annotated[datetime | None, Field(description="Heard of again 恢复时间")]


class FeedOut(BaseModel):
    """A source of events."""

    source: Source
    first_seen_at: Annotated[datetime, Field(description="First heard of 首次接收")]
    last_seen_at: Annotated[datetime, Field(description="Last heard of 最后接收")]
    last_occurred_at: Annotated[
        datetime | None, Field(description="Of its events the latest time 最新发生时间")
    ]
    received: ReceivedOut
    lag: LagOut
    rhythm: Annotated[
        RhythmOut | None, Field(description="Null: not known yet, or irregular 常态节奏")
    ]
    expected_by: Annotated[
        datetime | None, Field(description="By then something usually comes 预计到达时间")
    ]
    silent: Annotated[bool, Field(description="Its alarm is raised 是否中断")]
    silent_since: Annotated[
        datetime | None, Field(description="Last heard of before the silence 中断起点")
    ]
    silent_at: Annotated[
        datetime | None,
        Field(description="When the alarm is raised if nothing comes; null: never 告警时间"),
    ]
    silences: Annotated[
        list[SilenceOut], Field(description="The last ones that are over 历史中断")
    ]
    rule: FeedRuleOut

    @classmethod
    def of(cls, report: FeedReport) -> Self:
        """Show a feed."""
        feed, sums = report.feed, report.sums
        silent_since = None if feed.state is None else feed.state.silent_from
        after = feed.rule.silent_after
        counts: dict[str, Any] = {
            "today": CountsOut.model_validate(sums.today),
            "last_7_days": CountsOut.model_validate(sums.week),
            "total": CountsOut.model_validate(sums.total),
        }
        return cls(
            source=feed.source,
            first_seen_at=feed.first_seen_at,
            last_seen_at=feed.last_seen_at,
            last_occurred_at=sums.last_occurred_at,
            received=ReceivedOut(**counts),
            lag=LagOut.of(report.lag),
            rhythm=None if report.rhythm is None else RhythmOut.of(report.rhythm),
            expected_by=report.expected_by,
            silent=silent_since is not None,
            silent_since=silent_since,
            silent_at=report.silent_at,
            silences=[
                SilenceOut(silent_from=silence.start, silent_until=silence.end)
                for silence in report.silences
            ],
            rule=FeedRuleOut(
                silent_after_minutes=None if after is None else int(after.total_seconds() // 60),
                muted=feed.rule.muted,
            ),
        )
