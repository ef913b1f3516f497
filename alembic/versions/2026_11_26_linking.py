"""Late linking: who owned a vehicle when, and under which number a merged customer counts.

What was folded and written before is brought up to date from the log. Calls whose customer becomes
known by it learn so when their order is next heard of.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from app.db.sql import execute_file

revision: str = "0003_linking"
down_revision: str | None = "0002_snapshots"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

STANDING = """
    CREATE TEMPORARY VIEW standing AS
    SELECT e.* FROM event e
     WHERE NOT EXISTS (
        SELECT FROM event r
         WHERE r.store_id = e.store_id AND r.kind = e.kind AND r.key = e.key
           AND r.type = 'event.retracted'
           AND r.data ->> 'source' = e.source AND r.data ->> 'id' = e.event_id
           AND NOT EXISTS (
            SELECT FROM event rr
             WHERE rr.store_id = r.store_id AND rr.kind = r.kind AND rr.key = r.key
               AND rr.type = 'event.retracted'
               AND rr.data ->> 'source' = r.source AND rr.data ->> 'id' = r.event_id))
"""
OWNERS = """
    UPDATE vehicle v SET state = v.state || jsonb_build_object('owners', o.owners)
      FROM (
        SELECT store_id, key, jsonb_agg(
                 jsonb_build_object('at', occurred_at, 'customer_no', customer_no,
                                    'by', split_part(type, '.', 2))
                 ORDER BY occurred_at, seq) AS owners
          FROM (
            SELECT store_id, key, type, occurred_at, seq, data ->> 'customer_no' AS customer_no,
                   lag(data ->> 'customer_no') OVER (
                       PARTITION BY store_id, key ORDER BY occurred_at, seq) AS before
              FROM standing
             WHERE kind = 'vehicle' AND data ? 'customer_no'
          ) AS said
         WHERE customer_no IS DISTINCT FROM before
         GROUP BY store_id, key
      ) AS o
     WHERE v.store_id = o.store_id AND v.vin = o.key
"""
MERGERS = """
    UPDATE customer c
       SET state = c.state || jsonb_build_object('merged_at', m.occurred_at, 'merged_seq', m.seq)
      FROM (
        SELECT DISTINCT ON (store_id, key) store_id, key, occurred_at, seq
          FROM standing
         WHERE type = 'customer.merged' ORDER BY store_id, key, occurred_at DESC, seq DESC
      ) AS m
     WHERE c.store_id = m.store_id AND c.customer_no = m.key
"""
SURVIVORS = """
    WITH RECURSIVE walk AS (
        SELECT store_id, customer_no, state ->> 'merged_into' AS next_no,
               ARRAY[customer_no] AS path
          FROM customer WHERE state ? 'merged_into'
         UNION ALL
        SELECT w.store_id, w.customer_no, c.state ->> 'merged_into', w.path || w.next_no
          FROM walk w
          JOIN customer c ON c.store_id = w.store_id AND c.customer_no = w.next_no
         WHERE c.state ? 'merged_into' AND NOT w.next_no = ANY(w.path)
    ), ends AS (
        SELECT DISTINCT ON (store_id, customer_no) store_id, customer_no, next_no, path
          FROM walk ORDER BY store_id, customer_no, cardinality(path) DESC
    )
    UPDATE customer c
       SET surviving_no = nullif(CASE WHEN NOT e.next_no = ANY(e.path)
               THEN e.next_no ELSE (
                   -- a circle: its oldest merger is overruled
                   SELECT o.customer_no
                     FROM unnest(e.path[array_position(e.path, e.next_no):]) AS n (customer_no)
                     JOIN customer o ON o.store_id = e.store_id AND o.customer_no = n.customer_no
                    ORDER BY (o.state ->> 'merged_at')::timestamptz,
                             (o.state ->> 'merged_seq')::bigint
                    LIMIT 1) END, c.customer_no)
      FROM ends e
     WHERE c.store_id = e.store_id AND c.customer_no = e.customer_no
