"""What an inferred fact was read out of: a snapshot, and between which moments it happened."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.db.timelines import InferredEvent, LoggedEvent, ShownSnapshot, TimelineRepository
from app.domain.events.envelope import Kind
from app.domain.fold import retracted


@dataclass(frozen=True, slots=True)
class Evidence:
    """The snapshot that a fact was read out of.

    Attributes:
        seq: Of the snapshot, or of the word that it was so again; as are source and id.
        at: The moment at which the order was so.
        after: The moment of the snapshot before it, of the same source; None if it was the first.
            What the two show differently happened in between.
    """

    seq: int
    source: str
    id: str
    at: datetime
    after: datetime | None


@dataclass(frozen=True, slots=True)
class InferredFact:
    """A fact that nobody told, with what it was read out of."""

    event: InferredEvent
    evidence: Evidence


class EvidenceFinder:
    """Finds evidence."""

    def __init__(self, repository: TimelineRepository) -> None:
        self._repository = repository

    async def list_inferred(
        self, store_id: str, ro_numbers: Sequence[str]
    ) -> dict[str, list[InferredFact]]:
        """List what stands of what was inferred about orders, by order."""
        if not ro_numbers:
            return {}
        found = await self._repository.list_inferred(store_id, ro_numbers)
        gone = await self._gone(store_id, ro_numbers)
        shown = await self._shown(store_id, ro_numbers)
        facts: dict[str, list[InferredFact]] = defaultdict(list)
        for event in found:
            if (event.source, event.id) not in gone:
                evidence = _evidence(shown[event.key], gone, event)
                facts[event.key].append(InferredFact(event, evidence))
        return facts

    async def of_events(
        self, store_id: str, events: Iterable[LoggedEvent]
    ) -> Mapping[int, Evidence]:
        """Find the evidence of those events that were inferred, by seq."""
        inferred = [event for event in events if event.inferred]
        if not inferred:
            return {}
        orders = {event.key for event in inferred}
        gone = await self._gone(store_id, orders)
        shown = await self._shown(store_id, orders)
        return {event.seq: _evidence(shown[event.key], gone, event) for event in inferred}

    async def _gone(self, store_id: str, orders: Collection[str]) -> set[tuple[str, str]]:
        return retracted(
            await self._repository.list_retractions(
                store_id, [(Kind.REPAIR_ORDER, order) for order in orders]
            )
        )

    async def _shown(
        self, store_id: str, orders: Collection[str]
    ) -> dict[str, list[ShownSnapshot]]:
        shown: dict[str, list[ShownSnapshot]] = defaultdict(list)
        for snapshot in await self._repository.list_snapshots(store_id, orders):
            shown[snapshot.key].append(snapshot)
        return shown


def _evidence(
    shown: Sequence[ShownSnapshot],
    gone: Collection[tuple[str, str]],
    event: InferredEvent | LoggedEvent,
) -> Evidence:
    """Find the snapshot that an event was read out of.

    Where an older version did not keep its source: the one of that id; of two sources' the one
    that stands.
    """
    named = [
        snapshot
        for snapshot in shown
        if snapshot.id == event.causation_id and event.correlation_id in {None, snapshot.source}
    ]
    found = min(named, key=lambda snapshot: (snapshot.of_source, snapshot.of_id) in gone)
    before = [
        snapshot.at
        for snapshot in shown[: shown.index(found)]
        if snapshot.of_source == found.of_source
        and (snapshot.of_source, snapshot.of_id) not in gone
    ]
    return Evidence(found.seq, found.source, found.id, found.at, before[-1] if before else None)
