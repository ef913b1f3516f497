"""Facts and sums follow the log: by news alone as by judging everything again."""

from random import Random

import pytest

from app.db.engine import Connection, Database
from tests.support.desk import open_desk
from tests.support.histories import random_history

_FACTS = """
    SELECT kind, key, basis, day, advisor, technician, team, work_type, assignee, nature, codes,
           numerators, denominators, reasons, sorts
      FROM fact ORDER BY store_id, kind, key, basis
"""
_SUMS = """
    SELECT code, grain, day, member, reason, numerator, denominator, count
      FROM kpi_day ORDER BY store_id, code, grain, day, member, reason
"""


async def _rows(connection: Connection) -> list[list[tuple[object, ...]]]:
    return [
        [tuple(row) for row in await connection.fetch(statement)] for statement in (_FACTS, _SUMS)
    ]


@pytest.mark.parametrize("seed", range(8))
async def test_incremental_equals_full(
    database: Database, connection: Connection, seed: int
) -> None:
    rng = Random(seed)
    history = random_history(rng, orders=6)
    async with open_desk(database, history.arrivals[0][1]) as desk:
        await desk.add_store("S1", history.zone)
        async for _ in desk.play(history):
            if rng.random() < 0.4:
                await desk.metrics.refresh("S1")
        await desk.metrics.refresh("S1")
        incremental = await _rows(connection)
        assert all(incremental)

        await desk.metrics.rebuild("S1")
        assert await _rows(connection) == incremental

        await connection.execute("DELETE FROM fact; DELETE FROM kpi_day")
        await desk.metrics.rebuild("S1")
        assert await _rows(connection) == incremental
