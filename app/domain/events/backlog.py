"""The backlog of a store in quarantine. The subject is the store's code."""

from typing import Annotated, Literal

from pydantic import Field

from app.domain.events.feed import Source
from app.domain.events.payload import MAX_ITEMS, Count, Instant, Name, Part, Payload

Sign = Literal["burst", "age"]


class WaitingForReason(Part):
    """How many items wait for one reason. 按原因计数."""

    reason: Name = Field(description="Reason of the quarantine 隔离原因")
    count: Count = Field(description="Items that wait 件数")


class WaitingFromSource(Part):
    """How many items of one source wait. 按数据源计数."""

    source: Source | None = Field(None, description="Absent: none could be read 数据源")
    count: Count = Field(description="Items that wait 件数")


class QuarantineGrowing(Payload):
    """More waits in the store's quarantine than is usual; written by the service. 隔离区积压."""

    sign: Sign = Field(
        description="`burst`: much of what came of late could not be taken; `age`: something has "
        "waited for long 判定依据"
    )
    waiting: Count = Field(description="Items that wait 待处理件数")
    new: Count = Field(
        description="Of these, received in this clock hour or the one before 近两小时新增"
    )
    oldest_received_at: Instant = Field(description="Since when the oldest waits 最早接收时间")
    by_reason: Annotated[list[WaitingForReason], Field(max_length=MAX_ITEMS)] = Field(
        description="Most first 按原因"
    )
    by_source: Annotated[list[WaitingFromSource], Field(max_length=MAX_ITEMS)] = Field(
        description="Most first 按数据源"
    )


class QuarantineSettled(Payload):
    """The backlog in quarantine has been dealt with; written by the service. 隔离区积压解除."""

    waiting: Count = Field(description="Items that still wait 待处理件数")
    growing_since: Instant = Field(description="When the alert was raised 积压起点")
