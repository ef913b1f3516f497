"""Bodies of the webhook routes, and of the webhooks themselves."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, create_model

from app.domain.events.catalog import CATALOG
from app.domain.events.envelope import OWN_SOURCE
from app.domain.webhooks import (
    ALERT_OF,
    MAX_URL_LENGTH,
    TEST_EVENT_TYPE,
    Attempt,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointState,
    Reply,
    Signing,
)
from app.services.http_out import Answer

_MOST_FILTERED: Final = 1000
_Name = Annotated[str, Field(max_length=128)]

Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_URL_LENGTH,
        description="Where notices are posted to: http or https, without user and password. Its "
        "host is looked up and checked here and on every try: addresses that are not public are "
        "refused unless SERVICELANE_WEBHOOK_ALLOWED_NETWORKS names their network 接收地址",
        examples=["https://crm.example.com/servicelane"],
    ),
]
Description = Annotated[str | None, Field(max_length=500, description="For people 说明")]
EventTypes = Annotated[
    list[_Name] | None,
    Field(
        min_length=1,
        max_length=_MOST_FILTERED,
        description="Types of events to hear of; null: the service's own alerts ("
        + ", ".join(ALERT_OF)
        + ") 事件类型",
        examples=[["follow_up.overdue", "follow_up.resolved"]],
    ),
]
Stores = Annotated[
    list[_Name] | None,
    Field(
        min_length=1,
        max_length=_MOST_FILTERED,
        description="Codes of the stores to hear of; null: every store that the key may see, and "
        "for a key that is not bound to stores those to come, too 门店",
        examples=[["SH01"]],
    ),
]
IncludeLate = Annotated[
    bool,
    Field(
        description="Also send what was recorded more than 24 hours after its time (backfills); "
        "the end of an alert that was sent is always sent 是否包含迟到事件",
    ),
]
Secret = Annotated[
    str | None,
    Field(
        max_length=200,
        description="Signing secret that the receiver has already, `whsec_` and 24 to 64 bytes in "
        "base64; null makes a new one 签名密钥",
    ),
]


class WebhookEndpointIn(BaseModel):
    """A new endpoint."""

    model_config = ConfigDict(extra="forbid")

    url: Url
    description: Description = None
    event_types: EventTypes = None
    stores: Stores = None
    include_late: IncludeLate = False
    secret: Secret = None
    start: Annotated[
        Literal["now", "beginning"],
        Field(
            alias="from",
            description="`now`: what is recorded from now on; `beginning`: each log from its "
            "first event 起点",
        ),
    ] = "now"


def _without_defaults(schema: dict[str, Any]) -> None:
    """Show no defaults where absent means that nothing changes."""
    for member in schema["properties"].values():
        member.pop("default", None)


class WebhookEndpointPatch(BaseModel):
    """What to change of an endpoint; what is absent stays as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_defaults)

    url: Url = ""
    description: Description = None
    event_types: EventTypes = None
    stores: Stores = None
    include_late: IncludeLate = False
    state: Annotated[
        EndpointState,
        Field(
            description="`disabled`: nothing is sent; enabled again, it catches up with what was "
            "recorded meanwhile 状态"
        ),
    ] = EndpointState.ENABLED


class WebhookEndpointOut(BaseModel):
    """An endpoint."""

    endpoint_id: str
    url: Url
    description: Description
    event_types: EventTypes
    stores: Stores
    include_late: IncludeLate
    state: Annotated[EndpointState, Field(description="Whether it is sent anything 状态")]
    disabled_reason: Annotated[
        Literal["manual", "gone"] | None,
        Field(description="`manual`, or `gone`: it answered 410 停用原因"),
    ]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self:
        """Show an endpoint."""
        return cls.model_validate(endpoint, from_attributes=True)


