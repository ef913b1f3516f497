"""The operator's commands, as processes of their own where it matters."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import asyncpg
import httpx
import pytest

from app.db import migrations
from app.settings import PREFIX, Settings
from tests.support.facts import event, opened
from tests.support.ports import reserved_port

SECONDS = 120

Serve = Callable[..., "Served"]


@dataclass
class Ran:
    """What came of a command."""

    code: int
    out: str
    err: str


class Served:
    """A process that serves, and the client of its port."""

    def __init__(self, process: subprocess.Popen[str], log: Path, client: httpx.Client) -> None:
        self.process = process
        self.log = log
        self.client = client

    def wait_until_ready(self) -> None:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if self.client.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


def environment(**variables: str) -> dict[str, str]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return outside | {PREFIX + name.upper(): value for name, value in variables.items()}


def run(*commands: list[str], **variables: str) -> list[Ran]:
    """Run commands to their ends, one after the other, under the same settings."""
    given = {PREFIX + name.upper(): value for name, value in variables.items()}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("use_cli.py"))],
        env=environment(),
        input=json.dumps([{"words": words, "variables": given} for words in commands]),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    ran = [Ran(**result) for result in json.loads(done.stdout)]
    assert not any("Traceback" in result.err for result in ran)
    return ran


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start to serve; what is left of it is killed."""
    left: list[Served] = []
    ports = ExitStack()

    def start(**variables: str) -> Served:
        port = ports.enter_context(reserved_port())
        log = tmp_path / f"{port}.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", "from app.cli import main; main()", "serve"],
                env=environment(port=str(port), **variables),
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
            )
        served = Served(process, log, httpx.Client(base_url=f"http://127.0.0.1:{port}"))
        left.append(served)
        return served

    yield start
    for served in left:
        served.client.close()
        if served.process.poll() is None:
            served.process.kill()
            served.process.wait(SECONDS)
    ports.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_ends_quietly_when_asked_to(
    serve: Serve, database_url: str, number: signal.Signals
) -> None:
    served = serve(database_url=database_url)
    served.wait_until_ready()
    assert served.client.get("/healthz").json()["sandbox"] is False
    assert served.client.put("/v1/stores/S1", json={"name": "S1"}).status_code == 201
    with closing(HTTPConnection("127.0.0.1", served.client.base_url.port)) as reader:
        # who is held for news is not waited for, and still gets an answer
        reader.request("GET", "/v1/stores/S1/events?wait=60")
        for _ in range(5):  # it came before these
            assert served.client.get("/v1/stores/S1/events").json()["items"] == []
        assert served.stop(number) == 0
        answer = reader.getresponse()
        assert json.load(answer) == {"items": [], "next_after": "0", "head": "0"}
    log = served.log.read_text()
    assert "Traceback" not in log
    assert all(json.loads(line)["level"] in {"info", "warning"} for line in log.splitlines())


def test_without_a_database_url_the_embedded_server_is_started_and_stopped(serve: Serve) -> None:
    folder = Path(tempfile.mkdtemp(prefix="servicelane-test-"))
    folder.chmod(0o711)  # as root, the server runs as another user
    try:
        served = serve(data_dir=str(folder / "data"), sandbox="1")
        served.wait_until_ready()
        pid_file = folder / "data" / "postgres" / "data" / "postmaster.pid"
        assert pid_file.exists()
        assert served.client.get("/healthz").json()["sandbox"] is True
        assert "SANDBOX" in served.log.read_text()
        assert served.stop(signal.SIGTERM) == 0
        assert not pid_file.exists()
    finally:
        shutil.rmtree(folder)


def test_no_other_address_is_served_before_there_is_a_key(serve: Serve, database_url: str) -> None:
    refused, issued = run(
        ["serve", "--host", "0.0.0.0"],
        ["keys", "issue", "first", "--all-scopes"],
        database_url=database_url,
    )
    assert refused.code == 1
    for way_out in ("servicelane keys issue", "SERVICELANE_SETUP_TOKEN", "SERVICELANE_HOST"):
        assert way_out in refused.err
    assert issued.code == 0
    served = serve(host="0.0.0.0", database_url=database_url)
    served.wait_until_ready()


