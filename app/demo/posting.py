"""How what happens in the made-up shop becomes events that arrive somewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from app.demo.shop import happens

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event on its way: when it arrives (UTC) and what to expect of a service that takes it in.

    ``outcome`` is accepted, duplicate, or the reason for which the event is quarantined.
    """

    arrives_at: datetime
    event: dict[str, Any]
    outcome: str = "accepted"


@dataclass(slots=True)
class Desk:
    """Writes down events of one concern (an order and its calls) with rising ids.

    Most events arrive within seconds; some are overtaken, a few take hours or days. What happens
    during an outage arrives after it.
    """

    store_id: str
    concern: str
    rng: Random
    zone: ZoneInfo
    outage: tuple[datetime, datetime] | None = None
    sent: list[Arrival] = field(default_factory=list)

    def post(
        self,
        event_type: str,
        subject: str,
        happened_at: datetime,
        data: Mapping[str, object],
        *,
        source: str = "/dms/workshop",
        event_id: str | None = None,
        arrives_at: datetime | None = None,
        outcome: str = "accepted",
    ) -> Arrival:
        """Send an event; ``arrives_at`` None: a usual lag after it happened."""
        happened_at = happened_at.replace(microsecond=0)
        event = {
            "specversion": "1.0",
            "id": event_id or f"{self.concern}-{len(self.sent) + 1}",
            "source": source,
            "type": event_type,
            "store": self.store_id,
            "subject": subject,
            "time": happened_at.astimezone(self.zone).isoformat(),
            "datacontenttype": "application/json",
            "data": dict(data),
        }
        moment = self._arrival(happened_at) if arrives_at is None else arrives_at
        arrival = Arrival(moment.astimezone(UTC), event, outcome)
        self.sent.append(arrival)
        return arrival

    def retract(self, arrival: Arrival, happened_at: datetime, reason: str) -> Arrival:
        """Take back an event that was sent; the retraction doesn't overtake it."""
        event = arrival.event
        data = {"source": event["source"], "id": event["id"], "reason": reason}
        sent_at = max(happened_at, arrival.arrives_at + _MINUTE)
        return self.post(
            "event.retracted", event["subject"], happened_at, data, arrives_at=sent_at
        )

    def _arrival(self, happened_at: datetime) -> datetime:
        rng = self.rng
        if happens(rng, 0.004):
            lag = timedelta(hours=rng.uniform(12, 220))
        elif happens(rng, 0.01):
            lag = timedelta(hours=rng.uniform(0.5, 6))
        elif happens(rng, 0.03):
            lag = timedelta(minutes=rng.uniform(3, 25))
        else:
            lag = timedelta(seconds=rng.uniform(1, 50))
        arrives_at = happened_at + lag
        if self.outage is not None and self.outage[0] <= arrives_at < self.outage[1]:
            return self.outage[1] + timedelta(seconds=rng.uniform(0, 240))
        return arrives_at
