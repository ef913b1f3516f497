"""Whom states name by surrogate, and whom those stand for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from app.domain.complaint import Complaint
from app.domain.events.envelope import DESK_SOURCE, Kind
from app.domain.events.names import surrogate_of
from app.domain.fold import State, fold
from app.domain.mentions import KnownNames, Seen, mentions_of, with_members
from app.domain.repair_order import RepairOrder
from app.domain.staff import Staff
from tests.support.simulate import Fact, event_of, tell

NOON: Final = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
CALL: Final = "6b3f0e5e-7f5d-4a0e-9a57-6f0f2f3f4a11"


def key(name: str) -> str:
    return surrogate_of(b"", "S1", name)


ANN, BOB, CAT, DAN = map(key, ("王一", "王二", "王三", "王四"))


def folded(kind: Kind, subject: str, *facts: Fact) -> State:
    state = fold(kind, subject, [event_of(fact, seq) for seq, fact in enumerate(facts, start=1)])
    assert state is not None
    return state


def order(*told: tuple[str, dict[str, Any]]) -> State:
    return folded(
        Kind.REPAIR_ORDER,
        "R1",
        *(
            tell(f"repair_order.{name}", "R1", NOON + timedelta(hours=hour), **data)
            for hour, (name, data) in enumerate(told)
        ),
    )


FULL: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("opened", {"work_type": "other", "advisor": ANN}),
    ("dispatched", {"technician": BOB}),
    ("work_started", {"technician": CAT}),
    ("delay_warned", {"by": ANN}),
    ("inspected", {"level": 3, "inspector": DAN, "passed": True}),
    ("inspected", {"level": 3, "inspector": "Q1", "passed": True}),
    ("customer_delay_noted", {"note": "x", "signed": True}),
    ("delay_reviewed", {"accepted": True, "reviewer": DAN}),
    ("comeback_reported", {}),
    ("comeback_assessed", {"verdict": "diagnosis", "technician": CAT}),
)


def test_an_order_names_whoever_it_keeps() -> None:
    opened = Seen(NOON, NOON)
    at = [NOON + timedelta(hours=hour) for hour in range(10)]
    assert mentions_of(order(*FULL)) == {
        (ANN, "advisor"): opened,
        (BOB, "technician"): opened,
        (CAT, "technician"): opened,
        (ANN, "delay_warner"): opened,
        (DAN, "inspector"): opened,
        (DAN, "reviewer"): Seen(at[7], at[7]),
        (CAT, "comeback_technician"): Seen(at[9], at[9]),
    }


def test_numbers_are_no_mentions() -> None:
    state = order(("opened", {"work_type": "other", "advisor": "A1"}))
    assert mentions_of(state) == {}
    assert mentions_of(Staff(staff_no="A1")) == {}
    assert mentions_of(None) == {}


def test_an_order_that_was_never_opened_is_of_when_it_was_heard_of() -> None:
    state = order(("dispatched", {"technician": BOB}), ("cleaned", {}))
    later = NOON + timedelta(hours=1)
    assert mentions_of(state) == {(BOB, "technician"): Seen(later, later)}
    complaint = folded(
        Kind.COMPLAINT, CALL, tell("complaint.contacted", CALL, NOON, by=ANN, channel="phone")
    )
    assert mentions_of(complaint) == {(ANN, "complaint_handler"): Seen(NOON, NOON)}


def test_who_names_somebody_has_a_time() -> None:
    with pytest.raises(ValueError, match="has a time"):
        mentions_of(RepairOrder(ro_number="R1", advisor=ANN))


def test_a_call_and_a_complaint_name_all_who_had_to_do_with_it() -> None:
    later = NOON + timedelta(hours=1)
    called = {"by": BOB, "channel": "phone"}
    call = folded(
        Kind.FOLLOW_UP,
        CALL,
        tell("follow_up.assigned", CALL, NOON, assignee=ANN, acting_for=DAN, appointed_by="M1"),
        tell("follow_up.attempted", CALL, NOON, outcome="busy", **called),
        tell("follow_up.completed", CALL, later, outcome="reached", **called),
    )
    assert mentions_of(call) == {
        (ANN, "assignee"): Seen(NOON, NOON),
        (DAN, "acting_for"): Seen(NOON, NOON),
        (BOB, "caller"): Seen(NOON, later),
    }
    complaint = folded(
        Kind.COMPLAINT,
        CALL,
        tell("complaint.opened", CALL, NOON, channel="phone", text="x", responsible=ANN),
        tell("complaint.contacted", CALL, later, **called),
    )
    assert mentions_of(complaint) == {
        (ANN, "responsible"): Seen(NOON, NOON),
        (BOB, "complaint_handler"): Seen(later, later),
    }
    known = KnownNames([Staff(staff_no="B1", name_keys={"/hr": BOB})])
    assert isinstance(complaint, Complaint)
    resolved = with_members(complaint, known)
    assert (resolved.responsible, resolved.contacts[0].by) == (ANN, "B1")


def test_numbers_stand_in_the_place_of_surrogates_and_the_state_stays() -> None:
    state = order(*FULL)
    known = KnownNames(
        [
            Staff(staff_no="A1", name_keys={"/hr": ANN}, alias_keys={"/hr": [BOB], "/dms": [CAT]}),
            Staff(staff_no="A2", alias_keys={"/hr": [CAT]}),
        ]
    )
    assert isinstance(state, RepairOrder)
    resolved = with_members(state, known)
    assert (resolved.advisor, resolved.technician) == ("A1", "A1")
    assert resolved.worked_technician == CAT  # of two: of neither
    assert [review.reviewer for review in resolved.delay_reviews] == [DAN]
    assert (state.advisor, state.technician) == (ANN, BOB)
    assert with_members(state, KnownNames(())) is state


def test_whom_a_name_stands_for() -> None:
    known = KnownNames(
        [
            Staff(staff_no="A1", name_keys={"/hr": ANN}, alias_keys={"/hr": [BOB]}),
            Staff(staff_no="A2", alias_keys={"/hr": [BOB, CAT]}),
        ]
    )
    assert [known.member(value) for value in (ANN, BOB, CAT, DAN, "A9")] == [
        "A1",
        BOB,
        "A2",
        DAN,
        "A9",
    ]
    assert known.owners(BOB) == ["A1", "A2"]
    assert known.owners(DAN) == []
    assert known.resolved == sorted([ANN, CAT])
    assert known.spellings("A1") == sorted(["A1", ANN])
    assert known.spellings(ANN) == sorted(["A1", ANN])
    assert known.spellings(BOB) == [BOB]


def registered(hour: int, source: str, **data: Any) -> Fact:
    return replace(
        tell("staff.registered", "A1", NOON + timedelta(hours=hour), **data), source=source
    )


def test_a_list_takes_the_place_of_the_last_one_of_its_source_and_the_desk_adds() -> None:
    state = folded(
        Kind.STAFF,
        "A1",
        registered(0, "/hr", name_key=ANN, alias_keys=[BOB]),
        registered(1, DESK_SOURCE, alias_keys=[CAT]),
        registered(2, "/hr", alias_keys=[]),
        registered(3, DESK_SOURCE, alias_keys=[DAN]),
        registered(4, "/dms", name_key=BOB, team="RED"),
    )
    assert isinstance(state, Staff)
    assert state.known_as == {ANN, BOB, CAT, DAN}
    assert state.alias_keys == {"/hr": [], DESK_SOURCE: sorted([CAT, DAN])}
