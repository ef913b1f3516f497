"""Webhook endpoints over HTTP: who may make which, what they are sent, and what is documented."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from app.domain.access import Scope
from app.domain.webhooks import DEFAULT_EVENT_TYPES, secret_of
from app.factory import Factory
from app.routers.schemas.webhooks import (
    EventNotice,
    PingNotice,
    alert_example,
    alert_model,
    event_example,
    ping_example,
)
from app.services.http_out import HttpOut
from tests.api.conftest import Connect, Issue
from tests.support.webhooks import SECRET, Log, receiver

ENDPOINTS = "/v1/webhook-endpoints"
URL = "https://hooks.example/in"


async def names(host: str, port: int) -> Sequence[str]:
    if host == "unknown.example":
        raise OSError("name or service not known")
    return [{"hooks.example": "8.8.8.8", "inner.example": "10.0.0.1"}.get(host, host)]


@pytest.fixture(autouse=True)
def out(factory: Factory) -> None:
    """The outside as these tests know it; closed with the factory."""
    factory.http_out = HttpOut(
        timeout_seconds=5, allowed_networks=[ip_network("127.0.0.0/8")], resolve=names
    )


@pytest.fixture(autouse=True)
async def log(factory: Factory) -> Log:
    log = Log(factory.database.read)
    for store_id in ("SH01", "SH02"):
        await log.add_store(store_id)
    return log


async def create(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post(ENDPOINTS, json={"url": URL, **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def settle(factory: Factory) -> None:
    await factory.webhook_dispatcher.tick()
    await factory.webhook_dispatcher.wait()


async def test_an_endpoint_is_made_with_a_secret_that_is_shown_to_writers_alone(
    client: httpx.AsyncClient, connect: Connect, issue: Issue
) -> None:
    answer = await client.post(ENDPOINTS, json={"url": URL, "description": "CRM 客户系统"})
    made = answer.json()
    assert answer.status_code == 201
    assert made["secret"].startswith("whsec_")
    assert made["event_types"] is None
    assert made["stores"] is None
    assert (made["state"], made["include_late"]) == ("enabled", False)

    shown = (await client.get(answer.headers["location"])).json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    secret = await client.get(f"{answer.headers['location']}/secret")
    assert secret.json() == {
        "secret": made["secret"],
        "previous_secret": None,
        "previous_secret_until": None,
    }
    reader = await connect(await issue(Scope.WEBHOOKS_READ))
    assert (await reader.get(answer.headers["location"])).status_code == 200
    assert (await reader.get(f"{answer.headers['location']}/secret")).status_code == 403
    assert (await reader.post(ENDPOINTS, json={"url": URL})).status_code == 403


async def test_two_endpoints_never_share_a_secret(client: httpx.AsyncClient) -> None:
    assert (await create(client))["secret"] != (await create(client))["secret"]


async def test_a_secret_may_be_brought_along(client: httpx.AsyncClient) -> None:
    assert (await create(client, secret=SECRET))["secret"] == SECRET


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {"/url": "missing"}),
        ({"url": None}, {"/url": "string-type"}),
        ({"url": "ftp://hooks.example/"}, {"/url": "invalid-url"}),
        ({"url": "https://u:p@hooks.example/"}, {"/url": "url-with-password"}),
        ({"url": "https://inner.example/"}, {"/url": "address-not-allowed"}),
        ({"url": "http://169.254.169.254/latest"}, {"/url": "address-not-allowed"}),
        ({"url": URL, "event_types": []}, {"/event_types": "too-short"}),
        (
            {"url": URL, "event_types": ["follow_up.overdue", "no.such"]},
            {"/event_types/1": "unknown-event-type"},
        ),
        ({"url": URL, "stores": []}, {"/stores": "too-short"}),
        ({"url": URL, "stores": ["SH01", "SH99"]}, {"/stores/1": "unknown-store"}),
        ({"url": URL, "secret": "whsec_c2hvcnQ="}, {"/secret": "invalid-secret"}),
        ({"url": URL, "from": "yesterday"}, {"/from": "literal-error"}),
        ({"url": URL, "colour": "red"}, {"/colour": "extra-forbidden"}),
        (
            {"url": "nowhere", "event_types": ["no.such"], "stores": ["X"], "secret": "x"},
            {
                "/url": "invalid-url",
                "/event_types/0": "unknown-event-type",
                "/stores/0": "unknown-store",
                "/secret": "invalid-secret",
            },
        ),
    ],
)
async def test_faults_are_told_with_pointers(
    client: httpx.AsyncClient, body: dict[str, Any], pointers: dict[str, str]
) -> None:
    answer = await client.post(ENDPOINTS, json=body)

    assert answer.status_code == 422
    assert {fault["pointer"]: fault["code"] for fault in answer.json()["errors"]} == pointers
    assert (await client.get(ENDPOINTS)).json()["items"] == []


async def test_the_refusal_of_an_address_says_which_setting_to_change(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post(ENDPOINTS, json={"url": "https://inner.example/"})

    [fault] = answer.json()["errors"]
    assert "SERVICELANE_WEBHOOK_ALLOWED_NETWORKS" in fault["detail"]
    assert "10.0.0.1" in fault["detail"]


async def test_a_name_that_is_unknown_today_may_be_there_tomorrow(
    client: httpx.AsyncClient,
) -> None:
    await create(client, url="https://unknown.example/")


async def test_endpoints_are_listed_page_by_page(client: httpx.AsyncClient) -> None:
    made = [(await create(client))["endpoint_id"] for _ in range(5)]
    seen: list[str] = []
    query: dict[str, str] = {"limit": "2"}
    while True:
        page = (await client.get(ENDPOINTS, params=query)).json()
        seen += [item["endpoint_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]

    assert seen == made
    assert (await client.get(ENDPOINTS, params={"cursor": "?"})).status_code == 422


async def test_a_bound_key_makes_and_sees_endpoints_of_its_stores_only(
    client: httpx.AsyncClient, connect: Connect, issue: Issue
) -> None:
    everywhere = await create(client)
    other = await create(client, stores=["SH02"])
    both = await create(client, stores=["SH01", "SH02"])
    bound = await connect(await issue(stores=["SH01"]))

    assert (await bound.post(ENDPOINTS, json={"url": URL, "stores": ["SH02"]})).status_code == 403
    assert (await bound.post(ENDPOINTS, json={"url": URL, "stores": ["SH99"]})).status_code == 403
    made = await create(bound)
    assert made["stores"] == ["SH01"]
    assert [item["endpoint_id"] for item in (await bound.get(ENDPOINTS)).json()["items"]] == [
        made["endpoint_id"]
    ]
    for hidden in (everywhere, other, both):
        path = f"{ENDPOINTS}/{hidden['endpoint_id']}"
        assert (await bound.get(path)).status_code == 404
        assert (await bound.get(f"{path}/secret")).status_code == 404
        assert (await bound.get(f"{path}/deliveries")).status_code == 404
        assert (await bound.patch(path, json={"url": URL})).status_code == 404
        assert (await bound.post(f"{path}/test")).status_code == 404
        assert (await bound.delete(path)).status_code == 404

    path = f"{ENDPOINTS}/{made['endpoint_id']}"
    assert (await bound.patch(path, json={"stores": None})).json()["stores"] == ["SH01"]
    assert (await bound.patch(path, json={"stores": ["SH02"]})).status_code == 403


async def test_what_is_given_is_changed_and_nothing_else(client: httpx.AsyncClient) -> None:
    made = await create(
        client, description="one", event_types=["follow_up.resolved"], stores=["SH01"]
    )
    path = f"{ENDPOINTS}/{made.pop('endpoint_id')}"
    made.pop("secret")
    for change in (
        {"url": "https://hooks.example/other"},
        {"description": None},
        {"event_types": ["repair_order.opened", "follow_up.overdue"]},
        {"event_types": None},
        {"stores": ["SH01", "SH02"]},
        {"stores": None},
        {"include_late": True},
        {},
    ):
        answer = await client.patch(path, json=change)
        assert answer.status_code == 200
        changed = answer.json()
        made = made | change | {"updated_at": changed["updated_at"]}
        if change.get("event_types"):
            made["event_types"] = sorted(made["event_types"])
        assert {name: changed[name] for name in made} == made


@pytest.mark.parametrize(
    "change",
    [
        {"url": None},
        {"url": ""},
        {"url": "https://inner.example/"},
        {"event_types": ["no.such"]},
        {"stores": ["SH99"]},
        {"include_late": None},
        {"state": "paused"},
        {"secret": SECRET},
    ],
)
async def test_a_change_with_faults_changes_nothing(
    client: httpx.AsyncClient, change: dict[str, Any]
) -> None:
    made = await create(client)
    path = f"{ENDPOINTS}/{made['endpoint_id']}"

    assert (await client.patch(path, json=change)).status_code == 422
    assert (await client.get(path)).json()["updated_at"] == made["updated_at"]


async def test_an_endpoint_is_disabled_and_enabled_by_hand(client: httpx.AsyncClient) -> None:
    path = f"{ENDPOINTS}/{(await create(client))['endpoint_id']}"

    off = (await client.patch(path, json={"state": "disabled"})).json()
    assert (off["state"], off["disabled_reason"]) == ("disabled", "manual")
    same = (await client.patch(path, json={"description": "x"})).json()
    assert (same["state"], same["disabled_reason"]) == ("disabled", "manual")
    on = (await client.patch(path, json={"state": "enabled"})).json()
    assert (on["state"], on["disabled_reason"]) == ("enabled", None)


async def test_a_deleted_endpoint_is_gone(client: httpx.AsyncClient) -> None:
    path = f"{ENDPOINTS}/{(await create(client))['endpoint_id']}"

    answer = await client.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    for method, suffix in (("GET", ""), ("DELETE", ""), ("GET", "/secret"), ("POST", "/secret")):
        assert (await client.request(method, path + suffix)).status_code == 404
    assert (await client.get(f"{ENDPOINTS}/not-an-id")).status_code == 422


async def test_after_a_change_of_the_secret_both_sign(
    client: httpx.AsyncClient, factory: Factory, log: Log
) -> None:
    async with receiver() as consumer:
        made = await create(client, url=consumer.url)
        path = f"{ENDPOINTS}/{made['endpoint_id']}/secret"
        rotated = (await client.post(path)).json()
        assert rotated["previous_secret"] == made["secret"]
        assert rotated["secret"] not in {made["secret"], None}
        until = datetime.fromisoformat(rotated["previous_secret_until"])
        assert until - datetime.now(until.tzinfo) > timedelta(hours=23)
        assert (await client.get(path)).json() == rotated
        await log.record()
        await settle(factory)

        [request] = consumer.received
        request.verify(rotated["secret"])
        request.verify(made["secret"])

        given = secret_of(bytes(range(24)))
        assert (await client.post(path, json={"secret": given})).json()["secret"] == given
        answer = await client.post(path, json={"secret": "whsec_"})
        assert answer.json()["errors"][0]["pointer"] == "/secret"


async def test_a_test_message_is_sent_at_once_and_leaves_no_trace(
    client: httpx.AsyncClient,
) -> None:
    async with receiver() as consumer:
        made = await create(client, url=consumer.url)
        path = f"{ENDPOINTS}/{made['endpoint_id']}"
        await client.patch(path, json={"state": "disabled"})
        good = (await client.post(f"{path}/test")).json()
        consumer.answer = lambda _: (500, {})
        bad = (await client.post(f"{path}/test")).json()
    nobody = (await client.post(f"{path}/test")).json()

    assert (good["delivered"], good["status"], good["error"]) == (True, 204, None)
    assert (bad["delivered"], bad["status"], bad["response_excerpt"]) == (False, 500, "ok")
    assert (nobody["delivered"], nobody["status"]) == (False, None)
    assert nobody["error"]
    event = consumer.received[0].verify(made["secret"])
    assert event["type"] == "webhook.test"
    assert event["data"] == {"endpoint_id": made["endpoint_id"]}
    assert PingNotice.model_validate(event)
    assert (await client.get(f"{path}/deliveries")).json()["items"] == []


async def test_deliveries_and_tries_are_listed(
    client: httpx.AsyncClient, factory: Factory, log: Log
) -> None:
    async with receiver() as consumer:
        consumer.answer = lambda request: (500 if request.event["store"] == "SH02" else 204, {})
        made = await create(client, url=consumer.url)
        path = f"{ENDPOINTS}/{made['endpoint_id']}/deliveries"
        for store_id in ("SH01", "SH01", "SH01", "SH02"):
            await log.record(store_id=store_id)
        await settle(factory)

    seen: list[dict[str, Any]] = []
    query: dict[str, str] = {"limit": "3"}
    while True:
        page = (await client.get(path, params=query)).json()
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert sorted((item["store_id"], item["seq"]) for item in seen) == [
        ("SH01", "1"),
        ("SH01", "2"),
        ("SH01", "3"),
        ("SH02", "1"),
    ]
    assert [item["delivery_id"] for item in seen] == sorted(
        (item["delivery_id"] for item in seen), reverse=True
    )
    failing = (await client.get(path, params={"state": "pending"})).json()["items"]
    assert failing == (await client.get(path, params={"store": "SH02"})).json()["items"]
    [item] = failing
    assert (item["attempts"], item["finished_at"]) == (1, None)
    assert item["next_attempt_at"] is not None
    assert (await client.get(f"{path}/{item['delivery_id']}")).json() == item
    tries = (await client.get(f"{path}/{item['delivery_id']}/attempts")).json()
    assert tries["next_cursor"] is None
    [attempt] = tries["items"]
    assert (attempt["attempt"], attempt["status"], attempt["error"]) == (1, 500, None)

    other = f"{ENDPOINTS}/{(await create(client))['endpoint_id']}/deliveries"
    assert (await client.get(f"{other}/{item['delivery_id']}/attempts")).status_code == 404
    assert (await client.get(f"{path}/{uuid4()}/attempts")).status_code == 404
    assert (await client.get(path, params={"state": "lost"})).status_code == 422


async def test_a_delivery_is_sent_again_on_demand(
    client: httpx.AsyncClient, factory: Factory, log: Log
) -> None:
    async with receiver() as consumer:
        made = await create(client, url=consumer.url)
        endpoint = f"{ENDPOINTS}/{made['endpoint_id']}"
        await log.record()
        await settle(factory)
        [item] = (await client.get(f"{endpoint}/deliveries")).json()["items"]
        path = f"{endpoint}/deliveries/{item['delivery_id']}"
        for _ in range(2):
            answer = await client.post(f"{path}/redeliver")
            assert answer.status_code == 202
            assert answer.json()["state"] == "pending"
            await settle(factory)
        page = (await client.get(f"{path}/attempts", params={"limit": 2})).json()
        rest = (
            await client.get(f"{path}/attempts", params={"cursor": page["next_cursor"]})
        ).json()

    assert consumer.ids() == [item["delivery_id"]] * 3
    assert [item["attempt"] for item in page["items"] + rest["items"]] == [1, 2, 3]
    assert (await client.get(path)).json()["state"] == "delivered"

    await client.patch(endpoint, json={"state": "disabled"})
    refused = await client.post(f"{path}/redeliver")
    assert (refused.status_code, refused.json()["state"]) == (409, "disabled")
    assert (await client.post(f"{endpoint}/deliveries/{uuid4()}/redeliver")).status_code == 404


async def test_from_the_beginning(client: httpx.AsyncClient, factory: Factory, log: Log) -> None:
    await log.record()
    async with receiver() as consumer:
        await create(client, url=consumer.url)
        await create(client, url=consumer.url, **{"from": "beginning"})
        await settle(factory)

    assert len(consumer.received) == 1


async def test_the_document_describes_each_webhook(app: FastAPI) -> None:
    document = app.openapi()

    assert document["webhooks"].keys() == {*DEFAULT_EVENT_TYPES, "event", "webhook.test"}
    for name in DEFAULT_EVENT_TYPES:
        operation = document["webhooks"][name]["post"]
        assert {parameter["name"] for parameter in operation["parameters"]} == {
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
        }
        [content] = operation["requestBody"]["content"].items()
        assert content[0] == "application/cloudevents+json"
        schema = document["components"]["schemas"][content[1]["schema"]["$ref"].split("/")[-1]]
        assert schema["properties"]["type"]["const"] == name
        assert {"410", "429", "default"} <= operation["responses"].keys()


async def test_the_examples_of_webhooks_are_bodies_of_them() -> None:
    for name in DEFAULT_EVENT_TYPES:
        alert_model(name).model_validate(alert_example(name))
    EventNotice.model_validate(event_example())
    PingNotice.model_validate(ping_example())
