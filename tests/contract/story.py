"""The story that the examples tell, in order: a shop in Shanghai in January 2026.

Each example is a request with what is expected of its answer; what stands between them lets time
pass. `python -m tests.contract.record` plays it and writes `openapi-examples/` anew.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from app.domain.ids import follow_up_id
from tests.contract import chapter_bulk, chapter_desk, chapter_known, chapter_snapshots
from tests.contract.chapter_feeds import feeds
from tests.contract.chapter_imports import imports
from tests.contract.chapter_linking import linking
from tests.contract.chapter_links import links
from tests.contract.chapter_mappings import mappings
from tests.contract.chapter_names import names
from tests.contract.stage import Example, Stage
from tests.contract.telling import (
    BATCH,
    SOURCE,
    STORE,
    STRUCTURED,
    Interlude,
    at,
    deliver,
    event,
    missing,
    post,
)

COMPLAINT: Final = "3f1c9a52-6d2e-4c0e-9a3d-0c1f5f5b8f11"
VIN: Final = "LSVAA4182E2100001"
ON_TIME: Final = "on_time_delivery_rate"
JANUARY: Final = {"from": "2026-01-01", "to": "2026-02-01", "period": "month"}
FIFTH: Final = {"from": "2026-01-05", "to": "2026-01-06", "period": "day"}
CALL_1: Final = follow_up_id("SH01", "RO20260105-001", "first")
CALL_2: Final = follow_up_id("SH01", "RO20260105-002", "first")
CALL_3: Final = follow_up_id("SH01", "RO20260105-003", "first")


def story() -> Iterator[Example | Interlude]:
    """Tell it."""
    yield from _process()
    yield from _stores()
    yield from _first_events()
    yield from _what_is_not_taken()
    yield from _quarantine()
    yield from _endpoints()
    yield from _a_day_in_the_shop()
    yield from _reading_orders()
    yield from _reading_files()
    yield from _calls()
    yield from _a_call_that_is_missed()
    yield from _complaints()
    yield from _figures()
    yield from _the_end_of_an_endpoint()
    yield from chapter_snapshots.chapter()
    yield from names()
    yield from chapter_bulk.chapter()
    yield from mappings()
    yield from imports()
    yield from feeds()
    yield from linking()
    yield from chapter_desk.chapter()
    yield from links()
    yield from chapter_known.chapter()


def _process() -> Iterator[Example | Interlude]:
    yield Example(name="healthz.alive", summary="Alive 存活", path="/healthz", key=None)
    yield Example(name="readyz.ready", summary="Ready 就绪", path="/readyz", key=None)
    yield Example(
        name="get_sandbox_clock.shown",
        summary="The time before anything happened 当前服务时间",
        path="/v1/sandbox/clock",
    )
    yield lambda stage: _switch(stage, on=False)
    yield Example(
        name="get_sandbox_clock.no-sandbox",
        summary="The service runs on the machine's time 非沙盒",
        path="/v1/sandbox/clock",
        status=409,
    )
    yield Example(
        name="move_sandbox_clock.no-sandbox",
        summary="The service runs on the machine's time 非沙盒",
        method="PUT",
        path="/v1/sandbox/clock",
        body={"now": "2026-01-06T08:00:00+08:00"},
        status=409,
    )
    yield lambda stage: _switch(stage, on=True)
    yield Example(
        name="move_sandbox_clock.in-the-past",
        summary="Time only moves forward 只能向前拨",
        method="PUT",
        path="/v1/sandbox/clock",
        body={"now": "2026-01-04T08:00:00+08:00"},
        status=422,
    )


async def _switch(stage: Stage, *, on: bool) -> None:
    stage.switch_sandbox(on=on)


def _stores() -> Iterator[Example | Interlude]:
    body = {
        "name": "示例店",
        "time_zone": "Asia/Shanghai",
        "currency": "CNY",
        "locale": "zh-CN",
    }

    def put(outcome: str, summary: str, store_id: str = "SH01", **more: Any) -> Example:
        return Example(
            **{
                "name": f"put_store.{outcome}",
                "summary": summary,
                "method": "PUT",
                "path": f"/v1/stores/{store_id}",
                "body": body,
                **more,
            }
        )

    yield put("created", "A new store 新门店", status=201)
    yield put("changed", "Another name 改名", body={"name": "示例一店"})
    yield put(
        "created-with-defaults",
        "The name is enough 仅填名称",
        "SH02",
        body={"name": "示例二店"},
        status=201,
    )
    yield put("no-key", "Without a key 未带密钥", key=None, status=401)
    yield put("revoked-key", "With a key that does not count 无效密钥", key="revoked", status=401)
    yield put("forbidden", "The key lacks the scope 缺少权限", key="board", status=403)
    yield put(
        "invalid",
        "A time zone that is none, a field that is unknown 无效时区与未知字段",
        body={"name": "示例店", "time_zone": "Asia/Shangai", "color": "red"},
        status=422,
    )
    yield put(
        "not-json",
        "The body is not JSON 非JSON",
        body="name=示例店",
        status=400,
        headers={"Content-Type": "application/json"},
    )
    yield Example(name="get_store.found", summary="A store 门店", path=STORE)
    yield missing("get_store", "/v1/stores/SH99")
    yield Example(
        name="get_store.other-store",
        summary="The key is bound to another store 密钥不含此门店",
        path=STORE,
        key="sh02",
        status=403,
    )
    yield Example(name="list_stores.all", summary="Every store 全部门店", path="/v1/stores")
    yield Example(
        name="list_stores.first-page",
        summary="One at a time 分页",
        path="/v1/stores",
        query={"limit": "1"},
        capture={"stores_cursor": ("next_cursor",)},
    )
    yield Example(
        name="list_stores.next-page",
        summary="The page behind it 下一页",
        path="/v1/stores",
        query={"limit": "1", "cursor": "{stores_cursor}"},
    )
    yield Example(
        name="list_stores.bad-cursor",
        summary="A cursor that is none 无效游标",
        path="/v1/stores",
        query={"cursor": "somewhere"},
        status=422,
    )


def _first_events() -> Iterator[Example | Interlude]:
    yield Example(
        name="list_event_types.all",
        summary="Everything that may be told 全部事件类型",
        path="/v1/event-types",
        key=None,
    )
    yield Example(
        name="get_event_type.found",
        summary="How a dispatch is told 派工事件",
        path="/v1/event-types/repair_order.dispatched",
        key=None,
    )
    yield missing("get_event_type", "/v1/event-types/repair_order.painted", key=None)
    yield at("2026-01-05 09:20")
    yield post(
        "structured",
        "One event: all of it in the body 结构化模式",
        event(
            "staff.registered",
            "A07",
            "2026-01-05T09:00",
            {"name": "员工0007", "roles": ["service_advisor"], "team": "B1"},
        ),
    )
    yield post(
        "batch",
        "Several events, in order 批量模式",
        [
            event(
                "customer.registered",
                "C000123",
                "2026-01-05T09:01",
                {
                    "kind": "private",
                    "name": "客户0123",
                    "phones": ["00000000123"],
                    "preferred_contact": {"channel": "phone", "from": "09:00", "to": "18:00"},
                    "consent": {"calls": True, "messages": False},
                    "segment": "A",
                },
            ),
            event(
                "vehicle.registered",
                VIN,
                "2026-01-05T09:02",
                {
                    "customer_no": "C000123",
                    "plate": "沪A00001",
                    "brand": "Example",
                    "model": "X1",
                    "model_year": 2023,
                    "sold_here": True,
                    "interval_km": 10000,
                },
            ),
        ],
    )
    yield post(
        "binary",
        "One event: data in the body, attributes in headers 二进制模式",
        {"name": "员工0012", "roles": ["technician"], "team": "B1"},
        headers={
            "Content-Type": "application/json",
            "ce-specversion": "1.0",
            "ce-id": "T12-registered",
            "ce-source": SOURCE,
            "ce-type": "staff.registered",
            "ce-store": "SH01",
            "ce-subject": "T12",
            "ce-time": "2026-01-05T09:03:00+08:00",
        },
    )
    yield post(
        "duplicate",
        "The same event again: nothing happens twice 重复上报",
        {"name": "员工0012", "roles": ["technician"], "team": "B1"},
        headers={
            "Content-Type": "application/json",
            "ce-specversion": "1.0",
            "ce-id": "T12-registered",
            "ce-source": SOURCE,
            "ce-type": "staff.registered",
            "ce-store": "SH01",
            "ce-subject": "T12",
            "ce-time": "2026-01-05T09:03:00+08:00",
        },
    )


def _what_is_not_taken() -> Iterator[Example | Interlude]:
    when = "2026-01-05T09:10"
    opened = {"work_type": "ordinary_repair", "advisor": "A07"}

    yield post(
        "unknown-type",
        "A type that is not in the catalogue 未知事件类型",
        event("repair_order.painted", "RO20260105-009", when),
    )
    yield post(
        "unknown-store",
        "A store that was not made yet 未知门店",
        event("repair_order.opened", "RO20260105-009", when, opened, store="SH03"),
        capture={"quarantine_id": ("results", 0, "quarantine_id")},
    )
    yield post(
        "invalid-data",
        "Data that breaks the schema, each fault with its pointer 数据无效",
        event(
            "repair_order.opened",
            "RO20260105-009",
            when,
            {"work_type": "ordinary_repair", "promised_at": "tonight"},
        ),
        capture={"quarantine_id_invalid": ("results", 0, "quarantine_id")},
    )
    nameless = event("repair_order.opened", "RO20260105-009", when, opened)
    del nameless["time"]
    yield post("missing-attribute", "An attribute is missing 缺少属性", nameless)
    yield post(
        "time-in-future",
        "More than ten minutes ahead of the service's time 时间在未来",
        event("repair_order.opened", "RO20260105-009", "2026-01-05T19:10", opened),
    )
    yield post(
        "unsupported-version",
        "A version of the data that is unknown here 不支持的版本",
        event(
            "repair_order.opened",
            "RO20260105-009",
            when,
            opened,
            dataschema="https://dms.example.com/schemas/repair_order.opened/v9",
        ),
    )
    yield post(
        "identity-conflict",
        "Another content under an id that is taken 标识冲突",
        event("staff.registered", "A07", "2026-01-05T09:00", {"roles": ["manager"]}),
    )
    yield post(
        "retraction-target-unknown",
        "Takes back what was never heard of; it waits for its target 撤回对象未知",
        event(
            "event.retracted",
            "RO20260105-009",
            when,
            {"source": SOURCE, "id": "RO20260105-009-opened", "reason": "typing error"},
        ),
    )
    yield post(
        "mixed",
        "One good, one known, one broken: each has its outcome 各有结果",
        [
            event("staff.registered", "F03", when, {"roles": ["follow_up"], "team": "CRM"}),
            event(
                "staff.registered",
                "A07",
                "2026-01-05T09:00",
                {"name": "员工0007", "roles": ["service_advisor"], "team": "B1"},
            ),
            {"type": "repair_order.opened"},
        ],
    )
    yield post(
        "minimal",
        "Only what was not accepted is listed 精简结果",
        [event("staff.registered", "Q02", when, {"roles": ["inspector"]})],
        headers={**BATCH, "Prefer": "return=minimal"},
    )
    yield post(
        "not-json",
        "The body can't be read 非JSON",
        '{"specversion": "1.0", ',
        headers=STRUCTURED,
        status=400,
    )
    yield post(
        "too-large",
        "A body of 20 MB: send it in parts 请求过大",
        None,
        headers={**BATCH, "Content-Length": "20000000"},
        status=413,
    )
    yield post("no-key", "Without a key 未带密钥", nameless, key=None, status=401)
    yield post("forbidden", "The key lacks the scope 缺少权限", nameless, key="board", status=403)


def _quarantine() -> Iterator[Example | Interlude]:
    item = "/v1/quarantine/{quarantine_id}"
    broken = "/v1/quarantine/{quarantine_id_invalid}"
    yield Example(
        name="list_quarantine.waiting",
        summary="What waits at a store 等待处理",
        path="/v1/quarantine",
        query={"store": "SH01", "reason": "invalid-data"},
    )
    yield Example(
        name="list_quarantine.bad-filter",
        summary="A reason that is none 无效条件",
        path="/v1/quarantine",
        query={"reason": "ugly"},
        status=422,
    )
    yield Example(name="get_quarantined.found", summary="With its own bytes 含原始内容", path=item)
    yield missing("get_quarantined", "/v1/quarantine/019b8b5e-7c00-7000-8000-999999999999")
    yield Example(
        name="put_store.created-later",
        summary="The store that events came too early for 补建门店",
        method="PUT",
        path="/v1/stores/SH03",
        body={"name": "示例三店"},
        status=201,
    )

    def act(outcome: str, summary: str, where: str, **more: Any) -> Example:
        verb = where.rpartition("/")[2]
        return Example(
            name=f"{verb}_quarantined.{outcome}",
            summary=summary,
            method="POST",
            path=where,
            **more,
        )

    yield act(
        "replayed", "Its store is known by now: it enters the log 重放成功", f"{item}/replay"
    )
    yield act("conflict", "It is in the log already 已重放", f"{item}/replay", status=409)
    yield act("waiting", "It is as broken as it was 仍需等待", f"{broken}/replay")
    yield act(
        "not-found",
        "There is no such thing 不存在",
        "/v1/quarantine/019b8b5e-7c00-7000-8000-999999999999/replay",
        status=404,
    )
    reason = {"reason": "sent from a test system 测试数据"}
    yield act(
        "no-reason", "The reason is missing 缺少原因", f"{broken}/discard", body={}, status=422
    )
    yield act("discarded", "Thrown away 已丢弃", f"{broken}/discard", body=reason)
    yield act(
        "conflict", "That was done already 已处理", f"{broken}/discard", body=reason, status=409
    )
    yield act(
        "not-found",
        "There is no such thing 不存在",
        "/v1/quarantine/019b8b5e-7c00-7000-8000-999999999999/discard",
        body=reason,
        status=404,
    )


def _endpoints() -> Iterator[Example | Interlude]:
    endpoints = "/v1/webhook-endpoints"
    yield Example(
        name="create_webhook_endpoint.created",
        summary="For the alerts of a store 订阅告警",
        method="POST",
        path=endpoints,
        body={
            "url": "https://crm.example.com/servicelane",
            "description": "CRM 客户系统",
            "stores": ["SH01"],
        },
        status=201,
        capture={"endpoint_id": ("endpoint_id",)},
    )
    yield Example(
        name="create_webhook_endpoint.address-not-allowed",
        summary="An address of an inner network; the answer names the setting 内网地址被拒",
        method="POST",
        path=endpoints,
        body={"url": "http://intranet.example.com/hook"},
        status=422,
    )
    yield Example(
        name="create_webhook_endpoint.invalid",
        summary="An event type and a store that there are not 未知类型与门店",
        method="POST",
        path=endpoints,
        body={
            "url": "https://crm.example.com/servicelane",
            "event_types": ["follow_up.forgotten"],
            "stores": ["SH99"],
        },
        status=422,
    )
    yield Example(
        name="list_webhook_endpoints.all", summary="Every endpoint 全部接收端", path=endpoints
    )
    yield Example(
        name="get_webhook_endpoint.found",
        summary="Without its secret 不含密钥",
        path=f"{endpoints}/{{endpoint_id}}",
    )
    yield missing("get_webhook_endpoint", f"{endpoints}/019b8b5e-7c00-7000-8000-999999999999")
    yield Example(
        name="update_webhook_endpoint.changed",
        summary="Hear of calls alone 修改订阅",
        method="PATCH",
        path=f"{endpoints}/{{endpoint_id}}",
        body={"event_types": ["follow_up.overdue", "follow_up.resolved"]},
    )
    yield Example(
        name="update_webhook_endpoint.invalid",
        summary="No URL 无效地址",
        method="PATCH",
        path=f"{endpoints}/{{endpoint_id}}",
        body={"url": "crm"},
        status=422,
    )
    yield missing(
        "update_webhook_endpoint",
        f"{endpoints}/019b8b5e-7c00-7000-8000-999999999999",
        method="PATCH",
        body={"description": "CRM"},
    )
    yield Example(
        name="get_webhook_secret.shown",
        summary="What signs 签名密钥",
        path=f"{endpoints}/{{endpoint_id}}/secret",
    )
    yield Example(
        name="get_webhook_secret.forbidden",
        summary="The key lacks the scope 缺少权限",
        path=f"{endpoints}/{{endpoint_id}}/secret",
        key="board",
        status=403,
    )
    yield Example(
        name="rotate_webhook_secret.new",
        summary="A new secret; the old one signs for 24 hours more 更换密钥",
        method="POST",
        path=f"{endpoints}/{{endpoint_id}}/secret",
    )
    yield Example(
        name="rotate_webhook_secret.invalid",
        summary="A secret of another form 格式错误",
        method="POST",
        path=f"{endpoints}/{{endpoint_id}}/secret",
        body={"secret": "swordfish"},
        status=422,
    )
    yield Example(
        name="test_webhook_endpoint.delivered",
        summary="The receiver answers 204 测试成功",
        method="POST",
        path=f"{endpoints}/{{endpoint_id}}/test",
    )
    for operation_id, verb in (
        ("get_webhook_secret", "secret"),
        ("list_webhook_deliveries", "deliveries"),
    ):
        yield missing(operation_id, f"{endpoints}/019b8b5e-7c00-7000-8000-999999999999/{verb}")
    for operation_id, verb in (
        ("rotate_webhook_secret", "secret"),
        ("test_webhook_endpoint", "test"),
    ):
        yield missing(
            operation_id,
            f"{endpoints}/019b8b5e-7c00-7000-8000-999999999999/{verb}",
            method="POST",
        )


def _visit(number: int, *, promised: str, settled: str, advisor: str = "A07") -> list[Any]:
    ro_number = f"RO20260105-00{number}"
    return [
        event(
            "repair_order.opened",
            ro_number,
            f"2026-01-05T09:2{number}",
            {
                "customer_no": f"C00012{number + 2}",
                "vin": VIN if number == 1 else f"LSVAA4182E210000{number}",
                "plate": f"沪A0000{number}",
                "odometer_km": 42010,
                "contact": {
                    "name": f"客户012{number + 2}",
                    "phone": f"0000000012{number + 2}",
                    "relation": "owner",
                },
                "work_type": "ordinary_repair",
                "pay_type": "CUSTOMER_PAY",
                "advisor": advisor,
                "promised_at": f"2026-01-05T{promised}:00+08:00",
                "estimate_amount": "860.00",
                "concerns": ["刹车异响"],
            },
        ),
        event(
            "repair_order.dispatched",
            ro_number,
            f"2026-01-05T09:4{number}",
            {"technician": "T12", "team": "B1", "bay": "07"},
        ),
        event(
            "repair_order.settled",
            ro_number,
            f"2026-01-05T{settled}",
            {
                "amounts": {"labor": "360.00", "parts": "480.50"},
                "costs": {"labor": "150.00", "parts": "310.00"},
                "billed_hours": "1.5",
                "clocked_hours": "1.4",
                "parts_requested": 4,
                "parts_filled": 4,
            },
        ),
        event(
            "repair_order.delivered", ro_number, f"2026-01-05T{settled}", {"odometer_km": 42012}
        ),
    ]


def _a_day_in_the_shop() -> Iterator[Example | Interlude]:
    on_time = _visit(1, promised="17:00", settled="16:55")
    late = _visit(2, promised="17:00", settled="18:30")
    third = _visit(3, promised="18:00", settled="17:40", advisor="A08")
    yield at("2026-01-05 10:00")
    yield post(
        "repair-orders-opened",
        "Three cars come in, one of them with work of an unknown type 三车进场",
        [
            on_time[0],
            late[0],
            third[0],
            event(
                "repair_order.opened",
                "RO20260105-004",
                "2026-01-05T09:50",
                {
                    "customer_no": "C000126",
                    "work_type": "喷漆",
                    "advisor": "A08",
                    "promised_at": "2026-01-05T16:00:00+08:00",
                },
            ),
            on_time[1],
            late[1],
            third[1],
        ],
    )
    yield at("2026-01-05 19:00")
    yield post(
        "repair-orders-settled",
        "They are settled and handed over; one half past six 结算交车",
        [*on_time[2:], *late[2:], *third[2:]],
    )


def _reading_orders() -> Iterator[Example | Interlude]:
    orders = f"{STORE}/repair-orders"
    yield Example(
        name="list_repair_orders.overdue",
        summary="In the shop after the promised time 超时未交",
        path=orders,
        query={"overdue": "true"},
    )
    yield Example(
        name="list_repair_orders.by-advisor",
        summary="Those of an advisor, one at a time 按服务顾问",
        path=orders,
        query={"advisor": "A07", "limit": "1"},
    )
    yield Example(
        name="list_repair_orders.bad-filter",
        summary="A status that is none, a time without an offset 无效条件",
        path=orders,
        query={"status": "finished", "due_before": "2026-01-05T12:00:00"},
        status=422,
    )
    yield missing("list_repair_orders", "/v1/stores/SH99/repair-orders")
    yield Example(
        name="get_repair_order.on-time",
        summary="Delivered as promised 准时交车",
        path=f"{orders}/RO20260105-001",
    )
    yield Example(
        name="get_repair_order.late",
        summary="Delivered late, with the reason in words 超时交车",
        path=f"{orders}/RO20260105-002",
    )
    yield missing("get_repair_order", f"{orders}/RO20260105-999")
    yield Example(
        name="get_repair_order.no-key",
        summary="Without a key 未带密钥",
        path=f"{orders}/RO20260105-001",
        key=None,
        status=401,
    )
    yield Example(
        name="get_repair_order.other-store",
        summary="The key is bound to another store 密钥不含此门店",
        path=f"{orders}/RO20260105-001",
        key="sh02",
        status=403,
    )
    yield Example(
        name="get_repair_order_timeline.shown",
        summary="From the opening to the planned call 时间线",
        path=f"{orders}/RO20260105-001/timeline",
    )
    yield missing("get_repair_order_timeline", f"{orders}/RO20260105-999/timeline")
    yield Example(
        name="list_repair_order_follow_ups.shown",
        summary="The first call is planned 已计划首次回访",
        path=f"{orders}/RO20260105-001/follow-ups",
    )
    yield missing("list_repair_order_follow_ups", "/v1/stores/SH99/repair-orders/RO1/follow-ups")
    yield Example(
        name="get_repair_order_follow_up.planned",
        summary="Not to be called before the third day 未到回访时间",
        path=f"{orders}/RO20260105-001/follow-ups/first",
    )
    yield missing("get_repair_order_follow_up", f"{orders}/RO20260105-001/follow-ups/second")


def _reading_files() -> Iterator[Example | Interlude]:
    yield Example(
        name="list_customers.all", summary="In order of number 客户列表", path=f"{STORE}/customers"
    )
    yield missing("list_customers", "/v1/stores/SH99/customers")
    yield Example(
        name="get_customer.found",
        summary="With personal:read 含个人信息",
        path=f"{STORE}/customers/C000123",
    )
    yield Example(
        name="get_customer.masked",
        summary="Without personal:read 个人信息已屏蔽",
        path=f"{STORE}/customers/C000123",
        key="board",
    )
    yield missing("get_customer", f"{STORE}/customers/C999999")
    yield Example(
        name="get_customer_timeline.shown",
        summary="The last three of them 客户时间线",
        path=f"{STORE}/customers/C000123/timeline",
        query={"limit": "3"},
    )
    yield missing("get_customer_timeline", f"{STORE}/customers/C999999/timeline")
    yield Example(
        name="list_customer_vehicles.shown",
        summary="One car 客户车辆",
        path=f"{STORE}/customers/C000123/vehicles",
    )
    yield missing("list_customer_vehicles", "/v1/stores/SH99/customers/C000123/vehicles")
    yield Example(
        name="list_vehicles.all", summary="In order of VIN 车辆列表", path=f"{STORE}/vehicles"
    )
    yield missing("list_vehicles", "/v1/stores/SH99/vehicles")
    yield Example(name="get_vehicle.found", summary="A car 车辆", path=f"{STORE}/vehicles/{VIN}")
    yield missing("get_vehicle", f"{STORE}/vehicles/LSVAA4182E2199999")
    yield Example(name="list_staff.all", summary="Everybody 全部员工", path=f"{STORE}/staff")
    yield missing("list_staff", "/v1/stores/SH99/staff")
    yield Example(name="get_staff.found", summary="A technician 技师", path=f"{STORE}/staff/T12")
    yield missing("get_staff", f"{STORE}/staff/T99")
    yield Example(
        name="get_staff.forbidden",
        summary="The key lacks the scope 缺少权限",
        path=f"{STORE}/staff/T12",
        key="board",
        status=403,
    )


_CALLS: Final = f"{STORE}/follow-ups"
_NO_CALL: Final = f"{_CALLS}/00000000-0000-4000-8000-000000000000"


def _call(
    operation_id: str,
    outcome: str,
    summary: str,
    verb: str,
    body: Mapping[str, Any],
    **more: Any,
) -> Example:
    return Example(
        **{
            "name": f"{operation_id}.{outcome}",
            "summary": summary,
            "method": "POST",
            "path": f"{_CALLS}/{CALL_1}/{verb}",
            "body": dict(body),
            **more,
        }
    )


def _calls() -> Iterator[Example | Interlude]:
    yield at("2026-01-08 10:00")
    yield Example(
        name="list_follow_ups.open",
        summary="The work list of today 今日待回访",
        path=_CALLS,
        query={"status": "open", "kind": "first"},
    )
    yield Example(
        name="list_follow_ups.bad-filter",
        summary="A status that is none 无效条件",
        path=_CALLS,
        query={"status": "late"},
        status=422,
    )
    yield missing("list_follow_ups", "/v1/stores/SH99/follow-ups")
    yield Example(
        name="get_follow_up.open",
        summary="To be called now 可回访",
        path=f"{_CALLS}/{CALL_1}",
        capture={"version": ("version",)},
    )
    yield missing("get_follow_up", _NO_CALL)
    assignee = {"assignee": "F03"}
    yield _call(
        "assign_follow_up",
        "assigned",
        "On condition that nobody changed it 带版本条件",
        "assignee",
        assignee,
        method="PUT",
        headers={"If-Match": '"{version}"'},
    )
    yield _call(
        "assign_follow_up",
        "version-mismatch",
        "It moved on since it was read 版本已变",
        "assignee",
        {"assignee": "F04"},
        method="PUT",
        headers={"If-Match": '"{version}"'},
        status=412,
    )
    yield _call(
        "assign_follow_up",
        "invalid",
        "Nobody is named 未填回访人",
        "assignee",
        {"assignee": " "},
        method="PUT",
        status=422,
    )
    attempt = {
        "by": "F03",
        "channel": "phone",
        "outcome": "call_later",
        "call_later_at": "2026-01-08T19:00:00+08:00",
        "note": "开会中",
    }
    yield _call(
        "record_follow_up_attempt",
        "noted",
        "Under a key of the caller's own, so that a repeat is harmless 带幂等键",
        "attempts",
        attempt,
        headers={"Idempotency-Key": "call-20260108-0001"},
    )
    yield _call(
        "record_follow_up_attempt",
        "idempotency-conflict",
        "That key was used for something else 幂等键冲突",
        "attempts",
        {"by": "F03", "channel": "phone", "outcome": "no_answer"},
        headers={"Idempotency-Key": "call-20260108-0001"},
        status=422,
    )
    yield _call(
        "record_follow_up_attempt",
        "invalid",
        "A word that is not in the list, a field that is missing 无效内容",
        "attempts",
        {"channel": "pigeon", "outcome": "no_answer"},
        status=422,
    )
    yield at("2026-01-08 19:05")
    yield _call(
        "complete_follow_up",
        "completed",
        "The customer was reached 已接通",
        "completion",
        {
            "by": "F03",
            "channel": "phone",
            "outcome": "reached",
            "customer_says_on_time": True,
            "note": "满意",
        },
        headers={"Idempotency-Key": "call-20260108-0002"},
    )
    yield _call(
        "complete_follow_up",
        "repeated",
        "The same request again: the first answer 重复请求",
        "completion",
        {
            "by": "F03",
            "channel": "phone",
            "outcome": "reached",
            "customer_says_on_time": True,
            "note": "满意",
        },
        headers={"Idempotency-Key": "call-20260108-0002"},
    )
    yield _call(
        "assign_follow_up",
        "conflict",
        "There is nothing left to call for 已完成",
        "assignee",
        assignee,
        method="PUT",
        status=409,
    )
    yield _call(
        "record_follow_up_attempt",
        "conflict",
        "There is nothing left to call for 已完成",
        "attempts",
        {"by": "F03", "channel": "phone", "outcome": "no_answer"},
        status=409,
    )
    window = {
        "opens_at": "2026-01-10T00:00:00+08:00",
        "target_at": "2026-01-10T23:59:59+08:00",
        "due_at": "2026-01-14T23:59:59+08:00",
    }
    third = f"{_CALLS}/{CALL_3}"
    yield _call(
        "move_follow_up",
        "moved",
        "The customer is away until the tenth 改期",
        "window",
        window,
        method="PUT",
        path=f"{third}/window",
    )
    yield _call(
        "move_follow_up",
        "invalid",
        "It would end before it opens 时间颠倒",
        "window",
        {"opens_at": window["due_at"], "due_at": window["opens_at"]},
        method="PUT",
        path=f"{third}/window",
        status=422,
    )
    yield _call(
        "cancel_follow_up",
        "cancelled",
        "The customer wants no calls 客户谢绝回访",
        "cancellation",
        {"reason": "customer-refuses-calls"},
        path=f"{third}/cancellation",
    )
    yield _call(
        "cancel_follow_up",
        "conflict",
        "It is called off already 已取消",
        "cancellation",
        {"reason": "customer-refuses-calls"},
        path=f"{third}/cancellation",
        status=409,
    )
    yield _call(
        "move_follow_up",
        "conflict",
        "It is called off already 已取消",
        "window",
        window,
        method="PUT",
        path=f"{third}/window",
        status=409,
    )
    completion = {"by": "F03", "channel": "phone", "outcome": "reached"}
    for operation_id, verb, method, body in (
        ("assign_follow_up", "assignee", "PUT", assignee),
        ("record_follow_up_attempt", "attempts", "POST", attempt),
        ("complete_follow_up", "completion", "POST", completion),
        ("cancel_follow_up", "cancellation", "POST", {"reason": "kept-elsewhere"}),
        ("move_follow_up", "window", "PUT", window),
    ):
        yield missing(operation_id, f"{_NO_CALL}/{verb}", method=method, body=body)
    yield _call(
        "complete_follow_up",
        "forbidden",
        "The key lacks the scope 缺少权限",
        "completion",
        completion,
        key="board",
        status=403,
    )


def _a_call_that_is_missed() -> Iterator[Example | Interlude]:
    endpoint = "/v1/webhook-endpoints/{endpoint_id}"
    delivery = f"{endpoint}/deliveries/{{delivery_id}}"
    no_delivery = f"{endpoint}/deliveries/019b8b5e-7c00-7000-8000-999999999999"
    yield deliver
    yield Example(
        name="move_sandbox_clock.moved",
        summary="Four days go by; a call falls overdue on the way 时钟快进",
        method="PUT",
        path="/v1/sandbox/clock",
        body={"now": "2026-01-13T09:00:00+08:00"},
    )
    yield deliver
    yield Example(
        name="list_follow_ups.overdue",
        summary="What should have been called 超时未回访",
        path=_CALLS,
        query={"status": "overdue"},
    )
    yield Example(
        name="list_webhook_deliveries.delivered",
        summary="The alert went out 告警已投递",
        path=f"{endpoint}/deliveries",
        capture={"delivery_id": ("items", 0, "delivery_id")},
    )
    yield Example(name="get_webhook_delivery.found", summary="One delivery 投递", path=delivery)
    yield missing("get_webhook_delivery", no_delivery)
    yield Example(
        name="list_webhook_attempts.shown",
        summary="It was taken at the first try 一次成功",
        path=f"{delivery}/attempts",
    )
    yield missing("list_webhook_attempts", f"{no_delivery}/attempts")
    yield Example(
        name="redeliver_webhook.accepted",
        summary="Once more, under the same webhook-id 重新投递",
        method="POST",
        path=f"{delivery}/redeliver",
        status=202,
    )
    yield missing("redeliver_webhook", f"{no_delivery}/redeliver", method="POST")
    yield deliver
    yield _call(
        "complete_follow_up",
        "too-late",
        "Late, but made: the alert is resolved 超时后完成",
        "completion",
        {"by": "F03", "channel": "phone", "outcome": "reached", "customer_says_on_time": False},
        path=f"{_CALLS}/{CALL_2}/completion",
    )


def _complaints() -> Iterator[Example | Interlude]:
    complaints = f"{STORE}/complaints"
    one = f"{complaints}/{COMPLAINT}"
    none = f"{complaints}/00000000-0000-4000-8000-000000000000"
    body = {
        "complaint_id": COMPLAINT,
        "customer_no": "C000124",
        "ro_number": "RO20260105-002",
        "channel": "phone",
        "nature": "time",
        "severity": "important",
        "text": "交车晚了一个半小时",
        "responsible": "A07",
    }

    def act(
        operation_id: str, outcome: str, summary: str, verb: str, body: Any, **more: Any
    ) -> Example:
        return Example(
            name=f"{operation_id}.{outcome}",
            summary=summary,
            method="POST",
            path=f"{one}/{verb}" if verb else complaints,
            body=body,
            **more,
        )

    yield act(
        "open_complaint",
        "opened",
        "The clock starts 开始计时",
        "",
        body,
        status=201,
        headers={"Idempotency-Key": "complaint-0001"},
    )
    yield act("open_complaint", "conflict", "That id is taken 编号已存在", "", body, status=409)
    yield act(
        "open_complaint",
        "invalid",
        "The channel is missing 缺少渠道",
        "",
        {"customer_no": "C000124"},
        status=422,
    )
    yield act(
        "open_complaint",
        "no-text",
        "The text is missing, which is kept apart from the rest 缺少内容",
        "",
        {"customer_no": "C000124", "channel": "phone"},
        status=422,
    )
    yield act(
        "open_complaint",
        "idempotency-conflict",
        "That key was used for something else 幂等键冲突",
        "",
        {"channel": "visit", "text": "另一投诉"},
        headers={"Idempotency-Key": "complaint-0001"},
        status=422,
    )
    yield Example(
        name="list_complaints.to-be-contacted",
        summary="To be contacted by tomorrow 待联系",
        path=complaints,
        query={"due_before": "2026-01-15T00:00:00+08:00"},
    )
    yield missing("list_complaints", "/v1/stores/SH99/complaints")
    yield Example(
        name="get_complaint.opened",
        summary="Not contacted yet 未联系",
        path=one,
        capture={"complaint_version": ("version",)},
    )
    yield missing("get_complaint", none)
    contact = {"by": "A07", "channel": "phone", "note": "约定明日到店"}
    solution = {"by": "A07", "solution": "赠送一次保养"}
    reopening = {"by": "A07", "reason": "客户仍不满意"}
    yield act(
        "reopen_complaint",
        "conflict",
        "It is not resolved 尚未解决",
        "reopening",
        reopening,
        status=409,
    )
    yield act(
        "record_complaint_contact",
        "contacted",
        "In time: the clock stops 按时联系",
        "contacts",
        contact,
        headers={"If-Match": '"{complaint_version}"'},
    )
    yield act(
        "record_complaint_contact",
        "version-mismatch",
        "It moved on since it was read 版本已变",
        "contacts",
        contact,
        headers={"If-Match": '"{complaint_version}"'},
        status=412,
    )
    yield act(
        "record_complaint_contact",
        "invalid",
        "Nobody is named 缺少联系人",
        "contacts",
        {"channel": "phone"},
        status=422,
    )
    yield act("resolve_complaint", "resolved", "Solved 已解决", "resolution", solution)
    yield act(
        "resolve_complaint",
        "conflict",
        "That was done already 已解决",
        "resolution",
        solution,
        status=409,
    )
    yield act(
        "record_complaint_contact",
        "conflict",
        "It is resolved 已解决",
        "contacts",
        contact,
        status=409,
    )
    yield act("reopen_complaint", "reopened", "Not solved after all 重开", "reopening", reopening)
    for operation_id, verb, what in (
        ("record_complaint_contact", "contacts", contact),
        ("resolve_complaint", "resolution", solution),
        ("reopen_complaint", "reopening", reopening),
    ):
        yield missing(operation_id, f"{none}/{verb}", method="POST", body=what)


def _figures() -> Iterator[Example | Interlude]:
    kpis = f"{STORE}/kpis"
    night = "/v1/jobs/nightly/runs"
    yield Example(name="list_kpis.all", summary="Every KPI 全部指标", path="/v1/kpis")
    yield Example(
        name="run_night.one-store",
        summary="What has ended is published 发布已结束周期",
        method="POST",
        path=night,
        body={"store_id": "SH01"},
    )
    yield missing("run_night", night, method="POST", body={"store_id": "SH99"})
    yield Example(
        name="run_night.forbidden",
        summary="The key is bound to another store 密钥不含此门店",
        method="POST",
        path=night,
        body={"store_id": "SH01"},
        key="sh02",
        status=403,
    )
    yield Example(
        name="list_nights.of-a-store",
        summary="The latest first 最近的在前",
        path=night,
        query={"store_id": "SH01", "limit": "1"},
    )
    yield Example(
        name="get_kpi_overview.day",
        summary="All KPIs of a day against their targets 当日总览",
        path=kpis,
        query=FIFTH,
    )
    yield missing("get_kpi_overview", "/v1/stores/SH99/kpis", query=FIFTH)
    yield Example(
        name="get_kpi_values.month-by-advisor",
        summary="On-time delivery in January, by advisor 按服务顾问",
        path=f"{kpis}/{ON_TIME}",
        query={**JANUARY, "by": "advisor"},
    )
    yield Example(
        name="get_kpi_values.invalid",
        summary="A period and a grain that there are not 无效周期与维度",
        path=f"{kpis}/{ON_TIME}",
        query={**FIFTH, "period": "fortnight", "by": "assignee"},
        status=422,
    )
    yield missing("get_kpi_values", f"{kpis}/happiness", query=FIFTH)
    yield Example(
        name="explain_kpi.denominator",
        summary="Every order that was judged, the latest first 逐单说明",
        path=f"{kpis}/{ON_TIME}/explain",
        query={**FIFTH, "part": "denominator"},
    )
    yield Example(
        name="explain_kpi.invalid",
        summary="A part that there is not 无效部分",
        path=f"{kpis}/{ON_TIME}/explain",
        query={**FIFTH, "part": "rest"},
        status=422,
    )
    yield missing("explain_kpi", f"{kpis}/happiness/explain", query=FIFTH)
    yield post(
        "late-fact",
        "The customer had signed that the car may wait: last week's figure will change 补录事实",
        event(
            "repair_order.customer_delay_noted",
            "RO20260105-002",
            "2026-01-05T17:30",
            {"note": "客户要求晚些取车", "signed": True},
        ),
    )
    yield Example(
        name="run_night.restated",
        summary="What has changed is restated 更正已发布指标",
        method="POST",
        path=night,
        body={"store_id": "SH01"},
    )
    yield Example(
        name="get_published_kpi_values.restated",
        summary="Published, then restated, with what moved it 已更正",
        path=f"{kpis}/{ON_TIME}/published",
        query=FIFTH,
    )
    yield missing("get_published_kpi_values", f"{kpis}/happiness/published", query=FIFTH)
    yield post(
        "retraction",
        "That was another car: taken back 撤回",
        event(
            "event.retracted",
            "RO20260105-002",
            "2026-01-13T08:30",
            {
                "source": SOURCE,
                "id": "RO20260105-002-customer_delay_noted",
                "reason": "noted on the wrong order",
            },
        ),
    )


def _the_end_of_an_endpoint() -> Iterator[Example | Interlude]:
    endpoint = "/v1/webhook-endpoints/{endpoint_id}"
    yield Example(
        name="update_webhook_endpoint.disabled",
        summary="Nothing more is sent 停用",
        method="PATCH",
        path=endpoint,
        body={"state": "disabled"},
    )
    yield Example(
        name="redeliver_webhook.conflict",
        summary="The endpoint is disabled 已停用",
        method="POST",
        path=f"{endpoint}/deliveries/{{delivery_id}}/redeliver",
        status=409,
    )
    yield Example(
        name="delete_webhook_endpoint.deleted",
        summary="With its deliveries 删除",
        method="DELETE",
        path=endpoint,
        status=204,
    )
    yield missing("delete_webhook_endpoint", endpoint, method="DELETE")
