"""Jobs: work that a store needs once a day, whichever process does it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class RunState(StrEnum):
    """What became of a run."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class JobRun:
    """The run of a job for one store and local date; the last one where it was run again.

    Attributes:
        claimed_by: Unique per claim, so that a process that lost its lease changes nothing.
        as_of_seq: What the run covers: all events of the store up to this one.
        detail: Figures of the run, by name.
    """

    store_id: str
    job: str
    run_date: date
    state: RunState
    claimed_by: str
    started_at: datetime
    lease_until: datetime
    finished_at: datetime | None
    as_of_seq: int | None
    error: str | None
    detail: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Night:
    """The last night of a time zone: when it was due, and the local date that it is for."""

    time_zone: str
    due_at: datetime
    run_date: date
