"""Files as shops have them: whatever they are called, however they are broken."""

import csv
import gzip
import tracemalloc
import zipfile
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.worksheet.worksheet import Worksheet

from app.domain.mapping.loading import read_mapping
from app.domain.mapping.source_mapping import Context
from app.services.sheet_reading import SheetError, open_sheet
from tests.support.sheets import WAYS, as_csv, as_xlsx

TABLE: list[list[Any]] = [
    ["结算单清单", None, None, None],
    ["打印时间：2026-01-07 09:00", None, None, None],
    ["工单号", "客户", "进厂时间", "工时费"],
    ["RO1", "客户,“甲”\n一号", datetime.fromisoformat("2026-01-05 09:30"), 1234.5],
    [None, None, None, None],
    ["RO2", "客户 乙", datetime.fromisoformat("2026-01-06 17:00"), -20],
]


def read(path: Path, **where: Any) -> list[dict[str, Any]]:
    with open_sheet(path, **where) as sheet:
        return [dict(row.cells) for row in sheet.rows()]


def refusal(path: Path, **where: Any) -> SheetError:
    with pytest.raises(SheetError) as caught, open_sheet(path, **where) as sheet:
        list(sheet.rows())
    assert path.name in str(caught.value)
    return caught.value


@pytest.mark.parametrize("way", WAYS)
def test_a_file_is_told_by_its_content(tmp_path: Path, way: str) -> None:
    path = WAYS[way](tmp_path / "export.xls", TABLE)
    with open_sheet(path) as sheet:
        assert sheet.columns == ("工单号", "客户", "进厂时间", "工时费")
        assert (sheet.header_row, len(sheet.above)) == (3, 2)
        rows = list(sheet.rows())
        assert [row.number for row in rows] == [4, 6]
        assert [row.cells["工单号"] for row in rows] == ["RO1", "RO2"]
        assert list(sheet.rows()) == rows  # again from the first one


MAPPING = read_mapping(
    """
source: /dms/sheet/same
version: 1
emits:
  - type: repair_order.settled
    subject: 工单号
    time: 结算时间
    fields:
      amounts.labor: 工时费
      parts_requested: 项数
  - type: customer.registered
    subject: 工单号
    time: 结算时间
    fields: {name: 客户}
"""
)
FIRST = datetime.fromisoformat("2000-01-01 00:00")
SHANGHAI = ZoneInfo("Asia/Shanghai")
TEXT = st.text(
    st.characters(codec="gb18030", exclude_categories=("C", "Z"), exclude_characters='"='),
    min_size=1,
    max_size=8,
).map(lambda text: f"客{text}")
ROWS = st.lists(
    st.tuples(
        st.integers(1, 10**9).map("RO{}".format),
        TEXT,
        st.integers(0, 3 * 10**9).map(lambda seconds: FIRST + timedelta(seconds=seconds)),
        st.decimals(-(10**7), 10**7, places=2).map(float),
        st.none() | st.integers(0, 10**6),
    ),
    min_size=1,
    max_size=5,
)


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(ROWS)
def test_the_same_table_gives_the_same_events_in_whatever_form(
    tmp_path: Path, rows: list[tuple[Any, ...]]
) -> None:
    table = [["工单号", "客户", "结算时间", "工时费", "项数"], *rows]
    told = {}
    for way, write in WAYS.items():
        with open_sheet(write(tmp_path / "table", table)) as sheet:
            context = Context("S1", SHANGHAI, secret=b"secret")
            told[way] = [
                (row.number, row.events, row.faults)
                for row in MAPPING.read_all(sheet.rows(), context=context)
            ]
    for way in WAYS:
        assert told[way] == told["utf-8"], way
    assert all(not faults for _, _, faults in told["xlsx"])
    assert sum(len(events) for _, events, _ in told["xlsx"]) == 2 * len(rows)


def sheet_of(path: Path) -> tuple[openpyxl.Workbook, Worksheet]:
    book = openpyxl.Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    return book, sheet


