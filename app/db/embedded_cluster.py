"""The database cluster of a data folder: made, started and stopped, whatever was killed before.

Call it under the start lock. The layout of the folder is told in `app.db.embedded`.
"""

import fcntl
import hashlib
import os
import pwd
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil
import structlog

from app.db.embedded_account import EmbeddedServerError, ServerAccount, server_account, user_name
from app.db.embedded_programs import MAJOR, ServerPrograms
from app.db.embedded_settings import configuration

_log = structlog.get_logger(__name__)

DATABASE: Final = "servicelane"
SUPERUSER: Final = "postgres"

_SOCKET_NAME: Final = ".s.PGSQL.5432"
_SOCKET_LENGTH: Final = 100  # the least that systems allow for the path of a socket is 104
_DEAD_PID: Final = 2_147_483_647  # above every system's largest pid
_ACCEPTING, _REJECTING = 0, 1  # what pg_isready answers
_POLL_SECONDS: Final = 0.1
_LEFTOVER_SECONDS: Final = 15.0
_LOG_KEPT_BYTES: Final = 10 * 1024 * 1024

# an initdb whose starter was killed goes on, until it misses its files
_REMOVE_HALF_MADE: Final = """
for again in 1 2 3 4 5 6 7 8 9; do rm -rf -- "$1"/new-* && exit 0; sleep 0.5; done; exit 1
"""


