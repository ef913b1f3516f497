"""Run the benchmark: `make bench`, or `python -m bench [case ...]`.

Figures are ratios between the service and a hand-written endpoint (bench/baseline.py) on the same
database server, measured in turn in one run: the machine may be noisy, a ratio is less so.
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

import asyncpg
import httpx
import orjson
import psutil

from app.db import embedded, migrations
from app.demo.bench import bench_lifecycle
from bench import files
from bench.baseline import TABLE
from bench.load import Load, drive, request, stream_lines
from bench.night import compare_nights
from bench.recorder import Recorder, call_singly

BATCH = 1_000
BATCHES = 24
SINGLES = 4_000
LINES = 24_000
MEMORY_PARTS = 10


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two servers that are compared."""

    process: int
    port: int
    batch_path: str
    single_path: str
    lines_path: str


@dataclass(frozen=True, slots=True)
class Bench:
    """What a case has at hand."""

    url: str
    ours: Side
    theirs: Side
    rounds: int
    memory_events: int


def stores(count: int) -> list[str]:
    """Name so many stores."""
    return [f"B{number:02}" for number in range(count)]


def bodies(seed: int, count: int, store_ids: Sequence[str], size: int) -> list[bytes]:
    """Make the bodies of `count` requests of `size` events each; a batch is of one store."""
    if size == 1:
        return [orjson.dumps(event) for event in bench_lifecycle(count, store_ids, seed)]
    per_store = -(-count // len(store_ids))
    lanes = []
    for number, store_id in enumerate(store_ids):
        events = list(bench_lifecycle(per_store * size, [store_id], seed * 100 + number))
        lanes.append([orjson.dumps(events[at : at + size]) for at in range(0, len(events), size)])
    return [body for group in zip(*lanes, strict=True) for body in group][:count]


def lines(seed: int, count: int, store_ids: Sequence[str]) -> Iterator[bytes]:
    """Make events as lines, those of all stores mixed; blocks of a thousand."""
    events = iter(bench_lifecycle(count, store_ids, seed))
    while part := b"".join(orjson.dumps(event) + b"\n" for event in islice(events, BATCH)):
        yield part


async def compare(
    title: str, bench: Bench, *, store_count: int, size: int, connections: int
) -> None:
    """Measure both sides in turn and print the ratio of their rates."""
    count = BATCHES if size > 1 else SINGLES
    measured: list[tuple[Load, Load]] = []
    for number in range(bench.rounds + 1):
        made = bodies(new_seed(), count, stores(store_count), size)
        order = (bench.ours, bench.theirs) if number % 2 else (bench.theirs, bench.ours)
        loads = {}
        for side in order:
            path = side.batch_path if size > 1 else side.single_path
            requests = [request(path, body) for body in made]
            loads[side] = await drive(side.port, requests, connections=connections)
        if number:  # the first round warms up
            measured.append((loads[bench.ours], loads[bench.theirs]))
    ratios = [theirs.seconds / ours.seconds for ours, theirs in measured]
    rates = [
        statistics.median(side.per_second(count * size) for side in sides)
        for sides in zip(*measured, strict=True)
    ]
    p99 = [
        statistics.median(side.percentile(0.99) for side in sides)
        for sides in zip(*measured, strict=True)
    ]
    print(
        f"{title:34} {statistics.median(ratios):5.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"
        f"  {rates[0]:8,.0f} /s against {rates[1]:8,.0f} /s,"
        f"  p99 {p99[0]:6.1f} ms against {p99[1]:6.1f} ms",
        flush=True,
    )


async def compare_lines(bench: Bench) -> None:
    """Measure one stream of lines of four stores on both sides in turn, and sent once more."""
    measured: list[tuple[float, float, float]] = []
    for number in range(bench.rounds + 1):
        made = list(lines(new_seed(), LINES, stores(4)))
        order = (bench.ours, bench.theirs) if number % 2 else (bench.theirs, bench.ours)
        seconds = {
            side: await stream_lines(side.port, side.lines_path, made, expect=LINES)
            for side in order
        }
        again = await stream_lines(bench.ours.port, bench.ours.lines_path, made, expect=LINES)
        if number:  # the first round warms up
            measured.append((seconds[bench.ours], seconds[bench.theirs], again))
    show("NDJSON stream, 4 stores", [(ours, theirs) for ours, theirs, _ in measured], LINES)
    show("the same lines again", [(again, ours) for ours, _, again in measured], LINES)


def show(title: str, seconds: Sequence[tuple[float, float]], events: int) -> None:
    """Print the ratio of two rates, from what each round took."""
    ratios = [theirs / ours for ours, theirs in seconds]
    rates = [events / statistics.median(side) for side in zip(*seconds, strict=True)]
    print(
        f"{title:34} {statistics.median(ratios):5.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"
        f"  {rates[0]:8,.0f} /s against {rates[1]:8,.0f} /s",
        flush=True,
    )


async def compare_recorder(bench: Bench) -> None:
    """Measure pyeventsourcing's recorder beside this service, both on the same server.

    It is called in the process; so is ours, and over HTTP besides.
    """
    over_http: list[tuple[float, float]] = []
    in_process: list[tuple[float, float]] = []
    in_bulk: list[tuple[float, float]] = []
    with Recorder(bench.url) as recorder:
        for number in range(bench.rounds + 1):
            made = bodies(new_seed(), SINGLES, stores(20), 1)
            requests = [request(bench.ours.single_path, body) for body in made]
            load = await drive(bench.ours.port, requests, connections=16)
            theirs = await asyncio.to_thread(recorder.record, SINGLES, size=1, threads=16)
            made = bodies(new_seed(), SINGLES, stores(20), 1)
            called = await call_singly(bench.url, made, callers=16)
            blocks = list(lines(new_seed(), LINES, stores(4)))
            stream = await stream_lines(
                bench.ours.port, bench.ours.lines_path, blocks, expect=LINES
            )
            chunks = await asyncio.to_thread(recorder.record, LINES, size=BATCH, threads=1)
            if number:
                over_http.append((load.seconds, theirs))
                in_process.append((called, theirs))
                in_bulk.append((stream, chunks))
    show("single over HTTP, to eventsourcing", over_http, SINGLES)
    show("single in process, to the same", in_process, SINGLES)
    show("NDJSON, to eventsourcing's 1000s", in_bulk, LINES)


async def check_memory(bench: Bench) -> None:
    """Print by how much the service grows in one long stream, and whether it slows down."""
    process = psutil.Process(bench.ours.process)
    tenth = bench.memory_events // MEMORY_PARTS
    resident: list[float] = []
    times = [time.perf_counter()]

    def stored(count: int) -> None:
        if count >= tenth * len(times):
            times.append(time.perf_counter())
            resident.append(process.memory_info().rss / 2**20)

    made = lines(new_seed(), bench.memory_events, stores(4))
    await stream_lines(
        bench.ours.port, bench.ours.lines_path, made, expect=bench.memory_events, told=stored
    )
    rates = [tenth / (after - before) for before, after in pairwise(times)]
    print(
        f"{'one stream of ' + format(bench.memory_events, ',') + ' events':34}"
        f" {rates[0]:,.0f} /s in the first tenth, {rates[-1]:,.0f} /s in the last"
        f" ({min(rates):,.0f}-{max(rates):,.0f}); memory from {resident[0]:.0f} MiB"
        f" to at most {max(resident):.0f} MiB",
        flush=True,
    )


async def night(bench: Bench) -> None:
    """Print what a night takes on a long log, as a ratio to a short one."""
    await compare_nights(bench.url)


async def import_files(case: str, bench: Bench) -> None:
    """Print what an import of a file takes."""
    await files.run_apart(bench.url, case, rounds=bench.rounds, events=bench.memory_events)


Case = Callable[[Bench], Awaitable[None]]
CASES: dict[str, Case] = {
    "batch-4": partial(
        compare, "batches of 1000, 4 stores", store_count=4, size=BATCH, connections=4
    ),
    "batch-1": partial(
        compare, "batches of 1000, 1 store", store_count=1, size=BATCH, connections=4
    ),
    "single-20": partial(
        compare, "single events, 20 stores", store_count=20, size=1, connections=16
    ),
    "single-1": partial(compare, "single events, 1 store", store_count=1, size=1, connections=16),
    "lines": compare_lines,
    "recorder": compare_recorder,
    "sheet": partial(import_files, "sheet"),
    "file": partial(import_files, "file"),
    "night": night,
    "memory": check_memory,
}


def new_seed() -> int:
    """Get a seed that no earlier round had: every event must be new."""
    return time.time_ns() % 1_000_000_007


def free_port() -> int:
    """Find a port of the loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(module: str, port: int) -> list[str]:
    """Write the command that serves one side; ours as operators start it."""
    if module == "servicelane":
        return [str(Path(sys.executable).with_name(module)), "serve", "--port", str(port)]
    return [
        *(sys.executable, "-m", "uvicorn", module, "--port", str(port)),
        *("--log-level", "warning", "--no-access-log"),
    ]


@contextmanager
def server(module: str, url: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Serve one side; give its process and its port. Its log goes into the folder."""
    port = free_port()
    environment = {
        **os.environ,
        "SERVICELANE_DATABASE_URL": url,
        # facts and KPI values follow by the minute, beside ingest: not what is compared here
        "SERVICELANE_REFRESH_INTERVAL_SECONDS": "86400",
    }
    with (folder / f"{module}.log").open("wb") as log:
        process = subprocess.Popen(
            command(module, port), env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield process.pid, port
        finally:
            process.terminate()
            process.wait(20)


async def prepare(url: str) -> None:
    """Migrate the service's database, and make the table of the other side."""
    await migrations.upgrade(url)
    connection = await asyncpg.connect(url)
    await connection.execute(TABLE)
    await connection.close()


async def run(bench: Bench, chosen: Sequence[str]) -> None:
    """Make the stores and measure the chosen cases."""
    async with httpx.AsyncClient(base_url=f"http://localhost:{bench.ours.port}") as client:
        for store_id in stores(20):
            answer = await client.put(f"/v1/stores/{store_id}", json={"name": store_id})
            answer.raise_for_status()
    print(f"{'case':34} ratio [least-most]", flush=True)
    for name in chosen:
        await CASES[name](bench)


def main() -> None:
    """Start a database and both sides, measure, and stop all of them."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("case", nargs="*", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--rounds", type=int, default=5, help="measured in turn; default 5")
    parser.add_argument("--memory-events", type=int, default=1_000_000)
    given = parser.parse_args()
    if unknown := set(given.case) - set(CASES):
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="servicelane-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root, the database runs as another user
        with embedded.start(folder) as database:
            url = database.url()
            asyncio.run(prepare(url))
            with (
                server("servicelane", url, folder) as (our_process, our_port),
                server("bench.baseline:app", url, folder) as (their_process, their_port),
            ):
                bench = Bench(
                    url,
                    Side(our_process, our_port, "/v1/events", "/v1/events", "/v1/events"),
                    Side(their_process, their_port, "/batch", "/single", "/lines"),
                    given.rounds,
                    given.memory_events,
                )
                asyncio.run(run(bench, given.case or list(CASES)))


if __name__ == "__main__":
    main()
