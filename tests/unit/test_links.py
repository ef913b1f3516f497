"""Whose an order is, which numbers are one customer, and what looks like a split file."""

from datetime import UTC, datetime
from itertools import combinations, pairwise, permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.customer import Customer, Distinction
from app.domain.errors import ConflictError, InvalidInputError
from app.domain.events.repair_order import RepairOrderLinked
from app.domain.links import (
    Visit,
    check_merge,
    customer_of,
    joined,
    on_file,
    owners_of,
    says_news,
    spelled_alike,
    split_customers,
    surviving_no,
    told_apart,
)
from app.domain.repair_order import RepairOrder
from app.domain.vehicle import Ownership, Vehicle, owner_at
from tests.support.simulate import Fact, Simulator, local, retraction, tell

VIN = "LSVAA4182E2100001"
DAY = [datetime(2026, 3, day, tzinfo=UTC) for day in range(1, 29)]


def registered(day: int, customer_no: str) -> Ownership:
    return Ownership(DAY[day], customer_no, "registered")


def transferred(day: int, customer_no: str) -> Ownership:
    return Ownership(DAY[day], customer_no, "transferred")


# VINs


@pytest.mark.parametrize(
    ("vin", "alike", "file"),
    [
        (VIN, VIN, VIN),
        (f"\u3000{VIN.lower()}\t", VIN, VIN),
        ("LSVAA4182E21OOOO1", "LSVAA4182E21OOOO1", None),
        ("x-1", "X-1", None),
        (" ", None, None),
        (None, None, None),
    ],
)
def test_a23_case_and_surrounding_space_make_no_difference_and_nothing_else(
    vin: str | None, alike: str | None, file: str | None
) -> None:
    assert (spelled_alike(vin), on_file(vin)) == (alike, file)


# Owners


@pytest.mark.parametrize(
    ("owners", "seen"),
    [
        ([], [None, None, None]),
        ([registered(10, "A")], ["A", "A", "A"]),
        ([transferred(10, "B")], [None, "B", "B"]),
        ([registered(4, "A"), transferred(10, "B")], ["A", "B", "B"]),
        ([registered(4, "A"), registered(15, "B")], ["A", "A", "B"]),
        ([transferred(12, "B"), registered(15, "A")], [None, None, "A"]),
    ],
)
def test_a_file_tells_of_the_time_before_it_and_a_transfer_does_not(
    owners: list[Ownership], seen: list[str | None]
) -> None:
    assert [owner_at(owners, DAY[day]) for day in (1, 10, 20)] == seen


def test_files_of_one_vehicle_in_several_spellings_are_read_as_one() -> None:
    upper = Vehicle(vin=VIN, owners=[registered(1, "A"), registered(9, "C")])
    lower = Vehicle(vin=VIN.lower(), owners=[transferred(5, "B")])
    assert [owner.customer_no for owner in owners_of([lower, upper])] == ["A", "B", "C"]
    assert owners_of([upper]) is upper.owners


def test_an_order_is_whose_it_says_else_the_owners_at_the_visit() -> None:
    owners = [registered(4, "A"), transferred(10, "B")]
    order = RepairOrder(ro_number="R1", vin=VIN, first_opened_at=DAY[5])
    assert customer_of(order, owners) == "A"
    order.customer_no = "C"
    assert customer_of(order, owners) == "C"
    assert customer_of(RepairOrder(ro_number="R2"), owners) is None
    # one that was never opened was here when it was last heard of
    heard = RepairOrder(ro_number="R3", last_occurred_at=DAY[12])
    assert customer_of(heard, owners) == "B"


def test_a_link_moves_neither_stage_nor_arrival_nor_promise() -> None:
    shop = Simulator(local("2026-03-05 09:00"))
    shop.post(
        tell("repair_order.linked", "R1", "2026-03-02 08:00", customer_no="K1"),
        tell(
            "repair_order.opened",
            "R1",
            "2026-03-02 09:00",
            work_type="other",
            advisor="A1",
            vin=VIN,
            promised_at="2026-03-02T17:00:00+08:00",
        ),
        tell("repair_order.work_started", "R1", "2026-03-02 10:00"),
        tell("repair_order.linked", "R1", "2026-03-03 08:00", vin="OTHER"),
    )
    order = shop.order("R1")
    assert (order.customer_no, order.vin, order.stage) == ("K1", "OTHER", "in_work")
    assert order.first_opened_at == local("2026-03-02 09:00")
    assert order.first_promised_at == local("2026-03-02 17:00")


