"""Imports: a file goes in chunk by chunk, and a report says what became of each row.

One way for the command and for the inbox folder. While one chunk is written the next is read, but
a chunk is handed on only when the one before is durable: the order of the file is the order of the
log. Identities make a repeat harmless, so that whatever breaks off is simply done again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_delay,
    wait_exponential,
)
from uuid6 import uuid7

from app.db.imports import ImportRepository
from app.domain.access import Principal
from app.domain.imports import FileImport, ImportState, ImportWay, storable_name
from app.domain.quarantine import NO_STORE
from app.services.database_failures import is_answer_lost
from app.services.earlier import Earlier
from app.services.import_chunks import Chunk, ChunkSource
from app.services.import_opening import FileOpener
from app.services.import_reading import UnreadableFileError
from app.services.import_report import ImportReport
from app.services.incoming import Incoming
from app.services.ingest import IngestService
from app.services.returned_rows import ReturnedRows
from app.services.taken import Taken
from app.services.units import DealtWith, Duplicate, Quarantined

PATIENCE_SECONDS: Final = 300.0
"""How long a database that is away is waited for."""

T = TypeVar("T")

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is.

    Attributes:
        done: Of `total`, in `unit`.
        total: None where it isn't known.
        unit: `bytes` or `rows`.
        rows: Rows that were dealt with.
        waiting: Why it stands still; None while it moves.
    """

    done: int
    total: int | None
    unit: str
    rows: int
    waiting: str | None = None


OnProgress = Callable[[Progress], None]
Take = Callable[[Incoming, Chunk], Awaitable[Taken]]


def _say_nothing(_: Progress) -> None:
    """Tell nobody."""