def test_lines_of_particulars_are_no_heading(tmp_path: Path) -> None:
    table: list[list[Any]] = [
        ["门店：示例店", "操作员：某某", "打印时间：2026-01-07", "页码：1", None],
        ["工单号", "客户", "电话", "备注", "班组"],
        ["RO1", "甲", "无", "无", "一组"],
    ]
    assert read(as_csv(tmp_path / "list.csv", table))[0]["班组"] == "一组"


def test_merged_headings_and_groups_of_rows(tmp_path: Path) -> None:
    book, sheet = sheet_of(tmp_path)
    for place, text in {"B2": "工单号", "C2": "费用", "E2": "备注", "F2": "备注"}.items():
        sheet[place] = text
    sheet["C3"], sheet["D3"] = "工时费", "材料费"
    for area in ("B2:B3", "C2:D2", "E2:E3", "F2:F3", "B4:B5"):
        sheet.merge_cells(area)
    sheet["B4"], sheet["C4"], sheet["C5"], sheet["G5"] = "RO1", 10, 20, "x"
    book.save(tmp_path / "merged.xlsx")
    with open_sheet(tmp_path / "merged.xlsx") as found:
        assert found.columns == ("工单号", "工时费", "材料费", "备注", "备注 (2)", "column G")
        rows = list(found.rows())
    assert [(row.cells["工单号"], row.cells["工时费"]) for row in rows] == [
        ("RO1", 10),
        ("RO1", 20),
    ]
    assert rows[1].raw[1] == ""  # as it lies in the sheet
    assert rows[1].cells["column G"] == "x"


def test_what_a_workbook_can_not_say_is_not_taken_for_empty(tmp_path: Path) -> None:
    book, sheet = sheet_of(tmp_path)
    sheet.append(["工单号", "工时费", "材料费", "合计"])
    sheet.append(["RO1", "#N/A", "=1+1", None])
    book.save(tmp_path / "odd.xlsx")
    assert read(tmp_path / "odd.xlsx") == [
        {"工单号": "RO1", "工时费": "#N/A", "材料费": "#FORMULA?", "合计": ""}
    ]


def test_a_page_that_was_made_by_a_program(tmp_path: Path) -> None:
    path = tmp_path / "结算.xls"
    path.write_text(
        """<?xml version="1.0" encoding="gbk"?><html><body>
        <table><tr><td>菜单</td></tr></table>
        <table><thead><tr><th colspan="3">结算单</th></tr>
        <tr><th>工单号<th>描述<th>工时费</tr></thead>
        <tbody><tr><td rowspan="2">RO1<!-- x --><td>异响<br>漏油<td>1,200.00</tr>
        <tr><td><table><tr><td>内</td><td>层</td></tr></table><td>&nbsp;30</tr></tbody></table>""",
        encoding="gbk",
    )
    rows = read(path)
    assert rows[0] == {"工单号": "RO1", "描述": "异响\n漏油", "工时费": "1,200.00"}
    assert (rows[1]["工单号"], rows[1]["工时费"].strip()) == ("RO1", "30")
    assert read(path, sheet="1", header_row=1) == []
    assert refusal(path, sheet="9").code == "no-such-sheet"


XML_SPREADSHEET = """<?xml version="1.0" encoding="utf-8"?>
<?mso-application progid="Excel.Sheet"?>
<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"
 xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet">
<Worksheet ss:Name="空"><Table/></Worksheet>
<Worksheet ss:Name="结算"><Table>
<Row><Cell ss:MergeAcross="2"><Data ss:Type="String">结算单</Data></Cell></Row>
<Row ss:Index="3"><Cell><Data ss:Type="String">工单号</Data></Cell>
<Cell><Data ss:Type="String">进厂时间</Data></Cell>
<Cell ss:Index="4"><Data ss:Type="String">工时费</Data></Cell></Row>
<Row><Cell ss:MergeDown="1"><Data ss:Type="String">RO1</Data></Cell>
<Cell><Data ss:Type="DateTime">2026-01-05T09:30:00.000</Data></Cell>
<Cell ss:Index="4"><Data ss:Type="Number">1234.5</Data></Cell></Row>
<Row><Cell ss:Index="4"><Data ss:Type="Error">#N/A</Data></Cell></Row>
</Table></Worksheet></Workbook>"""


