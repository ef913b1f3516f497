"""What hangs together and what doesn't yet: belongings of customers, orders that lack a link."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from app.db.customer_numbers import find_surviving, list_numbers
from app.db.engine import Pool
from app.domain.customer import Customer
from app.domain.links import Visit
from app.domain.repair_order import RepairOrder
from app.domain.subject import decode

Missing = Literal["customer", "vehicle", "both"]

_OF_CUSTOMER: Final = """
    SELECT {key} AS key, {at} AS at FROM {table}
     WHERE store_id = $1 AND customer_no = ANY($2)
     UNION ALL
    SELECT m.{key}, m.{at} FROM repair_order o
      JOIN {table} m ON m.store_id = o.store_id AND m.ro_number = o.ro_number
     WHERE o.store_id = $1 AND o.customer_no = ANY($2) AND m.customer_no IS NULL
"""
_CALLS: Final = _OF_CUSTOMER.format(table="follow_up", key="follow_up_id", at="due_at")
_COMPLAINTS: Final = _OF_CUSTOMER.format(table="complaint", key="complaint_id", at="opened_at")
_BELONGINGS: Final = f"""
    (SELECT 'vehicles' AS name, vin AS key FROM vehicle
      WHERE store_id = $1 AND customer_no = ANY($2) ORDER BY vin LIMIT $3)
    UNION ALL
    (SELECT 'repair_orders', ro_number FROM repair_order
      WHERE store_id = $1 AND customer_no = ANY($2)
      ORDER BY opened_at DESC, ro_number DESC LIMIT $3)
    UNION ALL
    (SELECT 'follow_ups', key FROM ({_CALLS}) AS f ORDER BY at DESC NULLS LAST, key LIMIT $3)
    UNION ALL
    (SELECT 'complaints', key FROM ({_COMPLAINTS}) AS c ORDER BY at DESC, key LIMIT $3)
"""
_IS_KNOWN: Final = """
    SELECT EXISTS (SELECT FROM customer WHERE store_id = $1 AND customer_no = $2)
        OR EXISTS (SELECT FROM customer WHERE store_id = $1 AND surviving_no = $2)
        OR EXISTS (SELECT FROM repair_order WHERE store_id = $1 AND customer_no = $2)
        OR EXISTS (SELECT FROM vehicle WHERE store_id = $1 AND customer_no = $2)
        OR EXISTS (SELECT FROM follow_up WHERE store_id = $1 AND customer_no = $2)
        OR EXISTS (SELECT FROM complaint WHERE store_id = $1 AND customer_no = $2)
"""
_UNLINKED: Final = """
    SELECT t.ro_number, t.version, t.state, t.opened_at,
           coalesce(c.surviving_no, t.customer_no) AS customer_no
      FROM repair_order t
      LEFT JOIN customer c ON c.store_id = t.store_id AND c.customer_no = t.customer_no
     WHERE t.store_id = $1 AND (t.customer_no IS NULL OR t.vin IS NULL)
       AND ($2::timestamptz IS NULL OR (t.opened_at, t.ro_number) > ($2, $3::text))
       AND CASE WHEN $4::text IS NULL THEN t.status <> 'cancelled' ELSE t.status = $4 END
       AND CASE $5::text WHEN 'customer' THEN t.customer_no IS NULL
                         WHEN 'vehicle' THEN t.vin IS NULL
                         WHEN 'both' THEN t.customer_no IS NULL AND t.vin IS NULL
                         ELSE true END
     ORDER BY t.opened_at, t.ro_number LIMIT $6
"""
_CUSTOMERS_OF_VINS: Final = """
    SELECT o.vin, coalesce(c.surviving_no, o.customer_no) AS customer_no
      FROM repair_order o
      LEFT JOIN customer c ON c.store_id = o.store_id AND c.customer_no = o.customer_no
     WHERE o.store_id = $1 AND o.vin = ANY($2) AND o.customer_no IS NOT NULL
     GROUP BY o.store_id, o.vin, coalesce(c.surviving_no, o.customer_no)
     ORDER BY o.vin, customer_no
"""
_VEHICLES_OF: Final = """
    SELECT n.counts, v.vin
      FROM (SELECT counts, counts AS customer_no FROM unnest($2::text[]) AS w (counts)
             UNION ALL
            SELECT surviving_no, customer_no FROM customer
             WHERE store_id = $1 AND surviving_no = ANY($2)) AS n
      JOIN vehicle v ON v.store_id = $1 AND v.customer_no = n.customer_no
     ORDER BY n.counts, v.vin
"""
_PLATES: Final = """
    SELECT DISTINCT w.plate, told.kind, told.key
      FROM unnest($2::text[]) AS w (plate)
     CROSS JOIN LATERAL (
        SELECT kind, key FROM personal
         WHERE store_id = $1 AND fields ? 'plate' AND left(fields ->> 'plate', 128) = w.plate
           AND kind IN ('vehicle', 'repair_order')
         ORDER BY seq DESC LIMIT 20
     ) AS told
     ORDER BY 1, 2, 3
