"""Facts: what one subject gives to the KPIs of one day, for whom, and why.

A fact is a pure function of states and policy. Sums over facts are the KPIs; no rule lives beyond
here.
"""

from datetime import date
from decimal import Decimal
from typing import Final, Literal

import msgspec

from app.domain.events.envelope import Kind

Basis = Literal["settled", "opened", "dispatched", "due", "work"]

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)


class FactEntry(msgspec.Struct, frozen=True, gc=False):
    """What a subject gives to one KPI.

    A ratio has both parts where it is counted and none where it is not; `reason` then says why
    not. A sum or count has a numerator alone and is only there where it contributes. A median has
    its one exact sample, in seconds, as numerator, and none where the subject gives no sample.

    Attributes:
        code: Of the KPI.
        numerator: None where it is not counted.
        denominator: None where it is not counted, and for sums and medians always.
        reason: Stable code, of `app.domain.kpis.reasons`.
        sort: Orders the list that opens a KPI, highest first: lateness in seconds for the delivery
            and follow-up KPIs (negative is early), the sample for medians, else 0.
    """

    code: str
    numerator: Decimal | None
    denominator: Decimal | None
    reason: str
    sort: int = 0

    @property
    def counted(self) -> bool:
        """Whether it is in either part."""
        return self.numerator is not None


class Fact(msgspec.Struct, frozen=True, gc=False):
    """What a subject gives to all KPIs that share a basis.

    Attributes: kind: Of the subject. key: Its state key. basis: What the day is the day of: the
        delivered time of a settled order, the opening (of an order or a complaint), the first
        dispatch, the due time of a follow-up, the work date of a timecard. A subject has one fact
        per basis at most. day: In the store's zone. advisor: None is unknown (E1); likewise for
        the other members. entries: One per KPI at most.
    """

    kind: Kind
    key: str
    basis: Basis
    day: date
    advisor: str | None = None
    technician: str | None = None
    team: str | None = None
    work_type: str | None = None
    assignee: str | None = None
    nature: str | None = None
    entries: tuple[FactEntry, ...] = ()
