"""From bytes to events: the three modes of CloudEvents over HTTP, and J19."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.errors import MalformedBodyError
from app.domain.events import wire
from app.domain.events.catalog import CATALOG
from app.domain.events.envelope import NewEvent, Reason, Rejected
from app.domain.events.parse import Limits, parse_event
from app.domain.events.wire import event_from_binary, read_message, split_batch

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
EVENT = CATALOG["repair_order.opened"].example_event


def parsed(item: object) -> NewEvent | Rejected:
    return parse_event(
        item,
        limits=Limits(),
        now=datetime(2026, 1, 31, tzinfo=UTC),
        secret=b"",
        known_store={"SH01"}.__contains__,
    )


def reasons(body: bytes, content_type: str = BATCH) -> list[str]:
    """What becomes of each event of a message: `accepted`, or the reason."""
    return [
        event.reason if isinstance(event, Rejected) else "accepted"
        for event in map(parsed, read_message(body, content_type).items)
    ]


def with_data(raw: bytes) -> bytes:
    """An event whose data holds one more field, written as given."""
    return orjson.dumps(EVENT).replace(b'"data":{', b'"data":{"x":' + raw + b",")


# Modes


def test_structured_mode_is_one_event() -> None:
    body = orjson.dumps(EVENT)
    message = read_message(body, f"{STRUCTURED}; charset=UTF-8")
    assert (message.items, message.batch) == ([EVENT], False)
    item = message.item(0)
    assert (item.body, item.content_type, item.attributes) == (
        body,
        f"{STRUCTURED}; charset=UTF-8",
        {},
    )


@pytest.mark.parametrize("content_type", [BATCH, "application/json", None])
def test_an_array_is_a_batch(content_type: str | None) -> None:
    message = read_message(b" [1 , {} ,\n[2]] ", content_type)
    assert (message.items, message.batch) == ([1, {}, [2]], True)
    assert [message.item(position).body for position in range(3)] == [b"1", b"{}", b"[2]"]


@pytest.mark.parametrize("content_type", [BATCH, "application/json", None])
def test_an_object_is_one_event_whatever_it_is_called(content_type: str | None) -> None:
    assert read_message(b'{"id": "x"}', content_type).items == [{"id": "x"}]


def test_an_empty_batch_holds_nothing() -> None:
    assert read_message(b"[ ]", BATCH).items == []


@pytest.mark.parametrize(
    "element", [b"[]", b"[{}]", b"null", b'"x"', b"1e400", b'{"a":"\\ud800"}']
)
def test_an_element_is_read_again_from_its_own_bytes(element: bytes) -> None:
    message = read_message(b"[{}," + element + b"]", BATCH)
    item = message.item(1)
    assert item.body == element
    again = read_message(item.body, item.content_type, item.attributes)
    assert again.items == [message.items[1]]
    assert again.item(0) == item


def test_binary_mode_has_attributes_in_headers_and_data_in_the_body() -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "e-1",
        "Ce-Source": "/dms/%E5%8F%B7%201",
        "ce-subject": '"RO \\"1\\""',
        "ce-data": "no",
        "ce-datacontenttype": "no",
    }
    message = read_message(b'{"advisor": "A07"}', "application/json", headers)
    assert message.items == [
        {
            "specversion": "1.0",
            "id": "e-1",
            "source": "/dms/号 1",
            "subject": 'RO "1"',
            "datacontenttype": "application/json",
            "data": {"advisor": "A07"},
        }
    ]
    item = message.item(0)
    assert (item.body, item.attributes) == (b'{"advisor": "A07"}', headers)


def test_content_type_decides_before_headers() -> None:
    body = orjson.dumps(EVENT)
    assert read_message(body, STRUCTURED, {"ce-id": "another"}).items == [EVENT]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("50%", "50%"),
        ("%zz", "%zz"),
        ("%25zz", "%zz"),
        ("\u00e5\u008f\u00b7", "号"),
        ("号", "号"),
        ("%FF", "\udcff"),
        ('"', '"'),
    ],
)
def test_headers_are_percent_encoded_utf_8(value: str, text: str) -> None:
    assert event_from_binary({"ce-id": value}, b"", None) == {"id": text}


def test_a_header_that_is_no_utf_8_is_an_invalid_attribute() -> None:
    headers = {f"ce-{name}": value for name, value in EVENT.items() if isinstance(value, str)}
    message = read_message(b"{}", None, headers | {"ce-id": "%FF"})
    event = parsed(message.items[0])
    assert isinstance(event, Rejected)
    assert [fault.pointer for fault in event.faults] == ["/id"]


def test_binary_data_of_another_type_is_quarantined_not_refused() -> None:
    headers = {f"ce-{name}": value for name, value in EVENT.items() if isinstance(value, str)}
    message = read_message(b"<order/>", "text/xml", headers)
    event = parsed(message.items[0])
    assert isinstance(event, Rejected)
    assert event.reason is Reason.INVALID_DATA
    assert [fault.pointer for fault in event.faults] == ["/datacontenttype"]


def test_binary_mode_without_a_body_has_no_data() -> None:
    assert event_from_binary({"ce-id": "x"}, b"", None) == {"id": "x"}


def test_binary_data_that_is_no_json_is_refused() -> None:
    with pytest.raises(MalformedBodyError):
        read_message(b"{", "application/json", {"ce-id": "x"})


def test_binary_data_may_be_odd() -> None:
    item = event_from_binary({"ce-id": "x"}, b'{"a": "\\ud800"}', "application/json")
    assert item["data"] == {"a": "\ud800"}


@pytest.mark.parametrize("name", [name for name, known in CATALOG.items() if known.posted])
def test_the_cloudevents_package_is_understood_in_both_modes(name: str) -> None:
    sent = CATALOG[name].example_event | {"subject": CATALOG[name].subject.example}
    attributes: dict[str, Any] = {key: value for key, value in sent.items() if key != "data"}
    attributes["source"] = "/dms/号 1%"
    attributes["time"] = datetime.fromisoformat(sent["time"])
    event = CloudEvent(attributes, sent["data"])
    kept = []
    for http in (to_structured_event(event), to_binary_event(event)):
        headers = dict(http.headers)
        content_type = headers.pop("content-type")
        message = read_message(http.body, content_type, headers)
        taken = parsed(message.items[0])
        assert isinstance(taken, NewEvent)
        assert taken.source == "/dms/号 1%"
        kept.append((taken.occurred_at, taken.subject, taken.content_hash))
    assert kept[0] == kept[1]


# J19: what is refused as a whole


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"[",
        b"[1,]",
        b"[1 2]",
        b"[1],",
        b"[1]]",
        b"{}{}",
        b'{"a":1,}',
        b"{a:1}",
        b"{'a':1}",
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"NaN",
        b"[01]",
        b"[+1]",
        b"[.5]",
        b"[1.]",
        b"[0x10]",
        b'["\n"]',
        b'["\\x41"]',
        b'["\\ud8"]',
        b"[tru]",
        b"undefined",
        b"[1e400, nope]",
        b'{"a": "\\ud800"',
        b"[" * 5000,
        b"[" * 5000 + b"]" * 4999 + b"}",
        b"[" * 5000 + b"x" + b"]" * 5000,
        b'{"a":' * 5000 + b"1" + b"}" * 4999,
        b'{"a":' * 5000 + b"1" + b"}" * 5001,
        b'{"a":' * 5000 + b"1,}" + b"}" * 4999,
        b'{"a":' * 5000 + b'{"b" 1}' + b"}" * 5000,
        b'{"a":' * 5000 + b"{b:1}" + b"}" * 5000,
        b"[" * 5000 + b"1 2" + b"]" * 5000,
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b" 1}",
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b",b:1}",
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b',"b" 1}',
        "{}".encode("utf-16"),
        "{}".encode("utf-32"),
        "{}".encode("utf-16-le"),
    ],
)
@pytest.mark.parametrize("content_type", [STRUCTURED, BATCH])
def test_j19_what_is_no_json_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(MalformedBodyError):
        read_message(body, content_type)


@pytest.mark.parametrize("body", [b'["\xff"]', b'["\xed\xa0\x80"]', '["é"]'.encode("latin-1")])
def test_j19_what_is_no_utf_8_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedBodyError, match="not UTF-8"):
        read_message(body, BATCH)


def test_j19_a_byte_order_mark_is_named() -> None:
    with pytest.raises(MalformedBodyError, match="byte order mark"):
        read_message(b"\xef\xbb\xbf[]", BATCH)


@pytest.mark.parametrize("charset", ["gbk", '"GB18030"', "utf-16", "iso-8859-1"])
def test_j19_another_charset_is_named(charset: str) -> None:
    with pytest.raises(MalformedBodyError, match="charset"):
        read_message(b"[]", f"{BATCH}; charset={charset}")


@pytest.mark.parametrize("charset", ["utf-8", "UTF8", '"utf-8"', "us-ascii"])
def test_utf_8_may_be_named(charset: str) -> None:
    assert read_message(b"[]", f"{BATCH}; a=b; charset={charset}").items == []


# J19: what is an outcome of its own event

ODD = [
    b'"\\ud800"',
    b'"\\udc00 \\ud83d\\ude00"',
    b'{"\\ud800": 1}',
    b'"a\\u0000"',
    b"1e400",
    b"-1e400",
    b"1" * 400,
    b"-" + b"1" * 5000,
    b"[" * 1100 + b"]" * 1100,
    b"[" * 200_000 + b"]" * 200_000,
    b'{"a":' * 50_000 + b'"\\ud800"' + b"}" * 50_000,
    b'[{"a":[1,"x",null,{}]},' * 30_000 + b"2.5" + b"]" * 30_000,
]


@pytest.mark.parametrize("raw", ODD, ids=[raw[:20].decode() for raw in ODD])
def test_j19_what_cannot_be_kept_is_invalid_data_of_its_own_event(raw: bytes) -> None:
    odd, plain = with_data(raw), orjson.dumps(EVENT)
    assert reasons(odd, STRUCTURED) == ["invalid-data"]
    body = b"[" + plain + b" ,\n" + odd + b"," + plain + b"]"
    assert reasons(body) == ["accepted", "invalid-data", "accepted"]
    message = read_message(body, BATCH)
    assert [message.item(position).body for position in range(3)] == [plain, odd, plain]


def test_j19_an_odd_event_is_rejected_for_its_first_fault() -> None:
    item = b'{"id": "\\ud800", "source": "/dms", "deep": ' + b"[" * 3000 + b"]" * 3000 + b"}"
    event = parsed(read_message(item, STRUCTURED).items[0])
    assert isinstance(event, Rejected)
    assert (event.reason, event.source, event.id) == (Reason.MISSING_ATTRIBUTE, "/dms", None)


@pytest.mark.parametrize("raw", [b"1e400", b'"\\ud800"', b"[" * 3000 + b"]" * 3000])
def test_j19_odd_values_of_attributes_nobody_reads_are_faults_too(raw: bytes) -> None:
    body = orjson.dumps(EVENT)[:-1] + b',"extra":' + raw + b"}"
    assert reasons(body, STRUCTURED) == ["invalid-data"]


def test_j19_long_integers_are_taken_by_their_shortest_decimal_form() -> None:
    event = parsed(read_message(with_data(b"123456789012345678901234567890"), STRUCTURED).items[0])
    assert isinstance(event, NewEvent)
    assert event.aside is not None
    assert orjson.loads(event.aside)["x"] == 1.2345678901234568e29


def test_a_number_neighbours_an_odd_event_and_stays_as_it_is() -> None:
    """An event doesn't depend on which reader its neighbours need."""
    plain = with_data(b"123456789012345678901234567890")
    alone = parsed(read_message(plain, STRUCTURED).items[0])
    together = read_message(b"[1e400," + plain + b"]", BATCH).items[1]
    assert parsed(together) == alone


