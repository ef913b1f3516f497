"""Both sides of the log, and the hash of the content, whatever is sent (A9, A15, A16, A17)."""

import hmac
import types
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from msgspec import structs
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from app.domain.events import parse, readers
from app.domain.events import payload as fields
from app.domain.events.catalog import CATALOG
from app.domain.events.envelope import NewEvent
from app.domain.events.event_type import EventType
from app.domain.events.follow_up import FollowUpOverdue, FollowUpScheduled
from app.domain.events.marks import SetHere, StaffName
from app.domain.events.names import Naming, normalized
from app.domain.events.parse import Limits, content_hash, parse_event
from app.domain.events.payload import Part, Personal, is_required_at_door
from app.domain.events.repair_order import RepairOrderLinked
from app.domain.events.shape import join

NOW: Final = datetime(2200, 1, 31, tzinfo=UTC)
"""Later than any time below: a snapshot tells of nothing that is still to come."""

SECRET: Final = b"unit test secret"
POSTED: Final = [known for known in CATALOG.values() if known.posted]


def accepted(name: str, data: dict[str, Any], **attributes: Any) -> NewEvent:
    event = parse_event(
        CATALOG[name].example_event | {"data": data} | attributes,
        limits=Limits(),
        now=NOW,
        secret=attributes.pop("secret", SECRET),
        known_store={"SH01", "SH02"}.__contains__,
    )
    assert isinstance(event, NewEvent), event
    return event


def hash_of(name: str, data: dict[str, Any], **attributes: Any) -> bytes:
    return accepted(name, data, **attributes).content_hash


# What may be sent, made from the models

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NAMES = TEXTS.filter(bool)
DECIMALS = st.decimals(-(10**11), 10**11, places=4)
INSTANTS = st.datetimes(datetime(1901, 1, 1), datetime(2199, 1, 1)).map(  # noqa: DTZ001 - see below
    lambda local: local.isoformat() + "+08:00"
)
COUNTS = st.integers(0, 10**6)
BY_READER: dict[Callable[[Any], Any], SearchStrategy[Any]] = {
    readers.read_number: DECIMALS.map(str),
    readers.read_quantity: DECIMALS.map(abs).map(str),
    readers.read_count: COUNTS,
    readers.read_level: st.sampled_from([1, 2, 3]),
    readers.read_instant: INSTANTS,
    readers.read_date: st.dates(date(1901, 1, 1), date(2199, 1, 1)).map(str),
    readers.read_day_or_instant: INSTANTS,
    readers.read_label: NAMES,
    readers.read_answer: st.booleans() | COUNTS | NAMES.map("“{}”".format),
}
SIMPLE: dict[type, SearchStrategy[Any]] = {bool: st.booleans(), str: NAMES}
BY_PATTERN = {
    r"^([01][0-9]|2[0-3]):[0-5][0-9]$": st.just("09:30"),
}
STAFF = st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True) | NAMES.filter(normalized)
UNKNOWN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXTS | st.floats(-1e15, 1e15),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def by_marks(metadata: list[Any]) -> SearchStrategy[Any] | None:
    """What may be sent for a field whose reader or pattern is known."""
    for mark in metadata:
        if isinstance(mark, fields._Reads):
            return BY_READER[mark.read]
        if isinstance(mark, StaffName):
            return STAFF
        for constraint in getattr(mark, "metadata", [mark]):
            if pattern := getattr(constraint, "pattern", None):
                return BY_PATTERN[pattern]
    return None


def sent_for(annotation: Any, metadata: list[Any]) -> SearchStrategy[Any]:
    """What may be sent for a field of that type."""
    kind, arguments = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        return sent_for(arguments[0], [*metadata, *arguments[1:]])
    if (known := by_marks(metadata)) is not None:
        return known
    if kind in {Union, types.UnionType}:
        return sent_for(arguments[0], metadata)
    if kind is Literal:
        return st.sampled_from(arguments)
    if kind is list:
        least = max((getattr(mark, "min_length", 0) for mark in metadata), default=0)
        return st.lists(sent_for(arguments[0], []), min_size=least, max_size=3)
    return objects(annotation) if issubclass(annotation, Part) else SIMPLE[annotation]


