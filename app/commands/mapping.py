"""`servicelane mapping ...`: try a mapping on a file, draft one, store it."""

import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.commands.opening import Opening
from app.domain.access import LOCAL
from app.domain.errors import InvalidInputError
from app.domain.mapping.draft import draft_mapping
from app.domain.mapping.loading import read_mapping
from app.domain.mapping.source_mapping import CellFault, MappedRow, SourceMapping
from app.domain.pages import PageRequest
from app.factory import Factory
from app.services.mapping_check import MappingCheck, context_of
from app.services.mappings import FITS_FROM, best_fit, shipped_mappings, shipped_texts
from app.services.sheet_reading import open_sheet

_SAMPLE: Final = 200
"""Rows that a draft is made from."""

_FAULTY_SHOWN: Final = 50
"""Rows with faults that are shown besides the first rows."""

_ROWS_NAMED: Final = 8
"""Rows that the summary names of each kind of fault."""


commands = typer.Typer(
    help="Mappings: how columns of sheets and coded values of a source become events.",
    no_args_is_help=True,
)


@commands.command()
def check(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A sheet or records, plain or .gz.")],
    mapping: Annotated[
        str | None,
        typer.Option(
            help="A YAML file, the source of a stored mapping, or the name of a shipped one. "
            "None: the one that fits best."
        ),
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="First rows to show in full.")] = 5,
    store: Annotated[str | None, typer.Option(help="Code of the store.")] = None,
    zone: Annotated[
        str, typer.Option(help="The store's time zone, unless the mapping names one.")
    ] = "Asia/Shanghai",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show row by row what would be read, and what can't be; nothing is stored.

    Ends with status 1 if any row has a fault.
    """
    _check_file(file)
    known: list[SourceMapping] = []
    if not (mapping and (Path(mapping).is_file() or mapping in shipped_mappings())):
        known = _known(context.obj)
    chosen, remark = _choose(mapping, file, known)
    with open_sheet(file, sheet=chosen.sheet, header_row=chosen.header_row) as sheet:
        now = datetime.now(UTC)
        beside = context_of(file, chosen, store_id=store, zone=_zone(zone), now=now)
        found = MappingCheck(sheet, chosen, context=beside, now=now)
        show = _as_json if as_json else _as_text
        show(found, file, remark, rows)
    if found.summary.faults:
        sys.exit(1)


@commands.command()
def draft(
    file: Annotated[Path, typer.Argument(help="A sheet or records that nobody mapped yet.")],
    sheet: Annotated[str | None, typer.Option(help="Name or number of the sheet.")] = None,
    header_row: Annotated[int | None, typer.Option(help="Row of the heading.")] = None,
    source: Annotated[
        str | None, typer.Option(help="`source` of the events. None: made of the file's name.")
    ] = None,
) -> None:
    """Write a mapping for a file, guessed from headings and values: check each CHECK."""
    _check_file(file)
    with open_sheet(file, sheet=sheet, header_row=header_row) as opened:
        sample = list(islice(opened.rows(), _SAMPLE))
        text = draft_mapping(
            opened.columns, sample, source=source or _source_of(file), file=file.name
        )
    if sheet is not None or header_row is not None:
        text = _with_place(text, sheet, header_row)
    print(text, end="")


@commands.command()
def add(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The YAML of a mapping.")],
) -> None:
    """Store a version of a mapping; running services take it up within seconds."""
    text = _text_of(file)

    async def run(factory: Factory) -> None:
        stored, is_new = await factory.mappings.put(text, principal=LOCAL)
        said = "stored" if is_new else "was stored already"
        print(f"{stored.source} version {stored.version} {said}")

    try:
        context.obj.with_factory(run)
    except InvalidInputError as error:
        _fail_with(error, file.name)


@commands.command("list")
def list_mappings(context: typer.Context) -> None:
    """List the mappings that count: stored ones, and shipped ones nobody has replaced."""

    async def run(factory: Factory) -> None:
        table = Table("source", "version", "store", "title", "from")
        replaced = set()
        page = PageRequest(limit=200)
        stored = await factory.mappings.list_page(page, principal=LOCAL)
        for one in stored.items:
            replaced.add(one.source)
            table.add_row(one.source, str(one.version), one.store or "all", one.title, "stored")
        for name, mapping in shipped_mappings().items():
            if mapping.source not in replaced:
                title, version = mapping.model.title, str(mapping.version)
                table.add_row(mapping.source, version, "all", title, f"shipped: {name}")
        _console().print(table)

    context.obj.with_factory(run)


@commands.command()
def show(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="Source of a stored mapping, or the name of a shipped one.")
    ],
    version: Annotated[int | None, typer.Option(help="None: the newest.")] = None,
) -> None:
    """Print the YAML of a mapping."""
    if name in shipped_texts():
        print(shipped_texts()[name], end="")
        return

    async def run(factory: Factory) -> str:
        found = await factory.mappings.get(name, version=version, principal=LOCAL)
        return found.shown.body

    print(context.obj.with_factory(run), end="")


def _known(opening: Opening) -> list[SourceMapping]:
    """Return stored and shipped mappings; shipped ones alone where no database is."""

    async def run(factory: Factory) -> list[SourceMapping]:
        return await factory.mapping_directory.known()

    if not opening.has_database():
        return list(shipped_mappings().values())
    known: list[SourceMapping] = opening.with_factory(run)
    return known


def _choose(
    name: str | None, file: Path, known: Iterable[SourceMapping]
) -> tuple[SourceMapping, str]:
    """Return the mapping to read a file by, and how it was found."""
    if name is not None:
        if Path(name).is_file():
            try:
                return read_mapping(_text_of(Path(name))), name
            except InvalidInputError as error:
                _fail_with(error, name)
        if name in shipped_mappings():
            return shipped_mappings()[name], f"shipped: {name}"
        for mapping in known:
            if name in {mapping.source, mapping.source.lstrip("/")}:
                return mapping, "stored"
        _fail(f"There is no file and no mapping {name}. `servicelane mapping list` shows them.")
    with open_sheet(file) as sheet:
        fit = best_fit(known, sheet.columns)
        if fit is None:
            listed = ", ".join(sheet.columns)
            _fail(
                f"No mapping fits {file.name}: none finds all that it needs and {FITS_FROM:.0%} "
                f"of the columns.\nThe file's columns are: {listed}. If they look wrong, save the "
                "file as CSV UTF-8.\n"
                f"Draft one: servicelane mapping draft {file} > mapping.yaml"
            )
    return fit[0], f"best fit: {fit[1]:.0%} of the columns"


# What a check shows


def _as_text(check: MappingCheck, file: Path, remark: str, first: int) -> None:
    console = _console()
    sheet, mapping = check.sheet, check.mapping
    about: list[str] = [sheet.format]
    if sheet.encoding is not None:
        about.append(sheet.encoding.upper())
    if sheet.name is not None:
        about.append(f"sheet {sheet.name}")
    if sheet.header_row is not None:
        about.append(f"heading in row {sheet.header_row}")
    console.print(Text.assemble((file.name, "bold"), ": ", ", ".join(about)))
    console.print(
        Text.assemble(
            "mapping ", (mapping.source, "bold"), f" version {mapping.version} ({remark})"
        )
    )
    for words, names, style in (
        ("not read", check.unread, "dim"),
        ("not in the file", check.absent, "dim"),
        ("not read, though it has the same columns", check.others, "yellow"),
    ):
        if names:
            console.print(Text(f"{words}: {', '.join(names)}", style=style))
    faulty = 0
    for position, row in enumerate(check.rows()):
        if row.faults:
            faulty += 1
        if position < first or (row.faults and faulty <= _FAULTY_SHOWN):
            _show_row(console, check, row)
    if faulty > _FAULTY_SHOWN:
        console.print(f"\n... and {faulty - _FAULTY_SHOWN} more rows with faults")
    _show_summary(console, check)


def _show_row(console: Console, check: MappingCheck, row: MappedRow) -> None:
    numbers = _numbers([one.number for one in row.rows])
    title = Text.assemble("\n", (f"row {numbers}", "bold"))
    if row.skipped is not None:
        title.append(f"  skipped: {row.skipped}", style="dim")
    console.print(title)
    for event in row.events:
        console.print(
            Text.assemble("  ", (event["type"], "cyan"), f"  {event['subject']}  {event['time']}")
        )
        table = Table.grid(padding=(0, 2))
        for pointer, value in _leaves(event["data"], ""):
            column = check.column_of(event["type"], f"/data{pointer}")
            name = pointer.lstrip("/").replace("/", ".")
            table.add_row("   ", Text(name), Text(str(value)), Text(column, style="dim"))
        console.print(table)
    for fault in row.faults:
        console.print(_fault_line(fault, row, "✗", "red"))
    for warning in row.warnings:
        console.print(_fault_line(warning, row, "!", "yellow"))


def _fault_line(fault: CellFault, row: MappedRow, mark: str, style: str) -> Text:
    place = fault.column or fault.field
    if len(row.rows) > 1:
        place = f"row {fault.row}, {place}"
    line = Text.assemble("  ", (f"{mark} {place}", style))
    if fault.value:
        line.append(f" [{fault.value}]")
    line.append(f": {fault.detail}")
    if fault.hint:
        line.append(f" {fault.hint}", style="dim")
    return line


def _show_summary(console: Console, check: MappingCheck) -> None:
    summary = check.summary
    events = ", ".join(f"{count} {name}" for name, count in summary.events.most_common())
    skipped = ", ".join(f"{count} {reason}" for reason, count in summary.skipped.most_common())
    console.print(f"\n[bold]{summary.rows} rows[/bold]: {events or 'no events'}", highlight=False)
    if skipped:
        console.print(f"skipped: {skipped}", highlight=False)
    for kinds, mark, style in (
        (summary.faults, "✗", "red"),
        (summary.warnings, "!", "yellow"),
    ):
        for (column, code), rows in sorted(kinds.items(), key=lambda kind: -len(kind[1])):
            text = f"  {len(rows)} × {code} in {column}"
            console.print(Text.assemble((f"{mark}{text}", style), f"  (row {_numbers(rows)})"))
    said = "no faults"
    if summary.faulty:
        said = f"{summary.faulty} {'row' if summary.faulty == 1 else 'rows'} with faults"
    console.print(Text(said, style="red" if summary.faulty else "green"))


def _as_json(check: MappingCheck, file: Path, remark: str, first: int) -> None:
    rows = []
    for position, row in enumerate(check.rows()):
        if position < first or row.faults:
            rows.append(
                {
                    "rows": [one.number for one in row.rows],
                    "skipped": row.skipped,
                    "events": row.events,
                    "faults": [dataclasses.asdict(fault) for fault in row.faults],
                    "warnings": [dataclasses.asdict(fault) for fault in row.warnings],
                }
            )
    summary = check.summary
    document = {
        "file": file.name,
        "format": check.sheet.format,
        "sheet": check.sheet.name,
        "header_row": check.sheet.header_row,
        "mapping": {
            "source": check.mapping.source,
            "version": check.mapping.version,
            "chosen": remark,
        },
        "not_read": check.unread,
        "not_in_the_file": check.absent,
        "other_tables": check.others,
        "rows": rows,
        "summary": {
            "rows": summary.rows,
            "events": summary.events,
            "skipped": summary.skipped,
            "rows_with_faults": summary.faulty,
            "faults": _counts(summary.faults),
            "warnings": _counts(summary.warnings),
        },
    }
    print(json.dumps(document, ensure_ascii=False, indent=2))


def _counts(kinds: dict[tuple[str, str], list[int]]) -> list[dict[str, Any]]:
    return [
        {"column": column, "code": code, "count": len(rows), "first_rows": rows[:_ROWS_NAMED]}
        for (column, code), rows in kinds.items()
    ]


def _leaves(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    """Give every value inside another one with its place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{pointer}/{key}")
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{pointer}/{index}")
    elif isinstance(value, list):
        yield pointer, " · ".join(map(str, value))
    elif isinstance(value, bool):
        yield pointer, str(value).lower()
    else:
        yield pointer, value


