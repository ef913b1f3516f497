"""Feeds over HTTP: coverage, rules, the alarm that goes out, and the hint on figures."""

from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI

from app.db.webhooks import WebhookRepository
from app.domain.access import Scope
from app.factory import Factory
from app.main import ticks_of
from app.services.http_out import HttpOut
from app.services.time_source import MovableTimeSource
from app.services.webhook_delivery import WebhookDispatcher
from tests.api.conftest import Connect, Issue
from tests.support.facts import DMS, opened, settled
from tests.support.feeds import live, local, send
from tests.support.posting import add_store, post
from tests.support.webhooks import SECRET, endpoint, public, scripted

FEEDS = "/v1/stores/S1/feeds"
DEATH = local("2026-08-03T09:50")
"""A Monday morning."""
BACK = local("2026-08-04T14:20")


@pytest.fixture(autouse=True)
async def store(factory: Factory) -> None:
    await add_store(factory)


async def feed(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get(FEEDS)
    assert answer.status_code == 200
    assert answer.json()["next_cursor"] is None
    (found,) = answer.json()["items"]
    return dict(found)


async def test_a_feed_is_shown_with_its_rhythm_its_lags_and_its_silences(
    client: httpx.AsyncClient, factory: Factory, time_source: MovableTimeSource
) -> None:
    await live(factory, time_source, until=DEATH, weeks=4)
    alive = await feed(client)
    assert alive["source"] == DMS
    assert alive["first_seen_at"] == "2026-07-06T00:50:00Z"
    assert alive["last_seen_at"] == alive["last_occurred_at"] == "2026-08-03T01:50:00Z"
    assert alive["received"] == {
        "today": {"events": 2, "duplicates": 0, "quarantined": 0},
        "last_7_days": {"events": 61, "duplicates": 0, "quarantined": 0},
        "total": {"events": 242, "duplicates": 0, "quarantined": 0},
    }
    assert alive["lag"]["events"] == 61
    assert alive["lag"]["late_share"] == "0.000000"
    assert alive["rhythm"]["weeks"] == 4
    assert alive["rhythm"]["usual"] == [
        {"weekday": weekday, "hours": list(range(8, 18))} for weekday in range(1, 7)
    ]
    assert (alive["silent"], alive["silent_since"]) == (False, None)
    assert alive["expected_by"] == "2026-08-03T03:00:00Z"
    assert alive["silent_at"] == "2026-08-03T04:00:00Z"

    time_source.set(local("2026-08-03T12:01"))
    await factory.feed_watch.watch()
    dead = await feed(client)
    assert (dead["silent"], dead["silent_since"]) == (True, "2026-08-03T01:50:00Z")
    assert dead["silent_at"] is None

    time_source.set(BACK)
    await send(factory, BACK)
    await factory.feed_watch.watch()
    again = await feed(client)
    assert again["silent"] is False
    assert again["silences"] == [
        {"silent_from": "2026-08-03T01:50:00Z", "silent_until": "2026-08-04T06:20:00Z"}
    ]


async def test_a_rule_is_set_by_those_who_set_up_stores(
    client: httpx.AsyncClient, connect: Connect, issue: Issue, factory: Factory
) -> None:
    await send(factory, local("2026-06-30T10:00"))
    ruled = await client.put(FEEDS, json={"source": DMS, "silent_after_minutes": 90})
    assert ruled.status_code == 200
    assert ruled.json()["rule"] == {"silent_after_minutes": 90, "muted": False}
    assert ruled.json()["silent_at"] == "2026-07-01T03:30:00Z"
    muted = await client.put(FEEDS, json={"source": DMS, "muted": True})
    assert muted.json()["silent_at"] is None
    by_rhythm = await client.put(FEEDS, json={"source": DMS})
    assert by_rhythm.json()["rule"] == {"silent_after_minutes": None, "muted": False}
    for body, status in [
        ({"source": "/dms/none"}, 404),
        ({"source": DMS, "muted": True, "silent_after_minutes": 5}, 422),
        ({"source": DMS, "silent_after_minutes": 0}, 422),
        ({}, 422),
    ]:
        assert (await client.put(FEEDS, json=body)).status_code == status, body
    assert (await client.get("/v1/stores/S9/feeds")).status_code == 404
    reader = await connect(await issue(Scope.STORES_READ))
    assert (await reader.get(FEEDS)).status_code == 200
    assert (await reader.put(FEEDS, json={"source": DMS})).status_code == 403


async def test_both_ends_of_a_silence_go_out_under_one_alert(
    client: httpx.AsyncClient, factory: Factory, time_source: MovableTimeSource
) -> None:
    transport, requests = scripted(lambda _: httpx.Response(204))
    repository = WebhookRepository(factory.database.read)
    dispatcher = WebhookDispatcher(
        repository, factory.database.read, HttpOut(resolve=public, below=transport)
    )
    await repository.add_endpoint(endpoint(), SECRET, from_beginning=False)
    await live(factory, time_source, until=DEATH, weeks=4)
    time_source.set(local("2026-08-03T12:01"))
    await factory.feed_watch.watch()
    time_source.set(BACK)
    await send(factory, BACK)
    await factory.feed_watch.watch()
    await dispatcher.tick()
    await dispatcher.wait()
    silent, resumed = sorted(
        (orjson.loads(request.content) for request in requests), key=lambda body: int(body["seq"])
    )
    assert (silent["type"], resumed["type"]) == ("feed.silent", "feed.resumed")
    assert silent["subject"] == resumed["subject"] == DMS
    assert silent["alertid"] == resumed["alertid"] == silent["id"]
    assert silent["time"] == "2026-08-03T04:00:00Z"


async def test_a_figure_of_a_period_in_which_a_feed_was_silent_says_so(
    client: httpx.AsyncClient, factory: Factory, time_source: MovableTimeSource
) -> None:
    await live(factory, time_source, until=DEATH, weeks=4)
    at = "2026-08-02T09:00:00+08:00"
    await post(factory, opened("R1", at), settled("R1", at))
    time_source.set(local("2026-08-03T18:00"))
    await factory.feed_watch.watch()
    await factory.metrics.refresh_behind()
    query = {"from": "2026-08-01", "to": "2026-08-06", "period": "day"}
    kpis = "/v1/stores/S1/kpis"

    async def coverage() -> dict[str, list[dict[str, Any]]]:
        answer = await client.get(f"{kpis}/visits_settled", params=query)
        assert answer.status_code == 200, answer.text
        return {
            value["period_start"]: value["coverage"]
            for value in answer.json()["values"]
            if "coverage" in value
        }

    lasting = await coverage()
    assert sorted(lasting) == ["2026-08-03", "2026-08-04", "2026-08-05"]
    (hint,) = lasting["2026-08-03"]
    assert hint["source"] == DMS
    assert (hint["silent_from"], hint["silent_until"]) == ("2026-08-03T01:50:00Z", None)
    assert "Nothing has come from /dms/test since 2026-08-03 09:50" in hint["note"]["en"]
    assert "未收到 /dms/test 的数据" in hint["note"]["zh"]

    time_source.set(BACK)
    await send(factory, BACK)
    await factory.feed_watch.watch()
    over = await coverage()
    assert sorted(over) == ["2026-08-03", "2026-08-04"]
    assert over["2026-08-04"][0]["silent_until"] == "2026-08-04T06:20:00Z"

    month = {"from": "2026-08-01", "to": "2026-09-01", "period": "month"}
    overview = (await client.get(kpis, params=month)).json()
    assert {len(item["values"][0]["coverage"]) for item in overview["items"]} == {1}
    explained = (await client.get(f"{kpis}/visits_settled/explain", params=month)).json()
    assert explained["coverage"] == overview["items"][0]["values"][0]["coverage"]
    well = {"from": "2026-07-01", "to": "2026-08-01", "period": "month"}
    assert "coverage" not in (
        (await client.get(f"{kpis}/visits_settled/explain", params=well)).json()
    )
    published = (await client.get(f"{kpis}/visits_settled/published", params=month)).json()
    assert published["values"][0]["current"]["coverage"] == explained["coverage"]


async def test_feeds_are_watched_by_a_tick(app: FastAPI, factory: Factory) -> None:
    (tick,) = [tick for tick in ticks_of(factory) if tick.name == "feeds"]
    assert tick.call == factory.feed_watch.do_due
    assert tick.interval_seconds == 30
