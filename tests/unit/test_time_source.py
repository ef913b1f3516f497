from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.services.time_source import MovableTimeSource, SandboxTimeSource, SystemTimeSource

THEN = datetime(2026, 1, 2, 3, tzinfo=UTC)


async def test_the_system_time_is_aware_and_in_utc() -> None:
    assert (await SystemTimeSource().now()).utcoffset() == timedelta(0)


async def test_the_sandbox_asks_for_the_offset_every_time() -> None:
    offset = timedelta(0)

    async def read() -> timedelta:
        return offset

    source = SandboxTimeSource(read)
    before = await source.now()
    offset = timedelta(days=30)
    assert await source.now() - before >= offset


async def test_a_movable_time_stands_still_until_it_is_moved() -> None:
    source = MovableTimeSource(THEN)
    assert await source.now() == await source.now() == THEN
    source.advance(timedelta(hours=1))
    assert await source.now() == THEN + timedelta(hours=1)
    source.set(datetime(2026, 1, 2, 11, tzinfo=timezone(timedelta(hours=8))))
    assert (await source.now()).isoformat() == "2026-01-02T03:00:00+00:00"


def test_a_time_without_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        MovableTimeSource(datetime(2026, 1, 1))  # noqa: DTZ001
