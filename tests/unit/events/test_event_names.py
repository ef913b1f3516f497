"""Names where staff numbers belong: their normal form, their surrogates, and their way in."""

import re
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import structs
from pydantic import ValidationError

from app.domain.events.catalog import CATALOG
from app.domain.events.compose import make_event
from app.domain.events.envelope import NewEvent, Rejected
from app.domain.events.names import (
    STAFF_NO_PATTERN,
    SURROGATE_PATTERN,
    Naming,
    is_surrogate,
    normalized,
    staff_no_in,
    surrogate_of,
    texts_beside,
)
from app.domain.events.parse import Limits, parse_event
from app.domain.events.repair_order import RepairOrderDispatched
from app.domain.events.shape import Shape, join
from tests.support.facts import event

SECRET: Final = b"unit test secret"
NOW: Final = datetime(2026, 7, 1, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NAMES = TEXTS.filter(normalized).filter(lambda text: staff_no_in(text) is None)


def parse(event_type: str, subject: str = "R1", *, store: str = "S1", **data: Any) -> Any:
    return parse_event(
        event(event_type, subject, event_id="e", store=store, **data),
        limits=Limits(),
        now=NOW,
        secret=SECRET,
        known_store=lambda _: True,
    )


def accepted(event_type: str, subject: str = "R1", **more: Any) -> NewEvent:
    parsed = parse(event_type, subject, **more)
    assert isinstance(parsed, NewEvent), parsed
    return parsed


def data_of(parsed: NewEvent) -> tuple[Any, Any]:
    """Both sides of the log."""
    return orjson.loads(parsed.data), orjson.loads(parsed.aside or b"{}")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("王伟", "王　伟"),
        ("王伟", "\t王 伟 \n"),
        ("王伟", "王伟\u200b"),
        ("欧阳 建国", "欧阳建国"),
        ("张（一组）", "张(一组)"),
        ("Ann  Smith", "ＡＮＮ SMITH"),
        ("Straße", "STRASSE"),
        ("Zoë", "Zoe\u0308"),
        ("ﾜﾝ", "ワン"),
    ],
)
def test_spellings_of_one_name_are_one(one: str, other: str) -> None:
    assert normalized(one) == normalized(other)
    assert surrogate_of(SECRET, "S1", one) == surrogate_of(SECRET, "S1", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("王伟", "王玮"), ("Ann Smith", "Annsmith"), ("王伟", "王伟2"), ("O'Neill", "O Neill")],
)
def test_names_that_differ_stay_apart(one: str, other: str) -> None:
    assert normalized(one) != normalized(other)
    assert surrogate_of(SECRET, "S1", one) != surrogate_of(SECRET, "S1", other)


@given(TEXTS)
def test_the_normal_form_is_its_own(text: str) -> None:
    assert normalized(normalized(text)) == normalized(text)


@given(NAMES)
def test_a_surrogate_says_nothing_and_hangs_on_secret_and_store(text: str) -> None:
    found = surrogate_of(SECRET, "S1", text)
    assert is_surrogate(found)
    assert re.fullmatch(SURROGATE_PATTERN, found)
    assert staff_no_in(found) is None
    assert len({found, surrogate_of(b"x", "S1", text), surrogate_of(SECRET, "S2", text)}) == 3


@given(NAMES, TEXTS)
def test_what_was_sent_lies_beside_the_log_alone(text: str, other: str) -> None:
    sent = accepted("repair_order.dispatched", technician=text, team="RED")
    log, aside = data_of(sent)
    assert log == {"technician": surrogate_of(SECRET, "S1", text), "team": "RED"}
    assert aside == {"technician": text}
    assert dict(texts_beside(log, aside)) == {log["technician"]: text}
    assert join(log, aside) == {"technician": text, "team": "RED"}
    again = accepted("repair_order.dispatched", technician=text, team="RED")
    assert again.content_hash == sent.content_hash
    assume(normalized(other) and other != text)
    changed = accepted("repair_order.dispatched", technician=other, team="RED")
    assert changed.content_hash != sent.content_hash


@given(st.from_regex(STAFF_NO_PATTERN, fullmatch=True).filter(lambda text: "\n" not in text))
def test_a_staff_number_is_what_it_was(number: str) -> None:
    sent = accepted("repair_order.dispatched", technician=number)
    assert data_of(sent) == ({"technician": number}, {})
    padded = accepted("repair_order.dispatched", technician=f" {number}　")
    assert data_of(padded) == ({"technician": number}, {})
    assert padded.content_hash == sent.content_hash


def test_a_full_width_number_is_that_number() -> None:
    assert data_of(accepted("repair_order.dispatched", technician="Ｔ－１２")) == (
        {"technician": "T-12"},
        {},
    )


@pytest.mark.parametrize("more", [{}, {"x": 1}])
def test_nobody_can_send_a_surrogate(more: dict[str, Any]) -> None:
    """What looks like one is a name like any other, on both ways through the door."""
    known = surrogate_of(SECRET, "S1", "王伟")
    log, aside = data_of(accepted("repair_order.dispatched", technician=known, **more))
    assert log["technician"] == surrogate_of(SECRET, "S1", known) != known
    assert aside == {"technician": known, **more}


@pytest.mark.parametrize("field", ["name_key", "alias_keys"])
def test_nobody_can_send_what_resolves_names(field: str) -> None:
    key = surrogate_of(SECRET, "S1", "王伟")
    data: dict[str, Any] = {field: key if field == "name_key" else [key], "name": "王伟"}
    rejected = parse("staff.registered", "A7", **data)
    assert isinstance(rejected, Rejected)
    assert [(fault.pointer, fault.code) for fault in rejected.faults] == [
        (f"/data/{field}", "reserved")
    ]


