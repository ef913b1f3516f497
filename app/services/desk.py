"""What the desk's use cases share: how a command becomes an event, and personal fields a view."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from uuid6 import uuid7

from app.db.personal import PersonalRepository
from app.db.timelines import TimelineRepository
from app.domain.access import Principal
from app.domain.errors import Fault, InvalidInputError, VersionMismatchError
from app.domain.events.envelope import Kind, NewEvent, Rejected
from app.domain.events.form import Limits
from app.domain.events.parse import parse_event
from app.domain.fold import retracted
from app.services.append_session import CommandContext, Idempotency

DESK_SOURCE: Final = "/servicelane/desk"
"""The source of facts that staff enter here; unlike the service's own they can be retracted."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who commands, and under which conditions.

    Attributes:
        idempotency_key: Of the request; the same request under it is done once.
        expected_version: From `If-Match`; another version of the subject refuses the command.
        request: What identifies the request's content (method, path and body).
    """

    principal: Principal
    idempotency_key: str | None = None
    expected_version: int | None = None
    request: bytes = b""

    @property
    def idempotency(self) -> Idempotency | None:
        """The key as the appender keeps it."""
        if self.idempotency_key is None:
            return None
        return Idempotency(
            self.idempotency_key, self.principal.id, hashlib.sha256(self.request).digest()
        )

    def check_version(self, context: CommandContext, kind: Kind, key: str) -> None:
        """Refuse where the subject moved on since the caller looked.

        Raises:
            VersionMismatchError: The actual version is another one.
        """
        actual = context.version(kind, key)
        if self.expected_version is not None and self.expected_version != actual:
            raise VersionMismatchError(
                expected_version=self.expected_version, actual_version=actual
            )


class DeskEvents:
    """Makes the events that staff enter here, through the same door as everybody's."""

    def __init__(self, *, limits: Limits, secret: bytes) -> None:
        self._limits = limits
        self._secret = secret

    def make(
        self,
        event_type: str,
        *,
        store_id: str,
        subject: str,
        occurred_at: datetime,
        data: Mapping[str, Any],
        now: datetime,
    ) -> NewEvent:
        """Make an event of a command's body.

        Raises:
            InvalidInputError: The data has faults; their pointers lead into the body.
        """
        event = parse_event(
            {
                "specversion": "1.0",
                "id": str(uuid7()),
                "source": DESK_SOURCE,
                "type": event_type,
                "store": store_id,
                "subject": subject,
                "time": occurred_at.isoformat(),
                "data": {name: value for name, value in data.items() if value is not None},
            },
            limits=self._limits,
            now=now,
            secret=self._secret,
            known_store=lambda _: True,
        )
        if isinstance(event, Rejected):
            raise InvalidInputError([_into_body(fault) for fault in event.faults])
        return event


def _into_body(fault: Fault) -> Fault:
    """Let a pointer into the event lead into the command's body."""
    pointer = fault.pointer.removeprefix("/data")
    return Fault("/occurred_at" if pointer == "/time" else pointer, fault.code, fault.detail)


class PersonalFields:
    """Joins personal fields back to the subjects that they were split from."""

    def __init__(self, personal: PersonalRepository, timelines: TimelineRepository) -> None:
        self._personal = personal
        self._timelines = timelines

    async def find(
        self, store_id: str, kind: Kind, keys: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """Find the personal (and unknown) fields of subjects as they stand, by key.

        Each is what the last standing event that carries it says (A22); null deletes.
        """
        if not keys:
            return {}
        asides = await self._personal.list_of_subjects(store_id, kind, keys)
        gone = retracted(
            await self._timelines.list_retractions(store_id, [(kind, key) for key in keys])
        )
        fields: dict[str, dict[str, Any]] = defaultdict(dict)
        for aside in asides:
            if (aside.source, aside.id) not in gone:
                fields[aside.key] |= aside.fields
        return fields
