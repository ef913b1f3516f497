"""What payloads are made of: their base classes, their field types and what marks a field."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictBool,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from pydantic_core.core_schema import SerSchema
from typing_extensions import override

from app.domain.errors import Fault
from app.domain.events.marks import CAREFUL, QUICK, SetHere, StaffName
from app.domain.events.names import Naming
from app.domain.events.readers import (
    MAX_ANSWER,
    MAX_NUMBER,
    QUICK_AMOUNT,
    QUICK_COUNT,
    QUICK_DATE,
    QUICK_INSTANT,
    QUICK_QUANTITY,
    read_answer,
    read_count,
    read_date,
    read_day_or_instant,
    read_instant,
    read_label,
    read_level,
    read_number,
    read_quantity,
)

MAX_TEXT: Final = 10_000
"""Characters of the longest text."""

MAX_KEY: Final = 64
"""Characters of the longest natural key."""

MAX_ITEMS: Final = 1000
"""Elements of the longest list."""


# Marks


@dataclass(frozen=True, slots=True)
class Personal:
    """Marks a field that is kept beside the log.

    Attributes:
        required: An event without it is refused at the door; the model never asks for it, since
            the log doesn't have it (A18).
    """

    required: bool = False

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Show the mark in the schema."""
        return {**handler(schema), "x-personal": True}


@dataclass(frozen=True, slots=True)
class AtDoor:
    """Marks a field that an event must have at the door, though its model never asks for it.

    What the service infers may lack it, and a fold never validates again (A18).
    """


def is_required_at_door(mark: object) -> bool:
    """Whether the mark of a field says that an event without it is refused."""
    return isinstance(mark, AtDoor) or (isinstance(mark, Personal) and mark.required)


@dataclass(frozen=True, slots=True)
class OpenChoice:
    """Marks a choice that takes any other text too: it counts as `other`, with a warning."""

    other: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Show the known values without shutting out others."""
        known = handler(schema)
        kinds = known.get("anyOf", [known])
        return {"anyOf": [kinds[0], {"type": "string", "maxLength": MAX_TEXT}, *kinds[1:]]}


@dataclass(frozen=True, slots=True, eq=False)
class _Reads:
    """Reads the JSON value by `read` before the annotated type holds it.

    Attributes:
        read: Takes all that may be sent and says what is wrong with the rest.
        wire: JSON Schema of what may be sent.
        quick: Reads the usual spellings to the same value, three times as fast because nothing of
            it is Python; what it refuses goes to `read`.
        writer: How the value is written, where `quick` is there.
    """

    read: Callable[[Any], Any]
    wire: JsonSchemaValue
    quick: CoreSchema | None = None
    writer: "SerSchema | None" = None

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Put the readers before the type's own check."""
        careful = core_schema.no_info_before_validator_function(self.read, handler(source))
        if self.quick is None:
            return careful
        return core_schema.union_schema(
            [(self.quick, QUICK), (careful, CAREFUL)],
            mode="left_to_right",
            serialization=self.writer,
        )

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Show what may be sent."""
        return dict(self.wire)


# Field types

_TEXT_NUMBER: Final = {"type": "string", "pattern": r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"}

_WRITE_NUMBER: Final = core_schema.to_string_ser_schema(when_used="json")

Amount = Annotated[
    Decimal,
    _Reads(
        read_number,
        {
            "anyOf": [
                {
                    "type": "number",
                    "exclusiveMinimum": -MAX_NUMBER,
                    "exclusiveMaximum": MAX_NUMBER,
                },
                _TEXT_NUMBER,
            ]
        },
        QUICK_AMOUNT,
        _WRITE_NUMBER,
    ),
]
"""Money in the store's currency; negative is a credit."""

Quantity = Annotated[
    Decimal,
    _Reads(
        read_quantity,
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "exclusiveMaximum": MAX_NUMBER},
                _TEXT_NUMBER,
            ]
        },
        QUICK_QUANTITY,
        _WRITE_NUMBER,
    ),
]
"""Hours, kilometres: never negative."""

