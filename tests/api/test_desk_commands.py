"""Commands of staff: what is checked, what forbids them, and what is repeated to the letter."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from app.db.engine import Pool
from app.domain.access import Scope
from app.domain.ids import follow_up_id
from app.factory import Factory
from app.services.time_source import MovableTimeSource
from tests.api.conftest import Connect, Issue
from tests.support.facts import (
    cancelled,
    completed,
    delivered,
    event,
    opened,
    retraction,
    scheduled,
)
from tests.support.logs import check_store
from tests.support.posting import add_store, outcomes

BASE = "/v1/stores/S1"
CALL = follow_up_id("S1", "R1", "first")
SECOND = follow_up_id("S1", "R1", "second")
PATH = f"{BASE}/follow-ups/{CALL}"
REACHED = {"by": "C1", "channel": "phone", "outcome": "reached"}
MISSED = {"by": "C1", "channel": "phone", "outcome": "no_answer"}
COMPLAINT = {"channel": "phone", "text": "等太久", "nature": "time"}
BY = {"by": "C1"}
LATER = "2036-01-01T00:00:00Z"
DEEP = b"[" * 3000 + b"]" * 3000
Json = dict[str, Any]


@pytest.fixture(autouse=True)
async def shop(factory: Factory) -> None:
    """It is 1 July, 10:00; the car left on 28 June at 17:00: today the call opens."""
    await add_store(factory)
    await outcomes(
        factory,
        opened("R1", "2026-06-28T09:00:00+08:00", customer_no="K1"),
        delivered("R1", "2026-06-28T17:00:00+08:00"),
    )


async def send(
    client: httpx.AsyncClient, method: str, path: str, body: Any = None, **headers: str
) -> httpx.Response:
    return await client.request(
        method, path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


async def done(
    client: httpx.AsyncClient, method: str, path: str, body: Any, status: int = 200, **headers: str
) -> Json:
    response = await send(client, method, path, body, **headers)
    assert response.status_code == status, response.text
    found: Json = response.json()
    assert response.headers["ETag"] == f'"{found["version"]}"'
    return found


async def conflict(client: httpx.AsyncClient, method: str, path: str, body: Any) -> Json:
    response = await send(client, method, path, body)
    assert response.status_code == 409, response.text
    problem: Json = response.json()
    assert problem["type"].endswith(":conflict")
    return problem


async def completions(pool: Pool) -> int:
    """Count the calls that the log says were made."""
    count: int = await pool.fetchval(
        "SELECT count(*) FROM event WHERE type = 'follow_up.completed'"
    )
    return count


COMMANDS: list[tuple[str, str, Json]] = [
    ("PUT", "assignee", {"assignee": "C1"}),
    ("POST", "attempts", MISSED),
    ("POST", "completion", REACHED),
    ("POST", "cancellation", {"reason": "客户不愿接听"}),
    (
        "PUT",
        "window",
        {"opens_at": "2026-07-02T00:00:00+08:00", "due_at": "2026-07-09T00:00:00+08:00"},
    ),
]


# -- follow-ups


async def test_the_life_of_a_call(client: httpx.AsyncClient, pool: Pool) -> None:
    call = (await client.get(PATH)).json()
    assert (call["status"], call["kind"], call["ro_number"]) == ("open", "first", "R1")
    assert call["customer_no"] == "K1"
    call = await done(client, "PUT", f"{PATH}/assignee", {"assignee": "C2"})
    assert call["assignee"] == "C2"
    call = await done(
        client, "POST", f"{PATH}/attempts", MISSED | {"occurred_at": "2026-07-01T09:30:00+08:00"}
    )
    assert [attempt["at"] for attempt in call["attempts"]] == ["2026-07-01T01:30:00Z"]
    assert call["status"] == "open", "attempts never complete (H19)"
    call = await done(
        client, "POST", f"{PATH}/completion", REACHED | {"customer_says_on_time": True}
    )
    assert (call["status"], call["completed_at"]) == ("completed", "2026-07-01T02:00:00Z")
    assert (call["assignee"], call["customer_says_on_time"]) == ("C2", True)
    assert (await client.get(PATH)).json() == call
    second = (await client.get(f"{BASE}/repair-orders/R1/follow-ups/second")).json()
    assert second["opens_at"] == "2026-07-07T16:00:00Z", "planned in the same transaction"
    row = await pool.fetchrow("SELECT source FROM event WHERE type = 'follow_up.completed'")
    assert row is not None
    assert row["source"] == "/servicelane/desk"
    await check_store(pool)


async def test_a_completed_call_forbids_every_other_command(client: httpx.AsyncClient) -> None:
    await done(client, "POST", f"{PATH}/completion", REACHED)
    for method, name, body in COMMANDS:
        problem = await conflict(client, method, f"{PATH}/{name}", body)
        assert problem["state"] == "completed"
        assert "completed by C1 at 2026-07-01T02:00:00Z" in problem["detail"]


async def test_a_cancelled_call_forbids_every_other_command(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    await done(client, "POST", f"{PATH}/cancellation", {"reason": "客户不愿接听"})
    for method, name, body in COMMANDS:
        problem = await conflict(client, method, f"{PATH}/{name}", body)
        assert problem["state"] == "cancelled"
        assert "客户不愿接听" in problem["detail"]
    # the second one falls with it (H9); a fact of a CRM is taken all the same (H5)
    assert (await client.get(f"{BASE}/follow-ups/{SECOND}")).status_code == 404
    await outcomes(factory, completed(CALL, "2026-07-01T09:00:00+08:00"))
    assert (await client.get(PATH)).json()["status"] == "completed"


async def test_the_call_of_a_cancelled_order_says_why(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    gone = cancelled("R1", "2026-06-30T18:00:00+08:00")
    await outcomes(factory, gone)
    for method, name, body in COMMANDS:
        problem = await conflict(client, method, f"{PATH}/{name}", body)
        assert "order-cancelled" in problem["detail"]
    await outcomes(factory, retraction(gone, "2026-07-01T09:00:00+08:00"))
    await done(client, "POST", f"{PATH}/completion", REACHED)


async def test_a_call_that_was_never_scheduled_forbids_commands(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    early = follow_up_id("S1", "R2", "first")
    await outcomes(factory, completed(early, "2026-06-30T09:00:00+08:00"))
    problem = await conflict(client, "PUT", f"{BASE}/follow-ups/{early}/assignee", COMMANDS[0][2])
    assert problem["state"] in {"completed", "unscheduled"}


async def test_only_the_service_gives_its_reasons(client: httpx.AsyncClient) -> None:
    for reason in ("order-cancelled", "kept-elsewhere", "no-anchor"):
        response = await send(client, "POST", f"{PATH}/cancellation", {"reason": reason})
        assert response.status_code == 422
        assert response.json()["errors"][0]["pointer"] == "/reason"


async def test_a_call_before_its_window_is_noted_as_what_it_was(
    client: httpx.AsyncClient, time_source: MovableTimeSource
) -> None:
    time_source.set(datetime.fromisoformat("2026-06-29T10:00:00+08:00"))
    assert (await client.get(PATH)).json()["status"] == "planned"
    call = await done(client, "POST", f"{PATH}/completion", REACHED)
    assert call["status"] == "completed"
    assert call["completed_at"] < call["opens_at"]


async def test_an_overdue_call_can_still_be_made(
    client: httpx.AsyncClient, factory: Factory, time_source: MovableTimeSource, pool: Pool
) -> None:
    time_source.set(datetime.fromisoformat("2026-07-06T00:00:01+08:00"))
    assert await factory.clocks.sweep() == 1
    assert (await client.get(PATH)).json()["status"] == "overdue"
    call = await done(client, "POST", f"{PATH}/completion", REACHED)
    assert call["status"] == "completed"
    types = [row["type"] for row in await pool.fetch("SELECT type FROM event ORDER BY seq")]
    assert types[-3:] == ["follow_up.completed", "follow_up.resolved", "follow_up.scheduled"] or (
        set(types[-3:]) == {"follow_up.completed", "follow_up.resolved", "follow_up.scheduled"}
    )


async def test_moving_gives_another_window_until_the_delivery_is_corrected(
    client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    window = {
        "opens_at": "2026-07-03T09:00:00+08:00",
        "target_at": "2026-07-04T09:00:00+08:00",
        "due_at": "2026-07-10T18:00:00+08:00",
    }
    call = await done(client, "PUT", f"{PATH}/window", window)
    assert (call["opens_at"], call["due_at"]) == ("2026-07-03T01:00:00Z", "2026-07-10T10:00:00Z")
    assert (call["status"], call["own"]) == ("planned", True)
    again = await done(client, "PUT", f"{PATH}/window", window)
    assert again == call, "the same window again changes nothing"
    without_target = await done(
        client, "PUT", f"{PATH}/window", {k: v for k, v in window.items() if k != "target_at"}
    )
    assert without_target["target_at"] == without_target["due_at"]
    # facts that leave the anchor where it is leave the window too
    await outcomes(factory, delivered("R1", "2026-06-28T18:00:00+08:00"))
    assert (await client.get(PATH)).json()["due_at"] == "2026-07-10T10:00:00Z"
    await outcomes(factory, delivered("R1", "2026-06-29T18:00:00+08:00"))
    assert (await client.get(PATH)).json()["due_at"] == "2026-07-06T15:59:59Z"
    await check_store(pool)


async def test_a_window_that_makes_no_sense_is_422(client: httpx.AsyncClient) -> None:
    good = COMMANDS[4][2]
    for change, pointer in (
        ({"opens_at": good["due_at"]}, "/opens_at"),
        ({"target_at": "2026-07-01T00:00:00+08:00"}, "/target_at"),
        ({"target_at": "2026-07-09T00:00:01+08:00"}, "/target_at"),
        (
            {"opens_at": "2026-06-01T00:00:00+08:00", "due_at": "2026-07-01T09:59:59+08:00"},
            "/due_at",
        ),
        ({"opens_at": "2026-07-02T00:00:00"}, "/opens_at"),
        ({"due_at": None}, "/due_at"),
        ({"more": 1}, "/more"),
    ):
        response = await send(client, "PUT", f"{PATH}/window", good | change)
        assert response.status_code == 422, (change, response.text)
        assert [fault["pointer"] for fault in response.json()["errors"]] == [pointer], change


async def test_the_window_of_a_crm_is_moved_there(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    theirs = "5f0c1d52-6a44-4a3b-8b0e-2a7c8c1f4e10"
    plan = scheduled(
        theirs,
        "2026-07-01T00:00:00+08:00",
        "2026-07-05T23:59:59+08:00",
        "2026-06-30T09:00:00+08:00",
        ro_number="R1",
    )
    await outcomes(factory, plan)
    problem = await conflict(client, "PUT", f"{BASE}/follow-ups/{theirs}/window", COMMANDS[4][2])
    assert problem["state"] == "posted"
    problem = await conflict(client, "PUT", f"{PATH}/assignee", COMMANDS[0][2])
    assert "kept-elsewhere" in problem["detail"]
    first = (await client.get(f"{BASE}/repair-orders/R1/follow-ups/first")).json()
    assert (first["follow_up_id"], first["own"]) == (theirs, False), "theirs takes its place (H8)"
    await done(client, "POST", f"{BASE}/follow-ups/{theirs.upper()}/completion", REACHED)


# -- bodies


async def test_faults_of_a_body_point_into_it(client: httpx.AsyncClient) -> None:
    for name, body, pointers in (
        ("attempts", {}, {"/by", "/channel", "/outcome"}),
        ("attempts", MISSED | {"outcome": "reached"}, {"/outcome"}),
        ("attempts", MISSED | {"by": " \t"}, {"/by"}),
        ("attempts", MISSED | {"unknown": 1}, {"/unknown"}),
        ("completion", REACHED | {"customer_says_on_time": "yes"}, {"/customer_says_on_time"}),
        ("completion", REACHED | {"note": "\0"}, {"/note"}),
        ("completion", REACHED | {"note": "x" * 10_001}, {"/note"}),
        ("completion", REACHED | {"occurred_at": "2026-07-01T09:00:00"}, {"/occurred_at"}),
        ("completion", REACHED | {"occurred_at": 5}, {"/occurred_at"}),
        ("completion", REACHED | {"occurred_at": "2026-07-01T10:00:01+08:00"}, {"/occurred_at"}),
        ("completion", REACHED | {"occurred_at": "2036-07-01T10:00:01+08:00"}, {"/occurred_at"}),
        ("completion", REACHED | {"answers": [{"value": {}}]}, {"/answers/0/value"}),
        ("cancellation", {"reason": ""}, {"/reason"}),
        ("cancellation", {"reason": None}, {"/reason"}),
    ):
        response = await send(client, "POST", f"{PATH}/{name}", body)
        assert response.status_code == 422, (body, response.text)
        found = {fault["pointer"] for fault in response.json()["errors"]}
        assert {f"/{pointer.split('/')[1]}" for pointer in found} == {
            f"/{pointer.split('/')[1]}" for pointer in pointers
        }, (body, response.text)
    assert (await client.get(PATH)).json()["status"] == "open"


async def test_odd_bodies_are_refused_clearly(client: httpx.AsyncClient, pool: Pool) -> None:
    before = await pool.fetchval("SELECT seq FROM stream_head")
    for content in (
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b'{"by":"C1","channel":"phone","outcome":"reached","note":"\\ud800"}',
        b'{"by":"C1","channel":"phone","outcome":"reached","next_contact":NaN}',
        b'{"by":"C1","channel":"phone","outcome":"reached","answers":[{"value":1e400}]}',
        b'{"by":"C1","channel":"phone","outcome":"reached","note":"\xff"}',
        b'{"by":"C1","channel":"phone","outcome":"reached","x":' + DEEP + b"}",
    ):
        response = await client.post(
            f"{PATH}/completion", content=content, headers={"Content-Type": "application/json"}
        )
        assert response.status_code in {400, 422}, (content[:90], response.text)
    assert await pool.fetchval("SELECT seq FROM stream_head") == before


# -- If-Match


async def test_if_match_refuses_where_the_subject_moved_on(client: httpx.AsyncClient) -> None:
    found = await client.get(PATH)
    version = found.json()["version"]
    assert found.headers["ETag"] == f'"{version}"'
    moved_on = await done(
        client, "PUT", f"{PATH}/assignee", {"assignee": "C1"}, If_Match=f'"{version}"'
    )
    assert int(moved_on["version"]) > int(version)
    for method, name, body in COMMANDS:
        response = await send(client, method, f"{PATH}/{name}", body, If_Match=f'"{version}"')
        assert response.status_code == 412
        assert str(response.json()["actual_version"]) == moved_on["version"]
    for odd in ("x", '"x"', "", '"-1"', "1.0", 'W/"1"'):
        response = await send(client, "POST", f"{PATH}/attempts", MISSED, If_Match=odd)
        assert response.status_code == 422, odd
    moved_on = await done(client, "POST", f"{PATH}/attempts", MISSED, If_Match="*")
    await done(client, "POST", f"{PATH}/attempts", MISSED, If_Match=moved_on["version"])


async def test_of_two_with_the_same_version_one_wins(client: httpx.AsyncClient) -> None:
    version = (await client.get(PATH)).json()["version"]
    responses = await asyncio.gather(
        *(
            send(client, "PUT", f"{PATH}/assignee", {"assignee": f"C{n}"}, If_Match=version)
            for n in range(8)
        )
    )
    assert sorted(response.status_code for response in responses) == [200, *[412] * 7]


async def test_of_two_calls_at_once_one_completes(client: httpx.AsyncClient, pool: Pool) -> None:
    responses = await asyncio.gather(
        *(send(client, "POST", f"{PATH}/completion", REACHED) for _ in range(8))
    )
    assert sorted(response.status_code for response in responses) == [200, *[409] * 7]
    assert (
        await pool.fetchval("SELECT count(*) FROM event WHERE type = 'follow_up.completed'") == 1
    )


# -- Idempotency-Key


async def test_the_same_request_under_a_key_is_done_once(
    client: httpx.AsyncClient, time_source: MovableTimeSource, pool: Pool
) -> None:
    first = await send(client, "POST", f"{PATH}/completion", REACHED, Idempotency_Key="k")
    assert first.status_code == 200
    time_source.advance(timedelta(days=1))
    again = await send(client, "POST", f"{PATH}/completion", REACHED, Idempotency_Key="k")
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    # also though the version that it names has moved on
    matched = await send(
        client, "POST", f"{PATH}/completion", REACHED, Idempotency_Key="k", If_Match='"1"'
    )
    assert matched.content == first.content
    assert (
        await pool.fetchval("SELECT count(*) FROM event WHERE type = 'follow_up.completed'") == 1
    )


async def test_another_request_under_the_same_key_is_422(client: httpx.AsyncClient) -> None:
    await done(client, "POST", f"{PATH}/attempts", MISSED, Idempotency_Key="k")
    for method, path, body in (
        ("POST", f"{PATH}/attempts", MISSED | {"outcome": "busy"}),
        ("POST", f"{PATH}/completion", REACHED),
        ("PUT", f"{PATH}/assignee", {"assignee": "C1"}),
        ("POST", f"{BASE}/complaints", COMPLAINT),
    ):
        response = await send(client, method, path, body, Idempotency_Key="k")
        assert response.status_code == 422
        assert response.json()["type"].endswith(":idempotency-conflict")
    assert len((await client.get(PATH)).json()["attempts"]) == 1


async def test_one_key_at_once_is_done_once_and_answered_alike(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    """In one group of the appender too: nobody is told 409 for what was done in its name."""
    for path, body, status in (
        (f"{PATH}/attempts", MISSED, 200),
        (f"{PATH}/completion", REACHED, 200),
        (f"{BASE}/complaints", COMPLAINT, 201),
    ):
        key = path[-8:]
        responses = await asyncio.gather(
            *(send(client, "POST", path, body, Idempotency_Key=key) for _ in range(16))
        )
        assert {response.status_code for response in responses} == {status}, path
        assert len({response.content for response in responses}) == 1
    types = [row["type"] for row in await pool.fetch("SELECT type FROM event")]
    assert types.count("follow_up.attempted") == 1
    assert types.count("follow_up.completed") == 1
    assert types.count("complaint.opened") == 1


async def test_a_refused_command_leaves_its_key_free(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    gone = cancelled("R1", "2026-06-30T18:00:00+08:00")
    await outcomes(factory, gone)
    response = await send(client, "POST", f"{PATH}/completion", REACHED, Idempotency_Key="k")
    assert response.status_code == 409
    await outcomes(factory, retraction(gone, "2026-07-01T09:00:00+08:00"))
    await done(client, "POST", f"{PATH}/completion", REACHED, Idempotency_Key="k")


async def test_a_key_is_of_its_caller_and_its_store(
    client: httpx.AsyncClient, connect: Connect, issue: Issue, factory: Factory
) -> None:
    await add_store(factory, "S2")
    other = await connect(await issue())
    ids = set()
    for caller in (client, other):
        for store_id in ("S1", "S2"):
            found = await done(
                caller,
                "POST",
                f"/v1/stores/{store_id}/complaints",
                COMPLAINT,
                201,
                Idempotency_Key="k",
            )
            ids.add(found["complaint_id"])
    assert len(ids) == 4


async def test_odd_keys_are_422(client: httpx.AsyncClient) -> None:
    for key in ("", "x" * 256):
        response = await send(client, "POST", f"{PATH}/attempts", MISSED, Idempotency_Key=key)
        assert response.status_code == 422
        assert "dempotency" in response.json()["errors"][0]["pointer"]


# -- complaints


async def test_the_life_of_a_complaint(client: httpx.AsyncClient, pool: Pool) -> None:
    body = COMPLAINT | {"ro_number": "R1", "customer_no": "K1", "severity": "important"}
    said = await done(client, "POST", f"{BASE}/complaints", body, 201)
    path = f"{BASE}/complaints/{said['complaint_id']}"
    assert (said["status"], said["contact_due_at"]) == ("opened", "2026-07-02T02:00:00Z")
    assert (said["text"], (await client.get(path)).json()["text"]) == (None, "等太久")
    assert (await conflict(client, "POST", f"{path}/reopening", BY | {"reason": "x"}))[
        "state"
    ] == "opened"
    contact = await done(client, "POST", f"{path}/contacts", BY | {"channel": "phone"})
    assert (contact["status"], contact["contacted_at"]) == ("contacted", "2026-07-01T02:00:00Z")
    solved = await done(client, "POST", f"{path}/resolution", BY | {"solution": "道歉"})
    assert (solved["status"], solved["resolved_at"]) == ("resolved", "2026-07-01T02:00:00Z")
    for name, more in (
        ("resolution", {"solution": "x"}),
        ("contacts", {"channel": "phone"}),
    ):
        problem = await conflict(client, "POST", f"{path}/{name}", BY | more)
        assert problem["state"] == "resolved"
        assert "reopen" in problem["detail"]
    again = await done(client, "POST", f"{path}/reopening", BY | {"reason": "又坏了"})
    assert (again["status"], again["resolved_at"]) == ("reopened", None)
    await done(client, "POST", f"{path}/resolution", BY | {"solution": "免费"})
    assert (await client.get(path)).json()["solution"] == "免费"
    await check_store(pool)


async def test_a_complaint_under_the_callers_own_number(client: httpx.AsyncClient) -> None:
    number = "0199A3C4-6F1E-7B3A-9C52-3F8F0D6B1A20"
    body = COMPLAINT | {"complaint_id": number}
    said = await done(client, "POST", f"{BASE}/complaints", body, 201)
    assert said["complaint_id"] == number.lower()
    assert (await conflict(client, "POST", f"{BASE}/complaints", body))["state"] == "opened"
    for path in (number, number.lower()):
        assert (await client.get(f"{BASE}/complaints/{path}")).status_code == 200
    response = await send(client, "POST", f"{BASE}/complaints", COMPLAINT | {"complaint_id": "7"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/complaint_id"


async def test_what_a_complaint_needs(client: httpx.AsyncClient) -> None:
    said = await done(client, "POST", f"{BASE}/complaints", COMPLAINT, 201)
    path = f"{BASE}/complaints/{said['complaint_id']}"
    future = {"occurred_at": "2026-07-01T10:00:01+08:00"}
    for where, body, pointer in (
        (f"{BASE}/complaints", {"channel": "phone"}, "/text"),
        (f"{BASE}/complaints", {"text": "x"}, "/channel"),
        (f"{BASE}/complaints", COMPLAINT | {"nature": "weather"}, "/nature"),
        (
            f"{BASE}/complaints",
            COMPLAINT | {"occurred_at": LATER},
            "/occurred_at",
        ),
        (f"{path}/contacts", BY, "/channel"),
        (f"{path}/contacts", BY | {"channel": "phone"} | future, "/occurred_at"),
        (f"{path}/resolution", BY, "/solution"),
        (f"{path}/resolution", BY | {"solution": "x"} | future, "/occurred_at"),
        (f"{path}/reopening", BY, "/reason"),
    ):
        response = await send(client, "POST", where, body)
        assert response.status_code == 422, (where, body, response.text)
        assert response.json()["errors"][0]["pointer"] == pointer, (where, body)


async def test_commands_on_what_is_not_there_are_404(client: httpx.AsyncClient) -> None:
    for method, name, body in COMMANDS:
        for key in ("nothing", SECOND):
            response = await send(client, method, f"{BASE}/follow-ups/{key}/{name}", body)
            assert response.status_code == 404
        response = await send(client, method, f"/v1/stores/S9/follow-ups/{CALL}/{name}", body)
        assert response.status_code == 404
    for name, body in (
        ("contacts", BY | {"channel": "phone"}),
        ("resolution", BY | {"solution": "x"}),
        ("reopening", BY | {"reason": "x"}),
    ):
        response = await send(client, "POST", f"{BASE}/complaints/{CALL}/{name}", body)
        assert response.status_code == 404
    response = await send(client, "POST", "/v1/stores/S9/complaints", COMPLAINT)
    assert response.status_code == 404


async def test_who_may_command(connect: Connect, issue: Issue, factory: Factory) -> None:
    await add_store(factory, "S2")
    reader = await connect(await issue(Scope.FOLLOW_UPS_READ, Scope.COMPLAINTS_READ))
    elsewhere = await connect(await issue(stores=["S2"]))
    for caller in (reader, elsewhere):
        for method, name, body in COMMANDS:
            assert (await send(caller, method, f"{PATH}/{name}", body)).status_code == 403
        assert (await send(caller, "POST", f"{BASE}/complaints", COMPLAINT)).status_code == 403


# -- timelines


async def test_the_timeline_of_an_order_has_all_that_hangs_on_it(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    wrong = opened("R1", "2026-06-28T09:10:00+08:00", plate="沪A00001")
    await outcomes(factory, wrong, retraction(wrong, "2026-06-28T09:20:00+08:00"))
    await done(client, "POST", f"{PATH}/completion", REACHED | {"note": "满意"})
    said = await done(client, "POST", f"{BASE}/complaints", COMPLAINT | {"ro_number": "R1"}, 201)
    entries = (await client.get(f"{BASE}/repair-orders/R1/timeline")).json()["items"]
    shown = [(entry["type"], entry["own"], entry["retracted"]) for entry in entries]
    assert sorted(shown) == sorted(
        [
            ("complaint.opened", False, False),
            ("event.retracted", False, False),
            ("follow_up.completed", False, False),
            ("follow_up.scheduled", True, False),
            ("follow_up.scheduled", True, False),
            ("repair_order.delivered", False, False),
            ("repair_order.opened", False, False),
            ("repair_order.opened", False, True),
        ]
    )
    times = [entry["time"] for entry in entries]
    assert times == sorted(times, reverse=True), "the latest first"
    by_type = {(entry["type"], entry["retracted"]): entry for entry in entries}
    assert by_type["repair_order.opened", True]["personal"] == {}, "hidden (A22)"
    assert by_type["follow_up.completed", False]["personal"] == {"note": "满意"}
    assert by_type["complaint.opened", False]["subject"] == said["complaint_id"]
    assert by_type["event.retracted", False]["data"]["id"] == wrong["id"]
    assert by_type["repair_order.opened", False]["title"].endswith("开单接车.")


async def test_the_timeline_of_a_customer_spans_orders_cars_calls_and_complaints(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    vin = "LSVAA4182E2100001"
    await outcomes(
        factory,
        event("customer.registered", "K1", "2026-06-01T09:00:00+08:00", name="客户0001"),
        event("vehicle.registered", vin, "2026-06-01T09:01:00+08:00", customer_no="K1"),
        opened("R2", "2026-06-20T09:00:00+08:00", customer_no="K2"),
    )
    await done(client, "POST", f"{PATH}/attempts", MISSED)
    await done(client, "POST", f"{BASE}/complaints", COMPLAINT | {"customer_no": "K1"}, 201)
    path = f"{BASE}/customers/K1/timeline"
    entries = (await client.get(path)).json()["items"]
    assert [entry["type"] for entry in entries if not entry["own"]] == [
        "complaint.opened",
        "follow_up.attempted",
        "repair_order.delivered",
        "repair_order.opened",
        "vehicle.registered",
        "customer.registered",
    ]
    assert [entry["seq"] for entry in entries] == list(
        dict.fromkeys(entry["seq"] for entry in entries)
    ), "each once, though a call belongs to the order and to the customer"
    wrong = opened("R3", "2026-06-21T09:00:00+08:00", customer_no="K1")
    await outcomes(factory, wrong)
    assert len((await client.get(path)).json()["items"]) == len(entries) + 1
    changed = event("customer.updated", "K1", "2026-06-21T10:00:00+08:00", segment="gold")
    await outcomes(factory, changed, retraction(changed, "2026-06-22T10:00:00+08:00"))
    entries = (await client.get(path)).json()["items"]
    retracted = [entry["type"] for entry in entries if entry["retracted"]]
    assert retracted == ["customer.updated"]


async def test_an_order_of_which_nothing_stands_is_gone_but_its_timeline_tells(
    client: httpx.AsyncClient, factory: Factory
) -> None:
    wrong = opened("R7", "2026-06-28T09:10:00+08:00")
    await outcomes(factory, wrong, retraction(wrong, "2026-06-28T09:20:00+08:00"))
    assert (await client.get(f"{BASE}/repair-orders/R7")).status_code == 404
    entries = (await client.get(f"{BASE}/repair-orders/R7/timeline")).json()["items"]
    assert [(entry["type"], entry["retracted"]) for entry in entries] == [
        ("event.retracted", False),
        ("repair_order.opened", True),
    ]
