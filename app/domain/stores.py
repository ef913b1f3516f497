"""A store (4S店): one shop, with the zone in which its days begin and end."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

_CODE: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")


def is_store_code(text: str) -> bool:
    """Say whether a text has the form of a store's code."""
    return _CODE.fullmatch(text) is not None


def named_stores(events: Iterable[Any]) -> set[str]:
    """Gather the codes of the stores that events name, as far as they have the form of one."""
    named = (event.get("store") for event in events if isinstance(event, dict))
    codes = {code for code in named if isinstance(code, str)}
    return {code for code in codes if is_store_code(code)}


@dataclass(frozen=True, slots=True)
class Store:
    """A store as its group set it up.

    Attributes:
        store_id: Its code, `[A-Za-z0-9_-]{1,32}`.
        zone: Where its days, deadlines and periods are cut.
        currency: ISO 4217; the unit of every amount of the store.
        locale: BCP 47; the language its people are addressed in.
    """

    store_id: str
    name: str
    zone: ZoneInfo
    currency: str
    locale: str
    created_at: datetime
    updated_at: datetime
