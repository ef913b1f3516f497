"""In whatever order orders, vehicles, links, mergers and retractions arrive: the same customers.

Random files of a small shop go through the real ingest into the real database, as they happened
and shuffled, in batches of any size, through two processes. Each telling has a store of its own.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from app.db.engine import Pool
from app.domain.events.envelope import Event
from app.domain.fold import retracted
from app.factory import Factory, open_factory
from app.services.time_source import MovableTimeSource
from app.settings import Settings
from tests.support.facts import event, retraction
from tests.support.histories import CloudEvent, follow_up_id
from tests.support.logs import check_store
from tests.support.posting import add_store, post

SEEDS = range(40)
GROUP = 10
ORDERS = ("R1", "R2", "R3", "R4")
CUSTOMERS = ("A", "B", "C", "D", "E")
VINS = ("LSVAA4182E2100001", "lsvAA4182E2100002")
SPELLINGS = (
    "LSVAA4182E2100001",
    " lsvaa4182e2100001 ",
    "LSVAA4182E2100002",
    "lsvaa4182e2100002\t",
    "LSVAA4182E21OOOO2",
    "   ",
)
PLATES = ("沪A00001", "沪A00002")
START = datetime(2026, 5, 1, 9, tzinfo=ZoneInfo("Asia/Shanghai"))


class _Shop:
    """Writes down what happens, each fact at a time of its own."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.told: list[CloudEvent] = []

    def tell(self, event_type: str, subject: str, **data: Any) -> None:
        moment = (START + timedelta(hours=5 * len(self.told))).isoformat()
        known = {key: value for key, value in data.items() if value is not None}
        fact = event(event_type, subject, moment, event_id=f"e-{len(self.told)}", **known)
        self.told.append(fact)

    def maybe(self, values: Sequence[str], share: float) -> str | None:
        return self.rng.choice(values) if self.rng.random() < share else None

    def about_an_order(self) -> None:
        ro_number, kind = self.rng.choice(ORDERS), self.rng.randint(0, 5)
        link = {"customer_no": self.maybe(CUSTOMERS, 0.35), "vin": self.maybe(SPELLINGS, 0.75)}
        if kind < 2:
            link["plate"] = self.maybe(PLATES, 0.5)
            self.tell("repair_order.opened", ro_number, work_type="other", advisor="A1", **link)
        elif kind < 4 and any(link.values()):
            self.tell("repair_order.linked", ro_number, **link)
        elif kind == 4:
            self.tell("repair_order.settled", ro_number, amounts={"labor": "100"})
        else:
            self.tell("repair_order.delivered", ro_number)

    def about_a_vehicle(self) -> None:
        vin = self.rng.choice(VINS)
        if self.rng.random() < 0.5:
            owner = self.maybe(CUSTOMERS, 0.8)
            self.tell("vehicle.registered", vin, customer_no=owner, brand="X")
        else:
            self.tell("vehicle.transferred", vin, customer_no=self.rng.choice(CUSTOMERS))

    def about_a_customer(self) -> None:
        customer_no = self.rng.choice(CUSTOMERS)
        if self.rng.random() < 0.75:
            self.tell("customer.merged", customer_no, into=self.rng.choice(CUSTOMERS))
        else:
            self.tell("customer.registered", customer_no, segment="S")

    def take_back(self) -> None:
        for position, target in enumerate(self.rng.sample(self.told, len(self.told) // 4)):
            moment = START.isoformat()
            self.told.append(retraction(target, moment, event_id=f"back-{position}"))
            if self.rng.random() < 0.2:
                again = retraction(self.told[-1], moment, event_id=f"again-{position}")
                self.told.append(again)


def facts_of(seed: int) -> list[CloudEvent]:
    """What happened in one shop, in order."""
    shop = _Shop(Random(seed))
    for _ in range(shop.rng.randint(12, 30)):
        tell = (shop.about_an_order, shop.about_an_order, shop.about_a_vehicle)
        shop.rng.choice((*tell, shop.about_a_customer))()
    shop.take_back()
    return shop.told


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


def test_the_facts_hold_what_this_is_about() -> None:
    """Chains, circles and files that merge into themselves; every kind of fact taken back."""
    told = [fact for seed in SEEDS for fact in facts_of(seed)]
    names = {(fact["source"], fact["id"]): fact["type"] for fact in told}
    back = [fact["data"] for fact in told if fact["type"] == "event.retracted"]
    assert len({names[data["source"], data["id"]] for data in back}) > 7
    assert any(fact["subject"] == fact["data"].get("into") for fact in told)
