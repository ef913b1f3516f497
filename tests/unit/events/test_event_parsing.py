"""The door: what is accepted, and why not, in the order of A10."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest

from app.domain.events.catalog import CATALOG
from app.domain.events.envelope import Kind, NewEvent, Reason, Rejected
from app.domain.events.parse import Limits, parse_event

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SECRET = b"unit test secret"
UUID = "0199A3C4-6F1E-7B3A-9C52-3F8F0D6B1A20"


def sent(name: str = "repair_order.opened", **changes: Any) -> dict[str, Any]:
    """An event of that type, attributes changed; those given as None are left out."""
    item = CATALOG[name].example_event | changes
    return {key: value for key, value in item.items() if value is not None}


def parse(item: object, **limits: Any) -> NewEvent | Rejected:
    return parse_event(
        item,
        limits=Limits(**limits),
        now=NOW,
        secret=SECRET,
        known_store={"SH01", "SH02"}.__contains__,
    )


def accepted(item: object, **limits: Any) -> NewEvent:
    event = parse(item, **limits)
    assert isinstance(event, NewEvent), event
    return event


def rejected(item: object, **limits: Any) -> Rejected:
    event = parse(item, **limits)
    assert isinstance(event, Rejected), event
    return event


def refused(item: object, **limits: Any) -> tuple[str, set[tuple[str, str]]]:
    """The reason, and pointer and code of each fault."""
    event = rejected(item, **limits)
    assert all(fault.detail.endswith(".") for fault in event.faults)
    return event.reason.value, {(fault.pointer, fault.code) for fault in event.faults}


def opened(**data: Any) -> dict[str, Any]:
    return sent(data={"work_type": "warranty", "advisor": "A07"} | data)


# What comes out


def test_an_event_carries_its_envelope_its_data_and_what_lies_beside() -> None:
    event = accepted(
        sent(
            id="e-1",
            correlationid="c-1",
            causationid="",
            time="2026-01-05t09:30:00.1234567+08:00",
            data={
                "work_type": "warranty",
                "advisor": "A07",
                "plate": "沪A00001",
                "odometer_km": "42010.50",
                "contact": {"name": "客户0001", "relation": "owner", "mood": "fine"},
                "colour": {"code": 7},
            },
        )
    )
    assert (event.store_id, event.source, event.id) == ("SH01", "/dms/sh01", "e-1")
    assert (event.type, event.kind) == ("repair_order.opened", Kind.REPAIR_ORDER)
    assert event.key == event.subject == "RO20260105-001"
    assert event.occurred_at == datetime(2026, 1, 5, 1, 30, 0, 123456, tzinfo=UTC)
    assert (event.schema_version, event.correlation_id, event.causation_id) == (1, "c-1", None)
    assert orjson.loads(event.data) == {
        "work_type": "warranty",
        "advisor": "A07",
        "odometer_km": "42010.5",
        "contact": {"relation": "owner"},
    }
    assert event.aside is not None
    assert orjson.loads(event.aside) == {
        "plate": "沪A00001",
        "contact": {"name": "客户0001", "mood": "fine"},
        "colour": {"code": 7},
    }
    assert event.payload.model_dump(exclude_none=True)["odometer_km"] == 42010.5
    assert getattr(event.payload, "plate", None) == "沪A00001"
    assert event.warnings == ()


@pytest.mark.parametrize("name", [name for name, known in CATALOG.items() if known.posted])
def test_every_posted_example_is_accepted_without_warning(name: str) -> None:
    event = accepted(sent(name))
    assert event.warnings == ()
    assert event.key == ("" if name == "event.retracted" else event.key)


def test_a_retraction_waits_for_its_target_to_know_its_key() -> None:
    assert accepted(sent("event.retracted")).key == ""


def test_j16_the_key_of_a_timecard_is_staff_number_and_work_date() -> None:
    event = accepted(sent("staff.timecard_recorded"))
    assert (event.kind, event.subject, event.key) == (Kind.TIMECARD, "T12", "T12/2026-01-05")


def test_the_key_of_a_complaint_is_its_uuid_in_lower_case() -> None:
    event = accepted(sent("complaint.contacted", subject=UUID))
    assert event.key == event.subject == UUID.lower()


# A7


@pytest.mark.parametrize("name", [name for name, known in CATALOG.items() if not known.posted])
def test_a7_what_only_the_service_writes_cannot_be_posted(name: str) -> None:
    assert refused(sent(name)) == ("invalid-data", {("/type", "reserved")})


@pytest.mark.parametrize("source", ["/servicelane", "/servicelane/desk"])
def test_a7_only_the_service_writes_under_its_source(source: str) -> None:
    item = sent("follow_up.completed", source=source)
    assert refused(item) == ("invalid-data", {("/source", "reserved")})


def test_a_source_that_only_begins_like_that_of_the_service_is_another_one() -> None:
    assert accepted(sent(source="/servicelanes")).source == "/servicelanes"


def test_a7_what_the_service_wrote_cannot_be_retracted() -> None:
    item = sent("event.retracted", data={"source": "/servicelane", "id": "x", "reason": "no"})
    assert refused(item) == ("invalid-data", {("/data/source", "reserved")})


# A10, A11

BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("missing-attribute", {"id": ""}),
    ("unsupported-version", {"dataschema": "https://schemas.example.com/v9"}),
    ("unknown-type", {"type": "repair_order.exploded"}),
    ("unknown-store", {"store": "ZZ99"}),
    ("invalid-data", {"time": "2026-01-05T09:30:00"}),
    ("time-in-future", {"time": "2026-01-31T12:10:01Z"}),
    ("invalid-data", {"data": {"work_type": 7}}),
]


@pytest.mark.parametrize("first", range(len(BROKEN)))
def test_a10_the_first_fault_in_the_order_wins(first: int) -> None:
    changes: dict[str, Any] = {}
    for _, broken in reversed(BROKEN[first:]):
        changes |= broken
    assert refused(sent() | changes)[0] == BROKEN[first][0]


@pytest.mark.parametrize(
    "name", ["specversion", "id", "source", "type", "store", "subject", "time"]
)
@pytest.mark.parametrize("value", [None, "", 7, ["x"], True])
def test_a11_an_attribute_that_is_absent_empty_or_no_text_is_missing(
    name: str, value: object
) -> None:
    expected = ("missing-attribute", {(f"/{name}", "missing")})
    assert refused(sent() | {name: value}) == expected
    item = sent()
    del item[name]
    assert refused(item) == expected


def test_a11_all_missing_attributes_are_named() -> None:
    _, faults = refused({})
    assert len(faults) == 7


@pytest.mark.parametrize("item", [None, 7, "x", True, [], [{}]])
def test_a11_an_element_that_is_no_object_misses_everything(item: object) -> None:
    assert refused(item) == ("missing-attribute", {("", "not-an-object")})
    (fault,) = rejected(item).faults
    assert ("cloudevents-batch" in fault.detail) is isinstance(item, list), "where lists belong"


@pytest.mark.parametrize("version", ["0.3", "1.1", "2.0"])
def test_a11_another_specversion_is_unsupported(version: str) -> None:
    expected = ("unsupported-version", {("/specversion", "unsupported-version")})
    assert refused(sent(specversion=version)) == expected


@pytest.mark.parametrize("name", ["repair_order.opened", "no.such_type"])
def test_a11_a_higher_dataschema_is_unsupported(name: str) -> None:
    item = sent() | {"type": name, "dataschema": "https://schemas.example.com/x/v2"}
    assert refused(item) == ("unsupported-version", {("/dataschema", "unsupported-version")})


@pytest.mark.parametrize("schema", ["https://schemas.example.com/x/v1", "/v1", "v1"])
def test_a_dataschema_that_ends_in_v1_is_version_1(schema: str) -> None:
    assert accepted(sent(dataschema=schema)).schema_version == 1


@pytest.mark.parametrize("schema", ["https://schemas.example.com/x", "/v0", "/v1/", "/v01", 1, ""])
def test_a11_a_malformed_dataschema_is_invalid(schema: object) -> None:
    expected = ("invalid-data", {("/dataschema", "bad-format")})
    assert refused(sent() | {"dataschema": schema}) == expected


@pytest.mark.parametrize("store", ["no such", "X" * 33, "门店", "SH\0", "\ud800"])
def test_a11_a_malformed_store_is_unknown(store: str) -> None:
    event = rejected(sent(store=store))
    assert (event.reason, event.store_id) == (Reason.UNKNOWN_STORE, None)


def test_a_store_that_is_not_known_is_named() -> None:
    event = rejected(sent(store="ZZ99"))
    assert (event.reason, event.store_id) == (Reason.UNKNOWN_STORE, "ZZ99")


def test_what_was_readable_is_kept() -> None:
    event = rejected(sent(type="a.b", subject="s" * 128, id="i" * 129))
    assert (event.source, event.id, event.type, event.subject) == (
        "/dms/sh01",
        None,
        "a.b",
        "s" * 128,
    )


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("id", "x" * 129, "too-long"),
        ("source", "/" * 257, "too-long"),
        ("id", "a\0b", "nul-character"),
        ("source", "/\ud800", "bad-unicode"),
        ("correlationid", "x" * 257, "too-long"),
        ("causationid", 7, "not-text"),
        ("causationid", "\0", "nul-character"),
        ("datacontenttype", "text/xml", "not-json"),
        ("datacontenttype", 7, "not-json"),
        ("data_base64", "e30=", "not-json"),
        ("traceparent", {"a": float("inf")}, "out-of-range"),
    ],
)
def test_a11_a_malformed_attribute_is_invalid(name: str, value: object, code: str) -> None:
    reason, faults = refused(sent() | {name: value})
    pointer = "/traceparent/a" if name == "traceparent" else f"/{name}"
    assert (reason, faults) == ("invalid-data", {(pointer, code)})


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.dms+json",
        None,
    ],
)
def test_data_in_any_json_type_is_taken(content_type: str | None) -> None:
    accepted(sent() | {"datacontenttype": content_type})


def test_extension_attributes_are_passed_over() -> None:
    accepted(sent(seq="1041", recordedtime="2026-01-05T01:30:00Z", traceparent="00-1-2-03"))


def test_identities_of_the_greatest_length_are_taken() -> None:
    accepted(sent(id="号" * 128, source="源" * 256))


def test_several_invalid_attributes_are_all_named() -> None:
    _, faults = refused(sent("vehicle.registered", subject="X", time="now", id="a" * 200))
    assert {pointer for pointer, _ in faults} == {"/subject", "/time", "/id"}


# A13


def test_a13_a_time_within_the_skew_is_taken() -> None:
    accepted(sent(time="2026-01-31T12:10:00Z"))


def test_a13_a_time_beyond_the_skew_is_in_the_future() -> None:
    expected = ("time-in-future", {("/time", "time-in-future")})
    assert refused(sent(time="2026-01-31T12:10:00.000001Z")) == expected
    assert refused(sent(time="2026-01-31T12:00:01Z"), max_clock_skew=timedelta(0)) == expected


def test_a14_other_times_may_lie_ahead() -> None:
    accepted(opened(promised_at="2199-12-31T00:00:00Z"))


# A15


def test_a15_null_is_absent() -> None:
    event = accepted(opened(plate=None, promised_at=None, contact=None, surprise=None))
    assert event.data == accepted(opened()).data
    assert event.aside is None


def test_a15_null_data_is_no_data() -> None:
    assert accepted(sent("repair_order.cleaned") | {"data": None}).data == b"{}"
    item = sent("repair_order.cleaned")
    del item["data"]
    assert accepted(item).data == b"{}"


@pytest.mark.parametrize("data", [[], "x", 7, True, "{}"])
def test_data_must_be_an_object(data: object) -> None:
    expected = ("invalid-data", {("/data", "not-an-object")})
    assert refused(sent() | {"data": data}) == expected


def test_a15_null_for_a_required_field_is_invalid() -> None:
    expected = ("invalid-data", {("/data/advisor", "missing")})
    assert refused(opened(advisor=None)) == expected
    assert refused(sent(data={"work_type": "other"})) == expected


def test_a15_null_in_an_update_of_a_customer_deletes() -> None:
    event = accepted(
        sent(
            "customer.updated",
            data={
                "segment": None,
                "name": None,
                "preferred_contact": {"from": None, "to": "17:30"},
                "hobby": None,
            },
        )
    )
    assert orjson.loads(event.data) == {
        "segment": None,
        "preferred_contact": {"from": None, "to": "17:30"},
    }
    assert event.aside is not None
    assert orjson.loads(event.aside) == {"name": None, "hobby": None}
    assert event.payload.model_fields_set == {"segment", "name", "preferred_contact"}


# A17, A18


def test_a17_unknown_fields_lie_beside_the_log_wherever_they_are() -> None:
    data = {
        "amounts": {"labor": 1, "tips": 5},
        "jobs": [{"code": "a"}, {"code": "b", "bay": "07"}, {"code": "c"}],
        "cashier": "C1",
    }
    event = accepted(sent("repair_order.settled", data=data))
    assert event.aside is not None
    assert orjson.loads(event.aside) == {
        "amounts": {"tips": 5},
        "jobs": [None, {"bay": "07"}],
        "cashier": "C1",
    }
    assert orjson.loads(event.data) == {
        "amounts": {"labor": "1"},
        "jobs": [{"code": "a"}, {"code": "b"}, {"code": "c"}],
    }


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def test_a17_unknown_fields_have_limits() -> None:
    accepted(opened(x=nested(32), y="x" * 10_000, z=2**64 - 1))
    assert refused(opened(x=nested(33)))[1] == {("/data/x" + "/0" * 32, "too-deep")}
    assert refused(opened(x={"y/~": "x" * 11}), max_text=10)[1] == {("/data/x/y~1~0", "too-long")}
    assert refused(opened(x="y" * 100), max_aside=100)[1] == {("/data", "too-large")}
    assert refused(opened(x=[2**64]))[1] == {("/data/x/0", "out-of-range")}
    assert refused(opened(x=[float("inf")]))[1] == {("/data/x/0", "out-of-range")}


@pytest.mark.parametrize(
    ("data", "pointer", "code"),
    [
        ({"x": "a\0"}, "/data/x", "nul-character"),
        ({"x\0": 1}, "/data/x\ufffd", "nul-character"),
        ({"x": {"y\ud800": 1}}, "/data/x/y?", "bad-unicode"),
        ({"x": ["\udfff"]}, "/data/x/0", "bad-unicode"),
        ({"team": 7, "customer_no": "a\0"}, "/data/customer_no", "nul-character"),
        ({"vin": "a\ud800"}, "/data/vin", "bad-unicode"),
        ({"plate": "a\0"}, "/data/plate", "nul-character"),
        ({"concerns": ["a\ud800"]}, "/data/concerns/0", "bad-unicode"),
        ({"contact": {"name": "\0"}}, "/data/contact/name", "nul-character"),
    ],
)
def test_j19_texts_that_the_database_cannot_hold_are_invalid(
    data: dict[str, Any], pointer: str, code: str
) -> None:
    assert refused(opened(**data)) == ("invalid-data", {(pointer, code)})


def test_a_backslash_before_u0000_is_no_nul_character() -> None:
    event = accepted(opened(customer_no="\\u0000", x="\\u0000"))
    assert getattr(event.payload, "customer_no", None) == "\\u0000"


def test_a18_required_personal_fields_are_required_at_the_door() -> None:
    expected = ("invalid-data", {("/data/text", "missing")})
    assert refused(sent("complaint.opened", data={"channel": "phone"})) == expected
    assert refused(sent("complaint.opened", data={"channel": "phone", "text": None})) == expected
    event = accepted(sent("complaint.opened", data={"channel": "phone", "text": "…"}))
    assert event.data == b'{"channel":"phone"}'


def test_a18_both_kinds_of_missing_fields_are_named_at_once() -> None:
    _, faults = refused(sent("complaint.opened", data={"surprise": "\0"}))
    assert faults == {
        ("/data/channel", "missing"),
        ("/data/text", "missing"),
        ("/data/surprise", "nul-character"),
    }


# A23 and other subjects


@pytest.mark.parametrize("vin", ["LSVAA4182E2100001", "lsvaa4182e2100001"])
def test_a23_a_vehicle_is_known_by_its_vin_as_written(vin: str) -> None:
    assert accepted(sent("vehicle.registered", subject=vin)).key == vin


@pytest.mark.parametrize(
    "vin",
    [
        "LSVAA4182E210000",
        "LSVAA4182E21000012",
        "LSVAA4182E210000I",
        "LSVAA4182E210000O",
        "LSVAA4182E210000q",
        "LSVAA4182E210000-",
        "LSVAA4182E2100001\n",
    ],
)
def test_a23_anything_else_is_no_vin(vin: str) -> None:
    expected = ("invalid-data", {("/subject", "bad-format")})
    assert refused(sent("vehicle.registered", subject=vin)) == expected


def test_a23_the_vin_of_an_order_is_text_as_written() -> None:
    assert getattr(accepted(opened(vin="???")).payload, "vin", None) == "???"


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("complaint.contacted", "0199a3c46f1e7b3a9c523f8f0d6b1a20"),
        ("complaint.contacted", "{0199a3c4-6f1e-7b3a-9c52-3f8f0d6b1a20}"),
        ("follow_up.attempted", "RO-1"),
        ("staff.registered", "张三"),
        ("staff.timecard_recorded", "T 12"),
        ("repair_order.cleaned", "R" * 65),
        ("customer.merged", "C\0"),
        ("event.retracted", "\ud800"),
    ],
)
def test_a_malformed_subject_is_invalid(name: str, subject: str) -> None:
    expected = ("invalid-data", {("/subject", "bad-format")})
    assert refused(sent(name, subject=subject)) == expected


def test_b4_an_ro_number_is_any_text_exactly_as_written() -> None:
    assert accepted(sent(subject=" 工单/Ro-1 ")).key == " 工单/Ro-1 "


# B2


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-05T01:30:00Z",
        "2026-01-05t01:30:00z",
        "2026-01-05T01:30:00-00:00",
        "2026-01-05T01:30:00.0000009Z",
        "2026-01-05T09:30:00+08:00",
        "2026-01-04T20:00:00.0-05:30",
    ],
)
def test_b2_spellings_of_one_instant(time: str) -> None:
    assert accepted(sent(time=time)).occurred_at == datetime(2026, 1, 5, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-05T09:30:00",
        "2026-01-05 09:30:00Z",
        "2026-01-05",
        "2026-01-05T09:30Z",
        "2026-01-05T09:30:60Z",
        "2026-01-05T24:00:00Z",
        "2026-01-05T09:30:00+24:00",
        "2026-01-05T09:30:00+08:60",
        "2026-01-05T09:30:00+0800",
        "2026-01-05T09:30:00,5Z",
        "2026-01-05T09:30:00.Z",
        "2026-02-29T09:30:00Z",
        "2026-W01-1T09:30:00Z",
        "20260105T093000Z",
        "1767576600",
        "２026-01-05T09:30:00Z",
        "1899-12-31T00:00:00Z",
        "0001-01-01T00:00:00+08:00",
        "2201-01-01T00:00:00Z",
        "2026-01-05T09:30:00." + "0" * 100 + "Z",
    ],
)
def test_b2_what_is_no_instant_of_rfc_3339_is_invalid(time: str) -> None:
    reason, faults = refused(sent(time=time))
    assert (reason, {pointer for pointer, _ in faults}) == ("invalid-data", {"/time"})


def test_instants_of_other_zones_are_stored_in_utc() -> None:
    event = accepted(opened(promised_at="2026-01-05T17:00:00.5+08:00"))
    assert orjson.loads(event.data)["promised_at"] == "2026-01-05T09:00:00.500000Z"
    promised_at = getattr(event.payload, "promised_at", None)
    assert promised_at == datetime(2026, 1, 5, 17, 0, 0, 500000, timezone(timedelta(hours=8)))
    assert promised_at is not None
    assert promised_at.tzinfo is UTC


# Fields


@pytest.mark.parametrize("work_type", ["钣喷", "", "Warranty"])
def test_any_other_work_type_counts_as_other_with_a_warning(work_type: str) -> None:
    event = accepted(opened(work_type=work_type))
    assert orjson.loads(event.data)["work_type"] == "other"
    assert event.aside is not None
    assert orjson.loads(event.aside) == {"work_type": work_type}
    assert [(fault.pointer, fault.code) for fault in event.warnings] == [
        ("/data/work_type", "counted-as-other")
    ]


@pytest.mark.parametrize(
    ("work_type", "code"),
    [(7, "not-one-of"), ([], "not-one-of"), (None, "missing"), ("x\0", "nul-character")],
)
def test_a_work_type_that_is_no_text_is_invalid(work_type: object, code: str) -> None:
    assert refused(opened(work_type=work_type))[1] == {("/data/work_type", code)}


@pytest.mark.parametrize("advisor", ["", " \t\u200b", "A" * 129, "\ud800", "王\0伟", 7, ["A07"]])
def test_what_is_neither_a_staff_number_nor_a_name_is_invalid(advisor: object) -> None:
    reason, faults = refused(opened(advisor=advisor))
    assert (reason, {pointer for pointer, _ in faults}) == ("invalid-data", {"/data/advisor"})


@pytest.mark.parametrize(
    ("name", "data", "pointer", "code"),
    [
        ("repair_order.opened", {"waiter": "true"}, "/data/waiter", "not-a-boolean"),
        ("repair_order.opened", {"waiter": 1}, "/data/waiter", "not-a-boolean"),
        ("repair_order.opened", {"customer_no": ""}, "/data/customer_no", "too-short"),
        ("repair_order.opened", {"customer_no": "x" * 65}, "/data/customer_no", "too-long"),
        ("repair_order.opened", {"customer_no": 7}, "/data/customer_no", "not-text"),
        ("repair_order.opened", {"concerns": "x"}, "/data/concerns", "not-a-list"),
        ("repair_order.opened", {"concerns": [None]}, "/data/concerns/0", "missing"),
        ("repair_order.opened", {"concerns": ["x"] * 1001}, "/data/concerns", "too-long"),
        ("repair_order.opened", {"contact": "x"}, "/data/contact", "not-an-object"),
        ("repair_order.opened", {"contact": {"phone": 1}}, "/data/contact/phone", "not-text"),
        ("repair_order.settled", {"amounts": []}, "/data/amounts", "not-an-object"),
        ("repair_order.settled", {"jobs": [[]]}, "/data/jobs/0", "not-an-object"),
        ("repair_order.inspected", {"level": 4}, "/data/level", "not-one-of"),
        ("repair_order.work_paused", {"reason": "lunch"}, "/data/reason", "not-one-of"),
        ("complaint.opened", {"channel": "fax"}, "/data/channel", "not-one-of"),
        ("complaint.opened", {"text": "x" * 10_001}, "/data/text", "too-long"),
        (
            "customer.registered",
            {"preferred_contact": {"from": "9:00"}},
            "/data/preferred_contact/from",
            "bad-format",
        ),
    ],
)
def test_a_field_of_another_form_is_invalid(
    name: str, data: dict[str, Any], pointer: str, code: str
) -> None:
    item = sent(name, data=dict(CATALOG[name].example) | data)
    assert refused(item) == ("invalid-data", {(pointer, code)})


def test_details_do_not_repeat_what_was_sent() -> None:
    event = rejected(opened(advisor="张三的名字", waiter="张三的名字", plate="张三的名字" * 99))
    assert not any("张三" in fault.detail for fault in event.faults)


def test_consultations_are_not_known_yet() -> None:
    assert refused(sent() | {"type": "consultation.closed"})[0] == "unknown-type"


def test_a_crm_may_schedule_calls_under_its_own_ids() -> None:
    assert accepted(sent("follow_up.scheduled", subject=UUID)).key == UUID.lower()


def test_the_item_is_left_as_it_was() -> None:
    item = opened(work_type="x", contact={"name": "n", "z": 1}, y=[1.0])
    before = orjson.dumps(item)
    accepted(item)
    assert orjson.dumps(item) == before
