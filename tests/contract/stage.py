"""Where the story of the examples is played: one application on a database of its own.

Its time is a rehearsal's: it stands still unless the story moves it, through the sandbox clock
like any integrator would. What can't be the same twice (ids, secrets, the machine's time that
webhooks run on) is written down by stand-ins, in order of appearance, so that two recordings of
the same story are the same to the last byte.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from fastapi import FastAPI
from pydantic import SecretStr
from typing_extensions import override

from app.db.sandbox import SandboxRepository
from app.domain.access import ALL_SCOPES, Scope
from app.factory import Factory
from app.main import create_app
from app.services.http_out import HttpOut
from app.services.sandbox import SandboxService
from app.services.time_source import TimeSource
from app.settings import Settings

FOLDER: Final = Path(__file__).parents[2] / "openapi-examples"

START: Final = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
"""When the story begins: Monday, 08:00 in Shanghai."""

MACHINE_TIME: Final = "2026-01-13T01:00:00Z"
"""Stands for every time of the machine's own clock."""

SHOWN_HEADERS: Final = (
    *("Content-Type", "ETag", "Link", "Location", "Preference-Applied", "Retry-After"),
    *("WWW-Authenticate", "X-Head", "X-Next-After"),
)

_UUID7: Final = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b"
)
_SURROGATE: Final = re.compile(r"~[a-z2-7]{26}")
_SECRET: Final = re.compile(r"whsec_[A-Za-z0-9+/]{32,}={0,2}")
_MACHINE_FIELDS: Final = re.compile(r"(_at|_until)$")


@dataclass(frozen=True, kw_only=True)
class Example:
    """A request of the story, and what is expected of its answer.

    Attributes:
        name: `<operation_id>.<outcome>`, the name of its file.
        summary: In a few words, English and Chinese.
        path: `{name}` stands for what was captured before.
        body: A JSON value, or text that is sent as it is; None sends none.
        key: Whose key is sent; None sends none.
        status: Of the answer.
        capture: Name -> where it is in the answer, for later paths and bodies.
    """

    name: str
    summary: str
    method: str = "GET"
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    key: str | None = "desk"
    status: int = 200
    capture: Mapping[str, Sequence[str | int]] = field(default_factory=dict)

    @property
    def operation_id(self) -> str:
        """The operation that it shows."""
        return self.name.partition(".")[0]


class StageTime(TimeSource):
    """The start of the story and whatever the sandbox clock was moved by since."""

    def __init__(self) -> None:
        self.repository: SandboxRepository | None = None

    @override
    async def now(self) -> datetime:
        ahead = timedelta() if self.repository is None else await self.repository.read_offset()
        return START + ahead


