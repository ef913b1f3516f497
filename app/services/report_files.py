"""Reports of imports as files: JSON for programs, a workbook for people, with every fault."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import orjson
from openpyxl import Workbook

from app.domain.fault_words import in_both_languages
from app.domain.imports import ADVICE
from app.services.fault_sheets import clean_text, text_cell
from app.services.import_report import ImportReport, RowFault

_HEADINGS: Final = (
    "File 文件",
    "Row 行号",
    "Column 列",
    "Value 值",
    "Reason 原因",
    "What is wrong 说明",
    "What to do 处理办法",
    "Quarantine 隔离编号",
)
_COUNTS: Final = (
    ("rows", "Rows 行数"),
    ("skipped", "Skipped 跳过"),
    ("accepted", "Accepted 已接收"),
    ("duplicate", "Duplicate 重复"),
    ("quarantined", "Quarantined 隔离"),
    ("warnings", "Warnings 提示"),
)


def write_report(path: Path, reports: Sequence[ImportReport]) -> None:
    """Write what became of files; the ending of the path says how.

    Raises:
        ValueError: It is neither `.json` nor `.xlsx`.
        OSError: It can't be written.
    """
    match path.suffix.lower():
        case ".json":
            with path.open("wb") as file:
                _write_json(file, reports)
        case ".xlsx":
            _write_workbook(path, reports)
        case _:
            raise ValueError(f"a report is written as .json or .xlsx, not as {path.name}")


def _write_json(file: IO[bytes], reports: Sequence[ImportReport]) -> None:
    file.write(b'{"files":[')
    for number, report in enumerate(reports):
        head = orjson.dumps(report.as_dict())
        file.write((b"," if number else b"") + head[:-1] + b',"faults":[')
        for position, fault in enumerate(report.faults):
            file.write((b",\n" if position else b"\n") + msgspec.json.encode(_as_dict(fault)))
        file.write(b"]}")
    file.write(b"]}\n")


def _as_dict(fault: RowFault) -> Mapping[str, Any]:
    return {**msgspec.structs.asdict(fault), "advice": ADVICE.get(fault.reason)}


def _write_workbook(path: Path, reports: Sequence[ImportReport]) -> None:
    workbook = Workbook(write_only=True)
    page = workbook.create_sheet("Summary 汇总")
    for line in _summary(reports):
        page.append([text_cell(page, cell) for cell in line])
    page = workbook.create_sheet("Faults 错误")
    page.append([text_cell(page, heading, bold=True) for heading in _HEADINGS])
    for report in reports:
        for fault in report.faults:
            page.append([text_cell(page, cell) for cell in _line(report.file, fault)])
    workbook.save(path)


def _summary(reports: Iterable[ImportReport]) -> Iterator[Sequence[object]]:
    yield [
        "File 文件",
        "Format 格式",
        "Mapping 字段映射",
        *(label for _, label in _COUNTS),
        "Problem 问题",
    ]
    for report in reports:
        counts = msgspec.structs.asdict(report.counts)
        yield [
            report.file,
            report.summary.format,
            report.summary.mapping,
            *(counts[name] for name, _ in _COUNTS),
            report.stopped or report.summary.problem,
        ]


def _line(file: str, fault: RowFault) -> Sequence[object]:
    return [
        clean_text(file),
        fault.row,
        fault.place,
        fault.value,
        f"warning: {fault.reason}" if fault.is_warning else fault.reason,
        in_both_languages(fault.code, fault.detail),
        ADVICE.get(fault.reason),
        fault.quarantine_id,
    ]
