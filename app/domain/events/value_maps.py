"""Coded values of one source and what they mean here: 保养 is regular_maintenance, 是 is true.

The same maps serve sheets, where a column names its own, and the JSON events of the source, where
they apply at the door. There the text as sent is kept beside the log, and the content that tells
the same event from another one is the sent one (A9): a later version of a map makes no conflict.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from app.domain.cells import Cell, folded, shown
from app.domain.errors import Fault
from app.domain.events.shape import escape

Scalar: TypeAlias = str | bool | int | float | None
Unmatched: TypeAlias = Literal["keep", "fault", "null"]

MISSING: Final = object()
"""Stands for no value: the map has none for a key, or the value is left out."""


class ValueMap:
    """What the values of one field mean.

    Attributes:
        values: As the mapping has them.
        unmatched: What becomes of a value that is neither known nor a meaning itself.
    """

    def __init__(self, values: Mapping[str, Scalar], unmatched: Unmatched = "keep") -> None:
        self.values = values
        self.unmatched = unmatched
        self._meanings: dict[str, Scalar] = {folded(key): value for key, value in values.items()}
        self._results = {folded(shown(value)) for value in values.values() if value is not None}

    def meaning(self, value: Cell) -> Any:
        """Return what a value means; `MISSING` if the map doesn't say.

        What is a meaning already has itself for its meaning: to apply a map twice is to apply it
        once.
        """
        key = folded(shown(value))
        if key in self._meanings:
            return self._meanings[key]
        return value if key in self._results else MISSING

    def problems(self) -> Iterator[str]:
        """Yield what would make the map mean one thing at first and another one when repeated."""
        for key, value in self.values.items():
            again = self._meanings.get(folded(shown(value)), value)
            if value is not None and again != value:
                yield f"{key} means {value}, and {value} means {again}: name the last meaning."


@dataclass(frozen=True, slots=True)
class Applied:
    """An event to whose data value maps were applied.

    Attributes:
        item: The event with the meanings; what was sent isn't changed.
        sent: The values that were replaced, nested as in the data.
        faults: Values that the source's mapping doesn't allow.
    """

    item: dict[str, Any]
    sent: dict[str, Any]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class SourceValues:
    """All value maps of one source.

    Attributes:
        store_id: The only store whose events they are for; None: all.
        maps: By field, such as `("jobs", "pay_type")`.
    """

    store_id: str | None
    maps: Mapping[tuple[str, ...], ValueMap]

    def apply(self, item: dict[str, Any]) -> Applied | None:
        """Apply the maps to an event; None if they change nothing."""
        data = item.get("data")
        is_other = self.store_id is not None and item.get("store") != self.store_id
        if not isinstance(data, dict) or is_other:
            return None
        faults: list[Fault] = []
        sent: dict[str, Any] = {}
        for path, values in self.maps.items():
            if path[0] in data:
                changed = _inside(data, path, values, "/data", faults)
                if changed is not None:
                    data, replaced = changed
                    sent = overlaid(sent, replaced)
        if not sent and not faults:
            return None
        return Applied({**item, "data": data}, sent, tuple(faults))


def overlaid(below: Any, above: Any) -> Any:
    """Return one nested value with what another one has in its place; neither is changed."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {
            **below,
            **{
                key: overlaid(below[key], value) if key in below else value
                for key, value in above.items()
            },
        }
    if isinstance(below, list) and isinstance(above, list):
        longest = max(len(below), len(above))
        padded = ([*values, *[None] * (longest - len(values))] for values in (below, above))
        return [
            old if new is None else new if old is None else overlaid(old, new)
            for old, new in zip(*padded, strict=True)
        ]
    return above


def _inside(
    value: Any, path: tuple[str, ...], values: ValueMap, pointer: str, faults: list[Fault]
) -> tuple[Any, Any] | None:
    """Apply a map to a field inside a value.

    Returns:
        The value with the meanings, and what was replaced; None if nothing was.
    """
    if isinstance(value, list):
        return _in_list(value, path, values, pointer, faults)
    if not path:
        return _meaning(value, values, pointer, faults)
    if not isinstance(value, dict) or value.get(path[0]) is None:
        return None
    name = path[0]
    changed = _inside(value[name], path[1:], values, f"{pointer}/{escape(name)}", faults)
    if changed is None:
        return None
    meaning, replaced = changed
    if meaning is MISSING:
        return {key: inner for key, inner in value.items() if key != name}, {name: replaced}
    return {**value, name: meaning}, {name: replaced}


def _in_list(
    value: list[Any], path: tuple[str, ...], values: ValueMap, pointer: str, faults: list[Fault]
) -> tuple[Any, Any] | None:
    result = list(value)
    replaced: list[Any] = [None] * len(value)
    for index, element in enumerate(value):
        if isinstance(element, list):
            continue  # no field is a list of lists, and these may be nested to any depth
        changed = _inside(element, path, values, f"{pointer}/{index}", faults)
        if changed is not None and changed[0] is not MISSING:
            result[index], replaced[index] = changed
    return (result, replaced) if any(one is not None for one in replaced) else None


def _meaning(
    value: Any, values: ValueMap, pointer: str, faults: list[Fault]
) -> tuple[Any, Any] | None:
    if not isinstance(value, str | bool | int | float):
        return None
    meaning = values.meaning(value)
    if meaning is not MISSING:
        if meaning is None:
            return MISSING, value
        same = meaning == value and type(meaning) is type(value)
        return None if same else (meaning, value)
    if values.unmatched == "null":
        return MISSING, value
    if values.unmatched == "fault":
        detail = "The value map of this source doesn't have the value."
        faults.append(Fault(pointer, "unmatched-value", detail))
    return None
