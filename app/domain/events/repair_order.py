"""The life of a repair order. The subject is the RO number, exactly as the DMS writes it."""

from typing import Annotated, Final, Literal, Self, get_args

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.domain.events.payload import (
    MAX_ITEMS,
    Amount,
    AtDoor,
    Count,
    Flag,
    Instant,
    Level,
    Name,
    OpenChoice,
    Part,
    Payload,
    PersonalOf,
    Quantity,
    Reference,
    RequiredPersonalOf,
    StaffNo,
    Text,
    Texts,
)

KnownWorkType = Literal[
    "regular_maintenance",
    "first_maintenance",
    "ordinary_repair",
    "accident",
    "warranty",
    "other",
]
WORK_TYPES: Final[tuple[str, ...]] = get_args(KnownWorkType)
WorkType = Annotated[KnownWorkType | None, OpenChoice("other")]
PauseReason = Literal["awaiting_parts", "awaiting_approval", "awaiting_bay", "sublet", "other"]
PromiseReason = Literal["add_on", "customer_request", "parts_delay", "shop_delay", "other"]
ComebackVerdict = Literal[
    "workmanship", "diagnosis", "part_defect", "part_unavailable", "not_rework"
]


class Contact(Part):
    """Who brought the car. 送修人."""

    name: PersonalOf[Text] = Field(None, description="Name 姓名")
    phone: PersonalOf[Name] = Field(None, description="Phone number 电话")
    relation: Name | None = Field(None, description="Relation to the owner 与车主关系")


class Opening(Payload):
    """What is known of an order once it is written."""

    customer_no: Reference | None = Field(None, description="Customer number 客户编号")
    vin: Reference | None = Field(None, description="Vehicle identification number 车架号")
    plate: PersonalOf[Name] = Field(None, description="Licence plate 车牌号")
    odometer_km: Quantity | None = Field(None, description="Odometer at arrival, km 进厂里程")
    contact: Contact | None = Field(None, description="Who brought the car 送修人")
    work_type: WorkType = Field(
        None, description="Type of work; any text that isn't listed counts as `other` 维修类别"
    )
    pay_type: Name | None = Field(
        None, description="STAR pay type: `CUSTOMER_PAY`, `WARRANTY`, `INTERNAL`, ... 付费类别"
    )
    advisor: StaffNo | None = Field(
        None, description="Staff number of the service advisor 服务顾问"
    )
    promised_at: Instant | None = Field(None, description="Promised delivery time 承诺交车时间")
    estimate_amount: Amount | None = Field(None, description="Estimated amount 预估金额")
    estimate_hours: Quantity | None = Field(None, description="Estimated labor hours 预估工时")
    concerns: PersonalOf[Texts] = Field(
        None, description="What the customer complains of 客户描述"
    )
    waiter: Flag | None = Field(None, description="The customer waits in the shop 在店等候")
    appointment_id: Reference | None = Field(None, description="Appointment it came from 预约号")


class RepairOrderOpened(Opening):
    """A car came in and an order was written. 开单接车."""

    work_type: Annotated[WorkType, AtDoor()] = Field(
        None, description="Type of work; any text that isn't listed counts as `other` 维修类别"
    )
    advisor: Annotated[StaffNo | None, AtDoor()] = Field(
        None, description="Staff number of the service advisor 服务顾问"
    )


class RepairOrderLinked(Payload):
    """It became known whose order it is, or which car it is about. 工单关联."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["customer_no"]}, {"required": ["vin"]}]}
    )

    customer_no: Reference | None = Field(None, description="Customer number 客户编号")
    vin: Reference | None = Field(None, description="Vehicle identification number 车架号")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.customer_no is None and self.vin is None:
            raise PydanticCustomError("missing-link", "must have a customer_no, a vin or both")
        return self


class RepairOrderAuthorized(Payload):
    """The customer signed. 客户签字确认."""

    promised_at: Instant | None = Field(None, description="Promised delivery time 承诺交车时间")
    amount: Amount | None = Field(None, description="Authorized amount 确认金额")


class RepairOrderDispatched(Payload):
    """The work was given to a technician. 派工."""

    technician: StaffNo = Field(description="Staff number of the technician 维修技师")
    team: Name | None = Field(None, description="Team 班组")
    bay: Name | None = Field(None, description="Bay 工位")


class RepairOrderWorkStarted(Payload):
    """Work on the car began. 开工."""

    technician: StaffNo | None = Field(None, description="Staff number of the technician 维修技师")
    bay: Name | None = Field(None, description="Bay 工位")


class RepairOrderWorkPaused(Payload):
    """Work on the car stopped for a while. 停工."""

    reason: PauseReason = Field(description="Why 停工原因")


class RepairOrderWorkResumed(Payload):
    """Work on the car went on. 复工."""


class RepairOrderAddOnProposed(Payload):
    """More work was found and proposed to the customer. 增项报价."""

    add_on_id: Reference = Field(description="Id of the add-on within the order 增项编号")
    description: PersonalOf[Text] = Field(None, description="What is proposed 增项内容")
    amount: Amount | None = Field(None, description="Price 金额")
    hours: Quantity | None = Field(None, description="Labor hours 工时")


class RepairOrderAddOnDecided(Payload):
    """The customer decided about an add-on. 增项确认."""

    add_on_id: Reference = Field(description="Id of the add-on within the order 增项编号")
    accepted: Flag = Field(description="Whether the customer wants it 是否同意")


class RepairOrderPromiseChanged(Payload):
    """Another delivery time was promised. 变更承诺交车时间."""

    promised_at: Instant = Field(description="New promised delivery time 新承诺交车时间")
    reason: PromiseReason | None = Field(None, description="Why; absent = unknown 变更原因")
    confirmed_by_customer: Flag | None = Field(
        None, description="Whether the customer agreed; absent = unknown 客户是否确认"
    )


class RepairOrderDelayWarned(Payload):
    """Somebody warned that the promise won't hold. 延误预警."""

    by: StaffNo | None = Field(None, description="Staff number of who warned 预警人")


