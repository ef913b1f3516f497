"""A vehicle and whose it is."""

from datetime import date
from decimal import Decimal
from typing import Final

from app.domain.events.customer_file import VehicleRegistered, VehicleTransferred
from app.domain.events.envelope import Event
from app.domain.subject import Subject


class Vehicle(Subject, kw_only=True, omit_defaults=True):
    """The state of a vehicle: each field of the last event that carries it."""

    vin: str
    customer_no: str | None = None
    brand: str | None = None
    model: str | None = None
    model_year: int | None = None
    sold_here: bool | None = None
    purchased_on: date | None = None
    interval_km: Decimal | None = None
    interval_months: int | None = None


_REGISTERED_FIELDS: Final = (
    "customer_no",
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
        case VehicleTransferred():
            vehicle.customer_no = data.customer_no
        case _:
            raise TypeError(f"{event.type} is no event of a vehicle")
    vehicle.last_occurred_at = event.occurred_at
    vehicle.last_fact_seq = event.seq
    return vehicle
