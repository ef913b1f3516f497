"""Whom the states name by surrogate, and whom those surrogates stand for as known now (E3)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from app.domain.complaint import Complaint
from app.domain.customer import Customer
from app.domain.follow_up import FollowUp
from app.domain.repair_order import RepairOrder
from app.domain.staff import Staff

NamesStaff = RepairOrder | FollowUp | Complaint | Customer
"""What may name somebody."""

S = TypeVar("S", RepairOrder, FollowUp, Complaint, Customer)


class Seen(msgspec.Struct, frozen=True, gc=False):
    """When a subject named somebody, first and last."""

    first_at: datetime
    last_at: datetime


Mentions = dict[tuple[str, str], Seen]
"""(surrogate, role) -> when."""


class KnownNames:
    """Whom the surrogates of one store stand for, by the registrations as known now."""

    def __init__(self, staff: Iterable[Staff]) -> None:
        owners: dict[str, set[str]] = defaultdict(set)
        for member in staff:
            for key in member.known_as:
                owners[key].add(member.staff_no)
        self._owners: Mapping[str, set[str]] = owners

    def member(self, value: str) -> str:
        """Return the staff number that a surrogate stands for; else what was given.

        An alias of two members stands for neither.
        """
        owners = self._owners.get(value, ())
        return min(owners) if len(owners) == 1 else value

    def owners(self, surrogate: str) -> list[str]:
        """List the staff numbers that a surrogate is an alias of, in order."""
        return sorted(self._owners.get(surrogate, ()))

    @property
    def resolved(self) -> list[str]:
        """All surrogates that stand for one member, in order."""
        return sorted(key for key, owners in self._owners.items() if len(owners) == 1)

    def spellings(self, member: str) -> list[str]:
        """List what states may say for a member: the number and all surrogates that mean it."""
        number = self.member(member)
        return sorted(
            {
                member,
                number,
                *(key for key, owners in self._owners.items() if owners == {number}),
            }
        )


NOBODY: Final = KnownNames(())


_Roles = Mapping[str, str]
"""Field -> role of whom it names."""

_FIELDS: Final[Mapping[type, _Roles]] = {
    RepairOrder: {
        "advisor": "advisor",
        "dispatched_technician": "technician",
        "worked_technician": "technician",
    },
    FollowUp: {},
    Complaint: {"responsible": "responsible"},
    Customer: {},
}
_LISTS: Final[Mapping[type, Mapping[str, _Roles]]] = {
    RepairOrder: {
        "delay_reviews": {"reviewer": "reviewer"},
        "comeback_assessments": {"technician": "comeback_technician"},
    },
    FollowUp: {
        "assignments": {
            "assignee": "assignee",
            "acting_for": "acting_for",
            "appointed_by": "appointed_by",
        },
        "attempts": {"by": "caller"},
        "completions": {"by": "caller"},
    },
    Complaint: {
        "contacts": {"by": "complaint_handler"},
        "resolutions": {"by": "complaint_handler"},
        "reopenings": {"by": "complaint_handler"},
    },
    Customer: {"told_apart": {"by": "customer_teller"}},
}
"""Where states name somebody: fields of their own, and fields of what they list with its time."""


def mentions_of(state: object) -> Mentions:
    """List whom a state names by surrogate; states of other kinds name nobody."""
    found: Mentions = {}
    if isinstance(state, NamesStaff):
        for surrogate, role, at in _named(state):
            seen = found.get((surrogate, role), Seen(at, at))
            found[surrogate, role] = Seen(min(at, seen.first_at), max(at, seen.last_at))
    return found


def _named(state: NamesStaff) -> Iterator[tuple[str, str, datetime]]:
    """Yield everybody whom a state names by surrogate: who, as what, when."""
    kind = type(state)
    for field, role in _FIELDS[kind].items():
        value = getattr(state, field)
        if value is not None and value[0] == "~":
            yield value, role, _told_at(state)
    for name, roles in _LISTS[kind].items():
        for entry in getattr(state, name):
            for field, role in roles.items():
                value = getattr(entry, field)
                if value is not None and value[0] == "~":
                    yield value, role, entry.at
    if isinstance(state, RepairOrder):
        for role, surrogates in state.also_named.items():
            for surrogate in surrogates:
                yield surrogate, role, _told_at(state)


def _told_at(state: NamesStaff) -> datetime:
    """When a subject is first told of: its opening, else the last that is known of it."""
    opened_at = state.first_opened_at if isinstance(state, RepairOrder) else None
    if isinstance(state, Complaint):
        opened_at = state.opened_at
    at = opened_at or state.last_occurred_at
    if at is None:
        raise ValueError("who names somebody has a fact, and that has a time")
    return at


def with_members(state: S, names: KnownNames) -> S:
    """Return the state with the staff number in the place of each surrogate that stands for one.

    The state itself isn't changed; it is what is returned if it names nobody by surrogate.
    """
    kind = type(state)
    changes = _resolved(state, _FIELDS[kind], names)
    for name, roles in _LISTS[kind].items():
        before: Sequence[msgspec.Struct] = getattr(state, name)
        after = [
            msgspec.structs.replace(entry, **resolved)
            if (resolved := _resolved(entry, roles, names))
            else entry
            for entry in before
        ]
        if after != before:
            changes[name] = after
    return msgspec.structs.replace(state, **changes) if changes else state


def _resolved(holder: object, fields: Iterable[str], names: KnownNames) -> dict[str, Any]:
    changes = {}
    for field in fields:
        value = getattr(holder, field)
        if value is not None and value[0] == "~" and (number := names.member(value)) != value:
            changes[field] = number
    return changes
