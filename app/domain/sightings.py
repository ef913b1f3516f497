"""When a repair order was seen as a whole, and as what."""

from collections.abc import Sequence
from datetime import datetime

import msgspec


class Sighting(msgspec.Struct, frozen=True, gc=False):
    """A snapshot of an order, or the word that one of before was so again.

    Attributes:
        at: The moment at which the order was so.
        seq: Of the snapshot.
        source: Of the snapshot; each source is compared with itself alone.
        id: Of the snapshot.
        content: Its content hash: the same one means that nothing changed.
    """

    at: datetime
    seq: int
    source: str
    id: str
    content: bytes


def in_force(sightings: Sequence[Sighting], source: str, at: datetime) -> Sighting | None:
    """What a source last showed of an order up to a moment.

    Args:
        sightings: In order of time.
        source: Whose.
        at: The moment.
    """
    for sighting in reversed(sightings):
        if sighting.source == source and sighting.at <= at:
            return sighting
    return None
