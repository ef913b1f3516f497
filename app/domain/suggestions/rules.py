"""One rule per kind of fault: what a value most likely means, as operations of a JSON Patch."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from app.domain.errors import Fault
from app.domain.events.event_type import EventType
from app.domain.events.shape import Shape
from app.domain.json_patch import get_at
from app.domain.suggestions import spelling, words
from app.domain.suggestions.suggestion import (
    Context,
    Operation,
)
from app.domain.suggestions.suggestion import (
    SuggestionName as Name,
)

Found = Iterator[tuple[Name, Operation]]
"""What a rule would change, and under which name it is suggested."""

_ENDS: Final = frozenset({"promised_at", "due_at", "target_at"})
"""Fields in which a day means its end: the last moment at which something is still in time."""

_DATA: Final = "/data/"
_LARGEST: Final = 2**63
_LAST_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Case:
    """One fault of one event.

    Attributes:
        value: What was sent there, None if nothing.
    """

    event: Mapping[str, Any]
    fault: Fault
    value: Any
    context: Context

    @property
    def field(self) -> str:
        """The name of the field."""
        return self.fault.pointer.rpartition("/")[2]

    @property
    def zone(self) -> ZoneInfo | None:
        """The zone of the event's store, None while no such store is known."""
        store_id = self.event.get("store")
        return self.context.zones.get(store_id) if isinstance(store_id, str) else None

    @property
    def event_type(self) -> EventType | None:
        """The type of the event, if it is known."""
        name = self.event.get("type")
        return self.context.catalog.get(name) if isinstance(name, str) else None

    def replace(self, name: Name, value: Any) -> tuple[Name, Operation]:
        """Put another value in its place."""
        return name, {"op": "replace", "path": self.fault.pointer, "value": value}


def find(event: Mapping[str, Any], fault: Fault, context: Context) -> Found:
    """Yield what the rules would change because of a fault."""
    case = Case(event, fault, get_at(event, fault.pointer), context)
    for rule in _RULES.get(fault.code, ()):
        yield from rule(case)
    for rule in _ALWAYS:
        yield from rule(case)


def find_unusual(event: Mapping[str, Any], context: Context) -> Found:
    """Yield what is no fault, but would be taken otherwise than it is most likely meant."""
    data, name = event.get("data"), event.get("type")
    event_type = context.catalog.get(name) if isinstance(name, str) else None
    if not isinstance(data, dict) or event_type is None:
        return
    shape: Shape = event_type.forms[-1].shape
    for field, (known, _) in shape.choices.items():
        yield from _near(data, field, tuple(known))
    if "pay_type" in shape.plain:
        yield from _near(data, "pay_type", words.PAY_TYPES)


def _near(data: Mapping[str, Any], field: str, known: tuple[str, ...]) -> Found:
    meant = words.nearest(data.get(field), known)
    if meant is not None:
        yield (
            Name.NEAREST_CHOICE,
            {"op": "replace", "path": _DATA + field, "value": meant},
        )


# Attributes


def _missing_attribute(case: Case) -> Found:
    if case.fault.pointer == "/specversion":
        if case.value is None or case.value == "":
            operation = {"op": "add", "path": "/specversion", "value": "1.0"}
            yield Name.ADD_SPECVERSION, operation
        elif isinstance(case.value, int | float) and case.value == 1:
            yield case.replace(Name.ADD_SPECVERSION, "1.0")
    else:
        yield from _number_as_text(case)


def _other_specversion(case: Case) -> Found:
    if case.fault.pointer == "/specversion" and spelling.clean(str(case.value)) in {"1", "1.0"}:
        yield case.replace(Name.ADD_SPECVERSION, "1.0")


def _type(case: Case) -> Found:
    name = words.nearest_type(case.value, case.context.catalog)
    if name is not None:
        yield case.replace(Name.NEAREST_TYPE, name)


def _store(case: Case) -> Found:
    code = words.nearest_store(case.value, case.context.stores)
    if code is not None and code != case.value:
        yield case.replace(Name.KNOWN_STORE_CODE, code)


# Values


def _number_as_text(case: Case) -> Found:
    value = case.value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and abs(value) < _LARGEST:
        yield case.replace(Name.NUMBER_AS_TEXT, str(value))