"""
_SPLIT: Final = """
    SELECT vin FROM (
        SELECT store_id, vin, customer_no FROM repair_order
         WHERE store_id = $1 AND vin IS NOT NULL AND customer_no IS NOT NULL
           AND ($2::text IS NULL OR vin > $2)
         UNION ALL
        SELECT v.store_id, v.spelled_alike, said.customer_no FROM vehicle v
         CROSS JOIN LATERAL jsonb_to_recordset(v.state -> 'owners') AS said (customer_no text)
         WHERE v.store_id = $1 AND ($2::text IS NULL OR v.spelled_alike > $2)
    ) AS named
     GROUP BY store_id, vin HAVING min(customer_no) <> max(customer_no)
     ORDER BY vin LIMIT $3
"""
_VISITS: Final = """
    SELECT vin, opened_at, customer_no, ro_number FROM repair_order
     WHERE store_id = $1 AND vin = ANY($2) AND customer_no IS NOT NULL
       AND status <> 'cancelled'
     ORDER BY vin, opened_at, ro_number
"""
_TOLD_APART: Final = """
    SELECT state FROM customer
     WHERE store_id = $1 AND state ? 'told_apart'
       AND (customer_no = ANY($2) OR surviving_no = ANY($2))
     ORDER BY customer_no
"""


@dataclass(slots=True)
class Belongings:
    """Keys of what belongs to a customer: vehicles by VIN, of the others the latest first."""

    vehicles: list[str] = field(default_factory=list)
    repair_orders: list[str] = field(default_factory=list)
    follow_ups: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class UnlinkedOrder:
    """An order without a customer or a vehicle.

    Attributes:
        listed_at: The instant it is listed under.
        customer_no: Whose it is, after all mergers; None where that is what it lacks.
    """

    version: int
    state: RepairOrder
    listed_at: datetime
    customer_no: str | None


class LinkRepository:
    """Reads what is linked to what."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list_numbers(self, store_id: str, customer_no: str) -> list[str]:
        """List all numbers of one customer, the one that counts first."""
        return await list_numbers(self._pool, store_id, customer_no)

    async def find_surviving(self, store_id: str, numbers: Collection[str]) -> dict[str, str]:
        """Find the number that counts, for those that were merged."""
        return await find_surviving(self._pool, store_id, numbers)

    async def list_belongings(
        self, store_id: str, numbers: Sequence[str], *, limit: int
    ) -> Belongings:
        """List what belongs to a customer who has these numbers, up to `limit` of each kind."""
        found = Belongings()
        for row in await self._pool.fetch(_BELONGINGS, store_id, list(numbers), limit):
            getattr(found, row["name"]).append(row["key"])
        return found

    async def is_known(self, store_id: str, customer_no: str) -> bool:
        """Tell whether anything at all is known of a customer number."""
        known: bool = await self._pool.fetchval(_IS_KNOWN, store_id, customer_no)
        return known

    async def list_unlinked(
        self,
        store_id: str,
        *,
        missing: Missing | None,
        status: str | None,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> list[UnlinkedOrder]:
        """List orders that lack a link, the first opened first; cancelled ones only if asked."""
        rows = await self._pool.fetch(
            _UNLINKED, store_id, *(after or (None, None)), status, missing, limit
        )
        return [
            UnlinkedOrder(
                version=row["version"],
                state=decode(RepairOrder, row["state"]),
                listed_at=row["opened_at"],
                customer_no=row["customer_no"],
            )
            for row in rows
        ]

    async def list_customers_of(
        self, store_id: str, vins: Collection[str]
    ) -> list[tuple[str, str]]:
        """List (VIN, customer who counts) by the orders about these VINs, spelled alike."""
        rows = await self._pool.fetch(_CUSTOMERS_OF_VINS, store_id, list(vins))
        return [(row["vin"], row["customer_no"]) for row in rows]

    async def list_vehicles_of(
        self, store_id: str, customers: Collection[str]
    ) -> list[tuple[str, str]]:
        """List (customer, VIN) of vehicles; customers are named by the number that counts."""
        rows = await self._pool.fetch(_VEHICLES_OF, store_id, list(customers))
        return [(row["counts"], row["vin"]) for row in rows]

    async def list_with_plates(
        self, store_id: str, plates: Collection[str]
    ) -> list[tuple[str, str, str]]:
        """List (plate, kind, key) of vehicles and orders of which an event ever told the plate.

        Of each plate the last 20 events: what is written where there is no plate is no plate.
        """
        rows = await self._pool.fetch(_PLATES, store_id, list(plates))
        return [(row["plate"], row["kind"], row["key"]) for row in rows]

    async def list_of_several(self, store_id: str, *, after: str | None, limit: int) -> list[str]:
        """List VINs, spelled alike, for which more than one customer number was ever named."""
        rows = await self._pool.fetch(_SPLIT, store_id, after, limit)
        return [row["vin"] for row in rows]

    async def list_told_apart(self, store_id: str, numbers: Collection[str]) -> list[Customer]:
        """List the files that tell somebody apart, of these numbers and all merged into them."""
        rows = await self._pool.fetch(_TOLD_APART, store_id, list(numbers))
        return [decode(Customer, row["state"]) for row in rows]

    async def list_visits(
        self, store_id: str, vins: Collection[str]
    ) -> list[tuple[str, str, Visit]]:
        """List (VIN, RO number, visit) of the orders about these VINs that have a customer.

        Cancelled orders are nobody's visit.
        """
        rows = await self._pool.fetch(_VISITS, store_id, list(vins))
        return [
            (row["vin"], row["ro_number"], Visit(row["opened_at"], row["customer_no"]))
            for row in rows
        ]
