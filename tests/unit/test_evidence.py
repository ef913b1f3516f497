"""Evidence of what an older version inferred, which kept no more than the id of the snapshot."""

from datetime import UTC, datetime
from typing import cast

from app.db.timelines import InferredEvent, ShownSnapshot, TimelineRepository
from app.domain.events.envelope import INFERRED_SOURCE, Event, Kind
from app.domain.events.retraction import EventRetracted
from app.services.evidence import EvidenceFinder

AT = datetime(2026, 6, 1, tzinfo=UTC)


class Log:
    """An order that two sources showed under one id, the first of which was taken back."""

    def __init__(self, correlation_id: str | None) -> None:
        self._inferred = InferredEvent(
            "R1", 3, INFERRED_SOURCE, "i-1", "repair_order.opened", AT, "1", correlation_id
        )

    async def list_snapshots(self, *_: object) -> list[ShownSnapshot]:
        return [
            ShownSnapshot("R1", seq, "1", source, AT, source, "1")
            for seq, source in ((1, "/a"), (2, "/b"))
        ]

    async def list_inferred(self, *_: object) -> list[InferredEvent]:
        return [self._inferred]

    async def list_retractions(self, *_: object) -> list[Event]:
        payload = EventRetracted(source="/a", id="1", reason="x")
        return [
            Event(
                "S1",
                4,
                "/a",
                "b-1",
                "event.retracted",
                Kind.REPAIR_ORDER,
                "R1",
                "R1",
                AT,
                AT,
                1,
                payload,
            )
        ]


async def source_of(correlation_id: str | None) -> str:
    finder = EvidenceFinder(cast("TimelineRepository", Log(correlation_id)))
    (fact,) = (await finder.list_inferred("S1", ["R1"]))["R1"]
    return fact.evidence.source


async def test_the_source_that_was_kept_decides_else_the_snapshot_that_stands() -> None:
    assert await source_of("/a") == "/a"
    assert await source_of("/b") == "/b"
    assert await source_of(None) == "/b"
