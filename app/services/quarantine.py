"""The quarantine: look at what could not be taken, send it in again, or throw it away."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from app.db.quarantine import QuarantineRepository
from app.domain.access import Principal
from app.domain.errors import ConflictError, Fault, InvalidInputError, NotFoundError
from app.domain.events.ndjson import read_item
from app.domain.json_patch import apply_patch
from app.domain.pages import Page, PageRequest, page_of
from app.domain.quarantine import (
    Actor,
    Correction,
    CountBy,
    QuarantineCount,
    QuarantinedItem,
    QuarantineFilter,
    QuarantineState,
    event_text,
)
from app.domain.suggestions.suggestion import (
    SuggestedAction as Action,
)
from app.domain.suggestions.suggestion import (
    Suggestion,
)
from app.services.replays import Attempt, ReplayService
from app.services.suggestions import SuggestionService
from app.services.time_source import TimeSource

Patch = Sequence[Mapping[str, Any]]

logger = structlog.get_logger(__name__)

_INSTANT = timedelta(microseconds=1)


class QuarantineService:
    """What people do with quarantined items. A caller sees those of its own stores only."""

    def __init__(
        self,
        repository: QuarantineRepository,
        *,
        replays: ReplayService,
        suggestions: SuggestionService,
        time_source: TimeSource,
    ) -> None:
        self._repository = repository
        self._replays = replays
        self._suggestions = suggestions
        self._time_source = time_source

    async def list_page(
        self,
        wanted: QuarantineFilter,
        page: PageRequest,
        *,
        min_age: timedelta | None = None,
        principal: Principal,
    ) -> Page[QuarantinedItem]:
        """List items, the oldest first."""
        key = page.key(str)
        now = await self._time_source.now()
        found = await self._repository.list_page(
            narrowed(wanted, principal, now=now, min_age=min_age),
            after=None if key is None else str(key[0]),
            limit=page.limit + 1,
        )
        return page_of(found, page.limit, lambda item: (item.quarantine_id,))

    async def count(
        self,
        wanted: QuarantineFilter,
        *,
        by: Collection[CountBy],
        limit: int,
        min_age: timedelta | None = None,
        principal: Principal,
    ) -> list[QuarantineCount]:
        """Count items by what they have in common, the most first."""
        now = await self._time_source.now()
        found = narrowed(wanted, principal, now=now, min_age=min_age)
        return await self._repository.count(found, by=by, limit=limit)

    async def get(self, quarantine_id: str, *, principal: Principal) -> QuarantinedItem:
        """Get one item.

        Raises:
            NotFoundError: There is none, or none that the caller may see.
        """
        item = await self._repository.find(quarantine_id)
        visible = _visible(None, principal)
        if item is None or (visible is not None and item.home not in visible):
            message = f"There is no item {quarantine_id} in quarantine."
            raise NotFoundError(message)
        return item

    async def suggest(self, item: QuarantinedItem, *, principal: Principal) -> list[Suggestion]:
        """Suggest what to do with an item that waits; [] for one that is done."""
        if item.state is not QuarantineState.WAITING:
            return []
        return await self._suggestions.suggest(item, among=principal.stores)

    async def replay(
        self,
        quarantine_id: str,
        *,
        event: Mapping[str, Any] | None = None,
        patch: Patch | None = None,
        apply: Sequence[str] = (),
        principal: Principal,
    ) -> QuarantinedItem:
        """Send an item in again, by today's stores and catalogue: as it is, or corrected.

        Args:
            quarantine_id: Which.
            event: The corrected event; or
            patch: what to change in it; or
            apply: names of suggestions.
            principal: Who corrects and replays it.

        Returns:
            The item: `replayed` with its seq, or waiting still, with what is wrong with it now.

        Raises:
            ConflictError: It does not wait any more.
            InvalidInputError: The patch does not fit, or nothing of that name is suggested.
            NotFoundError: There is no such item.
        """
        item = await self._get_waiting(quarantine_id, principal=principal)
        made = Correcting(await self._time_source.now(), Actor.of(principal))
        correction: Correction | None = None
        if event is not None:
            correction = made.by_event(event)
        elif patch is not None:
            correction = made.by_patch(item, patch)
        elif apply:
            correction = made.by_suggestion(item, await self._repair(item, apply, principal))
        done = await self._replays.replay(
            [Attempt(item, correction)], by=made.by, stores=principal.stores
        )
        if item.quarantine_id not in done:
            raise _not_waiting(await self.get(quarantine_id, principal=principal))
        return await self.get(done[item.quarantine_id].quarantine_id, principal=principal)

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
            item.home, [quarantine_id], reason=reason, by=Actor.of(principal), now=now
        ):
            raise _not_waiting(await self.get(quarantine_id, principal=principal))
        return await self.get(quarantine_id, principal=principal)

    async def reopen(self, quarantine_id: str, *, principal: Principal) -> QuarantinedItem:
        """Let an item wait again that was thrown away by mistake.

        Raises:
            ConflictError: It was not thrown away, or the same waits as another item.
            NotFoundError: There is no such item.
        """
        item = await self.get(quarantine_id, principal=principal)
        if not await self._repository.reopen(item.home, quarantine_id):
            raise ConflictError(
                f"Item {quarantine_id} is {item.state}, or the same waits as another item: only "
                "what was discarded can wait again.",
                state=item.state,
            )
        logger.info(
            "a discarded item waits again",
            quarantine_id=quarantine_id,
            by=principal.name,
            was_discarded_because=item.discard_reason,
        )
        return await self.get(quarantine_id, principal=principal)

    async def _repair(
        self, item: QuarantinedItem, names: Sequence[str], principal: Principal
    ) -> Suggestion:
        found = await self._suggestions.repair(item, names, among=principal.stores)
        if found is None:
            suggested = await self._suggestions.suggest(item, among=principal.stores)
            told = ", ".join(each.name for each in suggested if each.action is Action.REPLAY)
            raise InvalidInputError.at(
                "/apply",
                "not-suggested",
                f"Nothing of that name can be applied to this item; it may be: {told or 'none'}.",
            )
        return found

    async def _get_waiting(self, quarantine_id: str, *, principal: Principal) -> QuarantinedItem:
        item = await self.get(quarantine_id, principal=principal)
        if item.state is not QuarantineState.WAITING:
            raise _not_waiting(item)
        return item


@dataclasses.dataclass(frozen=True, slots=True)
class Correcting:
    """Makes corrections of items.

    Attributes:
        run_id: The run in which they are made.
    """

    now: datetime
    by: Actor
    run_id: str | None = None

    def by_event(self, event: Mapping[str, Any]) -> Correction:
        """Take the event that somebody handed in."""
        return Correction(self.now, self.by, "event", event_text(event), (), self.run_id)

    def by_patch(self, item: QuarantinedItem, patch: Patch, *, means: str = "patch") -> Correction:
        """Change an item as it is now.

        Raises:
            InvalidInputError: The patch doesn't fit, or leaves no JSON object.
        """
        try:
            event = apply_patch(read_item(item.present), patch)
        except InvalidInputError as error:
            raise InvalidInputError(
                [Fault(f"/patch{at.pointer}", at.code, at.detail) for at in error.faults]
            ) from None
        if not isinstance(event, dict):
            raise InvalidInputError.at("/patch", "not-an-object", "An event is a JSON object.")
        return Correction(self.now, self.by, means, event_text(event), (), self.run_id)

    def by_suggestion(self, item: QuarantinedItem, suggestion: Suggestion) -> Correction | None:
        """Do what is suggested; None if the item is to be replayed as it is."""
        if not suggestion.patch:
            return None
        made = self.by_patch(item, suggestion.patch, means=suggestion.name)
        first = tuple(event_text(event) for event in suggestion.first)
        return Correction(made.at, made.by, made.means, made.event, first, made.run_id)


def narrowed(
    wanted: QuarantineFilter,
    principal: Principal,
    *,
    now: datetime,
    min_age: timedelta | None = None,
) -> QuarantineFilter:
    """Narrow a filter to what the caller may see, and to items of at least an age."""
    until = wanted.received_until
    if min_age is not None:
        old = now - min_age + _INSTANT  # `received_until` is exclusive, an age is not
        until = old if until is None else min(until, old)
    return dataclasses.replace(
        wanted, stores=_visible(wanted.stores, principal), received_until=until
    )


def _visible(stores: Sequence[str] | None, principal: Principal) -> Sequence[str] | None:
    """Narrow stores to the caller's; items of no store are for callers bound to none."""
    if principal.stores is None:
        return stores
    return sorted(principal.stores if stores is None else principal.stores.intersection(stores))


def _not_waiting(item: QuarantinedItem) -> ConflictError:
    when = "" if item.resolved_at is None else f" at {item.resolved_at:%Y-%m-%dT%H:%M:%SZ}"
    return ConflictError(f"Item {item.quarantine_id} was {item.state}{when}.", state=item.state)
