"""Customers, their vehicles, and the staff who serve them: files as the events tell them."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from app.db.links import Belongings, LinkRepository
from app.db.subjects import Kept, SubjectRepository
from app.domain.customer import Customer
from app.domain.errors import NotFoundError
from app.domain.events.envelope import Kind
from app.domain.links import joined
from app.domain.pages import Page, PageRequest, page_of
from app.domain.staff import Staff, add_aliases
from app.domain.vehicle import Vehicle
from app.services.desk import PersonalFields
from app.services.stores import StoreDirectory

S = TypeVar("S", Customer, Vehicle, Staff)

_KINDS: Final[Mapping[type, tuple[Kind, str]]] = {
    Customer: (Kind.CUSTOMER, "customer"),
    Vehicle: (Kind.VEHICLE, "vehicle"),
    Staff: (Kind.STAFF, "member of staff"),
}


BELONGINGS: Final = 50
"""Most items of a kind that a customer is shown with; lists give all."""


@dataclass(frozen=True, slots=True)
class FileView(Generic[S]):
    """A file: its state, and the personal fields that lie beside the log.

    Attributes:
        customer_no: Whose it is after all mergers; of a customer's file, the number that counts.
    """

    key: str
    version: int
    state: S
    customer_no: str | None
    personal: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CustomerView:
    """A customer with all that belongs to them, under whatever number it was written down.

    Attributes:
        file: Of the number asked for; what the files say that were merged into it fills its gaps.
        merged_numbers: All other numbers of the customer but the one that counts.
    """

    file: FileView[Customer]
    merged_numbers: list[str]
    belongings: Belongings


class FileService:
    """Reads files of customers, vehicles and staff."""

    def __init__(
        self,
        repository: SubjectRepository,
        personal: PersonalFields,
        stores: StoreDirectory,
        *,
        links: LinkRepository,
    ) -> None:
        self._links = links
        self._repository = repository
        self._personal = personal
        self._stores = stores

    async def get(self, file: type[S], store_id: str, key: str) -> FileView[S]:
        """Get one file.

        Raises:
            NotFoundError: There is none with that key.
        """
        await self._stores.get(store_id)
        kind, noun = _KINDS[file]
        kept = await self._repository.find(file, store_id, key)
        if kept is None:
            message = f"There is no {noun} {key} in store {store_id}."
            raise NotFoundError(message)
        return (await self._views(kind, store_id, [kept]))[0]

    async def list_page(
        self, file: type[S], store_id: str, page: PageRequest
    ) -> Page[FileView[S]]:
        """List files in order of key.

        Raises:
            NotFoundError: There is no such store.
        """
        await self._stores.get(store_id)
        key = page.key(str)
        found = await self._repository.list_by_key(
            file,
            store_id,
            after=None if key is None else cast("str", key[0]),
            limit=page.limit + 1,
        )
        views = await self._views(_KINDS[file][0], store_id, found)
        return page_of(views, page.limit, lambda view: (view.key,))

    async def get_customer(self, store_id: str, customer_no: str) -> CustomerView:
        """Get a customer with all that belongs to them.

        Raises:
            NotFoundError: Nothing is known of such a customer.
        """
        await self._stores.get(store_id)
        numbers = await self._links.list_numbers(store_id, customer_no)
        kept = await self._repository.find_many(Customer, store_id, numbers)
        views = {view.key: view for view in await self._views(Kind.CUSTOMER, store_id, kept)}
        if not views:
            message = f"There is no customer {customer_no} in store {store_id}."
            raise NotFoundError(message)
        counts, *merged = numbers
        return CustomerView(
            file=_whole(counts, [views[number] for number in numbers if number in views])
            if customer_no == counts
            else views[customer_no],
            merged_numbers=merged,
            belongings=await self._links.list_belongings(store_id, numbers, limit=BELONGINGS),
        )

    async def list_vehicles_of(self, store_id: str, customer_no: str) -> list[FileView[Vehicle]]:
        """List a customer's vehicles, by VIN; empty if none are known.

        Raises:
            NotFoundError: Nothing is known of such a customer, or there is no such store.
        """
        await self._stores.get(store_id)
        numbers = await self._links.list_numbers(store_id, customer_no)
        found = await self._repository.list_of_many(Vehicle, store_id, "customer_no", numbers)
        if not found:
            await self.get_customer(store_id, customer_no)
        return await self._views(Kind.VEHICLE, store_id, found)

    async def _views(self, kind: Kind, store_id: str, found: list[Kept[S]]) -> list[FileView[S]]:
        fields: dict[str, dict[str, Any]] = defaultdict(dict)
        aliases: dict[str, dict[str, list[str]]] = defaultdict(dict)
        keys = [kept.key for kept in found]
        for aside in await self._personal.list_standing(store_id, kind, keys):
            fields[aside.key] |= aside.fields
            if kind is Kind.STAFF and "aliases" in aside.fields:
                add_aliases(aliases[aside.key], aside.source, aside.fields["aliases"])
        for key, by_source in aliases.items():
            fields[key]["aliases"] = sorted(set().union(*by_source.values()))
        return [
            FileView(
                key=kept.key,
                version=kept.version,
                state=kept.state,
                customer_no=kept.customer_no,
                personal=fields.get(kept.key, {}),
            )
            for kept in found
        ]


def _whole(customer_no: str, files: list[FileView[Customer]]) -> FileView[Customer]:
    """Join a customer's files; there may be none of the number that counts (yet)."""
    version, state, rest = 0, Customer(customer_no=customer_no), files
    if files[0].key == customer_no:
        version, state, rest = files[0].version, files[0].state, files[1:]
    personal: dict[str, Any] = {}
    for file in reversed(files):
        personal |= file.personal
    return FileView(
        key=customer_no,
        version=version,
        state=joined(state, [file.state for file in rest]),
        customer_no=customer_no,
        personal=personal,
    )
