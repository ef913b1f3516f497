"""Mappings 字段映射: how columns and coded values of a source become facts."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from app.domain.access import Principal, Scope
from app.domain.errors import ConflictError, MalformedBodyError, NotFoundError
from app.problems import responses
from app.routers.deps import FactoryDep, Listing, PageDep, next_cursor, requires
from app.routers.schemas.mappings import MAPPING_REQUEST, MappingOut, WholeMappingOut

router = APIRouter(prefix="/v1/mappings", tags=["mappings"])

Source = Annotated[
    str,
    Path(
        description="`source` of the events, with or without its first slash 来源",
        examples=["dms/sheet/settlement"],
    ),
]


@router.get("", operation_id="list_mappings", summary="Mappings 映射列表")
async def list_mappings(
    page: PageDep,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.STORES_READ)],
) -> Listing[MappingOut]:
    """List the newest version of each stored mapping, in order of source.

    A key that is bound to stores sees those of its stores and those of all.
    """
    found = await factory.mappings.list_page(page, principal=principal)
    items = [MappingOut.of(mapping) for mapping in found.items]
    return Listing(items=items, next_cursor=next_cursor(found))


@router.get(
    "/{source:path}",
    operation_id="get_mapping",
    summary="One mapping 查询映射",
    responses=responses(NotFoundError),
)
async def get_mapping(
    source: Source,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.STORES_READ)],
    version: Annotated[int | None, Query(description="Absent: the newest 版本")] = None,
) -> WholeMappingOut:
    """Get a mapping with its text, the newest version of it or another one."""
    return WholeMappingOut.of_versions(
        await factory.mappings.get(source, principal=principal, version=version)
    )


@router.put(
    "/{source:path}",
    operation_id="put_mapping",
    summary="Store a mapping 保存映射",
    responses={
        **responses(ConflictError, MalformedBodyError),
        201: {"model": MappingOut, "description": "The version is new."},
    },
    openapi_extra=MAPPING_REQUEST,
)
async def put_mapping(
    source: Source,
    request: Request,
    response: Response,
    factory: FactoryDep,
    principal: Annotated[Principal, requires(Scope.STORES_WRITE)],
) -> MappingOut:
    """Store a version of a mapping; harmless to repeat.

    A version never changes: the same number with another content is refused (409). A newer one
    takes over within seconds: files of the source are read by it, and its value maps apply to
    JSON events of the source at the door.
    """
    mapping, is_new = await factory.mappings.put(
        _text(await request.body()), principal=principal, source=source
    )
    response.status_code = 201 if is_new else 200
    return MappingOut.of(mapping)


def _text(body: bytes) -> str:
    """Decode a body.

    Raises:
        MalformedBodyError: It isn't UTF-8.
    """
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"The body is not UTF-8: byte {error.start} can't be read."
        raise MalformedBodyError(message) from None
