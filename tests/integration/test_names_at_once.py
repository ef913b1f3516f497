"""One name, given to two people at the same moment through two processes on one database."""

import asyncio

import orjson
import pytest
from pydantic import SecretStr

from app.db.engine import Connection, Pool
from app.domain.access import LOCAL
from app.domain.errors import ConflictError
from app.factory import Factory, open_factory
from app.services.desk import Caller
from app.services.names import AliasGiven
from app.services.time_source import MovableTimeSource
from app.services.units import Answer
from app.settings import Settings
from tests.support.facts import event, opened
from tests.support.logs import check_store, read_log
from tests.support.posting import outcomes

NAME = "王伟"


def render(given: AliasGiven) -> bytes:
    return orjson.dumps(given.staff_no)


async def give(factory: Factory, staff_no: str, alias: str = NAME) -> Answer:
    return await factory.names.give_alias(
        "S1", staff_no, alias=alias, surrogate=None, caller=Caller(LOCAL), render=render
    )


@pytest.mark.parametrize("staff", [("A1", "A2"), ("A1", "A1")])
async def test_only_one_of_two_gets_a_name(
    factory: Factory,
    database_url: str,
    time_source: MovableTimeSource,
    connection: Connection,
    pool: Pool,
    staff: tuple[str, str],
) -> None:
    """Both have read that it is nobody's when the first one writes."""
    settings = Settings(database_url=SecretStr(database_url))
    async with open_factory(settings, time_source=time_source) as other:
        async with connection.transaction():
            await connection.execute("SELECT FROM stream_head WHERE store_id = 'S1' FOR UPDATE")
            both = [
                asyncio.create_task(give(each, staff_no))
                for each, staff_no in zip((factory, other), staff, strict=True)
            ]
            while await _waiting(pool) < len(both):
                await asyncio.sleep(0.01)
        answers = await asyncio.gather(*both, return_exceptions=True)
    won = [each for each in answers if isinstance(each, Answer) and each.status == 201]
    assert len(won) == 1
    (lost,) = [each for each in answers if each not in won]
    if staff[0] == staff[1]:
        assert isinstance(lost, Answer)
        assert lost.status == 200
    else:
        assert isinstance(lost, ConflictError)
        assert f"the name of {orjson.loads(won[0].body)} already" in str(lost)
    assert len(await read_log(pool)) == 1
    await check_store(pool)


async def _waiting(pool: Pool) -> int:
    count: int = await pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database()"
    )
    return count


async def test_of_one_group_only_the_first_gets_a_name_and_what_was_taken_back_is_free(
    factory: Factory, pool: Pool
) -> None:
    assert await outcomes(factory, opened("R1", advisor=NAME)) == ["1"]
    # the first one keeps the store busy, so that the others share the next group
    answers = await asyncio.gather(
        give(factory, "A9", "别人"),
        give(factory, "A1"),
        give(factory, "A2", "王　伟"),
        give(factory, "A3", "还有人"),
        return_exceptions=True,
    )
    assert [getattr(each, "status", None) for each in answers] == [201, 201, None, 201]
    assert isinstance(answers[2], ConflictError)
    (given,) = [fact for fact in await read_log(pool) if fact.subject == "A1"]
    back = event("event.retracted", "A1", "2026-06-02T09:00:00+08:00", reason="x")
    back["data"] |= {"source": given.source, "id": given.id}
    assert await outcomes(factory, back) == ["5"]
    assert (await give(factory, "A2")).status == 201
    await check_store(pool)
