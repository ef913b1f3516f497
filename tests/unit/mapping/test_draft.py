"""Drafts of mappings, and the mappings that come with the service."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.domain.cells import Row
from app.domain.errors import InvalidInputError
from app.domain.mapping.draft import draft_mapping
from app.domain.mapping.loading import read_mapping
from app.domain.mapping.source_mapping import Context
from app.services.mapping_check import MappingCheck
from app.services.mappings import best_fit, shipped_mappings
from app.services.sheet_reading import open_sheet

SAMPLES = Path(__file__).parents[2] / "samples"
NOW = datetime(2026, 2, 1, tzinfo=UTC)
CONTEXT = Context("MP01", ZoneInfo("Asia/Shanghai"), NOW)

EXPECTED = {
    "settlement-list.csv": {
        "repair_order.snapshot": 3,
        "customer.registered": 3,
        "vehicle.registered": 3,
    },
    "service-ro-extract.csv": {"repair_order.snapshot": 3},
    "star-repair-order.json": {"repair_order.snapshot": 2},
    "staff-list.csv": {"staff.registered": 3},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_each_sample_is_read_whole_by_the_mapping_that_is_made_for_it(name: str) -> None:
    with open_sheet(SAMPLES / name) as sheet:
        fit = best_fit(shipped_mappings().values(), sheet.columns)
        assert fit is not None
        assert fit[0] is shipped_mappings()[name.partition(".")[0]]
        check = MappingCheck(sheet, fit[0], context=CONTEXT, now=NOW)
        rows = list(check.rows())
    assert not check.summary.faults
    assert not check.summary.warnings
    assert check.summary.events == EXPECTED[name]
    assert len(rows) == sum(1 for row in rows if row.events or row.skipped)


def test_the_settlement_list_says_what_it_says() -> None:
    with open_sheet(SAMPLES / "settlement-list.csv") as sheet:
        rows = shipped_mappings()["settlement-list"].read_all(sheet.rows(), context=CONTEXT)
        first, second, *_ = rows
    snapshot, customer, vehicle = second.events
    assert snapshot["subject"] == "RO20260105-002"
    assert snapshot["data"] == {
        "customer_no": "C000124",
        "vin": "LSVAA4182E2100002",
        "plate": "沪A00002",
        "odometer_km": "56300",
        "work_type": "accident",
        "pay_type": "CUSTOMER_PAY",
        "advisor": "A08",
        "waiter": False,
        "opened_at": "2026-01-05T09:15:00+08:00",
        "promised_at": "2026-01-06T17:00:00+08:00",
        "technician": "T15",
        "team": "二组",
        "settled_at": "2026-01-06T16:30:00+08:00",
        "amounts": {"labor": "1200", "parts": "2300.5"},
        "costs": {"parts": "1900"},
        "billed_hours": "6",
        "handed_over_at": "2026-01-06T16:40:00+08:00",
    }
    assert customer["data"] == {"name": "客户0002", "phones": ["00000000002", "00000000003"]}
    assert vehicle["subject"] == "LSVAA4182E2100002"
    assert first.events[0]["data"]["concerns"] == ["刹车异响", "方向盘抖动"]


@pytest.mark.parametrize(
    "name", ["settlement-list.csv", "service-ro-extract.csv", "staff-list.csv"]
)
def test_a_draft_reads_the_file_that_it_was_made_from(name: str) -> None:
    with open_sheet(SAMPLES / name) as sheet:
        text = draft_mapping(
            sheet.columns, list(sheet.rows()), source="/dms/sheet/draft", file=name
        )
        check = MappingCheck(sheet, read_mapping(text), context=CONTEXT, now=NOW)
        drafted = [row.events[0]["data"] for row in check.rows() if row.events]
        assert not check.summary.faults
        shipped = shipped_mappings()[name.partition(".")[0]].read_all(
            sheet.rows(), context=CONTEXT
        )
        known = [row.events[0]["data"] for row in shipped if row.events]
    for draft, whole in zip(drafted, known, strict=False):
        assert draft.keys() >= whole.keys() - {"sublet"}


def drafted(columns: list[str], *rows: list[Any]) -> str:
    made = [Row(n, dict(zip(columns, cells, strict=True))) for n, cells in enumerate(rows, 2)]
    text = draft_mapping(columns, made, source="/dms/sheet/x", file="文件: #1.xlsx")
    read_mapping(text)
    return text


def test_a_draft_guesses_units_formats_values_and_lists() -> None:
    text = drafted(
        [
            "委托书号",
            "SA",
            "进厂日期",
            "进厂时间",
            "工时费（万元）",
            "业务类型",
            "报修内容",
            "神秘列",
        ],
        ["RO1", "A1", "05/13/2026", "09:30", "0.12", "保养", "异响;漏油", "x"],
        ["RO2", "A1", "06/14/2026", "17:00", "0.3", "改装", "", "y"],
    )
    assert "subject: 委托书号" in text
    assert 'columns: [进厂日期, 进厂时间], format: ["%m/%d/%Y %H:%M"]' in text
    assert "unit: 万元" in text
    assert "保养: regular_maintenance" in text
    assert "# CHECK: 改装: one of" in text
    assert 'split: ";"' in text
    assert "# Not read: 神秘列" in text


def test_a_draft_says_where_it_is_unsure() -> None:
    text = drafted(
        ["编号", "进厂日期", "材料费合计金额", "是否等候"],
        ["1", "01/02/2026", "abc", "待定"],
        ["2", "02/03/2026", "5", "是"],
    )
    assert "CHECK: is this what the rows are about?" in text
    assert "CHECK: the order of day and month" in text
    assert "CHECK: guessed from the heading; CHECK: abc is no number" in text
    assert "CHECK: values: {待定: true or false?}" in text


def test_a_table_that_nobody_understands_still_gives_a_mapping_to_begin_with() -> None:
    text = drafted(["α", "β: #"], ["1", "x"], ["2", "x"])
    assert "subject: α # CHECK" in text
    with pytest.raises(InvalidInputError):
        read_mapping(text.replace("subject: α", "subjekt: α"))


def test_a_list_of_orders_is_known_by_what_it_tells_whatever_the_number_is_called() -> None:
    text = drafted(
        ["序号", "流水", "底盘号", "业务接待", "进店日期", "进店时刻", "约定交车", "其中：工时"],
        ["1", "SG-7", "V1", "A07", "2026-01-05", "09:30", "2026-01-05 17:00", "300"],
        ["2", "SG-8", "V2", "A07", "2026-01-06", "09:30", "2026-01-06 17:00", "200"],
    )
    assert "- type: repair_order.snapshot" in text
    assert "subject: 流水 # CHECK: is this what the rows are about?" in text, (
        "not what counts them"
    )
    assert "opened_at: {columns: [进店日期, 进店时刻], required: true}" in text
    assert "promised_at: {column: 约定交车}" in text
    assert 'amounts.labor: {column: "其中：工时"}' in text
    assert "# Not read: 序号" in text
