"""The operator's commands."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import asyncpg
import typer
import uvicorn
from pydantic import SecretStr, ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typing_extensions import override
from uvicorn.importer import import_from_string

from app.commands import importing, mapping, quarantine
from app.commands.opening import Opening
from app.db import embedded, migrations
from app.db.embedded_account import EmbeddedServerError
from app.demo import tour
from app.demo.serving import DemoError
from app.domain.access import ALL_SCOPES, AccessKey, Scope
from app.domain.errors import DomainError
from app.factory import Factory, open_factory
from app.services.access import AccessService
from app.services.sheet_reading import SheetError
from app.settings import Settings, describe, unknown_variables
from app.telemetry import configure_logging

cli = typer.Typer(
    name="servicelane",
    help="The after-sales desk of a car dealership, as a service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys = typer.Typer(
    help="Bearer keys: who may use the service, and for what.", no_args_is_help=True
)
openapi = typer.Typer(help="The OpenAPI document.", no_args_is_help=True)
cli.add_typer(keys, name="keys")
cli.add_typer(openapi, name="openapi")

_APP = "app.main:create_app"
_STOP_SECONDS = 10
_INTERRUPTED = 130
_OPERATOR_ERRORS = (
    DemoError,
    DomainError,
    EmbeddedServerError,
    migrations.SchemaError,
    SheetError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
)


def main() -> None:
    """Run a command; what an operator can mend is told in a sentence, without a traceback."""
    _take_signals()
    try:
        cli()
    except ValidationError as error:
        for fault in error.errors():
            name = "SERVICELANE_" + "_".join(str(part).upper() for part in fault["loc"])
            _say(f"{name}: {fault['msg']}")
        sys.exit(2)
    except _OPERATOR_ERRORS as error:
        _fail(str(error) or type(error).__name__)


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Instead of SERVICELANE_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of SERVICELANE_PORT.")] = None,
) -> None:
    """Serve until Ctrl-C; without a database URL, on the embedded database."""
    given: dict[str, Any] = {"host": host, "port": port}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    configure_logging(settings.log_level, settings.log_format)
    _warn_of_unknown_variables()
    try:
        with _database(settings) as ready:
            asyncio.run(_check_address(ready))
            try:
                _run_server(ready)
            finally:
                # whoever is impatient now would leave the embedded server running
                signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        sys.exit(0)


@cli.command()
def demo(
    host: Annotated[str | None, typer.Option(help="Instead of SERVICELANE_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of SERVICELANE_PORT.")] = None,
    months: Annotated[int, typer.Option(min=1, max=36, help="How far the life goes back.")] = 6,
    stores: Annotated[int, typer.Option(min=1, max=50, help="How many shops.")] = 1,
    *,
    leave: Annotated[bool, typer.Option("--exit", help="End after the tour.")] = False,
) -> None:
    """Show the life of a made-up shop, on a database of its own, then serve it until Ctrl-C."""
    settings = Settings()
    configure_logging("error", settings.log_format)
    if settings.database_url is not None:
        _say("The demo has a database of its own: SERVICELANE_DATABASE_URL is not touched.")
    options = tour.Options(
        data_dir=settings.data_dir,
        host=settings.host if host is None else host,
        port=settings.port if port is None else port,
        months=months,
        stores=stores,
        stays=not leave,
    )
    try:
        tour.run(options)
    except KeyboardInterrupt:
        sys.exit(0)


@cli.command()
def migrate() -> None:
    """Bring the schema of the database up to date; a repeat is harmless."""
    settings = _quiet_settings()
    with _server(settings) as ready:
        before = asyncio.run(migrations.upgrade(_url(ready)))
    after = migrations.expected_revision()
    print(f"at {after} already" if before == after else f"{before or 'empty'} -> {after}")


@cli.command("import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Files of events (.ndjson, .json), sheets (.csv, .xlsx, .xls, .ods) or records, "
            ".gz too; what one holds is told by its content."
        ),
    ],
    store: Annotated[
        str | None, typer.Option(help="Whose rows they are; events name their store themselves.")
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option(
            help="File of a mapping (.yaml), or the source of a known one; default: what fits."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write every fault to a file, .json or .xlsx.")
    ] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check only; nothing is stored.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Import files; a repeat is harmless.

    Ends with 0 when all was taken, 1 when something lies in quarantine, 2 when something could
    not be read, or not to its end.
    """
    if report is not None and report.suffix.lower() not in {".json", ".xlsx"}:
        _say("--report names a file that ends in .json or .xlsx.")
        sys.exit(importing.UNREADABLE)
    wanted = importing.Wanted(files, store, mapping, dry_run, report, as_json)
    try:
        code = _with_factory(lambda factory: importing.import_files(factory, wanted))
    except _OPERATOR_ERRORS as error:
        _say(str(error) or type(error).__name__)
        code = importing.UNREADABLE
    except KeyboardInterrupt:
        _say("Interrupted. What is in is in; the same command again takes nothing twice.")
        code = _INTERRUPTED
    sys.exit(code)


