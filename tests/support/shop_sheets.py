"""Sheets as shops have them, in each form, and a mapping that reads them; for tests of imports."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import xlwt
from openpyxl import Workbook

MAPPING: Final = """
source: /dms/shop
version: 3
emits:
  - type: repair_order.opened
    subject: 工单号
    time: 进厂时间
    fields:
      work_type: {column: 维修类型, values: {一般维修: ordinary_repair, 保养: regular_maintenance}}
      advisor: 服务顾问
      odometer_km: 里程
  - type: repair_order.settled
    subject: 工单号
    time: 结算时间
    when: 结算时间
    fields:
      amounts.labor: 工时费
"""
COLUMNS: Final = ("工单号", "进厂时间", "维修类型", "服务顾问", "里程", "结算时间", "工时费")


def order(number: int, **changed: Any) -> list[Any]:
    """One row; an order of one morning of June."""
    cells: dict[str, Any] = {
        "工单号": f"RO{number:05}",
        "进厂时间": f"2026-06-01 09:{number % 60:02}",
        "维修类型": "一般维修",
        "服务顾问": "A1",
        "里程": 12000 + number,
        "结算时间": f"2026-06-01 16:{number % 60:02}",
        "工时费": "180.50",
    }
    return list((cells | changed).values())


def as_csv(
    rows: Sequence[Sequence[Any]],
    *,
    encoding: str = "utf-8",
    delimiter: str = ",",
    end: str = "\n",
) -> bytes:
    """Write rows below the heading as separated values."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerows([COLUMNS, *rows])
    return text.getvalue().encode(encoding)


def save_xlsx(path: Path, rows: Sequence[Sequence[Any]], *, title: str | None = None) -> None:
    """Write a workbook, with a title above the heading if one is given."""
    workbook = Workbook()
    page = workbook.active
    assert page is not None
    if title is not None:
        page.append([title])
        page.merge_cells(start_row=1, end_row=1, start_column=1, end_column=len(COLUMNS))
    page.append(COLUMNS)
    for row in rows:
        page.append(list(row))
    workbook.save(path)


def save_xls(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    """Write a workbook of the old kind."""
    workbook = xlwt.Workbook()
    page = workbook.add_sheet("结算清单")
    for number, row in enumerate([COLUMNS, *rows]):
        for place, cell in enumerate(row):
            page.write(number, place, cell)
    workbook.save(str(path))


def as_html(rows: Sequence[Sequence[Any]]) -> bytes:
    """Write a page with a table, as many systems hand out under the name .xls."""
    lines = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in [COLUMNS, *rows]
    )
    return f"<html><meta charset=utf-8><table>{lines}</table></html>".encode()
