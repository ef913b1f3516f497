"""Bodies of the routes of late linking."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from app.domain.access import Principal
from app.domain.customer import Distinction
from app.domain.events.customer_file import CustomerMerged, CustomerToldApart
from app.domain.events.repair_order import RepairOrderLinked
from app.domain.repair_order import RepairOrder, Status
from app.routers.schemas.desk import Member, OccurredAt, Version, masked_or_plain
from app.services.link_suggestions import Because
from app.services.links import UnlinkedView
from app.services.split_customers import FileAfter, SplitView, ToldApart


class LinkIn(RepairOrderLinked, OccurredAt):
    """Whose the order is, which car it is about, or both."""

    model_config = ConfigDict(extra="forbid")


class MergeIn(CustomerMerged, OccurredAt):
    """The file that remains."""

    model_config = ConfigDict(extra="forbid")


class TellApartIn(CustomerToldApart, OccurredAt):
    """Those who are somebody else."""

    model_config = ConfigDict(extra="forbid")


class LinkOut(BaseModel):
    """What an order says itself now."""

    ro_number: Annotated[str, Field(description="工单号")]
    customer_no: Annotated[str | None, Field(description="As the order says 客户编号")]
    vin: Annotated[str | None, Field(description="As written 车架号")]
    version: Version

    @classmethod
    def of(cls, version: int, order: RepairOrder) -> Self:
        """Show an order's links."""
        return cls(
            ro_number=order.ro_number,
            customer_no=order.customer_no,
            vin=order.vin,
            version=str(version),
        )


class MergeOut(BaseModel):
    """A file that was merged."""

    customer_no: Annotated[str, Field(description="The file that went 被合并的客户编号")]
    merged_into: Annotated[str | None, Field(description="The file it went into 合并到")]
    counts_as: Annotated[
        str, Field(description="The number that counts after all mergers 现客户编号")
    ]
    version: Version

    @classmethod
    def of(cls, view: FileAfter) -> Self:
        """Show a merger."""
        return cls(
            customer_no=view.state.customer_no,
            merged_into=view.state.merged_into,
            counts_as=view.counts_as,
            version=str(view.version),
        )


class SaidEventOut(BaseModel):
    """The event that says something; `event.retracted` with both takes it back."""

    source: str
    id: str


class DistinctionOut(BaseModel):
    """Another customer who is somebody else."""

    customer_no: Annotated[str, Field(description="其他客户编号")]
    at: Annotated[datetime, Field(description="When it was found out 确认时间")]
    by: Annotated[str, Member("Who found out 确认人")]
    event: SaidEventOut

    @classmethod
    def of(cls, said: Distinction) -> Self:
        """Show what is said of another customer."""
        return cls(
            customer_no=said.other,
            at=said.at,
            by=said.by,
            event=SaidEventOut(source=said.source, id=said.id),
        )


class ToldApartOut(BaseModel):
    """A customer who is not others."""

    customer_no: Annotated[str, Field(description="客户编号")]
    told_apart: Annotated[
        list[DistinctionOut], Field(description="What its file says of others 已确认为不同的客户")
    ]
    version: Version

    @classmethod
    def of(cls, view: FileAfter) -> Self:
        """Show from whom a customer is told apart."""
        return cls(
            customer_no=view.state.customer_no,
            told_apart=[DistinctionOut.of(said) for said in view.state.told_apart],
            version=str(view.version),
        )


class SuggestionOut(BaseModel):
    """What the order may belong to; somebody has to look."""

    what: Annotated[Literal["customer", "vehicle"], Field(description="客户或车辆")]
    key: Annotated[str, Field(description="Customer number or VIN 客户编号或车架号")]
    because: Annotated[
        Because,
        Field(
            description="same-vin: another order about this car names the customer; same-plate: "
            "of a car with this plate; vehicle-of-customer 依据"
        ),
    ]


class UnlinkedOrderOut(BaseModel):
    """A repair order without a customer or a vehicle 未关联工单."""

    ro_number: Annotated[str, Field(description="工单号")]
    opened_at: Annotated[
        datetime, Field(description="When it was opened, else last heard of 进场时间")
    ]
    advisor: Annotated[str | None, Field(description="服务顾问")]
    status: Annotated[Status, Field(description="状态")]
    missing: Annotated[
        list[Literal["customer", "vehicle"]], Field(description="What it lacks 缺少")
    ]
    customer_no: Annotated[str | None, Field(description="Whose it is, as known now 客户编号")]
    vin: Annotated[str | None, Field(description="As written 车架号")]
    plate: Annotated[str | None, Field(description="Masked without personal:read 车牌")]
    suggestions: list[SuggestionOut]
    version: Version

    @classmethod
    def of(cls, view: UnlinkedView, principal: Principal) -> Self:
        """Show an order of the work list to a caller."""
        order, state = view.order, view.order.state
        lacks = (("customer", order.customer_no), ("vehicle", (state.vin or "").strip()))
        return cls.model_validate(
            {
                "ro_number": state.ro_number,
                "opened_at": order.listed_at,
                "advisor": state.advisor,
                "status": state.status,
                "missing": [what for what, known in lacks if not known],
                "customer_no": order.customer_no,
                "vin": state.vin,
                "plate": masked_or_plain(view.plate, principal),
                "suggestions": [
                    {"what": each.what, "key": each.key, "because": each.because}
                    for each in view.suggestions
                ],
                "version": str(order.version),
            }
        )


class NamedCustomerOut(BaseModel):
    """A customer who is named for the vehicle."""

    customer_no: Annotated[str, Field(description="The number that counts 客户编号")]
    repair_orders: Annotated[int, Field(description="Orders of this customer about it 工单数")]
    last_visit_at: Annotated[datetime | None, Field(description="最近进场时间")]


class PairOut(BaseModel):
    """Two customers who are different people."""

    customers: Annotated[list[str], Field(description="The numbers that count 两个客户编号")]
    subject: Annotated[str, Field(description="Subject of the event 事件主体")]
    at: Annotated[datetime, Field(description="When it was found out 确认时间")]
    by: Annotated[str, Member("Who found out 确认人")]
    event: SaidEventOut

    @classmethod
    def of(cls, pair: ToldApart) -> Self:
        """Show a pair."""
        return cls(
            customers=list(pair.customers),
            subject=pair.customer_no,
            at=pair.said.at,
            by=pair.said.by,
            event=SaidEventOut(source=pair.said.source, id=pair.said.id),
        )


class SplitCustomersOut(BaseModel):
    """A vehicle for which more customers are named than it had owners 疑似重复客户."""

    vin: Annotated[str, Field(description="In upper case 车架号")]
    owner: Annotated[str | None, Field(description="Whose it is now by its file 车主")]
    customers: list[NamedCustomerOut]
    told_apart: Annotated[
        list[PairOut],
        Field(description="Those of them of whom somebody said so 已确认为不同的客户"),
    ]

    @classmethod
    def of(cls, view: SplitView) -> Self:
        """Show a vehicle of the work list."""
        return cls(
            vin=view.vin,
            owner=view.owner,
            customers=[
                NamedCustomerOut(
                    customer_no=each.customer_no,
                    repair_orders=each.repair_orders,
                    last_visit_at=each.last_visit_at,
                )
                for each in view.customers
            ],
            told_apart=[PairOut.of(pair) for pair in view.told_apart],
        )
