"""Elements of a JSON array, or JSON values one after the other, cut from a text bit by bit.

For files that are one large array, or one value that is laid out over many lines: what is held is
never more than one element within the limit.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from app.domain.errors import MalformedBodyError
from app.domain.lines import Line

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_DECODER: Final = json.JSONDecoder()
_ENDS_ITSELF: Final = ("{", "[", '"')


class ElementReader:
    """Cuts one text; one per text."""

    def __init__(self, *, limit: int) -> None:
        """Begin a text.

        Args:
            limit: Characters that an element may have.
        """
        self._limit = limit
        self._text = ""
        self._at = 0
        self._number = 0
        self._begun = self._in_array = self._closed = self._after_element = False

    def feed(self, text: str) -> Iterator[Line]:
        """Take the next part; give the elements that it completes, numbered from 1.

        Raises:
            MalformedBodyError: It is no JSON from here on, or an element is over the limit.
        """
        self._text = self._text[self._at :] + text
        self._at = 0
        yield from self._cut(last=False)
        if len(self._text) - self._at > self._limit:
            raise MalformedBodyError(
                f"Element {self._number + 1} is longer than {self._limit} characters, or its end "
                "is missing."
            )

    def finish(self) -> Iterator[Line]:
        """End the text.

        Raises:
            MalformedBodyError: It ends in the middle of something.
        """
        yield from self._cut(last=True)
        if self._in_array and not self._closed:
            raise MalformedBodyError(
                f"The array ends in the middle, after element {self._number}: the rest is missing."
            )

    def _cut(self, *, last: bool) -> Iterator[Line]:
        while (start := self._next()) is not None:
            try:
                _, end = _DECODER.raw_decode(self._text, start)
            except (ValueError, RecursionError) as error:
                self._at = start
                if last:
                    raise MalformedBodyError(
                        f"Element {self._number + 1} is no JSON: {_told(error)}."
                    ) from None
                return
            if end == len(self._text) and not last and self._text[start] not in _ENDS_ITSELF:
                self._at = start  # a number may go on in the next part
                return
            self._at = end
            self._number += 1
            self._after_element = self._in_array
            body = self._text[start:end].encode()
            yield Line(self._number, body, len(body))

    def _next(self) -> int | None:
        """Find where the next element starts; None where there is no more for now.

        Raises:
            MalformedBodyError: Something else stands there.
        """
        while (start := self._skip()) < len(self._text):
            sign = self._text[start]
            if not self._begun:
                self._begun = True
                if sign == "[":
                    self._in_array = True
                    self._at = start + 1
                    continue
            if not self._in_array:
                return start
            if sign == "]" and not self._closed and (self._after_element or not self._number):
                self._closed = True
            elif sign == "," and self._after_element:
                self._after_element = False
            elif self._closed or self._after_element:
                raise MalformedBodyError(
                    f"After element {self._number} stands {sign!r}, where a comma or the end of "
                    "the array belongs."
                )
            else:
                return start
            self._at = start + 1
        self._at = start
        return None

    def _skip(self) -> int:
        space = _SPACE.match(self._text, self._at)
        return self._at if space is None else space.end()


def _told(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