@cache
def objects(model: type[Part]) -> SearchStrategy[dict[str, Any]]:
    """Objects that the model reads, some with fields that it doesn't know."""
    required: dict[str, SearchStrategy[Any]] = {}
    optional: dict[str, SearchStrategy[Any]] = {}
    for attribute, field in model.model_fields.items():
        if any(isinstance(mark, SetHere) for mark in field.metadata):
            continue
        at_the_door = any(map(is_required_at_door, field.metadata))
        strategy = sent_for(field.annotation, field.metadata)
        place = required if at_the_door or field.is_required() else optional
        place[field.alias or attribute] = strategy
    known = st.fixed_dictionaries(required, optional=optional)
    if model is RepairOrderLinked:  # one or the other
        known = known.filter(bool)
    unknown = st.dictionaries(TEXTS.map("x-{}".format), UNKNOWN.filter(lambda v: v is not None))
    return st.builds(lambda one, other: one | other, known, unknown)


@st.composite
def typed_data(draw: st.DrawFn) -> tuple[EventType, dict[str, Any]]:
    event_type = draw(st.sampled_from(POSTED))
    return event_type, draw(objects(event_type.model))


# Both sides


def skeleton(value: Any) -> Any:
    """The names and the lengths of lists, without the values."""
    if isinstance(value, dict):
        return {name: skeleton(inner) for name, inner in value.items()}
    return [skeleton(inner) for inner in value] if isinstance(value, list) else None


def personal_paths(model: type[Part], above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    paths = set()
    for attribute, field in model.model_fields.items():
        path = (*above, field.alias or attribute)
        if any(isinstance(mark, Personal) for mark in field.metadata):
            paths.add(path)
        for part in parts_in(field.annotation):
            paths |= personal_paths(part, path)
    return paths


def parts_in(annotation: Any) -> list[type[Part]]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return [annotation]
    return [part for argument in get_args(annotation) for part in parts_in(argument)]


def paths_in(value: Any, above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Paths of all names; the positions of lists are no part of them."""
    if isinstance(value, dict):
        items = value.items()
        return set().union(*({(*above, k)} | paths_in(v, (*above, k)) for k, v in items))
    if isinstance(value, list):
        return set().union(*(paths_in(inner, above) for inner in value))
    return set()


def aside_of(event: NewEvent) -> dict[str, Any]:
    aside: dict[str, Any] = {} if event.aside is None else orjson.loads(event.aside)
    return aside


def put_together(event: NewEvent) -> dict[str, Any]:
    """Both sides, without what nobody sent."""
    both: dict[str, Any] = join(orjson.loads(event.data), aside_of(event))
    set_here = CATALOG[event.type].forms[-1].shape.set_here
    return {name: value for name, value in both.items() if name not in set_here}


@settings(deadline=None)
@given(typed_data())
def test_a17_nothing_that_was_sent_is_lost(case: tuple[EventType, dict[str, Any]]) -> None:
    event_type, data = case
    event = accepted(event_type.name, data)
    both = put_together(event)
    assert skeleton(both) == skeleton(data)
    again = accepted(event_type.name, both)
    assert (again.data, aside_of(again)) == (event.data, aside_of(event))
    assert again.content_hash == event.content_hash


@settings(deadline=None)
@given(typed_data())
def test_the_log_has_all_that_folds_read_and_nothing_personal_or_unknown(
    case: tuple[EventType, dict[str, Any]],
) -> None:
    event_type, data = case
    event = accepted(event_type.name, data)
    in_log = orjson.loads(event.data)
    paths = paths_in(in_log)
    assert not paths & personal_paths(event_type.model)
    assert not any(name.startswith("x-") for path in paths for name in path)
    for name, value in aside_of(event).items():
        assert name in in_log or value == data[name]
    read = event_type.forms[-1].read_json(event.data)
    personal = {path[0] for path in personal_paths(event_type.model)}
    for name in set(event_type.model.model_fields) - personal:
        assert getattr(read, name) == getattr(event.payload, name)


# The quick way through the door and the careful one


def comparable(read: Any) -> Any:
    """All that was read; the order of fields beside the log doesn't matter."""
    if read is None:
        return None
    *attributes, content = read
    aside = None if content.aside is None else orjson.loads(content.aside)
    return *attributes, aside, structs.replace(content, aside=None)


def both_ways(item: dict[str, Any]) -> tuple[Any, Any]:
    """What each way reads; None of what isn't usual, and of what can't be accepted."""
    latest = NOW + timedelta(minutes=10)
    stores = {"SH01"}.__contains__
    names = [Naming(SECRET, "SH01") for _ in range(2)]
    quick = parse._at_once(item, Limits(), latest, stores, CATALOG, names[0])
    try:
        careful = parse._step_by_step(item, Limits(), latest, stores, CATALOG, names[1])
    except parse._RefusedError:
        return comparable(quick), None
    return comparable(quick), comparable(careful)


def test_the_quick_way_is_the_usual_way() -> None:
    for known in POSTED:
        quick, careful = both_ways(known.example_event)
        assert careful is not None
        assert (quick is not None) == known.is_plain
    assert sum(known.is_plain for known in POSTED) >= 30


@settings(deadline=None)
@given(typed_data(), st.booleans())
def test_the_quick_way_reads_what_the_careful_one_reads(
    case: tuple[EventType, dict[str, Any]], unknown: bool
) -> None:
    event_type, data = case
    if not unknown:
        data = {name: value for name, value in data.items() if not name.startswith("x-")}
    quick, careful = both_ways(event_type.example_event | {"data": data})
    assert careful is not None
    assert quick in (None, careful)
    assert type(careful[-1].payload) is event_type.model


ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=3)
    | st.sampled_from(["", "\0", "\ud800", "x" * 300, "1.0", "SH01", "/servicelane/x", [], {}])
)


