"""Lines of a stream: the same however it is cut, and never more held than one line."""

import hashlib
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import MalformedBodyError
from app.domain.lines import KEPT_OF_LONG_LINE, Line, LineReader

LIMIT = 100_000
TEXTS = st.sampled_from((b"", b" ", b"\t", b"a", b'{"id":"x"}', "车".encode(), b"\xff", b"x" * 60))
ENDS = st.sampled_from((b"\n", b"\r\n", b"\r"))


def read(*parts: bytes, limit: int = LIMIT) -> list[Line]:
    reader = LineReader(limit=limit)
    return [line for part in parts for line in reader.feed(part)] + reader.finish()


def bodies(*parts: bytes) -> list[tuple[int, bytes]]:
    return [(line.number, line.body) for line in read(*parts)]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


@given(st.lists(st.tuples(TEXTS, ENDS)), TEXTS, st.lists(st.integers(0, 10_000)), st.booleans())
def test_lines_are_the_same_however_the_stream_is_cut(
    lines: list[tuple[bytes, bytes]], last: bytes, places: list[int], marked: bool
) -> None:
    data = b"".join(text + end for text, end in lines) + last
    # a CR that ends an empty line's text and an LF that begins the next are one end
    texts = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    expected = [
        Line(number, text, len(text), None, number < len(texts))
        for number, text in enumerate(texts, 1)
        if text.strip()
    ]
    sent = (b"\xef\xbb\xbf" if marked else b"") + data
    assert read(*cut(sent, places)) == expected


@given(st.integers(0, 40), st.integers(30, 50), st.lists(st.integers(0, 10_000)))
def test_a_line_over_the_limit_is_told_by_its_size_and_hash(
    before: int, size: int, places: list[int]
) -> None:
    long = bytes(range(48, 48 + size))
    data = b"a" * before + b"\n" + long + b"\nlast"
    lines = read(*cut(data, places), limit=45)
    assert (lines[-1].number, lines[-1].body, lines[-1].ended) == (3, b"last", False)
    found = next(line for line in lines if line.number == 2)
    assert (found.body, found.size) == (long, size)
    assert found.digest == (hashlib.sha256(long).digest() if size > 45 else None)


def test_a_line_of_100_mib_is_not_held() -> None:
    reader = LineReader(limit=1_048_576)
    part = b"x" * 65_536
    assert reader.feed(b'{"a":1}\n') == [Line(1, b'{"a":1}', 7)]
    digest = hashlib.sha256()
    tracemalloc.start()
    for _ in range(1600):
        assert reader.feed(part) == []
        digest.update(part)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 1_048_576
    long, after = reader.feed(b"\nafter\n")
    assert after == Line(3, b"after", 5)
    assert (long.size, long.digest) == (100 * 1_048_576, digest.digest())
    assert long.body == part[:KEPT_OF_LONG_LINE]
    assert reader.number == 3


def test_a_cr_at_the_end_of_a_part_and_the_lf_after_it_are_one_end() -> None:
    assert bodies(b"one\r", b"\ntwo\r", b"three") == [(1, b"one"), (2, b"two"), (3, b"three")]


@pytest.mark.parametrize("data", [b"", b"\n\r\n \n", b"\xef\xbb\xbf", b" "])
def test_what_holds_no_line(data: bytes) -> None:
    assert bodies(data) == []


def test_a_part_of_a_byte_order_mark_is_a_line() -> None:
    assert bodies(b"\xef\xbb") == [(1, b"\xef\xbb")]


def test_utf16_is_refused_at_the_start_only() -> None:
    for mark in (b"\xff\xfe", b"\xfe\xff"):
        with pytest.raises(MalformedBodyError, match="UTF-16"):
            LineReader(limit=LIMIT).feed(mark + b"{\0")
        with pytest.raises(MalformedBodyError, match="UTF-16"):
            read(mark)
        assert bodies(b"abc\n" + mark) == [(1, b"abc"), (2, mark)]
