"""Customers, vehicles, staff 客户、车辆与员工: files, and what happened with a customer."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from app.domain.access import Principal, Scope
from app.domain.customer import Customer
from app.domain.errors import NotFoundError
from app.domain.staff import Staff
from app.domain.vehicle import Vehicle
from app.problems import responses
from app.routers.commands import etag
from app.routers.deps import FactoryDep, Listing, PageDep, StoreId, next_cursor, requires
from app.routers.schemas.customers import CustomerDetailOut, CustomerOut, StaffOut, VehicleOut
from app.routers.schemas.repair_orders import TimelineEntryOut

router = APIRouter(prefix="/v1/stores/{store_id}", responses=responses(NotFoundError))

# a number may have slashes: what is below a customer is tried before the customer itself
CustomerNo = Annotated[str, Path(max_length=64, description="Customer number 客户编号")]
Reader = Annotated[Principal, requires(Scope.CUSTOMERS_READ)]
StaffReader = Annotated[Principal, requires(Scope.STAFF_READ)]


@router.get(
    "/customers", operation_id="list_customers", summary="Customers 客户列表", tags=["customers"]
)
async def list_customers(
    store_id: StoreId, page: PageDep, factory: FactoryDep, principal: Reader
) -> Listing[CustomerOut]:
    """List customers in order of number."""
    found = await factory.files.list_page(Customer, store_id, page)
    return Listing(
        items=[CustomerOut.of(view, principal) for view in found.items],
        next_cursor=next_cursor(found),
    )


@router.get(
    "/customers/{customer_no:path}/timeline",
    operation_id="get_customer_timeline",
    summary="What happened with a customer, the latest first 客户时间线",
    tags=["customers"],
)
async def get_customer_timeline(
    store_id: StoreId,
    customer_no: CustomerNo,
    page: PageDep,
    factory: FactoryDep,
    principal: Reader,
) -> Listing[TimelineEntryOut]:
    """List the events of the file, the vehicles, orders, follow-ups and complaints."""
    found = await factory.timelines.list_of_customer(store_id, customer_no, page)
    return Listing(
        items=[TimelineEntryOut.of(entry, principal) for entry in found.items],
        next_cursor=next_cursor(found),
    )


@router.get(
    "/customers/{customer_no:path}/vehicles",
    operation_id="list_customer_vehicles",
    summary="A customer's vehicles 客户车辆",
    tags=["customers"],
)
async def list_customer_vehicles(
    store_id: StoreId, customer_no: CustomerNo, factory: FactoryDep, principal: Reader
) -> Listing[VehicleOut]:
    """List a customer's vehicles; there are few, so this is one page."""
    views = await factory.files.list_vehicles_of(store_id, customer_no)
    return Listing(items=[VehicleOut.of(view, principal) for view in views], next_cursor=None)


@router.get(
    "/customers/{customer_no:path}",
    operation_id="get_customer",
    summary="One customer 客户档案",
    tags=["customers"],
)
async def get_customer(
    store_id: StoreId,
    customer_no: CustomerNo,
    response: Response,
    factory: FactoryDep,
    principal: Reader,
) -> CustomerDetailOut:
    """Get a customer's file, and what belongs to them under whatever number.

    A file that was merged shows what it said itself, and with `counts_as` who counts now; the one
    that counts shows what the others said where it says nothing.
    """
    view = await factory.files.get_customer(store_id, customer_no)
    etag(response, view.file.version)
    return CustomerDetailOut.with_all(view, principal)


@router.get(
    "/vehicles", operation_id="list_vehicles", summary="Vehicles 车辆列表", tags=["customers"]
)
async def list_vehicles(
    store_id: StoreId, page: PageDep, factory: FactoryDep, principal: Reader
) -> Listing[VehicleOut]:
    """List vehicles in order of VIN."""
    found = await factory.files.list_page(Vehicle, store_id, page)
    return Listing(
        items=[VehicleOut.of(view, principal) for view in found.items],
        next_cursor=next_cursor(found),
    )


@router.get(
    "/vehicles/{vin}", operation_id="get_vehicle", summary="One vehicle 车辆", tags=["customers"]
)
async def get_vehicle(
    store_id: StoreId,
    vin: Annotated[str, Path(max_length=64, description="VIN 车架号")],
    response: Response,
    factory: FactoryDep,
    principal: Reader,
) -> VehicleOut:
    """Get a vehicle."""
    view = await factory.files.get(Vehicle, store_id, vin)
    etag(response, view.version)
    return VehicleOut.of(view, principal)


@router.get("/staff", operation_id="list_staff", summary="Staff 员工列表", tags=["staff"])
async def list_staff(
    store_id: StoreId, page: PageDep, factory: FactoryDep, principal: StaffReader
) -> Listing[StaffOut]:
    """List staff in order of number."""
    found = await factory.files.list_page(Staff, store_id, page)
    return Listing(
        items=[StaffOut.of(view, principal) for view in found.items],
        next_cursor=next_cursor(found),
    )


@router.get(
    "/staff/{staff_no}",
    operation_id="get_staff",
    summary="One member of staff 员工",
    tags=["staff"],
)
async def get_staff(
    store_id: StoreId,
    staff_no: Annotated[str, Path(max_length=32, description="Staff number 工号")],
    response: Response,
    factory: FactoryDep,
    principal: StaffReader,
) -> StaffOut:
    """Get a member of staff."""
    view = await factory.files.get(Staff, store_id, staff_no)
    etag(response, view.version)
    return StaffOut.of(view, principal)
