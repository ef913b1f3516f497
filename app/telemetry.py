"""Logs, the request id, and the one line that each request leaves.

Everything is written by structlog to standard error, uvicorn's and the libraries' own lines
included: JSON for machines, colours for a terminal. No line carries a query string or a body.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import EventDict, Processor, WrappedLogger

REQUEST_ID_HEADER: Final = "X-Request-Id"

PRINCIPAL_KEY: Final = "servicelane.principal"
"""Where in the ASGI scope the name of the caller lies once it is known."""

HELD_KEY: Final = "servicelane.held"
"""Where in the ASGI scope it is noted that a request may take long, because it waits for news."""

_HEADER: Final = REQUEST_ID_HEADER.lower().encode()
_ACCEPTED_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_SLOW_MS: Final = 5_000
_QUIET_PATHS: Final = frozenset({"/healthz", "/readyz"})
_CHATTY_LOGGERS: Final = ("apscheduler", "httpx", "httpcore", "alembic", "asyncio", "watchfiles")

WriteLine = Callable[[str, dict[str, Any]], None]
"""Writes the line of a request: its level and its fields."""

NoteRequest = Callable[[str, str | None, int, float], None]
"""Takes note of a request: method, template of its path, status, seconds."""

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
_LINE_OPTIONS: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

log = structlog.stdlib.get_logger(__name__)


def current_request_id() -> str | None:
    """The id of the request that is being answered, None outside of one."""
    return _request_id.get()


def configure_logging(level: str, log_format: Literal["auto", "json", "console"]) -> None:
    """Send every log of the process through structlog. A repeat replaces the set-up before."""
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        _add_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor]
    factory: Any
    if as_json:
        last = [structlog.processors.format_exc_info, _render_json]
        factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
    else:
        # the plain form of a traceback: the rich one shows local variables, personal ones too
        last = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
        factory = structlog.PrintLoggerFactory(sys.stderr)
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                *shared,
                structlog.stdlib.ExtraAdder(),
                structlog.stdlib.PositionalArgumentsFormatter(),
                _add_logger_name,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _drop_colors,
                *last[:-1],
                _render_text if as_json else last[-1],
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    # it tells with a traceback, every few seconds, what those who need a connection tell already
    logging.getLogger("asyncpg").setLevel(logging.ERROR)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


class RequestLogMiddleware:
    """Gives each request an id, hands it back as `X-Request-Id`, and logs one line at its end.

    Plain ASGI: the ingest path is hot, and a wrapped request object costs more than all of this.
    An id that the caller sends is kept if it is short and harmless. The log must be configured
    before.
    """

    def __init__(self, app: ASGIApp, note: NoteRequest | None = None) -> None:
        self._app = app
        self._write = _request_line_writer()
        self._note = note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id_of(scope)
        header = (_HEADER, request_id.encode())
        token = _request_id.set(request_id)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], header]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            _log_request(self._write, scope, status, seconds * 1000)
            if self._note is not None:
                route = getattr(scope.get("route"), "path_format", None)
                self._note(scope["method"], route, status, seconds)
            _request_id.reset(token)


def _request_line_writer() -> WriteLine:
    if isinstance(structlog.get_config()["logger_factory"], structlog.BytesLoggerFactory):
        return _JsonLineWriter(logging.getLogger().level)
    return _write_line


def _write_line(level: str, fields: dict[str, Any]) -> None:
    getattr(log, level)("request", **fields)


class _JsonLineWriter:
    """Writes the lines of requests as structlog would, in a seventh of the time.

    They are by far the most lines, and on the ingest path the way through structlog's processors
    costs as much as the rest of the middleware together.
    """

    def __init__(self, least: int) -> None:
        self._least = least
        self._file = sys.stderr.buffer

    def __call__(self, level: str, fields: dict[str, Any]) -> None:
        if _LEVELS[level] < self._least:
            return
        fields["event"] = "request"
        fields["request_id"] = _request_id.get()
        fields["level"] = level
        fields["timestamp"] = datetime.now(UTC)
        self._file.write(orjson.dumps(fields, option=_LINE_OPTIONS))
        self._file.flush()


def _log_request(write: WriteLine, scope: Scope, status: int, duration_ms: float) -> None:
    path = scope["path"]
    level = "info"
    if path in _QUIET_PATHS:
        level = "debug"
    elif duration_ms > _SLOW_MS and not scope.get(HELD_KEY):
        level = "warning"
    client = scope.get("client")
    write(
        level,
        {
            "method": scope["method"],
            "path": path,
            "status": status,
            "duration_ms": round(duration_ms, 2),
            "client": client[0] if client else None,
            "principal": scope.get(PRINCIPAL_KEY),
        },
    )


def _request_id_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == _HEADER and _ACCEPTED_ID.fullmatch(value):
            return str(value, "ascii")
    return os.urandom(12).hex()


def _add_request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    request_id = _request_id.get()
    if request_id is not None:
        event["request_id"] = request_id
    return event


def _add_logger_name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event["logger"] = record.name
    return event


def _drop_colors(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Uvicorn hands over each message a second time, for terminals."""
    event.pop("color_message", None)
    return event


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)


def _render_text(logger: WrappedLogger, method: str, event: EventDict) -> str:
    return _render_json(logger, method, event).decode()
