"""Numbers, moments and texts as people type them."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.cells import Row, clean, folded, is_footer, is_heading, is_total, shown
from app.domain.mapping.moments import MomentReader
from app.domain.mapping.numbers import UNITS, plain_decimal, read_decimal
from app.domain.mapping.unreadable import UnreadableError

NOON = datetime.fromisoformat("2026-01-05 12:00")
HALF_NINE = datetime.fromisoformat("2026-01-05 09:30")


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("1,234.50", "1234.5"),
        ("￥1,234.50", "1234.5"),
        ("¥ 860元", "860"),
        ("１２００", "1200"),
        ("-20", "-20"),
        ("(15.00)", "-15"),
        ("15.00-", "-15"),
        ("−3", "-3"),
        ("+3", "3"),
        (".5", "0.5"),
        ("3.2万", "32000"),
        ("1.2万公里", "12000"),
        ("90分钟", "1.5"),
        ("42010 km", "42010"),
        ("\u3000 7\xa0", "7"),
        ('="0012"', "12"),
        (0.1 + 0.2, "0.3"),
        (860.0, "860"),
        (10**14, "100000000000000"),
        (Decimal("1.10"), "1.1"),
        ("-0", "0"),
        ("", None),
        ("--", None),
        ("N/A", None),
        ("—", None),
    ],
)
def test_numbers(cell: Any, number: str | None) -> None:
    read = read_decimal(cell)
    assert (None if read is None else plain_decimal(read)) == number


@pytest.mark.parametrize(
    "cell", ["abc", "1,23", "1.2.3", "12 34 56x", "1e5", True, float("nan"), "五", "3斤", NOON]
)
def test_what_is_no_number(cell: Any) -> None:
    with pytest.raises(UnreadableError) as caught:
        read_decimal(cell)
    assert caught.value.code == "not-a-number"


def test_the_unit_of_a_column_and_the_one_in_a_cell() -> None:
    assert read_decimal("3.5", factor=UNITS["万元"]) == 35_000
    assert read_decimal("3.5万元", factor=UNITS["万元"]) == 35_000
    assert read_decimal("3.5万", factor=UNITS["元"]) == 35_000
    assert read_decimal(50, factor=UNITS["分钟"]) == Decimal("0.833333")
    assert read_decimal("1.234,56", point=",") == Decimal("1234.56")


@given(st.decimals(-(10**11), 10**11, places=3))
def test_a_number_is_the_same_however_it_is_dressed(number: Decimal) -> None:
    for text in (f"{number:f}", f"{number:,f}", f"￥{number:,f}元", f" {number:f}\u3000"):
        assert read_decimal(text) == number


@pytest.mark.parametrize(
    "cell",
    [
        HALF_NINE,
        "2026-01-05 09:30",
        "2026/1/5 9:30",
        "2026.01.05 09:30:00",
        "2026年1月5日 9时30分",
        "2026年1月5日9:30",
        "2026-01-05T09:30:00",
        "２０２６／１／５　９：３０",
        "2026/1/5 上午9:30",
        "2026/1/5 9:30 AM",
        "2026年1月5日 星期一 09:30",
        "20260105 0930",
        "202601050930",
        "20260105093000",
        46027.3958333333,
        "46027.3958333333",
        HALF_NINE - timedelta(microseconds=3),
    ],
)
def test_moments(cell: Any) -> None:
    assert MomentReader().read([cell]) == HALF_NINE


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2026-01-05", "09:30"], HALF_NINE),
        (["2026年1月5日", "上午9点30分"], HALF_NINE),
        ([date(2026, 1, 5), time(9, 30)], HALF_NINE),
        ([datetime.fromisoformat("2026-01-05"), 0.395833333333], HALF_NINE),
        ([46027, timedelta(hours=9, minutes=30)], HALF_NINE),
        ([date(2026, 1, 5), "0930"], HALF_NINE),
        (["2026/1/5", "下午 12:00"], NOON),
        (["2026/1/5 中午12:00", ""], NOON),
        (["", "09:30"], None),
        (["-", ""], None),
    ],
)
def test_a_day_and_a_time_in_cells_of_their_own(cells: Any, expected: datetime | None) -> None:
    assert MomentReader().read(cells) == expected


def test_an_offset_in_the_cell_is_kept() -> None:
    moment = MomentReader().read(["2026-01-05T09:30:00+09:00"])
    assert moment is not None
    assert moment.isoformat() == "2026-01-05T09:30:00+09:00"
    again = MomentReader().read(["2026/1/5 9:30 +0900"])
    assert again == moment


def test_another_order_must_be_said() -> None:
    with pytest.raises(UnreadableError) as caught:
        MomentReader().read(["01/05/2026 09:30"])
    assert "format" in caught.value.hint
    assert MomentReader(["%m/%d/%Y %H:%M"]).read(["01/05/2026 09:30"]) == HALF_NINE
    both = MomentReader(["%m/%d/%Y %H:%M", "%m/%d/%Y"])
    assert both.read(["01/05/2026", "09:30"]) == HALF_NINE
    assert both.read(["01/05/2026", ""]) == datetime.fromisoformat("2026-01-05")


def test_the_time_of_day_that_is_taken_where_there_is_none() -> None:
    reader = MomentReader(at=time(12))
    assert reader.read(["2026-01-05"]) == NOON
    assert reader.read([date(2026, 1, 5)]) == NOON
    assert reader.read([HALF_NINE]) == HALF_NINE


def test_serial_numbers_of_an_old_mac() -> None:
    assert MomentReader(from_1904=True).read([46027.5 - 1462]) == NOON


@pytest.mark.parametrize(
    "cell", ["2026-02-30", "2026-01-05 25:00", "明天", 5, -1.5, "1月5日", True]
)
def test_what_is_no_moment(cell: Any) -> None:
    with pytest.raises(UnreadableError) as caught:
        MomentReader().read([cell])
    assert caught.value.code == "not-a-time"


@given(st.integers(0, 4 * 10**9))
def test_a_moment_is_the_same_as_a_cell_as_a_text_and_as_a_serial(seconds: int) -> None:
    moment = datetime.fromisoformat("1970-01-01") + timedelta(seconds=seconds)
    serial = (moment - datetime.fromisoformat("1899-12-30")) / timedelta(days=1)
    for cell in (moment, serial, moment.isoformat(" "), f"{moment:%Y年%m月%d日 %H时%M分%S秒}"):
        assert MomentReader().read([cell]) == moment


def test_texts() -> None:
    assert clean("\u3000 沪A\xa0 1 \ufeff") == "沪A 1"
    assert clean(12.0) == shown(12) == "12"
    assert folded("进厂时间（预计）： ") == folded("进厂时间(预计)")


def row(*cells: Any) -> Row:
    return Row(9, dict(zip(("工单号", "客户", "金额"), cells, strict=False)))


def test_rows_that_are_none() -> None:
    assert is_total(row("", "合 计", 12))
    assert is_total(row("本页小计", None, 12))
    assert is_total(row("Grand Total", None, 12))
    assert not is_total(row("RO1", "合计", 12))
    assert not is_total(row("合计汽车贸易有限公司某某某分店", "x", 12))
    assert is_footer(row("制表人：某某", "", ""))
    assert is_footer(row("共 128 条记录", "", ""))
    assert not is_footer(row("RO1", "", ""))
    assert is_heading(row("工单号", "客 户", "金额"))
    assert not is_heading(row("工单号", "", ""))
