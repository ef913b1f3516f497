"""One element of a message, with its own bytes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.errors import Fault


@dataclass(frozen=True, slots=True)
class Item:
    """One element as it was received.

    Attributes:
        body: Its own bytes: the event in structured and batch mode, the data in binary mode.
        content_type: As sent.
        attributes: The `ce-*` headers in binary mode, else empty.
        told_by: What tells it from others, where that isn't all of its bytes; None: the body.
        alike: Of a row of a sheet: what it says, whatever the format of its file; else None.
    """

    body: bytes
    content_type: str | None
    attributes: Mapping[str, str]
    told_by: bytes | None = None
    alike: bytes | None = None

    @property
    def body_hash(self) -> bytes:
        """Identify the item among those that wait: the same bytes again are a repeat (A12)."""
        digest = hashlib.sha256(self.body if self.told_by is None else self.told_by)
        for name in sorted(self.attributes):
            digest.update(f"\n{name}:{self.attributes[name]}".encode(errors="surrogatepass"))
        return digest.digest()

    @property
    def alike_hash(self) -> bytes | None:
        """Find the same row in the file of another format; None of what is no row."""
        return None if self.alike is None else hashlib.sha256(self.alike).digest()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands among the items of a message for one that no JSON value can be read from.

    Attributes:
        fault: Why, with the pointer "": all of it is meant.
    """

    fault: Fault
