"""`servicelane import`: files go in on the database of the settings, and a report is told.

A terminal sees a bar with rate and remaining time; everything else gets a line now and then. Both
are on standard error, so that standard output holds the report alone.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from app.domain.access import LOCAL
from app.domain.errors import DomainError
from app.domain.imports import ADVICE, ImportSummary
from app.factory import Factory
from app.services import imports
from app.services.import_reading import UnreadableFileError
from app.services.import_report import ImportReport, RowFault
from app.services.inbox_folder import sha256_of
from app.services.report_files import write_report

CLEAN: Final = 0
FAULTY: Final = 1
UNREADABLE: Final = 2

_LINE_SECONDS: Final = 5.0
_SHOWN: Final = 10
_COLLECTIONS: Final = (2_000, 10, 10)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    files: Sequence[Path]
    store_id: str | None
    mapping: str | None
    dry_run: bool
    report: Path | None
    as_json: bool


async def import_files(factory: Factory, wanted: Wanted) -> int:
    """Import files one after the other, and tell what became of them.

    Returns:
        The exit code: 0 all was taken, 1 something lies in quarantine, 2 something could not be
        read, or not to its end.
    """
    settle_memory()
    failures: list[tuple[Path, str]] = []
    reports: list[ImportReport] = []
    with ExitStack() as opened:
        for path in wanted.files:
            try:
                report = opened.enter_context(await _import_file(factory, path, wanted))
            except (UnreadableFileError, DomainError, OSError) as error:
                failures.append((path, _why(error)))
            else:
                reports.append(report)
        if wanted.report is not None:
            await asyncio.to_thread(write_report, wanted.report, reports)
        if wanted.as_json:
            _print_json(reports, failures)
        else:
            _print(reports, failures)
        if failures or any(report.stopped or report.summary.problem for report in reports):
            return UNREADABLE
        return CLEAN if all(report.is_clean for report in reports) else FAULTY


async def _import_file(factory: Factory, path: Path, wanted: Wanted) -> ImportReport:
    started_at = datetime.now(UTC)
    with _shown_progress(path) as progress:
        report = await factory.imports.import_file(
            path,
            store_id=wanted.store_id,
            mapping=_mapping(wanted.mapping),
            principal=LOCAL,
            dry_run=wanted.dry_run,
            progress=progress,
        )
        if not wanted.dry_run and report.stopped is None:
            await factory.imports.record(
                report,
                store_id=wanted.store_id,
                started_at=started_at,
                sha256=await asyncio.to_thread(sha256_of, path),
                progress=progress,
            )
    return report


def settle_memory() -> None:
    """Keep what lives as long as the process out of every later collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTIONS)


def _mapping(given: str | None) -> str | Path | None:
    """Tell a file of a mapping from the name of one."""
    if given is None or not given.lower().endswith((".yaml", ".yml", ".json")):
        return given
    return Path(given)


# Progress


@contextmanager
def _shown_progress(path: Path) -> Iterator[imports.OnProgress]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(path)
        return
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    ) as shown:
        yield _Bar(shown, shown.add_task(escape(path.name), total=None, said=""))


class _Bar:
    """A bar on a terminal."""

    def __init__(self, shown: Progress, task: TaskID) -> None:
        self._shown = shown
        self._task = task
        self._begin = time.monotonic()

    def __call__(self, progress: imports.Progress) -> None:
        if progress.waiting is not None:
            self._shown.update(self._task, said=f"waiting: {escape(progress.waiting)}")
            return
        self._shown.update(
            self._task,
            total=progress.total,
            completed=progress.done,
            said=f"{progress.rows:,} rows, {_rate(progress, self._begin):,.0f}/s",
        )


