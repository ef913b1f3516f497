"""Bodies of the feed out."""

from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from app.domain.event_feed import Cursor
from app.routers.schemas.webhooks import EventNotice
from app.services.event_feed import FeedPage

_BATCH: Final = "application/cloudevents-batch+json"


class EventPageOut(BaseModel):
    """A part of a store's log."""

    items: Annotated[
        list[EventNotice], Field(description="In the order of the log, none left out 事件")
    ]
    next_after: Annotated[
        str,
        Field(
            description="Up to where was looked; hand it back as `after` 下一页起点",
            examples=["1041"],
        ),
    ]
    head: Annotated[str, Field(description="Where the log ends 事件流末尾序号", examples=["1060"])]


class CursorIn(BaseModel):
    """Where to put a cursor."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[
        str,
        Field(
            description="seq of the last event that was dealt with 已处理序号", examples=["1041"]
        ),
    ]
    force: Annotated[bool, Field(description="Also backward, to read again 允许后退")] = False


class CursorOut(BaseModel):
    """A cursor. It belongs to the store: any key that may read its events may move it."""

    name: Annotated[str, Field(description="Name 名称")]
    after: Annotated[
        str, Field(description="seq of the last event that was dealt with; the ETag 已处理序号")
    ]
    created_at: datetime
    updated_at: datetime
    updated_by: Annotated[str, Field(description="Name of the key that moved it last 更新者")]

    @classmethod
    def of(cls, cursor: Cursor) -> Self:
        """Show a cursor."""
        return cls(
            name=cursor.name,
            after=str(cursor.seq),
            created_at=cursor.created_at,
            updated_at=cursor.updated_at,
            updated_by=cursor.updated_by,
        )


def page_body(page: FeedPage) -> bytes:
    """Write a page as `EventPageOut`."""
    return b'{"items":[%b],"next_after":"%d","head":"%d"}' % (
        b",".join(page.items),
        page.next_after,
        page.head,
    )


def batch_body(page: FeedPage) -> bytes:
    """Write a page as a CloudEvents batch."""
    return b"[%b]" % b",".join(page.items)


_TEXT: Final = {"schema": {"type": "string"}}
FEED_RESPONSES: Final[dict[str, Any]] = {
    "description": "Done 成功",
    "headers": {
        "Link": {**_TEXT, "description": "The next page, `rel=next` 下一页"},
        "X-Next-After": {**_TEXT, "description": "`next_after` 下一页起点"},
        "X-Head": {**_TEXT, "description": "`head` 事件流末尾序号"},
    },
    "content": {
        _BATCH: {
            "schema": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/EventNotice"},
            }
        }
    },
}
"""What `read_events` answers besides its model."""
