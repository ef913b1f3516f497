"""The schema: its migrations, the guard on the log, the role that serves."""

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import orjson
import pytest

from app.db import migrations
from app.db.engine import APP_ROLE, Connection, Database, open_database
from app.db.tables import metadata
from app.domain.customer import Customer
from app.domain.subject import decode
from app.domain.vehicle import Vehicle
from app.factory import Factory
from app.services.time_source import MovableTimeSource
from tests.support.linking import START, facts_of
from tests.support.posting import add_store, post


async def test_tables_and_migrations_agree(database_url: str) -> None:
    await migrations.differences(database_url)


async def test_an_empty_database_is_outdated_and_says_what_to_run(empty_database_url: str) -> None:
    with pytest.raises(migrations.OutdatedSchemaError, match="servicelane migrate") as raised:
        await migrations.check_schema(empty_database_url)
    assert raised.value.current is None
    assert raised.value.expected == migrations.expected_revision()


async def test_a_database_of_a_newer_version_says_so(
    database_url: str, connection: Connection
) -> None:
    await connection.execute("UPDATE alembic_version SET version_num = 'from-the-future'")

    with pytest.raises(migrations.OutdatedSchemaError, match="run that version"):
        await migrations.check_schema(database_url)
    with pytest.raises(migrations.OutdatedSchemaError, match="run that version"):
        await migrations.upgrade(database_url)


async def test_many_processes_may_migrate_at_once(empty_database_url: str) -> None:
    before = await asyncio.gather(*(migrations.upgrade(empty_database_url) for _ in range(4)))

    assert sorted(before, key=str) == [*[migrations.expected_revision()] * 3, None]
    await migrations.check_schema(empty_database_url)


async def test_migrations_go_down_and_up_again(empty_database_url: str) -> None:
    await migrations.upgrade(empty_database_url)
    await migrations.downgrade(empty_database_url, "base")
    assert await migrations.current_revision(empty_database_url) is None

    await migrations.upgrade(empty_database_url)
    await migrations.differences(empty_database_url)


LINKED = {
    "repair_order": ("ro_number", "vin", "customer_no"),
    "vehicle": ("vin", "spelled_alike", "state"),
    "customer": ("customer_no", "surviving_no", "state"),
    "personal": ("seq", "key", "customer_no"),
}


async def test_what_was_written_before_files_were_linked_is_linked_by_the_migration(
    factory: Factory, database_url: str, pool: asyncpg.Pool, time_source: MovableTimeSource
) -> None:
    time_source.set(START + timedelta(days=30))
    for seed in range(12):
        await add_store(factory, f"M{seed}")
        await post(factory, *[fact | {"store": f"M{seed}"} for fact in facts_of(seed)])
    before = await _links(pool)

    await migrations.downgrade(database_url, "0001")
    assert not await pool.fetchval("SELECT count(*) FROM vehicle WHERE state ? 'owners'")
    await _check_functions_of_the_first_release(pool)
    await migrations.upgrade(database_url)

    assert await _links(pool) == before


async def _check_functions_of_the_first_release(pool: asyncpg.Pool) -> None:
    """What is installed then must read and write without the columns that came later."""
    vehicle = await pool.fetchrow("SELECT store_id, vin FROM vehicle ORDER BY 1, 2 LIMIT 1")
    assert vehicle is not None
    read = "SELECT body FROM read_group('{}', '{}', '{}', '{}', '{vehicle}', $1, $2)"
    state = await pool.fetchval(read, [vehicle["store_id"]], [vehicle["vin"]])
    row = {**vehicle, "version": 1, "state": orjson.Fragment(state), "customer_no": None}
    document = orjson.dumps({"heads": [], "vehicle": [row]}).decode()
    await pool.fetch("SELECT * FROM append_group($1)", document)
    assert await pool.fetchval(read, [vehicle["store_id"]], [vehicle["vin"]]) == state


