"""What Prometheus scrapes: true, bounded, and for those who may see it."""

from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.db.engine import Pool
from app.domain.access import Scope
from app.factory import Factory
from app.main import create_app
from app.services import instruments
from app.services.time_source import MovableTimeSource
from app.settings import Settings
from tests.api.conftest import Connect, Issue
from tests.support.facts import delivered, opened, settled
from tests.support.posting import add_store

Sample = tuple[str, tuple[tuple[str, str], ...]]


@pytest.fixture(autouse=True)
async def store(factory: Factory) -> None:
    await add_store(factory)


@pytest.fixture
def settings(database_url: str, settings: Settings) -> Settings:
    return settings.model_copy(update={"metrics_cache_seconds": 0})


async def scrape(client: httpx.AsyncClient, **headers: str) -> dict[Sample, float]:
    response = await client.get("/metrics", headers=headers)
    assert response.status_code == 200, response.text
    return {
        (sample.name.removeprefix("servicelane_"), tuple(sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def of(samples: dict[Sample, float], name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


async def send(client: httpx.AsyncClient, *events: Any) -> None:
    response = await client.post("/v1/events", content=orjson.dumps(events))
    assert response.status_code == 202


async def test_what_waits_is_told_by_store_and_reason_with_its_age(
    client: httpx.AsyncClient, time_source: MovableTimeSource
) -> None:
    await send(client, opened("R1", advisor=None), opened("R2", store="S9"))
    time_source.set(await time_source.now() + timedelta(hours=1))
    await send(client, opened("R3", advisor=None))
    samples = await scrape(client)
    here = {"store": "S1", "reason": "invalid-data"}
    assert of(samples, "quarantine_waiting", **here) == 2
    assert of(samples, "quarantine_oldest_age_seconds", **here) == 3600
    assert of(samples, "quarantine_waiting", store="", reason="unknown-store") == 1
    await client.post(
        "/v1/quarantine/discards", json={"filter": {"store": "S1"}, "reason": "a test"}
    )
    assert of(await scrape(client), "quarantine_runs", state="queued") == 1


async def test_what_came_in_is_counted_by_outcome(client: httpx.AsyncClient) -> None:
    first = opened("R1")
    await send(client, first, first, opened("R2"), opened("R3", advisor=None), 7)
    await send(client, first | {"time": "2026-06-01T10:00:00+08:00"})
    samples = await scrape(client)
    assert of(samples, "events_total", outcome="accepted") == 2
    assert of(samples, "events_total", outcome="duplicate") == 1
    assert of(samples, "events_total", outcome="quarantined") == 3
    for reason in ("invalid-data", "missing-attribute", "identity-conflict"):
        assert of(samples, "events_quarantined_total", reason=reason) == 1
    assert of(samples, "append_group_events_sum") == 4
    assert of(samples, "append_group_events_count") == 2
    assert of(samples, "log_events") == 2


async def test_requests_are_told_by_the_template_of_their_route(
    client: httpx.AsyncClient,
) -> None:
    for number in range(3):
        await client.get(f"/v1/stores/S1/repair-orders/R{number}")
    for path in ("/wp-login.php", "/.env"):
        await client.get(path)
    await client.request("BREW", "/coffee")
    await client.get("/v1/stores/S1")
    samples = await scrape(client)
    name = "http_request_seconds_count"
    route = "/v1/stores/{store_id}/repair-orders/{ro_number}"
    assert of(samples, name, method="GET", route=route, status="4xx") == 3
    assert of(samples, name, method="GET", route="none", status="4xx") == 2
    assert of(samples, name, method="other", route="none", status="4xx") == 1
    assert of(samples, name, method="GET", route="/v1/stores/{store_id}", status="2xx") == 1
    routes = {dict(labels)["route"] for found, labels in samples if found == name}
    assert not any("S1" in route or "wp-login" in route for route in routes)


async def test_lags_and_failures_are_told(
    client: httpx.AsyncClient, factory: Factory, time_source: MovableTimeSource, pool: Pool
) -> None:
    await send(
        client,
        opened("R1", "2026-06-30T09:00:00+08:00"),
        settled("R1", "2026-06-30T16:00:00+08:00"),
        delivered("R1", "2026-06-30T17:00:00+08:00"),
    )
    samples = await scrape(client)
    behind = of(samples, "metrics_lag_events", store="S1")
    assert behind == of(samples, "metrics_lag_events_max") == of(samples, "log_events") > 3
    await factory.metrics.refresh_behind()
    samples = await scrape(client)
    assert of(samples, "metrics_lag_events_max") == 0
    assert ("metrics_lag_events", (("store", "S1"),)) not in samples
    # the call's window closes, and is noticed a minute later
    time_source.set(await time_source.now() + timedelta(days=6, hours=14, minutes=1))
    samples = await scrape(client)
    assert of(samples, "clocks_due") == 1
    assert of(samples, "clocks_due_lag_seconds") > 0
    await factory.clocks.sweep()
    samples = await scrape(client)
    assert of(samples, "clocks_due") == 0
    assert of(samples, "clock_detection_lag_seconds_count") == 1
    assert of(samples, "clock_detection_lag_seconds_sum") == pytest.approx(61, abs=2)
    await factory.nightly.tick()
    await pool.execute("UPDATE clock SET state = 'running', failures = 2")
    samples = await scrape(client)
    assert of(samples, "nights", state="done") == 1
    assert of(samples, "clocks_failing") > 0


async def test_connections_and_deliveries_are_told(client: httpx.AsyncClient, pool: Pool) -> None:
    await pool.execute(
        """INSERT INTO webhook_delivery (store_id, delivery_id, endpoint_id, seq, type, state,
               next_attempt_at, created_at)
           SELECT 'S1', n::text, 'E', n, 'x', CASE WHEN n < 3 THEN 'pending' ELSE 'failed' END,
                  now(), now() FROM generate_series(1, 5) AS n"""
    )
    samples = await scrape(client)
    assert of(samples, "webhook_deliveries", state="pending") == 2
    assert of(samples, "webhook_deliveries", state="failed") == 3
    assert of(samples, "database_up") == 1
    for name in ("log", "read"):
        most = of(samples, "database_connections_max", pool=name)
        used = of(samples, "database_connections_used", pool=name)
        assert 0 <= used <= of(samples, "database_connections", pool=name) <= most == 4
    assert of(samples, "stores") == 1
    assert of(samples, "figures_read_seconds") < 5


async def test_the_number_of_series_is_bounded(
    client: httpx.AsyncClient, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instruments, "MOST_STORES", 2)
    for number in range(2, 6):
        await add_store(factory, f"S{number}")
    await send(
        client,
        *(
            opened(f"R{n}", store=f"S{store}", advisor=None if n else "A1")
            for store in range(1, 6)
            for n in range(store + 1)
        ),
        opened("R1", store="NOWHERE"),
    )
    samples = await scrape(client)
    for name, expected, no_store in (
        ("quarantine_waiting", 6, [""]),
        ("metrics_lag_events", 3, []),
    ):
        found = {
            dict(labels)["store"]: value
            for (found, labels), value in samples.items()
            if found == name
        }
        assert len(found) == 3 + len(no_store)
        assert found["(other)"] == expected
        assert [store for store in found if not store] == no_store, "never among the others"
    assert {"S4", "S5"} <= {dict(labels).get("store") for _, labels in samples}


async def test_metrics_need_a_key_of_their_own_that_is_bound_to_no_store(
    client: httpx.AsyncClient, connect: Connect, issue: Issue
) -> None:
    scraper = await connect(await issue(Scope.METRICS_READ), peer="10.0.0.9")
    assert of(await scrape(scraper), "stores") == 1
    for token, status in (
        (None, 401),
        (await issue(Scope.KPIS_READ), 403),
        (await issue(Scope.METRICS_READ, stores=["S1"]), 403),
    ):
        refused = await (await connect(token)).get("/metrics")
        assert refused.status_code == status
        assert "servicelane_" not in refused.text


async def test_a_caller_on_this_machine_needs_no_key_while_there_is_none(
    connect: Connect,
) -> None:
    assert (await (await connect()).get("/metrics")).status_code == 200
    assert (await (await connect(peer="10.0.0.9")).get("/metrics")).status_code == 401


async def test_the_form_is_what_the_scraper_asks_for(client: httpx.AsyncClient) -> None:
    plain = await client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    accept = "application/openmetrics-text; version=1.0.0"
    openmetrics = await client.get("/metrics", headers={"Accept": accept})
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")


async def test_the_database_is_asked_once_in_some_seconds(
    client: httpx.AsyncClient, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = factory.operations
    monkeypatch.setattr(service, "_cache_seconds", 60)
    await scrape(client)
    await send(client, opened("R1"))
    samples = await scrape(client)
    assert of(samples, "log_events") == 0, "as it was a moment ago"
    assert of(samples, "events_total", outcome="accepted") == 1, "counted here, told at once"


async def test_without_the_database_the_counters_are_told_all_the_same(
    client: httpx.AsyncClient, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> None:
        raise ConnectionRefusedError

    await send(client, opened("R1"))
    monkeypatch.setattr(factory.operations._repository, "read", away)
    samples = await scrape(client)
    assert of(samples, "database_up") == 0
    assert of(samples, "events_total", outcome="accepted") == 1
    assert ("stores", ()) not in samples


async def test_two_applications_in_one_process_count_apart(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    await send(client, opened("R1"))
    other = create_app(settings, ticking=False)
    async with (
        other.router.lifespan_context(other),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(other),
            base_url="http://127.0.0.1",
            headers={"Authorization": client.headers["Authorization"]},
        ) as others,
    ):
        assert of(await scrape(others), "events_total", outcome="accepted") == 0
    assert of(await scrape(client), "events_total", outcome="accepted") == 1
