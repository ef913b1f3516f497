"""Follow-ups 客户回访: calls after the delivery, each with its window."""

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from app.domain.access import Principal, Scope
from app.domain.errors import (
    ConflictError,
    IdempotencyConflictError,
    NotFoundError,
    VersionMismatchError,
)
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
from app.routers.schemas.follow_ups import (
    AssignIn,
    AttemptIn,
    CancelIn,
    CompleteIn,
    FollowUpOut,
    MoveIn,
)
from app.routers.schemas.moments import Moment
from app.services.desk import Caller
from app.services.follow_ups import FollowUpView

router = APIRouter(prefix="/v1/stores/{store_id}/follow-ups", tags=["follow-ups"])

FollowUpId = Annotated[str, Path(max_length=64, description="UUID of the follow-up 回访编号")]
Writer = Annotated[Principal, requires(Scope.FOLLOW_UPS_WRITE)]
Reader = Annotated[Principal, requires(Scope.FOLLOW_UPS_READ)]

REFUSALS = responses(NotFoundError, ConflictError, VersionMismatchError, IdempotencyConflictError)


def _render_for(principal: Principal) -> Callable[[FollowUpView], bytes]:
    return lambda view: FollowUpOut.of(view, principal).model_dump_json().encode()


@router.get(
    "",
    operation_id="list_follow_ups",
    summary="Follow-ups, the first due first 回访列表",
    responses=responses(NotFoundError),
)
async def list_follow_ups(
    store_id: StoreId,
    page: PageDep,
    factory: FactoryDep,
    principal: Reader,
    *,
    status: Annotated[
        Literal["planned", "open", "overdue", "completed", "cancelled", "missed_on_arrival"]
        | None,
        Query(description="As of now 状态"),
    ] = None,
    kind: Annotated[str | None, Query(max_length=64, description="first, second 类别")] = None,
    assignee: Annotated[str | None, StaffQuery("Who shall call 回访人")] = None,
    ro_number: Annotated[str | None, Query(max_length=64, description="Repair order")] = None,
    customer_no: Annotated[str | None, Query(max_length=64, description="Customer")] = None,
    due_before: Annotated[Moment | None, Query(description="Due before 到期早于")] = None,
) -> Listing[FollowUpOut]:
    """List follow-ups that have a window: the work list of those who call."""
    found = await factory.follow_ups.list_page(
        store_id,
        {
            "status": status,
            "kind": kind,
            "assignee": assignee,
            "ro_number": ro_number,
            "customer_no": customer_no,
            "due_before": due_before,
        },
        page,
        principal=principal,
    )
    return Listing(
        items=[FollowUpOut.of(view, principal) for view in found.items],
        next_cursor=next_cursor(found),
    )


@router.get(
    "/{follow_up_id}",
    operation_id="get_follow_up",
    summary="One follow-up 回访详情",
    responses=responses(NotFoundError),
)
async def get_follow_up(
    store_id: StoreId,
    follow_up_id: FollowUpId,
    response: Response,
    factory: FactoryDep,
    principal: Reader,
) -> FollowUpOut:
    """Get one follow-up with its window, attempts and calls."""
    view = await factory.follow_ups.get(store_id, follow_up_id)
    etag(response, view.version)
    return FollowUpOut.of(view, principal)


@router.put(
    "/{follow_up_id}/assignee",
    operation_id="assign_follow_up",
    summary="Decide who shall call 分派回访",
    response_model=FollowUpOut,
    responses=REFUSALS,
)
async def assign_follow_up(
    store_id: StoreId,
    follow_up_id: FollowUpId,
    _: AssignIn,
    body: RawBodyDep,
    factory: FactoryDep,
    principal: Writer,
    conditions: ConditionsDep,
) -> Response:
    """Decide who shall call; 409 where there is nothing left to call for."""
    return answer_of(
        await factory.follow_ups.assign(
            store_id, follow_up_id, body, Caller(principal, conditions), _render_for(principal)
        )
    )


@router.post(
    "/{follow_up_id}/attempts",
    operation_id="record_follow_up_attempt",
    summary="Note a call that reached nobody 登记未接通",
    response_model=FollowUpOut,
    responses=REFUSALS,
)
async def record_follow_up_attempt(
    store_id: StoreId,
    follow_up_id: FollowUpId,
    _: AttemptIn,
    body: RawBodyDep,
    factory: FactoryDep,
    principal: Writer,
    conditions: ConditionsDep,
) -> Response:
    """Note an attempt; attempts never complete a follow-up."""
    return answer_of(
        await factory.follow_ups.attempt(
            store_id, follow_up_id, body, Caller(principal, conditions), _render_for(principal)
        )
    )


@router.post(
    "/{follow_up_id}/completion",
    operation_id="complete_follow_up",
    summary="Note the call that was made 完成回访",
    response_model=FollowUpOut,
    responses=REFUSALS,
)
async def complete_follow_up(
    store_id: StoreId,
    follow_up_id: FollowUpId,
    _: CompleteIn,
    body: RawBodyDep,
    factory: FactoryDep,
    principal: Writer,
    conditions: ConditionsDep,
) -> Response:
    """Note that the customer was reached; a call before the window opens is noted, as too early.

    The first follow-up's completion plans the second one.
    """
    return answer_of(
        await factory.follow_ups.complete(
            store_id, follow_up_id, body, Caller(principal, conditions), _render_for(principal)
        )
    )


@router.post(
    "/{follow_up_id}/cancellation",
    operation_id="cancel_follow_up",
    summary="Call it off for good 取消回访",
    response_model=FollowUpOut,
    responses=REFUSALS,
)
async def cancel_follow_up(
    store_id: StoreId,
    follow_up_id: FollowUpId,
    _: CancelIn,
    body: RawBodyDep,
    factory: FactoryDep,
    principal: Writer,
    conditions: ConditionsDep,
) -> Response:
    """Call a follow-up off; it then is in no part of any KPI."""
    return answer_of(
        await factory.follow_ups.cancel(
            store_id, follow_up_id, body, Caller(principal, conditions), _render_for(principal)
        )
    )


@router.put(
    "/{follow_up_id}/window",
    operation_id="move_follow_up",
    summary="Give it another window 调整回访时间",
    response_model=FollowUpOut,
    responses=REFUSALS,
)
async def move_follow_up(
    store_id: StoreId,
    follow_up_id: FollowUpId,
    body: MoveIn,
    factory: FactoryDep,
    principal: Writer,
    conditions: ConditionsDep,
) -> Response:
    """Move a follow-up; the window stays until the delivery that it counts from is corrected."""
    return answer_of(
        await factory.follow_ups.move(
            store_id,
            follow_up_id,
            opens_at=body.opens_at,
            target_at=body.target_at,
            due_at=body.due_at,
            caller=Caller(principal, conditions),
            render=_render_for(principal),
        )
    )
