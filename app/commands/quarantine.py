"""`servicelane quarantine`: the quarantine on a terminal, with the same filters as over HTTP."""

import asyncio
import getpass
import json
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from app.domain.access import ALL_SCOPES, Principal
from app.domain.errors import InvalidInputError
from app.domain.events.envelope import Reason
from app.domain.pages import PageRequest
from app.domain.quarantine import (
    NO_STORE,
    CountBy,
    QuarantinedItem,
    QuarantineFilter,
    QuarantineState,
)
from app.domain.quarantine_runs import QuarantineRun, QuarantineRunState, RunAction, RunKind
from app.domain.suggestions.suggestion import (
    Suggestion,
)
from app.domain.suggestions.suggestion import (
    SuggestionName as Name,
)
from app.factory import Factory

_WIDTH: Final = 200
"""Characters of a line that goes to a file or another program."""

_POLL_SECONDS: Final = 0.2
_MOST: Final = 200
_OVER: Final = frozenset(
    {QuarantineRunState.FINISHED, QuarantineRunState.FAILED, QuarantineRunState.CANCELLED}
)

Store = Annotated[
    str | None, typer.Option(help="Code of a store; empty ('') for items of no known store.")
]
Reasons = Annotated[Reason | None, typer.Option(help="Why it waits.")]
Source = Annotated[str | None, typer.Option(help="Source of the event.")]
Type = Annotated[str | None, typer.Option("--type", help="Type of the event.")]
Subject = Annotated[str | None, typer.Option(help="Subject, such as an RO number.")]
Fault = Annotated[str | None, typer.Option(help="Part of a fault's code or JSON pointer.")]
Since = Annotated[
    datetime | None, typer.Option("--from", help="Received at or after this moment (UTC).")
]
Until = Annotated[datetime | None, typer.Option(help="Received before this moment (UTC).")]
Older = Annotated[float | None, typer.Option(help="Received at least so many hours ago.", min=0)]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only tell what would come of it; changes nothing.")
]
ItemId = Annotated[str | None, typer.Argument(help="One item; none: all that match.")]


commands = typer.Typer(
    help="Events that could not be taken: look, correct, replay, discard.", no_args_is_help=True
)


@commands.command("list")
def list_items(
    context: typer.Context,
    store: Store = None,
    state: Annotated[QuarantineState, typer.Option(help="State.")] = QuarantineState.WAITING,
    reason: Reasons = None,
    source: Source = None,
    event_type: Type = None,
    subject: Subject = None,
    fault: Fault = None,
    since: Since = None,
    until: Until = None,
    older: Older = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="Most items.")] = 50,
    *,
    as_json: Json = False,
) -> None:
    """List items, the oldest first, and count what waits by store and reason."""
    wanted = _filter(store, reason, source, event_type, subject, fault, since, until, state)

    async def listed(factory: Factory) -> None:
        page = await factory.quarantine.list_page(
            wanted, PageRequest(limit), min_age=_age(older), principal=_operator()
        )
        counts = await factory.quarantine.count(
            wanted,
            by={CountBy.STORE, CountBy.REASON},
            limit=_MOST,
            min_age=_age(older),
            principal=_operator(),
        )
        if as_json:
            print(json.dumps([_plain(item) for item in page.items], ensure_ascii=False))
            return
        total = sum(count.items for count in counts)
        summary = Table("store", "reason", "items", "repeats", "oldest")
        for count in counts:
            summary.add_row(
                count.store_id or "(none)",
                count.reason,
                str(count.items),
                str(count.repeats),
                _moment(count.oldest_received_at),
            )
        _console().print(_table(page.items), summary)
        if total > len(page.items):
            _console().print(f"{total} in all; --limit shows more, filters fewer.")

    context.obj.with_factory(listed)


@commands.command()
def show(
    context: typer.Context,
    quarantine_id: Annotated[str, typer.Argument(help="The item.")],
    *,
    as_json: Json = False,
) -> None:
    """Show one item: what is wrong, what was sent, and what may be done."""

    async def shown(factory: Factory) -> None:
        await _show(factory, quarantine_id, as_json=as_json)

    context.obj.with_factory(shown)


