"""Finds what may be done with an item, and keeps of it what does no harm.

Whatever the rules would change is tried out: the event is read again as the door reads it, and a
change that brings a fault which wasn't there before is not suggested.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from app.domain.errors import Fault, InvalidInputError
from app.domain.events.envelope import NewEvent, Reason, Rejected
from app.domain.events.parse import MAX_ID
from app.domain.events.shape import join
from app.domain.json_patch import apply_patch
from app.domain.quarantine import KEY_NOT_BOUND
from app.domain.stores import is_store_code
from app.domain.suggestions import rules, spelling
from app.domain.suggestions.suggestion import (
    Context,
    Logged,
    Operation,
    Suggestion,
)
from app.domain.suggestions.suggestion import (
    SuggestedAction as Action,
)
from app.domain.suggestions.suggestion import (
    SuggestionName as Name,
)

_MOST_ROUNDS: Final = 8
"""More than the stages at which an event may fail (A10); a round gets past one."""

_ENVELOPE: Final = frozenset({"specversion", "id", "source", "type", "time"})
_NUMBERED: Final = re.compile(r"(.*)~([0-9]{1,6})", re.DOTALL)
_STAGES: Final[Mapping[Reason, int]] = {reason: 4 * place for place, reason in enumerate(Reason)}
_ATTRIBUTES: Final = _STAGES[Reason.UNKNOWN_STORE] + 1
_TIME: Final = _STAGES[Reason.UNKNOWN_STORE] + 2
"""Stages between two reasons: all attributes, then the time, are looked at before the data."""


def suggest(
    event: Any, reason: Reason, faults: Sequence[Fault], context: Context
) -> list[Suggestion]:
    """Suggest what to do with an item, the best first; [] if no rule has anything to say.

    Args:
        event: As a replay would send it in: any JSON value.
        reason: Why it waits.
        faults: What is wrong with it.
        context: What else the rules look at.
    """
    if not isinstance(event, dict) or not event.keys() & _ENVELOPE:
        is_row = isinstance(event, dict | list) and bool(event)
        return [Suggestion(Name.MEND_MAPPING, Action.ADVICE)] if is_row else []
    suggested: list[Suggestion] = []
    found = context.reads(event)
    if isinstance(found, Rejected):
        suggested += _repairs(event, found, context)
        suggested += _advice(event, found, faults)
    elif reason is Reason.IDENTITY_CONFLICT:
        suggested += _conflict(event, found, context)
    elif reason is Reason.RETRACTION_TARGET_UNKNOWN:
        suggested.append(Suggestion(Name.WAIT_FOR_TARGET, Action.ADVICE))
    elif _is_of_the_door(reason, faults):
        suggested.append(Suggestion(Name.REPLAY_NOW, Action.REPLAY, settles=True))
    if any(fault.code == KEY_NOT_BOUND for fault in faults):
        suggested.append(Suggestion(Name.BIND_KEY, Action.ADVICE))
    return suggested


def repair(
    event: Any,
    reason: Reason,
    faults: Sequence[Fault],
    names: Collection[str],
    context: Context,
) -> Suggestion | None:
    """Put those of the named suggestions that fit an event together into one; None if none does.

    Whatever one of them brings to light is mended under the same names, as far as they go.
    """
    if isinstance(event, dict) and isinstance(found := context.reads(event), Rejected):
        wanted = None if Name.ALL in names else names
        return _together(event, found, context, wanted)
    return next(
        (
            each
            for each in suggest(event, reason, faults, context)
            if each.action is Action.REPLAY and each.name in names
        ),
        None,
    )


def _is_of_the_door(reason: Reason, faults: Sequence[Fault]) -> bool:
    """Whether the door alone found an event faulty, not the log."""
    return reason is not Reason.INVALID_DATA or not any(
        fault.code in {"reserved", "other-subject", "not-retractable"} for fault in faults
    )


# What can be mended


def _repairs(
    event: Mapping[str, Any], rejected: Rejected, context: Context
) -> Iterator[Suggestion]:
    for single in _singles(event, rejected, context):
        yield single.suggestion
    together = _together(event, rejected, context, None)
    if together is not None and together.name is Name.ALL:
        yield together


@dataclass(frozen=True, slots=True)
class _Single:
    """Changes of one kind, and what the event reads as after them."""

    name: Name
    patch: tuple[Operation, ...]
    after: NewEvent | Rejected | None

    @property
    def suggestion(self) -> Suggestion:
        """Suggest them."""
        settles = isinstance(self.after, NewEvent)
        return Suggestion(self.name, Action.REPLAY, self.patch, settles=settles)


def _singles(event: Mapping[str, Any], rejected: Rejected, context: Context) -> list[_Single]:
    """Find one kind of change at a time, each for all the fields that need it."""
    found: dict[Name, dict[str, Operation]] = {}
    reads: dict[Name, NewEvent | Rejected | None] = {}

    def add(name: Name, operation: Operation, *, is_mending: bool) -> None:
        after = _read(event, (operation,), context)
        if _helps(rejected, after) if is_mending else _does_no_harm(rejected, after):
            found.setdefault(name, {}).setdefault(operation["path"], operation)
            reads[name] = after

    for fault in rejected.faults:
        for name, operation in rules.find(event, fault, context):
            add(name, operation, is_mending=True)
    for name, operation in rules.find_unusual(event, context):
        add(name, operation, is_mending=False)
    singles = []
    for name, operations in found.items():
        patch = tuple(operations.values())
        after = reads[name] if len(patch) == 1 else _read(event, patch, context)
        singles.append(_Single(name, patch, after))
    return singles


def _together(
    event: Mapping[str, Any],
    rejected: Rejected,
    context: Context,
    names: Collection[str] | None,
) -> Suggestion | None:
    """Apply one change after the other until nothing is wrong, or no rule has more to say."""
    patch: list[Operation] = []
    used: set[Name] = set()
    read: NewEvent | Rejected | None = rejected
    patched: Any = event
    for _ in range(_MOST_ROUNDS):
        if not isinstance(read, Rejected):
            break
        singles = [
            single
            for single in _singles(patched, read, context)
            if names is None or single.name in names
        ]
        if not singles:
            break
        used.update(single.name for single in singles)
        taken: dict[str, Operation] = {}
        for single in singles:
            for operation in single.patch:
                taken.setdefault(operation["path"], operation)
        patched = apply_patch(patched, [*taken.values()])
        patch += taken.values()
        read = singles[0].after if len(singles) == 1 else context.reads(patched)
    if not patch:
        return None
    name = used.pop() if len(used) == 1 else Name.ALL
    return Suggestion(name, Action.REPLAY, tuple(patch), settles=isinstance(read, NewEvent))


def _read(
    event: Mapping[str, Any], patch: Sequence[Operation], context: Context
) -> NewEvent | Rejected | None:
    """Read the event as it would be; None if the patch doesn't fit."""
    try:
        return context.reads(apply_patch(event, patch))
    except InvalidInputError:
        return None