class Cluster:
    """The folder, the account and the programs of one server. Call it under the start lock."""

    def __init__(
        self, home: Path, account: pwd.struct_passwd | None, timeout_seconds: float
    ) -> None:
        self.home = home
        self.account = account
        self.timeout_seconds = timeout_seconds
        self.root = home / "postgres"
        self.data = self.root / "data"
        self.log = self.root / "server.log"
        self._runner = ServerAccount(self.root, account)
        self._programs = ServerPrograms(home, self._runner)

    @classmethod
    def of(cls, data_dir: Path, timeout_seconds: float) -> "Cluster":
        """Make the folder if it isn't there, and find out who is to run its server."""
        home = data_dir.expanduser().resolve()
        as_root = os.geteuid() == 0
        try:
            home.parent.mkdir(parents=True, exist_ok=True)
            home.mkdir(mode=0o711 if as_root else 0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise EmbeddedServerError(
                f"The data folder {home} can't be made: {error.strerror}. "
                "Name another one with SERVICELANE_DATA_DIR."
            ) from error
        owner = home.stat().st_uid
        if not as_root and owner != os.geteuid():
            raise EmbeddedServerError(
                f"The data folder {home} belongs to {user_name(owner)}. Run as that user, or "
                "name another folder with SERVICELANE_DATA_DIR."
            )
        return cls(home, server_account(home, owner) if as_root else None, timeout_seconds)

    # Locks

    def open_lock(self, name: str) -> int:
        """A new descriptor of a lock file, never handed on to children."""
        descriptor = os.open(
            self.home / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        owner = self.home.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:  # leave no file that locks its owner out
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return descriptor

    @contextmanager
    def start_lock(self) -> Iterator[None]:
        """Hold the lock under which a server is started or stopped."""
        descriptor = self.open_lock("start.lock")
        try:
            if not self._wait_until(lambda: _locked(descriptor)):
                raise EmbeddedServerError(
                    f"Another process has been starting or stopping the database in {self.home} "
                    f"for {self.timeout_seconds:.0f} seconds. Its log is {self.log}."
                )
            yield
        finally:
            os.close(descriptor)

    # Making

    def ensure_made(self) -> None:
        """Make the cluster with its database unless it is there.

        It is made beside its place and then moved, so that a kill in between leaves no half one.
        """
        with suppress(FileExistsError):
            self.root.mkdir(mode=0o700)
            if self.account is not None:
                os.chown(
                    self.root, self.account.pw_uid, self.account.pw_gid, follow_symlinks=False
                )
        if not self._enters(self.root):
            self._let_account_in()
        if not self._enters(self.root):
            raise EmbeddedServerError(
                f"The server runs as {self._runner.name}, which can't enter {self.root}: a folder "
                "above it is closed. Name an open place with SERVICELANE_DATA_DIR, such as "
                "/var/lib/servicelane."
            )
        version = self._runner.read(self.data / "PG_VERSION")
        if version is None:
            self._make()
        elif version.strip() != MAJOR:
            raise EmbeddedServerError(
                f"{self.data} was made by PostgreSQL {version.strip()}, this version of "
                f"Servicelane brings PostgreSQL {MAJOR}. Move the data with pg_dump, or set "
                "SERVICELANE_DATABASE_URL."
            )

    def _enters(self, folder: Path) -> bool:
        return self._runner.run("sh", "-c", 'cd -- "$1"', "sh", str(folder)).returncode == 0

    def _let_account_in(self) -> None:
        """Let the account, and nobody else, pass through root's closed data folder.

        Only that folder, and only if it holds nothing of anybody else's.
        """
        own = {"start.lock", "users.lock", "postgres", "programs"}
        there = self.home.stat()
        if (
            self.account is None
            or there.st_uid != 0
            or not {path.name for path in self.home.iterdir()} <= own
        ):
            return
        os.chown(self.home, -1, self.account.pw_gid)
        self.home.chmod(stat.S_IMODE(there.st_mode) & 0o707 | stat.S_IXGRP)

    def _make(self) -> None:
        _log.info("embedded_server_made", data_dir=str(self.home))
        new = self.root / f"new-{secrets.token_hex(8)}"  # a killed maker's children write on
        self._runner.checked("sh", "-c", _REMOVE_HALF_MADE, "sh", str(self.root))
        self._runner.checked(
            self._programs.path("initdb"),
            f"--pgdata={new}",
            f"--username={SUPERUSER}",
            "--auth-local=trust",  # whoever reaches the socket, which lies in a closed folder
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C",  # the one locale that every system has
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        )
        self._runner.checked(
            self._programs.path("postgres"),
            "--single",
            "-c",
            "exit_on_error=on",
            "-D",
            str(new),
            "template1",
            given=f"CREATE DATABASE {DATABASE}\n",
        )
        self._runner.checked(
            "sh",
            "-c",
            'echo "include \'servicelane.conf\'" >> "$1"',
            "sh",
            f"{new}/postgresql.conf",
        )
        self._runner.checked("mv", str(new), str(self.data))

    # Starting and stopping

    def ensure_running(self, options: Mapping[str, str]) -> None:
        """Return when the server takes connections; what the pid file says is not believed."""
        until = time.monotonic() + self.timeout_seconds
        leftovers_until = time.monotonic() + _LEFTOVER_SECONDS
        trouble: str | None = None
        while (answer := self._isready()) != _ACCEPTING:
            if answer == _REJECTING or self._alive():
                # it starts, recovers, or stops: on its own, or for a process that was killed
                if time.monotonic() > until:
                    raise EmbeddedServerError(
                        f"PostgreSQL in {self.data} has not taken connections for "
                        f"{self.timeout_seconds:.0f} seconds; it may still be recovering. Look at "
                        f"{self.log} and start again later."
                    )
                time.sleep(_POLL_SECONDS)
                continue
            if trouble is not None:
                if time.monotonic() > leftovers_until:
                    raise EmbeddedServerError(
                        f"PostgreSQL did not start in {self.data}: {trouble}\n"
                        f"The end of {self.log}:\n{self._log_end()}"
                    )
                time.sleep(1)  # a killed server's children keep its memory until they notice
            trouble = self._start(options)

    def stop(self) -> None:
        """Stop the server; returns when it is gone."""
        if not self._alive():  # pg_ctl would send its signal to whoever has that number now
            return
        done = self._runner.run(
            self._programs.path("pg_ctl"),
            "stop",
            f"--pgdata={self.data}",
            "--mode=fast",
            "--silent",
            "--wait",
            f"--timeout={self.timeout_seconds:.0f}",
        )
        if done.returncode == 0:
            _log.info("embedded_server_stopped", data_dir=str(self.home))
        else:
            _log.warning("embedded_server_not_stopped", reason=done.stdout.strip())

    def _start(self, options: Mapping[str, str]) -> str:
        """Try to start the server; returns what pg_ctl said."""
        self._disarm_pid_file()
        settings = configuration(self._suitable_socket_dir(), options, cluster_name=DATABASE)
        self._runner.write(self.data / "servicelane.conf", settings)
        self._shorten_log()
        _log.info("embedded_server_starting", data_dir=str(self.home), log=str(self.log))
        return self._runner.run(
            self._programs.path("pg_ctl"),
            "start",
            f"--pgdata={self.data.name}",  # relative: pg_ctl hands paths to a shell
            f"--log={self.log.name}",
            "--silent",
            "--wait",
            f"--timeout={self.timeout_seconds:.0f}",
        ).stdout.strip()

    # The pid file: first its number, then (fifth) the folder of the socket

    def _pid_lines(self) -> list[str]:
        return (self._runner.read(self.data / "postmaster.pid") or "").splitlines()

    def _pid(self) -> int | None:
        lines = self._pid_lines()
        return int(lines[0]) if lines and lines[0].strip().isdigit() else None

    def socket_dir(self) -> Path:
        """The folder of the socket, as the server has written it down when it started."""
        lines = self._pid_lines()
        if len(lines) > 4 and lines[4].strip():  # noqa: PLR2004  the fifth line
            return Path(lines[4].strip())
        return self._suitable_socket_dir()

    def _alive(self) -> bool:
        """Whether the process whose number is in the pid file is the server of this cluster."""
        pid = self._pid()
        if pid is None:
            return False
        try:
            process = psutil.Process(pid)
            return process.status() != psutil.STATUS_ZOMBIE and (
                Path(process.cwd()).samefile(self.data) and "postgres" in process.name()
            )
        except (psutil.Error, OSError):  # gone, or somebody else's
            return False

    def _disarm_pid_file(self) -> None:
        """Take the number out of a stale pid file: it may live again as another program's.

        The rest stays: by it PostgreSQL finds children of the killed server that still hold its
        shared memory.
        """
        lines = self._pid_lines()
        if lines:
            lines[0] = str(_DEAD_PID)
            self._runner.write(self.data / "postmaster.pid", "\n".join(lines) + "\n")

    def _isready(self) -> int:
        return self._runner.run(
            self._programs.path("pg_isready"),
            "--quiet",
            f"--host={self.socket_dir()}",
            "--timeout=5",
            f"--dbname={DATABASE}",
            f"--username={SUPERUSER}",
        ).returncode

    def _suitable_socket_dir(self) -> Path:
        """The cluster's own folder, or a closed one in a shorter place where its path is long."""
        if len(os.fsencode(self.root / _SOCKET_NAME)) <= _SOCKET_LENGTH:
            return self.root
        owner = os.geteuid() if self.account is None else self.account.pw_uid
        name = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        short = Path(tempfile.gettempdir()) / f"servicelane-{name}"
        try:
            short.mkdir(mode=0o700)
            if self.account is not None:
                os.chown(short, owner, self.account.pw_gid, follow_symlinks=False)
        except FileExistsError:
            there = short.lstat()
            if not stat.S_ISDIR(there.st_mode) or there.st_uid != owner or there.st_mode & 0o077:
                raise EmbeddedServerError(
                    f"{short} is not a closed folder of {self._runner.name}, somebody else made "
                    "it. Remove it, or name a data folder with a shorter path."
                ) from None
        return short

    def _shorten_log(self) -> None:
        script = '[ ! -f "$1" ] || [ "$(wc -c < "$1")" -le "$2" ] || mv -- "$1" "$1.old"'
        self._runner.checked("sh", "-c", script, "sh", str(self.log), str(_LOG_KEPT_BYTES))

    def _log_end(self) -> str:
        return "\n".join((self._runner.read(self.log) or "").splitlines()[-10:])

    def _wait_until(self, is_so: Callable[[], bool]) -> bool:
        until = time.monotonic() + self.timeout_seconds
        while not is_so():
            if time.monotonic() > until:
                return False
            time.sleep(_POLL_SECONDS)
        return True


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
