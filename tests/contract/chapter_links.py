"""A shop where people share a car, and where a name is asked for as it is written."""

from collections.abc import Iterator
from typing import Any, Final

from tests.contract.stage import Example
from tests.contract.telling import Interlude, event, missing, post

SHOP: Final = "/v1/stores/LK31"
VIN: Final = "LSVAA4182E2100901"


def _event(
    name: str, subject: str, time: str, data: dict[str, Any], **more: Any
) -> dict[str, Any]:
    return event(name, subject, time, data, store="LK31", source="/dms/lk31", **more)


def links() -> Iterator[Example | Interlude]:
    """Tell how staff say that customers are different people."""
    yield Example(
        name="put_store.for-sharing",
        summary="A shop where people share a car 有共用车辆的门店",
        method="PUT",
        path=SHOP,
        body={
            "name": "示例五店",
            "time_zone": "Asia/Shanghai",
            "currency": "CNY",
            "locale": "zh-CN",
        },
        status=201,
    )
    yield post(
        "shared-car",
        "Two people bring one car in turn 两人轮流送修同一辆车",
        [
            _event(
                "repair_order.opened",
                f"LK31-{number}",
                f"2026-01-{number + 11}T09:00",
                {
                    "customer_no": customer_no,
                    "vin": VIN,
                    "work_type": "ordinary_repair",
                    "advisor": advisor,
                },
            )
            for number, customer_no, advisor in ((1, "C900", "示例顾问丙"), (2, "C901", "A07"))
        ],
    )
    yield Example(
        name="list_split_customers.shared",
        summary="It looks like one customer with two files 疑似重复客户",
        path=f"{SHOP}/work-lists/split-customers",
    )
    yield Example(
        name="tell_customers_apart.told",
        summary="They are two people 确认为两位客户",
        method="POST",
        path=f"{SHOP}/customers/C900/tell-apart",
        headers={"Idempotency-Key": "c900-c901"},
        body={"others": ["C901"], "by": "A07", "reason": "夫妻"},
    )
    yield Example(
        name="tell_customers_apart.same",
        summary="From itself 与自身比较",
        method="POST",
        path=f"{SHOP}/customers/C900/tell-apart",
        body={"others": ["C900"], "by": "A07"},
        status=422,
    )
    yield missing(
        "tell_customers_apart",
        f"{SHOP}/customers/C999/tell-apart",
        method="POST",
        body={"others": ["C900"], "by": "A07"},
    )
    yield Example(
        name="list_split_customers.answered",
        summary="What left the list, and the event that says why 已确认为不同客户的车辆",
        path=f"{SHOP}/work-lists/split-customers",
        query={"answered": "true"},
    )
    yield Example(
        name="list_repair_orders.by-name",
        summary="Of an advisor who is known by name alone 按姓名查询",
        path=f"{SHOP}/repair-orders",
        query={"advisor": "示例 顾问丙"},
    )
    yield Example(
        name="list_repair_orders.nobody",
        summary="Nobody has that name 无人叫此名",
        path=f"{SHOP}/repair-orders",
        query={"advisor": "示例 顾问丁"},
        status=422,
    )
    yield Example(
        name="list_repair_orders.unknown-parameter",
        summary="A slip in the name of a filter 查询参数拼写错误",
        path=f"{SHOP}/repair-orders",
        query={"adviser": "A07"},
        status=422,
    )
