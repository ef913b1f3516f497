"""Elements of a JSON array: the same however the text is cut, and never more held than one."""

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.elements import ElementReader
from app.domain.errors import MalformedBodyError

SCALARS = st.none() | st.booleans() | st.integers() | st.text()
OBJECTS = st.dictionaries(st.text(), SCALARS | st.lists(SCALARS, max_size=3), max_size=3)
VALUES = OBJECTS | SCALARS
SPACES = st.sampled_from(("", " ", "\n\t", "\r\n  "))


def read(text: str, places: list[int], *, limit: int = 10_000) -> Iterator[str]:
    reader = ElementReader(limit=limit)
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    for start, end in pairwise(bounds):
        yield from (line.body.decode() for line in reader.feed(text[start:end]))
    yield from (line.body.decode() for line in reader.finish())


@given(st.lists(VALUES), SPACES, st.lists(st.integers(0, 10_000), max_size=8), st.booleans())
def test_the_elements_of_an_array_are_the_same_however_it_is_cut(
    values: list[object], space: str, places: list[int], pretty: bool
) -> None:
    text = space + json.dumps(values, indent=2 if pretty else None) + space
    assert [json.loads(element) for element in read(text, places)] == values


@given(st.lists(OBJECTS, min_size=1), st.lists(st.integers(0, 10_000), max_size=8))
def test_values_one_after_the_other_are_read_too(values: list[object], places: list[int]) -> None:
    text = "\n".join(json.dumps(value, indent=1) for value in values)
    assert [json.loads(element) for element in read(text, places)] == values


@given(st.lists(OBJECTS, min_size=2, max_size=5), st.integers(0, 10_000), st.data())
def test_what_stands_before_a_break_is_given_before_the_break_is_told(
    values: list[object], place: int, data: st.DataObject
) -> None:
    text = json.dumps(values)
    cut = text[: place % (len(text) - 1)]
    found: list[object] = []
    places = data.draw(st.lists(st.integers(0, 10_000), max_size=4))
    if not cut:
        assert list(read(cut, places)) == []
        return
    with pytest.raises(MalformedBodyError):
        found.extend(json.loads(element) for element in read(cut, places))
    whole = [
        value
        for number, value in enumerate(values, 1)
        if len(json.dumps(values[:number])) - 1 <= len(cut)
    ]
    assert found == whole


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"a":1} {"b":2}]', "After element 1"),
        ("[1,,2]", "Element 2"),
        ("[1,]", "Element 2"),
        ("[1] 2", "After element 1"),
        ("[,1]", "Element 1"),
        ('[{"a":', "Element 1"),
        ("[1, 2", "the rest is missing"),
        ("[" + "[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(MalformedBodyError, match=said):
        list(read(text, [], limit=200_000))


def test_no_more_than_one_element_within_the_limit_is_held() -> None:
    with pytest.raises(MalformedBodyError, match="longer than 100"):
        list(read('[1,"' + "x" * 1000, list(range(0, 1000, 10)), limit=100))
