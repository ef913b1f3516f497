"""Bodies of requests that are read by hand: unpacked, limited, and what the caller prefers."""

import re
import zlib
from collections.abc import AsyncIterator
from typing import Final

import structlog
from fastapi import Request
from starlette.requests import ClientDisconnect

from app.domain.errors import MalformedBodyError, PayloadTooLargeError
from app.services.bulk import DisconnectedError

log = structlog.stdlib.get_logger(__name__)

_PIECE: Final = 131_072
"""Bytes that are unpacked at once, however much they are packed."""

_GZIP: Final = 31
"""To zlib: a gzip header and trailer, the largest window."""

_PREFERENCE: Final = re.compile(
    r'\s*([^\s=;,"]+)(?:\s*=\s*(?:"([^"]*)"|([^\s;,"]*)))?[^,]*(?:,|$)'
)


def preferences(request: Request) -> dict[str, str]:
    """Read what the caller prefers (RFC 7240): name to value, of a name twice the first."""
    preferred: dict[str, str] = {}
    for header in request.headers.getlist("prefer"):
        for name, quoted, plain in _PREFERENCE.findall(header):
            preferred.setdefault(name.lower(), (quoted or plain).lower())
    return preferred


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body, unpacked, but no more of it than is taken.

    Raises:
        PayloadTooLargeError: It is larger than `limit` bytes.
        MalformedBodyError: It can't be unpacked, or ends early.
    """
    parts: list[bytes] = []
    size = 0
    async for part in body_parts(request):
        size += len(part)
        if size > limit:
            raise PayloadTooLargeError(
                f"The body is larger than {limit} bytes. Send the events in parts.", limit=limit
            )
        parts.append(part)
    return b"".join(parts)


def body_parts(request: Request) -> AsyncIterator[bytes]:
    """Read the body in parts, unpacked; it is never held as a whole.

    Raises:
        MalformedBodyError: It is packed in another way than gzip.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        return _parts(request)
    if encoding in {"gzip", "x-gzip"}:
        return _unpacked(_parts(request))
    raise MalformedBodyError(
        f"The content encoding {encoding} isn't read. Send the body as gzip, or as it is."
    )


async def _parts(request: Request) -> AsyncIterator[bytes]:
    try:
        async for part in request.stream():
            if part:
                yield part
    except ClientDisconnect:
        raise DisconnectedError from None


async def _unpacked(packed: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Unpack gzip, of one member or several, piece by piece.

    A small body may unpack to a very large one: each piece is used up before the next is made.
    """
    inflater = zlib.decompressobj(_GZIP)
    fresh = True
    async for part in packed:
        rest = part
        while rest:
            if inflater.eof:
                rest = rest.lstrip(b"\0")  # some tools fill up their blocks
                if not rest:
                    break
                inflater, fresh = zlib.decompressobj(_GZIP), True
            fresh = False
            full = True
            while full:
                try:
                    piece = inflater.decompress(rest, _PIECE)
                except zlib.error as error:
                    raise MalformedBodyError(
                        f"The body is no gzip from here on ({error}). Pack it again."
                    ) from None
                rest = inflater.unconsumed_tail
                full = len(piece) == _PIECE or (bool(rest) and not inflater.eof)
                if piece:
                    yield piece
            rest = inflater.unused_data
    if fresh or not inflater.eof:
        raise MalformedBodyError("The gzip of the body ends early: it was cut. Send it again.")
