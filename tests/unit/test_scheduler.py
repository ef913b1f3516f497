import asyncio

import pytest
from asyncpg import CannotConnectNowError
from structlog.testing import capture_logs

from app import scheduler
from app.scheduler import Scheduler, Tick


async def until(condition: asyncio.Event) -> None:
    await asyncio.wait_for(condition.wait(), timeout=60)


async def test_a_tick_comes_at_once_and_again_though_it_failed() -> None:
    calls = 0
    twice = asyncio.Event()

    async def fail() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            twice.set()
        await asyncio.sleep(0)
        raise ValueError("broken")

    with capture_logs() as logs:
        running = Scheduler([Tick("broken", 0.05, fail)])
        running.start()
        await until(twice)
        await running.stop()
    failed = [entry for entry in logs if entry["event"] == "tick failed"]
    assert len(failed) >= 2
    assert failed[0]["tick"] == "broken"


async def test_a_missing_database_is_told_once_and_so_is_its_return() -> None:
    calls = 0
    back = asyncio.Event()

    async def ask() -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls <= 2:
            raise CannotConnectNowError("starting up")
        back.set()

    with capture_logs() as logs:
        running = Scheduler([Tick("hungry", 0.05, ask)])
        running.start()
        await until(back)
        await running.stop()
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("warning", "tick without database"),
        ("info", "tick has its database again"),
    ]


async def test_a_slow_tick_is_not_overlapped_and_holds_up_no_other() -> None:
    at_once = 0
    most = 0
    others = 0
    enough = asyncio.Event()

    async def slow() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.2)
        at_once -= 1

    async def quick() -> None:
        nonlocal others
        others += 1
        if others == 4:
            enough.set()
        await asyncio.sleep(0)

    running = Scheduler([Tick("slow", 0.02, slow), Tick("quick", 0.02, quick)])
    running.start()
    await until(enough)
    await running.stop()
    assert most == 1


async def test_stopping_lets_a_running_tick_end() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.sleep(0.1)
        ended.set()

    running = Scheduler([Tick("work", 60, work)])
    running.start()
    await until(begun)
    await running.stop()
    assert ended.is_set()


async def test_stopping_cancels_what_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "STOP_SECONDS", 0.05)
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with capture_logs() as logs:
        running = Scheduler([Tick("hang", 60, hang)])
        running.start()
        await until(begun)
        await running.stop()
    assert cancelled.is_set()
    assert [entry["event"] for entry in logs] == ["tick cancelled"]
