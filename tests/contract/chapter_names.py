"""A shop whose DMS exports names: whom they stand for is said afterwards, at the desk."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.contract.stage import Example, Stage
from tests.contract.telling import Interlude, event, missing, post

STORE: Final = "/v1/stores/NM01"
MONTH: Final = {"from": "2026-01-01", "to": "2026-02-01", "period": "month", "by": "advisor"}
UNRESOLVED: Final = f"{STORE}/work-lists/unresolved-names"
ALIASES: Final = f"{STORE}/staff/A07/aliases"


def names() -> Iterator[Example | Interlude]:
    """Tell it."""
    yield Example(
        name="put_store.of-names",
        summary="A store whose DMS exports names 导出姓名的门店",
        method="PUT",
        path=STORE,
        body={"name": "示例三店"},
        status=201,
    )
    yield post(
        "of-names",
        "Names in the place of staff numbers 以姓名代替工号",
        [
            *_visit("NM-001", "示例 顾问甲"),
            *_visit("NM-002", "示例顾问甲"),
            *_visit("NM-003", "示例顾问乙"),
            _event("staff.registered", "A08", "2026-01-02T08:00", {"name": "示例顾问乙"}),
        ],
    )
    yield Example(
        name="get_repair_order.of-names",
        summary="Its advisor is known by name alone 仅有姓名",
        path=f"{STORE}/repair-orders/NM-001",
    )
    yield Example(
        name="list_unresolved_names.listed",
        summary="Names that nobody knows yet 未识别姓名",
        path=UNRESOLVED,
        capture={"surrogate": ("items", 0, "surrogate")},
    )
    yield missing("list_unresolved_names", "/v1/stores/NM99/work-lists/unresolved-names")
    yield Example(
        name="give_staff_alias.given",
        summary="One click says whose it is 登记别名",
        method="POST",
        path=ALIASES,
        body={"surrogate": "{surrogate}"},
        status=201,
    )
    yield Example(
        name="give_staff_alias.had",
        summary="It is theirs already 已登记",
        method="POST",
        path=ALIASES,
        body={"alias": "示例顾问甲"},
    )
    yield Example(
        name="give_staff_alias.conflict",
        summary="It is the name of somebody else 已属他人",
        method="POST",
        path=ALIASES,
        body={"alias": "示例顾问乙"},
        status=409,
    )
    yield Example(
        name="give_staff_alias.invalid",
        summary="That is a staff number, no name 工号不是姓名",
        method="POST",
        path=ALIASES,
        body={"alias": "A7"},
        status=422,
    )
    yield _refresh
    yield Example(
        name="get_kpi_values.of-names",
        summary="Under the staff number from now on 归入工号",
        path=f"{STORE}/kpis/visits_settled",
        query=MONTH,
    )


async def _refresh(stage: Stage) -> None:
    await stage.factory.metrics.refresh("NM01")


def _visit(ro_number: str, advisor: str) -> list[dict[str, Any]]:
    return [
        _event(
            "repair_order.opened",
            ro_number,
            "2026-01-12T09:00",
            {"work_type": "ordinary_repair", "advisor": advisor},
        ),
        _event(
            "repair_order.settled",
            ro_number,
            "2026-01-12T16:00",
            {"amounts": {"labor": "100.00"}},
        ),
    ]


def _event(name: str, subject: str, time: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return event(name, subject, time, data, store="NM01", source="/dms/nm01")
