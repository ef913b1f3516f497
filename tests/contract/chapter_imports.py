"""Imports: a shop puts files into its folder of the inbox, and looks what became of them."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson

from app.db.imports import ImportRepository
from app.services.inbox import InboxService
from tests.contract.stage import Example, Stage
from tests.contract.telling import Interlude, event, missing

STORE: Final = "IN01"
IMPORTS: Final = f"/v1/stores/{STORE}/imports"
MAPPING: Final = """
source: /dms/in01
version: 1
emits:
  - type: repair_order.opened
    subject: 工单号
    time: 进厂时间
    fields: {work_type: {value: ordinary_repair}, advisor: 服务顾问, odometer_km: 里程}
"""
SHEET: Final = """\
工单号,进厂时间,服务顾问,里程
IN-101,2026-01-05 08:30,A1,12300
IN-102,2026-01-05 08:40,A1,-5
IN-103,昨天,A2,40100
"""


def imports() -> Iterator[Example | Interlude]:
    """Tell it."""
    yield Example(
        name="put_store.for-imports",
        summary="A store with an inbox 有收件文件夹的门店",
        method="PUT",
        path=f"/v1/stores/{STORE}",
        body={"name": "示例三店"},
        status=201,
    )
    yield _put_files
    yield Example(
        name="list_imports.shown",
        summary="What became of the files 导入记录",
        path=IMPORTS,
        capture={"faulty_import": ("items", 0, "import_id")},
    )
    yield Example(
        name="list_imports.invalid",
        summary="There is no such state 状态无效",
        path=IMPORTS,
        query={"state": "lost"},
        status=422,
    )
    yield missing("list_imports", "/v1/stores/NONE/imports")
    yield Example(
        name="get_import.with-faults",
        summary="Returned with its faults marked 有错误的文件",
        path=IMPORTS + "/{faulty_import}",
    )
    yield missing("get_import", f"{IMPORTS}/nothing")


async def _put_files(stage: Stage) -> None:
    """Let two files be put into the folder of the store, one after the other."""
    factory = stage.factory
    inbox = Path(tempfile.mkdtemp(prefix="servicelane-inbox-"))
    watching = InboxService(
        ImportRepository(factory.database.read),
        inbox=inbox,
        settle_seconds=0,
        imports=factory.imports,
        stores=factory.store_directory,
        machine_time=factory.time_source,
    )
    folder = inbox / STORE
    folder.mkdir()
    (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    opened = event(
        "repair_order.opened",
        "IN-100",
        "2026-01-05T08:10",
        {"work_type": "ordinary_repair", "advisor": "A1"},
        store=STORE,
        source="/dms/in01",
    )
    try:
        for name, content in (
            ("orders.ndjson", orjson.dumps(opened)),
            ("工单.csv", SHEET.encode()),
        ):
            (folder / name).write_bytes(content)
            await watching.tick()
    finally:
        shutil.rmtree(inbox)
