"""The desk of the quarantine: counts, suggestions, corrections, and runs over all that match."""

from collections.abc import Iterator
from typing import Any, Final

from tests.contract.stage import Example, Stage
from tests.contract.telling import Interlude, event, missing, post

_ITEM: Final = "/v1/quarantine/{desk_item}"
_NONE: Final = "019b8b5e-7c00-7000-8000-999999999999"
_STORE: Final[dict[str, Any]] = {"store": "QD01", "source": "/dms/qd01"}


async def _do_runs(stage: Stage) -> None:
    await stage.factory.quarantine_runs.tick()


def chapter() -> Iterator[Example | Interlude]:
    """Tell it."""
    yield _put_store("QD01", "示例隔离门店")
    yield post(
        "to-be-repaired",
        "Times without offset, 是 for true, an unknown type 待更正",
        [
            _opened("QD-001", time="2026-01-12 09:00:00", waiter="是", odometer_km="42,010"),
            _opened("QD-002", time="2026-01-12 09:10:00"),
            _opened("QD-003", time="2026-01-12 09:20:00"),
            event("tyre.rotated", "QD-001", "2026-01-12T10:00", **_STORE),
            event("tyre.rotated", "QD-002", "2026-01-12T10:10", **_STORE),
        ],
        capture={
            "desk_item": ("results", 0, "quarantine_id"),
            "desk_type": ("results", 3, "quarantine_id"),
        },
    )
    yield from _one()
    yield from _many()
    yield from _of_no_store()


def _put_store(store_id: str, name: str, outcome: str = "created-for-the-desk") -> Example:
    return Example(
        name=f"put_store.{outcome}",
        summary="A store 建立门店",
        method="PUT",
        path=f"/v1/stores/{store_id}",
        body={"name": name},
        status=201,
    )


def _opened(ro_number: str, *, time: str, **data: Any) -> dict[str, Any]:
    filled = {"work_type": "ordinary_repair", "advisor": "A07", **data}
    return event("repair_order.opened", ro_number, "", filled, **_STORE) | {"time": time}


def _one() -> Iterator[Example | Interlude]:
    yield Example(
        name="count_quarantine.by-reason",
        summary="What waits at a store, by reason 按原因统计",
        path="/v1/quarantine/counts",
        query={"store": "QD01", "by": "reason"},
    )
    yield Example(
        name="count_quarantine.bad-group",
        summary="Nothing that items are counted by 无效分组",
        path="/v1/quarantine/counts",
        query={"by": "colour"},
        status=422,
    )
    yield Example(
        name="get_quarantined.with-suggestions",
        summary="What may be done about it 更正建议",
        path=_ITEM,
    )
    yield _replay(
        "not-suggested", "Nothing of that name fits 无此建议", {"apply": "trim-text"}, status=422
    )
    yield _replay(
        "patched",
        "Corrected, and faulty still 更正后仍有错误",
        {"patch": [{"op": "replace", "path": "/time", "value": "2026-01-12T09:00:00+08:00"}]},
    )
    yield _replay("repaired", "Every suggestion applied 应用全部建议", {"apply": "all"})
    yield Example(
        name="replay_quarantined.corrected",
        summary="The whole event, corrected 提交更正后的事件",
        method="POST",
        path="/v1/quarantine/{desk_type}/replay",
        body={
            "event": event(
                "repair_order.work_started",
                "QD-001",
                "2026-01-12T10:00",
                {"technician": "T12"},
                **_STORE,
            )
        },
    )


def _replay(outcome: str, summary: str, body: Any, **more: Any) -> Example:
    return Example(
        name=f"replay_quarantined.{outcome}",
        summary=summary,
        method="POST",
        path=f"{_ITEM}/replay",
        body=body,
        **more,
    )


