"""What an event type is: its subject, the versions of its data, and who may post it.

`app.domain.events.catalog` lists the types that there are.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from app.domain.events.envelope import Kind
from app.domain.events.feed import MAX_SOURCE
from app.domain.events.form import Form
from app.domain.events.names import Naming
from app.domain.events.payload import MAX_KEY, Payload
from app.domain.events.shape import storable
from app.domain.events.upcasters import UPCASTERS, Upcasters, upcast

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class SubjectForm:
    """What the subject of an event must look like.

    Attributes:
        pattern: Matches all of it; None: any text of 1 to 64 characters.
        detail: What is wrong with another one.
        example: For documents.
        lower: Whether its key is the lower-case form.
    """

    pattern: str | None
    detail: str
    example: str
    lower: bool = False

    def canonical(self, subject: str) -> str | None:
        """Return the subject in the form that is its key, None if it can't be one."""
        if self.pattern is None:
            return subject if 0 < len(subject) <= MAX_KEY and storable(subject) else None
        if not re.fullmatch(self.pattern, subject):
            return None
        return subject.lower() if self.lower else subject


_STAFF_NO: Final = SubjectForm(
    r"[A-Za-z0-9_-]{1,32}",
    "The subject must be a staff number: 1 to 32 letters, digits, - or _.",
    "T12",
)
_UUID: Final = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"

SUBJECTS: Final[Mapping[Kind | None, SubjectForm]] = {
    Kind.CUSTOMER: SubjectForm(
        None, "The subject must be a customer number of 1 to 64 characters.", "C000123"
    ),
    Kind.VEHICLE: SubjectForm(
        r"[A-HJ-NPR-Za-hj-npr-z0-9]{17}",
        "The subject must be a VIN: 17 letters and digits without I, O and Q.",
        "LSVAA4182E2100001",
    ),
    Kind.REPAIR_ORDER: SubjectForm(
        None, "The subject must be an RO number of 1 to 64 characters.", "RO20260105-001"
    ),
    Kind.STAFF: _STAFF_NO,
    Kind.TIMECARD: _STAFF_NO,
    Kind.COMPLAINT: SubjectForm(
        _UUID,
        "The subject must be the UUID of a complaint.",
        "0199a3c4-6f1e-7b3a-9c52-3f8f0d6b1a20",
        lower=True,
    ),
    Kind.FOLLOW_UP: SubjectForm(
        _UUID,
        "The subject must be the UUID of a follow-up.",
        "5f0c1d52-6a44-5a3b-8b0e-2a7c8c1f4e10",
        lower=True,
    ),
    Kind.FEED: SubjectForm(
        rf"(?s:.{{1,{MAX_SOURCE}}})",
        f"The subject must be a source of 1 to {MAX_SOURCE} characters.",
        "/dms/sh01",
    ),
    Kind.BACKLOG: SubjectForm(
        r"[A-Za-z0-9_-]{1,32}", "The subject must be the code of a store.", "SH01"
    ),
    None: SubjectForm(None, "The subject must be that of the retracted event.", "RO20260105-001"),
}
"""Kind -> form of its subjects; None stands for `event.retracted`, which is about any of them."""


@dataclass(frozen=True)
class EventType:
    """One type of the catalogue.

    Attributes:
        name: As on the wire.
        kind: What its subject is; None for `event.retracted`, which shares that of its target.
        models: One payload class per version, the first is version 1.
        example: Data of the current version, realistic and complete.
        posted: Whether callers may post it; what only the service writes is False (A7).
        timed: Whether its time is part of its content; a snapshot says the same at any time.
        upcasters: Lift data from each version to the next.
    """

    name: str
    kind: Kind | None
    models: tuple[type[Payload], ...]
    example: Mapping[str, Any]
    posted: bool = True
    timed: bool = True
    upcasters: Upcasters = field(default_factory=lambda: UPCASTERS)

    @property
    def version(self) -> int:
        """The current version."""
        return len(self.models)

    @property
    def model(self) -> type[Payload]:
        """The payload class of the current version."""
        return self.models[-1]

    @property
    def description(self) -> str:
        """One sentence in English, then the Chinese term."""
        return (self.model.__doc__ or "").strip()

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        """One form per version."""
        return tuple(Form(model) for model in self.models)

    def lift(self, data: dict[str, Any], version: int, names: Naming | None = None) -> Payload:
        """Return data of an older version as a payload of the current one.

        Args:
            data: Of that version; from the door with the names as sent.
            version: See `data`.
            names: At the door: what reads the names.
        """
        data = upcast(self.name, data, version=version, to=self.version, upcasters=self.upcasters)
        return self.forms[-1].read(data, context=names)

    @cached_property
    def subject(self) -> SubjectForm:
        """What its subject must look like."""
        return SUBJECTS[self.kind]

    @cached_property
    def is_plain(self) -> bool:
        """Whether its data may be taken as the model reads them, without a second look."""
        return self.posted and self.kind is not None and not self.model.merge_patch

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of the data on the wire, definitions under `$defs`."""
        return {"$schema": DIALECT, **self.model.model_json_schema()}

    @cached_property
    def example_event(self) -> dict[str, Any]:
        """A whole event in structured mode, ready to be posted."""
        return {
            "specversion": "1.0",
            "id": f"example-{self.name}",
            "source": "/dms/sh01",
            "type": self.name,
            "store": "SH01",
            "subject": self.subject.example,
            "time": "2026-01-05T09:30:00+08:00",
            "datacontenttype": "application/json",
            "data": dict(self.example),
        }
