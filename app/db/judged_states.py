"""The states that judging reads, in bulk, with the companions that a verdict hangs on.

An order's verdict hangs on its follow-ups (what the customer says) and on the odometers of its
comebacks; a follow-up's and a complaint's on the order. So news of one subject reach others, which
`widen` finds. Whom a surrogate stands for hangs on the registrations of staff: news of those reach
all that name it.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Final, TypeVar

from app.db.engine import Connection
from app.db.event_log import EventLog
from app.domain.complaint import Complaint
from app.domain.events.envelope import Event, Kind
from app.domain.fold import fold
from app.domain.follow_up import FollowUp
from app.domain.mentions import KnownNames, mentions_of
from app.domain.repair_order import RepairOrder
from app.domain.staff import Staff, Timecard
from app.domain.subject import Subject, decode

JUDGED_KINDS: Final = (Kind.REPAIR_ORDER, Kind.FOLLOW_UP, Kind.COMPLAINT, Kind.TIMECARD)
"""The kinds of subjects that KPIs are judged from."""

_KEYS: Final[Mapping[Kind, str]] = {
    Kind.REPAIR_ORDER: "ro_number",
    Kind.FOLLOW_UP: "follow_up_id",
    Kind.COMPLAINT: "complaint_id",
    Kind.TIMECARD: "key",
}
_ORDERS_OF_FOLLOW_UPS = """
    SELECT ro_number FROM follow_up
     WHERE store_id = $1 AND follow_up_id = ANY($2) AND ro_number IS NOT NULL
"""
_FOLLOW_UPS_OF = "SELECT follow_up_id FROM follow_up WHERE store_id = $1 AND ro_number = ANY($2)"
_COMPLAINTS_OF = "SELECT complaint_id FROM complaint WHERE store_id = $1 AND ro_number = ANY($2)"
_CAME_BACK_AS = """
    SELECT ro_number
      FROM repair_order
     CROSS JOIN LATERAL jsonb_array_elements(
               coalesce(state -> 'comeback_reports', '[]')
               || coalesce(state -> 'comeback_assessments', '[]')
           ) AS told
     WHERE store_id = $1 AND has_comeback AND told ->> 'comeback_ro' = ANY($2)
     GROUP BY store_id, ro_number
"""
_STATES_OF_FOLLOW_UPS_OF = """
    SELECT ro_number, state::text FROM follow_up
     WHERE store_id = $1 AND ro_number = ANY($2) ORDER BY follow_up_id
"""
_NAMED_STAFF = """
    SELECT state::text FROM staff
     WHERE store_id = $1 AND state ?| array['name_keys', 'alias_keys']
"""
_THAT_NAME = """
    SELECT kind, key FROM staff_mention
     WHERE store_id = $1 AND surrogate = ANY($2) AND kind = ANY($3)
     GROUP BY store_id, kind, key
