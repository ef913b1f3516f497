"""The order in which the parts of one stream are written, store by store."""

import asyncio
from collections.abc import Awaitable, Callable

from app.services.units import Facts


class TurnLostError(Exception):
    """The unit before, which this one had to wait for, was not written."""


class Turns:
    """Lets units of a store take their turns, in the order in which they ask.

    Units of different stores don't wait for each other. Behind one that failed none is written.
    """

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Task[None]] = {}

    async def take(self, unit: Facts, submit: Callable[[Facts], Awaitable[None]]) -> None:
        """Do a unit when it is its turn.

        Raises:
            TurnLostError: It was not even tried.
            Exception: What it failed with.
        """
        before = self._last.get(unit.store_id)
        turn = asyncio.create_task(_after(before, unit, submit))
        self._last[unit.store_id] = turn
        await turn


async def _after(
    before: asyncio.Task[None] | None,
    unit: Facts,
    submit: Callable[[Facts], Awaitable[None]],
) -> None:
    if before is not None:
        # not awaited: its error is its own caller's, and it isn't cancelled with this one
        await asyncio.wait({before})
        if before.cancelled() or before.exception() is not None:
            raise TurnLostError
    await submit(unit)
