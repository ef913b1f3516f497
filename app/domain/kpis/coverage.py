"""What a figure can't know: the silences of feeds in its period.

A KPI that dropped because nothing came is not read as bad work.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from app.domain.feed import Silence
from app.domain.kpis.kpi import Words
from app.domain.periods import Period, start_of_day


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """A feed was silent in the period of a figure.

    Attributes:
        silent_from: When it was last heard of before.
        silent_until: When it was heard of again; None: it is silent still.
    """

    source: str
    silent_from: datetime
    silent_until: datetime | None
    note: Words


def hints(
    silences: Mapping[str, Sequence[Silence]], period: Period, zone: ZoneInfo
) -> tuple[Hint, ...]:
    """Tell which feeds were silent in a period; empty when all was well.

    Args:
        silences: By source.
        period: Of the figure.
        zone: Of the store.

    Returns:
        By source, then by time.
    """
    start, end = start_of_day(period.start, zone), start_of_day(period.end, zone)
    return tuple(
        Hint(
            source=source,
            silent_from=silence.start,
            silent_until=silence.end,
            note=_note(source, silence, zone),
        )
        for source in sorted(silences)
        for silence in silences[source]
        if silence.touches(start, end)
    )


def _note(source: str, silence: Silence, zone: ZoneInfo) -> Words:
    since = _minute(silence.start, zone)
    if silence.end is None:
        return Words(
            f"Nothing has come from {source} since {since}: what happened since is missing here.",
            f"自 {since} 起未收到 {source} 的数据，之后发生的业务未计入。",
        )
    until = _minute(silence.end, zone)
    return Words(
        f"Nothing came from {source} from {since} to {until}: what happened then may be missing "
        "here.",
        f"{since} 至 {until} 未收到 {source} 的数据，其间的业务可能未计入。",
    )


def _minute(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M}"