class NewWebhookEndpointOut(WebhookEndpointOut):
    """A new endpoint, with its secret."""

    secret: Annotated[str, Field(description="Signing secret 签名密钥")]

    @classmethod
    def with_secret(cls, endpoint: Endpoint, secret: str) -> Self:
        """Show a new endpoint."""
        return cls(**WebhookEndpointOut.of(endpoint).model_dump(), secret=secret)


class WebhookSecretIn(BaseModel):
    """The secret to put in place."""

    model_config = ConfigDict(extra="forbid")

    secret: Secret = None


class WebhookSecretOut(BaseModel):
    """The secrets that sign."""

    secret: Annotated[str, Field(description="Signing secret 签名密钥")]
    previous_secret: Annotated[
        str | None, Field(description="The one before, while it signs too 旧密钥")
    ]
    previous_secret_until: Annotated[
        datetime | None, Field(description="How long it does 旧密钥失效时间")
    ]

    @classmethod
    def of(cls, signing: Signing) -> Self:
        """Show the secrets of an endpoint."""
        return cls(
            secret=signing.secret,
            previous_secret=signing.previous,
            previous_secret_until=signing.previous_until,
        )


class WebhookTestOut(BaseModel):
    """What came of a test message."""

    delivered: Annotated[bool, Field(description="Whether the answer was a 2xx 是否成功")]
    status: Annotated[int | None, Field(description="Status code; null: no answer 状态码")]
    error: Annotated[str | None, Field(description="Why there was no answer 错误")]
    duration_ms: Annotated[int, Field(description="How long it took 耗时（毫秒）")]
    response_excerpt: Annotated[str, Field(description="Beginning of the answer's body 响应片段")]

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """Show an answer."""
        return cls(
            delivered=Reply(answer.status).is_success,
            status=answer.status,
            error=answer.error,
            duration_ms=answer.duration_ms,
            response_excerpt=answer.excerpt,
        )