@cli.command("settings")
def show_settings(
    *, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False
) -> None:
    """Show every setting with its value, default and source; secrets are hidden."""
    rows = list(describe(Settings(), os.environ))
    if as_json:
        print(
            json.dumps(
                [
                    {
                        "variable": row.variable,
                        "value": row.value,
                        "default": row.default,
                        "source": row.source,
                        "description": row.description,
                    }
                    for row in rows
                ],
                indent=2,
            )
        )
        return
    console = Console(soft_wrap=True, highlight=False)
    for row in rows:
        console.print(Text.assemble((row.variable, "bold"), "=", row.value))
        console.print(f"    {row.description}", markup=False)
        console.print(f"    {row.source}; default: {row.default or 'none'}", style="dim")
    _warn_of_unknown_variables()


@keys.command()
def issue(
    name: Annotated[str, typer.Argument(help="For people: who or what will use the key.")],
    scope: Annotated[list[Scope] | None, typer.Option(help="A right; repeat for several.")] = None,
    store: Annotated[
        list[str] | None, typer.Option(help="Bind to a store; repeat for several. Default: all.")
    ] = None,
    *,
    all_scopes: Annotated[
        bool, typer.Option("--all-scopes", help="Every right of this version.")
    ] = False,
) -> None:
    """Issue a key. It is shown this once: only its hash is kept."""
    scopes = _named_scopes(scope, all_scopes=all_scopes)

    async def run(factory: Factory) -> None:
        issued = await factory.access.issue(name=name, scopes=scopes, stores=store)
        _say(f"Key {issued.key.key_id} for {name}; it is not shown again:")
        print(issued.token)
        codes = issued.key.stores or frozenset()
        for code in sorted(codes - (await factory.store_directory.get_many(codes)).keys()):
            _say(f"There is no store {code} yet; codes count exactly as they are written.")

    _with_factory(run)


@keys.command("list")
def list_keys() -> None:
    """List every key, revoked ones too."""

    async def run(access: AccessService) -> None:
        table = Table("id", "name", "scopes", "stores", "created", "last used", "revoked")
        for key in await access.list_all():
            table.add_row(
                key.key_id,
                Text(key.name),
                _rights(key),
                "all" if key.stores is None else ", ".join(sorted(key.stores)),
                *(_minute(at) for at in (key.created_at, key.last_used_at, key.revoked_at)),
            )
        Console(width=None if sys.stdout.isatty() else 200).print(table)

    _with_access(run)


@keys.command()
def widen(
    key_id: Annotated[str, typer.Argument(help="The id that `keys list` shows.")],
    scope: Annotated[list[Scope] | None, typer.Option(help="A right; repeat for several.")] = None,
    *,
    all_scopes: Annotated[
        bool, typer.Option("--all-scopes", help="Every right of this version.")
    ] = False,
) -> None:
    """Give a key more rights; running services notice within SERVICELANE_KEY_CACHE_SECONDS."""
    scopes = _named_scopes(scope, all_scopes=all_scopes)

    async def run(access: AccessService) -> None:
        key = await access.widen(key_id=key_id, scopes=scopes)
        print(f"{key.key_id} ({key.name}): {_rights(key)}")

    _with_access(run)


@keys.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The id that `keys list` shows.")]) -> None:
    """Revoke a key for good; running services notice within SERVICELANE_KEY_CACHE_SECONDS."""

    async def run(access: AccessService) -> None:
        key = await access.revoke(key_id=key_id)
        print(f"revoked {key.key_id} ({key.name})")

    _with_access(run)


