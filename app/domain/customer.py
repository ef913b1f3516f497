"""A customer's file, without what is personal."""

from collections.abc import Callable, Mapping
from copy import copy
from datetime import datetime
from typing import Any, Final

import msgspec

from app.domain.events.customer_file import (
    Consent,
    CustomerMerged,
    CustomerRegistered,
    CustomerToldApart,
    CustomerUpdated,
    PreferredContact,
)
from app.domain.events.envelope import Event
from app.domain.subject import Subject


class Distinction(msgspec.Struct, frozen=True, gc=False):
    """That another customer is somebody else, as the last event that stands says of the two.

    Attributes:
        other: The other one's number.
        at: When it was found out, UTC.
        by: Who did: a staff number, or the surrogate of a name.
        source: With `id` the identity of the event that says so, to be retracted.
        id: See `source`.
    """

    other: str
    at: datetime
    by: str
    source: str
    id: str


class Customer(Subject, kw_only=True, omit_defaults=True):
    """The state of a customer's file.

    Attributes:
        kind: `private`, `company` or `fleet`.
        preferred_contact: channel, from, to; only what is known.
        consent: calls, messages; only what is known.
        merged_into: The customer number that took this one over.
        merged_at: When it did.
        merged_seq: seq of the event that says so.
        told_apart: From whom, in the order in which it was said.
    """

    customer_no: str
    kind: str = "private"
    preferred_contact: dict[str, str] = msgspec.field(default_factory=dict)
    consent: dict[str, bool] = msgspec.field(default_factory=dict)
    wanted_services: list[str] = msgspec.field(default_factory=list)
    segment: str | None = None
    member_no: str | None = None
    merged_into: str | None = None
    merged_at: datetime | None = None
    merged_seq: int = 0
    told_apart: list[Distinction] = msgspec.field(default_factory=list)


def evolve(customer: Customer, event: Event) -> Customer:
    """Apply the next event, in the order (occurred_at, seq), to the draft and hand it back."""
    _APPLY[type(event.payload)](customer, event.payload, event)
    customer.last_occurred_at = event.occurred_at
    customer.last_fact_seq = event.seq
    return customer


def _registered(customer: Customer, data: CustomerRegistered, _event: Event) -> None:
    """Each field that it carries; a second registration deletes nothing (B5)."""
    for name in _FIELDS:
        value = getattr(data, name)
        if value is not None:
            setattr(customer, name, value)
    if data.preferred_contact is not None:
        customer.preferred_contact = _patched({}, data.preferred_contact)
    if data.consent is not None:
        customer.consent = _patched({}, data.consent)


def _updated(customer: Customer, data: CustomerUpdated, _event: Event) -> None:
    """A merge patch (RFC 7396): what is null goes, what is absent stays (A15)."""
    for name in _FIELDS:
        if name in data.model_fields_set:
            value = getattr(data, name)
            setattr(customer, name, copy(_EMPTY[name]) if value is None else value)
    if "preferred_contact" in data.model_fields_set:
        customer.preferred_contact = _patched(customer.preferred_contact, data.preferred_contact)
    if "consent" in data.model_fields_set:
        customer.consent = _patched(customer.consent, data.consent)


def _patched(known: dict[str, Any], patch: PreferredContact | Consent | None) -> dict[str, Any]:
    if patch is None:
        return {}
    sent = patch.model_dump(by_alias=True, exclude_unset=True)
    merged = known | sent
    return {name: value for name, value in merged.items() if value is not None}


def _merged(customer: Customer, data: CustomerMerged, event: Event) -> None:
    customer.merged_into = data.into
    customer.merged_at = event.occurred_at
    customer.merged_seq = event.seq


def _told_apart(customer: Customer, data: CustomerToldApart, event: Event) -> None:
    """What was said of others before stays: each pair has events of its own."""
    others = [*dict.fromkeys(data.others)]
    customer.told_apart = [
        *(known for known in customer.told_apart if known.other not in others),
        *(
            Distinction(other, event.occurred_at, data.by, event.source, event.id)
            for other in others
            if other != customer.customer_no
        ),
    ]


_EMPTY: Final[Mapping[str, Any]] = {
    "kind": "private",
    "wanted_services": [],
    "segment": None,
    "member_no": None,
}
_FIELDS: Final = tuple(_EMPTY)
_APPLY: Final[Mapping[type, Callable[[Customer, Any, Event], None]]] = {
    CustomerRegistered: _registered,
    CustomerUpdated: _updated,
    CustomerMerged: _merged,
    CustomerToldApart: _told_apart,
}
