"""A row is told by what it says: the same in a workbook and in separated values, and no more."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.cells import Cell, Row
from app.domain.mapping.loading import read_mapping

MAPPING = read_mapping("""
source: /dms/x
version: 1
emits:
  - type: repair_order.opened
    subject: 工单号
    time: {columns: [日期, 时间]}
    when: {column: 状态, is: 开}
    fields:
      advisor: 顾问
      odometer_km: 里程
      promised_at: {column: 承诺, format: "%d.%m.%Y %H:%M"}
      estimate_amount: {column: 预估, decimal: ","}
      estimate_hours: {column: 工时, values: {一: 1, 二: 2}}
      waiter: 等候
""")


def said(**cells: Cell) -> bytes:
    written = MAPPING.alike([Row(7, cells)], "S1")
    assert written is not None
    return written


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("里程", [1860, 1860.0, "1860", "1,860.00", " 1860.0 ", Decimal("1860.00")]),
        ("里程", [-5, -5.0, "-5", "-5.00"]),
        ("日期", [date(2026, 1, 5), datetime(2026, 1, 5), "2026-01-05", "2026/1/5", "20260105"]),  # noqa: DTZ001 - a sheet knows no zones
        ("时间", [time(9, 30), "09:30", "9:30:00", timedelta(hours=9, minutes=30)]),
        ("承诺", [datetime(2026, 1, 5, 17), "05.01.2026 17:00", "2026-01-05 17:00:00"]),  # noqa: DTZ001 - likewise
        ("顾问", ["A1", " A1 "]),
        ("顾问", [7, 7.0, "7"]),
        ("备注", ["", None, "　"]),
    ],
)
def test_the_same_in_other_formats_says_the_same(column: str, cells: list[Any]) -> None:
    assert len({said(工单号="R1", **{column: cell}) for cell in cells}) == 1


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("里程", [1860, 1860.5, "1.860", "1860公里", "昨天", True, None, float("inf"), [1]]),
        ("日期", ["2026-01-05", "2026-01-06", "05/01/2026", "-", "1.5", ["a"]]),
        ("工单号", ["007", "7", "1.10", "1.1"]),
        ("预估", ["1.860", "1860", "1,86"]),
        ("工时", ["一", "二", "1", "1.0"]),
        ("状态", ["1", "1.0"]),
        ("没人读的列", ["1", "1.0", "2026-01-05", "2026/1/5"]),
        ("里程", [{"a": 1}, {"a": 2}]),
    ],
)
def test_what_differs_in_anything_else_is_another_row(column: str, cells: list[Any]) -> None:
    assert len({said(**{column: cell}) for cell in cells}) == len(cells)


def test_the_order_of_columns_and_the_number_of_the_row_say_nothing() -> None:
    one = MAPPING.alike([Row(3, {"工单号": "R1", "里程": 5})], "S1")
    assert one == MAPPING.alike([Row(9, {"里程": "5", "工单号": "R1"})], "S1")
    assert one != MAPPING.alike([Row(3, {"工单号": "R1", "里程": 5})], "S2")
    assert one != MAPPING.alike([Row(3, {"工单号": "R1", "里程": 5})] * 2, "S1")


def test_a_row_that_could_not_be_split_is_told_by_its_bytes_alone() -> None:
    assert MAPPING.alike([Row(3, {}, ("no json",), "The line is no JSON.")], "S1") is None


def test_columns_that_are_read_in_two_ways_are_compared_as_text() -> None:
    mapping = read_mapping("""
source: /dms/x
version: 1
group_by: 开单
emits:
  - type: repair_order.opened
    subject: 里程
    time: 开单
    fields: {odometer_km: 里程, promised_at: {column: 承诺, format: "%d.%m.%Y"}}
  - type: repair_order.delivered
    subject: 工单号
    time: 承诺
""")
    for column, cells in {
        "里程": ("5", "5.0"),
        "开单": ("2026-01-05", "2026/1/5"),
        "承诺": ("2026-01-05", "2026/1/5"),
    }.items():
        assert len({mapping.alike([Row(1, {column: cell})], "S1") for cell in cells}) == 2


_NUMBERS = st.decimals(-(10**9), 10**9, places=2, allow_nan=False)


@given(left=_NUMBERS, right=_NUMBERS, text=st.text(max_size=5))
def test_numbers_are_told_apart_by_their_value(left: Decimal, right: Decimal, text: str) -> None:
    cells: dict[str, Cell] = {"工单号": f"R{text}", "里程": float(left)}
    assert (said(**cells) == said(**cells | {"里程": f"{right:,.2f}"})) is (left == right)


@given(moment=st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - likewise
def test_moments_are_told_by_the_second(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    written = f"{moment:%Y/%m/%d %H:%M:%S}"
    assert said(日期=moment) == said(日期=written)
    assert said(日期=moment) != said(日期=moment + timedelta(seconds=1))


def test_records_are_told_by_all_that_they_hold() -> None:
    mapping = read_mapping("""
source: /dms/x
version: 1
emits:
  - type: repair_order.opened
    subject: {path: header.number}
    time: opened
    fields: {odometer_km: {path: header.km}}
""")
    records: list[dict[str, Any]] = [
        {"header": {"number": "R1", "km": 5}, "opened": "2026-01-05"},
        {"opened": "2026/1/5", "header": {"km": 5, "number": "R1"}},
        {"header": {"number": "R1", "km": "5"}, "opened": "2026-01-05"},
    ]
    one, same, other = (mapping.alike([Row(1, record)], "S1") for record in records)
    assert one == same
    assert one != other