def test_a_workbook_in_one_xml_file(tmp_path: Path) -> None:
    path = tmp_path / "结算.xls"
    path.write_text(XML_SPREADSHEET, encoding="utf-8")
    with open_sheet(path) as sheet:
        assert (sheet.format, sheet.name, sheet.header_row) == ("xml", "结算", 3)
        rows = [(row.number, dict(row.cells)) for row in sheet.rows()]
    moment = datetime.fromisoformat("2026-01-05 09:30")
    assert rows == [
        (4, {"工单号": "RO1", "进厂时间": moment, "工时费": 1234.5}),
        (5, {"工单号": "RO1", "进厂时间": None, "工时费": "#N/A"}),
    ]
    assert refusal(path, sheet="三月").code == "no-such-sheet"
    start = XML_SPREADSHEET.rindex("<Worksheet")
    end = XML_SPREADSHEET.index("</Workbook>")
    more = XML_SPREADSHEET[start:end].replace("结算", "二月")
    path.write_text(XML_SPREADSHEET[:end] + more + XML_SPREADSHEET[end:], encoding="utf-8")
    with open_sheet(path) as sheet:
        assert sheet.others() == {"二月": sheet.columns}
    path.write_text(XML_SPREADSHEET[:-40], encoding="utf-8")
    assert refusal(path).code == "corrupt"


def test_sheets_are_chosen_by_name_by_number_or_as_the_first_that_shows(tmp_path: Path) -> None:
    book, first = sheet_of(tmp_path)
    first.sheet_state = "hidden"
    first.append(["隐藏", "x"])
    book.create_sheet("空")
    for name in ("一月", "二月"):
        book.create_sheet(name).append(["月份", name])
    path = tmp_path / "months.xlsx"
    book.save(path)
    with open_sheet(path) as sheet:
        assert (sheet.name, sheet.names) == ("一月", ["Sheet", "空", "一月", "二月"])
    with open_sheet(path, sheet="4") as sheet:
        assert sheet.name == "二月"
    error = refusal(path, sheet="三月")
    assert error.code == "no-such-sheet"
    assert "一月, 二月" in str(error)


