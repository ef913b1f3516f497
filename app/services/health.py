"""Whether the service can work: the database answers, and with the schema that this code needs."""

import asyncpg

from app.domain.errors import UnavailableError


class HealthService:
    """Answers those who decide whether this process gets requests."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", *, expected_revision: str) -> None:
        self._pool = pool
        self._expected_revision = expected_revision

    async def check(self) -> str:
        """Return the revision of the schema if it is the right one.

        Raises:
            UnavailableError: It is another one, or the database was never migrated.
            asyncpg.PostgresError, OSError: The database is away.
        """
        revision: str | None = None
        if await self._pool.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
            revision = await self._pool.fetchval("SELECT version_num FROM alembic_version")
        if revision != self._expected_revision:
            raise UnavailableError(
                f"The database is at schema revision {revision or 'none'}, this version of the "
                f"service needs {self._expected_revision}.",
                retry_after=30,
            )
        return self._expected_revision
