"""Why a fact does not enter the log though its form is right: identity and retraction target."""

from collections.abc import Mapping
from typing import Final

from app.db.event_log import Target
from app.domain.errors import Fault
from app.domain.events.envelope import (
    INFERRED_SOURCE,
    OWN_SOURCE,
    Event,
    NewEvent,
    Reason,
)
from app.domain.events.event_type import SUBJECTS
from app.domain.events.retraction import EventRetracted

OURS: Final = Fault(
    "/subject",
    "reserved",
    "The service plans this follow-up itself; the command that moves it gives it another window.",
)
"""A window that is posted for a follow-up of ours."""


def conflict(seq: int) -> Fault:
    """Say that an identity is taken: by an event of the log, or (0) by one that is only tried."""
    which = f"event {seq}" if seq else "an event before it"
    return Fault(
        "/id",
        "identity-conflict",
        f"Source and id are those of {which}, whose content differs. A correction is a new "
        "event with an id of its own; retract the old one.",
    )


def target_of(event: NewEvent | Event) -> Target:
    """Describe an event of this group as the target of a retraction."""
    return Target(
        event.source,
        event.id,
        event.kind,
        event.key,
        event.subject,
        event.causation_id,
        event.correlation_id,
    )


def aim(event: NewEvent, targets: Mapping[tuple[str, str], Target]) -> tuple[Reason, Fault] | None:
    """Point a retraction at its target's subject, or say why it can't be (A5-A7)."""
    payload = event.payload
    if type(payload) is not EventRetracted:
        return None
    target = targets.get((payload.source, payload.id))
    if target is None or (event.source, event.id) == (payload.source, payload.id):
        return Reason.RETRACTION_TARGET_UNKNOWN, Fault(
            "/data/id",
            "unknown",
            f"No event {payload.id} of source {payload.source} is in the log of this store.",
        )
    if target.source == OWN_SOURCE:
        return Reason.INVALID_DATA, Fault(
            "/data/source", "not-retractable", "What the service wrote can't be retracted."
        )
    if target.source == INFERRED_SOURCE:
        source = "" if target.evidence_source is None else f" of source {target.evidence_source}"
        return Reason.INVALID_DATA, Fault(
            "/data/source",
            "not-retractable",
            f"The service read this out of the snapshot {target.evidence}{source}; retract that "
            "snapshot, or post what is right.",
        )
    if SUBJECTS[target.kind].canonical(event.subject) != target.subject:
        return Reason.INVALID_DATA, Fault(
            "/subject",
            "other-subject",
            f"The event to retract is about {target.subject}, not {event.subject}.",
        )
    event.kind, event.key, event.subject = target.kind, target.key, target.subject
    return None
