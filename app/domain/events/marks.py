"""Marks of fields that are read one way at the door and another from the log."""

from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from app.domain.events.names import MAX_ALIAS, STAFF_NO_PATTERN, Naming

QUICK: Final = "~quick"
CAREFUL: Final = "~careful"
"""What the two ways of reading a value are called where pydantic tells places."""


def _read_staff(value: object, info: ValidationInfo) -> str:
    """Return a staff number or a surrogate; see `StaffName`."""
    if not isinstance(value, str):
        raise PydanticCustomError("not-text", "must be text")
    if isinstance(info.context, Naming):
        return info.context.read(value)
    if not value.strip():
        raise PydanticCustomError("too-short", "must have a visible character")
    if len(value) > MAX_ALIAS:
        raise PydanticCustomError("too-long", "must have at most 128 characters")
    return value


@dataclass(frozen=True, slots=True)
class StaffName:
    """Marks a field that holds a staff number; what is none is the name of somebody.

    With a `Naming` as context, as at the door, a name is read to its surrogate. Without, as from
    the log, a text is taken as it is.
    """

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Read staff numbers without Python."""
        return core_schema.union_schema(
            [
                (core_schema.str_schema(pattern=STAFF_NO_PATTERN), QUICK),
                (core_schema.with_info_plain_validator_function(_read_staff), CAREFUL),
            ],
            mode="left_to_right",
            serialization=core_schema.simple_ser_schema("str"),
        )

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Show what may be sent."""
        return {"type": "string", "minLength": 1, "maxLength": MAX_ALIAS}


@dataclass(frozen=True, slots=True)
class SetHere:
    """Marks a field of the log that the service sets at the door; nobody can send it."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Refuse what was sent."""
        return core_schema.with_info_before_validator_function(_refuse_at_door, handler(source))


def _refuse_at_door(value: object, info: ValidationInfo) -> object:
    if value is not None and isinstance(info.context, Naming):
        raise PydanticCustomError("reserved", "is set by the service itself")
    return value