def test_an_outdated_schema_is_not_served_and_migrated_by_a_command(
    empty_database_url: str,
) -> None:
    refused, migrated, again = run(
        ["serve"], ["migrate"], ["migrate"], database_url=empty_database_url
    )
    head = migrations.expected_revision()
    assert refused.code == 1
    assert "servicelane migrate" in refused.err
    assert (migrated.code, migrated.out) == (0, f"empty -> {head}\n")
    assert (again.code, again.out) == (0, f"at {head} already\n")


def test_a_database_that_is_away_is_told_in_a_sentence() -> None:
    with reserved_port() as port:
        (refused,) = run(["serve"], database_url=f"postgresql://127.0.0.1:{port}/none")
    assert refused.code == 1
    assert "Connect" in refused.err


def test_keys_are_issued_listed_and_revoked(database_url: str) -> None:
    words = ["--scope=events:write", "--scope=stores:read", "--store=SH01"]
    issued, listed, unknown = run(
        ["keys", "issue", "工单系统 [dms]", *words],
        ["keys", "list"],
        ["keys", "revoke", "nothing"],
        database_url=database_url,
    )
    token = issued.out.strip()
    assert token.startswith("sl_")
    assert token not in listed.out
    assert "There is no store SH01 yet" in issued.err
    for shown in ("工单系统 [dms]", "events:write, stores:read", "SH01"):
        assert shown in listed.out
    assert (unknown.code, unknown.err) == (1, "There is no key nothing.\n")
    key_id = issued.err.split()[1]
    (revoked,) = run(["keys", "revoke", key_id], database_url=database_url)
    assert revoked.out == f"revoked {key_id} (工单系统 [dms])\n"


def test_a_key_is_widened_by_name_and_by_nothing_else(database_url: str) -> None:
    (issued,) = run(["keys", "issue", "desk", "--all-scopes"], database_url=database_url)
    key_id = issued.err.split()[1]
    # as an older version issued it, which knew two scopes less
    asyncio.run(_take_scopes(database_url, "metrics:read", "sandbox:write"))
    listed, one, unnamed, rest, all_of_it = run(
        ["keys", "list"],
        ["keys", "widen", key_id, "--scope=metrics:read"],
        ["keys", "widen", key_id],
        ["keys", "widen", key_id, "--all-scopes"],
        ["keys", "list"],
        database_url=database_url,
    )
    assert "all but metrics:read, sandbox:write" in " ".join(listed.out.split())
    assert one.out == f"{key_id} (desk): all but sandbox:write\n"
    assert unnamed.code != 0
    assert rest.out == f"{key_id} (desk): all\n"
    assert "all but" not in all_of_it.out
    _, revoked, unknown = run(
        ["keys", "revoke", key_id],
        ["keys", "widen", key_id, "--all-scopes"],
        ["keys", "widen", "nothing", "--all-scopes"],
        database_url=database_url,
    )
    assert (revoked.code, revoked.err) == (
        1,
        f"Key {key_id} was revoked. Issue another one.\n",
    )
    assert (unknown.code, unknown.err) == (1, "There is no key nothing.\n")


async def _take_scopes(database_url: str, *scopes: str) -> None:
    connection = await asyncpg.connect(database_url)
    for scope in scopes:
        await connection.execute("UPDATE access_key SET scopes = array_remove(scopes, $1)", scope)
    await connection.close()


def test_a_key_is_issued_for_named_rights_only() -> None:
    for refused in run(
        ["keys", "issue", "x"],
        ["keys", "issue", "x", "--all-scopes", "--scope=events:write"],
        ["keys", "issue", "x", "--scope=everything"],
        database_url="postgresql://unused/unused",
    ):
        assert refused.code != 0
        assert "scope" in refused.err


