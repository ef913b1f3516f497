"""The service of the demo: a database made anew, and `servicelane serve` in a process of its own.

Nothing of it outlives the demo, however that ends: the process ends when its standard input does,
and the last user of the embedded database stops it. Real data is never touched: the demo has a
folder of its own inside the data folder, and takes none of the settings of the environment.
"""

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import httpx
from uvicorn.importer import import_from_string

from app.db import embedded, migrations
from app.db.embedded_cluster import DATABASE
from app.settings import PREFIX

READY_SECONDS: Final = 60
STOP_SECONDS: Final = 20

_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TAIL: Final = 15


class DemoError(Exception):
    """The demo can't go on; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a demo lives: its folder, and its database, empty and migrated."""

    folder: Path
    database_url: str

    @property
    def log(self) -> Path:
        """What the service writes while the demo talks."""
        return self.folder / "service.log"

    @property
    def database(self) -> Path:
        """The data folder of the embedded server."""
        return self.folder / "database"


@contextmanager
def new_place(data_dir: Path) -> Iterator[Place]:
    """Start an embedded server for the demo alone, with an empty database; drop it in the end.

    Raises:
        DemoError: Another demo uses the folder.
        EmbeddedServerError: The server can't be started.
    """
    folder = data_dir / "demo"
    _make_folder(data_dir)
    _make_folder(folder)
    with _only_user(folder), embedded.start(folder / "database") as server:
        asyncio.run(_drop_database(server.url("postgres"), make=True))
        try:
            asyncio.run(migrations.upgrade(server.url()))
            yield Place(folder, server.url())
        finally:
            ignore_signals()
            with suppress(asyncpg.PostgresError, OSError):
                asyncio.run(_drop_database(server.url("postgres")))


@contextmanager
def served(place: Place, host: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Serve the place in a process of its own; stops it in the end.

    Raises:
        DemoError: It did not start; the end of its log is told.
    """
    settings = {
        "data_dir": str(place.database),
        "host": host,
        "port": str(port),
        "sandbox": "1",
        "webhook_allowed_networks": "127.0.0.0/8",
        "log_format": "json",
    }
    with place.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.demo.serving", "serve"],
            env=_environment(settings),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C is for the demo, which stops it in good order
        )
    try:
        _wait_until_ready(process, place, base_url(host, port))
        yield process
    finally:
        ignore_signals()
        _stop(process)


def free_port(host: str, port: int) -> int:
    """Tell the port to serve on: the one that is wanted, or a free one for 0.

    Raises:
        DemoError: It is taken, or the host is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            message = (
                f"Port {port} of {host} can't be used: {error.strerror}.\n"
                f'Name another one: make demo ARGS="--port {port + 1}" '
                f"(or servicelane demo --port {port + 1}, or {PREFIX}PORT)."
            )
            raise DemoError(message) from error
        chosen: int = probe.getsockname()[1]
        return chosen


def base_url(host: str, port: int) -> str:
    """Tell the URL by which the service is reached from this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - only compared
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def ignore_signals() -> None:
    """Clean up in peace: whoever is impatient now would leave something running."""
    if threading.current_thread() is threading.main_thread():
        for number in _ENDS:
            signal.signal(number, signal.SIG_IGN)


def main() -> None:
    """Be the process that serves: run the command line, until the starter is gone."""
    threading.Thread(target=_end_with_starter, daemon=True).start()
    import_from_string("app.cli:main")()


def _end_with_starter() -> None:
    os.read(sys.stdin.fileno(), 1)  # ends when the other end of the pipe is closed, by a kill too
    os.kill(os.getpid(), signal.SIGTERM)


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return outside | {PREFIX + name.upper(): value for name, value in settings.items()}


def _make_folder(folder: Path) -> None:
    """Make a folder that root's server account can pass through."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


@contextmanager
def _only_user(folder: Path) -> Iterator[None]:
    with (folder / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = (
                f"A demo is running already, in {folder}. End it first, or give this one another "
                f"folder with {PREFIX}DATA_DIR."
            )
            raise DemoError(message) from error
        yield


async def _drop_database(server_url: str, *, make: bool = False) -> None:
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        if make:
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()


def _wait_until_ready(process: subprocess.Popen[bytes], place: Place, url: str) -> None:
    until = time.monotonic() + READY_SECONDS
    with httpx.Client(base_url=url, trust_env=False) as client:
        while process.poll() is None and time.monotonic() < until:
            with suppress(httpx.TransportError):
                if client.get("/readyz").is_success:
                    return
            time.sleep(0.1)
    lines = place.log.read_text(errors="replace").splitlines()[-_TAIL:]
    message = "The service did not start. The end of its log:\n" + "\n".join(lines)
    raise DemoError(message)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


if __name__ == "__main__":
    main()
