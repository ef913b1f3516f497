"""A shop whose DMS sends orders without a customer, and keeps two files of one customer."""

from collections.abc import Iterator
from typing import Any, Final

from tests.contract.stage import Example
from tests.contract.telling import Interlude, event, missing, post

SHOP: Final = "/v1/stores/LK01"
VIN: Final = "LSVAA4182E2100801"
OPENED: Final = {"work_type": "ordinary_repair", "advisor": "A07"}


def _event(
    name: str, subject: str, time: str, data: dict[str, Any], **more: Any
) -> dict[str, Any]:
    return event(name, subject, time, data, store="LK01", source="/dms/lk01", **more)


def linking() -> Iterator[Example | Interlude]:
    """Tell how files are joined that belong together."""
    yield Example(
        name="put_store.for-linking",
        summary="Another shop 另一家门店",
        method="PUT",
        path=SHOP,
        body={
            "name": "示例四店",
            "time_zone": "Asia/Shanghai",
            "currency": "CNY",
            "locale": "zh-CN",
        },
        status=201,
    )
    yield post(
        "without-customer",
        "Orders whose customer isn't known yet 尚无客户的工单",
        [
            _event(
                "repair_order.opened",
                "LK-001",
                "2026-01-12T09:00",
                {**OPENED, "vin": VIN.lower(), "plate": "沪A00801"},
            ),
            _event(
                "repair_order.settled",
                "LK-001",
                "2026-01-12T16:00",
                {"amounts": {"labor": "300.00", "parts": "120.00"}},
            ),
            _event("repair_order.delivered", "LK-001", "2026-01-12T16:10", {}),
            _event(
                "repair_order.opened",
                "LK-002",
                "2026-01-12T10:00",
                {**OPENED, "plate": "沪A00801"},
            ),
        ],
    )
    yield Example(
        name="list_unlinked_repair_orders.all",
        summary="What isn't linked yet 未关联工单",
        path=f"{SHOP}/work-lists/unlinked-repair-orders",
    )
    yield missing(
        "list_unlinked_repair_orders", "/v1/stores/SH99/work-lists/unlinked-repair-orders"
    )
    yield post(
        "vehicle-file",
        "The car's file comes later, and tells whose the first order is 车辆档案后到",
        _event(
            "vehicle.registered",
            VIN,
            "2026-01-12T18:00",
            {"customer_no": "C800", "plate": "沪A00801", "brand": "Example"},
        ),
    )
    yield Example(
        name="get_repair_order.customer-from-vehicle",
        summary="Whose it is follows from the car 客户取自车辆档案",
        path=f"{SHOP}/repair-orders/LK-001",
    )
    yield Example(
        name="list_repair_order_follow_ups.whom-to-call",
        summary="The call has learned whom to call 回访已知客户",
        path=f"{SHOP}/repair-orders/LK-001/follow-ups",
    )
    yield Example(
        name="list_unlinked_repair_orders.suggested",
        summary="The same plate suggests car and customer 按车牌推荐",
        path=f"{SHOP}/work-lists/unlinked-repair-orders",
        query={"missing": "both"},
    )
    yield Example(
        name="link_repair_order.linked",
        summary="It was that car, brought by another customer number 关联工单",
        method="POST",
        path=f"{SHOP}/repair-orders/LK-002/link",
        headers={"Idempotency-Key": "lk-002-link", "If-Match": '"4"'},
        body={"customer_no": "C801", "vin": VIN},
    )
    yield Example(
        name="link_repair_order.nothing",
        summary="Neither customer nor car 内容为空",
        method="POST",
        path=f"{SHOP}/repair-orders/LK-002/link",
        body={},
        status=422,
    )
    yield missing(
        "link_repair_order",
        f"{SHOP}/repair-orders/LK-999/link",
        method="POST",
        body={"customer_no": "C800"},
    )
    yield post(
        "linked",
        "A DMS posts the link itself DMS 上报关联",
        _event(
            "repair_order.linked",
            "LK-001",
            "2026-01-12T18:30",
            {"customer_no": "C800", "vin": VIN},
        ),
    )
    yield Example(
        name="list_split_customers.found",
        summary="One car, two customer numbers, no transfer 疑似重复客户",
        path=f"{SHOP}/work-lists/split-customers",
    )
    yield missing("list_split_customers", "/v1/stores/SH99/work-lists/split-customers")
    yield Example(
        name="merge_customer.merged",
        summary="They are one customer 合并",
        method="POST",
        path=f"{SHOP}/customers/C801/merge",
        headers={"Idempotency-Key": "c801-merge"},
        body={"into": "C800"},
    )
    yield Example(
        name="merge_customer.circle",
        summary="The other one went into this one 循环合并",
        method="POST",
        path=f"{SHOP}/customers/C800/merge",
        body={"into": "C801"},
        status=409,
    )
    yield Example(
        name="merge_customer.same",
        summary="Into itself 合并到自身",
        method="POST",
        path=f"{SHOP}/customers/C800/merge",
        body={"into": "C800"},
        status=422,
    )
    yield missing(
        "merge_customer", f"{SHOP}/customers/C999/merge", method="POST", body={"into": "C800"}
    )
    yield Example(
        name="get_customer.merged",
        summary="All is found under the number that counts 合并后的客户",
        path=f"{SHOP}/customers/C800",
    )
    yield Example(
        name="get_customer.absorbed",
        summary="The file that went says who counts now 已被合并的客户",
        path=f"{SHOP}/customers/C801",
    )
