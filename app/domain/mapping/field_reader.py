"""Reads one field of an event from the cells of a row, or of the rows of a group."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import jmespath

from app.domain.cells import Cell, Row, clean, folded, is_empty, is_error, shown
from app.domain.events.value_maps import MISSING
from app.domain.mapping.columns import Place, find_column, with_units
from app.domain.mapping.model import FieldModel, fill, placeholders
from app.domain.mapping.moments import MomentReader, in_zone
from app.domain.mapping.numbers import UNITS, measured_in, plain_decimal, read_decimal
from app.domain.mapping.targets import Kind
from app.domain.mapping.unreadable import CellFault, UnreadableError

_TRUE: Final = frozenset({"是", "有", "已", "对", "y", "yes", "t", "true", "1", "√", "✓"})
_FALSE: Final = frozenset({"否", "无", "未", "不", "错", "n", "no", "f", "false", "0", "×", "x"})

FLAGS: Final = _TRUE | _FALSE
"""What a flag is read from without a value map (folded)."""

_ROUNDED: Final = 10**15
"""From here on a spreadsheet has lost digits of a number."""

_SCIENTIFIC: Final = re.compile(r"[0-9](?:\.[0-9]+)?[eE]\+?[0-9]{2,}")
_LITERAL: Final = re.compile(r"'[^']*'|`[^`]*`")
_IDENTIFIER: Final = re.compile(r'"([^"]+)"|([A-Za-z_][A-Za-z0-9_]*)(?![A-Za-z0-9_(])')
_NULL: Final = frozenset({"null", "NULL"})


@dataclass(frozen=True, slots=True)
class Context:
    """What a row can't know.

    Attributes:
        store_id: The store that the events are of.
        zone: Of the store; times without an offset are in it, unless the mapping names one.
        file_time: The moment of the export: `time: file`. Aware.
        secret: Of the installation: ids that are made of content can't be guessed back into it.
    """

    store_id: str
    zone: ZoneInfo
    file_time: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    secret: bytes = b""


@dataclass(slots=True)
class Findings:
    """What was found while a row was read."""

    faults: list[CellFault] = field(default_factory=list)
    warnings: list[CellFault] = field(default_factory=list)


class FieldReader:
    """Reads one field.

    Args:
        model: Where its value comes from.
        kind: What the event asks for.
        pointer: Of the field in the event.
        choices: The values that the event allows, where they are few.
        inner: Readers of the fields of each element, where it is a list of objects.
    """

    def __init__(
        self,
        model: FieldModel,
        kind: Kind,
        pointer: str,
        *,
        choices: Sequence[str] = (),
        inner: Sequence[tuple[str, "FieldReader"]] = (),
        zone: ZoneInfo | None = None,
    ) -> None:
        self.model = model
        self.pointer = pointer
        self.kind: Kind = kind
        self._inner = inner
        self._zone = zone
        self._choices = {folded(choice): choice for choice in choices}
        self._path = None if model.path is None else jmespath.compile(model.path)
        self._factor = None if model.unit is None else UNITS[model.unit]
        self._moments = MomentReader(model.format, at=model.at, from_1904=self.counts_from_1904)
        self._values = model.value_map
        self._constant = model.value
        self._is_plain = model.each is None and not model.sum
        self._is_instant = kind == "instant" and model.value is None
        self._has_column = model.column is not None
        self._known: dict[tuple[str, ...], Sequence[Place]] = {}
        self._units = measured_in(pointer) if kind in {"number", "count"} else {}
        self._sees_units = False
        self._separators = None if model.split is None else _separators(model.split)
        readers: Mapping[str, Callable[[Sequence[Cell], Context], Any]] = {
            "instant": self._instant,
            "date": self._date,
            "number": self._number,
            "count": self._number,
            "flag": self._flag,
            "text": self._text,
            "choice": self._choice,
            "texts": self._texts,
            "any": self._any,
            "objects": self._any,
        }
        self._convert = readers[kind]

    @property
    def label(self) -> str:
        """What the field is read from, for messages."""
        return self.model.path or next(self.model.names(), "")

    def names(self) -> list[str]:
        """Return the columns that it may be read from; of a path the field it begins with."""
        if self.model.path is None:
            return list(self.model.names())
        match = _IDENTIFIER.search(_LITERAL.sub("", self.model.path))
        return [] if match is None else [match[1] or match[2]]

    def find(self, cells: Mapping[str, Cell]) -> str | None:
        """Return the column of a row or sheet that it is read from; None if it has none."""
        names = self.names()
        found = find_column(cells, names)
        if found is None and self._has_column:
            found = next((place.name for place in with_units(cells, names, self._units)), None)
        return found

    @property
    def counts_from_1904(self) -> bool:
        """Whether serial numbers of days count from there."""
        return self.model.epoch == _MAC_EPOCH

    @property
    def is_needed(self) -> bool:
        """Whether there is no event without it."""
        return self.model.required and self.model.default is None

    def with_inner(self) -> Iterator["FieldReader"]:
        """Yield itself, and what its elements are read by."""
        yield self
        for _, reader in self._inner:
            yield from reader.with_inner()

    def read(self, rows: Sequence[Row], context: Context, findings: Findings) -> Any:
        """Read the field; `MISSING` if the rows don't have it, or if it is at fault.

        Args:
            rows: One row, or the rows of a group: the first that has a value is taken, unless the
                field is a sum or a list of them.
            context: What a row can't know.
            findings: Gets what is wrong.
        """
        if not self._is_plain:
            value = self._gathered(rows, context, findings)
        elif len(rows) == 1:
            value = self._of_row(rows[0], context, findings)
        else:
            value = self._first(rows, context, findings)
        if value is _FAULTY:
            return MISSING
        if value is MISSING:
            value = self._default(context)
        if value is MISSING and self.model.required:
            self._note(
                findings.faults,
                rows[0],
                UnreadableError("missing", "The cell is empty, but the field is required."),
            )
        return value

    def _gathered(self, rows: Sequence[Row], context: Context, findings: Findings) -> Any:
        if self.model.each is not None:
            return self._objects(rows, context, findings)
        return self._sum(rows, context, findings)

    def _default(self, context: Context) -> Any:
        default = self.model.default
        if default is None:
            return MISSING
        if default == "file" and self.kind == "instant":
            return context.file_time.isoformat()
        return default

    def _first(self, rows: Sequence[Row], context: Context, findings: Findings) -> Any:
        first: Any = MISSING
        for row in rows:
            value = self._of_row(row, context, findings)
            if value is _FAULTY:
                return _FAULTY
            if value is MISSING or value == first:
                continue
            if first is not MISSING:
                detail = "The rows of the group differ here; the first value is taken."
                self._note(findings.warnings, row, UnreadableError("differs-in-group", detail))
                break
            first = value
        return first

    def _sum(self, rows: Sequence[Row], context: Context, findings: Findings) -> Any:
        total: Decimal | None = None
        for row in rows:
            value = self._of_row(row, context, findings)
            if value is _FAULTY:
                return _FAULTY
            if value is not MISSING:
                total = Decimal(value) if total is None else total + Decimal(value)
        if total is None:
            return MISSING
        return _whole(total) if self.kind == "count" else plain_decimal(total)

    def _objects(self, rows: Sequence[Row], context: Context, findings: Findings) -> Any:
        if self._path is not None:
            found = self._path.search(rows[0].cells) or []
            elements = [
                Row(rows[0].number, element)
                for element in (found if isinstance(found, list) else [found])
                if isinstance(element, dict)
            ]
        else:
            elements = list(rows)
        objects = []
        for element in elements:
            values = {
                name: value
                for name, reader in self._inner
                if (value := reader.read((element,), context, findings)) is not MISSING
            }
            constant = {name for name, reader in self._inner if reader.model.value is not None}
            if values.keys() - constant:
                objects.append(values)
        return objects or MISSING

    def _of_row(self, row: Row, context: Context, findings: Findings) -> Any:
        try:
            value = self._value(row, context)
        except UnreadableError as error:
            self._note(findings.faults, row, error)
            return _FAULTY
        except ArithmeticError:
            detail = "The number or the time lies beyond what can be read."
            self._note(findings.faults, row, UnreadableError("out-of-range", detail))
            return _FAULTY
        if self._is_instant and value is not MISSING and _is_midnight(value):
            detail = "The cell has no time of day, or midnight: midnight is taken."
            hint = "If the day is meant, say a time with `at`, such as `at: 17:30`."
            self._note(findings.warnings, row, UnreadableError("no-time-of-day", detail, hint))
        return value

    def _value(self, row: Row, context: Context) -> Any:
        if self._constant is not None:
            is_file = self.kind == "instant" and self._constant == "file"
            return context.file_time.isoformat() if is_file else self._constant
        cells = self._cells(row)
        if cells is _NOTHING or (len(cells) == 1 and is_empty(cells[0])):
            return MISSING
        for cell in cells:
            if type(cell) is str and cell[:1] in _ERROR_MARKS and is_error(cell):
                raise UnreadableError(
                    "error-cell",
                    "The cell shows {}: its formula has no value.",
                    "Mend the formula, or open and save the file in a spreadsheet program.",
                    of=clean(cell),
                )
        if self._values is not None and self.kind != "texts":
            meaning = self._meaning(cells[0])
            if meaning is not _UNMATCHED:
                return meaning
        if self._sees_units:
            return self._number_in(cells, self._factor_in(row))
        return self._convert(cells, context)

    def _factor_in(self, row: Row) -> Decimal | None:
        """Return the factor of the column that a row has the value in."""
        filled = (place for place in self._places(row) if not is_empty(row.cells[place.name]))
        return next(filled, Place("")).factor or self._factor

    def _cells(self, row: Row) -> Sequence[Cell]:
        model, cells = self.model, row.cells
        if self._has_column:
            for place in self._places(row):
                if not is_empty(cell := cells[place.name]):
                    return (cell,)
            return _NOTHING
        if model.columns is not None:
            return [self._named(cells, name) for name in model.columns]
        if self._path is not None:
            return (self._path.search(cells),)
        template = model.template or ""
        values = {name: clean(self._named(cells, name)) for name in placeholders(template)}
        return (fill(template, values.__getitem__) if any(values.values()) else None,)

    def _places(self, row: Row) -> Sequence[Place]:
        """Return the columns of a row that the field may be read from, as they are spelled."""
        places = self._known.get(row.columns) if row.columns else None
        if places is None:
            names = self.model.column or ()
            found = (find_column(row.cells, (name,)) for name in names)
            places = [Place(name) for name in found if name is not None]
            places += with_units(row.cells, names, self._units)
            self._sees_units = self._sees_units or any(place.factor for place in places)
            if row.columns:
                if len(self._known) >= _LAYOUTS:
                    self._known.clear()
                self._known[row.columns] = places
        return places

    @staticmethod
    def _named(cells: Mapping[str, Cell], name: str) -> Cell:
        found = find_column(cells, (name,))
        return None if found is None else cells[found]

    def _meaning(self, cell: Cell) -> Any:
        assert self._values is not None  # noqa: S101 - the caller has looked
        meaning = self._values.meaning(cell)
        if meaning is None:
            return MISSING
        if meaning is not MISSING:
            return meaning
        match self._values.unmatched:
            case "keep":
                return _UNMATCHED
            case "null":
                return MISSING
            case "fault":
                raise UnreadableError(
                    "unmatched-value",
                    "{} is not in the value map.",
                    "Add it to `values` of the field.",
                    of=repr(shown(cell)),
                )

    def _note(self, where: list[CellFault], row: Row, error: UnreadableError) -> None:
        column = self.label
        if self.model.column is not None:
            column = self.find(row.cells) or column
        try:
            value = " ".join(filter(None, map(shown, self._cells(row))))
        except UnreadableError:
            value = ""
        where.append(
            CellFault(
                row.number,
                column,
                self.pointer,
                value,
                error.code,
                error.detail,
                error.hint,
                error.bare,
            )
        )

    # How each kind is read

    def _instant(self, cells: Sequence[Cell], context: Context) -> Any:
        moment = self._moments.read(cells)
        if moment is None:
            return MISSING
        return in_zone(moment, self._zone or context.zone).isoformat()

    def _date(self, cells: Sequence[Cell], _: Context) -> Any:
        moment = self._moments.read(cells)
        return MISSING if moment is None else moment.date().isoformat()

    def _number(self, cells: Sequence[Cell], _: Context) -> Any:
        return self._number_in(cells, self._factor)

    def _number_in(self, cells: Sequence[Cell], factor: Decimal | None) -> Any:
        number = read_decimal(cells[0], factor=factor, point=self.model.decimal)
        if number is None:
            return MISSING
        return _whole(number) if self.kind == "count" else plain_decimal(number)

    def _flag(self, cells: Sequence[Cell], _: Context) -> Any:
        text = folded(shown(cells[0]))
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise UnreadableError(
            "not-a-flag",
            "{} is neither yes nor no.",
            "Add it to `values` of the field, with true or false.",
            of=repr(shown(cells[0])),
        )

    def _text(self, cells: Sequence[Cell], _: Context) -> Any:
        if len(cells) == 1:
            text = _as_text(cells[0])
        else:
            text = " ".join(filter(None, map(_as_text, cells)))
        return text if text and text not in _NULL else MISSING

    def _choice(self, cells: Sequence[Cell], context: Context) -> Any:
        text = self._text(cells, context)
        return text if text is MISSING else self._choices.get(folded(text), text)

    def _texts(self, cells: Sequence[Cell], _: Context) -> Any:
        texts: list[Any] = []
        for cell in cells:
            for part in cell if isinstance(cell, list) else self._parts(_as_text(cell)):
                value = self._meaning(part) if self._values is not None else _UNMATCHED
                value = _as_text(part) if value is _UNMATCHED else value
                if value is not MISSING and value != "" and value not in texts:
                    texts.append(value)
        return texts or MISSING

    def _parts(self, text: str) -> Sequence[str]:
        if self._separators is None:
            return [text]
        return [part.strip() for part in self._separators.split(text)]

    @staticmethod
    def _any(cells: Sequence[Cell], _: Context) -> Any:
        cell = cells[0]
        if isinstance(cell, bool | dict | list):
            return cell
        if isinstance(cell, int | float | Decimal):
            number = read_decimal(cell)
            return MISSING if number is None else plain_decimal(number)
        return _as_text(cell)


_MAC_EPOCH: Final = 1904
_JSON_INTEGERS: Final = 2**53
_FAULTY: Final = object()
"""Stands for a value that was there and could not be read."""
_UNMATCHED: Final = object()
"""Stands for a value that the map leaves as it is."""
_ERROR_MARKS: Final = frozenset("# \u3000\xa0")
_NOTHING: Final[Sequence[Cell]] = (None,)
_LAYOUTS: Final = 64
"""Of how many layouts a reader remembers where its columns are."""
_MIDNIGHT: Final = time().isoformat()
_CLOCK: Final = slice(11, 19)


def _separators(characters: str) -> re.Pattern[str]:
    """Return what separates the texts of a list; a full-width form separates like its kin."""
    wide = [chr(ord(c) + 0xFEE0) for c in characters if "!" <= c <= "~"]
    narrow = [unicodedata.normalize("NFKC", c) for c in characters]
    return re.compile("[" + re.escape("".join([characters, *wide, *narrow])) + "]")


def _whole(number: Decimal) -> int | str:
    """Return a count as JSON holds it; as text what is none, or larger than a JSON integer."""
    is_count = number == int(number) and abs(number) < _JSON_INTEGERS
    return int(number) if is_count else plain_decimal(number)


def _is_midnight(instant: Any) -> bool:
    return isinstance(instant, str) and instant[_CLOCK] == _MIDNIGHT


def _as_text(cell: Cell) -> str:
    """Return a cell as text.

    Raises:
        UnreadableError: It has lost digits, or is no single value.
    """
    if isinstance(cell, list | dict):
        raise UnreadableError("not-text", "There is a list or an object instead of a text.")
    text = clean(cell)
    if type(cell) is str:
        lost = text[:1].isdigit() and _SCIENTIFIC.fullmatch(text) is not None
    else:
        lost = isinstance(cell, float) and abs(cell) >= _ROUNDED
    if lost:
        raise UnreadableError(
            "digits-lost",
            "{} is a number whose last digits the spreadsheet has lost.",
            "Export the column as text.",
            of=text,
        )
    return text
