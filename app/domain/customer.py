"""A customer's file, without what is personal."""

import msgspec

from app.domain.subject import Subject


class Customer(Subject, kw_only=True, omit_defaults=True):
    """The state of a customer's file.

    Attributes:
        kind: `private`, `company` or `fleet`.
        preferred_contact: channel, from, to; only what is known.
        consent: calls, messages; only what is known.
        merged_into: The customer number that took this one over.
    """

    customer_no: str
    kind: str = "private"
    preferred_contact: dict[str, str] = msgspec.field(default_factory=dict)
    consent: dict[str, bool] = msgspec.field(default_factory=dict)
    wanted_services: list[str] = msgspec.field(default_factory=list)
    segment: str | None = None
    member_no: str | None = None
    merged_into: str | None = None
