"""States as rows: the JSON of the state and the few columns by which lists filter and sort."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from app.domain.backlog import Backlog
from app.domain.clocks import Clock, contact_due_at
from app.domain.complaint import Complaint
from app.domain.customer import Customer
from app.domain.events.envelope import Kind
from app.domain.feed import Feed
from app.domain.follow_up import FollowUp
from app.domain.kpis.promises import reference_in_force
from app.domain.links import spelled_alike
from app.domain.mentions import Mentions
from app.domain.periods import local_day
from app.domain.policies import Policies
from app.domain.repair_order import RepairOrder
from app.domain.staff import Staff, Timecard
from app.domain.subject import Subject, encode
from app.domain.vehicle import Vehicle

SubjectKey = tuple[str, Kind, str]
"""(store_id, kind, key): one subject, or state, of one store."""

Row = dict[str, Any]


def state_row(
    subject: SubjectKey, version: int, state: Subject, *, policies: Policies, zone: ZoneInfo
) -> Row:
    """Write a state as the row of its table; values are JSON, as `append_group.sql` reads them."""
    store_id, _, key = subject
    row: Row = {
        "store_id": store_id,
        "version": version,
        "state": orjson.Fragment(encode(state)),
    }
    match state:
        case RepairOrder():
            row |= {
                "ro_number": key,
                "status": state.status,
                "stage": state.stage,
                "work_type": state.work_type,
                "advisor": state.advisor,
                "technician": state.technician,
                "customer_no": state.customer_no,
                "vin": spelled_alike(state.vin),
                # one that was never opened is listed under when it was last heard of
                "opened_at": state.visited_at,
                "promised_at": _promised_at(state, policies, zone),
                "settled_at": state.settled_at,
                "delivered_at": state.delivered_at,
                "has_comeback": bool(state.comeback_reports or state.comeback_assessments),
            }
        case FollowUp():
            row |= {
                "follow_up_id": key,
                "ro_number": state.ro_number,
                "customer_no": state.customer_no,
                "kind": state.kind,
                "status": state.status,
                "assignee": state.assignee,
                "missed_on_arrival": state.missed_on_arrival,
                "opens_at": state.opens_at,
                "target_at": state.target_at,
                "due_at": state.due_at,
                "completed_at": state.completed_at,
                "overdue": state.status == "scheduled" and state.breach is not None,
            }
        case Complaint():
            row |= {
                "complaint_id": key,
                "ro_number": state.ro_number,
                "customer_no": state.customer_no,
                "status": state.status,
                "nature": state.nature,
                "severity": state.severity,
                "responsible": state.responsible,
                "opened_at": state.opened_at or state.last_occurred_at,
                "contact_due_at": contact_due_at(state, policies, zone),
                "contacted_at": state.contacted_at,
                "overdue": state.contacted_at is None and bool(state.breaches),
            }
        case Customer():
            row["customer_no"] = key
        case Vehicle():
            row |= {
                "vin": key,
                "spelled_alike": spelled_alike(key),
                "customer_no": state.customer_no,
            }
        case Staff():
            row["staff_no"] = key
        case Timecard():
            row |= {"key": key, "work_date": state.work_date}
        case Feed():
            row |= {"source": key, "silent": state.silent_from is not None}
        case Backlog():
            row |= {"key": key, "growing": state.growing_since is not None}
        case _:
            message = f"no table keeps a {type(state).__name__}"
            raise TypeError(message)
    return row


def _promised_at(order: RepairOrder, policies: Policies, zone: ZoneInfo) -> datetime | None:
    """Find the promised time in force, by the policy of the day on which the order stands."""
    day = order.delivered_at or order.first_opened_at or order.last_occurred_at
    if day is None:
        return None
    return reference_in_force(order, policies.valid_on(local_day(day, zone)))


def gone_row(subject: SubjectKey) -> Row:
    """Name a subject whose every event is retracted."""
    store_id, kind, key = subject
    return {"store_id": store_id, "kind": kind, "key": key}


def mention_rows(subject: SubjectKey, mentions: Mentions) -> list[Row]:
    """Write whom a subject names by surrogate."""
    store_id, kind, key = subject
    return [
        {
            "store_id": store_id,
            "kind": kind,
            "key": key,
            "surrogate": surrogate,
            "role": role,
            "first_seen_at": seen.first_at,
            "last_seen_at": seen.last_at,
        }
        for (surrogate, role), seen in mentions.items()
    ]


def clock_row(subject: SubjectKey, clock: Clock, detected_at: datetime | None) -> Row:
    """Write a clock as its row; `detected_at` is when its breach was noticed, if just now."""
    store_id, kind, key = subject
    lag = None if detected_at is None else (detected_at - clock.due_at).total_seconds()
    return {
        "store_id": store_id,
        "kind": kind,
        "key": key,
        "name": clock.name,
        "opens_at": clock.opens_at,
        "target_at": clock.target_at,
        "due_at": clock.due_at,
        "next_at": clock.next_at,
        "state": clock.state,
        "policy_version": clock.policy_version,
        "detected_at": detected_at,
        "lag_seconds": lag,
        "failures": 0,
        "error": None,
    }
