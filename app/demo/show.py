"""How the demo talks: a terminal gets colors and a progress bar, anything else plain lines."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from io import TextIOWrapper
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.progress import TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from app.demo.feed import Tally
from app.domain.kpis.reasons import REASONS

_PLAIN_WIDTH: Final = 150
_PERCENT_PLACES: Final = 2
_PARTS_OF_TEN: Final = 10
_ALWAYS_RATIO: Final = frozenset({"promise_changes_per_visit"})


def open_console() -> Console:
    """A console for the demo's words; a character that the terminal lacks is no reason to stop."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    width = None if sys.stdout.isatty() else _PLAIN_WIDTH
    return Console(highlight=False, width=width, soft_wrap=False, emoji=False, markup=False)


class Stage:
    """Says what the demo does, step by step."""

    def __init__(self, console: Console, zone: ZoneInfo, steps: int) -> None:
        self.console = console
        self._zone = zone
        self._steps = steps
        self._step = 0

    def step(self, title: str) -> None:
        """Begin a step."""
        self._step += 1
        self.console.print()
        self.console.print(Text(f"[{self._step}/{self._steps}] {title}", style="bold cyan"))

    def say(self, text: str, style: str = "") -> None:
        """Say a sentence."""
        self.console.print(Text("  " + text, style=style))

    def show(self, table: Table) -> None:
        """Show a table."""
        self.console.print(table)

    def minute(self, moment: datetime | str) -> str:
        """Write a moment as the shop's wall clock shows it."""
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        return f"{moment.astimezone(self._zone):%Y-%m-%d %H:%M}"

    @contextmanager
    def progress(self, start: datetime, stop: datetime) -> Iterator["Bar"]:
        """Show how far the posting has come: a bar, or now and then a line."""
        if not self.console.is_terminal:
            yield Bar(start, stop, lines=self)
            return
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[events]:,} events"),
            TextColumn("{task.fields[rate]:,.0f}/s"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console) as progress:
            total = (stop - start).total_seconds()
            task = progress.add_task(f"{start:%Y-%m-%d}", total=total, events=0, rate=0.0)
            yield Bar(start, stop, bar=(progress, task))


class Bar:
    """How far the posting has come."""

    def __init__(
        self,
        start: datetime,
        stop: datetime,
        *,
        bar: tuple[Progress, TaskID] | None = None,
        lines: Stage | None = None,
    ) -> None:
        self._start = start
        self._span = (stop - start).total_seconds()
        self._bar = bar
        self._lines = lines
        self._told = 0
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._since

    def tell(self, tally: Tally) -> None:
        """Show where the tally stands."""
        if tally.reached is None:
            return
        done = (tally.reached - self._start).total_seconds()
        rate = tally.events / max(self.seconds, 0.001)
        if self._bar is not None:
            progress, task = self._bar
            progress.update(
                task,
                completed=done,
                description=f"{tally.reached:%Y-%m-%d}",
                events=tally.events,
                rate=rate,
            )
        part = int(done / self._span * _PARTS_OF_TEN)
        if self._lines is not None and part > self._told:
            self._told = part
            left = self.seconds * (self._span - done) / done
            self._lines.say(
                f"{part * 10:3} %  {tally.reached:%Y-%m-%d}  {tally.events:,} events, "
                f"{rate:,.0f} a second, about {max(left, 0):.0f} s left"
            )


def plain_table(*columns: str, **options: Any) -> Table:
    """Make a table in the demo's style."""
    return Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, **options)


def kpi_table(
    overview: Mapping[str, Any], families: Mapping[str, Mapping[str, str]], start: date
) -> Table:
    """Show each KPI of a month beside its target, under the heading of its family."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("KPI 指标", no_wrap=True)
    for title in ("Value 数值", "Target 目标"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("Verdict 判定", no_wrap=True)
    table.add_column("Made of 分子/分母", justify="right", no_wrap=True)
    table.add_column("Not counted 未计入", style="dim")
    family = ""
    for item in overview["items"]:
        if families[item["code"]]["en"] != family:
            words = families[item["code"]]
            family = words["en"]
            table.add_row(Text(f"{words['en']} {words['zh']}", style="bold"))
        value = next(v for v in item["values"] if v["period_start"] == start.isoformat())
        table.add_row(
            f"  {item['name']['en']} {item['name']['zh']}",
            number(item["code"], item["unit"], value["value"]),
            _target(item),
            _verdict(value["met"]),
            _parts(value),
            _not_counted(value["not_counted"]),
        )
    return table


def number(code: str, unit: str, value: str | None) -> str:
    """Write a value for people: rates as percent, money with separators."""
    if value is None:
        return "no data"
    exact = Decimal(value)
    if unit == "ratio" and code not in _ALWAYS_RATIO:
        return f"{_percent(exact)} %"
    if unit == "money":
        return f"¥ {exact:,.0f}"
    if unit == "count":
        return f"{exact:,f}"
    return (
        f"{exact:.2f} {'h' if unit == 'hours' else 'min'}"
        if unit
        in {
            "hours",
            "minutes",
        }
        else f"{exact:.2f}"
    )


def _percent(exact: Decimal) -> str:
    return f"{exact * 100:.{_PERCENT_PLACES}f}"


def _target(item: Mapping[str, Any]) -> str:
    if item["target"] is None:
        return ""
    sign = "≥" if item["direction"] == "up" else "≤"
    return f"{sign} {Decimal(item['target']) * 100:.1f} %"


def _verdict(met: bool | None) -> Text:  # noqa: FBT001 - a value, no switch
    if met is None:
        return Text("")
    return Text("met 达标", style="green") if met else Text("missed 未达标", style="bold red")


def _parts(value: Mapping[str, Any]) -> str:
    if value["numerator"] is None or value["denominator"] is None:
        return ""
    return " / ".join(f"{Decimal(value[part]):,f}" for part in ("numerator", "denominator"))


def _not_counted(reasons: Mapping[str, int]) -> str:
    """Say how many were left out, and why, in words."""
    return "; ".join(
        f"{count:,}: {REASONS[reason].en} {REASONS[reason].zh}"
        for reason, count in sorted(reasons.items(), key=lambda pair: -pair[1])
    )


def timeline_table(
    stage: Stage, entries: Sequence[Mapping[str, Any]], deciding: frozenset[str]
) -> Table:
    """Show what happened to an order, first things first; what decided the verdict is marked."""
    table = plain_table("", "When 时间", "What 事件", "Said 内容")
    for entry in entries:
        decided = entry["seq"] in deciding
        words = entry["title"] + (" (taken back 已撤回)" if entry["retracted"] else "")
        table.add_row(
            "●" if decided else "",
            stage.minute(entry["time"]),
            words,
            Text(said(stage, entry["data"]), overflow="ellipsis", no_wrap=True),
            style="bold" if decided else "",
        )
    return table


def said(stage: Stage, data: Mapping[str, Any]) -> str:
    """Write the plain fields of an event in a line."""
    parts = []
    for name, value in data.items():
        match value:
            case dict() | list():
                continue
            case bool():
                parts.append(f"{name}: {'yes' if value else 'no'}")
            case str() if name.endswith("_at"):
                parts.append(f"{name}: {stage.minute(value)}")
            case _:
                parts.append(f"{name}: {value}")
    return ", ".join(parts)
