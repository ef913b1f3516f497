"""A store in memory: takes facts in units, evolves, reacts, lets clocks fall due; all of it pure.

It does what the appender does, without a database, and checks two things after each unit: what
evolved step by step is what a fold of the whole log gives, and reacting once more wants nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import TypeVar
from zoneinfo import ZoneInfo

from app.domain.clocks import Clock, clocks_of
from app.domain.complaint import Complaint
from app.domain.events.catalog import CATALOG
from app.domain.events.envelope import OWN_SOURCE, Event, Kind
from app.domain.events.event_type import EventType
from app.domain.events.payload import Payload
from app.domain.events.readers import read_instant
from app.domain.events.repair_order import WORK_TYPES
from app.domain.events.retraction import EventRetracted
from app.domain.events.staff import StaffTimecardRecorded
from app.domain.fold import State, evolve, fold, is_in_order, is_service_event, new_state
from app.domain.follow_up import FollowUp
from app.domain.ids import own_event_id
from app.domain.links import owners_of, spelled_alike
from app.domain.policies import DEFAULT_POLICIES, Policies
from app.domain.reactions import (
    Cause,
    Wanted,
    overdue_events,
    planned_ids,
    react_complaint,
    react_follow_up,
    react_repair_order,
)
from app.domain.repair_order import RepairOrder
from app.domain.subject import decode, encode
from app.domain.vehicle import Ownership, Vehicle
from tests.support.histories import CloudEvent, History

SHANGHAI = ZoneInfo("Asia/Shanghai")
SOURCE = "/dms/test"

S = TypeVar("S", bound=State)
Key = tuple[Kind, str]

_TYPE_OF: dict[type[Payload], EventType] = {known.model: known for known in CATALOG.values()}
_numbers = count(1)


@dataclass(frozen=True)
class Fact:
    """Something that happened in the shop, as it is posted."""

    subject: str
    occurred_at: datetime
    payload: Payload
    source: str = SOURCE
    id: str = field(default_factory=lambda: f"e-{next(_numbers)}")


def local(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    """Read a local time such as `2024-03-01 16:00`, as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def tell(event_type: str, subject: str, at: datetime | str, **data: object) -> Fact:
    """A fact from the data of its event; a text is a local time in Shanghai."""
    moment = local(at) if isinstance(at, str) else at
    return Fact(subject, moment, CATALOG[event_type].model.model_validate(data))


def fact_of(event: CloudEvent) -> Fact:
    """An event as it is posted, taken in as the door would."""
    data = {name: value for name, value in event["data"].items() if value is not None}
    if data.get("work_type", "other") not in WORK_TYPES:
        data["work_type"] = "other"
    payload = CATALOG[event["type"]].model.model_validate(data)
    moment = read_instant(event["time"])
    return Fact(event["subject"], moment, payload, event["source"], event["id"])


def replayed(history: History) -> Simulator:
    """The store of a history of other tests, up to the moment at which they ask."""
    start = history.arrivals[0][1] if history.arrivals else history.now
    shop = Simulator(start, zone=ZoneInfo(history.zone), store_id=history.store_id)
    for recorded_at, unit in history.units():
        shop.advance(recorded_at)
        shop.post(*[fact_of(event) for event in unit])
    shop.advance(history.now)
    return shop


def retraction(of: Fact, *, at: datetime | None = None) -> Fact:
    """The fact that another one never happened."""
    payload = EventRetracted(source=of.source, id=of.id, reason="typing error")
    return Fact(of.subject, at or of.occurred_at, payload)


def event_of(fact: Fact, seq: int = 1, *, recorded_at: datetime | None = None) -> Event:
    """A fact that is no retraction, as it stands in the log."""
    known = _TYPE_OF[type(fact.payload)]
    assert known.kind is not None
    key = fact.subject
    if isinstance(fact.payload, StaffTimecardRecorded):
        key = f"{fact.subject}/{fact.payload.work_date}"
    return Event(
        store_id="SH01",
        seq=seq,
        source=fact.source,
        id=fact.id,
        type=known.name,
        kind=known.kind,
        key=key,
        subject=fact.subject,
        occurred_at=fact.occurred_at,
        recorded_at=recorded_at or fact.occurred_at,
        schema_version=1,
        payload=fact.payload,
    )


