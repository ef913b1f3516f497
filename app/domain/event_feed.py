"""The feed out: which events a consumer asks for, and where it stands."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.domain.errors import Fault, InvalidInputError
from app.domain.events.catalog import CATALOG

MAX_WAIT_SECONDS: Final = 60
"""How long a request may be held for news."""

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000

_FAMILY: Final = re.compile(r"([a-z_]+)\.\*")


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a consumer has read a store's log, kept for it under a name.

    Attributes:
        seq: Of the last event that was dealt with; the next page begins after it.
        updated_by: Who moved it last.
    """

    store_id: str
    name: str
    seq: int
    created_at: datetime
    updated_at: datetime
    updated_by: str


def types_wanted(filters: Sequence[str]) -> frozenset[str] | None:
    """Find the event types that filters name: whole types, or families such as `follow_up.*`.

    Returns:
        None without a filter: every type, those to come included.

    Raises:
        InvalidInputError: A filter names nothing that there is.
    """
    if not filters:
        return None
    wanted: set[str] = set()
    faults: list[Fault] = []
    for text in filters:
        found = set(_named(text))
        if not found:
            faults.append(
                Fault(
                    "/query/type",
                    "unknown-type",
                    f"{text} is neither an event type nor a family such as repair_order.*; "
                    "GET /v1/event-types lists them.",
                )
            )
        wanted |= found
    if faults:
        raise InvalidInputError(faults)
    return frozenset(wanted)


def _named(text: str) -> Iterable[str]:
    family = _FAMILY.fullmatch(text)
    if family is None:
        return (text,) if text in CATALOG else ()
    return (name for name in CATALOG if name.partition(".")[0] == family[1])


def seq_of(text: str, pointer: str) -> int:
    """Read a seq, decimal text.

    Raises:
        InvalidInputError: It is none.
    """
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise InvalidInputError.at(
            pointer, "not-a-seq", "A seq is written in decimal digits, such as 1041."
        )
    return int(text)


def check_position(seq: int, head: int, pointer: str) -> None:
    """Refuse a position that the log has not reached.

    Raises:
        InvalidInputError: It lies beyond the head: it was got from another log.
    """
    if seq > head:
        raise InvalidInputError.at(
            pointer,
            "beyond-the-log",
            f"The log ends at {head}, so {seq} was not read from it. If the database was restored "
            "from a backup, begin again from where your own records agree with it.",
        )