Count = Annotated[
    int,
    _Reads(
        read_count,
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "exclusiveMaximum": MAX_NUMBER},
                _TEXT_NUMBER,
            ]
        },
        QUICK_COUNT,
        core_schema.simple_ser_schema("int"),
    ),
]
Level = Annotated[
    int,
    _Reads(read_level, {"anyOf": [{"enum": [1, 2, 3]}, {"enum": ["1", "2", "3"]}]}),
]
Instant = Annotated[
    datetime,
    _Reads(
        read_instant,
        {"type": "string", "format": "date-time"},
        QUICK_INSTANT,
        core_schema.simple_ser_schema("datetime"),
    ),
]
Day = Annotated[
    date,
    _Reads(
        read_date,
        {"type": "string", "format": "date"},
        QUICK_DATE,
        core_schema.simple_ser_schema("date"),
    ),
]
DayOrInstant = Annotated[
    str,
    _Reads(
        read_day_or_instant,
        {
            "anyOf": [
                {"type": "string", "format": "date"},
                {"type": "string", "format": "date-time"},
            ]
        },
    ),
]
TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]

Flag = StrictBool
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Name = Annotated[str, Field(min_length=1, max_length=128)]
"""A short text that something is known by: a team, a bay, a brand."""
Reference = Annotated[str, Field(min_length=1, max_length=MAX_KEY)]
"""A natural key of the trade, exactly as written (B4)."""
StaffNo = Annotated[str, StaffName()]
"""A staff number, or the name of somebody as an export has it; see `StaffName`."""
Label = Annotated[
    str,
    _Reads(read_label, {"anyOf": [{"type": "string", "maxLength": 64}, {"type": "number"}]}),
    Field(min_length=1, max_length=64),
]
Answer = Annotated[
    Decimal | bool | str,
    _Reads(
        read_answer,
        {
            "anyOf": [
                {"type": "string", "maxLength": MAX_ANSWER},
                {"type": "number"},
                {"type": "boolean"},
            ]
        },
    ),
]
Names = Annotated[list[Name], Field(max_length=MAX_ITEMS)]
Texts = Annotated[list[Text], Field(max_length=MAX_ITEMS)]
Channel = Literal["phone", "sms", "wechat", "email", "letter", "visit", "online", "third_party"]

T = TypeVar("T")
PersonalOf = Annotated[T | None, Field(exclude=True), Personal()]
"""A personal field: `plate: PersonalOf[Name] = Field(None, description=...)`."""
RequiredPersonalOf = Annotated[T | None, Field(exclude=True), Personal(required=True)]
"""A personal field that must be there at the door."""


# Base classes


class Part(BaseModel):
    """An object inside a payload. Unknown fields are kept beside the log, not here."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, serialize_by_alias=True, validate_by_name=True
    )


class Payload(Part):
    """The data of one event type; attributes are spelled as on the wire, absent ones are None.

    Attributes:
        merge_patch: Whether null deletes (RFC 7396) instead of being absent (A15). What was sent
            is then told by `model_fields_set`.
    """

    merge_patch: ClassVar[bool] = False

    @override
    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Show what may and must be sent: the model asks for less, and has more."""
        shown = handler(schema)
        body = handler.resolve_ref_schema(shown)
        for name, field in cls.model_fields.items():
            if any(isinstance(mark, SetHere) for mark in field.metadata):
                del body["properties"][name]
            if any(map(is_required_at_door, field.metadata)):
                body.setdefault("required", []).append(name)
                shown_field = body["properties"][name]
                known = [kind for kind in shown_field["anyOf"] if kind != {"type": "null"}]
                if len(known) == 1:
                    del shown_field["anyOf"]
                    shown_field.update(known[0])
                else:
                    shown_field["anyOf"] = known
                del shown_field["default"]
        return shown


class SetAtDoor(Payload):
    """A payload with fields that the service sets at the door (`SetHere`)."""

    @abstractmethod
    def completed(self, names: Naming) -> Self:
        """Return it with those fields."""

    @abstractmethod
    def warnings(self) -> Iterator[Fault]:
        """Yield what deserves a look."""
