"""The map on disk: what was put under a key is what is got, whatever else has its hash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services import spool
from app.services.spool import Spool

PUTS = st.lists(st.tuples(st.integers(0, 40).map(lambda n: b"k%d" % n), st.binary(max_size=9)))


def check(puts: list[tuple[bytes, bytes]]) -> None:
    expected: dict[bytes, list[bytes]] = {}
    with Spool() as kept:
        for key, value in puts:
            kept.put(key, value)
            expected.setdefault(key, []).insert(0, value)
            assert list(kept.get(key)) == expected[key]
        for key, values in expected.items():
            assert key in kept
            assert list(kept.get(key)) == values
        assert b"other" not in kept


@given(puts=PUTS)
def test_values_come_back_the_latest_first(puts: list[tuple[bytes, bytes]]) -> None:
    check(puts)


@given(puts=PUTS, spread=st.integers(1, 5))
def test_keys_of_one_hash_are_never_mixed_up(puts: list[tuple[bytes, bytes]], spread: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "_hash", lambda key: 1 + len(key) * sum(key) % spread)
        check(puts)


def test_it_grows_and_goes_to_disk_without_losing_anything() -> None:
    with Spool() as kept:
        for number in range(20_000):
            kept.put(b"%d" % number, b"v%d" % number * 20)
        assert all(
            list(kept.get(b"%d" % number)) == [b"v%d" % number * 20] for number in range(20_000)
        )
