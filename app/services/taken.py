"""What became of the events of one message, and the answer that says so (design/events.md)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from app.domain.errors import Fault
from app.domain.events.envelope import Reason
from app.services.units import Accepted, DealtWith, Duplicate, Outcome, Quarantined


@dataclass(frozen=True, slots=True)
class Taken:
    """The outcomes of a message's events.

    Attributes:
        items: The events as sent, one JSON value each.
        outcomes: In the order of `items`; all are known.
        warnings: By position: what was accepted but deserves a look.
    """

    items: Sequence[Any]
    outcomes: Sequence[Outcome | None]
    warnings: Mapping[int, tuple[Fault, ...]]

    @property
    def accepted(self) -> int:
        """How many entered the log."""
        return sum(type(outcome) is Accepted for outcome in self.outcomes)

    @property
    def duplicate(self) -> int:
        """How many were in the log already."""
        return sum(type(outcome) is Duplicate for outcome in self.outcomes)

    @property
    def quarantined(self) -> int:
        """How many lie in quarantine."""
        return sum(type(outcome) is Quarantined for outcome in self.outcomes)

    def refusals(self) -> Iterator[tuple[int, Quarantined]]:
        """Give what lies in quarantine, with its position."""
        for position, outcome in enumerate(self.outcomes):
            if isinstance(outcome, Quarantined):
                yield position, outcome

    def answer(
        self,
        *,
        minimal: bool = False,
        first_index: int = 0,
        indexes: Sequence[int] | None = None,
    ) -> bytes:
        """Write the answer as JSON: counts, then the outcome of each event in order.

        What was only tried has neither seq nor quarantine id: they are null.

        Args:
            minimal: Leave out of the results what was accepted.
            first_index: Number of the first event, where the message is part of a longer one.
            indexes: Number of each event, where they are not in a row.
        """
        accepted = duplicate = quarantined = 0
        results: list[_Result | _Refusal] = []
        for position, (item, outcome) in enumerate(zip(self.items, self.outcomes, strict=True)):
            index = first_index + position if indexes is None else indexes[position]
            warnings = self.warnings.get(position, ())
            match outcome:
                case Accepted(seq):
                    accepted += 1
                    if not minimal or warnings:
                        results.append(_result(index, item, "accepted", seq, warnings))
                case Duplicate(seq, DealtWith() as before):
                    duplicate += 1
                    results.append(_dealt_with(index, item, seq, before))
                case Duplicate(seq):
                    duplicate += 1
                    results.append(_result(index, item, "duplicate", seq, warnings))
                case Quarantined():
                    quarantined += 1
                    results.append(_refusal(index, item, outcome))
                case None:
                    message = "every event of a message has an outcome"
                    raise RuntimeError(message)
        return _encode_answer(_Answer(accepted, duplicate, quarantined, results))


class _Result(msgspec.Struct):
    index: int
    source: str | None
    id: str | None
    outcome: str
    store: str | None
    seq: str | None
    warnings: tuple[Fault, ...]
    quarantine_id: str | msgspec.UnsetType = msgspec.UNSET


class _Refusal(msgspec.Struct):
    index: int
    source: str | None
    id: str | None
    outcome: str
    reason: Reason
    quarantine_id: str | None
    errors: tuple[Fault, ...]


class _Answer(msgspec.Struct):
    accepted: int
    duplicate: int
    quarantined: int
    results: list[_Result | _Refusal]


_encode_answer = msgspec.json.Encoder().encode


def _result(
    index: int, item: Mapping[str, Any], outcome: str, seq: int, warnings: tuple[Fault, ...]
) -> _Result:
    number = str(seq) if seq else None
    return _Result(index, item["source"], item["id"], outcome, item["store"], number, warnings)


def _dealt_with(index: int, item: object, seq: int, before: DealtWith) -> _Result:
    return _Result(
        index,
        *_identity(item),
        "duplicate",
        before.store_id or None,
        str(seq) if seq else None,
        (before.note,),
        before.quarantine_id,
    )


def _identity(item: object) -> tuple[str | None, str | None]:
    """Source and id, as far as they are there."""
    if not isinstance(item, dict):
        return None, None
    return _text(item.get("source")), _text(item.get("id"))


def _refusal(index: int, item: object, outcome: Quarantined) -> _Refusal:
    return _Refusal(
        index,
        *_identity(item),
        "quarantined",
        outcome.reason,
        outcome.quarantine_id or None,
        outcome.faults,
    )


def _text(value: object) -> str | None:
    """Repeat an attribute as far as it is text that JSON can carry."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "replace").decode()
