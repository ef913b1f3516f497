"""The door of the log: everything that becomes an event is read here, however it came."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from uuid6 import uuid7

from app.domain.errors import Fault, InvalidInputError
from app.domain.events.compose import make_event
from app.domain.events.envelope import DESK_SOURCE, NewEvent, Rejected
from app.domain.events.form import Limits
from app.domain.events.item import Item
from app.domain.events.names import Naming
from app.domain.events.ndjson import read_item
from app.domain.events.parse import parse_event
from app.domain.events.payload import Payload
from app.domain.events.value_maps import SourceValues

_STAND_IN: Final = "/desk"
"""Read in its place: the door lets nobody in who comes in the service's name."""


class Door:
    """Reads events by the limits and the secret of this installation."""

    def __init__(
        self,
        limits: Limits,
        *,
        secret: bytes,
        knows_store: Callable[[str], bool],
        value_maps: Mapping[str, SourceValues],
    ) -> None:
        """Keep what events are read by.

        Args:
            limits: How much is taken.
            secret: Of the installation, for content hashes.
            knows_store: Whether there is a store with that code.
            value_maps: By source; who owns them keeps them up to date.
        """
        self._limits = limits
        self._secret = secret
        self._knows_store = knows_store
        self._value_maps = value_maps

    def read(
        self,
        item: object,
        *,
        now: datetime,
        known_store: Callable[[str], bool],
        mapped: bool = True,
    ) -> NewEvent | Rejected:
        """Read one event as it was sent, in structured form.

        Args:
            item: Any JSON value.
            now: When it was received.
            known_store: Whether there is a store with that code that the caller may write to.
            mapped: Whether the value maps of its source apply.
        """
        return parse_event(
            item,
            limits=self._limits,
            now=now,
            secret=self._secret,
            known_store=known_store,
            value_maps=self._value_maps if mapped else {},
        )

    def reread(self, item: Item, now: datetime) -> NewEvent | Rejected:
        """Read an item of the quarantine, by today's catalogue and the stores known here."""
        return self.read(read_item(item), now=now, known_store=self._knows_store)

    def make(
        self,
        event_type: str,
        *,
        store_id: str,
        subject: str,
        occurred_at: datetime | str,
        data: Mapping[str, Any],
        now: datetime,
    ) -> NewEvent:
        """Make an event of what staff entered; it is read like everybody else's.

        Raises:
            InvalidInputError: The data has faults; their pointers lead into the data.
        """
        if isinstance(occurred_at, datetime):
            occurred_at = occurred_at.isoformat()
        event = self.read(
            {
                "specversion": "1.0",
                "id": str(uuid7()),
                "source": _STAND_IN,
                "type": event_type,
                "store": store_id,
                "subject": subject,
                "time": occurred_at,
                "data": dict(data),
            },
            now=now,
            known_store=lambda _: True,
            mapped=False,
        )
        if isinstance(event, Rejected):
            raise InvalidInputError([_into_data(fault) for fault in event.faults])
        event.source = DESK_SOURCE
        return event

    def naming(self, store_id: str) -> Naming:
        """Give what reads the names of a store."""
        return Naming(self._secret, store_id)

    def compose(
        self,
        event_type: str,
        *,
        store_id: str,
        subject: str,
        occurred_at: datetime,
        payload: Payload,
    ) -> NewEvent:
        """Make an event of the desk from a payload that was made here, not entered."""
        return make_event(
            store_id=store_id,
            source=DESK_SOURCE,
            event_id=str(uuid7()),
            event_type=event_type,
            subject=subject,
            occurred_at=occurred_at,
            payload=payload,
            secret=self._secret,
        )


def _into_data(fault: Fault) -> Fault:
    """Let a pointer into the event lead into the data that a caller sent."""
    pointer = fault.pointer.removeprefix("/data")
    return Fault("/occurred_at" if pointer == "/time" else pointer, fault.code, fault.detail)
