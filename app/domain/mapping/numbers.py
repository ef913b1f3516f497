"""Numbers as people type them: 1,234.50, ￥860 元, １２００, 3.2 万公里, (15.00)."""

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from app.domain.cells import Cell, clean, plain_number, shown
from app.domain.mapping.unreadable import UnreadableError

UNITS: Final[Mapping[str, Decimal]] = {
    "元": Decimal(1),
    "角": Decimal("0.1"),
    "分": Decimal("0.01"),
    "cents": Decimal("0.01"),
    "千元": Decimal(1000),
    "万": Decimal(10_000),
    "万元": Decimal(10_000),
    "亿元": Decimal(100_000_000),
    "公里": Decimal(1),
    "千米": Decimal(1),
    "km": Decimal(1),
    "千公里": Decimal(1000),
    "万公里": Decimal(10_000),
    "米": Decimal("0.001"),
    "英里": Decimal("1.609344"),
    "miles": Decimal("1.609344"),
    "小时": Decimal(1),
    "工时": Decimal(1),
    "hours": Decimal(1),
    "分钟": Decimal(1) / 60,
    "minutes": Decimal(1) / 60,
    "秒": Decimal(1) / 3600,
    "seconds": Decimal(1) / 3600,
    "tenths": Decimal("0.1"),
    "hundredths": Decimal("0.01"),
}
"""Unit of a column -> how many of the log's unit (yuan, kilometres, hours) it is."""

_MONEY: Final = frozenset({"元", "角", "分", "cents", "千元", "万", "万元", "亿元"})
_LENGTH: Final = frozenset({"公里", "千米", "km", "千公里", "万公里", "米", "英里", "miles"})
_TIME: Final = frozenset({"小时", "工时", "hours", "分钟", "minutes", "分", "秒", "seconds"})

_IN_CELLS: Final[Mapping[str, Decimal | None]] = {
    **dict.fromkeys(("元", "圆", "rmb", "cny", "公里", "千米", "km", "小时", "h"), Decimal(1)),
    **dict.fromkeys(("工时", "个", "项", "次", "件", "台")),
    **{unit: UNITS[unit] for unit in ("万", "万元", "万公里", "千公里", "分钟", "英里", "miles")},
    "min": UNITS["分钟"],
    "mi": UNITS["英里"],
}
"""What may stand behind the number in a cell; a factor takes the place of the column's."""

_DECIMALS: Final = 6
_PARTS: Final = re.compile(r"([-+]?)([¥$€£]|rmb|cny)?([-+]?)([0-9][0-9,.]*|\.[0-9]+)([^0-9]*)(-?)")
_PLAIN: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})*(?:\.[0-9]*)?|[0-9]*\.[0-9]+|[0-9]+")
_BLANK: Final = frozenset({"", "-", "--", "—", "——", "/", "n/a", "null", "none"})
"""What people type where there is nothing (folded)."""


def measured_in(pointer: str) -> Mapping[str, Decimal]:
    """Return the units that a heading may name for a field of an event; none of a mere count.

    `分` is a cent of money, and a minute of a time.

    Args:
        pointer: JSON pointer to the field, such as `/data/amounts/labor`.
    """
    *above, name = pointer.split("/")
    if name.endswith("_km"):
        return {unit: UNITS[unit] for unit in _LENGTH} | {"万": UNITS["万"]}
    if name.endswith("hours"):
        return {unit: UNITS[unit] for unit in _TIME} | {"分": UNITS["分钟"]}
    if name.endswith(("amount", "cost")) or above[-1] in {"amounts", "costs"}:
        return {unit: UNITS[unit] for unit in _MONEY}
    return {}


def is_blank(text: str) -> bool:
    """Whether a text stands for no value at all in a column of numbers or times."""
    return text in _BLANK or text.casefold() in _BLANK


def read_decimal(cell: Cell, *, factor: Decimal | None = None, point: str = ".") -> Decimal | None:
    """Read a number; None if the cell says that there is none.

    Args:
        cell: As the file has it.
        factor: Of the column's unit, unless the cell names one of its own.
        point: The decimal point, `.` or `,`; the other one groups digits.

    Raises:
        UnreadableError: It is no number.
    """
    if isinstance(cell, bool) or not isinstance(cell, str | int | float | Decimal):
        raise _no_number(cell)
    if isinstance(cell, float):
        number = Decimal(plain_number(cell)) if cell - cell == 0 else None
    elif isinstance(cell, str):
        text = clean(cell)
        if point == "." and _PLAIN.fullmatch(text):
            number = Decimal(text)
        elif is_blank(text):
            return None
        else:
            number, own = _typed(text, point)
            factor = own or factor
    else:
        number = Decimal(cell)
    if number is None:
        raise _no_number(cell)
    if factor is not None and factor != 1:
        number = round(number * factor, _DECIMALS)
    return number


def _typed(text: str, point: str) -> tuple[Decimal | None, Decimal | None]:
    """Read a number with signs, separators, currency and unit around it; and the unit's factor."""
    text = unicodedata.normalize("NFKC", text).casefold().replace(" ", "").replace("−", "-")
    negative = text.startswith("(") and text.endswith(")")
    match = _PARTS.fullmatch(text[1:-1] if negative else text)
    if match is None:
        return None, None
    sign, _, inner_sign, digits, unit, last_sign = match.groups()
    if unit.endswith("-"):
        unit, last_sign = unit[:-1], "-"
    if unit and unit not in _IN_CELLS:
        return None, None
    if point == ",":
        digits = digits.translate({ord("."): ",", ord(","): "."})
    if not _GROUPED.fullmatch(digits):
        return None, None
    number = Decimal(digits.replace(",", ""))
    if negative != ("-" in {sign, inner_sign, last_sign}):
        number = -number
    return number, _IN_CELLS.get(unit)


def plain_decimal(number: Decimal) -> str:
    """Return a number in its shortest form, so that 860.00 and 860 are the same content."""
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"-0", ""} else text


def _no_number(cell: Cell) -> UnreadableError:
    return UnreadableError(
        "not-a-number",
        "{} is no number.",
        "If it stands for one, add it to `values` of the field; a comma as decimal point: "
        '`decimal: ","`.',
        of=repr(shown(cell)),
    )
