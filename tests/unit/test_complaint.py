"""A complaint's state, its contact clock, and the commands that it allows."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import permutations

import pytest

from app.domain import complaint as rules
from app.domain.complaint import Complaint
from app.domain.errors import ConflictError, InvalidInputError
from app.domain.events.complaint import (
    ComplaintContacted,
    ComplaintOpened,
    ComplaintReopened,
    ComplaintResolved,
)
from app.domain.policies import DEFAULT_POLICIES
from app.domain.reactions import Wanted, overdue_events
from app.domain.subject import Relief
from tests.support.simulate import SHANGHAI, Fact, Simulator, local, retraction, tell

NUMBER = "0199a3c4-6f1e-7b3a-9c52-3f8f0d6b1a20"


def opened(time: str = "2024-03-06 15:00", **data: object) -> Fact:
    return tell("complaint.opened", NUMBER, time, **({"channel": "phone"} | data))


def contacted(time: str) -> Fact:
    return tell("complaint.contacted", NUMBER, time, by="C01", channel="phone")


def resolved(time: str) -> Fact:
    return tell("complaint.resolved", NUMBER, time, by="M01")


def reopened(time: str) -> Fact:
    return tell("complaint.reopened", NUMBER, time, by="M02")


@pytest.fixture
def shop() -> Simulator:
    return Simulator(local("2024-03-06 15:01"))


def complaint(shop: Simulator) -> Complaint:
    found = shop.find(Complaint, NUMBER)
    assert found is not None
    return found


STORY = [
    opened(),
    contacted("2024-03-07 10:00"),
    resolved("2024-03-07 11:00"),
    contacted("2024-03-07 12:00"),
    reopened("2024-03-07 13:00"),
    contacted("2024-03-07 14:00"),
]
STATUSES = ["opened", "contacted", "resolved", "resolved", "reopened", "contacted"]


def test_a_complaint_goes_its_way(shop: Simulator) -> None:
    seen = []
    for fact in STORY:
        shop.post(fact)
        seen.append(complaint(shop).status)
    assert seen == STATUSES
    assert complaint(shop).contacted_at == local("2024-03-07 10:00")
    assert complaint(shop).resolved_at is None
    assert [(step.by, step.at) for step in complaint(shop).reopenings] == [
        ("M02", local("2024-03-07 13:00"))
    ]
    shop.post(resolved("2024-03-07 15:00"))
    assert complaint(shop).resolved_at == local("2024-03-07 15:00")


def test_the_order_of_arrival_makes_no_difference() -> None:
    for arrival in permutations(STORY[:4]):
        shop = Simulator(local("2024-03-08 00:00"))
        for fact in arrival:
            shop.post(fact)
        assert complaint(shop).status == "resolved"
        assert complaint(shop).opened_at == local("2024-03-06 15:00")
        assert complaint(shop).resolved_at == local("2024-03-07 11:00")


def test_a_second_opening_adds_what_it_carries(shop: Simulator) -> None:
    shop.post(
        opened(customer_no="K1", nature="time", severity="normal"),
        contacted("2024-03-06 15:00:30"),
        opened("2024-03-06 15:01", ro_number="R1", severity="important", responsible="M01"),
    )
    state = complaint(shop)
    assert (state.opened_at, state.status) == (local("2024-03-06 15:00"), "contacted")
    assert (state.customer_no, state.ro_number, state.nature) == ("K1", "R1", "time")
    assert (state.severity, state.responsible, state.channel) == ("important", "M01", "phone")


def test_a_contact_in_time_raises_no_alarm(shop: Simulator) -> None:
    shop.post(opened())
    shop.post(contacted("2024-03-06 16:00"))
    shop.advance(local("2024-06-01 00:00"))
    assert not shop.own()
    assert complaint(shop).contact_overdue_seq is None
    assert complaint(shop).contact_resolved_seq is None


def test_a_resolution_alone_does_not_stop_the_clock(shop: Simulator) -> None:
    shop.post(opened())
    shop.post(resolved("2024-03-06 16:00"))
    shop.advance(local("2024-06-01 00:00"))
    assert [event.type for event in shop.own()] == ["complaint.contact_overdue"]


def test_what_is_not_due_says_nothing(shop: Simulator) -> None:
    shop.post(opened())
    due_at = local("2024-03-07 15:00")

    def asked(now: datetime) -> list[Wanted]:
        return overdue_events(complaint(shop), now, policies=DEFAULT_POLICIES, zone=SHANGHAI)

    assert asked(due_at) == []
    (wanted,) = asked(due_at + timedelta(microseconds=1))
    assert wanted.cause.occurred_at == due_at


def test_an_overdue_contact_is_resolved_once(shop: Simulator) -> None:
    shop.post(opened())
    shop.advance(local("2024-03-07 18:00"))
    (overdue,) = shop.own("complaint.contact_overdue")
    assert overdue.occurred_at == local("2024-03-07 15:00")
    assert overdue.recorded_at == overdue.occurred_at + timedelta(microseconds=1)
    assert complaint(shop).contact_overdue_seq == overdue.seq
    shop.post(contacted("2024-03-07 16:30"))
    shop.post(contacted("2024-03-07 17:30"))
    (notice,) = shop.own("complaint.contact_resolved")
    assert complaint(shop).contact_resolved_seq == notice.seq
    assert complaint(shop).relief == Relief(overdue.occurred_at, 5400, notice.seq)


def test_a_contact_in_time_that_was_heard_of_late_is_resolved_with_no_lateness(
    shop: Simulator,
) -> None:
    shop.post(opened())
    shop.advance(local("2024-03-08 15:00"))
    shop.post(contacted("2024-03-07 09:00"))
    relief = complaint(shop).relief
    assert relief is not None
    assert relief.late_seconds == 0


def test_an_earlier_opening_moves_the_deadline(shop: Simulator) -> None:
    shop.post(opened())
    shop.advance(local("2024-03-08 15:00"))
    shop.post(opened("2024-03-06 12:00"))
    state = complaint(shop)
    assert state.opened_at == local("2024-03-06 12:00")
    assert state.missed(local("2024-03-07 12:00"))
    shop.advance(local("2024-06-01 00:00"))
    assert len(shop.own()) == 1


def test_what_was_retracted_leaves_nothing(shop: Simulator) -> None:
    first = opened()
    shop.post(first)
    shop.post(retraction(first))
    assert shop.find(Complaint, NUMBER) is None
    shop.advance(local("2024-06-01 00:00"))
    assert not shop.own()


def test_a_contact_before_any_opening_starts_no_clock(shop: Simulator) -> None:
    shop.post(contacted("2024-03-06 16:00"))
    assert complaint(shop).opened_at is None
    shop.advance(local("2024-06-01 00:00"))
    assert not shop.own()


# ---- commands

NOW = local("2024-03-06 16:00")
SAID = ComplaintOpened(channel="phone")
CALLED = ComplaintContacted(by="C01", channel="phone")
SOLVED = ComplaintResolved(by="M01")
AGAIN = ComplaintReopened(by="M01")
Deed = Callable[[Complaint], object]


def contact(state: Complaint) -> object:
    return rules.contact(state, CALLED, occurred_at=NOW, now=NOW)


def resolve(state: Complaint) -> object:
    return rules.resolve(state, SOLVED, occurred_at=NOW, now=NOW)


def reopen(state: Complaint) -> object:
    return rules.reopen(state, AGAIN, occurred_at=NOW, now=NOW)


def test_a_new_complaint_can_be_opened(shop: Simulator) -> None:
    assert rules.open_complaint(None, SAID) is SAID
    assert rules.open_complaint(Complaint(complaint_id=NUMBER), SAID) is SAID
    shop.post(opened())
    with pytest.raises(ConflictError, match="opened already"):
        rules.open_complaint(complaint(shop), SAID)


def test_an_open_complaint_is_contacted_and_resolved_but_not_reopened(shop: Simulator) -> None:
    shop.post(opened())
    assert contact(complaint(shop)) is CALLED
    assert resolve(complaint(shop)) is SOLVED
    with pytest.raises(ConflictError, match="only a resolved one"):
        reopen(complaint(shop))


def test_a_resolved_complaint_can_only_be_reopened(shop: Simulator) -> None:
    shop.post(opened(), resolved("2024-03-06 15:30"))
    assert reopen(complaint(shop)) is AGAIN
    for deed in (contact, resolve):
        with pytest.raises(ConflictError, match="reopen it") as refusal:
            deed(complaint(shop))
        assert refusal.value.state == "resolved"


@pytest.mark.parametrize("deed", [contact, resolve])
def test_what_was_never_opened_allows_nothing(deed: Deed) -> None:
    with pytest.raises(ConflictError, match="never opened"):
        deed(Complaint(complaint_id=NUMBER))


def test_nothing_is_done_in_the_future(shop: Simulator) -> None:
    shop.post(opened())
    state = complaint(shop)
    later = NOW + timedelta(seconds=1)
    with pytest.raises(InvalidInputError, match="future"):
        rules.contact(state, CALLED, occurred_at=later, now=NOW)
    with pytest.raises(InvalidInputError, match="future"):
        rules.resolve(state, SOLVED, occurred_at=later, now=NOW)
    shop.post(resolved("2024-03-06 15:30"))
    with pytest.raises(InvalidInputError, match="future"):
        rules.reopen(complaint(shop), AGAIN, occurred_at=later, now=NOW)