# The careful way reads the same JSON

SPACES = st.text(" \t\n\r", max_size=2)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner)
    ),
    max_leaves=12,
)


@given(VALUES, st.booleans())
def test_the_careful_readers_agree_with_the_quick_one(value: Any, indented: bool) -> None:
    body = orjson.dumps(value, option=orjson.OPT_INDENT_2 if indented else None)
    assert wire._read_carefully(body, one=False) == value
    assert wire._read_carefully(body, one=True) == value
    assert wire._end_of_value(body.decode(), 0) == len(body.decode())


@given(st.lists(VALUES, max_size=5), SPACES, SPACES)
def test_a_batch_is_split_into_its_own_bytes(values: list[Any], before: str, after: str) -> None:
    parts = [orjson.dumps(value) for value in values]
    around = [f"{before}".encode() + part + f"{after}".encode() for part in parts]
    assert split_batch(b" [" + b",".join(around) + b"]\n") == parts


@pytest.mark.parametrize("body", [b"{}", b"1", b"[", b"[1", b"\xff"])
def test_only_a_batch_can_be_split(body: bytes) -> None:
    with pytest.raises(MalformedBodyError):
        split_batch(body)


JSON_LIKE = st.text('{}[]:,"\\ud8c0 01.-+eEtrufalsn\n', max_size=24)


