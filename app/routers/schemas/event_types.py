"""Bodies of the event-type routes."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field
from typing_extensions import override

from app.domain.events.event_type import EventType


class EventTypeOut(BaseModel):
    """An event type."""

    type: Annotated[str, Field(description="Name 类型名称", examples=["repair_order.opened"])]
    description: Annotated[str, Field(description="What it says happened 说明")]
    kind: Annotated[
        str | None,
        Field(description="What its subject is; null: that of the event it takes back 主题类别"),
    ]
    version: Annotated[int, Field(description="Current version of its data 数据版本")]
    posted: Annotated[
        bool, Field(description="Whether callers may send it; else the service writes it 可上报")
    ]

    @classmethod
    def of(cls, event_type: EventType) -> Self:
        """Show a type."""
        return cls.model_validate(_members(event_type))


class EventTypeDetail(EventTypeOut):
    """An event type with its schema."""

    data_schema: Annotated[
        dict[str, Any], Field(description="JSON Schema (2020-12) of `data` 数据结构")
    ]
    example: Annotated[dict[str, Any], Field(description="A whole event, as it is sent 示例")]

    @classmethod
    @override
    def of(cls, event_type: EventType) -> Self:
        """Show a type with its schema."""
        return cls.model_validate(
            {
                **_members(event_type),
                "data_schema": event_type.schema,
                "example": event_type.example_event,
            }
        )


def _members(event_type: EventType) -> dict[str, object]:
    return {
        "type": event_type.name,
        "description": event_type.description,
        "kind": event_type.kind,
        "version": event_type.version,
        "posted": event_type.posted,
    }
