"""The catalogue, old versions of data, events from the log and events that are made here."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

import orjson
import pytest
from jsonschema import Draft202012Validator
from pydantic import Field

from app.domain.errors import InvalidInputError
from app.domain.events.catalog import CATALOG
from app.domain.events.complaint import ComplaintContacted
from app.domain.events.compose import make_event, make_own_event
from app.domain.events.customer_file import CustomerUpdated, PreferredContact
from app.domain.events.envelope import OWN_SOURCE, Event, Kind, NewEvent, Rejected
from app.domain.events.event_type import EventType
from app.domain.events.follow_up import FollowUpOverdue
from app.domain.events.parse import Limits, parse_event
from app.domain.events.payload import Name, Part, Payload, PersonalOf, Quantity
from app.domain.events.repair_order import Contact, RepairOrderOpened
from app.domain.events.staff import StaffTimecardRecorded
from app.domain.events.stored import stored_event
from app.domain.events.upcasters import UPCASTERS, upcast

NOW = datetime(2026, 1, 31, tzinfo=UTC)
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def taken(item: object, catalog: Mapping[str, EventType] = CATALOG) -> NewEvent:
    event = parse_event(
        item,
        limits=Limits(),
        now=NOW,
        secret=b"secret",
        known_store={"SH01"}.__contains__,
        catalog=catalog,
    )
    assert isinstance(event, NewEvent), event
    return event


def row_of(event: NewEvent, **changes: Any) -> dict[str, Any]:
    """The event as a row of the log."""
    return {
        "store_id": event.store_id,
        "seq": 7,
        "source": event.source,
        "event_id": event.id,
        "type": event.type,
        "kind": event.kind.value,
        "key": event.key,
        "subject": event.subject,
        "occurred_at": event.occurred_at,
        "recorded_at": NOW,
        "schema_version": event.schema_version,
        "data": event.data.decode(),
        "content_hash": event.content_hash,
        "causation_id": event.causation_id,
        "correlation_id": event.correlation_id,
    } | changes


# The catalogue


def test_the_catalogue_has_the_types_of_the_contract() -> None:
    orders = (
        "opened linked authorized dispatched work_started work_paused work_resumed "
        "add_on_proposed add_on_decided promise_changed delay_warned work_completed inspected "
        "cleaned settled delivered customer_delay_noted delay_reviewed comeback_reported "
        "comeback_assessed cancelled snapshot snapshot_repeated"
    )
    complaints = "opened contacted resolved reopened contact_overdue contact_resolved"
    calls = "scheduled assigned attempted completed overdue resolved cancelled"
    assert set(CATALOG) == {
        *(f"customer.{name}" for name in ("registered", "updated", "merged", "told_apart")),
        *(f"vehicle.{name}" for name in ("registered", "transferred")),
        *(f"feed.{name}" for name in ("silent", "resumed")),
        *(f"quarantine.{name}" for name in ("growing", "settled")),
        *(f"repair_order.{name}" for name in orders.split()),
        *(f"staff.{name}" for name in ("registered", "timecard_recorded")),
        *(f"complaint.{name}" for name in complaints.split()),
        *(f"follow_up.{name}" for name in calls.split()),
        "event.retracted",
    }


@pytest.mark.parametrize("known", CATALOG.values(), ids=list(CATALOG))
def test_a_payload_class_is_named_after_its_type(known: EventType) -> None:
    assert known.model.__name__.lower() == known.name.replace(".", "").replace("_", "")


@pytest.mark.parametrize("known", CATALOG.values(), ids=list(CATALOG))
def test_every_type_and_field_is_described_in_both_languages(known: EventType) -> None:
    def described(schema: dict[str, Any]) -> None:
        assert CHINESE.search(schema["description"])
        assert re.match(r"[A-Z`0-9]", schema["description"])
        for field in schema.get("properties", {}).values():
            assert CHINESE.search(field["description"]), field

    schema = known.schema
    assert schema["description"] == known.description
    for model in [schema, *schema.get("$defs", {}).values()]:
        described(model)


@pytest.mark.parametrize("known", CATALOG.values(), ids=list(CATALOG))
def test_examples_fit_their_json_schema_and_name_every_field(known: EventType) -> None:
    Draft202012Validator.check_schema(known.schema)
    Draft202012Validator(known.schema).validate(known.example)
    if not known.model.merge_patch:
        # an order that is settled is not cancelled
        settled = {"cancelled_at", "cancel_reason"} if "settled_at" in known.example else set()
        assert set(known.example) == set(known.schema.get("properties", {})) - settled


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("complaint.opened", {"channel": "phone"}),
        ("complaint.opened", {"channel": "phone", "text": None}),
        ("repair_order.opened", {"work_type": "other"}),
        ("repair_order.opened", {"work_type": 7, "advisor": "A07"}),
        ("repair_order.opened", {"work_type": "other", "advisor": ""}),
        ("repair_order.settled", {"amounts": {"labor": "ten"}}),
        ("repair_order.inspected", {"level": 4, "inspector": "Q02", "passed": True}),
    ],
)
def test_json_schema_refuses_what_the_door_refuses(name: str, data: dict[str, Any]) -> None:
    assert not Draft202012Validator(CATALOG[name].schema).is_valid(data)
    assert isinstance(CATALOG[name].forms[-1].take(data, Limits()), list)


def test_json_schema_takes_any_text_as_work_type_and_marks_what_is_personal() -> None:
    schema = CATALOG["repair_order.opened"].schema
    data = {"work_type": "钣喷", "advisor": "A07", "odometer_km": "42010"}
    Draft202012Validator(schema).validate(data)
    assert schema["properties"]["plate"]["x-personal"] is True
    assert "x-personal" not in schema["properties"]["vin"]


def test_fields_keep_their_names_in_the_log_once_they_have_them() -> None:
    """A name that changes or goes would change what old events say; add fields instead."""
    opened = CATALOG["repair_order.opened"]
    assert orjson.loads(opened.forms[0].write(opened.forms[0].read(opened.example))) == {
        "customer_no": "C000123",
        "vin": "LSVAA4182E2100001",
        "odometer_km": "42010",
        "contact": {"relation": "owner"},
        "work_type": "regular_maintenance",
        "pay_type": "CUSTOMER_PAY",
        "advisor": "A07",
        "promised_at": "2026-01-05T09:00:00Z",
        "estimate_amount": "860",
        "estimate_hours": "1.5",
        "waiter": True,
        "appointment_id": "AP-0815",
    }


# Versions


class OrderWashed(Payload):
    """The car was washed. 洗车."""

    minutes: Quantity | None = Field(None, description="Minutes 分钟")
    washer: PersonalOf[Name] = Field(None, description="Who 谁")


class OrderWashedV2(Payload):
    """The car was washed. 洗车."""

    seconds: Quantity = Field(description="Seconds 秒")
    programme: Name = Field(description="Programme 程序")
    washer: PersonalOf[Name] = Field(None, description="Who 谁")


class OrderWashedV3(Payload):
    """The car was washed. 洗车."""

    seconds: Quantity = Field(description="Seconds 秒")
    program: Name = Field(description="Program 程序")
    washed_by: PersonalOf[Name] = Field(None, description="Who 谁")


def in_seconds(data: dict[str, Any]) -> dict[str, Any]:
    minutes = data.pop("minutes", "0")
    return data | {"seconds": int(minutes) * 60, "programme": "usual"}


def spelled_anew(data: dict[str, Any]) -> dict[str, Any]:
    data["program"] = data.pop("programme")
    data["washed_by"] = data.pop("washer", None)
    return data


WASHED = EventType(
    "repair_order.washed",
    Kind.REPAIR_ORDER,
    (OrderWashed, OrderWashedV2, OrderWashedV3),
    {"seconds": 300, "program": "usual", "washed_by": "员工0001"},
    upcasters={("repair_order.washed", 1): in_seconds, ("repair_order.washed", 2): spelled_anew},
)
WASHING = MappingProxyType({WASHED.name: WASHED})
OLD = {"minutes": "5.0", "washer": "员工0001"}


def test_every_type_of_the_catalogue_can_be_lifted_from_its_first_version() -> None:
    for known in CATALOG.values():
        for version in range(1, known.version):
            assert (known.name, version) in known.upcasters
    assert all(name in CATALOG for name, _ in UPCASTERS)


def test_upcasters_lift_version_by_version() -> None:
    def lifted(version: int) -> dict[str, Any]:
        data = {"programme": "p", "seconds": 1} if version == 2 else dict(OLD, minutes="5")
        upcasters = WASHED.upcasters
        return upcast(WASHED.name, data, version=version, to=3, upcasters=upcasters)

    assert lifted(1) == {"seconds": 300, "program": "usual", "washed_by": "员工0001"}
    assert lifted(2) == {"seconds": 1, "program": "p", "washed_by": None}


def test_a_missing_upcaster_is_a_defect() -> None:
    with pytest.raises(KeyError):
        upcast("repair_order.washed", {}, version=1, to=2, upcasters={})


def test_an_old_version_is_still_taken_and_kept_as_it_is() -> None:
    item = WASHED.example_event | {"dataschema": "/v1", "data": OLD}
    event = taken(item, WASHING)
    assert (event.schema_version, event.data) == (1, b'{"minutes":"5"}')
    assert event.payload == OrderWashedV3(seconds=300, program="usual", washed_by="员工0001")  # type: ignore[arg-type]  # read from JSON numbers
    anonymous = taken(item | {"data": {"minutes": 5}}, WASHING)
    assert getattr(anonymous.payload, "seconds", None) == 300


def test_a9_an_event_that_is_sent_again_after_an_upgrade_has_the_same_content() -> None:
    item = WASHED.example_event | {"dataschema": "/v1", "data": OLD}
    before = replace(WASHED, models=(OrderWashed,))
    assert taken(item, {WASHED.name: before}).content_hash == taken(item, WASHING).content_hash


def test_a9_versions_are_content() -> None:
    item = WASHED.example_event | {"data": {}}
    first = taken(item, WASHING)
    second = taken(
        item | {"dataschema": "/v2", "data": {"seconds": 0, "programme": "usual"}}, WASHING
    )
    assert first.payload == second.payload
    assert first.content_hash != second.content_hash


def test_only_versions_that_are_known_are_taken() -> None:
    item = WASHED.example_event | {"dataschema": "/v4"}
    event = parse_event(
        item,
        limits=Limits(),
        now=NOW,
        secret=b"",
        known_store={"SH01"}.__contains__,
        catalog=WASHING,
    )
    assert isinstance(event, Rejected)
    assert event.reason == "unsupported-version"


def test_stored_data_of_an_old_version_is_lifted_when_it_is_read() -> None:
    item = WASHED.example_event | {"dataschema": "/v1", "data": OLD}
    event = stored_event(row_of(taken(item, WASHING)), WASHING)
    assert event.schema_version == 1
    assert event.payload == OrderWashedV3(seconds=300, program="usual")  # type: ignore[arg-type]  # likewise


# From the log


@pytest.mark.parametrize("known", CATALOG.values(), ids=list(CATALOG))
def test_a18_what_is_in_the_log_can_be_read_without_what_lies_beside(known: EventType) -> None:
    form = known.forms[-1]
    data = form.write(form.read(known.example))
    row = {
        "store_id": "SH01",
        "seq": 7,
        "source": "/dms/sh01",
        "event_id": "e-1",
        "type": known.name,
        "kind": "repair_order",
        "key": "RO-1",
        "subject": "RO-1",
        "occurred_at": NOW,
        "recorded_at": NOW,
        "schema_version": 1,
        "data": data.decode(),
        "content_hash": b"",
        "causation_id": None,
        "correlation_id": None,
    }
    event = stored_event(row)
    assert isinstance(event, Event)
    assert type(event.payload) is known.model
    assert form.write(event.payload) == data
    assert (event.seq, event.id, event.kind, event.own) == (7, "e-1", Kind.REPAIR_ORDER, False)


def test_a15_a_deletion_is_still_told_when_it_is_read() -> None:
    item = CATALOG["customer.updated"].example_event | {
        "data": {"segment": None, "preferred_contact": {"to": None}, "name": "客户0001"}
    }
    payload = stored_event(row_of(taken(item))).payload
    assert isinstance(payload, CustomerUpdated)
    assert payload.model_fields_set == {"segment", "preferred_contact"}
    assert payload.preferred_contact is not None
    assert payload.preferred_contact.model_fields_set == {"to"}


# Made here

DUE = datetime(2026, 1, 12, 15, 59, 59, tzinfo=UTC)
CALL = "5f0c1d52-6a44-5a3b-8b0e-2a7c8c1f4e10"


def overdue(cause_seq: int = 41) -> NewEvent:
    return make_own_event(
        store_id="SH01",
        event_type="follow_up.overdue",
        subject=CALL,
        occurred_at=DUE,
        payload=FollowUpOverdue(due_at=DUE, late_seconds=0),
        cause_seq=cause_seq,
    )


def test_h16_an_own_event_has_an_id_of_its_subject_type_and_cause() -> None:
    event = overdue()
    assert (event.source, event.kind, event.key) == (OWN_SOURCE, Kind.FOLLOW_UP, CALL)
    assert UUID(event.id).version == 5
    assert overdue() == event
    assert overdue(cause_seq=42).id != event.id
    assert event.data == b'{"due_at":"2026-01-12T15:59:59Z","late_seconds":0}'
    assert event.aside is None
    assert stored_event(row_of(event)).own


def made(name: str, subject: str, payload: Payload) -> NewEvent:
    return make_event(
        store_id="SH01",
        source="/dms/sh01",
        event_id="e-1",
        event_type=name,
        subject=subject,
        occurred_at=DUE,
        payload=payload,
        secret=b"secret",
        correlation_id="c-1",
        causation_id="c-2",
    )


@pytest.mark.parametrize("known", CATALOG.values(), ids=list(CATALOG))
def test_an_event_made_of_a_payload_is_like_the_one_that_was_sent(known: EventType) -> None:
    if not known.posted:
        return
    sent = taken(
        known.example_event
        | {"id": "e-1", "time": "2026-01-12T15:59:59Z"}
        | {"correlationid": "c-1", "causationid": "c-2"}
    )
    event = made(known.name, sent.subject, sent.payload)
    assert orjson.loads(event.aside or b"{}") == orjson.loads(sent.aside or b"{}")
    event.aside = sent.aside
    sent.warnings = ()  # they are for those who send
    assert event == sent


def test_an_update_made_here_tells_deletions_on_both_sides() -> None:
    payload = CustomerUpdated(
        name=None, segment=None, preferred_contact=PreferredContact(from_=None)
    )
    event = made("customer.updated", "C1", payload)
    assert event.data == b'{"preferred_contact":{"from":null},"segment":null}'
    assert event.aside == b'{"name":null}'


def test_personal_fields_in_parts_of_a_payload_lie_beside_the_log() -> None:
    class Passenger(Part):
        name: PersonalOf[Name] = None
        seat: Name | None = None

    class RideGiven(Payload):
        passengers: list[Passenger]

    ride = RideGiven(
        passengers=[Passenger(seat="a"), Passenger(seat="b", name="n"), Passenger(seat="c")]
    )
    known = EventType("ride.given", Kind.VEHICLE, (RideGiven,), {})
    content = known.forms[0].made(ride)
    assert content.aside == b'{"passengers":[null,{"name":"n"}]}'
    assert content.data == b'{"passengers":[{"seat":"a"},{"seat":"b"},{"seat":"c"}]}'
    sent = {"passengers": [{"seat": "a"}, {"name": "n", "seat": "b"}, {"seat": "c"}]}
    assert known.forms[0].take(sent, Limits()) == content
    assert known.forms[0].known(ride, sent, Limits()) == content
    nobody = {"passengers": [{"seat": "a"}]}
    read = known.forms[0].known(known.forms[0].read(nobody), nobody, Limits())
    assert read is not None
    assert read.aside is None


def test_a_payload_without_personal_fields_leaves_nothing_beside() -> None:
    payload = RepairOrderOpened(work_type="other", advisor="A07", contact=Contact(relation="son"))
    assert made("repair_order.opened", "RO-1", payload).aside is None
    nothing = RepairOrderOpened(work_type="other", advisor="A07", plate=None)
    assert made("repair_order.opened", "RO-1", nothing).aside is None


def test_the_key_of_a_timecard_made_here_has_its_day() -> None:
    payload = StaffTimecardRecorded.model_validate(
        {"work_date": "2026-01-05", "attended_hours": 8}
    )
    assert made("staff.timecard_recorded", "T12", payload).key == "T12/2026-01-05"


def test_j19_nul_characters_do_not_come_in_by_a_command_either() -> None:
    payload = ComplaintContacted(by="A07", channel="phone", note="a\0b")
    with pytest.raises(InvalidInputError) as caught:
        made("complaint.contacted", CALL, payload)
    assert [(fault.pointer, fault.code) for fault in caught.value.faults] == [
        ("/data/note", "nul-character")
    ]
