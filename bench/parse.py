"""CPU time of the door per event, without a database: `python bench/parse.py`."""

import gc
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

sys.path.insert(0, str(Path(__file__).parent.parent))

from app.domain.events.catalog import CATALOG
from app.domain.events.envelope import Rejected
from app.domain.events.parse import Limits, parse_event

MIX = (
    "repair_order.opened",
    "repair_order.authorized",
    "repair_order.dispatched",
    "repair_order.work_started",
    "repair_order.work_completed",
    "repair_order.inspected",
    "repair_order.settled",
    "repair_order.delivered",
)
EVENTS = 2_000
ROUNDS = 9
NOW = datetime(2026, 2, 1, tzinfo=UTC)
SECRET = bytes(range(32))
LIMITS = Limits()
STORES = {"SH01"}


def parse(items: list[dict[str, Any]]) -> None:
    for item in items:
        event = parse_event(
            item, limits=LIMITS, now=NOW, secret=SECRET, known_store=STORES.__contains__
        )
        if isinstance(event, Rejected):
            raise TypeError(event)


def microseconds(names: tuple[str, ...]) -> tuple[float, float]:
    """Best and median time per event over several rounds."""
    body = orjson.dumps(
        [
            CATALOG[names[number % len(names)]].example_event | {"id": f"e-{number}"}
            for number in range(EVENTS)
        ]
    )
    times = []
    for _ in range(ROUNDS):
        items = orjson.loads(body)
        gc.collect()
        started = time.process_time()
        parse(items)
        times.append((time.process_time() - started) / EVENTS * 1e6)
    return min(times), statistics.median(times)


def main() -> None:
    for label, names in [*((name, (name,)) for name in MIX), ("the mix", MIX)]:
        best, median = microseconds(names)
        print(f"{label:32} {best:6.1f} us best {median:6.1f} us median")


if __name__ == "__main__":
    main()
