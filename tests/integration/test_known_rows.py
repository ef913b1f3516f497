"""Lists that come every night with the same faulty rows: the desk gets empty and stays so."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from app.db.engine import Pool
from app.domain.access import LOCAL
from app.domain.imports import FAULT_COLUMN
from app.domain.pages import PageRequest
from app.domain.quarantine import QuarantinedItem, QuarantineFilter, QuarantineState
from app.factory import Factory
from app.services.import_report import ImportReport, RowFault
from tests.support.inbox import tree, watch
from tests.support.logs import check_store
from tests.support.posting import add_store
from tests.support.shop_sheets import COLUMNS, MAPPING, as_csv, order, save_xlsx

UNREAD = {"进厂时间": "昨天", "工时费": "1,860.00"}
"""A row that can't be read, as separated values have it."""


@pytest.fixture(autouse=True)
async def mapping(factory: Factory) -> None:
    await add_store(factory)
    await factory.mappings.put(MAPPING, principal=LOCAL)


async def imported(
    factory: Factory, path: Path, *, dry_run: bool = False
) -> tuple[ImportReport, list[RowFault]]:
    with await factory.imports.import_file(
        path, store_id="S1", principal=LOCAL, dry_run=dry_run
    ) as report:
        return report, list(report.faults)


def counted(report: ImportReport) -> tuple[int, int, int]:
    counts = report.counts
    return counts.accepted, counts.duplicate, counts.quarantined


async def items(factory: Factory, state: QuarantineState) -> Sequence[QuarantinedItem]:
    found = await factory.quarantine.list_page(
        QuarantineFilter(state=state), PageRequest(), principal=LOCAL
    )
    return found.items


async def waiting(factory: Factory) -> Sequence[QuarantinedItem]:
    return await items(factory, QuarantineState.WAITING)


async def told(pool: Pool) -> int:
    """Count what of the log came from the lists."""
    return sum(event.source == "/dms/shop" for event in await check_store(pool))


async def correct(factory: Factory, item: QuarantinedItem, column: str, value: Any) -> None:
    """Correct a cell at the desk."""
    patch = [{"op": "replace", "path": f"/row/{column}", "value": value}]
    done = await factory.quarantine.replay(item.quarantine_id, patch=patch, principal=LOCAL)
    assert done.state is QuarantineState.REPLAYED


async def test_a_list_that_stays_wrong_is_nobodys_work_from_the_second_night_on(
    factory: Factory, pool: Pool, tmp_path: Path
) -> None:
    rows = [order(1), order(2, **UNREAD), order(3, 里程=-5), order(4, 服务顾问="")]
    path = tmp_path / "1.csv"
    path.write_bytes(as_csv(rows))
    first, _ = await imported(factory, path)
    assert counted(first) == (5, 0, 3)
    unread, negative, nobody = await waiting(factory)
    await correct(factory, unread, "进厂时间", "2026-06-01 09:02")
    await factory.quarantine.replay(
        negative.quarantine_id,
        patch=[{"op": "replace", "path": "/data/odometer_km", "value": 5}],
        principal=LOCAL,
    )
    await factory.quarantine.discard(
        nobody.quarantine_id, reason="an internal order", principal=LOCAL
    )
    logged = await told(pool)
    # the next nights: another name, other places in the list
    for night, dry_run in ((2, True), (2, False), (3, False)):
        path = tmp_path / f"{night}.csv"
        path.write_bytes(as_csv([rows[3], rows[2], rows[0], order(9 + night), rows[1]]))
        report, notes = await imported(factory, path, dry_run=dry_run)
        assert report.is_clean
        assert counted(report) == (2, 8, 0)
        assert [(note.row, note.code, note.is_warning) for note in notes] == [
            (2, "dealt-with-in-quarantine", True),
            (3, "dealt-with-in-quarantine", True),
            (6, "dealt-with-in-quarantine", True),
        ]
        assert [note.quarantine_id for note in notes] == [
            nobody.quarantine_id,
            negative.quarantine_id,
            unread.quarantine_id,
        ]
        assert report.by_store["S1"].counts == report.counts
    assert await waiting(factory) == []
    assert await told(pool) == logged + 4
    done = await items(factory, QuarantineState.REPLAYED)
    assert [item.again_count for item in done] == [2, 2]
    # the list is corrected where it comes from: the row is read, and what it says applies
    path.write_bytes(as_csv([order(2, 进厂时间="2026-06-01 09:02", 工时费="1,860.00")]))
    report, _ = await imported(factory, path)
    assert counted(report) == (0, 2, 0), "just what was entered at the desk"
    path.write_bytes(as_csv([order(2, 进厂时间="2026-06-01 09:05", 工时费="1,860.00")]))
    report, _ = await imported(factory, path)
    assert counted(report) == (1, 1, 0), "something else: it is news"
    # and a row that changed but stays faulty is a new one
    path.write_bytes(as_csv([order(2, **(UNREAD | {"工时费": "1,870.00"}))]))
    report, _ = await imported(factory, path)
    assert counted(report)[2] == 1
    assert len(await waiting(factory)) == 1


