"""Runs over the quarantine 隔离区批处理: replay or discard everything that a filter matches."""

from typing import Annotated

from fastapi import APIRouter, Path

from app.domain.access import Principal, Scope
from app.domain.errors import ConflictError, NotFoundError
from app.domain.quarantine_runs import RunAction, RunKind
from app.problems import responses
from app.routers.deps import FactoryDep, Listing, PageDep, next_cursor, requires
from app.routers.schemas.quarantine_runs import DiscardsIn, QuarantineRunOut, ReplaysIn

router = APIRouter(prefix="/v1/quarantine", tags=["quarantine"])

RunId = Annotated[str, Path(max_length=64, description="`run_id` of the run")]
Reader = Annotated[Principal, requires(Scope.QUARANTINE_READ)]
Writer = Annotated[Principal, requires(Scope.QUARANTINE_WRITE)]


@router.get("/runs", operation_id="list_quarantine_runs", summary="Runs 批处理记录")
async def list_quarantine_runs(
    page: PageDep, factory: FactoryDep, principal: Reader
) -> Listing[QuarantineRunOut]:
    """List replays and discardings of many items, the latest first.

    Those that the service started because a store was made are among them.
    """
    found = await factory.quarantine_runs.list_page(page, principal=principal)
    return Listing(
        items=[QuarantineRunOut.of(run) for run in found.items], next_cursor=next_cursor(found)
    )


@router.post(
    "/replays",
    operation_id="start_quarantine_replay",
    status_code=202,
    summary="Replay all that match 批量重放",
)
async def start_quarantine_replay(
    body: ReplaysIn, factory: FactoryDep, principal: Writer
) -> QuarantineRunOut:
    """Replay everything that waits and matches, corrected by a patch or by suggestions if asked.

    Answers at once; `GET /v1/quarantine/replays/{run_id}` tells how far it is. What comes into
    quarantine later does not belong to it. Harmless to repeat.
    """
    run = await factory.quarantine_runs.start(
        RunKind.REPLAY,
        body.filter.wanted(),
        body.action,
        min_age=body.filter.min_age,
        dry_run=body.dry_run,
        principal=principal,
    )
    return QuarantineRunOut.of(run)


@router.get(
    "/replays/{run_id}",
    operation_id="get_quarantine_replay",
    summary="How far a replay is 批量重放进度",
    responses=responses(NotFoundError),
)
async def get_quarantine_replay(
    run_id: RunId, factory: FactoryDep, principal: Reader
) -> QuarantineRunOut:
    """Get a replay with how far it is."""
    run = await factory.quarantine_runs.get(run_id, RunKind.REPLAY, principal=principal)
    return QuarantineRunOut.of(run)


@router.post(
    "/replays/{run_id}/cancel",
    operation_id="cancel_quarantine_replay",
    summary="Stop a replay 停止批量重放",
    responses=responses(NotFoundError, ConflictError),
)
async def cancel_quarantine_replay(
    run_id: RunId, factory: FactoryDep, principal: Writer
) -> QuarantineRunOut:
    """Stop a replay; what entered the log stays there, the rest waits on."""
    run = await factory.quarantine_runs.cancel(run_id, RunKind.REPLAY, principal=principal)
    return QuarantineRunOut.of(run)


@router.post(
    "/discards",
    operation_id="start_quarantine_discard",
    status_code=202,
    summary="Discard all that match 批量丢弃",
)
async def start_quarantine_discard(
    body: DiscardsIn, factory: FactoryDep, principal: Writer
) -> QuarantineRunOut:
    """Throw away everything that waits and matches, with the reason; the bytes stay on record.

    Answers at once; `GET /v1/quarantine/discards/{run_id}` tells how far it is.
    """
    run = await factory.quarantine_runs.start(
        RunKind.DISCARD,
        body.filter.wanted(),
        RunAction(reason=body.reason),
        min_age=body.filter.min_age,
        dry_run=body.dry_run,
        principal=principal,
    )
    return QuarantineRunOut.of(run)


@router.get(
    "/discards/{run_id}",
    operation_id="get_quarantine_discard",
    summary="How far a discarding is 批量丢弃进度",
    responses=responses(NotFoundError),
)
async def get_quarantine_discard(
    run_id: RunId, factory: FactoryDep, principal: Reader
) -> QuarantineRunOut:
    """Get a discarding with how far it is."""
    run = await factory.quarantine_runs.get(run_id, RunKind.DISCARD, principal=principal)
    return QuarantineRunOut.of(run)


@router.post(
    "/discards/{run_id}/cancel",
    operation_id="cancel_quarantine_discard",
    summary="Stop a discarding 停止批量丢弃",
    responses=responses(NotFoundError, ConflictError),
)
async def cancel_quarantine_discard(
    run_id: RunId, factory: FactoryDep, principal: Writer
) -> QuarantineRunOut:
    """Stop a discarding; what was thrown away stays so."""
    run = await factory.quarantine_runs.cancel(run_id, RunKind.DISCARD, principal=principal)
    return QuarantineRunOut.of(run)
