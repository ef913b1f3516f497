"""Names in the place of staff numbers 姓名: which nobody knows yet, and whose they are."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from app.domain.access import Principal, Scope
from app.domain.errors import (
    ConflictError,
    IdempotencyConflictError,
    NotFoundError,
    VersionMismatchError,
)
from app.problems import responses
from app.routers.commands import ConditionsDep, answer_of
from app.routers.deps import FactoryDep, Listing, PageDep, StoreId, next_cursor, requires
from app.routers.schemas.names import AliasIn, AliasOut, UnresolvedNameOut
from app.services.desk import Caller
from app.services.names import AliasGiven

router = APIRouter(prefix="/v1/stores/{store_id}", tags=["staff"])

StaffNumber = Annotated[
    str,
    Path(pattern=r"^[A-Za-z0-9_-]{1,32}$", description="Staff number 工号", examples=["T12"]),
]


def _render(given: AliasGiven) -> bytes:
    return AliasOut.of(given).model_dump_json().encode()


@router.get(
    "/work-lists/unresolved-names",
    operation_id="list_unresolved_names",
    summary="Names that stand for nobody, the most frequent first 未识别姓名",
    responses=responses(NotFoundError),
)
async def list_unresolved_names(
    store_id: StoreId,
    page: PageDep,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.STAFF_READ)],
) -> Listing[UnresolvedNameOut]:
    """List the names in the place of staff numbers whose owner is not known, or not the only one.

    Until somebody says whose it is, each counts in KPIs as a member of its own.
    """
    found = await factory.names.list_unresolved(store_id, page)
    return Listing(
        items=[UnresolvedNameOut.of(named, principal) for named in found.items],
        next_cursor=next_cursor(found),
    )


@router.post(
    "/staff/{staff_no}/aliases",
    operation_id="give_staff_alias",
    status_code=201,
    summary="Say whose name it is 登记别名",
    response_model=AliasOut,
    responses={
        200: {"model": AliasOut, "description": "It was theirs already"},
        **responses(NotFoundError, ConflictError, VersionMismatchError, IdempotencyConflictError),
    },
)
async def give_staff_alias(
    store_id: StoreId,
    staff_no: StaffNumber,
    body: AliasIn,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.STAFF_WRITE)],
    conditions: ConditionsDep,
) -> Response:
    """Give somebody an alias: orders, calls and complaints under that name are theirs from now on.

    Whatever was published of them is restated in the next night. 409 where the name is somebody
    else's already.
    """
    return answer_of(
        await factory.names.give_alias(
            store_id,
            staff_no,
            alias=body.alias,
            surrogate=body.surrogate,
            caller=Caller(principal, conditions),
            render=_render,
        )
    )