def test_settings_are_shown_and_slips_are_told(tmp_path: Path) -> None:
    path = tmp_path / "openapi.json"
    shown, as_json, exported = run(
        ["settings"],
        ["settings", "--json"],
        ["openapi", "export", str(path)],
        port="8080",
        prot="1",
        setup_token="geheim-geheim-geheim",
    )
    assert "SERVICELANE_PORT=8080" in shown.out
    assert "geheim" not in shown.out + as_json.out
    assert "SERVICELANE_PROT is no setting" in shown.err
    assert len(json.loads(as_json.out)) == len(Settings.model_fields)
    assert exported.code == 0  # and needs no database
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["info"]["title"] == "Servicelane"


def test_a_setting_that_makes_no_sense_is_told_in_a_sentence() -> None:
    (refused,) = run(["serve"], port="none")
    assert refused.code == 2
    assert refused.err.startswith("SERVICELANE_PORT: ")


def test_the_quarantine_is_worked_with_on_a_terminal(
    serve: Serve, database_url: str, tmp_path: Path
) -> None:
    served = serve(database_url=database_url)
    served.wait_until_ready()
    assert served.client.put("/v1/stores/S1", json={"name": "S1"}).status_code == 201
    sent = [
        opened("R1", "2026-06-01 09:00:00"),
        opened("R2", "2026-06-01 09:00:00", plate="[沪A]"),
        opened("R3", advisor=None),
        event("tyre.rotated", "R4"),
        event("tyre.rotated", "R5"),
    ]
    assert served.client.post("/v1/events", json=sent).json()["quarantined"] == 5
    items = served.client.get("/v1/quarantine").json()["items"]
    one, two, three = (item["quarantine_id"] for item in items[:3])
    patch = tmp_path / "patch.json"
    patch.write_text('[{"op": "replace", "path": "/data/advisor", "value": "A1"}]')
    table, listed, shown, as_json, rehearsed, replayed, patched = run(
        ["quarantine", "list"],
        ["quarantine", "list", "--fault=/time", "--json"],
        ["quarantine", "show", two],
        ["quarantine", "show", one, "--json"],
        ["quarantine", "replay", "--fault=/time", "--apply=add-store-offset", "--dry-run"],
        ["quarantine", "replay", "--fault=/time", "--apply=add-store-offset"],
        ["quarantine", "replay", three, f"--patch={patch}"],
        database_url=database_url,
    )
    assert [ran.code for ran in (table, listed, shown, as_json, rehearsed, replayed)] == [0] * 6
    for text in (one, "invalid-data", "R3", "/data/advisor missing", "unknown-type"):
        assert text in table.out
    assert [item["quarantine_id"] for item in json.loads(listed.out)] == [one, two]
    for text in ("[沪A]", "add-store-offset", "not-an-instant", "without an offset"):
        assert text in shown.out
    assert json.loads(as_json.out)["suggestions"][0]["settles"] is True
    assert "rehearsal" in rehearsed.out
    assert "finished" in replayed.out
    assert "replayed as 3" in patched.out
    assert "corrected by" in patched.out
    discarded, refused, mixed, unknown, odd, nothing = run(
        ["quarantine", "discard", "--type=tyre.rotated", "--because=a test"],
        ["quarantine", "discard", "--because=everything"],
        ["quarantine", "discard", one, "--dry-run", "--because=x"],
        ["quarantine", "show", "nothing"],
        ["quarantine", "replay", one, f"--event={patch}"],
        ["quarantine", "replay", one],
        database_url=database_url,
    )
    assert discarded.code == 0
    assert [ran.code for ran in (refused, mixed, unknown, odd, nothing)] == [2, 2, 1, 2, 1]
    assert "at least one criterion" in refused.err
    assert "filters and --dry-run" in mixed.err
    assert unknown.err == "There is no item nothing in quarantine.\n"
    assert "object" in odd.err
    assert "was replayed" in nothing.err
    assert served.client.get("/v1/quarantine").json()["items"] == []
    gone = served.client.get("/v1/quarantine", params={"state": "discarded"}).json()["items"]
    assert {item["discard_reason"] for item in gone} == {"a test"}
    assert all("command line" in item["resolved_by"]["name"] for item in gone)
