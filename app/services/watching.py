"""What a group of appends has to do with feeds: who sent what, and what is unusual about it.

A watch decides under the head of its store, on rows that were read after the head: of many
processes that watch, one says it, and what arrives meanwhile is not overlooked.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from app.db.event_log import EventLog
from app.db.feeds import Fate, FeedRepository, FeedTally, KnownFeed
from app.domain.backlog import Backlog, growing, has_settled, sign_of
from app.domain.events.backlog import QuarantineSettled
from app.domain.events.compose import make_own_event
from app.domain.events.envelope import Kind, NewEvent
from app.domain.events.feed import FeedSilent
from app.domain.events.payload import Payload
from app.domain.feed_watch import FeedView, look
from app.domain.rhythm import rhythm_of
from app.services.group_states import Document, GroupStates
from app.services.units import Accepted, Facts, Quarantined, Watch

PART: Final = 20
"""Feeds that are looked at in one transaction."""


class Watching:
    """The feeds in one group; see the module's docstring."""

    def __init__(self, log: EventLog, states: GroupStates, *, now: datetime) -> None:
        self._feeds = FeedRepository(log.connection)
        self._states = states
        self._now = now
        self._tally = FeedTally()
        self._looks: list[dict[str, Any]] = []

    def count(self, unit: Facts) -> None:
        """Count the events of a unit, by what became of them."""
        at = max(self._states.heads[unit.store_id].recorded_at, self._now)
        if len(unit.events) == 1 and not unit.replays and type(unit.outcomes[0]) is Accepted:
            (event,) = unit.events
            self._tally.count_entered(unit.store_id, event.source, [event.occurred_at], at=at)
            return
        entered: dict[str, list[datetime]] = defaultdict(list)
        others: Counter[tuple[str, Fate]] = Counter()
        for position, (event, outcome) in enumerate(zip(unit.events, unit.outcomes, strict=True)):
            if position in unit.replays:
                if type(outcome) is Accepted:
                    self._tally.count_entered(
                        unit.store_id, event.source, [event.occurred_at], at=at, seen=False
                    )
            elif type(outcome) is Accepted:
                entered[event.source].append(event.occurred_at)
            else:
                fate: Fate = "quarantined" if type(outcome) is Quarantined else "duplicates"
                others[event.source, fate] += 1
        for source, times in entered.items():
            self._tally.count_entered(unit.store_id, source, times, at=at)
        for (source, fate), count in others.items():
            self._tally.count(unit.store_id, source, fate, at=at, times=count)

    def count_commanded(self, store_id: str, events: Iterable[NewEvent]) -> None:
        """Count what a command wrote."""
        at = max(self._states.heads[store_id].recorded_at, self._now)
        for event in events:
            self._tally.count_entered(store_id, event.source, [event.occurred_at], at=at)

    async def run(self, unit: Watch) -> None:
        """Look at the feeds of the store that are due, and at its backlog."""
        unit.said = 0
        zone = self._states.zone_of(unit.store_id)
        due = await self._feeds.list_due(unit.store_id, self._now, unit.limit)
        unit.seen = len(due)
        for feed in due:
            await self._look_at(unit, feed, zone)
        await self._look_at_backlog(unit)

    async def _look_at(self, unit: Watch, feed: KnownFeed, zone: ZoneInfo) -> None:
        subject = (unit.store_id, Kind.FEED, feed.source)
        if feed.state is not None:
            self._states.adopt(subject, feed.version, feed.state)
        found = look(
            await view_of(self._feeds, unit.store_id, feed, zone),
            now=self._now,
            watched_from=unit.watched_from,
            zone=zone,
        )
        silent = feed.state is not None and feed.state.silent_from is not None
        match found.said:
            case None:
                pass
            case FeedSilent(since=since):
                silent = True
                await self._say(unit, "feed.silent", feed.source, since, found.said)
            case resumed:
                silent = False
                await self._say(unit, "feed.resumed", feed.source, resumed.resumed_at, resumed)
        self._looks.append(
            {
                "store_id": unit.store_id,
                "source": feed.source,
                "last_seen_at": feed.last_seen_at,
                "look_at": found.look_at,
                "silent": silent,
            }
        )

    async def _look_at_backlog(self, unit: Watch) -> None:
        level = await self._feeds.get_level(unit.store_id, self._now)
        kept = await self._feeds.find_backlog(unit.store_id)
        if kept is not None:
            self._states.adopt((unit.store_id, Kind.BACKLOG, unit.store_id), *kept)
        backlog = Backlog(store_id=unit.store_id) if kept is None else kept[1]
        sign = sign_of(level, self._now)
        if backlog.growing_since is None and sign is not None:
            by_reason, by_source = await self._feeds.break_down(unit.store_id)
            said: Payload = growing(
                level, sign, by_reason=by_reason, by_source=by_source, now=self._now
            )
            await self._say(unit, "quarantine.growing", unit.store_id, self._now, said)
        elif backlog.growing_since is not None and has_settled(level, backlog.waiting, self._now):
            said = QuarantineSettled(waiting=level.waiting, growing_since=backlog.growing_since)
            await self._say(unit, "quarantine.settled", unit.store_id, self._now, said)

    async def _say(
        self, unit: Watch, event_type: str, subject: str, at: datetime, payload: Payload
    ) -> None:
        """Write an event; the end of the log before it tells it from others of its kind."""
        event = make_own_event(
            store_id=unit.store_id,
            event_type=event_type,
            subject=subject,
            occurred_at=at,
            payload=payload,
            cause_seq=self._states.heads[unit.store_id].seq,
        )
        await self._states.append(unit.store_id, [event])
        unit.said += 1

    def add_to(self, document: Document) -> None:
        """Add what came of the looks to the rows that are written."""
        if self._looks:
            document["feed_look"] = self._looks

    def add_received(self, document: Document) -> None:
        """Add what was received to the rows that are written; for these no head is moved."""
        self._tally.add_to(document)


async def view_of(
    feeds: FeedRepository, store_id: str, feed: KnownFeed, zone: ZoneInfo
) -> FeedView:
    """Make the view of a feed, with its rhythm as it was when it was last heard of."""
    rhythm = rhythm_of(
        await feeds.list_active_hours(store_id, feed),
        first_seen_at=feed.first_seen_at,
        last_seen_at=feed.last_seen_at,
        silences=feed.silences,
        zone=zone,
    )
    return FeedView(
        source=feed.source,
        first_seen_at=feed.first_seen_at,
        last_seen_at=feed.last_seen_at,
        resumed_at=feed.resumed_at,
        silent_from=None if feed.state is None else feed.state.silent_from,
        rule=feed.rule,
        rhythm=rhythm,
    )