"""

type_subjects = dict[Kind, set[str]]
"""Keys of subjects, by kind."""

StateType = TypeVar("StateType", bound=Subject)


class JudgedStates:
    """States of one store's subjects, over one connection and whatever snapshot it has."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list_touched(self, store_id: str, *, after: int, until: int) -> type_subjects:
        """List the subjects that events with a seq in (after, until] reach, directly or not."""
        touched: type_subjects = {kind: set() for kind in (*JUDGED_KINDS, Kind.STAFF)}
        log = EventLog(self._connection)
        for kind, key in await log.read_touched(store_id, after=after, until=until, kinds=touched):
            touched[kind].add(key)
        staff = touched.pop(Kind.STAFF)
        if staff and (changed := await self._given_or_taken(store_id, staff, after, until)):
            for row in await self._connection.fetch(
                _THAT_NAME, store_id, sorted(changed), [*touched]
            ):
                touched[Kind(row["kind"])].add(row["key"])
        return await self._widen(store_id, touched)

    async def _given_or_taken(
        self, store_id: str, staff: Collection[str], after: int, until: int
    ) -> set[str]:
        """The surrogates that members got or lost by the log in (after, until].

        A sheet that says every night what it said before changes nobody.
        """
        log = EventLog(self._connection)
        logged = await log.read_subjects(store_id, [(Kind.STAFF, key) for key in staff])
        changed: set[str] = set()
        for (_, key), events in logged.items():
            changed |= _known_as(key, events, after) ^ _known_as(key, events, until)
        return changed

    async def get_names(self, store_id: str) -> KnownNames:
        """Get whom the store's surrogates stand for."""
        rows = await self._connection.fetch(_NAMED_STAFF, store_id)
        return KnownNames(decode(Staff, row["state"]) for row in rows)

    async def list_keys(
        self, store_id: str, kind: Kind, *, after: str | None, limit: int
    ) -> list[str]:
        """List the subjects of a kind that have a state, by key, after a key."""
        column = _KEYS[kind]
        rows = await self._connection.fetch(
            f"""SELECT {column} AS key FROM {kind}
                 WHERE store_id = $1 AND ($2::text IS NULL OR {column} > $2)
                 ORDER BY {column} LIMIT $3""",
            store_id,
            after,
            limit,
        )
        return [row["key"] for row in rows]

    async def list_companions(
        self, store_id: str, subjects: Collection[tuple[Kind, str]]
    ) -> dict[tuple[Kind, str], set[tuple[Kind, str]]]:
        """List what the verdict on each subject hangs on besides itself."""
        keys: type_subjects = {kind: set() for kind in JUDGED_KINDS}
        for kind, key in subjects:
            keys[kind].add(key)
        found: dict[tuple[Kind, str], set[tuple[Kind, str]]] = defaultdict(set)
        orders = await self.get_orders(store_id, keys[Kind.REPAIR_ORDER])
        for ro_number, follow_ups in (await self.get_follow_ups_of(store_id, orders)).items():
            found[Kind.REPAIR_ORDER, ro_number].update(
                (Kind.FOLLOW_UP, follow_up.follow_up_id) for follow_up in follow_ups
            )
        for ro_number, order in orders.items():
            found[Kind.REPAIR_ORDER, ro_number].update(
                (Kind.REPAIR_ORDER, named) for named in _came_back_as([order])
            )
        calls = await self.get_follow_ups(store_id, keys[Kind.FOLLOW_UP])
        complaints = await self.get_complaints(store_id, keys[Kind.COMPLAINT])
        states: dict[tuple[Kind, str], RepairOrder | FollowUp | Complaint] = {
            **{(Kind.REPAIR_ORDER, key): order for key, order in orders.items()},
            **{(Kind.FOLLOW_UP, key): call for key, call in calls.items()},
            **{(Kind.COMPLAINT, key): complaint for key, complaint in complaints.items()},
        }
        joined = {
            subject: state.ro_number
            for subject, state in states.items()
            if not isinstance(state, RepairOrder) and state.ro_number is not None
        }
        for subject, joined_to in joined.items():
            found[subject].add((Kind.REPAIR_ORDER, joined_to))
        states |= {
            (Kind.REPAIR_ORDER, key): order
            for key, order in (await self.get_orders(store_id, set(joined.values()))).items()
        }
        await self._add_named(store_id, found, subjects, states, joined)
        return found

    async def _add_named(
        self,
        store_id: str,
        found: dict[tuple[Kind, str], set[tuple[Kind, str]]],
        subjects: Collection[tuple[Kind, str]],
        states: Mapping[tuple[Kind, str], RepairOrder | FollowUp | Complaint],
        joined: Mapping[tuple[Kind, str], str],
    ) -> None:
        """Add the staff whom a subject, or the order that it is joined to, names by surrogate."""
        named: dict[str, set[tuple[Kind, str]]] = defaultdict(set)
        for subject in subjects:
            ro_number = joined.get(subject)
            reached = [subject] if ro_number is None else [subject, (Kind.REPAIR_ORDER, ro_number)]
            for surrogate, _ in (
                mention for other in reached for mention in mentions_of(states.get(other))
            ):
                named[surrogate].add(subject)
        if named:
            log = EventLog(self._connection)
            for staff_no, surrogate in await log.read_staff_named(store_id, named):
                for subject in named[surrogate]:
                    found[subject].add((Kind.STAFF, staff_no))

    async def get_orders(self, store_id: str, keys: Collection[str]) -> dict[str, RepairOrder]:
        """Get the repair orders that there are, by number."""
        return await self._get(RepairOrder, Kind.REPAIR_ORDER, store_id, keys)

    async def get_follow_ups(self, store_id: str, keys: Collection[str]) -> dict[str, FollowUp]:
        """Get the follow-ups that there are, by id."""
        return await self._get(FollowUp, Kind.FOLLOW_UP, store_id, keys)

    async def get_complaints(self, store_id: str, keys: Collection[str]) -> dict[str, Complaint]:
        """Get the complaints that there are, by id."""
        return await self._get(Complaint, Kind.COMPLAINT, store_id, keys)

    async def get_timecards(self, store_id: str, keys: Collection[str]) -> dict[str, Timecard]:
        """Get the timecards that there are, by key."""
        return await self._get(Timecard, Kind.TIMECARD, store_id, keys)

    async def get_follow_ups_of(
        self, store_id: str, orders: Collection[str]
    ) -> dict[str, list[FollowUp]]:
        """Get the follow-ups of orders by the number of the order, each list by id."""
        found: dict[str, list[FollowUp]] = defaultdict(list)
        if orders:
            rows = await self._connection.fetch(_STATES_OF_FOLLOW_UPS_OF, store_id, list(orders))
            for row in rows:
                found[row["ro_number"]].append(decode(FollowUp, row["state"]))
        return found

    async def get_comeback_odometers(
        self, store_id: str, orders: Collection[RepairOrder]
    ) -> dict[str, Decimal]:
        """Get the odometers at the opening of the orders that these ones came back as (F4)."""
        return {
            ro_number: order.odometer_km
            for ro_number, order in (
                await self.get_orders(store_id, _came_back_as(orders))
            ).items()
            if order.odometer_km is not None
        }

    async def _widen(self, store_id: str, touched: type_subjects) -> type_subjects:
        """Add those whose verdict hangs on a touched one."""
        orders, follow_ups = touched[Kind.REPAIR_ORDER], touched[Kind.FOLLOW_UP]
        reached = {kind: set(keys) for kind, keys in touched.items()}
        if follow_ups:
            log = EventLog(self._connection)
            # whatever order it was ever joined to: the one that it left is judged again too
            reached[Kind.REPAIR_ORDER].update(await log.read_orders_named(store_id, follow_ups))
            reached[Kind.REPAIR_ORDER] |= await self._keys(
                _ORDERS_OF_FOLLOW_UPS, store_id, follow_ups
            )
        if orders:
            reached[Kind.REPAIR_ORDER] |= await self._keys(_CAME_BACK_AS, store_id, orders)
            reached[Kind.FOLLOW_UP] |= await self._keys(_FOLLOW_UPS_OF, store_id, orders)
            reached[Kind.COMPLAINT] |= await self._keys(_COMPLAINTS_OF, store_id, orders)
        return reached

    async def _keys(self, statement: str, store_id: str, keys: Collection[str]) -> set[str]:
        rows = await self._connection.fetch(statement, store_id, list(keys))
        return {row[0] for row in rows}

    async def _get(
        self, state: type[StateType], kind: Kind, store_id: str, keys: Collection[str]
    ) -> dict[str, StateType]:
        if not keys:
            return {}
        column = _KEYS[kind]
        rows = await self._connection.fetch(
            f"""SELECT {column} AS key, state::text FROM {kind}
                 WHERE store_id = $1 AND {column} = ANY($2)""",
            store_id,
            list(keys),
        )
        return {row["key"]: decode(state, row["state"]) for row in rows}


def _known_as(staff_no: str, events: Collection[Event], upto: int) -> set[str]:
    """The surrogates that stood for a member by the log up to a seq."""
    state = fold(Kind.STAFF, staff_no, [event for event in events if event.seq <= upto])
    return state.known_as if isinstance(state, Staff) else set()


def _came_back_as(orders: Collection[RepairOrder]) -> set[str]:
    """The orders that these ones came back as, by what was reported and assessed."""
    named = [
        *(report.comeback_ro for order in orders for report in order.comeback_reports),
        *(verdict.comeback_ro for order in orders for verdict in order.comeback_assessments),
    ]
    return {ro_number for ro_number in named if ro_number is not None}
