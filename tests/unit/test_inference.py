"""What snapshots imply, rule by rule."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

import pytest
from msgspec import structs

from app.domain.events.envelope import Event, Kind
from app.domain.events.repair_order import RepairOrderOpened
from app.domain.events.retraction import EventRetracted
from app.domain.fold import fold, standing
from app.domain.inference import infer
from app.domain.inferred import changes, inferred_events
from app.domain.kpis.explain import on_time
from app.domain.policies import DEFAULT_POLICY
from app.domain.repair_order import RepairOrder
from app.domain.sightings import Sighting, in_force
from tests.support.snapshots import RO, logged, with_inferred
from tests.unit.kpis.shop import ZONE, at

Told = tuple[str, str, dict[str, Any]]


def said(*told: Told) -> list[Event]:
    """Facts as they stand in the log; a time in the data is one of a story: "17:00"."""
    return [
        logged(
            name,
            at(time),
            {key: at(value) if key.endswith("_at") else value for key, value in data.items()},
            seq,
        )
        for seq, (time, name, data) in enumerate(told, start=1)
    ]


def seen(time: str, **data: Any) -> Told:
    return time, "snapshot", data


def implied(*told: Told) -> list[tuple[str, str, dict[str, Any]]]:
    """What is inferred: (type, time, data), times in the form of the story."""
    return [
        (
            fact.type.removeprefix("repair_order."),
            clock(fact.occurred_at),
            {
                key: clock(value) if isinstance(value, datetime) else value
                for key, value in fact.payload.model_dump(exclude_none=True, mode="python").items()
            },
        )
        for fact in infer(said(*told))
    ]


def clock(moment: datetime) -> str:
    return f"{moment.astimezone(ZONE):%H:%M}"


def names(*told: Told) -> list[tuple[str, str]]:
    return [(name, time) for name, time, _ in implied(*told)]


def order(*told: Told) -> RepairOrder:
    state = fold(Kind.REPAIR_ORDER, RO, with_inferred(said(*told)))
    assert isinstance(state, RepairOrder)
    return state


OPENED: Told = "09:00", "opened", {"work_type": "other", "advisor": "A1"}
PROMISED: Told = OPENED[0], OPENED[1], {**OPENED[2], "promised_at": "17:00"}
SETTLED: Told = "16:00", "settled", {"amounts": {"labor": "5", "other": "0"}, "billed_hours": "1"}
DONE = {"status": "settled", "settled_at": "16:00"}


def test_without_a_snapshot_nothing_is_inferred() -> None:
    assert implied(OPENED, SETTLED) == []


# -- opened


def test_an_order_was_opened_when_its_snapshot_says_so() -> None:
    shown = {"opened_at": "09:00", "vin": "V1", "work_type": "accident", "plate": "沪A00001"}
    assert implied(seen("10:00", **shown)) == [
        ("opened", "09:00", {"vin": "V1", "work_type": "accident"})
    ]


def test_else_at_the_first_snapshot() -> None:
    told = (seen("10:00", vin="V1"), seen("11:00", vin="V1", advisor="A1"))
    assert implied(*told) == [
        ("opened", "10:00", {"vin": "V1"}),
        ("opened", "10:00", {"advisor": "A1"}),
    ]
    assert order(*told).work_type is None
    assert order(*told).first_opened_at == at("10:00")


def test_and_no_later_than_what_comes_after_it() -> None:
    assert names(seen("23:00", technician="T1", work_started_at="10:00"), SETTLED) == [
        ("opened", "10:00"),
        ("dispatched", "10:00"),
        ("work_started", "10:00"),
    ]


def test_a_corrected_opening_time_takes_the_place_of_the_first() -> None:
    told = said(
        seen("10:00", opened_at="09:00", vin="V1"), seen("11:00", opened_at="08:30", vin="V1")
    )
    (fact,) = infer(told)
    assert (fact.occurred_at, fact.evidence) == (at("08:30"), told[1])


def test_of_a_told_opening_only_what_differs_is_inferred_and_nothing_moves() -> None:
    signed: Told = "09:30", "authorized", {}
    told = (
        OPENED,
        signed,
        seen("10:00", opened_at="08:00", vin="V1", advisor="A1"),
    )
    assert implied(*told) == [("opened", "09:00", {"vin": "V1"})]
    assert order(*told).first_opened_at == at("09:00")
    assert order(*told).stage == "waiting"


def test_the_last_word_wins_told_or_seen() -> None:
    again: Told = "12:00", "opened", {"work_type": "other", "advisor": "A3"}
    assert order(OPENED, seen("10:00", advisor="A2")).advisor == "A2"
    assert order(OPENED, seen("10:00", advisor="A2"), again).advisor == "A3"
    assert order(OPENED, again, seen("13:00", advisor="A1")).advisor == "A1"
    assert order(seen("08:00", advisor="A2", vin="V1"), OPENED).advisor == "A1"
    assert order(seen("08:00", advisor="A2", vin="V1"), OPENED).vin == "V1"


def test_whose_an_order_is_changes_by_another_link_once_it_was_linked() -> None:
    link: Told = "11:00", "linked", {"customer_no": "C2"}
    first = seen("10:00", customer_no="C1", vin="V1")
    assert order(OPENED, first, link).customer_no == "C2"
    told = (OPENED, first, link, seen("12:00", customer_no="C3", vin="V2"))
    assert implied(*told)[1:] == [
        ("opened", "09:00", {"vin": "V2"}),
        ("linked", "12:00", {"customer_no": "C3"}),
    ]
    assert (order(*told).customer_no, order(*told).vin) == ("C3", "V2")
    assert names(OPENED, link, seen("12:00", customer_no="C2")) == []


def test_news_of_an_opening_keep_its_estimate_and_so_the_stage() -> None:
    estimated: Told = OPENED[0], OPENED[1], {**OPENED[2], "estimate_hours": "2"}
    assert order(estimated, seen("10:00", vin="V1")).stage == "awaiting_authorization"


def test_nothing_personal_is_inferred() -> None:
    (fact,) = infer(
        said(
            seen("10:00", plate="沪A00001", concerns=["异响"], contact={"name": "客户"}, vin="V1")
        )
    )
    assert isinstance(fact.payload, RepairOrderOpened)
    assert fact.payload.model_fields_set == {"vin"}


# -- promises


def test_the_first_promise_is_one_of_the_opening() -> None:
    told = (seen("10:00", promised_at="17:00"), seen("11:00", promised_at="17:00"))
    assert implied(*told) == [("opened", "10:00", {"promised_at": "17:00"})]


def test_a_first_promise_that_is_shown_later_is_still_the_first() -> None:
    shown = {"promised_at": "18:00", "promise_changed_at": "11:00", "first_promised_at": "17:00"}
    assert implied(seen("12:00", **shown)) == [
        ("opened", "11:00", {"promised_at": "17:00"}),
        ("promise_changed", "11:00", {"promised_at": "18:00"}),
    ]


def test_each_other_promise_is_a_change_of_unknown_reason() -> None:
    told = (
        PROMISED,
        seen("10:00", promised_at="17:00"),
        seen("12:00", promised_at="18:00"),
        seen("13:00", promised_at="18:00"),
        seen("14:00", promised_at="17:00", promise_changed_at="13:30"),
    )
    assert implied(*told) == [
        ("promise_changed", "12:00", {"promised_at": "18:00"}),
        ("promise_changed", "13:30", {"promised_at": "17:00"}),
    ]
    assert all(given.inferred for given in order(*told).promises[1:])
    assert [given.reason for given in order(*told).promises[1:]] == [None, None]


def test_a_told_change_takes_the_place_of_the_inferred_one() -> None:
    change: Told = "11:00", "promise_changed", {"promised_at": "18:00", "reason": "add_on"}
    assert implied(PROMISED, seen("12:00", promised_at="18:00"), change) == []


@pytest.mark.parametrize("changed_at", ["08:00", "15:00"])
def test_a_time_of_change_that_cannot_be_is_not_used(changed_at: str) -> None:
    """Before the promise that it changed, or after the snapshot."""
    told = (
        PROMISED,
        seen("12:00", promised_at="18:00", promise_changed_at=changed_at),
    )
    assert names(*told) == [("promise_changed", "12:00")]


def test_seconds_do_not_make_another_promise() -> None:
    assert implied(PROMISED, seen("12:00", promised_at="17:00:30")) == []


def test_a_promise_that_is_told_as_of_later_is_no_change() -> None:
    assert names(seen("08:59", promised_at="17:00"), PROMISED) == []


def test_a_second_promise_of_an_opening_counts_nothing() -> None:
    again: Told = (
        "10:00",
        "opened",
        {"work_type": "other", "advisor": "A1", "promised_at": "19:00"},
    )
    assert implied(PROMISED, again, seen("12:00", promised_at="17:00")) == []


def test_the_first_promise_goes_to_a_told_opening_that_has_none() -> None:
    again: Told = "10:00", "opened", {"work_type": "other", "advisor": "A2"}
    shown = seen("12:00", promised_at="17:00", vin="V1")
    assert implied(OPENED, shown) == [("opened", "09:00", {"vin": "V1", "promised_at": "17:00"})]
    assert implied(OPENED, again, shown) == [
        ("opened", "09:00", {"promised_at": "17:00"}),
        ("opened", "10:00", {"vin": "V1"}),
    ]


def test_a_first_promise_that_an_authorization_told_is_not_told_again() -> None:
    signed: Told = "09:30", "authorized", {"promised_at": "17:00"}
    assert implied(OPENED, signed, seen("10:00", first_promised_at="17:00")) == []
    assert implied(OPENED, signed, seen("10:00", promised_at="17:00")) == []


# -- authorized, work


def test_the_authorization() -> None:
    shown = {"authorized_at": "09:30", "authorized_amount": "860"}
    assert names(OPENED, seen("10:00", **shown)) == [("authorized", "09:30")]
    assert names(OPENED, seen("10:00", authorized_amount="860")) == [("authorized", "10:00")]
    signed: Told = "09:30", "authorized", {"amount": "860"}
    assert names(OPENED, signed, seen("10:00", **shown)) == []
    assert names(OPENED, signed, seen("10:00", authorized_amount="860.0")) == []
    # another amount belongs to the same signature, another time is another one
    assert implied(OPENED, signed, seen("10:00", authorized_amount="900")) == [
        ("authorized", "09:30", {"amount": 900})
    ]
    more = {"authorized_at": "09:30", "authorized_amount": "900"}
    assert names(OPENED, signed, seen("10:00", **more)) == [("authorized", "09:30")]
    assert names(OPENED, signed, seen("10:00", authorized_at="09:40")) == [("authorized", "09:40")]


def test_work_begins_and_ends_once() -> None:
    shown = {"work_started_at": "10:00", "work_completed_at": "11:00"}
    assert names(OPENED, seen("12:00", **shown)) == [
        ("work_started", "10:00"),
        ("work_completed", "11:00"),
    ]
    assert names(OPENED, ("10:30", "work_started", {}), seen("12:00", **shown)) == [
        ("work_completed", "11:00")
    ]
    assert names(OPENED, seen("12:00", **shown), ("12:30", "work_started", {})) == [
        ("work_started", "10:00"),
        ("work_completed", "11:00"),
    ]


# -- dispatched


def test_a_dispatch_wherever_the_work_is_with_another() -> None:
    told = (
        OPENED,
        seen("10:00", technician="T1", team="RED", dispatched_at="09:20"),
        seen("11:00", technician="T1", team="RED"),
        seen("12:00", technician="T2", bay="4"),
        seen("13:00", team="BLUE"),
        seen("14:00", bay="5", dispatched_at="09:20"),
    )
    assert implied(*told) == [
        ("dispatched", "09:20", {"technician": "T1", "team": "RED"}),
        ("dispatched", "12:00", {"technician": "T2", "bay": "4"}),
        ("dispatched", "13:00", {"technician": "T2", "team": "BLUE", "bay": "4"}),
        ("dispatched", "14:00", {"technician": "T2", "team": "BLUE", "bay": "5"}),
    ]


def test_what_was_told_of_the_work_is_not_inferred() -> None:
    given: Told = "09:20", "dispatched", {"technician": "T1", "team": "RED", "bay": "3"}
    begun: Told = "09:30", "work_started", {"technician": "T1", "bay": "4"}
    ended: Told = "11:00", "work_completed", {"technician": "T2"}
    assert names(OPENED, given, seen("10:00", technician="T1", team="RED", bay="3")) == []
    assert names(OPENED, given, begun, seen("10:00", technician="T1", bay="4")) == []
    assert names(OPENED, begun, seen("10:00", technician="T1")) == []
    assert names(OPENED, ended, seen("12:00", technician="T2")) == []


def test_a_team_without_a_technician_says_nothing() -> None:
    assert names(OPENED, seen("10:00", team="RED", bay="3")) == []


# -- settled


def test_the_bill() -> None:
    told = (OPENED, seen("17:00", **DONE, amounts={"labor": "5"}, billed_hours="1"))
    assert implied(*told) == [("settled", "16:00", {"amounts": {"labor": 5}, "billed_hours": 1})]


def test_a_bill_without_a_time_is_of_the_snapshot_that_shows_it_first() -> None:
    told = (
        OPENED,
        seen("15:00", status="ready_to_bill", amounts={"labor": "5"}),
        seen("17:00", status="settled"),
        seen("18:00", status="closed"),
    )
    assert implied(*told) == [("settled", "17:00", {"amounts": {"labor": 5}})]
    assert names(*told, seen("19:00", handed_over_at="16:30"))[0] == ("settled", "16:30")


def test_closed_is_no_handover() -> None:
    assert names(OPENED, seen("17:00", status="closed")) == [("settled", "17:00")]
    assert order(OPENED, seen("17:00", status="closed")).status == "settled"


def test_amounts_of_an_open_order_are_no_bill() -> None:
    assert names(OPENED, seen("10:00", amounts={"labor": "5"})) == []


def test_an_order_that_is_open_again_is_not_settled() -> None:
    told = (OPENED, seen("17:00", **DONE), seen("18:00", status="open", settled_at="16:00"))
    assert names(*told) == []
    assert names(*told, seen("19:00", status="settled")) == [("settled", "19:00")]
    assert names(*told, seen("19:00", vin="V1")) == [("opened", "09:00")]


def test_a_corrected_bill_takes_the_place_of_the_first() -> None:
    told = said(
        OPENED,
        seen("17:00", **DONE, amounts={"labor": "5"}, parts_requested=2),
        seen("18:00", settled_at="16:10", amounts={"labor": "6"}),
        seen("19:00", **{**DONE, "settled_at": "16:10"}),
    )
    (fact,) = infer(told)
    assert (fact.occurred_at, fact.evidence) == (at("16:10"), told[2])
    assert fact.payload.model_dump(exclude_none=True) == {
        "amounts": {"labor": 6},
        "parts_requested": 2,
    }


def test_a_told_bill_that_agrees_is_enough() -> None:
    shown = {"amounts": {"labor": "5.00"}, "billed_hours": "1.0", "delivered_at": "16:00:20"}
    assert implied(OPENED, SETTLED, seen("17:00", **DONE, **shown)) == []
    assert implied(OPENED, SETTLED, seen("17:00", status="closed", costs={})) == []


def test_a_told_bill_is_corrected_at_its_time_and_as_a_whole() -> None:
    told = (OPENED, SETTLED, seen("17:00", status="settled", amounts={"labor": "6"}))
    assert implied(*told) == [("settled", "16:00", {"amounts": {"labor": 6}, "billed_hours": 1})]
    assert order(*told).delivered_at == at("16:00")
    assert names(*told, seen("18:00", amounts={"labor": "5"})) == []
    assert names(*told, seen("18:00", status="open")) == []
    again: Told = "17:30", "settled", {"amounts": {"labor": "6"}}
    assert names(*told, again) == []


def test_costs_that_were_not_told_are_news_even_where_they_are_nothing() -> None:
    assert names(OPENED, SETTLED, seen("17:00", status="settled", costs={"labor": "0"})) == [
        ("settled", "16:00")
    ]


def test_a_bill_of_another_time() -> None:
    late = (OPENED, SETTLED, seen("17:00", settled_at="16:30"))
    assert names(*late) == [("settled", "16:30")]
    assert order(*late).delivered_at == at("16:30")
    early = (OPENED, SETTLED, seen("17:00", settled_at="15:30"))
    assert implied(*early) == [
        (
            "settled",
            "16:00",
            {"amounts": {"labor": 5, "other": 0}, "billed_hours": 1, "delivered_at": "15:30"},
        )
    ]
    assert order(*early).delivered_at == at("15:30")


# -- handover, cancelled


def test_the_handover() -> None:
    shown = {"handed_over_at": "16:30", "handover_odometer_km": "42"}
    handed_over: Told = "16:30:20", "delivered", {"odometer_km": "42"}
    assert implied(OPENED, seen("17:00", **shown)) == [("delivered", "16:30", {"odometer_km": 42})]
    assert names(OPENED, seen("17:00", handover_odometer_km="42")) == []
    assert names(OPENED, handed_over, seen("17:00", **shown)) == []
    assert names(OPENED, handed_over, seen("17:00", handed_over_at="16:30")) == []
    assert names(OPENED, handed_over, seen("17:00", handed_over_at="16:40")) == [
        ("delivered", "16:40")
    ]
    assert implied(OPENED, handed_over, seen("17:00", handover_odometer_km="43")) == [
        ("delivered", "16:30", {"odometer_km": 43})
    ]
    assert names(
        OPENED, seen("17:00", **shown), seen("18:00", status="open", handed_over_at="16:20")
    ) == [("delivered", "16:20")]


def test_cancelled_and_not_any_more() -> None:
    gone = seen("10:00", status="cancelled")
    assert implied(OPENED, gone, seen("11:00", cancel_reason="twice")) == [
        ("cancelled", "10:00", {"reason": "twice"})
    ]
    assert names(OPENED, gone, seen("11:00", cancelled_at="09:50")) == [("cancelled", "09:50")]
    assert names(OPENED, gone, seen("11:00", status="open")) == []
    assert names(OPENED, ("10:30", "cancelled", {}), gone) == []
    assert names(OPENED, seen("10:00", cancelled_at="09:50")) == [("cancelled", "09:50")]


# -- news


def test_what_a_source_goes_on_showing_overrules_nothing() -> None:
    """Neither what was told meanwhile nor what another source shows."""
    change: Told = "11:00", "promise_changed", {"promised_at": "18:00"}
    again: Told = "11:00", "opened", {"work_type": "other", "advisor": "A2"}
    bill: Told = "16:30", "settled", {"amounts": {"labor": "6"}}
    first = seen("10:00", promised_at="17:00", advisor="A1", technician="T1")
    more = seen("12:00", promised_at="17:00", advisor="A1", technician="T1", bay="4")
    assert order(first, change, more).first_promised_at == at("17:00")
    assert [given.promised_at for given in order(first, change, more).promises] == [
        at("17:00"),
        at("18:00"),
    ]
    assert order(first, again, more).advisor == "A2"
    moved: Told = "11:00", "dispatched", {"technician": "T2", "team": "RED"}
    assert (order(first, moved, more).technician, order(first, moved, more).bay) == ("T2", "4")
    shown = seen("16:20", **DONE, amounts={"labor": "5"})
    once_more = seen("17:00", **DONE, amounts={"labor": "5"}, vin="V1")
    assert names(OPENED, shown, bill, once_more) == [("opened", "09:00")]
    assert order(OPENED, shown, bill, once_more).settlements[-1].at == at("16:30")


def test_an_order_that_is_open_is_not_settled_by_the_time_of_a_bill() -> None:
    assert names(OPENED, seen("10:00", status="open"), seen("17:00", settled_at="16:00")) == []


# -- the log


def test_a_snapshot_that_is_so_again_counts_at_both_times() -> None:
    again = {"source": "/dms/test", "id": "e-2"}
    told = (
        PROMISED,
        seen("10:00", promised_at="17:00"),
        seen("11:00", promised_at="18:00"),
        ("12:00", "snapshot_repeated", again),
    )
    assert implied(*told) == [
        ("promise_changed", "11:00", {"promised_at": "18:00"}),
        ("promise_changed", "12:00", {"promised_at": "17:00"}),
    ]
    sightings = order(*told).sightings
    assert [(clock(each.at), each.seq) for each in sightings] == [
        ("10:00", 2),
        ("11:00", 3),
        ("12:00", 2),
    ]
    assert in_force(sightings, "/dms/test", at("11:30")) == sightings[1]
    assert in_force(sightings, "/dms/test", at("09:30")) is None
    assert in_force(sightings, "/dms/other", at("13:00")) is None


def test_with_a_snapshot_goes_the_word_that_it_was_so_again() -> None:
    again = {"source": "/dms/test", "id": "e-1"}
    events = said(seen("10:00", promised_at="17:00"), ("12:00", "snapshot_repeated", again))
    events.append(taken_back(events[0], 3))
    assert standing(events) == []
    assert fold(Kind.REPAIR_ORDER, RO, events) is None


def taken_back(event: Event, seq: int) -> Event:
    payload = EventRetracted(source=event.source, id=event.id, reason="typing error")
    return structs.replace(event, type="event.retracted", id=f"r-{seq}", seq=seq, payload=payload)


def in_log(*events: Event) -> list[Event]:
    """The log of an order that got these events one by one."""
    log: list[Event] = []
    for event in events:
        log.append(structs.replace(event, seq=len(log) + 1))
        log += [
            new_event.logged(number, event.recorded_at)
            for number, new_event in enumerate(inferred_events(log), start=len(log) + 1)
        ]
    return log


def test_what_is_implied_no_longer_is_retracted_and_can_be_wanted_again() -> None:
    shown, change = said(
        seen("12:00", promised_at="18:00", opened_at="09:00"),
        ("11:00", "promise_changed", {"promised_at": "18:00"}),
    )
    log = in_log(shown, change, taken_back(change, 9))
    assert [event.type.partition(".")[2] for event in log] == [
        "snapshot",
        "opened",
        "promise_changed",
        *("retracted", "opened"),  # the promise is told now
        *("retracted", "retracted", "opened"),  # and not any more
    ]
    assert len({event.id for event in log}) == len(log)
    assert log[1].causation_id == log[-1].causation_id == shown.id
    assert log[1].payload == log[-1].payload


def test_what_another_source_shows_under_the_same_id_is_evidence_of_its_own() -> None:
    shown = logged("snapshot", at("12:00"), {"opened_at": at("09:00"), "vin": "V1"}, 1)
    other = structs.replace(shown, occurred_at=at("13:00"), source="/other", seq=3)
    (first,) = inferred_events([shown])
    assert (first.causation_id, first.correlation_id) == (shown.id, shown.source)
    log = [shown, first.logged(2, at("12:00")), other]
    gone, again = inferred_events(log)
    assert (gone.type, again.type) == ("event.retracted", "repair_order.opened")
    assert (again.causation_id, again.correlation_id) == (other.id, "/other")
    # what an older version wrote has no source, and stays as it is
    older = structs.replace(log[1], correlation_id=None)
    assert inferred_events([shown, older, log[2]]) == []


def test_what_is_inferred_comes_after_what_was_told_of_the_same_instant() -> None:
    shown, told = said(
        seen("10:00", opened_at="09:00", advisor="A2"),
        ("09:00", "opened", {"work_type": "other", "advisor": "A1"}),
    )
    for log in (in_log(shown, told), in_log(told, shown)):
        state = fold(Kind.REPAIR_ORDER, RO, log)
        assert isinstance(state, RepairOrder)
        assert (state.advisor, state.work_type) == ("A2", "other")
        assert changes(log).missing == []


def test_what_happened_at_one_instant_applies_in_the_order_of_an_orders_life() -> None:
    first, second = said(
        seen("10:00", vin="V1", technician="T1"), seen("09:59", vin="V0", technician="T1")
    )
    log = in_log(first, structs.replace(second, occurred_at=at("10:00")))
    state = fold(Kind.REPAIR_ORDER, RO, log)
    assert isinstance(state, RepairOrder)
    assert (state.vin, state.stage) == ("V0", "waiting")


def test_a_sighting_is_kept_with_its_content() -> None:
    (sighting,) = order(seen("10:00", vin="V1")).sightings
    assert isinstance(sighting, Sighting)
    assert (sighting.source, sighting.id, sighting.seq) == ("/dms/test", "e-1", 1)
    assert sighting.content


def test_a_change_that_is_shown_after_the_delivery_was_made_before() -> None:
    night = {"promised_at": "18:00", "handed_over_at": "16:40"}
    assert names(PROMISED, seen("23:00", **night))[0] == ("promise_changed", "16:40")
    on_sheet = {**SETTLED[2], "delivered_at": "15:50"}
    told: Told = (SETTLED[0], SETTLED[1], on_sheet)
    assert names(PROMISED, told, seen("23:00", promised_at="18:00")) == [
        ("promise_changed", "15:50")
    ]


@pytest.mark.parametrize(
    ("unknown", "verdict", "en", "zh"),
    [
        ("accept", "on_time", "was read out of a snapshot", "由工单快照推断，原因和客户确认未知"),
        ("reject", "late", "read out of a snapshot of the order, has no", "（由工单快照推断）"),
    ],
)
def test_the_verdict_says_that_a_new_time_was_read_out_of_a_snapshot(
    unknown: Literal["accept", "reject"], verdict: str, en: str, zh: str
) -> None:
    policy = replace(DEFAULT_POLICY, on_time_unknown_confirmation=unknown)
    told: Told = "17:30", "settled", {"amounts": {}}
    seen_of_it = order(PROMISED, seen("12:00", promised_at="18:00"), told)
    judged = on_time(seen_of_it, [], policy, ZONE)
    assert judged.verdict == verdict
    assert en in judged.explanation.en
    assert zh in judged.explanation.zh
