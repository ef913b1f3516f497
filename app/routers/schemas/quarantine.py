"""Bodies of the quarantine routes."""

import base64
from datetime import datetime
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from app.domain.access import MASK, Principal, Scope
from app.domain.events.envelope import Reason
from app.domain.quarantine import QuarantinedItem, QuarantineState

_IMPERSONAL: Final = {
    f"ce-{name}"
    for name in (
        "specversion",
        "id",
        "source",
        "type",
        "store",
        "subject",
        "time",
        "dataschema",
        "datacontenttype",
        "correlationid",
        "causationid",
    )
}
"""Headers that this service knows; what others hold may be personal."""


class FaultOut(BaseModel):
    """One thing that is wrong."""

    pointer: Annotated[str, Field(description='JSON pointer into the event; "" is all of it')]
    code: Annotated[str, Field(description="Stable code")]
    detail: Annotated[str, Field(description="In words")]


class DiscardIn(BaseModel):
    """Why an item is thrown away."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=1, max_length=1000, description="Reason 丢弃原因")]


class QuarantinedItemOut(BaseModel):
    """An item in quarantine."""

    quarantine_id: str
    store_id: Annotated[str | None, Field(description="Null: no known store could be read 门店")]
    state: Annotated[QuarantineState, Field(description="waiting, replayed or discarded 状态")]
    reason: Annotated[Reason, Field(description="Stable reason code 原因")]
    errors: Annotated[list[FaultOut], Field(description="What is wrong, with pointers")]
    source: Annotated[str | None, Field(description="As far as readable, like the next three")]
    id: str | None
    type: str | None
    subject: str | None
    received_at: datetime
    last_seen_at: datetime
    seen_count: Annotated[int, Field(description="How often the same bytes came while it waited")]
    seq: Annotated[str | None, Field(description="Of the event that it became")]
    resolved_at: datetime | None
    discard_reason: str | None

    @classmethod
    def of(cls, item: QuarantinedItem) -> Self:
        """Show an item."""
        return cls.model_validate(_members(item))


class QuarantinedItemDetail(QuarantinedItemOut):
    """An item in quarantine, with what was sent."""

    content_type: str | None
    attributes: Annotated[
        dict[str, str],
        Field(description="`ce-*` headers of binary mode; unknown ones are masked likewise"),
    ]
    body: Annotated[
        str | None,
        Field(description="Its own bytes as text; masked without the scope personal:read"),
    ]
    body_base64: Annotated[
        str | None, Field(description="Its own bytes in Base64, where they are no UTF-8 text")
    ]

    @classmethod
    def detail_of(cls, item: QuarantinedItem, principal: Principal) -> Self:
        """Show an item to a caller."""
        attributes = dict(item.item.attributes)
        body: str | None = None
        encoded: str | None = None
        if not principal.has(Scope.PERSONAL_READ):
            body = MASK
            attributes |= dict.fromkeys(attributes.keys() - _IMPERSONAL, MASK)
        else:
            try:
                body = item.item.body.decode()
            except UnicodeDecodeError:
                encoded = base64.b64encode(item.item.body).decode()
        return cls.model_validate(
            {
                **_members(item),
                "content_type": item.item.content_type,
                "attributes": attributes,
                "body": body,
                "body_base64": encoded,
            }
        )


def _members(item: QuarantinedItem) -> dict[str, object]:
    return {
        "quarantine_id": item.quarantine_id,
        "store_id": item.store_id,
        "state": item.state,
        "reason": item.reason,
        "errors": [
            {"pointer": fault.pointer, "code": fault.code, "detail": fault.detail}
            for fault in item.faults
        ],
        "source": item.source,
        "id": item.event_id,
        "type": item.type,
        "subject": item.subject,
        "received_at": item.received_at,
        "last_seen_at": item.last_seen_at,
        "seen_count": item.seen_count,
        "seq": None if item.seq is None else str(item.seq),
        "resolved_at": item.resolved_at,
        "discard_reason": item.discard_reason,
    }
