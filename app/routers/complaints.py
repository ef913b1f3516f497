"""Complaints 客户投诉: to be contacted within 24 hours."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from app.domain.access import Principal, Scope
from app.domain.complaint import ComplaintStatus
from app.domain.errors import (
    ConflictError,
    IdempotencyConflictError,
    NotFoundError,
    VersionMismatchError,
)
from app.domain.events.complaint import Nature, Severity
from app.problems import responses
from app.routers.commands import ConditionsDep, RawBodyDep, answer_of, etag
from app.routers.deps import (
    FactoryDep,
    Listing,
    PageDep,
    StaffQuery,
    StoreId,
    next_cursor,
    requires,
)
from app.routers.schemas.complaints import ComplaintOut, ContactIn, OpenIn, ReopenIn, ResolveIn
from app.routers.schemas.moments import Moment
from app.services.complaints import ComplaintView
from app.services.desk import Caller

router = APIRouter(prefix="/v1/stores/{store_id}/complaints", tags=["complaints"])

ComplaintId = Annotated[str, Path(max_length=64, description="UUID of the complaint 投诉编号")]
Writer = Annotated[Principal, requires(Scope.COMPLAINTS_WRITE)]
Reader = Annotated[Principal, requires(Scope.COMPLAINTS_READ)]

REFUSALS = responses(NotFoundError, ConflictError, VersionMismatchError, IdempotencyConflictError)


def _render_for(principal: Principal) -> Callable[[ComplaintView], bytes]:
    return lambda view: ComplaintOut.of(view, principal).model_dump_json().encode()


@router.get(
    "",
    operation_id="list_complaints",
    summary="Complaints, the last opened first 投诉列表",
    responses=responses(NotFoundError),
)
async def list_complaints(
    store_id: StoreId,
    page: PageDep,
    factory: FactoryDep,
    principal: Reader,
    *,
    status: Annotated[ComplaintStatus | None, Query(description="How far it is 状态")] = None,
    nature: Annotated[Nature | None, Query(description="What it is about 性质")] = None,
    severity: Annotated[Severity | None, Query(description="How serious 严重程度")] = None,
    responsible: Annotated[str | None, StaffQuery("Who answers for it 责任人")] = None,
    ro_number: Annotated[str | None, Query(max_length=64, description="Repair order")] = None,
    customer_no: Annotated[str | None, Query(max_length=64, description="Customer")] = None,
    due_before: Annotated[
        Moment | None, Query(description="To be contacted before, and not yet 应联系早于")
    ] = None,
    overdue: Annotated[bool | None, Query(description="Not contacted in time 超时")] = None,
) -> Listing[ComplaintOut]:
    """List complaints."""
    found = await factory.complaints.list_page(
        store_id,
        {
            "status": status,
            "nature": nature,
            "severity": severity,
            "responsible": responsible,
            "ro_number": ro_number,
            "customer_no": customer_no,
            "due_before": due_before,
            "overdue": overdue,
        },
        page,
        principal=principal,
    )
    return Listing(
        items=[ComplaintOut.of(view, principal) for view in found.items],
        next_cursor=next_cursor(found),
    )


@router.post(
    "",
    operation_id="open_complaint",
    status_code=201,
    summary="Take in a complaint 登记投诉",
    response_model=ComplaintOut,
    responses=responses(NotFoundError, ConflictError, IdempotencyConflictError),
)
async def open_complaint(
    store_id: StoreId,
    _: OpenIn,
    body: RawBodyDep,
    factory: FactoryDep,
    principal: Writer,
    conditions: ConditionsDep,
) -> Response:
    """Take in a complaint; the clock of its 24 hours starts."""
    return answer_of(
        await factory.complaints.open(
            store_id, body, Caller(principal, conditions), _render_for(principal)
        )
    )


@router.get(
    "/{complaint_id}",
    operation_id="get_complaint",
    summary="One complaint 投诉详情",
    responses=responses(NotFoundError),
)
async def get_complaint(
    store_id: StoreId,
    complaint_id: ComplaintId,
    response: Response,
    factory: FactoryDep,
    principal: Reader,
) -> ComplaintOut:
    """Get one complaint; its text is masked for keys without `personal:read`."""
    view = await factory.complaints.get(store_id, complaint_id)
    etag(response, view.version)
    return ComplaintOut.of(view, principal)


@router.post(
    "/{complaint_id}/contacts",
    operation_id="record_complaint_contact",
    summary="Note that the customer was contacted 登记联系",
    response_model=ComplaintOut,
    responses=REFUSALS,
)
async def record_complaint_contact(
    store_id: StoreId,
    complaint_id: ComplaintId,
    _: ContactIn,
    body: RawBodyDep,
    factory: FactoryDep,
    principal: Writer,
    conditions: ConditionsDep,
) -> Response:
    """Note a contact; the first one stops the clock."""
    return answer_of(
        await factory.complaints.contact(
            store_id, complaint_id, body, Caller(principal, conditions), _render_for(principal)
        )
    )


@router.post(
    "/{complaint_id}/resolution",
    operation_id="resolve_complaint",
    summary="Note the solution 登记解决",
    response_model=ComplaintOut,
    responses=REFUSALS,
)
async def resolve_complaint(
    store_id: StoreId,
    complaint_id: ComplaintId,
    _: ResolveIn,
    body: RawBodyDep,
    factory: FactoryDep,
    principal: Writer,
    conditions: ConditionsDep,
) -> Response:
    """Note the solution; 409 if it is resolved already."""
    return answer_of(
        await factory.complaints.resolve(
            store_id, complaint_id, body, Caller(principal, conditions), _render_for(principal)
        )
    )


@router.post(
    "/{complaint_id}/reopening",
    operation_id="reopen_complaint",
    summary="The solution did not hold 重开投诉",
    response_model=ComplaintOut,
    responses=REFUSALS,
)
async def reopen_complaint(
    store_id: StoreId,
    complaint_id: ComplaintId,
    _: ReopenIn,
    body: RawBodyDep,
    factory: FactoryDep,
    principal: Writer,
    conditions: ConditionsDep,
) -> Response:
    """Reopen a resolved complaint; 409 unless it is resolved."""
    return answer_of(
        await factory.complaints.reopen(
            store_id, complaint_id, body, Caller(principal, conditions), _render_for(principal)
        )
    )
