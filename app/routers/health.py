"""Health 健康检查: for those who start, stop and route to this process."""

from importlib.metadata import version
from typing import Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.problems import responses
from app.routers.deps import PUBLIC, FactoryDep

VERSION: Final = version("servicelane")

router = APIRouter(tags=["health"], dependencies=[PUBLIC])


class Healthz(BaseModel):
    """That the process is alive."""

    status: Literal["ok"] = "ok"
    version: str = VERSION
    sandbox: bool = Field(
        description="Whether the service's time can be moved; never true in production 沙盒模式"
    )


class Readyz(BaseModel):
    """That the process can work."""

    status: Literal["ready"] = "ready"
    schema_revision: str = Field(description="Revision of the database schema 数据库版本")


@router.get("/healthz", operation_id="healthz", summary="Is the process alive? 存活检查")
async def healthz(factory: FactoryDep) -> Healthz:
    """Answer without asking anything else. Public: it tells nothing about a shop."""
    return Healthz(sandbox=factory.settings.sandbox)


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Can the process work? 就绪检查",
    responses=responses(),
)
async def readyz(factory: FactoryDep) -> Readyz:
    """Ask the database, and check its schema; 503 if it is away or outdated. Public."""
    return Readyz(schema_revision=await factory.health.check())
