"""The backlog in quarantine: when it grows unusually, and when it has settled."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.backlog import (
    BURST,
    CALM,
    OLD_AFTER,
    Backlog,
    Level,
    evolve,
    growing,
    has_settled,
    old_at,
    sign_of,
)
from app.domain.events.backlog import QuarantineSettled
from app.domain.events.envelope import OWN_SOURCE, Event, Kind
from app.domain.events.payload import Payload
from app.domain.events.repair_order import RepairOrderCleaned
from app.domain.fold import fold

NOW = datetime(2026, 6, 8, 2, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def level(waiting: int, new: int = 0, received: int = 0, age: timedelta | None = SECOND) -> Level:
    return Level(waiting, new, received, None if age is None else NOW - age)


@pytest.mark.parametrize(
    ("found", "sign"),
    [
        (level(0, age=None), None),
        (level(BURST - 1, BURST - 1, BURST), None),
        (level(BURST, BURST, BURST), "burst"),
        # of what names no source it is not known how much came
        (level(BURST, BURST, 0), "burst"),
        (level(BURST, BURST, 100 * BURST), None),
        (level(BURST + 1, BURST + 1, 100 * BURST), "burst"),
        (level(1, age=OLD_AFTER), None),
        (level(1, age=OLD_AFTER + SECOND), "age"),
        (level(BURST, BURST, BURST, age=OLD_AFTER + SECOND), "burst"),
    ],
)
def test_a_backlog_grows_by_a_burst_or_by_age(found: Level, sign: str | None) -> None:
    assert sign_of(found, NOW) == sign


@pytest.mark.parametrize(
    ("found", "settled"),
    [
        (level(0, age=None), True),
        (level(20), True),
        (level(21), False),
        (level(CALM, CALM, CALM), False),
        (level(CALM - 1, CALM - 1, CALM), True),
        (level(1, age=OLD_AFTER + SECOND), False),
    ],
)
def test_a_backlog_has_settled_when_it_is_calm_and_mostly_gone(
    found: Level, settled: bool
) -> None:
    assert has_settled(found, 40, NOW) is settled


def test_what_settles_does_not_grow_at_the_same_time() -> None:
    for waiting in range(60):
        for new in range(min(waiting, 40) + 1):
            found = level(waiting, new, 60)
            assert not (has_settled(found, 40, NOW) and sign_of(found, NOW))


def test_an_item_is_old_at_the_first_moment_after_its_time() -> None:
    received = NOW - OLD_AFTER
    assert sign_of(Level(1, 0, 0, received), NOW) is None
    assert sign_of(Level(1, 0, 0, received), old_at(received)) == "age"


def told(seq: int, payload: Payload) -> Event:
    return Event(
        store_id="S1",
        seq=seq,
        source=OWN_SOURCE,
        id=str(seq),
        type="quarantine.growing",
        kind=Kind.BACKLOG,
        key="S1",
        subject="S1",
        occurred_at=NOW,
        recorded_at=NOW,
        schema_version=1,
        payload=payload,
    )


def test_a_backlog_knows_since_when_it_grows() -> None:
    said = growing(
        level(40, 30, 60),
        "burst",
        by_reason=[("invalid-data", 40)],
        by_source=[(None, 40)],
        now=NOW,
    )
    events = [told(1, said)]
    assert fold(Kind.BACKLOG, "S1", events) == Backlog(
        store_id="S1", growing_since=NOW, waiting=40, growing_seq=1
    )
    events.append(told(2, QuarantineSettled(waiting=3, growing_since=NOW)))
    assert fold(Kind.BACKLOG, "S1", events) == Backlog(store_id="S1")


def test_no_other_event_is_one_of_a_backlog() -> None:
    with pytest.raises(TypeError, match="no event of a backlog"):
        evolve(Backlog(store_id="S1"), told(1, RepairOrderCleaned()))
