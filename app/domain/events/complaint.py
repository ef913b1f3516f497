"""Complaints. The subject is the complaint's UUID."""

from typing import Literal

from pydantic import Field

from app.domain.events.payload import (
    Channel,
    Count,
    Instant,
    Payload,
    PersonalOf,
    Reference,
    RequiredPersonalOf,
    StaffNo,
    Text,
)

Nature = Literal[
    "attitude",
    "quality",
    "time",
    "price",
    "parts",
    "warranty",
    "facilities",
    "appointment",
    "other",
]
Severity = Literal["normal", "important"]


class ComplaintOpened(Payload):
    """A customer complained. 客户投诉."""

    customer_no: Reference | None = Field(None, description="Customer number 客户编号")
    ro_number: Reference | None = Field(None, description="Repair order complained about 工单号")
    channel: Channel = Field(description="How it came in 投诉渠道")
    nature: Nature | None = Field(None, description="What it is about 投诉性质")
    severity: Severity | None = Field(None, description="How serious it is 严重程度")
    text: RequiredPersonalOf[Text] = Field(None, description="What the customer says 投诉内容")
    responsible: StaffNo | None = Field(
        None, description="Staff number of who answers for it 责任人"
    )


class ComplaintContacted(Payload):
    """The customer was contacted about the complaint. 投诉联系."""

    by: StaffNo = Field(description="Staff number of who made contact 联系人")
    channel: Channel = Field(description="How 联系渠道")
    note: PersonalOf[Text] = Field(None, description="Note 备注")


class ComplaintResolved(Payload):
    """The complaint was settled. 投诉解决."""

    by: StaffNo = Field(description="Staff number of who settled it 处理人")
    solution: RequiredPersonalOf[Text] = Field(None, description="The solution 解决方案")


class ComplaintReopened(Payload):
    """The complaint was taken up again. 投诉重开."""

    by: StaffNo = Field(description="Staff number of who took it up 处理人")
    reason: RequiredPersonalOf[Text] = Field(None, description="Why 重开原因")


class ComplaintContactOverdue(Payload):
    """Nobody contacted the customer in time; written by the service. 投诉联系超时."""

    due_at: Instant = Field(description="The deadline that passed 应联系时间")
    late_seconds: Count | None = Field(None, description="Seconds past the deadline 超时秒数")


class ComplaintContactResolved(Payload):
    """The overdue contact was made; written by the service. 投诉联系超时解除."""

    due_at: Instant = Field(description="The deadline that had passed 应联系时间")
    late_seconds: Count | None = Field(
        None, description="Seconds from the deadline to the contact 超时秒数"
    )
