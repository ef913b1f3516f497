"""Rows as items of the quarantine: what is written of them is read as before."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import orjson
import pytest

from app.domain.cells import Row
from app.domain.events.envelope import Reason
from app.domain.mapping.field_reader import Context
from app.domain.mapping.loading import read_mapping
from app.domain.mapping.row_item import (
    ROW_TYPE,
    read_row_item,
    rejected_row,
    row_item,
    uses_file_time,
)
from app.domain.mapping.unreadable import CellFault
from app.services.import_report import FaultLog, RowFault

MOMENT = datetime(2026, 6, 1, 9, 30, tzinfo=UTC)
ROW = Row(
    7,
    {
        "工单号": "R1",
        "进厂": datetime(2026, 6, 1, 9, 30),  # noqa: DTZ001 - a workbook knows no zones
        "日": date(2026, 6, 1),
        "时": time(9, 30),
        "里程": 12345.0,
        "金额": Decimal("1.10"),
        "用时": timedelta(hours=1),
        "空": None,
    },
)


def test_a_row_says_by_itself_what_it_is_and_not_where_it_stood() -> None:
    item = row_item([ROW], source="/dms/x", store_id="S1", file_time=None)
    assert item.content_type == ROW_TYPE
    read = read_row_item(orjson.loads(item.body))
    assert read is not None
    assert (read.source, read.store_id) == ("/dms/x", "S1")
    assert dict(read.rows[0].cells) == {
        "工单号": "R1",
        "进厂": "2026-06-01T09:30:00",
        "日": "2026-06-01",
        "时": "09:30:00",
        "里程": 12345.0,
        "金额": "1.10",
        "用时": "1:00:00",
        "空": None,
    }
    elsewhere = row_item([Row(99, ROW.cells)], source="/dms/x", store_id="S1", file_time=None)
    assert elsewhere.body_hash == item.body_hash


def test_the_rows_of_a_group_and_the_time_of_the_file_are_kept() -> None:
    rows = [Row(3, {"a": 1}), Row(4, {"a": "x"})]
    item = row_item(rows, source="/dms/x", store_id="S1", file_time=MOMENT)
    read = read_row_item(orjson.loads(item.body))
    assert read is not None
    assert [row.cells["a"] for row in read.rows] == [1, "x"]
    assert read.file_time == MOMENT
    said, bare = "'x' is no number.", "… is no number."
    fault = CellFault(4, "a", "/data/x", "x", "no-number", said, "Mend it.", bare)
    rejected = rejected_row(rows, [fault], source="/dms/x", store_id="S1")
    assert rejected.reason is Reason.INVALID_DATA
    assert rejected.faults[0].pointer == "/rows/1/a"
    assert rejected.faults[0].detail == "a: … is no number. Mend it."


@pytest.mark.parametrize("name", ["王　伟", "O'Neil\t'", "  王 伟  ", "\\王"])
def test_what_is_kept_of_a_fault_never_says_what_the_cell_holds(name: str) -> None:
    """However it is quoted, whatever stands beside it: it may be personal."""
    mapping = read_mapping(
        "source: /dms/x\nversion: 1\nemits:\n"
        "  - type: repair_order.opened\n    subject: 工单号\n    time: {columns: [日, 时]}\n"
        "    fields:\n"
        "      work_type: {column: 类型, values: {保养: regular_maintenance}, unmatched: fault}\n"
        "      waiter: {column: 等候}\n      odometer_km: {column: 里程}\n"
        "      concerns: {column: 描述, split: '/', values: {好: 好}, unmatched: fault}\n"
        "      advisor: {column: 电话}\n"
    )
    phone = "  1.38001E+10  "
    cells = {"工单号": "R1", "日": "2026-06-01", "时": name, "类型": name, "等候": name}
    row = Row(1, cells | {"里程": name, "描述": f"好/{name}", "电话": phone})
    context = Context("S1", ZoneInfo("Asia/Shanghai"), MOMENT, b"")
    (mapped,) = mapping.read_all([row], context=context)
    rejected = rejected_row([row], mapped.faults, source="/dms/x", store_id="S1")
    assert len(rejected.faults) == 6
    kept = " ".join(fault.detail for fault in rejected.faults)
    assert "王" not in kept
    assert "Neil" not in kept
    assert "1.38001" not in kept
    assert all(repr(name) in fault.detail for fault in mapped.faults if fault.column == "时")


def test_a_row_that_could_not_be_split_keeps_what_lies_in_it() -> None:
    unread = Row(5, {}, ("no json",), "The line is no JSON.")
    item = row_item([unread], source="/dms/x", store_id="S1", file_time=None)
    assert orjson.loads(item.body)["row"] == {"1": "no json"}
    fault = CellFault(5, "", "", "no json", "unreadable-row", "The line is no JSON.")
    rejected = rejected_row([unread], [fault], source="/dms/x", store_id="S1")
    assert rejected.faults[0].pointer == "/row"


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"specversion": "1.0", "mapping": "/x", "store": "S1", "row": {}},
        {"mapping": "/x", "store": "S1"},
        {"mapping": 1, "store": "S1", "row": {}},
        {"mapping": "/x", "store": "S1", "rows": []},
        {"mapping": "/x", "store": "S1", "rows": [1]},
        {"mapping": "/x", "store": "S1", "row": "text"},
        {"mapping": "/x", "store": "S1", "row": {"a": 10**30}},
    ],
)
def test_nothing_else_is_taken_for_a_row(value: object) -> None:
    assert read_row_item(value) is None


@pytest.mark.parametrize("said", [None, 5, "yesterday"])
def test_a_time_that_can_not_be_read_is_that_of_no_file(said: object) -> None:
    read = read_row_item({"mapping": "/x", "store": "S1", "row": {}, "file_time": said})
    assert read is not None
    assert read.file_time.year == 1970
    naive = {"mapping": "/x", "store": "S1", "row": {}, "file_time": "2026-06-01T09:30:00"}
    found = read_row_item(naive)
    assert found is not None
    assert found.file_time == MOMENT


@pytest.mark.parametrize(("moment", "used"), [("file", True), ("时间", False)])
def test_a_mapping_tells_whether_it_needs_the_time_of_the_file(moment: str, used: bool) -> None:
    mapping = read_mapping(
        "source: /dms/x\nversion: 1\nemits:\n"
        f"  - {{type: repair_order.cleaned, subject: 工单号, time: {moment}}}\n"
    )
    assert uses_file_time(mapping.model.model_dump()) is used


def test_faults_are_given_in_the_order_of_rows_whatever_order_they_came_in() -> None:
    log = FaultLog()
    for row in (2, 5, 3):
        log.add(RowFault(row, "a", "/data/a", "x", "invalid-data", "code", "detail"))
    assert [fault.row for fault in log] == [2, 5, 3]
    assert [fault.row for fault in log.by_row()] == [2, 3, 5]
    log.close()
