import base64
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidInputError
from app.domain.pages import KeyPart, PageRequest, decode_cursor, encode_cursor, page_of

PARTS = st.one_of(
    st.none(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.dates(),
    st.datetimes(timezones=st.just(UTC)),
)


@given(st.lists(PARTS, max_size=4).map(tuple))
def test_a_cursor_gives_back_the_key(key: tuple[KeyPart, ...]) -> None:
    cursor = encode_cursor(key)
    assert decode_cursor(cursor) == key
    assert cursor.replace("-", "").replace("_", "").isalnum() or not key


def test_times_come_back_in_utc() -> None:
    there = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=8)))
    (back,) = decode_cursor(encode_cursor((there,)))
    assert isinstance(back, datetime)
    assert (back, back.utcoffset()) == (there, timedelta(0))


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "abc",
        "é",
        "====",
        _cursor("{}"),
        _cursor('[["x","1"]]'),
        _cursor('[["i","1"]]'),
        _cursor('[["i",true]]'),
        _cursor('[["i",92233720368547758080]]'),
        _cursor('[["t","2026-01-01T00:00:00"]]'),
        _cursor('[["t","tomorrow"]]'),
        _cursor('[["t","0001-01-01T00:00:00+14:00"]]'),
        _cursor('[["t","9999-12-31T23:59:59-14:00"]]'),
        _cursor('[["d","2026-02-30"]]'),
        _cursor('[["s","\\u0000"]]'),
        _cursor('[["s"]]'),
    ],
)
def test_what_no_page_gave_out_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        decode_cursor(cursor)
    assert raised.value.faults[0].pointer == "/query/cursor"


def test_the_key_of_another_list_is_refused() -> None:
    request = PageRequest(after=("SH01", 3))
    assert request.key(str, int) == ("SH01", 3)
    for types in ((str,), (str, str), (str, datetime), (str, int, int)):
        with pytest.raises(InvalidInputError):
            request.key(*types)
    assert PageRequest(after=(datetime(2026, 1, 1, tzinfo=UTC),)).key(datetime) is not None
    with pytest.raises(InvalidInputError):
        PageRequest(after=(datetime(2026, 1, 1, tzinfo=UTC),)).key(date)
    assert PageRequest().key(str) is None


def test_a_page_has_a_next_one_only_if_more_was_found() -> None:
    full = page_of([1, 2, 3], 2, lambda item: (item,))
    assert (full.items, full.next_after) == ([1, 2], (2,))
    last = page_of([1, 2], 2, lambda item: (item,))
    assert (last.items, last.next_after) == ([1, 2], None)
