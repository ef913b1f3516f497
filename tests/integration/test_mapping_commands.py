"""`servicelane mapping ...`, as an operator sees it."""

import json
import shutil
from pathlib import Path
from typing import Any

from tests.integration.test_cli import run
from tests.support.sheets import as_xlsx

SAMPLES = Path(__file__).parents[1] / "samples"
FAULTY: list[list[Any]] = [
    ["结算单", None, None, None],
    ["工单号", "服务顾问", "进厂时间", "结算时间", "维修类型", "工时费", "密语"],
    ["RO1", "A07", "2026-01-05 08:40", "2026-01-05 16:40", "保养", 360, "x"],
    ["RO2", None, "2026-01-05 25:00", "2026-01-05", "喷漆", "三百", "y"],
    ["合计", None, None, None, None, 360],
]


def test_a_file_is_checked_row_by_row(tmp_path: Path) -> None:
    path = as_xlsx(tmp_path / "一月.xls", FAULTY)
    data_dir = str(tmp_path / "none")
    text, as_json, fine = run(
        ["mapping", "check", str(path), "--store", "S1"],
        ["mapping", "check", str(path), "--json", "--rows", "0"],
        ["mapping", "check", str(SAMPLES / "staff-list.csv"), "--mapping", "staff-list"],
        data_dir=data_dir,
    )
    assert text.code == as_json.code == 1
    for words in (
        "一月.xls: xlsx, sheet Sheet, heading in row 2",
        "mapping /dms/sheet/settlement version 1",
        "not read: 密语",
        "row 3",
        "work_type regular_maintenance 维修类型",
        "✗ 服务顾问: The cell is empty, but the field is required.",
        "✗ 进厂时间 [2026-01-05 25:00]: '2026-01-05 25:00' is no date or time.",
        "✗ 工时费 [三百]: '三百' is no number.",
        "! 结算时间 [2026-01-05]: The cell has no time of day, or midnight",
        "row 5 skipped: total",
        "3 rows: 1 repair_order.snapshot",
        "1 row with faults",
    ):
        assert words in " ".join(text.out.split()), words
    document = json.loads(as_json.out)
    assert [row["rows"] for row in document["rows"]] == [[4]]
    assert {fault["column"] for fault in document["rows"][0]["faults"]} == {
        *("服务顾问", "进厂时间", "工时费"),
    }
    assert document["summary"]["events"] == {"repair_order.snapshot": 1}
    assert fine.code == 0
    assert "no faults" in fine.out
    assert not Path(data_dir).exists()  # no database was made for it


def test_a_mapping_is_drafted_mended_stored_and_taken_from_there_on(
    tmp_path: Path, database_url: str
) -> None:
    sheet = shutil.copy(SAMPLES / "settlement-list.csv", tmp_path / "某店结算202601.csv")
    (draft,) = run(["mapping", "draft", str(sheet)])
    assert draft.code == 0
    assert "source: /dms/sheet/某店结算\n" in draft.out
    mended = tmp_path / "mapping.yaml"
    mended.write_text(draft.out.replace("/dms/sheet/某店结算", "/dms/sheet/settlement"), "utf-8")
    newer = tmp_path / "newer.yaml"
    newer.write_text(mended.read_text("utf-8").replace("version: 1", "version: 2"), "utf-8")
    broken = tmp_path / "broken.yaml"
    broken.write_text(draft.out.replace("advisor:", "adviser:"), "utf-8")
    added, again, changed, refused, listed, shown, shipped, checked = run(
        ["mapping", "add", str(mended)],
        ["mapping", "add", str(mended)],
        ["mapping", "add", str(newer)],
        ["mapping", "add", str(broken)],
        ["mapping", "list"],
        ["mapping", "show", "/dms/sheet/settlement", "--version", "1"],
        ["mapping", "show", "service-ro-extract"],
        ["mapping", "check", str(sheet), "--rows", "0"],
        database_url=database_url,
    )
    assert added.out == "/dms/sheet/settlement version 1 stored\n"
    assert again.out == "/dms/sheet/settlement version 1 was stored already\n"
    assert changed.code == 0
    assert refused.code == 2
    assert "broken.yaml: Line " in refused.err
    assert "advisor" in refused.err
    assert "shipped: staff-list" in listed.out
    assert "shipped: settlement-list" not in listed.out  # the stored one counts
    assert shown.out == mended.read_text("utf-8")
    assert "ServiceRO" in shipped.out
    assert checked.code == 0
    assert "mapping /dms/sheet/settlement version 2" in checked.out


def test_what_can_not_be_read_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("谜,团\n1,2\n", "utf-8")
    (tmp_path / "cut.gz").write_bytes(b"\x1f\x8b\x08\x00")
    unmapped, cut, missing, unknown, zone = run(
        ["mapping", "check", str(tmp_path / "odd.csv")],
        ["mapping", "check", str(tmp_path / "cut.gz")],
        ["mapping", "draft", str(tmp_path / "none.csv")],
        ["mapping", "check", str(tmp_path / "odd.csv"), "--mapping", "nobody"],
        ["mapping", "check", str(SAMPLES / "staff-list.csv"), "--zone", "Mars/Base"],
        data_dir=str(tmp_path / "none"),
    )
    assert "The file's columns are: 谜, 团." in unmapped.err
    assert "servicelane mapping draft" in unmapped.err
    assert "cut.gz is cut off" in cut.err
    assert "There is no file" in missing.err
    assert "nobody" in unknown.err
    assert "Mars/Base" in zone.err
    assert all(ran.code for ran in (unmapped, cut, missing, unknown, zone))
