"""Suggestions: each rule on an example, and the law that none makes anything worse."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import Fault
from app.domain.events.catalog import CATALOG
from app.domain.events.envelope import NewEvent, Reason, Rejected
from app.domain.events.form import Limits
from app.domain.events.parse import parse_event
from app.domain.events.shape import join
from app.domain.json_patch import apply_patch, get_at
from app.domain.quarantine import KEY_NOT_BOUND
from app.domain.suggestions.suggest import repair, suggest
from app.domain.suggestions.suggestion import (
    WORDS,
    Context,
    Logged,
    Suggestion,
)
from app.domain.suggestions.suggestion import (
    SuggestedAction as Action,
)
from app.domain.suggestions.suggestion import (
    SuggestionName as Name,
)
from app.domain.suggestions.words import choices_at, nearest, nearest_store, nearest_type

NOW = datetime(2026, 1, 6, 2, 0, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
OPENED = CATALOG["repair_order.opened"].example_event
SETTLED = CATALOG["repair_order.settled"].example_event
INSPECTED = CATALOG["repair_order.inspected"].example_event


def context(logged: Logged | None = None, *, stores: Sequence[str] = ("SH01",)) -> Context:
    reads = partial(
        parse_event, limits=Limits(), now=NOW, secret=b"secret", known_store=stores.__contains__
    )
    return Context(reads, dict.fromkeys(stores, SHANGHAI), NOW, stores, logged)


def changed(event: dict[str, Any], pointer: str, value: Any) -> dict[str, Any]:
    made: dict[str, Any] = apply_patch(event, [{"op": "add", "path": pointer, "value": value}])
    return made


def suggested(event: Any, found: Context | None = None) -> dict[str, Suggestion]:
    found = found or context()
    read = found.reads(event)
    assert isinstance(read, Rejected)
    return {each.name.value: each for each in suggest(event, read.reason, read.faults, found)}


def mended(event: Any, *names: str) -> Any:
    found = context()
    read = found.reads(event)
    assert isinstance(read, Rejected)
    made = repair(event, read.reason, read.faults, names, found)
    assert made is not None
    return apply_patch(event, made.patch)


@pytest.mark.parametrize(
    ("event", "pointer", "sent", "name", "value"),
    [
        (
            OPENED,
            "/time",
            "2026-01-05 09:30",
            Name.ADD_STORE_OFFSET,
            "2026-01-05T09:30:00+08:00",
        ),
        (
            OPENED,
            "/data/promised_at",
            "2026/1/5 17:00:00",
            Name.ADD_STORE_OFFSET,
            "2026-01-05T17:00:00+08:00",
        ),
        (
            OPENED,
            "/time",
            "2026-01-05 09:30:00 +0800",
            Name.SPELL_TIME,
            "2026-01-05T09:30:00+08:00",
        ),
        (
            OPENED,
            "/data/promised_at",
            1767603600,
            Name.SPELL_TIME,
            "2026-01-05T09:00:00+00:00",
        ),
        (
            OPENED,
            "/data/promised_at",
            "2026-01-05",
            Name.DAY_END,
            "2026-01-05T23:59:59+08:00",
        ),
        (
            SETTLED,
            "/data/delivered_at",
            "20260105",
            Name.DAY_START,
            "2026-01-05T00:00:00+08:00",
        ),
        (
            SETTLED,
            "/time",
            "2026-01-06T16:30:00Z",
            Name.READ_AS_STORE_TIME,
            None,
        ),
        (SETTLED, "/data/amounts/labor", "1,360.00", Name.PLAIN_NUMBER, "1360.00"),
        (SETTLED, "/data/jobs/0/amount", "￥360", Name.PLAIN_NUMBER, "360"),
        (OPENED, "/data/odometer_km", "42,010公里", Name.PLAIN_NUMBER, "42010"),
        (OPENED, "/data/waiter", "是", Name.READ_YES_NO, True),
        (INSPECTED, "/data/passed", "不合格", Name.READ_YES_NO, False),
        (OPENED, "/data/customer_no", 1001, Name.NUMBER_AS_TEXT, "1001"),
        (OPENED, "/subject", 4711, Name.NUMBER_AS_TEXT, "4711"),
        (
            CATALOG["customer.registered"].example_event,
            "/data/preferred_contact/from",
            " ０9:00",
            Name.TRIM_TEXT,
            "09:00",
        ),
        (OPENED, "/data/concerns", "异响", Name.WRAP_LIST, ["异响"]),
        (OPENED, "/type", "RepairOrderOpened", Name.NEAREST_TYPE, "repair_order.opened"),
        (OPENED, "/type", "repair_order.open", Name.NEAREST_TYPE, "repair_order.opened"),
        (OPENED, "/store", "sh01", Name.KNOWN_STORE_CODE, "SH01"),
        (OPENED, "/store", " SH 01", Name.KNOWN_STORE_CODE, "SH01"),
        (OPENED, "/specversion", 1.0, Name.ADD_SPECVERSION, "1.0"),
        (OPENED, "/specversion", "1", Name.ADD_SPECVERSION, "1.0"),
        (
            CATALOG["complaint.opened"].example_event,
            "/data/channel",
            "电话",
            Name.NEAREST_CHOICE,
            "phone",
        ),
        (
            CATALOG["repair_order.work_paused"].example_event,
            "/data/reason",
            "Awaiting Parts",
            Name.NEAREST_CHOICE,
            "awaiting_parts",
        ),
        (
            CATALOG["staff.timecard_recorded"].example_event,
            "/data/work_date",
            "2026年1月5日",
            Name.SPELL_DATE,
            "2026-01-05",
        ),
        (
            CATALOG["vehicle.registered"].example_event,
            "/data/purchased_on",
            "2023-06-17T23:30:00Z",
            Name.SPELL_DATE,
            "2023-06-18",
        ),
    ],
)
def test_each_rule_reads_what_was_meant(
    event: dict[str, Any], pointer: str, sent: Any, name: Name, value: Any
) -> None:
    if name is Name.READ_AS_STORE_TIME:
        # 16:30 in Shanghai was ten hours ago; as UTC it is yet to come
        sent, value = "2026-01-06T09:30:00Z", "2026-01-06T09:30:00+08:00"
    broken = changed(event, pointer, sent)
    found = suggested(broken)
    assert name in found, found
    (operation,) = found[name].patch
    assert (operation["path"], operation["value"]) == (pointer, value)
    assert found[name].settles
    assert found[name].action is Action.REPLAY
    assert isinstance(context().reads(mended(broken, name)), NewEvent)


@pytest.mark.parametrize("sent", ["", " ", "-", "无", "N/A"])
def test_an_optional_field_that_is_empty_is_left_out(sent: str) -> None:
    for pointer in ("/data/odometer_km", "/data/promised_at", "/data/waiter"):
        found = suggested(changed(OPENED, pointer, sent))
        assert found[Name.DROP_EMPTY].patch == ({"op": "remove", "path": pointer},)
        assert found[Name.DROP_EMPTY].settles
    # nobody may leave out what is required
    assert Name.DROP_EMPTY not in suggested(changed(INSPECTED, "/data/passed", sent))


def test_what_the_envelope_or_a_list_needs_is_not_left_out() -> None:
    for pointer in ("/time", "/store", "/type"):
        assert Name.DROP_EMPTY not in suggested(changed(OPENED, pointer, " "))
    parts = CATALOG["customer.registered"].example_event
    assert Name.DROP_EMPTY not in suggested(changed(parts, "/data/wanted_services", ["", ""]))
    job = changed(SETTLED, "/data/jobs/0/code", "")
    assert mended(job, "all")["data"]["jobs"][0].keys() == {"text", "hours", "amount", "pay_type"}


def test_data_that_were_sent_as_text_are_read() -> None:
    broken = changed(OPENED, "/data", orjson.dumps(OPENED["data"]).decode())
    assert mended(broken, Name.READ_DATA_TEXT) == OPENED


def test_a_missing_specversion_is_added() -> None:
    broken = {name: value for name, value in OPENED.items() if name != "specversion"}
    found = suggested(broken)
    assert found[Name.ADD_SPECVERSION].settles
    assert mended(broken, "add-specversion") == OPENED


def test_what_counts_as_something_else_is_read_along_with_what_is_wrong() -> None:
    broken = changed(changed(OPENED, "/data/work_type", "首保"), "/data/pay_type", "customer pay")
    assert isinstance(context().reads(broken), NewEvent), "it is taken, with a warning"
    broken = changed(broken, "/data/waiter", "否")
    whole = mended(broken, "all")
    assert whole["data"]["work_type"] == "first_maintenance"
    assert whole["data"]["pay_type"] == "CUSTOMER_PAY"
    assert whole["data"]["waiter"] is False


def test_several_faults_are_mended_one_after_the_other_or_all_together() -> None:
    broken = changed(OPENED, "/type", "RepairOrderOpened")
    broken = changed(broken, "/time", "2026-01-05 09:30")
    broken = changed(broken, "/data/waiter", "是")
    broken = changed(broken, "/data/odometer_km", "42,010")
    del broken["specversion"]
    found = suggested(broken)
    assert not found["add-specversion"].settles, "only the first is known to be wrong so far"
    assert found["all"].settles
    assert context().reads(mended(broken, "all")) == context().reads(
        changed(OPENED, "/data/waiter", value=True)
    )
    some = mended(broken, Name.ADD_SPECVERSION, Name.NEAREST_TYPE)
    assert (some["type"], some["time"]) == ("repair_order.opened", "2026-01-05 09:30")


def test_nothing_is_guessed_where_nothing_is_certain() -> None:
    for pointer, sent in (
        ("/time", "yesterday"),
        ("/data/odometer_km", "1,2"),
        ("/data/waiter", "maybe"),
        ("/data/odometer_km", -7),
    ):
        assert suggested(changed(OPENED, pointer, sent)) == {}, sent
    missing = deepcopy(OPENED)
    del missing["data"]["advisor"]
    assert suggested(missing) == {}
    assert Name.NEAREST_TYPE not in suggested(changed(OPENED, "/type", "customer.phoned"))


def test_an_ambiguous_local_time_is_not_put_into_the_zone() -> None:
    berlin = context()
    berlin = Context(berlin.reads, {"SH01": ZoneInfo("Europe/Berlin")}, NOW, ("SH01",))
    twice = changed(OPENED, "/time", "2025-10-26 02:30")
    assert suggested(twice, berlin) == {}
    assert Name.ADD_STORE_OFFSET in suggested(twice)


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (changed(OPENED, "/store", "SH99"), Name.MAKE_STORE),
        (changed(OPENED, "/time", "2026-02-05T09:30:00+08:00"), Name.WAIT_FOR_TIME),
        (changed(OPENED, "/type", "tyre.rotated"), Name.WAIT_FOR_UPGRADE),
        (
            changed(OPENED, "/dataschema", "https://example.com/v9"),
            Name.WAIT_FOR_UPGRADE,
        ),
        ({"工单号": "R1", "维修类型": "大修"}, Name.MEND_MAPPING),
        ([{"工单号": "R1"}, {"工单号": "R1"}], Name.MEND_MAPPING),
    ],
)
def test_what_no_patch_mends_gets_advice(event: Any, name: Name) -> None:
    (advice,) = suggested(event).values()
    assert (advice.name, advice.action, advice.patch) == (name, Action.ADVICE, ())


def test_advice_by_what_the_log_or_the_key_said() -> None:
    retraction = CATALOG["event.retracted"].example_event
    (waits,) = suggest(retraction, Reason.RETRACTION_TARGET_UNKNOWN, (), context())
    assert waits.name is Name.WAIT_FOR_TARGET
    unbound = (Fault("/store", KEY_NOT_BOUND, ""),)
    (bind,) = suggest(changed(OPENED, "/store", "S9"), Reason.UNKNOWN_STORE, unbound, context())
    assert bind.name is Name.BIND_KEY
    now, bind = suggest(OPENED, Reason.UNKNOWN_STORE, unbound, context())
    assert (now.name, bind.name) == (Name.REPLAY_NOW, Name.BIND_KEY)
    reserved = (Fault("/subject", "reserved", ""),)
    assert suggest(OPENED, Reason.INVALID_DATA, reserved, context()) == []
    assert suggest(None, Reason.MISSING_ATTRIBUTE, (), context()) == []
    assert suggest("text", Reason.MISSING_ATTRIBUTE, (), context()) == []


def logged(data: dict[str, Any] | None = None, **more: Any) -> Context:
    read = context().reads(OPENED)
    assert isinstance(read, NewEvent)
    both = join(orjson.loads(read.data), orjson.loads(read.aside or b"{}"))
    found = Logged(read.type, read.subject, read.occurred_at, both | (data or {}))
    return context(replace(found, **more))


def test_a_conflict_is_kept_as_a_correction_under_a_new_id() -> None:
    (kept,) = suggest(OPENED, Reason.IDENTITY_CONFLICT, (), logged({"advisor": "A09"}))
    assert kept.name is Name.KEEP_AS_CORRECTION
    corrected = apply_patch(OPENED, kept.patch)
    assert corrected == OPENED | {"id": OPENED["id"] + "~2"}
    (retraction,) = kept.first
    assert retraction["data"]["id"] == OPENED["id"]
    assert retraction["subject"] == OPENED["subject"]
    for event in (corrected, *kept.first):
        assert isinstance(context().reads(event), NewEvent)
    (again,) = suggest(corrected, Reason.IDENTITY_CONFLICT, (), logged({"advisor": "A09"}))
    assert again.patch[0]["value"] == OPENED["id"] + "~3"
    too_long = OPENED | {"id": "x" * 128}
    assert suggest(too_long, Reason.IDENTITY_CONFLICT, (), logged({"advisor": "A09"})) == []
    assert suggest(OPENED, Reason.IDENTITY_CONFLICT, (), context()) == []
    assert repair(OPENED, Reason.IDENTITY_CONFLICT, (), ["keep-as-correction"], logged()) == kept


def test_a_conflict_about_nothing_may_be_discarded() -> None:
    alike = {"advisor": "a07", "pay_type": "CUSTOMER_PAY ", "remark": ""}
    first, second = suggest(OPENED, Reason.IDENTITY_CONFLICT, (), logged(alike))
    assert (first.name, first.action) == (Name.DISCARD_TRIVIAL, Action.DISCARD)
    assert second.name is Name.KEEP_AS_CORRECTION
    for other in ({"advisor": "A70"}, {"odometer_km": 42011}, {"waiter": False}):
        found = suggest(OPENED, Reason.IDENTITY_CONFLICT, (), logged(other))
        assert [each.name for each in found] == [Name.KEEP_AS_CORRECTION], other
    (only,) = suggest(OPENED, Reason.IDENTITY_CONFLICT, (), logged(subject="R-other"))
    assert only.name is Name.KEEP_AS_CORRECTION


def test_nothing_is_repaired_by_a_name_that_is_not_suggested() -> None:
    broken = changed(OPENED, "/data/waiter", "是")
    read = context().reads(broken)
    assert isinstance(read, Rejected)
    for names in (["add-store-offset"], ["make-store"], ["no-such"], []):
        assert repair(broken, read.reason, read.faults, names, context()) is None
    assert repair(OPENED, Reason.TIME_IN_FUTURE, (), ["replay-now"], context()) is not None


def test_odd_values_don_t_trouble_the_rules() -> None:
    deep = orjson.loads("[" * 1_000 + "]" * 1_000)
    for pointer in ("/time", "/type", "/store", "/specversion", "/subject", "/id", "/source"):
        for sent in (None, [], {}, [1], {"a": 1}, True, 10**300, float("inf"), "\0", "\ud800"):
            suggested(changed(OPENED, pointer, sent)) if sent != OPENED[pointer[1:]] else None
    for field in OPENED["data"]:
        for odd in ([], {}, [[1]], {"a": 1}, 10**300, float("inf"), "\0", "\ud800", deep):
            event = deepcopy(OPENED)
            event["data"][field] = odd
            read = context().reads(event)
            if isinstance(read, Rejected):
                suggest(event, read.reason, read.faults, context())


def test_every_name_has_its_words() -> None:
    assert set(WORDS) == set(Name)
    for words in WORDS.values():
        assert words.en.endswith((".", "."))
        assert words.zh.endswith("。")


def test_near_misses() -> None:
    channels = ("phone", "sms", "email")
    assert nearest("Phone ", channels) == "phone"
    assert nearest("e-mail", channels) == "email"
    assert nearest("短信", channels) == "sms"
    assert nearest("phome", channels) == "phone"
    assert nearest("phone", channels) is None, "it is right as it is"
    for other in ("fax", "", "!!", None, 7, "信函"):
        assert nearest(other, channels) is None
    assert nearest("ab", ("a_b", "a-b")) is None, "two may be meant"
    assert nearest_type("RepairOrder.WorkStarted", CATALOG) == "repair_order.work_started"
    assert nearest_type("follow_up.overdue", CATALOG) != "follow_up.overdue", "it is the service's"
    assert nearest_store("ｓｈ０１", ["SH01", "SH02"]) == "SH01"
    assert nearest_store("sh01", ["SH01", "Sh01"]) is None
    assert nearest_store(7, ["7"]) is None
    model = CATALOG["customer.registered"].model
    assert "wechat" in choices_at(model, ["preferred_contact", "channel"])
    assert choices_at(model, ["segment", "x"]) == choices_at(model, ["none"]) == ()


# The law

Break = Callable[[Any], Any]
BREAKS: dict[str, Sequence[Break]] = {
    "time": (
        lambda value: value[:19].replace("T", " "),
        lambda value: value[:16].replace("-", "/"),
        lambda value: value.replace("+08:00", "+0800"),
        lambda _: "soon",
    ),
    "number": (
        lambda value: f"{float(value) + 1000:,.2f}",
        lambda value: f"￥{value}",
        lambda _: "-",
        lambda _: "many",
        lambda _: "",
    ),
    "flag": (lambda value: "是" if value else "否", lambda _: "perhaps", int),
    "text": (lambda value: f" {value}　", lambda _: 7, lambda _: ["x"]),
    "list": (lambda value: value[0], lambda _: {}),
}
PLACES: dict[str, str] = {
    "/time": "time",
    "/data/promised_at": "time",
    "/data/odometer_km": "number",
    "/data/estimate_amount": "number",
    "/data/estimate_hours": "number",
    "/data/waiter": "flag",
    "/data/advisor": "text",
    "/data/customer_no": "text",
    "/data/concerns": "list",
}
ENVELOPE: dict[str, Sequence[Break]] = {
    "/type": (lambda _: "RepairOrderOpened", lambda _: "repair order.opened", lambda _: "x.y"),
    "/store": (lambda value: value.lower(), lambda value: f"{value} ", lambda _: "S9"),
    "/specversion": (lambda _: 1.0, lambda _: "", lambda _: "9"),
    "/subject": (lambda _: 12, lambda _: ""),
}


@st.composite
def broken_events(draw: st.DrawFn) -> tuple[dict[str, Any], set[str]]:
    """Break a valid event in a few places; gives the places too."""
    event = deepcopy(OPENED)
    places = draw(st.lists(st.sampled_from([*PLACES, *ENVELOPE]), min_size=1, unique=True))
    for place in places:
        breaks = ENVELOPE.get(place) or BREAKS[PLACES[place]]
        event = changed(event, place, draw(st.sampled_from(breaks))(get_at(event, place)))
    return event, set(places)


@given(broken_events())
def test_no_suggestion_makes_a_fault_where_there_was_none(
    broken: tuple[dict[str, Any], set[str]],
) -> None:
    """Whatever is applied, alone or together: what was right stays right, and is left alone."""
    event, places = broken
    read = context().reads(event)
    if isinstance(read, NewEvent):
        return
    for each in suggest(event, read.reason, read.faults, context()):
        if each.action is not Action.REPLAY:
            continue
        assert {operation["path"] for operation in each.patch} <= places, each
        after = context().reads(apply_patch(event, each.patch))
        assert each.settles == isinstance(after, NewEvent)
        if isinstance(after, Rejected):
            assert {fault.pointer for fault in after.faults} <= places, each


@given(broken_events())
def test_applying_again_and_again_comes_to_an_end_that_nothing_can_mend(
    broken: tuple[dict[str, Any], set[str]],
) -> None:
    event: Any = broken[0]
    for _ in range(12):
        read = context().reads(event)
        if isinstance(read, NewEvent):
            return
        found = suggest(event, read.reason, read.faults, context())
        patches = [each.patch for each in found if each.action is Action.REPLAY]
        if not patches:
            return
        event = apply_patch(event, patches[0])
    raise AssertionError("it goes round in a ring")


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/time", "9999-12-31"),
        ("/time", "9999-12-31T23:59:59-08:00"),
        ("/time", "0001-01-01T00:00:00+08:00"),
        ("/data/promised_at", "9999-12-31"),
        ("/data/promised_at", "9999-12-31 23:59:59 -08:00"),
    ],
)
def test_a_moment_at_the_end_of_time_stands_for_none(pointer: str, value: str) -> None:
    """As databases write it where they know none; there is nothing to make of it."""
    found = suggested(changed(OPENED, pointer, value))
    assert not any(each.patch for each in found.values() if each.action is Action.REPLAY)
    card = changed(CATALOG["staff.timecard_recorded"].example_event, "/data/work_date", value)
    assert not any(each.patch for each in suggested(card).values() if "date" in each.name)
