"""What one group of appends must know of how files hang together.

Whose a vehicle was decides whose the orders are that name no customer, and a merger decides under
which number others count. So news of a vehicle or of a customer reach subjects that no event of
the group is about; those are read here, in a query per append, and only where owners or mergers
did change.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from app.db.event_log import EventLog
from app.db.state_rows import SubjectKey
from app.domain.customer import Customer
from app.domain.events.envelope import Event, Kind
from app.domain.events.repair_order import RepairOrderLinked, RepairOrderOpened
from app.domain.events.retraction import EventRetracted
from app.domain.fold import State
from app.domain.links import customer_of, on_file, owners_of, surviving_no
from app.domain.reactions import Cause
from app.domain.repair_order import RepairOrder
from app.domain.vehicle import Ownership, Vehicle

Touched = Mapping[tuple[Kind, str], Sequence[Event]]

_LINKING: Final = (RepairOrderOpened, RepairOrderLinked, EventRetracted)
"""Events after which an order may be another customer's."""


class Before:
    """What the touched files said before the events of an append."""

    def __init__(self) -> None:
        self.owners: dict[str, Sequence[Ownership]] = {}
        self.merged: dict[str, tuple[object, ...]] = {}


class GroupLinks:
    """Links between the subjects of one group; see the module's docstring.

    Args:
        log: To look further.
        states: (version, state) by subject, as the group has them; it changes under our hands.
        load: Reads subjects that the group doesn't have yet.
    """

    def __init__(
        self,
        log: EventLog,
        states: Mapping[SubjectKey, tuple[int, State]],
        load: Callable[[Iterable[SubjectKey]], Awaitable[None]],
    ) -> None:
        self._log = log
        self._states = states
        self._load = load
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
            elif kind is Kind.REPAIR_ORDER and _may_relink(state, events):
                self._relinked.add((store_id, kind, key))
        return before

    async def follow(
        self, store_id: str, touched: Touched, before: Before
    ) -> dict[tuple[Kind, str], Cause]:
        """Read what hangs on the touched files, once they have evolved.

        Returns:
            The orders that are another customer's now, each with the event that made it so.
        """
        await self._read_families(store_id, before.merged)
        changed = {
            vin: owners
            for vin, owners in before.owners.items()
            if [*self._owners(store_id, vin)] != owners
        }
        if not changed:
            return {}
        found = set(await self._log.list_orders_without_customer(store_id, list(changed)))
        found.update(*(self._unnamed.get((store_id, vin), ()) for vin in changed))
        last = {key.upper(): events[-1] for (_, key), events in touched.items()}
        subjects = [(store_id, Kind.REPAIR_ORDER, ro_number) for ro_number in sorted(found)]
        await self._load(subjects)
        causes: dict[tuple[Kind, str], Cause] = {}
        for subject in subjects:
            entry = self._states.get(subject)
            order = None if entry is None else entry[1]
            if not isinstance(order, RepairOrder):
                continue
            vin = _unnamed_vin(order)
            if vin not in changed:
                continue
            if self.customer_of(store_id, order) != customer_of(order, changed[vin]):
                cause = last[vin]
                causes[Kind.REPAIR_ORDER, subject[2]] = Cause(cause.seq, cause.occurred_at)
                self._relinked.add(subject)
        return causes

    async def load_vehicles(self, store_id: str, orders: Iterable[tuple[Kind, str]]) -> None:
        """Read the vehicles of those orders that name no customer; nothing for the others."""
        vehicles: list[SubjectKey] = []
        for kind, key in orders:
            entry = self._states.get((store_id, kind, key))
            order = None if entry is None else entry[1]
            if isinstance(order, RepairOrder) and (vin := _unnamed_vin(order)) is not None:
                vehicles.append((store_id, Kind.VEHICLE, vin))
        if vehicles:
            await self._load(vehicles)

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
            entry = self._states.get(subject)
            order = None if entry is None else entry[1]
            customer_no = None
            if isinstance(order, RepairOrder):
                customer_no = self.customer_of(store_id, order)
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
        self, store_id: str, merged: Mapping[str, tuple[object, ...]]
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
        numbers.update(await self._log.list_merged_with(store_id, sorted(numbers)))
        family = [(store_id, Kind.CUSTOMER, customer_no) for customer_no in sorted(numbers)]
        await self._load(family)
        self._families.update(family)

    def _owners(self, store_id: str, vin: str) -> Sequence[Ownership]:
        entries = (
            self._states.get((store_id, Kind.VEHICLE, key))
            for key in self._vehicles.get((store_id, vin), ())
        )
        states = (entry[1] for entry in entries if entry is not None)
        return owners_of([state for state in states if isinstance(state, Vehicle)])


def _may_relink(order: State | None, events: Sequence[Event]) -> bool:
    """Whether what is known of an order already may be another customer's after these events.

    While it was never opened, each of them may say that it was here at another time.
    """
    linking = [event.payload for event in events if isinstance(event.payload, _LINKING)]
    if isinstance(order, RepairOrder):
        return bool(linking) or order.first_opened_at is None
    return any(isinstance(payload, EventRetracted) for payload in linking)


def _unnamed_vin(order: RepairOrder) -> str | None:
    """The VIN of an order that names no customer; None for the others."""
    return None if order.customer_no is not None else on_file(order.vin)


def _merger(state: State | None) -> tuple[object, ...]:
    if not isinstance(state, Customer) or state.merged_into is None:
        return ()
    return state.merged_into, state.merged_at, state.merged_seq
