"""The quarantine: look at what could not be taken, send it in again, or throw it away."""

import dataclasses
from collections.abc import Sequence

from app.db.quarantine import QuarantineRepository
from app.domain.access import Principal
from app.domain.errors import ConflictError, NotFoundError
from app.domain.pages import Page, PageRequest, page_of
from app.domain.quarantine import NO_STORE, QuarantinedItem, QuarantineFilter, QuarantineState
from app.services.ingest import IngestService
from app.services.time_source import TimeSource


class QuarantineService:
    """What people do with quarantined items. A caller sees those of its own stores only."""

    def __init__(
        self,
        repository: QuarantineRepository,
        *,
        ingest: IngestService,
        time_source: TimeSource,
    ) -> None:
        self._repository = repository
        self._ingest = ingest
        self._time_source = time_source

    async def list_page(
        self, wanted: QuarantineFilter, page: PageRequest, *, principal: Principal
    ) -> Page[QuarantinedItem]:
        """List items, the oldest first."""
        key = page.key(str)
        found = await self._repository.list_page(
            dataclasses.replace(wanted, stores=_visible(wanted.stores, principal)),
            after=None if key is None else str(key[0]),
            limit=page.limit + 1,
        )
        return page_of(found, page.limit, lambda item: (item.quarantine_id,))

    async def get(self, quarantine_id: str, *, principal: Principal) -> QuarantinedItem:
        """Get one item.

        Raises:
            NotFoundError: There is none, or none that the caller may see.
        """
        item = await self._repository.find(quarantine_id)
        visible = _visible(None, principal)
        if item is None or (visible is not None and (item.store_id or NO_STORE) not in visible):
            message = f"There is no item {quarantine_id} in quarantine."
            raise NotFoundError(message)
        return item

    async def replay(self, quarantine_id: str, *, principal: Principal) -> QuarantinedItem:
        """Send an item in again, as it is, by today's stores and catalogue.

        Returns:
            The item: `replayed` with its seq, or waiting still, with what is wrong with it now.

        Raises:
            ConflictError: It does not wait any more.
            NotFoundError: There is no such item.
        """
        item = await self._get_waiting(quarantine_id, principal=principal)
        quarantine_id = await self._ingest.replay(item)
        return await self.get(quarantine_id, principal=principal)

    async def discard(
        self, quarantine_id: str, *, reason: str, principal: Principal
    ) -> QuarantinedItem:
        """Throw an item away; its bytes and the reason stay.

        Raises:
            ConflictError: It does not wait any more.
            NotFoundError: There is no such item.
        """
        item = await self._get_waiting(quarantine_id, principal=principal)
        now = await self._time_source.now()
        if not await self._repository.discard(
            item.store_id or NO_STORE, quarantine_id, reason=reason, now=now
        ):
            raise _not_waiting(await self.get(quarantine_id, principal=principal))
        return await self.get(quarantine_id, principal=principal)

    async def _get_waiting(self, quarantine_id: str, *, principal: Principal) -> QuarantinedItem:
        item = await self.get(quarantine_id, principal=principal)
        if item.state is not QuarantineState.WAITING:
            raise _not_waiting(item)
        return item


def _visible(stores: Sequence[str] | None, principal: Principal) -> Sequence[str] | None:
    """Narrow stores to the caller's; items of no store are for callers bound to none."""
    if principal.stores is None:
        return stores
    return sorted(principal.stores if stores is None else principal.stores.intersection(stores))


def _not_waiting(item: QuarantinedItem) -> ConflictError:
    when = "" if item.resolved_at is None else f" at {item.resolved_at:%Y-%m-%dT%H:%M:%SZ}"
    return ConflictError(f"Item {item.quarantine_id} was {item.state}{when}.", state=item.state)
