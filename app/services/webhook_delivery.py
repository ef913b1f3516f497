"""The sending side of webhooks: the fan-out along the logs, and the deliveries.

A cursor for each endpoint and store says how far the log is fanned out; it moves together with the
deliveries that it leaves behind. A delivery is claimed with a lease, tried outside of any
transaction, and kept with what came of it: whoever is killed on the way loses nothing, since the
lease runs out and the delivery is tried again under the same `webhook-id` (at least once).
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from uuid6 import uuid7

from app.db.engine import Pool
from app.db.event_log import EventLog, Heading
from app.db.webhooks import Behind, CursorMove, WebhookRepository
from app.domain.webhooks import (
    ALERT_OF,
    Attempt,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointState,
    Notice,
    Reply,
    Signing,
    body_of,
    headers_of,
    is_late,
    judge,
)
from app.services.http_out import Answer, HttpOut
from app.services.webhooks import MachineClock, machine_now

STRETCH: Final = 5_000
"""How much of a log is fanned out in one go."""

LANES: Final = 32
"""Endpoints that are sent something at the same time."""

IN_FLIGHT: Final = 4
"""Tries that are under way to one endpoint at the same time."""

LANE_SECONDS: Final = 10.0
"""How long an endpoint keeps its lane before the others get their turn."""

LEASE_MARGIN: Final = timedelta(seconds=15)
"""How much longer than the longest try a claim holds: time to keep what came of it."""

LONGEST_PAUSE: Final = timedelta(minutes=15)
"""How long one answer (429, 503) can keep back everything else that is for the endpoint."""

KEEP_FINISHED: Final = timedelta(days=30)
"""How long finished deliveries can be looked up and sent again."""

STOP_SECONDS: Final = 5.0
"""How long tries that are under way may take to end when the process stops."""

log = structlog.stdlib.get_logger(__name__)


class WebhookDispatcher:
    """Fans events out and sends what is due; any number of processes may do so at once.

    Each endpoint has a lane of its own: one that answers slowly keeps nobody else waiting. A lane
    goes on as long as the endpoint takes what it is sent, and ends with the first failure, so that
    an endpoint in trouble is met gently: a few tries per tick.
    """

    def __init__(
        self,
        repository: WebhookRepository,
        pool: Pool,
        out: HttpOut,
        *,
        now: MachineClock = machine_now,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._repository = repository
        self._pool = pool
        self._out = out
        self._lease = timedelta(seconds=out.timeout_seconds) + LEASE_MARGIN
        self._now = now
        self._jitter = jitter
        self._owner = str(uuid7())
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._turns: dict[str, float] = {}
        self._paused_until: dict[str, datetime] = {}

    async def tick(self) -> None:
        """Fan out what is new and begin to send what is due; returns before it is sent."""
        await self.fan_out()
        await self.deliver_due()

    # Fan-out

    async def fan_out(self) -> int:
        """Make deliveries of the events that were recorded since the last time.

        Returns:
            How many were made; events that somebody else fanned out meanwhile don't count.
        """
        stores = await self._repository.list_behind()
        if not stores:
            return 0
        endpoints = {
            endpoint.endpoint_id: endpoint for endpoint in await self._repository.list_enabled()
        }
        made = 0
        for behind in stores:
            try:
                made += await self._fan_out_store(behind, endpoints)
            except Exception:
                log.exception("a log could not be fanned out", store_id=behind.store_id)
        return made

    async def _fan_out_store(self, behind: Behind, endpoints: dict[str, Endpoint]) -> int:
        """Go along one log, a stretch at a time; endpoints that are ahead join where they are."""
        cursors = {
            endpoint_id: seq
            for endpoint_id, seq in behind.cursors.items()
            if endpoint_id in endpoints
        }
        made = 0
        while cursors:
            after = min(cursors.values())
            upto = min(after + STRETCH, behind.head)
            moved = [endpoints[name] for name, cursor in cursors.items() if cursor < upto]
            headings = await self._read(behind.store_id, after, upto, moved)
            moves = [
                CursorMove(
                    endpoint.endpoint_id,
                    cursors[endpoint.endpoint_id],
                    upto,
                    await self._wanted(
                        behind.store_id, endpoint, cursors[endpoint.endpoint_id], headings
                    ),
                )
                for endpoint in moved
            ]
            made += await self._repository.move_cursors(behind.store_id, moves, now=self._now())
            cursors |= {endpoint.endpoint_id: upto for endpoint in moved}
            cursors = {name: cursor for name, cursor in cursors.items() if cursor < behind.head}
        return made

    async def _read(
        self, store_id: str, after: int, upto: int, endpoints: Sequence[Endpoint]
    ) -> list[Heading]:
        types = frozenset[str]().union(*(endpoint.types for endpoint in endpoints))
        async with self._pool.acquire() as connection:
            return await EventLog(connection).read_headings(
                store_id, after=after, upto=upto, types=types
            )

    async def _wanted(
        self, store_id: str, endpoint: Endpoint, cursor: int, headings: Sequence[Heading]
    ) -> list[tuple[int, str]]:
        """Choose what the endpoint is to be sent of a stretch.

        Late events are left out unless it asks for them. The end of an alert that it was sent is
        never late: it would believe in the alert for ever.
        """
        mine = [
            heading
            for heading in headings
            if heading.seq > cursor and heading.type in endpoint.types
        ]
        wanted = {
            heading.seq: heading.type
            for heading in mine
            if endpoint.include_late or not is_late(heading.occurred_at, heading.recorded_at)
        }
        ends = {
            heading.seq: ALERT_OF[heading.type]
            for heading in mine
            if heading.seq not in wanted
            and ALERT_OF.get(heading.type, heading.type) != heading.type
        }
        if ends:
            begun = await self._begun(store_id, ends)
            sent = await self._repository.find_sent(store_id, endpoint.endpoint_id, begun.values())
            wanted |= {
                heading.seq: heading.type
                for heading in mine
                if begun.get(heading.seq) in sent | wanted.keys()
            }
        return sorted(wanted.items())

    async def _begun(self, store_id: str, ends: dict[int, str]) -> dict[int, int]:
        """Find the event that raised the alert which each of these events ends, by seq."""
        async with self._pool.acquire() as connection:
            found = await EventLog(connection).find_latest(store_id, ends)
        return {end: begin for end, (begin, _) in found.items()}

    # Deliveries

    async def deliver_due(self) -> int:
        """Begin to send what is due; returns before it is sent. `wait` waits for it.

        Returns:
            How many endpoints got a lane.
        """
        now = self._now()
        self._paused_until = {
            name: until for name, until in self._paused_until.items() if until > now
        }
        due = await self._repository.list_due(now)
        self._turns = {name: turn for name, turn in self._turns.items() if name in due}
        waiting = [
            name for name in due if name not in self._lanes and name not in self._paused_until
        ]
        # whoever has waited longest for a lane is first, so that slow endpoints can't hold all
        waiting.sort(key=lambda name: self._turns.get(name, 0.0))
        opened = waiting[: LANES - len(self._lanes)]
        for endpoint_id in opened:
            self._turns[endpoint_id] = time.monotonic()
            lane = asyncio.create_task(
                self._run_lane(endpoint_id, due[endpoint_id]), name=f"webhook-{endpoint_id}"
            )
            self._lanes[endpoint_id] = lane
            lane.add_done_callback(partial(self._close_lane, endpoint_id))
        return len(opened)

    async def wait(self) -> None:
        """Wait until nothing is under way any more."""
        while self._lanes:
            await asyncio.wait(list(self._lanes.values()))

    async def stop(self) -> None:
        """Let what is under way end, and cancel what takes too long: its claims run out."""
        lanes = list(self._lanes.values())
        if not lanes:
            return
        _, late = await asyncio.wait(lanes, timeout=STOP_SECONDS)
        for lane in late:
            lane.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def forget_finished(self) -> None:
        """Delete deliveries that were finished a month ago, with their attempts."""
        await self._repository.forget_finished(self._now() - KEEP_FINISHED)

    def _close_lane(self, endpoint_id: str, _: asyncio.Task[None]) -> None:
        self._lanes.pop(endpoint_id, None)

    async def _run_lane(self, endpoint_id: str, stores: Sequence[str]) -> None:
        ends_at = time.monotonic() + LANE_SECONDS
        try:
            endpoint = await self._repository.find_endpoint(endpoint_id)
            signing = await self._repository.find_signing(endpoint_id)
            if endpoint is None or signing is None or endpoint.state is EndpointState.DISABLED:
                return
            for store_id in stores:
                while await self._send_some(store_id, endpoint, signing):
                    if time.monotonic() >= ends_at:
                        return
        except Exception:
            log.exception("webhooks could not be sent", endpoint_id=endpoint_id)

    async def _send_some(self, store_id: str, endpoint: Endpoint, signing: Signing) -> bool:
        """Claim and send a few deliveries of a store.

        Returns:
            Whether to go on: something was sent, and everything was taken.
        """
        now = self._now()
        deliveries = await self._repository.claim(
            store_id,
            endpoint.endpoint_id,
            owner=self._owner,
            now=now,
            lease_until=now + self._lease,
            limit=IN_FLIGHT,
        )
        if not deliveries:
            return False
        notices = await self._read_notices(store_id, deliveries)
        taken = await asyncio.gather(
            *(
                self._send(delivery, notices[delivery.seq], endpoint, signing)
                for delivery in deliveries
            ),
            return_exceptions=True,  # what failed for one must not orphan the others
        )
        for outcome in taken:
            if isinstance(outcome, BaseException):
                raise outcome
        return all(taken)

    async def _read_notices(
        self, store_id: str, deliveries: Sequence[Delivery]
    ) -> dict[int, Notice]:
        alerts = {
            delivery.seq: ALERT_OF[delivery.type]
            for delivery in deliveries
            if delivery.type in ALERT_OF
        }
        async with self._pool.acquire() as connection:
            eventlog = EventLog(connection)
            notices = await eventlog.read_notices(
                store_id, [delivery.seq for delivery in deliveries]
            )
            begun = await eventlog.find_latest(store_id, alerts) if alerts else {}
        for seq, (_, alert_id) in begun.items():
            notices[seq] = replace(notices[seq], alert_id=alert_id)
        return notices

    async def _send(
        self, delivery: Delivery, notice: Notice, endpoint: Endpoint, signing: Signing
    ) -> bool:
        """Try once, keep what came of it, and tell whether it was taken."""
        started_at = self._now()
        body = body_of(notice)
        headers = headers_of(
            webhook_id=delivery.delivery_id, now=started_at, body=body, signing=signing
        )
        answer = await self._out.post(endpoint.url, headers=headers, content=body)
        return await self._keep(delivery, answer, started_at)

    async def _keep(self, delivery: Delivery, answer: Answer, started_at: datetime) -> bool:
        now = self._now()
        attempt = Attempt(
            attempt=delivery.attempts + 1,
            started_at=started_at,
            duration_ms=answer.duration_ms,
            status=answer.status,
            error=answer.error,
            response_excerpt=answer.excerpt,
        )
        verdict = judge(
            attempt=attempt.attempt,
            reply=Reply(answer.status, answer.retry_after),
            now=now,
            jitter=self._jitter(),
        )
        if verdict.pause_until is not None:
            until = min(verdict.pause_until, now + LONGEST_PAUSE)
            self._paused_until[delivery.endpoint_id] = until
        kept = await self._repository.finish(
            delivery, attempt, verdict, owner=self._owner, now=now
        )
        log.info(
            "webhook tried",
            endpoint_id=delivery.endpoint_id,
            delivery_id=delivery.delivery_id,
            attempt=attempt.attempt,
            status=answer.status,
            error=answer.error,
            state=verdict.state,
            kept=kept,
        )
        return verdict.state is DeliveryState.DELIVERED