class Stage:
    """Plays examples and writes down what was said."""

    def __init__(self, app: FastAPI, keys: Mapping[str, str]) -> None:
        self.factory: Factory = app.state.factory
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000"
        )
        self._keys = keys
        self._captured: dict[str, str] = {}
        self._stand_ins: dict[str, str] = {}

    async def move_to(self, moment: str) -> None:
        """Let time pass, to a local time of Shanghai."""
        await self.factory.sandbox.move(datetime.fromisoformat(f"{moment}:00+08:00"))

    async def deliver(self) -> None:
        """Let webhooks go out."""
        await self.factory.webhook_dispatcher.tick()
        await self.factory.webhook_dispatcher.wait()

    def switch_sandbox(self, *, on: bool) -> None:
        """Make the service one whose time can be moved, or none."""
        self.factory.sandbox = _sandbox(self.factory, enabled=on)

    async def play(self, example: Example) -> dict[str, Any]:
        """Send a request; gives the exchange as its file shows it."""
        headers: dict[str, str] = self._filled(dict(example.headers))
        if example.key is not None:
            headers["Authorization"] = f"Bearer {self._keys[example.key]}"
        body = self._filled(example.body)
        content: bytes | None = None
        if isinstance(body, str):
            content = body.encode()
        elif body is not None:
            content = json.dumps(body, ensure_ascii=False).encode()
            headers.setdefault("Content-Type", "application/json")
        request = self._client.build_request(
            example.method,
            self._filled(example.path),
            params=self._filled(dict(example.query)) or None,
            content=content,
            headers={**headers, "X-Request-Id": f"example-{example.name}"},
        )
        answer = await self._client.send(request)
        assert answer.status_code == example.status, (example.name, answer.text)
        said = _said(answer)
        for name, where in example.capture.items():
            self._captured[name] = str(_at(said, where))
        exchange = {
            "operation_id": example.operation_id,
            "summary": example.summary,
            "request": _without_none(
                {
                    "method": example.method,
                    "path": request.url.path,
                    "query": dict(request.url.params) or None,
                    "headers": {
                        name: (f"Bearer sl_{example.key}" if name == "Authorization" else value)
                        for name, value in headers.items()
                    }
                    or None,
                    "body": body,
                }
            ),
            "response": _without_none(
                {
                    "status": answer.status_code,
                    "headers": {
                        name: answer.headers[name]
                        for name in SHOWN_HEADERS
                        if name in answer.headers
                    },
                    "body": said,
                }
            ),
        }
        return self._with_stand_ins(exchange)

    async def aclose(self) -> None:
        """Let go of the client."""
        await self._client.aclose()

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            for name, captured in self._captured.items():
                value = value.replace(f"{{{name}}}", captured)
            return value
        if isinstance(value, dict):
            return {name: self._filled(part) for name, part in value.items()}
        if isinstance(value, list):
            return [self._filled(part) for part in value]
        return value

    def _with_stand_ins(self, exchange: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(exchange, ensure_ascii=False)
        text = _UUID7.sub(lambda found: self._stand_in_of(found[0]), text)
        text = _SECRET.sub(lambda found: self._stand_in_of(found[0]), text)
        text = _SURROGATE.sub(lambda found: self._stand_in_of(found[0]), text)
        read: dict[str, Any] = json.loads(text)
        if "webhook" in read["operation_id"]:
            read["response"] = _without_machine_time(read["response"])
        return read

    def _stand_in_of(self, value: str) -> str:
        if value not in self._stand_ins:
            number = len(self._stand_ins) + 1
            if value.startswith("whsec_"):
                stand_in = f"whsec_RXhhbXBsZSBzZWNyZXQgb2YgMjQgYnl0ZXMh{number:04d}"
            elif value.startswith("~"):
                letters = chr(ord("a") + number // 26 % 26) + chr(ord("a") + number % 26)
                stand_in = f"~{'surrogateofaname':a<24}{letters}"
            else:
                stand_in = f"019b8b5e-7c00-7000-8000-{number:012d}"
            self._stand_ins[value] = stand_in
        return self._stand_ins[value]


@asynccontextmanager
async def open_stage(database_url: str) -> AsyncIterator[Stage]:
    """The service on an empty, migrated database, before the first scene."""
    time_source = StageTime()
    settings = Settings(database_url=SecretStr(database_url), key_cache_seconds=0, sandbox=True)
    app = create_app(settings, time_source=time_source, ticking=False)
    async with app.router.lifespan_context(app):
        factory: Factory = app.state.factory
        time_source.repository = SandboxRepository(factory.database.read)
        factory.sandbox = _sandbox(factory, enabled=True)
        factory.http_out = HttpOut(
            resolve=_resolve, below=httpx.MockTransport(lambda _: httpx.Response(204))
        )
        stage = Stage(app, await _issue_keys(factory))
        try:
            yield stage
        finally:
            await stage.aclose()


def rendered(exchange: Mapping[str, Any]) -> str:
    """The text of an example's file."""
    return json.dumps(exchange, ensure_ascii=False, indent=2) + "\n"


async def _issue_keys(factory: Factory) -> dict[str, str]:
    keys = {
        "desk": await factory.access.issue(name="desk", scopes=ALL_SCOPES, stores=None),
        "sh02": await factory.access.issue(name="sh02", scopes=ALL_SCOPES, stores=["SH02"]),
        "board": await factory.access.issue(
            name="board", scopes=[Scope.KPIS_READ, Scope.CUSTOMERS_READ], stores=None
        ),
    }
    return {name: issued.token for name, issued in keys.items()} | {"revoked": "sl_" + "0" * 43}


async def _resolve(host: str, _port: int) -> Sequence[str]:
    return [{"crm.example.com": "93.184.215.14"}.get(host, "10.0.0.7")]


def _sandbox(factory: Factory, *, enabled: bool) -> SandboxService:
    async def refresh() -> None:
        await factory.metrics.refresh_behind()

    return SandboxService(
        SandboxRepository(factory.database.read),
        enabled=enabled,
        time_source=factory.time_source,
        due_work=(factory.clocks, factory.feed_watch, factory.nightly),
        machine_now=lambda: START,
        after_move=refresh,
    )


def _said(answer: httpx.Response) -> Any:
    """Read an answer: JSON, or lines of it, which are told as their text."""
    if not answer.content:
        return None
    return answer.text if "ndjson" in answer.headers["Content-Type"] else answer.json()


def _at(value: Any, where: Sequence[str | int]) -> Any:
    for step in where:
        value = value[step]
    return value


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _without_machine_time(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _fixed(name, part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_machine_time(part) for part in value]
    return value


def _fixed(name: str, value: Any) -> Any:
    if isinstance(value, str) and _MACHINE_FIELDS.search(name):
        return MACHINE_TIME
    if name == "duration_ms":
        return 38
    return _without_machine_time(value)