def _many() -> Iterator[Example | Interlude]:
    replays, discards = "/v1/quarantine/replays", "/v1/quarantine/discards"
    wanted = {"store": "QD01", "fault": "/time"}
    yield Example(
        name="start_quarantine_replay.rehearsal",
        summary="What would come of it 试运行",
        method="POST",
        path=replays,
        body={"filter": wanted, "apply": "add-store-offset", "dry_run": True},
        status=202,
        capture={"desk_rehearsal": ("run_id",)},
    )
    yield _do_runs
    yield Example(
        name="get_quarantine_replay.rehearsed",
        summary="Both would enter 试运行结果",
        path=f"{replays}/{{desk_rehearsal}}",
    )
    yield Example(
        name="start_quarantine_replay.started",
        summary="All times of a source as the store's 批量更正并重放",
        method="POST",
        path=replays,
        body={"filter": wanted, "apply": "add-store-offset"},
        status=202,
        capture={"desk_replay": ("run_id",)},
    )
    yield Example(
        name="start_quarantine_replay.bad-patch",
        summary="An operation that is none 无效补丁",
        method="POST",
        path=replays,
        body={"filter": wanted, "patch": [{"op": "shine", "path": "/time"}]},
        status=422,
    )
    yield _do_runs
    yield Example(
        name="get_quarantine_replay.finished",
        summary="Both are in the log 已完成",
        path=f"{replays}/{{desk_replay}}",
    )
    yield missing("get_quarantine_replay", f"{replays}/{_NONE}")
    yield _cancel("replay", "conflict", "It is finished 已完成", "{desk_replay}", status=409)
    yield Example(
        name="start_quarantine_discard.started",
        summary="All of a type, with the reason 批量丢弃",
        method="POST",
        path=discards,
        body={
            "filter": {"store": "QD01", "type": "tyre.rotated"},
            "reason": "the shop keeps no tyres 无轮胎业务",
        },
        status=202,
        capture={"desk_discard": ("run_id",)},
    )
    yield Example(
        name="start_quarantine_discard.all",
        summary="Never all at once 必须有条件",
        method="POST",
        path=discards,
        body={"filter": {}, "reason": "spring cleaning"},
        status=422,
    )
    yield _cancel("discard", "cancelled", "Stopped in time 已停止", "{desk_discard}")
    yield _cancel("discard", "conflict", "It is stopped already", "{desk_discard}", status=409)
    yield Example(
        name="get_quarantine_discard.cancelled",
        summary="Nothing was thrown away 未丢弃",
        path=f"{discards}/{{desk_discard}}",
    )
    yield missing("get_quarantine_discard", f"{discards}/{_NONE}")


def _cancel(kind: str, outcome: str, summary: str, run: str, **more: Any) -> Example:
    return Example(
        name=f"cancel_quarantine_{kind}.{outcome}",
        summary=summary,
        method="POST",
        path=f"/v1/quarantine/{kind}s/{run}/cancel",
        **more,
    )


def _of_no_store() -> Iterator[Example | Interlude]:
    yield post(
        "too-early",
        "Its store is not made yet 门店未建",
        event("repair_order.cleaned", "QD-009", "2026-01-12T11:00", store="QD02"),
    )
    yield _put_store("QD02", "示例补建门店", "created-for-those-that-wait")
    yield _do_runs
    yield Example(
        name="list_quarantine_runs.latest",
        summary="It entered by itself 自动重放",
        path="/v1/quarantine/runs",
    )
    yield Example(
        name="list_quarantine_runs.broken-cursor",
        summary="No cursor of this list 无效游标",
        path="/v1/quarantine/runs",
        query={"cursor": "x"},
        status=422,
    )
    yield Example(
        name="start_quarantine_replay.to-be-stopped",
        summary="One more 再次重放",
        method="POST",
        path="/v1/quarantine/replays",
        body={"filter": {"store": "QD01"}},
        status=202,
        capture={"desk_stopped": ("run_id",)},
    )
    yield _cancel("replay", "cancelled", "Stopped in time 已停止", "{desk_stopped}")