@settings(deadline=None)
@given(
    st.sampled_from(POSTED),
    st.dictionaries(st.sampled_from([*parse._KNOWN, "extra"]), ODD),
    st.dictionaries(st.sampled_from(["advisor", "work_type", "plate", "odometer_km", "x"]), ODD),
)
def test_the_quick_way_accepts_nothing_that_the_careful_one_refuses(
    event_type: EventType, attributes: dict[str, Any], data: dict[str, Any]
) -> None:
    item = event_type.example_event
    for changed in (item | attributes, item | {"data": dict(event_type.example) | data}):
        quick, careful = both_ways(changed)
        assert quick in (None, careful)


# A9


def respelled(draw: st.DrawFn, value: Any) -> Any:
    """The same JSON value, written otherwise."""
    if isinstance(value, dict):
        nothing = draw(st.dictionaries(st.just("x-nothing"), st.none()))
        names = draw(st.permutations(list(value)))
        return nothing | {name: respelled(draw, value[name]) for name in names}
    if isinstance(value, list):
        return [respelled(draw, inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return draw(st.sampled_from([value, float(value)]))
    return value


@st.composite
def spelled_twice(draw: st.DrawFn) -> tuple[str, dict[str, Any], dict[str, Any]]:
    patches = {known.name for known in POSTED if known.model.merge_patch}
    event_type, data = draw(typed_data().filter(lambda case: case[0].name not in patches))
    return event_type.name, data, respelled(draw, data)


@settings(deadline=None)
@given(spelled_twice())
def test_a9_the_spelling_of_the_data_does_not_matter(
    case: tuple[str, dict[str, Any], dict[str, Any]],
) -> None:
    name, data, other = case
    assert hash_of(name, data) == hash_of(name, other)


@pytest.mark.parametrize(
    "spelling",
    [1.1, "1.1", "1.10", "+1.1", "0001.1", "11e-1", "0.11E1", "1.100000000000000000"],
)
def test_a9_a16_spellings_of_one_amount_are_the_same(spelling: object) -> None:
    same = hash_of("repair_order.authorized", {"amount": "1.1"})
    assert hash_of("repair_order.authorized", {"amount": spelling}) == same


@pytest.mark.parametrize("spelling", [1000, 1000.0, "1E3", "1e+3", "1000.000", "1000"])
def test_a9_a16_spellings_of_a_whole_amount_are_the_same(spelling: object) -> None:
    event = accepted("repair_order.authorized", {"amount": spelling})
    assert event.data == b'{"amount":"1000"}'
    assert event.content_hash == hash_of("repair_order.authorized", {"amount": 1000})


def test_a9_numbers_of_unknown_fields_are_equal_by_value() -> None:
    one = hash_of("repair_order.cleaned", {"x": [1, {"y": 2.0, "z": None}], "n": -0.0})
    assert one == hash_of("repair_order.cleaned", {"n": 0, "x": [1.0, {"y": 2}]})
    assert one != hash_of("repair_order.cleaned", {"n": 0, "x": ["1", {"y": 2}]})
    big = hash_of("repair_order.cleaned", {"x": 10**17})
    assert big == hash_of("repair_order.cleaned", {"x": 1e17})


def test_a9_a_deletion_is_not_nothing() -> None:
    nothing = hash_of("customer.updated", {"segment": "A"})
    assert hash_of("customer.updated", {"segment": "A", "member_no": None}) != nothing
    assert hash_of("customer.updated", {"segment": "A", "name": None}) != nothing


OPENED: Final = {"work_type": "warranty", "advisor": "A07", "plate": "沪A00001", "x": 1}


@pytest.mark.parametrize(
    "other",
    [
        OPENED | {"advisor": "A08"},
        OPENED | {"plate": "沪A00002"},
        OPENED | {"x": 2},
        OPENED | {"x": True},
        OPENED | {"y": 1},
        OPENED | {"contact": {}},
        OPENED | {"work_type": "保修"},
        {name: value for name, value in OPENED.items() if name != "plate"},
    ],
)
def test_a9_other_data_is_other_content_unknown_and_personal_fields_too(
    other: dict[str, Any],
) -> None:
    assert hash_of("repair_order.opened", other) != hash_of("repair_order.opened", OPENED)


def test_a9_two_texts_that_count_as_other_are_not_the_same() -> None:
    one = OPENED | {"work_type": "钣金"}
    assert hash_of("repair_order.opened", one) != hash_of(
        "repair_order.opened", OPENED | {"work_type": "喷漆"}
    )


def test_a9_type_subject_and_instant_are_content_but_identity_and_store_are_not() -> None:
    def of(name: str = "repair_order.cleaned", **attributes: Any) -> bytes:
        return hash_of(name, {}, **attributes)

    assert of("repair_order.work_resumed") != of()
    assert of(subject="RO-2") != of()
    assert of(time="2026-01-05T09:30:00.000001+08:00") != of()
    assert of(time="2026-01-05T01:30:00Z") == of()
    assert of(id="e-2", source="/other", store="SH02") == of()


def test_a9_a_uuid_is_the_same_in_upper_case() -> None:
    subject = CATALOG["complaint.contacted"].subject.example
    data = {"by": "A07", "channel": "phone"}
    assert hash_of("complaint.contacted", data, subject=subject.upper()) == hash_of(
        "complaint.contacted", data
    )


def test_a9_a_field_that_becomes_known_does_not_change_the_content() -> None:
    """What a later model reads from the same data lies on the other side, hashed alike."""
    known = accepted("repair_order.authorized", {"promised_at": "2026-01-05T09:00:00Z"})
    unknown = accepted("repair_order.cleaned", {"promised_at": "2026-01-05T09:00:00Z"})
    forms = [CATALOG[event.type].forms[-1] for event in (known, unknown)]
    data = {"promised_at": "2026-01-05T09:00:00Z", "a": 1}
    contents = [form.take(data, Limits()) for form in forms]
    assert all(not isinstance(content, list) for content in contents)
    assert len({getattr(content, "canonical", None) for content in contents}) == 1


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=150), st.binary(max_size=300))
def test_a9_the_hash_is_an_hmac_with_the_installation_secret(
    secret: bytes, canonical: bytes
) -> None:
    instant = datetime(2026, 1, 5, 1, 30, 0, 5, tzinfo=UTC)
    message = b'["a.b","RO-1","2026-01-05T01:30:00.000005+00:00",1]' + canonical
    mine = content_hash(secret, "a.b", "RO-1", instant, 1, canonical)
    assert mine == hmac.digest(secret, message, "sha256")[:16]


