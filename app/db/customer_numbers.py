"""The numbers under which one customer is known: mergers, as they are kept with the files."""

from collections.abc import Collection

from app.db.engine import Pool

_NUMBERS = """
    WITH root AS (
        SELECT coalesce(
            (SELECT surviving_no FROM customer WHERE store_id = $1 AND customer_no = $2), $2
        ) AS customer_no
    )
    SELECT customer_no, true AS counts, NULL::timestamptz AS merged_at FROM root
     UNION ALL
    SELECT c.customer_no, false, (c.state ->> 'merged_at')::timestamptz FROM root
      JOIN customer c ON c.store_id = $1 AND c.surviving_no = root.customer_no
     ORDER BY counts DESC, merged_at DESC, customer_no
"""
_SURVIVING = """
    SELECT customer_no, surviving_no FROM customer
     WHERE store_id = $1 AND customer_no = ANY($2) AND surviving_no IS NOT NULL
"""


async def list_numbers(pool: Pool, store_id: str, customer_no: str) -> list[str]:
    """List all numbers that are one customer with this one.

    Returns:
        The one that counts, then those that were merged into it, the last merged first.
    """
    rows = await pool.fetch(_NUMBERS, store_id, customer_no)
    return [row["customer_no"] for row in rows]


async def find_surviving(pool: Pool, store_id: str, numbers: Collection[str]) -> dict[str, str]:
    """Find the number that counts, for those that were merged."""
    rows = await pool.fetch(_SURVIVING, store_id, list(numbers))
    return {row["customer_no"]: row["surviving_no"] for row in rows}
