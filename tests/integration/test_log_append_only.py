"""The log is append-only by force, for whoever asks."""

import asyncpg
import pytest

from app.db.engine import Connection, Pool
from app.factory import Factory
from tests.support.facts import opened
from tests.support.logs import read_log
from tests.support.posting import post

STATEMENTS = (
    "UPDATE event SET data = '{}'",
    "UPDATE event SET seq = seq + 1 WHERE store_id = 'S1'",
    "UPDATE event SET data = data WHERE false",
    "DELETE FROM event",
    "DELETE FROM event WHERE seq = 1",
    "DELETE FROM event WHERE false",
    "TRUNCATE event",
    "TRUNCATE store, stream_head, event CASCADE",
    "WITH gone AS (DELETE FROM event RETURNING *) SELECT * FROM gone",
    "INSERT INTO event SELECT * FROM event ON CONFLICT (store_id, seq) DO UPDATE SET type = 'x'",
    "MERGE INTO event e USING store s ON e.store_id = s.store_id WHEN MATCHED THEN DELETE",
)


async def refuse_all(connection: Connection) -> None:
    """Check that nothing of what could change the log is done, each for lack of a right."""
    done = []
    for statement in STATEMENTS:
        try:
            await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            continue
        done.append(statement)
    assert done == []


@pytest.fixture
async def logged(factory: Factory) -> None:
    await post(factory, opened("R1"), opened("R2"))


async def test_the_serving_role_cannot_change_the_log(
    logged: None, factory: Factory, pool: Pool
) -> None:
    assert factory.database.role is not None
    for serving in (factory.database.log, factory.database.read):
        async with serving.acquire() as connection:
            await refuse_all(connection)
            assert not await connection.fetchval(
                "SELECT has_table_privilege('event', 'UPDATE')"
                " OR has_table_privilege('event', 'DELETE')"
                " OR has_table_privilege('event', 'TRUNCATE')"
            )
            for forbidden in (
                "ALTER TABLE event DISABLE TRIGGER ALL",
                "SET session_replication_role = 'replica'",
                "DROP TABLE event",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(forbidden)
    assert [event.seq for event in await read_log(pool)] == [1, 2]


async def test_the_owner_and_a_superuser_cannot_change_the_log(
    logged: None, connection: Connection, pool: Pool
) -> None:
    assert await connection.fetchval("SELECT current_setting('is_superuser')") == "on"
    await refuse_all(connection)
    assert [event.seq for event in await read_log(pool)] == [1, 2]


async def test_the_trigger_holds_where_triggers_are_switched_off(
    logged: None, connection: Connection, pool: Pool
) -> None:
    await connection.execute("SET session_replication_role = 'replica'")
    await refuse_all(connection)
    assert [event.seq for event in await read_log(pool)] == [1, 2]


async def test_no_foreign_key_reaches_into_the_log(connection: Connection) -> None:
    """A cascade would be another way to change it."""
    assert (
        await connection.fetchval(
            "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"
            " AND (conrelid = 'event'::regclass OR confrelid = 'event'::regclass)"
        )
        == 0
    )


@pytest.mark.parametrize(
    "change", ["seq = 1", "seq = 3, source = 'x'", "seq = 3, event_id = 'x'", "seq = 2"]
)
async def test_seq_and_identity_are_unique_by_force(
    change: str, logged: None, connection: Connection
) -> None:
    values = dict(part.split(" = ") for part in change.split(", "))
    columns = [
        row["column_name"]
        for row in await connection.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'event'"
            " ORDER BY ordinal_position"
        )
    ]
    picked = ", ".join(values.get(column, column) for column in columns)
    copy = f"INSERT INTO event ({', '.join(columns)}) SELECT {picked} FROM event WHERE seq = 1"
    if values["seq"] == "3":
        await connection.execute(copy)
        return
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(copy)
