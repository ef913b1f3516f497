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
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from app.demo.feed import Tally

_PLAIN_WIDTH: Final = 180
_ROOM_FOR_REASONS: Final = 130
_PERCENT_PLACES: Final = 2
_PARTS_OF_TEN: Final = 10
_NO_PERCENTAGE: Final = frozenset({"promise_changes_per_visit"})
_REASONS: Final = {
    "comeback-open": "not looked into yet 返修待鉴定",
    "hours-missing": "hours missing 缺工时",
    "missed-on-arrival": "heard of too late 录入时已过期",
    "negative-span": "times contradict 时间矛盾",
    "never-opened": "opening missing 无开单记录",
    "no-costs": "costs missing 无成本",
    "no-defect": "no defect 无缺陷",
    "no-parts-requested": "no parts needed 无需备件",
    "no-promise": "no time promised 无承诺时间",
    "no-start": "opening missing 无开单记录",
    "not-due": "not due yet 未到期",
    "not-inspected": "not inspected 无检验",
    "other-work-type": "other work 其他类型",
}
_FIELDS: Final = {
    "promised_at": "promised for",
    "reason": "reason",
    "confirmed_by_customer": "customer agreed",
    "work_type": "work",
    "advisor": "advisor",
    "technician": "technician",
    "team": "team",
    "level": "level",
    "passed": "passed",
    "inspector": "by",
    "delivered_at": "delivered",
    "description": "more work",
    "amount": "amount",
    "accepted": "agreed",
    "signed": "signed",
    "kind": "call",
    "opens_at": "not before",
    "due_at": "at the latest",
    "assignee": "by",
    "by": "by",
    "channel": "by way of",
    "outcome": "outcome",
    "customer_says_on_time": "customer says on time",
}


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
        self.console.print(Text("  " + text, style=style), soft_wrap=True)

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
    overview: Mapping[str, Any],
    families: Mapping[str, Mapping[str, str]],
    start: date,
    width: int,
) -> Table:
    """Show each KPI of a month beside its target, under the heading of its family."""
    table = plain_table()
    table.add_column("KPI 指标", no_wrap=width >= _ROOM_FOR_REASONS)
    for title in ("Value 数值", "Target 目标"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("Verdict 判定", no_wrap=True)
    table.add_column("Made of 分子/分母", justify="right", no_wrap=True)
    if width >= _ROOM_FOR_REASONS:
        table.add_column("Not counted 未计入")
    family = ""
    for item in overview["items"]:
        words = families[item["code"]]
        if words["en"] != family:
            family = words["en"]
            table.add_row(Text(f"{words['en']} {words['zh']}", style="bold"))
        value = next(v for v in item["values"] if v["period_start"] == start.isoformat())
        cells = (
            f"  {item['name']['en']} {item['name']['zh']}",
            number(item["code"], item["unit"], value["value"]),
            _target(item),
            _verdict(value["met"]),
            _parts(value),
            _not_counted(value["not_counted"]),
        )
        table.add_row(*cells[: len(table.columns)])
    return table


def number(code: str, unit: str, value: str | None) -> str:
    """Write a value for people: rates as percent, money with separators."""
    if value is None:
        return "no data 无数据"
    exact = Decimal(value)
    match unit:
        case "ratio" if code not in _NO_PERCENTAGE:
            text = f"{exact * 100:.2f} %"
        case "money":
            text = f"¥ {exact:,.0f}"
        case "count":
            text = f"{exact:,f}"
        case "hours" | "minutes":
            text = f"{exact:.2f} {unit}"
        case _:
            text = f"{exact:.2f}"
    return text


def _target(item: Mapping[str, Any]) -> str:
    if item["target"] is None:
        return ""
    sign = "≥" if item["direction"] == "up" else "≤"
    return f"{sign} {Decimal(item['target']) * 100:.1f} %"


def _verdict(met: bool | None) -> Text:
    if met is None:
        return Text("")
    return Text("met 达标", style="green") if met else Text("missed 未达标", style="bold red")


def _parts(value: Mapping[str, Any]) -> str:
    if value["numerator"] is None or value["denominator"] is None:
        return ""
    return " / ".join(f"{Decimal(value[part]):,f}" for part in ("numerator", "denominator"))


def _not_counted(reasons: Mapping[str, int]) -> str:
    """Say how many were left out, and why, the most first."""
    return ", ".join(
        f"{count:,} {_REASONS.get(reason, reason)}"
        for reason, count in sorted(reasons.items(), key=lambda pair: -pair[1])
    )


def timeline_table(
    stage: Stage, entries: Sequence[Mapping[str, Any]], deciding: frozenset[str]
) -> Table:
    """Show what happened to an order, first things first; what decided the verdict is marked."""
    table = plain_table("", "When 时间", "What 事件", "How 内容")
    for entry in entries:
        decided = entry["seq"] in deciding
        taken_back = " (taken back 已撤回)" if entry["retracted"] else ""
        table.add_row(
            "●" if decided else "",
            stage.minute(entry["time"]),
            entry["title"] + taken_back,
            said(stage, entry["data"]),
            style="bold" if decided else "",
        )
    return table


def said(stage: Stage, data: Mapping[str, Any]) -> str:
    """Write what matters of an event in a line."""
    parts = []
    for name, word in _FIELDS.items():
        match data.get(name):
            case None:
                continue
            case bool() as answer:
                parts.append(f"{word}: {'yes' if answer else 'no'}")
            case str() as moment if name.endswith("_at"):
                parts.append(f"{word}: {stage.minute(moment)}")
            case value:
                parts.append(f"{word}: {value}")
    return ", ".join(parts)