class Simulator:
    """One store with its log, its states and its time."""

    def __init__(
        self,
        now: datetime,
        *,
        zone: ZoneInfo = SHANGHAI,
        policies: Policies = DEFAULT_POLICIES,
        store_id: str = "SH01",
    ) -> None:
        self.now = now
        self.zone = zone
        self.policies = policies
        self.store_id = store_id
        self.log: list[Event] = []
        self.states: dict[Key, State] = {}
        self._events: dict[Key, list[Event]] = defaultdict(list)
        self._target: dict[tuple[str, str], Event] = {}
        self._waiting: dict[tuple[str, str], list[Fact]] = defaultdict(list)

    # -- asking

    def find(self, kind: type[S], key: str) -> S | None:
        """Find the state of a subject."""
        for state_key, state in self.states.items():
            if state_key[1] == key and isinstance(state, kind):
                return state
        return None

    def order(self, ro_number: str) -> RepairOrder:
        """Get the state of a repair order."""
        order = self.find(RepairOrder, ro_number)
        assert order is not None
        return order

    def call(self, ro_number: str, position: int = 1) -> FollowUp | None:
        """Find the first or the second call that the service plans for an order."""
        return self.find(FollowUp, planned_ids(self.store_id, ro_number)[position - 1])

    def first(self, ro_number: str = "R1") -> FollowUp:
        """Get the first call of an order."""
        call = self.call(ro_number, 1)
        assert call is not None
        return call

    def second(self, ro_number: str = "R1") -> FollowUp:
        """Get the second call of an order."""
        call = self.call(ro_number, 2)
        assert call is not None
        return call

    def own(self, *types: str) -> list[Event]:
        """List what the service wrote by itself, of some types or of all."""
        return [event for event in self.log if event.own and (not types or event.type in types)]

    # -- doing

    def post(self, *facts: Fact) -> list[int]:
        """Take facts in as one unit; answers their seqs.

        A retraction that comes before its target waits for it (A1).
        """
        unit: list[Event] = []
        for fact in facts:
            self._take(fact, unit)
        if unit:
            self._append(unit)
        return [event.seq for event in unit]

    def command(self, subject: str, payload: object) -> None:
        """Write what a command of the staff decided, as an event of the service's own."""
        assert isinstance(payload, Payload)
        self.post(Fact(subject, self.now, payload, OWN_SOURCE))

    def advance(self, to: datetime) -> None:
        """Let time pass, stopping at each moment at which a clock falls due."""
        while (moment := self._next_due()) is not None and moment <= to:
            self.now = max(self.now, moment)
            self.sweep()
        self.now = max(self.now, to)

    def sweep(self) -> None:
        """Breach what is due now."""
        for key in [key for key, clock in self._clocks() if clock.next_at <= self.now]:
            state = self.states[key]
            wanted = overdue_events(state, self.now, policies=self.policies, zone=self.zone)
            assert wanted, "a clock that runs and is due has something to say"
            self._append(self._written(wanted))

    # -- the machinery

    def _clocks(self) -> list[tuple[Key, Clock]]:
        return [
            (key, clock)
            for key, state in self.states.items()
            for clock in clocks_of(state, self.policies, self.zone)
            if clock.state == "running"
        ]

    def _next_due(self) -> datetime | None:
        return min((clock.next_at for _, clock in self._clocks()), default=None)

    def _take(self, fact: Fact, unit: list[Event]) -> None:
        seq = len(self.log) + len(unit) + 1
        if isinstance(fact.payload, EventRetracted):
            aim = fact.payload.source, fact.payload.id
            if aim not in self._target:
                self._waiting[aim].append(fact)
                return
            event = self._aimed(fact, self._target[aim], seq)
        else:
            event = event_of(fact, seq, recorded_at=self.now)
        self._target[event.source, event.id] = event
        unit.append(event)
        for waiting in self._waiting.pop((event.source, event.id), []):
            self._take(waiting, unit)

    def _aimed(self, fact: Fact, target: Event, seq: int) -> Event:
        return Event(
            store_id=self.store_id,
            seq=seq,
            source=fact.source,
            id=fact.id,
            type="event.retracted",
            kind=target.kind,
            key=target.key,
            subject=fact.subject,
            occurred_at=fact.occurred_at,
            recorded_at=self.now,
            schema_version=1,
            payload=fact.payload,
        )

    def _append(self, unit: list[Event]) -> None:
        touched: dict[Key, list[Event]] = defaultdict(list)
        for event in unit:
            self.log.append(event)
            touched[event.kind, event.key].append(event)
        orders = self._orders_of(touched)
        for key, events in touched.items():
            self._evolve(key, events)
        orders |= self._orders_of(touched)
        if wanted := self._react(orders, touched):
            self._append(self._written(wanted))
        assert not self._react(orders, touched), "what is wanted and already so is not wanted"

    def _evolve(self, key: Key, events: list[Event]) -> None:
        """Go on from the state as it was kept, or fold again."""
        self._events[key] += events
        folded = fold(*key, self._events[key])
        before = self.states.get(key)
        state = new_state(*key) if before is None else decode(type(before), encode(before))
        # a complaint that is gone may have left words of the service's own in the log
        in_order = before is not None or key[0] is not Kind.COMPLAINT
        for event in sorted(events, key=lambda event: (event.occurred_at, event.seq)):
            in_order = in_order and is_in_order(state, event)
            if in_order and not is_service_event(event):
                state = evolve(state, event)
        for event in events:
            if in_order and is_service_event(event):
                state = evolve(state, event)
        if in_order:
            assert state == folded, "to evolve is to fold"
        if folded is None:
            self.states.pop(key, None)
        else:
            self.states[key] = folded

    def _orders_of(self, touched: Iterable[Key]) -> set[str]:
        orders = set()
        for key in touched:
            state = self.states.get(key)
            if key[0] is Kind.REPAIR_ORDER:
                orders.add(key[1])
            elif key[0] is Kind.VEHICLE:
                orders |= {
                    order.ro_number
                    for order in self.states.values()
                    if isinstance(order, RepairOrder)
                    and spelled_alike(order.vin) == key[1].upper()
                }
            elif isinstance(state, FollowUp) and state.ro_number is not None:
                orders.add(state.ro_number)
        return orders

    def _react(self, orders: set[str], touched: Iterable[Key]) -> list[Wanted]:
        cause = Cause(self.log[-1].seq, self.log[-1].occurred_at)
        wanted: list[Wanted] = []
        for ro_number in sorted(orders):
            planned = planned_ids(self.store_id, ro_number)
            wanted += react_repair_order(
                ro_number,
                self.find(RepairOrder, ro_number),
                [
                    state
                    for state in self.states.values()
                    if isinstance(state, FollowUp)
                    and (state.ro_number == ro_number or state.follow_up_id in planned)
                ],
                store_id=self.store_id,
                policies=self.policies,
                zone=self.zone,
                recorded_at=self.now,
                cause=cause,
                owners=self._owners_of(ro_number),
            )
        for key in touched:
            state = self.states.get(key)
            if isinstance(state, FollowUp) and state.ro_number is None:
                wanted += react_follow_up(state, cause=cause)
            elif isinstance(state, Complaint):
                wanted += react_complaint(
                    state, policies=self.policies, zone=self.zone, cause=cause
                )
        return wanted

    def _owners_of(self, ro_number: str) -> Sequence[Ownership]:
        order = self.find(RepairOrder, ro_number)
        vin = None if order is None else spelled_alike(order.vin)
        return owners_of(
            [
                state
                for state in self.states.values()
                if isinstance(state, Vehicle) and spelled_alike(state.vin) == vin
            ]
        )

    def _written(self, wanted: list[Wanted]) -> list[Event]:
        events = [
            Event(
                store_id=self.store_id,
                seq=len(self.log) + 1 + position,
                source=OWN_SOURCE,
                id=own_event_id(want.subject, want.type, want.cause.seq),
                type=want.type,
                kind=want.kind,
                key=want.subject,
                subject=want.subject,
                occurred_at=want.cause.occurred_at,
                recorded_at=self.now,
                schema_version=1,
                payload=want.payload,
            )
            for position, want in enumerate(wanted)
        ]
        for event in events:
            assert (event.source, event.id) not in self._target, "an own event's id comes once"
            self._target[event.source, event.id] = event
        return events
