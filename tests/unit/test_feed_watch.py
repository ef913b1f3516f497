"""What is said about feeds, and when they are looked at."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.events.envelope import DESK_SOURCE, OWN_SOURCE, Event, Kind
from app.domain.events.feed import FeedResumed, FeedSilent
from app.domain.events.payload import Payload
from app.domain.events.repair_order import RepairOrderCleaned
from app.domain.feed import KEPT_SILENCES, Feed, Silence, evolve
from app.domain.feed_watch import (
    LAG_BOUNDS,
    LAG_CLASSES,
    FeedRule,
    FeedView,
    Look,
    is_feed,
    lag_class,
    lag_quantile,
    look,
    silent_at,
)
from app.domain.fold import fold
from app.domain.kpis.coverage import hints
from app.domain.periods import Period
from app.domain.rhythm import HORIZON, Rhythm

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MONDAY = datetime(2026, 6, 8, 2, 0, tzinfo=UTC)
"""10:00 in Shanghai."""
NEVER = datetime(2020, 1, 1, tzinfo=UTC)

ALWAYS = Rhythm(
    weeks=8, hours={(day, hour): 0.9 for day in range(7) for hour in range(24)}, days={}
)
VIEW = FeedView(
    source="/dms/a",
    first_seen_at=MONDAY - timedelta(weeks=9),
    last_seen_at=MONDAY,
    resumed_at=None,
    silent_from=None,
    rule=FeedRule(),
    rhythm=ALWAYS,
)
SILENT = replace(VIEW, silent_from=MONDAY)


def at(view: FeedView, now: datetime, watched_from: datetime = NEVER) -> Look:
    return look(view, now=now, watched_from=watched_from, zone=SHANGHAI)


def test_a_feed_is_looked_at_again_when_it_would_be_silent() -> None:
    assert at(VIEW, MONDAY + HOUR) == Look(MONDAY + 2 * HOUR)
    assert silent_at(VIEW, watched_from=NEVER, zone=SHANGHAI) == MONDAY + 2 * HOUR


def test_a_silence_is_stamped_with_its_moment_however_late_it_is_noticed() -> None:
    said = FeedSilent(
        source="/dms/a",
        last_seen_at=MONDAY,
        since=MONDAY + 2 * HOUR,
        expected=MONDAY + HOUR,
    )
    assert at(VIEW, MONDAY + 2 * HOUR) == Look(None, said)
    assert at(VIEW, MONDAY + 3 * DAY) == Look(None, said)


def test_time_that_nobody_watched_does_not_count() -> None:
    back = MONDAY + DAY
    assert at(VIEW, back, watched_from=back) == Look(back + 2 * HOUR)
    assert silent_at(VIEW, watched_from=back, zone=SHANGHAI) == back + 2 * HOUR


def test_a_fixed_rule_takes_the_place_of_the_rhythm() -> None:
    fixed = replace(VIEW, rule=FeedRule(timedelta(minutes=20)), rhythm=None)
    due = MONDAY + timedelta(minutes=20)
    assert at(fixed, MONDAY) == Look(due)
    said = at(fixed, due).said
    assert isinstance(said, FeedSilent)
    assert (said.since, said.expected, said.silent_after_minutes) == (due, due, 20)


def test_what_has_no_rhythm_is_looked_at_later() -> None:
    young = replace(VIEW, first_seen_at=MONDAY - DAY, rhythm=None)
    assert at(young, MONDAY + HOUR) == Look(MONDAY + 6 * DAY)
    odd = replace(VIEW, rhythm=None)
    assert at(odd, MONDAY + HOUR) == Look(MONDAY + HOUR + DAY)
    rare = replace(VIEW, rhythm=Rhythm(weeks=8, hours={}, days={}))
    assert at(rare, MONDAY + HOUR) == Look(MONDAY + HOUR + HORIZON)


def test_people_at_the_desk_have_no_rhythm_but_may_have_a_rule() -> None:
    desk = replace(VIEW, source=DESK_SOURCE)
    assert at(desk, MONDAY + 30 * DAY).said is None
    assert at(replace(desk, rule=FeedRule(DAY)), MONDAY + 30 * DAY).said is not None


def test_a_muted_feed_is_not_looked_at() -> None:
    muted = replace(VIEW, rule=FeedRule(muted=True))
    assert at(muted, MONDAY + 30 * DAY) == Look(None)
    assert silent_at(muted, watched_from=NEVER, zone=SHANGHAI) is None


def test_a_silence_lasts_until_the_feed_is_heard_of() -> None:
    assert at(SILENT, MONDAY + 30 * DAY) == Look(None)
    first, last = MONDAY + DAY, MONDAY + DAY + HOUR
    heard = replace(SILENT, last_seen_at=last, resumed_at=first)
    said = FeedResumed(source="/dms/a", silent_from=MONDAY, resumed_at=first, reason="seen")
    assert at(heard, last + timedelta(minutes=1)) == Look(last + 2 * HOUR, said)
    # the first sign of life may have been a duplicate that came while it was looked at
    again = at(replace(heard, resumed_at=None), last).said
    assert isinstance(again, FeedResumed)
    assert again.resumed_at == last
    muted = at(replace(heard, rule=FeedRule(muted=True)), last)
    assert muted == Look(None, said)


@pytest.mark.parametrize(
    ("rule", "reason", "look_at"),
    [
        (FeedRule(muted=True), "muted", None),
        (FeedRule(5 * DAY), "rule", MONDAY + 5 * DAY),
    ],
)
def test_a_rule_can_end_a_silence(rule: FeedRule, reason: str, look_at: datetime | None) -> None:
    now = MONDAY + DAY
    found = at(replace(SILENT, rule=rule), now)
    assert isinstance(found.said, FeedResumed)
    assert (found.said.reason, found.said.resumed_at) == (reason, now)
    assert found.look_at == look_at


def test_a_silence_by_a_rule_that_is_gone_ends_where_there_is_no_rhythm() -> None:
    found = at(replace(SILENT, rhythm=None), MONDAY + DAY)
    assert isinstance(found.said, FeedResumed)
    assert found.said.reason == "rule"


def test_the_service_itself_is_no_feed_but_its_desk_is() -> None:
    assert [
        is_feed(source) for source in (OWN_SOURCE, f"{OWN_SOURCE}/snapshot", DESK_SOURCE, "/dms/a")
    ] == [False, False, True, True]


# Lags


@pytest.mark.parametrize(
    ("seconds", "position"), [(-60, 0), (0, 0), (9.9, 0), (10, 1), (86_400, 7), (10**9, 11)]
)
def test_lags_are_counted_in_classes(seconds: float, position: int) -> None:
    assert lag_class(seconds) == position


@given(
    lags=st.lists(st.integers(0, 10**8), min_size=1, max_size=50),
    share=st.sampled_from([0.5, 0.95]),
)
def test_an_estimated_quantile_lies_in_the_class_of_the_exact_one(
    lags: list[int], share: float
) -> None:
    counts = [0] * LAG_CLASSES
    for lag in lags:
        counts[lag_class(lag)] += 1
    ordered = sorted(lags)
    exact = next(lag for rank, lag in enumerate(ordered, 1) if rank >= share * len(lags))
    found = lag_quantile(counts, share, ordered[-1])
    assert found is not None
    position = lag_class(exact)
    low = LAG_BOUNDS[position - 1] if position else 0
    high = LAG_BOUNDS[position] if position < len(LAG_BOUNDS) else ordered[-1]
    assert min(low, ordered[-1]) <= found <= min(high, ordered[-1])


def test_without_events_there_is_no_lag() -> None:
    assert lag_quantile([0] * LAG_CLASSES, 0.5, 0) is None


# The state


def told(*payloads: Payload) -> list[Event]:
    return [
        Event(
            store_id="S1",
            seq=seq,
            source=OWN_SOURCE,
            id=str(seq),
            type="feed.silent" if isinstance(payload, FeedSilent) else "feed.resumed",
            kind=Kind.FEED,
            key="/dms/a",
            subject="/dms/a",
            # for display only: what the service wrote applies in seq order
            occurred_at=MONDAY - seq * DAY,
            recorded_at=MONDAY,
            schema_version=1,
            payload=payload,
        )
        for seq, payload in enumerate(payloads, 1)
    ]


def silence(number: int) -> FeedSilent:
    start = MONDAY + number * DAY
    return FeedSilent(source="/dms/a", last_seen_at=start, since=start + HOUR)


def end(number: int) -> FeedResumed:
    start = MONDAY + number * DAY
    return FeedResumed(
        source="/dms/a", silent_from=start, resumed_at=start + 2 * HOUR, reason="seen"
    )


def test_a_feed_remembers_its_silences() -> None:
    state = fold(Kind.FEED, "/dms/a", told(silence(0), end(0), silence(3)))
    assert state == Feed(
        source="/dms/a",
        silent_from=MONDAY + 3 * DAY,
        silent_seq=3,
        silences=[Silence(MONDAY, MONDAY + 2 * HOUR)],
    )
    assert isinstance(state, Feed)
    assert state.all_silences == [
        Silence(MONDAY, MONDAY + 2 * HOUR),
        Silence(MONDAY + 3 * DAY),
    ]


def test_of_very_many_silences_the_last_are_remembered() -> None:
    words = [
        word for number in range(KEPT_SILENCES + 5) for word in (silence(number), end(number))
    ]
    state = fold(Kind.FEED, "/dms/a", told(*words))
    assert isinstance(state, Feed)
    assert len(state.silences) == KEPT_SILENCES
    assert state.silences[0].start == MONDAY + 5 * DAY


def test_no_other_event_is_one_of_a_feed() -> None:
    with pytest.raises(TypeError, match="no event of a feed"):
        evolve(Feed(source="/dms/a"), told(RepairOrderCleaned())[0])


# The hint on figures


def test_a_figure_says_which_feeds_were_silent_in_its_period() -> None:
    silences = {
        "/dms/b": [Silence(MONDAY)],
        "/dms/a": [
            Silence(MONDAY - 9 * DAY, MONDAY - 8 * DAY),
            Silence(MONDAY, MONDAY + DAY),
        ],
    }

    def over(start: str, stop: str) -> list[tuple[str, bool]]:
        period = Period(datetime.fromisoformat(start).date(), datetime.fromisoformat(stop).date())
        found = hints(silences, period, SHANGHAI)
        return [(hint.source, hint.silent_until is None) for hint in found]

    assert over("2026-06-01", "2026-06-08") == []
    assert over("2026-06-08", "2026-06-09") == [("/dms/a", False), ("/dms/b", True)]
    assert over("2026-06-10", "2026-06-11") == [("/dms/b", True)]
    assert over("2026-05-30", "2026-05-31") == [("/dms/a", False)]


def test_a_hint_has_words_in_both_languages() -> None:
    period = Period(MONDAY.date(), MONDAY.date() + DAY)
    ended, lasting = hints(
        {"/dms/a": [Silence(MONDAY, MONDAY + DAY)], "/dms/b": [Silence(MONDAY)]}, period, SHANGHAI
    )
    assert "from 2026-06-08 10:00 to 2026-06-09 10:00" in ended.note.en
    assert "2026-06-08 10:00 至 2026-06-09 10:00" in ended.note.zh
    assert "since 2026-06-08 10:00" in lasting.note.en
    assert "自 2026-06-08 10:00 起" in lasting.note.zh
