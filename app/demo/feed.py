"""Posts the life of the shops over HTTP: batches, four requests at a time, outcomes counted.

All that is said of one subject goes down one lane, so that it arrives in order: what retracts or
contradicts an event never overtakes it, and the outcomes are those to expect.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from zlib import crc32

import httpx
import orjson

from app.demo.posting import Arrival

LANES: Final = 4
BATCH: Final = 500

_TRIES: Final = 6
_BATCH_TYPE: Final = "application/cloudevents-batch+json"


@dataclass(slots=True)
class Tally:
    """What was posted, what was to be expected, and what came of it.

    Outcomes are accepted, duplicate, or the reason for the quarantine.
    """

    expected: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    reached: datetime | None = None

    @property
    def events(self) -> int:
        """How many events were answered."""
        return self.outcomes.total()

    @property
    def quarantined(self) -> int:
        """How many of them lie in quarantine."""
        return self.events - self.outcomes["accepted"] - self.outcomes["duplicate"]

    @property
    def is_as_expected(self) -> bool:
        """Whether each event had the outcome that it was made for."""
        return self.expected == self.outcomes


class Feed:
    """Posts what arrives, and keeps the tally of it all."""

    def __init__(self, client: httpx.AsyncClient, tell: Callable[[Tally], None]) -> None:
        self.tally = Tally()
        self._client = client
        self._tell = tell

    async def post(self, arrivals: Iterable[Arrival]) -> None:
        """Post everything; returns when all of it was answered. Tells the tally now and then.

        Raises:
            httpx.HTTPError: The service refused, or was away for longer than a few tries.
        """
        lanes = [asyncio.Queue[list[Arrival] | None](maxsize=2) for _ in range(LANES)]
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(self._drive(lane))
            await self._sort(arrivals, lanes)

    async def _drive(self, lane: asyncio.Queue[list[Arrival] | None]) -> None:
        tally = self.tally
        while (batch := await lane.get()) is not None:
            tally.outcomes += await _post(self._client, batch)
            reached = batch[-1].arrives_at
            tally.reached = max(reached, tally.reached or reached)
            self._tell(tally)

    async def _sort(
        self, arrivals: Iterable[Arrival], lanes: Sequence[asyncio.Queue[list[Arrival] | None]]
    ) -> None:
        waiting: list[list[Arrival]] = [[] for _ in lanes]
        for arrival in arrivals:
            self.tally.expected[arrival.outcome] += 1
            number = crc32(str(arrival.event.get("subject")).encode()) % len(lanes)
            waiting[number].append(arrival)
            if len(waiting[number]) == BATCH:
                await lanes[number].put(waiting[number])
                waiting[number] = []
        for lane, rest in zip(lanes, waiting, strict=True):
            if rest:
                await lane.put(rest)
            await lane.put(None)


async def _post(client: httpx.AsyncClient, batch: list[Arrival]) -> Counter[str]:
    """Post a batch, again if the service asks for it: a repeat does no harm."""
    body = orjson.dumps([arrival.event for arrival in batch])
    headers = {"content-type": _BATCH_TYPE, "prefer": "return=minimal"}
    tries = 1
    while True:
        response = await client.post("/v1/events", content=body, headers=headers)
        if response.status_code != httpx.codes.SERVICE_UNAVAILABLE or tries == _TRIES:
            break
        tries += 1
        await asyncio.sleep(float(response.headers.get("retry-after", "1")))
    response.raise_for_status()
    answer = response.json()
    reasons = Counter(
        result["reason"] for result in answer["results"] if result["outcome"] == "quarantined"
    )
    return reasons + Counter(accepted=answer["accepted"], duplicate=answer["duplicate"])
