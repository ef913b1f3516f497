"""From the text of a mapping to a mapping, or to all that is wrong with it, line by line."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

from app.domain.errors import Fault, InvalidInputError
from app.domain.events.catalog import CATALOG
from app.domain.events.shape import escape
from app.domain.events.value_maps import ValueMap
from app.domain.mapping.model import (
    ConditionModel,
    EmissionModel,
    FieldModel,
    MappingModel,
    ValuesModel,
    placeholders,
)
from app.domain.mapping.source_mapping import SourceMapping
from app.domain.mapping.targets import field_names, fields_of
from app.domain.mapping.yaml_text import YamlError, read_yaml

MAX_MAPPING: Final = 256 * 1024
"""Characters of the longest mapping."""

_SETTINGS: Final = sorted(
    {
        field.alias or name
        for model in (MappingModel, EmissionModel, FieldModel, ConditionModel, ValuesModel)
        for name, field in model.model_fields.items()
    }
)
_CODES: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("missing", "The setting is required."),
    "string_type": ("not-text", "The setting must be text."),
    "int_type": ("not-a-number", "The setting must be a whole number."),
    "dict_type": ("not-an-object", "The setting must have settings below it."),
    "model_type": ("not-an-object", "The setting must have settings below it."),
    "list_type": ("not-a-list", "The setting must be a list."),
    "bool_type": ("not-a-boolean", "The setting must be true or false."),
}


def read_mapping(text: str) -> SourceMapping:
    """Read a mapping from YAML (or JSON, which is YAML).

    Raises:
        InvalidInputError: It has faults; each says its line and what to do.
    """
    if len(text) > MAX_MAPPING:
        detail = f"The mapping has more than {MAX_MAPPING} characters."
        raise InvalidInputError.at("", "too-long", detail)
    try:
        document = read_yaml(text)
    except YamlError as error:
        detail = f"Line {error.line}: {error}."
        raise InvalidInputError.at("", "no-yaml", detail) from None
    faults: list[Fault] = []
    try:
        model = MappingModel.model_validate(document.value)
    except ValidationError as error:
        faults += _of_pydantic(error)
    else:
        faults += _in(model)
        if not faults:
            return SourceMapping(model)
    raise InvalidInputError([_with_line(fault, document.lines) for fault in faults])


def _of_pydantic(error: ValidationError) -> Iterator[Fault]:
    for found in error.errors(include_url=False):
        pointer = "".join(f"/{escape(str(token))}" for token in found["loc"])
        if found["type"] == "extra_forbidden":
            name = str(found["loc"][-1])
            close = get_close_matches(name, _SETTINGS, n=1)
            meant = f" Did you mean `{close[0]}`?" if close else ""
            yield Fault(pointer, "unknown-setting", f"`{name}` is no setting here.{meant}")
        elif found["type"] == "value_error":
            words = found["msg"].removeprefix("Value error, ")
            yield Fault(pointer, "bad-value", f"The setting {words}.")
        else:
            code, words = _CODES.get(found["type"], ("bad-value", f"{found['msg']}."))
            yield Fault(pointer, code, words)


def _in(model: MappingModel) -> Iterator[Fault]:
    """Yield what only shows beside the catalogue."""
    ids: set[str] = set()
    for index, emission in enumerate(model.emits):
        pointer = f"/emits/{index}"
        event_type = CATALOG.get(emission.type)
        if event_type is None or not event_type.posted:
            close = get_close_matches(emission.type, CATALOG, n=1)
            meant = f" Did you mean {close[0]}?" if close else ""
            detail = f"{emission.type} is no event type that can be sent.{meant}"
            yield Fault(f"{pointer}/type", "unknown-type", detail)
            continue
        if emission.id is not None:
            if not placeholders(emission.id) or emission.id in ids:
                detail = "The id must name columns in braces, and differ from that of others."
                yield Fault(f"{pointer}/id", "bad-value", detail)
            ids.add(emission.id)
        kinds = fields_of(emission.type)
        for name, field in emission.fields.items():
            yield from _in_field(
                f"{pointer}/fields/{escape(name)}", name, field, emission.type, kinds, model
            )
    for name, values in model.values.items():
        for problem in ValueMap(values.values).problems():
            yield Fault(f"/values/{escape(name)}", "two-meanings", problem)
    yield from _contradictions(model)


def _in_field(
    pointer: str,
    name: str,
    field: FieldModel,
    event_type: str,
    kinds: Mapping[str, Any],
    model: MappingModel,
) -> Iterator[Fault]:
    is_part = any(known.startswith(f"{name}.") for known in kinds)
    if name not in kinds and field.type is None:
        if is_part:
            inside = ", ".join(known for known in kinds if known.startswith(f"{name}."))
            detail = f"Name a field inside of {name}: {inside}."
        else:
            detail = (
                f"{event_type} has no field {name}; these are near: "
                f"{field_names(event_type, name)}. With a `type`, it is kept beside the log."
            )
        yield Fault(pointer, "unknown-field", detail)
    if kinds.get(name) == "objects" and field.each is None and field.path is None:
        detail = f"{name} is a list of objects: say its fields with `each`."
        yield Fault(pointer, "bad-value", detail)
    if model.group_by is None and (field.sum or (field.each and field.path is None)):
        detail = "`sum` and `each` over rows need `group_by`."
        yield Fault(pointer, "bad-value", detail)
    if field.sum and kinds.get(name, field.type) not in {"number", "count"}:
        yield Fault(f"{pointer}/sum", "bad-value", "Only a number can be a sum.")
    if (values := field.value_map) is not None:
        for problem in values.problems():
            yield Fault(f"{pointer}/values", "two-meanings", problem)
    for key, inner in (field.each or {}).items():
        yield from _in_field(
            f"{pointer}/each/{escape(key)}", f"{name}.{key}", inner, event_type, kinds, model
        )


def _contradictions(model: MappingModel) -> Iterator[Fault]:
    """Yield fields whose maps differ: JSON events of the source could not be told apart."""
    seen: dict[str, Any] = {
        name: (values.values, values.unmatched) for name, values in model.values.items()
    }
    for index, emission in enumerate(model.emits):
        for name, field in emission.fields.items():
            for path, inner in field.walk(name):
                said = (inner.values, inner.unmatched)
                if inner.values is not None and seen.setdefault(path, said) != said:
                    detail = f"{path} has another value map elsewhere in this mapping."
                    pointer = f"/emits/{index}/fields/{escape(name)}"
                    yield Fault(pointer, "two-meanings", detail)


def _with_line(fault: Fault, lines: Mapping[str, int]) -> Fault:
    """Say the line of the nearest thing that the text has."""
    pointer = fault.pointer
    while pointer and pointer not in lines:
        pointer = pointer.rpartition("/")[0]
    line = lines.get(pointer, 1)
    return Fault(fault.pointer, fault.code, f"Line {line}: {fault.detail}")
