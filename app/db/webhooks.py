"""Webhook endpoints, how far each has read the logs, and what is to be delivered, as rows.

Endpoints are few and belong to no store. Cursors, deliveries and attempts belong to a store each:
whatever locks or claims them names the store (distribution, rule 2).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
from uuid6 import uuid7

from app.db.engine import Connection, Pool
from app.domain.webhooks import (
    Attempt,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointState,
    Signing,
    Verdict,
)

_ENDPOINT = """
    endpoint_id, url, description, event_types, stores, include_late, state, disabled_reason,
    created_at, updated_at
"""
_ADD_ENDPOINT = f"""
    INSERT INTO webhook_endpoint ({_ENDPOINT}, secret)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
_SAVE_ENDPOINT = """
    UPDATE webhook_endpoint
       SET url = $2, description = $3, event_types = $4, stores = $5, include_late = $6,
           state = $7, disabled_reason = $8, updated_at = $9
     WHERE endpoint_id = $1
"""
_LOCK_ENDPOINT = f"SELECT {_ENDPOINT} FROM webhook_endpoint WHERE endpoint_id = $1 FOR UPDATE"
_FIND_ENDPOINT = f"SELECT {_ENDPOINT} FROM webhook_endpoint WHERE endpoint_id = $1"
_FIND_SIGNING = """
    SELECT secret, previous_secret, previous_secret_until FROM webhook_endpoint
     WHERE endpoint_id = $1
"""
_LIST_ENDPOINTS = f"""
    SELECT {_ENDPOINT} FROM webhook_endpoint
     WHERE ($1::text IS NULL OR endpoint_id > $1) AND ($2::text[] IS NULL OR stores <@ $2)
     ORDER BY endpoint_id LIMIT $3
"""
_ROTATE = """
    UPDATE webhook_endpoint
       SET secret = $2, previous_secret = secret, previous_secret_until = $3, updated_at = $4
     WHERE endpoint_id = $1
    RETURNING secret, previous_secret, previous_secret_until
"""
_DISABLE = """
    UPDATE webhook_endpoint SET state = 'disabled', disabled_reason = $2, updated_at = $3
     WHERE endpoint_id = $1 AND state = 'enabled'
"""
_DELETE_ENDPOINT = "DELETE FROM webhook_endpoint WHERE endpoint_id = $1 RETURNING true"
_DELETE_CURSORS = "DELETE FROM webhook_cursor WHERE endpoint_id = $1"
_DELETE_ATTEMPTS = """
    DELETE FROM webhook_attempt a USING webhook_delivery d
     WHERE d.endpoint_id = $1 AND a.store_id = d.store_id AND a.delivery_id = d.delivery_id
"""
_DELETE_DELIVERIES = "DELETE FROM webhook_delivery WHERE endpoint_id = $1"

