"""Lines of events, all or nothing, and trying out: the store BK01 brings its past along."""

import json
from collections.abc import Iterator
from typing import Any, Final

from tests.contract.stage import Example
from tests.contract.telling import BATCH, Interlude, event, post

NDJSON: Final = {"Content-Type": "application/x-ndjson"}
STRICT: Final = {**BATCH, "Prefer": "handling=strict"}


def _event(name: str, subject: str, time: str, **data: Any) -> dict[str, Any]:
    return event(name, subject, time, data, store="BK01", source="/dms/bk01")


OPENED: Final = _event(
    "repair_order.opened",
    "BK-1",
    "2026-01-05T09:00",
    work_type="ordinary_repair",
    advisor="A07",
    promised_at="2026-01-05T17:00:00+08:00",
)
SETTLED: Final = _event(
    "repair_order.settled", "BK-1", "2026-01-05T16:00", amounts={"labor": "300.00"}
)
NEGATIVE: Final = _event(
    "repair_order.opened",
    "BK-2",
    "2026-01-05T10:00",
    work_type="accident",
    advisor="A07",
    odometer_km=-1,
)
CONFLICT: Final = {**OPENED, "data": {**OPENED["data"], "advisor": "A08"}}


def chapter() -> Iterator[Example | Interlude]:
    """Tell it."""
    yield Example(
        name="put_store.with-a-past",
        summary="A store whose past comes as lines 批量导入的门店",
        method="PUT",
        path="/v1/stores/BK01",
        body={"name": "示例三店"},
        status=201,
    )
    yield from _validate()
    yield from _lines()
    yield from _strict()


def _lines() -> Iterator[Example]:
    lines = "\n".join((_line(OPENED), _line(SETTLED), '{"specversion": "1.0", "id": "cut', ""))
    yield post("lines", "Lines, one of them broken 逐行，含坏行", lines, headers=NDJSON)
    yield post(
        "lines-again",
        "Sent again; only what is no news is told 重发",
        lines,
        headers={**NDJSON, "Prefer": "return=minimal"},
    )
    yield post(
        "lines-in-another-charset",
        "Lines are UTF-8 只接受 UTF-8",
        lines,
        headers={"Content-Type": "application/x-ndjson; charset=gb18030"},
        status=400,
    )
    yield post(
        "lines-all-or-nothing",
        "Lines are stored in chunks 逐行不支持严格模式",
        lines,
        headers={**NDJSON, "Prefer": "handling=strict"},
        status=422,
    )


def _strict() -> Iterator[Example]:
    yield post(
        "strict",
        "One would be quarantined, so none is stored 严格模式：全部拒绝",
        [_event("repair_order.delivered", "BK-1", "2026-01-05T16:50"), NEGATIVE, CONFLICT],
        headers=STRICT,
        status=422,
    )
    yield post(
        "strict-accepted",
        "All or nothing: all 严格模式：全部接受",
        [_event("repair_order.delivered", "BK-1", "2026-01-05T16:50")],
        headers=STRICT,
    )


def _validate() -> Iterator[Example]:
    def tried(outcome: str, summary: str, body: Any, **more: Any) -> Example:
        return Example(
            **{
                "name": f"validate_events.{outcome}",
                "summary": summary,
                "method": "POST",
                "path": "/v1/events/validate",
                "headers": BATCH,
                "body": body,
                **more,
            }
        )

    yield tried("tried", "What would become of them 试一试", [OPENED, OPENED, NEGATIVE])
    yield tried(
        "lines",
        "The same of lines 逐行校验",
        f"{_line(OPENED)}\n{_line(CONFLICT)}\n",
        headers=NDJSON,
    )
    yield tried("malformed", "No JSON 不是 JSON", "[{", status=400)


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
