"""Bodies of the import routes."""

from datetime import datetime
from typing import Annotated, Self

import msgspec
from pydantic import BaseModel, Field

from app.domain.imports import FileImport, ImportState, ImportSummary, ImportWay


class ImportCountsOut(BaseModel):
    """How many met which end."""

    rows: Annotated[int, Field(description="Rows or lines that were read 行数")]
    skipped: Annotated[int, Field(description="None of the data: totals, headings 跳过")]
    accepted: Annotated[int, Field(description="Events that entered the log 已接收")]
    duplicate: Annotated[int, Field(description="Events that were in the log already 重复")]
    quarantined: Annotated[int, Field(description="Events and rows in quarantine 隔离")]
    warnings: Annotated[int, Field(description="Taken, but deserve a look 提示")]


class ImportFaultOut(BaseModel):
    """One of the first faults."""

    row: Annotated[int, Field(description="Line, or row of the sheet, as the file shows it 行号")]
    column: Annotated[str, Field(description="Column, or JSON pointer into the event 列")]
    reason: Annotated[str, Field(description="Stable reason code 原因")]
    detail: Annotated[str, Field(description="In words")]
    quarantine_id: Annotated[str | None, Field(description="Where it can be corrected")]


class ImportOut(BaseModel):
    """A file that was or is being imported."""

    import_id: str
    store_id: Annotated[str, Field(description="Code of the store 门店编号")]
    way: Annotated[ImportWay, Field(description="inbox or command 方式")]
    name: Annotated[str, Field(description="Of the file 文件名")]
    bytes: Annotated[int, Field(description="Its size 大小")]
    sha256: Annotated[str | None, Field(description="Of its content, in hex; null: not read yet")]
    same_as: Annotated[
        str | None, Field(description="Import of the same content before this one 重复文件")
    ]
    state: Annotated[
        ImportState,
        Field(
            description="working, done, faults (returned with its faults marked), or failed "
            "(nothing of it could be read) 状态"
        ),
    ]
    attempts: Annotated[int, Field(description="How often it was taken up 尝试次数")]
    started_at: datetime
    finished_at: datetime | None
    moved_to: Annotated[
        str | None, Field(description="Where it lies now, from the store's folder on 去向")
    ]
    format: Annotated[str | None, Field(description="Told by its content 格式")]
    mapping: Annotated[str | None, Field(description="Which mapping read its rows 字段映射")]
    columns_not_read: Annotated[
        list[str], Field(description="Columns that the mapping doesn't read 未读取的列")
    ]
    counts: ImportCountsOut | None
    by_reason: Annotated[dict[str, int], Field(description="Faults per reason 按原因统计")]
    faults: Annotated[list[ImportFaultOut], Field(description="The first of them 错误示例")]
    problem: Annotated[
        str | None, Field(description="Why it could not be read, or not to its end 问题")
    ]

    @classmethod
    def of(cls, item: FileImport) -> Self:
        """Show an import."""
        summary = item.summary or ImportSummary()
        done = item.summary is not None
        return cls(
            import_id=item.import_id,
            store_id=item.store_id,
            way=item.way,
            name=item.name,
            bytes=item.size,
            sha256=item.sha256,
            same_as=item.same_as,
            state=item.state,
            attempts=item.attempts,
            started_at=item.started_at,
            finished_at=item.finished_at,
            moved_to=item.moved_to,
            format=summary.format,
            mapping=summary.mapping,
            columns_not_read=summary.columns_not_read,
            counts=ImportCountsOut(**msgspec.structs.asdict(summary.counts)) if done else None,
            by_reason=summary.by_reason,
            faults=[ImportFaultOut(**msgspec.structs.asdict(fault)) for fault in summary.examples],
            problem=summary.problem,
        )
