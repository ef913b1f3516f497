"""Complaints at the desk: lists, one, and what staff do with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from uuid6 import uuid7

from app.db.subjects import ComplaintFilter, SubjectRepository
from app.domain import complaint as rules
from app.domain.access import Principal
from app.domain.clocks import contact_due_at
from app.domain.complaint import Complaint
from app.domain.errors import NotFoundError
from app.domain.events.complaint import (
    ComplaintContacted,
    ComplaintOpened,
    ComplaintReopened,
    ComplaintResolved,
)
from app.domain.events.envelope import Kind, NewEvent
from app.domain.events.shape import storable
from app.domain.mentions import with_members
from app.domain.pages import Page, PageRequest, page_of
from app.domain.policies import Policies
from app.services.appender import Appender
from app.services.desk import Caller, PersonalFields
from app.services.door import Door
from app.services.names import NameService, in_words
from app.services.stores import StoreDirectory
from app.services.time_source import TimeSource
from app.services.units import Answer, Command, CommandContext


@dataclass(frozen=True, slots=True)
class ComplaintView:
    """A complaint as of now.

    Attributes:
        customer_no: Whose it is after all mergers; its order's customer where it names none.
        listed_at: The instant it is listed under.
        personal: Its text and solution; empty in the answer of a command.
        names: Names of the staff in it, by number or surrogate; likewise.
    """

    version: int
    state: Complaint
    customer_no: str | None
    contact_due_at: datetime | None
    overdue: bool
    listed_at: datetime | None
    personal: Mapping[str, Any]
    names: Mapping[str, str]


Render = Callable[[ComplaintView], bytes]


class ComplaintService:
    """Reads complaints and takes the commands of staff."""

    def __init__(
        self,
        repository: SubjectRepository,
        personal: PersonalFields,
        *,
        names: NameService,
        appender: Appender,
        door: Door,
        stores: StoreDirectory,
        policies: Policies,
        time_source: TimeSource,
    ) -> None:
        self._repository = repository
        self._personal = personal
        self._names = names
        self._appender = appender
        self._door = door
        self._stores = stores
        self._policies = policies
        self._time_source = time_source

    async def list_page(
        self, store_id: str, wanted: Mapping[str, Any], page: PageRequest, *, principal: Principal
    ) -> Page[ComplaintView]:
        """List complaints, the last opened first.

        Args:
            store_id: The store.
            wanted: Arguments of `ComplaintFilter` but for `now`; who is responsible by number,
                surrogate or name.
            page: The part that is wanted.
            principal: Who asks.

        Raises:
            NotFoundError: There is no such store.
            ForbiddenError: A member is asked for by name, and the caller may not see names.
            InvalidInputError: The name is nobody's, or several people's.
        """
        zone = (await self._stores.get(store_id)).zone
        now = await self._time_source.now()
        known = await self._names.known(store_id)
        found = await self._repository.list_complaints(
            store_id,
            ComplaintFilter(
                now=now,
                **await self._names.spelled(
                    store_id, wanted, "responsible", known=known, principal=principal
                ),
            ),
            after=cast("tuple[datetime, str] | None", page.key(datetime, str)),
            limit=page.limit + 1,
        )
        found = [(in_words(kept, known), listed_at) for kept, listed_at in found]
        personal = await self._personal.find(
            store_id, Kind.COMPLAINT, [kept.key for kept, _ in found]
        )
        names = await self._names.texts(store_id, {kept.state.responsible for kept, _ in found})
        return page_of(
            [
                self._view(
                    kept.version,
                    kept.state,
                    customer_no=kept.customer_no,
                    now=now,
                    zone=zone,
                    listed_at=listed_at,
                    personal=personal.get(kept.key, {}),
                    names=names,
                )
                for kept, listed_at in found
            ],
            page.limit,
            lambda view: (view.listed_at, view.state.complaint_id),
        )

    async def get(self, store_id: str, key: str) -> ComplaintView:
        """Get one complaint.

        Raises:
            NotFoundError: There is none with that id.
        """
        zone = (await self._stores.get(store_id)).zone
        kept = await self._repository.find(Complaint, store_id, key.lower())
        if kept is None:
            raise _not_found(key)
        kept = in_words(kept, await self._names.known(store_id))
        personal = await self._personal.find(store_id, Kind.COMPLAINT, [kept.key])
        return self._view(
            kept.version,
            kept.state,
            customer_no=kept.customer_no,
            now=await self._time_source.now(),
            zone=zone,
            personal=personal.get(kept.key, {}),
            names=await self._names.texts(store_id, {kept.state.responsible}),
        )

    async def open(
        self, store_id: str, data: Mapping[str, Any], caller: Caller, render: Render
    ) -> Answer:
        """Take in a complaint."""
        body = dict(data)
        key = str(body.pop("complaint_id", None) or uuid7())
        return await self._note(
            "complaint.opened",
            store_id,
            key,
            body,
            caller,
            lambda state, event, _: rules.open_complaint(
                state, cast("ComplaintOpened", event.payload)
            ),
            render,
            opens=True,
        )

    async def contact(
        self, store_id: str, key: str, data: Mapping[str, Any], caller: Caller, render: Render
    ) -> Answer:
        """Note that the customer was contacted about it."""

        def check(state: Complaint | None, event: NewEvent, now: datetime) -> None:
            rules.contact(
                _present(state, key),
                cast("ComplaintContacted", event.payload),
                occurred_at=event.occurred_at,
                now=now,
            )

        return await self._note("complaint.contacted", store_id, key, data, caller, check, render)

    async def resolve(
        self, store_id: str, key: str, data: Mapping[str, Any], caller: Caller, render: Render
    ) -> Answer:
        """Note the solution."""

        def check(state: Complaint | None, event: NewEvent, now: datetime) -> None:
            rules.resolve(
                _present(state, key),
                cast("ComplaintResolved", event.payload),
                occurred_at=event.occurred_at,
                now=now,
            )

        return await self._note("complaint.resolved", store_id, key, data, caller, check, render)

    async def reopen(
        self, store_id: str, key: str, data: Mapping[str, Any], caller: Caller, render: Render
    ) -> Answer:
        """Note that the solution did not hold."""

        def check(state: Complaint | None, event: NewEvent, now: datetime) -> None:
            rules.reopen(
                _present(state, key),
                cast("ComplaintReopened", event.payload),
                occurred_at=event.occurred_at,
                now=now,
            )

        return await self._note("complaint.reopened", store_id, key, data, caller, check, render)

    async def _note(
        self,
        event_type: str,
        store_id: str,
        key: str,
        data: Mapping[str, Any],
        caller: Caller,
        check: Callable[[Complaint | None, NewEvent, datetime], object],
        render: Render,
        *,
        opens: bool = False,
    ) -> Answer:
        """Write down a fact about a complaint, if the rules allow it in its state."""
        body = dict(data)
        occurred_at = body.pop("occurred_at", None)
        key = key.lower()
        customer_no = await self._customer_of(store_id, None if opens else key, body)
        known = await self._names.known(store_id)

        def decide(context: CommandContext) -> list[NewEvent]:
            state = context.find(Kind.COMPLAINT, key)
            if not opens:
                _present(state, key)
                caller.check_version(context, Kind.COMPLAINT, key)
            event = self._door.make(
                event_type,
                store_id=store_id,
                subject=key,
                occurred_at=occurred_at or context.now,
                data=body,
                now=context.now,
            )
            check(state if isinstance(state, Complaint) else None, event, context.now)
            return [event]

        def answer(context: CommandContext) -> Answer:
            view = self._view(
                context.version(Kind.COMPLAINT, key),
                with_members(_present(context.find(Kind.COMPLAINT, key), key), known),
                customer_no=customer_no,
                now=context.now,
                zone=context.store.zone,
                personal={},
                names={},
            )
            return Answer(201 if opens else 200, render(view))

        return await self._appender.execute(
            Command(
                store_id,
                reads={(Kind.COMPLAINT, key)},
                decide=decide,
                render=answer,
                idempotency=caller.idempotency,
            )
        )

    async def _customer_of(
        self, store_id: str, key: str | None, said: Mapping[str, Any]
    ) -> str | None:
        """Find whose a complaint is: one that is there, or one that is just being told."""
        if key is not None:
            kept = await self._repository.find(Complaint, store_id, key)
            return None if kept is None else kept.customer_no
        named = (said.get("customer_no"), said.get("ro_number"))
        if not all(name is None or storable(name) for name in named):
            return None  # the door will say what is wrong with it
        return await self._repository.find_counting(store_id, *named)

    def _view(
        self,
        version: int,
        state: Complaint,
        *,
        customer_no: str | None,
        now: datetime,
        zone: ZoneInfo,
        personal: Mapping[str, Any],
        names: Mapping[str, str],
        listed_at: datetime | None = None,
    ) -> ComplaintView:
        due_at = contact_due_at(state, self._policies, zone)
        return ComplaintView(
            version=version,
            state=state,
            customer_no=customer_no,
            contact_due_at=due_at,
            overdue=due_at is not None and state.contacted_at is None and now > due_at,
            listed_at=listed_at,
            personal=personal,
            names=names,
        )


def _present(state: object, key: str) -> Complaint:
    if not isinstance(state, Complaint):
        raise _not_found(key)
    return state


def _not_found(key: str) -> NotFoundError:
    return NotFoundError(f"There is no complaint {key}.")