@commands.command()
def replay(
    context: typer.Context,
    quarantine_id: ItemId = None,
    apply: Annotated[
        list[Name] | None, typer.Option(help="Suggestion to apply; repeat for several.")
    ] = None,
    patch: Annotated[
        Path | None, typer.Option(help="File with a JSON Patch to apply to each event.")
    ] = None,
    event: Annotated[
        Path | None, typer.Option(help="File with the corrected event, for one item.")
    ] = None,
    store: Store = None,
    reason: Reasons = None,
    source: Source = None,
    event_type: Type = None,
    subject: Subject = None,
    fault: Fault = None,
    since: Since = None,
    until: Until = None,
    older: Older = None,
    *,
    dry_run: DryRun = False,
) -> None:
    """Send an item in again, or all that match; corrected if asked for."""
    names = [str(name) for name in apply or ()]
    operations = None if patch is None else _read_json(patch, list)
    corrected = None if event is None else _read_json(event, dict)
    if sum((bool(names), patch is not None, event is not None)) > 1:
        raise typer.BadParameter("give one of --apply, --patch and --event")
    if quarantine_id is None and event is not None:
        raise typer.BadParameter("--event is for one item")
    wanted = _filter(store, reason, source, event_type, subject, fault, since, until)
    _check_one(quarantine_id, wanted, older=older, dry_run=dry_run)

    async def replayed(factory: Factory) -> None:
        if quarantine_id is None:
            action = RunAction(patch=operations, suggestions=tuple(names))
            await _see_through(
                factory, RunKind.REPLAY, wanted, action, older=older, dry_run=dry_run
            )
            return
        item = await factory.quarantine.replay(
            quarantine_id,
            event=corrected,
            patch=operations,
            apply=names,
            principal=_operator(),
        )
        await _show(factory, item.quarantine_id, as_json=False)

    context.obj.with_factory(replayed)


@commands.command()
def discard(
    context: typer.Context,
    reason_given: Annotated[str, typer.Option("--because", help="Why; it stays on record.")],
    quarantine_id: ItemId = None,
    store: Store = None,
    reason: Reasons = None,
    source: Source = None,
    event_type: Type = None,
    subject: Subject = None,
    fault: Fault = None,
    since: Since = None,
    until: Until = None,
    older: Older = None,
    *,
    dry_run: DryRun = False,
) -> None:
    """Throw an item away, or all that match; the bytes stay on record."""
    wanted = _filter(store, reason, source, event_type, subject, fault, since, until)
    _check_one(quarantine_id, wanted, older=older, dry_run=dry_run)

    async def discarded(factory: Factory) -> None:
        if quarantine_id is None:
            action = RunAction(reason=reason_given)
            await _see_through(
                factory, RunKind.DISCARD, wanted, action, older=older, dry_run=dry_run
            )
            return
        item = await factory.quarantine.discard(
            quarantine_id, reason=reason_given, principal=_operator()
        )
        await _show(factory, item.quarantine_id, as_json=False)

    context.obj.with_factory(discarded)


@commands.command()
def reopen(
    context: typer.Context,
    quarantine_id: Annotated[str, typer.Argument(help="The item.")],
) -> None:
    """Let an item wait again that was discarded by mistake."""

    async def reopened(factory: Factory) -> None:
        await factory.quarantine.reopen(quarantine_id, principal=_operator())
        await _show(factory, quarantine_id, as_json=False)

    context.obj.with_factory(reopened)


def _operator() -> Principal:
    """Whoever may use the database may do everything; the account is what is known of them."""
    account = "unknown"
    with suppress(OSError, KeyError):
        account = getpass.getuser()
    return Principal("command-line", f"{account} (command line)", ALL_SCOPES)


def _filter(
    store: str | None,
    reason: Reason | None,
    source: str | None,
    event_type: str | None,
    subject: str | None,
    fault: str | None,
    since: datetime | None,
    until: datetime | None,
    state: QuarantineState | None = None,
) -> QuarantineFilter:
    return QuarantineFilter(
        stores=None if store is None else [store or NO_STORE],
        state=state,
        reason=reason,
        source=source,
        type=event_type,
        subject=subject,
        received_from=_utc(since),
        received_until=_utc(until),
        fault=fault,
    )


def _check_one(
    quarantine_id: str | None, wanted: QuarantineFilter, *, older: float | None, dry_run: bool
) -> None:
    """Refuse what has no meaning for one item, rather than leave it out silently."""
    if quarantine_id is None:
        return
    if wanted != QuarantineFilter() or older is not None or dry_run:
        raise typer.BadParameter("filters and --dry-run are for all that match, not for one item")


def _age(hours: float | None) -> timedelta | None:
    return None if hours is None else timedelta(hours=hours)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)


def _read_json(path: Path, kind: type[Any]) -> Any:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}") from None
    if not isinstance(value, kind):
        wanted = "a list of operations (RFC 6902)" if kind is list else "an object"
        raise typer.BadParameter(f"{path} must hold {wanted}")
    return value


