"""Units of work that the appender takes, and what becomes of them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.db.clocks import DueClock
from app.db.state_rows import SubjectKey
from app.domain.errors import Fault
from app.domain.events.envelope import Kind, NewEvent, Reason, Rejected
from app.domain.events.item import Item
from app.domain.fold import State
from app.domain.quarantine import SERVICE, Actor
from app.domain.staff import Staff
from app.domain.stores import Store

Reparse = Callable[[Item, datetime], NewEvent | Rejected]
"""Reads a quarantined item again, by today's catalogue and stores."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The event is in the log; with seq 0 it would be, had it not only been tried."""

    seq: int


@dataclass(frozen=True, slots=True)
class DealtWith:
    """What was done in quarantine with the same before.

    Attributes:
        quarantine_id: Of the item.
        store_id: Whose the item is, as far as the sender is told, or `NO_STORE`.
        note: Says so to the sender.
    """

    quarantine_id: str
    store_id: str
    note: Fault


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The same event is in the log already; with seq 0 in what was only tried, before it.

    Attributes:
        dealt_with: Where it is faulty still, but was dealt with in quarantine; the seq is that of
            the event that it became there, 0 if it was thrown away or is of another store.
    """

    seq: int
    dealt_with: DealtWith | None = None


@dataclass(slots=True)
class Quarantined:
    """The item lies in quarantine; `quarantine_id` is known once the group is written."""

    reason: Reason
    faults: tuple[Fault, ...]
    store_id: str
    body_hash: bytes
    quarantine_id: str = ""

    @property
    def key(self) -> tuple[str, bytes]:
        """Where it lies, and what it is told by there."""
        return self.store_id, self.body_hash


Outcome = Accepted | Duplicate | Quarantined


@dataclass(frozen=True, slots=True)
class Idempotency:
    """An Idempotency-Key of a caller, and the hash of the request that it stands for."""

    key: str
    principal: str
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answers; kept under its Idempotency-Key and repeated to the letter."""

    status: int
    body: bytes


@dataclass(slots=True)
class Facts:
    """Unit of work: facts of one store, in the order in which they were sent.

    Attributes:
        item_of: Gives the own bytes of the event at a position; asked only for what is refused.
        replays: Position -> (store, id) of the quarantined item that the event comes from.
        replayed_by: Who replays them.
        run_id: The run that they are replayed in.
    """

    store_id: str
    events: Sequence[NewEvent]
    item_of: Callable[[int], Item]
    replays: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    replayed_by: Actor = SERVICE
    run_id: str | None = None
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def weight(self) -> int:
        """How much of a group it fills."""
        return len(self.events)


@dataclass(slots=True)
class Command:
    """Unit of work: something asked of this service, decided on the states as they are.

    Attributes:
        reads: Subjects that `decide` looks at.
        whose_name: Surrogates of names; `decide` looks at whose they are.
        decide: Gives the events; raises a `DomainError` where the state forbids the command.
        render: Gives the answer, from the states after the events.
    """

    store_id: str
    reads: Collection[tuple[Kind, str]]
    decide: Callable[["CommandContext"], Sequence[NewEvent]]
    render: Callable[["CommandContext"], Answer]
    whose_name: Collection[str] = ()
    idempotency: Idempotency | None = None
    answer: Answer | None = None
    weight: int = 1


@dataclass(slots=True)
class Sweep:
    """Unit of work: the clocks of one store that are due, claimed under its head.

    Attributes:
        limit: How many are looked at, the longest due first.
        seen: Those that were looked at, if only to fail.
        breached: How many alerts were written.
        failed: How many could not be evaluated and were put off.
    """

    store_id: str
    limit: int = 500
    seen: Sequence[DueClock] = ()
    breached: int = 0
    failed: int = 0
    weight: int = 1


@dataclass(slots=True)
class Watch:
    """Unit of work: the feeds of one store that are to be looked at, claimed under its head.

    Attributes:
        watched_from: Since when somebody has watched without a break.
        limit: How many feeds are looked at.
        seen: How many were.
        said: How many events were written.
    """

    store_id: str
    watched_from: datetime
    limit: int
    seen: int = 0
    said: int = 0
    weight: int = 1


Unit = Facts | Command | Sweep | Watch


@dataclass(frozen=True, slots=True)
class CommandContext:
    """What a command may look at: the states of its store, and the time.

    Attributes:
        states: (version, state) by subject; after `decide` they are those that it led to.
    """

    states: Mapping[SubjectKey, tuple[int, State]]
    store: Store
    now: datetime

    def find(self, kind: Kind, key: str) -> State | None:
        """Find the state of a subject among those that the command reads."""
        entry = self.states.get((self.store.store_id, kind, key))
        return None if entry is None else entry[1]

    def known_as(self, surrogate: str) -> list[str]:
        """List the staff numbers of those whose name it is, of whom the command reads."""
        return sorted(
            state.staff_no
            for (store_id, _, _), (_, state) in self.states.items()
            if isinstance(state, Staff)
            and store_id == self.store.store_id
            and surrogate in state.known_as
        )

    def version(self, kind: Kind, key: str) -> int:
        """Get the version of a subject: the seq of the last event that touched it, 0 if none."""
        entry = self.states.get((self.store.store_id, kind, key))
        return 0 if entry is None else entry[0]
