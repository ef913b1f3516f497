"""Customers and their vehicles, as the DMS keeps them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from app.domain.events.payload import (
    MAX_ITEMS,
    Channel,
    Count,
    Day,
    Flag,
    Name,
    Names,
    Part,
    Payload,
    PersonalOf,
    Quantity,
    Reference,
    StaffNo,
    Text,
    TimeOfDay,
)

CustomerKind = Literal["private", "company", "fleet"]


class PreferredContact(Part):
    """How and when a customer wants to be reached. 首选联系方式."""

    channel: Channel | None = Field(None, description="Preferred channel 首选联系渠道")
    from_: TimeOfDay | None = Field(
        None, alias="from", description="Start of the contact hours, HH:MM 联系时段开始"
    )
    to: TimeOfDay | None = Field(None, description="End of the contact hours, HH:MM 联系时段结束")


class Consent(Part):
    """What a customer agreed to. 联系授权."""

    calls: Flag | None = Field(None, description="May be called 同意电话联系")
    messages: Flag | None = Field(None, description="May be sent messages 同意接收短信")


class CustomerFields(Payload):
    """What a customer file holds; shared by registration and update."""

    kind: CustomerKind | None = Field(
        None, description="Kind of customer, `private` if absent 客户类型"
    )
    name: PersonalOf[Text] = Field(None, description="Name 姓名")
    phones: PersonalOf[Names] = Field(None, description="Phone numbers 电话")
    address: PersonalOf[Text] = Field(None, description="Address 地址")
    email: PersonalOf[Text] = Field(None, description="Email address 电子邮箱")
    wechat: PersonalOf[Text] = Field(None, description="WeChat id 微信号")
    birthday: PersonalOf[Day] = Field(None, description="Birthday 生日")
    preferred_contact: PreferredContact | None = Field(
        None, description="How and when to reach the customer 首选联系方式"
    )
    consent: Consent | None = Field(None, description="What the customer agreed to 联系授权")
    wanted_services: Names | None = Field(None, description="Services asked for 需要的服务")
    segment: Name | None = Field(None, description="Customer segment 客户分级")
    member_no: Reference | None = Field(None, description="Member number 会员号")


class CustomerRegistered(CustomerFields):
    """A customer file was made. 客户建档."""


class CustomerUpdated(CustomerFields):
    """A customer file changed: a merge patch, in which null deletes. 客户资料变更."""

    merge_patch: ClassVar[bool] = True


class CustomerMerged(Payload):
    """This customer file went into another one. 客户档案合并."""

    into: Reference = Field(description="Customer number of the file that remains 保留的客户编号")


class CustomerToldApart(Payload):
    """This customer and others, who share a car, are different people. 确认为不同客户."""

    others: Annotated[list[Reference], Field(min_length=1, max_length=MAX_ITEMS)] = Field(
        description="Customer numbers of the others; of each other nothing is said 其他客户编号"
    )
    by: StaffNo = Field(description="Staff number of who found out 确认人")
    reason: PersonalOf[Text] = Field(None, description="How it is known 依据")


class VehicleRegistered(Payload):
    """A vehicle file was made. 车辆建档."""

    customer_no: Reference | None = Field(
        None, description="Customer number of the owner 客户编号"
    )
    plate: PersonalOf[Name] = Field(None, description="Licence plate 车牌号")
    engine_no: PersonalOf[Name] = Field(None, description="Engine number 发动机号")
    brand: Name | None = Field(None, description="Brand 品牌")
    model: Name | None = Field(None, description="Model 车型")
    model_year: Count | None = Field(None, description="Model year 年款")
    sold_here: Flag | None = Field(None, description="Whether this shop sold it 是否本店售出")
    purchased_on: Day | None = Field(None, description="Day of purchase 购车日期")
    interval_km: Quantity | None = Field(
        None, description="Maintenance interval in kilometres 保养间隔里程"
    )
    interval_months: Count | None = Field(
        None, description="Maintenance interval in months 保养间隔月数"
    )


class VehicleTransferred(Payload):
    """A vehicle got another owner. 车辆过户."""

    customer_no: Reference = Field(description="Customer number of the new owner 新车主客户编号")
