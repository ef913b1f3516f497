"""A mapping as it is stored: the text that somebody wrote, version by version."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StoredMapping:
    """A version of a mapping.

    Attributes:
        store: The only store that it is for; None: all.
        body: YAML, as it was sent.
    """

    source: str
    version: int
    store: str | None
    title: str
    body: str
    created_at: datetime
