"""Run the benchmark: `make bench`, or `python -m bench [case ...]`.

Every figure is a ratio between the service and a hand-written endpoint (bench/baseline.py) on the
same database server, measured in turn in one run: the machine may be noisy, the ratio is not.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import orjson

from app.db import embedded, migrations
from app.demo.bench import bench_lifecycle
from bench.baseline import TABLE
from bench.load import Load, drive, request

BATCH = 1_000
BATCHES = 24
SINGLES = 4_000
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))


class Side:
    """One of the two servers that are compared."""

    def __init__(self, port: int, batch_path: str, single_path: str) -> None:
        self.port = port
        self.batch_path = batch_path
        self.single_path = single_path


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
        lanes.append(
            [orjson.dumps(events[at : at + size]) for at in range(0, len(events), size)]
        )
    return [body for group in zip(*lanes, strict=True) for body in group][:count]


async def compare(
    title: str, ours: Side, theirs: Side, *, store_count: int, size: int, connections: int
) -> None:
    """Measure both sides in turn and print the ratio of their rates."""
    count = BATCHES if size > 1 else SINGLES
    ratios, rates, p99s = [], [], []
    for round_number in range(ROUNDS + 1):
        seed = int(time.time_ns() % 1_000_000_007) + round_number
        made = bodies(seed, count, stores(store_count), size)
        loads: list[Load] = []
        for side in (ours, theirs) if round_number % 2 else (theirs, ours):
            path = side.batch_path if size > 1 else side.single_path
            loads.append(
                await drive(side.port, [request(path, body) for body in made], connections=connections)
            )
        if not round_number % 2:
            loads.reverse()
        if round_number:  # the first round warms up
            mine, other = (load.per_second(count * size) for load in loads)
            ratios.append(mine / other)
            rates.append((mine, other))
            p99s.append((loads[0].percentile(0.99), loads[1].percentile(0.99)))
    mine, other = (statistics.median(side) for side in zip(*rates, strict=True))
    p99, other_p99 = (statistics.median(side) for side in zip(*p99s, strict=True))
    print(
        f"{title:34} {statistics.median(ratios):5.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"
        f"  {mine:9,.0f} /s against {other:9,.0f} /s,  p99 {p99:6.1f} ms against {other_p99:6.1f}",
        flush=True,
    )


CASES: dict[str, Callable[[Side, Side], "asyncio._CoroutineLike[None]"]] = {
    "batch-4": lambda ours, theirs: compare(
        "batches of 1000, 4 stores", ours, theirs, store_count=4, size=BATCH, connections=4
    ),
    "batch-1": lambda ours, theirs: compare(
        "batches of 1000, 1 store", ours, theirs, store_count=1, size=BATCH, connections=4
    ),
    "single-20": lambda ours, theirs: compare(
        "single events, 20 stores", ours, theirs, store_count=20, size=1, connections=16
    ),
    "single-1": lambda ours, theirs: compare(
        "single events, 1 store", ours, theirs, store_count=1, size=1, connections=16
    ),
}


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
def server(module: str, url: str, folder: Path) -> Iterator[int]:
    """Serve one side on a port of its own; give the port. Its log goes into the folder."""
    port = free_port()
    environment = {**os.environ, "SERVICELANE_DATABASE_URL": url}
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
            yield port
        finally:
            process.terminate()
            process.wait(20)


async def prepare(url: str) -> None:
    """Migrate the service's database, and make the table of the other side."""
    await migrations.upgrade(url)
    connection = await asyncpg.connect(url)
    await connection.execute(TABLE)
    await connection.close()


async def run(ours: Side, theirs: Side, chosen: Sequence[str]) -> None:
    """Make the stores and measure the chosen cases."""
    async with httpx.AsyncClient(base_url=f"http://localhost:{ours.port}") as client:
        for store_id in stores(20):
            (await client.put(f"/v1/stores/{store_id}", json={"name": store_id})).raise_for_status()
    print(f"{'case':34} ratio [least-most]", flush=True)
    for name in chosen:
        await CASES[name](ours, theirs)


def main() -> None:
    """Start a server and both sides, measure, and stop all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="*", choices=[*CASES, []], help="default: all")
    chosen = parser.parse_args().case or list(CASES)
    with tempfile.TemporaryDirectory(prefix="servicelane-bench-") as folder:
        Path(folder).chmod(0o711)
        with embedded.start(Path(folder)) as database:
            url = database.url()
            asyncio.run(prepare(url))
            with (
                server("servicelane", url, Path(folder)) as our_port,
                server("bench.baseline:app", url, Path(folder)) as their_port,
            ):
                ours = Side(our_port, "/v1/events", "/v1/events")
                theirs = Side(their_port, "/batch", "/single")
                asyncio.run(run(ours, theirs, chosen))


if __name__ == "__main__":
    main()
