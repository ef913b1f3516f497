"""How commands come by the services."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from app.factory import Factory


@dataclass(frozen=True, slots=True)
class Opening:
    """The way to the database of the settings; the object of the commands' context.

    Attributes:
        with_factory: Runs something with all services, and gives what it returns.
        has_database: Whether there is a database by now: what needs none doesn't make it.
    """

    with_factory: Callable[[Callable[[Factory], Awaitable[Any]]], Any]
    has_database: Callable[[], bool]
