"""Customers, their vehicles, and the staff who serve them: files as the events tell them."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from app.db.subjects import Kept, SubjectRepository
from app.domain.customer import Customer
from app.domain.errors import NotFoundError
from app.domain.events.envelope import Kind
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


@dataclass(frozen=True, slots=True)
class FileView(Generic[S]):
    """A file: its state, and the personal fields that lie beside the log."""

    key: str
    version: int
    state: S
    personal: Mapping[str, Any]


class FileService:
    """Reads files of customers, vehicles and staff."""

    def __init__(
        self, repository: SubjectRepository, personal: PersonalFields, stores: StoreDirectory
    ) -> None:
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

    async def list_vehicles_of(self, store_id: str, customer_no: str) -> list[FileView[Vehicle]]:
        """List a customer's vehicles, by VIN; empty if none are known.

        Raises:
            NotFoundError: Nothing is known of such a customer, or there is no such store.
        """
        await self._stores.get(store_id)
        found = await self._repository.list_of(Vehicle, store_id, "customer_no", customer_no)
        if not found:
            await self.get(Customer, store_id, customer_no)
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
            FileView(kept.key, kept.version, kept.state, fields.get(kept.key, {}))
            for kept in found
        ]
