"""The mapping of one source: from rows to events, and back from a field to its column.

mapping = read_mapping(yaml_text)
with open_sheet(path, sheet=mapping.sheet, header_row=mapping.header_row) as sheet:
for mapped in mapping.read_all(sheet.rows(), context=context):
mapped.events, mapped.faults, mapped.warnings, mapped.skipped
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import chain
from typing import Any, Final
from zoneinfo import ZoneInfo

import jmespath
import orjson

from app.domain.cells import (
    Cell,
    Row,
    clean,
    first_filled,
    folded,
    is_empty,
    is_footer,
    is_heading,
    is_total,
    shown,
)
from app.domain.events.catalog import CATALOG
from app.domain.events.value_maps import MISSING, SourceValues, ValueMap
from app.domain.mapping.alike import RowForms, alike
from app.domain.mapping.columns import find_column
from app.domain.mapping.field_reader import Context, FieldReader, Findings
from app.domain.mapping.model import (
    ConditionModel,
    EmissionModel,
    FieldModel,
    MappingModel,
)
from app.domain.mapping.targets import choices_of, fields_of
from app.domain.mapping.unreadable import CellFault

__all__ = ["CellFault", "Context", "MappedRow", "SourceMapping"]

_ID_BYTES: Final = 12
_MAX_SUBJECT: Final = 64
_MAX_KEY: Final = 64
_INDEX: Final = re.compile(r"/[0-9]+(?=/|$)")


@dataclass(frozen=True, slots=True)
class MappedRow:
    """What was read of a row, or of the rows of a group.

    Attributes:
        rows: At least one.
        events: CloudEvents in structured form; those that have no fault.
        faults: Why there are not more of them.
        warnings: What was read but deserves a look.
        skipped: Why the row is none of the data, such as `total`; None of all others.
    """

    rows: Sequence[Row]
    events: Sequence[dict[str, Any]] = ()
    faults: Sequence[CellFault] = ()
    warnings: Sequence[CellFault] = ()
    skipped: str | None = None

    @property
    def number(self) -> int:
        """Number of the first row, as the user sees it."""
        return self.rows[0].number


class SourceMapping:
    """A mapping, ready to read; made by `read_mapping`, which checks it."""

    def __init__(self, model: MappingModel) -> None:
        self.model = model
        zone = None if model.zone is None else ZoneInfo(model.zone)
        self._emissions = [_Emission(model, emission, zone) for emission in model.emits]
        self._skip_when = [_Condition(condition) for condition in model.skip_when]

    @property
    def source(self) -> str:
        """The `source` of its events."""
        return self.model.source

    @property
    def version(self) -> int:
        """Of the mapping; the highest of a source counts."""
        return self.model.version

    @property
    def sheet(self) -> str | None:
        """The sheet to read, for `open_sheet`."""
        return self.model.sheet

    @property
    def header_row(self) -> int | None:
        """The row of the heading, for `open_sheet`."""
        return self.model.header_row

    @cached_property
    def columns(self) -> Mapping[str, bool]:
        """The columns it reads, by first name -> whether no event can be made without it."""
        columns: dict[str, bool] = {}
        for emission in self._emissions:
            for reader in emission.readers:
                needed = reader.is_needed and not emission.conditions
                if (label := reader.label) and reader.model.path is None:
                    columns[label] = columns.get(label, False) or needed
        return columns

    @cached_property
    def names(self) -> frozenset[str]:
        """Every heading that it looks for, and every field that its paths begin with."""
        names: set[str] = set(self.model.group_by or ())
        for emission in self._emissions:
            for reader in emission.own:
                names.update(reader.names())
            for condition in emission.conditions:
                names.update(condition.model.column or ())
        for condition in self._skip_when:
            names.update(condition.model.column or ())
        return frozenset(names)

    def unread(self, columns: Sequence[str]) -> list[str]:
        """Return the columns of a sheet that it doesn't read."""
        cells: dict[str, Cell] = dict.fromkeys(columns, "")
        read = {find_column(cells, (name,)) for name in self.names}
        for emission in self._emissions:
            read.update(reader.find(cells) for reader in emission.readers)
        return [column for column in columns if column not in read]

    def absent(self, columns: Iterable[str]) -> list[str]:
        """Return what it reads and a sheet with these columns doesn't have, by first name."""
        cells: dict[str, Cell] = dict.fromkeys(columns, "")
        absent: dict[str, None] = {}
        for emission in self._emissions:
            for reader in emission.own:
                names = reader.names() if reader.model.path is None else []
                if names and reader.find(cells) is None:
                    absent[names[0]] = None
        return list(absent)

    def missing(self, columns: Iterable[str]) -> list[str]:
        """Return the columns that it can't do without and that a sheet doesn't have."""
        cells = dict.fromkeys(columns, "")
        return [
            reader.label
            for emission in self._emissions
            if not emission.conditions
            for reader in emission.own
            if reader.is_needed and reader.names() and reader.find(cells) is None
        ]

    def share_of(self, columns: Sequence[str]) -> float:
        """Return how well it fits a sheet with these columns, 0 to 1.

        That is the share of its columns that the sheet has, or of the sheet's columns that it
        reads, whichever is more; 0 where it lacks something that it can't do without.
        """
        if self.missing(columns):
            return 0.0
        cells: dict[str, Cell] = dict.fromkeys(columns, "")
        read: set[str] = set()
        found = asked = 0
        for emission in self._emissions:
            for reader in emission.own:
                if reader.names():
                    asked += 1
                    if (column := reader.find(cells)) is not None:
                        found += 1
                        read.add(column)
        return max(found / asked, len(read) / len(columns)) if found else 0.0

    def read(self, row: Row, *, context: Context) -> MappedRow:
        """Read one row for itself, whatever the mapping groups by."""
        return self._skipped(row) or self._read((row,), context)

    def read_all(self, rows: Iterable[Row], *, context: Context) -> Iterator[MappedRow]:
        """Read rows, those of a group together.

        A mapping without `group_by` needs one row at a time; one with it holds all rows, since
        the last one may belong to the first.
        """
        if self.model.group_by is None:
            for row in rows:
                yield self.read(row, context=context)
            return
        groups: dict[object, list[Row]] = {}
        for row in rows:
            if (skipped := self._skipped(row)) is not None:
                yield skipped
                continue
            name = find_column(row.cells, self.model.group_by)
            key = "" if name is None else clean(row.cells[name])
            groups.setdefault(key or row.number, []).append(row)
        while groups:
            yield self._read(groups.pop(next(iter(groups))), context)

    def column_of(self, event_type: str, pointer: str, columns: Iterable[str] = ()) -> str:
        """Return what a part of an event is read from; "" if nothing is known of it.

        Args:
            event_type: Of the event.
            pointer: JSON pointer into the event, as faults of the catalogue have it.
            columns: The headings of the file: of several that a field may be read from, the one
                that is there is returned, as it is spelled there.
        """
        pointer = _INDEX.sub("", pointer)
        cells: dict[str, Cell] = dict.fromkeys(columns, "")
        for emission in self._emissions:
            if emission.model.type == event_type:
                for reader in emission.readers:
                    if reader.pointer == pointer:
                        return reader.find(cells) or reader.label
        return ""

    @cached_property
    def source_values(self) -> SourceValues | None:
        """The value maps for JSON events of the source; None if it has none."""
        maps: dict[tuple[str, ...], ValueMap] = {}
        for emission in self.model.emits:
            for name, field in emission.fields.items():
                for path, model in field.walk(name):
                    if (values := model.value_map) is not None:
                        maps[tuple(path.split("."))] = values
        for name, values_model in self.model.values.items():
            maps[tuple(name.split("."))] = ValueMap(values_model.values, values_model.unmatched)
        return SourceValues(self.model.store, maps) if maps else None

    def alike(self, rows: Sequence[Row], store_id: str) -> bytes | None:
        """Write what tells rows from others whatever the format of their file; None if nothing."""
        written = self._forms.write(rows)
        if written is None:
            return None
        return alike({"mapping": self.source, "store": store_id}, written)

    @cached_property
    def _forms(self) -> RowForms:
        conditions = [*self._skip_when, *chain(*(each.conditions for each in self._emissions))]
        compared = [
            name
            for condition in conditions
            if condition.model.empty is None
            for name in condition.model.column or ()
        ]
        readers = chain.from_iterable(emission.readers for emission in self._emissions)
        return RowForms(readers, [*compared, *(self.model.group_by or ())])

    def _skipped(self, row: Row) -> MappedRow | None:
        reason = None
        if row.fault is not None:
            fault = CellFault(
                row.number, "", "", shown(row.raw[0])[:80], "unreadable-row", row.fault
            )
            return MappedRow((row,), faults=(fault,))
        if is_total(row):
            reason = "total"
        elif is_heading(row):
            reason = "heading"
        elif is_footer(row) and not any(e.names_subject(row) for e in self._emissions):
            reason = "footer"
        elif any(condition.holds(row) for condition in self._skip_when):
            reason = "skip_when"
        return None if reason is None else MappedRow((row,), skipped=reason)

    def _read(self, rows: Sequence[Row], context: Context) -> MappedRow:
        events: list[dict[str, Any]] = []
        findings = Findings()
        wanted = False
        for emission in self._emissions:
            if all(condition.holds(rows[0]) for condition in emission.conditions):
                wanted = True
                event = emission.read(rows, context, findings)
                if event is not None:
                    events.append(event)
        skipped = None if wanted else "nothing to say"
        faults = {(fault.row, fault.column, fault.code): fault for fault in findings.faults}
        warnings = {(note.row, note.column, note.code): note for note in findings.warnings}
        return MappedRow(rows, events, [*faults.values()], [*warnings.values()], skipped)


