"""Follow-up calls. The subject is the follow-up's UUID."""

from typing import Annotated, Literal

from pydantic import Field

from app.domain.events.payload import (
    MAX_ITEMS,
    Answer,
    Channel,
    Count,
    Day,
    DayOrInstant,
    Flag,
    Instant,
    Label,
    Name,
    Part,
    Payload,
    PersonalOf,
    Reference,
    StaffNo,
    Text,
    Texts,
)

AttemptOutcome = Literal["no_answer", "busy", "wrong_number", "refused", "call_later"]
CompletionOutcome = Literal["reached", "partial"]


class FollowUpScheduled(Payload):
    """A call is planned, with its window. 回访计划."""

    ro_number: Reference | None = Field(None, description="Repair order it follows up 工单号")
    customer_no: Reference | None = Field(None, description="Customer number 客户编号")
    kind: Name = Field(description="`first`, `second`, `consultation`, ... 回访类别")
    opens_at: Instant = Field(
        description="Earliest time: calling before is too early 最早回访时间"
    )
    target_at: Instant | None = Field(
        None, description="Wanted by; the due time if absent 目标时间"
    )
    due_at: Instant = Field(description="Latest time 最迟回访时间")
    anchor: Day | None = Field(None, description="Local day that the window counts from 起算日")
    missed_on_arrival: Flag | None = Field(
        None, description="The window was over before this was known: no alarm 补录时已过期"
    )
    policy_version: Count | None = Field(
        None, description="Version of the policy behind the window 规则版本"
    )


class FollowUpAssigned(Payload):
    """Somebody is to make the call. 回访分派."""

    assignee: StaffNo = Field(description="Staff number of who is to call 回访人")
    acting_for: StaffNo | None = Field(
        None, description="Staff number of who is stood in for 代理"
    )
    appointed_by: StaffNo | None = Field(None, description="Staff number of who decided 分派人")


class FollowUpAttempted(Payload):
    """A call that didn't reach the customer. 回访未接通."""

    by: StaffNo = Field(description="Staff number of the caller 回访人")
    channel: Channel = Field(description="How 回访渠道")
    outcome: AttemptOutcome = Field(description="What came of it 结果")
    call_later_at: Instant | None = Field(None, description="When to try again 约定再次联系时间")
    note: PersonalOf[Text] = Field(None, description="Note 备注")


class SurveyAnswer(Part):
    """One answer of a survey. 问卷答案."""

    question: Label | None = Field(None, description="Code of the question 题目")
    version: Label | None = Field(None, description="Version of the question 题目版本")
    scale: Label | None = Field(None, description="Scale of the answer 量表")
    value: Answer | None = Field(None, description="What was answered 回答")


class FollowUpCompleted(Payload):
    """The call was made. 回访完成."""

    by: StaffNo = Field(description="Staff number of the caller 回访人")
    channel: Channel = Field(description="How 回访渠道")
    outcome: CompletionOutcome = Field(description="Whether all was asked 结果")
    ro_number: Reference | None = Field(
        None, description="Repair order, for a call that was never scheduled 工单号"
    )
    customer_says_on_time: Flag | None = Field(
        None,
        description="Whether the car was ready when promised, says the customer 客户称准时交车",
    )
    answers: Annotated[list[SurveyAnswer], Field(max_length=MAX_ITEMS)] | None = Field(
        None, description="Answers of the survey 问卷答案"
    )
    requests: PersonalOf[Texts] = Field(None, description="What the customer asked for 客户要求")
    note: PersonalOf[Text] = Field(None, description="Note 备注")
    next_contact: DayOrInstant | None = Field(
        None, description="When to be in touch again, a day or a time 下次联系时间"
    )


class FollowUpOverdue(Payload):
    """The window closed without a call; written by the service. 回访超时."""

    due_at: Instant = Field(description="The deadline that passed 最迟回访时间")
    late_seconds: Count | None = Field(None, description="Seconds past the deadline 超时秒数")


class FollowUpResolved(Payload):
    """The overdue call was made; written by the service. 回访超时解除."""

    due_at: Instant = Field(description="The deadline that had passed 最迟回访时间")
    late_seconds: Count | None = Field(
        None, description="Seconds from the deadline to the call 超时秒数"
    )


class FollowUpCancelled(Payload):
    """The call is no longer wanted. 回访取消."""

    reason: Name = Field(description="Why 取消原因")
