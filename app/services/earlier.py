"""What of the same request was tried already, and would be in the log by now.

It is what decides about later events: identities with their contents, targets of retractions,
when orders were seen as what, and the retractions whose target is still to come. A run may be of
any length, so it lies on disk.
"""

from collections.abc import Iterator
from datetime import datetime
from types import TracebackType
from typing import Final, Self

import msgspec

from app.db.event_log import Target
from app.db.state_rows import SubjectKey
from app.domain.events.envelope import Event, Kind, NewEvent
from app.domain.events.item import Item
from app.domain.events.payload import Payload
from app.domain.events.retraction import EventRetracted
from app.domain.events.snapshot import RepairOrderSnapshot, RepairOrderSnapshotRepeated
from app.services.group_states import Identity
from app.services.spool import Spool

FIRST_SEQ: Final = 1 << 62
"""From here on are the seqs of what is only tried: behind all that any log will ever have."""


class _Tried(msgspec.Struct, array_like=True):
    """An event that would be in the log.

    Attributes:
        aim: Identity that a retraction takes back, or of the snapshot that is so again.
    """

    source: str
    id: str
    type: str
    kind: Kind
    key: str
    subject: str
    seq: int
    occurred_at: datetime
    content_hash: bytes
    evidence: str | None
    aim: tuple[str, str] | None


class _Early(msgspec.Struct, array_like=True):
    """A retraction that came before its target."""

    body: bytes
    content_type: str | None
    attributes: dict[str, str]


_encode = msgspec.msgpack.Encoder().encode
_decode_tried = msgspec.msgpack.Decoder(_Tried).decode
_decode_early = msgspec.msgpack.Decoder(_Early).decode
_decode_moment = msgspec.msgpack.Decoder(datetime).decode

_SHOWS: Final = frozenset({RepairOrderSnapshot, RepairOrderSnapshotRepeated, EventRetracted})
"""What decides about later snapshots of an order."""


class Earlier:
    """What was tried of one request. Use it in a `with`, or close it.

    An exception to its exactness: of follow-ups that the service would have planned meanwhile it
    knows nothing.
    """

    def __init__(self) -> None:
        self._spool = Spool()
        self._seqs: dict[str, int] = {}
        self._early_of: dict[str, int] = {}

    def last_seq(self, store_id: str) -> int:
        """Give the seq of the last event of a store that was tried."""
        return self._seqs.get(store_id, FIRST_SEQ)

    def add(self, event: NewEvent) -> None:
        """Remember an event that would be accepted."""
        seq = self._seqs[event.store_id] = self.last_seq(event.store_id) + 1
        kind = type(event.payload)
        tried = _encode(
            _Tried(
                event.source,
                event.id,
                event.type,
                event.kind,
                event.key,
                event.subject,
                seq,
                event.occurred_at,
                event.content_hash,
                event.causation_id,
                _aim(event.payload),
            )
        )
        self._spool.put(_key("event", event.store_id, event.source, event.id), tried)
        if kind in _SHOWS:
            self._spool.put(_key(event.kind, event.store_id, event.key), tried)

    def find(self, identity: Identity) -> tuple[int, bytes] | None:
        """Find seq and content hash of an event."""
        found = self._find(identity)
        return None if found is None else (found.seq, found.content_hash)

    def find_target(self, identity: Identity) -> Target | None:
        """Find what a retraction needs to know of an event."""
        found = self._find(identity)
        if found is None:
            return None
        return Target(found.source, found.id, found.kind, found.key, found.subject, found.evidence)

    def _find(self, identity: Identity) -> _Tried | None:
        found = next(self._spool.get(_key("event", *identity)), None)
        return None if found is None else _decode_tried(found)

    def shows(self, subject: SubjectKey) -> bool:
        """Whether something was tried that decides about later snapshots of an order."""
        return _subject(subject) in self._spool

    def list_shown(self, subject: SubjectKey) -> list[Event]:
        """List the snapshots of an order and its retractions, as far as folds need them."""
        found = map(_decode_tried, self._spool.get(_subject(subject)))
        return [_event(subject[0], tried) for tried in found][::-1]

    def repeat(self, store_id: str, seq: int, until: datetime) -> None:
        """Remember that a snapshot was so until then; it is known to be so for as long before."""
        self._spool.put(_key("until", store_id, str(seq)), _encode(until))

    def find_until(self, store_id: str, seq: int) -> datetime | None:
        """Find until when a snapshot was so again."""
        return max(
            map(_decode_moment, self._spool.get(_key("until", store_id, str(seq)))), default=None
        )

    def add_early(self, store_id: str, aim: tuple[str, str], item: Item) -> None:
        """Remember a retraction that would wait for its target."""
        self._early_of[store_id] = self._early_of.get(store_id, 0) + 1
        early = _Early(item.body, item.content_type, dict(item.attributes))
        self._spool.put(_key("early", store_id, *aim), _encode(early))

    def find_early(self, store_id: str, aim: tuple[str, str]) -> Iterator[Item]:
        """Give the retractions that would wait for an event."""
        if store_id in self._early_of:
            for found in self._spool.get(_key("early", store_id, *aim)):
                early = _decode_early(found)
                yield Item(early.body, early.content_type, early.attributes)

    def close(self) -> None:
        """Forget it all."""
        self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _key(*parts: str) -> bytes:
    return "\0".join(parts).encode()


def _subject(subject: SubjectKey) -> bytes:
    store_id, kind, key = subject
    return _key(kind, store_id, key)


def _aim(payload: Payload) -> tuple[str, str] | None:
    if isinstance(payload, EventRetracted | RepairOrderSnapshotRepeated):
        return payload.source, payload.id
    return None


def _event(store_id: str, tried: _Tried) -> Event:
    payload: Payload
    match tried.type, tried.aim:
        case "event.retracted", (source, event_id):
            payload = EventRetracted(source=source, id=event_id, reason="tried")
        case _, (source, event_id):
            payload = RepairOrderSnapshotRepeated(source=source, id=event_id)
        case _:
            payload = RepairOrderSnapshot()
    return Event(
        store_id,
        tried.seq,
        tried.source,
        tried.id,
        tried.type,
        tried.kind,
        tried.key,
        tried.subject,
        tried.occurred_at,
        tried.occurred_at,
        1,
        payload,
        tried.content_hash,
        tried.evidence,
    )
