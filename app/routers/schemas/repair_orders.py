"""Bodies of the repair-order routes."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field

from app.domain.access import Principal, personal_for
from app.domain.kpis.verdict import OnTimeVerdict
from app.domain.repair_order import Stage, Status
from app.routers.schemas.desk import (
    DecimalText,
    Member,
    MemberName,
    Seq,
    Version,
    WordsOut,
    name_of,
    shown,
)
from app.services.evidence import Evidence, InferredFact
from app.services.repair_orders import RepairOrderView, TimelineEntry


class OnTimeOut(BaseModel):
    """The verdict on the delivery time."""

    verdict: Annotated[OnTimeVerdict, Field(description="准时判定")]
    reasons: Annotated[list[str], Field(description="Stable codes, the deciding one first")]
    explanation: WordsOut
    deciding_events: Annotated[list[Seq], Field(description="seqs of the events that decided")]


class ContactOut(BaseModel):
    """Who brought the car."""

    name: str | None = None
    phone: str | None = None


class SettlementOut(BaseModel):
    """The settlement that counts."""

    amounts: Annotated[dict[str, DecimalText], Field(description="By kind 金额")]
    costs: Annotated[dict[str, DecimalText], Field(description="By kind 成本")]
    billed_hours: DecimalText | None
    clocked_hours: DecimalText | None
    parts_requested: int | None
    parts_filled: int | None


class EvidenceOut(BaseModel):
    """The snapshot that a fact was read out of 推断依据."""

    seq: Seq
    source: str
    id: str
    time: Annotated[datetime, Field(description="When the order was so 快照时间")]
    after: Annotated[
        datetime | None,
        Field(
            description="The snapshot before it, of the same source: it happened in between; "
            "null for the first 上一次快照时间"
        ),
    ]

    @classmethod
    def of(cls, evidence: Evidence) -> Self:
        """Show evidence."""
        return cls(
            seq=str(evidence.seq),
            source=evidence.source,
            id=evidence.id,
            time=evidence.at,
            after=evidence.after,
        )


class InferredOut(BaseModel):
    """A fact that nobody told: it was read out of a snapshot 推断的事实."""

    seq: Seq
    type: Annotated[str, Field(description="Event type 事件类型")]
    time: Annotated[datetime, Field(description="When it happened, as far as known 发生时间")]
    evidence: EvidenceOut

    @classmethod
    def of(cls, fact: InferredFact) -> Self:
        """Show such a fact."""
        return cls(
            seq=str(fact.event.seq),
            type=fact.event.type,
            time=fact.event.at,
            evidence=EvidenceOut.of(fact.evidence),
        )


class RepairOrderOut(BaseModel):
    """A repair order 维修工单."""

    ro_number: Annotated[str, Field(description="工单号")]
    status: Annotated[Status, Field(description="How far the paper is 状态")]
    stage: Annotated[Stage, Field(description="Where the car is 阶段")]
    work_type: Annotated[str | None, Field(description="维修类型")]
    pay_type: Annotated[str | None, Field(description="付费类型")]
    advisor: Annotated[str | None, Member("Service advisor 服务顾问")]
    advisor_name: Annotated[str | None, MemberName]
    technician: Annotated[str | None, Member("Technician 技师")]
    technician_name: Annotated[str | None, MemberName]
    team: Annotated[str | None, Field(description="班组")]
    customer_no: Annotated[str | None, Field(description="Whose it is, as known now 客户编号")]
    customer_from: Annotated[
        Literal["order", "vehicle"] | None,
        Field(description="What tells whose it is: the order, or the vehicle's file 客户来源"),
    ]
    vin: Annotated[str | None, Field(description="车架号")]
    plate: Annotated[str | None, Field(description="Personal 车牌")]
    contact: Annotated[ContactOut | None, Field(description="Personal 送修人")]
    odometer_km: DecimalText | None
    opened_at: Annotated[datetime | None, Field(description="进场时间")]
    first_promised_at: Annotated[datetime | None, Field(description="首次预计交车时间")]
    promised_at: Annotated[
        datetime | None, Field(description="The promise in force 当前预计交车时间")
    ]
    settled_at: Annotated[datetime | None, Field(description="结算时间")]
    delivered_at: Annotated[
        datetime | None, Field(description="Delivered time of the verdict 交车时间")
    ]
    handed_over_at: Annotated[datetime | None, Field(description="The last handover 实际交接")]
    cancelled_at: datetime | None
    cancel_reason: str | None
    overdue: Annotated[
        bool, Field(description="Still in the shop after the promised time, as of now 超时")
    ]
    settlement: SettlementOut | None
    on_time: OnTimeOut
    inferred: Annotated[
        list[InferredOut],
        Field(description="What nobody told but snapshots of the order show 由快照推断"),
    ]
    version: Version

    @classmethod
    def of(cls, view: RepairOrderView, principal: Principal) -> Self:
        """Show a repair order to a caller."""
        order = view.state
        personal = shown(view.personal, principal)
        contact = personal.get("contact")
        settlement = order.settlement
        return cls(
            ro_number=order.ro_number,
            status=order.status,
            stage=order.stage,
            work_type=order.work_type,
            pay_type=order.pay_type,
            advisor=order.advisor,
            advisor_name=name_of(order.advisor, view.names, principal),
            technician=order.technician,
            technician_name=name_of(order.technician, view.names, principal),
            team=order.team,
            customer_no=view.customer_no,
            customer_from=None
            if view.customer_no is None
            else "vehicle"
            if order.customer_no is None
            else "order",
            vin=order.vin,
            plate=_text(personal.get("plate")),
            contact=ContactOut.model_validate(contact) if isinstance(contact, dict) else None,
            odometer_km=order.odometer_km,
            opened_at=order.first_opened_at,
            first_promised_at=order.first_promised_at,
            promised_at=view.on_time.reference,
            settled_at=order.settled_at,
            delivered_at=order.delivered_at,
            handed_over_at=None if order.handover is None else order.handover.at,
            cancelled_at=order.cancelled_at,
            cancel_reason=order.cancel_reason,
            overdue=view.overdue,
            settlement=None
            if settlement is None
            else SettlementOut(
                amounts=settlement.amounts,
                costs=settlement.costs,
                billed_hours=settlement.billed_hours,
                clocked_hours=settlement.clocked_hours,
                parts_requested=settlement.parts_requested,
                parts_filled=settlement.parts_filled,
            ),
            on_time=OnTimeOut(
                verdict=view.on_time.verdict,
                reasons=list(view.on_time.reasons),
                explanation=WordsOut.of(view.on_time.explanation),
                deciding_events=[str(seq) for seq in view.on_time.seqs],
            ),
            inferred=[InferredOut.of(fact) for fact in view.inferred],
            version=str(view.version),
        )


class TimelineEntryOut(BaseModel):
    """Something that happened."""

    seq: Seq
    type: Annotated[str, Field(description="Event type 事件类型")]
    title: Annotated[str, Field(description="What the type means, in words 说明")]
    subject: str
    source: str
    id: str
    time: Annotated[datetime, Field(description="When it happened in the shop 发生时间")]
    recordedtime: Annotated[datetime, Field(description="When it was recorded here 登记时间")]
    own: Annotated[bool, Field(description="Written by this service by itself")]
    inferred: Annotated[
        bool, Field(description="Nobody told it: it was read out of a snapshot 由快照推断")
    ]
    evidence: Annotated[
        EvidenceOut | None, Field(description="That snapshot; null where it was told")
    ]
    retracted: Annotated[bool, Field(description="It counts as never happened 已撤回")]
    data: Annotated[dict[str, Any], Field(description="As in the log: nothing personal")]
    personal: Annotated[
        dict[str, Any],
        Field(
            description="Personal and unknown fields, nested like the data; masked without "
            "personal:read; empty where the event was retracted"
        ),
    ]

    @classmethod
    def of(cls, entry: TimelineEntry, principal: Principal) -> Self:
        """Show an entry to a caller."""
        event = entry.event
        return cls(
            seq=str(event.seq),
            type=event.type,
            title=entry.title,
            subject=event.subject,
            source=event.source,
            id=event.id,
            time=event.occurred_at,
            recordedtime=event.recorded_at,
            own=event.own,
            inferred=event.inferred,
            evidence=None if entry.evidence is None else EvidenceOut.of(entry.evidence),
            retracted=entry.retracted,
            data=event.data,
            personal={} if entry.retracted else personal_for(principal, event.aside),
        )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
