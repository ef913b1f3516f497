"""Retractions: in whatever order they and what they aim at arrive, across requests and in one."""

import itertools
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest

from app.db.engine import Pool
from app.domain.access import LOCAL
from app.domain.customer import Customer
from app.domain.events.envelope import Kind
from app.domain.ids import follow_up_id
from app.factory import Factory
from app.services.time_source import MovableTimeSource
from tests.support.facts import (
    CRM,
    cancelled,
    complaint,
    completed,
    delivered,
    event,
    opened,
    retraction,
    scheduled,
)
from tests.support.histories import CloudEvent
from tests.support.logs import check_store, read_states
from tests.support.posting import add_store, outcomes, post

UNKNOWN = "retraction-target-unknown"


async def waiting(pool: Pool, store_id: str = "S1") -> int:
    """Get the count on the head row."""
    count: int = await pool.fetchval(
        "SELECT waiting_retractions FROM stream_head WHERE store_id = $1", store_id
    )
    return count


async def items(pool: Pool) -> list[tuple[str, str, int | None]]:
    """List what lies in quarantine: state, reason, seq."""
    rows = await pool.fetch(
        "SELECT state, reason, seq FROM quarantine ORDER BY received_at, event_id"
    )
    return [(row["state"], row["reason"], row["seq"]) for row in rows]


async def post_in_units(factory: Factory, units: Sequence[Sequence[CloudEvent]]) -> None:
    for unit in units:
        await post(factory, *unit)


async def exists(pool: Pool, ro_number: str = "R1") -> bool:
    return (Kind.REPAIR_ORDER, ro_number) in await read_states(pool)


# -- A1


async def test_a1_an_early_retraction_waits_and_follows_its_target(
    factory: Factory, pool: Pool
) -> None:
    target = opened("R1")
    early = retraction(target)
    assert await outcomes(factory, early) == [UNKNOWN]
    assert await waiting(pool) == 1
    assert await outcomes(factory, opened("R2"), target, opened("R3")) == ["1", "2", "3"]
    assert await items(pool) == [("replayed", UNKNOWN, 4)]
    assert await waiting(pool) == 0
    assert not await exists(pool)
    assert await outcomes(factory, early) == ["=4"]
    await check_store(pool)


async def test_a1_a_retraction_before_its_target_in_one_batch_follows_it_there(
    factory: Factory, pool: Pool
) -> None:
    target = opened("R1")
    assert await outcomes(factory, retraction(target), target) == [UNKNOWN, "1"]
    assert await items(pool) == [("replayed", UNKNOWN, 2)]
    assert await waiting(pool) == 0
    assert not await exists(pool)
    await check_store(pool)


async def test_a1_the_count_is_of_those_that_wait_in_that_store(
    factory: Factory, pool: Pool
) -> None:
    await add_store(factory, "S2")
    targets = [opened(f"R{number}") for number in range(3)]
    await post(factory, *(retraction(target) for target in targets))
    await post(factory, retraction(opened("R1", store="S2")))
    assert (await waiting(pool), await waiting(pool, "S2")) == (3, 1)
    await post(factory, opened("R9"))
    assert (await waiting(pool), await waiting(pool, "S2")) == (3, 1)
    await post(factory, targets[1])
    assert (await waiting(pool), await waiting(pool, "S2")) == (2, 1)
    await check_store(pool)


async def test_a1_the_same_retraction_again_waits_once(factory: Factory, pool: Pool) -> None:
    target = opened("R1")
    early = retraction(target)
    answers = [await post(factory, early) for _ in range(3)]
    assert len({answer["results"][0]["quarantine_id"] for answer in answers}) == 1
    assert await pool.fetchval("SELECT seen_count FROM quarantine") == 3
    await post(factory, target)
    assert await waiting(pool) == 0
    assert not await exists(pool)


async def test_a1_a_discarded_retraction_does_not_enter_any_more(
    factory: Factory, pool: Pool
) -> None:
    target = opened("R1")
    answer = await post(factory, retraction(target))
    item = answer["results"][0]["quarantine_id"]
    await factory.quarantine.discard(item, reason="sent by mistake", principal=LOCAL)
    await post(factory, target)
    assert await exists(pool)
    assert await waiting(pool) == 0
    assert await items(pool) == [("discarded", UNKNOWN, None)]


async def test_a1_two_retractions_wait_for_one_target(factory: Factory, pool: Pool) -> None:
    target = opened("R1")
    await post(factory, retraction(target), retraction(target))
    await post(factory, target)
    assert {(state, seq) for state, _, seq in await items(pool)} == {
        ("replayed", 2),
        ("replayed", 3),
    }
    assert not await exists(pool)
    await check_store(pool)


