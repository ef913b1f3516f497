"""Finding columns by their headings, however they are spelled, and with a unit behind or not."""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from app.domain.cells import Cell, folded

_UNIT_BEHIND: Final = re.compile(r"(.+)\((?:单位:?)?([^()]+)\)")


class Place(NamedTuple):
    """A column that a field is read from, and the unit's factor where its heading names one."""

    name: str
    factor: Decimal | None = None


@lru_cache(maxsize=256)
def _by_folded(columns: tuple[str, ...]) -> Mapping[str, str]:
    return {folded(name): name for name in reversed(columns)}


def find_column(cells: Mapping[str, Cell], names: Sequence[str]) -> str | None:
    """Return the first of the columns that a row has, however it is spelled there."""
    for name in names:
        if name in cells:
            return name
    known = _by_folded(tuple(cells))
    return next((known[key] for name in names if (key := folded(name)) in known), None)


def with_units(
    cells: Mapping[str, Cell], names: Sequence[str], units: Mapping[str, Decimal]
) -> Iterator[Place]:
    """Find the columns whose headings say the unit behind one of the names: 工时费（万元）.

    Args:
        cells: By the headings of the row.
        names: Of the column.
        units: Unit -> factor: those that the field may be in.
    """
    if units:
        wanted = set(map(folded, names))
        for column in cells:
            match = _UNIT_BEHIND.fullmatch(folded(column))
            if match and match[1] in wanted and match[2] in units:
                yield Place(column, units[match[2]])
