"""Events that are made here instead of being sent."""

import sys
from datetime import datetime
from typing import Final

from app.domain.errors import InvalidInputError
from app.domain.events.catalog import CATALOG
from app.domain.events.envelope import OWN_SOURCE, Kind, NewEvent
from app.domain.events.form import Limits
from app.domain.events.parse import content_hash, state_key
from app.domain.events.payload import Payload
from app.domain.ids import own_event_id

_NO_SECRET: Final = b""
"""Nobody sends what the service writes, so there is nothing to tell apart or to hide."""

_NO_LIMITS: Final = Limits(max_aside=sys.maxsize)


def make_event(
    *,
    store_id: str,
    source: str,
    event_id: str,
    event_type: str,
    subject: str,
    occurred_at: datetime,
    payload: Payload,
    secret: bytes,
    correlation_id: str | None = None,
    causation_id: str | None = None,
) -> NewEvent:
    """Make an event of a payload that was checked: what a command decided.

    Args:
        store_id: The store's code.
        source: With `event_id` the identity.
        event_id: See `source`.
        event_type: A type of the catalogue, whose current model the payload is of.
        subject: In its canonical form.
        occurred_at: In UTC.
        payload: Personal fields lie beside the log afterwards, like those of a sent event.
        secret: Of the installation.
        correlation_id: Kept.
        causation_id: Kept.

    Raises:
        InvalidInputError: A text holds what can't be stored; pointers lead into the data.
    """
    known = CATALOG[event_type]
    content = known.forms[-1].made(payload)
    if faults := [*content.faults(_NO_LIMITS)]:
        raise InvalidInputError(faults)
    return NewEvent(
        store_id=store_id,
        source=source,
        id=event_id,
        type=event_type,
        kind=known.kind or Kind.REPAIR_ORDER,
        key=state_key(subject, payload),
        subject=subject,
        occurred_at=occurred_at,
        schema_version=known.version,
        correlation_id=correlation_id,
        causation_id=causation_id,
        payload=payload,
        data=content.data,
        aside=content.aside,
        content_hash=content_hash(
            secret,
            event_type,
            subject,
            occurred_at if known.timed else None,
            known.version,
            content.canonical,
        ),
    )


def make_own_event(
    *,
    store_id: str,
    event_type: str,
    subject: str,
    occurred_at: datetime,
    payload: Payload,
    cause_seq: int,
    correlation_id: str | None = None,
    causation_id: str | None = None,
) -> NewEvent:
    """Make an event that the service writes by itself; the same cause gives the same id (H16).

    Args:
        store_id: The store's code.
        event_type: A type of the catalogue.
        subject: In its canonical form.
        occurred_at: That of the fact that caused it, in UTC.
        payload: Of the type's current model.
        cause_seq: The seq of the event that caused it.
        correlation_id: Kept.
        causation_id: Kept.
    """
    return make_event(
        store_id=store_id,
        source=OWN_SOURCE,
        event_id=own_event_id(subject, event_type, cause_seq),
        event_type=event_type,
        subject=subject,
        occurred_at=occurred_at,
        payload=payload,
        secret=_NO_SECRET,
        correlation_id=correlation_id,
        causation_id=causation_id,
    )
