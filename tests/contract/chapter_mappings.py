"""How a source's columns and coded values are told: the chapter of store MP01."""

from collections.abc import Iterator
from typing import Any, Final

from tests.contract.stage import Example
from tests.contract.telling import Interlude, event, post

SOURCE: Final = "/dms/mp01"
MAPPING: Final[dict[str, Any]] = {
    "source": SOURCE,
    "version": 1,
    "title": "结算单",
    "emits": [
        {
            "type": "repair_order.snapshot",
            "subject": "工单号",
            "time": "file",
            "fields": {
                "advisor": {"column": "服务顾问", "required": True},
                "opened_at": {"column": "进厂时间", "required": True},
                "work_type": {
                    "column": "维修类型",
                    "values": {"保养": "regular_maintenance", "事故": "accident"},
                },
                "waiter": {"column": "是否等候", "values": {"是": True, "否": False}},
                "odometer_km": {"column": "里程", "unit": "千公里"},
            },
        }
    ],
}


def put(outcome: str, summary: str, body: Any, **more: Any) -> Example:
    return Example(
        **{
            "name": f"put_mapping.{outcome}",
            "summary": summary,
            "method": "PUT",
            "path": "/v1/mappings/dms/mp01",
            "headers": {"Content-Type": "application/json"},
            "body": body,
            **more,
        }
    )


def mappings() -> Iterator[Example | Interlude]:
    """Tell it."""
    yield Example(
        name="put_store.mapped",
        summary="A store whose system writes Chinese codes 使用中文代码的门店",
        method="PUT",
        path="/v1/stores/MP01",
        body={"name": "示例店"},
        status=201,
    )
    yield put("stored", "The first version 首次保存", MAPPING, status=201)
    yield put("repeated", "Harmless to repeat 重复保存", MAPPING)
    yield put(
        "changed-version",
        "A version never changes 版本不可更改",
        MAPPING | {"title": "结算单清单"},
        status=409,
    )
    yield put(
        "faults",
        "Each fault says where it is 映射有误",
        MAPPING | {"version": 2, "emits": [MAPPING["emits"][0] | {"type": "repair_order.snap"}]},
        status=422,
    )
    yield put(
        "other-stores",
        "A key of one store may not change what concerns all 无权修改",
        MAPPING | {"version": 2},
        key="sh02",
        status=403,
    )
    yield Example(
        name="get_mapping.newest", summary="With its text 查询", path="/v1/mappings/dms/mp01"
    )
    yield Example(
        name="get_mapping.no-such-version",
        summary="There is no such version 版本不存在",
        path="/v1/mappings/dms/mp01",
        query={"version": "7"},
        status=404,
    )
    yield Example(name="list_mappings.all", summary="All sources 列表", path="/v1/mappings")
    yield Example(
        name="list_mappings.forbidden",
        summary="The key lacks the scope 无权限",
        path="/v1/mappings",
        key="board",
        status=403,
    )
    coded = event(
        "repair_order.opened",
        "RO-M1",
        "2026-01-05T08:30",
        {"advisor": "A07", "work_type": "保养", "waiter": "是"},
        store="MP01",
        source=SOURCE,
    )
    yield post("with-coded-values", "Read by the source's value maps 按值映射读取", coded)
