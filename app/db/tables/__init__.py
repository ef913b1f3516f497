"""The tables, one module per area. Importing this package makes `metadata` complete."""

from app.db.tables import (
    access,
    clock,
    event,
    feed,
    imports,
    mapping,
    metrics,
    personal,
    quarantine,
    sandbox,
    snapshot_repeat,
    state,
    store,
    webhook,
)
from app.db.tables.base import metadata

__all__ = [
    "access",
    "clock",
    "event",
    "feed",
    "imports",
    "mapping",
    "metadata",
    "metrics",
    "personal",
    "quarantine",
    "sandbox",
    "snapshot_repeat",
    "state",
    "store",
    "webhook",
]
