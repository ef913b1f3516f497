"""Which subjects news of a vehicle or of a customer reach, beyond those that they are about."""

from collections.abc import Sequence

from app.db.engine import Connection

_ORDERS_WITHOUT_CUSTOMER = """
    SELECT ro_number FROM repair_order
     WHERE store_id = $1 AND vin = ANY($2) AND NOT state ? 'customer_no'
"""
_MERGED_WITH = """
    WITH root AS (
        SELECT coalesce(c.surviving_no, n.customer_no) AS customer_no
          FROM unnest($2::text[]) AS n (customer_no)
          LEFT JOIN customer c ON c.store_id = $1 AND c.customer_no = n.customer_no
    )
    SELECT customer_no FROM root
     UNION
    SELECT c.customer_no FROM root
      JOIN customer c ON c.store_id = $1 AND c.surviving_no = root.customer_no
"""


class ReachRepository:
    """Reads over one connection, which may be in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list_orders_without_customer(self, store_id: str, vins: Sequence[str]) -> list[str]:
        """List the orders about these vehicles that name no customer themselves."""
        rows = await self._connection.fetch(_ORDERS_WITHOUT_CUSTOMER, store_id, list(vins))
        return [row["ro_number"] for row in rows]

    async def list_merged_with(self, store_id: str, customers: Sequence[str]) -> list[str]:
        """List the numbers that count as one customer with any of these, as written so far."""
        rows = await self._connection.fetch(_MERGED_WITH, store_id, list(customers))
        return [row["customer_no"] for row in rows]
