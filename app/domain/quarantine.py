"""What lies in quarantine: an item's own bytes, and why the log could not take it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from app.domain.errors import Fault
from app.domain.events.envelope import Reason
from app.domain.events.item import Item

NO_STORE: Final = ""
"""Where items lie whose store is unknown or can't be read."""


class QuarantineState(StrEnum):
    """Waiting for somebody; or done: entered the log, or thrown away with a reason."""

    WAITING = "waiting"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class QuarantinedItem:
    """An item in quarantine, with all that is known of it.

    Attributes:
        store_id: Of the event, None where no known store could be read.
        source: As far as it could be read, like `event_id`, `type` and `subject`.
        seen_count: How often the same bytes were sent while it waited.
        seq: Of the event that it became.
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


@dataclass(frozen=True, slots=True)
class QuarantineFilter:
    """Which items a list shows.

    Attributes:
        stores: Codes of stores, `NO_STORE` where items of no store shall show; None: all.
    """

    stores: Sequence[str] | None = None
    state: QuarantineState | None = None
    reason: Reason | None = None
    source: str | None = None
    type: str | None = None
