"""From events to states: what was retracted, what is in order; arrival makes no difference."""

from collections.abc import Iterable
from itertools import permutations
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.events.envelope import OWN_SOURCE, Event, Kind
from app.domain.events.retraction import EventRetracted
from app.domain.fold import (
    STATE_TYPES,
    State,
    evolve,
    fold,
    is_in_order,
    is_service_event,
    new_state,
    standing,
)
from app.domain.follow_up import FollowUp
from app.domain.repair_order import RepairOrder
from app.domain.subject import decode, encode
from tests.support.histories import random_history, rearranged
from tests.support.simulate import (
    Fact,
    Simulator,
    event_of,
    local,
    replayed,
    retraction,
    tell,
)

CALL = "8d0c5f0e-6a0e-4a57-9f0d-2f2ce9a5c001"


def opened(time: str, **data: object) -> Fact:
    return tell("repair_order.opened", "R1", time, work_type="other", advisor="A01", **data)


def taken_back(target: Event, seq: int, event_id: str) -> Event:
    payload = EventRetracted(source=target.source, id=target.id, reason="x")
    return msgspec.structs.replace(
        target, seq=seq, id=event_id, type="event.retracted", payload=payload
    )


def test_a2_a_retraction_may_be_retracted() -> None:
    fact = event_of(opened("2026-03-02 08:00"), 1)
    first = taken_back(fact, 2, "r1")
    second = taken_back(first, 3, "r2")
    third = taken_back(second, 4, "r3")
    assert standing([fact]) == [fact]
    assert standing([fact, first]) == []
    assert standing([fact, first, second]) == [fact]
    for arrival in permutations([fact, first, second, third]):
        assert standing(arrival) == []


def test_a2_of_several_retractions_one_that_stands_is_enough() -> None:
    fact = event_of(opened("2026-03-02 08:00"), 1)
    one, other = taken_back(fact, 2, "r1"), taken_back(fact, 3, "r2")
    assert standing([fact, one, other, taken_back(one, 4, "r3")]) == []
    both = [taken_back(one, 4, "r3"), taken_back(other, 5, "r4")]
    assert standing([fact, one, other, *both]) == [fact]


def test_a3_the_time_of_a_retraction_plays_no_part() -> None:
    shop = Simulator(local("2026-03-02 18:00"))
    fact = opened("2026-03-02 08:00")
    shop.post(fact, opened("2026-03-02 09:00"))
    shop.post(retraction(fact, at=local("2020-01-01 00:00")))
    assert shop.order("R1").first_opened_at == local("2026-03-02 09:00")


def test_a4_the_right_fact_comes_under_a_new_id() -> None:
    shop = Simulator(local("2026-03-02 18:00"))
    wrong = opened("2026-03-02 08:00", vin="V1")
    shop.post(wrong)
    shop.post(retraction(wrong), opened("2026-03-02 08:00", vin="V2"))
    assert shop.order("R1").vin == "V2"


def test_a24_another_source_may_use_the_same_id() -> None:
    fact = opened("2026-03-02 08:00")
    other = Fact(fact.subject, fact.occurred_at, fact.payload, "/dms/other", fact.id)
    shop = Simulator(local("2026-03-02 18:00"))
    shop.post(fact, other)
    shop.post(retraction(fact))
    assert shop.order("R1").first_opened_seq == 2


def test_of_nothing_there_is_no_state() -> None:
    fact = event_of(opened("2026-03-02 08:00"), 1)
    assert fold(Kind.REPAIR_ORDER, "R1", []) is None
    assert fold(Kind.REPAIR_ORDER, "R1", [fact, taken_back(fact, 2, "r1")]) is None


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_state_that_knows_nothing(kind: Kind) -> None:
    state = new_state(kind, "K")
    assert type(state) is STATE_TYPES[kind]
    assert decode(type(state), encode(state)) == state
    assert state.last_occurred_at is None


