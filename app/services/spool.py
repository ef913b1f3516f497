"""A map on disk: what a long run has to remember, with few bytes of memory for each entry."""

import tempfile
from array import array
from collections.abc import Iterator
from struct import Struct
from types import TracebackType
from typing import IO, Final, Self

_IN_MEMORY: Final = 1 << 20
_HEAD: Final = Struct("<QHI")
"""Where the entry before under the same hash begins (plus one), length of key, length of value."""

_HASH: Final = (1 << 64) - 1
_FEWEST: Final = 1 << 10


class Spool:
    """Keeps values under keys, several under one key. Use it in a `with`, or close it.

    In memory are 16 bytes of an index for each key, a half to two thirds of it unused. Whether an
    entry is the right one is told by its key on disk: two keys of one hash are never mixed up.
    """

    def __init__(self) -> None:
        # closed by `close`, which its user calls
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        self._end = 0
        self._count = 0
        self._hashes = array("Q", bytes(8 * _FEWEST))
        self._places = array("Q", bytes(8 * _FEWEST))

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a value under a key, beside those that are kept under it already."""
        slot = self._slot(key)
        if not self._hashes[slot]:
            self._count += 1
            if 3 * self._count > 2 * len(self._hashes):
                self._grow()
                slot = self._slot(key)
            self._hashes[slot] = _hash(key)
        self._file.seek(self._end)
        self._file.write(_HEAD.pack(self._places[slot], len(key), len(value)) + key + value)
        self._places[slot] = self._end + 1
        self._end += _HEAD.size + len(key) + len(value)

    def get(self, key: bytes) -> Iterator[bytes]:
        """Give the values of a key, the latest first."""
        place = self._places[self._slot(key)]
        while place:
            self._file.seek(place - 1)
            place, key_size, value_size = _HEAD.unpack(self._file.read(_HEAD.size))
            found = self._file.read(key_size + value_size)
            if found[:key_size] == key:
                yield found[key_size:]

    def __contains__(self, key: bytes) -> bool:
        """Whether there is a value under a key."""
        return next(self.get(key), None) is not None

    def _slot(self, key: bytes) -> int:
        """Find where the hash of a key stands in the index, or where it is to stand."""
        hashes, wanted = self._hashes, _hash(key)
        mask = len(hashes) - 1
        slot = wanted & mask
        while (found := hashes[slot]) and found != wanted:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        hashes, places = self._hashes, self._places
        mask = 2 * len(hashes) - 1
        self._hashes = array("Q", bytes(16 * len(hashes)))
        self._places = array("Q", bytes(16 * len(hashes)))
        for hashed, place in zip(hashes, places, strict=True):
            if hashed:
                slot = hashed & mask
                while self._hashes[slot]:
                    slot = (slot + 1) & mask
                self._hashes[slot] = hashed
                self._places[slot] = place

    def close(self) -> None:
        """Throw it all away."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _hash(key: bytes) -> int:
    """Hash a key; never 0, which is an empty place. It is another one in each process."""
    return hash(key) & _HASH or 1
