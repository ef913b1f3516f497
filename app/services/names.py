"""Names as references: who stands behind them, which of them nobody knows yet, and the answer."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeVar, cast

from app.db.names import NameRepository
from app.db.subjects import Kept
from app.db.timelines import TimelineRepository
from app.domain.access import Principal, Scope
from app.domain.complaint import Complaint
from app.domain.errors import ConflictError, Fault, ForbiddenError, InvalidInputError
from app.domain.events.envelope import Kind, NewEvent
from app.domain.events.names import is_surrogate, staff_no_in, texts_beside
from app.domain.events.staff import StaffRegistered
from app.domain.fold import retracted
from app.domain.follow_up import FollowUp
from app.domain.mentions import KnownNames, with_members
from app.domain.pages import Page, PageRequest, page_of
from app.domain.repair_order import RepairOrder
from app.services.appender import Appender
from app.services.desk import Caller, PersonalFields
from app.services.door import Door
from app.services.stores import StoreDirectory
from app.services.units import Answer, Command, CommandContext

_SUBJECTS_ASKED: Final = 5
"""In so many subjects the name behind a surrogate is looked for; in some it may be erased."""


@dataclass(frozen=True, slots=True)
class UnresolvedName:
    """A name that stands for nobody, or for several.

    Attributes:
        text: As somebody sent it; None where it is erased.
        roles: As what it is named.
        subjects: How many orders, follow-ups and complaints name it.
        candidates: Staff numbers of those whose name it is, two at least; [] if nobody's.
    """

    surrogate: str
    text: str | None
    roles: list[str]
    subjects: int
    first_seen_at: datetime
    last_seen_at: datetime
    candidates: list[str]


@dataclass(frozen=True, slots=True)
class AliasGiven:
    """What came of giving somebody an alias.

    Attributes:
        event: The registration that says so, to be retracted if that was wrong; None if the alias
            was theirs already.
    """

    staff_no: str
    surrogate: str
    event: NewEvent | None
    version: int


S = TypeVar("S", RepairOrder, FollowUp, Complaint)

RenderAlias = Callable[[AliasGiven], bytes]


class NameService:
    """Knows who is meant, and takes the command that says so."""

    def __init__(
        self,
        repository: NameRepository,
        personal: PersonalFields,
        timelines: TimelineRepository,
        *,
        appender: Appender,
        door: Door,
        stores: StoreDirectory,
    ) -> None:
        self._repository = repository
        self._personal = personal
        self._timelines = timelines
        self._appender = appender
        self._door = door
        self._stores = stores

    async def known(self, store_id: str) -> KnownNames:
        """Get whom the store's surrogates stand for."""
        return await self._repository.get_known(store_id)

    async def texts(self, store_id: str, members: Collection[str | None]) -> dict[str, str]:
        """Find the names of staff: registered ones of numbers, sent ones of surrogates.

        Personal: who hands them on asks what the caller may see.
        """
        known = {member for member in members if member is not None}
        surrogates = sorted(filter(is_surrogate, known))
        numbers = sorted(known.difference(surrogates))
        registered = await self._personal.find(store_id, Kind.STAFF, numbers)
        texts = {
            number: name
            for number, fields in registered.items()
            if (name := _name_in(fields)) is not None
        }
        return texts | await self._sent(store_id, surrogates)

    async def spelled(
        self,
        store_id: str,
        wanted: Mapping[str, Any],
        *fields: str,
        known: KnownNames,
        principal: Principal,
    ) -> dict[str, Any]:
        """Let the fields of a filter that name a member take all that stands for that member.

        Raises:
            ForbiddenError: One of them holds a name, which the caller may not see.
            InvalidInputError: It is nobody's name, or several people's.
        """
        spelled = dict(wanted)
        for name in fields:
            if (text := wanted[name]) is not None:
                member = await self.meant(
                    store_id, text, f"/query/{name}", known=known, principal=principal
                )
                spelled[name] = known.spellings(member)
        return spelled

    async def meant(
        self, store_id: str, text: str, pointer: str, *, known: KnownNames, principal: Principal
    ) -> str:
        """Find the member whom a caller asks for by number, by surrogate, or by name.

        Args:
            store_id: The store.
            text: As the caller wrote it. Of the form of a staff number it is one, as in events.
            pointer: Where.
            known: Whom the surrogates of the store stand for.
            principal: Who asks. Only who may see names may find out whose one is.

        Returns:
            A staff number, known or not; or the surrogate of a name that is nobody's.

        Raises:
            ForbiddenError: It is a name, and the caller may not see names.
            InvalidInputError: It is a name that is nobody's and never was told, or several
                people's. Neither says the name, for the logs.
        """
        if (number := staff_no_in(text)) is not None:
            return number
        if is_surrogate(text):
            return known.member(text)
        if not principal.has(Scope.PERSONAL_READ):
            raise ForbiddenError(
                "To ask for somebody by name the key needs the scope personal:read; without it "
                "members go by staff number, or by the ~... that answers show."
            )
        surrogate = self._door.naming(store_id).key_of(text)
        if surrogate is None:
            raise InvalidInputError.at(pointer, "too-short", "There is nothing to be seen in it.")
        owners = known.owners(surrogate)
        if len(owners) > 1:
            raise InvalidInputError.at(
                pointer,
                "ambiguous",
                f"That is the name of {' and '.join(owners)}. Ask for one by staff number; what "
                f"was told under the name alone is found under {surrogate}.",
            )
        if not owners and not await self._is_told(store_id, surrogate):
            raise InvalidInputError.at(
                pointer,
                "unknown",
                f"Nobody in store {store_id} is registered under that name, and nothing names it.",
            )
        return known.member(surrogate)

    async def _is_told(self, store_id: str, surrogate: str) -> bool:
        return bool(await self._repository.list_subjects_naming(store_id, [surrogate], limit=1))

    async def _sent(self, store_id: str, surrogates: Collection[str]) -> dict[str, str]:
        """Find the name that was last sent for each surrogate, in what was not retracted (A22)."""
        if not surrogates:
            return {}
        subjects = await self._repository.list_subjects_naming(
            store_id, surrogates, limit=_SUBJECTS_ASKED
        )
        gone = retracted(await self._timelines.list_retractions(store_id, subjects))
        return {
            surrogate: text
            for sent in await self._repository.list_sent(store_id, subjects)
            if (sent.source, sent.id) not in gone
            for surrogate, text in texts_beside(sent.data, sent.aside)
            if surrogate in surrogates
        }

    async def list_unresolved(self, store_id: str, page: PageRequest) -> Page[UnresolvedName]:
        """List the names that stand for nobody or for several, the most frequent first.

        Raises:
            NotFoundError: There is no such store.
        """
        await self._stores.get(store_id)
        known = await self.known(store_id)
        found = await self._repository.list_named(
            store_id,
            without=known.resolved,
            after=cast("tuple[int, str] | None", page.key(int, str)),
            limit=page.limit + 1,
        )
        texts = await self._sent(store_id, [named.surrogate for named in found])
        return page_of(
            [
                UnresolvedName(
                    surrogate=named.surrogate,
                    text=texts.get(named.surrogate),
                    roles=named.roles,
                    subjects=named.subjects,
                    first_seen_at=named.first_seen_at,
                    last_seen_at=named.last_seen_at,
                    candidates=known.owners(named.surrogate),
                )
                for named in found
            ],
            page.limit,
            lambda named: (named.subjects, named.surrogate),
        )

    async def give_alias(
        self,
        store_id: str,
        staff_no: str,
        *,
        alias: str | None,
        surrogate: str | None,
        caller: Caller,
        render: RenderAlias,
    ) -> Answer:
        """Say whose name an alias or a surrogate is; who isn't registered yet is from now on.

        Harmless to repeat.

        Raises:
            InvalidInputError: Neither or both are given, or it is no name that anybody sent.
            ConflictError: It is the name of somebody else.
        """
        await self._stores.get(store_id)
        if (alias is None) == (surrogate is None):
            raise InvalidInputError.at("", "one-of", "Give either an alias or a surrogate.")
        if surrogate is not None:
            alias = await self._alias_of(store_id, surrogate)
        elif staff_no_in(alias) is not None:
            raise InvalidInputError.at(
                "/alias",
                "staff-number",
                "A text of this form is a staff number wherever it is sent, never a name.",
            )
        key = surrogate or self._door.naming(store_id).key_of(alias or "")
        keys = [] if key is None else [key]
        given: list[NewEvent] = []

        def decide(context: CommandContext) -> list[NewEvent]:
            caller.check_version(context, Kind.STAFF, staff_no)
            event = self._registration(store_id, staff_no, alias, surrogate, context.now)
            known_as = context.known_as(keys[0])
            if others := [other for other in known_as if other != staff_no]:
                raise ConflictError(
                    f"That is the name of {' and '.join(others)} already. A name of two stands "
                    "for neither: retract the registration that gave it to the wrong one.",
                    state="taken",
                )
            given[:] = [] if staff_no in known_as else [event]
            return given

        def answer(context: CommandContext) -> Answer:
            done = AliasGiven(
                staff_no,
                keys[0],
                given[0] if given else None,
                context.version(Kind.STAFF, staff_no),
            )
            return Answer(201 if given else 200, render(done))

        return await self._appender.execute(
            Command(
                store_id,
                reads={(Kind.STAFF, staff_no)},
                whose_name=keys,
                decide=decide,
                render=answer,
                idempotency=caller.idempotency,
            )
        )

    def _registration(
        self,
        store_id: str,
        staff_no: str,
        alias: str | None,
        surrogate: str | None,
        now: datetime,
    ) -> NewEvent:
        """Make the event that gives somebody one more alias.

        Raises:
            InvalidInputError: The alias can't be one.
        """
        if surrogate is not None:
            payload = StaffRegistered(
                aliases=None if alias is None else [alias], alias_keys=[surrogate]
            )
            return self._door.compose(
                "staff.registered",
                store_id=store_id,
                subject=staff_no,
                occurred_at=now,
                payload=payload,
            )
        try:
            event = self._door.make(
                "staff.registered",
                store_id=store_id,
                subject=staff_no,
                occurred_at=now,
                data={"aliases": [alias]},
                now=now,
            )
        except InvalidInputError as error:
            raise InvalidInputError(
                [Fault("/alias", fault.code, fault.detail) for fault in error.faults]
            ) from None
        if not _alias_keys(event):
            raise InvalidInputError.at("/alias", "too-short", "There is nothing to be seen in it.")
        return event

    async def _alias_of(self, store_id: str, surrogate: str) -> str | None:
        """Find the name behind a surrogate of this store; None where it is erased.

        Raises:
            InvalidInputError: Nothing in the store names it.
        """
        if not await self._is_told(store_id, surrogate):
            raise InvalidInputError.at(
                "/surrogate",
                "unknown",
                f"Nothing in store {store_id} names {surrogate}. The work list of unresolved "
                "names has those that there are.",
            )
        return (await self._sent(store_id, [surrogate])).get(surrogate)


def _alias_keys(event: NewEvent) -> list[str]:
    payload = event.payload
    return (payload.alias_keys or []) if isinstance(payload, StaffRegistered) else []


def _name_in(fields: Mapping[str, Any]) -> str | None:
    """Give the registered name, of who has none an alias."""
    for name in (fields.get("name"), *(fields.get("aliases") or ())):
        if isinstance(name, str):
            return name
    return None


def in_words(kept: Kept[S], known: KnownNames) -> Kept[S]:
    """Put staff numbers in the place of the surrogates of a state that stand for one."""
    return replace(kept, state=with_members(kept.state, known))
