"""The door of the log: everything that becomes an event is read here, however it came."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from uuid6 import uuid7

from app.domain.errors import Fault, InvalidInputError
from app.domain.events.envelope import DESK_SOURCE, NewEvent, Rejected
from app.domain.events.form import Limits
from app.domain.events.item import Item
from app.domain.events.parse import parse_event
from app.domain.events.wire import read_message

_STAND_IN: Final = "/desk"
"""Read in its place: the door lets nobody in who comes in the service's name."""


class Door:
    """Reads events by the limits and the secret of this installation."""

    def __init__(
        self, limits: Limits, *, secret: bytes, knows_store: Callable[[str], bool]
    ) -> None:
        self._limits = limits
        self._secret = secret
        self._knows_store = knows_store

    def read(
        self, item: object, *, now: datetime, known_store: Callable[[str], bool]
    ) -> NewEvent | Rejected:
        """Read one event as it was sent, in structured form."""
        return parse_event(
            item, limits=self._limits, now=now, secret=self._secret, known_store=known_store
        )

    def reread(self, item: Item, now: datetime) -> NewEvent | Rejected:
        """Read an item of the quarantine, by today's catalogue and the stores known here."""
        message = read_message(item.body, item.content_type, item.attributes)
        return self.read(message.items[0], now=now, known_store=self._knows_store)

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
        )
        if isinstance(event, Rejected):
            raise InvalidInputError([_into_data(fault) for fault in event.faults])
        event.source = DESK_SOURCE
        return event


def _into_data(fault: Fault) -> Fault:
    """Let a pointer into the event lead into the data that a caller sent."""
    pointer = fault.pointer.removeprefix("/data")
    return Fault("/occurred_at" if pointer == "/time" else pointer, fault.code, fault.detail)
