"""One version of a type's data: how it is checked, split, written and read again."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec
import orjson
from pydantic import ValidationError

from app.domain.errors import Fault
from app.domain.events.marks import CAREFUL, QUICK
from app.domain.events.names import Naming, is_surrogate
from app.domain.events.payload import MAX_TEXT, Payload, SetAtDoor
from app.domain.events.readers import plain
from app.domain.events.shape import (
    Found,
    Shape,
    canonical,
    check_unknown,
    escape,
    join,
)
from app.domain.events.value_maps import overlaid

_CODES: Final[Mapping[str, tuple[str, str]]] = {
    "bool_type": ("not-a-boolean", "must be true or false"),
    "list_type": ("not-a-list", "must be a list"),
    "literal_error": ("not-one-of", "must be {expected}"),
    "missing": ("missing", "is required"),
    "model_type": ("not-an-object", "must be an object"),
    "string_pattern_mismatch": ("bad-format", "must match {pattern}"),
    "string_too_long": ("too-long", "must have at most {max_length} characters"),
    "string_too_short": ("too-short", "must have at least {min_length} characters"),
    "string_type": ("not-text", "must be text"),
    "string_unicode": ("bad-unicode", "must not have a lone surrogate"),
    "too_long": ("too-long", "must have at most {max_length} elements"),
    "too_short": ("too-short", "must have at least {min_length} elements"),
}
"""Pydantic's errors -> code and words of the fault; what the readers raise is a code already."""


_MAX_DEPTH: Final = 250
"""More levels than the writer of JSON can take."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one event is taken.

    Attributes:
        max_clock_skew: How far ahead of now the `time` of an event may be.
        max_depth: Levels of objects and lists inside an unknown field, at most 200.
        max_text: Characters of a text in an unknown field.
        max_aside: Bytes of everything that is kept beside the log.
    """

    max_clock_skew: timedelta = timedelta(minutes=10)
    max_depth: int = 32
    max_text: int = MAX_TEXT
    max_aside: int = 262_144


class Content(msgspec.Struct, frozen=True):
    """The checked data of one event, both sides of it.

    Attributes:
        payload: Personal fields filled.
        data: For the log.
        aside: For beside the log, None if empty.
        canonical: Both sides together, written alike for equal data (A9).
        warnings: What was accepted but deserves a look.
    """

    payload: Payload
    data: bytes
    aside: bytes | None
    canonical: bytes
    warnings: tuple[Fault, ...]

    def is_suspect(self, limits: Limits) -> bool:
        """Whether `faults` may find any; it takes much longer."""
        return (b"\\" in self.canonical and b"\\u0000" in self.canonical) or (
            self.aside is not None and len(self.aside) > limits.max_aside
        )

    def faults(self, limits: Limits) -> Iterator[Fault]:
        """Yield what only shows once the data is written.

        Models let NUL characters pass; PostgreSQL does not.
        """
        if self.aside is not None and len(self.aside) > limits.max_aside:
            detail = f"Personal and unknown fields have more than {limits.max_aside} bytes."
            yield Fault("/data", "too-large", detail)
        elif b"\\u0000" in self.canonical:
            both = orjson.loads(self.canonical)
            yield from check_unknown(both, "/data", depth=_MAX_DEPTH, length=len(self.canonical))