class WebhookDeliveryOut(BaseModel):
    """One event for one endpoint."""

    delivery_id: Annotated[str, Field(description="The `webhook-id` of every try 投递编号")]
    store_id: Annotated[str, Field(description="Store of the event 门店")]
    seq: Annotated[str, Field(description="Place of the event in the store's log 序号")]
    type: Annotated[str, Field(description="Type of the event 事件类型")]
    state: Annotated[DeliveryState, Field(description="`failed`: given up 状态")]
    attempts: Annotated[int, Field(description="Tries so far 已尝试次数")]
    next_attempt_at: Annotated[
        datetime | None, Field(description="When it is tried (again), while pending 下次尝试时间")
    ]
    created_at: datetime
    finished_at: Annotated[datetime | None, Field(description="Delivered or given up 完成时间")]

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Show a delivery."""
        pending = delivery.state is DeliveryState.PENDING
        return cls(
            delivery_id=delivery.delivery_id,
            store_id=delivery.store_id,
            seq=str(delivery.seq),
            type=delivery.type,
            state=delivery.state,
            attempts=delivery.attempts,
            next_attempt_at=delivery.next_attempt_at if pending else None,
            created_at=delivery.created_at,
            finished_at=delivery.finished_at,
        )


class WebhookAttemptOut(BaseModel):
    """One try of a delivery."""

    attempt: Annotated[int, Field(description="From 1 第几次")]
    started_at: datetime
    duration_ms: Annotated[int, Field(description="How long it took 耗时（毫秒）")]
    status: Annotated[int | None, Field(description="Status code; null: no answer 状态码")]
    error: Annotated[str | None, Field(description="Why there was no answer 错误")]
    response_excerpt: Annotated[
        str | None, Field(description="Beginning of the answer's body 响应片段")
    ]

    @classmethod
    def of(cls, attempt: Attempt) -> Self:
        """Show a try."""
        return cls.model_validate(attempt, from_attributes=True)


# The webhooks themselves, as the OpenAPI document describes them


class EventNotice(BaseModel):
    """An event as it is sent: its CloudEvents envelope in structured mode, no personal fields."""

    specversion: Literal["1.0"]
    id: Annotated[str, Field(description="With `source` the identity of the event, per store")]
    source: Annotated[str, Field(description=f"`{OWN_SOURCE}`: the service's own")]
    type: Annotated[str, Field(description="Event type 事件类型")]
    store: Annotated[str, Field(description="Code of the store 门店")]
    subject: Annotated[str, Field(description="What the event is about 主题")]
    time: Annotated[datetime, Field(description="When it happened; of an alert its deadline")]
    datacontenttype: Literal["application/json"]
    dataschema: Annotated[
        str | None, Field(description="Ends in /v<n>; absent: version 1 of the data")
    ] = None
    correlationid: Annotated[str | None, Field(description="As it came in; else absent")] = None
    causationid: Annotated[str | None, Field(description="As it came in; else absent")] = None
    seq: Annotated[str, Field(description="Place in the store's log, decimal text 序号")]
    recordedtime: Annotated[datetime, Field(description="When it was recorded here")]
    data: Annotated[dict[str, Any], Field(description="By the schema of the type")]


class PingData(BaseModel):
    """Data of a test message."""

    endpoint_id: UUID


class PingNotice(BaseModel):
    """A test message, made by `POST /v1/webhook-endpoints/{endpoint_id}/test`."""

    specversion: Literal["1.0"]
    id: UUID
    source: Literal["/servicelane"]
    type: Literal["webhook.test"]
    subject: Annotated[UUID, Field(description="The endpoint")]
    time: datetime
    datacontenttype: Literal["application/json"]
    recordedtime: datetime
    data: PingData


def alert_model(name: str) -> type[BaseModel]:
    """The model of the whole body of one of the service's own alerts."""
    known = CATALOG[name]
    raised_by = ALERT_OF[name]
    which = "This event's id" if raised_by == name else f"The id of the `{raised_by}`"
    fields: dict[str, Any] = {
        "type": (Literal[name], Field(description="Event type 事件类型")),
        "alertid": (str, Field(description=f"{which}; both ends of an alert carry it 告警编号")),
        "data": (known.model, Field(description=known.description)),
    }
    return create_model(
        f"{known.model.__name__}Notice",
        __base__=EventNotice,
        __doc__=f"Body of `{name}`.",
        **fields,
    )


def alert_example(name: str) -> dict[str, Any]:
    """A whole body of one of the service's own alerts."""
    known = CATALOG[name]
    raised = "6f6c1a52-6d2e-5c0e-9a3d-0c1f5f5b8f11"
    return {
        **known.example_event,
        "id": raised if ALERT_OF[name] == name else "b0c4f7f0-4f57-5a52-8b51-2f4a5d8b9e22",
        "source": OWN_SOURCE,
        "time": known.example.get("due_at", known.example_event["time"]),
        "seq": "1041",
        "recordedtime": known.example.get("due_at", known.example_event["time"]),
        "alertid": raised,
    }


def event_example() -> dict[str, Any]:
    """A whole body of any other event."""
    known = CATALOG["repair_order.dispatched"]
    return {
        **known.example_event,
        "id": "dms-77120",
        "seq": "1040",
        "recordedtime": known.example_event["time"],
    }


def ping_example() -> dict[str, Any]:
    """A whole body of a test message."""
    endpoint_id = "019a6f3e-7c11-7d40-8f0a-2b9c4d5e6f70"
    return {
        "specversion": "1.0",
        "id": "019a6f3e-9d52-7b1c-9a55-0c1d2e3f4a5b",
        "source": OWN_SOURCE,
        "type": TEST_EVENT_TYPE,
        "subject": endpoint_id,
        "time": "2026-01-13T00:00:00Z",
        "datacontenttype": "application/json",
        "recordedtime": "2026-01-13T00:00:00Z",
        "data": {"endpoint_id": endpoint_id},
    }
