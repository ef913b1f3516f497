"""Lines become events, or what stands for one; an item that was kept is read as it was."""

from datetime import UTC, datetime

import orjson
from hypothesis import given
from hypothesis import strategies as st

from app.domain.events.envelope import NewEvent, Reason, Rejected
from app.domain.events.ndjson import Lines, read_item
from app.domain.events.parse import Limits, parse_event
from app.domain.lines import LineReader
from tests.support.facts import opened

GOOD = orjson.dumps(opened("R1"))
LIMIT = 2_000
KINDS = st.sampled_from(
    (
        GOOD,
        b"{}",
        b"[]",
        b"7",
        b"{",
        b"\xff",
        b'{"id": NaN}',
        b'{"id":"\\ud800"}',
        b"[" * 900 + b"]" * 900,
        b'{"a":' * 350 + b"1" + b"}" * 350,
        b'"' + b"x" * LIMIT + b'"',
        b"[" + b"1," * LIMIT,
    )
)


def parsed(item: object) -> NewEvent | Rejected:
    return parse_event(
        item,
        limits=Limits(),
        now=datetime(2026, 7, 1, tzinfo=UTC),
        secret=bytes(32),
        known_store=lambda store_id: store_id == "S1",
    )


@given(st.lists(KINDS, min_size=1, max_size=8))
def test_an_item_that_was_kept_is_read_as_its_line_was(bodies: list[bytes]) -> None:
    reader = LineReader(limit=LIMIT)
    lines = reader.feed(b"\n".join(bodies) + b"\n") + reader.finish()
    message = Lines(lines).message()
    assert len(message.items) == len(bodies)
    for position, (value, body) in enumerate(zip(message.items, bodies, strict=True)):
        item = message.item(position)
        first, again = parsed(value), parsed(read_item(item))
        assert item.body == body, "shorter than what is kept of a long one"
        if isinstance(first, Rejected) and isinstance(again, Rejected):
            assert first.reason == again.reason
            assert [fault.code for fault in first.faults] == [fault.code for fault in again.faults]
        else:
            assert first == again
            assert body == GOOD


def test_only_lines_that_are_read_slowly_and_many_are_work_for_a_thread() -> None:
    def lines(*bodies: bytes) -> Lines:
        reader = LineReader(limit=10**6)
        return Lines(reader.feed(b"\n".join(bodies) + b"\n"))

    assert not lines(*[GOOD] * 1000).heavy
    assert not lines(GOOD, b"[" * 5000).heavy
    assert lines(GOOD, b"[" * 100_000).heavy


def test_a_long_line_whose_beginning_is_json_is_no_event() -> None:
    reader = LineReader(limit=65_536)
    (line,) = reader.feed(GOOD + b" " * 70_000 + b"\n")
    event = parsed(Lines([line]).message().items[0])
    assert isinstance(event, Rejected)
    assert event.reason is Reason.MISSING_ATTRIBUTE
    assert [fault.code for fault in event.faults] == ["line-too-long"]