async def test_a1_a_waiting_retraction_that_fits_badly_stays_with_the_new_reason(
    factory: Factory, pool: Pool
) -> None:
    target = opened("R1")
    await post(factory, retraction(target, subject="R2"))
    await post(factory, target)
    assert await items(pool) == [("waiting", "invalid-data", None)]
    assert await waiting(pool) == 0
    assert await exists(pool)


async def test_a1_identity_is_looked_at_before_a_waiting_retraction_enters(
    factory: Factory, pool: Pool
) -> None:
    """The whole order of A10: an identity that was taken meanwhile is a conflict."""
    target = opened("R1")
    await post(factory, retraction(target, event_id="twice"))
    await post(factory, opened("R2", event_id="twice"))
    assert await outcomes(factory, target) == ["2"]
    assert await items(pool) == [("waiting", "identity-conflict", None)]
    assert await exists(pool)
    assert await waiting(pool) == 0


async def test_a1_a_retraction_that_becomes_one_by_replay_waits_too(
    factory: Factory, pool: Pool, time_source: MovableTimeSource
) -> None:
    """First it lay there for another reason; looked at again, it waits for its target."""
    target = opened("R1")
    answer = await post(factory, retraction(target, at="2026-06-03T09:00:00+08:00"))
    assert answer["results"][0]["reason"] == "time-in-future"
    time_source.advance(timedelta(days=2))
    item = answer["results"][0]["quarantine_id"]
    seen = await factory.quarantine.replay(item, principal=LOCAL)
    assert (seen.state, seen.reason) == ("waiting", UNKNOWN)
    assert await waiting(pool) == 1
    await post(factory, target)
    assert await items(pool) == [("replayed", UNKNOWN, 2)]
    assert not await exists(pool)


async def test_a1_a_retraction_of_a_store_that_was_unknown_waits_in_its_store(
    factory: Factory, pool: Pool
) -> None:
    target = opened("R1", store="S2")
    answer = await post(factory, retraction(target))
    assert answer["results"][0]["reason"] == "unknown-store"
    await add_store(factory, "S2")
    item = answer["results"][0]["quarantine_id"]
    seen = await factory.quarantine.replay(item, principal=LOCAL)
    assert (seen.store_id, seen.state, seen.reason) == ("S2", "waiting", UNKNOWN)
    await post(factory, target)
    assert await items(pool) == [("replayed", UNKNOWN, 2)]
    await check_store(pool, "S2")


# -- A2


CHAIN = 3


@pytest.mark.parametrize("together", [False, True])
async def test_a2_a_chain_of_retractions_in_every_order(
    together: bool, factory: Factory, pool: Pool
) -> None:
    """opened, its retraction, the retraction of that, and of that: the opening is gone."""
    for number, order in enumerate(itertools.permutations(range(CHAIN + 1))):
        chain = [opened(f"R{number}")]
        for _ in range(CHAIN):
            chain.append(retraction(chain[-1]))
        arriving = [chain[position] for position in order]
        await post_in_units(factory, [arriving] if together else [[each] for each in arriving])
        assert await waiting(pool) == 0, order
    assert await read_states(pool) == {}
    assert {state for state, _, _ in await items(pool)} == {"replayed"}
    assert len(await check_store(pool)) == 24 * (CHAIN + 1)


async def test_a2_a_retracted_retraction_never_happened(factory: Factory, pool: Pool) -> None:
    target = opened("R1")
    taken_back = retraction(target)
    await post_in_units(factory, [[target], [taken_back], [retraction(taken_back)]])
    assert await exists(pool)
    await check_store(pool)


async def test_a2_of_two_retractions_one_that_stands_is_enough(
    factory: Factory, pool: Pool
) -> None:
    target = opened("R1")
    one, other = retraction(target), retraction(target)
    await post_in_units(factory, [[target, one, other], [retraction(one)]])
    assert not await exists(pool)
    await post(factory, retraction(other))
    assert await exists(pool)
    await check_store(pool)


# -- A3, A4, A5, A6, A7


async def test_a3_the_time_of_a_retraction_plays_no_part(factory: Factory, pool: Pool) -> None:
    target = opened("R1", "2026-06-01T09:00:00+08:00")
    before = retraction(target, at="2020-01-01T00:00:00+08:00")
    await post_in_units(factory, [[target, opened("R2")], [before]])
    assert not await exists(pool)
    await post(factory, retraction(before, at="2019-01-01T00:00:00+08:00"))
    assert await exists(pool)
    await check_store(pool)


async def test_a4_a_retracted_event_again_is_a_duplicate_and_stays_retracted(
    factory: Factory, pool: Pool
) -> None:
    target = opened("R1")
    await post_in_units(factory, [[target], [retraction(target)]])
    assert await outcomes(factory, target) == ["=1"]
    assert not await exists(pool)
    assert await outcomes(factory, opened("R1")) == ["3"]
    assert await exists(pool)
    await check_store(pool)


