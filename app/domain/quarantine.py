"""What lies in quarantine: an item's own bytes, and why the log could not take it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from app.domain.access import Principal
from app.domain.errors import Fault, InvalidInputError
from app.domain.events.envelope import Reason, Rejected
from app.domain.events.item import Item
from app.domain.events.shape import storable
from app.domain.events.wire import STRUCTURED

NO_STORE: Final = ""
"""Where items lie whose store is unknown or can't be read."""

Place = tuple[str, str]
"""Where an item lies: store (or `NO_STORE`) and id."""

KEY_NOT_BOUND: Final = "key-not-bound"
"""Code of the fault of an event whose sender's key isn't bound to the store that it names."""


class QuarantineState(StrEnum):
    """Waiting for somebody; or done: entered the log, or thrown away with a reason."""

    WAITING = "waiting"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class Actor(msgspec.Struct, frozen=True):
    """Who did something with an item: the caller's id, which lasts, and its name, for people."""

    id: str
    name: str

    @classmethod
    def of(cls, principal: Principal) -> "Actor":
        """Name a caller."""
        return cls(principal.id, principal.name)


SERVICE: Final = Actor("servicelane", "Servicelane")
"""The service itself: what it replays without being asked."""


class Correction(msgspec.Struct, frozen=True):
    """What somebody made of an item: the event as it is sent in from then on.

    Attributes:
        at: When.
        by: Who.
        means: How it was made: `event` was handed in, a `patch`, or names of suggestions.
        event: JSON text of the event in structured form.
        first: JSON texts of events that enter before it, such as the retraction of an older one.
        run_id: The run that made it.
    """

    at: datetime
    by: Actor
    means: str
    event: str
    first: tuple[str, ...] = ()
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class QuarantinedItem:
    """An item in quarantine, with all that is known of it.

    Attributes:
        store_id: Of the event, None where no known store could be read.
        faults: Of the event as it is now: as it was corrected last, else as it was sent.
        item: As it was sent; it never changes.
        source: As far as it could be read, like `event_id`, `type` and `subject`.
        seen_count: How often the same bytes were sent while it waited.
        again_count: How often they came again after it was done.
        again_at: When they did last.
        seq: Of the event that it became.
        resolved_by: Who replayed or discarded it.
        corrections: In order; none loses the one before.
    """

    store_id: str | None
    quarantine_id: str
    state: QuarantineState
    reason: Reason
    faults: list[Fault]
    item: Item
    source: str | None
    event_id: str | None
    type: str | None
    subject: str | None
    received_at: datetime
    last_seen_at: datetime
    seen_count: int
    seq: int | None
    resolved_at: datetime | None
    discard_reason: str | None
    resolved_by: Actor | None = None
    corrections: Sequence[Correction] = ()
    again_count: int = 0
    again_at: datetime | None = None

    @property
    def home(self) -> str:
        """The store with which it lies."""
        return self.store_id or NO_STORE

    @property
    def present(self) -> Item:
        """The item as a replay sends it in: as it was corrected last, else as it was sent."""
        return corrected(self.corrections[-1].event) if self.corrections else self.item


def faults_of(
    rejected: Rejected, may: Callable[[str], bool]
) -> tuple[tuple[Fault, ...], str | None]:
    """Say what is wrong with an event, as its sender is to be told, and which store it awaits.

    An event of an unknown store enters by itself once that is made, unless its sender's key is
    bound to other stores: what a key may not write must not get in by waiting.

    Args:
        rejected: The event.
        may: Whether its sender, or who replays it, may write to the store of a code.
    """
    store_id = rejected.store_id
    if rejected.reason is not Reason.UNKNOWN_STORE or store_id is None:
        return rejected.faults, None
    if not may(store_id):
        detail = f"The key that sent it is not bound to store {store_id}."
        return (Fault("/store", KEY_NOT_BOUND, detail),), None
    detail = (
        f"There is no store {store_id}. Once it is made (PUT /v1/stores/{store_id}), this event "
        "enters by itself."
    )
    return (Fault("/store", Reason.UNKNOWN_STORE, detail),), store_id