# A16


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        ("-0.00", "0"),
        ("0E50", "0"),
        (0.1 + 0.2, "0.30000000000000004"),
        (0.1 + 0.2 - 0.3, "0.00000000000000005551115123125783"),
        ("1e-7", "0.0000001"),
        ("999999999999.99", "999999999999.99"),
        (-12.5, "-12.5"),
        (860, "860"),
    ],
)
def test_a16_numbers_are_kept_in_their_shortest_plain_form(value: object, text: str) -> None:
    event = accepted("repair_order.authorized", {"amount": value})
    assert orjson.loads(event.data) == {"amount": text}
    assert getattr(event.payload, "amount", None) == Decimal(text)
    assert str(CATALOG[event.type].forms[-1].read_json(event.data)) == str(event.payload)


@pytest.mark.parametrize(
    "value",
    [
        10**12,
        "-1000000000000",
        1e12,
        "1e999",
        "1e-70",
        10**400,
        float("inf"),
        float("nan"),
        "NaN",
        "",
        " 1",
        "1,5",
        "1_000",
        "１",
        ".5",
        "5.",
        "0x10",
        "0." + "1" * 70,
        True,
        [],
        {},
        Decimal("Infinity"),
        Decimal("NaN"),
    ],
)
def test_a16_what_is_no_number_or_out_of_range_is_invalid(value: object) -> None:
    content = CATALOG["repair_order.authorized"].forms[-1].take({"amount": value}, Limits())
    assert isinstance(content, list)
    assert [(fault.pointer, fault.code) for fault in content] in (
        [("/data/amount", "not-a-number")],
        [("/data/amount", "out-of-range")],
    )


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("repair_order.opened", "odometer_km"),
        ("repair_order.opened", "estimate_hours"),
        ("repair_order.settled", "parts_filled"),
        ("staff.timecard_recorded", "attended_hours"),
    ],
)
def test_a16_hours_counts_and_odometers_are_not_negative(name: str, field: str) -> None:
    form = CATALOG[name].forms[-1]
    content = form.take(dict(CATALOG[name].example) | {field: -1}, Limits())
    assert isinstance(content, list)
    assert [(fault.pointer, fault.code) for fault in content] == [(f"/data/{field}", "negative")]


