"""Histories in which exports hold names where staff numbers belong."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final

from tests.support.histories import CloudEvent, History, cloud_event

STAFF_FIELDS: Final = (
    "advisor",
    "technician",
    "inspector",
    "reviewer",
    "responsible",
    "assignee",
    "acting_for",
    "appointed_by",
    "by",
)
"""Fields of events that hold a staff number, here or there."""

SPELLINGS: Final[Mapping[str, Sequence[str]]] = {
    "A01": ("王伟", "王　伟", " 王 伟 "),
    "A02": ("ＡＮＮ Smith", "Ann  Smith", "ann\tsmith\u200b"),
    "A03": ("欧阳建国", "欧阳建国 ", "欧阳 建国"),
    "T01": ("李娜(一组)", "李娜（一组）"),
    "T02": ("Łukasz Żak", "łukasz żak"),
    "T03": ("Straße, Jörg", "STRASSE, JÖRG"),
    "C01": ("客服：张", "客服:张"),
}
"""Staff number -> the same name as several exports write it."""

ALIASES: Final[Mapping[str, str]] = {"T01": "李师傅", "C01": "小张 (回访)"}
"""Another name of some."""


def in_names(rng: Random, events: Sequence[CloudEvent]) -> list[CloudEvent]:
    """Write names in the place of the staff numbers that have one."""
    return [
        event
        | {
            "data": {
                field: _spelled(rng, value) if field in STAFF_FIELDS else value
                for field, value in event["data"].items()
            }
        }
        for event in events
    ]


def _spelled(rng: Random, value: Any) -> Any:
    if value not in SPELLINGS:
        return value
    alias = ALIASES.get(value)
    return rng.choice([*SPELLINGS[value], *([alias] if alias else [])])


def registrations(rng: Random, history: History, *, without: str = "") -> list[CloudEvent]:
    """Register all who have a name, in several ways, some with an error that is taken back."""
    told: list[CloudEvent] = []

    def tell(event_type: str, staff_no: str, data: Mapping[str, Any]) -> CloudEvent:
        number = len(told)
        event = cloud_event(
            event_type,
            staff_no,
            f"2025-01-01T00:{number // 60:02}:{number % 60:02}Z",
            data,
            event_id=f"staff-{number}",
            store=history.store_id,
            source="/hr/test",
        )
        told.append(event)
        return event

    for staff_no, spellings in SPELLINGS.items():
        aliases = [*([ALIASES[staff_no]] if staff_no in ALIASES else []), "不相干"]
        data: dict[str, Any] = {"name": rng.choice(spellings), "aliases": aliases[:-1] or None}
        if rng.random() < 0.5:
            data = {
                "name": "证件名 " + staff_no,
                "aliases": [rng.choice(spellings), *aliases[:-1]],
            }
        entered = tell("staff.registered", staff_no, data)
        if staff_no == without:
            tell("event.retracted", staff_no, _back(entered))
        elif rng.random() < 0.3:
            wrong = tell("staff.registered", rng.choice(("X1", "T04")), data)
            tell("event.retracted", wrong["subject"], _back(wrong))
    return told


def _back(event: CloudEvent) -> dict[str, str]:
    return {"source": event["source"], "id": event["id"], "reason": "typing error"}