def test_other_tables_of_a_file_are_told_of(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    first = book.worksheets[0]
    first.title = "一月"
    rows: list[list[Any]] = [["工单号", "顾问"], ["RO1", "A07"]]
    for title, cells in {
        "一月": rows,
        "二月": [["清单", None], *rows],
        "空": [],
        "表头": rows[:1],
        "说明": [["说明"], ["谁填写"]],
        "隐藏": rows,
    }.items():
        page = first if title == "一月" else book.create_sheet(title)
        for row in cells:
            page.append(row)
    book["隐藏"].sheet_state = "hidden"
    path = tmp_path / "a.xlsx"
    book.save(path)
    with open_sheet(path) as sheet:
        assert sheet.name == "一月"
        assert sheet.others() == {"二月": ("工单号", "顾问"), "说明": ("说明",)}
    with open_sheet(path, sheet="二月") as sheet:
        assert sheet.others() == {}
    page = "<table><tr><td>工单号<td>顾问<tr><td>RO{}<td>A07</table>"
    path.write_text(f"<html>{page.format(1)}<p>{page.format(2)}</html>", encoding="utf-8")
    with open_sheet(path) as sheet:
        assert sheet.others() == {"table 2": ("工单号", "顾问")}


def test_records_are_found_in_whatever_is_around_them(tmp_path: Path) -> None:
    path = tmp_path / "records"
    for text, count in (
        ('[{"a": 1}, {"a": 2}]', 2),
        ('{"data": {"total": 2, "list": [{"a": 1}, {"a": 2}]}}', 2),
        ('{"repair_order_id": "R1", "jobs": [{"a": 1}, {"a": 2}]}', 1),
        ('{"a": 1}\n\n{"a": 2}\r\n{"a": 3}', 3),
        ('{\n "a": 1\n}', 1),
    ):
        path.write_text(text)
        assert len(read(path)) == count, text
    path.write_text('{"x": {"orders": [{"a": 1}], "jobs": []}}')
    assert read(path, sheet="x.orders") == [{"a": 1}]
    assert refusal(path, sheet="x.none").code == "no-such-sheet"


def test_a_line_that_is_no_record_concerns_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "lines.ndjson"
    path.write_text('{"a": 1}\n{"a":\n[2]\n{"a": 4}\n{"a": ')
    with open_sheet(path) as sheet:
        rows = list(sheet.rows())
    assert [(row.number, row.fault is None) for row in rows] == [
        *((1, True), (2, False), (3, False), (4, True), (5, False)),
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"\n\n,,\n", "empty"),
        (b"1,2\n3,4\n", "no-heading"),
        (b"a,b\n1,2\n\xff\xfe\x80,x\n", "wrong-charset"),
        (b"a\0b,c\n", "wrong-charset"),
        (b'a,b\n1,"2\n3,4\n', "corrupt"),
        (b"a,b\n" + b"x" * 2_000_000, "line-too-long"),
        (b"PK\x03\x04 and nothing of a workbook", "corrupt"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "corrupt"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
            + bytes(600)
            + "EncryptedPackage".encode("utf-16-le"),
            "encrypted",
        ),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le"),
            "not-a-table",
        ),
        (b"%PDF-1.7", "not-a-table"),
        (b"Rar!\x1a\x07", "archive"),
        (b"<html><p>no table</p></html>", "not-a-table"),
        (b"<?xml version='1.0'?><Workbook/>", "not-a-table"),
        (b'{"a": 1', "corrupt"),
        (b"[]", "empty"),
        # without a time: every process that runs tests must find the same ones
        (gzip.compress(b"a,b\n1,2\n" * 9999, mtime=0)[:-40], "truncated"),
        (b"\x1f\x8b\x08\x00 no deflate at all", "corrupt"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_table_is_told_in_a_sentence(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    assert refusal(path).code == code


@pytest.mark.parametrize(
    ("member", "content", "words"),
    [
        ("结算单.csv", "工单号,顾问\nRO1,A07\n", "a zip archive, not a table. Unpack it"),
        ("word/document.xml", "<w:document/>", "a text document"),
        ("xl/workbook.xml", "<workbook>", "can't be opened as a workbook"),
    ],
)
def test_a_package_that_is_no_workbook_says_what_to_do(
    tmp_path: Path, member: str, content: str, words: str
) -> None:
    path = tmp_path / "结算.xlsx"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr(member, content)
    assert words in str(refusal(path))


def save_ods(path: Path, rows: str) -> None:
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    names = "urn:oasis:names:tc:opendocument:xmlns"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("mimetype", kind)
        package.writestr(
            "META-INF/manifest.xml",
            f'<m:manifest xmlns:m="{names}:manifest:1.0">'
            f'<m:file-entry m:full-path="/" m:media-type="{kind}"/></m:manifest>',
        )
        package.writestr(
            "content.xml",
            f'<office:document-content xmlns:office="{names}:office:1.0"'
            f' xmlns:table="{names}:table:1.0" xmlns:text="{names}:text:1.0"'
            ' xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
            ">"
            f'<office:body><office:spreadsheet><table:table table:name="结算">{rows}'
            "</table:table></office:spreadsheet></office:body></office:document-content>",
        )


def test_an_open_document_is_a_workbook(tmp_path: Path) -> None:
    path = tmp_path / "结算.ods"
    text = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    error = (
        '<table:table-cell office:value-type="string" office:string-value=""'
        ' calcext:value-type="error"><text:p>#DIV/0!</text:p></table:table-cell>'
    )
    empty = '<table:table-cell table:number-columns-repeated="2"/>'
    lines = [
        "".join(map(text.format, ("工单号", "顾问", "品牌", "工时费"))),
        text.format("RO1") + empty + error,
    ]
    rows = [f"<table:table-row>{line}</table:table-row>" for line in lines]
    gap = '<table:table-row table:number-rows-repeated="3"><table:table-cell/></table:table-row>'
    save_ods(path, gap.join(["", *rows]))
    with open_sheet(path) as sheet:
        assert (sheet.format, sheet.name, sheet.header_row) == ("ods", "结算", 4)
        (row,) = sheet.rows()
    assert row.number == 8
    assert (row.cells["工单号"], row.cells["工时费"]) == ("RO1", "#DIV/0!")


def test_a_flat_open_document_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "结算.fods"
    path.write_text(
        '<?xml version="1.0"?><office:document xmlns:office='
        '"urn:oasis:names:tc:opendocument:xmlns:office:1.0"><table:table/></office:document>'
    )
    assert "Save it as .xlsx" in str(refusal(path))


def test_the_place_of_an_odd_byte_is_told(tmp_path: Path) -> None:
    path = tmp_path / "broken.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 500_000 + b"\xff\x80,x\n")
    assert "line 500002" in str(refusal(path))


def test_excel_may_name_the_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes("sep=|\r\n工单号|金额\r\nRO1|1,5;2\r\n".encode("gb18030"))
    with open_sheet(path) as sheet:
        assert (sheet.delimiter, sheet.encoding) == ("|", "gb18030")
        assert [(row.number, row.cells["金额"]) for row in sheet.rows()] == [(3, "1,5;2")]
    assert refusal(tmp_path).code == "not-a-table"


def test_a_row_with_more_cells_than_the_heading_is_not_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("工单号,工时费,备注\nRO1,300,\nRO2,1,200,快\nRO3,300,快,,\n", encoding="utf-8")
    with open_sheet(path) as sheet:
        rows = list(sheet.rows())
    assert [row.fault is None for row in rows] == [True, False, True]
    assert "has 4 cells, but the heading 3" in str(rows[1].fault)
    assert rows[1].raw == ["RO2", "1", "200", "快"], "it lies in quarantine as it was"
    path.write_text("工单号,工时费\nRO1,300,快\nRO2,200,慢\n", encoding="utf-8")
    assert read(path)[1] == {"工单号": "RO2", "工时费": "200", "column C": "慢"}


def test_the_heading_may_be_named(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "numbers.csv", [[2024, 2025], [1, 2], [3, 4]])
    assert read(path, header_row=1) == [{"2024": "1", "2025": "2"}, {"2024": "3", "2025": "4"}]
    assert refusal(path, header_row=9).code == "no-heading"


def test_a_long_file_is_read_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["工单号", "客户"])
        writer.writerows([f"RO{number}", "客户" * 20] for number in range(60_000))
    tracemalloc.start()
    try:
        with open_sheet(path) as sheet:
            shares = [sheet.progress() for _ in sheet.rows()]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(shares) == 60_000
    assert shares == sorted(shares, key=lambda share: share or 0)
    assert peak < 8 << 20


@pytest.mark.parametrize("way", ["xls", "xlsx"])
def test_a_workbook_that_was_cut_is_told_wherever_it_was_cut(tmp_path: Path, way: str) -> None:
    path = WAYS[way](tmp_path / "cut.xls", TABLE)
    whole = path.read_bytes()
    for size in range(512, len(whole), len(whole) // 25):
        path.write_bytes(whole[:size])
        with suppress(SheetError):
            assert read(path)


def test_a_cell_far_out_does_not_take_all_memory(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    page = book.worksheets[0]
    page.append(["a", "b"])
    page.append([1, 2])
    page.cell(1_048_576, 16_384, " ")
    book.save(tmp_path / "far.xlsx")
    assert refusal(tmp_path / "far.xlsx").code == "too-large"
    book = openpyxl.Workbook()
    page = book.worksheets[0]
    page.append(["a", "b"])
    page.append([1, 2])
    page.cell(120_000, 2, 3)
    book.save(tmp_path / "long.xlsx")
    assert read(tmp_path / "long.xlsx") == [{"a": 1, "b": 2}, {"a": "", "b": 3}]


def test_a_workbook_knows_how_many_rows_it_has(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["RO", "n"], *([f"RO{number}", number] for number in range(1000))]
    with open_sheet(as_xlsx(tmp_path / "many", rows)) as sheet:
        assert sheet.total_rows == 1000
        assert [row.number for row in sheet.rows()] == list(range(2, 1002))
