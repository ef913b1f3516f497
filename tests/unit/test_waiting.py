"""Waiting for logs to grow."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

import pytest

from app.domain.errors import UnavailableError
from app.services.arrivals import Arrivals


@dataclass
class Heads:
    """Heads of streams that can be moved, or be away."""

    seqs: dict[str, int] = field(default_factory=dict)
    looks: int = 0
    away: bool = False

    async def read(self, stores: Collection[str]) -> dict[str, int]:
        self.looks += 1
        if self.away:
            raise OSError("away")
        return {store_id: self.seqs.get(store_id, 0) for store_id in stores}


async def test_an_announcement_wakes_those_who_wait_for_that_log() -> None:
    heads = Heads({"S1": 5})
    arrivals = Arrivals(heads.read, most=10, poll_seconds=60)
    first, second, other = (
        asyncio.create_task(arrivals.wait_beyond(store_id, seq, seconds=60))
        for store_id, seq in (("S1", 5), ("S1", 6), ("S2", 0))
    )
    await asyncio.sleep(0.01)
    assert arrivals.held == 3
    heads.seqs["S1"] = 6
    arrivals.announce(["S3"])
    arrivals.announce(["S1", "S3"])
    assert await first == 6
    assert not second.done()
    assert not other.done()
    await arrivals.aclose()
    assert [await second, await other] == [None, None]
    assert arrivals.held == 0


async def test_what_came_just_before_the_wait_is_not_overlooked() -> None:
    arrivals = Arrivals(Heads({"S1": 1}).read, most=10, poll_seconds=60)
    assert await asyncio.wait_for(arrivals.wait_beyond("S1", 0, seconds=60), 60) == 1
    await arrivals.aclose()


async def test_nobody_looks_while_nobody_waits() -> None:
    heads = Heads()
    arrivals = Arrivals(heads.read, most=10, poll_seconds=0.01)
    assert await arrivals.wait_beyond("S1", 0, seconds=0.05) is None
    await asyncio.sleep(0.05)
    looked = heads.looks
    assert looked > 1
    arrivals.announce(["S1"])
    await asyncio.sleep(0.05)
    assert heads.looks == looked
    assert await arrivals.wait_beyond("S1", 0, seconds=0) is None
    await arrivals.aclose()


async def test_who_goes_away_waits_no_more_and_makes_room() -> None:
    arrivals = Arrivals(Heads().read, most=1, poll_seconds=60)
    held = asyncio.create_task(arrivals.wait_beyond("S1", 0, seconds=60))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="1 requests are being held"):
        await arrivals.wait_beyond("S1", 0, seconds=60)
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    assert arrivals.held == 0
    assert await arrivals.wait_beyond("S1", 0, seconds=0.01) is None
    await arrivals.aclose()


async def test_those_who_wait_hear_that_the_database_is_away() -> None:
    heads = Heads(away=True)
    arrivals = Arrivals(heads.read, most=10, poll_seconds=0.01)
    with pytest.raises(OSError, match="away"):
        await arrivals.wait_beyond("S1", 0, seconds=60)
    heads.away = False
    heads.seqs["S1"] = 1
    assert await arrivals.wait_beyond("S1", 0, seconds=60) == 1
    await arrivals.aclose()
