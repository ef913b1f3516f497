"""Staff and their timecards."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

import msgspec

from app.domain.events.envelope import DESK_SOURCE, Event
from app.domain.events.staff import StaffRegistered, StaffTimecardRecorded
from app.domain.subject import Subject


class Staff(Subject, kw_only=True, omit_defaults=True):
    """The state of a member of staff: each field of the last registration that carries it.

    Attributes:
        name_keys: Surrogate of the name, by source; of the last registration of each that has one.
        alias_keys: Surrogates of the aliases, by source, likewise. Those that the desk gave add
            up: what a sheet lists anew takes nothing of them away, a retraction does.
    """

    staff_no: str
    roles: list[str] = msgspec.field(default_factory=list)
    team: str | None = None
    name_keys: dict[str, str] = msgspec.field(default_factory=dict)
    alias_keys: dict[str, list[str]] = msgspec.field(default_factory=dict)

    @property
    def known_as(self) -> set[str]:
        """All surrogates that stand for this member."""
        return set(self.name_keys.values()).union(*self.alias_keys.values())


class Timecard(Subject, kw_only=True, omit_defaults=True):
    """One day of one member of staff: the latest card, as a whole (G10).

    Attributes:
        key: `<staff number>/<work date>` (J16).
        seq: Of the card that counts.
    """

    key: str
    staff_no: str = ""
    work_date: date | None = None
    attended_hours: Decimal | None = None
    clocked_hours: Decimal | None = None
    team: str | None = None
    seq: int = 0


def evolve_staff(staff: Staff, event: Event) -> Staff:
    """Apply the next event, in the order (occurred_at, seq), to the draft and hand it back."""
    data = event.payload
    if not isinstance(data, StaffRegistered):
        raise TypeError(f"{event.type} is no event of a member of staff")
    if data.roles is not None:
        staff.roles = data.roles
    if data.team is not None:
        staff.team = data.team
    if data.name_key is not None:
        staff.name_keys[event.source] = data.name_key
    if data.alias_keys is not None:
        add_aliases(staff.alias_keys, event.source, data.alias_keys)
    staff.last_occurred_at = event.occurred_at
    staff.last_fact_seq = event.seq
    return staff


def add_aliases(known: dict[str, list[str]], source: str, aliases: Iterable[str]) -> None:
    """Take in what a registration of a source lists; see `Staff.alias_keys`.

    Args:
        known: By source; it is changed.
        source: Of the next registration.
        aliases: All that it lists, names or surrogates.
    """
    before = known.get(source, []) if source == DESK_SOURCE else []
    known[source] = sorted({*before, *aliases})


def evolve_timecard(timecard: Timecard, event: Event) -> Timecard:
    """Put the next card, in the order (occurred_at, seq), in the place of the one before (G10)."""
    data = event.payload
    if not isinstance(data, StaffTimecardRecorded):
        raise TypeError(f"{event.type} is no event of a timecard")
    timecard.staff_no = event.subject
    timecard.work_date = data.work_date
    timecard.attended_hours = data.attended_hours
    timecard.clocked_hours = data.clocked_hours
    timecard.team = data.team
    timecard.seq = event.seq
    timecard.last_occurred_at = event.occurred_at
    timecard.last_fact_seq = event.seq
    return timecard
