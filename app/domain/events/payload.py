"""What payloads are made of: their base classes, their field types and what marks a field.

Every reader here takes a JSON value (or the value that it stands for) and either returns the
canonical value or raises `PydanticCustomError`, whose type is the code of the fault.
"""

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from functools import partial
from operator import methodcaller
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
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from pydantic_core.core_schema import SerSchema
from typing_extensions import override

from app.domain.errors import Fault
from app.domain.events.marks import CAREFUL, QUICK, SetHere, StaffName
from app.domain.events.names import Naming

MAX_TEXT: Final = 10_000
"""Characters of the longest text."""

MAX_KEY: Final = 64
"""Characters of the longest natural key."""

MAX_NUMBER: Final = 10**12
"""Every number is below it, and above its negative."""

MAX_DIGITS: Final = 64
"""Characters of the longest number, without an exponent."""

MAX_ITEMS: Final = 1000
"""Elements of the longest list."""

MAX_ANSWER: Final = 128
"""Characters of the longest answer."""

FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2200


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


def _quick(pattern: str, *steps: Callable[[Any], Any]) -> CoreSchema:
    """Return a reader of text that matches; each step is a function written in C."""
    schema: CoreSchema = core_schema.str_schema(pattern=pattern, coerce_numbers_to_str=True)
    for step in steps:
        schema = core_schema.no_info_after_validator_function(step, schema)
    return schema


# Numbers

_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_SMALL: Final = len(str(MAX_NUMBER)) - 1
"""Characters that no number out of range fits into."""
_END: Final = Decimal(MAX_NUMBER)
_ZERO: Final = Decimal(0)


def read_number(value: object) -> Decimal:
    """Return a number in its shortest decimal form, never with a positive exponent (A16).

    A JSON number is taken by its shortest decimal form, a text as written.
    """
    if isinstance(value, str):
        text = value
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= MAX_NUMBER:
            raise _out_of_range()
        return Decimal(value)
    elif isinstance(value, float | Decimal):
        text = str(value)
    else:
        raise _not_a_number()
    spelled = _NUMBER.fullmatch(text) if len(text) <= MAX_DIGITS else None
    if spelled is None:
        raise _not_a_number()
    if spelled.lastindex:  # an exponent: the same with all its zeros
        text = plain(Decimal(text))
        if len(text) > MAX_DIGITS:
            raise _out_of_range()
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    number = Decimal(text)
    if len(text) > _SMALL and abs(number) >= _END:
        raise _out_of_range()
    return number or _ZERO


def _not_a_number() -> PydanticCustomError:
    return PydanticCustomError("not-a-number", "must be a finite number, or one as text")


def _out_of_range() -> PydanticCustomError:
    return PydanticCustomError(
        "out-of-range", "must be between -10^12 and 10^12, with few decimals"
    )


def read_quantity(value: object) -> Decimal:
    """Return a number that is not negative."""
    number = read_number(value)
    if number.is_signed():
        raise PydanticCustomError("negative", "must not be negative")
    return number


def read_count(value: object) -> int:
    """Return a whole number that is not negative."""
    number = read_quantity(value)
    whole = int(number)
    if whole != number:
        raise PydanticCustomError("not-whole", "must be a whole number")
    return whole


_EXACT: Final = Context(prec=MAX_DIGITS)
_SHORTEST: Final = (
    Decimal,
    _EXACT.normalize,  # 860.00 to 860, but 1000 to 1E+3
    partial(_EXACT.add, _ZERO),  # 1E+3 to 1000, and -0 to 0
)
_QUICK_AMOUNT: Final = _quick(r"^-?[0-9]{1,12}(?:\.[0-9]{1,18})?$", *_SHORTEST)
_QUICK_QUANTITY: Final = _quick(r"^[0-9]{1,12}(?:\.[0-9]{1,18})?$", *_SHORTEST)
_QUICK_COUNT: Final = core_schema.int_schema(strict=True, ge=0, lt=MAX_NUMBER)


def read_level(value: object) -> int:
    """Return the level of an inspection: 1, 2 or 3."""
    level = read_count(value)
    if level not in {1, 2, 3}:
        raise PydanticCustomError("not-one-of", "must be 1, 2 or 3")
    return level


def plain(number: Decimal) -> str:
    """Return the number as text without an exponent."""
    return format(number, "f")


# Time

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_INSTANT_LENGTH: Final = 64
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def read_instant(value: object) -> datetime:
    """Return an instant of RFC 3339 in UTC, cut at the microsecond (B2)."""
    if isinstance(value, str) and len(value) <= _INSTANT_LENGTH and _INSTANT.fullmatch(value):
        try:
            instant = datetime.fromisoformat(value if value[-1] != "z" else value[:-1] + "Z")
        except ValueError:
            raise PydanticCustomError("not-an-instant", "names a day that doesn't exist") from None
    elif isinstance(value, datetime) and value.tzinfo is not None:
        instant = value
    else:
        raise PydanticCustomError(
            "not-an-instant",
            "must be a time of RFC 3339 with an offset: 2026-01-31T17:00:00+08:00",
        )
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise PydanticCustomError("out-of-range", "must lie between the years 1900 and 2200")
    return instant if instant.tzinfo is UTC else instant.astimezone(UTC)


def read_date(value: object) -> date:
    """Return a calendar day of ISO 8601."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            raise PydanticCustomError("not-a-date", "names a day that doesn't exist") from None
    elif isinstance(value, date) and not isinstance(value, datetime):
        day = value
    else:
        raise PydanticCustomError("not-a-date", "must be a date of ISO 8601: 2026-01-31")
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise PydanticCustomError("out-of-range", "must lie between the years 1900 and 2200")
    return day


_QUICK_INSTANT: Final = _quick(
    r"^(?:19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$",
    datetime.fromisoformat,
    methodcaller("astimezone", UTC),
)
_QUICK_DATE: Final = _quick(r"^(?:19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}$", date.fromisoformat)


def read_day_or_instant(value: object) -> str:
    """Return the canonical text of a calendar day or of an instant."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        return read_date(value).isoformat()
    return read_instant(value).isoformat().replace("+00:00", "Z")


# What people chose or said


def read_label(value: object) -> str:
    """Return a short text; a number stands for its plain text."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return plain(read_number(value))
    if not isinstance(value, str):
        raise PydanticCustomError("not-text", "must be text or a number")
    return value


def read_answer(value: object) -> Decimal | bool | str:
    """Return what was answered: a number (as text too), yes or no, or a short text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        if len(value) > MAX_ANSWER:
            raise PydanticCustomError("too-long", "must have at most 128 characters")
        return value
    return read_number(value)


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
        _QUICK_AMOUNT,
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
        _QUICK_QUANTITY,
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
        _QUICK_COUNT,
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
        _QUICK_INSTANT,
        core_schema.simple_ser_schema("datetime"),
    ),
]
Day = Annotated[
    date,
    _Reads(
        read_date,
        {"type": "string", "format": "date"},
        _QUICK_DATE,
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