async def test_a_faulty_row_is_one_item_in_whatever_format_it_comes(
    factory: Factory, tmp_path: Path
) -> None:
    text, book = tmp_path / "1.csv", tmp_path / "1.xlsx"
    bad = order(2, **UNREAD)
    text.write_bytes(as_csv([order(1), bad]))
    as_cells = dict(zip(COLUMNS, bad, strict=True)) | {
        "里程": 12002.0,
        "结算时间": datetime(2026, 6, 1, 16, 2),  # noqa: DTZ001 - a workbook knows no zones
        "工时费": 1860,
    }
    save_xlsx(book, [list(as_cells.values())], title="结算清单")
    assert counted((await imported(factory, text))[0]) == (3, 0, 1)
    report, (fault,) = await imported(factory, book)
    assert counted(report) == (0, 1, 1)
    (item,) = await waiting(factory)
    assert (fault.quarantine_id, item.seen_count) == (item.quarantine_id, 2)
    assert b'"1,860.00"' in item.item.body, "the bytes are those that came first"
    await correct(factory, item, "进厂时间", "2026-06-01 09:02")
    for path in (text, book):
        report, _ = await imported(factory, path)
        assert counted(report)[2] == 0
    assert await waiting(factory) == []
    # what only looks alike is another row
    for changed in ({"工时费": 1860.5}, {"服务顾问": "A01"}, {"进厂时间": "前天"}):
        save_xlsx(book, [list((as_cells | changed).values())])
        await imported(factory, book)
    assert len(await waiting(factory)) == 3


async def test_a_sheet_comes_back_for_its_new_faults_alone(
    factory: Factory, tmp_path: Path
) -> None:
    shop = tmp_path / "S1"
    shop.mkdir()
    inbox = watch(factory, tmp_path)
    rows = [order(1), order(2, **UNREAD), order(3)]
    save_xlsx(shop / "list.xlsx", rows)
    await inbox.tick()
    assert "faults/list.xlsx" in tree(shop)
    (item,) = await waiting(factory)
    await correct(factory, item, "进厂时间", "2026-06-01 09:02")
    save_xlsx(shop / "list.xlsx", [*rows, order(4, 服务顾问="")])
    await inbox.tick()
    page = openpyxl.load_workbook(shop / "faults" / "list (2).xlsx").active
    assert page is not None
    marked = [row[-2] for row in page.iter_rows(values_only=True)]
    assert [bool(cell) for cell in marked] == [True, False, False, False, True]
    assert marked[0] == FAULT_COLUMN
    save_xlsx(shop / "list.xlsx", rows)
    await inbox.tick()
    assert sum(name.startswith("done/") for name in tree(shop)) == 1
