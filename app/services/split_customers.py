"""One car with several customers: are they one with several files, or several people?

Staff say which: they merge the files, or tell the customers apart.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any, Final, cast

from app.db.links import LinkRepository
from app.db.subjects import SubjectRepository
from app.domain.customer import Customer, Distinction
from app.domain.errors import DomainError, InvalidInputError, NotFoundError
from app.domain.events.customer_file import CustomerMerged, CustomerToldApart
from app.domain.events.envelope import Kind, NewEvent
from app.domain.events.shape import storable
from app.domain.links import (
    Pair,
    Visit,
    check_merge,
    check_telling_apart,
    owners_of,
    spelled_alike,
    split_customers,
    surviving_no,
    told_apart,
)
from app.domain.mentions import KnownNames, with_members
from app.domain.pages import Page, PageRequest, page_of
from app.domain.vehicle import Ownership, Vehicle
from app.services.appender import Appender
from app.services.desk import Caller
from app.services.door import Door
from app.services.names import NameService
from app.services.stores import StoreDirectory
from app.services.units import Answer, Command, CommandContext

CANDIDATES: Final = 200
MOST_CANDIDATES: Final = 3_200
"""VINs that are looked at in one go for split files: few first, more where most are answered."""


@dataclass(frozen=True, slots=True)
class NamedCustomer:
    """One of the customers of a vehicle whose files were likely split."""

    customer_no: str
    repair_orders: int
    last_visit_at: datetime | None


@dataclass(frozen=True, slots=True)
class ToldApart:
    """Two of them who are different people, as somebody said.

    Attributes:
        customers: By the numbers that count, in order.
        customer_no: The number whose file says so.
        said: When, by whom, and the event that takes it back when it is retracted.
    """

    customers: Sequence[str]
    customer_no: str
    said: Distinction


@dataclass(frozen=True, slots=True)
class SplitView:
    """A vehicle that more customers are named for than it had owners.

    Attributes:
        vin: Spelled alike.
        owner: Whose it is now by its file.
        told_apart: Those of the customers of whom somebody said so, pair by pair.
    """

    vin: str
    owner: str | None
    customers: list[NamedCustomer]
    told_apart: list[ToldApart]


@dataclass(frozen=True, slots=True)
class FileAfter:
    """A customer's file after a command."""

    version: int
    state: Customer
    counts_as: str


RenderFile = Callable[[FileAfter], bytes]


