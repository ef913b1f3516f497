"""Whose an order is, and which customer numbers are one customer: what links the files of a shop.

All of it is a function of states, so the order in which facts arrive makes no difference, and a
retraction takes back what followed from the fact.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, combinations
from operator import attrgetter
from typing import Final

import msgspec

from app.domain.customer import Customer, Distinction
from app.domain.errors import ConflictError, InvalidInputError
from app.domain.events.envelope import Kind
from app.domain.events.event_type import SUBJECTS
from app.domain.events.repair_order import RepairOrderLinked
from app.domain.repair_order import RepairOrder
from app.domain.vehicle import Ownership, Vehicle, owner_at

_VIN: Final = SUBJECTS[Kind.VEHICLE]


def spelled_alike(vin: str | None) -> str | None:
    """A VIN in the one spelling in which orders are compared; None where nothing is written.

    Case and surrounding white space make no difference; anything else does: an O isn't a 0.
    """
    return (vin or "").strip().upper() or None


def on_file(vin: str | None) -> str | None:
    """The VIN spelled alike under which a file may be found; None where it can't be any's."""
    alike = spelled_alike(vin)
    return None if alike is None else _VIN.canonical(alike)


def owners_of(vehicles: Sequence[Vehicle]) -> Sequence[Ownership]:
    """Who owned a vehicle, in order, by its files: they are several where spellings differ."""
    if len(vehicles) == 1:
        return vehicles[0].owners
    files = sorted(vehicles, key=attrgetter("vin"))
    return sorted(chain.from_iterable(file.owners for file in files), key=attrgetter("at"))


def customer_of(order: RepairOrder, owners: Sequence[Ownership]) -> str | None:
    """The customer of an order: whom it names, else who owned its vehicle when it was here.

    Never the other way round: a customer with one vehicle may have come with another one.
    """
    if order.customer_no is not None or order.visited_at is None:
        return order.customer_no
    return owner_at(owners, order.visited_at)


def surviving_no(customer_no: str, files: Mapping[str, Customer]) -> str:
    """The number under which a customer counts, after all mergers.

    Where mergers run in a circle the oldest of them is overruled by the later ones: the file that
    it took away remains.

    Args:
        customer_no: Any number, with a file or without.
        files: By number; all that the number was merged into, over whatever steps.
    """
    path: list[str] = []
    while (file := files.get(customer_no)) is not None and file.merged_into is not None:
        if customer_no in path:
            circle = [files[number] for number in path[path.index(customer_no) :]]
            return min(circle, key=_age).customer_no
        path.append(customer_no)
        customer_no = file.merged_into
    return customer_no


def _age(file: Customer) -> tuple[bool, datetime | None, int]:
    return file.merged_at is not None, file.merged_at, file.merged_seq


class Visit(msgspec.Struct, frozen=True):
    """An order that says whose it is."""

    at: datetime
    customer_no: str


Pair = frozenset[str]
"""Two customers, by the numbers that count."""


def told_apart(
    files: Iterable[Customer], surviving: Mapping[str, str]
) -> dict[Pair, tuple[str, Distinction]]:
    """Who is not who, with the last word on it and the number whose file has it.

    A pair of numbers that were merged is none: a merger overrules.

    Args:
        files: Of the customers who are asked about.
        surviving: Number -> number that counts, for those that were merged.
    """
    said = sorted(
        ((known.at, file.customer_no, known) for file in files for known in file.told_apart),
        key=lambda each: each[:2],
    )
    pairs = {
        frozenset({surviving.get(number, number), surviving.get(known.other, known.other)}): (
            number,
            known,
        )
        for _, number, known in said
    }
    return {pair: last for pair, last in pairs.items() if len(pair) > 1}


def split_customers(
    owners: Iterable[Ownership],
    visits: Iterable[Visit],
    surviving: Mapping[str, str],
    apart: Collection[Pair] = (),
) -> list[str]:
    """The customers of one vehicle that are likely one and the same, sorted; empty if all is well.

    Between two transfers a vehicle has one customer: where more are named, a file was split, or a
    transfer was never written down, or they are different people who share it.

    Args:
        owners: Of the vehicle's file; empty where there is none.
        visits: Its orders that have a customer.
        surviving: Number -> number that counts, for those that were merged.
        apart: Who is known to be different people. Where all are, nothing is left to find out.
    """
    named = [
        (owner.at, owner.by != "transferred", surviving.get(owner.customer_no, owner.customer_no))
        for owner in owners
    ]
    named += [
        (visit.at, True, surviving.get(visit.customer_no, visit.customer_no)) for visit in visits
    ]
    spans: list[set[str]] = [set()]
    for _, stays, customer_no in sorted(named):
        if not stays:
            spans.append(set())
        spans[-1].add(customer_no)
    return sorted(set().union(*(span for span in spans if not _all_apart(span, apart))))


def _all_apart(customers: Iterable[str], apart: Collection[Pair]) -> bool:
    return all(frozenset(pair) in apart for pair in combinations(customers, 2))


def joined(file: Customer, absorbed: Sequence[Customer]) -> Customer:
    """A customer's file with what only the files say that were merged into it.

    Args:
        file: The one that remains; its own values win.
        absorbed: The others, the one whose values come next first.
    """
    whole = msgspec.structs.replace(file)
    for other in absorbed:
        whole.preferred_contact = whole.preferred_contact or other.preferred_contact
        whole.consent = other.consent | whole.consent
        whole.wanted_services = whole.wanted_services or other.wanted_services
        whole.segment = whole.segment or other.segment
        whole.member_no = whole.member_no or other.member_no
    return whole


def check_merge(customer_no: str, into: str, files: Mapping[str, Customer]) -> bool:
    """Check that staff may merge a customer's file into another one.

    Args:
        customer_no: The file that goes.
        into: The one that remains.
        files: By number; all that are merged with either.

    Returns:
        Whether that says anything new.

    Raises:
        InvalidInputError: It is the same file.
        ConflictError: It went into another one already, or the other one went into it.
    """
    if into == customer_no:
        raise InvalidInputError.at(
            "/into", "same-customer", f"{customer_no} can't be merged into itself."
        )
    file = files.get(customer_no)
    if file is not None and file.merged_into == into:
        return False
    if file is not None and file.merged_into is not None:
        message = (
            f"Customer {customer_no} went into {file.merged_into} already. Retract that merger "
            f"first, or merge {file.merged_into}."
        )
        raise ConflictError(message, state="merged")
    if surviving_no(into, files) == customer_no:
        message = (
            f"Customer {into} was merged into {customer_no}, so the merger would run in a circle. "
            "Retract the other merger first."
        )
        raise ConflictError(message, state="circle")
    return True


def check_telling_apart(
    customer_no: str, others: Collection[str], files: Mapping[str, Customer]
) -> bool:
    """Check that staff may say that customers are different people.

    Args:
        customer_no: One of them.
        others: The others; nothing is said of one another.
        files: By number; all that are merged with any.

    Returns:
        Whether that says anything new.

    Raises:
        InvalidInputError: One is told apart from itself.
        ConflictError: Two of them were merged.
    """
    if customer_no in others:
        raise InvalidInputError.at(
            "/others", "same-customer", f"{customer_no} can't be told apart from itself."
        )
    for other in others:
        if surviving_no(other, files) == surviving_no(customer_no, files):
            message = (
                f"Customers {customer_no} and {other} were merged, so they are one. "
                "Retract the merger first."
            )
            raise ConflictError(message, state="merged")
    return any(
        not _says_apart(files.get(customer_no), other)
        and not _says_apart(files.get(other), customer_no)
        for other in others
    )


def _says_apart(file: Customer | None, other: str) -> bool:
    return file is not None and any(known.other == other for known in file.told_apart)


def says_news(order: RepairOrder, link: RepairOrderLinked) -> bool:
    """Whether a link says of an order what it doesn't say itself already."""
    return link.customer_no not in {None, order.customer_no} or link.vin not in {None, order.vin}
