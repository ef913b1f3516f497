"""Laws of inference: snapshots give what events give, in whatever mixture and order they come."""

from operator import itemgetter
from random import Random
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from app.domain.events.envelope import Event, Kind
from app.domain.events.retraction import EventRetracted
from app.domain.fold import fold, standing
from app.domain.inferred import changes, inferred_events
from app.domain.kpis.facts import Fact
from app.domain.kpis.judge import judge_repair_order
from app.domain.policies import DEFAULT_POLICIES
from app.domain.repair_order import RepairOrder
from tests.support.snapshots import RO, Life, as_seen, lives, logged, view, with_inferred

ZONE = ZoneInfo("Asia/Shanghai")


def order(events: list[Event]) -> RepairOrder:
    state = fold(Kind.REPAIR_ORDER, RO, events)
    assert isinstance(state, RepairOrder)
    return state


def judged(events: list[Event]) -> list[Fact]:
    return judge_repair_order(
        order(events),
        follow_ups=[],
        comeback_odometers={},
        policies=DEFAULT_POLICIES,
        zone=ZONE,
    )


def mixture(life: Life) -> list[Event]:
    """What was told of a life, and what its exports show."""
    told = [
        logged(name, at, data, seq)
        for seq, (at, name, data) in enumerate(life.facts, start=1)
        if seq - 1 in life.told
    ]
    return told + [
        logged("snapshot", moment, view(life.facts, moment), seq)
        for seq, moment in enumerate(life.moments, start=100)
    ]


@settings(max_examples=400, deadline=None)
@given(life=lives())
def test_snapshots_give_the_facts_of_the_events(life: Life) -> None:
    """At any subset of moments, mixed with any subset of the events."""
    truth = [
        logged(name, at, data, seq) for seq, (at, name, data) in enumerate(as_seen(life), start=1)
    ]
    seen = with_inferred(mixture(life))
    assert judged(seen) == judged(truth)
    assert (order(seen).status, order(seen).work_type) == (
        order(truth).status,
        order(truth).work_type,
    )
    assert order(seen).first_promised_at == order(truth).first_promised_at


def arrive(log: list[Event], event: Event) -> None:
    """Append an event under the next seq, and what follows from it."""
    log.append(structs.replace(event, seq=len(log) + 1))
    for new_event in inferred_events(log):
        log.append(new_event.logged(len(log) + 1, event.recorded_at))
    left = changes(log)
    assert (list(left.gone), list(left.missing)) == ([], []), "all is so at once"
    assert len({(each.source, each.id) for each in log}) == len(log)


def said(log: list[Event]) -> tuple[list[object], RepairOrder]:
    """What stands of what was inferred, and the state without seqs."""
    facts = [
        (
            each.type,
            each.occurred_at,
            each.payload.model_dump_json(),
            each.causation_id,
            each.correlation_id,
        )
        for each in standing(log)
        if each.inferred
    ]
    renumbered = [
        structs.replace(each, seq=number)
        for number, each in enumerate(
            sorted(standing(log), key=lambda each: (each.occurred_at, each.seq)), start=1
        )
    ]
    return sorted(facts, key=str), order(renumbered)


@settings(max_examples=200, deadline=None)
@given(life=lives(), rng=st.randoms(use_true_random=False))
def test_what_is_inferred_does_not_depend_on_the_order_of_arrival(life: Life, rng: Random) -> None:
    """Step by step, in any order, some of it retracted on the way."""
    events = mixture(life)
    lost = rng.sample(events, rng.randint(0, len(events) - 1))
    told = []
    for number in range(2):
        arriving = [(rng.random(), event) for event in events]
        arriving += [
            (when + rng.random(), taken_back(event, position))
            for position, (when, event) in enumerate(arriving)
            if event in lost
        ]
        log: list[Event] = []
        for _, event in sorted(arriving, key=itemgetter(0)):
            arrive(log, event)
        told.append(said(log))
        assert number == 0 or told[0] == told[1]


def taken_back(event: Event, number: int) -> Event:
    payload = EventRetracted(source=event.source, id=event.id, reason="typing error")
    return structs.replace(event, type="event.retracted", id=f"r-{number}", payload=payload)
