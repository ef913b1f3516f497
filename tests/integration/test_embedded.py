"""The embedded server, with real processes that share it, die, and leave things behind."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import asyncpg
import psutil
import pytest

import app
from app.db import embedded, embedded_cluster, embedded_programs
from app.db.embedded_account import EmbeddedServerError
from app.db.embedded_programs import MAJOR

AS_ROOT = os.geteuid() == 0
ROOT_ONLY = pytest.mark.skipif(not AS_ROOT, reason="only root becomes another user")
CHILD = Path(__file__).with_name("use_embedded.py")
REPOSITORY = Path(app.__file__).parent.parent

type_of_child = subprocess.Popen[str]
Use = Callable[..., type_of_child]


@contextmanager
def new_folder() -> Iterator[Path]:
    """A folder that other users may pass through: pytest's own is closed."""
    folder = Path(tempfile.mkdtemp(prefix="servicelane-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    with new_folder() as folder:
        yield folder


@pytest.fixture
def new_home(open_folder: Path) -> Iterator[Path]:
    """A data folder to be, whose server is stopped in the end."""
    home = open_folder / "data"
    yield home
    if pid_file(home).exists():
        embedded.start(home).release()


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data folder with a database, to be copied: it takes a second to make one."""
    with new_folder() as folder:
        embedded.start(folder / "data").release()
        yield folder / "data"


@pytest.fixture
def home(new_home: Path, made: Path) -> Path:
    """A data folder with a stopped server."""
    subprocess.run(["cp", "-a", str(made), str(new_home)], check=True)
    return new_home


@pytest.fixture
def use() -> Iterator[Use]:
    """Start a process that uses the server of a folder; what is left of it is killed."""
    children: list[type_of_child] = []

    def start(
        home: Path, *, user: str | None = None, environment: dict[str, str] | None = None
    ) -> type_of_child:
        paths = {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), sysconfig.get_path("purelib")])}
        account = None if user is None else pwd.getpwnam(user)
        child = subprocess.Popen(
            [interpreter(user), str(CHILD), str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={**os.environ, **paths, **(environment or {})},
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


def interpreter(user: str | None) -> str:
    """A Python that a user can run: ours may lie in root's closed home."""
    if user is None:
        return sys.executable
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for program in (
        sys.executable,
        f"/usr/bin/python{version}",
        f"/usr/local/bin/python{version}",
    ):
        check = "import app, pydantic"
        environment = {"PYTHONPATH": f"{REPOSITORY}:{sysconfig.get_path('purelib')}"}
        if (
            Path(program).exists()
            and subprocess.run(
                ["/bin/sh", "-c", f'exec "$1" -c "{check}"', "sh", program],
                check=False,
                cwd="/",
                env=environment,
                user=user,
                capture_output=True,
            ).returncode
            == 0
        ):
            return program
    pytest.skip(f"{user} can't reach a Python with our packages")


def url_of(child: type_of_child) -> str:
    assert child.stdout is not None
    url = child.stdout.readline().strip()
    if not url:
        assert child.stderr is not None
        pytest.fail(f"the child failed: {child.stderr.read()}")
    return url


def end(child: type_of_child) -> None:
    child.communicate(timeout=60)
    assert child.returncode == 0


def kill(child: type_of_child) -> None:
    child.send_signal(signal.SIGKILL)
    child.wait()


def pid_file(home: Path) -> Path:
    return home / "postgres" / "data" / "postmaster.pid"


def server_of(home: Path) -> psutil.Process:
    return psutil.Process(int(pid_file(home).read_text().splitlines()[0]))


def kill_server(home: Path) -> None:
    server = server_of(home)
    server.kill()
    psutil.wait_procs([server], timeout=10)


async def started_at(url: str) -> datetime:
    answer = await ask(url, "SELECT pg_postmaster_start_time()")
    assert isinstance(answer, datetime)
    return answer


async def ask(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def stranger(home: Path) -> type_of_child:
    """A process that isn't PostgreSQL, of the user whom the server runs as."""
    owner = home.joinpath("postgres").stat().st_uid
    return subprocess.Popen(["sleep", "60"], text=True, user=owner if AS_ROOT else None)


async def test_it_is_made_started_and_stopped(new_home: Path) -> None:
    with embedded.start(new_home) as server:
        assert await ask(server.url(), "SELECT current_database()") == "servicelane"
        assert str(await ask(server.url(), "SHOW server_version")).startswith(MAJOR)
        running = server_of(new_home)

    assert not running.is_running() or running.status() == psutil.STATUS_ZOMBIE
    assert not pid_file(new_home).exists()


async def test_nobody_else_can_reach_it(home: Path) -> None:
    with embedded.start(home) as server:
        assert await ask(server.url(), "SHOW listen_addresses") == ""
        assert server_of(home).net_connections("tcp") == []
        closed = (home / "postgres").stat()
        assert stat.S_IMODE(closed.st_mode) == 0o700


async def test_uses_in_one_process_are_counted(home: Path) -> None:
    first, second = embedded.start(home), embedded.start(home)
    assert first.url() == second.url()

    first.release()
    first.release()
    assert await ask(second.url(), "SELECT 1") == 1

    second.release()
    assert not pid_file(home).exists()


async def test_two_processes_share_it_and_the_last_stops_it(home: Path, use: Use) -> None:
    first = use(home)
    second = use(home)
    url = url_of(first)
    assert url_of(second) == url

    end(first)
    assert await ask(url, "SELECT 1") == 1

    end(second)
    assert not pid_file(home).exists()


async def test_it_survives_a_kill_of_its_user_and_is_found_again(home: Path, use: Use) -> None:
    child = use(home)
    began = await started_at(url_of(child))
    kill(child)

    with embedded.start(home) as server:
        assert await started_at(server.url()) == began
    assert not pid_file(home).exists()


async def test_a_killed_user_counts_no_more(home: Path, use: Use) -> None:
    killed, other = use(home), use(home)
    url_of(killed)
    url_of(other)
    kill(killed)

    end(other)
    assert not pid_file(home).exists()


async def test_what_was_committed_outlives_a_kill_of_everything(home: Path, use: Use) -> None:
    child = use(home)
    await ask(url_of(child), "CREATE TABLE kept AS SELECT 42 AS answer")
    kill(child)
    kill_server(home)

    with embedded.start(home) as server:
        assert await ask(server.url(), "SELECT answer FROM kept") == 42


async def test_a_stale_pid_that_lives_again_is_not_believed(home: Path, use: Use) -> None:
    child = use(home)
    url_of(child)
    kill(child)
    kill_server(home)
    other = stranger(home)
    lines = pid_file(home).read_text().splitlines()
    pid_file(home).write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")

    with embedded.start(home) as server:
        assert await ask(server.url(), "SELECT 1") == 1
    assert other.poll() is None
    kill(other)


async def test_a_stop_hits_nobody_who_inherited_the_pid(home: Path) -> None:
    server = embedded.start(home)
    kill_server(home)
    other = stranger(home)
    lines = pid_file(home).read_text().splitlines()
    pid_file(home).write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")

    server.release()
    assert other.poll() is None
    kill(other)


async def test_processes_that_start_at_once_make_one_server(new_home: Path, use: Use) -> None:
    children = [use(new_home) for _ in range(3)]
    assert len({url_of(child) for child in children}) == 1
    for child in children:
        end(child)
    assert not pid_file(new_home).exists()


async def test_a_kill_while_it_is_made_leaves_no_half_one(new_home: Path, use: Use) -> None:
    child = use(new_home)
    until = time.monotonic() + 30
    while not list(new_home.glob("postgres/new-*/base")) and time.monotonic() < until:
        time.sleep(0.01)
    kill(child)

    with embedded.start(new_home) as server:
        assert await ask(server.url(), "SELECT 1") == 1
    assert [path.name for path in new_home.glob("postgres/new-*")] == []


async def test_the_environment_has_no_say(new_home: Path, use: Use) -> None:
    child = use(
        new_home,
        environment={
            "LC_ALL": "xx_XX.UTF-8",
            "LANG": "xx_XX.UTF-8",
            "PGHOST": "nowhere.invalid",
            "PGPORT": "1",
            "PGDATA": "/nonexistent",
            "PGOPTIONS": "-c nonsense=1",
        },
    )
    assert child.stdout is not None
    assert url_of(child).endswith(str(new_home / "postgres"))
    end(child)


async def test_a_long_path_gets_a_short_socket(open_folder: Path, home: Path) -> None:
    long = open_folder / ("很长" * 20)
    long.mkdir()
    with embedded.start(home.rename(long / "data with 'quotes'")) as server:
        assert await ask(server.url(), "SELECT 1") == 1
        folder = Path(server.url().split("host=")[1])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.rmdir()


async def test_a_path_with_odd_signs_works(open_folder: Path, home: Path) -> None:
    odd = home.rename(open_folder / """it's 100% "数据" & $more""")
    with embedded.start(odd) as server:
        assert await ask(server.url(), "SELECT 1") == 1


def test_data_of_another_version_are_left_alone(home: Path) -> None:
    embedded.start(home).release()
    (home / "postgres" / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedServerError, match="made by PostgreSQL 16"):
        embedded.start(home)


def test_a_server_that_cannot_start_says_why(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_cluster, "_LEFTOVER_SECONDS", 0.0)
    with pytest.raises(EmbeddedServerError, match="no_such_setting"):
        embedded.start(home, options={"no_such_setting": "1"})
    embedded.start(home).release()


@ROOT_ONLY
async def test_root_lets_another_user_run_it_and_opens_no_folder(
    open_folder: Path, new_home: Path
) -> None:
    before = [
        stat.S_IMODE(folder.stat().st_mode) for folder in (open_folder, *open_folder.parents)
    ]
    with embedded.start(new_home):
        assert server_of(new_home).uids().real != 0
        assert server_of(new_home).uids().effective != 0
    after = [stat.S_IMODE(folder.stat().st_mode) for folder in (open_folder, *open_folder.parents)]
    assert after == before


@ROOT_ONLY
def test_root_is_told_of_a_closed_parent(open_folder: Path, new_home: Path) -> None:
    open_folder.chmod(0o700)
    with pytest.raises(EmbeddedServerError, match="SERVICELANE_DATA_DIR"):
        embedded.start(new_home)
    assert stat.S_IMODE(open_folder.stat().st_mode) == 0o700


@ROOT_ONLY
async def test_roots_closed_data_folder_is_opened_to_the_account_alone(new_home: Path) -> None:
    new_home.mkdir(mode=0o700)
    with embedded.start(new_home) as server:
        assert await ask(server.url(), "SELECT 1") == 1
    assert stat.S_IMODE(new_home.stat().st_mode) == 0o710


@ROOT_ONLY
def test_a_closed_folder_with_other_things_in_it_is_not_touched(new_home: Path) -> None:
    new_home.mkdir(mode=0o700)
    (new_home / "secret.txt").touch()
    with pytest.raises(EmbeddedServerError, match="SERVICELANE_DATA_DIR"):
        embedded.start(new_home)
    assert stat.S_IMODE(new_home.stat().st_mode) == 0o700


@ROOT_ONLY
async def test_programs_in_a_closed_folder_are_copied(
    open_folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = embedded_programs._wheel_programs()
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    package = place.parent.parent
    shutil.copytree(place.parent, closed / package.name / place.parent.name)
    shutil.copytree(f"{package}.libs", closed / f"{package.name}.libs")
    there = closed / place.relative_to(package.parent)
    monkeypatch.setattr(embedded_programs, "_wheel_programs", lambda: there)

    with embedded.start(home) as server:
        assert await ask(server.url(), "SELECT 1") == 1
        assert Path(server_of(home).exe()).is_relative_to(home / "programs")
    with embedded.start(home) as server:
        assert await ask(server.url(), "SELECT 1") == 1
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@ROOT_ONLY
async def test_an_ordinary_user_runs_it_after_root_did(open_folder: Path, use: Use) -> None:
    """In a folder of the user's: neither the data nor a lock file of root's shuts it out."""
    home = open_folder / "nobody"
    home.mkdir(mode=0o700)
    shutil.chown(home, "nobody")
    with embedded.start(home):
        assert server_of(home).username() == "nobody"

    child = use(home, user="nobody")
    assert url_of(child)
    with embedded.start(home) as server:  # root and the user share it
        assert await ask(server.url(), "SELECT 1") == 1
        assert server_of(home).username() == "nobody"
        end(child)
        assert await ask(server.url(), "SELECT 1") == 1
    assert not pid_file(home).exists()


@ROOT_ONLY
def test_an_ordinary_user_is_told_of_a_folder_that_is_not_theirs(home: Path, use: Use) -> None:
    embedded.start(home).release()
    child = use(home, user="nobody")
    _, said = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "belongs to root" in said
    assert "SERVICELANE_DATA_DIR" in said
