"""The inbox: files that shops put into their folders on a share go in by themselves.

Shares tell nobody of a change, so each tick looks. A file is taken when it is whole: its sender
says so with a marker, or it has not changed for a while. Then it is claimed in the database, moved
into `working/`, imported, and moved to `done/` or returned in `faults/`. The claim is a lease on
the machine's clock: the file of a process that died is taken up again by whoever looks next, and
as identities are in the log nothing of it enters twice (docs/adr/0017-files-and-the-inbox.md).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, ParamSpec, TypeVar
from uuid import uuid4

import structlog
from uuid6 import uuid7

from app.db.imports import ImportRepository
from app.domain.access import Principal, Scope
from app.domain.errors import NotFoundError
from app.domain.imports import FileImport, ImportState, ImportSummary, storable_name
from app.domain.pages import Page, PageRequest, page_of
from app.domain.periods import local_day
from app.domain.stores import Store, is_store_code
from app.services import inbox_folder
from app.services.database_failures import is_database_away
from app.services.fault_sheets import return_with_faults
from app.services.import_reading import UnreadableFileError
from app.services.import_report import ImportReport
from app.services.imports import ImportService
from app.services.inbox_folder import Seen
from app.services.stores import StoreDirectory
from app.services.time_source import TimeSource

LEASE: Final = timedelta(minutes=2)
"""How long a file is left to a process that gives no sign of life."""

MOST_ATTEMPTS: Final = 5
"""Times that a file is taken up before it is returned as one that can't be imported."""

MOST_CLAIMS: Final = 20
"""Times that a file is taken up though nobody lived to say what came of it: it may be why."""

P = ParamSpec("P")
T = TypeVar("T")

logger = structlog.get_logger(__name__)


class ShareAwayError(Exception):
    """The disk or share failed; it is looked at again at the next tick."""


