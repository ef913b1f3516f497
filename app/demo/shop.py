"""Who works in the made-up shop, whose cars come in, and what is done to them.

Nobody here is real: customers are numbered, telephone numbers begin with 1200 (no network in China
gives these out), plates begin with 样 ("sample").
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Final

# ISO 3779 / GB 16735: value of each letter and weight of each place in a VIN; no I, O, Q.
_VIN_VALUES: Final = dict(
    zip(
        "0123456789ABCDEFGHJKLMNPRSTUVWXYZ",
        (*range(10), *range(1, 9), *range(1, 6), 7, 9, *range(2, 10)),
        strict=True,
    )
)
_VIN_WEIGHTS: Final = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_VIN_CHECK_PLACE: Final = 8

CUSTOMERS: Final = 5000
"""How many customers a shop has; each has one car."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody on the roster."""

    staff_no: str
    name: str
    roles: tuple[str, ...]
    team: str | None = None


@dataclass(frozen=True, slots=True)
class Team:
    """A team in the workshop and its technicians."""

    name: str
    technicians: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer and the car."""

    customer_no: str
    name: str
    phone: str
    kind: str
    vin: str
    plate: str
    engine_no: str
    model: str
    model_year: int
    bought_on: date
    sold_here: bool
    km_per_day: int


@dataclass(frozen=True, slots=True)
class Job:
    """A labor operation of the price list."""

    code: str
    text: str
    hours: str
    price: int
    parts: int
    concern: str


@dataclass(frozen=True, slots=True)
class Work:
    """A work type: how often it comes in, how long it stays, what may be done."""

    work_type: str
    share: float
    pay_type: str
    minutes: tuple[int, int]
    jobs: tuple[Job, ...]


ADVISORS: Final = tuple(f"A{number:02d}" for number in range(1, 7))
CALLERS: Final = ("F01", "F02")
INSPECTORS: Final = ("Q01", "Q02")
TECHNICAL_DIRECTOR: Final = "D01"
SERVICE_MANAGER: Final = "M01"
MECHANICAL_TEAMS: Final = (
    Team("机电一组", ("J01", "J02", "J03")),
    Team("机电二组", ("J04", "J05", "J06")),
    Team("机电三组", ("J07", "J08", "J09")),
)
BODY_TEAM: Final = Team("钣喷组", ("B01", "B02", "B03"))
TEAMS: Final = (*MECHANICAL_TEAMS, BODY_TEAM)


def happens(rng: Random, share: float) -> bool:
    """Tell whether something that happens in a share of cases happens now."""
    return rng.random() < share


def roster() -> list[Person]:
    """List everybody who works in the shop."""
    people = [
        Person("S01", "站长01", ("station_head",)),
        Person(SERVICE_MANAGER, "服务经理01", ("service_manager",)),
        Person("K01", "关爱总监01", ("care_director",)),
        Person("W01", "车间主管01", ("workshop_supervisor",)),
        Person(TECHNICAL_DIRECTOR, "技术总监01", ("technical_director", "final_inspector")),
        Person("P01", "备件经理01", ("parts_manager",)),
    ]
    people += [Person(no, f"服务顾问{no[1:]}", ("service_advisor",)) for no in ADVISORS]
    people += [Person(no, f"回访专员{no[1:]}", ("followup_agent",)) for no in CALLERS]
    people += [Person(no, f"质检员{no[1:]}", ("final_inspector",)) for no in INSPECTORS]
    people += [
        Person(no, f"技师{no}", ("technician",), team.name)
        for team in TEAMS
        for no in team.technicians
    ]
    return people


_OIL = Job("10-01", "更换机油机滤", "0.8", 120, 380, "定期保养")
_FILTERS = Job("10-02", "更换空气滤清器和空调滤清器", "0.4", 60, 240, "空调有异味")
_BRAKE_FLUID = Job("10-05", "更换制动液", "0.9", 140, 160, "刹车踏板偏软")
_SPARK_PLUGS = Job("10-07", "更换火花塞", "1.0", 160, 420, "怠速抖动")
_CHECK = Job("10-00", "全车检查", "0.6", 80, 0, "长途前检查")
_BRAKE_PADS = Job("20-03", "更换前制动片", "1.2", 200, 560, "刹车异响")
_BATTERY = Job("20-11", "更换蓄电池", "0.5", 60, 680, "早上启动困难")
_SUSPENSION = Job("20-15", "更换前下摆臂胶套", "2.4", 420, 780, "过减速带异响")
_COOLING = Job("20-19", "更换水泵和冷却液", "3.2", 580, 960, "水温偏高")
_DIAGNOSIS = Job("20-90", "电控系统诊断", "1.5", 300, 0, "发动机故障灯亮")
_BUMPER = Job("40-02", "前保险杠更换喷漆", "6.5", 900, 1900, "追尾,前保险杠破损")
_DOOR = Job("40-05", "左前门钣金喷漆", "5.0", 800, 300, "左前门凹陷")
_LAMP = Job("40-09", "更换左前大灯总成", "1.8", 260, 2400, "左前大灯破裂")
_RECALL = Job("60-01", "更换燃油泵控制单元(索赔)", "1.6", 260, 740, "加速无力")
_SEAL = Job("60-04", "更换天窗密封条(索赔)", "2.2", 330, 410, "天窗漏水")
_FILM = Job("80-01", "贴防爆膜", "3.0", 500, 1200, "贴膜")

WORKS: Final = (
    Work(
        "regular_maintenance",
        0.50,
        "CUSTOMER_PAY",
        (120, 195),
        (_OIL, _FILTERS, _BRAKE_FLUID, _SPARK_PLUGS, _CHECK),
    ),
    Work("first_maintenance", 0.07, "CUSTOMER_PAY", (105, 150), (_OIL, _CHECK)),
    Work(
        "ordinary_repair",
        0.22,
        "CUSTOMER_PAY",
        (150, 390),
        (_BRAKE_PADS, _BATTERY, _SUSPENSION, _COOLING, _DIAGNOSIS),
    ),
    Work("accident", 0.10, "CUSTOMER_PAY", (2 * 1440, 5 * 1440), (_BUMPER, _DOOR, _LAMP)),
    Work("warranty", 0.08, "WARRANTY", (150, 360), (_RECALL, _SEAL)),
    Work("other", 0.03, "CUSTOMER_PAY", (150, 300), (_FILM,)),
)
COMEBACK_WORK: Final = Work(
    "ordinary_repair",
    0.0,
    "INTERNAL",
    (120, 300),
    (_BRAKE_PADS, _SUSPENSION, _DIAGNOSIS),
)
ADD_ON_JOBS: Final = (_BRAKE_PADS, _BATTERY, _SPARK_PLUGS, _BRAKE_FLUID)

_MODELS: Final = (("轿车 1.5T", 34), ("轿车 2.0T", 42), ("SUV 2.0T", 46), ("新能源 EV", 38))


def customer(store_id: str, number: int) -> Customer:
    """Make up a customer; the same number is always the same customer."""
    rng = Random(f"{store_id}/customer/{number}")
    model, km_per_day = rng.choice(_MODELS)
    bought_on = date(2017, 1, 1) + timedelta(days=rng.randrange(8 * 365))
    return Customer(
        customer_no=f"C{number:05d}",
        name=f"客户{number:04d}",
        phone=f"1200{rng.randrange(10**7):07d}",
        kind="company" if happens(rng, 0.06) else "private",
        vin=vin(rng),
        plate=f"样A{number:05d}",
        engine_no=f"EN{rng.randrange(10**6):06d}",
        model=model,
        model_year=bought_on.year,
        bought_on=bought_on,
        sold_here=happens(rng, 0.8),
        km_per_day=km_per_day,
    )


def vin(rng: Random) -> str:
    """Make up a VIN of 17 characters with a right check digit (ISO 3779, place 9)."""
    letters = [*"L0D", *(rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ0123456789") for _ in range(5))]
    letters += ["0", rng.choice("HJKLMNPRST"), "A", *f"{rng.randrange(10**6):06d}"]
    total = sum(
        _VIN_VALUES[letter] * weight for letter, weight in zip(letters, _VIN_WEIGHTS, strict=True)
    )
    letters[_VIN_CHECK_PLACE] = "0123456789X"[total % 11]
    return "".join(letters)
