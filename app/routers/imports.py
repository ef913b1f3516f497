"""Imports 导入: files that came in, by the command or through the inbox."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.domain.access import Principal, Scope
from app.domain.errors import NotFoundError
from app.domain.imports import ImportState
from app.problems import responses
from app.routers.deps import FactoryDep, Listing, PageDep, StoreId, next_cursor, requires
from app.routers.schemas.imports import ImportOut

router = APIRouter(prefix="/v1/stores/{store_id}/imports", tags=["imports"])

Reader = Annotated[Principal, requires(Scope.QUARANTINE_READ)]


@router.get(
    "",
    operation_id="list_imports",
    summary="Files of a store 导入记录",
    responses=responses(NotFoundError),
)
async def list_imports(
    store_id: StoreId,
    page: PageDep,
    factory: FactoryDep,
    _principal: Reader,
    state: Annotated[ImportState | None, Query(description="Absent: all 状态")] = None,
) -> Listing[ImportOut]:
    """List files that were put into the store's inbox or imported by the command, latest first."""
    found = await factory.inbox.list_page(store_id, page, state=state)
    return Listing(
        items=[ImportOut.of(item) for item in found.items], next_cursor=next_cursor(found)
    )


@router.get(
    "/{import_id}",
    operation_id="get_import",
    summary="One file 导入详情",
    responses=responses(NotFoundError),
)
async def get_import(
    store_id: StoreId,
    import_id: Annotated[str, Path(max_length=64, description="Of the list 导入编号")],
    factory: FactoryDep,
    _principal: Reader,
) -> ImportOut:
    """Get one file: its state, its counts, and the first faults with row and column."""
    return ImportOut.of(await factory.inbox.get(store_id, import_id))
