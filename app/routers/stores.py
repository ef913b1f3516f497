"""Stores 门店: made here before their first event."""

from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response

from app.domain.access import Principal, Scope
from app.domain.errors import NotFoundError
from app.problems import responses
from app.routers.deps import FactoryDep, Listing, PageDep, StoreId, next_cursor, requires
from app.routers.schemas.stores import StoreIn, StoreOut

router = APIRouter(prefix="/v1/stores", tags=["stores"])


@router.put(
    "/{store_id}",
    operation_id="put_store",
    summary="Make or change a store 建立或修改门店",
    responses={201: {"model": StoreOut, "description": "The store is new."}},
)
async def put_store(
    store_id: StoreId,
    body: StoreIn,
    response: Response,
    factory: FactoryDep,
    _: Annotated[Principal, requires(Scope.STORES_WRITE)],
) -> StoreOut:
    """Make a store, or change its settings; harmless to repeat.

    A store must be there before its first event: events of an unknown store go to quarantine.
    """
    store, is_new = await factory.stores.put(
        store_id=store_id,
        name=body.name,
        zone=ZoneInfo(body.time_zone),
        currency=body.currency,
        locale=body.locale,
    )
    response.status_code = 201 if is_new else 200
    return StoreOut.of(store)


@router.get(
    "/{store_id}",
    operation_id="get_store",
    summary="One store 查询门店",
    responses=responses(NotFoundError),
)
async def get_store(
    store_id: StoreId,
    factory: FactoryDep,
    _: Annotated[Principal, requires(Scope.STORES_READ)],
) -> StoreOut:
    """Get one store."""
    return StoreOut.of(await factory.stores.get(store_id))


@router.get("", operation_id="list_stores", summary="Stores 门店列表")
async def list_stores(
    page: PageDep,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.STORES_READ)],
) -> Listing[StoreOut]:
    """List the stores that the key may see, in order of code."""
    found = await factory.stores.list_page(page, among=principal.stores)
    return Listing(
        items=[StoreOut.of(store) for store in found.items], next_cursor=next_cursor(found)
    )
