"""Drafts a mapping for a file that nobody mapped yet, for somebody to check and finish."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Final

from app.domain.cells import Cell, Row, clean, folded, is_empty, is_heading, is_total, shown
from app.domain.mapping.field_reader import FLAGS
from app.domain.mapping.moments import MomentReader
from app.domain.mapping.numbers import UNITS, read_decimal
from app.domain.mapping.targets import Kind, fields_of
from app.domain.mapping.unreadable import UnreadableError
from app.domain.mapping.words import HEADINGS, VALUES

_FORMATS: Final = (
    *("%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%m/%d/%Y %I:%M %p"),
    *("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y"),
    *("%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y"),
    *("%m-%d-%Y %H:%M", "%m-%d-%Y", "%d-%b-%Y %H:%M", "%d-%b-%Y"),
)
_MOST_VALUES: Final = 40
"""Distinct values of the largest coded column."""

_LEAST_GUESS: Final = 2
"""Characters of a heading that may be part of a longer one."""

_IN_BRACKETS: Final = re.compile(r"[(（\[]([^)）\]]+)[)）\]]")
_DAY_WORD: Final = re.compile(r"日期|日$|date", re.IGNORECASE)
_TIME_WORD: Final = re.compile(r"时间|时刻|time", re.IGNORECASE)
_TIME_OF_DAY: Final = re.compile(r"\d{1,2}[:：]\d{2}([:：]\d{2})?|\d{3,4}|\d{6}")
_LIST_MARKS: Final = "、;；|/"
_CODED: Final = frozenset(VALUES)
_ENOUGH: Final = 2
_OF_ORDERS: Final = frozenset(
    {"advisor", "work_type", "opened_at", "promised_at", "settled_at", "handed_over_at"}
)
"""Fields of which several are in a list of repair orders alone, whatever the number is called."""

_REQUIRED: Final = frozenset({"advisor", "opened_at", "name"})


@dataclass(slots=True)
class _Found:
    """A column that seems to be a field."""

    column: str
    sure: bool


def draft_mapping(columns: Sequence[str], rows: Sequence[Row], *, source: str, file: str) -> str:
    """Write the YAML of a mapping for a table.

    Args:
        columns: Its headings.
        rows: The first of its rows.
        source: What the mapping is to be for.
        file: Name of the file, for the title.

    Returns:
        A mapping that can be read, with comments where somebody must look.
    """
    rows = [row for row in rows if not (row.fault or is_total(row) or is_heading(row))]
    return "\n".join(_Draft(columns, rows).lines(source, file)) + "\n"


class _Draft:
    def __init__(self, columns: Sequence[str], rows: Sequence[Row]) -> None:
        self._columns = columns
        self._rows = rows
        self._found = _guess(columns)
        for found in self._found.values():
            found.column = self._day_beside(found.column)

    def lines(self, source: str, file: str) -> Iterator[str]:
        """Give the lines of the mapping."""
        event_type, key = self._event_type()
        subject = self._found.pop(key, None)
        guessed = subject is None
        if subject is None:
            subject = _Found(self._most_unlike(), sure=False)
        used = {subject.column}
        yield f"# Drafted from {_comment(file)}. Look at every line with CHECK, then run"
        yield "#     servicelane mapping check FILE --mapping THIS_FILE"
        yield f"source: {_scalar(source)}"
        yield "version: 1"
        yield f"title: {_scalar(file)}"
        yield ""
        grouped = not guessed and key == "ro_number" and self._repeats(subject.column)
        if grouped:
            yield "# several rows have the same number: they are read together"
            yield f"group_by: {_scalar(subject.column)}"
            yield ""
        yield "emits:"
        yield f"  - type: {event_type}"
        check = "" if subject.sure else " # CHECK: is this what the rows are about?"
        yield f"    subject: {_scalar(subject.column)}{check}"
        yield "    time: file # the moment of the export; or a column, where one fits"
        yield "    fields:"
        body = list(self._fields(event_type, used, grouped=grouped))
        yield from body or ["      {} # CHECK: no heading was recognised"]
        if event_type == "repair_order.snapshot":
            yield from self._files(used)
        rest = [name for name in self._columns if name not in used]
        if rest:
            yield ""
            yield "# Not read: " + ", ".join(map(_comment, rest))

    def _event_type(self) -> tuple[str, str]:
        if "ro_number" in self._found or len(_OF_ORDERS & self._found.keys()) >= _ENOUGH:
            return "repair_order.snapshot", "ro_number"
        if "staff_no" in self._found:
            return "staff.registered", "staff_no"
        if "customer_no" in self._found and "customer_name" in self._found:
            return "customer.registered", "customer_no"
        if "vin" in self._found:
            return "vehicle.registered", "vin"
        return "repair_order.snapshot", "ro_number"

    def _fields(self, event_type: str, used: set[str], *, grouped: bool) -> Iterator[str]:
        kinds = fields_of(event_type)
        jobs: list[str] = []
        for name, found in self._found.items():
            target = "name" if name == "customer_name" and event_type.startswith("cust") else name
            if target not in kinds:
                continue
            if target.startswith("jobs."):
                if grouped:
                    used.add(found.column)
                    jobs.append(
                        f"          {target.removeprefix('jobs.')}: {_scalar(found.column)}"
                    )
                continue
            used.add(found.column)
            adds_up = grouped and target.startswith(("amounts.", "costs.", "billed_", "clocked_"))
            yield from self._field(target, found, kinds[target], used, adds_up=adds_up)
        if jobs:
            if labor := self._found.get("amounts.labor"):
                jobs.append(f"          amount: {_scalar(labor.column)}")
            if hours := self._found.get("billed_hours"):
                jobs.append(f"          hours: {_scalar(hours.column)}")
            yield "      jobs: # one per row of the order"
            yield "        each:"
            yield from jobs

    def _field(
        self, target: str, found: _Found, kind: Kind, used: set[str], *, adds_up: bool
    ) -> Iterator[str]:
        comments = [] if found.sure else ["CHECK: guessed from the heading"]
        origin = f"column: {_scalar(found.column)}"
        settings: list[str] = []
        if kind in {"instant", "date"}:
            second = self._time_beside(found.column)
            used |= set() if second is None else {second}
            origin, settings, remarks = self._moment(found.column, second)
            comments += remarks
        elif kind in {"number", "count"}:
            settings, remarks = self._number(found.column)
            comments += remarks
        elif kind == "texts" and (marks := self._marks(found.column)):
            settings.append(f"split: {_scalar(marks)}")
        if adds_up:
            settings.append("sum: true")
        if target in _REQUIRED:
            settings.append("required: true")
        values = list(self._values(target, found.column, kind))
        comment = f" # {'; '.join(comments)}" if comments else ""
        if not values:
            yield f"      {target}: {{{', '.join([origin, *settings])}}}{comment}"
            return
        yield f"      {target}:{comment}"
        for setting in (origin, *settings):
            yield f"        {setting}"
        yield from values

    def _moment(self, column: str, second: str | None) -> tuple[str, list[str], list[str]]:
        """Say where a moment is from, how it is written, and what must be looked at."""
        origin = f"column: {_scalar(column)}"
        if second is not None:
            origin = f"columns: [{_scalar(column)}, {_scalar(second)}]"
        formats, remark = self._formats(column, second)
        settings = [f"format: [{', '.join(map(_scalar, formats))}]"] if formats else []
        remarks = [remark] if remark else []
        if second is None and self._has_days_alone(column, formats):
            settings.append("at: 17:30")
            remarks.append("CHECK: there is only the day; when does the shop close?")
        return origin, settings, remarks

    def _number(self, column: str) -> tuple[list[str], list[str]]:
        """Say the unit of a number, and what must be looked at."""
        settings, remarks = [], []
        if unit := _unit_of(column):
            settings.append(f"unit: {_scalar(unit)}")
        elif "mile" in column.casefold():
            settings.append("unit: miles")
            remarks.append("CHECK: miles or kilometres?")
        if odd := self._odd_numbers(column):
            remarks.append(f"CHECK: {_comment(odd)} is no number")
        return settings, remarks

    def _values(self, target: str, column: str, kind: Kind) -> Iterator[str]:
        """Write the value map of a coded column, the values that it has in this file."""
        if target not in _CODED and kind != "flag":
            return
        seen = self._distinct(column)
        if kind == "flag":
            for value in seen:
                if folded(value) not in FLAGS:
                    yield f"        # CHECK: values: {{{_comment(value)}: true or false?}}"
            return
        if kind == "texts":
            marks = "[" + re.escape(self._marks(column) or "、") + "]"
            seen = list(dict.fromkeys(part for text in seen for part in re.split(marks, text)))
        if not seen or len(seen) > _MOST_VALUES:
            return
        meanings = {
            folded(word): meaning
            for meaning, words in VALUES[target].items()
            for word in (*words, meaning)
        }
        lines = []
        known = False
        for value in seen:
            meaning = meanings.get(folded(value))
            known = known or meaning is not None
            if meaning is None:
                choices = ", ".join(VALUES[target])
                lines.append(f"          # CHECK: {_comment(value)}: one of {choices}")
            else:
                lines.append(f"          {_scalar(value)}: {meaning}")
        yield "        values:" if known else "        # values: # CHECK: no value was recognised"
        yield from lines

    def _files(self, used: set[str]) -> Iterator[str]:
        """Write the events of the customer's and the vehicle's file, where the sheet has them."""
        opened = self._found.get("opened_at")
        if opened is None:
            return
        origin, settings, _ = self._moment(opened.column, self._time_beside(opened.column))
        for event_type, key, names in (
            ("customer.registered", "customer_no", ("customer_name", "phones")),
            ("vehicle.registered", "vin", ("customer_no", "plate", "brand", "model")),
        ):
            subject = self._found.get(key)
            fields = {
                name: found for name in names if (found := self._found.get(name)) is not None
            }
            if subject is None or not fields:
                continue
            yield ""
            yield f"  - type: {event_type}"
            yield f"    when: {_scalar(subject.column)}"
            yield f"    subject: {_scalar(subject.column)}"
            yield f"    time: {{{', '.join([origin, *settings])}}}"
            yield "    fields:"
            for name, found in fields.items():
                used.add(found.column)
                target = name.removeprefix("customer_") if name != "customer_no" else name
                marks = self._marks(found.column) if name == "phones" else ""
                origin_of = _scalar(found.column)
                if marks:
                    origin_of = f"{{column: {origin_of}, split: {_scalar(marks)}}}"
                yield f"      {target}: {origin_of}"

    # What the values say

    def _cells(self, column: str) -> list[Cell]:
        cells = (row.cells.get(column) for row in self._rows)
        return [cell for cell in cells if not is_empty(cell)]

    def _distinct(self, column: str) -> list[str]:
        return list(dict.fromkeys(clean(cell) for cell in self._cells(column)))

    def _repeats(self, column: str) -> bool:
        cells = self._cells(column)
        return len(cells) > len(set(map(shown, cells)))

    def _most_unlike(self) -> str:
        """The column whose values differ most: perhaps what names the rows.

        One that is something else already is left out; of equals one that doesn't merely count
        the rows is taken.
        """
        taken = {found.column for found in self._found.values()}
        free = [name for name in self._columns if name not in taken] or self._columns
        return max(free, key=lambda name: (len(self._distinct(name)), not self._counts(name)))

    def _counts(self, column: str) -> bool:
        numbers = [str(number) for number, _ in enumerate(self._cells(column), 1)]
        return [clean(cell) for cell in self._cells(column)] == numbers

    def _time_beside(self, column: str) -> str | None:
        """Find the column with the time of day for one that has the day alone."""
        stem = _DAY_WORD.sub("", folded(column))
        for other in self._columns:
            if (
                other != column
                and _TIME_WORD.search(other)
                and _TIME_WORD.sub("", folded(other)) == stem
                and all(_is_time_of_day(cell) for cell in self._cells(other))
            ):
                return other
        return None

    def _has_days_alone(self, column: str, formats: Sequence[str]) -> bool:
        """Whether no moment of a column has a time of day."""
        reader = MomentReader(formats)
        cells = self._cells(column)
        moments = [reader.read([cell]) for cell in cells if _reads(reader, [cell])]
        return any(moments) and all(
            moment is None or moment.time() == time() for moment in moments
        )

    def _day_beside(self, column: str) -> str:
        """Return the column with the day for one that has the time of day alone."""
        if self._cells(column) and all(map(_is_time_of_day, self._cells(column))):
            for other in self._columns:
                if _DAY_WORD.search(other) and self._time_beside(other) == column:
                    return other
        return column

    def _formats(self, column: str, second: str | None) -> tuple[list[str], str]:
        """Find how the moments of a column are written, where the usual ways don't fit."""
        names = [column] if second is None else [column, second]
        samples = [
            [row.cells.get(name) for name in names]
            for row in self._rows
            if not is_empty(row.cells.get(column))
        ]
        odd = [cells for cells in samples if not _reads(MomentReader(), cells)]
        if not odd:
            return [], ""
        for order in ("%m/%d", "%d/%m", "%d.%m", "%m-%d", "%d-%b"):
            fitting = [form for form in _FORMATS if form.startswith(order)]
            if all(_reads(MomentReader(fitting), cells) for cells in odd):
                other = "%d/%m" if order == "%m/%d" else "%m/%d"
                both = [form for form in _FORMATS if form.startswith(other)]
                remark = "CHECK: the order of day and month"
                ambiguous = order in {"%m/%d", "%d/%m"} and all(
                    _reads(MomentReader(both), cells) for cells in odd
                )
                return _needed(fitting, odd), remark if ambiguous else ""
        shown_cells = " ".join(map(shown, odd[0]))
        return [], f"CHECK: how is {_comment(shown_cells)} written? Say it with `format`"

    def _odd_numbers(self, column: str) -> str:
        for cell in self._cells(column):
            try:
                read_decimal(cell)
            except UnreadableError:
                return shown(cell)
        return ""

    def _marks(self, column: str) -> str:
        texts = [clean(cell) for cell in self._cells(column)]
        return "".join(mark for mark in _LIST_MARKS if any(mark in text for text in texts))