async def test_a5_the_target_is_looked_up_in_the_own_store(factory: Factory, pool: Pool) -> None:
    await add_store(factory, "S2")
    target = opened("R1")
    await post(factory, target)
    elsewhere = retraction(target, store="S2")
    assert await outcomes(factory, elsewhere) == [UNKNOWN]
    assert await exists(pool)
    assert (await waiting(pool), await waiting(pool, "S2")) == (0, 1)


async def test_a5_another_subject_is_invalid_data(factory: Factory, pool: Pool) -> None:
    target = opened("R1")
    answer = await post(factory, target, retraction(target, subject="R2"))
    (fault,) = answer["results"][1]["errors"]
    assert (answer["results"][1]["reason"], fault["pointer"]) == ("invalid-data", "/subject")
    assert await exists(pool)
    assert await waiting(pool) == 0


async def test_a5_the_subject_of_a_complaint_is_a_uuid_however_it_is_written(
    factory: Factory, pool: Pool
) -> None:
    target = complaint(str(uuid4()).upper())
    taken_back = retraction(target)
    again = retraction(taken_back)
    assert taken_back["subject"].isupper()
    again["subject"] = again["subject"].lower()
    assert await outcomes(factory, target, taken_back) == ["1", "2"]
    assert await read_states(pool) == {}
    assert await outcomes(factory, again) == ["3"]
    assert len(await read_states(pool)) == 1
    await check_store(pool)


async def test_a5_the_retraction_of_itself_is_one_of_an_unknown_event(
    factory: Factory, pool: Pool
) -> None:
    itself = retraction(opened("R1", event_id="me"), event_id="me")
    assert await outcomes(factory, itself) == [UNKNOWN]
    assert await outcomes(factory, opened("R2"), itself) == ["1", UNKNOWN]
    await check_store(pool)


async def test_a6_a_target_in_quarantine_is_unknown_until_it_is_replayed(
    factory: Factory, pool: Pool, time_source: MovableTimeSource
) -> None:
    target = opened("R1", "2026-06-03T09:00:00+08:00")
    answer = await post(factory, target, retraction(target))
    assert [result["reason"] for result in answer["results"]] == ["time-in-future", UNKNOWN]
    assert await waiting(pool) == 1
    time_source.advance(timedelta(days=3))
    item = answer["results"][0]["quarantine_id"]
    assert (await factory.quarantine.replay(item, principal=LOCAL)).seq == 1
    assert {state for state, _, _ in await items(pool)} == {"replayed"}
    assert not await exists(pool)
    assert await waiting(pool) == 0
    await check_store(pool)


async def test_a7_what_the_service_wrote_itself_cannot_be_retracted(
    factory: Factory, pool: Pool
) -> None:
    await post(factory, opened("R1"), delivered("R1"))
    own = await pool.fetchrow("SELECT * FROM event WHERE source = '/servicelane'")
    assert own is not None
    aimed = event("follow_up.scheduled", own["subject"], event_id=own["event_id"])
    aimed["source"] = "/servicelane"
    answer = await post(factory, retraction(aimed))
    assert answer["results"][0]["reason"] == "invalid-data"
    assert answer["results"][0]["errors"][0]["pointer"] == "/data/source"


@pytest.mark.parametrize("source", ["/servicelane", "/servicelane/desk", "/servicelane/x"])
async def test_a7_nobody_else_writes_in_the_name_of_the_service(
    source: str, factory: Factory, pool: Pool
) -> None:
    answer = await post(factory, opened("R1", source=source))
    assert answer["results"][0]["reason"] == "invalid-data"
    assert answer["results"][0]["errors"][0]["pointer"] == "/source"
    assert await outcomes(factory, opened("R1", source=f"{source}lane")) == (
        ["1"] if source == "/servicelane" else ["invalid-data"]
    )


@pytest.mark.parametrize("first", ["plan", "post"])
async def test_a7_the_window_of_an_own_follow_up_is_not_posted(
    first: str, factory: Factory, pool: Pool
) -> None:
    """Whether it was planned already or not: it is the id of a call of ours."""
    ours = follow_up_id("S1", "R1", "first")
    window = ("2026-06-04T00:00:00+08:00", "2026-06-05T23:59:59+08:00")
    posted = scheduled(ours, *window, ro_number="R1")
    if first == "plan":
        await post(factory, opened("R1"), delivered("R1"))
    answer = await post(factory, posted)
    assert answer["results"][0]["reason"] == "invalid-data"
    assert answer["results"][0]["errors"][0]["pointer"] == "/subject"
    if first == "plan":
        without_order = scheduled(ours, *window)
        assert await outcomes(factory, without_order) == ["invalid-data"]
    assert await outcomes(factory, completed(ours, "2026-06-02T09:00:00+08:00")) != [
        "invalid-data"
    ]
    await check_store(pool)


