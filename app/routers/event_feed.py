"""The feed out 事件输出: the log of a store, read page by page, and the cursors of its readers."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.domain.access import Principal, Scope
from app.domain.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    UnavailableError,
    VersionMismatchError,
)
from app.domain.event_feed import DEFAULT_LIMIT, MAX_LIMIT, MAX_WAIT_SECONDS, seq_of
from app.problems import responses
from app.routers.commands import IfMatch, etag, version_of
from app.routers.deps import FactoryDep, Listing, PageDep, StoreId, next_cursor, requires
from app.routers.schemas.event_feed import (
    FEED_RESPONSES,
    CursorIn,
    CursorOut,
    EventPageOut,
    batch_body,
    page_body,
)
from app.services.event_feed import FeedPage, FeedQuery
from app.telemetry import HELD_KEY

router = APIRouter(prefix="/v1/stores/{store_id}", tags=["events"])

BATCH: Final = "application/cloudevents-batch+json"

Reader = Annotated[Principal, requires(Scope.EVENTS_READ)]
CursorName = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="Name of the cursor 游标名称",
        examples=["warehouse"],
    ),
]


def _feed_query(
    *,
    after: Annotated[
        str | None,
        Query(
            description="Begin after this seq, `next_after` of the page before 起始序号（不含）"
        ),
    ] = None,
    cursor: Annotated[
        str | None,
        Query(max_length=64, description="Begin where this cursor stands 从命名游标处开始"),
    ] = None,
    wait: Annotated[
        float,
        Query(
            ge=0,
            le=MAX_WAIT_SECONDS,
            description="Seconds to wait for an event where there is none 长轮询等待秒数",
        ),
    ] = 0,
    limit: Annotated[
        int, Query(ge=1, le=MAX_LIMIT, description="Most events in the page 每页条数")
    ] = DEFAULT_LIMIT,
    types: Annotated[
        list[str] | None,
        Query(
            alias="type",
            max_length=100,
            description="Only this type, or family such as `repair_order.*`; repeat it for "
            "several 事件类型",
        ),
    ] = None,
    personal: Annotated[
        bool,
        Query(
            description="With personal and unknown fields, as they were sent; needs personal:read "
            "是否包含个人信息"
        ),
    ] = False,
) -> FeedQuery:
    return FeedQuery(
        after=None if after is None else seq_of(after, "/query/after"),
        cursor=cursor,
        types=types or (),
        wait=wait,
        limit=limit,
        personal=personal,
    )


@router.get(
    "/events",
    operation_id="read_events",
    summary="Read the log of a store 读取事件流",
    response_model=EventPageOut,
    responses={
        **responses(NotFoundError, ForbiddenError, UnavailableError),
        200: FEED_RESPONSES,
    },
)
async def read_events(
    store_id: StoreId,
    query: Annotated[FeedQuery, Depends(_feed_query)],
    request: Request,
    factory: FactoryDep,
    principal: Reader,
) -> Response:
    """Read events in the order of the log, none left out, each as its CloudEvents envelope.

    Go on after `next_after`; it moves on past events that a filter leaves out, too. With `wait`
    the request is held where there is nothing, and answered as soon as there is something, else
    with an empty page. With `Accept: application/cloudevents-batch+json` the body is a batch and
    `next_after` is in the headers.
    """
    request.scope[HELD_KEY] = query.wait > 0
    reading = factory.event_feed.read(store_id, query, principal=principal)
    page = await _unless_gone(request, reading) if query.wait else await reading
    if page is None:
        return Response(status_code=204)  # nobody is there to read it
    link = request.url.include_query_params(after=page.next_after).remove_query_params("cursor")
    headers = {
        "Link": f'<{link.path}?{link.query}>; rel="next"',
        "X-Next-After": str(page.next_after),
        "X-Head": str(page.head),
        "Cache-Control": "no-store",
    }
    if BATCH in request.headers.get("accept", ""):
        return Response(batch_body(page), media_type=BATCH, headers=headers)
    return Response(page_body(page), media_type="application/json", headers=headers)


async def _unless_gone(
    request: Request, reading: Coroutine[Any, Any, FeedPage]
) -> FeedPage | None:
    """Wait for a page, but no longer than its reader does: None if the reader has gone away."""
    page = asyncio.ensure_future(reading)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((page, gone), return_when=asyncio.FIRST_COMPLETED)
        return await page if page.done() else None
    finally:
        page.cancel()
        gone.cancel()
        await asyncio.gather(page, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


@router.get(
    "/feed-cursors",
    operation_id="list_feed_cursors",
    summary="Cursors 命名游标列表",
    responses=responses(NotFoundError),
)
async def list_feed_cursors(
    store_id: StoreId, page: PageDep, factory: FactoryDep, _: Reader
) -> Listing[CursorOut]:
    """List the cursors of a store by name: how far each of its readers is."""
    found = await factory.event_feed.list_cursors(store_id, page)
    return Listing(
        items=[CursorOut.of(cursor) for cursor in found.items], next_cursor=next_cursor(found)
    )


@router.get(
    "/feed-cursors/{name}",
    operation_id="get_feed_cursor",
    summary="One cursor 查询命名游标",
    responses=responses(NotFoundError),
)
async def get_feed_cursor(
    store_id: StoreId, name: CursorName, response: Response, factory: FactoryDep, _: Reader
) -> CursorOut:
    """Get where a cursor stands."""
    cursor = await factory.event_feed.get_cursor(store_id, name)
    etag(response, cursor.seq)
    return CursorOut.of(cursor)


@router.put(
    "/feed-cursors/{name}",
    operation_id="put_feed_cursor",
    summary="Make or move a cursor 保存命名游标",
    responses=responses(NotFoundError, ConflictError, VersionMismatchError),
)
async def put_feed_cursor(
    store_id: StoreId,
    name: CursorName,
    body: CursorIn,
    response: Response,
    factory: FactoryDep,
    principal: Reader,
    if_match: IfMatch = None,
) -> CursorOut:
    """Say up to which seq all was dealt with: the cursor stands there, and never goes back.

    Do so after the work is done: what was not committed is read again. `If-Match` with the seq
    where it stood lets only one of two readers win; `force` puts it back to read again.
    """
    cursor = await factory.event_feed.put_cursor(
        store_id,
        name,
        seq_of(body.after, "/after"),
        principal=principal,
        expected=version_of(if_match),
        force=body.force,
    )
    etag(response, cursor.seq)
    return CursorOut.of(cursor)


@router.delete(
    "/feed-cursors/{name}",
    operation_id="delete_feed_cursor",
    status_code=204,
    summary="Delete a cursor 删除命名游标",
    responses=responses(NotFoundError),
)
async def delete_feed_cursor(
    store_id: StoreId, name: CursorName, factory: FactoryDep, _: Reader
) -> None:
    """Delete a cursor; the log is not touched."""
    await factory.event_feed.delete_cursor(store_id, name)
