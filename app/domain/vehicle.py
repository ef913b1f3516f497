"""A vehicle and whose it is."""

from datetime import date
from decimal import Decimal

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
