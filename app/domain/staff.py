"""Staff and their timecards."""

from datetime import date
from decimal import Decimal

import msgspec

from app.domain.subject import Subject


class Staff(Subject, kw_only=True, omit_defaults=True):
    """The state of a member of staff: each field of the last registration that carries it."""

    staff_no: str
    roles: list[str] = msgspec.field(default_factory=list)
    team: str | None = None


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