_TROUBLES: Final = (ShareAwayError, PermissionError)
"""What a folder can have; the others go on."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """How a file looked when it last changed, and since when (monotonic) it has looked so."""

    look: tuple[int, int]
    since: float


class InboxService:
    """Watches the folders of the inbox. One per process; any number of processes may watch."""

    def __init__(
        self,
        repository: ImportRepository,
        *,
        inbox: Path | None,
        settle_seconds: float,
        imports: ImportService,
        stores: StoreDirectory,
        machine_time: TimeSource,
        lease: timedelta = LEASE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._inbox = inbox
        self._settle_seconds = settle_seconds
        self._imports = imports
        self._stores = stores
        self._machine_time = machine_time
        self._lease = lease
        self._monotonic = monotonic
        self._watched: dict[Path, _Watched] = {}
        self._troubles: dict[Path, str] = {}

    async def tick(self) -> int:
        """Take in every file that is whole and that nobody has claimed; harmless to repeat.

        Returns:
            How many files this process dealt with.
        """
        if self._inbox is None:
            return 0
        dealt = 0
        try:
            folders = await _on_disk(inbox_folder.list_folders, self._inbox)
        except _TROUBLES as error:
            self._note_trouble(self._inbox, error)
            return 0
        self._note_well(self._inbox)
        dealt += await self._take_up_abandoned()
        seen: set[Path] = set()
        for folder in (self._inbox, *folders):
            try:
                files = await _on_disk(inbox_folder.list_files, folder)
                seen.update(file.path for file in files)
                dealt += await self._do_folder(folder, [f for f in files if self._is_whole(f)])
                if folder != self._inbox:
                    await self._tell_of_others(folder)
                self._note_well(folder)
            except _TROUBLES as error:
                self._note_trouble(folder, error)
        seen.update((self._inbox, *folders))
        self._watched = {path: look for path, look in self._watched.items() if path in seen}
        self._troubles = {path: said for path, said in self._troubles.items() if path in seen}
        return dealt

    async def list_page(
        self, store_id: str, page: PageRequest, *, state: ImportState | None
    ) -> Page[FileImport]:
        """List the files of a store, those of the command too, the latest first.

        Raises:
            NotFoundError: There is no such store.
        """
        await self._stores.get(store_id)
        key = page.key(str)
        found = await self._repository.list_page(
            store_id,
            state=state,
            after=None if key is None else str(key[0]),
            limit=page.limit + 1,
        )
        return page_of(found, page.limit, lambda item: (item.import_id,))

    async def get(self, store_id: str, import_id: str) -> FileImport:
        """Get one file of a store.

        Raises:
            NotFoundError: There is no such store, or none such of it.
        """
        await self._stores.get(store_id)
        found = await self._repository.find(store_id, import_id)
        if found is None:
            raise NotFoundError(f"Store {store_id} has no import {import_id}.")
        return found

    # ---- what lies there

    async def _do_folder(self, folder: Path, whole: Iterable[Seen]) -> int:
        code = folder.name if folder != self._inbox and is_store_code(folder.name) else None
        if code is not None:
            await self._put_strays_back(folder)
        dealt = 0
        store: Store | None = None
        for file in whole:
            if store is None and code is not None:
                store = (await self._stores.get_many((code,))).get(code)
            if store is None:
                problem = _BESIDE if folder == self._inbox else _no_store(folder.name)
                await _on_disk(_refuse, file, folder, problem)
                logger.warning("inbox: no such store", folder=folder.name, file=file.path.name)
            elif (claim := await self._claim(store.store_id, file)) is not None:
                if (taken := await self._take(claim, file)) is None:
                    continue
                await self._do(claim, store, folder, taken)
            else:
                continue
            dealt += 1
        return dealt

    @staticmethod
    async def _tell_of_others(folder: Path) -> None:
        for name in await _on_disk(inbox_folder.tell_of_others, folder):
            logger.warning("inbox: no file, left where it is", folder=folder.name, name=name)

    async def _take(self, claim: FileImport, file: Seen) -> Path | None:
        """Move a claimed file into `working/`.

        Returns:
            None if it is gone, or may not be moved as long as somebody has it open; then it is
            claimed no more.
        """
        try:
            taken = await _on_disk(inbox_folder.take, file, claim.import_id)
        except PermissionError as error:
            self._note_trouble(file.path, error)
            taken = None
        except ShareAwayError:
            await self._repository.forget(claim)
            raise
        else:
            self._note_well(file.path)
        if taken is None:
            await self._repository.forget(claim)
        return taken

    def _is_whole(self, file: Seen) -> bool:
        """Whether nobody writes a file any more, as far as can be told."""
        if file.is_marked:
            return True
        now = self._monotonic()
        watched = self._watched.get(file.path)
        if watched is None or watched.look != file.look:
            watched = self._watched[file.path] = _Watched(file.look, now)
        return now - watched.since >= self._settle_seconds

    async def _put_strays_back(self, folder: Path) -> None:
        """Put back what lies in `working/` of an import that this database knows nothing of."""
        working = await _on_disk(inbox_folder.list_working, folder)
        if not working:
            return
        for stray in set(working) - await self._repository.known_among(folder.name, working):
            if await _on_disk(inbox_folder.put_back, folder, stray):
                logger.warning("inbox: a stray file was put back", folder=folder.name)

    # ---- claims

    async def _claim(self, store_id: str, file: Seen) -> FileImport | None:
        now = await self._machine_time.now()
        return await self._repository.claim(
            store_id=store_id,
            import_id=str(uuid7()),
            name=storable_name(file.path.name),
            size=file.size,
            claimed_by=str(uuid4()),
            now=now,
            lease_until=now + self._lease,
        )

    async def _take_up_abandoned(self) -> int:
        """Go on with the files of processes that give no sign of life."""
        assert self._inbox is not None  # noqa: S101 - a tick without an inbox does nothing
        dealt = 0
        now = await self._machine_time.now()
        for store_id, import_id in await self._repository.list_abandoned(now):
            if not await asyncio.to_thread((self._inbox / store_id).is_dir):
                continue  # its share is away: nobody can tell whether the file was moved
            claim = await self._repository.take_over(
                store_id=store_id,
                import_id=import_id,
                claimed_by=str(uuid4()),
                now=now,
                lease_until=await self._machine_time.now() + self._lease,
            )
            if claim is None:
                continue
            folder = self._inbox / store_id
            try:
                taken = await _on_disk(inbox_folder.find_taken, folder, import_id)
                await self._go_on(claim, folder, taken)
            except _TROUBLES as error:
                self._note_trouble(folder, error)
            dealt += 1
        return dealt

    async def _go_on(self, claim: FileImport, folder: Path, taken: Path | None) -> None:
        if taken is not None:
            logger.info("inbox: taken up again", store_id=claim.store_id, file=claim.name)
            store = await self._stores.get(claim.store_id)
            await self._do(claim, store, folder, taken)
        elif claim.summary is not None:
            # only the last word was missing
            await self._finish(claim, claim.summary, None)
        else:
            # it was never moved; where it still lies it is claimed anew
            await self._repository.forget(claim)

    @asynccontextmanager
    async def _kept(self, claim: FileImport) -> AsyncIterator[None]:
        """Keep a lease from ending while its file is worked on; give it back if that is broken."""
        keeper = asyncio.create_task(self._keep(claim))
        try:
            yield
        except BaseException:
            with suppress(Exception):
                await self._repository.renew(claim, await self._machine_time.now())
            raise
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _keep(self, claim: FileImport) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 4)
            # a database that is away for a moment must not end the keeping
            with suppress(Exception):
                await self._repository.renew(claim, await self._machine_time.now() + self._lease)

    # ---- one file

    async def _do(self, claim: FileImport, store: Store, folder: Path, taken: Path) -> None:
        """Import a claimed file and move it to where it belongs."""
        async with self._kept(claim):
            try:
                if claim.summary is not None and claim.summary.is_clean:
                    # whoever had it before came to the last step
                    moved = await self._move_to_done(claim, store, folder, taken)
                    await self._finish(claim, claim.summary, moved)
                elif claim.attempts > MOST_CLAIMS:
                    logger.error("inbox: a file is given up", store_id=claim.store_id)
                    await self._return(claim, folder, taken, _GIVEN_UP)
                else:
                    await self._import(claim, store, folder, taken)
            except UnreadableFileError as error:
                await self._return(claim, folder, taken, str(error))
            except PermissionError:
                await self._return(claim, folder, taken, _NO_PERMISSION)
            except Exception as error:
                # that the database is away says nothing of the file
                if claim.attempts < MOST_ATTEMPTS or is_database_away(error):
                    raise
                logger.exception("inbox: a file is given up", store_id=claim.store_id)
                await self._return(claim, folder, taken, _GIVEN_UP)

    async def _import(self, claim: FileImport, store: Store, folder: Path, taken: Path) -> None:
        before = await _on_disk(inbox_folder.look_at, taken)
        await self._note_content(claim, taken)
        principal = Principal(
            "inbox", "inbox", frozenset({Scope.EVENTS_WRITE}), frozenset({claim.store_id})
        )
        report = await self._imports.import_file(
            taken,
            store_id=claim.store_id,
            mapping=await _on_disk(inbox_folder.find_mapping, folder),
            principal=principal,
        )
        with report:
            if report.stopped is not None:
                # its lease runs out, and it is taken up again when the database is back
                logger.warning(
                    "inbox: an import has stopped", store_id=claim.store_id, reason=report.stopped
                )
                return
            if (await _on_disk(inbox_folder.look_at, taken)).look != before.look:
                # somebody was still writing: the rest is taken when it is there
                await _on_disk(inbox_folder.put_back, folder, claim.import_id)
                await self._repository.forget(claim)
                return
            if not await self._repository.note_summary(claim, report.summary):
                return  # another took it over; what is in is in
            moved = await self._move(claim, store, folder, taken, report)
            await self._finish(claim, report.summary, moved)

    async def _note_content(self, claim: FileImport, taken: Path) -> None:
        sha256 = await _on_disk(inbox_folder.sha256_of, taken)
        same_as = await self._repository.find_same(claim.store_id, sha256, before=claim.import_id)
        if same_as is not None:
            logger.info(
                "inbox: the same content was imported before",
                store_id=claim.store_id,
                file=claim.name,
                same_as=same_as,
            )
        await self._repository.note_content(claim, sha256=sha256, same_as=same_as)

    async def _move(
        self, claim: FileImport, store: Store, folder: Path, taken: Path, report: ImportReport
    ) -> Path:
        if report.is_clean:
            return await self._move_to_done(claim, store, folder, taken)
        moved = await _on_disk(return_with_faults, taken, folder, report)
        day = local_day(await self._machine_time.now(), store.zone)
        await _on_disk(inbox_folder.keep_original, taken, folder, day)
        await _on_disk(inbox_folder.remove_working, folder, claim.import_id)
        return moved

    async def _move_to_done(
        self, claim: FileImport, store: Store, folder: Path, taken: Path
    ) -> Path:
        day = local_day(await self._machine_time.now(), store.zone)
        moved = await _on_disk(inbox_folder.move_to_done, taken, folder, day)
        await _on_disk(inbox_folder.remove_working, folder, claim.import_id)
        return moved

    async def _return(self, claim: FileImport, folder: Path, taken: Path, problem: str) -> None:
        """Return a file of which nothing could be read, with a text beside it."""
        summary = ImportSummary(problem=problem)
        if not await self._repository.note_summary(claim, summary):
            return
        moved = await _on_disk(_move_with_note, taken, folder, problem)
        await _on_disk(inbox_folder.remove_working, folder, claim.import_id)
        await self._finish(claim, summary, moved)

    async def _finish(self, claim: FileImport, summary: ImportSummary, moved: Path | None) -> None:
        state = ImportState.DONE
        if not summary.is_clean:
            state = ImportState.FAULTS if summary.counts.rows else ImportState.FAILED
        assert self._inbox is not None  # noqa: S101 - claims come from an inbox
        folder = self._inbox / claim.store_id
        await self._repository.finish(
            claim,
            state=state,
            now=await self._machine_time.now(),
            moved_to=None
            if moved is None
            else storable_name(moved.relative_to(folder).as_posix()),
        )
        logger.info(
            "inbox: file dealt with",
            store_id=claim.store_id,
            file=claim.name,
            state=state,
            accepted=summary.counts.accepted,
            duplicate=summary.counts.duplicate,
            quarantined=summary.counts.quarantined,
            problem=summary.problem,
        )

    # ---- troubles are told once

    def _note_trouble(self, place: Path, error: Exception) -> None:
        if self._troubles.get(place) != str(error):
            self._troubles[place] = str(error)
            logger.warning("inbox: a place can't be used", place=str(place), error=str(error))

    def _note_well(self, place: Path) -> None:
        if self._troubles.pop(place, None) is not None:
            logger.info("inbox: the place can be used again", place=str(place))


async def _on_disk(do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do something on disk in a thread.

    Raises:
        PermissionError: That one file may not be read.
        ShareAwayError: The disk or share failed.
    """
    try:
        return await asyncio.to_thread(do, *args, **kwargs)
    except PermissionError:
        raise
    except OSError as error:
        raise ShareAwayError(str(error)) from error


