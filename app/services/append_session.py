"""One group of appends in memory: what was read, what the units decided, what is to be written.

The order of things for each unit (design, section 2): identities are compared, events get their
seqs, the touched subjects evolve (or fold again, when something arrived out of order or was
retracted), what couples subjects reacts, and clocks follow from the states. Nothing is written
before the whole group is decided.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import orjson
import structlog

from app.db.event_log import DueClock, EventLog, Head, Target
from app.db.quarantine import QuarantineRow, add_row, quarantine_row
from app.db.state_rows import SubjectKey, clock_row, gone_row, state_row
from app.domain.clocks import clocks_of
from app.domain.complaint import Complaint
from app.domain.errors import Fault, IdempotencyConflictError, NotFoundError
from app.domain.events.catalog import SUBJECTS
from app.domain.events.compose import make_own_event
from app.domain.events.envelope import OWN_SOURCE, Event, Kind, NewEvent, Reason, Rejected
from app.domain.events.follow_up import FollowUpCompleted, FollowUpScheduled
from app.domain.events.item import Item
from app.domain.events.repair_order import RepairOrderDelivered, RepairOrderSettled
from app.domain.events.retraction import EventRetracted
from app.domain.fold import State, evolve, fold, is_in_order, is_service_event
from app.domain.follow_up import FollowUp
from app.domain.policies import Policies
from app.domain.quarantine import QuarantineState
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
from app.domain.stores import Store
from app.services.units import (
    Accepted,
    Answer,
    Command,
    CommandContext,
    Duplicate,
    Facts,
    Idempotency,
    Quarantined,
    Reparse,
    Sweep,
    Unit,
)

logger = structlog.get_logger(__name__)

YIELD_EVERY = 500
"""Events handled before other requests get a turn: a large batch must not block the loop."""

PUSH_FAILED_CLOCK_BY = timedelta(minutes=5)


class AppendSession:
    """The work of one group; see the module's docstring."""

    def __init__(
        self,
        log: EventLog,
        *,
        now: datetime,
        stores: Mapping[str, Store],
        policies: Policies,
        reparse: Reparse,
    ) -> None:
        self._log = log
        self._now = now
        self._stores = stores
        self._policies = policies
        self._reparse = reparse
        self.states: dict[SubjectKey, tuple[int, State]] = {}
        self._heads: dict[str, Head] = {}
        self._expected: dict[str, tuple[int, int]] = {}
        self._identities: dict[tuple[str, str, str], tuple[int, bytes]] = {}
        self._asked: set[SubjectKey] = set()
        self._pending: dict[SubjectKey, list[Event]] = defaultdict(list)
        self._follow_ups: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._changed: set[SubjectKey] = set()
        self._gone: set[SubjectKey] = set()
        self._detected: dict[SubjectKey, datetime] = {}
        self._event_rows: list[dict[str, Any]] = []
        self._asides: list[tuple[Event, bytes]] = []
        self._quarantined: dict[tuple[str, bytes], QuarantineRow] = {}
        self._unplaced: list[Quarantined] = []
        self._early: dict[tuple[str, str, str], dict[str, Item]] = defaultdict(dict)
        self._resolved: dict[tuple[str, str], dict[str, Any]] = {}
        self._answers: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._handled = 0

    # ---- reading

    async def load(self, units: Sequence[Unit]) -> None:
        """Read what the units need, in one round trip."""
        identities: list[tuple[str, str, str]] = []
        subjects: set[SubjectKey] = set()
        for unit in units:
            if isinstance(unit, Facts):
                identities += [(unit.store_id, event.source, event.id) for event in unit.events]
                subjects |= _subjects_of(unit.events)
            elif isinstance(unit, Command):
                subjects.update((unit.store_id, kind, key) for kind, key in unit.reads)
        read = await self._log.read_group({unit.store_id for unit in units}, identities, subjects)
        self._heads = read.heads
        self._expected = {
            store_id: (head.seq, head.waiting_retractions) for store_id, head in read.heads.items()
        }
        for position, known in read.identities.items():
            self._identities[identities[position]] = known
        self._asked |= subjects
        self._take(read.states)

    async def _load_more(self, subjects: Iterable[SubjectKey]) -> None:
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

    def _index(self, subject: SubjectKey, state: State) -> None:
        if isinstance(state, FollowUp) and state.ro_number is not None:
            self._follow_ups[subject[0], state.ro_number].add(subject[2])

    # ---- units

    async def run(self, unit: Unit) -> None:
        """Decide one unit.

        Raises:
            DomainError: A command was refused; the group goes on without it.
        """
        if unit.store_id not in self._heads:
            message = f"There is no store {unit.store_id}."
            raise NotFoundError(message)
        if isinstance(unit, Facts):
            await self._run_facts(unit)
        elif isinstance(unit, Command):
            await self._run_command(unit)
        else:
            await self._run_sweep(unit)

    async def _run_facts(self, unit: Facts) -> None:
        """Take in the unit, and with it the retractions that waited for its events (A1).

        All of it enters before anything reacts: what is retracted at once moves nothing.
        """
        head = self._heads[unit.store_id]
        accepted: list[NewEvent] = []
        newest = await self._take_in(unit, accepted)
        while newest and head.waiting_retractions:
            newest = await self._take_in(await self._waiting_for(unit.store_id, newest), accepted)
        # what a retracted event was joined to is to react to its going
        await self._load_more(
            [
                (unit.store_id, event.kind, event.key)
                for event in accepted
                if type(event.payload) is EventRetracted
            ]
        )
        await self._append(unit.store_id, accepted)
        if accepted and head.waiting_retractions:
            await self._count_waiting(unit.store_id)

    async def _take_in(self, unit: Facts, accepted: list[NewEvent]) -> list[NewEvent]:
        """Decide what becomes of each event; add to `accepted` what gets a seq, and return it."""
        unit.outcomes = []
        targets = await self._find_targets(unit, accepted)
        before = len(accepted)
        seq = self._heads[unit.store_id].seq + before
        for position, event in enumerate(unit.events):
            identity = (unit.store_id, event.source, event.id)
            known = self._identities.get(identity)
            if known is not None and known[1] == event.content_hash:
                unit.outcomes.append(Duplicate(known[0]))
                self._resolve(unit, position, known[0])
                continue
            if type(event.payload) is FollowUpScheduled and self._is_ours(event):
                self._refuse(unit, position, Reason.INVALID_DATA, _OURS)
                continue
            if known is not None:
                self._refuse(unit, position, Reason.IDENTITY_CONFLICT, _conflict(known[0]))
                continue
            if targets is not None:
                refusal = _aim(event, targets)
                if refusal is not None:
                    self._refuse(unit, position, *refusal)
                    continue
                targets[event.source, event.id] = _target(event)
            seq += 1
            self._identities[identity] = (seq, event.content_hash)
            accepted.append(event)
            unit.outcomes.append(Accepted(seq))
            self._resolve(unit, position, seq)
        return accepted[before:]

    async def _run_command(self, unit: Command) -> None:
        kept = unit.idempotency
        if kept is not None:
            unit.answer = await self._find_answer(unit.store_id, kept)
            if unit.answer is not None:
                return
        context = CommandContext(self.states, self._stores[unit.store_id], self._now)
        await self._append(unit.store_id, unit.decide(context))
        unit.answer = unit.render(context)
        if kept is not None:
            self._answers[unit.store_id, kept.key, kept.principal] = {
                "store_id": unit.store_id,
                "key": kept.key,
                "principal": kept.principal,
                "request_hash": _hex(kept.request_hash),
                "status": unit.answer.status,
                "headers": {},
                "body": _hex(unit.answer.body),
                "created_at": self._now,
            }

    async def _find_answer(self, store_id: str, kept: Idempotency) -> Answer | None:
        """Find what was answered under a key, be it to a unit of this very group.

        Raises:
            IdempotencyConflictError: The key stands for another request.
        """
        row = self._answers.get((store_id, kept.key, kept.principal))
        if row is None:
            answered = await self._log.find_answer(store_id, kept.key, kept.principal)
        else:
            answered = _unhex(row["request_hash"]), row["status"], _unhex(row["body"])
        if answered is None:
            return None
        request_hash, status, body = answered
        if request_hash != kept.request_hash:
            raise IdempotencyConflictError(kept.key)
        return Answer(status, body)

    async def _run_sweep(self, unit: Sweep) -> None:
        unit.breached = unit.failed = 0
        due = await self._log.list_due_clocks(unit.store_id, self._now, unit.limit)
        unit.seen = due
        await self._load_more([(unit.store_id, clock.kind, clock.key) for clock in due])
        for clock in due:
            subject = (unit.store_id, clock.kind, clock.key)
            try:
                wanted = self._breach(unit.store_id, clock)
                if not wanted and self._runs_still(subject):
                    message = "its moment has come, but its state says nothing of it"
                    raise RuntimeError(message)  # noqa: TRY301 - a clock that can't be evaluated
            except Exception as error:
                logger.exception(
                    "a clock failed to evaluate", store_id=unit.store_id, clock=clock.key
                )
                await self._log.push_clock(
                    unit.store_id,
                    clock,
                    next_at=self._now + PUSH_FAILED_CLOCK_BY,
                    error=f"{type(error).__name__}: {error}",
                )
                unit.failed += 1
                continue
            self._changed.add(subject)
            if wanted:
                self._detected[subject] = self._now
                await self._append(unit.store_id, wanted)
                unit.breached += len(wanted)

    def _runs_still(self, subject: SubjectKey) -> bool:
        """Whether the state says of a clock that it runs and is due."""
        entry = self.states.get(subject)
        return entry is not None and any(
            clock.state == "running" and clock.next_at <= self._now
            for clock in clocks_of(entry[1], self._policies, self._stores[subject[0]].zone)
        )

    def _breach(self, store_id: str, clock: DueClock) -> list[NewEvent]:
        entry = self.states.get((store_id, clock.kind, clock.key))
        if entry is None:
            return []
        return [
            _own_event(store_id, wanted)
            for wanted in overdue_events(
                entry[1],
                self._now,
                policies=self._policies,
                zone=self._stores[store_id].zone,
            )
        ]

    # ---- retractions

    async def _find_targets(
        self, unit: Facts, accepted: Iterable[NewEvent]
    ) -> dict[tuple[str, str], Target] | None:
        """Find what the unit's retractions name in the log and in this group; None without any."""
        named = [
            (event.payload.source, event.payload.id)
            for event in unit.events
            if type(event.payload) is EventRetracted
        ]
        if not named:
            return None
        targets = await self._log.find_targets(unit.store_id, named)
        for (store_id, _, _), events in self._pending.items():
            if store_id == unit.store_id:
                targets |= {(event.source, event.id): _target(event) for event in events}
        return targets | {(event.source, event.id): _target(event) for event in accepted}

    def _is_ours(self, event: NewEvent) -> bool:
        """Whether the service plans the follow-up itself: moving it is a command (A7)."""
        ro_number = getattr(event.payload, "ro_number", None)
        if ro_number is not None and event.key in planned_ids(event.store_id, ro_number):
            return True
        entry = self.states.get((event.store_id, event.kind, event.key))
        return entry is not None and isinstance(entry[1], FollowUp) and entry[1].own

    async def _waiting_for(self, store_id: str, targets: Iterable[NewEvent]) -> Facts:
        """Make a unit of the retractions in quarantine that wait for these events."""
        aims = [(event.source, event.id) for event in targets]
        waiting = dict(await self._log.list_waiting_retractions(store_id, aims))
        for aim in aims:
            waiting |= self._early.get((store_id, *aim), {})
        items: list[Item] = []
        replays: dict[int, tuple[str, str]] = {}
        events: list[NewEvent] = []
        for quarantine_id, item in sorted(waiting.items()):
            if not self._waits(store_id, quarantine_id):
                continue
            event = self._reparse(item, self._now)
            if isinstance(event, Rejected):
                continue
            replays[len(events)] = (store_id, quarantine_id)
            events.append(event)
            items.append(item)
        if events:
            identities = [(store_id, event.source, event.id) for event in events]
            read = await self._log.read_group([], identities, [])
            for position, known in read.identities.items():
                self._identities.setdefault(identities[position], known)
        return Facts(store_id, events, item_of=lambda position: items[position], replays=replays)

    def _waits(self, store_id: str, quarantine_id: str) -> bool:
        """Whether a retraction in quarantine waits still, as far as this group knows."""
        row = self._resolved.get((store_id, quarantine_id))
        return row is None or row.get("reason") is Reason.RETRACTION_TARGET_UNKNOWN

    async def _count_waiting(self, store_id: str) -> None:
        """Count anew; only where events were appended, so that a lower count moves the head."""
        early = {
            quarantine_id
            for (store, _, _), waiting in self._early.items()
            if store == store_id
            for quarantine_id in waiting
        }
        known = {quarantine_id for store, quarantine_id in self._resolved if store == store_id}
        self._heads[store_id].waiting_retractions = sum(
            self._waits(store_id, quarantine_id) for quarantine_id in early
        ) + await self._log.count_waiting_retractions(store_id, sorted(known | early))

    # ---- outcomes

    def _resolve(self, unit: Facts, position: int, seq: int) -> None:
        """Note that a quarantined item has entered the log."""
        if position in unit.replays:
            store_id, quarantine_id = unit.replays[position]
            self._resolved[store_id, quarantine_id] = {
                "store_id": store_id,
                "quarantine_id": quarantine_id,
                "state": QuarantineState.REPLAYED,
                "seq": seq,
                "resolved_at": self._now,
                "last_seen_at": self._now,
            }

    def _refuse(self, unit: Facts, position: int, reason: Reason, fault: Fault) -> None:
        """Put an event in quarantine, or leave it there with what is wrong with it now."""
        event = unit.events[position]
        item = unit.item_of(position)
        outcome = Quarantined(reason, (fault,), unit.store_id, item.body_hash)
        unit.outcomes.append(outcome)
        if position in unit.replays:
            store_id, outcome.quarantine_id = unit.replays[position]
            row: dict[str, Any] = {
                "store_id": store_id,
                "quarantine_id": outcome.quarantine_id,
                "state": QuarantineState.WAITING,
                "reason": reason,
                "errors": [msgspec.to_builtins(fault)],
                "last_seen_at": self._now,
            }
            self._resolved[store_id, outcome.quarantine_id] = row
        else:
            row = quarantine_row(
                item,
                store_id=unit.store_id,
                reason=reason,
                faults=(fault,),
                source=event.source,
                event_id=event.id,
                event_type=event.type,
                subject=event.subject,
                now=self._now,
            )
            self._unplaced.append(outcome)
            if not add_row(self._quarantined, row):
                return
        if reason is Reason.RETRACTION_TARGET_UNKNOWN and isinstance(
            event.payload, EventRetracted
        ):
            aim = event.payload.source, event.payload.id
            row["target_source"], row["target_id"] = aim
            self._early[unit.store_id, *aim][row["quarantine_id"]] = item
            self._heads[unit.store_id].waiting_retractions += 1

    # ---- appending

    async def _append(self, store_id: str, new_events: Sequence[NewEvent]) -> None:
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
            await self._evolve(store_id, touched)
            causes |= self._causes_of(store_id, touched)
            pending = await self._react(store_id, causes)

    def _enter(self, store_id: str, new_event: NewEvent) -> Event:
        head = self._heads[store_id]
        head.seq += 1
        head.recorded_at = max(head.recorded_at, self._now)
        event = Event(
            store_id=store_id,
            seq=head.seq,
            source=new_event.source,
            id=new_event.id,
            type=new_event.type,
            kind=new_event.kind,
            key=new_event.key,
            subject=new_event.subject,
            occurred_at=new_event.occurred_at,
            recorded_at=head.recorded_at,
            schema_version=new_event.schema_version,
            payload=new_event.payload,
        )
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
        """Bring the touched states up to date; those that can't just go on are folded again."""
        again: list[tuple[Kind, str]] = []
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
                    self._put(subject, events[-1].seq, fold(kind, key, events))
                continue
            state = entry[1]
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
                events = logged[kind, key] + self._pending[subject]
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
        causes = {
            reacting: cause
            for reacting, cause in causes.items()
            if self._may_want(store_id, *reacting)
        }
        await self._load_more(
            [
                (store_id, kind, key)
                for reacting in causes
                for kind, key in _companions(store_id, *reacting)
            ]
        )
        zone = self._stores[store_id].zone
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
                        recorded_at=self._heads[store_id].recorded_at,
                        cause=cause,
                    )
                case Kind.FOLLOW_UP, FollowUp():
                    wanted += react_follow_up(state, cause=cause)
                case Kind.COMPLAINT, Complaint():
                    wanted += react_complaint(
                        state, policies=self._policies, zone=zone, cause=cause
                    )
                case _:
                    pass
        return [_own_event(store_id, want) for want in wanted]

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

    # ---- writing

    @property
    def largest_seq(self) -> int:
        """The length of the longest stream of the group."""
        return max((head.seq for head in self._heads.values()), default=0)

    async def write(self) -> None:
        """Write all that was decided, in one round trip.

        Raises:
            StaleHeadError: A head moved since it was read; nothing was written.
        """
        document = self._document()
        if not document:
            return
        placed = await self._log.append_group(document)
        for outcome in self._unplaced:
            outcome.quarantine_id = placed[outcome.store_id, outcome.body_hash]

    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = defaultdict(list)
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
            if entry is None:
                document["gone"].append(gone_row(subject))
                document["clockless"].append(gone_row(subject))
                continue
            version, state = entry
            zone = self._stores[subject[0]].zone
            document[subject[1].value].append(
                state_row(subject, version, state, policies=self._policies, zone=zone)
            )
            if isinstance(state, FollowUp | Complaint):
                clocks = clocks_of(state, self._policies, zone)
                if not clocks:
                    document["clockless"].append(gone_row(subject))
                for clock in clocks:
                    document["clock"].append(
                        clock_row(subject, clock, self._detected.get(subject))
                    )
        if self._quarantined:
            document["quarantine"] = list(self._quarantined.values())
        if self._resolved:
            document["resolved"] = list(self._resolved.values())
        if self._answers:
            document["idempotency"] = list(self._answers.values())
        if document:
            written = {row["store_id"] for rows in document.values() for row in rows}
            document["heads"] = [
                {
                    "store_id": store_id,
                    "expected": self._expected[store_id][0],
                    "expected_waiting": self._expected[store_id][1],
                    "seq": head.seq,
                    "recorded_at": head.recorded_at,
                    "waiting_retractions": head.waiting_retractions,
                }
                for store_id, head in self._heads.items()
                if store_id in written
            ]
        return dict(document)

    def _customer_of(self, event: Event) -> str | None:
        """Name the customer whom an event's personal fields belong to, as far as known (A19)."""
        if event.kind is Kind.CUSTOMER:
            return event.key
        entry = self.states.get((event.store_id, event.kind, event.key))
        customer_no = None if entry is None else getattr(entry[1], "customer_no", None)
        return customer_no if isinstance(customer_no, str) else None