class SplitCustomerService:
    """The work list of customers who are likely one, and both answers to it."""

    def __init__(
        self,
        links: LinkRepository,
        subjects: SubjectRepository,
        *,
        names: NameService,
        appender: Appender,
        door: Door,
        stores: StoreDirectory,
    ) -> None:
        self._links = links
        self._subjects = subjects
        self._names = names
        self._appender = appender
        self._door = door
        self._stores = stores

    async def list_page(
        self, store_id: str, page: PageRequest, *, answered: bool
    ) -> Page[SplitView]:
        """List vehicles whose customers are likely one and the same, by VIN.

        Args:
            store_id: The store.
            page: The part that is wanted.
            answered: Those instead whose customers were all told apart.

        Raises:
            NotFoundError: There is no such store.
        """
        await self._stores.get(store_id)
        names = await self._names.known(store_id)
        key = page.key(str)
        after = None if key is None else cast("str", key[0])
        found: list[SplitView] = []
        candidates = CANDIDATES
        while len(found) <= page.limit:
            vins = await self._links.list_of_several(store_id, after=after, limit=candidates)
            if not vins:
                break
            found += await self._find(store_id, vins, names, answered=answered)
            after, candidates = vins[-1], min(4 * candidates, MOST_CANDIDATES)
        return page_of(found, page.limit, lambda view: (view.vin,))

    async def merge(
        self,
        store_id: str,
        customer_no: str,
        data: Mapping[str, Any],
        caller: Caller,
        render: RenderFile,
    ) -> Answer:
        """Merge a customer's file into another one; both must be known, be it by an order alone.

        Raises:
            NotFoundError: Nothing is known of the customer.
            InvalidInputError: Nothing is known of the other one.
        """

        def is_news(event: NewEvent, files: Mapping[str, Customer]) -> bool:
            return check_merge(customer_no, cast("CustomerMerged", event.payload).into, files)

        return await self._execute(
            "customer.merged", store_id, customer_no, data, "into", caller, is_news, render
        )

    async def tell_apart(
        self,
        store_id: str,
        customer_no: str,
        data: Mapping[str, Any],
        caller: Caller,
        render: RenderFile,
    ) -> Answer:
        """Say that other customers are different people; all must be known, be it by an order.

        Raises:
            NotFoundError: Nothing is known of the customer.
            InvalidInputError: Nothing is known of one of the others.
        """

        def is_news(event: NewEvent, files: Mapping[str, Customer]) -> bool:
            others = cast("CustomerToldApart", event.payload).others
            return check_telling_apart(customer_no, others, files)

        return await self._execute(
            "customer.told_apart", store_id, customer_no, data, "others", caller, is_news, render
        )

    async def _execute(
        self,
        event_type: str,
        store_id: str,
        customer_no: str,
        data: Mapping[str, Any],
        names_others: str,
        caller: Caller,
        is_news: Callable[[NewEvent, Mapping[str, Customer]], bool],
        render: RenderFile,
    ) -> Answer:
        """Write an event about a customer and others, if it says anything new.

        Args:
            event_type: What to write.
            store_id: The store.
            customer_no: The subject.
            data: Of the event, and when it happened.
            names_others: The field that names the others.
            caller: Who asks for it.
            is_news: Whether it is to be written; raises what forbids it.
            render: Writes the answer.
        """
        body = dict(data)
        occurred_at = body.pop("occurred_at", None)
        named = body[names_others]
        others = [named] if isinstance(named, str) else list(named)
        numbers, refusal = await self._read_numbers(
            store_id, customer_no, others, f"/{names_others}"
        )

        def decide(context: CommandContext) -> list[NewEvent]:
            if refusal is not None:
                raise refusal
            caller.check_version(context, Kind.CUSTOMER, customer_no)
            event = self._door.make(
                event_type,
                store_id=store_id,
                subject=customer_no,
                occurred_at=occurred_at or context.now,
                data=body,
                now=context.now,
            )
            return [event] if is_news(event, _files(context, numbers)) else []

        def answer(context: CommandContext) -> Answer:
            files = _files(context, numbers)
            after = FileAfter(
                version=context.version(Kind.CUSTOMER, customer_no),
                state=files.get(customer_no) or Customer(customer_no=customer_no),
                counts_as=surviving_no(customer_no, files),
            )
            return Answer(200, render(after))

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
        self, store_id: str, customer_no: str, others: Collection[str], pointer: str
    ) -> tuple[set[str], DomainError | None]:
        """Name all files that a command hangs on, and say what forbids it if one isn't known.

        It is not raised here: what was answered under an Idempotency-Key goes before.
        """
        numbers = {customer_no, *await self._links.list_numbers(store_id, customer_no)}
        if not await self._links.is_known(store_id, customer_no):
            message = f"There is no customer {customer_no} in store {store_id}."
            return numbers, NotFoundError(message)
        for other in others:
            if not storable(other):
                continue  # the door will say what is wrong with it
            numbers |= {other, *await self._links.list_numbers(store_id, other)}
            if not await self._links.is_known(store_id, other):
                message = f"Nothing is known of a customer {other} in store {store_id}."
                return numbers, InvalidInputError.at(pointer, "unknown", message)
        return numbers, None

    async def _find(
        self, store_id: str, vins: Collection[str], names: KnownNames, *, answered: bool
    ) -> list[SplitView]:
        """Pick the vehicles for which no transfer explains the customers that are named."""
        visits: dict[str, list[Visit]] = defaultdict(list)
        for vin, _, visit in await self._links.list_visits(store_id, vins):
            visits[vin].append(visit)
        vehicles: dict[str, list[Vehicle]] = defaultdict(list)
        for kept in await self._subjects.list_of_many(
            Vehicle, store_id, "spelled_alike", list(vins)
        ):
            vehicles[spelled_alike(kept.key) or ""].append(kept.state)
        owners = {vin: owners_of(vehicles[vin]) for vin in vins}
        named = {visit.customer_no for of_vin in visits.values() for visit in of_vin}
        named |= {owner.customer_no for of_vin in owners.values() for owner in of_vin}
        surviving = await self._links.find_surviving(store_id, named)
        files = [
            with_members(file, names)
            for file in await self._links.list_told_apart(
                store_id, named.union(surviving.values())
            )
        ]
        surviving |= await self._links.find_surviving(
            store_id,
            {
                number
                for file in files
                for number in (file.customer_no, *(known.other for known in file.told_apart))
            },
        )
        apart = told_apart(files, surviving)
        views: list[SplitView] = []
        for vin in vins:
            of_vin = owners[vin], visits[vin], surviving
            customers = split_customers(*of_vin, apart)
            if answered:
                customers = [] if customers else split_customers(*of_vin)
            if customers:
                views.append(_view(vin, customers, *of_vin, apart))
        return views


def _view(
    vin: str,
    customers: list[str],
    owners: Sequence[Ownership],
    visits: list[Visit],
    surviving: Mapping[str, str],
    apart: Mapping[Pair, tuple[str, Distinction]],
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
        told_apart=[
            ToldApart(pair, *said)
            for pair in combinations(customers, 2)
            if (said := apart.get(frozenset(pair))) is not None
        ],
    )


def _files(context: CommandContext, numbers: Collection[str]) -> dict[str, Customer]:
    found = {number: context.find(Kind.CUSTOMER, number) for number in numbers}
    return {number: file for number, file in found.items() if isinstance(file, Customer)}
