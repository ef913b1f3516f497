"""What might link an order that lacks a customer or a vehicle: what other files say.

They are suggestions: nothing is linked by them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from app.db.links import LinkRepository, UnlinkedOrder
from app.db.subjects import SubjectRepository
from app.domain.events.envelope import Kind
from app.domain.links import spelled_alike
from app.domain.repair_order import RepairOrder
from app.domain.vehicle import Vehicle
from app.services.desk import PersonalFields

MOST: Final = 10
"""Most suggestions for an order: a fleet's whole list helps nobody."""

Because = Literal["same-vin", "same-plate", "vehicle-of-customer"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A customer or a vehicle that an order may belong to; somebody has to look."""

    what: Literal["customer", "vehicle"]
    key: str
    because: Because

    @property
    def alike(self) -> str | None:
        """The key in the spelling in which suggestions are compared."""
        return spelled_alike(self.key) if self.what == "vehicle" else self.key


class LinkSuggestions:
    """Finds suggestions for a page of orders, by indexed lookups alone."""

    def __init__(
        self, links: LinkRepository, subjects: SubjectRepository, personal: PersonalFields
    ) -> None:
        self._links = links
        self._subjects = subjects
        self._personal = personal

    async def find(
        self, store_id: str, orders: Sequence[UnlinkedOrder]
    ) -> tuple[Mapping[str, str], Mapping[str, list[Suggestion]]]:
        """Find the plates of the orders, and what might link them, both by RO number."""
        fields = await self._personal.find(
            store_id, Kind.REPAIR_ORDER, [order.state.ro_number for order in orders]
        )
        plates = _plates(fields)
        of_plate = await self._with_plates(store_id, set(plates.values()))
        of_vin = await self._with_vins(store_id, orders)
        of_customer = await self._of_customers(store_id, orders)
        found: dict[str, list[Suggestion]] = {}
        for order in orders:
            ro_number, vin = order.state.ro_number, spelled_alike(order.state.vin)
            suggested = [
                *of_vin.get(vin or "", ()),
                *of_customer.get(order.customer_no or "", ()),
                *of_plate.get(plates.get(ro_number, ""), ()),
            ]
            lacks = {"customer": order.customer_no is None, "vehicle": vin is None}
            fitting = {
                (each.what, each.alike): each for each in reversed(suggested) if lacks[each.what]
            }
            found[ro_number] = [*reversed(fitting.values())][:MOST]
        return plates, found

    async def _with_vins(
        self, store_id: str, orders: Iterable[UnlinkedOrder]
    ) -> dict[str, list[Suggestion]]:
        """Find the customers of other orders about the same car."""
        vins = {vin for order in orders if (vin := spelled_alike(order.state.vin)) is not None}
        found: dict[str, list[Suggestion]] = defaultdict(list)
        for vin, customer_no in await self._links.list_customers_of(store_id, vins):
            found[vin].append(Suggestion("customer", customer_no, "same-vin"))
        return found

    async def _of_customers(
        self, store_id: str, orders: Iterable[UnlinkedOrder]
    ) -> dict[str, list[Suggestion]]:
        """Find the vehicles of the customers who are known."""
        found: dict[str, list[Suggestion]] = defaultdict(list)
        customers = {order.customer_no for order in orders if order.customer_no is not None}
        for customer_no, vin in await self._links.list_vehicles_of(store_id, customers):
            found[customer_no].append(Suggestion("vehicle", vin, "vehicle-of-customer"))
        return found

    async def _with_plates(self, store_id: str, plates: set[str]) -> dict[str, list[Suggestion]]:
        """Find vehicles that have one of the plates now, and orders of cars that had it."""
        told = await self._links.list_with_plates(store_id, plates) if plates else []
        found: dict[str, list[Suggestion]] = defaultdict(list)
        for kind, state in ((Kind.VEHICLE, Vehicle), (Kind.REPAIR_ORDER, RepairOrder)):
            keys = sorted({key for _, of_kind, key in told if of_kind == kind})
            standing = _plates(await self._personal.find(store_id, kind, keys))
            for kept in await self._subjects.find_many(state, store_id, keys):
                plate, vin = standing.get(kept.key), getattr(kept.state, "vin", None)
                if plate is None:
                    continue  # the event that told it was retracted
                if vin is not None:
                    found[plate].append(Suggestion("vehicle", vin, "same-plate"))
                if kept.customer_no is not None:
                    found[plate].append(Suggestion("customer", kept.customer_no, "same-plate"))
        return found


def _plates(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    found = {key: known.get("plate") for key, known in fields.items()}
    return {key: plate for key, plate in found.items() if isinstance(plate, str)}
