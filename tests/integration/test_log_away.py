"""The database goes away and comes back; what was answered is there, and nothing twice."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from pydantic import SecretStr

from app.db.engine import Pool
from app.domain.access import LOCAL
from app.domain.events.envelope import Kind
from app.domain.ids import follow_up_id
from app.factory import Factory, open_factory
from app.services.database_failures import is_answer_lost, is_database_away
from app.services.desk import Caller
from app.services.time_source import MovableTimeSource
from app.settings import Settings
from tests.support.facts import delivered, opened
from tests.support.logs import check_store, read_states
from tests.support.posting import add_store, outcomes, post
from tests.support.proxy import Wire, wired

MANY = 16


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[Wire]:
    async with wired(database_url) as laid:
        yield laid


@pytest.fixture
async def factory(wire: Wire, time_source: MovableTimeSource) -> AsyncIterator[Factory]:
    settings = Settings(database_url=SecretStr(wire.url))
    async with open_factory(settings, time_source=time_source) as made:
        await add_store(made)
        yield made


def is_away(result: object) -> bool:
    """Whether the edge answers 503 for it."""
    return isinstance(result, BaseException) and is_database_away(result)


async def test_j19_while_the_database_is_away_every_caller_is_told(
    wire: Wire, factory: Factory, pool: Pool
) -> None:
    await post(factory, opened("R0"))
    await wire.cut()
    for _ in range(2):
        results = await asyncio.wait_for(
            asyncio.gather(
                *(post(factory, opened(f"R{number}")) for number in range(MANY)),
                return_exceptions=True,
            ),
            timeout=60,
        )
        assert all(is_away(result) for result in results)
    await wire.mend()
    assert await outcomes(factory, opened("R1")) == ["2"]
    await check_store(pool)


async def test_a_write_whose_answer_is_lost_is_not_done_twice(
    wire: Wire, factory: Factory, pool: Pool
) -> None:
    """Units of a group, commands without a key among them, that were written unheard."""
    await post(factory, opened("R1"), delivered("R1"))
    call = follow_up_id("S1", "R1", "first")
    attempt = {"by": "C1", "channel": "phone", "outcome": "no_answer"}
    gate = asyncio.create_task(post(factory, opened("gate")))
    await asyncio.sleep(0)
    events = [opened(f"X{number}") for number in range(3)]
    tasks = [
        *(asyncio.create_task(post(factory, event)) for event in events),
        *(
            asyncio.create_task(
                factory.follow_ups.attempt("S1", call, attempt, Caller(LOCAL), lambda _: b"")
            )
            for _ in range(3)
        ),
    ]
    await gate
    wire.lose_answers()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(is_away(result) for result in results), results
    await wire.cut()
    await wire.mend()
    again = await outcomes(factory, *events)
    assert {word[0] for word in again} <= {"=", *"123456789"}
    _, state = (await read_states(pool))[Kind.FOLLOW_UP, call]
    assert len(getattr(state, "attempts", ())) <= 3
    await check_store(pool)


async def test_terminated_connections_are_replaced(factory: Factory, pool: Pool) -> None:
    """An operator, or a failover, ends every session of the service while it writes."""

    async def terminate() -> None:
        await pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'servicelane%'"
        )

    answered: dict[str, str] = {}
    told_away = 0

    async def send(ro_number: str) -> None:
        nonlocal told_away
        event = opened(ro_number)
        while event["id"] not in answered:
            (result,) = await asyncio.gather(outcomes(factory, event), return_exceptions=True)
            if isinstance(result, BaseException):
                assert is_away(result), repr(result)
                told_away += 1
            else:
                answered[event["id"]] = result[0].removeprefix("=")

    async def write(name: str) -> None:
        number = 0
        while told_away < MANY:
            await send(f"{name}-{number}")
            number += 1

    async with asyncio.TaskGroup() as group:
        for number in range(MANY):
            group.create_task(write(f"W{number}"))
        while told_away < MANY:
            await asyncio.sleep(0.01)
            await terminate()
    await terminate()
    await send("after")
    log = await check_store(pool)
    assert {event.id: str(event.seq) for event in log if not event.own} == answered


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (asyncpg.ConnectionDoesNotExistError("gone"), True),
        (asyncpg.AdminShutdownError("terminated"), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.UniqueViolationError("twice"), False),
        (asyncpg.DeadlockDetectedError("deadlock"), False),
        (ValueError("a defect"), False),
    ],
)
def test_which_errors_leave_open_what_was_done(error: Exception, lost: bool) -> None:
    assert is_answer_lost(error) is lost
