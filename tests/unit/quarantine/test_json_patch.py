"""JSON Patch: the examples of RFC 6902, appendix A, and what must never happen."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidInputError
from app.domain.json_patch import MAX_COPIED, MAX_OPERATIONS, apply_patch, check_patch, get_at

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


def op(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": name, "path": path, **more}


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        ({"foo": "bar"}, op("add", "/baz", value="qux"), {"baz": "qux", "foo": "bar"}),
        ({"foo": ["bar"]}, op("add", "/foo/0", value="q"), {"foo": ["q", "bar"]}),
        ({"baz": 1, "foo": 2}, op("remove", "/baz"), {"foo": 2}),
        ({"foo": ["a", "b", "c"]}, op("remove", "/foo/1"), {"foo": ["a", "c"]}),
        ({"baz": 1, "foo": 2}, op("replace", "/baz", value=3), {"baz": 3, "foo": 2}),
        ({"foo": [1, 2]}, op("replace", "/foo/1", value=3), {"foo": [1, 3]}),
        (
            {"foo": {"bar": 1, "waldo": 2}, "qux": {"corge": 3}},
            {"op": "move", "from": "/foo/waldo", "path": "/qux/thud"},
            {"foo": {"bar": 1}, "qux": {"corge": 3, "thud": 2}},
        ),
        (
            {"foo": ["all", "grass", "cows", "eat"]},
            {"op": "move", "from": "/foo/1", "path": "/foo/3"},
            {"foo": ["all", "cows", "eat", "grass"]},
        ),
        ({"a": [1]}, {"op": "copy", "from": "/a", "path": "/b"}, {"a": [1], "b": [1]}),
        ({"baz": "qux", "foo": ["a", 2]}, op("test", "/foo/1", value=2), None),
        ({"foo": "bar"}, op("add", "/child", value={"g": {}}), {"foo": "bar", "child": {"g": {}}}),
        ({"foo": "bar"}, op("add", "/b", value=1, xyz=2), {"foo": "bar", "b": 1}),
        ({"/": 9, "~1": 10}, op("test", "/~01", value=10), None),
        ({"foo": ["bar"]}, op("add", "/foo/-", value=["x"]), {"foo": ["bar", ["x"]]}),
        ({"": 1}, op("replace", "/", value=2), {"": 2}),
        ({"a": 1}, op("replace", "", value=[1]), [1]),
        ({"a": 1.0}, op("test", "/a", value=1), None),
    ],
)
def test_the_operations_do_what_the_rfc_says(document: Any, patch: Any, expected: Any) -> None:
    before = deepcopy(document)
    assert apply_patch(document, [patch]) == (before if expected is None else expected)
    assert document == before


@pytest.mark.parametrize(
    ("document", "patch"),
    [
        ({"baz": "qux"}, op("test", "/baz", value="bar")),
        ({"foo": "bar"}, op("add", "/baz/bat", value="qux")),
        ({"foo": "bar"}, op("remove", "/baz")),
        ({"foo": "bar"}, op("replace", "/baz", value=1)),
        ({"/": 9, "~1": "10"}, op("test", "/~01", value=10)),
        ({"a": True}, op("test", "/a", value=1)),
        ([1], op("add", "/2", value=1)),
        ([1], op("add", "/01", value=1)),
        ([1], op("add", "/1e0", value=1)),
        ([1], op("remove", "/-")),
        ([1], op("remove", "/" + "9" * 5000)),
        ({"a": {"b": 1}}, {"op": "move", "from": "/a", "path": "/a/b"}),
        ({"a": 1}, op("remove", "")),
        ({"a": 1}, op("add", "a", value=1)),
        ({"a": 1}, op("add", "/a")),
        ({"a": 1}, op("polish", "/a", value=1)),
        ({"a": 1}, {"op": "move", "path": "/b"}),
        ({"a": 1}, {"op": "add", "path": 7, "value": 1}),
        ({"a": 1}, {}),
        ({"a": 1}, {"op": ["add"], "path": "/a", "value": 1}),
    ],
)
def test_what_does_not_fit_is_refused_as_a_whole(document: Any, patch: dict[str, Any]) -> None:
    before = deepcopy(document)
    with pytest.raises(InvalidInputError) as refused:
        apply_patch(document, [op("test", "", value=before), patch])
    assert refused.value.faults[0].pointer == "/1"
    assert document == before


def test_a_malformed_patch_is_found_without_a_document() -> None:
    check_patch([op("add", "/a", value=None), op("remove", "/b")])
    for broken in (op("add", "/a"), op("remove", "b"), {"op": "copy", "path": "/a"}):
        with pytest.raises(InvalidInputError, match=r"missing|pointer"):
            check_patch([broken])


def test_it_has_bounds() -> None:
    with pytest.raises(InvalidInputError, match="at most"):
        apply_patch({}, [op("add", "/a", value=1)] * (MAX_OPERATIONS + 1))
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidInputError, match="deeply"):
        apply_patch(deep, [])


@given(JSON, JSON)
def test_replacing_the_whole_gives_just_that(document: Any, value: Any) -> None:
    assert apply_patch(document, [op("replace", "", value=value)]) == value


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4), st.text(max_size=4), JSON)
def test_what_was_added_is_found_there_and_can_be_taken_away_again(
    document: dict[str, Any], name: str, value: Any
) -> None:
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    added = apply_patch(document, [op("add", pointer, value=value)])
    assert get_at(added, pointer) == value
    without = {key: inner for key, inner in document.items() if key != name}
    assert apply_patch(added, [op("remove", pointer)]) == without


@pytest.mark.parametrize("names", [("x", "y"), ("x", "x")])
def test_copies_of_copies_come_to_an_end(names: tuple[str, ...]) -> None:
    """Each could double the document, or nest it deeper: forty of them would fill any memory."""
    document = {"data": {"a": "b"}}
    copies = [{"op": "copy", "from": "/data", "path": f"/data/{name}"} for name in names * 499]
    with pytest.raises(InvalidInputError) as refused:
        apply_patch(document, copies)
    (fault,) = refused.value.faults
    assert fault.code == "cannot-apply"
    assert document == {"data": {"a": "b"}}
    long = {"data": "x" * (MAX_COPIED - 10)}
    assert apply_patch(long, [op("copy", "/again", **{"from": "/data"})])["again"] == long["data"]
