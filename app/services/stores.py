"""Stores: made by their group before their first event, read on every append."""

import time
from collections.abc import Collection, Iterable, Mapping
from zoneinfo import ZoneInfo

from app.db.stores import StoreRepository
from app.domain.errors import NotFoundError
from app.domain.pages import Page, PageRequest, page_of
from app.domain.stores import Store
from app.services.time_source import TimeSource

KEEP_SECONDS = 5.0
"""How long this process may work with a store's settings after another process changed them."""


class StoreDirectory:
    """The stores as this process knows them: kept for a moment, so that appends need no query."""

    def __init__(self, repository: StoreRepository) -> None:
        self._repository = repository
        self._kept: dict[str, tuple[float, Store]] = {}

    def knows(self, store_id: str) -> bool:
        """Say whether the store was there when it was last looked up by `get_many`."""
        return store_id in self._kept

    async def get_many(self, store_ids: Collection[str]) -> Mapping[str, Store]:
        """Get those of the stores that exist, by code."""
        fresh = time.monotonic() - KEEP_SECONDS
        found: dict[str, Store] = {}
        missing: list[str] = []
        for store_id in store_ids:
            kept = self._kept.get(store_id)
            if kept is not None and kept[0] > fresh:
                found[store_id] = kept[1]
            else:
                missing.append(store_id)
        if missing:
            for store in await self._repository.find_many(missing):
                self.keep(store)
                found[store.store_id] = store
        return found

    async def get(self, store_id: str) -> Store:
        """Get one store.

        Raises:
            NotFoundError: There is no such store.
        """
        found = await self.get_many((store_id,))
        if store_id not in found:
            message = f"There is no store {store_id}. PUT /v1/stores/{store_id} makes one."
            raise NotFoundError(message)
        return found[store_id]

    def keep(self, store: Store) -> None:
        """Take note of a store as it is now."""
        self._kept[store.store_id] = (time.monotonic(), store)


class StoreService:
    """What callers do with stores."""

    def __init__(
        self,
        repository: StoreRepository,
        directory: StoreDirectory,
        time_source: TimeSource,
    ) -> None:
        self._repository = repository
        self._directory = directory
        self._time_source = time_source

    async def put(
        self, *, store_id: str, name: str, zone: ZoneInfo, currency: str, locale: str
    ) -> tuple[Store, bool]:
        """Make a store or change its settings; harmless to repeat.

        Returns:
            The store, and whether it is new.
        """
        now = await self._time_source.now()
        store, is_new = await self._repository.save(
            Store(store_id, name, zone, currency, locale, created_at=now, updated_at=now)
        )
        self._directory.keep(store)
        return store, is_new

    async def get(self, store_id: str) -> Store:
        """Get one store.

        Raises:
            NotFoundError: There is no such store.
        """
        return await self._directory.get(store_id)

    async def list_page(self, page: PageRequest, *, among: Iterable[str] | None) -> Page[Store]:
        """List stores by code; `among` those that the caller is bound to (None: all)."""
        key = page.key(str)
        found = await self._repository.list_page(
            after=None if key is None else str(key[0]),
            limit=page.limit + 1,
            among=None if among is None else sorted(among),
        )
        return page_of(found, page.limit, lambda store: (store.store_id,))
