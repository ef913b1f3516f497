"""Odd spellings: each has one reading, or none."""

from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as Time  # noqa: N812 - a time of day, beside the names of tests' times
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.suggestions.spelling import (
    Moment,
    clean,
    in_zone,
    is_nothing,
    read_moment,
    read_number,
    read_yes_no,
)

DAY = date(2026, 1, 5)
EAST = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("sent", "plain"),
    [
        ("1,200.00", "1200.00"),
        ("12,345,678", "12345678"),
        ("1 200", "1200"),
        ("１，２００", "1200"),
        ("¥1,200.50", "1200.50"),
        ("￥ 860", "860"),
        ("860元", "860"),
        ("RMB 860", "860"),
        ("42010 km", "42010"),
        ("42010公里", "42010"),
        ("1.5小时", "1.5"),
        ("1.2万", "12000.0"),
        ("3.25万元", "32500.00"),
        ("(1,200.00)", "-1200.00"),
        ("-1,200", "-1200"),
        (" 7 ", "7"),
    ],
)
def test_numbers_of_sheets(sent: str, plain: str) -> None:
    assert read_number(sent) == plain


@pytest.mark.parametrize(
    "sent",
    [
        *("1,2", "1.234,56", "12,34,567", "1,200,5", "--7", "(-7)", "7%", "about 7", "", "1 2"),
        *("9" * 65, None, 7, True),
    ],
)
def test_what_may_be_two_numbers_is_none(sent: Any) -> None:
    assert read_number(sent) is None


@given(st.decimals(-(10**11), 10**11, allow_nan=False, places=2))
def test_thousands_separators_change_nothing(number: Any) -> None:
    assert read_number(f"{number:,.2f}") == f"{number:.2f}"


@pytest.mark.parametrize(
    ("sent", "time", "offset"),
    [
        ("2026-01-05 17:00", (17, 0), None),
        ("2026-01-05T17:00:30", (17, 0, 30), None),
        ("2026/1/5 9:05", (9, 5), None),
        ("2026.01.05 17:00", (17, 0), None),
        ("2026年1月5日 17时30分", (17, 30), None),
        ("20260105170000", (17, 0), None),
        ("20260105 170000", (17, 0), None),
        ("2026-01-05 17:00:00+0800", (17, 0), EAST),
        ("2026-01-05 17:00 +08:00", (17, 0), EAST),
        ("2026-01-05 17:00Z", (17, 0), UTC),
        ("2026-01-05T17:00:00.250+08:00", (17, 0, 0, 250_000), EAST),
        (1767600000, (8, 0), UTC),
        (1767600000500, (8, 0, 0, 500_000), UTC),
    ],
)
def test_times_of_systems(sent: Any, time: tuple[Any, ...], offset: timezone | None) -> None:
    clock = datetime.combine(DAY, Time(*time))
    assert read_moment(sent) == Moment(DAY, clock, offset)


@pytest.mark.parametrize(
    "sent", ["2026-01-05", "2026/1/5", "2026.1.5", "2026年1月5日", "20260105", "２０２６-01-05"]
)
def test_days_of_systems(sent: str) -> None:
    assert read_moment(sent) == Moment(DAY, None, None)


@pytest.mark.parametrize(
    "sent",
    ["05/01/2026", "2026-1", "2026-02-30", "2026-01-05 25:00", "17:00", "46027", 46027, True, ""],
)
def test_what_names_no_certain_moment_is_none(sent: Any) -> None:
    assert read_moment(sent) is None


def test_a_time_that_a_zone_has_twice_or_not_at_all_is_none() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for moment, is_there in (
        ("2025-10-26T02:30", False),
        ("2025-03-30T02:30", False),
        ("2025-03-30T03:00", True),
    ):
        assert (in_zone(datetime.fromisoformat(moment), berlin) is not None) == is_there


def test_yes_and_no() -> None:
    for yes in ("是", " 是 ", "Y", "yes", "TRUE", "1", 1, "已签字", "合格"):
        assert read_yes_no(yes) is True, yes
    for no in ("否", "N", "no", "False", "0", 0, "不合格"):
        assert read_yes_no(no) is False, no
    others: Any = ("maybe", "2", 2, 0.0, None, [], True, "是否", "x" * 100)
    for other in others:
        assert read_yes_no(other) is None, other


def test_what_stands_for_nothing() -> None:
    for nothing in ("", "  ", "-", "—", "无", "N/A", "null", "　"):
        assert is_nothing(nothing), nothing
    for something in ("0", "无锡", "x", 0, None, False):
        assert not is_nothing(something), something
    assert clean("\ufeff Ａ０７　") == "A07"