# Calls


def facts() -> dict[str, Fact]:
    return {
        "opened": tell(
            "repair_order.opened",
            "R1",
            "2026-03-02 09:00",
            work_type="other",
            advisor="A1",
            vin=VIN.lower(),
        ),
        "delivered": tell("repair_order.delivered", "R1", "2026-03-02 16:00"),
        "file": tell("vehicle.registered", VIN, "2026-03-04 09:00", customer_no="K1"),
        "sold": tell("vehicle.transferred", VIN, "2026-03-05 09:00", customer_no="K2"),
    }


@pytest.mark.parametrize("order", [*permutations(facts())])
def test_h16_a_call_learns_whom_to_call_once(order: tuple[str, ...]) -> None:
    shop = Simulator(local("2026-03-06 09:00"))
    told = facts()
    for name in order:
        shop.post(told[name])
    assert shop.first().customer_no == "K1"
    planned = shop.own("follow_up.scheduled")
    known_at = max(order.index("opened"), order.index("file"))
    assert len(planned) == 1 + (known_at > order.index("delivered"))
    assert {event.payload.model_dump()["due_at"] for event in planned} == {shop.first().due_at}
    shop.post(tell("repair_order.linked", "R1", "2026-03-06 08:00", customer_no="K1"))
    assert len(shop.own("follow_up.scheduled")) == len(planned), "that was so already"
    shop.post(retraction(told["file"]))
    assert shop.first().customer_no == "K1"


def test_a_call_forgets_whom_to_call_with_the_file_that_told_it() -> None:
    shop = Simulator(local("2026-03-06 09:00"))
    told = facts()
    shop.post(*told.values())
    shop.post(retraction(told["file"]))
    assert shop.first().customer_no is None, "the transfer came after the visit"


# Mergers


def files(*mergers: tuple[str, str]) -> dict[str, Customer]:
    return {
        customer_no: Customer(customer_no=customer_no, merged_into=into, merged_at=DAY[day])
        for day, (customer_no, into) in enumerate(mergers)
    }


@pytest.mark.parametrize(
    ("mergers", "counts"),
    [
        ([], {"A": "A"}),
        ([("A", "B"), ("B", "C")], {"A": "C", "B": "C", "C": "C"}),
        ([("A", "A")], {"A": "A"}),
        ([("A", "B"), ("B", "A")], {"A": "A", "B": "A"}),
        ([("B", "A"), ("A", "B")], {"A": "B", "B": "B"}),
        ([("X", "A"), ("B", "C"), ("A", "B"), ("C", "A")], dict.fromkeys("XABC", "B")),
    ],
)
def test_mergers_lead_to_one_number_in_chains_and_circles(
    mergers: list[tuple[str, str]], counts: dict[str, str]
) -> None:
    known = files(*mergers)
    assert {number: surviving_no(number, known) for number in counts} == counts


@given(st.dictionaries(st.sampled_from("ABCDEF"), st.sampled_from("ABCDEF")), st.randoms())
def test_all_of_a_family_count_as_one_who_counts_as_themselves(
    mergers: dict[str, str], rng: Random
) -> None:
    moments = list(DAY[: len(mergers)])
    rng.shuffle(moments)
    known = {
        number: Customer(customer_no=number, merged_into=into, merged_at=at)
        for (number, into), at in zip(mergers.items(), moments, strict=True)
    }
    for number, into in mergers.items():
        counts = surviving_no(number, known)
        assert surviving_no(into, known) == counts
        assert surviving_no(counts, known) == counts


def test_ties_in_time_are_broken_by_seq() -> None:
    known = files(("A", "B"))
    known["B"] = Customer(customer_no="B", merged_into="A", merged_at=DAY[0], merged_seq=1)
    known["A"].merged_seq = 2
    assert surviving_no("A", known) == "B"


def test_the_remaining_file_wins_and_the_others_fill_its_gaps() -> None:
    whole = joined(
        Customer(customer_no="C", segment="S", consent={"calls": True}),
        [
            Customer(customer_no="A", segment="T", member_no="1", consent={"calls": False}),
            Customer(
                customer_no="B",
                member_no="2",
                consent={"messages": False},
                wanted_services=["x"],
                preferred_contact={"channel": "phone"},
            ),
        ],
    )
    assert whole == Customer(
        customer_no="C",
        segment="S",
        member_no="1",
        consent={"calls": True, "messages": False},
        wanted_services=["x"],
        preferred_contact={"channel": "phone"},
    )


