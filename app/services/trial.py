"""Trying out what would become of events: the appender's own checks, and nothing is written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from typing_extensions import override

from app.db.event_log import EventLog, Target
from app.db.state_rows import SubjectKey
from app.domain.events.envelope import Event, Kind, NewEvent, Reason
from app.domain.events.retraction import EventRetracted
from app.domain.events.snapshot import RepairOrderSnapshot
from app.domain.policies import Policies
from app.domain.sightings import Sighting
from app.domain.stores import Store
from app.services.append_session import AppendSession
from app.services.earlier import FIRST_SEQ, Earlier
from app.services.group_states import GroupStates
from app.services.repeats import Repeats, sightings_of
from app.services.units import Accepted, Duplicate, Facts, Outcome, Quarantined, Reparse


class TrialSession(AppendSession):
    """A group that is never written: its outcomes have neither seq nor quarantine id."""

    def __init__(
        self,
        log: EventLog,
        earlier: Earlier,
        *,
        now: datetime,
        stores: Mapping[str, Store],
        policies: Policies,
        reparse: Reparse,
    ) -> None:
        """Begin.

        Args:
            log: Is read only.
            earlier: What of the same request was tried before; takes in what would be accepted.
            now: As of `AppendSession`, like the rest.
            stores: Likewise.
            policies: Likewise.
            reparse: Likewise.
        """
        super().__init__(log, now=now, stores=stores, policies=policies, reparse=reparse)
        self._earlier = earlier
        self._trial_repeats = _TrialRepeats(log, self._states, earlier)
        self._repeats = self._trial_repeats

    async def try_out(self, units: Sequence[Facts]) -> bool:
        """Find out what would become of each event, and do nothing about it.

        Args:
            units: Get the outcomes.

        Returns:
            Whether nothing would be quarantined.
        """
        await self.load(units)
        for unit in units:
            await self._try_unit(unit)
        return not any(type(outcome) is Quarantined for unit in units for outcome in unit.outcomes)

    async def _try_unit(self, unit: Facts) -> None:
        """Try a unit as `_run_facts` takes it in, with the retractions that waited (A1)."""
        head = self._states.heads[unit.store_id]
        head.seq = self._earlier.last_seq(unit.store_id)
        accepted: list[NewEvent] = []
        newest = await self._take_in(unit, accepted)
        while newest:
            for event in newest:
                aim = event.source, event.id
                for number, item in enumerate(self._earlier.find_early(unit.store_id, aim)):
                    self._quarantine.expect(unit.store_id, aim, f"{aim}/{number}", item)
            if not head.waiting_retractions:
                break
            newest = await self._take_in(await self._waiting_for(unit.store_id, newest), accepted)
        for event in accepted:
            self._earlier.add(event)
        for position, (event, outcome) in enumerate(zip(unit.events, unit.outcomes, strict=True)):
            payload = event.payload
            if isinstance(payload, EventRetracted) and _is_early(outcome):
                aim = payload.source, payload.id
                self._earlier.add_early(unit.store_id, aim, unit.item_of(position))
        unit.outcomes = [self._untold(outcome) for outcome in unit.outcomes]
        self._trial_repeats.remember()

    def _untold(self, outcome: Outcome) -> Outcome:
        """Leave out what is only tried: its seq, and where it would lie."""
        match outcome:
            case Accepted():
                return Accepted(0)
            case Duplicate(seq, before):
                return Duplicate(self._told(seq), before)
            case Quarantined():
                return replace(outcome, quarantine_id="")

    @override
    async def _take_in(self, unit: Facts, accepted: list[NewEvent]) -> list[NewEvent]:
        for event in unit.events:
            identity = (event.store_id, event.source, event.id)
            known = self._earlier.find(identity)
            if known is not None:
                self._identities.setdefault(identity, known)
        await self._trial_repeats.look_back(unit)
        return await super()._take_in(unit, accepted)

    @override
    def _told(self, seq: int) -> int:
        return 0 if seq > FIRST_SEQ else seq

    @override
    async def _find_targets(
        self, unit: Facts, accepted: Iterable[NewEvent]
    ) -> dict[tuple[str, str], Target] | None:
        targets = await super()._find_targets(unit, accepted)
        if targets is None:
            return None
        for event in unit.events:
            if isinstance(event.payload, EventRetracted):
                aim = event.payload.source, event.payload.id
                target = self._earlier.find_target((unit.store_id, *aim))
                if target is not None:
                    targets.setdefault(aim, target)
        return targets


class _TrialRepeats(Repeats):
    """Snapshots that say nothing new, with those that were only tried."""

    def __init__(self, log: EventLog, states: GroupStates, earlier: Earlier) -> None:
        super().__init__(log, states)
        self._earlier = earlier
        self._before: dict[SubjectKey, list[Sighting]] = {}

    async def look_back(self, unit: Facts) -> None:
        """Read the orders of a unit of which something was tried before, all at once."""
        orders = {
            event.key
            for event in unit.events
            if type(event.payload) is RepairOrderSnapshot
            and self._earlier.shows((unit.store_id, event.kind, event.key))
        }
        self._before = {}
        if orders:
            logged = await self._log.read_subjects(
                unit.store_id, [(Kind.REPAIR_ORDER, key) for key in sorted(orders)]
            )
            for (kind, key), events in logged.items():
                subject = unit.store_id, kind, key
                tried = self._earlier.list_shown(subject)
                self._before[subject] = sightings_of(key, events + tried)

    @override
    def begin(self, events: Iterable[NewEvent], accepted: Sequence[NewEvent]) -> None:
        super().begin(events, accepted)
        self._views |= self._before

    @override
    async def _events_of(self, subject: SubjectKey) -> list[Event]:
        return await super()._events_of(subject) + self._earlier.list_shown(subject)

    @override
    async def _until(self, event: NewEvent, sighting: Sighting) -> datetime | None:
        tried = self._earlier.find_until(event.store_id, sighting.seq)
        known = [at for at in (await super()._until(event, sighting), tried) if at is not None]
        return max(known, default=None)

    def remember(self) -> None:
        """Keep for later what was so again."""
        for (store_id, seq), until in self._noted.items():
            self._earlier.repeat(store_id, seq, until)
        self._noted.clear()


def _is_early(outcome: Outcome) -> bool:
    return isinstance(outcome, Quarantined) and outcome.reason is Reason.RETRACTION_TARGET_UNKNOWN