_CURSORS_AT_HEAD = """
    INSERT INTO webhook_cursor (store_id, endpoint_id, seq)
    SELECT store_id, $1, seq FROM stream_head
     WHERE ($2::text[] IS NULL OR store_id = ANY($2)) AND NOT store_id = ANY($3)
    ON CONFLICT (store_id, endpoint_id) DO UPDATE SET seq = excluded.seq
"""
_DROP_CURSORS = "DELETE FROM webhook_cursor WHERE endpoint_id = $1 AND NOT store_id = ANY($2)"
_MOVE_CURSOR = """
    INSERT INTO webhook_cursor AS c (store_id, endpoint_id, seq) VALUES ($1, $2, $3)
    ON CONFLICT (store_id, endpoint_id) DO UPDATE SET seq = excluded.seq WHERE c.seq = $4
    RETURNING true
"""
_HOLD_ENDPOINTS = """
    SELECT endpoint_id FROM webhook_endpoint
     WHERE endpoint_id = ANY($1) AND state = 'enabled' ORDER BY endpoint_id FOR SHARE
"""
_BEHIND = """
    SELECT h.store_id, h.seq AS head, e.endpoint_id, coalesce(c.seq, 0) AS cursor
      FROM webhook_endpoint e
      JOIN stream_head h ON e.stores IS NULL OR h.store_id = ANY(e.stores)
      LEFT JOIN webhook_cursor c ON c.store_id = h.store_id AND c.endpoint_id = e.endpoint_id
     WHERE e.state = 'enabled' AND h.seq > coalesce(c.seq, 0)
     ORDER BY h.store_id, e.endpoint_id
"""
_ENABLED = f"SELECT {_ENDPOINT} FROM webhook_endpoint WHERE state = 'enabled'"
_ADD_DELIVERIES = """
    INSERT INTO webhook_delivery
        (store_id, delivery_id, endpoint_id, seq, type, state, attempts, next_attempt_at,
         created_at)
    SELECT $1, delivery_id, endpoint_id, seq, type, 'pending', 0, $2, $2
      FROM unnest($3::text[], $4::text[], $5::bigint[], $6::text[])
           AS new (delivery_id, endpoint_id, seq, type)
"""
_SENT_SEQS = """
    SELECT seq FROM webhook_delivery
     WHERE store_id = $1 AND endpoint_id = $2 AND seq = ANY($3::bigint[])
"""

_DELIVERY = """
    store_id, delivery_id, endpoint_id, seq, type, state, attempts, next_attempt_at, created_at,
    finished_at
"""
_DUE = """
    SELECT d.endpoint_id, d.store_id
      FROM webhook_delivery d JOIN webhook_endpoint e ON e.endpoint_id = d.endpoint_id
     WHERE d.state = 'pending' AND d.next_attempt_at <= $1
       AND (d.lease_until IS NULL OR d.lease_until <= $1) AND e.state = 'enabled'
     GROUP BY d.endpoint_id, d.store_id
     ORDER BY min(d.next_attempt_at), d.store_id
"""
_LOCK_DUE = """
    SELECT delivery_id FROM webhook_delivery
     WHERE store_id = $1 AND endpoint_id = $2 AND state = 'pending' AND next_attempt_at <= $3
       AND (lease_until IS NULL OR lease_until <= $3)
       AND EXISTS (SELECT FROM webhook_endpoint e
                    WHERE e.endpoint_id = $2 AND e.state = 'enabled')
     ORDER BY next_attempt_at, seq LIMIT $4
       FOR UPDATE SKIP LOCKED
"""
_LEASE = f"""
    UPDATE webhook_delivery SET lease_until = $3, lease_owner = $4
     WHERE store_id = $1 AND delivery_id = ANY($2)
    RETURNING {_DELIVERY}
"""
_FINISH = """
    UPDATE webhook_delivery
       SET state = $5, attempts = attempts + 1, next_attempt_at = $6, finished_at = $7,
           lease_until = NULL, lease_owner = NULL
     WHERE store_id = $1 AND delivery_id = $2 AND lease_owner = $3 AND attempts = $4
    RETURNING true
"""
_ADD_ATTEMPT = """
    INSERT INTO webhook_attempt
        (store_id, delivery_id, attempt, started_at, duration_ms, status, error, response_excerpt)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_FIND_DELIVERY = f"""
    SELECT {_DELIVERY} FROM webhook_delivery WHERE endpoint_id = $1 AND delivery_id = $2
"""
_LIST_DELIVERIES = f"""
    SELECT {_DELIVERY} FROM webhook_delivery
     WHERE endpoint_id = $1 AND ($2::text IS NULL OR delivery_id < $2)
       AND ($3::text IS NULL OR state = $3) AND ($4::text IS NULL OR store_id = $4)
     ORDER BY delivery_id DESC LIMIT $5
"""
_LIST_ATTEMPTS = """
    SELECT attempt, started_at, duration_ms, status, error, response_excerpt
      FROM webhook_attempt
     WHERE store_id = $1 AND delivery_id = $2 AND attempt > $3 ORDER BY attempt LIMIT $4
