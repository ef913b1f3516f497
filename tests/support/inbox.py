"""An inbox on disk, and services that watch it, for tests."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

from app.db.imports import ImportRepository
from app.factory import Factory
from app.services.inbox import LEASE, InboxService
from app.services.time_source import SystemTimeSource, TimeSource


def watch(
    factory: Factory,
    inbox: Path,
    *,
    settle_seconds: float = 0,
    lease: timedelta = LEASE,
    machine_time: TimeSource | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> InboxService:
    """A service that watches an inbox, like one of many processes."""
    return InboxService(
        ImportRepository(factory.database.read),
        inbox=inbox,
        settle_seconds=settle_seconds,
        imports=factory.imports,
        stores=factory.store_directory,
        machine_time=machine_time or SystemTimeSource(),
        lease=lease,
        monotonic=monotonic,
    )


def lines(events: Iterable[Mapping[str, Any]]) -> bytes:
    """Write events as NDJSON."""
    return b"".join(orjson.dumps(event) + b"\n" for event in events)


def tree(folder: Path) -> list[str]:
    """The files below a folder, by their paths."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
