"""The feed out: the log in its order, held for news, from where a consumer left off."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from cloudevents.v1.http import from_json
from fastapi import FastAPI
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.domain.access import Scope
from app.factory import Factory
from app.services.arrivals import POLL_SECONDS, Arrivals
from app.settings import Settings
from tests.api.conftest import NOW, Connect, Issue
from tests.support.apps import make_app
from tests.support.facts import cancelled, delivered, event, opened, retraction
from tests.support.posting import add_store, post

EVENTS = "/v1/stores/S1/events"
CURSORS = "/v1/stores/S1/feed-cursors"
AT = "2026-06-30T09:00:00+08:00"


@pytest.fixture(autouse=True)
async def store(factory: Factory) -> None:
    await add_store(factory)


async def read(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await client.get(EVENTS, params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def seqs(page: dict[str, Any]) -> list[int]:
    return [int(item["seq"]) for item in page["items"]]


# Pages


async def test_the_log_is_read_page_by_page_in_its_order(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    await post(factory, *(opened(f"R{number}", AT) for number in range(5)), delivered("R0", AT))
    first = await read(client, limit=4)
    assert seqs(first) == [1, 2, 3, 4]
    assert (first["next_after"], first["head"]) == ("4", "7")
    second = await read(client, after=first["next_after"], limit=4)
    assert seqs(second) == [5, 6, 7]
    assert [item["type"] for item in second["items"]] == [
        "repair_order.opened",
        "repair_order.delivered",
        "follow_up.scheduled",
    ]
    assert await read(client, after=7) == {"items": [], "next_after": "7", "head": "7"}


async def test_an_event_comes_out_as_an_envelope_that_others_read(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    sent = opened("R1", AT, plate="沪A00001") | {"correlationid": "visit-7"}
    await post(factory, sent)
    answer = await client.get(EVENTS, headers={"Accept": "application/cloudevents-batch+json"})
    assert answer.headers["content-type"] == "application/cloudevents-batch+json"
    assert answer.headers["x-next-after"] == "1"
    assert answer.links["next"]["url"] == f"{EVENTS}?after=1"
    (item,) = answer.json()
    read_event = from_json(answer.content[1:-1])
    assert read_event["id"] == sent["id"]
    assert (item["seq"], item["recordedtime"]) == ("1", "2026-07-01T02:00:00Z")
    assert item["correlationid"] == "visit-7"
    assert item["time"] == "2026-06-30T01:00:00Z"
    assert "plate" not in item["data"]


async def test_a_filter_passes_over_what_it_leaves_out(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    await post(factory, *(opened(f"R{number}", AT) for number in range(5)), delivered("R0", AT))
    assert seqs(await read(client, type="follow_up.*")) == [7]
    assert seqs(await read(client, type=["repair_order.delivered", "follow_up.*"])) == [6, 7]
    nothing = await read(client, type="complaint.*")
    assert nothing == {"items": [], "next_after": "7", "head": "7"}
    full = await read(client, type="repair_order.*", limit=2)
    assert (seqs(full), full["next_after"]) == ([1, 2], "2")
    wrong = await client.get(EVENTS, params={"type": "repair_order.vanished"})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["code"] == "unknown-type"


async def test_a_filter_without_a_match_in_a_long_log_is_answered_in_parts(
    client: httpx.AsyncClient, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.event_feed.STRETCH", 2)
    monkeypatch.setattr("app.services.event_feed.STRETCHES", 2)
    await post(factory, *(opened(f"R{number}", AT) for number in range(9)), cancelled("R0", AT))
    pages = [await read(client, type="repair_order.cancelled")]
    while pages[-1]["next_after"] != pages[-1]["head"]:
        after = pages[-1]["next_after"]
        pages.append(await read(client, type="repair_order.cancelled", after=after))
    assert [page["next_after"] for page in pages] == ["4", "8", "10"]
    assert [seqs(page) for page in pages] == [[], [], [10]]


async def test_personal_fields_come_only_where_asked_for_and_allowed(
    client: httpx.AsyncClient, connect: Connect, issue: Issue, factory: Factory
) -> None:
    person = {"plate": "沪A00001", "contact": {"name": "客户0001", "relation": "owner"}}
    gone = opened("R2", AT, **person)
    await post(factory, opened("R1", AT, **person, lane=3), gone, retraction(gone))
    plain = await read(client)
    assert plain["items"][0]["data"]["contact"] == {"relation": "owner"}
    assert {"plate", "lane"}.isdisjoint(plain["items"][0]["data"])
    told = await read(client, personal=True)
    assert told["items"][0]["data"] | {**person, "lane": 3} == told["items"][0]["data"]
    assert "plate" not in told["items"][1]["data"], "it was retracted"
    blind = await connect(await issue(Scope.EVENTS_READ))
    assert (await blind.get(EVENTS)).status_code == 200
    refused = await blind.get(EVENTS, params={"personal": "true"})
    assert refused.status_code == 403
    assert "personal:read" in refused.json()["detail"]


async def test_what_makes_no_sense_is_refused(
    client: httpx.AsyncClient, connect: Connect, issue: Issue
) -> None:
    for query, pointer in [
        ({"after": "x"}, "/query/after"),
        ({"after": "-1"}, "/query/after"),
        ({"after": "99"}, "/query/after"),
        ({"wait": "61"}, "/query/wait"),
        ({"limit": "0"}, "/query/limit"),
    ]:
        answer = await client.get(EVENTS, params=query)
        assert answer.status_code == 422, query
        assert answer.json()["errors"][0]["pointer"] == pointer
    assert (await client.get("/v1/stores/S9/events")).status_code == 404
    assert (await client.get(EVENTS, params={"cursor": "none"})).status_code == 404
    other = await connect(await issue(Scope.EVENTS_READ, stores=["S2"]))
    assert (await other.get(EVENTS)).status_code == 403
    writer = await connect(await issue(Scope.EVENTS_WRITE))
    assert (await writer.get(EVENTS)).status_code == 403


# Held requests


async def test_a_held_request_is_answered_by_the_next_append_of_this_process(
    client: httpx.AsyncClient, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory.arrivals, "_poll_seconds", 600)
    held = asyncio.create_task(read(client, wait=60))
    while not factory.arrivals.held:
        await asyncio.sleep(0.01)
    await post(factory, opened("R1", AT))
    assert seqs(await held) == [1]
    assert factory.arrivals.held == 0


@asynccontextmanager
async def another(database_url: str, **settings: Any) -> AsyncIterator[FastAPI]:
    given = Settings(database_url=SecretStr(database_url), key_cache_seconds=0, **settings)
    app = make_app(given)
    async with app.router.lifespan_context(app):
        yield app


async def test_a_held_request_hears_of_what_another_process_writes(
    client: httpx.AsyncClient, factory: Factory, database_url: str
) -> None:
    held = asyncio.create_task(read(client, wait=60, type="repair_order.delivered"))
    async with another(database_url) as app:
        await post(app.state.factory, opened("R1", AT))
        await asyncio.sleep(POLL_SECONDS * 1.2)
        assert not held.done(), "that was no match"
        await post(app.state.factory, delivered("R1", AT))
        assert seqs(await held) == [2]


async def test_a_held_request_ends_empty_with_its_cursor(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    await post(factory, opened("R1", AT))
    begun = time.monotonic()
    page = await read(client, after=1, wait=0.3)
    assert page == {"items": [], "next_after": "1", "head": "1"}
    assert time.monotonic() - begun > 0.25


async def test_a_held_request_is_not_logged_as_a_slow_one(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.telemetry._SLOW_MS", -1)
    with capture_logs() as logs:
        await read(client)
        await read(client, wait=0.05)
    lines = [line for line in logs if line["event"] == "request"]
    assert [line["log_level"] for line in lines] == ["warning", "info"]


async def test_no_more_are_held_than_the_process_may(database_url: str) -> None:
    async with (
        another(database_url, max_held_requests=2, setup_token="0123456789abcdef") as app,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://test",
            headers={"Authorization": "Bearer 0123456789abcdef"},
        ) as client,
    ):
        arrivals: Arrivals = app.state.factory.arrivals
        held = [asyncio.create_task(read(client, wait=30)) for _ in range(2)]
        while arrivals.held < 2:
            await asyncio.sleep(0.01)
        refused = await client.get(EVENTS, params={"wait": 30})
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert seqs(await read(client)) == [], "who does not wait is answered"
        # the process is asked to end: all are answered at once, and nobody is held any more
        arrivals.release()
        assert [seqs(page) for page in await asyncio.gather(*held)] == [[], []]
        assert seqs(await read(client, wait=30)) == []


async def test_a_client_that_goes_away_frees_its_place(app: FastAPI, issue: Issue) -> None:
    arrivals: Arrivals = app.state.factory.arrivals
    leaves = asyncio.Event()
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not said:
            said.append("request")
            return {"type": "http.request", "body": b"", "more_body": False}
        await leaves.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message["type"])

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": EVENTS,
        "raw_path": EVENTS.encode(),
        "root_path": "",
        "query_string": b"wait=60",
        "headers": [(b"authorization", f"Bearer {await issue()}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    request = asyncio.create_task(app(scope, receive, send))
    while not arrivals.held:
        await asyncio.sleep(0.01)
    leaves.set()
    await asyncio.wait_for(request, 60)
    assert arrivals.held == 0


# Cursors


async def test_a_cursor_remembers_where_its_reader_was(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    await post(factory, *(opened(f"R{number}", AT) for number in range(4)))
    made = await client.put(f"{CURSORS}/warehouse", json={"after": "0"})
    assert made.status_code == 200
    page = await read(client, cursor="warehouse", limit=3)
    assert seqs(page) == [1, 2, 3]
    again = await read(client, cursor="warehouse", limit=3)
    assert again == page, "what was not committed is read again"
    moved = await client.put(f"{CURSORS}/warehouse", json={"after": page["next_after"]})
    assert moved.json()["after"] == "3"
    assert moved.headers["etag"] == '"3"'
    assert moved.json()["updated_by"] == "test"
    assert seqs(await read(client, cursor="warehouse")) == [4]
    both = await client.get(EVENTS, params={"cursor": "warehouse", "after": "1"})
    assert both.status_code == 422
    await client.put(f"{CURSORS}/mail", json={"after": "1"})
    listed = (await client.get(CURSORS)).json()
    assert [cursor["name"] for cursor in listed["items"]] == ["mail", "warehouse"]
    assert (await client.get(f"{CURSORS}/mail")).json()["after"] == "1"
    assert (await client.delete(f"{CURSORS}/mail")).status_code == 204
    assert (await client.delete(f"{CURSORS}/mail")).status_code == 404
    assert (await client.get(f"{CURSORS}/mail")).status_code == 404


async def test_a_cursor_moves_forward_unless_it_is_forced(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    await post(factory, *(opened(f"R{number}", AT) for number in range(4)))
    url = f"{CURSORS}/warehouse"

    async def put(after: str, **more: Any) -> int:
        headers = more.pop("headers", None)
        answer = await client.put(url, json={"after": after, **more}, headers=headers)
        return answer.status_code

    assert await put("1", headers={"If-Match": '"0"'}) == 404, "there is none yet"
    assert await put("3") == 200
    assert await put("3") == 200, "a repeat is harmless"
    assert await put("2") == 409
    assert await put("2", headers={"If-Match": '"3"'}) == 409
    assert await put("4", headers={"If-Match": '"2"'}) == 412
    assert await put("2", force=True) == 200
    assert await put("4", headers={"If-Match": '"2"'}) == 200
    assert await put("5") == 422, "the log ends at 4"


async def test_of_many_who_move_a_cursor_at_once_one_wins(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    await post(factory, *(opened(f"R{number}", AT) for number in range(20)))
    url = f"{CURSORS}/warehouse"
    await client.put(url, json={"after": "1"})
    claims = await asyncio.gather(
        *(
            client.put(url, json={"after": str(number)}, headers={"If-Match": '"1"'})
            for number in range(2, 12)
        )
    )
    assert sorted(claim.status_code for claim in claims) == [200] + [412] * 9
    # without a condition the furthest stands in the end
    answers = await asyncio.gather(
        *(client.put(url, json={"after": str(number)}) for number in range(2, 21))
    )
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert (await client.get(url)).json()["after"] == "20"


async def test_the_time_of_a_cursor_is_the_service_s(client: httpx.AsyncClient) -> None:
    made = await client.put(f"{CURSORS}/warehouse", json={"after": "0"})
    assert made.json()["created_at"] == NOW.isoformat().replace("+00:00", "Z")
    answer = await client.put(f"{CURSORS}/a b", json={"after": "0"})
    assert answer.status_code == 422


async def test_unknown_types_of_the_way_in_do_not_come_out(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    await post(factory, event("no.such", "X", AT), opened("R1", AT))
    assert seqs(await read(client)) == [1]
