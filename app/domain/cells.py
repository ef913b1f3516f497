"""What a sheet is made of, and what every reader of a cell has to see through."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, TypeAlias

Cell: TypeAlias = (
    str
    | int
    | float
    | Decimal
    | bool
    | datetime
    | date
    | time
    | timedelta
    | list[Any]
    | dict[str, Any]
    | None
)
"""One value as the file has it; lists and objects only in records of JSON. Empty is None or ""."""

_SPACES: Final = re.compile(r"[\s\u00a0\u3000\u200b\u2060\ufeff]+")
_ODD: Final = re.compile(r"^[\s=]|\s$|\s\s|[^\S ]|[\u200b\u2060\ufeff]")
_ERROR: Final = re.compile(r"#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NULL!|NUM!|SPILL!|CALC!|####+)")
_PROTECTED: Final = re.compile(r'="(.*)"', re.DOTALL)
_TOTAL: Final = re.compile(
    r"(?:(?:本页|当页|本月|总)?(?:合计|总计|小计|累计)|(?:grand|sub)?total)(?:[:(\[0-9共].*)?",
    re.IGNORECASE,
)
_FOOTER: Final = re.compile(
    r"(?:制表|审核|打印|导出|制单|统计|复核|填表|备注|说明|printed|page|以上|注|共|第)"
    r"[^,，]{0,40}?(?:[:：]|[0-9]|$)",
    re.IGNORECASE,
)
_FOOTER_CELLS: Final = 3
"""Cells of the widest line below a table that is no row of it."""

FORMULA_WITHOUT_VALUE: Final = "#FORMULA?"
"""Stands for a formula whose value was never computed: the file was written by a program."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a sheet, or one record.

    Attributes:
        number: As the user sees it: the row of the sheet, the line of a file of lines.
        cells: By column; merged cells repeated, where a value stands for several rows.
        raw: The cells as they lie in the sheet, from its first column on.
        fault: Why it can't be read at all; `cells` is then empty. None as a rule.
        columns: The keys of `cells`, where all rows have the same; else ().
    """

    number: int
    cells: Mapping[str, Cell]
    raw: Sequence[Cell] = ()
    fault: str | None = None
    columns: tuple[str, ...] = ()


def clean(cell: Cell) -> str:
    """Return a cell as text without the spaces around and the odd ones inside; "" if empty."""
    if cell is None:
        return ""
    if not isinstance(cell, str):
        return shown(cell)
    if not _ODD.search(cell):
        return cell
    text = _SPACES.sub(" ", cell).strip(" ")
    if text.startswith('="') and (match := _PROTECTED.fullmatch(text)):
        return match[1].strip()  # how programs keep Excel from reading a number
    return text


def shown(cell: Cell) -> str:
    """Return a cell as a spreadsheet shows it, for messages and for text columns."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return plain_number(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(" ", "minutes" if not cell.second else "seconds")
    if isinstance(cell, Decimal):
        return format(cell, "f")
    return str(cell)


def plain_number(number: float) -> str:
    """Return a number with the 15 digits that a spreadsheet keeps, without an exponent."""
    text = format(Decimal(format(number, ".15g")), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def is_empty(cell: Cell) -> bool:
    """Whether there is nothing in a cell."""
    if not isinstance(cell, str):
        return cell is None
    return not cell or (not cell[0].isalnum() and not clean(cell))


def is_error(cell: Cell) -> bool:
    """Whether a cell holds what a spreadsheet shows in place of a value."""
    return (
        isinstance(cell, str)
        and cell.lstrip().startswith("#")
        and (clean(cell) == FORMULA_WITHOUT_VALUE or _ERROR.fullmatch(clean(cell)) is not None)
    )


@lru_cache(maxsize=4096)
def folded(name: str) -> str:
    """Return a heading so that spellings that look alike are alike: （ and (, spaces, case."""
    return _SPACES.sub("", unicodedata.normalize("NFKC", name)).casefold().rstrip(":*")


def is_total(row: Row) -> bool:
    """Whether a row sums up others: its first text says so."""
    first = first_filled(row)
    return isinstance(first, str) and _TOTAL.fullmatch(folded(first)) is not None


def is_footer(row: Row) -> bool:
    """Whether a row is a line below the table: who printed it, how many rows it has."""
    first = first_filled(row)
    return (
        isinstance(first, str)
        and _FOOTER.match(folded(first)) is not None
        and sum(not is_empty(cell) for cell in row.cells.values()) <= _FOOTER_CELLS
    )


def is_heading(row: Row) -> bool:
    """Whether a row repeats the heading, as at the top of each printed page."""
    filled = 0
    for name, cell in row.cells.items():
        if not is_empty(cell):
            filled += 1
            if not isinstance(cell, str) or folded(cell) != folded(name):
                return False
    return filled > 1


def first_filled(row: Row) -> Cell:
    """Return the first cell of a row that isn't empty; None if there is none."""
    return next((cell for cell in row.cells.values() if not is_empty(cell)), None)
