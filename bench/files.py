"""Imports of files: a workbook against its reading library and the ingest of its rows, and a long
file of events from its first tenth to its last.

Each import runs in a process of its own, `python -m bench.files`, as the command does.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import psutil
from openpyxl import Workbook
from pydantic import SecretStr
from python_calamine import CalamineWorkbook

from app.commands.importing import settle_memory
from app.demo.bench import bench_lifecycle
from app.domain.access import LOCAL
from app.domain.events.wire import STRUCTURED, Message
from app.domain.mapping.field_reader import Context
from app.domain.mapping.loading import read_mapping
from app.factory import Factory, open_factory
from app.services.imports import Progress
from app.services.sheet_reading import open_sheet
from app.settings import Settings

SHEET_ROWS = 10_000
TENTHS = 10
BATCH = 1_000
STORE = "B00"
STORES = ("B00", "B01", "B02", "B03")
COLUMNS = (
    "工单号",
    "进厂时间",
    "维修类型",
    "服务顾问",
    "里程",
    "车牌",
    "结算时间",
    "工时费",
    "配件费",
)
MAPPING = """
source: /dms/bench-sheet
version: 1
emits:
  - type: repair_order.settled
    subject: 工单号
    time: 结算时间
    fields:
      amounts.labor: 工时费
      amounts.parts: 配件费
"""


def save_workbook(path: Path, seed: int) -> None:
    """Write a sheet of settlements as a shop has it."""
    workbook = Workbook(write_only=True)
    page = workbook.create_sheet("结算清单")
    page.append(COLUMNS)
    begin = datetime.now(UTC).replace(tzinfo=None, microsecond=0) - timedelta(days=2)
    for number in range(SHEET_ROWS):
        moment = begin + timedelta(seconds=number)
        page.append(
            (
                f"X{seed}-{number}",
                moment,
                "一般维修",
                f"A{number % 7}",
                10_000 + number,
                f"样A{number:05}",
                moment + timedelta(hours=4),
                180.5 + number % 300,
                f"{number % 900}.00",
            )
        )
    workbook.save(path)


def save_lines(path: Path, events: int) -> None:
    """Write a file of events, none of which was ever sent."""
    with path.open("wb") as file:
        for event in bench_lifecycle(events, STORES, time.time_ns() % 1_000_000_007):
            file.write(orjson.dumps(event) + b"\n")


async def compare_sheet(factory: Factory, folder: Path, rounds: int) -> None:
    """Print the ratio of an import to reading alone plus the ingest of the same rows."""
    mapping = folder / "mapping.yaml"
    mapping.write_text(MAPPING, encoding="utf-8")
    ratios, rates = [], []
    for number in range(rounds + 1):
        seconds: dict[str, float] = {}
        sides = ("theirs", "ours") if number % 2 else ("ours", "theirs")
        for side in sides:
            path = folder / f"{side}-{number}.xlsx"
            save_workbook(path, time.time_ns() % 1_000_000_007)
            run = _import if side == "ours" else _read_and_ingest
            seconds[side] = await run(factory, path, mapping)
        if number:  # the first round warms up
            ratios.append(seconds["theirs"] / seconds["ours"])
            rates.append(SHEET_ROWS / seconds["ours"])
    print(
        f"{'10,000-row .xlsx':34} {statistics.median(ratios):5.2f}"
        f" [{min(ratios):.2f}-{max(ratios):.2f}]  {statistics.median(rates):8,.0f} rows/s, against"
        " calamine alone plus the ingest of the same rows",
        flush=True,
    )


async def _import(factory: Factory, path: Path, mapping: Path) -> float:
    begin = time.perf_counter()
    with await factory.imports.import_file(
        path, store_id=STORE, mapping=mapping, principal=LOCAL
    ) as report:
        if report.counts.accepted != SHEET_ROWS:
            raise RuntimeError(report.counts)
    return time.perf_counter() - begin


async def _read_and_ingest(factory: Factory, path: Path, mapping: Path) -> float:
    context = Context(STORE, ZoneInfo("Asia/Shanghai"), secret=b"bench")
    reader = read_mapping(await asyncio.to_thread(mapping.read_text, encoding="utf-8"))
    with open_sheet(path) as sheet:
        mapped = [
            event for row in reader.read_all(sheet.rows(), context=context) for event in row.events
        ]
    messages = [_message(mapped[at : at + BATCH]) for at in range(0, len(mapped), BATCH)]
    begin = time.perf_counter()
    page = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
    read = sum(1 for _ in page.iter_rows())
    for message in messages:
        taken = await factory.ingest.ingest(message, principal=LOCAL)
        read -= taken.accepted
    seconds = time.perf_counter() - begin
    if read != 1:  # the heading
        raise RuntimeError(read)
    return seconds


def _message(events: list[dict[str, Any]]) -> Message:
    parts = [orjson.dumps(event) for event in events]
    return Message(list(events), b"", STRUCTURED, {}, batch=True, parts=parts)


async def import_lines(factory: Factory, folder: Path, events: int) -> None:
    """Print rate and memory of the import of a long file, tenth by tenth."""
    path = folder / "events.ndjson"
    await asyncio.to_thread(save_lines, path, events)
    process = psutil.Process()
    marks: list[tuple[int, float]] = [(0, time.perf_counter())]
    largest = 0

    def note(progress: Progress) -> None:
        nonlocal largest
        marks.append((progress.rows, time.perf_counter()))
        largest = max(largest, process.memory_info().rss)

    with await factory.imports.import_file(path, principal=LOCAL, progress=note) as report:
        if report.counts.accepted != events:
            raise RuntimeError(report.counts)
    rates = [_rate(marks, events * at // TENTHS, events * (at + 1) // TENTHS) for at in range(10)]
    print(
        f"{format(events, ',') + ' events from a file':34} {rates[-1] / rates[0]:5.2f}"
        f"  last tenth against the first; {statistics.median(rates):,.0f} /s"
        f" [{min(rates):,.0f}-{max(rates):,.0f}], at most {largest / 2**20:.0f} MiB",
        flush=True,
    )


def _rate(marks: list[tuple[int, float]], start: int, stop: int) -> float:
    within = [mark for mark in marks if start <= mark[0] <= stop]
    return (within[-1][0] - within[0][0]) / (within[-1][1] - within[0][1])


async def measure(url: str, case: str, rounds: int, events: int) -> None:
    """Measure one case on a database that has the stores."""
    settle_memory()
    settings = Settings(database_url=SecretStr(url))
    with tempfile.TemporaryDirectory(prefix="servicelane-bench-") as name:
        async with open_factory(settings) as factory:
            if case == "sheet":
                await compare_sheet(factory, Path(name), rounds)
            else:
                await import_lines(factory, Path(name), events)


async def run_apart(url: str, case: str, *, rounds: int, events: int) -> None:
    """Measure one case in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.files", url, case),
        *("--rounds", str(rounds), "--events", str(events)),
    )
    if await process.wait():
        raise RuntimeError(case)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("case", choices=("sheet", "file"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=1_000_000)
    given = parser.parse_args()
    asyncio.run(measure(given.url, given.case, given.rounds, given.events))
