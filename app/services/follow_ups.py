"""Follow-ups at the desk: lists, one, and what staff do with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from app.db.subjects import FollowUpFilter, Kept, SubjectRepository
from app.domain import follow_up_commands as rules
from app.domain.access import Principal
from app.domain.errors import NotFoundError
from app.domain.events.compose import make_own_event
from app.domain.events.envelope import Kind, NewEvent
from app.domain.events.follow_up import (
    FollowUpAssigned,
    FollowUpAttempted,
    FollowUpCancelled,
    FollowUpCompleted,
)
from app.domain.follow_up import FollowUp, FollowUpStatus
from app.domain.ids import follow_up_id
from app.domain.mentions import KnownNames, with_members
from app.domain.pages import Page, PageRequest, page_of
from app.domain.repair_order import RepairOrder
from app.services.appender import Appender
from app.services.desk import Caller
from app.services.door import Door
from app.services.names import NameService, in_words
from app.services.stores import StoreDirectory
from app.services.time_source import TimeSource
from app.services.units import Answer, Command, CommandContext


@dataclass(frozen=True, slots=True)
class FollowUpView:
    """A follow-up as of now.

    Attributes:
        customer_no: Whom to call: the customer whose it is after all mergers.
        names: Names of the staff in it, by number or surrogate; empty in the answer of a command.
    """

    version: int
    state: FollowUp
    customer_no: str | None
    status: FollowUpStatus
    names: Mapping[str, str]


Render = Callable[[FollowUpView], bytes]
"""Writes the answer of a command, which is kept with an Idempotency-Key."""


class FollowUpService:
    """Reads follow-ups and takes the commands of staff."""

    def __init__(
        self,
        repository: SubjectRepository,
        *,
        names: NameService,
        appender: Appender,
        door: Door,
        stores: StoreDirectory,
        time_source: TimeSource,
    ) -> None:
        self._repository = repository
        self._names = names
        self._appender = appender
        self._door = door
        self._stores = stores
        self._time_source = time_source

    async def list_page(
        self, store_id: str, wanted: Mapping[str, Any], page: PageRequest, *, principal: Principal
    ) -> Page[FollowUpView]:
        """List follow-ups that have a window, the first due first.

        Args:
            store_id: The store.
            wanted: Arguments of `FollowUpFilter` but for `now`; the assignee by number, surrogate
                or name.
            page: The part that is wanted.
            principal: Who asks.

        Raises:
            NotFoundError: There is no such store.
            ForbiddenError: A member is asked for by name, and the caller may not see names.
            InvalidInputError: The name is nobody's, or several people's.
        """
        await self._stores.get(store_id)
        now = await self._time_source.now()
        key = page.key(datetime, str)
        known = await self._names.known(store_id)
        found = await self._repository.list_follow_ups(
            store_id,
            FollowUpFilter(
                now=now,
                **await self._names.spelled(
                    store_id, wanted, "assignee", known=known, principal=principal
                ),
            ),
            after=cast("tuple[datetime, str] | None", key),
            limit=page.limit + 1,
        )
        return page_of(
            await self._views(store_id, found, now=now, known=known),
            page.limit,
            lambda view: (view.state.due_at, view.state.follow_up_id),
        )

    async def list_of_order(self, store_id: str, ro_number: str) -> list[FollowUpView]:
        """List the follow-ups of a repair order, by id; empty if it has none.

        Raises:
            NotFoundError: Nothing is known of such an order, or there is no such store.
        """
        await self._stores.get(store_id)
        now = await self._time_source.now()
        found = await self._repository.list_of(FollowUp, store_id, "ro_number", ro_number)
        if not found and await self._repository.find(RepairOrder, store_id, ro_number) is None:
            message = f"There is no repair order {ro_number} in store {store_id}."
            raise NotFoundError(message)
        known = await self._names.known(store_id)
        return await self._views(store_id, found, now=now, known=known)

    async def get(self, store_id: str, key: str) -> FollowUpView:
        """Get one follow-up.

        Raises:
            NotFoundError: There is none with that id.
        """
        kept = await self._repository.find(FollowUp, store_id, key.lower())
        if kept is None:
            raise _not_found(key)
        known = await self._names.known(store_id)
        now = await self._time_source.now()
        return (await self._views(store_id, [kept], now=now, known=known))[0]

    async def _views(
        self, store_id: str, found: Sequence[Kept[FollowUp]], *, now: datetime, known: KnownNames
    ) -> list[FollowUpView]:
        resolved = [in_words(kept, known) for kept in found]
        names = await self._names.texts(store_id, {kept.state.assignee for kept in resolved})
        return [
            FollowUpView(
                version=kept.version,
                state=kept.state,
                customer_no=kept.customer_no,
                status=kept.state.status_at(now),
                names=names,
            )
            for kept in resolved
        ]

    async def get_of_order(self, store_id: str, ro_number: str, kind: str) -> FollowUpView:
        """Get the follow-up of that kind of a repair order: the one kept elsewhere comes first.

        Raises:
            NotFoundError: There is none.
        """
        views = [
            view
            for view in await self.list_of_order(store_id, ro_number)
            if view.state.kind == kind
        ]
        own = follow_up_id(store_id, ro_number, kind)
        standing = [view for view in views if view.status != "cancelled"] or views
        for view in sorted(standing, key=lambda view: view.state.follow_up_id == own):
            return view
        message = f"Repair order {ro_number} has no follow-up of kind {kind}."
        raise NotFoundError(message)

    async def assign(
        self, store_id: str, key: str, data: Mapping[str, Any], caller: Caller, render: Render
    ) -> Answer:
        """Decide who shall call."""

        def check(state: FollowUp, event: NewEvent, _now: datetime) -> None:
            rules.assign(state, cast("FollowUpAssigned", event.payload))

        return await self._note("follow_up.assigned", store_id, key, data, caller, check, render)

    async def attempt(
        self, store_id: str, key: str, data: Mapping[str, Any], caller: Caller, render: Render
    ) -> Answer:
        """Note that the customer was not reached."""

        def check(state: FollowUp, event: NewEvent, now: datetime) -> None:
            payload = cast("FollowUpAttempted", event.payload)
            rules.attempt(state, payload, occurred_at=event.occurred_at, now=now)

        return await self._note("follow_up.attempted", store_id, key, data, caller, check, render)

    async def complete(
        self, store_id: str, key: str, data: Mapping[str, Any], caller: Caller, render: Render
    ) -> Answer:
        """Note that the customer was reached."""

        def check(state: FollowUp, event: NewEvent, now: datetime) -> None:
            payload = cast("FollowUpCompleted", event.payload)
            rules.complete(state, payload, occurred_at=event.occurred_at, now=now)

        return await self._note("follow_up.completed", store_id, key, data, caller, check, render)

    async def cancel(
        self, store_id: str, key: str, data: Mapping[str, Any], caller: Caller, render: Render
    ) -> Answer:
        """Call it off for good."""

        def check(state: FollowUp, event: NewEvent, _now: datetime) -> None:
            rules.cancel(state, cast("FollowUpCancelled", event.payload))

        return await self._note("follow_up.cancelled", store_id, key, data, caller, check, render)

    async def move(
        self,
        store_id: str,
        key: str,
        *,
        opens_at: datetime,
        target_at: datetime | None,
        due_at: datetime,
        caller: Caller,
        render: Render,
    ) -> Answer:
        """Give it another window, which stays until its anchor moves to another day."""

        def decide(context: CommandContext, state: FollowUp) -> list[NewEvent]:
            wanted = rules.move(
                state, opens_at=opens_at, target_at=target_at, due_at=due_at, now=context.now
            )
            if wanted is None:
                return []
            return [
                make_own_event(
                    store_id=store_id,
                    event_type="follow_up.scheduled",
                    subject=state.follow_up_id,
                    payload=wanted,
                    occurred_at=context.now,
                    cause_seq=context.version(Kind.FOLLOW_UP, state.follow_up_id),
                )
            ]

        return await self._execute(store_id, key, decide, caller, render)

    async def _note(
        self,
        event_type: str,
        store_id: str,
        key: str,
        data: Mapping[str, Any],
        caller: Caller,
        check: Callable[[FollowUp, NewEvent, datetime], None],
        render: Render,
    ) -> Answer:
        """Write down a fact about a follow-up, if the rules allow it in its state."""
        body = dict(data)
        occurred_at = body.pop("occurred_at", None)

        def decide(context: CommandContext, state: FollowUp) -> list[NewEvent]:
            event = self._door.make(
                event_type,
                store_id=store_id,
                subject=state.follow_up_id,
                occurred_at=occurred_at or context.now,
                data=body,
                now=context.now,
            )
            check(state, event, context.now)
            return [event]

        return await self._execute(store_id, key, decide, caller, render)

    async def _execute(
        self,
        store_id: str,
        key: str,
        decide: Callable[[CommandContext, FollowUp], list[NewEvent]],
        caller: Caller,
        render: Render,
    ) -> Answer:
        key = key.lower()
        kept = await self._repository.find(FollowUp, store_id, key)
        customer_no = None if kept is None else kept.customer_no
        known = await self._names.known(store_id)

        def answer(context: CommandContext) -> Answer:
            state = context.find(Kind.FOLLOW_UP, key)
            if not isinstance(state, FollowUp):
                raise _not_found(key)
            view = FollowUpView(
                version=context.version(Kind.FOLLOW_UP, key),
                state=with_members(state, known),
                customer_no=customer_no,
                status=state.status_at(context.now),
                names={},
            )
            return Answer(200, render(view))

        command = Command(
            store_id,
            reads={(Kind.FOLLOW_UP, key)},
            decide=lambda context: decide(
                context, with_members(_state(context, key, caller), known)
            ),
            render=answer,
            idempotency=caller.idempotency,
        )
        return await self._appender.execute(command)


def _state(context: CommandContext, key: str, caller: Caller) -> FollowUp:
    state = context.find(Kind.FOLLOW_UP, key.lower())
    if not isinstance(state, FollowUp):
        raise _not_found(key)
    caller.check_version(context, Kind.FOLLOW_UP, key.lower())
    return state


def _not_found(key: str) -> NotFoundError:
    return NotFoundError(f"There is no follow-up {key}.")