"""
_REDELIVER = f"""
    UPDATE webhook_delivery SET state = 'pending', next_attempt_at = $3, finished_at = NULL
     WHERE store_id = $1 AND delivery_id = $2
    RETURNING {_DELIVERY}
"""
_FORGET_ATTEMPTS = """
    DELETE FROM webhook_attempt a USING webhook_delivery d
     WHERE d.state <> 'pending' AND d.finished_at < $1
       AND a.store_id = d.store_id AND a.delivery_id = d.delivery_id
"""
_FORGET_DELIVERIES = """
    DELETE FROM webhook_delivery WHERE state <> 'pending' AND finished_at < $1
"""


@dataclass(frozen=True, slots=True)
class Behind:
    """A store whose log goes on behind what was fanned out.

    Attributes:
        head: The last seq of the log.
        cursors: By endpoint: up to where it has read; each is below the head.
    """

    store_id: str
    head: int
    cursors: dict[str, int]


@dataclass(frozen=True, slots=True)
class CursorMove:
    """What one endpoint is to be sent of a stretch of the log.

    Attributes:
        wanted: (seq, type) of each event, all of them after `after` and up to `upto`.
    """

    endpoint_id: str
    after: int
    upto: int
    wanted: Sequence[tuple[int, str]]


class WebhookRepository:
    """Endpoints, cursors, deliveries and attempts."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    # Endpoints

    async def add_endpoint(self, endpoint: Endpoint, secret: str, *, from_beginning: bool) -> None:
        """Store a new endpoint; it hears of what is recorded from now on, or of everything."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                _ADD_ENDPOINT,
                endpoint.endpoint_id,
                endpoint.url,
                endpoint.description,
                endpoint.event_types,
                endpoint.stores,
                endpoint.include_late,
                endpoint.state,
                endpoint.disabled_reason,
                endpoint.created_at,
                endpoint.updated_at,
                secret,
            )
            if not from_beginning:
                await connection.execute(
                    _CURSORS_AT_HEAD, endpoint.endpoint_id, endpoint.stores, []
                )

    async def update_endpoint(
        self, endpoint_id: str, change: Callable[[Endpoint], Endpoint]
    ) -> Endpoint | None:
        """Change an endpoint as it is at that moment; None if there is none.

        In a store that it did not cover before it hears of what is recorded from now on.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_LOCK_ENDPOINT, endpoint_id)
            if row is None:
                return None
            before = _endpoint(row)
            after = change(before)
            if after.stores != before.stores:
                await self._move_to_stores(connection, before, after)
            await connection.execute(
                _SAVE_ENDPOINT,
                endpoint_id,
                after.url,
                after.description,
                after.event_types,
                after.stores,
                after.include_late,
                after.state,
                after.disabled_reason,
                after.updated_at,
            )
            return after

    @staticmethod
    async def _move_to_stores(
        connection: Connection,
        before: Endpoint,
        after: Endpoint,
    ) -> None:
        if after.stores is not None:
            await connection.execute(_DROP_CURSORS, after.endpoint_id, after.stores)
        if before.stores is not None:
            await connection.execute(
                _CURSORS_AT_HEAD, after.endpoint_id, after.stores, before.stores
            )

    async def find_endpoint(self, endpoint_id: str) -> Endpoint | None:
        """Find an endpoint."""
        row = await self._pool.fetchrow(_FIND_ENDPOINT, endpoint_id)
        return None if row is None else _endpoint(row)

    async def find_signing(self, endpoint_id: str) -> Signing | None:
        """Find the secrets of an endpoint."""
        row = await self._pool.fetchrow(_FIND_SIGNING, endpoint_id)
        return None if row is None else _signing(row)

    async def list_endpoints(
        self, *, after: str | None, limit: int, among: Collection[str] | None
    ) -> list[Endpoint]:
        """List endpoints, oldest first; `among`: only those that hear of no other stores."""
        stores = None if among is None else list(among)
        rows = await self._pool.fetch(_LIST_ENDPOINTS, after, stores, limit)
        return [_endpoint(row) for row in rows]

    async def list_enabled(self) -> list[Endpoint]:
        """List the endpoints that are sent something."""
        return [_endpoint(row) for row in await self._pool.fetch(_ENABLED)]

    async def rotate_secret(
        self, endpoint_id: str, secret: str, *, previous_until: datetime, now: datetime
    ) -> Signing | None:
        """Put a new secret in place; the one before goes on signing until `previous_until`."""
        row = await self._pool.fetchrow(_ROTATE, endpoint_id, secret, previous_until, now)
        return None if row is None else _signing(row)

    async def delete_endpoint(self, endpoint_id: str) -> bool:
        """Delete an endpoint with all that belongs to it; False if there is none."""
        async with self._pool.acquire() as connection, connection.transaction():
            found = await connection.fetchval(_DELETE_ENDPOINT, endpoint_id)
            for statement in (_DELETE_CURSORS, _DELETE_ATTEMPTS, _DELETE_DELIVERIES):
                await connection.execute(statement, endpoint_id)
        return bool(found)

    # Fan-out

    async def list_behind(self) -> list[Behind]:
        """List the stores with events that some enabled endpoint has not read yet."""
        found: dict[str, Behind] = {}
        for store_id, head, endpoint_id, cursor in await self._pool.fetch(_BEHIND):
            behind = found.setdefault(store_id, Behind(store_id, head, {}))
            behind.cursors[endpoint_id] = cursor
        return list(found.values())

    async def find_sent(self, store_id: str, endpoint_id: str, seqs: Iterable[int]) -> set[int]:
        """Find those of the events for which the endpoint has a delivery."""
        rows = await self._pool.fetch(_SENT_SEQS, store_id, endpoint_id, list(seqs))
        return {row["seq"] for row in rows}

    async def move_cursors(
        self, store_id: str, moves: Sequence[CursorMove], *, now: datetime
    ) -> int:
        """Insert the deliveries of a stretch of the log and advance the cursors over it.

        Each endpoint's part is compare-and-set: whoever was faster has done it already. An
        endpoint that is disabled or gone by now keeps its place.

        Returns:
            How many deliveries were inserted.
        """
        wanted: list[tuple[str, int, str]] = []
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(_HOLD_ENDPOINTS, [move.endpoint_id for move in moves])
            held = {row["endpoint_id"] for row in rows}
            for move in sorted(moves, key=lambda move: move.endpoint_id):
                if move.endpoint_id in held and await connection.fetchval(
                    _MOVE_CURSOR, store_id, move.endpoint_id, move.upto, move.after
                ):
                    wanted += [(move.endpoint_id, seq, name) for seq, name in move.wanted]
            if wanted:
                await connection.execute(
                    _ADD_DELIVERIES,
                    store_id,
                    now,
                    [str(uuid7()) for _ in wanted],
                    [endpoint_id for endpoint_id, _, _ in wanted],
                    [seq for _, seq, _ in wanted],
                    [name for _, _, name in wanted],
                )
        return len(wanted)

    # Deliveries

    async def list_due(self, now: datetime) -> dict[str, list[str]]:
        """List where something is to be sent: by endpoint its stores, the longest due first."""
        found: dict[str, list[str]] = {}
        for endpoint_id, store_id in await self._pool.fetch(_DUE, now):
            found.setdefault(endpoint_id, []).append(store_id)
        return found

    async def claim(
        self,
        store_id: str,
        endpoint_id: str,
        *,
        owner: str,
        now: datetime,
        lease_until: datetime,
        limit: int,
    ) -> list[Delivery]:
        """Claim due deliveries of a store to an endpoint, in the order in which they fell due.

        Nobody else gets them before `lease_until`; after it they are due again.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            due = await connection.fetch(_LOCK_DUE, store_id, endpoint_id, now, limit)
            ids = [row["delivery_id"] for row in due]
            rows = await connection.fetch(_LEASE, store_id, ids, lease_until, owner)
        claimed = [_delivery(row) for row in rows]
        return sorted(claimed, key=lambda delivery: ids.index(delivery.delivery_id))

    async def finish(
        self, delivery: Delivery, attempt: Attempt, verdict: Verdict, *, owner: str, now: datetime
    ) -> bool:
        """Keep what came of a try, and disable the endpoint if the verdict says so.

        Returns:
            False if the claim was lost meanwhile: then nothing is kept of the try.
        """
        finished_at = None if verdict.next_attempt_at else now
        async with self._pool.acquire() as connection, connection.transaction():
            if verdict.disable:  # endpoints are locked before deliveries, everywhere
                await connection.execute(_DISABLE, delivery.endpoint_id, "gone", now)
            kept = await connection.fetchval(
                _FINISH,
                delivery.store_id,
                delivery.delivery_id,
                owner,
                delivery.attempts,
                verdict.state,
                verdict.next_attempt_at or delivery.next_attempt_at,
                finished_at,
            )
            if not kept:
                return False
            await connection.execute(
                _ADD_ATTEMPT,
                delivery.store_id,
                delivery.delivery_id,
                attempt.attempt,
                attempt.started_at,
                attempt.duration_ms,
                attempt.status,
                attempt.error,
                attempt.response_excerpt,
            )
        return True

    async def find_delivery(self, endpoint_id: str, delivery_id: str) -> Delivery | None:
        """Find a delivery of an endpoint."""
        row = await self._pool.fetchrow(_FIND_DELIVERY, endpoint_id, delivery_id)
        return None if row is None else _delivery(row)

    async def list_deliveries(
        self,
        endpoint_id: str,
        *,
        before: str | None,
        limit: int,
        state: DeliveryState | None,
        store_id: str | None,
    ) -> list[Delivery]:
        """List deliveries of an endpoint, newest first."""
        rows = await self._pool.fetch(
            _LIST_DELIVERIES, endpoint_id, before, state, store_id, limit
        )
        return [_delivery(row) for row in rows]

    async def list_attempts(
        self, store_id: str, delivery_id: str, *, after: int, limit: int
    ) -> list[Attempt]:
        """List the tries of a delivery, oldest first."""
        rows = await self._pool.fetch(_LIST_ATTEMPTS, store_id, delivery_id, after, limit)
        return [Attempt(**row) for row in rows]

    async def redeliver(self, delivery: Delivery, *, now: datetime) -> Delivery | None:
        """Make a delivery due at once, whatever became of it."""
        row = await self._pool.fetchrow(_REDELIVER, delivery.store_id, delivery.delivery_id, now)
        return None if row is None else _delivery(row)

    async def forget_finished(self, before: datetime) -> None:
        """Delete what was delivered or given up before a moment."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_FORGET_ATTEMPTS, before)
            await connection.execute(_FORGET_DELIVERIES, before)


def _endpoint(row: asyncpg.Record) -> Endpoint:
    return Endpoint(
        endpoint_id=row["endpoint_id"],
        url=row["url"],
        description=row["description"],
        event_types=_tuple(row["event_types"]),
        stores=_tuple(row["stores"]),
        include_late=row["include_late"],
        state=EndpointState(row["state"]),
        disabled_reason=row["disabled_reason"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _tuple(values: Sequence[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def _signing(row: asyncpg.Record) -> Signing:
    return Signing(row["secret"], row["previous_secret"], row["previous_secret_until"])


def _delivery(row: asyncpg.Record) -> Delivery:
    return Delivery(
        store_id=row["store_id"],
        delivery_id=row["delivery_id"],
        endpoint_id=row["endpoint_id"],
        seq=row["seq"],
        type=row["type"],
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        next_attempt_at=row["next_attempt_at"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )
