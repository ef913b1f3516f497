"""States as lists and single rows: the read models of the desk."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from app.db.customer_numbers import list_numbers
from app.db.engine import Pool
from app.domain.complaint import Complaint
from app.domain.customer import Customer
from app.domain.follow_up import FollowUp
from app.domain.links import spelled_alike
from app.domain.repair_order import RepairOrder
from app.domain.staff import Staff
from app.domain.subject import Subject, decode
from app.domain.vehicle import Vehicle

S = TypeVar("S", bound=Subject)


@dataclass(frozen=True, slots=True)
class Kept(Generic[S]):
    """A state as it is kept: under its key, with the seq of the last event that touched it.

    Attributes:
        customer_no: The customer for whom it counts now, after all mergers and all that was linked
            later; of a customer's file, the number that counts.
    """

    key: str
    version: int
    state: S
    customer_no: str | None = None


@dataclass(frozen=True, slots=True)
class RepairOrderFilter:
    """Which repair orders a list shows; None is any.

    Attributes:
        advisor: One of these; likewise the technician.
        due_before: Promised before that instant and still in the shop.
        overdue_at: Promised before that instant and still in the shop: late by then.
    """

    status: str | None = None
    stage: str | None = None
    work_type: str | None = None
    advisor: Collection[str] | None = None
    technician: Collection[str] | None = None
    customer_no: str | None = None
    vin: str | None = None
    due_before: datetime | None = None
    overdue_at: datetime | None = None
    opened_from: datetime | None = None
    opened_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class FollowUpFilter:
    """Which follow-ups a list shows; None is any.

    Attributes:
        status: As of `now`: planned, open, overdue, completed, cancelled or missed_on_arrival.
        assignee: One of these.
    """

    now: datetime
    status: str | None = None
    kind: str | None = None
    assignee: Collection[str] | None = None
    ro_number: str | None = None
    customer_no: str | None = None
    due_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class ComplaintFilter:
    """Which complaints a list shows; None is any.

    Attributes:
        responsible: One of these.
    """

    now: datetime
    status: str | None = None
    nature: str | None = None
    severity: str | None = None
    responsible: Collection[str] | None = None
    ro_number: str | None = None
    customer_no: str | None = None
    due_before: datetime | None = None
    overdue: bool | None = None


_KEYS: Final[dict[type[Subject], tuple[str, str]]] = {
    RepairOrder: ("repair_order", "ro_number"),
    FollowUp: ("follow_up", "follow_up_id"),
    Complaint: ("complaint", "complaint_id"),
    Customer: ("customer", "customer_no"),
    Vehicle: ("vehicle", "vin"),
    Staff: ("staff", "staff_no"),
}

_OF_ORDER: Final = """coalesce(k.customer_no, (
    SELECT o.customer_no FROM repair_order o
     WHERE o.store_id = $1 AND o.ro_number = k.ro_number))"""
_NAMED: Final[dict[type[Subject], str]] = {
    FollowUp: _OF_ORDER,
    Complaint: _OF_ORDER,
    Staff: "NULL::text",
}
"""Whom a row names, where that isn't plainly its customer: what names none is its order's."""

_ORDERS = """
    SELECT ro_number AS key, version, state, opened_at, customer_no FROM repair_order
     WHERE store_id = $1
       AND ($2::timestamptz IS NULL OR (opened_at, ro_number) < ($2, $3::text))
       AND ($4::text IS NULL OR status = $4)
       AND ($5::text IS NULL OR stage = $5)
       AND ($6::text IS NULL OR work_type = $6)
       AND ($7::text[] IS NULL OR advisor = ANY($7))
       AND ($8::text[] IS NULL OR technician = ANY($8))
       AND ($9::text[] IS NULL OR customer_no = ANY($9))
       AND ($10::text IS NULL OR vin = $10)
       AND ($11::timestamptz IS NULL
            OR (promised_at < $11 AND status IN ('open', 'ready_to_bill')))
       AND ($12::timestamptz IS NULL OR opened_at >= $12)
       AND ($13::timestamptz IS NULL OR opened_at < $13)
     ORDER BY opened_at DESC, ro_number DESC LIMIT $14
