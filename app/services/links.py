"""Late linking at the desk: what lacks a customer or a vehicle, and what staff do about it."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, cast

from app.db.links import LinkRepository, Missing, UnlinkedOrder
from app.db.subjects import SubjectRepository
from app.domain.customer import Customer
from app.domain.errors import DomainError, InvalidInputError, NotFoundError
from app.domain.events.customer_file import CustomerMerged
from app.domain.events.envelope import Kind, NewEvent
from app.domain.events.repair_order import RepairOrderLinked
from app.domain.events.shape import storable
from app.domain.links import (
    Visit,
    check_merge,
    owners_of,
    says_news,
    spelled_alike,
    split_customers,
    surviving_no,
)
from app.domain.mentions import with_members
from app.domain.pages import Page, PageRequest, page_of
from app.domain.repair_order import RepairOrder
from app.domain.vehicle import Ownership, Vehicle
from app.services.appender import Appender
from app.services.desk import Caller
from app.services.door import Door
from app.services.link_suggestions import LinkSuggestions, Suggestion
from app.services.names import NameService
from app.services.stores import StoreDirectory
from app.services.units import Answer, Command, CommandContext

CANDIDATES: Final = 200
"""VINs that are looked at in one go for split files."""


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


@dataclass(frozen=True, slots=True)
class NamedCustomer:
    """One of the customers of a vehicle whose files were likely split."""

    customer_no: str
    repair_orders: int
    last_visit_at: datetime | None


@dataclass(frozen=True, slots=True)
class SplitView:
    """A vehicle for which more customers are named than it had owners.

    Attributes:
        vin: As VINs are compared: upper case.
        owner: Whose it is now by its file.
    """

    vin: str
    owner: str | None
    customers: list[NamedCustomer]


@dataclass(frozen=True, slots=True)
class MergedView:
    """A customer's file after a merger."""

    version: int
    state: Customer
    counts_as: str


class LinkService:
    """Work lists of what isn't linked, and the commands that link it."""

    def __init__(
        self,
        links: LinkRepository,
        subjects: SubjectRepository,
        suggestions: LinkSuggestions,
        *,
        names: NameService,
        appender: Appender,
        door: Door,
        stores: StoreDirectory,
    ) -> None:
        self._links = links
        self._subjects = subjects
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

    async def list_split(self, store_id: str, page: PageRequest) -> Page[SplitView]:
        """List vehicles whose customers are likely one and the same, by VIN.

        Raises:
            NotFoundError: There is no such store.
        """
        await self._stores.get(store_id)
        key = page.key(str)
        after = None if key is None else cast("str", key[0])
        found: list[SplitView] = []
        while len(found) <= page.limit:
            vins = await self._links.list_of_several(store_id, after=after, limit=CANDIDATES)
            if not vins:
                break
            found += await self._split(store_id, vins)
            after = vins[-1]
        return page_of(found, page.limit, lambda view: (view.vin,))

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

    async def merge(
        self,
        store_id: str,
        customer_no: str,
        data: Mapping[str, Any],
        caller: Caller,
        render: Callable[[MergedView], bytes],
    ) -> Answer:
        """Merge a customer's file into another one; both must be known, be it by an order alone.

        Raises:
            NotFoundError: Nothing is known of the customer.
            InvalidInputError: Nothing is known of the other one.
        """
        body = dict(data)
        occurred_at = body.pop("occurred_at", None)
        numbers, refusal = await self._read_numbers(store_id, customer_no, body["into"])

        def decide(context: CommandContext) -> list[NewEvent]:
            if refusal is not None:
                raise refusal
            caller.check_version(context, Kind.CUSTOMER, customer_no)
            event = self._door.make(
                "customer.merged",
                store_id=store_id,
                subject=customer_no,
                occurred_at=occurred_at or context.now,
                data=body,
                now=context.now,
            )
            into = cast("CustomerMerged", event.payload).into
            return [event] if check_merge(customer_no, into, _files(context, numbers)) else []

        def answer(context: CommandContext) -> Answer:
            files = _files(context, numbers)
            view = MergedView(
                version=context.version(Kind.CUSTOMER, customer_no),
                state=files[customer_no],
                counts_as=surviving_no(customer_no, files),
            )
            return Answer(200, render(view))

        return await self._appender.execute(
            Command(
                store_id,
                reads={(Kind.CUSTOMER, number) for number in numbers},
                decide=decide,
                render=answer,
                idempotency=caller.idempotency,
            )
        )

    async def _read_numbers(
        self, store_id: str, customer_no: str, into: str
    ) -> tuple[set[str], DomainError | None]:
        """Name all files that a merger hangs on, and say what forbids it if one isn't known.

        It is not raised here: what was answered under an Idempotency-Key goes before.
        """
        numbers = {customer_no, *await self._links.list_numbers(store_id, customer_no)}
        if not await self._links.is_known(store_id, customer_no):
            message = f"There is no customer {customer_no} in store {store_id}."
            return numbers, NotFoundError(message)
        if not storable(into):
            return numbers, None  # the door will say what is wrong with it
        numbers |= {into, *await self._links.list_numbers(store_id, into)}
        if not await self._links.is_known(store_id, into):
            message = f"Nothing is known of a customer {into} in store {store_id}."
            return numbers, InvalidInputError.at("/into", "unknown", message)
        return numbers, None

    async def _split(self, store_id: str, vins: Collection[str]) -> list[SplitView]:
        """Pick the vehicles for which no transfer explains the customers that are named."""
        visits: dict[str, list[Visit]] = defaultdict(list)
        for vin, _, visit in await self._links.list_visits(store_id, vins):
            visits[vin].append(visit)
        files: dict[str, list[Vehicle]] = defaultdict(list)
        for kept in await self._subjects.list_of_many(
            Vehicle, store_id, "spelled_alike", list(vins)
        ):
            files[spelled_alike(kept.key) or ""].append(kept.state)
        owners = {vin: owners_of(files[vin]) for vin in vins}
        named = {visit.customer_no for of_vin in visits.values() for visit in of_vin}
        named |= {owner.customer_no for of_vin in owners.values() for owner in of_vin}
        surviving = await self._links.find_surviving(store_id, named)
        return [
            _split_view(vin, customers, visits[vin], owners[vin], surviving)
            for vin in vins
            if (customers := split_customers(owners[vin], visits[vin], surviving))
        ]


def _split_view(
    vin: str,
    customers: list[str],
    visits: list[Visit],
    owners: Sequence[Ownership],
    surviving: Mapping[str, str],
) -> SplitView:
    came: dict[str, list[datetime]] = defaultdict(list)
    for visit in visits:
        came[surviving.get(visit.customer_no, visit.customer_no)].append(visit.at)
    owner = owners[-1].customer_no if owners else None
    return SplitView(
        vin=vin,
        owner=None if owner is None else surviving.get(owner, owner),
        customers=[
            NamedCustomer(
                customer_no, len(came[customer_no]), max(came[customer_no], default=None)
            )
            for customer_no in customers
        ],
    )


def _order(context: CommandContext, ro_number: str) -> RepairOrder:
    order = context.find(Kind.REPAIR_ORDER, ro_number)
    if not isinstance(order, RepairOrder):
        message = f"There is no repair order {ro_number}."
        raise NotFoundError(message)
    return order


def _files(context: CommandContext, numbers: Collection[str]) -> dict[str, Customer]:
    found = {number: context.find(Kind.CUSTOMER, number) for number in numbers}
    return {number: file for number, file in found.items() if isinstance(file, Customer)}
