"""In whatever order orders, vehicles, links, mergers and retractions arrive: the same customers.

Random files of a small shop go through the real ingest into the real database, as they happened
and shuffled, in batches of any size, through two processes. Each telling has a store of its own.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from app.db.engine import Pool
from app.domain.events.envelope import Event
from app.domain.fold import retracted
from app.factory import Factory, open_factory
from app.services.time_source import MovableTimeSource
from app.settings import Settings
from tests.support.facts import event
from tests.support.histories import follow_up_id
from tests.support.linking import ORDERS, START, facts_of
from tests.support.logs import check_store
from tests.support.posting import add_store, post

SEEDS = range(40)
GROUP = 10


@pytest.fixture
async def processes(
    factory: Factory, database_url: str, time_source: MovableTimeSource
) -> AsyncIterator[list[Factory]]:
    settings = Settings(database_url=SecretStr(database_url))
    async with open_factory(settings, time_source=time_source) as other:
        yield [factory, other]


@pytest.mark.parametrize("first", SEEDS[::GROUP])
async def test_any_order_of_arrival_links_the_same_files(
    first: int, processes: list[Factory], time_source: MovableTimeSource, pool: Pool
) -> None:
    time_source.set(START + timedelta(days=30))
    for seed in range(first, first + GROUP):
        seen = []
        for number in range(4):
            store_id = f"L{seed}-{number}"
            await add_store(processes[0], store_id)
            rng = Random(100 * seed + number)
            facts = [fact | {"store": store_id} for fact in facts_of(seed)]
            if number:
                rng.shuffle(facts)
            while facts:
                size = len(facts) if number == 1 else rng.choice((1, 1, 2, 3, 7))
                await post(rng.choice(processes), *facts[:size])
                facts = facts[size:]
            log = await check_store(pool, store_id)
            seen.append(await links_of(pool, store_id, log))
        for each in seen[1:]:
            assert each == seen[0], f"facts {seed}"


async def links_of(
    pool: Pool, store_id: str, log: Sequence[Event]
) -> dict[str, list[tuple[Any, ...]]]:
    """Whose what is, by what the rows and calls say."""
    gone = retracted(log)
    stands = {each.seq for each in log if (each.source, each.id) not in gone}
    names = {
        follow_up_id(store_id, ro_number, kind): (ro_number, kind)
        for ro_number in ORDERS
        for kind in ("first", "second")
    }
    statements = {
        "orders": "SELECT ro_number, customer_no, vin FROM repair_order",
        "calls": "SELECT follow_up_id, customer_no FROM follow_up",
        "customers": "SELECT customer_no, surviving_no FROM customer",
        "vehicles": "SELECT vin, customer_no FROM vehicle",
        "asides": "SELECT seq, key, customer_no FROM personal",
    }
    found = {
        name: [tuple(row) for row in await pool.fetch(f"{select} WHERE store_id = $1", store_id)]
        for name, select in statements.items()
    }
    # what lies beside a retracted event is nobody's business
    found["asides"] = [row[1:] for row in found["asides"] if row[0] in stands]
    standing = [
        (*names[key], customer_no)
        for key, customer_no in found["calls"]
        if not await _is_withdrawn(pool, store_id, key)
    ]
    return {name: sorted(rows, key=repr) for name, rows in (found | {"calls": standing}).items()}


async def _is_withdrawn(pool: Pool, store_id: str, key: str) -> bool:
    """Whether it is called off by the service: what it then says is of no account."""
    return bool(
        await pool.fetchval(
            "SELECT state ? 'withdrawn_seq' FROM follow_up WHERE store_id = $1"
            " AND follow_up_id = $2",
            store_id,
            key,
        )
    )


async def test_what_was_said_in_calls_and_complaints_is_the_customers_once_that_is_known(
    factory: Factory, pool: Pool
) -> None:
    """Notes of a call and of a complaint that came first, in whatever order (A19)."""
    moments = [(START + timedelta(days=day)).isoformat() for day in range(9)]
    complaint = str(uuid4())
    told = {"channel": "phone", "text": "等太久"}
    for number, is_linked_first in enumerate((False, True)):
        store_id = f"N{number}"
        await add_store(factory, store_id)
        call = follow_up_id(store_id, "R1", "first")
        noted = event("follow_up.attempted", call, moments[4], by="C1", note="忙", store=store_id)
        noted["data"] |= {"channel": "phone", "outcome": "busy"}
        facts = [
            event("repair_order.delivered", "R1", moments[0], store=store_id),
            event("repair_order.linked", "R1", moments[1], customer_no="A", store=store_id),
            noted,
            event("complaint.opened", complaint, moments[5], store=store_id, **told),
            event(
                *("complaint.opened", complaint, moments[6]),
                **{"store": store_id, "customer_no": "B"} | told,
            ),
        ]
        for at in (0, 1, 4, 2, 3) if is_linked_first else (0, 2, 1, 3, 4):
            await post(factory, facts[at])
        await check_store(pool, store_id)
        rows = await pool.fetch(
            "SELECT kind, customer_no FROM personal WHERE store_id = $1 ORDER BY kind", store_id
        )
        assert [tuple(row) for row in rows] == [
            ("complaint", "B"),
            ("complaint", "B"),
            ("follow_up", "A"),
        ]


def test_the_facts_hold_what_this_is_about() -> None:
    """Chains, circles and files that merge into themselves; every kind of fact taken back."""
    told = [fact for seed in SEEDS for fact in facts_of(seed)]
    names = {(fact["source"], fact["id"]): fact["type"] for fact in told}
    back = [fact["data"] for fact in told if fact["type"] == "event.retracted"]
    assert len({names[data["source"], data["id"]] for data in back}) > 7
    assert any(fact["subject"] == fact["data"].get("into") for fact in told)
