"""The sandbox clock 沙盒时钟: rehearse a month in a minute."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.domain.access import Principal, Scope
from app.domain.errors import ConflictError, InvalidInputError
from app.problems import responses
from app.routers.deps import FactoryDep, requires
from app.routers.schemas.moments import Moment

router = APIRouter(prefix="/v1/sandbox", tags=["sandbox"])


class ClockIn(BaseModel):
    """The time to move to."""

    model_config = ConfigDict(extra="forbid")

    now: Annotated[Moment, Field(description="RFC 3339 with offset; not in the past")]


class ClockOut(BaseModel):
    """The service's time."""

    now: Annotated[datetime, Field(description="The service's time")]
    stops: Annotated[
        list[datetime],
        Field(description="Moments at which something fell due on the way, in order"),
    ] = []


@router.put(
    "/clock",
    operation_id="move_sandbox_clock",
    summary="Move the service's time forward 拨快服务时钟",
    responses=responses(ConflictError, InvalidInputError),
)
async def move_sandbox_clock(
    body: ClockIn,
    factory: FactoryDep,
    _: Annotated[Principal, requires(Scope.SANDBOX_WRITE)],
) -> ClockOut:
    """Move the service's time forward, stopping at each moment at which something falls due.

    Only with SERVICELANE_SANDBOX=1. What is recorded at a stop (a breach, a nightly run) is what
    it would have been. One caller at a time; others get 409.
    """
    move = await factory.sandbox.move(body.now)
    return ClockOut(now=move.now, stops=list(move.stops))


@router.get(
    "/clock",
    operation_id="get_sandbox_clock",
    summary="The service's time 查询服务时钟",
    responses=responses(ConflictError),
)
async def get_sandbox_clock(
    factory: FactoryDep,
    _: Annotated[Principal, requires(Scope.SANDBOX_WRITE)],
) -> ClockOut:
    """Get the service's time."""
    return ClockOut(now=await factory.sandbox.get())
