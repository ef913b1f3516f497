"""Personal data lies beside the log, and is shown to those alone who may see it.

Every posted type is sent with each of its personal fields, and a field that no model knows; each
holds a text of its own that must turn up nowhere else.
"""

from datetime import datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI

from app.db.engine import Pool
from app.db.event_log import EventLog
from app.domain.access import ALL_SCOPES, MASK, Scope
from app.domain.events.catalog import CATALOG
from app.domain.events.event_type import EventType
from app.domain.ids import follow_up_id
from app.factory import Factory
from tests.api.conftest import Connect, Issue
from tests.support.facts import delivered, event, opened
from tests.support.posting import add_store, outcomes

START = datetime.fromisoformat("2026-06-01T09:00:00+08:00")
BIRTHDAY = "1987-06-05"
LEFT_OUT = {"event.retracted", "repair_order.cancelled", "customer.merged", "vehicle.transferred"}
RO = CATALOG["repair_order.opened"].example_event["subject"]
CUSTOMER = CATALOG["customer.registered"].example_event["subject"]
CALL = follow_up_id("S1", RO, "first")
SUBJECTS = {"follow_up.attempted": CALL, "follow_up.completed": CALL, "follow_up.assigned": CALL}


class Secrets:
    """Texts that must not leak."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.of_staff: set[str] = set()

    def instead_of(self, value: Any) -> Any:
        """Put texts of this kind into the place of others."""
        if isinstance(value, dict):
            return {name: self.instead_of(part) for name, part in value.items()}
        if isinstance(value, list):
            return [self.instead_of(part) for part in value]
        if value == CATALOG["customer.registered"].example["birthday"]:
            self.texts.append(BIRTHDAY)
            return BIRTHDAY
        self.texts.append(f"私密-{len(self.texts):03}")
        return self.texts[-1]

    def in_(self, text: str) -> list[str]:
        """List those that a text gives away, however it is escaped."""
        plain = text + text.encode().decode("unicode_escape", errors="replace")
        return [secret for secret in self.texts if secret in plain]


def told(secrets: Secrets, event_type: EventType, number: int) -> dict[str, Any]:
    """Write an event of a type with everything personal that it may hold."""
    data = orjson.loads(orjson.dumps(event_type.example))
    personal = event_type.forms[-1].shape.split(data, "", [])
    for name, value in personal.items():
        hidden = secrets.instead_of(value)
        data[name] = data[name] | hidden if isinstance(hidden, dict) else hidden
    data["remark_of_the_dms"] = secrets.instead_of({"who": ["x"]})
    if event_type.name.startswith("staff."):
        secrets.of_staff |= set(secrets.in_(str(data)))
    if event_type.name == "repair_order.opened":
        data |= {"customer_no": CUSTOMER}
    return event(
        event_type.name,
        SUBJECTS.get(event_type.name, event_type.example_event["subject"]),
        (START + timedelta(minutes=number)).isoformat(),
        **data,
    )


@pytest.fixture
async def secrets(factory: Factory) -> Secrets:
    """A store in which every type was told."""
    await add_store(factory)
    found = Secrets()
    events = [
        told(found, event_type, number)
        for number, event_type in enumerate(CATALOG.values())
        if event_type.posted and event_type.name not in LEFT_OUT
    ]
    words = await outcomes(factory, *events)
    assert words == [str(seq) for seq in range(1, len(events) + 1)]
    assert len(found.texts) > 40
    return found


async def test_personal_data_lies_in_one_table(secrets: Secrets, pool: Pool) -> None:
    tables = [
        row["table_name"]
        for row in await pool.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
    ]
    assert {"event", "repair_order", "personal", "idempotency"} <= set(tables)
    for table in tables:
        rows = await pool.fetch(f'SELECT t::text AS row FROM "{table}" t')
        given_away = secrets.in_("\n".join(row["row"] for row in rows))
        assert given_away == (secrets.texts if table == "personal" else []), table


async def test_webhooks_carry_nothing_personal(secrets: Secrets, pool: Pool) -> None:
    async with pool.acquire() as connection:
        log = EventLog(connection)
        events = await log.read_after("S1", 0, 1000)
        notices = await log.read_notices("S1", [event.seq for event in events])
    assert len(notices) > 30
    assert secrets.in_(" ".join(repr(notice) for notice in notices.values())) == []


async def all_reads(
    app: FastAPI, client: httpx.AsyncClient, secrets: Secrets, quarantine_id: str
) -> dict[str, str]:
    """Get everything that can be got, by path."""
    complaint = CATALOG["complaint.opened"].example_event["subject"]
    values = {
        "store_id": "S1",
        "ro_number": RO,
        "customer_no": CUSTOMER,
        "vin": CATALOG["vehicle.registered"].example_event["subject"],
        "staff_no": "T12",
        "complaint_id": complaint,
        "follow_up_id": CALL,
        "kind": "first",
        "quarantine_id": quarantine_id,
        "code": "on_time_delivery_rate",
    }
    elsewhere = {"endpoint_id", "delivery_id", "import_id", "name", "run_id", "source", "type"}
    found = {}
    for path, operations in app.openapi()["paths"].items():
        if "get" not in operations:
            continue
        names = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        if names & elsewhere:
            continue
        filled = path.format(**{name: values[name] for name in names})
        response = await client.get(filled)
        if response.status_code not in {409, 422}:
            assert response.status_code == 200, (filled, response.text)
        found[path] = response.text
    return found


async def test_every_read_is_masked_without_the_right(
    secrets: Secrets, app: FastAPI, client: httpx.AsyncClient, connect: Connect, issue: Issue
) -> None:
    broken = opened("R2", advisor=None, plate=secrets.instead_of("x"))
    answer = await client.post("/v1/events", content=orjson.dumps(broken))
    item = answer.json()["results"][0]["quarantine_id"]
    blind = await connect(await issue(*(ALL_SCOPES - {Scope.PERSONAL_READ})))
    masked = await all_reads(app, blind, secrets, item)
    assert {path: secrets.in_(text) for path, text in masked.items() if secrets.in_(text)} == {}
    shown = await all_reads(app, client, secrets, item)
    showing = {path: len(secrets.in_(text)) for path, text in shown.items() if secrets.in_(text)}
    assert set(showing) == {
        "/v1/quarantine/{quarantine_id}",
        "/v1/stores/{store_id}/complaints",
        "/v1/stores/{store_id}/complaints/{complaint_id}",
        "/v1/stores/{store_id}/customers",
        "/v1/stores/{store_id}/customers/{customer_no}",
        "/v1/stores/{store_id}/customers/{customer_no}/timeline",
        "/v1/stores/{store_id}/customers/{customer_no}/vehicles",
        "/v1/stores/{store_id}/repair-orders",
        "/v1/stores/{store_id}/repair-orders/{ro_number}",
        "/v1/stores/{store_id}/repair-orders/{ro_number}/timeline",
        "/v1/stores/{store_id}/staff",
        "/v1/stores/{store_id}/staff/{staff_no}",
        "/v1/stores/{store_id}/vehicles",
        "/v1/stores/{store_id}/vehicles/{vin}",
    }
    for path in showing:
        assert MASK in masked[path], path
    untold = set(secrets.texts) - set(secrets.in_("".join(shown.values())))
    assert untold <= secrets.of_staff, "staff have no timeline yet; all else is shown"


async def test_what_staff_enter_goes_the_same_way(
    factory: Factory, client: httpx.AsyncClient, connect: Connect, issue: Issue, pool: Pool
) -> None:
    await add_store(factory)
    await outcomes(factory, opened("R1"), delivered("R1", "2026-06-28T17:00:00+08:00"))
    call = follow_up_id("S1", "R1", "first")
    base = "/v1/stores/S1"
    headers = {"Idempotency-Key": "k1"}
    done = {"by": "C1", "channel": "phone", "outcome": "reached", "note": "私密-1"}
    answers = [
        await client.post(
            f"{base}/follow-ups/{call}/completion",
            json=done | {"requests": ["私密-2"]},
            headers=headers,
        ),
        await client.post(
            f"{base}/complaints",
            json={"channel": "phone", "text": "私密-3", "ro_number": "R1"},
            headers={"Idempotency-Key": "k2"},
        ),
    ]
    assert [answer.status_code for answer in answers] == [200, 201]
    complaint = answers[1].json()["complaint_id"]
    answers.append(
        await client.post(
            f"{base}/complaints/{complaint}/resolution", json={"by": "C1", "solution": "私密-4"}
        )
    )
    assert not any("私密" in answer.text for answer in answers)
    for table in ("event", "follow_up", "complaint", "idempotency"):
        rows = await pool.fetch(f"SELECT t::text AS row FROM {table} t")
        assert rows
        assert not any("私密" in row["row"] for row in rows), table
    bodies = await pool.fetch("SELECT body FROM idempotency")
    assert not any("私密".encode() in row["body"] for row in bodies)
    timeline = await client.get(f"{base}/repair-orders/R1/timeline")
    for number in range(1, 5):
        assert f"私密-{number}" in timeline.text
    blind = await connect(await issue(*(ALL_SCOPES - {Scope.PERSONAL_READ})))
    for path in ("repair-orders/R1/timeline", f"complaints/{complaint}", "complaints"):
        assert "私密" not in (await blind.get(f"{base}/{path}")).text


async def test_a17_unknown_fields_are_kept_beside_the_log_nested_as_sent(
    factory: Factory, client: httpx.AsyncClient, pool: Pool
) -> None:
    await add_store(factory)
    unknown: dict[str, Any] = {"a": {"b": [1, {"c": "x"}]}, "n": 1.5}
    sent = event(
        "repair_order.settled",
        "R1",
        amounts={"labor": 1, "polish": "7.50"},
        jobs=[{"code": "J1"}, {"code": "J2", "bonus": 3}],
        **unknown,
    )
    assert await outcomes(factory, sent) == ["1"]
    row = await pool.fetchrow("SELECT data, fields FROM event JOIN personal USING (store_id, seq)")
    assert row is not None
    assert orjson.loads(row["data"]) == {
        "amounts": {"labor": "1"},
        "jobs": [{"code": "J1"}, {"code": "J2"}],
    }
    assert orjson.loads(row["fields"]) == {
        "amounts": {"polish": "7.50"},
        "jobs": [None, {"bonus": 3}],
        **unknown,
    }
    entries = (await client.get("/v1/stores/S1/repair-orders/R1/timeline")).json()["items"]
    (entry,) = (entry for entry in entries if entry["seq"] == "1")
    assert entry["personal"] == orjson.loads(row["fields"])


async def test_a19_personal_fields_without_a_customer_lie_under_their_subject(
    factory: Factory, pool: Pool
) -> None:
    await add_store(factory)
    await outcomes(
        factory,
        opened("R1", plate="沪A00001"),
        opened("R2", plate="沪A00002", customer_no="C1"),
        event("repair_order.inspected", "R2", level=1, inspector="Q1", passed=True, findings="x"),
        event("customer.registered", "C1", name="客户0001"),
    )
    rows = await pool.fetch("SELECT kind, key, customer_no FROM personal ORDER BY seq")
    assert [tuple(row) for row in rows] == [
        ("repair_order", "R1", None),
        ("repair_order", "R2", "C1"),
        ("repair_order", "R2", "C1"),
        ("customer", "C1", "C1"),
    ]


async def test_a15_null_deletes_a_personal_field_of_a_customer(
    factory: Factory, client: httpx.AsyncClient
) -> None:
    await add_store(factory)
    await outcomes(
        factory,
        event("customer.registered", "C1", name="客户0001", phones=["1", "2"], email="a@b.cn"),
        event("customer.updated", "C1", "2026-06-01T10:00:00+08:00", phones=None, email="c@d.cn"),
    )
    customer = (await client.get("/v1/stores/S1/customers/C1")).json()
    assert (customer["name"], customer["phones"], customer["email"]) == (
        "客户0001",
        None,
        "c@d.cn",
    )