def test_a_merger_is_refused_where_it_leads_nowhere() -> None:
    known = files(("A", "B"), ("B", "C"))
    assert check_merge("C", "D", known)
    assert not check_merge("A", "B", known)
    with pytest.raises(InvalidInputError, match="into itself"):
        check_merge("D", "D", known)
    with pytest.raises(ConflictError, match="went into B already"):
        check_merge("A", "D", known)
    with pytest.raises(ConflictError, match="circle"):
        check_merge("C", "A", known)


def test_a_link_says_news_or_it_does_not() -> None:
    order = RepairOrder(ro_number="R1", customer_no="K1")
    assert not says_news(order, RepairOrderLinked(customer_no="K1"))
    assert says_news(order, RepairOrderLinked(customer_no="K2"))
    assert says_news(order, RepairOrderLinked(customer_no="K1", vin=VIN))


# Split files


@pytest.mark.parametrize(
    ("owners", "visits", "split"),
    [
        ([], [(1, "A"), (2, "A")], []),
        ([], [(1, "B"), (2, "A")], ["A", "B"]),
        ([registered(1, "A"), transferred(5, "B")], [(2, "A"), (7, "B")], []),
        ([registered(1, "A"), transferred(5, "B")], [(2, "A"), (7, "A")], ["A", "B"]),
        ([registered(1, "A"), transferred(5, "B")], [(5, "B")], []),
        ([registered(1, "A"), registered(5, "B")], [], ["A", "B"]),
        ([registered(9, "A")], [(1, "M")], []),
        ([registered(9, "A"), transferred(12, "C")], [(1, "B"), (13, "C")], ["A", "B"]),
    ],
)
def test_between_two_transfers_a_vehicle_has_one_customer(
    owners: list[Ownership], visits: list[tuple[int, str]], split: list[str]
) -> None:
    came = [Visit(DAY[day], customer_no) for day, customer_no in visits]
    assert split_customers(owners, came, {"M": "A"}) == split


pairs_of = st.sets(st.sampled_from([*map(frozenset, combinations("ABCD", 2))]))
comings = st.lists(st.tuples(st.integers(0, 27), st.sampled_from("ABCD")), max_size=8)


@settings(deadline=None)
@given(comings, st.lists(st.integers(0, 27), max_size=2), pairs_of)
def test_who_is_told_apart_explains_a_span_only_if_all_of_it_are(
    visits: list[tuple[int, str]], sales: list[int], apart: set[frozenset[str]]
) -> None:
    """Of every stretch between two transfers all customers are in the list, or none."""
    came = [Visit(DAY[day], customer_no) for day, customer_no in visits]
    owners = [transferred(day, "E") for day in sales]
    found = split_customers(owners, came, {}, apart)
    bounds = [-1, *sorted(sales), 28]
    spans = [
        {customer for day, customer in visits if start <= day < stop}
        | ({"E"} if start >= 0 else set())
        for start, stop in pairwise(bounds)
    ]
    wanted = [
        span for span in spans if {*map(frozenset, combinations(sorted(span), 2))} - {*apart}
    ]
    assert found == sorted(set().union(*wanted))


def test_what_is_said_of_a_number_goes_for_whoever_it_counts_as() -> None:
    def file(customer_no: str, *said: tuple[str, int]) -> Customer:
        told = [Distinction(other, DAY[day], "A7", "/dms", f"e-{day}") for other, day in said]
        return Customer(customer_no=customer_no, told_apart=told)

    pairs = told_apart([file("A", ("B", 3), ("C", 1)), file("B", ("A", 2))], {"A": "Z", "C": "Z"})
    # the last word of two; that A and C are not one was overruled by their merger
    assert {(*sorted(pair), number, said.id) for pair, (number, said) in pairs.items()} == {
        ("B", "Z", "A", "e-3")
    }


def test_the_last_word_on_each_of_the_others_stands() -> None:
    shop = Simulator(local("2026-03-05 09:00"))
    first = tell("customer.told_apart", "K1", "2026-03-02 08:00", others=["K2", "K3"], by="A1")
    second = tell("customer.told_apart", "K1", "2026-03-02 09:00", others=["K2", "K1"], by="A2")
    shop.post(second, first)

    def standing() -> list[tuple[str, str]]:
        found = shop.find(Customer, "K1")
        assert found is not None
        return [(said.other, said.by) for said in found.told_apart]

    assert standing() == [("K3", "A1"), ("K2", "A2")]
    shop.post(retraction(second))
    assert standing() == [("K2", "A1"), ("K3", "A1")]
