"""Trying out what would become of events: the appender's own checks, and nothing is written."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from typing_extensions import override

from app.db.event_log import Target
from app.domain.events.envelope import NewEvent
from app.domain.events.retraction import EventRetracted
from app.services.append_session import AppendSession
from app.services.group_states import Identity
from app.services.refusals import target_of
from app.services.units import Facts, Quarantined

REMEMBERED: Final = 50_000
"""Events of a long stream that are remembered while the rest of it is tried."""


class Earlier:
    """What of the same request was tried already and would be in the log by now.

    Only the last `REMEMBERED` of them: a stream may be of any length.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Identity, tuple[bytes, Target]] = OrderedDict()

    def find_hash(self, identity: Identity) -> bytes | None:
        """Find the content hash of an event."""
        known = self._known.get(identity)
        return None if known is None else known[0]

    def find_target(self, identity: Identity) -> Target | None:
        """Find what a retraction needs to know of an event."""
        known = self._known.get(identity)
        return None if known is None else known[1]

    def add(self, event: NewEvent) -> None:
        """Remember an event that would be accepted."""
        identity = (event.store_id, event.source, event.id)
        self._known[identity] = (event.content_hash, target_of(event))
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


class TrialSession(AppendSession):
    """A group that is never written: its outcomes have neither seq nor quarantine id."""

    _earlier: Earlier

    async def try_out(self, units: Sequence[Facts], earlier: Earlier) -> bool:
        """Find out what would become of each event, and do nothing about it.

        Args:
            units: Get the outcomes.
            earlier: What of the same request was tried before; takes in what would be accepted.

        Returns:
            Whether nothing would be quarantined.
        """
        self._earlier = earlier
        await self.load(units)
        for unit in units:
            for event in unit.events:
                identity = (unit.store_id, event.source, event.id)
                content_hash = earlier.find_hash(identity)
                if content_hash is not None:
                    self._identities.setdefault(identity, (0, content_hash))
            accepted: list[NewEvent] = []
            await self._take_in(unit, accepted)
            for event in accepted:
                earlier.add(event)
        return not any(type(outcome) is Quarantined for unit in units for outcome in unit.outcomes)

    @override
    def _seq_after(self, seq: int) -> int:
        return 0

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