_LEAVE: Final = (RepairOrderDelivered, RepairOrderSettled)
"""Events after which an order has calls to plan."""


def _subjects_of(events: Iterable[NewEvent]) -> set[SubjectKey]:
    """Name the subjects whose states events need; none for a retraction (its target's).

    What only a rare reaction looks at is read when it comes to that (`_load_more`).
    """
    subjects: set[SubjectKey] = set()
    for event in events:
        if event.key:
            subjects.add((event.store_id, event.kind, event.key))
            payload = event.payload
            if isinstance(payload, _LEAVE):
                ro_number = event.key
            elif isinstance(payload, FollowUpScheduled | FollowUpCompleted) and payload.ro_number:
                ro_number = payload.ro_number
            else:
                continue
            subjects.update(
                (event.store_id, *other)
                for other in _companions(event.store_id, Kind.REPAIR_ORDER, ro_number)
            )
    return subjects


def _companions(store_id: str, kind: Kind, key: str) -> list[tuple[Kind, str]]:
    """Name the subjects whose states a reaction of this one looks at."""
    if kind is not Kind.REPAIR_ORDER:
        return [(kind, key)]
    planned = [(Kind.FOLLOW_UP, planned) for planned in planned_ids(store_id, key)]
    return [(kind, key), *planned]