"""
_FOLLOW_UPS = """
    SELECT follow_up_id AS key, version, state, due_at, customer_no, ro_number FROM follow_up
     WHERE store_id = $1 AND due_at IS NOT NULL
       AND ($2::timestamptz IS NULL OR (due_at, follow_up_id) > ($2, $3::text))
       AND ($4::text IS NULL OR CASE
                WHEN status <> 'scheduled' THEN status
                WHEN missed_on_arrival THEN 'missed_on_arrival'
                WHEN opens_at > $5 THEN 'planned'
                WHEN date_trunc('second', due_at) + interval '1 second' <= $5 THEN 'overdue'
                ELSE 'open' END = $4)
       AND ($6::text IS NULL OR kind = $6)
       AND ($7::text[] IS NULL OR assignee = ANY($7))
       AND ($8::text IS NULL OR ro_number = $8)
       AND $9::text[] IS NULL
       AND ($10::timestamptz IS NULL OR due_at < $10)
     ORDER BY due_at, follow_up_id LIMIT $11
"""
_COMPLAINTS = """
    SELECT complaint_id AS key, version, state, opened_at, customer_no, ro_number FROM complaint
     WHERE store_id = $1
       AND ($2::timestamptz IS NULL OR (opened_at, complaint_id) < ($2, $3::text))
       AND ($4::text IS NULL OR status = $4)
       AND ($5::text IS NULL OR nature = $5)
       AND ($6::text IS NULL OR severity = $6)
       AND ($7::text[] IS NULL OR responsible = ANY($7))
       AND ($8::text IS NULL OR ro_number = $8)
       AND $9::text[] IS NULL
       AND ($10::timestamptz IS NULL OR (contact_due_at < $10 AND contacted_at IS NULL))
       AND ($11::boolean IS NULL
            OR (contacted_at IS NULL AND contact_due_at < $12::timestamptz) = $11)
     ORDER BY opened_at DESC, complaint_id DESC LIMIT $13
