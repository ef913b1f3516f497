"""Opening a file for import: what it holds, and by which mapping its rows are read."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson

from app.domain.errors import InvalidInputError
from app.domain.imports import COLUMNS, MARKS, ImportSummary
from app.domain.mapping.field_reader import Context
from app.domain.mapping.loading import read_mapping
from app.domain.mapping.source_mapping import SourceMapping
from app.domain.stores import Store
from app.services.import_chunks import ChunkSource, EventChunks
from app.services.import_reading import FileFormat, JsonFile, UnreadableFileError, format_of
from app.services.import_rows import RowChunks, unreadable
from app.services.mappings import MappingDirectory, best_fit
from app.services.sheet_reading import Sheet, SheetError, open_sheet
from app.services.stores import StoreDirectory

_LOOKED_AT: Final = 20
"""Values of a file of JSON that tell events from records."""

_OF_EVENTS: Final = ("specversion", "id", "source", "type", "time", "data")
_ENOUGH: Final = 3


class FileOpener:
    """Opens files for import."""

    def __init__(
        self,
        *,
        mappings: MappingDirectory,
        stores: StoreDirectory,
        secret: bytes,
        max_line: int,
        chunk_events: int,
    ) -> None:
        self._mappings = mappings
        self._stores = stores
        self._secret = secret
        self._max_line = max_line
        self._chunk_events = chunk_events

    async def open(
        self,
        path: Path,
        opened: ExitStack,
        *,
        store_id: str | None,
        mapping: str | Path | None,
        summary: ImportSummary,
    ) -> ChunkSource:
        """Open a file, and say in the summary what it is and what it is read by.

        Args:
            path: Of the file.
            opened: Closes it.
            store_id: Whose rows they are.
            mapping: File or name of the mapping; None: the known one that fits.
            summary: Is told.

        Raises:
            UnreadableFileError: It can't be read, or by no mapping.
            NotFoundError: There is no such store.
            OSError: It can't be opened.
        """
        file_format = await asyncio.to_thread(format_of, path)
        summary.format = file_format
        if file_format is FileFormat.EMPTY:
            raise UnreadableFileError("The file is empty. 文件是空的。")
        if file_format is not FileFormat.TABLE and mapping is None:
            file = opened.enter_context(JsonFile(path, file_format, limit=self._max_line))
            if await asyncio.to_thread(_holds_events, path, file_format, self._max_line):
                return EventChunks(file, size=self._chunk_events)
        try:
            return await self._open_rows(path, opened, store_id, mapping, summary)
        except SheetError as error:
            raise unreadable(error) from None

    async def _open_rows(
        self,
        path: Path,
        opened: ExitStack,
        store_id: str | None,
        given: str | Path | None,
        summary: ImportSummary,
    ) -> ChunkSource:
        chosen = None if given is None else await self._find(given)
        sheet = await self._open_sheet(path, opened, chosen)
        if chosen is None:
            chosen = await self._choose(sheet, store_id)
            if chosen.sheet is not None or chosen.header_row is not None:
                sheet = await self._open_sheet(path, opened, chosen)
        summary.format = sheet.format
        summary.mapping = f"{chosen.source} v{chosen.version}"
        if missing := chosen.missing(sheet.columns):
            raise UnreadableFileError(
                f"The columns {_listed(missing)} are missing, without which the mapping "
                f"{summary.mapping} makes no event. The file has: {_listed(sheet.columns)}. "
                "文件缺少必需的列。"
            )
        unread = [name for name in chosen.unread(sheet.columns) if name not in MARKS]
        summary.columns_not_read = unread[:COLUMNS]
        store = await self._store(chosen, store_id)
        state = await asyncio.to_thread(path.stat)
        context = Context(
            store.store_id,
            store.zone,
            datetime.fromtimestamp(state.st_mtime, UTC),
            self._secret,
        )
        return RowChunks(sheet, chosen, context, size=self._chunk_events, file_size=state.st_size)

    @staticmethod
    async def _open_sheet(path: Path, opened: ExitStack, mapping: SourceMapping | None) -> Sheet:
        opening = open_sheet(
            path,
            sheet=None if mapping is None else mapping.sheet,
            header_row=None if mapping is None else mapping.header_row,
        )
        return await asyncio.to_thread(opened.enter_context, opening)

    async def _find(self, given: str | Path) -> SourceMapping:
        """Find the mapping that was asked for."""
        if isinstance(given, Path):
            text = await asyncio.to_thread(given.read_text, encoding="utf-8-sig")
            try:
                return read_mapping(text)
            except InvalidInputError as error:
                faults = " ".join(fault.detail for fault in error.faults)
                raise UnreadableFileError(
                    f"The mapping {given.name} has faults: {faults} 字段映射有误。"
                ) from None
        found = await self._mappings.find(given)
        if found is None:
            raise UnreadableFileError(
                f"No mapping of {given} is known; `servicelane mapping list` shows those that "
                "are. 没有此字段映射。"
            )
        return found

    async def _choose(self, sheet: Sheet, store_id: str | None) -> SourceMapping:
        """Choose the known mapping that fits best; nothing is guessed where none does."""
        columns = [name for name in sheet.columns if name not in MARKS]
        known = [
            mapping
            for mapping in await self._mappings.known()
            if mapping.model.emits
            and (store_id is None or mapping.model.store in {None, store_id})
        ]
        fit = best_fit(known, columns)
        if fit is None:
            raise UnreadableFileError(
                f"No known mapping fits the columns {_listed(columns)}.{_nearest(known, columns)} "
                f"{_garbled(sheet)}Make one with `servicelane mapping draft FILE`, and give it "
                "with --mapping or as mapping.yaml in the store's folder. "
                "没有适用的字段映射，请先生成并核对映射文件。"
            )
        return fit[0]

    async def _store(self, mapping: SourceMapping, store_id: str | None) -> Store:
        code = store_id or mapping.model.store
        if code is None:
            raise UnreadableFileError(
                "The rows don't say of which store they are. Give its code with --store. "
                "请用 --store 指定门店编号。"
            )
        if mapping.model.store not in {None, code}:
            raise UnreadableFileError(
                f"The mapping {mapping.source} is for store {mapping.model.store} alone, not for "
                f"{code}. 该字段映射不适用于此门店。"
            )
        return await self._stores.get(code)


def _holds_events(path: Path, file_format: FileFormat, limit: int) -> bool:
    """Tell events from records: by the first values that look like either."""
    with JsonFile(path, file_format, limit=limit) as file:
        try:
            return any(_is_event(line.body) for line in islice(file.lines(), _LOOKED_AT))
        except UnreadableFileError:
            return True  # whatever is left of it is read line by line, and the break is told


def _is_event(body: bytes) -> bool:
    try:
        value: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(value, dict) and sum(name in value for name in _OF_EVENTS) >= _ENOUGH


def _nearest(known: Sequence[SourceMapping], columns: Sequence[str]) -> str:
    """Name the mapping that comes nearest, of those that lack nothing they can't do without."""
    shares = {mapping.source: mapping.share_of(columns) for mapping in known}
    source = max(shares, key=shares.__getitem__, default="")
    if not shares.get(source):
        return ""
    return (
        f" The nearest, {source}, finds {100 * shares[source]:.0f} % of its columns; it is used "
        f"where it is asked for: --mapping {source}."
    )


def _garbled(sheet: Sheet) -> str:
    """Say what odd names come from; GB18030 reads nearly all that was written in another way."""
    if sheet.encoding != "gb18030":
        return ""
    return (
        "If these names look wrong, the file is in another encoding: save it as CSV UTF-8. "
        "若列名是乱码，请另存为 UTF-8 编码的 CSV。 "
    )


def _listed(names: Any) -> str:
    shown = [f"“{name}”" for name in islice(names, _LOOKED_AT)]
    return ", ".join(shown)
