"""What was dealt with in quarantine and comes again, as every night's list brings it."""

from collections.abc import Iterator
from typing import Any, Final

from tests.contract.stage import Example
from tests.contract.telling import Interlude, event, missing, post

_STORE: Final[dict[str, Any]] = {"store": "KN31", "source": "/dms/kn31"}
_ITEM: Final = "/v1/quarantine/{known_item}"
_OTHER: Final = "/v1/quarantine/{known_other}"


def chapter() -> Iterator[Example | Interlude]:
    """Tell it."""
    yield Example(
        name="put_store.for-what-comes-again",
        summary="A store that exports a list every night 每晚导出清单的门店",
        method="PUT",
        path="/v1/stores/KN31",
        body={"name": "示例重复门店"},
        status=201,
    )
    broken, internal = _opened("KN-102", odometer_km=-5), _opened("KN-103", advisor=None)
    tonight = [_opened("KN-101", odometer_km=12300), broken, internal]
    yield post(
        "first-night",
        "Two of the list can't be taken 首晚",
        tonight,
        capture={
            "known_item": ("results", 1, "quarantine_id"),
            "known_other": ("results", 2, "quarantine_id"),
        },
    )
    yield Example(
        name="replay_quarantined.for-good",
        summary="One is corrected 更正",
        method="POST",
        path=f"{_ITEM}/replay",
        body={"patch": [{"op": "replace", "path": "/data/odometer_km", "value": 5000}]},
    )
    yield Example(
        name="discard_quarantined.for-good",
        summary="One is discarded 丢弃",
        method="POST",
        path=f"{_OTHER}/discard",
        body={"reason": "an internal order 内部工单"},
    )
    yield post(
        "next-night",
        "The list is as wrong as before, and nobody's work 次晚，清单未改，无需处理",
        tonight,
    )
    yield Example(
        name="get_quarantined.seen-again",
        summary="It counts what came again 处理后再次收到",
        path=_ITEM,
    )
    yield Example(
        name="reopen_quarantined.waits-again",
        summary="Discarded by mistake 撤销丢弃",
        method="POST",
        path=f"{_OTHER}/reopen",
    )
    yield Example(
        name="reopen_quarantined.conflict",
        summary="It is in the log 已入库",
        method="POST",
        path=f"{_ITEM}/reopen",
        status=409,
    )
    yield missing("reopen_quarantined", "/v1/quarantine/nothing/reopen", method="POST")


def _opened(ro_number: str, **data: Any) -> dict[str, Any]:
    filled = {"work_type": "ordinary_repair", "advisor": "A07", **data}
    return event("repair_order.opened", ro_number, "2026-01-12T09:00", filled, **_STORE)
