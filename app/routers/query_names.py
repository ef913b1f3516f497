"""Query parameters that an operation does not have.

A framework passes them over: with a slip in the name of a filter the answer would be a number, of
everything, without a word. So they are refused, by what lets a request through to its operation.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.domain.errors import Fault, InvalidInputError
from app.problems import pointer_of

_API: Final = "/v1/"
"""Pages and probes around the API may be asked with whatever a browser or a proxy adds."""

_INGEST: Final = "/v1/events"
"""What is posted there is refused for nothing but its body and the caller's rights (design, 4)."""

_MOST_NAMED: Final = 20


def refuse_unknown(request: Request) -> None:
    """Refuse a request with a query parameter that its operation does not have.

    Raises:
        InvalidInputError: Each fault names one, and the nearest that there is. The error itself
            does not, for the logs, where no query belongs.
    """
    route = request.scope["route"]
    if not request.scope["query_string"] or not route.path.startswith(_API):
        return
    if route.path.startswith(_INGEST):
        return
    known = sorted(query_names(route))
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        faults = [_fault(name, known) for name in unknown[:_MOST_NAMED]]
        raise InvalidInputError(faults, f"Unknown query parameter. {_words(known)}")


def query_names(route: APIRoute) -> set[str]:
    """Name the query parameters of an operation, those of its dependencies included."""
    return {
        field.alias for dependant in _with_all(route.dependant) for field in dependant.query_params
    }


def _with_all(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for dependency in dependant.dependencies:
        yield from _with_all(dependency)


def _fault(name: str, known: list[str]) -> Fault:
    near = get_close_matches(name.strip().lower(), known, n=1)
    hint = f"Did you mean {near[0]}?" if near else _words(known)
    return Fault(
        pointer_of(("query", name)),
        "unknown-parameter",
        f"This operation has no query parameter {name}. {hint}",
    )


def _words(known: list[str]) -> str:
    if not known:
        return "This operation takes no query parameters."
    return f"The query parameters of this operation are {', '.join(known)}."