class _Lines:
    """A line now and then, where nobody looks at a terminal."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._begin = self._last = time.monotonic()

    def __call__(self, progress: imports.Progress) -> None:
        now = time.monotonic()
        if now - self._last < _LINE_SECONDS and progress.waiting is None:
            return
        self._last = now
        if progress.waiting is not None:
            said = f"waiting for the database: {progress.waiting}"
        else:
            said = f"{progress.rows:,} rows, {_rate(progress, self._begin):,.0f} rows/s"
            if progress.total and progress.done:
                left = (now - self._begin) * (progress.total - progress.done) / progress.done
                said += f", {100 * progress.done / progress.total:.0f} %, {left:.0f} s left"
        sys.stderr.write(f"{self._name}: {said}\n")


def _rate(progress: imports.Progress, begin: float) -> float:
    return progress.rows / max(time.monotonic() - begin, 0.001)


# The report


def _why(error: Exception) -> str:
    """Say why nothing of a file was read."""
    match error:
        case FileNotFoundError():
            return f"There is no file {error.filename}. 找不到文件。"
        case IsADirectoryError():
            return f"{error.filename} is a folder: name the files in it. 这是文件夹，请指定文件。"
        case PermissionError():
            return f"{error.filename} may not be read by this account. 没有读取权限。"
        case _:
            return str(error) or type(error).__name__


def _print_json(reports: Sequence[ImportReport], failures: Sequence[tuple[Path, str]]) -> None:
    files = [*map(ImportReport.as_dict, reports)]
    failed = [{"file": path.name, "problem": problem} for path, problem in failures]
    document = {"files": files, "failed": failed}
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def _print(reports: Sequence[ImportReport], failures: Sequence[tuple[Path, str]]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    for report in reports:
        _print_report(console, report)
    for path, problem in failures:
        console.print(Text(path.name or str(path), "bold"))
        console.print(Text(f"  not read: {problem}", "red"))
    if any(report.counts.accepted for report in reports if not report.dry_run):
        console.print(
            "KPIs follow within a minute while the service runs; otherwise when it starts next.",
            style="dim",
        )


def _print_report(console: Console, report: ImportReport) -> None:
    summary, counts = report.summary, report.counts
    console.print(Text(report.file, "bold"))
    read_as = summary.format or "?"
    if summary.mapping:
        read_as += f", mapping {summary.mapping}"
    seconds = max(summary.seconds, 0.001)
    _say(
        console,
        f"{decimal(report.size)}, {read_as}; {counts.rows:,} rows in {summary.seconds:.1f} s "
        f"({counts.rows / seconds:,.0f} rows/s)",
    )
    would = "would be " if report.dry_run else ""
    _say(
        console,
        f"{would}accepted {counts.accepted:,}, duplicate {counts.duplicate:,}, "
        f"quarantined {counts.quarantined:,}; rows skipped {counts.skipped:,}, "
        f"warnings {counts.warnings:,}",
    )
    for problem in (summary.problem, report.stopped):
        if problem is not None:
            console.print(Text(f"  {problem}", "red"))
    if summary.columns_not_read:
        _say(console, f"columns not read 未读取的列: {', '.join(summary.columns_not_read)}")
    if counts.warnings:
        _print_warnings(console, report)
    if summary.by_reason:
        _print_faults(console, report, summary)


def _print_warnings(console: Console, report: ImportReport) -> None:
    """Tell each kind of warning once: a column that is odd is odd in many rows."""
    kinds: dict[tuple[str, str], tuple[RowFault, int]] = {}
    for fault in report.faults:
        if fault.is_warning:
            first, count = kinds.get((fault.place, fault.code), (fault, 0))
            kinds[fault.place, fault.code] = (first, count + 1)
    for first, count in sorted(kinds.values(), key=lambda kind: -kind[1])[:_SHOWN]:
        value = f" ({first.value})" if first.value else ""
        where = f"{first.place}, first in row {first.row}{value}".removeprefix(", ")
        _say(console, f"warning 提示: {count:,} × {where}: {first.detail}")
    if len(kinds) > _SHOWN:
        _say(console, f"and {len(kinds) - _SHOWN:,} more kinds; --report out.xlsx lists all")


def _print_faults(console: Console, report: ImportReport, summary: ImportSummary) -> None:
    for reason, count in summary.by_reason.items():
        _say(console, f"{reason}: {count:,}. {ADVICE.get(reason, '')}")
    table = Table(
        "row", "column", "value", "what is wrong", "quarantine", box=None, padding=(0, 2)
    )
    shown = (fault for fault in report.faults if not fault.is_warning)
    for fault, _ in zip(shown, range(_SHOWN), strict=False):
        table.add_row(
            str(fault.row),
            *(
                Text(text or "")
                for text in (fault.place, fault.value, fault.detail, fault.quarantine_id)
            ),
        )
    console.print(table)
    more = sum(summary.by_reason.values()) - _SHOWN
    if more > 0:
        _say(console, f"and {more:,} more; --report out.xlsx lists all")
    if not report.dry_run:
        _say(
            console,
            "What was quarantined can be corrected and replayed: GET /v1/quarantine (隔离区).",
        )


def _say(console: Console, text: str) -> None:
    console.print(Text(f"  {text}"))
