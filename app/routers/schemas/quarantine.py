"""Bodies of the quarantine routes."""

import base64
import dataclasses
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.domain.access import MASK, Principal, Scope
from app.domain.events.envelope import Reason
from app.domain.quarantine import Actor, CountBy, QuarantineCount, QuarantinedItem, QuarantineState
from app.domain.suggestions.suggestion import (
    SuggestedAction as Action,
)
from app.domain.suggestions.suggestion import (
    Suggestion,
)
from app.domain.suggestions.suggestion import (
    SuggestionName as Name,
)

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


class ActorOut(BaseModel):
    """Who did something."""

    id: Annotated[str, Field(description="Id of the key; `servicelane`: the service itself")]
    name: Annotated[str, Field(description="For people 名称")]


class CorrectionOut(BaseModel):
    """What somebody made of an item; the last one is what a replay sends in."""

    at: Annotated[datetime, Field(description="When 时间")]
    by: Annotated[ActorOut, Field(description="Who 更正人")]
    means: Annotated[
        str, Field(description="`event`, `patch`, or the name of the suggestion that was applied")
    ]
    event: Annotated[
        str, Field(description="The event as JSON text; masked without personal:read 更正后的事件")
    ]


class OperationOut(BaseModel):
    """An operation of a JSON Patch (RFC 6902)."""

    op: Annotated[str, Field(description="add, remove or replace")]
    path: Annotated[str, Field(description="JSON pointer into the event")]
    value: Annotated[Any, Field(description="Masked without personal:read")] = None


class QuarantineSuggestionOut(BaseModel):
    """What may be done with an item, and why that makes sense."""

    name: Annotated[Name, Field(description="Stable; `apply` takes it, where `action` is replay")]
    action: Annotated[
        Action,
        Field(description="replay: can be applied; discard: throw it away; advice: for people"),
    ]
    description: Annotated[str, Field(description="In English")]
    description_zh: Annotated[str, Field(description="说明")]
    patch: Annotated[list[OperationOut], Field(description="What it changes in the event")]
    settles: Annotated[
        bool, Field(description="Whether nothing is known to be wrong with the event afterwards")
    ]

    @classmethod
    def of(cls, suggestion: Suggestion, *, plain: bool) -> Self:
        """Show a suggestion; values only where personal data may be seen."""
        return cls(
            name=suggestion.name,
            action=suggestion.action,
            description=suggestion.words.en,
            description_zh=suggestion.words.zh,
            patch=[
                OperationOut.model_validate(
                    operation
                    if plain or "value" not in operation
                    else {**operation, "value": MASK}
                )
                for operation in suggestion.patch
            ],
            settles=suggestion.settles,
        )


class ReplayIn(BaseModel):
    """How an item is corrected before it is sent in again; nothing: as it is now."""

    model_config = ConfigDict(extra="forbid")

    event: Annotated[
        dict[str, Any] | None,
        Field(description="The whole event, corrected, in structured form 更正后的完整事件"),
    ] = None
    patch: Annotated[
        list[dict[str, Any]] | None,
        Field(description="JSON Patch (RFC 6902) for the event as it is now 补丁"),
    ] = None
    apply: Annotated[
        Name | list[Name] | None,
        Field(description="Name of a suggestion, or several 应用建议"),
    ] = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [self.event is not None, self.patch is not None, bool(self.apply)]
        if sum(given) > 1:
            raise ValueError("give one of event, patch and apply")
        return self

    @property
    def names(self) -> list[str]:
        """The suggestions to apply."""
        if self.apply is None:
            return []
        return [*self.apply] if isinstance(self.apply, list) else [self.apply]


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
    again_count: Annotated[
        int, Field(description="How often they came again after it was done 处理后重复次数")
    ]
    again_at: Annotated[datetime | None, Field(description="When they did last 最近重复时间")]
    seq: Annotated[str | None, Field(description="Of the event that it became")]
    resolved_at: datetime | None
    resolved_by: Annotated[ActorOut | None, Field(description="Who replayed or discarded it")]
    discard_reason: str | None
    corrected: Annotated[
        int, Field(description="How often it was corrected; `errors` are of the last correction")
    ]

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
    corrections: Annotated[
        list[CorrectionOut], Field(description="In order; the bytes above stay as sent 更正记录")
    ]
    suggestions: Annotated[
        list[QuarantineSuggestionOut],
        Field(description="What may be done with it, the best first; while it waits 建议"),
    ]

    @classmethod
    def detail_of(
        cls,
        item: QuarantinedItem,
        suggestions: Sequence[Suggestion],
        principal: Principal,
    ) -> Self:
        """Show an item to a caller."""
        plain = principal.has(Scope.PERSONAL_READ)
        attributes = dict(item.item.attributes)
        body: str | None = None
        encoded: str | None = None
        if not plain:
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
                "corrections": [
                    {
                        "at": made.at,
                        "by": _actor(made.by),
                        "means": made.means,
                        "event": made.event if plain else MASK,
                    }
                    for made in item.corrections
                ],
                "suggestions": [
                    QuarantineSuggestionOut.of(each, plain=plain) for each in suggestions
                ],
            }
        )


class QuarantineCountOut(BaseModel):
    """How many items have something in common; what they were not counted by is absent."""

    store_id: Annotated[
        str | None, Field(description="Code; empty: items of no known store 门店")
    ] = None
    reason: Annotated[Reason | None, Field(description="Reason code 原因")] = None
    source: Annotated[str | None, Field(description="Source 来源")] = None
    type: Annotated[str | None, Field(description="Event type 事件类型")] = None
    items: Annotated[int, Field(description="How many 数量")]
    repeats: Annotated[
        int, Field(description="How often their bytes came again while they waited 重复次数")
    ]
    oldest_received_at: Annotated[datetime, Field(description="The first came 最早")]
    newest_received_at: Annotated[datetime, Field(description="The last came 最晚")]

    @classmethod
    def of(cls, count: QuarantineCount, by: Collection[CountBy]) -> Self:
        """Show a count, with what it was counted by."""
        members = dataclasses.asdict(count)
        for each in CountBy:
            if each not in by:
                del members["store_id" if each is CountBy.STORE else each.value]
        return cls.model_validate(members)


def _actor(actor: Actor) -> dict[str, str]:
    return {"id": actor.id, "name": actor.name}


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
        "again_count": item.again_count,
        "again_at": item.again_at,
        "seq": None if item.seq is None else str(item.seq),
        "resolved_at": item.resolved_at,
        "resolved_by": None if item.resolved_by is None else _actor(item.resolved_by),
        "discard_reason": item.discard_reason,
        "corrected": len(item.corrections),
    }