@pytest.mark.parametrize("event_type", ["follow_up.overdue", "follow_up.resolved"])
async def test_a7_alerts_are_not_posted(event_type: str, factory: Factory) -> None:
    alert = event(event_type, str(uuid4()), due_at="2026-06-01T23:59:59+08:00")
    assert await outcomes(factory, alert) == ["invalid-data"]


async def test_a22_personal_fields_of_a_retracted_event_are_hidden_not_erased(
    factory: Factory, pool: Pool
) -> None:
    first = event("customer.registered", "C1", name="客户0001")
    second = event("customer.updated", "C1", "2026-06-01T10:00:00+08:00", name="客户0002")
    taken_back = retraction(second)
    names = []
    for unit in ([first, second], [taken_back], [retraction(taken_back)]):
        await post(factory, *unit)
        names.append((await factory.files.get(Customer, "S1", "C1")).personal["name"])
    assert names == ["客户0002", "客户0001", "客户0002"]
    assert await pool.fetchval("SELECT count(*) FROM personal") == 2


# -- what hangs on it


async def test_c1_the_retraction_of_a_cancellation_brings_the_calls_back(
    factory: Factory, pool: Pool
) -> None:
    gone = cancelled("R1")
    await post_in_units(factory, [[opened("R1"), delivered("R1")], [gone]])
    assert await _call(pool) == "cancelled"
    await post(factory, retraction(gone))
    assert await _call(pool) == "scheduled"
    await check_store(pool)


async def test_a_retracted_delivery_cancels_the_call_and_back(
    factory: Factory, pool: Pool
) -> None:
    handed_over = delivered("R1")
    taken_back = retraction(handed_over)
    await post_in_units(factory, [[opened("R1"), handed_over], [taken_back]])
    assert await _call(pool) == "cancelled"
    await post(factory, retraction(taken_back))
    assert await _call(pool) == "scheduled"
    await check_store(pool)


async def test_h8_a_retracted_plan_of_a_crm_gives_the_call_back_to_us(
    factory: Factory, pool: Pool
) -> None:
    """The retraction arrives alone: what the CRM's call was joined to must react too."""
    theirs = scheduled(
        str(uuid4()),
        "2026-06-04T00:00:00+08:00",
        "2026-06-05T23:59:59+08:00",
        ro_number="R1",
    )
    await post_in_units(factory, [[opened("R1"), delivered("R1")], [theirs]])
    assert await _call(pool) == "cancelled"
    await post(factory, retraction(theirs))
    assert await _call(pool) == "scheduled"
    await check_store(pool)


async def test_h8_a_crms_call_is_its_own_whatever_we_said_about_it(
    factory: Factory, pool: Pool
) -> None:
    """Its order was cancelled and came back, its plan was retracted; then it plans anew."""
    window = ("2026-06-04T00:00:00+08:00", "2026-06-05T23:59:59+08:00")
    call, gone = str(uuid4()), cancelled("R1")
    theirs = scheduled(call, *window, ro_number="R1")
    made = completed(call, "2026-06-02T09:00:00+08:00")
    await post_in_units(factory, [[opened("R1"), theirs, made], [gone], [retraction(gone)]])
    await post(factory, retraction(theirs))
    anew = scheduled(call, *window, at="2026-06-02T09:30:00+08:00", ro_number="R1")
    assert await outcomes(factory, anew) != ["invalid-data"]
    await check_store(pool)


async def test_a_complaint_without_its_opening_has_no_clock(factory: Factory, pool: Pool) -> None:
    target = complaint(at="2026-06-02T09:00:00+08:00")
    reopened = event(
        "complaint.reopened", target["subject"], "2026-06-02T09:30:00+08:00", by="C1", reason="x"
    )
    await post(factory, target, reopened)
    assert await pool.fetchval("SELECT count(*) FROM clock") == 1
    await post(factory, retraction(target))
    assert await pool.fetchval("SELECT count(*) FROM clock") == 0
    await check_store(pool)


async def test_a_call_without_a_window_has_no_clock(factory: Factory, pool: Pool) -> None:
    call = str(uuid4())
    theirs = scheduled(call, "2026-06-04T00:00:00+08:00", "2026-06-05T23:59:59+08:00")
    assigned = event("follow_up.assigned", call, source=CRM, assignee="C1")
    await post(factory, theirs, assigned)
    await post(factory, retraction(theirs))
    assert await pool.fetchval("SELECT count(*) FROM clock") == 0
    await check_store(pool)


async def _call(pool: Pool, kind: str = "first") -> str:
    status: str = await pool.fetchval(
        "SELECT status FROM follow_up WHERE follow_up_id = $1", follow_up_id("S1", "R1", kind)
    )
    return status
