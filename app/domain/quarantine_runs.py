"""Runs over the quarantine: a replay, or a discarding, of everything that a filter matches."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from app.domain.events.envelope import Reason
from app.domain.quarantine import Actor, QuarantineFilter


class RunKind(StrEnum):
    """What a run does with the items."""

    REPLAY = "replay"
    DISCARD = "discard"


class QuarantineRunState(StrEnum):
    """Queued until a process claims it; running; or at its end."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunAction(msgspec.Struct, frozen=True):
    """What is done to each item before it is replayed, or why all are discarded.

    Attributes:
        patch: JSON Patch for each event.
        suggestions: Names of suggestions to apply; an item that none of them is made for is left.
        reason: Of a discarding.
    """

    patch: list[dict[str, Any]] | None = None
    suggestions: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def corrects(self) -> bool:
        """Whether items are sent in otherwise than they are."""
        return self.patch is not None or bool(self.suggestions)


@dataclass(frozen=True, slots=True)
class QuarantineRun:
    """A run, with how far it is.

    Attributes:
        stores: The only ones where its caller may do so; None: all.
        awaits_store: Of a run that the service made by itself: the store that is there now.
        until_id: The last item that belongs to it: what comes later is for another run.
        total: Items that matched when it was asked for.
        accepted: Entered the log; with `dry_run`: would have.
        waiting: Items that wait on, by reason.
        position: Id of the last item that was handled.
        claimed_by: Unique per claim, so that a process that lost its lease changes nothing.
    """

    run_id: str
    kind: RunKind
    stores: Sequence[str] | None
    filter: QuarantineFilter
    awaits_store: str | None
    action: RunAction
    dry_run: bool
    requested_by: Actor
    requested_at: datetime
    until_id: str
    state: QuarantineRunState
    total: int
    accepted: int = 0
    discarded: int = 0
    waiting: Mapping[Reason, int] = field(default_factory=dict)
    position: str = ""
    claimed_by: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None

    @property
    def done(self) -> int:
        """How many items were handled."""
        return self.accepted + self.discarded + sum(self.waiting.values())

    @property
    def gone(self) -> int:
        """How many were replayed or discarded by others before their turn came."""
        return max(0, self.total - self.done) if self.state is QuarantineRunState.FINISHED else 0

    def is_visible_to(self, stores: Collection[str] | None) -> bool:
        """Whether a caller who is bound to these stores (None: to none) may see it."""
        return stores is None or (self.stores is not None and set(self.stores) <= set(stores))
