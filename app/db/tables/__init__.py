"""The tables, one module per area. Importing this package makes `metadata` complete."""

from app.db.tables import (
    access,
    clock,
    event,
    feed,
    metrics,
    personal,
    quarantine,
    sandbox,
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
    "metadata",
    "metrics",
    "personal",
    "quarantine",
    "sandbox",
    "state",
    "store",
    "webhook",
]