class RepairOrderWorkCompleted(Payload):
    """The work on the car is done. 完工."""

    technician: StaffNo | None = Field(None, description="Staff number of the technician 维修技师")
    clocked_hours: Quantity | None = Field(None, description="Hours clocked 实际作业工时")


class RepairOrderInspected(Payload):
    """The work was inspected. 质检."""

    level: Level = Field(description="1 own, 2 team, 3 final inspection 检验级别")
    inspector: StaffNo = Field(description="Staff number of the inspector 检验员")
    passed: Flag = Field(description="Whether it passed 是否合格")
    findings: PersonalOf[Text] = Field(None, description="What was found 检验情况")


class RepairOrderCleaned(Payload):
    """The car was washed. 洗车完成."""


class Amounts(Part):
    """Money per kind; absent kinds are 0 (G2). 金额构成."""

    labor: Amount | None = Field(None, description="Labor 工时费")
    parts: Amount | None = Field(None, description="Parts 配件费")
    sublet: Amount | None = Field(None, description="Sublet work 外包费")
    other: Amount | None = Field(None, description="Anything else 其他费用")


class Job(Part):
    """One line of what was done. 维修项目."""

    code: Name | None = Field(None, description="Labor operation code 项目代码")
    text: Text | None = Field(None, description="What was done 项目名称")
    hours: Quantity | None = Field(None, description="Billed hours 工时")
    amount: Amount | None = Field(None, description="Amount 金额")
    pay_type: Name | None = Field(None, description="STAR pay type 付费类别")


class Sheet(Payload):
    """What a settlement sheet holds."""

    amounts: Amounts | None = Field(None, description="What was billed 结算金额")
    costs: Amounts | None = Field(None, description="What it cost the shop 成本")
    jobs: Annotated[list[Job], Field(max_length=MAX_ITEMS)] | None = Field(
        None, description="What was done 维修项目"
    )
    billed_hours: Quantity | None = Field(None, description="Billed hours 结算工时")
    clocked_hours: Quantity | None = Field(None, description="Clocked hours 实际作业工时")
    parts_requested: Count | None = Field(
        None, description="Part lines that were asked for 配件需求项数"
    )
    parts_filled: Count | None = Field(
        None, description="Part lines that were in stock 配件满足项数"
    )
    delivered_at: Instant | None = Field(
        None, description="Delivery time on the sheet; the event's time if absent 交车时间"
    )


class RepairOrderSettled(Sheet):
    """The bill was made. 结算."""

    amounts: Amounts = Field(description="What was billed 结算金额")


class RepairOrderDelivered(Payload):
    """The car was handed over. 交车."""

    odometer_km: Quantity | None = Field(None, description="Odometer at handover, km 出厂里程")


class RepairOrderCustomerDelayNoted(Payload):
    """It was noted that the customer caused the delay. 客户原因延误记录."""

    note: RequiredPersonalOf[Text] = Field(None, description="What happened 说明")
    signed: Flag = Field(description="Whether the customer signed it 客户是否签字")


class RepairOrderDelayReviewed(Payload):
    """The spot check of a delay note. 延误抽查."""

    accepted: Flag = Field(description="Whether the note holds 是否认可")
    reviewer: StaffNo = Field(description="Staff number of the reviewer 抽查人")


class RepairOrderComebackReported(Payload):
    """The car came back with the same trouble; the subject is the ORIGINAL order. 返修报告."""

    comeback_ro: Reference | None = Field(
        None, description="Repair order of the comeback 返修工单号"
    )
    concern: PersonalOf[Text] = Field(None, description="What the customer says 客户描述")


class RepairOrderComebackAssessed(Payload):
    """Whose fault a comeback is; the subject is the ORIGINAL order. 返修判定."""

    verdict: ComebackVerdict = Field(description="The cause 判定结论")
    comeback_ro: Reference | None = Field(
        None, description="Repair order of the comeback 返修工单号"
    )
    technician: StaffNo | None = Field(
        None, description="Staff number of the responsible technician 责任技师"
    )
    team: Name | None = Field(None, description="Responsible team 责任班组")


class RepairOrderCancelled(Payload):
    """The order was cancelled. 工单作废."""

    reason: Text | None = Field(None, description="Why 作废原因")
