"""How data of an older version of a type becomes data of the next one.

Stored data is never rewritten: it is lifted, version by version, each time it is read. An
upcaster takes and returns the JSON object of the data; it may change the one that it is given.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
Upcasters = Mapping[tuple[str, int], Upcaster]

UPCASTERS: Final[Upcasters] = {}
"""(type, version it takes) -> upcaster. Every type is at version 1 so far."""


def upcast(
    name: str, data: dict[str, Any], *, version: int, to: int, upcasters: Upcasters
) -> dict[str, Any]:
    """Lift data of a type from `version` to the version `to`.

    Raises:
        KeyError: an upcaster on the way is missing.
    """
    for step in range(version, to):
        data = upcasters[name, step](data)
    return data
