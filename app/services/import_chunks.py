"""Files as a stream of messages: a few hundred events at a time, each with the row it is from.

Reading blocks: it is done in threads.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import msgspec
import orjson

from app.domain.cells import shown
from app.domain.errors import Fault
from app.domain.events.ndjson import Lines
from app.domain.events.wire import Message
from app.services.import_reading import JsonFile
from app.services.import_report import RowFault
from app.services.units import DealtWith, Quarantined

Found = TypeVar("Found")

CHUNK_EVENTS: Final = 1_000
CHUNK_BYTES: Final = 2 << 20
LONGEST_SHOWN: Final = 200


@dataclass(slots=True)
class Chunk:
    """A part of a file.

    Attributes:
        message: What it holds.
        rows: The row of each item of the message, as seen in the file.
        count: How many rows it is made of.
        last_row: The last of them.
        done: How far the file was read, in the unit of its source.
        skipped: Rows that are none of the data: totals, repeated headings.
        cells: Row -> its cells, of sheets and records.
        column_of: Event type and pointer into the event -> the column that it was read from.
        faults: Position of an item that is a row -> what is wrong with its cells.
        warnings: Of rows that were read but deserve a look.
        lay_in: Row of a returned sheet -> the items of the quarantine that it lay in.
    """

    message: Message
    rows: Sequence[int]
    count: int
    last_row: int
    done: int
    skipped: int = 0
    cells: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    column_of: Callable[[str, str], str] | None = None
    faults: Mapping[int, Sequence[RowFault]] = field(default_factory=dict)
    warnings: Sequence[RowFault] = ()
    lay_in: Mapping[int, Sequence[str]] = field(default_factory=dict)

    def faults_of(self, position: int, outcome: Quarantined) -> Iterator[RowFault]:
        """Say where in the file the faults of an item are that lies in quarantine."""
        quarantine_id = outcome.quarantine_id or None
        if position in self.faults:
            for found in self.faults[position]:
                yield msgspec.structs.replace(found, quarantine_id=quarantine_id)
            return
        for fault in outcome.faults:
            yield self._placed(position, fault, outcome.reason, quarantine_id=quarantine_id)

    def warning_of(self, position: int, fault: Fault) -> RowFault:
        """Say where in the file something is that deserves a look."""
        return self._placed(position, fault, fault.code, is_warning=True)

    def dealt_with(self, position: int, before: DealtWith) -> RowFault:
        """Say of what is faulty still that it was dealt with in quarantine: no fault any more."""
        note = before.note
        return RowFault(
            self.rows[position],
            "",
            note.pointer,
            None,
            note.code,
            note.code,
            note.detail,
            before.quarantine_id,
            is_warning=True,
        )

    def _placed(
        self,
        position: int,
        fault: Fault,
        reason: str,
        *,
        quarantine_id: str | None = None,
        is_warning: bool = False,
    ) -> RowFault:
        row, item = self.rows[position], self.message.items[position]
        column, value = "", _value_at(item, fault.pointer)
        if self.column_of is not None and isinstance(item, dict):
            column = self.column_of(str(item.get("type")), fault.pointer)
            if column in self.cells[row]:
                value = shown(self.cells[row][column])
        return RowFault(
            row,
            column,
            fault.pointer,
            _shown(value),
            reason,
            fault.code,
            fault.detail,
            quarantine_id,
            is_warning,
        )


class ChunkSource(Protocol):
    """Gives a file chunk by chunk.

    Attributes:
        unit: `bytes` or `rows`.
        sheet: The sheet that was asked for; None: none, it is found by itself.
        header_row: The row of the heading, likewise.
    """

    unit: str
    sheet: str | None
    header_row: int | None

    @property
    def total(self) -> int | None:
        """How much there is, in `unit`; None where only reading tells."""
        ...

    def take(self) -> Chunk | None:
        """Read the next chunk; None at the end. Blocks.

        Raises:
            UnreadableFileError: The rest can't be read; every chunk before it was given.
        """
        ...


class EventChunks:
    """The events of a file of JSON, as a `ChunkSource`."""

    unit = "bytes"
    sheet: str | None = None
    header_row: int | None = None

    def __init__(self, file: JsonFile, *, size: int) -> None:
        self._file = file
        self._lines = chunks_of(file.lines(), lambda line: len(line.body), size)
        self.total: int | None = file.size

    def take(self) -> Chunk | None:
        """Read the next chunk."""
        lines = next(self._lines, None)
        if lines is None:
            return None
        rows = [line.number for line in lines]
        return Chunk(Lines(lines).message(), rows, len(rows), rows[-1], self._file.read)


def chunks_of(
    found: Iterable[Found], weight_of: Callable[[Found], int], size: int
) -> Iterator[list[Found]]:
    """Gather what is found; what breaks is raised after all that came before it was given."""
    gathered: list[Found] = []
    weight = 0
    try:
        for one in found:
            gathered.append(one)
            weight += weight_of(one)
            if len(gathered) >= size or weight >= CHUNK_BYTES:
                yield gathered
                gathered, weight = [], 0
    except Exception:
        if gathered:
            yield gathered
        raise
    if gathered:
        yield gathered


def _value_at(item: object, pointer: str) -> object:
    """Follow a JSON pointer as far as it leads; None where nothing is."""
    value = item
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return None if value is item else value


def _shown(value: object) -> str | None:
    """Write a value for people, not all of a long one."""
    if value is None:
        return None
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
