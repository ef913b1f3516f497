"""The law of dry runs: of any file, they say what the import then does."""

import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from app.db.engine import Pool
from app.domain.access import LOCAL
from app.domain.events.envelope import Kind, NewEvent
from app.domain.events.snapshot import RepairOrderSnapshot
from app.factory import Factory
from app.services import bulk
from app.services.earlier import FIRST_SEQ, Earlier
from app.services.import_report import ImportReport
from tests.support.facts import event, opened, retraction
from tests.support.histories import CloudEvent
from tests.support.inbox import lines
from tests.support.logs import check_store
from tests.support.posting import add_store

START = datetime(2026, 5, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FEW = 4
"""Events of a chunk: what counts is what a chunk knows of those before."""


async def imported(
    factory: Factory, path: Path, *, dry_run: bool
) -> tuple[ImportReport, list[tuple[int, str]]]:
    with await factory.imports.import_file(path, principal=LOCAL, dry_run=dry_run) as report:
        return report, [(fault.row, fault.code) for fault in report.faults]


async def foretold(factory: Factory, path: Path) -> ImportReport:
    """Import a file; what it comes to is what the dry run said."""
    tried, tried_faults = await imported(factory, path, dry_run=True)
    report, faults = await imported(factory, path, dry_run=False)
    assert tried.counts == report.counts
    assert tried_faults == faults
    assert {store: part.counts for store, part in tried.by_store.items()} == {
        store: part.counts for store, part in report.by_store.items()
    }
    return report


def some_file(rng: Random, said: list[CloudEvent], store: str) -> list[CloudEvent]:
    """Make up a file out of what was said before: told again, contradicted, taken back."""
    file: list[CloudEvent] = []
    for _ in range(rng.randint(5, 40)):
        ro_number = f"R{rng.randint(1, 3)}"
        at = (START + rng.randint(0, 12) * MINUTE).isoformat()
        again = rng.choice(said) if said else None
        fresh: list[CloudEvent] = [
            _snapshot(rng, ro_number, at),
            _snapshot(rng, ro_number, at),
            _snapshot(rng, ro_number, at),
            opened(ro_number, at, odometer_km=rng.choice([1, 2, -5])),
            event("repair_order.settled", ro_number, at, amounts={"labor": rng.randint(1, 2)}),
        ]
        if again is not None:
            fresh += [
                again,
                again | {"id": f"{again['id']}+"},
                again | {"time": at, "id": f"{again['id']}+"},
                again | {"time": at},
                retraction(again),
                retraction(again),
                retraction(again) | {"subject": "R9"},
            ]
        to_come = opened(ro_number, at)
        chosen = rng.choice([*fresh, to_come])
        if chosen is to_come:
            chosen = retraction(to_come)
            said.append(to_come)
        chosen = chosen | {"store": rng.choice([store, store, store, "S1"])}
        said.append(chosen)
        file.append(chosen)
    rng.shuffle(file)
    return file


def _snapshot(rng: Random, ro_number: str, at: str) -> CloudEvent:
    more = {"source": "/dms/other"} if rng.random() < 0.2 else {}
    shown = {"advisor": rng.choice(["A1", "A2"]), "opened_at": START.isoformat()}
    return event("repair_order.snapshot", ro_number, at, **more, **shown)


@pytest.mark.parametrize("seed", range(8))
async def test_a_dry_run_says_what_the_import_does(
    factory: Factory, pool: Pool, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory.imports._opener, "_chunk_events", FEW)
    rng = Random(seed)
    path = tmp_path / "a.ndjson"
    for number in range(4):
        store = f"T{number}"
        await add_store(factory, store)
        said: list[CloudEvent] = []
        total = 0
        for _ in range(3):
            path.write_bytes(lines(some_file(rng, said, store)))
            total += (await foretold(factory, path)).counts.accepted
        assert total
        await check_store(pool, store)
    await check_store(pool)


async def test_lines_that_are_tried_out_come_to_what_is_then_taken(
    factory: Factory, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "CHUNK_LINES", FEW)
    rng = Random(99)
    for number in range(3):
        await add_store(factory, f"T{number}")
        body = lines(some_file(rng, [], f"T{number}"))
        answers: list[list[tuple[str, str | None]]] = []
        for do in (factory.bulk.validate, factory.bulk.take):
            told: list[dict[str, Any]] = []

            async def emit(answer: bytes, told: list[dict[str, Any]] = told) -> None:
                told += orjson.loads(answer)["results"]

            await do(_pieces(body), principal=LOCAL).run(emit)
            answers.append([(result["outcome"], result.get("reason")) for result in told])
        assert answers[0] == answers[1]
    await check_store(pool)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 500):
        yield body[start : start + 500]


async def test_a_long_run_is_remembered_in_little_memory() -> None:
    events = 30_000
    with Earlier() as earlier:
        tracemalloc.start()
        for number in range(events):
            earlier.add(_snapshot_event(number))
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert held / events < 200, "two entries each, while the index is made larger"
        found = earlier.find(("S1", "/dms/x", "e-7"))
        assert found == (FIRST_SEQ + 8, b"content 7")
        assert earlier.find(("S1", "/dms/x", f"e-{events}")) is None
        (shown,) = earlier.list_shown(("S1", Kind.REPAIR_ORDER, "R7"))
        assert (shown.id, shown.seq, shown.occurred_at) == ("e-7", FIRST_SEQ + 8, START)


def _snapshot_event(number: int) -> NewEvent:
    return NewEvent(
        store_id="S1",
        source="/dms/x",
        id=f"e-{number}",
        type="repair_order.snapshot",
        kind=Kind.REPAIR_ORDER,
        key=f"R{number}",
        subject=f"R{number}",
        occurred_at=START,
        schema_version=1,
        correlation_id=None,
        causation_id=None,
        payload=RepairOrderSnapshot(),
        data=b"{}",
        aside=None,
        content_hash=b"content %d" % number,
    )
