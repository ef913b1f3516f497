"""What the readers of KPIs are answered, shaped as the wire has it (design/kpis.md).

Numbers and seqs are decimal texts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import msgspec

from app.db.facts import Part, Side, Tally
from app.db.snapshots import Publication
from app.domain.events.catalog import CATALOG
from app.domain.events.envelope import Event, Kind
from app.domain.kpis.coverage import Hint
from app.domain.kpis.kpi import Kpi, Words
from app.domain.kpis.reasons import REASONS
from app.domain.kpis.values import decimal_text
from app.domain.periods import Period
from app.services.kpi_values import KpiValue

NO_NAMES: Final[Mapping[str, str]] = {}


class PeriodValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value of a KPI, of one period and member.

    Attributes:
        member: None at store grain and for what has no member.
        member_name: Of a member of staff, as the caller may see it; None where none is known.
        not_counted: How many were settled or due and are in neither part, by reason.
        coverage: Feeds that were silent in the period; left out when all was well.
    """

    period_start: date
    period_end: date
    member: str | None
    member_name: str | None
    numerator: str | None
    denominator: str | None
    value: str | None
    not_counted: Mapping[str, int]
    coverage: tuple[Hint, ...] = ()


class KpiValues(msgspec.Struct, frozen=True, kw_only=True):
    """The values of a KPI, as known at `as_of_seq`."""

    code: str
    store_id: str
    period: str
    by: str
    as_of_seq: str
    values: list[PeriodValue]


class OverviewValue(PeriodValue, frozen=True, kw_only=True):
    """A value against its target; `met` is None without a target or a value."""

    met: bool | None


class OverviewItem(msgspec.Struct, frozen=True, kw_only=True):
    """A KPI of the overview."""

    code: str
    name: Words
    unit: str
    target: str | None
    direction: str | None
    values: list[OverviewValue]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Every KPI of a store, as known at `as_of_seq`."""

    store_id: str
    period: str
    as_of_seq: str
    items: list[OverviewItem]
    next_cursor: str | None = None


class DecidingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the log, named as in its envelope; its data hold nothing personal.

    Attributes:
        inferred_from: Id of the snapshot that it was read out of; None where it was told.
        inferred_from_source: Source of that snapshot; None also where it was read by a version
            that did not keep it.
    """

    seq: str
    source: str
    id: str
    type: str
    subject: str
    time: datetime
    recordedtime: datetime
    inferred_from: str | None
    inferred_from_source: str | None
    data: msgspec.Raw


class ExplainedItem(msgspec.Struct, frozen=True, kw_only=True):
    """A subject in a part of a value, and why it is there.

    Attributes:
        late_seconds: What the list is ordered by: lateness, or the sample of a median; 0 for KPIs
            that know neither.
        explanation: None where the subject has changed so much since that it has no state.
    """

    kind: Kind
    subject: str
    day: date
    advisor: str | None
    technician: str | None
    team: str | None
    work_type: str | None
    assignee: str | None
    nature: str | None
    numerator: str | None
    denominator: str | None
    reason: str
    late_seconds: int
    verdict: str | None
    reasons: Sequence[str]
    explanation: Words | None
    events: list[DecidingEvent]


class ReasonTotal(msgspec.Struct, frozen=True, kw_only=True):
    """How many subjects of a reason are in each part."""

    reason: str
    words: Words | None
    numerator: int
    denominator: int
    not_counted: int


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is behind a value: the subjects of one of its parts, and the totals of all.

    Attributes:
        names: Of the staff in it, as the caller may see them, by number or surrogate.
    """

    code: str
    store_id: str
    period: str
    period_start: date
    period_end: date
    by: str
    member: str | None
    part: Part
    as_of_seq: str
    totals: list[ReasonTotal]
    items: list[ExplainedItem]
    names: Mapping[str, str]
    next_cursor: str | None
    coverage: tuple[Hint, ...] = ()


class ChangeSide(msgspec.Struct, frozen=True, kw_only=True):
    """What a subject gave to the KPI, before or after."""

    day: date
    member: str | None
    numerator: str | None
    denominator: str | None
    reason: str
    words: Words | None


class SubjectChange(msgspec.Struct, frozen=True, kw_only=True):
    """A subject that moved a published value, and the events between that touched it."""

    kind: Kind
    subject: str
    before: ChangeSide | None
    after: ChangeSide | None
    events: list[DecidingEvent]


class PublishedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A value as a night published it."""

    version: int
    numerator: str | None
    denominator: str | None
    value: str | None
    as_of_seq: str
    published_at: datetime