def test_a16_amounts_may_be_negative() -> None:
    event = accepted("repair_order.settled", {"amounts": {"labor": "-100"}})
    assert event.data == b'{"amounts":{"labor":"-100"}}'


@pytest.mark.parametrize("count", [3, 3.0, "3", "3.0"])
def test_a16_a_count_is_a_whole_number_however_written(count: object) -> None:
    event = accepted("repair_order.settled", {"amounts": {}, "parts_filled": count})
    assert event.data == b'{"amounts":{},"parts_filled":3}'


def test_a16_a_count_has_no_fraction() -> None:
    form = CATALOG["repair_order.settled"].forms[-1]
    content = form.take({"amounts": {}, "parts_filled": 3.5}, Limits())
    assert isinstance(content, list)
    assert [fault.code for fault in content] == ["not-whole"]


@pytest.mark.parametrize(
    ("value", "kept"),
    [(75, "75"), ("75.0", "75"), (True, True), ("very_satisfied", "very_satisfied")],
)
def test_j12_an_answer_is_a_number_a_yes_or_a_short_text(value: object, kept: object) -> None:
    data = {
        "by": "F03",
        "channel": "phone",
        "outcome": "reached",
        "answers": [{"question": 1, "version": 2, "scale": "4", "value": value}],
    }
    answer = orjson.loads(accepted("follow_up.completed", data).data)["answers"][0]
    assert answer == {"question": "1", "version": "2", "scale": "4", "value": kept}


@pytest.mark.parametrize("value", ["x" * 129, [], {}])
def test_j12_anything_else_is_no_answer(value: object) -> None:
    form = CATALOG["follow_up.completed"].forms[-1]
    data = {"by": "F03", "channel": "phone", "outcome": "reached", "answers": [{"value": value}]}
    content = form.take(data, Limits())
    assert isinstance(content, list)
    assert [fault.pointer for fault in content] == ["/data/answers/0/value"]


