"""Which side of the log each field of a payload belongs to.

A shape is made once per model. It splits off what lies beside the log, and `join` puts both
sides together again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from types import NoneType
from typing import Any, Final, get_args

from app.domain.errors import Fault
from app.domain.events.marks import SetHere, StaffName
from app.domain.events.names import staff_no_in
from app.domain.events.payload import (
    OpenChoice,
    Part,
    Payload,
    Personal,
    is_required_at_door,
)

_INTEGERS: Final = range(-(2**63), 2**64)
"""What JSON integers stay exact and can be written again; parsers read longer ones as floats."""

Found = list[tuple[str, dict[str, Any]]]
"""Unknown fields: the JSON pointer of the object that one lies in, and the field."""


def escape(key: str) -> str:
    """Return the key as a token of a JSON pointer (RFC 6901), in characters that can be stored."""
    if not key.isascii():
        key = key.encode("utf-8", "replace").decode()
    return key.replace("~", "~0").replace("/", "~1").replace("\0", "\ufffd")


@dataclass(frozen=True, slots=True)
class Shape:
    """Where each field of a model goes; names are those of the wire.

    Attributes:
        plain: Fields that the log has, without objects inside.
        personal: Fields that lie beside the log.
        required: Fields that must be there at the door though the model doesn't ask for them.
        parts: Fields that hold an object or a list of objects, with the shape of those.
        choices: Open choices: the known values, and the one that stands for any other text.
        staff: Fields that hold a staff number or a list of them: a name lies beside the log.
        set_here: Fields that the service sets.
        keeps_null: Whether null deletes, instead of being absent.
        has_personal: Whether any field lies beside the log, here or in a part.
        has_staff: Whether any field holds staff numbers, here or in a part.
    """

    plain: frozenset[str]
    personal: frozenset[str]
    required: tuple[str, ...]
    parts: dict[str, "Shape"]
    choices: dict[str, tuple[frozenset[str], str]]
    staff: frozenset[str]
    set_here: frozenset[str]
    keeps_null: bool
    has_personal: bool
    has_staff: bool

    @classmethod
    def of(cls, model: type[Part], *, keeps_null: bool = False) -> "Shape":
        """Return the shape of a model."""
        if issubclass(model, Payload):
            keeps_null = model.merge_patch
        plain, personal, required, parts, choices = set[str](), set[str](), [], {}, {}
        staff, set_here = set[str](), set[str]()
        for attribute, field in model.model_fields.items():
            name = field.alias or attribute
            inner = _part_in(field.annotation)
            if any(map(is_required_at_door, field.metadata)):
                required.append(name)
            if any(isinstance(mark, Personal) for mark in field.metadata):
                personal.add(name)
            elif inner is not None:
                parts[name] = cls.of(inner, keeps_null=keeps_null)
            elif _holds_staff(field.annotation) or any(map(_holds_staff, field.metadata)):
                staff.add(name)
            else:
                plain.add(name)
            if any(isinstance(mark, SetHere) for mark in field.metadata):
                set_here.add(name)
            for mark in field.metadata:
                if isinstance(mark, OpenChoice):
                    choices[name] = (_choices(field.annotation), mark.other)
        return cls(
            frozenset(plain),
            frozenset(personal),
            tuple(required),
            parts,
            choices,
            frozenset(staff),
            frozenset(set_here),
            keeps_null,
            bool(personal) or any(part.has_personal for part in parts.values()),
            bool(staff) or any(part.has_staff for part in parts.values()),
        )

    def personal_in(self, data: dict[str, Any], *, names: bool = False) -> dict[str, Any]:
        """Return what of valid data without unknown fields lies beside the log.

        Args:
            data: As sent.
            names: Whether there are names in the place of staff numbers.
        """
        aside = {
            name: value
            for name, value in data.items()
            if name in self.personal and value is not None
        }
        if names:
            for name, value in data.items():
                if name in self.staff and (sent := _names_in(value)):
                    aside[name] = sent
        for name, shape in self.parts.items():
            if (shape.has_personal or (names and shape.has_staff)) and (part := data.get(name)):
                if isinstance(part, dict):
                    inner: Any = shape.personal_in(part, names=names)
                else:
                    inner = _trimmed(
                        [shape.personal_in(element, names=names) or None for element in part]
                    )
                if inner:
                    aside[name] = inner
        return aside

    def split(self, data: dict[str, Any], pointer: str, unknown: Found) -> dict[str, Any]:
        """Return what of the data lies beside the log, nested as sent; {} if nothing does.

        Args:
            data: As sent; it isn't changed.
            pointer: Where it lies in the event.
            unknown: Gets the fields that the model doesn't know.
        """
        aside: dict[str, Any] = {}
        for key, value in data.items():
            if key in self.plain or (value is None and not self.keeps_null):
                continue
            if key in self.personal:
                aside[key] = value
            elif (shape := self.parts.get(key)) is not None:
                if part := shape.split_part(value, f"{pointer}/{key}", unknown):
                    aside[key] = part
            elif key in self.staff:
                if names := _names_in(value):
                    aside[key] = names
            else:
                aside[key] = value
                unknown.append((pointer, {key: value}))
        return aside

    def split_part(self, value: Any, pointer: str, unknown: Found) -> Any:
        """Return what of an object, or of a list of objects, lies beside the log.

        Of a list: a list with null for elements that lie in the log alone, the last ones left
        out.
        """
        if isinstance(value, dict):
            return self.split(value, pointer, unknown)
        if not isinstance(value, list):
            return None
        return _trimmed(
            [
                self.split(element, f"{pointer}/{index}", unknown) or None
                if isinstance(element, dict)
                else None
                for index, element in enumerate(value)
            ]
        )

    def of_payload(self, part: Part) -> dict[str, Any]:
        """Return the personal fields of a payload that was made here, nested as on the wire."""
        aside: dict[str, Any] = {}
        for name in sorted(self.personal & part.model_fields_set):
            value = getattr(part, name)
            if value is not None or self.keeps_null:
                aside[name] = value
        for name, shape in self.parts.items():
            value = getattr(part, name)
            if isinstance(value, list):
                inner: Any = _trimmed([shape.of_payload(element) or None for element in value])
            else:
                inner = None if value is None else shape.of_payload(value)
            if inner:
                aside[name] = inner
        return aside


def _names_in(value: Any) -> Any:
    """Return what of a value lies beside the log because it is no staff number; None if nothing.

    Of a list: a list with null for the staff numbers, the last ones left out.
    """
    if isinstance(value, list):
        # no deeper: lists in lists hold no names, and may be nested beyond what can be followed
        return _trimmed([_name_in(element) for element in value])
    return _name_in(value)


def _name_in(value: Any) -> str | None:
    return value if isinstance(value, str) and staff_no_in(value) is None else None


def _trimmed(parts: list[Any]) -> list[Any]:
    while parts and parts[-1] is None:
        parts.pop()
    return parts


def _choices(annotation: Any) -> frozenset[str]:
    """Find the known values of an open choice that may be absent."""
    known = [inner for inner in get_args(annotation) if inner is not NoneType]
    return frozenset(value for literal in known for value in get_args(literal))


def _part_in(annotation: Any) -> type[Part] | None:
    """Find the model inside an annotation such as `list[Job] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    for argument in get_args(annotation):
        if (part := _part_in(argument)) is not None:
            return part
    return None


def _holds_staff(annotation: Any) -> bool:
    """Whether an annotation such as `list[StaffNo] | None`, or a mark, is of staff numbers."""
    return isinstance(annotation, StaffName) or any(map(_holds_staff, get_args(annotation)))


def join(data: Any, aside: Any) -> Any:
    """Put both sides of an event's data together, as they were sent.

    Args:
        data: JSON value from the log; it is changed.
        aside: What lies beside it; wins where both have a value.
    """
    if isinstance(data, dict) and isinstance(aside, dict):
        for key, value in aside.items():
            data[key] = join(data[key], value) if key in data else value
        return data
    if isinstance(data, list) and isinstance(aside, list):
        for index, value in enumerate(aside):
            if value is not None:
                data[index] = join(data[index], value)
        return data
    return aside


def canonical(value: Any, *, keeps_null: bool) -> Any:
    """Return the JSON value so that equal ones are written alike: 1.0 as 1, no nulls (A9)."""
    if isinstance(value, dict):
        return {
            key: canonical(inner, keeps_null=keeps_null)
            for key, inner in value.items()
            if inner is not None or keeps_null
        }
    if isinstance(value, list):
        return [canonical(inner, keeps_null=keeps_null) for inner in value]
    if isinstance(value, float) and value.is_integer() and int(value) in _INTEGERS:
        return int(value)
    return value


def check_unknown(value: Any, pointer: str, *, depth: int, length: int) -> Iterator[Fault]:
    """Yield what forbids to keep a value that no model looks at.

    Args:
        value: Any JSON value, or what a careful parser puts in the place of one.
        pointer: Where it lies in the event.
        depth: How many levels of objects and lists it may have.
        length: How many characters a text may have.
    """
    if isinstance(value, dict | list) and depth > 0:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            here = f"{pointer}/{escape(str(key))}"
            if isinstance(key, str):
                yield from check_text(key, here, length=length)
            yield from check_unknown(inner, here, depth=depth - 1, length=length)
    elif isinstance(value, str):
        yield from check_text(value, pointer, length=length)
    elif isinstance(value, int | float):
        if not (value in _INTEGERS if isinstance(value, int) else isfinite(value)):
            yield Fault(pointer, "out-of-range", "The number is out of range.")
    elif value is not None:
        yield Fault(pointer, "too-deep", "Objects and lists are nested too deeply.")


def check_text(value: str, pointer: str, *, length: int) -> Iterator[Fault]:
    """Yield what forbids to store a text."""
    if len(value) > length:
        yield Fault(pointer, "too-long", f"The text has more than {length} characters.")
    if "\0" in value:
        yield Fault(pointer, "nul-character", "The text has a NUL character.")
    if not value.isascii() and not storable(value):
        yield Fault(pointer, "bad-unicode", "The text has a lone surrogate.")


def storable(value: str) -> bool:
    """Whether the text is Unicode without NUL, as PostgreSQL can hold it."""
    if value.isascii():
        return "\0" not in value
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value
