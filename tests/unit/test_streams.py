"""Answers on their way to a caller who reads late; preferences; turns of a store."""

import asyncio
from collections.abc import Iterator

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from app.routers.bodies import preferences
from app.routers.streams import Spool
from app.services.turns import TurnLostError, Turns
from app.services.units import Facts


@pytest.fixture
def spool() -> Iterator[Spool]:
    made = Spool(in_memory=100, at_most=1000)
    yield made
    made.close()


@given(st.lists(st.binary(min_size=1, max_size=300) | st.none(), max_size=30))
def test_what_goes_into_a_spool_comes_out_of_it(steps: list[bytes | None]) -> None:
    """`None` reads what there is."""

    async def play() -> tuple[bytes, bytes]:
        spool = Spool(in_memory=100)
        sent = read = b""
        for step in steps:
            if step is not None:
                await spool.write(step)
                sent += step
            elif len(read) < len(sent):
                read += await spool.read()
        await spool.end()
        while part := await spool.read():
            read += part
        spool.close()
        return sent, read

    sent, read = asyncio.run(play())
    assert read == sent


async def test_a_spool_that_is_full_waits_until_it_is_read(spool: Spool) -> None:
    await spool.write(b"x" * 1000)
    late = asyncio.create_task(spool.write(b"late"))
    await asyncio.sleep(0.01)
    assert not late.done()
    assert await spool.read() == b"x" * 1000
    assert await asyncio.wait_for(spool.read(), 60) == b"late"


async def test_a_spool_ends_with_its_error_after_all_that_was_written(spool: Spool) -> None:
    reading = asyncio.create_task(spool.read())
    await spool.write(b"first")
    await spool.end(RuntimeError("gone"))
    assert await reading == b"first"
    with pytest.raises(RuntimeError, match="gone"):
        await spool.read()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], {}),
        (["return=minimal"], {"return": "minimal"}),
        (['Handling = "Strict" ; a=b, wait=10'], {"handling": "strict", "wait": "10"}),
        (["respond-async", "handling=strict"], {"respond-async": "", "handling": "strict"}),
        (["handling=lenient, handling=strict"], {"handling": "lenient"}),
        (["handling=strict-ish"], {"handling": "strict-ish"}),
        ([", ,return=minimal,"], {"return": "minimal"}),
    ],
)
def test_preferences_are_read_as_rfc_7240_has_them(
    headers: list[str], expected: dict[str, str]
) -> None:
    scope = {"type": "http", "headers": [(b"prefer", value.encode()) for value in headers]}
    assert preferences(Request(scope)) == expected


def unit(store_id: str) -> Facts:
    return Facts(store_id, [], item_of=lambda _: pytest.fail("nothing is refused"))


async def test_units_of_a_store_take_turns_and_others_do_not_wait() -> None:
    turns, going, done = Turns(), asyncio.Event(), list[str]()
    first, second, other = unit("A"), unit("A"), unit("B")
    names = {id(first): "a1", id(second): "a2", id(other): "b1"}

    async def submit(facts: Facts) -> None:
        if facts is first:
            await going.wait()
        done.append(names[id(facts)])

    tasks = [asyncio.create_task(turns.take(facts, submit)) for facts in (first, second, other)]
    await tasks[2]
    assert done == ["b1"]
    going.set()
    await asyncio.gather(*tasks)
    assert done == ["b1", "a1", "a2"]


@pytest.mark.parametrize("given_up", [False, True])
async def test_behind_a_unit_that_failed_none_is_written(*, given_up: bool) -> None:
    turns, first, second = Turns(), unit("A"), unit("A")
    done: list[Facts] = []

    async def submit(facts: Facts) -> None:
        await asyncio.sleep(0.01)
        if facts is first:
            raise OSError("away")
        done.append(facts)

    tasks = [asyncio.create_task(turns.take(facts, submit)) for facts in (first, second)]
    await asyncio.sleep(0)
    if given_up:
        tasks[0].cancel()
    failed = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(failed[0], asyncio.CancelledError if given_up else OSError)
    assert isinstance(failed[1], TurnLostError)
    assert done == []
