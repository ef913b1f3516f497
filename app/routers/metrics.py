"""Metrics for Prometheus; no part of the interface for integrators, so not in its document."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from app.domain.access import Principal, Scope
from app.routers.deps import FactoryDep, requires

router = APIRouter(include_in_schema=False)


@router.get("/metrics", operation_id="metrics")
async def metrics(
    request: Request,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.METRICS_READ)],
) -> Response:
    """Tell how this process and the work of all stores are doing."""
    body, content_type = await factory.operations.metrics(
        request.headers.get("accept", ""), principal=principal
    )
    return Response(body, headers={"Content-Type": content_type})
