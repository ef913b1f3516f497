"""Ways in without HTTP: a message goes to the ingest service as the router hands it over."""

from typing import Any
from zoneinfo import ZoneInfo

import orjson

from app.domain.access import LOCAL
from app.domain.events.wire import read_message
from app.factory import Factory
from tests.support.histories import CloudEvent

BATCH = "application/cloudevents-batch+json"


async def add_store(
    factory: Factory, store_id: str = "S1", *, zone: str = "Asia/Shanghai"
) -> None:
    """Make a store."""
    await factory.stores.put(
        store_id=store_id, name=store_id, zone=ZoneInfo(zone), currency="CNY", locale="zh-CN"
    )


async def post(factory: Factory, *events: CloudEvent) -> dict[str, Any]:
    """Post a batch; gives the answer."""
    message = read_message(orjson.dumps(events), BATCH)
    taken = await factory.ingest.ingest(message, principal=LOCAL)
    answer: dict[str, Any] = orjson.loads(taken.answer())
    return answer


async def outcomes(factory: Factory, *events: CloudEvent) -> list[str]:
    """Post a batch; gives the outcomes in a word each: seq, `=seq` of a duplicate, or reason."""
    return [word(result) for result in (await post(factory, *events))["results"]]


def word(result: dict[str, Any]) -> str:
    """Say an outcome in a word."""
    match result["outcome"]:
        case "accepted":
            return str(result["seq"])
        case "duplicate":
            return f"={result['seq']}"
        case _:
            return str(result["reason"])
