"""Repair orders: lists, one with its verdict, and its timeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from app.db.subjects import Kept, RepairOrderFilter, SubjectRepository
from app.db.timelines import LoggedEvent, TimelineRepository
from app.domain.access import Principal
from app.domain.errors import NotFoundError
from app.domain.events.catalog import CATALOG
from app.domain.events.envelope import Kind
from app.domain.fold import retracted
from app.domain.follow_up import FollowUp
from app.domain.kpis.explain import on_time
from app.domain.kpis.verdict import OnTime
from app.domain.pages import Page, PageRequest, page_of
from app.domain.periods import local_day
from app.domain.policies import Policies
from app.domain.repair_order import RepairOrder
from app.services.desk import PersonalFields
from app.services.evidence import Evidence, EvidenceFinder, InferredFact
from app.services.names import NameService, in_words
from app.services.stores import StoreDirectory
from app.services.time_source import TimeSource


@dataclass(frozen=True, slots=True)
class RepairOrderView:
    """A repair order as of now.

    Attributes:
        customer_no: Whose it is now: whom it names, else who owned its vehicle when it was here,
            after all mergers.
        overdue: Still in the shop after the promised time in force.
        listed_at: The instant it is listed under.
        personal: Personal fields as they stand, by name.
        inferred: What nobody told of it but snapshots show, in order of time.
        names: Names of the staff in it, as far as known, by number or surrogate.
    """

    version: int
    state: RepairOrder
    customer_no: str | None
    on_time: OnTime
    overdue: bool
    listed_at: datetime | None
    personal: Mapping[str, Any]
    names: Mapping[str, str]
    inferred: Sequence[InferredFact] = ()


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """An event of a timeline, and whether it was retracted.

    Attributes:
        evidence: The snapshot that it was read out of; None where it was told.
    """

    event: LoggedEvent
    retracted: bool
    evidence: Evidence | None = None

    @property
    def title(self) -> str:
        """What the type of the event means, in words."""
        return CATALOG[self.event.type].description


class RepairOrderService:
    """Reads repair orders."""

    def __init__(
        self,
        repository: SubjectRepository,
        personal: PersonalFields,
        evidence: EvidenceFinder,
        *,
        names: NameService,
        stores: StoreDirectory,
        policies: Policies,
        time_source: TimeSource,
    ) -> None:
        self._repository = repository
        self._personal = personal
        self._evidence = evidence
        self._names = names
        self._stores = stores
        self._policies = policies
        self._time_source = time_source

    async def list_page(
        self,
        store_id: str,
        wanted: Mapping[str, Any],
        page: PageRequest,
        *,
        principal: Principal,
        overdue: bool = False,
    ) -> Page[RepairOrderView]:
        """List repair orders, the last opened first.

        Args:
            store_id: The store.
            wanted: Arguments of `RepairOrderFilter` but for `overdue_at`; staff by number,
                surrogate or name.
            page: The part that is wanted.
            principal: Who asks.
            overdue: Only those still in the shop after their promised time.

        Raises:
            NotFoundError: There is no such store.
            ForbiddenError: A member is asked for by name, and the caller may not see names.
            InvalidInputError: The name is nobody's, or several people's.
        """
        zone = (await self._stores.get(store_id)).zone
        now = await self._time_source.now()
        known = await self._names.known(store_id)
        found = await self._repository.list_repair_orders(
            store_id,
            RepairOrderFilter(
                overdue_at=now if overdue else None,
                **await self._names.spelled(
                    store_id, wanted, "advisor", "technician", known=known, principal=principal
                ),
            ),
            after=cast("tuple[datetime, str] | None", page.key(datetime, str)),
            limit=page.limit + 1,
        )
        found = [(in_words(kept, known), listed_at) for kept, listed_at in found]
        keys = [kept.key for kept, _ in found]
        calls = await self._repository.list_of_many(FollowUp, store_id, "ro_number", keys)
        personal = await self._personal.find(store_id, Kind.REPAIR_ORDER, keys)
        inferred = await self._evidence.list_inferred(
            store_id, [kept.key for kept, _ in found if kept.state.sightings]
        )
        names = await self._names.texts(
            store_id, {member for kept, _ in found for member in _staff_of(kept.state)}
        )
        return page_of(
            [
                self._view(
                    kept,
                    [call.state for call in calls if call.state.ro_number == kept.key],
                    now=now,
                    zone=zone,
                    listed_at=listed_at,
                    personal=personal.get(kept.key, {}),
                    inferred=inferred.get(kept.key, ()),
                    names=names,
                )
                for kept, listed_at in found
            ],
            page.limit,
            lambda view: (view.listed_at, view.state.ro_number),
        )

    async def get(self, store_id: str, ro_number: str) -> RepairOrderView:
        """Get one repair order.

        Raises:
            NotFoundError: There is none with that number.
        """
        zone = (await self._stores.get(store_id)).zone
        kept = await self._repository.find(RepairOrder, store_id, ro_number)
        if kept is None:
            message = f"There is no repair order {ro_number} in store {store_id}."
            raise NotFoundError(message)
        kept = in_words(kept, await self._names.known(store_id))
        calls = await self._repository.list_of(FollowUp, store_id, "ro_number", ro_number)
        personal = await self._personal.find(store_id, Kind.REPAIR_ORDER, [ro_number])
        seen = [ro_number] if kept.state.sightings else []
        inferred = await self._evidence.list_inferred(store_id, seen)
        return self._view(
            kept,
            [call.state for call in calls],
            now=await self._time_source.now(),
            zone=zone,
            personal=personal.get(ro_number, {}),
            inferred=inferred.get(ro_number, ()),
            names=await self._names.texts(store_id, _staff_of(kept.state)),
        )

    def _view(
        self,
        kept: Kept[RepairOrder],
        follow_ups: list[FollowUp],
        *,
        now: datetime,
        zone: ZoneInfo,
        personal: Mapping[str, Any],
        names: Mapping[str, str],
        listed_at: datetime | None = None,
        inferred: Sequence[InferredFact] = (),
    ) -> RepairOrderView:
        order = kept.state
        policy = self._policies.valid_on(local_day(order.delivered_at or now, zone))
        verdict = on_time(order, follow_ups, policy, zone)
        return RepairOrderView(
            version=kept.version,
            state=order,
            customer_no=kept.customer_no,
            on_time=verdict,
            overdue=order.status in {"open", "ready_to_bill"}
            and verdict.reference is not None
            and verdict.reference < now,
            listed_at=listed_at,
            personal=personal,
            inferred=inferred,
            names=names,
        )


class TimelineService:
    """Reads what happened, the latest first."""

    def __init__(
        self,
        repository: TimelineRepository,
        evidence: EvidenceFinder,
        *,
        stores: StoreDirectory,
    ) -> None:
        self._repository = repository
        self._evidence = evidence
        self._stores = stores

    async def list_of_repair_order(
        self, store_id: str, ro_number: str, page: PageRequest
    ) -> Page[TimelineEntry]:
        """List the events of an order, its follow-ups and its complaints.

        Raises:
            NotFoundError: Nothing is known of such an order.
        """
        await self._stores.get(store_id)
        found = await self._repository.list_of_repair_order(
            store_id, ro_number, after=_after(page), limit=page.limit + 1
        )
        if not found and page.after is None:
            message = f"There is no repair order {ro_number} in store {store_id}."
            raise NotFoundError(message)
        return await self._page(store_id, found, page)

    async def list_of_customer(
        self, store_id: str, customer_no: str, page: PageRequest
    ) -> Page[TimelineEntry]:
        """List the events of all that belongs to a customer.

        Raises:
            NotFoundError: Nothing is known of such a customer.
        """
        await self._stores.get(store_id)
        found = await self._repository.list_of_customer(
            store_id, customer_no, after=_after(page), limit=page.limit + 1
        )
        if not found and page.after is None:
            message = f"There is no customer {customer_no} in store {store_id}."
            raise NotFoundError(message)
        return await self._page(store_id, found, page)

    async def _page(
        self, store_id: str, found: list[LoggedEvent], page: PageRequest
    ) -> Page[TimelineEntry]:
        gone = retracted(
            await self._repository.list_retractions(
                store_id, {(event.kind, event.key) for event in found}
            )
        )
        evidence = await self._evidence.of_events(store_id, found)
        return page_of(
            [
                TimelineEntry(event, (event.source, event.id) in gone, evidence.get(event.seq))
                for event in found
            ],
            page.limit,
            lambda entry: (entry.event.occurred_at, entry.event.seq),
        )


def _staff_of(order: RepairOrder) -> set[str | None]:
    return {order.advisor, order.technician}


def _after(page: PageRequest) -> tuple[datetime, int] | None:
    return cast("tuple[datetime, int] | None", page.key(datetime, int))