"""
CUSTOMERS = """
    UPDATE repair_order o SET customer_no = (
        SELECT CASE WHEN said.at <= o.opened_at OR said.by = 'registered'
               THEN said.customer_no END
          FROM vehicle v
         CROSS JOIN LATERAL jsonb_to_recordset(v.state -> 'owners')
            AS said (at timestamptz, customer_no text, by text)
         WHERE v.store_id = o.store_id AND v.spelled_alike = o.vin
         ORDER BY said.at > o.opened_at, abs(extract(epoch FROM said.at - o.opened_at)) LIMIT 1)
     WHERE NOT o.state ? 'customer_no' AND o.vin IS NOT NULL
"""


def upgrade() -> None:
    op.add_column("customer", sa.Column("surviving_no", sa.Text(), nullable=True))
    op.add_column("vehicle", sa.Column("spelled_alike", sa.Text(), nullable=True))
    op.execute("UPDATE vehicle SET spelled_alike = upper(vin)")
    op.alter_column("vehicle", "spelled_alike", nullable=False)
    op.drop_index(op.f("ix_repair_order_store_id_vin"), table_name="repair_order")
    op.execute(
        "UPDATE repair_order"
        r" SET vin = nullif(upper(regexp_replace(vin, '^\s+|\s+$', '', 'g')), '')"
        " WHERE vin IS NOT NULL"
    )
    op.create_index(
        op.f("ix_vehicle_store_id_spelled_alike"), "vehicle", ["store_id", "spelled_alike"]
    )
    for statement in (STANDING, OWNERS, MERGERS, SURVIVORS, CUSTOMERS, "DROP VIEW standing"):
        op.execute(statement)
    op.execute(
        "UPDATE personal p SET customer_no = o.customer_no FROM repair_order o"
        " WHERE p.store_id = o.store_id AND p.kind = 'repair_order' AND p.key = o.ro_number"
        " AND p.customer_no IS DISTINCT FROM o.customer_no"
    )
    op.create_index(
        "ix_customer_surviving",
        "customer",
        ["store_id", "surviving_no"],
        postgresql_where=sa.text("surviving_no IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_repair_order_store_id_vin_customer_no"),
        "repair_order",
        ["store_id", "vin", "customer_no"],
    )
    op.create_index(
        "ix_repair_order_unlinked",
        "repair_order",
        ["store_id", "opened_at", "ro_number"],
        postgresql_where=sa.text("customer_no IS NULL OR vin IS NULL"),
    )
    op.create_index(
        "ix_personal_plate",
        "personal",
        ["store_id", sa.text("\"left\"(fields ->> 'plate', 128)")],
        postgresql_where=sa.text("fields ? 'plate'"),
    )
    execute_file("read_group.sql")
    execute_file("append_group.sql")


def downgrade() -> None:
    op.drop_index("ix_personal_plate", table_name="personal")
    op.drop_index("ix_repair_order_unlinked", table_name="repair_order")
    op.drop_index(op.f("ix_repair_order_store_id_vin_customer_no"), table_name="repair_order")
    op.drop_index("ix_customer_surviving", table_name="customer")
    op.drop_index(op.f("ix_vehicle_store_id_spelled_alike"), table_name="vehicle")
    op.execute("UPDATE vehicle SET state = state - 'owners'")
    op.execute("UPDATE customer SET state = state - 'merged_at' - 'merged_seq'")
    op.execute(
        "UPDATE repair_order SET vin = state ->> 'vin', customer_no = state ->> 'customer_no'"
    )
    op.create_index(op.f("ix_repair_order_store_id_vin"), "repair_order", ["store_id", "vin"])
    op.drop_column("vehicle", "spelled_alike")
    op.drop_column("customer", "surviving_no")
    # those of today name what was dropped, and the release of 0001 brings none of its own
    execute_file("of_0001/read_group.sql")
    execute_file("of_0001/append_group.sql")
