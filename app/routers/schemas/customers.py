"""Bodies of the customer, vehicle and staff routes."""

from datetime import date
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from app.domain.access import Principal
from app.domain.customer import Customer
from app.domain.staff import Staff
from app.domain.vehicle import Vehicle
from app.routers.schemas.desk import DecimalText, Version, shown
from app.services.customers import BELONGINGS, CustomerView, FileView

Personal = Field(description="Personal: masked without personal:read")


class CustomerOut(BaseModel):
    """A customer's file 客户档案."""

    customer_no: Annotated[str, Field(description="客户编号")]
    kind: Annotated[str, Field(description="private, company or fleet 客户类型")]
    segment: str | None
    member_no: str | None
    preferred_contact: dict[str, Any]
    consent: dict[str, bool]
    wanted_services: list[str]
    merged_into: Annotated[str | None, Field(description="The file it was merged into 合并到")]
    counts_as: Annotated[
        str,
        Field(
            description="The number under which the customer counts, after all mergers 现客户编号"
        ),
    ]
    name: Annotated[str | None, Personal] = None
    phones: Annotated[list[str] | None, Personal] = None
    address: Annotated[str | None, Personal] = None
    email: Annotated[str | None, Personal] = None
    wechat: Annotated[str | None, Personal] = None
    birthday: Annotated[str | None, Personal] = None
    version: Version

    @classmethod
    def of(cls, view: FileView[Customer], principal: Principal) -> Self:
        """Show a customer to a caller."""
        state = view.state
        personal = shown(view.personal, principal)
        return cls(
            customer_no=state.customer_no,
            kind=state.kind,
            segment=state.segment,
            member_no=state.member_no,
            preferred_contact=dict(state.preferred_contact),
            consent=state.consent,
            wanted_services=state.wanted_services,
            merged_into=state.merged_into,
            counts_as=view.customer_no or view.key,
            name=personal.get("name"),
            phones=personal.get("phones"),
            address=personal.get("address"),
            email=personal.get("email"),
            wechat=personal.get("wechat"),
            birthday=personal.get("birthday"),
            version=str(view.version),
        )


_LATEST = f"the latest {BELONGINGS}; the list with customer_no gives all"


class CustomerDetailOut(CustomerOut):
    """A customer with all that belongs to them, under whatever number 客户档案及其全部记录."""

    merged_numbers: Annotated[
        list[str],
        Field(description="Numbers merged into the one that counts 已合并的客户编号"),
    ]
    vehicles: Annotated[list[str], Field(description="VINs 车架号")]
    repair_orders: Annotated[list[str], Field(description=f"RO numbers, {_LATEST} 工单号")]
    follow_ups: Annotated[list[str], Field(description=f"UUIDs, {_LATEST} 回访编号")]
    complaints: Annotated[list[str], Field(description=f"UUIDs, {_LATEST} 投诉编号")]

    @classmethod
    def with_all(cls, view: CustomerView, principal: Principal) -> Self:
        """Show a customer with what belongs to them to a caller."""
        of = view.belongings
        return cls(
            **CustomerOut.of(view.file, principal).model_dump(),
            merged_numbers=view.merged_numbers,
            vehicles=of.vehicles,
            repair_orders=of.repair_orders,
            follow_ups=of.follow_ups,
            complaints=of.complaints,
        )


class VehicleOut(BaseModel):
    """A vehicle 车辆."""

    vin: Annotated[str, Field(description="车架号")]
    customer_no: Annotated[str | None, Field(description="Whose it is now 客户编号")]
    brand: str | None
    model: str | None
    model_year: int | None
    sold_here: bool | None
    purchased_on: date | None
    interval_km: DecimalText | None
    interval_months: int | None
    plate: Annotated[str | None, Personal] = None
    engine_no: Annotated[str | None, Personal] = None
    version: Version

    @classmethod
    def of(cls, view: FileView[Vehicle], principal: Principal) -> Self:
        """Show a vehicle to a caller."""
        state = view.state
        personal = shown(view.personal, principal)
        return cls(
            vin=state.vin,
            customer_no=view.customer_no,
            brand=state.brand,
            model=state.model,
            model_year=state.model_year,
            sold_here=state.sold_here,
            purchased_on=state.purchased_on,
            interval_km=state.interval_km,
            interval_months=state.interval_months,
            plate=personal.get("plate"),
            engine_no=personal.get("engine_no"),
            version=str(view.version),
        )


class StaffOut(BaseModel):
    """A member of staff 员工."""

    staff_no: Annotated[str, Field(description="工号")]
    roles: Annotated[list[str], Field(description="岗位")]
    team: Annotated[str | None, Field(description="班组")]
    name: Annotated[str | None, Personal] = None
    aliases: Annotated[list[str] | None, Personal] = None
    version: Version

    @classmethod
    def of(cls, view: FileView[Staff], principal: Principal) -> Self:
        """Show a member of staff to a caller."""
        personal = shown(view.personal, principal)
        return cls(
            staff_no=view.state.staff_no,
            roles=view.state.roles,
            team=view.state.team,
            name=personal.get("name"),
            aliases=personal.get("aliases"),
            version=str(view.version),
        )
