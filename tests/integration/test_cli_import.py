"""`servicelane import`, as operators run it."""

import json
from pathlib import Path

import openpyxl
import pytest

from app.domain.pages import PageRequest
from app.factory import Factory
from tests.integration.test_cli import run
from tests.support.facts import opened
from tests.support.inbox import lines
from tests.support.shop_sheets import MAPPING, as_csv, order


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.ndjson").write_bytes(lines([opened("R1"), opened("R2")]))
    (tmp_path / "bad.ndjson").write_bytes(lines([opened("R3"), opened("R4", odometer_km=-7)]))
    (tmp_path / "清单.csv").write_bytes(as_csv([order(1), order(2, 进厂时间="昨天")]))
    (tmp_path / "m.yaml").write_text(MAPPING, encoding="utf-8")
    (tmp_path / "odd.bin").write_bytes(b"%PDF-1.7")
    return tmp_path


async def test_files_are_imported_with_a_report_and_an_exit_code(
    factory: Factory, database_url: str, folder: Path
) -> None:
    good, bad, sheet = (str(folder / name) for name in ("good.ndjson", "bad.ndjson", "清单.csv"))
    of_sheet = ["--store", "S1", "--mapping", str(folder / "m.yaml")]
    tried, taken, again, faulty, mapped, unread, wrong = run(
        ["import", "--dry-run", good, "--json"],
        ["import", good],
        ["import", good, "--json"],
        ["import", bad, "--report", str(folder / "out.xlsx")],
        ["import", sheet, *of_sheet, "--report", str(folder / "out.json")],
        ["import", good, *(str(folder / name) for name in ("odd.bin", "none.csv", "")), "--json"],
        ["import", good, "--report", "x.doc"],
        database_url=database_url,
    )
    assert [ran.code for ran in (tried, taken, again, faulty, mapped, unread, wrong)] == [
        *(0, 0, 0, 1, 1, 2, 2),
    ]
    (told,) = json.loads(tried.out)["files"]
    assert (told["dry_run"], told["counts"]["accepted"]) == (True, 2)
    assert "accepted 2, duplicate 0, quarantined 0" in taken.out
    assert "KPIs follow within a minute" in taken.out
    (told,) = json.loads(again.out)["files"]
    assert told["counts"]["duplicate"] == 2
    assert list(told["imports"]) == ["S1"]
    for shown in ("invalid-data: 1.", "/data/odometer_km", "-7", "GET /v1/quarantine"):
        assert shown in faulty.out
    page = openpyxl.load_workbook(folder / "out.xlsx")["Faults 错误"]
    heading, line = page.iter_rows(values_only=True)
    assert heading[1] == "Row 行号"
    assert line[1:5] == (2, "/data/odometer_km", "-7", "invalid-data")
    assert line[5] == "不能为负数。 The field must not be negative."
    assert "mapping /dms/shop v3" in mapped.out
    (told,) = json.loads((folder / "out.json").read_text())["files"]
    (fault,) = (fault for fault in told["faults"] if not fault["is_warning"])
    assert (fault["row"], fault["column"], fault["value"]) == (3, "进厂时间", "昨天")
    assert told["by_store"]["S1"]["accepted"] == 3
    failed = json.loads(unread.out)["failed"]
    assert [entry["file"] for entry in failed] == ["odd.bin", "none.csv", folder.name]
    assert failed[1]["problem"].startswith(f"There is no file {folder / 'none.csv'}.")
    assert failed[2]["problem"].startswith(f"{folder} is a folder")
    assert ".json or .xlsx" in wrong.err
    recorded = await factory.inbox.list_page("S1", PageRequest(), state=None)
    assert len(recorded.items) == 5, "a dry run leaves no trace"


def test_a_database_that_can_not_be_reached_is_told_in_a_sentence(folder: Path) -> None:
    (ran,) = run(
        ["import", str(folder / "good.ndjson")], database_url="postgresql://127.0.0.1:1/none"
    )
    assert ran.code == 2
    assert "Connect" in ran.err


async def test_totals_and_warnings_of_a_sheet_are_told(
    factory: Factory, database_url: str, folder: Path
) -> None:
    sheet = folder / "月.csv"
    odd = [order(number, 维修类型="美容") for number in (2, 3)]
    rows = [order(1), *odd, ["合计", "", "", "", "", "", "541.50"]]
    sheet.write_bytes(as_csv(rows).replace("里程".encode(), "出厂里程".encode(), 1))
    (ran,) = run(
        ["import", str(sheet), "--store", "S1", "--mapping", str(folder / "m.yaml")],
        database_url=database_url,
    )
    assert ran.code == 0
    assert "4 rows" in ran.out
    assert "rows skipped 1, warnings 2" in ran.out
    assert "columns not read 未读取的列: 出厂里程\n" in ran.out
    assert "2 × 维修类型, first in row 3 (美容): The value isn't known" in ran.out
    (recorded,) = (await factory.inbox.list_page("S1", PageRequest(), state=None)).items
    assert recorded.summary is not None
    assert (recorded.summary.counts.rows, recorded.summary.counts.skipped) == (4, 1)
    assert recorded.summary.columns_not_read == ["出厂里程"]
