"""Events as a DMS posts them, each with an identity of its own, for tests that write them out."""

from itertools import count
from typing import Any
from uuid import uuid4

from tests.support.histories import CloudEvent, cloud_event

DMS = "/dms/test"
CRM = "/crm/test"
SHANGHAI = "+08:00"

_numbers = count(1)


def event(
    event_type: str,
    subject: str,
    at: str = "2026-06-01T09:00:00+08:00",
    *,
    store: str = "S1",
    source: str = DMS,
    event_id: str | None = None,
    **data: Any,
) -> CloudEvent:
    """Write any event; what is left over is its data."""
    return cloud_event(
        event_type,
        subject,
        at,
        data,
        event_id=event_id or f"e-{next(_numbers)}",
        store=store,
        source=source,
    )


def opened(ro_number: str, at: str = "2026-06-01T09:00:00+08:00", **data: Any) -> CloudEvent:
    """Let a car come in."""
    filled = {"work_type": "ordinary_repair", "advisor": "A1", **data}
    return event("repair_order.opened", ro_number, at, **filled)


def settled(ro_number: str, at: str = "2026-06-01T16:00:00+08:00", **data: Any) -> CloudEvent:
    """Let a bill be paid."""
    return event("repair_order.settled", ro_number, at, **{"amounts": {"labor": 100}, **data})


def delivered(ro_number: str, at: str = "2026-06-01T17:00:00+08:00", **data: Any) -> CloudEvent:
    """Hand a car over."""
    return event("repair_order.delivered", ro_number, at, **data)


def cancelled(ro_number: str, at: str = "2026-06-01T18:00:00+08:00", **data: Any) -> CloudEvent:
    """Cancel an order."""
    return event("repair_order.cancelled", ro_number, at, **data)


def retraction(
    of: CloudEvent,
    at: str = "2026-06-02T09:00:00+08:00",
    *,
    subject: str | None = None,
    store: str | None = None,
    event_id: str | None = None,
) -> CloudEvent:
    """Say that an event never happened."""
    return event(
        "event.retracted",
        subject or of["subject"],
        at,
        store=store or of["store"],
        event_id=event_id,
    ) | {"data": {"source": of["source"], "id": of["id"], "reason": "typing error"}}


def scheduled(
    call_id: str,
    opens_at: str,
    due_at: str,
    at: str = "2026-06-01T18:00:00+08:00",
    *,
    kind: str = "first",
    **data: Any,
) -> CloudEvent:
    """Let a CRM plan a call."""
    window = {"kind": kind, "opens_at": opens_at, "due_at": due_at}
    return event("follow_up.scheduled", call_id, at, **{"source": CRM, **window, **data})


def completed(call_id: str, at: str, **data: Any) -> CloudEvent:
    """Make a call."""
    call = {"by": "C1", "channel": "phone", "outcome": "reached"}
    return event("follow_up.completed", call_id, at, **{"source": CRM, **call, **data})


def complaint(
    complaint_id: str | None = None, at: str = "2026-06-01T09:00:00+08:00", **data: Any
) -> CloudEvent:
    """Let somebody complain."""
    filled = {"channel": "phone", "text": "等太久", **data}
    return event("complaint.opened", complaint_id or str(uuid4()), at, **filled)
