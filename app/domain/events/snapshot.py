"""What a DMS sends that exports: the whole repair order as it is at one moment."""

from typing import Annotated, Literal

from pydantic import Field

from app.domain.events.payload import (
    Amount,
    Instant,
    Name,
    Payload,
    Quantity,
    StaffNo,
    Text,
)
from app.domain.events.repair_order import Opening, Sheet

SnapshotStatus = Literal["open", "ready_to_bill", "settled", "closed", "cancelled"]


class Progress(Payload):
    """How far an order has come."""

    status: SnapshotStatus | None = Field(None, description="How far the paper is 工单状态")
    opened_at: Instant | None = Field(None, description="When the order was written 开单时间")
    first_promised_at: Instant | None = Field(
        None, description="Delivery time that was promised first 首次承诺交车时间"
    )
    promised_at: Instant | None = Field(
        None, description="Delivery time that is promised now 当前承诺交车时间"
    )
    promise_changed_at: Instant | None = Field(
        None, description="When the promise became the present one 承诺变更时间"
    )
    authorized_at: Instant | None = Field(None, description="When the customer signed 签字时间")
    authorized_amount: Amount | None = Field(None, description="Authorized amount 确认金额")
    technician: StaffNo | None = Field(None, description="Staff number of the technician 维修技师")
    team: Name | None = Field(None, description="The technician's team 班组")
    bay: Name | None = Field(None, description="Bay 工位")
    dispatched_at: Instant | None = Field(
        None, description="When that technician got the work 派工时间"
    )
    work_started_at: Instant | None = Field(None, description="When work began 开工时间")
    work_completed_at: Instant | None = Field(None, description="When work was done 完工时间")
    settled_at: Instant | None = Field(None, description="When the bill was made 结算时间")
    handed_over_at: Instant | None = Field(
        None, description="When the car was handed over 实际交车时间"
    )
    handover_odometer_km: Quantity | None = Field(
        None, description="Odometer at handover, km 出厂里程"
    )
    cancelled_at: Instant | None = Field(None, description="When the order was cancelled 作废时间")
    cancel_reason: Text | None = Field(None, description="Why it was cancelled 作废原因")


class RepairOrderSnapshot(Sheet, Progress, Opening):
    """The whole order as it is now; the service works out what happened in between. 工单快照."""


class RepairOrderSnapshotRepeated(Payload):
    """A snapshot of before is so again, after another one that came late. 快照再现."""

    source: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        description="Source of the snapshot 快照来源"
    )
    id: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="Id of the snapshot 快照编号"
    )