def _refuse(file: Seen, folder: Path, problem: str) -> None:
    """Return a file that is no store's; harmless if another process was quicker."""
    with suppress(FileNotFoundError):
        _move_with_note(file.path, folder, problem)


def _move_with_note(path: Path, folder: Path, problem: str) -> Path:
    moved = inbox_folder.move_to_faults(path, folder)
    inbox_folder.say_beside(moved, f"{moved.name}\n\n{problem}\n")
    return moved


def _no_store(name: str) -> str:
    return (
        f"There is no store with the code {name}. The folder must be named exactly like the "
        f"store's code; a new store is made with PUT /v1/stores/<code>. Then put the file into "
        "the right folder again.\n"
        f"没有编号为“{name}”的门店。文件夹名必须与门店编号完全一致；新门店请先创建。"
        "然后把文件重新放入正确的文件夹。"
    )


_BESIDE: Final = (
    "This file lies beside the folders of the stores. Put it into the folder of its store.\n"
    "此文件放在了门店文件夹之外，请放入对应门店的文件夹。"
)
_NO_PERMISSION: Final = (
    "The service may not read this file. Give its account the right to read and write in this "
    "folder, and put the file in again.\n"
    "服务没有读取此文件的权限。请为服务账户授予该文件夹的读写权限，然后重新放入文件。"
)
_GIVEN_UP: Final = (
    "The service failed on this file several times; its log says why. Nothing of it was lost: "
    "what is in is in, and the file may be put in again when the trouble is mended.\n"
    "服务多次处理此文件失败，原因见服务日志。已导入的数据不会丢失，问题解决后可重新放入。"
)
