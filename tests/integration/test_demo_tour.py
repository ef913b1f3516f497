"""The demo as a visitor runs it: from an empty folder to the tour, and nothing left behind."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from app.demo.serving import DemoError, base_url, free_port
from tests.integration.test_cli import environment
from tests.support.ports import reserved_port

TOUR_SECONDS = 240
STOP_SECONDS = 60


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="servicelane-demo-"))
    folder.chmod(0o711)  # as root, the database server runs as another user
    yield folder / "data"
    shutil.rmtree(folder)


class Visit:
    """A running demo and what it said, line by line in a file."""

    def __init__(self, data_dir: Path, log: Path, port: int, *words: str) -> None:
        self.log = log
        self.data_dir = data_dir
        self.port = port
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    "from app.cli import main; main()",
                    "demo",
                    "--port",
                    str(self.port),
                    *words,
                ],
                env=environment(data_dir=str(data_dir), sandbox="0"),
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        until = time.monotonic() + TOUR_SECONDS
        while text not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < until, self.said()
            time.sleep(0.2)

    def leftovers(self) -> list[str]:
        """What still runs in its folder, or was told of it."""
        left = []
        for process in psutil.process_iter():
            try:
                traces = [process.cwd(), *process.cmdline(), *process.environ().values()]
                if any(str(self.data_dir) in trace for trace in traces):
                    left.append(" ".join(process.cmdline()))
            except psutil.Error:  # it has just ended, or is somebody else's
                continue
        return left

    def assert_nothing_is_left(self) -> None:
        assert self.leftovers() == []
        assert not (self.data_dir / "demo/database/postgres/data/postmaster.pid").exists()
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", self.port)) != 0


@pytest.fixture
def visit(data_dir: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Visit]:
    with reserved_port() as port:
        running = Visit(data_dir, tmp_path / "said.txt", port, "--months", "1", *request.param)
        yield running
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
            running.process.wait(STOP_SECONDS)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("visit", [[]], indirect=True)
def test_the_tour_then_ctrl_c_leaves_nothing_running(visit: Visit) -> None:
    visit.wait_for("The service stays up until Ctrl-C")
    said = visit.said()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", said)
    assert "Each had the outcome that it was made for" in said
    assert "On-time delivery rate 准时交车率" in said
    assert "● decided the verdict" in said
    assert "follow_up.overdue, webhook-id" in said
    assert "follow_up.resolved, webhook-id" in said

    found = re.search(r"^ +(sl_\w+)$", said, re.MULTILINE)
    assert found is not None
    url = base_url("127.0.0.1", visit.port)
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {found[1]}"}) as client:
        assert client.get("/docs").status_code == 200
        for path in re.findall(rf"'{url}(/\S+)'", said):
            answer = client.get(path)
            assert answer.status_code == 200, (path, answer.text)
            assert answer.json()
        assert client.get("/v1/stores", headers={"Authorization": ""}).status_code == 401

    visit.process.send_signal(signal.SIGINT)
    assert visit.process.wait(STOP_SECONDS) == 0
    assert "Traceback" not in visit.said()
    visit.assert_nothing_is_left()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("visit", [["--exit"]], indirect=True)
def test_sigterm_in_the_middle_leaves_nothing_running(visit: Visit) -> None:
    visit.wait_for(" events, ")
    visit.process.send_signal(signal.SIGTERM)
    assert visit.process.wait(STOP_SECONDS) == 0
    assert "Traceback" not in visit.said()
    visit.assert_nothing_is_left()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("visit", [["--exit"]], indirect=True)
def test_a_demo_that_is_killed_takes_its_service_along(visit: Visit) -> None:
    visit.wait_for(" events, ")
    visit.process.kill()
    visit.process.wait()
    until = time.monotonic() + STOP_SECONDS
    while visit.leftovers() and time.monotonic() < until:
        time.sleep(0.2)
    visit.assert_nothing_is_left()


def test_a_port_that_is_taken_is_told_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DemoError, match=f"(?s)Port {port} .*--port {port + 1}"):
            free_port("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_the_url_is_one_that_this_machine_can_open(host: str, url: str) -> None:
    assert base_url(host, 8000) == url
