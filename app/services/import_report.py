"""What became of a file: counts, and every fault with its place, however many there are.

Faults are written to a temporary file as they come, so that a report of a million faulty rows
takes no memory.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any, Final, Self

import msgspec

from app.domain.imports import ImportCounts, ImportExample, ImportSummary
from app.domain.quarantine import NO_STORE
from app.services.units import Accepted, Duplicate, Outcome, Quarantined

_IN_MEMORY: Final = 1 << 18


class RowFault(msgspec.Struct, frozen=True):
    """One thing that is wrong in one row.

    Attributes:
        row: As seen in the file: the line, or the row of the sheet; 0 is the file itself.
        column: Of the sheet; "" where there is none.
        pointer: JSON pointer into the event; "" is all of it.
        value: What stands there, as text; may be personal.
        reason: Stable reason code, for counting.
        code: Stable code of the fault.
        detail: In words.
        quarantine_id: Where the row or event lies; None if nothing was stored.
        is_warning: Whether it was taken all the same.
        bare: The words without the value; "" where they never name it.
    """

    row: int
    column: str
    pointer: str
    value: str | None
    reason: str
    code: str
    detail: str
    quarantine_id: str | None = None
    is_warning: bool = False
    bare: str = ""

    @property
    def place(self) -> str:
        """Where in the row it is."""
        return self.column or self.pointer


class FaultLog:
    """Faults in order, kept on disk once they are many. Close it when the report was used."""

    def __init__(self) -> None:
        self._last_row = 0
        self._in_order = True
        # closed by `close`, which the report's user calls
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        self._encode = msgspec.json.Encoder().encode

    def add(self, fault: RowFault) -> None:
        """Note a fault."""
        self._file.write(self._encode(fault) + b"\n")
        self._in_order = self._in_order and fault.row >= self._last_row
        self._last_row = fault.row

    def by_row(self) -> Iterable[RowFault]:
        """Give the faults in the order of their rows; a mapping that groups rows mixes them."""
        return self if self._in_order else sorted(self, key=lambda fault: fault.row)

    def __iter__(self) -> Iterator[RowFault]:
        decode = msgspec.json.Decoder(RowFault).decode
        self._file.seek(0)
        for line in self._file:
            yield decode(line)
        self._file.seek(0, 2)

    def close(self) -> None:
        """Throw the faults away."""
        self._file.close()


@dataclass(slots=True)
class ImportReport:
    """What became of one file. Use it in a `with`, or close it.

    Attributes:
        file: Its name.
        size: Its bytes.
        dry_run: Whether nothing was stored.
        store_id: Whose file it is, where that was said; else "".
        summary: Of the whole file.
        by_store: Code -> the store's part; "" is that of no known store.
        reached: The last row that was dealt with.
        sheet: The sheet of the file that its mapping names.
        header_row: The row of the heading, likewise.
        stopped: Why it did not come to the end though the file can be read; None if it did.
        import_ids: Where it is on record, by store.
    """

    file: str
    size: int
    dry_run: bool
    store_id: str = NO_STORE
    summary: ImportSummary = field(default_factory=ImportSummary)
    by_store: dict[str, ImportSummary] = field(default_factory=dict)
    faults: FaultLog = field(default_factory=FaultLog)
    reached: int = 0
    sheet: str | None = None
    header_row: int | None = None
    stopped: str | None = None
    import_ids: dict[str, str] = field(default_factory=dict)
    _last_row: dict[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> ImportCounts:
        """Over all stores."""
        return self.summary.counts

    @property
    def is_clean(self) -> bool:
        """Whether all of the file was read and taken."""
        return self.summary.is_clean and self.stopped is None

    def of_store(self, store_id: str) -> ImportSummary:
        """The part of a store, made when it is first asked for."""
        if store_id not in self.by_store:
            self.by_store[store_id] = ImportSummary(
                self.summary.format,
                self.summary.mapping,
                columns_not_read=self.summary.columns_not_read,
            )
        return self.by_store[store_id]

    def count(self, outcome: Outcome, store_id: str, *, row: int) -> None:
        """Count an event, or a row that none could be made of."""
        part = self.of_store(store_id).counts
        if self._last_row.get(store_id) != row:
            self._last_row[store_id] = row
            part.rows += 1
        for counts in (self.counts, part):
            match outcome:
                case Accepted():
                    counts.accepted += 1
                case Duplicate():
                    counts.duplicate += 1
                case Quarantined():
                    counts.quarantined += 1

    def note(self, fault: RowFault, store_id: str) -> None:
        """Note a fault of a row, or a warning."""
        self.faults.add(fault)
        for summary in (self.summary, self.of_store(store_id)):
            if fault.is_warning:
                summary.counts.warnings += 1
            else:
                summary.note(
                    ImportExample(
                        fault.row,
                        fault.place,
                        fault.reason,
                        fault.bare or fault.detail,
                        fault.quarantine_id,
                    )
                )

    def end_early(self, problem: str) -> None:
        """Note that the rest of the file can't be read."""
        for summary in (self.summary, *self.by_store.values()):
            summary.problem = problem

    def finish(self, seconds: float) -> None:
        """Note how long it took.

        A table is of one store: that has all its rows, those without an event as well.
        """
        if self.summary.mapping is not None:
            for store_id in {*self.by_store, self.store_id} - {NO_STORE}:
                counts = self.of_store(store_id).counts
                counts.rows, counts.skipped = self.counts.rows, self.counts.skipped
        for summary in (self.summary, *self.by_store.values()):
            summary.seconds = round(seconds, 3)

    def as_dict(self) -> Mapping[str, Any]:
        """Write it for programs, with the first faults."""
        summary: dict[str, Any] = msgspec.to_builtins(self.summary)
        return {
            "file": self.file,
            "bytes": self.size,
            "dry_run": self.dry_run,
            **summary,
            "by_store": {
                store_id: msgspec.to_builtins(part.counts)
                for store_id, part in self.by_store.items()
            },
            "columns_not_read": self.summary.columns_not_read,
            "reached_row": self.reached,
            "stopped": self.stopped,
            "imports": self.import_ids,
        }

    def close(self) -> None:
        """Throw the list of faults away."""
        self.faults.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