def _own_event(store_id: str, wanted: Wanted) -> NewEvent:
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


def _conflict(seq: int) -> Fault:
    return Fault(
        "/id",
        "identity-conflict",
        f"Source and id are those of event {seq}, whose content differs. A correction is a new "
        "event with an id of its own; retract the old one.",
    )


def _target(event: NewEvent | Event) -> Target:
    """Describe an event of this group as the target of a retraction."""
    return Target(event.source, event.id, event.kind, event.key, event.subject)


def _aim(
    event: NewEvent, targets: Mapping[tuple[str, str], Target]
) -> tuple[Reason, Fault] | None:
    """Point a retraction at its target's subject, or say why it can't be (A5-A7)."""
    payload = event.payload
    if type(payload) is not EventRetracted:
        return None
    target = targets.get((payload.source, payload.id))
    if target is None or (event.source, event.id) == (payload.source, payload.id):
        return Reason.RETRACTION_TARGET_UNKNOWN, Fault(
            "/data/id",
            "unknown",
            f"No event {payload.id} of source {payload.source} is in the log of this store.",
        )
    if target.source == OWN_SOURCE:
        return Reason.INVALID_DATA, Fault(
            "/data/source", "not-retractable", "What the service wrote can't be retracted."
        )
    if SUBJECTS[target.kind].canonical(event.subject) != target.subject:
        return Reason.INVALID_DATA, Fault(
            "/subject",
            "other-subject",
            f"The event to retract is about {target.subject}, not {event.subject}.",
        )
    event.kind, event.key, event.subject = target.kind, target.key, target.subject
    return None


_OURS: Final = Fault(
    "/subject",
    "reserved",
    "The service plans this follow-up itself; the command that moves it gives it another window.",
)


def _hex(value: bytes) -> str:
    """Write bytes as JSON text that PostgreSQL reads as bytea."""
    return "\\x" + value.hex()


def _unhex(text: str) -> bytes:
    """Read what `_hex` wrote."""
    return bytes.fromhex(text[2:])
