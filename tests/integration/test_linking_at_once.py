"""Linking under concurrent writers, and what it must leave alone: every figure."""

import asyncio
from datetime import timedelta
from random import Random

import pytest
from pydantic import SecretStr

from app.db.engine import Connection, Database, Pool
from app.factory import Factory, open_factory
from app.services.time_source import MovableTimeSource
from app.settings import Settings
from tests.support.desk import open_desk
from tests.support.facts import event
from tests.support.histories import random_history
from tests.support.linking import CUSTOMERS, START, VINS, facts_of
from tests.support.logs import check_store
from tests.support.posting import add_store, post

FIGURES = (
    """SELECT kind, key, basis, day, advisor, technician, team, work_type, assignee, nature, codes,
              numerators, denominators, reasons, sorts
         FROM fact WHERE store_id = 'S1' ORDER BY kind, key, basis""",
    """SELECT code, grain, day, member, reason, numerator, denominator, count
         FROM kpi_day WHERE store_id = 'S1' ORDER BY code, grain, day, member, reason""",
)


async def test_writers_at_once_link_as_one_would(
    factory: Factory, database_url: str, time_source: MovableTimeSource, pool: Pool
) -> None:
    """Orders, files and mergers come through two processes at the same moment, one by one."""
    time_source.set(START + timedelta(days=30))
    settings = Settings(database_url=SecretStr(database_url))
    async with open_factory(settings, time_source=time_source) as other:
        for seed in range(6):
            store_id = f"W{seed}"
            await add_store(factory, store_id)
            facts = [fact | {"store": store_id} for fact in facts_of(seed)]
            await asyncio.gather(
                *(post((factory, other)[number % 2], fact) for number, fact in enumerate(facts))
            )
            await check_store(pool, store_id)


@pytest.mark.parametrize("seed", range(3))
async def test_no_figure_depends_on_whose_an_order_is(
    database: Database, connection: Connection, seed: int
) -> None:
    history = random_history(Random(seed), orders=5, doubles=False)
    async with open_desk(database, history.arrivals[0][1]) as desk:
        await desk.add_store("S1", history.zone)
        await desk.play_all(history)
        await desk.metrics.refresh("S1")
        before = [[tuple(row) for row in await connection.fetch(each)] for each in FIGURES]
        assert all(before)
        orders = await connection.fetch("SELECT ro_number FROM repair_order ORDER BY ro_number")
        now = history.now.isoformat()
        links = [{"vin": VINS[0]}, {"customer_no": CUSTOMERS[0]}] * len(orders)
        told = [
            ("repair_order.linked", row["ro_number"], link)
            for row, link in zip(orders, links, strict=False)
        ]
        told.append(("vehicle.registered", VINS[0], {"customer_no": CUSTOMERS[1]}))
        told.append(("customer.merged", CUSTOMERS[1], {"into": CUSTOMERS[0]}))
        await desk.send(
            *(event(name, key, now, source="/dms/links", **data) for name, key, data in told)
        )
        linked = await connection.fetchval(
            "SELECT count(*) FROM repair_order WHERE customer_no IS NOT NULL"
        )
        assert linked == len(orders)
        await desk.metrics.refresh("S1")
        after = [[tuple(row) for row in await connection.fetch(each)] for each in FIGURES]
        assert after == before