"""


def _with_customers(kind: type[Subject], statement: str, order: str) -> str:
    """Say of each row of a list for whom it counts; the list is cut before anything is joined."""
    named = _NAMED.get(kind, "k.customer_no")
    return f"""
        SELECT w.*, coalesce(c.surviving_no, w.named) AS counts_for
          FROM (SELECT k.*, {named} AS named FROM ({statement}) AS k) AS w
          LEFT JOIN customer c ON c.store_id = $1 AND c.customer_no = w.named
         ORDER BY {order}
    """


def _of_customer(statement: str, kind: type[Subject], numbers: list[str] | None) -> str:
    """Confine a list to what counts for a customer, by the indexes of both ways to tell."""
    if numbers is None:
        return statement
    table, column = _KEYS[kind]
    return statement.replace(
        "$9::text[] IS NULL",
        f"""{column} IN (
            SELECT {column} FROM {table} WHERE store_id = $1 AND customer_no = ANY($9::text[])
             UNION ALL
            SELECT s.{column} FROM repair_order r
              JOIN {table} s ON s.store_id = r.store_id AND s.ro_number = r.ro_number
             WHERE r.store_id = $1 AND r.customer_no = ANY($9::text[])
               AND s.customer_no IS NULL)""",
    )


class SubjectRepository:
    """Reads states. Writing them is the appender's."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, kind: type[S], store_id: str, key: str) -> Kept[S] | None:
        """Find one state by its key."""
        found = await self.find_many(kind, store_id, [key])
        return found[0] if found else None

    async def find_many(self, kind: type[S], store_id: str, keys: Sequence[str]) -> list[Kept[S]]:
        """Find states by their keys, in order of key."""
        return await self.list_of_many(kind, store_id, _KEYS[kind][1], keys)

    async def list_by_key(
        self, kind: type[S], store_id: str, *, after: str | None, limit: int
    ) -> list[Kept[S]]:
        """List states in order of their key, after a key."""
        table, column = _KEYS[kind]
        rows = await self._pool.fetch(
            _with_customers(
                kind,
                f"SELECT {column} AS key, * FROM {table}"
                f" WHERE store_id = $1 AND ($2::text IS NULL OR {column} > $2)"
                f" ORDER BY {column} LIMIT $3",
                "key",
            ),
            store_id,
            after,
            limit,
        )
        return [_kept(kind, row) for row in rows]

    async def list_of(
        self, kind: type[S], store_id: str, column: str, value: str
    ) -> list[Kept[S]]:
        """List the states that belong to another subject (`ro_number`, `customer_no`), by key."""
        return await self.list_of_many(kind, store_id, column, [value])

    async def list_of_many(
        self, kind: type[S], store_id: str, column: str, values: Sequence[str]
    ) -> list[Kept[S]]:
        """List the states that belong to any of several other subjects, by key."""
        table, key = _KEYS[kind]
        rows = await self._pool.fetch(
            _with_customers(
                kind,
                f"SELECT {key} AS key, * FROM {table} WHERE store_id = $1 AND {column} = ANY($2)",
                "key",
            ),
            store_id,
            list(values),
        )
        return [_kept(kind, row) for row in rows]

    async def list_repair_orders(
        self,
        store_id: str,
        wanted: RepairOrderFilter,
        *,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> list[tuple[Kept[RepairOrder], datetime]]:
        """List repair orders, the last opened first, each with the instant it is listed under."""
        promised_before = min(
            (at for at in (wanted.due_before, wanted.overdue_at) if at is not None), default=None
        )
        rows = await self._pool.fetch(
            _with_customers(RepairOrder, _ORDERS, "opened_at DESC, key DESC"),
            store_id,
            *(after or (None, None)),
            wanted.status,
            wanted.stage,
            wanted.work_type,
            wanted.advisor,
            wanted.technician,
            await self._numbers(store_id, wanted.customer_no),
            spelled_alike(wanted.vin),
            promised_before,
            wanted.opened_from,
            wanted.opened_to,
            limit,
        )
        return [(_kept(RepairOrder, row), row["opened_at"]) for row in rows]

    async def list_follow_ups(
        self,
        store_id: str,
        wanted: FollowUpFilter,
        *,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> list[Kept[FollowUp]]:
        """List follow-ups that have a window, the first due first."""
        numbers = await self._numbers(store_id, wanted.customer_no)
        statement = _of_customer(_FOLLOW_UPS, FollowUp, numbers)
        rows = await self._pool.fetch(
            _with_customers(FollowUp, statement, "due_at, key"),
            store_id,
            *(after or (None, None)),
            wanted.status,
            wanted.now,
            wanted.kind,
            wanted.assignee,
            wanted.ro_number,
            numbers,
            wanted.due_before,
            limit,
        )
        return [_kept(FollowUp, row) for row in rows]

    async def list_complaints(
        self,
        store_id: str,
        wanted: ComplaintFilter,
        *,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> list[tuple[Kept[Complaint], datetime]]:
        """List complaints, the last opened first, each with the instant it is listed under."""
        numbers = await self._numbers(store_id, wanted.customer_no)
        statement = _of_customer(_COMPLAINTS, Complaint, numbers)
        rows = await self._pool.fetch(
            _with_customers(Complaint, statement, "opened_at DESC, key DESC"),
            store_id,
            *(after or (None, None)),
            wanted.status,
            wanted.nature,
            wanted.severity,
            wanted.responsible,
            wanted.ro_number,
            numbers,
            wanted.due_before,
            wanted.overdue,
            wanted.now,
            limit,
        )
        return [(_kept(Complaint, row), row["opened_at"]) for row in rows]

    async def find_counting(
        self, store_id: str, customer_no: str | None, ro_number: str | None
    ) -> str | None:
        """Find the customer for whom something counts that names a customer, an order or both."""
        if customer_no is None and ro_number is not None:
            order = await self.find(RepairOrder, store_id, ro_number)
            return None if order is None else order.customer_no
        numbers = await self._numbers(store_id, customer_no)
        return None if numbers is None else numbers[0]

    async def _numbers(self, store_id: str, customer_no: str | None) -> list[str] | None:
        if customer_no is None:
            return None
        return await list_numbers(self._pool, store_id, customer_no)


def _kept(kind: type[S], row: Any) -> Kept[S]:
    return Kept(row["key"], row["version"], decode(kind, row["state"]), row["counts_for"])