@openapi.command()
def export(
    path: Annotated[Path | None, typer.Argument(help="File to write; none: standard out.")] = None,
) -> None:
    """Write the OpenAPI document of this version; needs no database."""
    document = import_from_string(_APP)(Settings()).openapi()
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if path is None:
        sys.stdout.write(text)
    else:
        path.write_text(text, encoding="utf-8")


def _named_scopes(scope: list[Scope] | None, *, all_scopes: bool) -> frozenset[Scope]:
    if bool(scope) == all_scopes:
        _fail("Name the rights with --scope, or give all with --all-scopes.")
    return ALL_SCOPES if all_scopes else frozenset(scope or ())


def _rights(key: AccessKey) -> str:
    """Name the scopes of a key: those that it lacks, if they are the fewer."""
    missing = ", ".join(sorted(key.missing))
    if not missing:
        return "all"
    if len(key.missing) < len(key.scopes):
        return f"all but {missing}"
    return ", ".join(sorted(key.scopes))


def _with_access(run: Any) -> None:
    """Run something with the access service, on the database of the settings."""
    _with_factory(lambda factory: run(factory.access))


def _with_factory(run: Any) -> Any:
    """Run something with all services, on the database of the settings."""

    async def opened(settings: Settings) -> Any:
        async with open_factory(settings) as factory:
            return await run(factory)

    with _database(_quiet_settings()) as ready:
        return asyncio.run(opened(ready))


def _has_database() -> bool:
    """Whether there is a database already: a URL, or a folder of the embedded one."""
    settings = Settings()
    return settings.database_url is not None or settings.data_dir.exists()


@contextmanager
def _server(settings: Settings) -> Iterator[Settings]:
    """The settings with a database URL; without one of their own, that of the embedded server."""
    if settings.database_url is not None:
        yield settings
        return
    with embedded.start(settings.data_dir) as server:
        yield settings.model_copy(update={"database_url": SecretStr(server.url())})


@contextmanager
def _database(settings: Settings) -> Iterator[Settings]:
    """Likewise, on a schema that is up to date: the embedded one is brought there.

    Raises:
        OutdatedSchemaError: The database of the URL is not; its operator says when it is migrated.
    """
    with _server(settings) as ready:
        if settings.database_url is None:
            asyncio.run(migrations.upgrade(_url(ready)))
        else:
            asyncio.run(migrations.check_schema(_url(ready)))
        yield ready


async def _check_address(settings: Settings) -> None:
    """Refuse an address that others reach while everyone would be let in."""
    if settings.listens_on_loopback or settings.setup_token is not None:
        return
    async with open_factory(settings) as factory:
        if await factory.access.is_open():
            _fail(
                f"No key was issued yet, so the service does not listen on {settings.host}, where "
                "others could use it without one.\n"
                "Issue a key first (servicelane keys issue NAME --all-scopes), or set "
                "SERVICELANE_SETUP_TOKEN, or listen on this machine alone "
                "(SERVICELANE_HOST=127.0.0.1)."
            )


class _Server(uvicorn.Server):
    """Lets those go who wait for news before it waits for their requests to end."""

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down."""
        application: Any = self.config.app
        application.state.factory.arrivals.release()
        await super().shutdown(sockets)


def _run_server(settings: Settings) -> None:
    application = import_from_string(_APP)(settings)
    _Server(
        uvicorn.Config(
            application,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
    ).run()


def _take_signals() -> None:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does, with all its clean-up.

    An exception raised by a handler would come out of whatever the event loop is doing just then.
    """
    # ignored in the background of a script, where nothing else would reach the event loop
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


def _quiet_settings() -> Settings:
    settings = Settings()
    configure_logging("warning", settings.log_format)
    return settings


def _url(settings: Settings) -> str:
    assert settings.database_url is not None  # noqa: S101 - `_server` has seen to it
    return settings.database_url.get_secret_value()


def _minute(instant: datetime | None) -> str:
    return "" if instant is None else instant.strftime("%Y-%m-%d %H:%M")


def _warn_of_unknown_variables() -> None:
    for name in unknown_variables(os.environ):
        _say(f"{name} is no setting; `servicelane settings` lists them.")


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def _fail(message: str) -> NoReturn:
    _say(message)
    sys.exit(1)


_OPENING = Opening(_with_factory, _has_database)
cli.add_typer(mapping.commands, name="mapping", context_settings={"obj": _OPENING})
cli.add_typer(quarantine.commands, name="quarantine", context_settings={"obj": _OPENING})
