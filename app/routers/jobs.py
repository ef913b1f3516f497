"""Jobs 任务: the night of each store."""

from typing import Annotated

from fastapi import APIRouter, Body, Query

from app.domain.access import Principal, Scope
from app.domain.errors import NotFoundError
from app.problems import responses
from app.routers.deps import FactoryDep, Listing, PageDep, next_cursor, requires
from app.routers.schemas.jobs import NightlyRunIn, NightlyRunOut

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Runner = Annotated[Principal, requires(Scope.JOBS_RUN)]


@router.post(
    "/nightly/runs",
    operation_id="run_night",
    summary="Run the night now 立即运行夜间任务",
    responses=responses(NotFoundError),
)
async def run_night(
    factory: FactoryDep,
    principal: Runner,
    body: Annotated[NightlyRunIn | None, Body()] = None,
) -> Listing[NightlyRunOut]:
    """Take in what came, publish what has ended, restate what has changed.

    Answers when it is done. A run that is under way is waited for first. Harmless to repeat:
    what is published stays.
    """
    store_id = None if body is None else body.store_id
    if store_id is not None:
        principal.require((Scope.JOBS_RUN,), store_id)
    runs = await factory.nightly.run_now(store_id, among=principal.stores)
    return Listing(items=[NightlyRunOut.of(run) for run in runs], next_cursor=None)


@router.get(
    "/nightly/runs",
    operation_id="list_nights",
    summary="Nights 夜间任务记录",
    responses=responses(),
)
async def list_nights(
    page: PageDep,
    factory: FactoryDep,
    principal: Runner,
    store_id: Annotated[
        str | None, Query(description="Only of this store 门店编号", examples=["SH01"])
    ] = None,
) -> Listing[NightlyRunOut]:
    """List runs, the latest date first; what failed is tried again by itself."""
    if store_id is not None:
        principal.require((Scope.JOBS_RUN,), store_id)
    found = await factory.nightly.list_runs(page, store_id=store_id, among=principal.stores)
    return Listing(
        items=[NightlyRunOut.of(run) for run in found.items], next_cursor=next_cursor(found)
    )