async def _links(pool: asyncpg.Pool) -> dict[str, list[tuple[Any, ...]]]:
    """Read what the migration makes; of states as values, for times are written in two ways."""
    found = {}
    for table, columns in LINKED.items():
        rows = await pool.fetch(
            f"SELECT store_id, {', '.join(columns)} FROM {table} ORDER BY store_id, {columns[0]}"
        )
        found[table] = [
            tuple(_value(table, name, value) for name, value in row.items()) for row in rows
        ]
    return found


def _value(table: str, column: str, value: Any) -> Any:
    if column != "state":
        return value
    return decode(Vehicle, value) if table == "vehicle" else decode(Customer, value)


CHANGES = [
    "UPDATE event SET type = type",
    "UPDATE event SET type = type WHERE false",
    "DELETE FROM event",
    "TRUNCATE event",
    "INSERT INTO event SELECT * FROM event ON CONFLICT (store_id, seq) DO UPDATE SET key = ''",
]


@pytest.mark.parametrize("change", CHANGES)
async def test_the_log_refuses_changes_by_its_owner(connection: Connection, change: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await connection.execute(change)


@pytest.mark.parametrize("change", CHANGES)
async def test_the_log_refuses_changes_in_a_replica_session(
    connection: Connection, change: str
) -> None:
    await connection.execute("SET session_replication_role = replica")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await connection.execute(change)


@pytest.mark.parametrize("change", CHANGES)
async def test_the_serving_role_may_not_change_the_log(database: Database, change: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await database.log.execute(change)


async def test_the_service_works_as_the_serving_role(database: Database) -> None:
    assert database.role == APP_ROLE
    for pool in (database.log, database.read):
        assert await pool.fetchval("SELECT current_user") == APP_ROLE


@pytest.mark.parametrize("options", ["", "CREATEROLE"])
async def test_a_user_who_did_not_make_the_serving_role_is_served_all_the_same(
    server_url: str, template: str, options: str
) -> None:
    """The role is there already, made by somebody else: the template's owner."""
    name = f"test_{uuid4().hex}"
    owner = await asyncpg.connect(server_url)
    await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}' {options}")
    await owner.execute(f"CREATE DATABASE {name} OWNER {name}")
    parts = urlsplit(server_url)
    host = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=f"{name}:{name}@{host}", path=f"/{name}"))
    try:
        await migrations.upgrade(url)
        async with open_database(url) as database:
            assert (database.role is None) == (
                await database.read.fetchval("SELECT current_user") == name
            )
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.log.execute("DELETE FROM event")
    finally:
        await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await owner.execute(f"DROP ROLE {name}")
        await owner.close()


async def test_the_serving_role_may_write_every_other_table(connection: Connection) -> None:
    missing = await connection.fetch(
        """
        SELECT t.name, p.privilege
          FROM unnest($1::text[]) AS t (name),
               unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p (privilege)
         WHERE NOT has_table_privilege($2, t.name, p.privilege)
         ORDER BY 1, 2
        """,
        list(metadata.tables),
        APP_ROLE,
    )
    assert [tuple(row) for row in missing] == [
        (table, privilege)
        for table in ("event", "kpi_published")  # what is only ever added to
        for privilege in ("DELETE", "UPDATE")
    ]


async def test_every_unique_key_leads_with_the_store(connection: Connection) -> None:
    """The rule that lets the schema be distributed; the tables named here belong to no store."""
    global_tables = [
        "access_key",
        "alembic_version",
        "feed_beat",
        "installation",
        "mapping",
        "quarantine_run",
        "sandbox_clock",
        "webhook_endpoint",
    ]
    others = await connection.fetch(
        """
        SELECT i.indexrelid::regclass::text AS name
          FROM pg_index i
          JOIN pg_class c ON c.oid = i.indrelid
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
         WHERE c.relnamespace = 'public'::regnamespace
           AND i.indisunique
           AND NOT c.relname = ANY ($1)
           AND NOT (a.attname = 'store_id' AND a.atttypid = 'text'::regtype)
        """,
        global_tables,
    )
    assert [row["name"] for row in others] == []
