"""Late linking 关联: orders without customer or vehicle, and customers with several files."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from app.domain.access import Principal, Scope
from app.domain.errors import (
    ConflictError,
    IdempotencyConflictError,
    NotFoundError,
    VersionMismatchError,
)
from app.domain.repair_order import RepairOrder, Status
from app.problems import responses
from app.routers.commands import ConditionsDep, RawBodyDep, answer_of
from app.routers.deps import FactoryDep, Listing, PageDep, StoreId, next_cursor, requires
from app.routers.schemas.links import (
    LinkIn,
    LinkOut,
    MergeIn,
    MergeOut,
    SplitCustomersOut,
    TellApartIn,
    ToldApartOut,
    UnlinkedOrderOut,
)
from app.services.desk import Caller
from app.services.split_customers import FileAfter

router = APIRouter(prefix="/v1/stores/{store_id}", tags=["links"])

REFUSALS = responses(NotFoundError, VersionMismatchError, IdempotencyConflictError)


def _render_link(version: int, order: RepairOrder) -> bytes:
    return LinkOut.of(version, order).model_dump_json().encode()


def _render_merge(view: FileAfter) -> bytes:
    return MergeOut.of(view).model_dump_json().encode()


def _render_told_apart(view: FileAfter) -> bytes:
    return ToldApartOut.of(view).model_dump_json().encode()


@router.get(
    "/work-lists/unlinked-repair-orders",
    operation_id="list_unlinked_repair_orders",
    summary="Orders without customer or vehicle, the oldest first 未关联工单",
    responses=responses(NotFoundError),
)
async def list_unlinked_repair_orders(
    store_id: StoreId,
    page: PageDep,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.REPAIR_ORDERS_READ)],
    *,
    missing: Annotated[
        Literal["customer", "vehicle", "both"] | None, Query(description="What they lack 缺少")
    ] = None,
    status: Annotated[
        Status | None, Query(description="Absent: all but the cancelled ones 状态")
    ] = None,
) -> Listing[UnlinkedOrderOut]:
    """List orders that lack a link, each with what might link it."""
    found = await factory.links.list_unlinked(store_id, page, missing=missing, status=status)
    return Listing(
        items=[UnlinkedOrderOut.of(view, principal) for view in found.items],
        next_cursor=next_cursor(found),
    )


@router.get(
    "/work-lists/split-customers",
    operation_id="list_split_customers",
    summary="Vehicles whose customers are likely one 疑似重复客户",
    responses=responses(NotFoundError),
)
async def list_split_customers(
    store_id: StoreId,
    page: PageDep,
    factory: FactoryDep,
    _: Annotated[Principal, requires(Scope.CUSTOMERS_READ)],
    *,
    answered: Annotated[
        bool,
        Query(description="Those instead whose customers were all told apart 仅看已确认为不同的"),
    ] = False,
) -> Listing[SplitCustomersOut]:
    """List vehicles, by VIN, for which orders and file name several customers without a transfer.

    The customer has two files (merge them), the car was sold (post the transfer), or people share
    it (tell them apart). Who was told apart comes back when somebody new is named for the car.
    """
    found = await factory.split_customers.list_page(store_id, page, answered=answered)
    return Listing(
        items=[SplitCustomersOut.of(view) for view in found.items],
        next_cursor=next_cursor(found),
    )


@router.post(
    "/repair-orders/{ro_number:path}/link",
    operation_id="link_repair_order",
    summary="Say whose it is and which car it is about 关联客户与车辆",
    response_model=LinkOut,
    responses=REFUSALS,
)
async def link_repair_order(
    store_id: StoreId,
    ro_number: Annotated[str, Path(max_length=64, description="RO number, as written 工单号")],
    _: LinkIn,
    body: RawBodyDep,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.REPAIR_ORDERS_WRITE)],
    conditions: ConditionsDep,
) -> Response:
    """Write `repair_order.linked`, which can be retracted; nothing if it says nothing new."""
    caller = Caller(principal, conditions)
    return answer_of(await factory.links.link(store_id, ro_number, body, caller, _render_link))


@router.post(
    "/customers/{customer_no:path}/merge",
    operation_id="merge_customer",
    summary="Merge the file into another one 合并客户档案",
    response_model=MergeOut,
    responses=REFUSALS | responses(ConflictError),
)
async def merge_customer(
    store_id: StoreId,
    customer_no: Annotated[str, Path(max_length=64, description="The file that goes 客户编号")],
    _: MergeIn,
    body: RawBodyDep,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.CUSTOMERS_WRITE)],
    conditions: ConditionsDep,
) -> Response:
    """Write `customer.merged`, which can be retracted; 409 where it would run in a circle."""
    caller = Caller(principal, conditions)
    return answer_of(
        await factory.split_customers.merge(store_id, customer_no, body, caller, _render_merge)
    )


@router.post(
    "/customers/{customer_no:path}/tell-apart",
    operation_id="tell_customers_apart",
    summary="Say that others are different people 确认为不同客户",
    response_model=ToldApartOut,
    responses=REFUSALS | responses(ConflictError),
)
async def tell_customers_apart(
    store_id: StoreId,
    customer_no: Annotated[str, Path(max_length=64, description="One of them 客户编号")],
    _: TellApartIn,
    body: RawBodyDep,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.CUSTOMERS_WRITE)],
    conditions: ConditionsDep,
) -> Response:
    """Write `customer.told_apart`, which can be retracted; nothing if it says nothing new.

    A merger afterwards overrules it. 409 where they are merged already.
    """
    caller = Caller(principal, conditions)
    return answer_of(
        await factory.split_customers.tell_apart(
            store_id, customer_no, body, caller, _render_told_apart
        )
    )
