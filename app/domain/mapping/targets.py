"""What a field of an event asks for, as the catalogue has it."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Literal, TypeAlias, get_args

from app.domain.events.catalog import CATALOG
from app.domain.events.payload import Part

Kind: TypeAlias = Literal[
    "instant", "date", "number", "count", "flag", "text", "choice", "texts", "any", "objects"
]
"""How a value is read; `objects` is a list of parts, such as `jobs`."""

_KINDS: dict[Any, Kind] = {
    datetime: "instant",
    date: "date",
    Decimal: "number",
    int: "count",
    bool: "flag",
    str: "text",
}


@lru_cache
def fields_of(event_type: str) -> dict[str, Kind]:
    """Return the fields of an event type, those of parts with a dot: `amounts.labor`.

    The fields inside of a list are named like those of a part: `jobs.code`.

    Raises:
        KeyError: There is no such type.
    """
    return dict(_fields(CATALOG[event_type].model, ""))


def field_names(event_type: str, unknown: str) -> str:
    """Return the names of fields that somebody may have meant, for a message."""
    known = fields_of(event_type)
    close = get_close_matches(unknown, known, n=3, cutoff=0.6)
    return ", ".join(close or sorted(name for name in known if "." not in name))


def choices_of(event_type: str, path: str) -> tuple[str, ...]:
    """Return the values that a field is chosen from, () if it isn't."""
    model: type[Part] | None = CATALOG[event_type].model
    annotation: Any = None
    for name in path.split("."):
        if model is None:
            return ()
        for attribute, field in model.model_fields.items():
            if name == (field.alias or attribute):
                annotation = field.annotation
        model = _part(annotation)
    return tuple(str(choice) for choice in _literals(annotation))


def _fields(model: type[Part], prefix: str) -> Iterator[tuple[str, Kind]]:
    for attribute, field in model.model_fields.items():
        name = prefix + (field.alias or attribute)
        part = _part(field.annotation)
        if part is None:
            yield name, _kind(field.annotation)
            continue
        if _is_list(field.annotation):
            yield name, "objects"
        yield from _fields(part, f"{name}.")


def _kind(annotation: Any) -> Kind:
    if _is_list(annotation):
        return "texts"
    if any(True for _ in _literals(annotation)):
        return "choice"
    leaves = set(_leaves(annotation))
    return _KINDS.get(leaves.pop(), "any") if len(leaves) == 1 else "any"


def _leaves(annotation: Any) -> Iterator[Any]:
    """Yield the plain types in an annotation such as `Annotated[Decimal, ...] | None`."""
    if isinstance(annotation, type) and not get_args(annotation):
        if annotation is not type(None):
            yield annotation
        return
    for argument in get_args(annotation):
        yield from _leaves(argument)


def _literals(annotation: Any) -> Iterator[Any]:
    if getattr(annotation, "__origin__", None) is Literal:
        yield from get_args(annotation)
        return
    for argument in get_args(annotation):
        yield from _literals(argument)


def _is_list(annotation: Any) -> bool:
    if getattr(annotation, "__origin__", None) is list:
        return True
    return any(_is_list(argument) for argument in get_args(annotation))


def _part(annotation: Any) -> type[Part] | None:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    for argument in get_args(annotation):
        if (part := _part(argument)) is not None:
            return part
    return None
