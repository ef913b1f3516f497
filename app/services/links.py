"""Late linking at the desk: orders without a customer or a vehicle, and the command for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from app.db.links import LinkRepository, Missing, UnlinkedOrder
from app.domain.errors import NotFoundError
from app.domain.events.envelope import Kind, NewEvent
from app.domain.events.repair_order import RepairOrderLinked
from app.domain.links import says_news
from app.domain.mentions import with_members
from app.domain.pages import Page, PageRequest, page_of
from app.domain.repair_order import RepairOrder
from app.services.appender import Appender
from app.services.desk import Caller
from app.services.door import Door
from app.services.link_suggestions import LinkSuggestions, Suggestion
from app.services.names import NameService
from app.services.stores import StoreDirectory
from app.services.units import Answer, Command, CommandContext


@dataclass(frozen=True, slots=True)
class UnlinkedView:
    """An order of the work list, with what might link it.

    Attributes:
        plate: Personal.
        suggestions: Of customers and vehicles, for what it lacks; never more than that.
    """

    order: UnlinkedOrder
    plate: str | None
    suggestions: list[Suggestion]


class LinkService:
    """The work list of orders that lack a link, and the command that links one."""

    def __init__(
        self,
        links: LinkRepository,
        suggestions: LinkSuggestions,
        *,
        names: NameService,
        appender: Appender,
        door: Door,
        stores: StoreDirectory,
    ) -> None:
        self._links = links
        self._suggestions = suggestions
        self._names = names
        self._appender = appender
        self._door = door
        self._stores = stores

    async def list_unlinked(
        self, store_id: str, page: PageRequest, *, missing: Missing | None, status: str | None
    ) -> Page[UnlinkedView]:
        """List orders without customer or vehicle, the first opened first.

        Args:
            store_id: The store.
            page: The part that is wanted.
            missing: Only those that lack it.
            status: Only those; None is all that aren't cancelled.

        Raises:
            NotFoundError: There is no such store.
        """
        await self._stores.get(store_id)
        found = await self._links.list_unlinked(
            store_id,
            missing=missing,
            status=status,
            after=cast("tuple[datetime, str] | None", page.key(datetime, str)),
            limit=page.limit + 1,
        )
        known = await self._names.known(store_id)
        found = [replace(order, state=with_members(order.state, known)) for order in found]
        plates, suggestions = await self._suggestions.find(store_id, found)
        return page_of(
            [
                UnlinkedView(
                    order=order,
                    plate=plates.get(order.state.ro_number),
                    suggestions=suggestions[order.state.ro_number],
                )
                for order in found
            ],
            page.limit,
            lambda view: (view.order.listed_at, view.order.state.ro_number),
        )

    async def link(
        self,
        store_id: str,
        ro_number: str,
        data: Mapping[str, Any],
        caller: Caller,
        render: Callable[[int, RepairOrder], bytes],
    ) -> Answer:
        """Say whose an order is, which car it is about, or both; nothing is written twice."""
        body = dict(data)
        occurred_at = body.pop("occurred_at", None)
        subject = (Kind.REPAIR_ORDER, ro_number)

        def decide(context: CommandContext) -> list[NewEvent]:
            order = _order(context, ro_number)
            caller.check_version(context, *subject)
            event = self._door.make(
                "repair_order.linked",
                store_id=store_id,
                subject=ro_number,
                occurred_at=occurred_at or context.now,
                data=body,
                now=context.now,
            )
            return [event] if says_news(order, cast("RepairOrderLinked", event.payload)) else []

        return await self._appender.execute(
            Command(
                store_id,
                reads={subject},
                decide=decide,
                render=lambda context: Answer(
                    200, render(context.version(*subject), _order(context, ro_number))
                ),
                idempotency=caller.idempotency,
            )
        )


def _order(context: CommandContext, ro_number: str) -> RepairOrder:
    order = context.find(Kind.REPAIR_ORDER, ro_number)
    if not isinstance(order, RepairOrder):
        message = f"There is no repair order {ro_number}."
        raise NotFoundError(message)
    return order
