"""What a mapping would make of a file, row by row: nothing is stored, nothing is sent."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from app.domain.cells import shown
from app.domain.errors import Fault
from app.domain.events.envelope import Rejected
from app.domain.events.form import Limits
from app.domain.events.parse import parse_event
from app.domain.mapping.source_mapping import CellFault, Context, MappedRow, SourceMapping
from app.services.mappings import also_fits
from app.services.sheet_reading import Sheet, open_sheet

_SECRET: Final = b"no event of a check is kept"


@dataclass(slots=True)
class CheckSummary:
    """What came of all rows.

    Attributes:
        rows: Rows of the file that have anything in them.
        events: By type.
        skipped: By why.
        faulty: Rows with a fault.
        faults: (column, code) -> rows.
        warnings: Likewise.
    """

    rows: int = 0
    events: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    faulty: int = 0
    faults: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    warnings: dict[tuple[str, str], list[int]] = field(default_factory=dict)


class MappingCheck:
    """A file beside a mapping.

    Attributes:
        sheet: The file as a table.
        mapping: What it is read by.
        summary: Of the rows that were read so far.
    """

    def __init__(
        self, sheet: Sheet, mapping: SourceMapping, *, context: Context, now: datetime
    ) -> None:
        self.sheet = sheet
        self.mapping = mapping
        self.summary = CheckSummary()
        self._context = context
        self._now = now
        self._limits = Limits()

    @property
    def unread(self) -> list[str]:
        """The columns of the file that the mapping doesn't read."""
        return self.mapping.unread(self.sheet.columns)

    @property
    def absent(self) -> list[str]:
        """The columns that the mapping would read and the file doesn't have."""
        return self.mapping.absent(self.sheet.columns)

    def column_of(self, event_type: str, pointer: str) -> str:
        """Return the column of the file that a part of an event is read from."""
        return self.mapping.column_of(event_type, pointer, self.sheet.columns)

    @property
    def others(self) -> list[str]:
        """The other tables of the file that the mapping would read, and which are not read."""
        return also_fits(self.mapping, self.sheet)

    def rows(self) -> Iterator[MappedRow]:
        """Read all rows; what the catalogue would refuse is a fault of its cell, too."""
        for mapped in self.mapping.read_all(self.sheet.rows(), context=self._context):
            row = self._judged(mapped)
            self._count(row)
            yield row

    def _judged(self, mapped: MappedRow) -> MappedRow:
        """Let the events of a row pass the door."""
        events: list[dict[str, Any]] = []
        faults, warnings = [*mapped.faults], [*mapped.warnings]
        for event in mapped.events:
            read = parse_event(
                event,
                limits=self._limits,
                now=self._now,
                secret=_SECRET,
                known_store=lambda _: True,
            )
            if isinstance(read, Rejected):
                faults += [self._cell_fault(fault, event, mapped) for fault in read.faults]
            else:
                warnings += [self._cell_fault(fault, event, mapped) for fault in read.warnings]
                events.append(event)
        return MappedRow(mapped.rows, events, faults, warnings, mapped.skipped)

    def _cell_fault(self, fault: Fault, event: Mapping[str, Any], mapped: MappedRow) -> CellFault:
        column = self.column_of(event["type"], fault.pointer)
        value: Any = event
        for token in fault.pointer.split("/")[1:]:
            if isinstance(value, dict):
                value = value.get(token)
            elif isinstance(value, list) and token.isdecimal() and int(token) < len(value):
                value = value[int(token)]
            else:
                value = None
        text = shown(value) if isinstance(value, str | int | float | bool) else ""
        hint = _HINTS.get(fault.code, "")
        return CellFault(
            mapped.number, column, fault.pointer, text, fault.code, fault.detail, hint
        )

    def _count(self, row: MappedRow) -> None:
        summary = self.summary
        summary.rows += len(row.rows)
        summary.events.update(event["type"] for event in row.events)
        if row.skipped is not None:
            summary.skipped[row.skipped] += 1
        if row.faults:
            summary.faulty += len({fault.row for fault in row.faults})
        for faults, counted in ((row.faults, summary.faults), (row.warnings, summary.warnings)):
            for fault in faults:
                counted.setdefault((fault.column or fault.field, fault.code), []).append(fault.row)


_HINTS: Final[Mapping[str, str]] = {
    "not-one-of": "Add the value to `values` of the field.",
    "counted-as-other": "Add the value to `values` of the field, if it means something else.",
    "missing": "Map a column to it, or give it a `default`.",
    "bad-format": "Mend the cell; what is not of this kind can be left out with `when`.",
}


def context_of(
    path: Path, mapping: SourceMapping, *, store_id: str | None, zone: ZoneInfo, now: datetime
) -> Context:
    """Return what a row can't know: the moment of the export is when the file was written."""
    written = datetime.fromtimestamp(path.stat().st_mtime, zone)
    return Context(
        store_id or mapping.model.store or "STORE", zone, min(written, now).replace(microsecond=0)
    )


def columns_of(path: Path, *, sheet: str | None = None) -> Sequence[str]:
    """Return the headings of a file, for choosing a mapping."""
    with open_sheet(path, sheet=sheet) as opened:
        return opened.columns