def _numbers(rows: list[int]) -> str:
    named = ", ".join(map(str, rows[:_ROWS_NAMED]))
    return named if len(rows) <= _ROWS_NAMED else f"{named}, ..."


# Files and words


def _check_file(file: Path) -> None:
    if not file.is_file():
        _fail(f"There is no file {file}.")


def _text_of(file: Path) -> str:
    """Read a mapping's text."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        _fail(f"{file.name} is not UTF-8. Save it as UTF-8.")


def _source_of(file: Path) -> str:
    stem = re.sub(r"[\s?#]+", "-", file.name.split(".")[0].strip()).lower()
    stem = re.sub(r"[-_]*\d{4,}[-_\d]*$", "", stem)  # the next file has another date
    return f"/dms/sheet/{stem or 'sheet'}"


def _with_place(text: str, sheet: str | None, header_row: int | None) -> str:
    """Say in a draft where in the file the table is."""
    lines = []
    if sheet is not None:
        lines.append(f"sheet: {json.dumps(sheet, ensure_ascii=False)}")
    if header_row is not None:
        lines.append(f"header_row: {header_row}")
    return text.replace("\nversion: 1\n", "\nversion: 1\n" + "\n".join(lines) + "\n", 1)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        _fail(f"{name} is no time zone, such as Asia/Shanghai.")


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False, soft_wrap=True)


def _fail_with(error: InvalidInputError, name: str) -> NoReturn:
    """Say each fault of a mapping, with its line."""
    _fail("\n".join(f"{name}: {fault.detail} ({fault.pointer or '/'})" for fault in error.faults))


def _fail(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(2)