class Restatement(PublishedVersion, frozen=True, kw_only=True):
    """A later version, and what moved it; `changes` may be the first of `changes_total`."""

    changes: list[SubjectChange]
    changes_total: int


class PublishedValue(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a value.

    Attributes:
        published: As it was published first; None where there was nothing to publish, or not yet.
        restatements: In order; the last one is what is published now.
        current: As known now; None where nothing is left of it.
    """

    period_start: date
    period_end: date
    member: str | None
    member_name: str | None
    published: PublishedVersion | None
    restatements: list[Restatement]
    current: PeriodValue | None


class PublishedValues(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the values of a KPI; `current` is as known at `as_of_seq`."""

    code: str
    store_id: str
    period: str
    by: str
    as_of_seq: str
    values: list[PublishedValue]


def value_answer(
    value: KpiValue, coverage: tuple[Hint, ...], names: Mapping[str, str] = NO_NAMES
) -> PeriodValue:
    """Answer a value of a period and member, with the silences of feeds in that period."""
    return PeriodValue(
        period_start=value.period.start,
        period_end=value.period.end,
        member=value.member or None,
        member_name=names.get(value.member),
        numerator=value.value.numerator,
        denominator=value.value.denominator,
        value=value.value.value,
        not_counted=value.not_counted,
        coverage=coverage,
    )


def overview_answer(
    kpi: Kpi, values: Iterable[KpiValue], hints_of: Callable[[Period], tuple[Hint, ...]]
) -> OverviewItem:
    """Answer a KPI against its target."""
    return OverviewItem(
        code=kpi.code,
        name=kpi.name,
        unit=kpi.unit,
        target=text_of(kpi.target),
        direction=kpi.direction,
        values=[
            OverviewValue(
                **msgspec.structs.asdict(value_answer(value, hints_of(value.period))),
                met=_is_met(kpi, value),
            )
            for value in values
        ],
    )


def _is_met(kpi: Kpi, value: KpiValue) -> bool | None:
    if kpi.target is None or value.value.value is None:
        return None
    number = Decimal(value.value.value)
    return number <= kpi.target if kpi.direction == "down" else number >= kpi.target


def total_answer(tally: Tally) -> ReasonTotal:
    """Answer how many subjects of a reason are in each part."""
    return ReasonTotal(
        reason=tally.reason,
        words=REASONS.get(tally.reason),
        numerator=tally.numerator,
        denominator=tally.denominator,
        not_counted=tally.not_counted,
    )


def version_answer(publication: Publication) -> PublishedVersion:
    """Answer a value as a night published it."""
    return PublishedVersion(
        version=publication.version,
        numerator=text_of(publication.numerator),
        denominator=text_of(publication.denominator),
        value=None if publication.value is None else format(publication.value, "f"),
        as_of_seq=str(publication.as_of_seq),
        published_at=publication.published_at,
    )


def side_answer(side: Side | None) -> ChangeSide | None:
    """Answer what a subject gave to a KPI."""
    if side is None:
        return None
    return ChangeSide(
        day=side.day,
        member=side.member,
        numerator=text_of(side.numerator),
        denominator=text_of(side.denominator),
        reason=side.reason,
        words=REASONS.get(side.reason),
    )


def event_answer(event: Event) -> DecidingEvent:
    """Answer an event of the log."""
    return DecidingEvent(
        seq=str(event.seq),
        source=event.source,
        id=event.id,
        type=event.type,
        subject=event.subject,
        time=event.occurred_at,
        recordedtime=event.recorded_at,
        inferred_from=event.causation_id if event.inferred else None,
        inferred_from_source=event.correlation_id if event.inferred else None,
        data=msgspec.Raw(CATALOG[event.type].forms[-1].write(event.payload)),
    )


def text_of(number: Decimal | None) -> str | None:
    """Write a number exactly; None stays None."""
    return None if number is None else decimal_text(number)
