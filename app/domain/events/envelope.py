"""What every event has, whatever it is about.

Three shapes follow one another: a `NewEvent` was checked and waits for the log, an `Event` is in
the log as folds see it, a `Rejected` could not be accepted and says why.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from app.domain.errors import Fault
from app.domain.events.payload import Payload

OWN_SOURCE: Final = "/servicelane"
"""The source of what the service writes by itself; nobody else may use it (A7)."""

INFERRED_SOURCE: Final = f"{OWN_SOURCE}/inferred"
"""The source of what the service reads out of snapshots: facts, though nobody told them."""
DESK_SOURCE: Final = "/servicelane/desk"
"""The source of facts that staff enter here; unlike the service's own they can be retracted."""


class Kind(StrEnum):
    """What a state is kept for; with the state key it names one subject of a store."""

    REPAIR_ORDER = "repair_order"
    FOLLOW_UP = "follow_up"
    COMPLAINT = "complaint"
    CUSTOMER = "customer"
    VEHICLE = "vehicle"
    STAFF = "staff"
    TIMECARD = "timecard"
    FEED = "feed"
    BACKLOG = "backlog"


class Reason(StrEnum):
    """Why an event lies in quarantine. The codes are stable, in the order of the checks (A10)."""

    MISSING_ATTRIBUTE = "missing-attribute"
    UNSUPPORTED_VERSION = "unsupported-version"
    UNKNOWN_TYPE = "unknown-type"
    UNKNOWN_STORE = "unknown-store"
    INVALID_DATA = "invalid-data"
    TIME_IN_FUTURE = "time-in-future"
    IDENTITY_CONFLICT = "identity-conflict"
    RETRACTION_TARGET_UNKNOWN = "retraction-target-unknown"


class NewEvent(msgspec.Struct):
    """An event that was checked and is not yet in the log.

    Attributes:
        store_id: The store's code.
        source: With `id` the identity, per store.
        id: See `source`.
        type: A type of the catalogue.
        kind: What the subject is. Means nothing while `key` is "".
        key: State key: the subject; of a timecard `<staff number>/<work date>` (J16). "" of
            `event.retracted` until the appender has looked up the target, whose kind and key it
            then takes.
        subject: As sent, a UUID in its lower-case form.
        occurred_at: When it happened in the shop; aware, UTC.
        schema_version: The version of the type that `data` is written in.
        correlation_id: Kept as sent.
        causation_id: Kept as sent.
        payload: The data, of the type's current version, personal fields filled.
        data: Canonical JSON for the log: no personal field, no unknown one, no null (except the
            deletions of `customer.updated`), decimals as plain text, instants in UTC.
        aside: JSON object of what is kept beside the log: personal and unknown fields as sent,
            nested like the data, and a `work_type` that the log knows as `other`. None if empty.
        content_hash: HMAC of the content; the same content has the same one (A9).
        warnings: What was accepted but deserves a look.
        received: The event's own bytes, where the caller wants to carry them along.
    """

    store_id: str
    source: str
    id: str
    type: str
    kind: Kind
    key: str
    subject: str
    occurred_at: datetime
    schema_version: int
    correlation_id: str | None
    causation_id: str | None
    payload: Payload
    data: bytes
    aside: bytes | None
    content_hash: bytes
    warnings: tuple[Fault, ...] = ()
    received: bytes | None = None

    def logged(self, seq: int, recorded_at: datetime) -> "Event":
        """Show it as it is in the log under that seq."""
        return Event(
            self.store_id,
            seq,
            self.source,
            self.id,
            self.type,
            self.kind,
            self.key,
            self.subject,
            self.occurred_at,
            recorded_at,
            self.schema_version,
            self.payload,
            self.content_hash,
            self.causation_id,
            self.correlation_id,
        )


class Event(msgspec.Struct):
    """An event of the log, as folds see it: the payload has no personal field.

    Attributes:
        content_hash: Tells the same content from another one (A9).
        causation_id: Of what was read out of a snapshot: the id of that snapshot.
        correlation_id: Of what was read out of a snapshot: the source of that snapshot; None
            where it was read by a version that did not keep it.
    """

    store_id: str
    seq: int
    source: str
    id: str
    type: str
    kind: Kind
    key: str
    subject: str
    occurred_at: datetime
    recorded_at: datetime
    schema_version: int
    payload: Payload
    content_hash: bytes = b""
    causation_id: str | None = None
    correlation_id: str | None = None

    @property
    def own(self) -> bool:
        """Whether the service wrote it by itself: it then applies in seq order (H16)."""
        return self.source == OWN_SOURCE

    @property
    def inferred(self) -> bool:
        """Whether the service read it out of snapshots."""
        return self.source == INFERRED_SOURCE


class Rejected(msgspec.Struct, frozen=True):
    """An event that can't be accepted as it is, with whatever of it was readable.

    Attributes:
        reason: The first that applies, in the order of A10.
        faults: At least one; pointers lead into the event.
        store_id: The store's code if it has the form of one, known or not.
        source: None if absent or nothing that can be stored; the same holds for the next three.
        id: See `source`.
        type: See `source`.
        subject: See `source`.
    """

    reason: Reason
    faults: tuple[Fault, ...]
    store_id: str | None = None
    source: str | None = None
    id: str | None = None
    type: str | None = None
    subject: str | None = None
