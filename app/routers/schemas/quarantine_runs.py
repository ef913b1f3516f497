"""Bodies of the routes for runs over the quarantine."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.domain.events.envelope import Reason
from app.domain.quarantine import NO_STORE, QuarantineFilter
from app.domain.quarantine_runs import QuarantineRun, QuarantineRunState, RunAction, RunKind
from app.domain.suggestions.suggestion import (
    SuggestionName as Name,
)
from app.routers.schemas.moments import Moment
from app.routers.schemas.quarantine import ActorOut

_MOST_AGE = 10 * 366 * 24 * 3600


class QuarantineFilterIn(BaseModel):
    """Which of the items that wait are meant; what is absent may be anything 筛选条件."""

    model_config = ConfigDict(extra="forbid")

    store: Annotated[
        str | None, Field(max_length=32, description="Code; empty: items of no known store 门店")
    ] = None
    reason: Annotated[Reason | None, Field(description="Reason code 原因")] = None
    source: Annotated[str | None, Field(max_length=256, description="Source 来源")] = None
    type: Annotated[str | None, Field(max_length=128, description="Event type 事件类型")] = None
    subject: Annotated[str | None, Field(max_length=128, description="Subject 主体")] = None
    received_from: Annotated[
        Moment | None, Field(description="Received at or after 接收时间起")
    ] = None
    received_until: Annotated[Moment | None, Field(description="Received before 接收时间止")] = (
        None
    )
    fault: Annotated[
        str | None,
        Field(min_length=1, max_length=256, description="Part of a fault's code or pointer 错误"),
    ] = None
    min_age_seconds: Annotated[
        int | None, Field(ge=0, le=_MOST_AGE, description="Waits at least as long 最短等待秒数")
    ] = None

    def wanted(self) -> QuarantineFilter:
        """The filter, without the age."""
        return QuarantineFilter(
            stores=None if self.store is None else [self.store or NO_STORE],
            reason=self.reason,
            source=self.source,
            type=self.type,
            subject=self.subject,
            received_from=self.received_from,
            received_until=self.received_until,
            fault=self.fault,
        )

    @property
    def min_age(self) -> timedelta | None:
        """How long an item must have waited."""
        return None if self.min_age_seconds is None else timedelta(seconds=self.min_age_seconds)


class ReplaysIn(BaseModel):
    """What is replayed, and how it is corrected first."""

    model_config = ConfigDict(extra="forbid")

    filter: Annotated[QuarantineFilterIn, Field(description="Which; `{}` is all that waits")]
    patch: Annotated[
        list[dict[str, Any]] | None,
        Field(description="JSON Patch (RFC 6902) for each event it fits; others are left"),
    ] = None
    apply: Annotated[
        Name | list[Name] | None,
        Field(description="Names of suggestions; an item that none fits is left 应用建议"),
    ] = None
    dry_run: Annotated[
        bool, Field(description="Only count what would come of it; changes nothing 试运行")
    ] = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.patch is not None and self.apply:
            raise ValueError("give patch or apply, not both")
        return self

    @property
    def action(self) -> RunAction:
        """What is done to each item."""
        names = self.apply if isinstance(self.apply, list) else [self.apply]
        return RunAction(
            patch=self.patch, suggestions=tuple(str(name) for name in names if name is not None)
        )


class DiscardsIn(BaseModel):
    """What is thrown away, and why."""

    model_config = ConfigDict(extra="forbid")

    filter: Annotated[
        QuarantineFilterIn, Field(description="Which; at least one criterion must be given")
    ]
    reason: Annotated[str, Field(min_length=1, max_length=1000, description="Reason 丢弃原因")]
    dry_run: Annotated[bool, Field(description="Only count; changes nothing 试运行")] = False


class QuarantineRunOut(BaseModel):
    """A run over the quarantine, with how far it is."""

    run_id: str
    kind: Annotated[RunKind, Field(description="replay or discard 类型")]
    state: Annotated[
        QuarantineRunState,
        Field(description="queued, running, finished, failed or cancelled 状态"),
    ]
    dry_run: bool
    requested_by: Annotated[ActorOut, Field(description="Who asked for it 发起人")]
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    awaits_store: Annotated[
        str | None,
        Field(description="The store that was made, where the service started it by itself"),
    ]
    total: Annotated[int, Field(description="Items that matched when it was asked for 总数")]
    done: Annotated[int, Field(description="Items that were handled 已处理")]
    accepted: Annotated[
        int, Field(description="Are in the log now; with dry_run: would be 已入库")
    ]
    discarded: Annotated[int, Field(description="Were thrown away 已丢弃")]
    waiting: Annotated[int, Field(description="Wait on 仍在等待")]
    waiting_by_reason: Annotated[
        dict[str, int],
        Field(description="Why they wait on 原因分布", examples=[{"invalid-data": 3}]),
    ]
    gone: Annotated[
        int, Field(description="Were replayed or discarded by others before their turn came")
    ]
    error: Annotated[str | None, Field(description="Why it failed; ask for another run")]

    @classmethod
    def of(cls, run: QuarantineRun) -> Self:
        """Show a run."""
        return cls(
            run_id=run.run_id,
            kind=run.kind,
            state=run.state,
            dry_run=run.dry_run,
            requested_by=ActorOut(id=run.requested_by.id, name=run.requested_by.name),
            requested_at=run.requested_at,
            started_at=run.started_at,
            finished_at=run.finished_at,
            awaits_store=run.awaits_store,
            total=run.total,
            done=run.done,
            accepted=run.accepted,
            discarded=run.discarded,
            waiting=sum(run.waiting.values()),
            waiting_by_reason={reason.value: count for reason, count in run.waiting.items()},
            gone=run.gone,
            error=run.error,
        )
