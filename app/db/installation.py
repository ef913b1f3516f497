"""Values that belong to this installation, such as the secret of content hashes."""

import asyncpg


class InstallationRepository:
    """Values, by name."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def get_or_add(self, name: str, value: str) -> str:
        """Get a value; where there is none, `value` becomes it, for every process alike."""
        await self._pool.execute(
            "INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
            name,
            value,
        )
        kept: str = await self._pool.fetchval(
            "SELECT value FROM installation WHERE name = $1", name
        )
        return kept
