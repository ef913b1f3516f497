"""Bodies of the event routes."""

from copy import deepcopy
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from app.domain.events.catalog import CATALOG
from app.domain.events.envelope import Reason
from app.domain.events.event_type import EventType
from app.routers.schemas.quarantine import FaultOut


class OutcomeOut(BaseModel):
    """What became of one event."""

    index: Annotated[int, Field(description="Position in the request, from 0")]
    source: str | None = None
    id: str | None = None
    outcome: Literal["accepted", "duplicate", "quarantined"]
    store: Annotated[str | None, Field(description="Of an accepted or duplicate event 门店")] = (
        None
    )
    seq: Annotated[
        str | None, Field(description="Its position in the store's stream; of the first, if twice")
    ] = None
    warnings: Annotated[
        list[FaultOut] | None, Field(description="Accepted, but deserves a look")
    ] = None
    reason: Annotated[Reason | None, Field(description="Why it lies in quarantine 隔离原因")] = (
        None
    )
    quarantine_id: Annotated[
        str | None,
        Field(
            description="Where it lies; of a duplicate: it is faulty still, but this item of the "
            "same bytes was corrected or discarded 隔离编号"
        ),
    ] = None
    errors: Annotated[list[FaultOut] | None, Field(description="With JSON pointers")] = None


class IngestOut(BaseModel):
    """The outcome of each event of a request."""

    accepted: int
    duplicate: int
    quarantined: int
    results: list[OutcomeOut]


def _envelope(event_type: EventType) -> dict[str, Any]:
    """Write the JSON Schema of an event of one type, as it is sent."""
    return {
        # generators name a class by it: the data of the type has the name without "Event"
        "title": f"Event {event_type.name}",
        "description": event_type.description,
        "type": "object",
        "required": ["specversion", "id", "source", "type", "store", "subject", "time"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "minLength": 1, "maxLength": 128},
            "source": {"type": "string", "minLength": 1, "maxLength": 256},
            "type": {"const": event_type.name},
            "store": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,32}$"},
            "subject": {"type": "string", "examples": [event_type.subject.example]},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"type": "string", "default": "application/json"},
            "dataschema": {
                "type": "string",
                "description": "Ends in `/v1`, `/v2`, ...; absent: v1",
            },
            "correlationid": {"type": "string"},
            "causationid": {"type": "string"},
            "data": {"$ref": f"#/components/schemas/{event_type.model.__name__}"},
        },
        "examples": [event_type.example_event],
    }


def event_components() -> dict[str, Any]:
    """Write the components of the OpenAPI document that `INGEST_REQUEST` refers to."""
    _, definitions = models_json_schema(
        [(event_type.model, "validation") for event_type in POSTED],
        ref_template="#/components/schemas/{model}",
    )
    return {**definitions["$defs"], **EVENT_SCHEMAS}


POSTED: Final = [event_type for event_type in CATALOG.values() if event_type.posted]
EVENT_SCHEMAS: Final[dict[str, Any]] = {
    f"Event.{event_type.name}": _envelope(event_type) for event_type in POSTED
}
"""The envelope of each type that may be posted."""

_ONE: Final[dict[str, Any]] = {
    "title": "An event of one of the types 事件",
    "oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in EVENT_SCHEMAS],
    "discriminator": {
        "propertyName": "type",
        "mapping": {
            event_type.name: f"#/components/schemas/Event.{event_type.name}"
            for event_type in POSTED
        },
    },
}
_EXAMPLES: Final = {
    event_type.name: {
        "summary": f"{event_type.name}: {event_type.description}",
        "value": event_type.example_event,
    }
    for event_type in POSTED
}

_HEADERS: Final = {
    "Prefer": "`return=minimal` leaves `results` to what was not accepted 精简结果; "
    "`handling=strict` stores nothing if any event would be quarantined 严格模式 (not for lines)",
    "Content-Encoding": "`gzip` if the body is packed 压缩",
    "ce-specversion": "Binary mode, like all `ce-*` headers: `1.0` 二进制模式",
    "ce-id": "With `ce-source` the identity of the event, per store 事件编号",
    "ce-source": "Who tells it 来源",
    "ce-type": "Event type 事件类型",
    "ce-store": "Code of the store 门店编号",
    "ce-subject": "What it is about 主题",
    "ce-time": "When it happened in the shop, RFC 3339 with offset 发生时间",
    "ce-dataschema": "Ends in `/v1`, `/v2`, ...; absent: v1 数据版本",
}

INGEST_REQUEST: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": description,
            "schema": {"type": "string"},
        }
        for name, description in _HEADERS.items()
    ],
    "requestBody": {
        "required": True,
        "description": "An event (structured mode), an array of events (batch mode), or the data "
        "of one with its attributes in `ce-*` headers (binary mode).",
        "content": {
            "application/cloudevents+json": {"schema": _ONE, "examples": _EXAMPLES},
            "application/cloudevents-batch+json": {
                "schema": {"type": "array", "items": _ONE, "maxItems": 10_000},
                "example": [event_type.example_event for event_type in POSTED[:3]],
            },
            "application/json": {
                "schema": {
                    "description": "An event, an array of events, or (with `ce-*` headers) the "
                    "data of one."
                },
            },
            "application/x-ndjson": {
                "schema": {
                    "type": "string",
                    "description": "Lines of events, one each, without end. `application/ndjson` "
                    "and `application/jsonl` say the same. 逐行事件",
                },
            },
        },
    },
}
"""What `POST /v1/events` takes, as the OpenAPI document shows it."""

VALIDATE_REQUEST: Final[dict[str, Any]] = deepcopy(INGEST_REQUEST)
"""What `POST /v1/events/validate` takes: the same."""

LINES: Final[dict[str, Any]] = {
    "schema": {
        "type": "string",
        "description": "The answer to lines: an IngestOut for each chunk, one per line, while the "
        "request goes on; `index` is the line's number less one. If it breaks off, the last line "
        "is a ProblemDocument with `durable_lines`. 每块一行",
    }
}
"""The answer to lines, as the OpenAPI document shows it."""
