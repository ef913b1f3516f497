"""What the desk's use cases share: how a command becomes an event, and personal fields a view."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.db.personal import Aside, PersonalRepository
from app.db.timelines import TimelineRepository
from app.domain.access import Principal
from app.domain.errors import VersionMismatchError
from app.domain.events.envelope import Kind
from app.domain.fold import retracted
from app.services.units import CommandContext, Idempotency


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a request says besides its body.

    Attributes:
        idempotency_key: The same request under it is done once.
        expected_version: From `If-Match`; another version of the subject refuses the command.
        content: What identifies the request: method, path and body.
    """

    idempotency_key: str | None = None
    expected_version: int | None = None
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who commands, and under which conditions."""

    principal: Principal
    conditions: Conditions = Conditions()

    @property
    def idempotency(self) -> Idempotency | None:
        """The key as the appender keeps it."""
        key = self.conditions.idempotency_key
        if key is None:
            return None
        content_hash = hashlib.sha256(self.conditions.content).digest()
        return Idempotency(key, self.principal.id, content_hash)

    def check_version(self, context: CommandContext, kind: Kind, key: str) -> None:
        """Refuse where the subject moved on since the caller looked.

        Raises:
            VersionMismatchError: The actual version is another one.
        """
        actual, expected = context.version(kind, key), self.conditions.expected_version
        if expected is not None and expected != actual:
            raise VersionMismatchError(expected_version=expected, actual_version=actual)


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
        fields: dict[str, dict[str, Any]] = defaultdict(dict)
        for aside in await self.list_standing(store_id, kind, keys):
            fields[aside.key] |= aside.fields
        return fields

    async def list_standing(self, store_id: str, kind: Kind, keys: Sequence[str]) -> list[Aside]:
        """List what lies beside the events of subjects that stand, each subject's in order."""
        if not keys:
            return []
        asides = await self._personal.list_of_subjects(store_id, kind, keys)
        gone = retracted(
            await self._timelines.list_retractions(store_id, [(kind, key) for key in keys])
        )
        return [aside for aside in asides if (aside.source, aside.id) not in gone]
