"""What operators watch, in Prometheus' words: counted here as it happens, read at the scrape.

A registry for each application, nothing global. Every label has a bounded set of values: routes
are told by their template, and of stores only those with something to tell are listed, the worst
first; the rest are one series.
"""

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from typing_extensions import override

from app.db.engine import Database
from app.db.operating_figures import OperatingFigures
from app.domain.events.envelope import Reason
from app.domain.quarantine import NO_STORE
from app.services.units import Accepted, Duplicate, Facts, Sweep, Unit

OTHER: Final = "(other)"
"""Stands for all stores beyond those that are listed one by one; it can't be a store's code."""

MOST_STORES: Final = 200
"""Stores that are listed one by one in one metric."""

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_GROUP_EVENTS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
_GROUP_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_LAG_SECONDS: Final = (1, 2, 5, 10, 30, 60, 300, 900, 3_600, 86_400)


@dataclass(slots=True)
class Latest:
    """The figures of the database as they were read last.

    Attributes:
        now: The service's time when they were read.
        read_at: Of the monotonic clock; 0 while they never were.
    """

    figures: OperatingFigures | None = None
    now: datetime | None = None
    read_at: float = 0.0
    seconds: float = 0.0
    pools: Database | None = field(default=None, repr=False)


class Instruments:
    """The counters of one process, and the registry that they are read from."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.latest = Latest()
        events = Counter(
            "servicelane_events",
            "Events that came in or were replayed, by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self._accepted = events.labels("accepted")
        self._duplicate = events.labels("duplicate")
        self._quarantined = events.labels("quarantined")
        self._reasons = Counter(
            "servicelane_events_quarantined",
            "Events that were put in quarantine, or had to wait on there, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self._requests = Histogram(
            "servicelane_http_request_seconds",
            "Time to answer a request, by method, route template and class of status.",
            ["method", "route", "status"],
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )
        self._known_requests: dict[tuple[str, str, int], Histogram] = {}
        self._group_events = Histogram(
            "servicelane_append_group_events",
            "Units of work in a group of appends, weighed by their events.",
            buckets=_GROUP_EVENTS,
            registry=self.registry,
        )
        self._group_seconds = Histogram(
            "servicelane_append_group_seconds",
            "Time from the first read to the commit of a group of appends.",
            buckets=_GROUP_SECONDS,
            registry=self.registry,
        )
        self._lag = Histogram(
            "servicelane_clock_detection_lag_seconds",
            "Time from a deadline to the sweep that noticed it.",
            buckets=_LAG_SECONDS,
            registry=self.registry,
        )
        self.registry.register(_Figures(self.latest))
        ProcessCollector(registry=self.registry)

    def note_group(self, units: Collection[Unit], seconds: float, now: datetime) -> None:
        """Note a group of appends that was written."""
        self._group_events.observe(sum(unit.weight for unit in units))
        self._group_seconds.observe(seconds)
        for unit in units:
            if isinstance(unit, Facts):
                self._note_facts(unit)
            elif isinstance(unit, Sweep):
                for clock in unit.seen:
                    self._lag.observe(max(0.0, (now - clock.due_at).total_seconds()))

    def note_refused(self, reasons: Iterable[Reason]) -> None:
        """Note events that the door refused."""
        for reason in reasons:
            self._quarantined.inc()
            self._reasons.labels(reason.value).inc()

    def note_dealt_with(self, times: int) -> None:
        """Note what the door refused, but was dealt with in quarantine before."""
        self._duplicate.inc(times)

    def note_request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Note an answer; `route` is the template of its path, None where none fits."""
        key = (method, route or "", status // 100)
        known = self._known_requests.get(key)
        if known is None:
            known = self._requests.labels(
                method if method in _METHODS else "other", route or "none", f"{status // 100}xx"
            )
            if route is not None and method in _METHODS:
                self._known_requests[key] = known
        known.observe(seconds)

    def _note_facts(self, unit: Facts) -> None:
        outcomes = [type(outcome) for outcome in unit.outcomes]
        if accepted := outcomes.count(Accepted):
            self._accepted.inc(accepted)
        if duplicate := outcomes.count(Duplicate):
            self._duplicate.inc(duplicate)
        if accepted + duplicate < len(outcomes):
            self.note_refused(
                outcome.reason
                for outcome in unit.outcomes
                if not isinstance(outcome, Accepted | Duplicate)
            )


class _Figures(Collector):
    """Writes the figures of the database, and the use of the connections to it."""

    def __init__(self, latest: Latest) -> None:
        self._latest = latest

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: what there is depends on what is read."""
        return []

    @override
    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give what was read last."""
        figures, now = self._latest.figures, self._latest.now
        up = _gauge("database_up", "Whether the database answered when it was asked last.")
        up.add_metric([], 0 if figures is None else 1)
        yield up
        yield from _pools(self._latest.pools)
        if figures is None or now is None:
            return
        age = _gauge("figures_age_seconds", "How old the figures of the database are.")
        age.add_metric([], max(0.0, time.monotonic() - self._latest.read_at))
        yield age
        spent = _gauge("figures_read_seconds", "How long it took to read them.")
        spent.add_metric([], self._latest.seconds)
        yield spent
        yield from _quarantine(figures, now)
        yield from _work(figures, now)


def _quarantine(figures: OperatingFigures, now: datetime) -> Iterator[GaugeMetricFamily]:
    waiting = _gauge("quarantine_waiting", "Items that wait.", "store", "reason")
    oldest = _gauge(
        "quarantine_oldest_age_seconds", "How long the oldest has waited.", "store", "reason"
    )
    listed = _worst(figures)
    sums: dict[tuple[str, str], tuple[int, float]] = {}
    for found in figures.waiting:
        key = found.store_id if found.store_id in listed else OTHER, found.reason.value
        count, longest = sums.get(key, (0, 0.0))
        seconds = max(0.0, (now - found.oldest_received_at).total_seconds())
        sums[key] = count + found.items, max(longest, seconds)
    for labels, (count, longest) in sums.items():
        waiting.add_metric(labels, count)
        oldest.add_metric(labels, longest)
    yield waiting
    yield oldest
    runs = _gauge(
        "quarantine_runs", "Runs over the quarantine that are not at their end.", "state"
    )
    for state in ("queued", "running"):
        runs.add_metric([state], figures.open_runs.get(state, 0))
    yield runs


def _worst(figures: OperatingFigures) -> set[str]:
    """Name the stores with most in quarantine; what is of no store is told apart from all."""
    sums: dict[str, int] = {}
    for found in figures.waiting:
        sums[found.store_id] = sums.get(found.store_id, 0) + found.items
    return {NO_STORE, *sorted(sums, key=lambda store_id: -sums[store_id])[:MOST_STORES]}


def _work(figures: OperatingFigures, now: datetime) -> Iterator[GaugeMetricFamily]:
    stores = _gauge("stores", "Stores.")
    stores.add_metric([], figures.stores)
    yield stores
    logged = _gauge("log_events", "Events in the logs of all stores.")
    logged.add_metric([], figures.logged)
    yield logged
    behind = _gauge(
        "metrics_lag_events",
        "Events that the facts of a store don't cover yet; stores without any are left out.",
        "store",
    )
    for store_id, lag in figures.behind[:MOST_STORES]:
        behind.add_metric([store_id], lag)
    if rest := figures.behind[MOST_STORES:]:
        behind.add_metric([OTHER], sum(lag for _, lag in rest))
    yield behind
    most = _gauge("metrics_lag_events_max", "The largest of them.")
    most.add_metric([], max((lag for _, lag in figures.behind), default=0))
    yield most
    due = _gauge("clocks_due", "Clocks that are due and were not swept yet.")
    due.add_metric([], figures.clocks_due)
    yield due
    longest = _gauge("clocks_due_lag_seconds", "How long the first of them has been due.")
    since = figures.clocks_due_since
    longest.add_metric([], 0 if since is None else max(0.0, (now - since).total_seconds()))
    yield longest
    failing = _gauge("clocks_failing", "Running clocks that could not be evaluated last time.")
    failing.add_metric([], figures.clocks_failing)
    yield failing
    deliveries = _gauge("webhook_deliveries", "Deliveries of webhooks that are kept.", "state")
    for state, count in sorted(figures.deliveries.items()):
        deliveries.add_metric([state], count)
    yield deliveries
    nights = _gauge("nights", "Stores by what became of their last night.", "state")
    for state, count in sorted(figures.nights.items()):
        nights.add_metric([state], count)
    yield nights


def _pools(database: Database | None) -> Iterator[GaugeMetricFamily]:
    if database is None:
        return
    size = _gauge("database_connections", "Connections that are open.", "pool")
    used = _gauge("database_connections_used", "Connections that are in use.", "pool")
    most = _gauge("database_connections_max", "Connections that may be opened.", "pool")
    for name, pool in (("log", database.log), ("read", database.read)):
        size.add_metric([name], pool.get_size())
        used.add_metric([name], pool.get_size() - pool.get_idle_size())
        most.add_metric([name], pool.get_max_size())
    yield from (size, used, most)


def _gauge(name: str, description: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"servicelane_{name}", description, labels=labels)
