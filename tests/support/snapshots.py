"""Lives of a repair order, and what an export would show of it at any moment.

``lives()`` is the Hypothesis strategy. A life is what truly happened; ``view`` is the snapshot of
it, as an export would write it; ``as_seen`` leaves out of a life what no snapshot could show
because the next change came before it, and what a snapshot can't know.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
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


def lives() -> st.SearchStrategy[Life]:
    """Give Hypothesis lives, so that it can shrink them."""
    return st.randoms(use_true_random=False).map(random_life)


def random_life(rng: Random) -> Life:
    """Make up a life; all times differ by a minute at least, exports run in between."""
    steps = rng.choices(
        ("promise_changed", "promise_changed", "dispatched", "work_started", "authorized"),
        k=rng.randint(0, 6),
    )
    names = ["opened", *_once(steps, "work_started", "authorized")]
    names += rng.choice(_ENDS)
    facts: list[Happened] = []
    moment = START
    for name in names:
        moment += rng.randint(2, 90) * MINUTE
        fact = moment, name, _data(rng, name, moment)
        # an export can't tell a first promise that came later from one of the opening
        if name != "promise_changed" or "promised_at" in facts[0][2]:
            facts.append(fact)
    # an export runs a minute after a fact, or never; the last one runs after all of them
    moments = [fact[0] + MINUTE for fact in facts if rng.random() < 0.5]
    if not moments or moments[-1] < facts[-1][0]:
        moments.append(facts[-1][0] + MINUTE)
    told = rng.sample(range(len(facts)), rng.randint(0, len(facts)))
    return Life(tuple(facts), tuple(moments), frozenset(told))


_ENDS: tuple[list[str], ...] = (
    [],
    ["settled"],
    ["settled"],
    ["settled", "delivered"],
    ["settled", "delivered"],
    ["cancelled"],
)


def _once(steps: Sequence[str], *names: str) -> list[str]:
    """Leave out what happens once from its second time on."""
    return [
        step for index, step in enumerate(steps) if step not in names or step not in steps[:index]
    ]


_TEAMS = {"T1": "RED", "T2": "BLUE", "T3": "RED"}


def _data(rng: Random, name: str, moment: datetime) -> dict[str, Any]:
    def perhaps(**data: Any) -> dict[str, Any]:
        return {key: value for key, value in data.items() if rng.random() < 0.5}

    def hours() -> str:
        return rng.choice(("0.5", "1", "2.5"))

    promise = moment + rng.randint(-120, 600) * MINUTE
    match name:
        case "opened":
            return {
                "work_type": rng.choice(("ordinary_repair", "accident")),
                "advisor": rng.choice(("A1", "A2")),
                **perhaps(promised_at=promise, vin="V1", estimate_hours=hours()),
            }
        case "promise_changed":
            return {"promised_at": promise}
        case "dispatched":
            technician = rng.choice(("T1", "T2", "T3"))
            return {"technician": technician, "team": _TEAMS[technician]}
        case "settled":
            return {
                "amounts": perhaps(labor=hours(), parts=hours()),
                **perhaps(
                    costs=perhaps(labor=hours(), parts=hours()),
                    billed_hours=hours(),
                    clocked_hours=hours(),
                    parts_requested=rng.randint(0, 3),
                    parts_filled=rng.randint(0, 3),
                    delivered_at=moment - MINUTE,
                ),
            }
        case "delivered":
            return perhaps(odometer_km="42")
        case _:
            return {}


def view(facts: Iterable[Happened], moment: datetime) -> dict[str, Any]:
    """Show the order as an export at that moment would: everything that is known by then."""
    shown: dict[str, Any] = {"status": "open"}
    for at, name, data in facts:
        if at > moment:
            break
        shown |= {_OWN_TIMES[name]: at, **_OWN_NAMES.get(name, dict)(data)}
        shown["status"] = _STATUS.get(name, shown["status"])
        if "promised_at" in shown:
            shown.setdefault("first_promised_at", shown["promised_at"])
    return shown


_OWN_TIMES = {
    "opened": "opened_at",
    "promise_changed": "promise_changed_at",
    "authorized": "authorized_at",
    "work_started": "work_started_at",
    "dispatched": "dispatched_at",
    "settled": "settled_at",
    "delivered": "handed_over_at",
    "cancelled": "cancelled_at",
}
_STATUS = {"settled": "settled", "delivered": "closed", "cancelled": "cancelled"}
_OWN_NAMES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "delivered": lambda data: {f"handover_{name}": value for name, value in data.items()}
}


def as_seen(life: Life) -> list[Happened]:
    """Leave out what nobody told and no export could show, since the next change hid it."""
    kept: list[Happened] = []
    for index, fact in enumerate(life.facts):
        at, name, _ = fact
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
    """Leave out changes that change nothing to be seen: an export shows the same as before.

    Be it that a change in between was told: an export that shows what it always did says nothing.
    """
    kept: list[Happened] = []
    in_force: dict[str, Any] = {}
    for fact in facts:
        at, name, data = fact
        for value_of in ("promised_at", "technician"):
            if value_of in data and name != "settled":
                before = [moment for moment in life.moments if moment < at]
                shown = view(life.facts, before[-1]).get(value_of) if before else None
                is_told = life.facts.index(fact) in life.told
                if not is_told and data[value_of] in {in_force.get(value_of), shown}:
                    break
                in_force[value_of] = data[value_of]
        else:
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
