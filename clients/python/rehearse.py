"""Rehearse a month of one repair order, with a client generated from the OpenAPI document.

The car is late, and nobody makes the follow-up call in time. It needs a sandbox.

Usage: python rehearse.py BASE_URL KEY STORE
"""

import json
import sys
from datetime import timedelta
from typing import TypeVar

from servicelane_client import AuthenticatedClient
from servicelane_client.api.events import post_events
from servicelane_client.api.repair_orders import get_repair_order, get_repair_order_follow_up
from servicelane_client.api.sandbox import get_sandbox_clock, move_sandbox_clock
from servicelane_client.api.stores import put_store
from servicelane_client.models import (
    Amounts,
    ClockIn,
    EventRepairOrderOpened,
    EventRepairOrderSettled,
    ProblemDocument,
    RepairOrderOpened,
    RepairOrderOpenedWorkTypeType0,
    RepairOrderSettled,
    StoreIn,
)

Answer = TypeVar("Answer")

HOUR = timedelta(hours=1)


def main(base_url: str, key: str, store: str) -> None:
    client = AuthenticatedClient(base_url=base_url, token=key)
    shop = StoreIn(name="Rehearsal", time_zone="Asia/Shanghai", currency="CNY")
    done(put_store.sync(store, client=client, body=shop))

    now = done(get_sandbox_clock.sync(client=client)).now
    opened = EventRepairOrderOpened(
        specversion="1.0",
        source="/dms/rehearsal",
        id="repair_order/RO1001/1",
        type_="repair_order.opened",
        store=store,
        subject="RO1001",
        time=now - 8 * HOUR,
        data=RepairOrderOpened(
            work_type=RepairOrderOpenedWorkTypeType0.ORDINARY_REPAIR,
            advisor="A07",
            customer_no="C0001",
            promised_at=now - 2 * HOUR,
        ),
    )
    settled = EventRepairOrderSettled(
        specversion="1.0",
        source="/dms/rehearsal",
        id="repair_order/RO1001/2",
        type_="repair_order.settled",
        store=store,
        subject="RO1001",
        time=now - HOUR,
        data=RepairOrderSettled(amounts=Amounts(labor="300", parts="520.50")),
    )
    taken = done(post_events.sync(client=client, body=[opened, settled]))

    order = done(get_repair_order.sync(store, "RO1001", client=client))
    moved = ClockIn(now=now + timedelta(days=9))
    done(move_sandbox_clock.sync(client=client, body=moved))
    call = done(get_repair_order_follow_up.sync(store, "RO1001", "first", client=client))

    print(
        json.dumps(
            {
                "outcomes": [result.outcome for result in taken.results],
                "verdict": order.on_time.verdict,
                "call": call.status,
            }
        )
    )


def done(answer: Answer | ProblemDocument | None) -> Answer:
    """Give the answer of a request, or stop with the problem that was answered instead."""
    if answer is None or isinstance(answer, ProblemDocument):
        raise SystemExit(f"refused: {answer}")
    return answer


if __name__ == "__main__":
    main(*sys.argv[1:])
