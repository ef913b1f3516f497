"""The statements of metrics find their rows by an index: their cost follows what they look for."""

from datetime import date

import pytest

from app.db import event_log, facts, judged_states, snapshots
from app.db.engine import Connection

DAY = date(2026, 7, 1)
SOME = ["a"]

STATEMENTS = {
    "touched": (event_log._READ_TOUCHED, ("S1", 1, 9, SOME)),
    "orders named": (event_log._READ_ORDERS_NAMED, ("S1", SOME)),
    "orders of follow-ups": (judged_states._ORDERS_OF_FOLLOW_UPS, ("S1", SOME)),
    "follow-ups of orders": (judged_states._FOLLOW_UPS_OF, ("S1", SOME)),
    "complaints of orders": (judged_states._COMPLAINTS_OF, ("S1", SOME)),
    "comebacks": (judged_states._CAME_BACK_AS, ("S1", SOME)),
    "facts of subjects": (facts._OF_SUBJECTS, ("S1", "repair_order", SOME)),
    "facts dropped": (facts._DROP, ("S1", SOME, SOME, SOME)),
    "what was revised": (facts._REVISED, ("S1", 1, 9)),
    "day sums dropped": (snapshots._DROP_DAYS, ("S1", SOME, SOME, [DAY])),
    "days counted": (snapshots._COUNT_DAYS, ("S1", SOME, SOME, [DAY])),
    "sums": (snapshots._SUMS, ("S1", SOME, SOME, "day", DAY, DAY, None)),
    "medians": (snapshots._MEDIANS, ("S1", SOME, SOME, "day", DAY, DAY, None, SOME)),
    "last versions": (snapshots._LATEST, ("S1", "day", SOME, DAY, DAY)),
    "all versions": (snapshots._VERSIONS, ("S1", "a", "day", DAY, DAY, "store", None)),
}


@pytest.mark.parametrize("name", STATEMENTS)
async def test_an_index_leads_to_the_rows(connection: Connection, name: str) -> None:
    statement, arguments = STATEMENTS[name]
    await connection.execute("SET enable_seqscan = off")
    plan = await connection.fetch(f"EXPLAIN {statement}", *arguments)
    lines = [row[0] for row in plan]
    assert not [line for line in lines if "Seq Scan" in line], "\n".join(lines)
    conditions = [line for line in lines if "Index Cond: " in line]
    assert any("store_id" in line for line in conditions), "\n".join(lines)
