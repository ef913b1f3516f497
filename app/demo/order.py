"""The life of one repair order: from reception to the second call, with what may go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from app.demo.posting import Arrival, Desk
from app.demo.shop import (
    ADD_ON_JOBS,
    ADVISORS,
    BODY_TEAM,
    CALLERS,
    COMEBACK_WORK,
    INSPECTORS,
    MECHANICAL_TEAMS,
    SERVICE_MANAGER,
    TECHNICAL_DIRECTOR,
    WORKS,
    Customer,
    Job,
    Team,
    Work,
    happens,
)

FOLLOW_UP_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:servicelane:follow-up")
COMPLAINT_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:servicelane:demo:complaint")

CANCELLED_SHARE: Final = 0.012
NO_PROMISE_SHARE: Final = 0.012
ADD_ON_SHARE: Final = 0.15
LATE_SHARE: Final = 0.06
EXCUSED_SHARE: Final = 0.012
FAILED_INSPECTION_SHARE: Final = 0.016
COMEBACK_SHARE: Final = 0.011
MISSING_PARTS_SHARE: Final = 0.045
CALL_1_SHARE: Final = 0.82
CALL_2_SHARE: Final = 0.76
COMPLAINT_SHARE: Final = 0.012
WRONG_SETTLEMENT_SHARE: Final = 0.004
WRONG_HANDOVER_SHARE: Final = 0.003

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_CLOSING_HOUR: Final = 18
_LONG_STAY: Final = timedelta(hours=20)


def follow_up_id(store_id: str, ro_number: str, kind: str) -> UUID:
    """Name a call that the service plans, as those who make the call have to name it."""
    return uuid5(FOLLOW_UP_NAMESPACE, f"{store_id}/{ro_number}/{kind}")


class OrderLife:
    """Writes the events of one order to a desk; all chance comes from ``rng``."""

    def __init__(
        self,
        desk: Desk,
        rng: Random,
        customer: Customer,
        ro_number: str,
        *,
        comeback: bool = False,
    ) -> None:
        self._desk = desk
        self._rng = rng
        self._customer = customer
        self._ro_number = ro_number
        self._is_comeback = comeback
        self._advisor = rng.choice(ADVISORS)
        self._work: Work = (
            COMEBACK_WORK
            if comeback
            else rng.choices(WORKS, weights=[work.share for work in WORKS])[0]
        )
        self._jobs: list[Job] = rng.sample(
            self._work.jobs, min(len(self._work.jobs), rng.choice((1, 1, 2)))
        )
        self._team: Team = (
            BODY_TEAM if self._work.work_type == "accident" else rng.choice(MECHANICAL_TEAMS)
        )
        self._technician = rng.choice(self._team.technicians)

    def live(self, opened_at: datetime) -> None:
        """Write everything down, however far in the future it happens."""
        rng = self._rng
        promised_at = self._promise(opened_at)
        if self._is_comeback or not happens(rng, NO_PROMISE_SHARE):
            self._open(opened_at, promised_at)
        else:
            self._open(opened_at, None)
        if not self._is_comeback and happens(rng, CANCELLED_SHARE):
            self._cancel(opened_at)
            return
        started_at = self._start(opened_at, promised_at)
        reference = self._add_on(started_at, promised_at)
        late = happens(rng, LATE_SHARE)
        excused = not late and happens(rng, EXCUSED_SHARE)
        gone_at = self._gone_at(started_at, reference, late=late or excused)
        if late:
            self._delay(started_at, reference, gone_at)
        self._repair(started_at, gone_at)
        self._settle(gone_at)
        if excused:
            self._excuse(gone_at)
        handed_over_at = self._hand_over(gone_at)
        self._calls(handed_over_at, on_time=not (late or excused))
        if not self._is_comeback:
            self._aftermath(handed_over_at)

    # -- reception --------------------------------------------------------------------------------

    def _promise(self, opened_at: datetime) -> datetime:
        """Promise a quarter of an hour at which the shop is open."""
        shortest, longest = self._work.minutes
        stay = timedelta(minutes=self._rng.randint(shortest, longest))
        ready = opened_at + stay
        ready = ready.replace(minute=ready.minute // 15 * 15, second=0) + 15 * _MINUTE
        if ready.hour >= _CLOSING_HOUR or ready.hour < 10:  # noqa: PLR2004 - the shop's hours
            next_day = ready.date() + (_DAY if ready.hour >= _CLOSING_HOUR else timedelta(0))
            hour = self._rng.choice((10, 11, 14, 16))
            return datetime.combine(next_day, time(hour), ready.tzinfo)
        return ready

    def _open(self, opened_at: datetime, promised_at: datetime | None) -> Arrival:
        who = self._customer
        age = (opened_at.date() - who.bought_on).days
        data: dict[str, object] = {
            "customer_no": who.customer_no,
            "vin": who.vin,
            "plate": who.plate,
            "odometer_km": max(1, age) * who.km_per_day,
            "contact": {"name": who.name, "phone": who.phone, "relation": "车主"},
            "work_type": self._work.work_type,
            "pay_type": self._work.pay_type,
            "advisor": self._advisor,
            "estimate_amount": str(sum(job.price + job.parts for job in self._jobs)),
            "estimate_hours": str(sum(Decimal(job.hours) for job in self._jobs)),
            "concerns": [job.concern for job in self._jobs],
            "waiter": happens(self._rng, 0.4),
        }
        if promised_at is not None:
            data["promised_at"] = promised_at.isoformat()
        return self._say("opened", opened_at, data)

    def _cancel(self, opened_at: datetime) -> None:
        cancelled_at = opened_at + self._rng.randint(10, 90) * _MINUTE
        reason = self._rng.choice(("客户改约", "报价未达成", "重复开单"))
        cancelled = self._say("cancelled", cancelled_at, {"reason": reason})
        if happens(self._rng, 0.1):
            self._desk.retract(cancelled, cancelled_at + 20 * _MINUTE, "误操作")

    def _start(self, opened_at: datetime, promised_at: datetime) -> datetime:
        rng = self._rng
        moment = opened_at + rng.randint(4, 15) * _MINUTE
        data: dict[str, object] = {"amount": str(sum(job.price + job.parts for job in self._jobs))}
        if happens(rng, 0.12):
            data["promised_at"] = promised_at.isoformat()
        self._say("authorized", moment, data)
        moment += timedelta(seconds=rng.randint(90, 900))
        bay = f"{self._team.name[:2]}{rng.randint(1, 6)}"
        if happens(rng, 0.03):
            other = rng.choice(self._team.technicians)
            self._dispatch(moment, other, bay)
            moment += 3 * _MINUTE
        self._dispatch(moment, self._technician, bay)
        moment += rng.randint(2, 14) * _MINUTE
        self._say("work_started", moment, {"technician": self._technician, "bay": bay})
        return moment

    def _dispatch(self, moment: datetime, technician: str, bay: str) -> None:
        data = {"technician": technician, "team": self._team.name, "bay": bay}
        self._say("dispatched", moment, data)

    # -- the promise ------------------------------------------------------------------------------

    def _add_on(self, started_at: datetime, promised_at: datetime) -> datetime:
        """Find more to do; returns the promise that is in force then."""
        rng = self._rng
        if not happens(rng, ADD_ON_SHARE):
            if happens(rng, 0.02):  # a wish that changes nothing by the rules
                reason = rng.choice(("customer_request", "parts_delay"))
                later = promised_at + 30 * _MINUTE
                self._change_promise(started_at + 25 * _MINUTE, later, reason, confirmed=True)
            return promised_at
        job = rng.choice(ADD_ON_JOBS)
        found_at = started_at + rng.randint(10, 20) * _MINUTE
        data = {
            "add_on_id": "1",
            "description": job.text,
            "amount": str(job.price + job.parts),
            "hours": job.hours,
        }
        self._say("add_on_proposed", found_at, data)
        accepted = happens(rng, 0.78)
        decided_at = found_at + rng.randint(3, 12) * _MINUTE
        self._say("add_on_decided", decided_at, {"add_on_id": "1", "accepted": accepted})
        if not accepted:
            return promised_at
        self._jobs.append(job)
        new = promised_at + rng.choice((30, 45, 60, 90)) * _MINUTE
        confirmed = None if happens(rng, 0.1) else True
        self._change_promise(decided_at + 2 * _MINUTE, new, "add_on", confirmed=confirmed)
        return new

    def _change_promise(
        self, moment: datetime, new: datetime, reason: str, *, confirmed: bool | None
    ) -> None:
        data: dict[str, object] = {"promised_at": new.isoformat(), "reason": reason}
        if confirmed is not None:
            data["confirmed_by_customer"] = confirmed
        self._say("promise_changed", moment, data)

    def _gone_at(self, started_at: datetime, reference: datetime, *, late: bool) -> datetime:
        rng = self._rng
        if late:
            return reference + timedelta(minutes=round(rng.triangular(3, 240, 25)))
        early = timedelta(minutes=round(rng.triangular(0, 45, 8)))
        return max(reference - early, min(reference, started_at + _HOUR))

    def _delay(self, started_at: datetime, reference: datetime, gone_at: datetime) -> None:
        """Warn of the delay; sometimes give a new time that the customer never confirmed."""
        rng = self._rng
        warned_at = reference - rng.randint(5, 40) * _MINUTE
        if warned_at <= started_at + 40 * _MINUTE:
            return
        if happens(rng, 0.6):
            self._say("delay_warned", warned_at, {"by": self._technician})
        if happens(rng, 0.4):
            new = gone_at + 20 * _MINUTE
            reason = rng.choice(("add_on", "shop_delay", "parts_delay"))
            self._change_promise(warned_at + 3 * _MINUTE, new, reason, confirmed=False)

    def _excuse(self, gone_at: datetime) -> None:
        rng = self._rng
        note = rng.choice(("客户外出,约定时间后到店取车", "客户要求晚些取车"))
        noted_at = gone_at - 2 * _MINUTE
        self._say("customer_delay_noted", noted_at, {"note": note, "signed": True})
        if happens(rng, 0.6):
            review = {"accepted": happens(rng, 0.85), "reviewer": SERVICE_MANAGER}
            self._say("delay_reviewed", gone_at + rng.randint(18, 60) * _HOUR, review)

    # -- the workshop -----------------------------------------------------------------------------

    def _repair(self, started_at: datetime, gone_at: datetime) -> None:
        """Fill the time between the start of the work and the delivery, in order."""
        rng = self._rng
        span = gone_at - started_at

        def part(share: float) -> datetime:
            return started_at + span * share

        if span > _LONG_STAY or happens(rng, 0.08):
            reason = "sublet" if happens(rng, 0.1) else "awaiting_parts"
            self._say("work_paused", part(0.60), {"reason": reason})
            self._say("work_resumed", part(0.66), {})
        clocked = self._clocked_hours()
        done = {"technician": self._technician, "clocked_hours": clocked}
        self._say("work_completed", part(0.76), done)
        mate = next(name for name in self._team.technicians if name != self._technician)
        fails = happens(rng, FAILED_INSPECTION_SHARE)
        if fails:
            self._inspect(part(0.78), 1, self._technician, passed=True)
            self._inspect(part(0.80), 2, mate, passed=False)
        else:
            self._inspect(part(0.80), 1, self._technician, passed=True)
        self._inspect(part(0.84), 2, mate, passed=True)
        inspector = TECHNICAL_DIRECTOR if self._is_comeback else rng.choice(INSPECTORS)
        self._inspect(part(0.88), 3, inspector, passed=True)
        self._say("cleaned", part(0.94), {})

    def _clocked_hours(self) -> str:
        hours = sum(Decimal(job.hours) for job in self._jobs)
        pace = Decimal(str(round(self._rng.gauss(1.11, 0.12), 2)))
        return str(round(hours / max(pace, Decimal("0.6")), 1))

    def _inspect(self, moment: datetime, level: int, inspector: str, *, passed: bool) -> None:
        data: dict[str, object] = {"level": level, "inspector": inspector, "passed": passed}
        if not passed:
            data["findings"] = self._rng.choice(("螺栓力矩不足", "有渗油", "异响仍在"))
        self._say("inspected", moment, data)

    # -- settlement and delivery ------------------------------------------------------------------

    def _settle(self, gone_at: datetime) -> None:
        rng = self._rng
        sheet = self._sheet()
        moment = gone_at
        if happens(rng, 0.6):  # the sheet is printed first and names the time of the delivery
            sheet["delivered_at"] = gone_at.isoformat()
            moment = gone_at - rng.randint(1, 4) * _MINUTE
        if happens(rng, WRONG_SETTLEMENT_SHARE):
            amounts = {"labor": "0", "parts": "0"}
            wrong = self._say("settled", moment, {**sheet, "amounts": amounts})
            self._desk.retract(wrong, moment + 15 * _MINUTE, "结算金额录入错误")
            self._say("settled", moment + timedelta(seconds=30), sheet)
        else:
            self._say("settled", moment, sheet)

    def _sheet(self) -> dict[str, object]:
        rng = self._rng
        labor = Decimal(sum(job.price for job in self._jobs))
        parts = Decimal(sum(job.parts for job in self._jobs))
        other = Decimal(rng.choice((0, 0, 0, 30, 50)))
        discount = Decimal("0.95") if happens(rng, 0.2) else Decimal(1)
        amounts = {
            "labor": _yuan(labor * discount),
            "parts": _yuan(parts * discount),
            "other": _yuan(other),
        }
        sheet: dict[str, object] = {
            "amounts": amounts,
            "jobs": [
                {
                    "code": job.code,
                    "text": job.text,
                    "hours": job.hours,
                    "amount": _yuan(Decimal(job.price)),
                    "pay_type": self._work.pay_type,
                }
                for job in self._jobs
            ],
            "billed_hours": str(sum(Decimal(job.hours) for job in self._jobs)),
            "clocked_hours": self._clocked_hours(),
        }
        if happens(rng, 0.9):
            sheet["costs"] = {
                "labor": _yuan(labor * Decimal("0.42")),
                "parts": _yuan(parts * Decimal(str(round(rng.uniform(0.66, 0.8), 3)))),
            }
        requested = sum(1 + (job.parts > 300) for job in self._jobs if job.parts)  # noqa: PLR2004
        sheet["parts_requested"] = requested
        missing = requested > 0 and happens(rng, MISSING_PARTS_SHARE)
        sheet["parts_filled"] = requested - 1 if missing else requested
        return sheet

    def _hand_over(self, gone_at: datetime) -> datetime:
        """Hand the car over; returns when that was in truth."""
        rng = self._rng
        if happens(rng, 0.03):  # not every handover is written down
            return gone_at
        handed_over_at = gone_at + timedelta(seconds=rng.randint(20, 500))
        if happens(rng, WRONG_HANDOVER_SHARE):
            wrong = self._say("delivered", handed_over_at - _HOUR, {})
            self._desk.retract(wrong, handed_over_at + 10 * _MINUTE, "交车时间录入错误")
        age = (gone_at.date() - self._customer.bought_on).days
        odometer = max(1, age) * self._customer.km_per_day + rng.randint(0, 3)
        self._say("delivered", handed_over_at, {"odometer_km": odometer})
        return handed_over_at

    # -- calls ------------------------------------------------------------------------------------

    def _calls(self, handed_over_at: datetime, *, on_time: bool) -> None:
        rng = self._rng
        caller = rng.choice(CALLERS)
        first = str(follow_up_id(self._desk.store_id, self._ro_number, "first"))
        handed_over_on = handed_over_at.date()
        if happens(rng, 0.6):
            assigned_at = handed_over_at + rng.randint(10, 600) * _MINUTE
            self._call("assigned", first, assigned_at, {"assignee": caller})
        called_on: date | None = None
        if happens(rng, CALL_1_SHARE):
            offsets, weights = (1, 3, 4, 5, 6, 7, 9, 11), (2, 52, 20, 10, 6, 5, 3, 2)
            called_on = handed_over_on + _DAY * rng.choices(offsets, weights=weights)[0]
            self._make_call(first, called_on, caller, on_time=on_time)
        elif happens(rng, 0.5):
            tried_on = handed_over_on + rng.choice((3, 4)) * _DAY
            self._try_call(first, self._office_hour(tried_on), caller)
        if happens(rng, CALL_2_SHARE):
            second = str(follow_up_id(self._desk.store_id, self._ro_number, "second"))
            anchor = called_on or handed_over_on + 7 * _DAY
            day = anchor + _DAY * rng.choice((7, 8, 8, 9, 10, 12, 14, 17))
            self._make_call(second, day, caller, on_time=None)

    def _make_call(self, subject: str, day: date, caller: str, *, on_time: bool | None) -> None:
        rng = self._rng
        moment = self._office_hour(day)
        if happens(rng, 0.2):
            self._try_call(subject, moment - rng.randint(30, 90) * _MINUTE, caller)
        data: dict[str, object] = {
            "by": caller,
            "channel": "phone" if happens(rng, 0.85) else "wechat",
            "outcome": "reached" if happens(rng, 0.9) else "partial",
            "note": rng.choice(("客户表示满意", "车辆使用正常", "提醒下次保养时间")),
        }
        if on_time is not None and happens(rng, 0.7):
            truth = 0.993 if on_time else 0.25
            data["customer_says_on_time"] = happens(rng, truth)
            score = rng.choice((100, 100, 100, 75, 75, 50)) if on_time else rng.choice((75, 50, 0))
            data["answers"] = [
                {"question": "overall", "version": 1, "scale": "100", "value": score}
            ]
        self._call("completed", subject, moment, data)

    def _try_call(self, subject: str, moment: datetime, caller: str) -> None:
        outcome = self._rng.choice(("no_answer", "no_answer", "busy", "call_later"))
        data = {"by": caller, "channel": "phone", "outcome": outcome}
        self._call("attempted", subject, moment, data)

    def _office_hour(self, day: date) -> datetime:
        minutes = self._rng.randrange(400)
        seconds = self._rng.randrange(60)
        opens_at = datetime.combine(day, time(10), self._desk.zone)
        return opens_at + timedelta(minutes=minutes, seconds=seconds)

    # -- afterwards -------------------------------------------------------------------------------

    def _aftermath(self, handed_over_at: datetime) -> None:
        rng = self._rng
        if happens(rng, COMEBACK_SHARE):
            self._come_back(handed_over_at)
        if happens(rng, COMPLAINT_SHARE):
            self._complain(handed_over_at)

    def _come_back(self, handed_over_at: datetime) -> None:
        """Bring the car back with an order of its own, and let the director look at it."""
        rng = self._rng
        day = handed_over_at.date() + rng.randint(1, 26) * _DAY
        back_at = datetime.combine(day, time(9), handed_over_at.tzinfo)
        back_at += timedelta(minutes=rng.randrange(300), seconds=rng.randrange(60))
        comeback_ro = f"{self._ro_number}B"
        OrderLife(self._desk, rng, self._customer, comeback_ro, comeback=True).live(back_at)
        concern = rng.choice(("故障未排除", "同样的异响", "故障灯又亮"))
        reported = {"comeback_ro": comeback_ro, "concern": concern}
        self._say("comeback_reported", back_at + 5 * _MINUTE, reported)
        verdicts = ("workmanship", "diagnosis", "part_defect", "part_unavailable", "not_rework")
        assessed: dict[str, object] = {
            "verdict": rng.choices(verdicts, weights=(40, 20, 15, 10, 15))[0],
            "comeback_ro": comeback_ro,
            "technician": self._technician,
            "team": self._team.name,
        }
        if happens(rng, 0.9):  # the rest is still open
            self._say("comeback_assessed", back_at + rng.randint(2, 40) * _HOUR, assessed)

    def _complain(self, handed_over_at: datetime) -> None:
        rng = self._rng
        complaint = str(uuid5(COMPLAINT_NAMESPACE, f"{self._desk.store_id}/{self._ro_number}"))
        moment = self._office_hour(handed_over_at.date() + rng.randint(1, 9) * _DAY)
        natures = ("quality", "time", "price", "attitude", "parts", "facilities")
        opened: dict[str, object] = {
            "customer_no": self._customer.customer_no,
            "ro_number": self._ro_number,
            "channel": rng.choice(("phone", "phone", "wechat", "visit", "third_party")),
            "nature": rng.choices(natures, weights=(40, 25, 15, 10, 6, 4))[0],
            "severity": "important" if happens(rng, 0.15) else "normal",
            "text": rng.choice(("修完仍有异响", "等待时间太长", "费用与报价不符", "接待态度冷淡")),
            "responsible": self._advisor,
        }
        self._complaint("opened", complaint, moment, opened)
        by = {"by": rng.choice(CALLERS)}
        contacted_at = moment + timedelta(hours=rng.choice((1, 2, 4, 8, 20, 30, 50)))
        if not happens(rng, 0.93):
            return
        contacted = {**by, "channel": "phone", "note": "致歉并说明处理办法"}
        self._complaint("contacted", complaint, contacted_at, contacted)
        if not happens(rng, 0.9):
            return
        solved_at = contacted_at + rng.randint(2, 70) * _HOUR
        solution = rng.choice(("免费返修", "解释收费项目,客户认可", "赠送保养代金券"))
        self._complaint("resolved", complaint, solved_at, {**by, "solution": solution})
        if happens(rng, 0.06):
            again_at = solved_at + rng.randint(20, 90) * _HOUR
            reopened = {**by, "reason": "客户仍不满意"}
            self._complaint("reopened", complaint, again_at, reopened)

    # -- posting ----------------------------------------------------------------------------------

    def _say(self, name: str, moment: datetime, data: Mapping[str, object]) -> Arrival:
        return self._desk.post(f"repair_order.{name}", self._ro_number, moment, data)

    def _call(self, name: str, subject: str, moment: datetime, data: Mapping[str, object]) -> None:
        self._desk.post(f"follow_up.{name}", subject, moment, data, source="/crm/calls")

    def _complaint(
        self, name: str, subject: str, moment: datetime, data: Mapping[str, object]
    ) -> None:
        self._desk.post(f"complaint.{name}", subject, moment, data, source="/crm/complaints")


def _yuan(amount: Decimal) -> str:
    return str(amount.quantize(Decimal("0.01")))
