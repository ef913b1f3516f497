"""Coded values of a source at the door: what they mean counts, what was sent is kept."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.events.envelope import NewEvent, Reason, Rejected
from app.domain.events.form import Limits
from app.domain.events.parse import parse_event
from app.domain.events.shape import join
from app.domain.events.value_maps import MISSING, SourceValues, ValueMap, overlaid

NOW = datetime(2026, 1, 6, tzinfo=UTC)
MAPS = SourceValues(
    None,
    {
        ("work_type",): ValueMap({"保养": "regular_maintenance", "事故": "accident"}),
        ("waiter",): ValueMap({"是": True, "否": False, "1": True}),
        ("contact", "relation"): ValueMap({"本人": "owner"}, "null"),
        ("pay_type",): ValueMap({"自费": "CUSTOMER_PAY"}, "fault"),
    },
)
JOBS = SourceValues(None, {("jobs", "pay_type"): ValueMap({"C": "CUSTOMER_PAY", "-": None})})


def event(data: Mapping[str, Any], kind: str = "opened", **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"amounts": {}}
    if kind == "opened":
        given = {"advisor": "A1", "work_type": "warranty"}
    return {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/dms/a",
        "type": f"repair_order.{kind}",
        "store": "S1",
        "subject": "R1",
        "time": "2026-01-05T09:30:00+08:00",
        "data": {**given, **data},
        **more,
    }


def parse(item: dict[str, Any], values: SourceValues | None = MAPS) -> NewEvent | Rejected:
    before = orjson.dumps(item)
    read = parse_event(
        item,
        limits=Limits(),
        now=NOW,
        secret=b"secret",
        known_store=lambda _: True,
        value_maps={} if values is None else {"/dms/a": values},
    )
    assert orjson.dumps(item) == before
    return read


def taken(item: dict[str, Any], values: SourceValues | None = MAPS) -> NewEvent:
    read = parse(item, values)
    assert isinstance(read, NewEvent), read
    return read


def whole(read: NewEvent) -> Any:
    return join(orjson.loads(read.data), orjson.loads(read.aside or b"{}"))


def test_what_values_mean_is_in_the_log_and_what_was_sent_beside_it() -> None:
    sent = {"work_type": "保 养", "waiter": "是", "contact": {"relation": "本人", "name": "客户"}}
    read = taken(event(sent))
    assert orjson.loads(read.data) == {
        "advisor": "A1",
        "work_type": "regular_maintenance",
        "waiter": True,
        "contact": {"relation": "owner"},
    }
    assert orjson.loads(read.aside or b"") == sent
    assert whole(read) == event(sent)["data"]
    assert not read.warnings


def test_values_inside_of_lists() -> None:
    jobs = [{"code": "1", "pay_type": "C"}, {"code": "2"}, {"code": "3", "pay_type": "-", "x": 1}]
    read = taken(event({"jobs": jobs}, "settled"), JOBS)
    assert orjson.loads(read.data)["jobs"] == [
        {"code": "1", "pay_type": "CUSTOMER_PAY"},
        {"code": "2"},
        {"code": "3"},
    ]
    assert orjson.loads(read.aside or b"")["jobs"] == [
        {"pay_type": "C"},
        None,
        {"pay_type": "-", "x": 1},
    ]
    assert whole(read)["jobs"] == jobs


def test_what_the_map_does_not_have() -> None:
    kept = taken(event({"work_type": "喷漆"}))
    assert [warning.code for warning in kept.warnings] == ["counted-as-other"]
    assert orjson.loads(taken(event({"contact": {"relation": "朋友"}})).data).get("contact") == {}
    refused = parse(event({"pay_type": "代金券"}))
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.INVALID_DATA
    assert [(f.pointer, f.code) for f in refused.faults] == [("/data/pay_type", "unmatched-value")]
    assert (
        orjson.loads(taken(event({"pay_type": "CUSTOMER_PAY"})).data)["pay_type"] == "CUSTOMER_PAY"
    )
    assert isinstance(parse(event({"waiter": "也许"})), Rejected)
    assert isinstance(parse(event({"contact": {"relation": "\0"}})), Rejected)


def test_other_sources_and_other_stores_are_left_alone() -> None:
    coded = event({"waiter": "是"})
    assert isinstance(parse({**coded, "source": "/dms/b"}), Rejected)
    assert isinstance(parse({**coded, "source": ["/dms/a"]}), Rejected)
    for store, expected in (("S1", NewEvent), ("S2", Rejected), ([], Rejected), ({}, Rejected)):
        assert isinstance(
            parse({**coded, "store": store}, SourceValues("S1", MAPS.maps)), expected
        )


def test_lists_in_lists_are_no_field_however_deep() -> None:
    for inner in (["保养"], orjson.loads(b"[" * 1_000 + b"]" * 1_000)):
        assert MAPS.apply(event({"work_type": [inner]})) is None


@pytest.mark.parametrize("data", [None, [], "x", {"work_type": ["保养"]}, {"contact": "本人"}])
def test_data_that_no_map_can_read_are_refused_as_without_one(data: Any) -> None:
    item = {**event({}), "data": data}
    with_maps, without = parse(item), parse(item, None)
    assert isinstance(with_maps, Rejected)
    assert with_maps == without


WORDS = st.sampled_from(["保养", "事故", "索赔", "warranty", "regular_maintenance", "x", "other"])
MEANINGS = st.sampled_from(["regular_maintenance", "accident", "warranty", "other", "x"])
SOME_MAP = st.dictionaries(WORDS, MEANINGS).map(ValueMap)


def values_of(found: ValueMap) -> SourceValues:
    return SourceValues(None, {("work_type",): found, ("contact", "relation"): found})


@given(SOME_MAP, SOME_MAP, WORDS, WORDS)
def test_a_later_map_makes_no_conflict_of_what_is_sent_again(
    first: ValueMap, second: ValueMap, work_type: str, relation: str
) -> None:
    item = event({"work_type": work_type, "contact": {"relation": relation}, "odometer_km": 1.0})
    hashes = {
        taken(item, values).content_hash for values in (None, values_of(first), values_of(second))
    }
    assert len(hashes) == 1


@given(SOME_MAP, WORDS)
def test_to_apply_a_map_twice_is_to_apply_it_once(found: ValueMap, word: str) -> None:
    once = found.meaning(word)
    if not list(found.problems()) and once is not MISSING:
        assert found.meaning(once) == once


JSON = st.recursive(
    st.none() | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=8,
)


@given(JSON, JSON)
def test_what_lies_above_shows(below: Any, above: Any) -> None:
    shown = overlaid(below, above)
    assert overlaid(shown, above) == shown
    if not isinstance(above, dict | list):
        assert shown == above