class _Emission:
    """One event that is made of a row."""

    def __init__(self, mapping: MappingModel, model: EmissionModel, zone: ZoneInfo | None) -> None:
        self.model = model
        self.conditions = [_Condition(condition) for condition in model.when]
        self._source = mapping.source
        always = {"required": True}
        self._subject = FieldReader(model.subject.model_copy(update=always), "text", "/subject")
        self._time = FieldReader(
            model.time.model_copy(update=always), "instant", "/time", zone=zone
        )
        self._id = None
        if model.id is not None:
            template = FieldModel(template=model.id, required=True)
            self._id = FieldReader(template, "text", "/id")
        self._fields = [
            (name.split("."), self._reader(name, field, zone))
            for name, field in model.fields.items()
        ]

    @property
    def own(self) -> Iterator[FieldReader]:
        """Yield the readers of its attributes and fields, the most important ones first."""
        yield self._subject
        yield self._time
        if self._id is not None:
            yield self._id
        for _, reader in self._fields:
            yield reader

    @property
    def readers(self) -> Iterator[FieldReader]:
        """Yield those, and what elements of lists are read by."""
        for reader in self.own:
            yield from reader.with_inner()

    def names_subject(self, row: Row) -> bool:
        """Whether a row names what the event would be about, behind its first filled cell."""
        subject = self._subject.read((row,), _NOWHERE, Findings())
        return subject is not MISSING and subject != clean(first_filled(row))

    def read(
        self, rows: Sequence[Row], context: Context, findings: Findings
    ) -> dict[str, Any] | None:
        """Make the event; None if a part of it is at fault."""
        before = len(findings.faults)
        subject = self._subject.read(rows, context, findings)
        moment = self._time.read(rows, context, findings)
        data: dict[str, Any] = {}
        for path, reader in self._fields:
            value = reader.read(rows, context, findings)
            if value is not MISSING:
                inner = data
                for name in path[:-1]:
                    inner = inner.setdefault(name, {})
                inner[path[-1]] = value
        event_id: Any = ""
        if self._id is not None:
            event_id = self._id.read(rows, context, findings)
        if len(findings.faults) > before:
            return None
        event_type = self.model.type
        return {
            "specversion": "1.0",
            "id": event_id or self._made_id(subject, moment, data, context),
            "source": self._source,
            "type": event_type,
            "store": context.store_id,
            "subject": subject,
            "time": moment,
            "datacontenttype": "application/json",
            "data": data,
        }

    def _made_id(self, subject: str, moment: str, data: dict[str, Any], context: Context) -> str:
        """Make an id of the content: the same row is the same event, a changed one is new."""
        when = moment if CATALOG[self.model.type].timed else None
        content = orjson.dumps(
            [self._source, self.model.type, subject, when, data], option=orjson.OPT_SORT_KEYS
        )
        digest = blake2b(content, digest_size=_ID_BYTES, key=context.secret[:_MAX_KEY])
        return f"{self.model.type}/{subject[:_MAX_SUBJECT]}/{digest.hexdigest()}"

    def _reader(self, name: str, field: FieldModel, zone: ZoneInfo | None) -> FieldReader:
        kinds = fields_of(self.model.type)
        pointer = "/data/" + name.replace(".", "/")
        inner = [
            (key, self._reader(f"{name}.{key}", model, zone))
            for key, model in (field.each or {}).items()
        ]
        kind = field.type or ("objects" if field.each else kinds.get(name, "text"))
        choices = choices_of(self.model.type, name) if kind == "choice" else ()
        return FieldReader(field, kind, pointer, choices=choices, inner=inner, zone=zone)


_NOWHERE: Final = Context("", ZoneInfo("UTC"))


class _Condition:
    """What a row must be like."""

    def __init__(self, model: ConditionModel) -> None:
        self.model = model
        self._path = None if model.path is None else jmespath.compile(model.path)
        self._equals = None if model.equals is None else {folded(shown(v)) for v in model.equals}
        self._matches = None if model.matches is None else re.compile(model.matches)

    def holds(self, row: Row) -> bool:
        """Whether the row is like that."""
        if self._path is not None:
            cell = self._path.search(row.cells)
        else:
            name = find_column(row.cells, self.model.column or ())
            cell = None if name is None else row.cells[name]
        if self.model.empty is not None:
            return (is_empty(cell) or cell == []) == self.model.empty
        if self._equals is not None:
            return folded(shown(cell)) in self._equals
        return self._matches is not None and self._matches.search(clean(cell)) is not None
