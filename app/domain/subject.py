"""What the states of all subjects have in common: where a fold stands, and how a state is kept.

A state is a mutable draft while a fold works on it and plain JSON at rest, with nothing personal.
"""

from datetime import datetime
from typing import TypeVar

import msgspec


class Subject(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Base of the states.

    Attributes:
        last_occurred_at: Time of the last fact in order; None while only the service's own events
            (or none at all) were applied. UTC.
        last_fact_seq: seq of that fact, which breaks ties in time (B1); 0 while there is none.
    """

    last_occurred_at: datetime | None = None
    last_fact_seq: int = 0

    def follows(self, occurred_at: datetime, seq: int) -> bool:
        """Whether a fact of that time and seq comes after all facts applied so far."""
        last = self.last_occurred_at
        return (
            last is None
            or occurred_at > last
            or (occurred_at == last and seq > self.last_fact_seq)
        )


State = TypeVar("State", bound=Subject)


class Breach(msgspec.Struct, frozen=True, gc=False):
    """A deadline that passed, as the log has it.

    Attributes:
        due_at: The deadline that was missed, UTC.
        seq: Of the event that says so.
    """

    due_at: datetime
    seq: int


class Relief(msgspec.Struct, frozen=True, gc=False):
    """The notice that what was overdue has been done.

    Attributes:
        due_at: The deadline that had been missed, UTC.
        late_seconds: From that deadline to the deed; 0 where the deed was in time, heard of late.
        seq: Of the event that says so.
    """

    due_at: datetime
    late_seconds: int
    seq: int


_encode = msgspec.json.Encoder(decimal_format="string").encode


def encode(state: Subject) -> bytes:
    """Write a state as JSON: decimals as text, instants with offset, defaults left out."""
    return _encode(state)


def decode(kind: type[State], data: bytes | str) -> State:
    """Read a state that `encode` wrote.

    Raises:
        msgspec.ValidationError: the text is no state of that kind.
    """
    return _decoder(kind).decode(data)


_DECODERS: dict[type[Subject], msgspec.json.Decoder[Subject]] = {}


def _decoder(kind: type[State]) -> "msgspec.json.Decoder[State]":
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.json.Decoder(kind)
    return decoder  # type: ignore[return-value]  # the key is the decoder's type
