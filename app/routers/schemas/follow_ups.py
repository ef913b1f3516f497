"""Bodies of the follow-up routes."""

from datetime import date, datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from app.domain.access import Principal
from app.domain.events.follow_up import (
    FollowUpAssigned,
    FollowUpAttempted,
    FollowUpCancelled,
    FollowUpCompleted,
)
from app.domain.follow_up import FollowUpStatus
from app.routers.schemas.desk import Member, MemberName, OccurredAt, Seq, Version, name_of
from app.routers.schemas.moments import Moment
from app.services.follow_ups import FollowUpView


class AssignIn(FollowUpAssigned):
    """Who shall call."""

    model_config = ConfigDict(extra="forbid")


class AttemptIn(FollowUpAttempted, OccurredAt):
    """A call that did not reach the customer."""

    model_config = ConfigDict(extra="forbid")


class CompleteIn(FollowUpCompleted, OccurredAt):
    """The call that was made."""

    model_config = ConfigDict(extra="forbid")


class CancelIn(FollowUpCancelled):
    """Why it is called off."""

    model_config = ConfigDict(extra="forbid")


class MoveIn(BaseModel):
    """Another window."""

    model_config = ConfigDict(extra="forbid")

    opens_at: Annotated[Moment, Field(description="Not to be called before 最早回访时间")]
    target_at: Annotated[Moment | None, Field(description="The wish 目标时间")] = None
    due_at: Annotated[Moment, Field(description="Last second in time 最迟回访时间")]


class AttemptOut(BaseModel):
    """An attempt."""

    at: datetime
    by: str
    channel: str
    outcome: str
    call_later_at: datetime | None
    seq: Seq


class CompletionOut(BaseModel):
    """A call that was made."""

    at: datetime
    by: str
    channel: str
    outcome: str
    customer_says_on_time: bool | None
    seq: Seq


class FollowUpOut(BaseModel):
    """A follow-up 客户回访."""

    follow_up_id: Annotated[str, Field(description="UUID 回访编号")]
    ro_number: Annotated[str | None, Field(description="Repair order 工单号")]
    customer_no: Annotated[str | None, Field(description="Whom to call, as known now 客户编号")]
    kind: Annotated[str | None, Field(description="first, second, ... 回访类别")]
    status: Annotated[
        FollowUpStatus,
        Field(
            description="As of now: planned (not to be called yet), open, overdue, completed, "
            "cancelled, missed_on_arrival (its window was over before it was known) 状态"
        ),
    ]
    assignee: Annotated[str | None, Member("Who shall call, or called 回访人")]
    assignee_name: Annotated[str | None, MemberName]
    opens_at: Annotated[datetime | None, Field(description="Not before 最早回访时间")]
    target_at: Annotated[datetime | None, Field(description="The wish 目标时间")]
    due_at: Annotated[datetime | None, Field(description="Last second in time 最迟回访时间")]
    anchor: Annotated[date | None, Field(description="Local day that it counts from 起算日")]
    missed_on_arrival: bool
    completed_at: datetime | None
    cancelled_reason: str | None
    customer_says_on_time: Annotated[
        bool | None, Field(description="The last answer given 客户称准时交车")
    ]
    own: Annotated[bool, Field(description="Planned by this service, not by a CRM")]
    attempts: list[AttemptOut]
    completions: list[CompletionOut]
    version: Version

    @classmethod
    def of(cls, view: FollowUpView, principal: Principal) -> Self:
        """Show a follow-up to a caller."""
        state = view.state
        return cls(
            follow_up_id=state.follow_up_id,
            ro_number=state.ro_number,
            customer_no=view.customer_no,
            kind=state.kind,
            status=view.status,
            assignee=state.assignee,
            assignee_name=name_of(state.assignee, view.names, principal),
            opens_at=state.opens_at,
            target_at=state.target_at,
            due_at=state.due_at,
            anchor=None if state.anchor is None else date.fromisoformat(str(state.anchor)),
            missed_on_arrival=view.status == "missed_on_arrival",
            completed_at=state.completed_at,
            cancelled_reason=state.cancelled_reason,
            customer_says_on_time=state.customer_says_on_time,
            own=state.own,
            attempts=[
                AttemptOut(
                    at=attempt.at,
                    by=attempt.by,
                    channel=attempt.channel,
                    outcome=attempt.outcome,
                    call_later_at=attempt.call_later_at,
                    seq=str(attempt.seq),
                )
                for attempt in state.attempts
            ],
            completions=[
                CompletionOut(
                    at=completion.at,
                    by=completion.by,
                    channel=completion.channel,
                    outcome=completion.outcome,
                    customer_says_on_time=completion.customer_says_on_time,
                    seq=str(completion.seq),
                )
                for completion in state.completions
            ],
            version=str(view.version),
        )
