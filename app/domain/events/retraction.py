"""The correction of the log itself."""

from typing import Annotated

from pydantic import Field

from app.domain.events.payload import Payload, Text


class EventRetracted(Payload):
    """An event counts as never happened from here on; it stays in the log. 事件撤回."""

    source: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        description="Source of the event that is retracted 被撤回事件的来源"
    )
    id: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="Id of the event that is retracted 被撤回事件的编号"
    )
    reason: Text = Field(description="Why 撤回原因")