@pytest.mark.parametrize(
    ("value", "kept"),
    [("2026-02-05", "2026-02-05"), ("2026-02-05T09:00:00+08:00", "2026-02-05T01:00:00Z")],
)
def test_the_next_contact_is_a_day_or_an_instant(value: str, kept: str) -> None:
    data = {"by": "F03", "channel": "phone", "outcome": "reached", "next_contact": value}
    assert orjson.loads(accepted("follow_up.completed", data).data)["next_contact"] == kept


@pytest.mark.parametrize(
    "day", ["2026-1-5", "20260105", "2026-02-30", "1899-01-01", 1, "2026-W01"]
)
def test_what_is_no_date_is_invalid(day: object) -> None:
    form = CATALOG["staff.timecard_recorded"].forms[-1]
    content = form.take({"work_date": day, "attended_hours": 8}, Limits())
    assert isinstance(content, list)
    assert [fault.pointer for fault in content] == ["/data/work_date"]


def test_times_and_days_may_be_given_as_such() -> None:
    local = timezone(timedelta(hours=8))
    call = FollowUpScheduled(
        kind="first",
        opens_at=datetime(2026, 1, 8, tzinfo=local),
        due_at=datetime(2026, 1, 12, 15, 59, 59, tzinfo=UTC),
        anchor=date(2026, 1, 5),
    )
    assert orjson.loads(CATALOG["follow_up.scheduled"].forms[-1].write(call)) == {
        "kind": "first",
        "opens_at": "2026-01-07T16:00:00Z",
        "due_at": "2026-01-12T15:59:59Z",
        "anchor": "2026-01-05",
    }
    with pytest.raises(ValidationError):
        FollowUpOverdue(due_at=datetime(2026, 1, 8))  # noqa: DTZ001 - a time without a zone
    with pytest.raises(ValidationError):
        FollowUpScheduled.model_validate(call.model_dump() | {"anchor": datetime.now(UTC)})


@pytest.mark.parametrize("scale", [True, [], "", "x" * 65])
def test_j12_a_scale_is_a_short_text_or_a_number(scale: object) -> None:
    data = {"by": "F03", "channel": "phone", "outcome": "reached", "answers": [{"scale": scale}]}
    content = CATALOG["follow_up.completed"].forms[-1].take(data, Limits())
    assert isinstance(content, list)
    assert [fault.pointer for fault in content] == ["/data/answers/0/scale"]


QUICK_AND_CAREFUL: Final = [
    (fields.Amount, readers.read_number),
    (fields.Quantity, readers.read_quantity),
    (fields.Count, readers.read_count),
    (fields.Instant, readers.read_instant),
    (fields.Day, readers.read_date),
]
NUMBER_LIKE: Final = (
    st.integers()
    | st.floats()
    | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str)
    | st.text("0123456789.-+eE", max_size=10)
    | st.booleans()
)
TIME_LIKE: Final = st.text("0123456789-T:.Z+", max_size=26) | st.from_regex(
    r"(19|20|22)[0-9]{2}-[01][0-9]-[0-3][0-9]"
    r"([Tt][0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]{1,8})?([Zz]|[+-][0-2][0-9]:[0-6][0-9]))?",
    fullmatch=True,
)


@pytest.mark.parametrize(("field", "read"), QUICK_AND_CAREFUL)
@settings(deadline=None)
@given(value=NUMBER_LIKE | TIME_LIKE)
def test_the_quick_readers_of_values_agree_with_the_careful_ones(
    field: Any, read: Callable[[Any], Any], value: object
) -> None:
    adapter = ADAPTERS[field]
    try:
        careful = read(value)
    except PydanticCustomError:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)
    else:
        quick = adapter.validate_python(value)
        assert (type(quick), str(quick)) == (type(careful), str(careful))


ADAPTERS: Final[dict[Any, TypeAdapter[Any]]] = {
    field: TypeAdapter(field) for field, _ in QUICK_AND_CAREFUL
}
