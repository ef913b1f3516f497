"""A small HTTP client for measuring: ready-made requests over kept connections, loopback only."""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """What a drive measured.

    Attributes:
        seconds: From the first request to the last answer.
        latencies: Seconds of each request, sorted.
    """

    seconds: float
    latencies: Sequence[float]

    def per_second(self, events: int) -> float:
        """Give the rate of something of which the drive sent `events`."""
        return events / self.seconds

    def percentile(self, share: float) -> float:
        """Give the latency that `share` of the requests stayed below, in milliseconds."""
        return (
            1000 * self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]
        )


def request(path: str, body: bytes, content_type: str = "application/json") -> bytes:
    """Make the bytes of a POST."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def drive(port: int, requests: Sequence[bytes], *, connections: int) -> Load:
    """Send the requests over so many connections, each one after the answer to the last.

    Raises:
        RuntimeError: An answer is none of success.
    """
    waiting = iter(requests)
    latencies: list[float] = []
    lanes = [
        await asyncio.open_connection("127.0.0.1", port, limit=2**24) for _ in range(connections)
    ]
    begin = time.perf_counter()
    await asyncio.gather(*(_drive_lane(*lane, waiting, latencies) for lane in lanes))
    seconds = time.perf_counter() - begin
    for _, writer in lanes:
        writer.close()
        await writer.wait_closed()
    return Load(seconds, sorted(latencies))


async def stream_lines(
    port: int,
    path: str,
    blocks: Iterable[bytes],
    *,
    expect: int,
    told: Callable[[int], None] = lambda _: None,
) -> float:
    """Send lines in one request without a length, and read its answer meanwhile.

    Args:
        port: Of the loopback.
        path: To POST to.
        blocks: The lines.
        expect: How many events must be stored, or be there already, in the end.
        told: Is given how many the answer tells of, each time.

    Returns:
        Seconds from the first byte to the end of the answer.

    Raises:
        RuntimeError: Not all is stored.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    begin = time.perf_counter()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        # counts alone, as the other side answers: what an importer asks for
        "Prefer: return=minimal\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    writer.write(head.encode())
    sending = asyncio.create_task(_send_blocks(writer, blocks))
    stored = 0
    async for line in reader:
        for name, count in _STORED.findall(line):
            if name == b"quarantined" and count != b"0":
                raise RuntimeError(line[:500].decode(errors="replace"))
            stored += int(count)
        told(stored)
    seconds = time.perf_counter() - begin
    await sending
    writer.close()
    if stored != expect:
        raise RuntimeError(f"{stored} of {expect} lines are stored")
    return seconds


async def _send_blocks(writer: asyncio.StreamWriter, blocks: Iterable[bytes]) -> None:
    for block in blocks:
        writer.write(b"%x\r\n%b\r\n" % (len(block), block))
        await writer.drain()
    writer.write(b"0\r\n\r\n")


_STORED = re.compile(rb'"(accepted|duplicate|quarantined|stored)":(\d+)')


async def _drive_lane(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    waiting: Iterator[bytes],
    latencies: list[float],
) -> None:
    for message in waiting:
        begin = time.perf_counter()
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        latencies.append(time.perf_counter() - begin)
        if not head.startswith(b"HTTP/1.1 20"):
            raise RuntimeError(head.decode() + body[:500].decode(errors="replace"))
        if b'"quarantined":0' not in body and b'"stored":' not in body:
            raise RuntimeError(body[:500].decode(errors="replace"))