def event_text(event: Mapping[str, Any]) -> str:
    """Write an event as JSON text that can be kept, whatever characters it holds.

    Raises:
        InvalidInputError: It holds what JSON has no form for.
    """
    try:
        text = json.dumps(event, ensure_ascii=False, allow_nan=False)
        if not storable(text):
            text = json.dumps(event, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        detail = "The event holds a number that is no JSON, or is nested too deeply."
        raise InvalidInputError.at("", "not-json", detail) from None
    return text


def corrected(event: str) -> Item:
    """Make an item of the JSON text of an event."""
    return Item(event.encode(), STRUCTURED, {})


@dataclass(frozen=True, slots=True)
class QuarantineFilter:
    """Which items are meant; None: whatever it is.

    Attributes:
        stores: Codes of stores, `NO_STORE` where items of no store shall show; None: all.
        received_from: Inclusive.
        received_until: Exclusive.
        fault: Part of the code or of the pointer of one of its faults, in any case.
        awaits_store: Code of a store that was unknown when the event came.
    """

    stores: Sequence[str] | None = None
    state: QuarantineState | None = None
    reason: Reason | None = None
    source: str | None = None
    type: str | None = None
    subject: str | None = None
    received_from: datetime | None = None
    received_until: datetime | None = None
    fault: str | None = None
    awaits_store: str | None = None


@dataclass(frozen=True, slots=True)
class Sought:
    """Something that was refused just now, and may be known.

    Attributes:
        store_id: Where it would lie.
        passes: Whether what is wrong may end by itself: then it is to wait, even if the same was
            thrown away before.
    """

    store_id: str
    body_hash: bytes
    alike_hash: bytes | None
    passes: bool


@dataclass(frozen=True, slots=True)
class KnownItem:
    """An item that says the same as what was refused just now.

    Attributes:
        store_id: With which it lies by now, or `NO_STORE`.
        seq: Of the event that it became, None if it became none.
    """

    store_id: str
    quarantine_id: str
    state: QuarantineState
    seq: int | None

    @property
    def place(self) -> Place:
        """Where it lies."""
        return self.store_id, self.quarantine_id

    @property
    def is_done(self) -> bool:
        """Whether nobody has to look at it any more."""
        return self.state is not QuarantineState.WAITING


DEALT_WITH: Final = "dealt-with-in-quarantine"
"""Code of the note about what is faulty still, but was dealt with in quarantine."""


def dealt_with_note(known: KnownItem, *, store_id: str) -> Fault:
    """Say to the sender that what it sent is as faulty as before, and that this is known.

    Args:
        known: An item that is done.
        store_id: Whose log the sender is told of.
    """
    if known.state is QuarantineState.DISCARDED:
        how = "was discarded"
    elif known.store_id == store_id:
        how = f"entered the log as event {known.seq}"
    else:
        how = "entered the log of the store that it was found to be of"
    detail = (
        f"It is faulty as before, but was dealt with in quarantine: it {how}. Nothing is left to "
        "do, but it is better corrected where it comes from."
    )
    return Fault("", DEALT_WITH, detail)


def passes(reason: Reason, awaits_store: str | None) -> bool:
    """Whether a refusal may end by itself: when a store is made, or a target comes."""
    return reason is Reason.RETRACTION_TARGET_UNKNOWN or awaits_store is not None


class CountBy(StrEnum):
    """What items are counted by."""

    STORE = "store"
    REASON = "reason"
    SOURCE = "source"
    TYPE = "type"


@dataclass(frozen=True, slots=True)
class QuarantineCount:
    """How many items are alike in what they are counted by; the rest is None.

    Attributes:
        store_id: `NO_STORE` for items of no store.
        items: How many.
        repeats: How often the same bytes were sent again while they waited.
    """

    store_id: str | None
    reason: Reason | None
    source: str | None
    type: str | None
    items: int
    repeats: int
    oldest_received_at: datetime
    newest_received_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits at one store for one reason.

    Attributes:
        store_id: `NO_STORE` for items of no store.
    """

    store_id: str
    reason: Reason
    items: int
    oldest_received_at: datetime
