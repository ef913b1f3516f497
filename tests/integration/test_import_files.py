"""Files as they really come: each gets a clear answer, nothing is lost, nothing doubled."""

import asyncio
import gzip
import os
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import orjson
import pytest

from app.db.engine import Pool
from app.db.imports import ImportRepository
from app.domain.access import LOCAL
from app.domain.events.envelope import Event
from app.domain.events.repair_order import RepairOrderOpened, RepairOrderSettled
from app.domain.imports import FileImport
from app.domain.pages import PageRequest
from app.domain.quarantine import QuarantineFilter
from app.factory import Factory
from app.services.import_reading import UnreadableFileError
from app.services.import_report import ImportReport, RowFault
from app.services.imports import Progress
from tests.support.facts import event, opened
from tests.support.inbox import lines
from tests.support.logs import check_store
from tests.support.posting import add_store
from tests.support.shop_sheets import MAPPING, as_csv, order, save_xlsx

MIB = 1 << 20


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "mapping.yaml"
    path.write_text(MAPPING, encoding="utf-8")
    return path


async def imported(
    factory: Factory, path: Path, **more: Any
) -> tuple[ImportReport, list[RowFault]]:
    with await factory.imports.import_file(path, principal=LOCAL, **more) as report:
        return report, list(report.faults)


async def sent(pool: Pool, store_id: str = "S1") -> list[Event]:
    """What of the log came from outside."""
    return [
        found for found in await check_store(pool, store_id) if found.source.startswith("/dms/")
    ]


def counted(report: ImportReport) -> tuple[int, int, int]:
    counts = report.counts
    return counts.accepted, counts.duplicate, counts.quarantined


# Lines and arrays of events


