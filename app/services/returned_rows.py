"""Rows that come back in the sheet in which they were returned.

Whatever a row says now takes the place of what it said before: the items of the quarantine that it
lay in are let go. If it is faulty still, it lies in another one, or in the same if nothing was
changed.
"""

from collections import defaultdict
from typing import Final

from app.db.quarantine import QuarantineRepository
from app.domain.access import Principal
from app.domain.quarantine import NO_STORE, Actor
from app.services.import_chunks import Chunk
from app.services.taken import Taken
from app.services.time_source import TimeSource
from app.services.units import Quarantined

REASON: Final = "Put in again in the returned sheet 随退回的表格重新提交"


class ReturnedRows:
    """Lets items of the quarantine go whose rows came back."""

    def __init__(self, quarantine: QuarantineRepository, time_source: TimeSource) -> None:
        self._quarantine = quarantine
        self._time_source = time_source

    async def let_go(self, chunk: Chunk, taken: Taken, *, principal: Principal) -> None:
        """Discard what rows lay in before; what was dealt with meanwhile stays as it is.

        Args:
            chunk: A part of a file.
            taken: What became of it.
            principal: Who put it in.
        """
        if not chunk.lay_in:
            return
        before: dict[str, set[str]] = defaultdict(set)
        still: set[str] = set()
        for row, item, outcome in zip(chunk.rows, taken.items, taken.outcomes, strict=True):
            store_id = item["store"] if not isinstance(outcome, Quarantined) else outcome.store_id
            before[store_id].update(chunk.lay_in.get(row, ()))
            if isinstance(outcome, Quarantined):
                still.add(outcome.quarantine_id)
        # whoever may write to a folder has no say in what is of no store
        before.pop(NO_STORE, None)
        now = await self._time_source.now()
        for store_id, items in before.items():
            if done := items - still:
                await self._quarantine.discard(
                    store_id, done, reason=REASON, by=Actor.of(principal), now=now
                )
