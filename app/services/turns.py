"""The order in which the parts of one stream are written, store by store."""

import asyncio
from collections.abc import Awaitable, Callable

from app.services.units import Facts


class Turns:
    """Lets units of a store take their turns, in the order in which they ask.

    Units of different stores don't wait for each other. Behind one that failed none is written.
    """

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Task[None]] = {}

    async def take(self, unit: Facts, submit: Callable[[Facts], Awaitable[None]]) -> None:
        """Do a unit when it is its turn.

        Raises:
            Exception: What it failed with, or the one before.
        """
        before = self._last.get(unit.store_id)
        turn = asyncio.ensure_future(_after(before, unit, submit))
        self._last[unit.store_id] = turn
        await turn


async def _after(
    before: asyncio.Task[None] | None,
    unit: Facts,
    submit: Callable[[Facts], Awaitable[None]],
) -> None:
    if before is not None:
        await before
    await submit(unit)
