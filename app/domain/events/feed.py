"""Feeds: what the service says about those who send. The subject is the source of the feed."""

from typing import Annotated, Literal

from pydantic import Field

from app.domain.events.payload import Count, Instant, Payload

MAX_SOURCE = 256
"""Characters of the longest source."""

Source = Annotated[str, Field(min_length=1, max_length=MAX_SOURCE)]
ResumeReason = Literal["seen", "muted", "rule"]


class FeedSilent(Payload):
    """A source that is usually heard of sends nothing; written by the service. 数据源中断."""

    source: Source = Field(description="The source of the feed 数据源")
    last_seen_at: Instant = Field(
        description="When it was last heard of: the silence counts from here 最后接收时间"
    )
    since: Instant = Field(
        description="From when on the silence is unusual; the time of the alert 判定中断时间"
    )
    expected: Instant | None = Field(None, description="By when something was to come 应到时间")
    silent_after_minutes: Count | None = Field(
        None,
        description="The fixed rule that was broken; absent: the usual rhythm 固定阈值（分钟）",
    )


class FeedResumed(Payload):
    """The silence of a source is over; written by the service. 数据源恢复."""

    source: Source = Field(description="The source of the feed 数据源")
    silent_from: Instant = Field(description="When it was last heard of before 中断起点")
    resumed_at: Instant = Field(
        description="When it was heard of again; else when its rule was changed 恢复时间"
    )
    reason: ResumeReason = Field(
        description="`seen`; `muted`: its alarm was switched off; `rule`: by a changed rule it is "
        "not silent 恢复原因"
    )
