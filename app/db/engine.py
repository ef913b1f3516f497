"""Connections: asyncpg pools for the log and the hot reads, SQLAlchemy for everything else."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import NullPool

_log = structlog.get_logger(__name__)

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

APP_ROLE: Final = "servicelane_app"

# The statements of the log are few, prepared once, and find their rows by key: a plan made for
# an empty table, or a hash join for a large batch, would be wrong for as long as the service runs.
_LOG_SETTINGS: Final = {
    "jit": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}
_READ_SETTINGS: Final = {"jit": "off"}
_COMMAND_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Database:
    """The open connections of one process to one database.

    jsonb comes and goes as text on the pools: who reads it decides how to decode it.
    """

    url: str
    """As the settings have it: of the login user, not of the serving role."""
    log: Pool
    """For the appender: a settled planner, nothing reset between uses. Leave no session state."""
    read: Pool
    """For hot reads and all other statements in asyncpg."""
    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    """For cold paths; `expire_on_commit` is off."""
    role: str | None
    """The role that all of them work as; None where it can't be had: then as the login user."""


@asynccontextmanager
async def open_database(
    url: str, *, log_pool_size: int = 4, sql_pool_size: int = 4
) -> AsyncIterator[Database]:
    """Open the pools on a migrated database and close them in the end.

    All connections work as the role `servicelane_app`, which may not change the log, if the
    login user may become it; else that is logged as a warning.

    Args:
        url: A PostgreSQL URL as libpq takes it.
        log_pool_size: Connections of the appender, all opened at once.
        sql_pool_size: Connections of each of the two others; SQLAlchemy may open twice as many.

    Raises:
        OSError: The server can't be reached.
        asyncpg.PostgresError: It refuses the user or the database.
    """
    role = await _serving_role(url)
    as_role = {} if role is None else {"role": role}
    log_settings = {"application_name": "servicelane-log", **_LOG_SETTINGS, **as_role}
    read_settings = {"application_name": "servicelane", **_READ_SETTINGS, **as_role}
    engine = create_engine(url, pool_size=sql_pool_size, settings=read_settings)
    try:
        async with (
            asyncpg.create_pool(
                url,
                min_size=log_pool_size,
                max_size=log_pool_size,
                max_inactive_connection_lifetime=0,
                max_queries=1_000_000,
                command_timeout=_COMMAND_SECONDS,
                server_settings=log_settings,
                reset=_leave_as_it_is,
            ) as log,
            asyncpg.create_pool(
                url,
                min_size=1,
                max_size=sql_pool_size,
                command_timeout=_COMMAND_SECONDS,
                server_settings=read_settings,
            ) as read,
        ):
            yield Database(
                url=url,
                log=log,
                read=read,
                engine=engine,
                sessions=async_sessionmaker(engine, expire_on_commit=False),
                role=role,
            )
    finally:
        await engine.dispose()


def create_engine(
    url: str, *, pool_size: int | None = None, settings: Mapping[str, str] | None = None
) -> AsyncEngine:
    """An SQLAlchemy engine whose connections asyncpg makes from the same URL as the pools'.

    Args:
        url: A PostgreSQL URL as libpq takes it.
        pool_size: Connections kept; as many again may be opened. None keeps none.
        settings: Settings of PostgreSQL for each connection.
    """

    async def connect(*_: Any, **__: Any) -> Any:
        return await asyncpg.connect(url, server_settings=dict(settings or {}))

    if pool_size is None:
        return create_async_engine(
            "postgresql+asyncpg://", async_creator=connect, poolclass=NullPool
        )
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
    )


async def _leave_as_it_is(connection: Connection) -> None:
    """Reset nothing when a connection goes back: it saves a round trip per use."""


async def _serving_role(url: str) -> str | None:
    """The role to work as, if it exists and the login user may become it."""
    connection = await asyncpg.connect(url)
    try:
        # from 16 on, a member may still be barred from SET ROLE
        privilege = "MEMBER" if connection.get_server_version().major < 16 else "SET"  # noqa: PLR2004
        may = await connection.fetchval(
            "SELECT pg_has_role(oid, $2) FROM pg_roles WHERE rolname = $1", APP_ROLE, privilege
        )
        if may:
            return APP_ROLE
        if await connection.fetchval(
            "SELECT has_table_privilege(oid, 'UPDATE')"
            " FROM pg_class WHERE oid = to_regclass('event')"
        ):
            _log.warning(
                "serving_as_login_user",
                reason=f"role {APP_ROLE} is missing, or the login user is no member of it",
                effect="only the trigger guards the event log",
            )
        return None
    finally:
        await connection.close()
