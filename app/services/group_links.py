"""What one group of appends must know of how files hang together.

Whose a vehicle was decides whose the orders are that name no customer, and a merger decides under
which number others count. So news of a vehicle or of a customer reach subjects that no event of
the group is about; those are read here, in a query per append, and only where owners or mergers
did change.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

from app.db.reach import ReachRepository
from app.db.state_rows import SubjectKey
from app.domain.customer import Customer
from app.domain.events.envelope import Event, Kind
from app.domain.events.retraction import EventRetracted
from app.domain.fold import State
from app.domain.links import customer_of, on_file, owners_of, surviving_no
from app.domain.reactions import Cause
from app.domain.repair_order import RepairOrder
from app.domain.vehicle import Ownership, Vehicle

Touched = Mapping[tuple[Kind, str], Sequence[Event]]
Load = Callable[[Iterable[SubjectKey]], Awaitable[None]]


class Before:
    """What the touched files said before the events of an append."""

    def __init__(self) -> None:
        self.owners: dict[str, Sequence[Ownership]] = {}
        self.merged: dict[str, tuple[object, ...]] = {}
        self.orders: dict[str, tuple[object, ...]] = {}


class GroupLinks:
    """Links between the subjects of one group; see the module's docstring.

    Args:
        reach: To look further.
        states: (version, state) by subject, as the group has them; it changes under our hands.

    What reads subjects that the group doesn't have yet is handed to each call (`load`): if it was
    kept, the group would hold itself, and all of it would wait for a collection of garbage.
    """

    def __init__(
        self,
        reach: ReachRepository,
        states: Mapping[SubjectKey, tuple[int, State]],
    ) -> None:
        self._reach = reach
        self._states = states
        self._vehicles: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._unnamed: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._families: set[SubjectKey] = set()
        self._relinked: set[SubjectKey] = set()

    def index(self, subject: SubjectKey, state: State) -> None:
        """Note vehicles, and orders that may be their owners', by their VIN."""
        store_id, _, key = subject
        if isinstance(state, Vehicle):
            self._vehicles[store_id, key.upper()].add(key)
        elif isinstance(state, RepairOrder) and (vin := _unnamed_vin(state)) is not None:
            self._unnamed[store_id, vin].add(key)

    def before(self, store_id: str, touched: Touched) -> Before:
        """Note what the touched files say now; to be called before they evolve."""
        before = Before()
        for (kind, key), events in touched.items():
            entry = self._states.get((store_id, kind, key))
            state = None if entry is None else entry[1]
            if kind is Kind.VEHICLE:
                vin = key.upper()
                before.owners[vin] = [*self._owners(store_id, vin)]
            elif kind is Kind.CUSTOMER:
                before.merged[key] = _merger(state)
            elif kind is Kind.REPAIR_ORDER and (state is not None or _take_back(events)):
                before.orders[key] = _says_whose(self._order(store_id, key))
        return before

    async def follow(
        self, store_id: str, touched: Touched, before: Before, load: Load
    ) -> dict[tuple[Kind, str], Cause]:
        """Read what hangs on the touched files, once they have evolved.

        Returns:
            The orders that are another customer's now, each with the event that made it so.
        """
        await self._read_families(store_id, before.merged, load)
        self._relinked.update(
            (store_id, Kind.REPAIR_ORDER, ro_number)
            for ro_number, was in before.orders.items()
            if _says_whose(self._order(store_id, ro_number)) != was
        )
        changed = {
            vin: owners
            for vin, owners in before.owners.items()
            if [*self._owners(store_id, vin)] != owners
        }
        if not changed:
            return {}
        found = set(await self._reach.list_orders_without_customer(store_id, list(changed)))
        found.update(*(self._unnamed.get((store_id, vin), ()) for vin in changed))
        await load([(store_id, Kind.REPAIR_ORDER, ro_number) for ro_number in found])
        causes: dict[tuple[Kind, str], Cause] = {}
        for ro_number in sorted(found):
            order = self._order(store_id, ro_number)
            vin = None if order is None else _unnamed_vin(order)
            if order is None or vin not in changed:
                continue
            if self.customer_of(store_id, order) != customer_of(order, changed[vin]):
                causes[Kind.REPAIR_ORDER, ro_number] = _cause(touched, vin)
                self._relinked.add((store_id, Kind.REPAIR_ORDER, ro_number))
        return causes

    async def load_vehicles(
        self, store_id: str, orders: Iterable[tuple[Kind, str]], load: Load
    ) -> None:
        """Read the vehicles of those orders that name no customer; nothing for the others."""
        vehicles: list[SubjectKey] = []
        for kind, key in orders:
            order = self._order(store_id, key) if kind is Kind.REPAIR_ORDER else None
            if order is not None and (vin := _unnamed_vin(order)) is not None:
                vehicles.append((store_id, Kind.VEHICLE, vin))
        if vehicles:
            await load(vehicles)

    def owners_of(self, store_id: str, order: RepairOrder | None) -> Sequence[Ownership]:
        """List who owned the vehicle of an order that names no customer, once it was read."""
        vin = None if order is None else _unnamed_vin(order)
        return () if vin is None else self._owners(store_id, vin)

    def customer_of(self, store_id: str, order: RepairOrder) -> str | None:
        """Name the customer of an order whose vehicle was read."""
        return customer_of(order, self.owners_of(store_id, order))

    def relinked_rows(self) -> Iterator[dict[str, Any]]:
        """Name the orders whose personal fields may be another customer's now (A19)."""
        for subject in sorted(self._relinked):
            store_id, kind, key = subject
            order = self._order(store_id, key)
            customer_no = None if order is None else self.customer_of(store_id, order)
            yield {"store_id": store_id, "kind": kind, "key": key, "customer_no": customer_no}

    def survivor_rows(self) -> Iterator[dict[str, Any]]:
        """Say under which number each customer counts whom a merger of this group may concern."""
        files: dict[str, dict[str, Customer]] = defaultdict(dict)
        for store_id, kind, key in self._families:
            entry = self._states.get((store_id, kind, key))
            if entry is not None and isinstance(entry[1], Customer):
                files[store_id][key] = entry[1]
        for store_id, of_store in files.items():
            for customer_no in sorted(of_store):
                counts = surviving_no(customer_no, of_store)
                yield {
                    "store_id": store_id,
                    "customer_no": customer_no,
                    "surviving_no": None if counts == customer_no else counts,
                }

    async def _read_families(
        self, store_id: str, merged: Mapping[str, tuple[object, ...]], load: Load
    ) -> None:
        """Read all that is merged with customers whose merger changed, so that none is missed."""
        numbers: set[str] = set()
        for customer_no, was in merged.items():
            entry = self._states.get((store_id, Kind.CUSTOMER, customer_no))
            state = None if entry is None else entry[1]
            if _merger(state) != was:
                numbers.add(customer_no)
                if isinstance(state, Customer) and state.merged_into is not None:
                    numbers.add(state.merged_into)
        if not numbers:
            return
        numbers.update(await self._reach.list_merged_with(store_id, sorted(numbers)))
        family = [(store_id, Kind.CUSTOMER, customer_no) for customer_no in sorted(numbers)]
        await load(family)
        self._families.update(family)

    def _order(self, store_id: str, ro_number: str) -> RepairOrder | None:
        entry = self._states.get((store_id, Kind.REPAIR_ORDER, ro_number))
        return entry[1] if entry is not None and isinstance(entry[1], RepairOrder) else None

    def _owners(self, store_id: str, vin: str) -> Sequence[Ownership]:
        entries = (
            self._states.get((store_id, Kind.VEHICLE, key))
            for key in self._vehicles.get((store_id, vin), ())
        )
        states = (entry[1] for entry in entries if entry is not None)
        return owners_of([state for state in states if isinstance(state, Vehicle)])


def _cause(touched: Touched, vin: str) -> Cause:
    """The last event that touched a vehicle, under whatever spelling."""
    last = max(
        (
            events[-1]
            for (kind, key), events in touched.items()
            if kind is Kind.VEHICLE and key.upper() == vin
        ),
        key=attrgetter("seq"),
    )
    return Cause(last.seq, last.occurred_at)


def _take_back(events: Sequence[Event]) -> bool:
    return any(isinstance(event.payload, EventRetracted) for event in events)


def _says_whose(order: RepairOrder | None) -> tuple[object, ...]:
    """What whose an order is hangs on, as far as it is told by the order itself."""
    if order is None:
        return ()
    return order.customer_no, order.vin, order.visited_at


def _unnamed_vin(order: RepairOrder) -> str | None:
    """The VIN of an order that names no customer; None for the others."""
    return None if order.customer_no is not None else on_file(order.vin)


def _merger(state: State | None) -> tuple[object, ...]:
    if not isinstance(state, Customer) or state.merged_into is None:
        return ()
    return state.merged_into, state.merged_at, state.merged_seq
