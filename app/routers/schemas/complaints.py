"""Bodies of the complaint routes."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.domain.access import Principal
from app.domain.complaint import ComplaintStatus
from app.domain.events.complaint import (
    ComplaintContacted,
    ComplaintOpened,
    ComplaintReopened,
    ComplaintResolved,
)
from app.routers.schemas.desk import (
    Member,
    MemberName,
    OccurredAt,
    Version,
    name_of,
    shown,
)
from app.services.complaints import ComplaintView


class OpenIn(ComplaintOpened, OccurredAt):
    """What the customer complains about."""

    model_config = ConfigDict(extra="forbid")

    complaint_id: Annotated[
        UUID | None, Field(description="UUID of the caller's own; absent: one is made 投诉编号")
    ] = None


class ContactIn(ComplaintContacted, OccurredAt):
    """How the customer was contacted."""

    model_config = ConfigDict(extra="forbid")


class ResolveIn(ComplaintResolved, OccurredAt):
    """The solution."""

    model_config = ConfigDict(extra="forbid")


class ReopenIn(ComplaintReopened, OccurredAt):
    """Why the solution did not hold."""

    model_config = ConfigDict(extra="forbid")


class ComplaintOut(BaseModel):
    """A complaint 客户投诉."""

    complaint_id: Annotated[str, Field(description="UUID 投诉编号")]
    status: Annotated[ComplaintStatus, Field(description="How far it is 状态")]
    customer_no: Annotated[str | None, Field(description="Whose it is now 客户编号")]
    ro_number: Annotated[str | None, Field(description="Repair order 工单号")]
    channel: Annotated[str | None, Field(description="How it came in 投诉渠道")]
    nature: Annotated[str | None, Field(description="What it is about 投诉性质")]
    severity: Annotated[str | None, Field(description="How serious it is 严重程度")]
    responsible: Annotated[str | None, Member("Who is to answer 责任人")]
    responsible_name: Annotated[str | None, MemberName]
    opened_at: datetime | None
    contact_due_at: Annotated[
        datetime | None, Field(description="Contact the customer by then 应联系时间")
    ]
    contacted_at: datetime | None
    resolved_at: datetime | None
    overdue: Annotated[bool, Field(description="Not contacted in time, as of now 超时")]
    text: Annotated[
        str | None,
        Field(description="Masked without personal:read; null in the answer of a command 内容"),
    ]
    solution: Annotated[str | None, Field(description="Likewise 解决方案")]
    version: Version

    @classmethod
    def of(cls, view: ComplaintView, principal: Principal) -> Self:
        """Show a complaint to a caller."""
        state = view.state
        personal = shown(view.personal, principal)
        return cls(
            complaint_id=state.complaint_id,
            status=state.status,
            customer_no=view.customer_no,
            ro_number=state.ro_number,
            channel=state.channel,
            nature=state.nature,
            severity=state.severity,
            responsible=state.responsible,
            responsible_name=name_of(state.responsible, view.names, principal),
            opened_at=state.opened_at,
            contact_due_at=view.contact_due_at,
            contacted_at=state.contacted_at,
            resolved_at=state.resolved_at,
            overdue=view.overdue,
            text=personal.get("text"),
            solution=personal.get("solution"),
            version=str(view.version),
        )
