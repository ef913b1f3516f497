"""Imports: files that came in by the command or through an inbox folder, and what became of them.

Also the rules of an inbox folder that need no disk: which names are left alone, and what a file is
called where its name is taken or too long.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import PurePath
from typing import Final

import msgspec

from app.domain.events.envelope import Reason

FAULT_COLUMN: Final = "错误 Faults"
"""What is wrong with a row of a returned sheet; never read."""

ITEM_COLUMN: Final = "隔离编号 Item"
"""The items of the quarantine that the row lies in; put in again, it takes their place."""

MARKS: Final = (FAULT_COLUMN, ITEM_COLUMN)
"""What a returned sheet has more than the one that was put in."""

DONE: Final = "done"
FAULTS: Final = "faults"
WORKING: Final = "working"
OWN_FOLDERS: Final = frozenset({DONE, FAULTS, WORKING})
"""Folders of the service's own, in a store's folder of the inbox."""

MAPPING_FILE: Final = "mapping.yaml"
MARKER: Final = ".done"
"""`<name>.done` beside a file says that its sender has finished writing it."""

EXAMPLES: Final = 20
"""Faults that a summary shows."""

COLUMNS: Final = 50
"""Columns without a use that a summary names."""

_UNFINISHED: Final = (
    ".part",
    ".partial",
    ".tmp",
    ".temp",
    ".crdownload",
    ".download",
    ".filepart",
)
_OF_SYSTEMS: Final = frozenset({"thumbs.db", "desktop.ini"})
_LONGEST_NAME: Final = 240
"""Bytes; most file systems take 255."""


ADVICE: Final[Mapping[str, str]] = {
    Reason.MISSING_ATTRIBUTE: "Send the event with all its attributes. 补全必填属性后重发。",
    Reason.UNSUPPORTED_VERSION: "Send it in a version that is known here. 请使用受支持的版本。",
    Reason.UNKNOWN_TYPE: "Use a type of docs/events.md. 请使用已知的事件类型。",
    Reason.UNKNOWN_STORE: (
        "Make the store (PUT /v1/stores/<code>) or correct its code, then replay. "
        "请先创建门店或更正编号，再重放。"
    ),
    Reason.INVALID_DATA: (
        "Correct the value and import the file again, or correct it in quarantine and replay. "
        "请更正该值后重新导入，或在隔离区更正后重放。"
    ),
    Reason.TIME_IN_FUTURE: (
        "Check the clock and the time zone of the sender, then replay. 请检查时间和时区。"
    ),
    Reason.IDENTITY_CONFLICT: (
        "A correction needs an id of its own; retract the old event. "
        "更正须使用新编号，并撤回原事件。"
    ),
    Reason.RETRACTION_TARGET_UNKNOWN: (
        "It enters by itself when the event that it takes back comes. 等待被撤回的事件到达。"
    ),
}
"""What to do about each reason, for people."""


class ImportWay(StrEnum):
    """How a file came in."""

    COMMAND = "command"
    INBOX = "inbox"


class ImportState(StrEnum):
    """What became of a file."""

    WORKING = "working"
    DONE = "done"
    FAULTS = "faults"
    FAILED = "failed"


class ImportExample(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that was wrong, as a report keeps it: without the value, which may be personal.

    Attributes:
        row: As seen in the file: the line, or the row of the sheet; 0 is the file itself.
        column: Of the sheet, or the JSON pointer into the event.
        reason: Stable reason code.
        detail: In words.
        quarantine_id: Where the item lies.
    """

    row: int
    column: str
    reason: str
    detail: str
    quarantine_id: str | None = None


class ImportCounts(msgspec.Struct):
    """How many events met which end; a row that no event can be made of is one quarantined item.

    Attributes:
        rows: Rows or lines that were read; one may hold several events, or none.
        skipped: Rows that are none of the data: totals, repeated headings.
        warnings: What was taken but deserves a look.
    """

    rows: int = 0
    skipped: int = 0
    accepted: int = 0
    duplicate: int = 0
    quarantined: int = 0
    warnings: int = 0


class ImportSummary(msgspec.Struct, omit_defaults=True):
    """What the database keeps of an import.

    Attributes:
        format: `ndjson`, `json`, `csv`, `xlsx`, `xls`, `html`; None where it couldn't be told.
        mapping: Name and version of the mapping that read the rows; None for events.
        by_reason: Reason code -> how many faults.
        examples: The first faults, in order of rows.
        problem: Why it ended early or could not be read at all, in words.
        columns_not_read: The first columns of the file that the mapping doesn't read.
    """

    format: str | None = None
    mapping: str | None = None
    counts: ImportCounts = msgspec.field(default_factory=ImportCounts)
    by_reason: dict[str, int] = msgspec.field(default_factory=dict)
    examples: list[ImportExample] = msgspec.field(default_factory=list)
    problem: str | None = None
    seconds: float = 0.0
    columns_not_read: list[str] = msgspec.field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether all of the file was read and taken."""
        return not self.counts.quarantined and self.problem is None

    def note(self, fault: ImportExample) -> None:
        """Count a fault, and keep it if it is one of the first."""
        self.by_reason[fault.reason] = self.by_reason.get(fault.reason, 0) + 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(fault)


@dataclass(frozen=True, slots=True)
class FileImport:
    """One file that was or is being imported.

    Attributes:
        import_id: Rises with time.
        name: Of the file, as far as text can say it.
        sha256: Of its bytes, in hex; None until it was read.
        same_as: The import that took in the same bytes before.
        claimed_by: Unique to a claim, so that who lost its lease changes nothing.
        attempts: How often the file was taken up.
        moved_to: Where the file lies now, from the store's folder on.
    """

    store_id: str
    import_id: str
    way: ImportWay
    name: str
    size: int
    state: ImportState
    started_at: datetime
    finished_at: datetime | None = None
    sha256: str | None = None
    same_as: str | None = None
    claimed_by: str | None = None
    lease_until: datetime | None = None
    attempts: int = 1
    moved_to: str | None = None
    summary: ImportSummary | None = None


def is_left_alone(name: str) -> bool:
    """Say whether a name is that of no finished file of data: hidden, temporary, a marker."""
    lower = name.lower()
    return (
        lower.startswith((".", "~$", "~"))
        or lower.endswith((*_UNFINISHED, MARKER))
        or lower in _OF_SYSTEMS
        or lower == MAPPING_FILE
    )


def storable_name(name: str) -> str:
    """Write a name as text that the database and JSON can hold, whatever its bytes are."""
    return name.replace("\0", "").encode("utf-8", "replace").decode()


def names_for(name: str, *, suffix: str = "") -> Iterator[str]:
    """Give names for a file, the wanted one first, then numbered ones; none is too long.

    Args:
        name: As it was put in.
        suffix: In place of its own, such as `.xlsx`; empty keeps its own.
    """
    path = PurePath(name)
    ending = suffix or path.suffix
    stem = name[: -len(path.suffix)] if path.suffix else name
    yield _fitting(stem, ending)
    number = 2
    while True:
        yield _fitting(stem, f" ({number}){ending}")
        number += 1


def _fitting(stem: str, ending: str) -> str:
    """Shorten a name where it is too long for a file system; its ending stays."""
    room = _LONGEST_NAME - len(ending.encode("utf-8", "surrogateescape"))
    while len(stem.encode("utf-8", "surrogateescape")) > room:
        stem = stem[:-1]
    return stem + ending


def summary_from(stored: bytes | str) -> ImportSummary:
    """Read a summary as it was stored."""
    return msgspec.json.decode(stored, type=ImportSummary)
