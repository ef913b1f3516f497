"""A small shop whose files are linked late, split, merged, and taken back, told by a seed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from tests.support.facts import event, retraction
from tests.support.histories import CloudEvent

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
        kind = self.rng.random()
        if kind < 0.6:
            self.tell("customer.merged", customer_no, into=self.rng.choice(CUSTOMERS))
        elif kind < 0.8:
            others = self.rng.sample(CUSTOMERS, self.rng.randint(1, 3))
            by = self.rng.choice(("A1", "王伟"))
            self.tell("customer.told_apart", customer_no, others=others, by=by)
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
