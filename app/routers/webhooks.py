"""Webhooks 回调: endpoints, what was sent to them, and the webhooks themselves."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Body, Header, Path, Query, Response
from pydantic import BaseModel

from app.domain.access import Principal, Scope
from app.domain.errors import ConflictError, NotFoundError
from app.domain.events.catalog import CATALOG
from app.domain.webhooks import ALERT_OF, CONTENT_TYPE, TEST_EVENT_TYPE, DeliveryState
from app.problems import responses
from app.routers.deps import FactoryDep, Listing, PageDep, next_cursor, requires
from app.routers.schemas.webhooks import (
    EventNotice,
    NewWebhookEndpointOut,
    PingNotice,
    WebhookAttemptOut,
    WebhookDeliveryOut,
    WebhookEndpointIn,
    WebhookEndpointOut,
    WebhookEndpointPatch,
    WebhookSecretIn,
    WebhookSecretOut,
    WebhookTestOut,
    alert_example,
    alert_model,
    event_example,
    ping_example,
)
from app.services.webhooks import EndpointChange

router = APIRouter(prefix="/v1/webhook-endpoints", tags=["webhooks"])

EndpointId = Annotated[UUID, Path(description="Id of the endpoint 接收端编号")]
DeliveryId = Annotated[UUID, Path(description="Id of the delivery, its `webhook-id` 投递编号")]
Reader = Annotated[Principal, requires(Scope.WEBHOOKS_READ)]
Writer = Annotated[Principal, requires(Scope.WEBHOOKS_WRITE)]


@router.post(
    "",
    operation_id="create_webhook_endpoint",
    status_code=201,
    summary="Register an endpoint 注册接收端",
    responses=responses(),
)
async def create_webhook_endpoint(
    body: WebhookEndpointIn, response: Response, factory: FactoryDep, principal: Writer
) -> NewWebhookEndpointOut:
    """Register where notices are posted to; it hears of what is recorded from now on.

    Messages follow Standard Webhooks 1.0: verify `webhook-signature` with the secret of this
    answer over the exact bytes of the body, and use `webhook-id` to recognize repeats. The body is
    the event's CloudEvents envelope. Answer 2xx within the time-out (15 s by default); anything
    else is tried again at once, after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, not
    before `Retry-After`. 410 disables the endpoint. The order of arrival is not promised: `seq`
    tells the order of a store's events. A key that is bound to stores makes endpoints for these
    stores only.
    """
    endpoint, secret = await factory.webhooks.create(
        principal=principal,
        url=body.url,
        description=body.description,
        event_types=body.event_types,
        stores=body.stores,
        include_late=body.include_late,
        secret=body.secret,
        from_beginning=body.start == "beginning",
    )
    response.headers["Location"] = f"{router.prefix}/{endpoint.endpoint_id}"
    return NewWebhookEndpointOut.with_secret(endpoint, secret)


@router.get(
    "",
    operation_id="list_webhook_endpoints",
    summary="Endpoints 接收端列表",
    responses=responses(),
)
async def list_webhook_endpoints(
    page: PageDep, factory: FactoryDep, principal: Reader
) -> Listing[WebhookEndpointOut]:
    """List endpoints, oldest first; a key that is bound to stores sees those of its stores."""
    found = await factory.webhooks.list_page(page, principal=principal)
    return Listing(
        items=[WebhookEndpointOut.of(endpoint) for endpoint in found.items],
        next_cursor=next_cursor(found),
    )


@router.get(
    "/{endpoint_id}",
    operation_id="get_webhook_endpoint",
    summary="One endpoint 查询接收端",
    responses=responses(NotFoundError),
)
async def get_webhook_endpoint(
    endpoint_id: EndpointId, factory: FactoryDep, principal: Reader
) -> WebhookEndpointOut:
    """Get one endpoint, without its secret."""
    return WebhookEndpointOut.of(await factory.webhooks.get(str(endpoint_id), principal=principal))


@router.patch(
    "/{endpoint_id}",
    operation_id="update_webhook_endpoint",
    summary="Change an endpoint 修改接收端",
    responses=responses(NotFoundError),
)
async def update_webhook_endpoint(
    endpoint_id: EndpointId, body: WebhookEndpointPatch, factory: FactoryDep, principal: Writer
) -> WebhookEndpointOut:
    """Change what is given. A filter counts from now on, in stores that are new to it as well."""
    change = EndpointChange(**body.model_dump(exclude_unset=True))
    return WebhookEndpointOut.of(
        await factory.webhooks.update(str(endpoint_id), change, principal=principal)
    )


@router.delete(
    "/{endpoint_id}",
    operation_id="delete_webhook_endpoint",
    status_code=204,
    summary="Delete an endpoint 删除接收端",
    responses=responses(NotFoundError),
)
async def delete_webhook_endpoint(
    endpoint_id: EndpointId, factory: FactoryDep, principal: Writer
) -> None:
    """Delete an endpoint with its deliveries; a try that is under way may still arrive."""
    await factory.webhooks.delete(str(endpoint_id), principal=principal)


@router.get(
    "/{endpoint_id}/secret",
    operation_id="get_webhook_secret",
    summary="The signing secret 查看签名密钥",
    responses=responses(NotFoundError),
)
async def get_webhook_secret(
    endpoint_id: EndpointId, factory: FactoryDep, principal: Writer
) -> WebhookSecretOut:
    """Get the secrets that sign; this needs the right to change them."""
    signing = await factory.webhooks.get_signing(str(endpoint_id), principal=principal)
    return WebhookSecretOut.of(signing)


@router.post(
    "/{endpoint_id}/secret",
    operation_id="rotate_webhook_secret",
    summary="Replace the signing secret 更换签名密钥",
    responses=responses(NotFoundError),
)
async def rotate_webhook_secret(
    endpoint_id: EndpointId,
    factory: FactoryDep,
    principal: Writer,
    body: WebhookSecretIn | None = None,
) -> WebhookSecretOut:
    """Put a new secret in place. For 24 hours the one before signs too, in the same header."""
    signing = await factory.webhooks.rotate_secret(
        str(endpoint_id), principal=principal, secret=body.secret if body else None
    )
    return WebhookSecretOut.of(signing)


@router.post(
    "/{endpoint_id}/test",
    operation_id="test_webhook_endpoint",
    summary="Send a test message 发送测试消息",
    responses=responses(NotFoundError),
)
async def test_webhook_endpoint(
    endpoint_id: EndpointId, factory: FactoryDep, principal: Writer
) -> WebhookTestOut:
    """Post a signed `webhook.test` at once, to a disabled endpoint too, and tell what came of it.

    It is tried once and not kept.
    """
    return WebhookTestOut.of(
        await factory.webhooks.send_test(str(endpoint_id), principal=principal)
    )


@router.get(
    "/{endpoint_id}/deliveries",
    operation_id="list_webhook_deliveries",
    summary="What was sent 投递列表",
    responses=responses(NotFoundError),
)
async def list_webhook_deliveries(
    endpoint_id: EndpointId,
    page: PageDep,
    factory: FactoryDep,
    principal: Reader,
    *,
    state: Annotated[DeliveryState | None, Query(description="Absent: all 状态")] = None,
    store: Annotated[str | None, Query(max_length=32, description="Code 门店")] = None,
) -> Listing[WebhookDeliveryOut]:
    """List deliveries, newest first; finished ones are kept for 30 days."""
    found = await factory.webhooks.list_deliveries(
        str(endpoint_id), page, principal=principal, state=state, store_id=store
    )
    return Listing(
        items=[WebhookDeliveryOut.of(delivery) for delivery in found.items],
        next_cursor=next_cursor(found),
    )


@router.get(
    "/{endpoint_id}/deliveries/{delivery_id}",
    operation_id="get_webhook_delivery",
    summary="One delivery 查询投递",
    responses=responses(NotFoundError),
)
async def get_webhook_delivery(
    endpoint_id: EndpointId, delivery_id: DeliveryId, factory: FactoryDep, principal: Reader
) -> WebhookDeliveryOut:
    """Get one delivery."""
    return WebhookDeliveryOut.of(
        await factory.webhooks.get_delivery(
            str(endpoint_id), str(delivery_id), principal=principal
        )
    )


@router.get(
    "/{endpoint_id}/deliveries/{delivery_id}/attempts",
    operation_id="list_webhook_attempts",
    summary="The tries of a delivery 尝试列表",
    responses=responses(NotFoundError),
)
async def list_webhook_attempts(
    endpoint_id: EndpointId,
    delivery_id: DeliveryId,
    page: PageDep,
    factory: FactoryDep,
    principal: Reader,
) -> Listing[WebhookAttemptOut]:
    """List the tries whose outcome is known, oldest first."""
    found = await factory.webhooks.list_attempts(
        str(endpoint_id), str(delivery_id), page, principal=principal
    )
    return Listing(
        items=[WebhookAttemptOut.of(attempt) for attempt in found.items],
        next_cursor=next_cursor(found),
    )


@router.post(
    "/{endpoint_id}/deliveries/{delivery_id}/redeliver",
    operation_id="redeliver_webhook",
    status_code=202,
    summary="Send again 重新投递",
    responses=responses(NotFoundError, ConflictError),
)
async def redeliver_webhook(
    endpoint_id: EndpointId, delivery_id: DeliveryId, factory: FactoryDep, principal: Writer
) -> WebhookDeliveryOut:
    """Send an event again as soon as possible, under its old `webhook-id`.

    The retry schedule goes on where it stood; once it is exhausted, this is a single try.
    """
    return WebhookDeliveryOut.of(
        await factory.webhooks.redeliver(str(endpoint_id), str(delivery_id), principal=principal)
    )


# The webhooks themselves: documentation only, for `FastAPI(webhooks=...)`

notices = APIRouter(tags=["webhooks"])
"""Describes each webhook; to be the `webhooks` of the application."""

_SIGNED: Final = (
    "Verify `webhook-signature` with the endpoint's secret over `webhook-id`, `webhook-timestamp` "
    "and the exact bytes of the body (Standard Webhooks 1.0)."
)
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    410: {"description": "No more of these, please: disables the endpoint 停用接收端"},
    429: {
        "description": "Later, please: `Retry-After` is honored, for the whole endpoint 请稍后",
        "headers": {"Retry-After": {"schema": {"type": "string"}}},
    },
    "default": {"description": "Tried again by the schedule 按计划重试"},
}

WebhookId = Annotated[
    str, Header(alias="webhook-id", description="The same on every try: recognize repeats by it")
]
WebhookTimestamp = Annotated[
    int, Header(alias="webhook-timestamp", description="When this try was made, Unix seconds")
]
WebhookSignature = Annotated[
    str,
    Header(
        alias="webhook-signature",
        description="`v1,` and a signature; after a change of the secret two of them, a space "
        "between",
    ),
]


def _describe(
    path: str, model: type[BaseModel], example: dict[str, Any], *, summary: str, description: str
) -> None:
    """Describe the request that an endpoint gets: three headers and a body of this model."""
    example_body = Body(media_type=CONTENT_TYPE.partition(";")[0], examples=[example])

    async def receive(
        webhook_id: WebhookId,
        webhook_timestamp: WebhookTimestamp,
        webhook_signature: WebhookSignature,
        notice: Annotated[model, example_body],  # type: ignore[valid-type]
    ) -> None:
        """Stand for the endpoint."""

    notices.add_api_route(
        path,
        receive,
        methods=["POST"],
        status_code=204,
        response_description="Taken; any 2xx will do 已接收",
        operation_id=f"on_{path.replace('.', '_')}",
        summary=summary,
        description=f"{description}\n\n{_SIGNED}",
        responses=_ANSWERS,
    )


for _name in ALERT_OF:
    _describe(
        _name,
        alert_model(_name),
        alert_example(_name),
        summary=CATALOG[_name].description,
        description="Endpoints without a filter hear of it too. "
        "`alertid` is the id of the event that raised the alert; the notice that ends the alert "
        "carries the same.",
    )
_describe(
    "event",
    EventNotice,
    event_example(),
    summary="Any other event type that the endpoint asks for 其他订阅的事件",
    description="An event of the store's log, without personal fields. The schema of `data` is "
    "that of the type; the body of `POST /v1/events` has them all.",
)
_describe(
    TEST_EVENT_TYPE,
    PingNotice,
    ping_example(),
    summary="A test message 测试消息",
    description="Made by `POST /v1/webhook-endpoints/{endpoint_id}/test`.",
)
