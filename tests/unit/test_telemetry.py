import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import structlog
from structlog.testing import capture_logs

from app import telemetry
from app.telemetry import RequestLogMiddleware, configure_logging, current_request_id


@pytest.fixture
def logging_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


async def request(
    *, path: str = "/v1/stores", headers: list[tuple[bytes, bytes]] | None = None
) -> tuple[dict[bytes, bytes], list[Any]]:
    """Send a request through the middleware; returns the answer's headers and the log."""
    sent: list[Any] = []
    seen: list[str | None] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        seen.append(current_request_id())
        scope[telemetry.PRINCIPAL_KEY] = "dms"
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def receive() -> Any:
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"name=someone",
        "headers": headers or [],
        "client": ("192.0.2.7", 1),
    }
    with capture_logs() as logs:
        await RequestLogMiddleware(app)(scope, receive, send)
    answer = dict(sent[0]["headers"])
    assert answer[b"x-request-id"].decode() == seen[0]
    assert current_request_id() is None
    return answer, list(logs)


async def test_each_request_has_an_id_and_leaves_one_line() -> None:
    answer, logs = await request()
    assert len(answer[b"x-request-id"]) == 24
    (line,) = logs
    assert line | {"duration_ms": 0} == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "path": "/v1/stores",
        "status": 204,
        "duration_ms": 0,
        "client": "192.0.2.7",
        "principal": "dms",
    }


async def test_two_requests_have_different_ids() -> None:
    first, _ = await request()
    second, _ = await request()
    assert first != second


async def test_an_id_that_the_caller_brings_is_kept() -> None:
    answer, _ = await request(headers=[(b"x-request-id", b"dms-4711.a_b")])
    assert answer[b"x-request-id"] == b"dms-4711.a_b"


@pytest.mark.parametrize("sent", [b"", b"x" * 65, b"a b", b"a\nb", "é".encode()])
async def test_an_id_that_could_do_harm_is_replaced(sent: bytes) -> None:
    answer, _ = await request(headers=[(b"x-request-id", sent)])
    assert answer[b"x-request-id"] != sent


async def test_probes_are_quiet() -> None:
    _, logs = await request(path="/healthz")
    assert [entry["log_level"] for entry in logs] == ["debug"]


async def test_what_is_no_request_passes() -> None:
    passed: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        passed.append(scope)

    async def nothing(*_: Any) -> Any:
        return None

    await RequestLogMiddleware(app)({"type": "lifespan"}, nothing, nothing)
    assert passed == [{"type": "lifespan"}]


@pytest.mark.usefixtures("logging_put_back")
def test_own_and_foreign_lines_come_out_as_json(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    configure_logging("info", "json")
    structlog.get_logger("app").info("ours", number=1)
    structlog.get_logger("app").debug("too quiet")
    logging.getLogger("uvicorn.error").warning("theirs %s", 2, extra={"color_message": "x"})
    logging.getLogger("apscheduler.executors").info("too chatty")
    try:
        int("broken")
    except ValueError:
        structlog.get_logger("app").exception("failed")
    lines = [orjson.loads(line) for line in capfdbinary.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["ours", "theirs 2", "failed"]
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert lines[1]["logger"] == "uvicorn.error"
    assert "color_message" not in lines[1]
    assert "ValueError: invalid literal" in lines[2]["exception"]
    assert all("timestamp" in line for line in lines)


@pytest.mark.usefixtures("logging_put_back")
@pytest.mark.parametrize(("level", "paths"), [("info", ["/v1"]), ("debug", ["/healthz", "/v1"])])
async def test_lines_of_requests_look_like_all_others(
    capfdbinary: pytest.CaptureFixture[bytes], level: Any, paths: list[str]
) -> None:
    configure_logging(level, "json")
    for path in ("/healthz", "/v1"):
        await request(path=path, headers=[(b"x-request-id", b"dms-4711")])
    structlog.get_logger("app").warning("other")
    *lines, other = map(orjson.loads, capfdbinary.readouterr().err.splitlines())
    assert [line["path"] for line in lines] == paths
    assert set(other) < set(lines[-1])
    assert len(other["timestamp"]) == len(lines[-1]["timestamp"])
    assert lines[-1]["request_id"] == "dms-4711"


@pytest.mark.usefixtures("logging_put_back")
def test_a_traceback_on_a_terminal_shows_no_local_variables(
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure_logging("info", "console")
    phones = ["138", "139"]
    try:
        phones.remove("".join(phones))
    except ValueError:
        structlog.get_logger("app").exception("failed")
    shown = capfd.readouterr().err
    assert "ValueError" in shown
    assert "locals" not in shown
    assert "['138'" not in shown
