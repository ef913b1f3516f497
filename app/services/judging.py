"""Judging in bulk: loads states with their companions and hands them to the rules."""

import asyncio
from collections.abc import Collection
from typing import Final
from zoneinfo import ZoneInfo

from app.db.judged_states import JudgedStates
from app.domain.events.envelope import Kind
from app.domain.kpis.facts import Fact
from app.domain.kpis.judge import (
    judge_complaint,
    judge_follow_up,
    judge_repair_order,
    judge_timecard,
)
from app.domain.policies import Policies

YIELD_EVERY: Final = 50
"""Subjects judged before others get a turn of the event loop."""


class Judge:
    """Judges the subjects of one store, as one snapshot of the database has them."""

    def __init__(
        self, states: JudgedStates, store_id: str, *, policies: Policies, zone: ZoneInfo
    ) -> None:
        self._states = states
        self._store_id = store_id
        self._policies = policies
        self._zone = zone

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
            case Kind.CUSTOMER | Kind.VEHICLE | Kind.STAFF:
                raise ValueError(f"no KPI is judged from a {kind}")

    async def _repair_orders(self, keys: Collection[str]) -> list[Fact]:
        orders = await self._states.get_orders(self._store_id, keys)
        follow_ups = await self._states.get_follow_ups_of(self._store_id, orders.keys())
        odometers = await self._states.get_comeback_odometers(self._store_id, orders.values())
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
        follow_ups = await self._states.get_follow_ups(self._store_id, keys)
        orders = await self._states.get_orders(
            self._store_id, {found.ro_number for found in follow_ups.values() if found.ro_number}
        )
        facts: list[Fact] = []
        for position, follow_up in enumerate(follow_ups.values(), start=1):
            order = orders.get(follow_up.ro_number or "")
            facts += judge_follow_up(follow_up, order, zone=self._zone)
            await _yield_at(position)
        return facts

    async def _complaints(self, keys: Collection[str]) -> list[Fact]:
        complaints = await self._states.get_complaints(self._store_id, keys)
        orders = await self._states.get_orders(
            self._store_id, {found.ro_number for found in complaints.values() if found.ro_number}
        )
        facts: list[Fact] = []
        for position, complaint in enumerate(complaints.values(), start=1):
            order = orders.get(complaint.ro_number or "")
            facts += judge_complaint(complaint, order, zone=self._zone)
            await _yield_at(position)
        return facts


async def _yield_at(position: int) -> None:
    if position % YIELD_EVERY == 0:
        await asyncio.sleep(0)