@given(JSON_LIKE)
@example('["\\ud8cd\\udc00"]')
@example('{"a":1,"a":2}')
@example("[1e999]")
def test_the_careful_readers_take_what_the_quick_one_takes(text: str) -> None:
    body = text.encode()
    try:
        quick = orjson.loads(body)
    except orjson.JSONDecodeError:
        return
    assert wire._read_carefully(body, one=True) == quick
    assert text[wire._end_of_value(text, 0) :].strip() == ""


@given(JSON_LIKE)
@example("[1e400]")
@example('{"a":["\\ud800",{}]}')
@example("[[],{}")
@example("[[1] ] ]\n]")
@example("[[[]]]]]")
@example('{"a":[[]]]}')
@example("[[}")
def test_values_too_deep_for_recursion_end_where_others_do(text: str) -> None:
    def end(read: Callable[[str, int], int]) -> int | None:
        try:
            return read(text, wire._skip(text, 0))
        except ValueError:
            return None

    assert end(wire._end_of_value) == end(lambda *at: wire._DECODER.raw_decode(*at)[1])


def test_j19_brackets_take_no_longer_than_other_bytes() -> None:
    """Five million levels took seconds, in which everybody else waited."""
    deep = b"[" * 5_000_000 + b"]" * 5_000_000
    begin = time.process_time()
    message = read_message(b"[" + deep + b",1]", BATCH)
    assert time.process_time() - begin < 1.5
    assert message.item(0).body == deep
    assert message.items[1] == 1


def test_j19_of_an_event_that_is_too_deep_the_place_is_named() -> None:
    event = parsed(read_message(with_data(b"[" * 2000 + b"]" * 2000), STRUCTURED).items[0])
    assert isinstance(event, Rejected)
    assert [(fault.pointer, fault.code) for fault in event.faults] == [("/data/x", "too-deep")]
    assert (event.source, event.id) == (EVENT["source"], EVENT["id"])
