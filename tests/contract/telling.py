"""Words that every chapter of the story uses."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from tests.contract.stage import Example, Stage

Interlude = Callable[[Stage], Awaitable[None]]
"""What happens between two examples."""

STORE: Final = "/v1/stores/SH01"
SOURCE: Final = "/dms/sh01"
BATCH: Final = {"Content-Type": "application/cloudevents-batch+json"}
STRUCTURED: Final = {"Content-Type": "application/cloudevents+json"}


def at(moment: str) -> Interlude:
    return lambda stage: stage.move_to(moment)


async def deliver(stage: Stage) -> None:
    await stage.deliver()


def event(
    name: str, subject: str, time: str, data: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{subject}-{name.partition('.')[2]}",
        "source": SOURCE,
        "type": name,
        "store": "SH01",
        "subject": subject,
        "time": f"{time}:00+08:00",
        "datacontenttype": "application/json",
        "data": dict(data or {}),
    } | more


def post(outcome: str, summary: str, body: Any, **more: Any) -> Example:
    return Example(
        **{
            "name": f"post_events.{outcome}",
            "summary": summary,
            "method": "POST",
            "path": "/v1/events",
            "headers": BATCH if isinstance(body, list) else STRUCTURED,
            "body": body,
            "status": 202,
            **more,
        }
    )


def missing(operation_id: str, path: str, **more: Any) -> Example:
    return Example(
        name=f"{operation_id}.not-found",
        summary="There is no such thing 不存在",
        path=path,
        status=404,
        **more,
    )
