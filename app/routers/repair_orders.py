"""Repair orders 维修工单: status, promise, verdict and timeline."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from app.domain.access import Principal, Scope
from app.domain.errors import NotFoundError
from app.domain.repair_order import Stage, Status
from app.problems import responses
from app.routers.commands import etag
from app.routers.deps import (
    FactoryDep,
    Listing,
    PageDep,
    StaffQuery,
    StoreId,
    next_cursor,
    requires,
)
from app.routers.schemas.follow_ups import FollowUpOut
from app.routers.schemas.moments import Moment
from app.routers.schemas.repair_orders import RepairOrderOut, TimelineEntryOut

router = APIRouter(prefix="/v1/stores/{store_id}/repair-orders", tags=["repair-orders"])

# a number may have slashes: what is below an order is tried before the order itself
RoNumber = Annotated[str, Path(max_length=64, description="RO number, as written 工单号")]
Reader = Annotated[Principal, requires(Scope.REPAIR_ORDERS_READ)]


@router.get(
    "",
    operation_id="list_repair_orders",
    summary="Repair orders, the last opened first 工单列表",
    responses=responses(NotFoundError),
)
async def list_repair_orders(
    store_id: StoreId,
    page: PageDep,
    factory: FactoryDep,
    principal: Reader,
    *,
    status: Annotated[Status | None, Query(description="How far the paper is 状态")] = None,
    stage: Annotated[Stage | None, Query(description="Where the car is 阶段")] = None,
    work_type: Annotated[str | None, Query(max_length=64, description="维修类型")] = None,
    advisor: Annotated[str | None, StaffQuery("The service advisor 服务顾问")] = None,
    technician: Annotated[str | None, StaffQuery("The technician 技师")] = None,
    customer_no: Annotated[str | None, Query(max_length=64, description="客户编号")] = None,
    vin: Annotated[str | None, Query(max_length=64, description="车架号")] = None,
    due_before: Annotated[
        Moment | None, Query(description="In the shop, promised before 预计交车早于")
    ] = None,
    overdue: Annotated[
        bool, Query(description="In the shop after the promised time 超时未交")
    ] = False,
    opened_from: Annotated[Moment | None, Query(description="进场不早于")] = None,
    opened_to: Annotated[Moment | None, Query(description="进场早于")] = None,
) -> Listing[RepairOrderOut]:
    """List repair orders. One that was never opened stands where it was last heard of."""
    found = await factory.repair_orders.list_page(
        store_id,
        {
            "status": status,
            "stage": stage,
            "work_type": work_type,
            "advisor": advisor,
            "technician": technician,
            "customer_no": customer_no,
            "vin": vin,
            "due_before": due_before,
            "opened_from": opened_from,
            "opened_to": opened_to,
        },
        page,
        principal=principal,
        overdue=overdue,
    )
    return Listing(
        items=[RepairOrderOut.of(view, principal) for view in found.items],
        next_cursor=next_cursor(found),
    )


@router.get(
    "/{ro_number:path}/timeline",
    operation_id="get_repair_order_timeline",
    summary="What happened, the latest first 工单时间线",
    responses=responses(NotFoundError),
)
async def get_repair_order_timeline(
    store_id: StoreId,
    ro_number: RoNumber,
    page: PageDep,
    factory: FactoryDep,
    principal: Reader,
) -> Listing[TimelineEntryOut]:
    """List the events of the order, its follow-ups and its complaints."""
    found = await factory.timelines.list_of_repair_order(store_id, ro_number, page)
    return Listing(
        items=[TimelineEntryOut.of(entry, principal) for entry in found.items],
        next_cursor=next_cursor(found),
    )


@router.get(
    "/{ro_number:path}/follow-ups",
    operation_id="list_repair_order_follow_ups",
    summary="Its follow-ups 工单回访",
    responses=responses(NotFoundError),
)
async def list_repair_order_follow_ups(
    store_id: StoreId,
    ro_number: RoNumber,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.FOLLOW_UPS_READ)],
) -> Listing[FollowUpOut]:
    """List the follow-ups of a repair order; there are few, so this is one page."""
    views = await factory.follow_ups.list_of_order(store_id, ro_number)
    return Listing(items=[FollowUpOut.of(view, principal) for view in views], next_cursor=None)


@router.get(
    "/{ro_number:path}/follow-ups/{kind}",
    operation_id="get_repair_order_follow_up",
    summary="Its follow-up of a kind 工单某次回访",
    responses=responses(NotFoundError),
)
async def get_repair_order_follow_up(
    store_id: StoreId,
    ro_number: RoNumber,
    kind: Annotated[str, Path(max_length=64, description="first, second, ... 回访类别")],
    response: Response,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.FOLLOW_UPS_READ)],
) -> FollowUpOut:
    """Get the follow-up of that kind; one that is kept elsewhere takes the place of ours."""
    view = await factory.follow_ups.get_of_order(store_id, ro_number, kind)
    etag(response, view.version)
    return FollowUpOut.of(view, principal)


@router.get(
    "/{ro_number:path}",
    operation_id="get_repair_order",
    summary="One repair order with its verdict 工单详情",
    responses=responses(NotFoundError),
)
async def get_repair_order(
    store_id: StoreId,
    ro_number: RoNumber,
    response: Response,
    factory: FactoryDep,
    principal: Reader,
) -> RepairOrderOut:
    """Get one repair order: where it stands, what was promised, and whether that was kept."""
    view = await factory.repair_orders.get(store_id, ro_number)
    etag(response, view.version)
    return RepairOrderOut.of(view, principal)