def _guess(columns: Sequence[str]) -> dict[str, _Found]:
    """Find out which column is which field: first by whole headings, then by parts of them."""
    plain = {column: folded(_IN_BRACKETS.sub("", column)) for column in columns}
    found: dict[str, _Found] = {}
    taken: set[str] = set()
    for sure in (True, False):
        for name, headings in HEADINGS.items():
            if name in found:
                continue
            for heading in map(folded, headings):
                column = next(
                    (
                        column
                        for column, text in plain.items()
                        if column not in taken and _fits(text, heading, exactly=sure)
                    ),
                    None,
                )
                if column is not None:
                    found[name] = _Found(column, sure)
                    taken.add(column)
                    break
    return {name: found[name] for name in HEADINGS if name in found}


def _fits(text: str, heading: str, *, exactly: bool) -> bool:
    if exactly:
        return text == heading
    return len(heading) > _LEAST_GUESS and heading in text and not heading.isascii()


def _unit_of(heading: str) -> str | None:
    """Return the unit that a heading names in brackets, unless it is the log's own."""
    for words in _IN_BRACKETS.findall(heading):
        unit = words.removeprefix("单位").strip(":： ")
        if unit in UNITS and UNITS[unit] != 1:
            return str(unit)
    return None


def _reads(reader: MomentReader, cells: Sequence[Cell]) -> bool:
    try:
        reader.read(cells)
    except UnreadableError:
        return False
    return True


def _needed(formats: Sequence[str], samples: Sequence[Sequence[Cell]]) -> list[str]:
    """Leave out the formats that no sample needs."""
    needed: list[str] = []
    for cells in samples:
        if not _reads(MomentReader(needed), cells):
            needed.append(next(form for form in formats if _reads(MomentReader([form]), cells)))
    return needed


def _is_time_of_day(cell: Cell) -> bool:
    if isinstance(cell, str):
        return _TIME_OF_DAY.fullmatch(clean(cell)) is not None
    return not isinstance(cell, int | float) or 0 <= cell < 1


def _scalar(text: str) -> str:
    """Write a text as a YAML value, in quotes where it needs them."""
    if re.fullmatch(r"[\w/][\w/ .-]*", text) and not re.fullmatch(
        r"[\d.+-]+|true|false|null|yes|no|~", text, re.IGNORECASE
    ):
        return text.strip() if text == text.strip() else json.dumps(text, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False)


def _comment(text: str) -> str:
    """Write a text so that it stays within its comment."""
    return " ".join(text.split())