class ImportService:
    """Takes in files."""

    def __init__(
        self,
        repository: ImportRepository,
        *,
        ingest: IngestService,
        opener: FileOpener,
        returned: ReturnedRows,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._repository = repository
        self._ingest = ingest
        self._opener = opener
        self._returned = returned
        self._patience = patience_seconds

    async def import_file(
        self,
        path: Path,
        *,
        store_id: str | None = None,
        mapping: str | Path | None = None,
        principal: Principal,
        dry_run: bool = False,
        progress: OnProgress = _say_nothing,
    ) -> ImportReport:
        """Take in a file; a repeat is harmless, and quick.

        Args:
            path: What it holds is told by its content.
            store_id: Whose rows they are, where the file doesn't say; events name their store.
            mapping: File of a mapping, or name of a known one; None: the known one that fits.
            principal: Events of stores that it is not bound to count as of an unknown store.
            dry_run: Read and check only; nothing is stored, not in quarantine either.
            progress: Told after each part, and when it has to wait.

        Returns:
            What became of it, to be closed; `stopped` where the database stayed away too long.

        Raises:
            UnreadableFileError: Nothing of it can be read, or no mapping fits.
            NotFoundError: There is no such store.
            OSError: It can't be opened.
        """
        begin = time.monotonic()
        size = (await asyncio.to_thread(path.stat)).st_size
        report = ImportReport(path.name, size, dry_run, store_id or NO_STORE)
        try:
            with ExitStack() as opened:
                source = await self._opener.open(
                    path, opened, store_id=store_id, mapping=mapping, summary=report.summary
                )
                report.sheet, report.header_row = source.sheet, source.header_row
                take: Take = partial(self._take, principal=principal)
                if dry_run:
                    earlier = opened.enter_context(Earlier())
                    take = partial(self._try_out, earlier=earlier)
                await self._take_all(source, report, principal, take, progress)
        except BaseException:
            report.close()
            raise
        report.finish(time.monotonic() - begin)
        return report

    async def record(
        self,
        report: ImportReport,
        *,
        store_id: str | None,
        started_at: datetime,
        sha256: str,
        progress: OnProgress = _say_nothing,
    ) -> None:
        """Keep on record what a command has imported, for each of its stores.

        Where the database stays away too long, the report is `stopped`.
        """
        stores = {store for store in report.by_store if store != NO_STORE}
        begun = started_at, sha256
        try:
            for store in sorted(stores | ({store_id} if store_id else set())):
                await self._record_part(report, store, begun, progress)
        except Exception as error:
            if not is_answer_lost(error):
                raise
            report.stopped = self._given_up(error, report.reached)

    async def _record_part(
        self, report: ImportReport, store: str, begun: tuple[datetime, str], progress: OnProgress
    ) -> None:
        import_id = str(uuid7())
        part = report.of_store(store)
        started_at, sha256 = begun

        async def add() -> None:
            await self._repository.add(
                FileImport(
                    store_id=store,
                    import_id=import_id,
                    way=ImportWay.COMMAND,
                    name=storable_name(report.file),
                    size=report.size,
                    state=ImportState.DONE if part.is_clean else ImportState.FAULTS,
                    started_at=started_at,
                    finished_at=started_at + timedelta(seconds=part.seconds),
                    sha256=sha256,
                    same_as=await self._repository.find_same(store, sha256, before=import_id),
                    summary=part,
                )
            )

        await self._patiently(add, Progress(report.size, None, "", report.counts.rows), progress)
        report.import_ids[store] = import_id

    async def _take_all(
        self,
        source: ChunkSource,
        report: ImportReport,
        principal: Principal,
        take: Take,
        progress: OnProgress,
    ) -> None:
        """Read a chunk while the one before is written, to the end or to where it breaks."""
        reading = asyncio.create_task(self._read(source, principal))
        try:
            while (read := await reading) is not None:
                reading = asyncio.create_task(self._read(source, principal))
                try:
                    taken = await self._write(read, take, principal, progress)
                except Exception as error:
                    if not is_answer_lost(error):
                        raise
                    report.stopped = self._given_up(error, report.reached)
                    return
                _count(read.chunk, taken, report)
                progress(Progress(read.chunk.done, source.total, source.unit, report.counts.rows))
        except UnreadableFileError as error:
            report.end_early(str(error))
        finally:
            # a thread can't be stopped, and the file must not be closed under it
            await asyncio.gather(reading, return_exceptions=True)

    async def _take(self, incoming: Incoming, chunk: Chunk, *, principal: Principal) -> Taken:
        taken = await self._ingest.take(incoming)
        await self._returned.let_go(chunk, taken, principal=principal)
        return taken

    async def _try_out(self, incoming: Incoming, _: Chunk, *, earlier: Earlier) -> Taken:
        return await self._ingest.try_out(incoming, earlier)

    async def _read(self, source: ChunkSource, principal: Principal) -> "_Read | None":
        """Read the next chunk, at the door too; None at the end of the file."""
        chunk = await asyncio.to_thread(source.take)
        if chunk is None:
            return None
        try:
            return _Read(chunk, await self._ingest.read(chunk.message, principal=principal))
        except Exception as error:
            if not is_answer_lost(error):
                raise
            return _Read(chunk, None)  # it is read again when the database is back

    def _given_up(self, error: Exception, reached: int) -> str:
        return (
            f"The database could not be reached for {self._patience:.0f} seconds ({error}). All "
            f"up to row {reached} is in. Repeat the import when the database is back: nothing is "
            "taken twice. 数据库无法连接，恢复后重新导入即可，不会重复。"
        )

    async def _write(
        self, read: "_Read", take: Take, principal: Principal, progress: OnProgress
    ) -> Taken:
        """Hand a chunk on; while the database is away it is tried again."""
        chunk = read.chunk

        async def do() -> Taken:
            incoming, read.incoming = read.incoming, None  # a second try begins anew
            if incoming is None:
                incoming = await self._ingest.read(chunk.message, principal=principal)
            return await take(incoming, chunk)

        return await self._patiently(do, Progress(chunk.done, None, "", chunk.last_row), progress)

    async def _patiently(
        self, do: Callable[[], Awaitable[T]], reached: Progress, progress: OnProgress
    ) -> T:
        """Do something that is harmless to repeat; while the database is away it waits."""

        def say(state: RetryCallState) -> None:
            error = state.outcome and state.outcome.exception()
            logger.info("the database is away; the import waits", error=str(error))
            progress(replace(reached, waiting=str(error)))

        again = AsyncRetrying(
            retry=retry_if_exception(_is_away),
            stop=stop_after_delay(self._patience),
            wait=wait_exponential(multiplier=0.25, max=10),
            before_sleep=say,
            reraise=True,
        )
        return await again(do)


@dataclass(slots=True)
class _Read:
    """A chunk, and what the door made of it; None if that must be asked again."""

    chunk: Chunk
    incoming: Incoming | None


def _is_away(error: BaseException) -> bool:
    return isinstance(error, Exception) and is_answer_lost(error)


def _count(chunk: Chunk, taken: Taken, report: ImportReport) -> None:
    """Count what became of a chunk, and note every fault with its place."""
    report.counts.rows += chunk.count
    report.counts.skipped += chunk.skipped
    report.reached = max(report.reached, chunk.last_row)
    for position, (item, outcome) in enumerate(zip(taken.items, taken.outcomes, strict=True)):
        if outcome is None:
            message = "every event of a message has an outcome"
            raise RuntimeError(message)
        match outcome:
            case Quarantined(store_id=store_id):
                for found in chunk.faults_of(position, outcome):
                    report.note(found, store_id)
            case Duplicate(dealt_with=DealtWith(store_id=store_id) as before):
                report.note(chunk.dealt_with(position, before), store_id)
            case _:
                store_id = item["store"]
        report.count(outcome, store_id, row=chunk.rows[position])
        for fault in taken.warnings.get(position, ()):
            report.note(chunk.warning_of(position, fault), store_id)
    for warning in chunk.warnings:
        report.note(warning, report.store_id)
