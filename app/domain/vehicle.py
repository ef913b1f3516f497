"""A vehicle, whose it is, and whose it was."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal

import msgspec

from app.domain.events.customer_file import VehicleRegistered, VehicleTransferred
from app.domain.events.envelope import Event
from app.domain.subject import Subject


class Ownership(msgspec.Struct, frozen=True, gc=False):
    """Somebody was said to own the vehicle, who was not said to own it just before.

    Attributes:
        at: When that happened in the shop, UTC.
        customer_no: The owner.
        by: Whether a file said so, or a transfer from one owner to another.
    """

    at: datetime
    customer_no: str
    by: Literal["registered", "transferred"]


class Vehicle(Subject, kw_only=True, omit_defaults=True):
    """The state of a vehicle: each field of the last event that carries it.

    Attributes:
        owners: Who owned it since when, in order.
    """

    vin: str
    customer_no: str | None = None
    owners: list[Ownership] = msgspec.field(default_factory=list)
    brand: str | None = None
    model: str | None = None
    model_year: int | None = None
    sold_here: bool | None = None
    purchased_on: date | None = None
    interval_km: Decimal | None = None
    interval_months: int | None = None


_REGISTERED_FIELDS: Final = (
    "brand",
    "model",
    "model_year",
    "sold_here",
    "purchased_on",
    "interval_km",
    "interval_months",
)


def evolve(vehicle: Vehicle, event: Event) -> Vehicle:
    """Apply the next event, in the order (occurred_at, seq), to the draft and hand it back."""
    data = event.payload
    match data:
        case VehicleRegistered():
            for name in _REGISTERED_FIELDS:
                value = getattr(data, name)
                if value is not None:
                    setattr(vehicle, name, value)
            if data.customer_no is not None:
                _own(vehicle, Ownership(event.occurred_at, data.customer_no, "registered"))
        case VehicleTransferred():
            _own(vehicle, Ownership(event.occurred_at, data.customer_no, "transferred"))
        case _:
            raise TypeError(f"{event.type} is no event of a vehicle")
    vehicle.last_occurred_at = event.occurred_at
    vehicle.last_fact_seq = event.seq
    return vehicle


def _own(vehicle: Vehicle, ownership: Ownership) -> None:
    vehicle.customer_no = ownership.customer_no
    if not vehicle.owners or vehicle.owners[-1].customer_no != ownership.customer_no:
        vehicle.owners.append(ownership)


def owner_at(owners: Sequence[Ownership], moment: datetime) -> str | None:
    """The customer who owned a vehicle at a moment, as far as its file tells.

    A file that was made later tells of the time before it too; a transfer never does: whoever it
    gave the car to did not own it before.

    Args:
        owners: In order.
        moment: In UTC.
    """
    since = [ownership for ownership in owners if ownership.at <= moment]
    if since:
        return since[-1].customer_no
    return owners[0].customer_no if owners and owners[0].by == "registered" else None
