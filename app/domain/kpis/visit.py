"""A settled order in the hands of the judge, and the measures that the families share."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from app.domain.follow_up import FollowUp
from app.domain.periods import local_day
from app.domain.policies import Policies, Policy
from app.domain.repair_order import RepairOrder, Settlement

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE: Final = timedelta(minutes=1)
_SECOND: Final = timedelta(seconds=1)
_MICROSECOND: Final = timedelta(microseconds=1)


class Visit(msgspec.Struct, frozen=True, gc=False):
    """A settled order with all that its verdicts hang on.

    Attributes:
        order: Settled and not cancelled.
        settlement: The one that counts.
        day: The settled day: local day of the delivered time.
        policy: The one valid on that day (D17).
        zone: Of the store.
        follow_ups: Of any kind and state, joined by the order's number.
        comeback_odometers: Odometer at the opening of the orders that comebacks name.
    """

    order: RepairOrder
    settlement: Settlement
    day: date
    policy: Policy
    zone: ZoneInfo
    follow_ups: Sequence[FollowUp]
    comeback_odometers: Mapping[str, Decimal]

    @property
    def delivered_at(self) -> datetime:
        """The delivered time of the verdict."""
        return self.settlement.delivered_at


def visit_of(
    order: RepairOrder,
    *,
    follow_ups: Sequence[FollowUp],
    comeback_odometers: Mapping[str, Decimal],
    policies: Policies,
    zone: ZoneInfo,
) -> Visit | None:
    """The order as a settled one; None if it is not settled or is cancelled (C2, C6)."""
    settlement = order.settlement
    if settlement is None or order.cancelled:
        return None
    day = local_day(settlement.delivered_at, zone)
    policy = policies.valid_on(day)
    return Visit(order, settlement, day, policy, zone, follow_ups, comeback_odometers)


def settled_day(order: RepairOrder, zone: ZoneInfo) -> date | None:
    """Local day of the delivered time; None for an order that is not settled or is cancelled.

    The policy valid on that day judges the order (D17).
    """
    settlement = order.settlement
    if settlement is None or order.cancelled:
        return None
    return local_day(settlement.delivered_at, zone)


def minute(instant: datetime) -> int:
    """The instant with its seconds cut off, as a number of minutes to compare and to subtract."""
    return (instant - _EPOCH) // _MINUTE


def second(instant: datetime) -> int:
    """The instant cut at the second, as a number of seconds to compare and to subtract (H2)."""
    return (instant - _EPOCH) // _SECOND


def seconds(span: timedelta) -> Decimal:
    """The elapsed time, exact to the microsecond."""
    return Decimal(span // _MICROSECOND).scaleb(-6)


def whole_seconds(span: timedelta) -> int:
    """The elapsed time, seconds only (rounded down)."""
    return span // _SECOND
