"""Sheets that go through the inbox come back with their faults marked, and go in when mended."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import orjson
import pytest

from app.db.engine import Pool
from app.domain.access import LOCAL
from app.domain.imports import FAULT_COLUMN, MARKS, ImportState
from app.domain.pages import PageRequest
from app.domain.quarantine import QuarantineFilter, QuarantineState
from app.factory import Factory
from app.services import fault_sheets
from app.services.returned_rows import REASON
from tests.support.inbox import watch
from tests.support.logs import check_store
from tests.support.posting import add_store
from tests.support.shop_sheets import COLUMNS, MAPPING, as_csv, as_html, order, save_xls, save_xlsx

ROWS = [
    order(1),
    order(2, 里程=-5),
    order(3, 进厂时间="昨天"),
    order(4, 服务顾问=""),
    order(5),
]
"""Two good ones; one that the door refuses, two that can't be read."""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "S1"
    folder.mkdir()
    (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    return folder


def _save_html(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    path.write_bytes(as_html(rows))


@pytest.mark.parametrize(
    ("name", "save", "returned"),
    [
        ("清单.xlsx", save_xlsx, "清单.xlsx"),
        ("清单.xls", save_xls, "清单.xlsx"),
        ("page.xls", _save_html, "page.xlsx"),
    ],
)
async def test_a_workbook_comes_back_marked_and_goes_in_when_mended(
    factory: Factory,
    pool: Pool,
    shop: Path,
    name: str,
    save: Callable[[Path, Sequence[Sequence[Any]]], None],
    returned: str,
) -> None:
    inbox = watch(factory, shop.parent)
    save(shop / name, ROWS)
    assert await inbox.tick() == 1
    (record,) = (await inbox.list_page("S1", PageRequest(), state=None)).items
    assert record.state is ImportState.FAULTS
    assert record.summary is not None
    assert record.summary.mapping == "/dms/shop v3"
    counts = record.summary.counts
    assert (counts.rows, counts.accepted, counts.quarantined) == (5, 7, 3)
    marked = shop / "faults" / returned
    assert record.moved_to == f"faults/{returned}"
    workbook = openpyxl.load_workbook(marked)
    page = workbook.active
    assert page is not None
    lines = list(page.iter_rows())
    assert [cell.value for cell in lines[0]] == [*COLUMNS, *MARKS]
    said = [str(line[-2].value or "") for line in lines[1:]]
    assert [bool(text) for text in said] == [False, True, True, True, False]
    assert said[1] == "[里程] 不能为负数。 The field must not be negative."
    assert said[2].startswith(
        "[进厂时间] 不是日期或时间，请写成 2026-01-31 17:00。 '昨天' is no date"
    )
    assert "必填" in said[3]
    assert lines[2][4].comment is not None
    assert lines[2][4].comment.text.startswith("不能为负数。")
    assert lines[2][4].fill.fgColor.rgb.endswith("FFC7CE")
    lines[2][4].value = 12002
    lines[3][1].value = "2026-06-01 09:03"
    lines[4][3].value = "A1"
    workbook.save(shop / name)
    marked.unlink()
    assert await inbox.tick() == 1
    again = (await inbox.list_page("S1", PageRequest(), state=None)).items[0]
    assert again.state is ImportState.DONE, again.summary
    assert again.summary is not None
    assert (again.summary.counts.accepted, again.summary.counts.duplicate) == (3, 7)
    assert await waiting(factory) == [], "what the rows lay in is nobody's work any more"
    sent = [event for event in await check_store(pool) if event.source == "/dms/shop"]
    assert len(sent) == 10


async def waiting(factory: Factory) -> list[str]:
    wanted = QuarantineFilter(state=QuarantineState.WAITING)
    page = await factory.quarantine.list_page(wanted, PageRequest(), principal=LOCAL)
    return [item.quarantine_id for item in page.items]


async def test_a_row_that_comes_back_takes_the_place_of_what_it_lay_in(
    factory: Factory, shop: Path
) -> None:
    """Of three faulty rows one is mended, one is faulty in another way, one as it was."""
    inbox = watch(factory, shop.parent)
    save_xlsx(shop / "a.xlsx", [order(1, 里程=-1), order(2, 里程=-2), order(3, 里程=-3)])
    await inbox.tick()
    workbook = openpyxl.load_workbook(shop / "faults" / "a.xlsx")
    page = workbook.active
    assert page is not None
    lay_in = [str(line[-1]) for line in page.iter_rows(min_row=2, values_only=True)]
    assert sorted(lay_in) == sorted(await waiting(factory))
    page.cell(2, 5).value = 12001
    page.cell(3, 5).value = -22
    workbook.save(shop / "a.xlsx")
    await inbox.tick()
    left = await waiting(factory)
    assert len(left) == 2
    assert set(left) & set(lay_in) == {lay_in[2]}
    for quarantine_id in lay_in[:2]:
        item = await factory.quarantine.get(quarantine_id, principal=LOCAL)
        assert item.state is QuarantineState.DISCARDED
        assert item.discard_reason == REASON
    again = openpyxl.load_workbook(shop / "faults" / "a (2).xlsx").active
    assert again is not None
    told = [line[-1] for line in again.iter_rows(min_row=2, values_only=True)]
    assert told[0] is None
    assert sorted(str(item) for item in told[1:]) == sorted(left)


async def test_a_sheet_has_no_say_in_the_items_of_another_store(
    factory: Factory, shop: Path
) -> None:
    await add_store(factory, "S2")
    inbox = watch(factory, shop.parent)
    (shop.parent / "S2").mkdir()
    (shop.parent / "S2" / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    save_xlsx(shop.parent / "S2" / "a.xlsx", [order(1, 里程=-1)])
    await inbox.tick()
    (item,) = await waiting(factory)
    (shop / "a.csv").write_text(
        f"{','.join([*COLUMNS, *MARKS])}\n{','.join(map(str, order(1)))},,{item}\n",
        encoding="utf-8",
    )
    await inbox.tick()
    assert await waiting(factory) == [item]


def save_months(path: Path, **months: Sequence[Sequence[Any]]) -> None:
    book = openpyxl.Workbook()
    for month, rows in months.items():
        page = book.create_sheet(month)
        for row in (COLUMNS, *rows):
            page.append(row)
    book.remove(book.worksheets[0])
    book.save(path)


async def test_a_workbook_with_a_month_in_each_sheet_comes_back_with_a_word(
    factory: Factory, pool: Pool, shop: Path
) -> None:
    inbox = watch(factory, shop.parent)
    save_months(shop / "半年.xlsx", 一月=[order(1)], 二月=[order(2)], 三月=[])
    assert await inbox.tick() == 1
    (record,) = (await inbox.list_page("S1", PageRequest(), state=None)).items
    assert record.state is ImportState.FAULTS
    assert record.summary is not None
    assert (record.summary.counts.rows, record.summary.counts.accepted) == (1, 2)
    word = (shop / "faults" / "半年.xlsx.txt").read_text(encoding="utf-8")
    assert "Only sheet “一月” was read" in word
    assert "“二月” 未读取" in word
    assert "三月" not in word, "nothing is in it"
    assert {event.subject for event in await check_store(pool)} >= {"RO00001"}


async def test_faults_are_marked_in_the_sheet_that_the_mapping_names(
    factory: Factory, shop: Path
) -> None:
    (shop / "mapping.yaml").write_text(f"sheet: 二月\n{MAPPING}", encoding="utf-8")
    inbox = watch(factory, shop.parent)
    save_months(shop / "半年.xlsx", 一月=[order(1)], 二月=[order(2), order(3, 里程=-5)])
    assert await inbox.tick() == 1
    (record,) = (await inbox.list_page("S1", PageRequest(), state=None)).items
    assert record.summary is not None
    assert record.summary.problem is None
    assert record.moved_to == "faults/半年.xlsx"
    workbook = openpyxl.load_workbook(shop / "faults" / "半年.xlsx")
    assert FAULT_COLUMN not in [cell.value for cell in workbook["一月"][1]]
    said = [row[-2] for row in workbook["二月"].iter_rows(values_only=True)]
    assert said == [FAULT_COLUMN, None, "[里程] 不能为负数。 The field must not be negative."]


@pytest.mark.parametrize(
    ("encoding", "delimiter", "end"),
    [
        ("utf-8", ",", "\n"),
        ("gb18030", ",", "\r\n"),
        ("utf-8-sig", ";", "\r\n"),
        ("utf-16", "\t", "\n"),
    ],
)
async def test_separated_values_come_back_in_their_own_encoding(
    factory: Factory, pool: Pool, shop: Path, encoding: str, delimiter: str, end: str
) -> None:
    inbox = watch(factory, shop.parent)
    rows = [*ROWS, order(6, 维修类型="多\n行"), order(7, 维修类型="=cmd|' /C calc'!A0", 里程=-1)]
    sent = as_csv(rows, encoding=encoding, delimiter=delimiter, end=end)
    (shop / "清单.csv").write_bytes(sent)
    assert await inbox.tick() == 1
    back = (shop / "faults" / "清单.csv").read_bytes()
    text = back.decode(encoding)
    assert (b"\r\n" in back) == ("\r\n" in end) or encoding == "utf-16"
    lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    assert lines[0] == [*COLUMNS, *MARKS]
    assert [line[:7] for line in lines[1:]] == [list(map(str, row)) for row in rows]
    assert [len(line) > 7 for line in lines[1:]] == [False, True, True, True, False, False, True]
    mended = (
        text.replace(",-5,", ",12002,").replace(";-5;", ";12002;").replace("\t-5\t", "\t12002\t")
    )
    (shop / "清单.csv").write_bytes(mended.encode(encoding))
    assert await inbox.tick() == 1
    second = (await inbox.list_page("S1", PageRequest(), state=None)).items[0]
    assert second.summary is not None
    assert second.summary.counts.accepted == 1
    again = (shop / "faults" / "清单 (2).csv").read_bytes().decode(encoding)
    heading = next(csv.reader(io.StringIO(again, newline=""), delimiter=delimiter))
    assert heading == [*COLUMNS, *MARKS], "the columns of the first return are used again"


async def test_a_row_with_a_separator_too_many_comes_back_with_all_its_cells(
    factory: Factory, shop: Path
) -> None:
    inbox = watch(factory, shop.parent)
    columns = ",".join(COLUMNS)
    (shop / "a.csv").write_text(
        f"{columns}\nRO1,2026-06-01 09:00,保养,A1,12000,2026-06-01 16:00,1,200\n", encoding="utf-8"
    )
    assert await inbox.tick() == 1
    (record,) = (await inbox.list_page("S1", PageRequest(), state=None)).items
    assert record.summary is not None
    assert (record.summary.counts.accepted, record.summary.counts.quarantined) == (0, 1)
    returned = (shop / "faults" / "a.csv").read_text(encoding="utf-8").splitlines()
    heading, cells = csv.reader(returned)
    assert heading == [*COLUMNS, *MARKS]
    assert cells[len(COLUMNS)].startswith("[整行 Row] 该行格式有误")
    assert [*cells[: len(COLUMNS)], *cells[len(COLUMNS) + 2 :]] == [
        *("RO1", "2026-06-01 09:00", "保养", "A1", "12000", "2026-06-01 16:00", "1", "200")
    ]


async def test_a_row_that_can_not_be_read_lies_in_quarantine_and_is_replayed(
    factory: Factory, pool: Pool, tmp_path: Path
) -> None:
    mapping = tmp_path / "m.yaml"
    mapping.write_text(MAPPING, encoding="utf-8")
    sheet = tmp_path / "a.csv"
    sheet.write_bytes(as_csv([order(1, 维修类型="一般维修", 进厂时间="昨天", 结算时间="明天")]))
    for _ in range(2):
        with await factory.imports.import_file(
            sheet, store_id="S1", mapping=mapping, principal=LOCAL
        ) as report:
            assert report.counts.quarantined == 1
            assert [fault.column for fault in report.faults] == ["进厂时间", "结算时间"]
    (item,) = (
        await factory.quarantine.list_page(QuarantineFilter(), PageRequest(), principal=LOCAL)
    ).items
    assert (item.store_id, item.source, item.seen_count) == ("S1", "/dms/shop", 2)
    assert item.item.content_type == "application/vnd.servicelane.row+json"
    assert orjson.loads(item.item.body)["row"]["进厂时间"] == "昨天"
    assert [fault.pointer for fault in item.faults] == ["/row/进厂时间", "/row/结算时间"]
    assert "昨天" not in str(item.faults), "what is said of it is seen by those who may not see it"
    waits = await factory.quarantine.replay(item.quarantine_id, principal=LOCAL)
    assert waits.state is QuarantineState.WAITING
    assert waits.faults[0].code == "unknown-mapping"
    await factory.mappings.put(MAPPING, principal=LOCAL)
    waits = await factory.quarantine.replay(item.quarantine_id, principal=LOCAL)
    assert [fault.pointer for fault in waits.faults] == ["/row/进厂时间", "/row/结算时间"]
    mended = item.item.body.replace("昨天".encode(), b"2026-06-01 09:01").replace(
        "明天".encode(), b"2026-06-01 16:01"
    )
    await pool.execute("UPDATE quarantine SET body = $1", mended)
    done = await factory.quarantine.replay(item.quarantine_id, principal=LOCAL)
    assert done.state is QuarantineState.REPLAYED
    assert done.seq == 2
    assert [event.type for event in await check_store(pool)][:2] == [
        "repair_order.opened",
        "repair_order.settled",
    ]


async def test_a_sheet_that_breaks_off_comes_back_with_a_list_and_a_word(
    factory: Factory, pool: Pool, shop: Path
) -> None:
    inbox = watch(factory, shop.parent)
    rows = [order(1), order(2, 里程=-5), *(order(number) for number in range(3, 100))]
    (shop / "a.csv").write_bytes(as_csv(rows) + b'"RO99')
    assert await inbox.tick() == 1
    (record,) = (await inbox.list_page("S1", PageRequest(), state=None)).items
    assert record.state is ImportState.FAULTS
    assert record.summary is not None
    assert record.summary.problem is not None
    assert "quotation mark" in record.summary.problem
    assert record.summary.counts.accepted == 2 * 99 - 1
    names = {path.name for path in (shop / "faults").iterdir() if path.is_file()}
    assert len(names) == 2
    assert any(name.endswith(".txt") for name in names)


async def test_a_large_sheet_is_written_anew_with_its_rows_in_place(
    factory: Factory, pool: Pool, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fault_sheets, "_MOST_CELLS", 1)
    inbox = watch(factory, shop.parent)
    rows = [order(1), order(2, 里程=-5), order(3, 维修类型="=1+1")]
    save_xlsx(shop / "a.xlsx", rows, title="示例店 结算清单")
    workbook = openpyxl.load_workbook(shop / "a.xlsx")
    page = workbook.active
    assert page is not None
    page.insert_rows(4)
    page.merge_cells("D3:D4")
    workbook.save(shop / "a.xlsx")
    assert await inbox.tick() == 1
    back = openpyxl.load_workbook(shop / "faults" / "a.xlsx").active
    assert back is not None
    lines = [list(line) for line in back.iter_rows(values_only=True)]
    assert lines[0][0] == "示例店 结算清单"
    assert lines[1] == [*COLUMNS, *MARKS]
    assert [line[0] for line in lines[2:]] == ["RO00001", None, "RO00002", "RO00003"]
    assert "[里程]" in str(lines[4][-2])
    assert {line[-1] for line in lines[2:]} == {None, *await waiting(factory)}
    assert back.cell(5, 5).comment is not None
    assert back.cell(6, 3).data_type != "f", "a text is never a formula"
