"""Lives of a repair order, and what an export would show of it at any moment.

``lives()`` is the Hypothesis strategy. A life is what truly happened; ``view`` is the snapshot of
it, as an export would write it; ``as_seen`` leaves out of a life what no snapshot could show
because the next change came before it, and what a snapshot can't know.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from app.domain.events.catalog import CATALOG
from app.domain.events.envelope import INFERRED_SOURCE, Event, Kind
from app.domain.events.payload import Payload
from app.domain.inference import infer

RO = "R1"
START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

Happened = tuple[datetime, str, dict[str, Any]]
"""(when, type without `repair_order.`, data)."""


@dataclass(frozen=True)
class Life:
    """What happened to an order, in order, and the moments at which an export ran."""

    facts: tuple[Happened, ...]
    moments: tuple[datetime, ...]
    told: frozenset[int] = field(default_factory=frozenset)


def data_of(fact: Happened, name: str) -> Any:
    return fact[2].get(name)


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """Make up a life; all times differ by a minute at least, exports run in between."""
    steps = draw(
        st.lists(
            st.sampled_from(
                ("promise_changed", "promise_changed", "dispatched", "work_started", "authorized")
            ),
            max_size=6,
        )
    )
    end = draw(st.sampled_from(("none", "settled", "settled", "closed", "closed", "cancelled")))
    names = ["opened", *_once(steps, "work_started", "authorized")]
    names += {"none": [], "cancelled": ["cancelled"], "settled": ["settled"]}.get(
        end, ["settled", "delivered"]
    )
    gaps = draw(st.lists(st.integers(2, 90), min_size=len(names), max_size=len(names)))
    facts: list[Happened] = []
    moment = START
    for name, gap in zip(names, gaps, strict=True):
        moment += gap * MINUTE
        fact = moment, name, draw(_data(name, moment))
        # an export can't tell a first promise that came later from one of the opening
        if name != "promise_changed" or "promised_at" in facts[0][2]:
            facts.append(fact)
    # an export runs a minute after a fact, or never; the last one runs after all of them
    seen = draw(st.lists(st.booleans(), min_size=len(facts), max_size=len(facts)))
    moments = [fact[0] + MINUTE for fact, is_seen in zip(facts, seen, strict=True) if is_seen]
    if not moments or moments[-1] < facts[-1][0]:
        moments.append(facts[-1][0] + MINUTE)
    told = draw(st.sets(st.integers(0, len(facts) - 1)))
    return Life(tuple(facts), tuple(moments), frozenset(told))


def _once(steps: Sequence[str], *names: str) -> list[str]:
    """Leave out what happens once from its second time on."""
    return [
        step for index, step in enumerate(steps) if step not in names or step not in steps[:index]
    ]


def _data(name: str, moment: datetime) -> st.SearchStrategy[dict[str, Any]]:
    promise = st.integers(-120, 600).map(lambda minutes: moment + minutes * MINUTE)
    hours = st.sampled_from(("0.5", "1", "2.5"))
    sums = st.fixed_dictionaries({}, optional=dict.fromkeys(("labor", "parts"), hours))
    match name:
        case "opened":
            return st.fixed_dictionaries(
                {
                    "work_type": st.sampled_from(("ordinary_repair", "accident")),
                    "advisor": st.sampled_from(("A1", "A2")),
                },
                optional={"promised_at": promise, "vin": st.just("V1"), "estimate_hours": hours},
            )
        case "promise_changed":
            return st.fixed_dictionaries({"promised_at": promise})
        case "dispatched":
            # always with a team: that one is gone is not to be seen, absent is not carried
            return st.fixed_dictionaries(
                {
                    "technician": st.sampled_from(("T1", "T2", "T3")),
                    "team": st.sampled_from(("RED", "BLUE")),
                }
            )
        case "settled":
            return st.fixed_dictionaries(
                {"amounts": sums},
                optional={
                    "costs": sums,
                    "billed_hours": hours,
                    "clocked_hours": hours,
                    "parts_requested": st.integers(0, 3),
                    "parts_filled": st.integers(0, 3),
                    "delivered_at": st.just(moment - MINUTE),
                },
            )
        case "delivered":
            return st.fixed_dictionaries({}, optional={"odometer_km": st.just("42")})
        case _:
            return st.just({})


def view(facts: Iterable[Happened], moment: datetime) -> dict[str, Any]:
    """Show the order as an export at that moment would: everything that is known by then."""
    shown: dict[str, Any] = {"status": "open"}
    for at, name, data in facts:
        if at > moment:
            break
        match name:
            case "opened":
                shown |= data | {"opened_at": at}
                if "promised_at" in data:
                    shown["first_promised_at"] = data["promised_at"]
            case "promise_changed":
                if "promised_at" not in shown:
                    shown["first_promised_at"] = data["promised_at"]
                shown |= {"promised_at": data["promised_at"], "promise_changed_at": at}
            case "authorized" | "work_started":
                shown[f"{name}_at"] = at
            case "dispatched":
                shown |= data | {"dispatched_at": at}
            case "settled":
                shown |= data | {"settled_at": at, "status": "settled"}
            case "delivered":
                shown |= {"handed_over_at": at, "status": "closed"}
                if "odometer_km" in data:
                    shown["handover_odometer_km"] = data["odometer_km"]
            case _:
                shown |= {"cancelled_at": at, "status": "cancelled"}
    return shown


def as_seen(life: Life) -> list[Happened]:
    """Leave out what nobody told and no export could show, since the next change hid it."""
    kept: list[Happened] = []
    for index, fact in enumerate(life.facts):
        at, name, data = fact
        later = [other for other in life.facts[index + 1 :] if other[1] == name]
        hidden = (
            name in {"promise_changed", "dispatched"}
            and bool(later)
            and not any(at <= moment < later[0][0] for moment in life.moments)
        )
        if index in life.told or not hidden:
            kept.append(fact)
    return _without_repeats(kept, life)


def _without_repeats(facts: Sequence[Happened], life: Life) -> list[Happened]:
    """Leave out changes that change nothing: an export shows the same before and after."""
    kept: list[Happened] = []
    promise: datetime | None = None
    work: tuple[Any, Any] | None = None
    for fact in facts:
        _, name, data = fact
        is_told = life.facts.index(fact) in life.told
        if name in {"opened", "promise_changed"} and "promised_at" in data:
            if data["promised_at"] == promise and not is_told:
                continue
            promise = data["promised_at"]
        if name == "dispatched":
            given = data["technician"], data["team"]
            if work == given and not is_told:
                continue
            work = given
        kept.append(fact)
    return kept


def logged(
    name: str, at: datetime, data: dict[str, Any], seq: int, source: str = "/dms/test"
) -> Event:
    """Make an event of the log."""
    event_type = f"repair_order.{name}"
    return Event(
        store_id="S1",
        seq=seq,
        source=source,
        id=f"e-{seq}",
        type=event_type,
        kind=Kind.REPAIR_ORDER,
        key=RO,
        subject=RO,
        occurred_at=at,
        recorded_at=at,
        schema_version=1,
        payload=CATALOG[event_type].model.model_validate(data),
        content_hash=str(sorted(data.items())).encode(),
    )


def with_inferred(events: Sequence[Event]) -> list[Event]:
    """Add what the snapshots among events imply, as the log would have it."""
    start = max((event.seq for event in events), default=0) + 1
    return [
        *events,
        *(
            _inferred(fact.type, fact.occurred_at, fact.payload, seq)
            for seq, fact in enumerate(infer(events), start=start)
        ),
    ]


def _inferred(event_type: str, at: datetime, payload: Payload, seq: int) -> Event:
    event = logged("cancelled", at, {}, seq, INFERRED_SOURCE)
    event.type, event.payload = event_type, payload
    return event
