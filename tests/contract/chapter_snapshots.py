"""A shop whose DMS exports whole repair orders: what is made of them, repeats, a retraction."""

from collections.abc import Iterator
from typing import Any, Final

from tests.contract.stage import Example
from tests.contract.telling import Interlude, event, post

ORDER: Final = "/v1/stores/SN01/repair-orders/WX-1007"
MORNING: Final[dict[str, Any]] = {
    "status": "open",
    "opened_at": "2026-01-12T08:40:00+08:00",
    "advisor": "A07",
    "work_type": "ordinary_repair",
    "vin": "LSVAA4182E2100001",
    "plate": "沪A00001",
    "promised_at": "2026-01-12T17:00:00+08:00",
}
NOON: Final = MORNING | {
    "promised_at": "2026-01-12T18:00:00+08:00",
    "technician": "T12",
    "team": "B1",
}
NIGHT: Final = NOON | {
    "status": "closed",
    "settled_at": "2026-01-12T17:30:00+08:00",
    "amounts": {"labor": "360.00", "parts": "480.50"},
    "handed_over_at": "2026-01-12T17:40:00+08:00",
}


def snapshot(time: str, data: dict[str, Any]) -> dict[str, Any]:
    """An order as an export of 12 January writes it; its id has order and time."""
    return event(
        "repair_order.snapshot",
        "WX-1007",
        f"2026-01-12T{time}",
        data,
        id=f"WX-1007@{time}",
        source="/export/sn01",
        store="SN01",
    )


def chapter() -> Iterator[Example | Interlude]:
    """Tell it."""
    yield Example(
        name="put_store.of-snapshots",
        summary="A shop whose DMS exports whole orders 使用快照的门店",
        method="PUT",
        path="/v1/stores/SN01",
        body={"name": "示例快照店"},
        status=201,
    )
    yield post(
        "snapshots",
        "A repair order in the morning, at noon, at night 工单快照",
        [snapshot("10:00", MORNING), snapshot("12:00", NOON), snapshot("23:00", NIGHT)],
    )
    yield post(
        "snapshot-again",
        "As it was: nothing is appended 重复快照",
        snapshot("23:30", NIGHT),
    )
    yield Example(
        name="get_repair_order.from-snapshots",
        summary="What nobody told is named 由快照推断的工单",
        path=ORDER,
    )
    yield Example(
        name="get_repair_order_timeline.from-snapshots",
        summary="Each inferred fact with its evidence 推断事实及依据",
        path=f"{ORDER}/timeline",
        capture={"inferred_id": ("items", 2, "id")},
    )
    yield post(
        "inferred-not-retractable",
        "What was inferred goes with its snapshot 推断的事实不可单独撤回",
        event(
            "event.retracted",
            "WX-1007",
            "2026-01-13T08:00",
            {
                "source": "/servicelane/inferred",
                "id": "{inferred_id}",
                "reason": "wrong",
            },
            id="not-inferred",
            source="/export/sn01",
            store="SN01",
        ),
    )
    yield post(
        "snapshot-retracted",
        "All that the last snapshot implied goes with it 撤回快照",
        event(
            "event.retracted",
            "WX-1007",
            "2026-01-13T08:10",
            {
                "source": "/export/sn01",
                "id": "WX-1007@23:00",
                "reason": "export of another branch",
            },
            id="not-WX-1007@23:00",
            source="/export/sn01",
            store="SN01",
        ),
    )