def _trimmed(case: Case) -> Found:
    if isinstance(case.value, str) and (text := spelling.clean(case.value)) != case.value:
        yield case.replace(Name.TRIM_TEXT, text)


def _empty(case: Case) -> Found:
    parent = get_at(case.event, case.fault.pointer.rpartition("/")[0])
    # an element of a list stays: those behind it would move
    if isinstance(parent, dict) and spelling.is_nothing(case.value):
        yield Name.DROP_EMPTY, {"op": "remove", "path": case.fault.pointer}


def _data_text(case: Case) -> Found:
    if case.fault.pointer == "/data" and isinstance(case.value, str):
        try:
            data = orjson.loads(case.value)
        except orjson.JSONDecodeError:
            return
        if isinstance(data, dict):
            yield case.replace(Name.READ_DATA_TEXT, data)


def _list(case: Case) -> Found:
    if case.value is not None and not isinstance(case.value, dict):
        yield case.replace(Name.WRAP_LIST, [case.value])


def _number(case: Case) -> Found:
    text = spelling.read_number(case.value)
    if text is not None:
        yield case.replace(Name.PLAIN_NUMBER, text)


def _flag(case: Case) -> Found:
    flag = spelling.read_yes_no(case.value)
    if flag is not None:
        yield case.replace(Name.READ_YES_NO, flag)


def _choice(case: Case) -> Found:
    if case.event_type is not None:
        tokens = case.fault.pointer.removeprefix(_DATA).split("/")
        known = words.choices_at(case.event_type.model, tokens)
        meant = words.nearest(case.value, known)
        if meant is not None:
            yield case.replace(Name.NEAREST_CHOICE, meant)


# Times


def _instant(case: Case) -> Found:
    moment, zone = spelling.read_moment(case.value), case.zone
    if moment is None:
        return
    if moment.time is not None and moment.offset is not None:
        told = moment.time.replace(tzinfo=moment.offset)
        yield case.replace(Name.SPELL_TIME, told.isoformat())
    elif zone is not None and moment.time is not None:
        local = spelling.in_zone(moment.time, zone)
        if local is not None:
            yield case.replace(Name.ADD_STORE_OFFSET, local.isoformat())
    elif zone is not None:
        yield from _day(case, datetime.combine(moment.day, time()), zone)


def _day(case: Case, midnight: datetime, zone: ZoneInfo) -> Found:
    if case.field in _ENDS:
        last = spelling.in_zone(midnight + timedelta(days=1) - _LAST_SECOND, zone)
        if last is not None:
            yield case.replace(Name.DAY_END, last.isoformat())
    else:
        first = spelling.in_zone(midnight, zone)
        if first is not None:
            yield case.replace(Name.DAY_START, first.isoformat())


def _date(case: Case) -> Found:
    moment, zone = spelling.read_moment(case.value), case.zone
    if moment is None:
        return
    day = moment.day
    if moment.time is not None and moment.offset is not None:
        if zone is None:
            return
        day = moment.time.replace(tzinfo=moment.offset).astimezone(zone).date()
    yield case.replace(Name.SPELL_DATE, day.isoformat())


def _ahead(case: Case) -> Found:
    """Read `2026-01-05T17:00:00Z` as 17:00 in the shop, where that lies in the past."""
    moment, zone = spelling.read_moment(case.value), case.zone
    if moment is None or moment.time is None or zone is None or moment.offset is None:
        return
    local = spelling.in_zone(moment.time, zone)
    if not moment.offset.utcoffset(None) and local is not None and local <= case.context.now:
        yield case.replace(Name.READ_AS_STORE_TIME, local.isoformat())


_RULES: Final[Mapping[str, tuple[Callable[[Case], Found], ...]]] = {
    "missing": (_missing_attribute,),
    "unsupported-version": (_other_specversion,),
    "unknown-type": (_type,),
    "unknown-store": (_store,),
    "not-an-instant": (_instant,),
    "not-a-date": (_date,),
    "not-a-number": (_number,),
    "not-a-boolean": (_flag,),
    "not-one-of": (_choice,),
    "not-text": (_number_as_text,),
    "not-a-list": (_list,),
    "not-an-object": (_data_text,),
    "time-in-future": (_ahead,),
}
"""Code of the fault -> rules, in the order in which they are asked."""

_ALWAYS: Final = (_empty, _trimmed)
"""Rules for faults of whatever code."""