def test_a_registration_has_what_resolves_its_names() -> None:
    sent = accepted("staff.registered", "A7", name="王伟", aliases=["王 伟", "小王", " "])
    log, aside = data_of(sent)
    keys = [surrogate_of(SECRET, "S1", name) for name in ("王伟", "小王")]
    assert log == {"name_key": keys[0], "alias_keys": sorted(keys)}
    assert aside == {"name": "王伟", "aliases": ["王 伟", "小王", " "]}
    assert data_of(accepted("staff.registered", "A7", team="RED")) == ({"team": "RED"}, {})
    assert data_of(accepted("staff.registered", "A7", aliases=[]))[0] == {"alias_keys": []}


@pytest.mark.parametrize("more", [{}, {"x": 1}])
def test_a_registered_name_of_the_form_of_a_number_is_warned_of(more: dict[str, Any]) -> None:
    """Where exports hold it, it is taken for a number."""
    sent = accepted("staff.registered", "A7", name="Kevin", aliases=["王伟", "kev"], **more)
    assert [(fault.pointer, fault.code) for fault in sent.warnings] == [
        ("/data/name", "counts-as-staff-number"),
        ("/data/aliases/1", "counts-as-staff-number"),
    ]
    assert "Kevin" not in sent.data.decode()


def test_a_name_that_cant_be_stored_is_no_key() -> None:
    assert Naming(SECRET, "S1").key_of("\ud800王") is None
    assert Naming(SECRET, "S1").key_of(" \u200b") is None
    assert staff_no_in("\ud800") is None
    assert staff_no_in(7) is None


def test_names_may_stand_in_parts_and_lists() -> None:
    """As a type to come may have them."""
    from pydantic import Field  # noqa: PLC0415 - of this test alone

    from app.domain.events.form import Form  # noqa: PLC0415
    from app.domain.events.payload import Part, Payload, StaffNo  # noqa: PLC0415

    class Work(Part):
        technician: StaffNo | None = Field(None)
        helpers: list[StaffNo] | None = Field(None)

    class Sheet(Payload):
        works: list[Work] | None = Field(None)
        work: Work | None = Field(None)

    sent = {
        "works": [
            {"technician": "T1"},
            {"technician": "王伟", "helpers": ["T2", "李 娜", "T3"]},
            {"technician": "T1"},
        ],
        "work": {"helpers": ["T1"]},
    }
    form, names = Form(Sheet), Naming(SECRET, "S1")
    quick = form.known(form.read(sent, context=names), sent, Limits(), names)
    careful = form.take(sent, Limits(), Naming(SECRET, "S1"))
    assert quick is not None
    assert not isinstance(careful, list)
    assert structs.replace(quick, aside=None) == structs.replace(careful, aside=None)
    assert orjson.loads(quick.aside or b"") == orjson.loads(careful.aside or b"")
    wang, li = (surrogate_of(SECRET, "S1", name) for name in ("王伟", "李娜"))
    assert orjson.loads(quick.data) == {
        "works": [
            {"technician": "T1"},
            {"technician": wang, "helpers": ["T2", li, "T3"]},
            {"technician": "T1"},
        ],
        "work": {"helpers": ["T1"]},
    }
    assert orjson.loads(quick.aside or b"") == {
        "works": [None, {"technician": "王伟", "helpers": [None, "李 娜"]}]
    }
    assert dict(texts_beside(orjson.loads(quick.data), orjson.loads(quick.aside or b""))) == {
        wang: "王伟",
        li: "李 娜",
    }
    assert form.made(form.read_json(quick.data)).data == quick.data
    assert Shape.of(Sheet).has_staff
    assert not Shape.of(Sheet).has_personal


@pytest.mark.parametrize("technician", ["T1", surrogate_of(SECRET, "S1", "王伟")])
def test_what_is_made_here_may_name_a_surrogate(technician: str) -> None:
    made = make(RepairOrderDispatched(technician=technician))
    assert data_of(made) == ({"technician": technician}, {})


def test_what_is_made_here_never_brings_a_name_into_the_log() -> None:
    with pytest.raises(ValueError, match="a name stands"):
        make(RepairOrderDispatched(technician="王伟"))


def make(payload: RepairOrderDispatched) -> NewEvent:
    return make_event(
        store_id="S1",
        source="/dms/test",
        event_id="e",
        event_type="repair_order.dispatched",
        subject="R1",
        occurred_at=NOW,
        payload=payload,
        secret=SECRET,
    )


def test_the_log_is_read_as_it_is() -> None:
    known = surrogate_of(SECRET, "S1", "王伟")
    form = CATALOG["repair_order.dispatched"].forms[-1]
    payload = form.read_json(orjson.dumps({"technician": known}))
    assert isinstance(payload, RepairOrderDispatched)
    assert payload.technician == known


@pytest.mark.parametrize(
    ("sent", "code"),
    [("王伟", None), ("A7", None), ("~x", None), (" ", "too-short"), ("x" * 129, "too-long")],
)
def test_without_a_door_a_text_is_taken_as_it_is(sent: str, code: str | None) -> None:
    """As in the bodies of commands, whose texts go through the door afterwards."""
    if code is None:
        assert RepairOrderDispatched.model_validate({"technician": sent}).technician == sent
        return
    with pytest.raises(ValidationError) as raised:
        RepairOrderDispatched.model_validate({"technician": sent})
    assert code in {error["type"] for error in raised.value.errors()}