async def test_a_gzip_that_is_cut_off_gives_what_it_holds_and_says_so(
    factory: Factory, pool: Pool, tmp_path: Path
) -> None:
    whole = lines(opened(f"R{number}") for number in range(3000))
    path = tmp_path / "a.ndjson.gz"
    packed = gzip.compress(whole)
    path.write_bytes(packed[: len(packed) // 2])
    report, _ = await imported(factory, path)
    assert report.summary.problem is not None
    assert "cut off" in report.summary.problem
    assert "压缩文件不完整" in report.summary.problem
    before = report.counts.accepted
    assert 0 < before < 3000
    # in the lengths of a block: elsewhere what is damaged may still be unpacked, to anything
    stored = gzip.compress(whole, 0)
    place = 10 + 5 + int.from_bytes(stored[11:13], "little")
    path.write_bytes(stored[: place + 1] + b"\0" * 4 + stored[place + 5 :])
    damaged, _ = await imported(factory, path)
    assert damaged.summary.problem is not None
    assert "damaged" in damaged.summary.problem
    before += damaged.counts.accepted
    path.write_bytes(gzip.compress(whole[:100_000]) + gzip.compress(whole[100_000:]) + b"\0\0")
    complete, _ = await imported(factory, path)
    assert counted(complete) == (3000 - before, before, 0)
    assert len(await sent(pool)) == 3000


async def test_lines_that_are_no_events_lie_in_quarantine_and_the_others_go_in(
    factory: Factory, pool: Pool, tmp_path: Path
) -> None:
    path = tmp_path / "a.ndjson"
    event_bytes = [lines([opened(f"R{number}")]).strip() for number in range(6)]
    path.write_bytes(
        b"\xef\xbb\xbf"
        + event_bytes[0]
        + b"\r\n"  # a byte order mark
        + event_bytes[1]
        + b"\r"  # the ends of lines are mixed
        + b"\n\n"
        + event_bytes[2]
        + b"\n"
        + "{客户}\n".encode("gb18030")
        + b"[" * 5000
        + b"\n"
        + event_bytes[3].replace(b"A1", "张三".encode("gb18030"))
        + b"\n"
        + event_bytes[4]
        + b"\n"
        + event_bytes[5][:-20]
    )
    report, faults = await imported(factory, path)
    assert counted(report) == (4, 0, 4)
    assert [fault.row for fault in faults] == [5, 6, 7, 9]
    assert "UTF-8" in faults[0].detail
    assert "perhaps it was cut" in faults[3].detail
    assert report.reached == 9
    again, _ = await imported(factory, path)
    assert counted(again) == (0, 4, 4)
    assert len(await sent(pool)) == 4
    assert await pool.fetchval("SELECT count(*) FROM quarantine") == 4


async def test_a_line_of_100_mb_is_told_and_never_held(
    factory: Factory, pool: Pool, tmp_path: Path
) -> None:
    path = tmp_path / "a.ndjson"
    with path.open("wb") as file:
        file.write(lines([opened("R1")]))
        file.write(b'{"id":"')
        for _ in range(100):
            file.write(b"x" * MIB)
        file.write(b'"}\n' + lines([opened("R2")]))
    tracemalloc.start()
    report, (fault,) = await imported(factory, path)
    assert tracemalloc.get_traced_memory()[1] < 20 * MIB
    tracemalloc.stop()
    assert counted(report) == (2, 0, 1)
    assert (fault.row, fault.code) == (2, "line-too-long")
    assert len(await sent(pool)) == 2


@pytest.mark.parametrize("form", ["array", "pretty", "object", "batch.gz"])
async def test_documents_of_json_are_read_like_lines(
    factory: Factory, pool: Pool, tmp_path: Path, form: str
) -> None:
    events = [opened(f"R{number}") for number in range(1 if form == "object" else 40)]
    content = orjson.dumps(events[0], option=orjson.OPT_INDENT_2)
    if form != "object":
        content = orjson.dumps(events, option=orjson.OPT_INDENT_2 if form == "pretty" else None)
    path = tmp_path / "any name"
    path.write_bytes(gzip.compress(content) if form.endswith(".gz") else content)
    report, _ = await imported(factory, path)
    assert counted(report) == (len(events), 0, 0)
    assert len(await sent(pool)) == len(events)


async def test_an_array_that_breaks_off_or_is_no_utf_8_gives_what_stands_before(
    factory: Factory, pool: Pool, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    whole = orjson.dumps([opened(f"R{number}") for number in range(3)])
    path.write_bytes(whole[:-30])
    report, _ = await imported(factory, path)
    assert counted(report) == (2, 0, 0)
    assert report.summary.problem is not None
    assert "Element 3" in report.summary.problem
    path.write_bytes(whole[:-2] + "张".encode("gb18030") + b"}]")
    report, _ = await imported(factory, path)
    assert "not UTF-8" in str(report.summary.problem)
    path.write_bytes("{}\n".encode("utf-16"))
    with pytest.raises(UnreadableFileError):
        await imported(factory, path, store_id="S1")
    assert len(await sent(pool)) == 2


async def test_a_dry_run_tells_what_would_be_and_stores_nothing(
    factory: Factory, pool: Pool, tmp_path: Path, mapping: Path
) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(lines([opened("R1"), opened("R2", odometer_km=-1)]) + b"no json\n")
    report, faults = await imported(factory, path, dry_run=True)
    assert counted(report) == (1, 0, 2)
    assert all(fault.quarantine_id is None for fault in faults)
    sheet = tmp_path / "a.csv"
    sheet.write_bytes(as_csv([order(1), order(1), order(2, 进厂时间="昨天")]))
    report, faults = await imported(factory, sheet, dry_run=True, store_id="S1", mapping=mapping)
    assert counted(report) == (3, 2, 1)
    assert await pool.fetchval("SELECT count(*) FROM event") == 0
    assert await pool.fetchval("SELECT count(*) FROM quarantine") == 0


async def test_the_order_of_the_file_is_the_order_of_the_log(
    factory: Factory, pool: Pool, tmp_path: Path
) -> None:
    await add_store(factory, "S2")
    path = tmp_path / "a.ndjson"
    stores = ("S1", "S2")
    events = [
        event(
            "vehicle.registered",
            f"LSVAA4182E2{number:06}",
            store=stores[number % 2],
            event_id=f"v{number}",
        )
        for number in range(4500)
    ]
    path.write_bytes(lines(events))
    report, _ = await imported(factory, path)
    assert counted(report) == (4500, 0, 0)
    assert {store: part.counts.rows for store, part in report.by_store.items()} == {
        "S1": 2250,
        "S2": 2250,
    }
    for place, store in enumerate(stores):
        ids = [found.id for found in await sent(pool, store)]
        assert ids == [f"v{number}" for number in range(place, 4500, 2)]


async def test_two_imports_of_one_file_at_once_lose_and_double_nothing(
    factory: Factory, pool: Pool, tmp_path: Path
) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(lines([*(opened(f"R{n}") for n in range(2500)), opened("X", odometer_km=-1)]))
    done = await asyncio.gather(*(imported(factory, path) for _ in range(2)))
    assert sum(report.counts.accepted for report, _ in done) == 2500
    assert sum(report.counts.duplicate for report, _ in done) == 2500
    assert len(await sent(pool)) == 2500
    assert await pool.fetchval("SELECT count(*) FROM quarantine") == 1


# Sheets


async def test_dates_and_numbers_are_read_however_they_are_written(
    factory: Factory, pool: Pool, tmp_path: Path, mapping: Path
) -> None:
    path = tmp_path / "a.xlsx"
    moments = [
        datetime(2026, 6, 1, 9, 30),  # noqa: DTZ001 - a workbook knows no zones
        "2026/6/1 9:30",
        46174.395833333336,
        "2026年6月1日 9时30分",
    ]
    rows = [
        order(number, 进厂时间=moment, 里程=odometer, 工时费=amount)
        for number, (moment, odometer, amount) in enumerate(
            zip(
                moments,
                ("12,345", "12345", 12345.0, "12345公里"),
                ("1,180.50", 1180.5, "￥1180.5", " 1180.50 "),
                strict=True,
            )
        )
    ]
    save_xlsx(path, rows, title="示例店 2026年6月 结算清单")
    report, faults = await imported(factory, path, store_id="S1", mapping=mapping)
    assert counted(report) == (8, 0, 0), faults
    for found in await sent(pool):
        if isinstance(found.payload, RepairOrderOpened):
            assert found.occurred_at == datetime(2026, 6, 1, 1, 30, tzinfo=UTC)
            assert found.payload.odometer_km == 12345
        else:
            assert isinstance(found.payload, RepairOrderSettled)
            assert found.payload.amounts.labor == Decimal("1180.5")


async def test_merged_cells_formulas_and_absurd_numbers_get_a_clear_answer(
    factory: Factory, pool: Pool, tmp_path: Path, mapping: Path
) -> None:
    path = tmp_path / "a.xlsx"
    save_xlsx(
        path,
        [
            order(1),
            order(2, 服务顾问=None),
            order(3, 里程="=1+1"),
            order(4, 里程=-100),
            order(5, 里程=10**12),
            order(6, 里程="很多"),
        ],
    )
    workbook = openpyxl.load_workbook(path)
    page = workbook.active
    assert page is not None
    page.merge_cells(start_row=2, end_row=3, start_column=4, end_column=4)
    page.append(["合计", None, None, None, None, None, "=SUM(G2:G7)"])
    workbook.save(path)
    report, faults = await imported(factory, path, store_id="S1", mapping=mapping)
    places = {(fault.row, fault.column) for fault in faults if not fault.is_warning}
    assert places >= {(4, "里程"), (5, "里程"), (7, "里程")}
    assert report.counts.skipped == 1, "the total is no order"
    by_row = {fault.row: fault for fault in faults}
    assert by_row[4].code == "error-cell"
    assert by_row[5].value == "-100"
    assert report.counts.rows == 7
    taken = {found.subject for found in await sent(pool) if "opened" in found.type}
    assert {"RO00001", "RO00002"} <= taken, "the advisor is merged over both"


async def test_the_same_numbers_in_two_stores_are_two_orders(
    factory: Factory, pool: Pool, tmp_path: Path, mapping: Path
) -> None:
    await add_store(factory, "S2")
    path = tmp_path / "a.csv"
    path.write_bytes(as_csv([order(1)], encoding="gb18030"))
    found = [
        counted((await imported(factory, path, store_id=store, mapping=mapping))[0])
        for store in ("S1", "S2", "S2")
    ]
    assert found == [(2, 0, 0), (2, 0, 0), (0, 2, 0)]
    assert [len(await sent(pool, store)) for store in ("S1", "S2")] == [2, 2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\xff\xfe\xfa\x00\x81", "UTF-16"),
        ("工单号,x\nR1,\x81\n".encode("latin-1", "replace") + b"\x81\x30\xff\n", "neither UTF-8"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"PK\x03\x04 not really", "damaged or incomplete"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "can't be opened"),
        (b"<html><p>nothing here</html>", "without a table"),
        (b"\x1f\x8b\x08\x00cut", "gzip"),
        ("工单号,里程\nR1,5\n".encode(), "missing"),
    ],
)
async def test_what_is_no_table_is_told_in_a_sentence(
    factory: Factory, pool: Pool, tmp_path: Path, mapping: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "a.xls"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=said):
        await imported(factory, path, store_id="S1", mapping=mapping)
    assert await pool.fetchval("SELECT count(*) FROM event") == 0


async def test_a_mapping_is_found_by_the_columns_or_its_name_and_never_guessed(
    factory: Factory, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(as_csv([order(1)]))
    odd = tmp_path / "odd.csv"
    odd.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(UnreadableFileError, match=r"“b”\. Make one .* mapping draft"):
        await imported(factory, odd, store_id="S1")
    odd.write_bytes("工單號,服務顧問\n1,2\n".encode("big5"))
    with pytest.raises(UnreadableFileError, match="若列名是乱码，请另存为 UTF-8"):
        await imported(factory, odd, store_id="S1")
    with pytest.raises(UnreadableFileError, match="No mapping of /dms/other"):
        await imported(factory, path, store_id="S1", mapping="/dms/other")
    await factory.mappings.put(MAPPING, principal=LOCAL)
    with pytest.raises(UnreadableFileError, match="--store"):
        await imported(factory, path)
    report, _ = await imported(factory, path, store_id="S1")
    assert report.summary.mapping == "/dms/shop v3"
    named, _ = await imported(factory, path, store_id="S1", mapping="dms/shop")
    assert counted(named) == (0, 2, 0)


# The database goes away


async def test_a_database_that_is_away_is_waited_for(
    factory: Factory, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(lines(opened(f"R{number}") for number in range(3500)))
    take, failures = factory.ingest.take, iter([ConnectionResetError("gone")] * 2)
    told: list[Progress] = []

    async def break_off(incoming: Any) -> Any:
        taken = await take(incoming)
        if told and (error := next(failures, None)) is not None:
            raise error  # it is written, but nobody knows
        return taken

    monkeypatch.setattr(factory.ingest, "take", break_off)
    report, _ = await imported(factory, path, progress=told.append)
    assert report.stopped is None
    assert sum(progress.waiting is not None for progress in told) == 2
    assert counted(report) == (2500, 1000, 0)
    assert len(await sent(pool)) == 3500


async def test_a_database_that_goes_away_at_the_very_end_is_waited_for(
    factory: Factory, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(lines([opened("R1")]))
    report, _ = await imported(factory, path)
    add, failures = ImportRepository.add, iter([ConnectionResetError("gone")] * 2)
    told: list[Progress] = []

    async def break_off(repository: ImportRepository, done: FileImport) -> None:
        await add(repository, done)
        if (error := next(failures, None)) is not None:
            raise error  # it is written, but nobody knows

    async def record() -> None:
        now = await factory.time_source.now()
        await factory.imports.record(
            report, store_id=None, started_at=now, sha256="0" * 64, progress=told.append
        )

    monkeypatch.setattr(ImportRepository, "add", break_off)
    await record()
    assert report.stopped is None
    assert [progress.waiting for progress in told] == ["gone"] * 2
    assert await pool.fetchval("SELECT import_id FROM file_import") == report.import_ids["S1"]
    assert await pool.fetchval("SELECT count(*) FROM file_import") == 1

    failures = iter([ConnectionResetError("gone")] * 99)
    monkeypatch.setattr(factory.imports, "_patience", 0.3)
    await record()
    assert "Repeat the import" in str(report.stopped)


async def test_a_database_that_stays_away_ends_the_import_and_a_repeat_goes_on(
    factory: Factory, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(lines(opened(f"R{number}") for number in range(2500)))
    take = factory.ingest.take
    done: list[int] = []

    async def go_away(incoming: Any) -> Any:
        if done:
            raise ConnectionRefusedError("nobody there")
        done.append(1)
        return await take(incoming)

    monkeypatch.setattr(factory.ingest, "take", go_away)
    monkeypatch.setattr(factory.imports, "_patience", 0.3)
    report, _ = await imported(factory, path)
    assert report.stopped is not None
    assert "up to row 1000" in report.stopped
    assert "Repeat the import" in report.stopped
    monkeypatch.undo()
    again, _ = await imported(factory, path)
    assert counted(again) == (1500, 1000, 0)
    assert len(await sent(pool)) == 2500


async def test_a_faulty_row_of_a_nightly_list_is_one_item_however_often_it_comes(
    factory: Factory, tmp_path: Path
) -> None:
    heading = "工单号,服务顾问,进厂时间,结算时间,进厂里程\n"
    rows = "RO1,A07,2026-01-05 09:00,2026-01-05 16:00,-5\nRO2,A07,昨天,2026-01-05 16:00,100\n"
    path = tmp_path / "结算单清单.csv"
    for night in (6, 7, 8):
        path.write_text(heading + rows, encoding="utf-8")
        exported_at = datetime(2026, 1, night, 2, tzinfo=UTC).timestamp()
        os.utime(path, (exported_at, exported_at))
        report, _ = await imported(factory, path, store_id="S1", mapping="/dms/sheet/settlement")
        assert report.counts.quarantined == 2
    page = await factory.quarantine.list_page(QuarantineFilter(), PageRequest(), principal=LOCAL)
    items = page.items
    assert [item.seen_count for item in items] == [3, 3]
