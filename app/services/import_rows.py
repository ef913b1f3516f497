"""Sheets and records as a stream of messages, read through a mapping.

A row that no event can be made of is an item of the message as well, so that it lies in quarantine
like an event that can't be read.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from app.domain.events.envelope import Reason
from app.domain.events.item import Item
from app.domain.events.wire import STRUCTURED, Message
from app.domain.imports import ITEM_COLUMN, MARKS
from app.domain.mapping.field_reader import Context
from app.domain.mapping.row_item import rejected_row, row_item, uses_file_time
from app.domain.mapping.source_mapping import CellFault, MappedRow, SourceMapping
from app.services.import_chunks import Chunk, chunks_of
from app.services.import_reading import UnreadableFileError
from app.services.import_report import RowFault
from app.services.mappings import also_fits
from app.services.sheet_reading import Row, Sheet, SheetError

_ITEM: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class RowChunks:
    """The rows of a table, as a `ChunkSource`."""

    def __init__(
        self, sheet: Sheet, mapping: SourceMapping, context: Context, *, size: int, file_size: int
    ) -> None:
        self._sheet = sheet
        self._mapping = mapping
        self._context = context
        self._file_size = file_size
        self._uses_file_time = uses_file_time(mapping.model.model_dump())
        self.sheet = mapping.sheet
        self.header_row = mapping.header_row
        in_rows = sheet.total_rows is not None
        self.unit = "rows" if in_rows else "bytes"
        self.total: int | None = sheet.total_rows if in_rows else file_size
        self._rows_read = 0
        self._lay_in: dict[int, Sequence[str]] = {}
        mapped = mapping.read_all(self._rows(), context=context)
        self._mapped = chunks_of(mapped, lambda row: len(row.events), size)

    def take(self) -> Chunk | None:
        """Read the next chunk."""
        try:
            mapped = next(self._mapped, None)
            others = also_fits(self._mapping, self._sheet) if mapped is None else ()
        except SheetError as error:
            raise unreadable(error) from None
        if others:
            raise UnreadableFileError(_not_read(self._sheet, others))
        return None if mapped is None else self._chunk(mapped)

    def _rows(self) -> Iterator[Row]:
        marked = not set(MARKS).isdisjoint(self._sheet.columns)
        for row in self._sheet.rows():
            self._rows_read += 1
            if marked and (items := _ITEM.findall(str(row.cells.get(ITEM_COLUMN, "")))):
                self._lay_in[row.number] = items
            yield _without_marks(row) if marked else row

    def _chunk(self, mapped: Sequence[MappedRow]) -> Chunk:
        items: list[Any] = []
        parts: list[bytes] = []
        rows: list[int] = []
        apart: dict[int, Item] = {}
        faults: dict[int, list[RowFault]] = {}
        warnings: list[RowFault] = []
        cells: dict[int, Mapping[str, Any]] = {}
        lay_in: dict[int, list[str]] = {}
        source, store_id = self._mapping.source, self._context.store_id
        file_time = self._context.file_time if self._uses_file_time else None
        for one in mapped:
            for event in one.events:
                items.append(event)
                parts.append(orjson.dumps(event, default=str))
                rows.append(one.number)
            cells[one.number] = one.rows[0].cells
            if items_before := [
                item for row in one.rows for item in self._lay_in.pop(row.number, ())
            ]:
                lay_in[one.number] = items_before
            if one.faults:
                position = len(items)
                item = row_item(
                    one.rows,
                    source=source,
                    store_id=store_id,
                    file_time=file_time,
                    alike=self._mapping.alike(one.rows, store_id),
                )
                items.append(rejected_row(one.rows, one.faults, source=source, store_id=store_id))
                parts.append(item.body)
                rows.append(one.number)
                apart[position] = item
                faults[position] = [_row_fault(fault) for fault in one.faults]
            warnings += [_row_fault(fault, is_warning=True) for fault in one.warnings]
        message = Message(
            *(items, b"", STRUCTURED, {}),
            batch=True,
            parts=parts,
            apart=apart,
            told_by=None if file_time is None else _Timeless(items, file_time),
        )
        return Chunk(
            message,
            rows,
            count=sum(len(one.rows) for one in mapped),
            last_row=max(row.number for one in mapped for row in one.rows),
            done=self._done(),
            skipped=sum(len(one.rows) for one in mapped if one.skipped is not None),
            cells=cells,
            column_of=self._column_of,
            faults=faults,
            warnings=warnings,
            lay_in=lay_in,
        )

    def _column_of(self, event_type: str, pointer: str) -> str:
        return self._mapping.column_of(event_type, pointer, self._sheet.columns)

    def _done(self) -> int:
        if self.unit == "rows":
            return self._rows_read
        share = self._sheet.progress()
        return self._file_size if share is None else int(share * self._file_size)


@dataclass(frozen=True, slots=True)
class _Timeless:
    """What events are told by that have the moment of the export: the next one says no more."""

    events: Sequence[Mapping[str, Any]]
    file_time: datetime

    def __call__(self, position: int) -> bytes:
        moment = self.file_time.isoformat()
        event = self.events[position]
        kept = {name: value for name, value in event.items() if name != "time" or value != moment}
        return orjson.dumps(kept, default=str)


def unreadable(error: SheetError) -> UnreadableFileError:
    """Say in both languages why a file is no table."""
    return UnreadableFileError(f"{error} {_IN_CHINESE.get(error.code, '')}".rstrip())


def _not_read(sheet: Sheet, others: Sequence[str]) -> str:
    names = ", ".join(f"“{name}”" for name in others)
    read = "one table" if sheet.name is None else f"sheet “{sheet.name}”"
    return (
        f"Only {read} was read. The file has more with the same columns: {names}. Save each as a "
        f"file of its own, and import that. {names} 未读取，请分别另存为单独的文件后导入。"
    )


def _without_marks(row: Row) -> Row:
    """Leave out the columns that a returned sheet has more than the one that was put in."""
    cells = {name: cell for name, cell in row.cells.items() if name not in MARKS}
    return dataclasses.replace(row, cells=cells)


def _row_fault(fault: CellFault, *, is_warning: bool = False) -> RowFault:
    return RowFault(
        fault.row,
        fault.column,
        fault.field,
        fault.value or None,
        fault.code if is_warning else Reason.INVALID_DATA,
        fault.code,
        f"{fault.detail} {fault.hint}".rstrip(),
        is_warning=is_warning,
        bare=f"{fault.bare or fault.detail} {fault.hint}".rstrip(),
    )


_IN_CHINESE: Final = {
    "empty": "文件没有数据。",
    "encrypted": "文件有密码保护，请取消密码后重新保存。",
    "corrupt": "文件已损坏或格式有误，请重新导出。",
    "truncated": "文件不完整，请重新发送。",
    "wrong-charset": "文件编码无法识别，请另存为 UTF-8 编码的 CSV。",
    "not-a-table": "文件不是表格，请导出为 .xlsx 或 .csv。",
    "archive": "压缩包请先解压，再放入其中的文件。",
    "no-such-sheet": "找不到指定的工作表。",
    "no-heading": "找不到表头行。",
    "line-too-long": "行过长，文件可能不是表格。",
    "too-large": "文件过大，请分批导出或导出为 CSV。",
}
