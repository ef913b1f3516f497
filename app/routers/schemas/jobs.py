"""Bodies of the job routes."""

from datetime import date, datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from app.domain.jobs import JobRun, RunState


class NightlyRunIn(BaseModel):
    """Whose night to run."""

    model_config = ConfigDict(extra="forbid")

    store_id: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9_-]{1,32}$",
            description="Only this store; absent: all that the key may see 门店编号",
            examples=["SH01"],
        ),
    ] = None


class NightlyRunOut(BaseModel):
    """The night of a store; the last run of it, where it was run again."""

    store_id: Annotated[str, Field(description="Code of the store 门店编号")]
    run_date: Annotated[
        date, Field(description="Local date; what ended before it is published 日期")
    ]
    state: Annotated[RunState, Field(description="running, done or failed 状态")]
    started_at: datetime
    finished_at: datetime | None
    as_of_seq: Annotated[
        str | None, Field(description="The log up to here is what the values tell")
    ]
    error: Annotated[str | None, Field(description="Why it failed; it is tried again by itself")]
    detail: Annotated[
        dict[str, int] | None,
        Field(
            description="Figures of the run 运行统计",
            examples=[{"subjects": 61, "facts": 88, "days": 4, "published": 512, "restated": 6}],
        ),
    ]

    @classmethod
    def of(cls, run: JobRun) -> Self:
        """Show a run."""
        return cls(
            store_id=run.store_id,
            run_date=run.run_date,
            state=run.state,
            started_at=run.started_at,
            finished_at=run.finished_at,
            as_of_seq=None if run.as_of_seq is None else str(run.as_of_seq),
            error=run.error,
            detail=None if run.detail is None else dict(run.detail),
        )