class Form:
    """The form of one version of a type's data, made from its model."""

    def __init__(self, model: type[Payload]) -> None:
        self.model = model
        self.shape = Shape.of(model)
        self.read: Callable[..., Payload] = model.__pydantic_validator__.validate_python
        self.read_json: Callable[..., Payload] = model.__pydantic_validator__.validate_json
        self._serializer = model.__pydantic_serializer__

    def take(
        self, sent: dict[str, Any], limits: Limits, names: Naming | None = None
    ) -> Content | list[Fault]:
        """Check the data of an event as sent; return it or all that is wrong with it."""
        shape, readable = self.shape, sent
        aside: dict[str, Any] = {}
        unknown: Found = []
        warnings: tuple[Fault, ...] = ()
        for name, (known, other) in shape.choices.items():
            value = sent.get(name)
            if isinstance(value, str) and value not in known:
                readable = {**readable, name: other}
                aside[name] = value
                unknown.append(("/data", {name: value}))
                warnings = (*warnings, _counted_as(f"/data/{name}", other))
        if not sent.keys() <= shape.plain:
            aside.update(shape.split(sent, "/data", unknown))
        try:
            payload = self.read(readable, context=names)
        except ValidationError as error:
            return [*_faults(error), *self._beyond_the_model(sent, unknown, limits)]
        if (unknown or shape.required) and (
            faults := [*self._beyond_the_model(sent, unknown, limits)]
        ):
            return faults
        if names is not None and self.shape.set_here and isinstance(payload, SetAtDoor):
            payload = payload.completed(names)
            warnings = (*warnings, *payload.warnings())
        content = self._content(payload, aside, exact=not unknown, warnings=warnings)
        return [*content.faults(limits)] or content

    def known(
        self,
        payload: Payload,
        sent: dict[str, Any],
        limits: Limits,
        names: Naming | None = None,
    ) -> Content | None:
        """Return the content of data that holds nothing unknown; None if it may have faults.

        What only the door requires is looked for here, too.

        Args:
            payload: What was read of the data.
            sent: The data.
            limits: How much is taken.
            names: By which it was read.
        """
        for name in self.shape.required:
            if sent.get(name) is None:
                return None
        shape = self.shape
        named = names is not None and names.used
        aside = shape.personal_in(sent, names=named) if shape.has_personal or named else {}
        warnings: tuple[Fault, ...] = ()
        if names is not None and shape.set_here and isinstance(payload, SetAtDoor):
            payload = payload.completed(names)
            warnings = (*payload.warnings(),)
        content = self._content(payload, aside, warnings=warnings)
        return None if content.is_suspect(limits) else content

    def made(self, payload: Payload) -> Content:
        """Return the content of a payload that was made here, not read.

        Raises:
            ValueError: It has a name in the place of a staff number, which the log must not have.
        """
        content = self._content(payload, self.shape.of_payload(payload))
        if self.shape.has_staff:
            names = self.shape.personal_in(orjson.loads(content.data), names=True)
            if not _are_surrogates(names):
                raise ValueError("a name stands where a staff number or a surrogate belongs")
        return content

    def as_sent(
        self, content: Content, sent: dict[str, Any], limits: Limits
    ) -> Content | list[Fault]:
        """Return a content that was read of meanings with the values that were sent for them.

        They are kept beside the log, and make up what the content is told by (A9).

        Args:
            content: Of the meanings.
            sent: The values in whose place they are, nested like the data.
            limits: How much is taken.
        """
        faults = check_unknown(sent, "/data", depth=limits.max_depth + 1, length=limits.max_text)
        if found := [*faults]:
            return found
        aside = overlaid(orjson.loads(content.aside or b"{}"), sent)
        both = overlaid(
            orjson.loads(content.canonical), canonical(sent, keeps_null=self.shape.keeps_null)
        )
        kept = Content(
            content.payload,
            content.data,
            orjson.dumps(aside) if aside else None,
            orjson.dumps(both, option=orjson.OPT_SORT_KEYS),
            content.warnings,
        )
        return [*kept.faults(limits)] or kept

    def _content(
        self,
        payload: Payload,
        aside: dict[str, Any],
        *,
        exact: bool = True,
        warnings: tuple[Fault, ...] = (),
    ) -> Content:
        """Write a payload for both sides of the log.

        Args:
            payload: Of this form's model.
            aside: What lies beside the log.
            exact: Whether all of that is text, so that equal values are written alike already.
            warnings: Handed through.
        """
        data = self.write(payload)
        both = orjson.loads(data)
        for name in self.shape.set_here & both.keys():
            del both[name]  # only what was sent tells the same content from another one
        if aside:
            other = aside if exact else canonical(aside, keeps_null=self.shape.keeps_null)
            both = join(both, other)
        return Content(
            payload,
            data,
            orjson.dumps(aside) if aside else None,
            orjson.dumps(both, option=orjson.OPT_SORT_KEYS),
            warnings,
        )

    def write(self, payload: Payload) -> bytes:
        """Return the data as the log has it."""
        patch = self.shape.keeps_null
        data = self._serializer.to_json(payload, exclude_none=not patch, exclude_unset=patch)
        if b"E-" in data:  # perhaps a decimal below 10^-6, whose text has an exponent
            both = self._serializer.to_python(payload, exclude_none=not patch, exclude_unset=patch)
            data = orjson.dumps(both, default=plain, option=orjson.OPT_UTC_Z)
        return data

    def _beyond_the_model(
        self, sent: dict[str, Any], unknown: Found, limits: Limits
    ) -> Iterator[Fault]:
        """Yield what is wrong with fields that the model doesn't look at."""
        for name in self.shape.required:
            if sent.get(name) is None:
                yield Fault(f"/data/{name}", "missing", "The field is required.")
        for pointer, field in unknown:
            yield from check_unknown(
                field, pointer, depth=limits.max_depth + 1, length=limits.max_text
            )


def _are_surrogates(names: Any) -> bool:
    """Whether every text in a JSON value is a surrogate."""
    if isinstance(names, dict | list):
        return all(map(_are_surrogates, names.values() if isinstance(names, dict) else names))
    return names is None or is_surrogate(names)


def _counted_as(pointer: str, other: str) -> Fault:
    return Fault(pointer, f"counted-as-{other}", f"The value isn't known and counts as `{other}`.")


def _faults(error: ValidationError) -> Iterator[Fault]:
    """Yield what pydantic found, in this service's codes; no detail repeats what was sent."""
    for found in error.errors(include_url=False):
        place = found["loc"]
        if QUICK in place:
            continue  # the careful reader has the say
        pointer = "".join(
            f"/{escape(str(token))}" for token in ("data", *place) if token != CAREFUL
        )
        if found["input"] is None and found["type"] != "missing":
            yield Fault(pointer, "missing", "The field is required and must not be null.")
            continue
        code, words = _CODES.get(found["type"], (found["type"], found["msg"]))
        yield Fault(pointer, code, f"The field {words.format_map(found.get('ctx', {}))}.")
