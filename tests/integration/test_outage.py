"""The database server itself dies and comes back, in the middle of everything at once."""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson
import psutil
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.db import embedded, migrations
from app.domain.access import LOCAL
from app.factory import Factory
from app.main import create_app
from app.services.import_report import ImportReport
from app.settings import Settings
from tests.support.facts import opened
from tests.support.inbox import lines, tree
from tests.support.logs import check_store

MANY = 4_000
"""Events of each way in: four chunks."""

NAIVE = "2026-06-01 09:00:00"
BULK, FILE, INBOX, REPLAYED = STORES = ("BULK", "FILE", "INBOX", "REPLAYED")
NDJSON = {"Content-Type": "application/x-ndjson", "Prefer": "return=minimal"}


class Server:
    """A database server of the test's own, whose death nobody else notices."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._uses = [self._use()]

    @property
    def url(self) -> str:
        return self._uses[0].url()

    def die(self) -> None:
        """End at once, in the middle of whatever it does; what was committed is on disk."""
        pid_file = self._home / "postgres" / "data" / "postmaster.pid"
        server = psutil.Process(int(pid_file.read_text().splitlines()[0]))
        server.send_signal(signal.SIGQUIT)
        server.wait(60)

    def come_back(self) -> None:
        self._uses.append(self._use())

    def end(self) -> None:
        for use in self._uses:
            use.release()

    def _use(self) -> embedded.EmbeddedServer:
        return embedded.start(self._home, options={"fsync": "off"})


@pytest.fixture
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="servicelane-test-"))
    folder.chmod(0o711)  # as root, the server runs as another user
    try:
        made = Server(folder / "data")
        try:
            yield made
        finally:
            made.end()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
async def app(server: Server, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """The service with all its ticks, as it is served."""
    await migrations.upgrade(server.url)
    settings = Settings(
        database_url=SecretStr(server.url),
        inbox_dir=tmp_path / "inbox",
        inbox_interval_seconds=0.1,
        inbox_settle_seconds=0,
    )
    (tmp_path / "inbox" / INBOX).mkdir(parents=True)
    made = create_app(settings)
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 50_000))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1", timeout=120
    ) as made:
        for store_id in STORES:
            answer = await made.put(f"/v1/stores/{store_id}", json={"name": store_id})
            answer.raise_for_status()
        yield made


def written(store_id: str, at: str = "2026-06-01T09:00:00+08:00") -> bytes:
    """Events of a store as lines."""
    return lines(opened(f"R{number}", at, store=store_id) for number in range(MANY))


async def send(
    client: httpx.AsyncClient, body: bytes | AsyncIterator[bytes]
) -> list[dict[str, Any]]:
    """Send lines; gives the answers, the last of which may be a problem."""
    answer = await client.post("/v1/events", content=body, headers=NDJSON)
    return [orjson.loads(line) for line in answer.content.splitlines()]


async def count(url: str) -> dict[str, int]:
    """How many events each store has."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT store_id, seq FROM stream_head")
    finally:
        await connection.close()
    return {row["store_id"]: row["seq"] for row in rows}


async def run_of(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """Wait for the end of a run."""
    while True:
        answer = await client.get(url)
        if answer.status_code == 200 and answer.json()["state"] not in {"queued", "running"}:
            run: dict[str, Any] = answer.json()
            return run
        await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_nothing_is_lost_or_doubled_and_all_goes_on_by_itself(
    server: Server, app: FastAPI, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    factory: Factory = app.state.factory
    told = await send(client, written(REPLAYED, NAIVE))
    assert sum(chunk["quarantined"] for chunk in told) == MANY
    file = tmp_path / "file.ndjson"
    file.write_bytes(written(FILE))
    body = written(BULK)

    dead = asyncio.Event()

    async def in_two_parts() -> AsyncIterator[bytes]:
        yield body[: len(body) // 2]
        await dead.wait()
        yield body[len(body) // 2 :]

    asked = await client.post(
        "/v1/quarantine/replays",
        json={"filter": {"store": REPLAYED}, "apply": ["add-store-offset"]},
    )
    assert asked.status_code == 202, asked.text
    while not (await count(server.url))[REPLAYED]:
        await asyncio.sleep(0.01)
    (tmp_path / "inbox" / INBOX / "inbox.ndjson").write_bytes(written(INBOX))
    importing: asyncio.Task[ImportReport] = asyncio.create_task(
        factory.imports.import_file(file, principal=LOCAL)
    )
    sending = asyncio.create_task(send(client, in_two_parts()))
    while not all((await count(server.url)).values()):
        await asyncio.sleep(0.01)
    await asyncio.to_thread(server.die)
    dead.set()

    # while it is away everybody is told so
    problem = (await sending)[-1]
    assert problem["status"] == 503
    durable = problem.get("durable_lines", 0)  # none where nothing was answered yet
    assert durable < MANY
    refused = await client.post("/v1/events", json=opened("R", store=BULK))
    assert (refused.status_code, refused.json()["title"]) == (503, problem["title"])
    assert (await client.post("/v1/jobs/nightly/runs")).status_code == 503
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/healthz")).status_code == 200
    await asyncio.to_thread(server.come_back)

    again = await send(client, body)
    assert sum(chunk["accepted"] + chunk["duplicate"] for chunk in again) == MANY
    assert sum(chunk["duplicate"] for chunk in again) >= durable
    with await importing as report:
        assert report.stopped is None
        assert report.counts.accepted + report.counts.duplicate == MANY
    run = await run_of(client, f"/v1/quarantine/replays/{asked.json()['run_id']}")
    assert (run["state"], run["accepted"]) == ("finished", MANY)
    while not any("/inbox.ndjson" in name for name in tree(tmp_path / "inbox" / INBOX / "done")):
        await asyncio.sleep(0.1)
    nights = (await client.post("/v1/jobs/nightly/runs")).json()["items"]
    assert [night["state"] for night in nights] == ["done"] * len(STORES)
    async with asyncpg.create_pool(server.url, min_size=1, max_size=2) as pool:
        for store_id in STORES:
            log = [event for event in await check_store(pool, store_id) if not event.own]
            assert {event.key for event in log} == {f"R{number}" for number in range(MANY)}
            assert len(log) == MANY
