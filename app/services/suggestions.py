"""Suggestions for items of the quarantine: the rules of the domain, with what they look at."""

from collections.abc import Collection
from typing import Any

from app.db.stores import StoreRepository
from app.db.timelines import TimelineRepository
from app.domain.events.envelope import NewEvent, Reason
from app.domain.events.ndjson import read_item
from app.domain.events.shape import join
from app.domain.quarantine import QuarantinedItem
from app.domain.stores import named_stores
from app.domain.suggestions.suggest import repair, suggest
from app.domain.suggestions.suggestion import (
    Context,
    Logged,
    Suggestion,
)
from app.domain.suggestions.words import nearest_store
from app.services.door import Door
from app.services.stores import StoreDirectory
from app.services.time_source import TimeSource


class SuggestionService:
    """Says what may be done with an item; changes nothing."""

    def __init__(
        self,
        *,
        door: Door,
        stores: StoreDirectory,
        store_repository: StoreRepository,
        timelines: TimelineRepository,
        time_source: TimeSource,
    ) -> None:
        self._door = door
        self._stores = stores
        self._store_repository = store_repository
        self._timelines = timelines
        self._time_source = time_source

    async def suggest(
        self, item: QuarantinedItem, *, among: Collection[str] | None
    ) -> list[Suggestion]:
        """Suggest what to do with an item as it is now, the best first.

        Args:
            item: Which.
            among: The only stores that there are for who asks; None: all.
        """
        event = read_item(item.present)
        context = await self._context(item, event, among)
        return suggest(event, item.reason, item.faults, context)

    async def repair(
        self, item: QuarantinedItem, names: Collection[str], *, among: Collection[str] | None
    ) -> Suggestion | None:
        """Put those of the named suggestions that fit an item into one; None if none does."""
        event = read_item(item.present)
        context = await self._context(item, event, among)
        return repair(event, item.reason, item.faults, names, context)

    async def _context(
        self, item: QuarantinedItem, event: Any, among: Collection[str] | None
    ) -> Context:
        named = event.get("store") if isinstance(event, dict) else None
        codes = named_stores([event, {"store": item.store_id}])
        alike = None
        if item.reason is Reason.UNKNOWN_STORE:
            known = await self._store_repository.list_codes()
            alike = nearest_store(
                named, [code for code in known if among is None or code in among]
            )
            codes |= set() if alike is None else {alike}
        stores = await self._stores.get_many(
            [code for code in codes if among is None or code in among]
        )
        now = await self._time_source.now()
        context = Context(
            reads=lambda value: self._door.read(value, now=now, known_store=stores.__contains__),
            zones={code: store.zone for code, store in stores.items()},
            now=now,
            stores=() if alike is None else (alike,),
        )
        if item.reason is not Reason.IDENTITY_CONFLICT:
            return context
        found = context.reads(event)
        logged = await self._logged(found) if isinstance(found, NewEvent) else None
        return Context(context.reads, context.zones, now, context.stores, logged)

    async def _logged(self, event: NewEvent) -> Logged | None:
        found = await self._timelines.find(event.store_id, event.source, event.id)
        if found is None:
            return None
        data = join(found.data, found.aside)
        return Logged(found.type, found.subject, found.occurred_at, data)