async def _see_through(
    factory: Factory,
    kind: RunKind,
    wanted: QuarantineFilter,
    action: RunAction,
    *,
    older: float | None,
    dry_run: bool,
) -> None:
    """Queue a run and show how far it is to its end, whichever process does it."""
    service = factory.quarantine_runs
    try:
        run = await service.start(
            kind, wanted, action, min_age=_age(older), dry_run=dry_run, principal=_operator()
        )
    except InvalidInputError as error:
        raise typer.BadParameter(str(error)) from None
    ticking = asyncio.create_task(service.tick())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=_console(error=True)) as progress:
        task = progress.add_task(kind.value, total=run.total)
        while run.state not in _OVER:
            await asyncio.wait((ticking,), timeout=_POLL_SECONDS)
            run = await service.get(run.run_id, kind, principal=_operator())
            progress.update(task, completed=run.done)
            if ticking.done():
                await asyncio.sleep(_POLL_SECONDS)
    await ticking
    _console().print(_outcome(run))
    if run.state is not QuarantineRunState.FINISHED:
        sys.exit(1)


def _outcome(run: QuarantineRun) -> Group:
    words = "rehearsal, nothing was changed" if run.dry_run else run.state.value
    table = Table("run", "state", "matched", "accepted", "discarded", "wait on", "gone")
    table.add_row(
        run.run_id,
        words,
        *map(str, (run.total, run.accepted, run.discarded, sum(run.waiting.values()), run.gone)),
    )
    reasons = [Text(f"  {count} {reason}") for reason, count in run.waiting.items()]
    return Group(table, *reasons, *([Text(run.error)] if run.error else []))


async def _show(factory: Factory, quarantine_id: str, *, as_json: bool) -> None:
    item = await factory.quarantine.get(quarantine_id, principal=_operator())
    suggestions = await factory.quarantine.suggest(item, principal=_operator())
    if as_json:
        shown = {**_plain(item), "suggestions": [_suggestion(each) for each in suggestions]}
        print(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    faults = Table("pointer", "code", "detail")
    for fault in item.faults:
        faults.add_row(Text(fault.pointer or "(all of it)"), fault.code, Text(fault.detail))
    parts: list[Any] = [_table([item]), faults, Panel(Text(_body(item)), title="as it was sent")]
    for made in item.corrections:
        title = f"corrected by {made.by.name} at {_moment(made.at)}: {made.means}"
        parts.append(Panel(Text(made.event), title=Text(title)))
    if item.resolved_by is not None:
        why = f": {item.discard_reason}" if item.discard_reason else ""
        when = "" if item.resolved_at is None else _moment(item.resolved_at)
        parts.append(Text(f"{item.state} by {item.resolved_by.name} at {when}{why}"))
    if item.again_at is not None:
        parts.append(
            Text(f"\nseen again since: {item.again_count}, last at {_moment(item.again_at)}")
        )
    if suggestions:
        table = Table("suggestion", "action", "what it does", "then nothing is wrong")
        for each in suggestions:
            table.add_row(
                each.name, each.action, Text(each.words.en), "yes" if each.settles else ""
            )
        parts.append(table)
    _console().print(*parts)


def _table(items: list[QuarantinedItem]) -> Table:
    table = Table("id", "store", "state", "reason", "type", "subject", "received", "seen", "fault")
    for item in items:
        first = item.faults[0] if item.faults else None
        table.add_row(
            item.quarantine_id,
            item.store_id or "(none)",
            item.state if item.seq is None else f"{item.state} as {item.seq}",
            item.reason,
            Text(item.type or ""),
            Text(item.subject or ""),
            _moment(item.received_at),
            str(item.seen_count),
            Text("" if first is None else f"{first.pointer} {first.code}"),
        )
    return table


def _plain(item: QuarantinedItem) -> dict[str, Any]:
    return {
        "quarantine_id": item.quarantine_id,
        "store_id": item.store_id,
        "state": item.state,
        "reason": item.reason,
        "errors": [
            {"pointer": fault.pointer, "code": fault.code, "detail": fault.detail}
            for fault in item.faults
        ],
        "source": item.source,
        "id": item.event_id,
        "type": item.type,
        "subject": item.subject,
        "received_at": item.received_at.isoformat(),
        "seen_count": item.seen_count,
        "again_count": item.again_count,
        "seq": item.seq,
        "body": _body(item),
        "corrections": [made.event for made in item.corrections],
    }


def _suggestion(suggestion: Suggestion) -> dict[str, Any]:
    return {
        "name": suggestion.name,
        "action": suggestion.action,
        "description": suggestion.words.en,
        "patch": [dict(operation) for operation in suggestion.patch],
        "settles": suggestion.settles,
    }


def _body(item: QuarantinedItem) -> str:
    return item.item.body.decode("utf-8", "backslashreplace")


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")


def _console(*, error: bool = False) -> Console:
    stream = sys.stderr if error else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else _WIDTH)
