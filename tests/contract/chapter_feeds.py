"""A chapter of the story: a store whose feed is read, falls silent, and is heard of again."""

from collections.abc import Iterator
from typing import Any, Final

from tests.contract.stage import Example
from tests.contract.telling import Interlude, at, event, missing, post

FEED_STORE: Final = "/v1/stores/FD01"
FEED: Final = "/dms/fd01"
EVENTS: Final = f"{FEED_STORE}/events"
FEEDS: Final = f"{FEED_STORE}/feeds"
CURSOR: Final = f"{FEED_STORE}/feed-cursors/warehouse"
FEBRUARY: Final = {"from": "2026-02-02", "to": "2026-02-03", "period": "day"}


def feeds() -> Iterator[Example | Interlude]:
    """Tell it."""
    yield at("2026-02-02T09:30")
    yield Example(
        name="put_store.with-a-feed",
        summary="A store whose feed is watched 新门店",
        method="PUT",
        path=FEED_STORE,
        body={"name": "示例三店"},
        status=201,
    )
    yield from _reading()
    yield from _cursors()
    yield from _silence()


def _told(name: str, time: str, data: dict[str, Any]) -> dict[str, Any]:
    return event(name, "RO20260202-001", time, data, store="FD01", source=FEED)


def _reading() -> Iterator[Example | Interlude]:
    yield post(
        "for-the-feed",
        "A car comes in 进厂",
        [
            _told(
                "repair_order.opened",
                "2026-02-02T09:05",
                {
                    "plate": "沪A00003",
                    "work_type": "ordinary_repair",
                    "advisor": "A01",
                    "promised_at": "2026-02-02T17:00:00+08:00",
                },
            ),
            _told("repair_order.dispatched", "2026-02-02T09:20", {"technician": "T01"}),
        ],
    )
    yield Example(
        name="read_events.from-the-beginning",
        summary="The first page 首页",
        path=EVENTS,
        query={"after": "0", "limit": "1"},
    )
    yield Example(
        name="read_events.of-a-family",
        summary="A filter passes over the rest; the position moves on 按类型过滤",
        path=EVENTS,
        query={"after": "1", "type": "complaint.*"},
    )
    yield Example(
        name="read_events.as-a-batch",
        summary="A CloudEvents batch 批量格式",
        path=EVENTS,
        query={"after": "1"},
        headers={"Accept": "application/cloudevents-batch+json"},
    )
    yield Example(
        name="read_events.with-personal-fields",
        summary="As they were sent 含个人信息",
        path=EVENTS,
        query={"limit": "1", "personal": "true"},
    )
    yield Example(
        name="read_events.nothing-yet",
        summary="Held for a moment, then empty with the position 等待后无新事件",
        path=EVENTS,
        query={"after": "2", "wait": "0.1"},
    )
    yield Example(
        name="read_events.beyond-the-log",
        summary="Read from another log 序号超出",
        path=EVENTS,
        query={"after": "1041"},
        status=422,
    )
    yield Example(
        name="read_events.other-store",
        summary="The key is bound to another store 密钥不含该门店",
        path=EVENTS,
        key="sh02",
        status=403,
    )


def _cursors() -> Iterator[Example | Interlude]:
    yield Example(
        name="put_feed_cursor.made",
        summary="A new cursor 新建游标",
        method="PUT",
        path=CURSOR,
        body={"after": "1"},
    )
    yield Example(
        name="read_events.from-a-cursor",
        summary="From where the cursor stands 从游标处读取",
        path=EVENTS,
        query={"cursor": "warehouse"},
    )
    yield Example(
        name="put_feed_cursor.moved",
        summary="What was read is dealt with 提交进度",
        method="PUT",
        path=CURSOR,
        headers={"If-Match": '"1"'},
        body={"after": "2"},
    )
    yield Example(
        name="put_feed_cursor.lost-the-race",
        summary="Another reader was first 版本不一致",
        method="PUT",
        path=CURSOR,
        headers={"If-Match": '"1"'},
        body={"after": "2"},
        status=412,
    )
    yield Example(
        name="put_feed_cursor.backward",
        summary="It only moves forward 不能后退",
        method="PUT",
        path=CURSOR,
        body={"after": "1"},
        status=409,
    )
    yield Example(
        name="put_feed_cursor.forced-back",
        summary="To read again 强制后退",
        method="PUT",
        path=CURSOR,
        body={"after": "0", "force": True},
    )
    yield Example(
        name="list_feed_cursors.page",
        summary="How far each reader is 游标列表",
        path=f"{FEED_STORE}/feed-cursors",
    )
    yield missing("list_feed_cursors", "/v1/stores/SH99/feed-cursors")
    yield Example(name="get_feed_cursor.found", summary="One cursor 查询游标", path=CURSOR)
    yield Example(
        name="delete_feed_cursor.deleted",
        summary="The log stays 删除游标",
        method="DELETE",
        path=CURSOR,
        status=204,
    )
    yield missing("delete_feed_cursor", CURSOR, method="DELETE")
    yield missing("get_feed_cursor", CURSOR)


def _silence() -> Iterator[Example | Interlude]:
    yield Example(
        name="put_feed_rule.fixed-span",
        summary="Silent after two hours 设置固定阈值",
        method="PUT",
        path=FEEDS,
        body={"source": FEED, "silent_after_minutes": 120},
    )
    yield missing(
        "put_feed_rule", FEEDS, method="PUT", body={"source": "/dms/never", "muted": True}
    )
    yield Example(
        name="put_feed_rule.both",
        summary="Either muted or a span 只能二选一",
        method="PUT",
        path=FEEDS,
        body={"source": FEED, "silent_after_minutes": 120, "muted": True},
        status=422,
    )
    yield at("2026-02-02T12:00")
    yield Example(
        name="read_events.a-silence",
        summary="The feed fell silent 数据源中断事件",
        path=EVENTS,
        query={"type": "feed.*"},
    )
    yield Example(
        name="list_feeds.silent",
        summary="Coverage, with a feed that is silent 覆盖情况",
        path=FEEDS,
    )
    yield missing("list_feeds", "/v1/stores/SH99/feeds")
    yield post(
        "heard-of-again",
        "The feed comes again 恢复上报",
        [
            _told(
                "repair_order.settled",
                "2026-02-02T11:40",
                {"amounts": {"labor": "300.00", "parts": "120.00"}},
            )
        ],
    )
    yield at("2026-02-02T12:01")
    yield Example(
        name="get_kpi_values.with-a-silence",
        summary="A feed was silent in the period 周期内数据中断",
        path=f"{FEED_STORE}/kpis/visits_settled",
        query=FEBRUARY,
    )
    yield Example(
        name="put_feed_rule.muted",
        summary="No alarm 静音",
        method="PUT",
        path=FEEDS,
        body={"source": FEED, "muted": True},
    )
