"""The states of one group of appends: read once, evolved in memory, written at the end.

An event gets its seq, its subject evolves (or is folded again, when something arrived out of order
or was retracted), what couples subjects reacts, until nothing is wanted any more. Clocks follow
from the states.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from app.db.event_log import EventLog, Head
from app.db.reach import ReachRepository
from app.db.state_rows import SubjectKey, clock_row, gone_row, mention_rows, state_row
from app.domain.clocks import clocks_of
from app.domain.complaint import Complaint
from app.domain.events.compose import make_own_event
from app.domain.events.envelope import Event, Kind, NewEvent
from app.domain.events.retraction import EventRetracted
from app.domain.fold import State, evolve, fold, is_in_order, is_service_event
from app.domain.follow_up import FollowUp
from app.domain.inference import bears_on_snapshots, tells_snapshots
from app.domain.inferred import inferred_events
from app.domain.mentions import Mentions, mentions_of
from app.domain.policies import Policies
from app.domain.reactions import (
    Cause,
    Wanted,
    planned_ids,
    react_complaint,
    react_follow_up,
    react_repair_order,
)
from app.domain.repair_order import RepairOrder
from app.domain.sightings import Sighting
from app.domain.stores import Store
from app.services.companions import companions_of
from app.services.group_links import GroupLinks
from app.services.quiet_snapshots import find_quiet

YIELD_EVERY: Final = 500
"""Events handled before other requests get a turn: a large batch must not block the loop."""

Identity = tuple[str, str, str]
"""(store_id, source, id) of an event."""

Document = dict[str, list[dict[str, Any]]]
"""Rows by table, as `append_group.sql` reads them; values are JSON."""


class GroupStates:
    """What one group knows of its stores and subjects; see the module's docstring.

    Attributes:
        heads: The ends of the streams, by store, as they are after the events so far.
        states: (version, state) by subject, likewise.
    """

    def __init__(
        self, log: EventLog, *, now: datetime, stores: Mapping[str, Store], policies: Policies
    ) -> None:
        self._log = log
        self._now = now
        self._stores = stores
        self._policies = policies
        self.heads: dict[str, Head] = {}
        self.states: dict[SubjectKey, tuple[int, State]] = {}
        self._expected: dict[str, tuple[int, int]] = {}
        self._asked: set[SubjectKey] = set()
        self._pending: dict[SubjectKey, list[Event]] = defaultdict(list)
        self._follow_ups: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._changed: set[SubjectKey] = set()
        self._gone: set[SubjectKey] = set()
        self._named: dict[SubjectKey, Mentions] = {}
        self._belonged: dict[SubjectKey, str | None] = {}
        self._detected: dict[SubjectKey, datetime] = {}
        self._event_rows: list[dict[str, Any]] = []
        self._asides: list[tuple[Event, bytes]] = []
        self._handled = 0
        self._links = GroupLinks(ReachRepository(log.connection), self.states)

    async def read(
        self,
        stores: Collection[str],
        identities: Sequence[Identity],
        subjects: Collection[SubjectKey],
    ) -> dict[Identity, tuple[int, bytes]]:
        """Read what the group begins with, in one round trip.

        Returns:
            (seq, content hash) of those identities that the log holds already.
        """
        read = await self._log.read_group(stores, identities, subjects)
        self.heads = read.heads
        self._expected = {
            store_id: (head.seq, head.waiting_retractions) for store_id, head in read.heads.items()
        }
        self._asked.update(subjects)
        self._take(read.states)
        return {identities[position]: known for position, known in read.identities.items()}

    async def load_more(self, subjects: Iterable[SubjectKey]) -> None:
        """Read subjects that turned out to be needed; those known already stay as they are."""
        missing = [subject for subject in subjects if subject not in self._asked]
        if missing:
            read = await self._log.read_group([], [], missing)
            self._asked.update(missing)
            self._take(read.states)

    def _take(self, states: Mapping[SubjectKey, tuple[int, State]]) -> None:
        for subject, entry in states.items():
            if subject not in self.states and subject not in self._gone:
                self.states[subject] = entry
                self._index(subject, entry[1])
                if named := mentions_of(entry[1]):
                    self._named[subject] = named
                if isinstance(entry[1], FollowUp | Complaint):
                    self._belonged[subject] = entry[1].customer_no

    def _index(self, subject: SubjectKey, state: State) -> None:
        if isinstance(state, FollowUp) and state.ro_number is not None:
            self._follow_ups[subject[0], state.ro_number].add(subject[2])
        else:
            self._links.index(subject, state)

    def adopt(self, subject: SubjectKey, version: int, state: State) -> None:
        """Take a state that was read elsewhere; one that is known already stays as it is."""
        self._take({subject: (version, state)})

    def zone_of(self, store_id: str) -> ZoneInfo:
        """Get the zone in which a store's days begin and end."""
        return self._stores[store_id].zone

    def entered(self, store_id: str) -> Iterator[Event]:
        """Give the events of this group that a store's stream got so far."""
        for (store, _, _), events in self._pending.items():
            if store == store_id:
                yield from events

    def entered_of(self, subject: SubjectKey) -> list[Event]:
        """Give the events of this group that are about a subject, so far."""
        return list(self._pending.get(subject, ()))

    def sightings(self, subject: SubjectKey) -> Sequence[Sighting]:
        """Give the snapshots of an order that stand."""
        entry = self.states.get(subject)
        return entry[1].sightings if entry and isinstance(entry[1], RepairOrder) else ()

    def touch(self, subject: SubjectKey, *, detected_at: datetime | None = None) -> None:
        """Have a subject's rows written though no event changed it; its clock was looked at."""
        self._changed.add(subject)
        if detected_at is not None:
            self._detected[subject] = detected_at

    async def append(self, store_id: str, new_events: Sequence[NewEvent]) -> None:
        """Give the events their seqs, let their subjects evolve, and react until all is so."""
        pending = list(new_events)
        while pending:
            touched: dict[tuple[Kind, str], list[Event]] = defaultdict(list)
            for new_event in pending:
                event = self._enter(store_id, new_event)
                touched[event.kind, event.key].append(event)
                self._handled += 1
                if self._handled % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
            causes = self._causes_of(store_id, touched)
            before = self._links.before(store_id, touched)
            await self._evolve(store_id, touched)
            relinked = await self._links.follow(store_id, touched, before, self.load_more)
            self._changed.update((store_id, *subject) for subject in relinked)
            causes = relinked | causes | self._causes_of(store_id, touched)
            pending = await self._react(store_id, causes)

    def _enter(self, store_id: str, new_event: NewEvent) -> Event:
        head = self.heads[store_id]
        head.seq += 1
        head.recorded_at = max(head.recorded_at, self._now)
        event = new_event.logged(head.seq, head.recorded_at)
        self._event_rows.append(
            {
                "store_id": store_id,
                "seq": event.seq,
                "source": event.source,
                "event_id": event.id,
                "type": event.type,
                "kind": event.kind,
                "key": event.key,
                "subject": event.subject,
                "occurred_at": event.occurred_at,
                "recorded_at": event.recorded_at,
                "schema_version": event.schema_version,
                "correlation_id": new_event.correlation_id,
                "causation_id": new_event.causation_id,
                "data": orjson.Fragment(new_event.data),
                "content_hash": _hex(new_event.content_hash),
            }
        )
        if new_event.aside is not None:
            self._asides.append((event, new_event.aside))
        self._pending[store_id, event.kind, event.key].append(event)
        return event

    async def _evolve(
        self, store_id: str, touched: Mapping[tuple[Kind, str], list[Event]]
    ) -> None:
        """Bring the touched states up to date; those that can't just go on are folded again.

        What the snapshots of an order imply is a matter of all its events, so it is folded again.
        """
        again: list[tuple[Kind, str]] = []
        quiet = await find_quiet(
            self._log, store_id, touched, self.sightings, self.entered(store_id)
        )
        for (kind, key), events in touched.items():
            subject = (store_id, kind, key)
            entry = self.states.get(subject)
            if entry is None:
                # a complaint that is gone may have left words of ours in the log
                if kind is Kind.COMPLAINT or any(
                    type(event.payload) is EventRetracted for event in events
                ):
                    again.append((kind, key))
                else:
                    self._fold(subject, list(events))
                continue
            state = entry[1]
            if (
                kind is Kind.REPAIR_ORDER
                and subject not in quiet
                and (
                    tells_snapshots(events)
                    or (self.sightings(subject) and bears_on_snapshots(events))
                )
            ):
                again.append((kind, key))
                continue
            for event in sorted(events, key=_fold_order):
                if not is_in_order(state, event):
                    again.append((kind, key))
                    break
                state = evolve(state, event)
            else:
                self._put(subject, events[-1].seq, state)
        if again:
            logged = await self._log.read_subjects(store_id, again)
            for kind, key in again:
                subject = (store_id, kind, key)
                self._fold(subject, logged[kind, key] + self._pending[subject])

    def _fold(self, subject: SubjectKey, events: list[Event]) -> None:
        """Fold a subject from all its events, once what its snapshots imply is among them."""
        store_id, kind, key = subject
        if kind is Kind.REPAIR_ORDER and tells_snapshots(events):
            events += [self._enter(store_id, new_event) for new_event in inferred_events(events)]
        self._put(subject, events[-1].seq, fold(kind, key, events))

    def _put(self, subject: SubjectKey, version: int, state: State | None) -> None:
        self._changed.add(subject)
        if state is None:
            self.states.pop(subject, None)
            self._gone.add(subject)
        else:
            self._gone.discard(subject)
            self.states[subject] = (version, state)
            self._index(subject, state)

    def _causes_of(
        self, store_id: str, touched: Mapping[tuple[Kind, str], list[Event]]
    ) -> dict[tuple[Kind, str], Cause]:
        """Name what is to react to the touched subjects, each with the last event that touched it.

        A follow-up's order reacts for it; one that is joined to no order, and a complaint, react
        for themselves; nothing else reacts.
        """
        causes: dict[tuple[Kind, str], Cause] = {}
        for (kind, key), events in touched.items():
            reacting = (kind, key)
            if kind is Kind.FOLLOW_UP:
                entry = self.states.get((store_id, kind, key))
                state = None if entry is None else entry[1]
                if isinstance(state, FollowUp) and state.ro_number is not None:
                    reacting = (Kind.REPAIR_ORDER, state.ro_number)
            elif kind not in {Kind.REPAIR_ORDER, Kind.COMPLAINT}:
                continue
            last = events[-1]
            known = causes.get(reacting)
            if known is None or known.seq < last.seq:
                causes[reacting] = Cause(last.seq, last.occurred_at)
        return causes

    async def _react(
        self, store_id: str, causes: Mapping[tuple[Kind, str], Cause]
    ) -> list[NewEvent]:
        """Ask what the touched orders, follow-ups and complaints want now."""
        await self._links.load_vehicles(store_id, causes, self.load_more)
        causes = {
            reacting: cause
            for reacting, cause in causes.items()
            if self._may_want(store_id, *reacting)
        }
        await self.load_more(
            [
                (store_id, kind, key)
                for reacting in causes
                for kind, key in companions_of(store_id, *reacting)
            ]
        )
        await self._links.load_vehicles(store_id, causes, self.load_more)
        zone = self.zone_of(store_id)
        wanted: list[Wanted] = []
        for (kind, key), cause in causes.items():
            entry = self.states.get((store_id, kind, key))
            state = None if entry is None else entry[1]
            match kind, state:
                case Kind.REPAIR_ORDER, RepairOrder() | None:
                    wanted += react_repair_order(
                        key,
                        state,
                        self._calls_of(store_id, key),
                        store_id=store_id,
                        policies=self._policies,
                        zone=zone,
                        recorded_at=self.heads[store_id].recorded_at,
                        cause=cause,
                        owners=self._links.owners_of(store_id, state),
                    )
                case Kind.FOLLOW_UP, FollowUp():
                    wanted += react_follow_up(state, cause=cause)
                case Kind.COMPLAINT, Complaint():
                    wanted += react_complaint(
                        state, policies=self._policies, zone=zone, cause=cause
                    )
                case _:
                    pass
        return [own_event(store_id, want) for want in wanted]

    def _may_want(self, store_id: str, kind: Kind, key: str) -> bool:
        """Spare the orders that neither left the shop nor have a call: they want nothing."""
        if kind is not Kind.REPAIR_ORDER or self._follow_ups.get((store_id, key)):
            return True
        entry = self.states.get((store_id, kind, key))
        order = None if entry is None else entry[1]
        return not isinstance(order, RepairOrder) or bool(order.handovers or order.settlements)

    def _calls_of(self, store_id: str, ro_number: str) -> list[FollowUp]:
        """List the follow-ups that are joined to an order, and those planned for it."""
        planned = set(planned_ids(store_id, ro_number))
        joined = self._follow_ups.get((store_id, ro_number), set())
        states = {
            key: self.states[store_id, Kind.FOLLOW_UP, key][1]
            for key in sorted(planned | joined)
            if (store_id, Kind.FOLLOW_UP, key) in self.states
        }
        return [
            state
            for key, state in states.items()
            if isinstance(state, FollowUp) and (key in planned or state.ro_number == ro_number)
        ]

    def document(self) -> Document:
        """Write events, states and clocks as rows, by table."""
        document: Document = defaultdict(list)
        if self._event_rows:
            document["event"] = self._event_rows
        for event, aside in self._asides:
            document["personal"].append(
                {
                    "store_id": event.store_id,
                    "seq": event.seq,
                    "kind": event.kind,
                    "key": event.key,
                    "customer_no": self._customer_of(event),
                    "fields": orjson.Fragment(aside),
                }
            )
        for subject in sorted(self._changed):
            entry = self.states.get(subject)
            self._add_mentions(document, subject, None if entry is None else entry[1])
            if entry is None:
                document["gone"].append(gone_row(subject))
                document["clockless"].append(gone_row(subject))
                continue
            zone = self.zone_of(subject[0])
            row = state_row(subject, *entry, policies=self._policies, zone=zone)
            if isinstance(entry[1], RepairOrder):
                row["customer_no"] = self._links.customer_of(subject[0], entry[1])
            document[subject[1].value].append(row)
            self._add_clocks(document, subject, entry[1])
        for table, rows in (
            ("relinked", [*self._links.relinked_rows(), *self._moved_rows()]),
            ("survivor", [*self._links.survivor_rows()]),
        ):
            if rows:
                document[table] = rows
        return document

    def head_rows(self, written: Collection[str]) -> list[dict[str, Any]]:
        """Write the heads of the stores that are written to, to be moved on from as read."""
        return [
            {
                "store_id": store_id,
                "expected": self._expected[store_id][0],
                "expected_waiting": self._expected[store_id][1],
                "seq": head.seq,
                "recorded_at": head.recorded_at,
                "waiting_retractions": head.waiting_retractions,
            }
            for store_id, head in self.heads.items()
            if store_id in written
        ]

    def _moved_rows(self) -> Iterator[dict[str, Any]]:
        """Name the calls and complaints that are another customer's than they were (A19)."""
        for subject, belonged in self._belonged.items():
            entry = self.states.get(subject)
            customer_no = getattr(entry[1], "customer_no", None) if entry else belonged
            if customer_no != belonged:
                yield {**gone_row(subject), "customer_no": customer_no}

    def _add_mentions(self, document: Document, subject: SubjectKey, state: State | None) -> None:
        """Write whom a subject names by surrogate, where that is news."""
        before, named = self._named.get(subject, {}), mentions_of(state)
        if named != before:
            if before:
                document["unnamed"].append(gone_row(subject))
            if named:
                document["staff_mention"] += mention_rows(subject, named)

    def _add_clocks(self, document: Document, subject: SubjectKey, state: State) -> None:
        if isinstance(state, FollowUp | Complaint):
            clocks = clocks_of(state, self._policies, self.zone_of(subject[0]))
            if not clocks:
                document["clockless"].append(gone_row(subject))
            document["clock"] += [
                clock_row(subject, clock, self._detected.get(subject)) for clock in clocks
            ]

    def _customer_of(self, event: Event) -> str | None:
        """Name the customer whom an event's personal fields belong to, as far as known (A19)."""
        if event.kind is Kind.CUSTOMER:
            return event.key
        entry = self.states.get((event.store_id, event.kind, event.key))
        if entry is not None and isinstance(entry[1], RepairOrder):
            return self._links.customer_of(event.store_id, entry[1])
        customer_no = None if entry is None else getattr(entry[1], "customer_no", None)
        return customer_no if isinstance(customer_no, str) else None


def own_event(store_id: str, wanted: Wanted) -> NewEvent:
    """Make the event that a reaction or a sweep wants."""
    return make_own_event(
        store_id=store_id,
        event_type=wanted.type,
        subject=wanted.subject,
        occurred_at=wanted.cause.occurred_at,
        payload=wanted.payload,
        cause_seq=wanted.cause.seq,
    )


def _fold_order(event: Event) -> tuple[bool, datetime, int]:
    """Facts in the order in which they happened, then the service's own events by seq."""
    if is_service_event(event):
        return True, event.recorded_at, event.seq
    return False, event.occurred_at, event.seq


def _hex(value: bytes) -> str:
    """Write bytes as JSON text that PostgreSQL reads as bytea."""
    return "\\x" + value.hex()