def test_b1_in_order_is_by_time_then_seq() -> None:
    state: State = RepairOrder(ro_number="R1")
    fact = opened("2026-03-02 08:00")
    assert is_in_order(state, event_of(fact, 2))
    state = evolve(state, event_of(fact, 2))
    assert is_in_order(state, event_of(fact, 3))
    assert not is_in_order(state, event_of(fact, 1))
    assert is_in_order(state, event_of(opened("2026-03-02 08:01"), 1))
    assert not is_in_order(state, event_of(opened("2026-03-02 07:59"), 3))
    assert not is_in_order(state, taken_back(event_of(fact, 2), 3, "r1"))


def own(fact: Fact) -> Event:
    return event_of(Fact(fact.subject, fact.occurred_at, fact.payload, OWN_SOURCE), 9)


def test_h16_what_the_service_wrote_about_windows_is_in_order_whenever_it_comes() -> None:
    window = {
        "kind": "first",
        "opens_at": "2026-03-04T00:00:00+08:00",
        "due_at": "2026-03-08T23:59:59+08:00",
    }
    scheduled = tell("follow_up.scheduled", CALL, "2026-03-01 08:00", **window)
    withdrawn = tell("follow_up.cancelled", CALL, "2026-03-01 08:00", reason="no-anchor")
    called_off = tell("follow_up.cancelled", CALL, "2026-03-01 08:00", reason="客户不愿接听")
    state = FollowUp(follow_up_id=CALL, last_occurred_at=local("2026-03-02 08:00"))
    for event in (own(scheduled), own(withdrawn)):
        assert is_service_event(event)
        assert is_in_order(state, event)
    for event in (event_of(scheduled), event_of(withdrawn), own(called_off)):
        assert not is_service_event(event)
        assert not is_in_order(state, event)
    overdue = tell("follow_up.overdue", CALL, "2026-03-01 08:00", due_at=window["due_at"])
    breached = tell("complaint.contact_overdue", CALL, "2026-03-01 08:00", due_at=window["due_at"])
    assert is_service_event(own(overdue))
    assert is_service_event(own(breached))
    assert not is_service_event(own(tell("complaint.resolved", CALL, "2026-03-01 08:00", by="M1")))
    assert not is_service_event(own(opened("2026-03-02 08:00")))


def facts_alone(state: State | None) -> object:
    """What a state says apart from seqs and what the service wrote itself (J15)."""
    return _without_seqs(msgspec.to_builtins(state))


_OWN_SAY = {
    "opened_recorded_at",
    "breaches",
    "relief",
    "missed_on_arrival",
    "scheduled_at",
    "withdrawn_at",
    "withdrawn_reason",
}


def _without_seqs(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: len(item) if name.endswith("_seqs") else _without_seqs(item)
            for name, item in value.items()
            if not (name.endswith("seq") or name in _OWN_SAY)
        }
    return [_without_seqs(item) for item in value] if isinstance(value, list) else value


def windows(states: Iterable[State]) -> dict[str, object]:
    """The windows that are in force, and whether the call was made."""
    return {
        state.follow_up_id: (state.opens_at, state.target_at, state.due_at, state.completed_at)
        for state in states
        if isinstance(state, FollowUp) and state.status != "cancelled" and state.due_at is not None
    }


def withdrawals(states: Iterable[State]) -> dict[str, str | None]:
    """Why the service took windows back that it had set."""
    return {
        state.follow_up_id: state.withdrawn_reason
        for state in states
        if isinstance(state, FollowUp) and state.cancelled_by_service
    }


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_b_any_order_of_arrival_ends_in_the_same_states(seed: int) -> None:
    rng = Random(seed)
    history = random_history(rng, orders=2, doubles=False)
    as_it_came = replayed(history)
    otherwise = replayed(rearranged(rng, history))
    later = max(as_it_came.now, otherwise.now)
    as_it_came.advance(later)
    otherwise.advance(later)
    assert windows(as_it_came.states.values()) == windows(otherwise.states.values())
    one, other = withdrawals(as_it_came.states.values()), withdrawals(otherwise.states.values())
    assert {call: one[call] for call in one.keys() & other} == {
        call: other[call] for call in one.keys() & other
    }
    for key, state in as_it_came.states.items():
        if state.last_occurred_at is not None and not isinstance(state, FollowUp):
            assert facts_alone(state) == facts_alone(otherwise.states[key])
