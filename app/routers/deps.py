"""What routers ask for in their signatures: the factory, a page, the caller with its rights."""

from collections.abc import Callable, Coroutine
from inspect import signature
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Depends, Path, Query, Request, Response, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from pydantic import BaseModel, Field
from typing_extensions import override

from app.domain.access import Peer, Principal, Scope
from app.domain.errors import UnauthenticatedError
from app.domain.events.names import MAX_ALIAS
from app.domain.pages import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    PageRequest,
    decode_cursor,
    encode_cursor,
)
from app.domain.pages import Page as DomainPage
from app.factory import Factory
from app.routers.query_names import refuse_unknown
from app.telemetry import PRINCIPAL_KEY

Item = TypeVar("Item")

_FORWARDING_HEADERS: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


async def get_factory(request: Request) -> Factory:
    """The factory that the lifespan made."""
    # async, as every dependency here: a plain function would be run in a thread, and cost more
    # than the rest of the request
    return _factory_of(request)


def _factory_of(request: Request) -> Factory:
    factory: Factory = request.app.state.factory
    return factory


async def authenticate(request: Request) -> Principal:
    """Tell who a request comes from; asks the database only if the key was not seen just now.

    Raises:
        UnauthenticatedError: there is no key, or none that counts.
    """
    access = _factory_of(request).access
    headers = request.headers
    client = request.client
    return await access.authenticate(
        _bearer_token(headers.get("authorization")),
        Peer(
            address=client.host if client else None,
            host=headers.get("host"),
            origin=headers.get("origin"),
            forwarded=any(name in headers for name in _FORWARDING_HEADERS),
        ),
    )


def _bearer_token(authorization: str | None) -> str | None:
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError("The Authorization header is not of the form 'Bearer <key>'.")
    return token.strip()


class Requires(SecurityBase):
    """A dependency that yields the caller if it has the scopes, in the path's store if any."""

    def __init__(self, scopes: frozenset[Scope]) -> None:
        self.scopes = scopes
        self.scheme_name = "key"
        self.model = HTTPBearer(
            bearerFormat="sl_...",
            description="A key 密钥 from `servicelane keys issue`. Each operation names the "
            "scopes that it needs. While no key was ever issued, requests made on the same "
            "machine, to localhost, need none.",
        )

    async def __call__(self, request: Request) -> Principal:
        """Let the caller through with what the operation takes, or refuse."""
        principal = await authenticate(request)
        request.scope[PRINCIPAL_KEY] = principal.name
        principal.require(self.scopes, request.path_params.get("store_id"))
        refuse_unknown(request)
        return principal


def requires(*scopes: Scope) -> Any:
    """Say which scopes a route needs; the dependency yields the `Principal`.

    A caller bound to stores is refused where the path names another `store_id`. What names a
    store elsewhere (body, query) is the service's to check, with `principal.may(store_id)`.
    """
    return Security(Requires(frozenset(scopes)), scopes=sorted(scopes))


class HotRoute(APIRoute):
    """A route for the few busiest operations: declared like any other, run with less around it.

    Its endpoint takes `request`, `factory` and `principal` and answers a `Response`. These three
    are handed over directly, without FastAPI's general way of resolving dependencies, which costs
    more than all else that the edge does for a small request.
    """

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = self.endpoint
        if set(signature(endpoint).parameters) != {"request", "factory", "principal"}:
            raise TypeError(f"{self.path}: a hot route takes request, factory and principal")
        (required,) = (
            dependency.call
            for dependency in self.dependant.dependencies
            if isinstance(dependency.call, Requires)
        )

        async def handle(request: Request) -> Response:
            principal = await required(request)
            response: Response = await endpoint(
                request=request, factory=_factory_of(request), principal=principal
            )
            return response

        return handle


async def _public(request: Request) -> None:
    """Mark a route that anyone may call."""
    refuse_unknown(request)


PUBLIC: Final = Depends(_public)
"""For `dependencies=[PUBLIC]`: the route says that it needs no key, and why it is safe to."""


def is_public_marker(call: object) -> bool:
    """Tell whether a dependency is the mark of a public route."""
    return call is _public


async def _page_request(
    cursor: Annotated[
        str | None,
        Query(description="`next_cursor` of the page before; absent: the first page 分页游标"),
    ] = None,
    limit: Annotated[
        int, Query(ge=1, le=MAX_LIMIT, description="Most items in the page 每页条数")
    ] = DEFAULT_LIMIT,
) -> PageRequest:
    return PageRequest(limit, decode_cursor(cursor) if cursor else None)


class Listing(BaseModel, Generic[Item]):
    """A part of a list; follow `next_cursor` until it is null 列表（游标分页）."""

    items: list[Item]
    next_cursor: str | None = Field(
        None, description="Opaque; hand it back as `cursor` for the next page. Null: the end"
    )


def next_cursor(page: DomainPage[Any]) -> str | None:
    """The cursor behind a page, None at the end of the list."""
    return None if page.next_after is None else encode_cursor(page.next_after)


def StaffQuery(what: str) -> Any:  # noqa: N802 - reads as the Query that it makes
    """Describe a filter that names a member of staff."""
    return Query(
        max_length=MAX_ALIAS,
        description=f"{what}: staff number, `~...` of a name that nobody knows yet, or the name "
        "itself, for keys with `personal:read`",
    )


FactoryDep = Annotated[Factory, Depends(get_factory)]
PageDep = Annotated[PageRequest, Depends(_page_request)]
StoreId = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9_-]{1,32}$",
        description="Code of the store 门店编号",
        examples=["SH01"],
    ),
]
