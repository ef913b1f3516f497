"""The feed out: the log of a store as its consumers read it, page by page and without a gap.

`seq` is gapless and rises in commit order, so who has read up to a seq has read all there is up to
it. A page therefore begins after a number, and says up to which number it has looked.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import orjson

from app.db.engine import Pool
from app.db.event_log import EventLog, FeedPart
from app.db.feed_cursors import FeedCursorRepository
from app.db.timelines import TimelineRepository
from app.domain.access import Principal, Scope
from app.domain.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    VersionMismatchError,
)
from app.domain.event_feed import Cursor, check_position, types_wanted
from app.domain.events.shape import join
from app.domain.fold import retracted
from app.domain.pages import Page, PageRequest, page_of
from app.domain.webhooks import body_of
from app.services.arrivals import Arrivals
from app.services.stores import StoreDirectory
from app.services.time_source import TimeSource

STRETCH: Final = 20_000
"""How much of a log is looked at in one query."""

STRETCHES: Final = 25
"""After how many stretches without a match a page says how far it has looked."""


@dataclass(frozen=True, slots=True)
class FeedQuery:
    """What a consumer asks for.

    Attributes:
        after: seq to begin after; None with a cursor, else the beginning.
        cursor: Name of the cursor to begin after.
        types: Types and families; none: every type.
        wait: Seconds to wait where there is nothing.
        personal: With personal and unknown fields.
    """

    after: int | None
    cursor: str | None
    types: Sequence[str]
    wait: float
    limit: int
    personal: bool


@dataclass(frozen=True, slots=True)
class FeedPage:
    """A part of a log.

    Attributes:
        items: Envelopes as JSON, in the order of the log.
        next_after: Up to where was looked: the next page begins after it.
        head: The last seq of the log.
    """

    items: Sequence[bytes]
    next_after: int
    head: int


class EventFeedService:
    """Reads logs for consumers, and keeps their cursors."""

    def __init__(
        self,
        pool: Pool,
        cursors: FeedCursorRepository,
        timelines: TimelineRepository,
        *,
        arrivals: Arrivals,
        stores: StoreDirectory,
        time_source: TimeSource,
    ) -> None:
        self._pool = pool
        self._cursors = cursors
        self._timelines = timelines
        self._arrivals = arrivals
        self._stores = stores
        self._time_source = time_source

    async def read(self, store_id: str, query: FeedQuery, *, principal: Principal) -> FeedPage:
        """Read the next part of a log; where there is none, wait for it.

        Raises:
            ForbiddenError: Personal fields were asked for by who may not see them.
            InvalidInputError: The query can't be answered; says why.
            NotFoundError: There is no such store, or cursor.
            UnavailableError: As many requests as may be held are.
        """
        if query.personal:
            principal.require([Scope.PERSONAL_READ], store_id)
        types = types_wanted(query.types)
        await self._stores.get(store_id)
        after = await self._begin(store_id, query)
        head = await self._head(store_id)
        check_position(after, head, "/query/after" if query.cursor is None else "/query/cursor")
        page = await self._look(store_id, after, head, types, query)
        ends_at = time.monotonic() + query.wait
        while not page.items and page.next_after == page.head:
            grown = await self._arrivals.wait_beyond(
                store_id, page.head, seconds=ends_at - time.monotonic()
            )
            if grown is None:
                break
            page = await self._look(store_id, page.next_after, grown, types, query)
        return page

    async def put_cursor(
        self,
        store_id: str,
        name: str,
        seq: int,
        *,
        principal: Principal,
        expected: int | None = None,
        force: bool = False,
    ) -> Cursor:
        """Make a cursor or move it, compare-and-set; a repeat is harmless.

        Args:
            store_id: The store.
            name: Of the cursor.
            seq: Of the last event that was dealt with.
            principal: Who moves it.
            expected: Where it must stand.
            force: Also backward, to read again.

        Raises:
            ConflictError: It stands further ahead already.
            InvalidInputError: The log does not reach so far.
            NotFoundError: There is no such store, or no cursor that could stand somewhere.
            VersionMismatchError: It does not stand where it was expected to.
        """
        await self._stores.get(store_id)
        check_position(seq, await self._head(store_id), "/after")
        saved = await self._cursors.save(
            store_id,
            name,
            seq,
            now=await self._time_source.now(),
            by=principal.name,
            expected=expected,
            force=force,
        )
        if saved is not None:
            return saved
        found = await self.get_cursor(store_id, name)
        if expected is not None and found.seq != expected:
            raise VersionMismatchError(expected_version=expected, actual_version=found.seq)
        raise ConflictError(
            f"Cursor {name} stands at {found.seq} already and only moves forward; `force` puts it "
            "back."
        )

    async def get_cursor(self, store_id: str, name: str) -> Cursor:
        """Get a cursor.

        Raises:
            NotFoundError: There is none.
        """
        found = await self._cursors.find(store_id, name)
        if found is None:
            raise _no_cursor(store_id, name)
        return found

    async def list_cursors(self, store_id: str, page: PageRequest) -> Page[Cursor]:
        """List the cursors of a store by name.

        Raises:
            NotFoundError: There is no such store.
        """
        await self._stores.get(store_id)
        key = page.key(str)
        found = await self._cursors.list_page(
            store_id, after=None if key is None else str(key[0]), limit=page.limit + 1
        )
        return page_of(found, page.limit, lambda cursor: (cursor.name,))

    async def delete_cursor(self, store_id: str, name: str) -> None:
        """Delete a cursor.

        Raises:
            NotFoundError: There is none.
        """
        if not await self._cursors.delete(store_id, name):
            raise _no_cursor(store_id, name)

    async def _begin(self, store_id: str, query: FeedQuery) -> int:
        if query.cursor is None:
            return query.after or 0
        if query.after is not None:
            raise InvalidInputError.at(
                "/query/after", "twice", "Give either `after` or `cursor`, not both."
            )
        return (await self.get_cursor(store_id, query.cursor)).seq

    async def _head(self, store_id: str) -> int:
        async with self._pool.acquire() as connection:
            heads = await EventLog(connection).read_heads([store_id])
        return heads.get(store_id, 0)

    async def _look(
        self,
        store_id: str,
        after: int,
        head: int,
        types: frozenset[str] | None,
        query: FeedQuery,
    ) -> FeedPage:
        """Read on after a seq; what matches no filter is passed over."""
        parts: Sequence[FeedPart] = ()
        async with self._pool.acquire() as connection:
            log = EventLog(connection)
            for _ in range(STRETCHES):
                upto = min(head, after + STRETCH)
                parts = await log.read_feed(
                    store_id,
                    after=after,
                    upto=upto,
                    types=types,
                    limit=query.limit,
                    personal=query.personal,
                )
                after = parts[-1].seq if len(parts) == query.limit else upto
                if parts or after == head:
                    break
        if query.personal:
            parts = await self._without_retracted(store_id, parts)
        return FeedPage([_envelope(part) for part in parts], after, head)

    async def _without_retracted(
        self, store_id: str, parts: Sequence[FeedPart]
    ) -> Sequence[FeedPart]:
        """Hide the personal fields of events that were retracted (A22)."""
        gone = retracted(
            await self._timelines.list_retractions(
                store_id, {(part.kind, part.key) for part in parts if part.aside}
            )
        )
        return [
            replace(part, aside=None) if (part.notice.source, part.notice.id) in gone else part
            for part in parts
        ]


def _envelope(part: FeedPart) -> bytes:
    """Write an event as its envelope, with what lies beside the log put back in its place."""
    if part.aside is None:
        return body_of(part.notice)
    data = join(orjson.loads(part.notice.data), orjson.loads(part.aside))
    return body_of(replace(part.notice, data=orjson.dumps(data)))


def _no_cursor(store_id: str, name: str) -> NotFoundError:
    return NotFoundError(
        f"There is no cursor {name} in store {store_id}. "
        f"PUT /v1/stores/{store_id}/feed-cursors/{name} makes one."
    )
