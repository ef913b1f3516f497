"""Judging in bulk: loads states with their companions and hands them to the rules."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from app.db.judged_states import JudgedStates
from app.domain.complaint import Complaint
from app.domain.events.envelope import Kind
from app.domain.follow_up import FollowUp
from app.domain.kpis.explain import (
    explain_complaint,
    explain_follow_up,
    explain_repair_order,
    explain_timecard,
)
from app.domain.kpis.facts import Fact
from app.domain.kpis.judge import (
    judge_complaint,
    judge_follow_up,
    judge_repair_order,
    judge_timecard,
)
from app.domain.kpis.verdict import Verdict
from app.domain.mentions import KnownNames, with_members
from app.domain.policies import Policies
from app.domain.repair_order import RepairOrder

S = TypeVar("S", RepairOrder, FollowUp, Complaint)

YIELD_EVERY: Final = 50
"""Subjects judged before others get a turn of the event loop."""


class Judge:
    """Judges the subjects of one store, as one snapshot of the database has them.

    Whom they name by surrogate is who that is as known now (E3), unknown ones stay as they are.
    """

    def __init__(
        self, states: JudgedStates, store_id: str, *, policies: Policies, zone: ZoneInfo
    ) -> None:
        self._states = states
        self._store_id = store_id
        self._policies = policies
        self._zone = zone
        self._names: KnownNames | None = None

    async def judge(self, kind: Kind, keys: Collection[str]) -> list[Fact]:
        """Judge subjects of a kind; those without a state give no fact.

        Raises:
            ValueError: No KPI is judged from subjects of this kind.
        """
        match kind:
            case Kind.REPAIR_ORDER:
                return await self._repair_orders(keys)
            case Kind.FOLLOW_UP:
                return await self._follow_ups(keys)
            case Kind.COMPLAINT:
                return await self._complaints(keys)
            case Kind.TIMECARD:
                cards = await self._states.get_timecards(self._store_id, keys)
                return [fact for card in cards.values() for fact in judge_timecard(card)]
            case Kind.CUSTOMER | Kind.VEHICLE | Kind.STAFF | Kind.FEED | Kind.BACKLOG:
                raise ValueError(f"no KPI is judged from a {kind}")

    async def explain(self, code: str, kind: Kind, keys: Collection[str]) -> dict[str, Verdict]:
        """Say for each subject of a kind why it counts in a KPI, as far as it has a state.

        Raises:
            ValueError: No KPI is judged from subjects of this kind.
        """
        match kind:
            case Kind.REPAIR_ORDER:
                orders, follow_ups, odometers = await self._visits(keys)
                return {
                    ro_number: explain_repair_order(
                        code,
                        order,
                        follow_ups=follow_ups.get(ro_number, []),
                        comeback_odometers=odometers,
                        policies=self._policies,
                        zone=self._zone,
                    )
                    for ro_number, order in orders.items()
                }
            case Kind.FOLLOW_UP:
                calls = await self._calls(keys)
                orders = await self._orders_of(calls.values())
                return {
                    key: explain_follow_up(
                        code, call, orders.get(call.ro_number or ""), zone=self._zone
                    )
                    for key, call in calls.items()
                }
            case Kind.COMPLAINT:
                complaints = await self._named(
                    await self._states.get_complaints(self._store_id, keys)
                )
                orders = await self._orders_of(complaints.values())
                return {
                    key: explain_complaint(
                        code, complaint, orders.get(complaint.ro_number or ""), zone=self._zone
                    )
                    for key, complaint in complaints.items()
                }
            case Kind.TIMECARD:
                cards = await self._states.get_timecards(self._store_id, keys)
                return {key: explain_timecard(code, card) for key, card in cards.items()}
            case Kind.CUSTOMER | Kind.VEHICLE | Kind.STAFF | Kind.FEED | Kind.BACKLOG:
                raise ValueError(f"no KPI is judged from a {kind}")

    async def _repair_orders(self, keys: Collection[str]) -> list[Fact]:
        orders, follow_ups, odometers = await self._visits(keys)
        facts: list[Fact] = []
        for position, (ro_number, order) in enumerate(orders.items(), start=1):
            facts += judge_repair_order(
                order,
                follow_ups=follow_ups.get(ro_number, []),
                comeback_odometers=odometers,
                policies=self._policies,
                zone=self._zone,
            )
            await _yield_at(position)
        return facts

    async def _follow_ups(self, keys: Collection[str]) -> list[Fact]:
        follow_ups = await self._calls(keys)
        orders = await self._orders_of(follow_ups.values())
        facts: list[Fact] = []
        for position, follow_up in enumerate(follow_ups.values(), start=1):
            order = orders.get(follow_up.ro_number or "")
            facts += judge_follow_up(follow_up, order, zone=self._zone)
            await _yield_at(position)
        return facts

    async def _complaints(self, keys: Collection[str]) -> list[Fact]:
        complaints = await self._named(await self._states.get_complaints(self._store_id, keys))
        orders = await self._orders_of(complaints.values())
        facts: list[Fact] = []
        for position, complaint in enumerate(complaints.values(), start=1):
            order = orders.get(complaint.ro_number or "")
            facts += judge_complaint(complaint, order, zone=self._zone)
            await _yield_at(position)
        return facts

    async def _visits(
        self, keys: Collection[str]
    ) -> tuple[dict[str, RepairOrder], Mapping[str, list[FollowUp]], dict[str, Decimal]]:
        """Orders, the follow-ups of each, and the odometers of what came back as (F4)."""
        orders = await self._named(await self._states.get_orders(self._store_id, keys))
        return (
            orders,
            await self._states.get_follow_ups_of(self._store_id, orders.keys()),
            await self._states.get_comeback_odometers(self._store_id, orders.values()),
        )

    async def _orders_of(self, joined: Iterable[FollowUp | Complaint]) -> dict[str, RepairOrder]:
        """The orders that follow-ups or complaints are joined to."""
        return await self._named(
            await self._states.get_orders(
                self._store_id, {found.ro_number for found in joined if found.ro_number}
            )
        )

    async def _calls(self, keys: Collection[str]) -> dict[str, FollowUp]:
        return await self._named(await self._states.get_follow_ups(self._store_id, keys))

    async def _named(self, states: dict[str, S]) -> dict[str, S]:
        """Put the staff numbers in the place of the surrogates that stand for one."""
        if self._names is None:
            self._names = await self._states.get_names(self._store_id)
        names = self._names
        return {key: with_members(state, names) for key, state in states.items()}


async def _yield_at(position: int) -> None:
    if position % YIELD_EVERY == 0:
        await asyncio.sleep(0)
