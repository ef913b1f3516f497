"""One group of appends: what the units decide, on states in memory, before anything is written.

For each unit identities are compared, what can't enter goes to quarantine, the rest gets its seqs
and moves the states (`app.services.group_states`). All of the group is then written in one round
trip (design, section 2).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from app.db.clocks import ClockRepository, DueClock
from app.db.event_log import EventLog, Target
from app.db.state_rows import SubjectKey
from app.domain.clocks import clocks_of
from app.domain.errors import Fault, IdempotencyConflictError, NotFoundError
from app.domain.events.envelope import Event, Kind, NewEvent, Reason
from app.domain.events.follow_up import FollowUpScheduled
from app.domain.events.retraction import EventRetracted
from app.domain.events.snapshot import RepairOrderSnapshot
from app.domain.follow_up import FollowUp
from app.domain.policies import Policies
from app.domain.reactions import (
    overdue_events,
    planned_ids,
)
from app.domain.stores import Store
from app.services.companions import subjects_of
from app.services.group_quarantine import GroupQuarantine
from app.services.group_states import (
    Document,
    GroupStates,
    Identity,
    own_event,
)
from app.services.refusals import OURS, aim, conflict, target_of
from app.services.repeats import Repeats
from app.services.units import (
    Accepted,
    Answer,
    Command,
    CommandContext,
    Duplicate,
    Facts,
    Idempotency,
    Reparse,
    Sweep,
    Unit,
    Watch,
)
from app.services.watching import Watching

logger = structlog.get_logger(__name__)

PUSH_FAILED_CLOCK_BY = timedelta(minutes=5)

_LOOKED_AT: Final = frozenset({FollowUpScheduled, RepairOrderSnapshot})
"""What may be refused or dropped though its identity is new; retractions have targets."""


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
        self._states = GroupStates(log, now=now, stores=stores, policies=policies)
        self._quarantine = GroupQuarantine(log, self._states, now=now, reparse=reparse)
        self._repeats = Repeats(log, self._states)
        self._watching = Watching(log, self._states, now=now)
        self._identities: dict[Identity, tuple[int, bytes]] = {}
        self._answers: dict[tuple[str, str, str], dict[str, Any]] = {}

    # ---- reading

    async def load(self, units: Sequence[Unit]) -> None:
        """Read what the units need, in one round trip."""
        identities: list[tuple[str, str, str]] = []
        subjects: set[SubjectKey] = set()
        for unit in units:
            if isinstance(unit, Facts):
                identities += [(unit.store_id, event.source, event.id) for event in unit.events]
                subjects |= subjects_of(unit.events)
            elif isinstance(unit, Command):
                subjects.update((unit.store_id, kind, key) for kind, key in unit.reads)
        self._identities = await self._states.read(
            {unit.store_id for unit in units}, identities, subjects
        )

    # ---- units

    async def run(self, unit: Unit) -> None:
        """Decide one unit.

        Raises:
            DomainError: A command was refused; the group goes on without it.
        """
        if unit.store_id not in self._states.heads:
            message = f"There is no store {unit.store_id}."
            raise NotFoundError(message)
        if isinstance(unit, Facts):
            await self._run_facts(unit)
        elif isinstance(unit, Command):
            await self._run_command(unit)
        elif isinstance(unit, Watch):
            await self._watching.run(unit)
        else:
            await self._run_sweep(unit)

    async def _run_facts(self, unit: Facts) -> None:
        """Take in the unit, and with it the retractions that waited for its events (A1).

        All of it enters before anything reacts: what is retracted at once moves nothing.
        """
        head = self._states.heads[unit.store_id]
        accepted: list[NewEvent] = []
        newest = await self._take_in(unit, accepted)
        while newest and head.waiting_retractions:
            newest = await self._take_in(await self._waiting_for(unit.store_id, newest), accepted)
        # what a retracted event was joined to is to react to its going
        await self._states.load_more(
            [
                (unit.store_id, event.kind, event.key)
                for event in accepted
                if type(event.payload) is EventRetracted
            ]
        )
        await self._states.append(unit.store_id, accepted)
        if accepted and head.waiting_retractions:
            await self._quarantine.count_waiting(unit.store_id)

    async def _take_in(self, unit: Facts, accepted: list[NewEvent]) -> list[NewEvent]:
        """Decide what becomes of each event; add to `accepted` what gets a seq, and return it."""
        unit.outcomes = []
        self._repeats.begin(unit.events, accepted)
        targets = await self._find_targets(unit, accepted)
        before = len(accepted)
        seq = self._states.heads[unit.store_id].seq + before
        is_usual = targets is None and not unit.replays
        for position, event in enumerate(unit.events):
            kind = type(event.payload)
            identity = (event.store_id, event.source, event.id)
            if is_usual and kind not in _LOOKED_AT and identity not in self._identities:
                # as most are: what follows comes to the same, in three times the time
                seq += 1
                self._identities[identity] = seq, event.content_hash
                accepted.append(event)
                unit.outcomes.append(Accepted(seq))
                continue
            is_snapshot = kind is RepairOrderSnapshot
            same = self._same(event)
            if same is None and (refusal := self._refusal(event, targets)) is not None:
                self._quarantine.refuse(unit, position, *refusal)
                continue
            if same is None and is_snapshot:
                same = await self._repeats.find(event)
            if same is None:
                seq += 1
                self._identities[identity] = seq, event.content_hash
                accepted.append(event)
                if targets is not None:
                    targets[event.source, event.id] = target_of(event)
                if is_snapshot or targets is not None:
                    self._repeats.accept(event, seq)
            unit.outcomes.append(Accepted(seq) if same is None else Duplicate(same))
            self._quarantine.resolve(unit, position, seq if same is None else same)
            if is_snapshot:
                for again in await self._repeats.said_again(event, same, next_seq=seq + 1):
                    seq += 1
                    accepted.append(again)
        await self._quarantine.decide(unit)
        self._watching.count(unit)
        return accepted[before:]

    def _told(self, seq: int) -> int:
        """The seq of an event as callers are told it."""
        return seq

    def _same(self, event: NewEvent) -> int | None:
        """Find the seq of the same content under the same identity."""
        known = self._identities.get((event.store_id, event.source, event.id))
        return known[0] if known is not None and known[1] == event.content_hash else None

    def _refusal(
        self, event: NewEvent, targets: Mapping[tuple[str, str], Target] | None
    ) -> tuple[Reason, Fault] | None:
        """Say why an event can't enter, if it can't; a retraction gets its target's subject."""
        if type(event.payload) is FollowUpScheduled and self._is_ours(event):
            return Reason.INVALID_DATA, OURS
        known = self._identities.get((event.store_id, event.source, event.id))
        if known is not None:
            return Reason.IDENTITY_CONFLICT, conflict(self._told(known[0]))
        return None if targets is None else aim(event, targets)

    async def _run_command(self, unit: Command) -> None:
        kept = unit.idempotency
        if kept is not None:
            unit.answer = await self._find_answer(unit.store_id, kept)
            if unit.answer is not None:
                return
        # whoever got a name since the heads were read has moved the head, and this is done again
        for surrogate in unit.whose_name:
            known_as = await self._log.list_known_as(unit.store_id, surrogate)
            await self._states.load_more((unit.store_id, Kind.STAFF, key) for key in known_as)
        context = CommandContext(self._states.states, self._stores[unit.store_id], self._now)
        events = unit.decide(context)
        await self._states.append(unit.store_id, events)
        self._watching.count_commanded(unit.store_id, events)
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
        clocks = ClockRepository(self._log.connection)
        due = await clocks.list_due(unit.store_id, self._now, unit.limit)
        unit.seen = due
        await self._states.load_more([(unit.store_id, clock.kind, clock.key) for clock in due])
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
                await clocks.put_off(
                    unit.store_id,
                    clock,
                    next_at=self._now + PUSH_FAILED_CLOCK_BY,
                    error=f"{type(error).__name__}: {error}",
                )
                unit.failed += 1
                continue
            self._states.touch(subject, detected_at=self._now if wanted else None)
            if wanted:
                await self._states.append(unit.store_id, wanted)
                unit.breached += len(wanted)

    def _runs_still(self, subject: SubjectKey) -> bool:
        """Whether the state says of a clock that it runs and is due."""
        entry = self._states.states.get(subject)
        return entry is not None and any(
            clock.state == "running" and clock.next_at <= self._now
            for clock in clocks_of(entry[1], self._policies, self._states.zone_of(subject[0]))
        )

    def _breach(self, store_id: str, clock: DueClock) -> list[NewEvent]:
        entry = self._states.states.get((store_id, clock.kind, clock.key))
        if entry is None:
            return []
        return [
            own_event(store_id, wanted)
            for wanted in overdue_events(
                entry[1],
                self._now,
                policies=self._policies,
                zone=self._states.zone_of(store_id),
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
        own: list[NewEvent | Event] = [*self._states.entered(unit.store_id), *accepted]
        return targets | {(event.source, event.id): target_of(event) for event in own}

    def _is_ours(self, event: NewEvent) -> bool:
        """Whether the service plans the follow-up itself: moving it is a command (A7).

        Told by its id: words of ours may be in the log about a CRM's call too.
        """
        entry = self._states.states.get((event.store_id, event.kind, event.key))
        orders = {getattr(event.payload, "ro_number", None)}
        if entry is not None and isinstance(entry[1], FollowUp):
            orders.add(entry[1].ro_number)
        return any(
            event.key in planned_ids(event.store_id, ro_number)
            for ro_number in orders
            if ro_number is not None
        )

    async def _waiting_for(self, store_id: str, targets: Iterable[NewEvent]) -> Facts:
        """Make a unit of the retractions in quarantine that wait for these events."""
        unit = await self._quarantine.waiting_for(store_id, targets)
        if unit.events:
            identities = [(store_id, event.source, event.id) for event in unit.events]
            read = await self._log.read_group([], identities, [])
            for position, known in read.identities.items():
                self._identities.setdefault(identities[position], known)
        return unit

    # ---- writing

    @property
    def largest_seq(self) -> int:
        """The length of the longest stream of the group."""
        return max((head.seq for head in self._states.heads.values()), default=0)

    async def write(self) -> None:
        """Write all that was decided, in one round trip.

        Raises:
            StaleHeadError: A head moved since it was read; nothing was written.
        """
        document = self._document()
        if not document:
            return
        self._quarantine.place(await self._log.append_group(document))

    def _document(self) -> Document:
        document = self._states.document()
        self._repeats.rows(document)
        self._quarantine.add_to(document)
        if self._answers:
            document["idempotency"] = list(self._answers.values())
        self._watching.add_to(document)
        written = {row["store_id"] for rows in document.values() for row in rows}
        self._quarantine.add_again(document)
        self._watching.add_received(document)
        if document:
            document["heads"] = self._states.head_rows(written)
        return document


def _hex(value: bytes) -> str:
    """Write bytes as JSON text that PostgreSQL reads as bytea."""
    return "\\x" + value.hex()


def _unhex(text: str) -> bytes:
    """Read what `_hex` wrote."""
    return bytes.fromhex(text[2:])