def _helps(before: Rejected, after: NewEvent | Rejected | None) -> bool:
    """Whether a change takes a fault away and brings none that wasn't there before."""
    return _does_no_harm(before, after) and not (
        isinstance(after, Rejected)
        and _stage(after) == _stage(before)
        and _marks(after) == _marks(before)
    )


def _does_no_harm(before: Rejected, after: NewEvent | Rejected | None) -> bool:
    """Whether a change brings the event further, or leaves no fault that wasn't there before."""
    if after is None:
        return False
    if isinstance(after, NewEvent) or _stage(after) > _stage(before):
        return True
    left, known = _marks(after), _marks(before)
    return _stage(after) == _stage(before) and left <= known


def _stage(rejected: Rejected) -> int:
    """Where in the order of A10 an event failed; attributes are looked at before data."""
    if rejected.reason is Reason.TIME_IN_FUTURE:
        return _TIME
    if rejected.reason is Reason.INVALID_DATA and not any(
        f"{fault.pointer}/".startswith("/data/") for fault in rejected.faults
    ):
        return _ATTRIBUTES
    return _STAGES[rejected.reason]


def _marks(rejected: Rejected) -> set[tuple[str, str]]:
    return {(fault.pointer, fault.code) for fault in rejected.faults}


# What else can be done


def _advice(
    event: Mapping[str, Any], rejected: Rejected, faults: Sequence[Fault]
) -> Iterator[Suggestion]:
    match rejected.reason:
        case Reason.UNKNOWN_STORE:
            bound = any(fault.code == KEY_NOT_BOUND for fault in faults)
            if is_store_code(event["store"]) and not bound:
                yield Suggestion(Name.MAKE_STORE, Action.ADVICE)
        case Reason.TIME_IN_FUTURE:
            yield Suggestion(Name.WAIT_FOR_TIME, Action.ADVICE)
        case Reason.UNKNOWN_TYPE | Reason.UNSUPPORTED_VERSION:
            yield Suggestion(Name.WAIT_FOR_UPGRADE, Action.ADVICE)
        case _:
            pass


def _conflict(event: Mapping[str, Any], found: NewEvent, context: Context) -> Iterator[Suggestion]:
    logged = context.logged
    if logged is None:
        return
    if _says_the_same(found, logged):
        yield Suggestion(Name.DISCARD_TRIVIAL, Action.DISCARD)
    numbered = _NUMBERED.fullmatch(found.id)
    stem, number = (numbered[1], int(numbered[2])) if numbered else (found.id, 1)
    new_id = f"{stem}~{number + 1}"
    retraction = {
        "specversion": "1.0",
        "id": f"{new_id}~retraction",
        "source": found.source,
        "type": "event.retracted",
        "store": found.store_id,
        "subject": logged.subject,
        "time": event["time"],
        "data": {"source": found.source, "id": found.id, "reason": f"corrected by {new_id}"},
    }
    if len(retraction["id"]) <= MAX_ID and isinstance(context.reads(retraction), NewEvent):
        yield Suggestion(
            Name.KEEP_AS_CORRECTION,
            Action.REPLAY,
            ({"op": "replace", "path": "/id", "value": new_id},),
            (retraction,),
            settles=True,
        )


def _says_the_same(found: NewEvent, logged: Logged) -> bool:
    """Whether two contents differ in case, spaces and empty fields alone."""
    data = orjson.loads(found.data)
    if found.aside is not None:
        data = join(data, orjson.loads(found.aside))
    return (found.type, found.subject, found.occurred_at) == (
        logged.type,
        logged.subject,
        logged.occurred_at,
    ) and _bare(data) == _bare(logged.data)


def _bare(value: Any) -> Any:
    if isinstance(value, Mapping):
        members = {key: _bare(inner) for key, inner in value.items()}
        return {key: inner for key, inner in members.items() if inner not in (None, "", [], {})}
    if isinstance(value, list):
        return [_bare(inner) for inner in value]
    return spelling.clean(value).casefold() if isinstance(value, str) else value
