"""Customers, vehicles, staff and timecards: each field of the last event that carries it."""

from datetime import date
from decimal import Decimal

import pytest

from app.domain import staff, vehicle
from app.domain.customer import Customer
from app.domain.staff import Staff, Timecard
from app.domain.subject import Subject, decode, encode
from app.domain.vehicle import Vehicle
from tests.support.simulate import Simulator, event_of, local, retraction, tell

VIN = "LSVAM4187C2184841"


@pytest.fixture
def shop() -> Simulator:
    return Simulator(local("2026-03-02 18:00"))


def customer(shop: Simulator) -> Customer:
    found = shop.find(Customer, "K1")
    assert found is not None
    return found


def test_a_customer_is_private_until_told_otherwise(shop: Simulator) -> None:
    shop.post(
        tell(
            "customer.registered",
            "K1",
            "2026-03-02 08:00",
            name="客户0001",
            preferred_contact={"channel": "phone", "from": "09:00", "to": "18:00"},
            consent={"calls": True, "messages": False},
            wanted_services=["pick_up"],
            segment="A",
        )
    )
    assert customer(shop).kind == "private"
    assert customer(shop).preferred_contact == {"channel": "phone", "from": "09:00", "to": "18:00"}
    assert customer(shop).consent == {"calls": True, "messages": False}
    assert customer(shop).wanted_services == ["pick_up"]
    assert "客户" not in encode(customer(shop)).decode()


def test_a15_an_update_is_a_merge_patch_in_which_null_deletes(shop: Simulator) -> None:
    shop.post(
        tell(
            "customer.registered",
            "K1",
            "2026-03-02 08:00",
            kind="fleet",
            preferred_contact={"channel": "phone", "from": "09:00"},
            consent={"calls": True},
            wanted_services=["pick_up"],
            segment="A",
            member_no="M1",
        ),
        tell(
            "customer.updated",
            "K1",
            "2026-03-02 09:00",
            kind=None,
            preferred_contact={"from": None, "to": "17:00"},
            consent=None,
            wanted_services=None,
            segment="B",
        ),
    )
    state = customer(shop)
    assert state.kind == "private"
    assert state.preferred_contact == {"channel": "phone", "to": "17:00"}
    assert state.consent == {}
    assert state.wanted_services == []
    assert (state.segment, state.member_no) == ("B", "M1")


def test_b5_a_second_registration_deletes_nothing(shop: Simulator) -> None:
    shop.post(
        tell("customer.registered", "K1", "2026-03-02 08:00", kind="fleet", segment="A"),
        tell("customer.registered", "K1", "2026-03-02 09:00", member_no="M1"),
        tell("customer.merged", "K1", "2026-03-02 10:00", into="K2"),
    )
    state = customer(shop)
    assert (state.kind, state.segment, state.member_no) == ("fleet", "A", "M1")
    assert state.merged_into == "K2"


def test_an_update_that_arrives_before_the_registration_still_applies_after_it(
    shop: Simulator,
) -> None:
    shop.post(tell("customer.updated", "K1", "2026-03-02 09:00", segment="B"))
    shop.post(tell("customer.registered", "K1", "2026-03-02 08:00", segment="A"))
    assert customer(shop).segment == "B"


def test_a_vehicle_is_whose_it_was_last_said_to_be(shop: Simulator) -> None:
    registered = tell(
        "vehicle.registered",
        VIN,
        "2026-03-02 08:00",
        customer_no="K1",
        brand="Example",
        model_year=2023,
        sold_here=True,
        purchased_on="2023-06-18",
        interval_km=10000,
        interval_months=12,
    )
    transferred = tell("vehicle.transferred", VIN, "2026-03-02 09:00", customer_no="K2")
    shop.post(
        transferred, registered, tell("vehicle.registered", VIN, "2026-03-02 08:30", model="X")
    )
    found = shop.find(Vehicle, VIN)
    assert found is not None
    assert (found.customer_no, found.brand, found.model) == ("K2", "Example", "X")
    assert found.purchased_on == date(2023, 6, 18)
    shop.post(retraction(transferred))
    found = shop.find(Vehicle, VIN)
    assert found is not None
    assert found.customer_no == "K1"


def test_staff_keep_what_the_last_registration_says(shop: Simulator) -> None:
    shop.post(
        tell("staff.registered", "T01", "2026-03-02 08:00", roles=["technician"], team="RED"),
        tell("staff.registered", "T01", "2026-03-02 09:00", name="员工0001", team="BLUE"),
        tell("staff.registered", "T01", "2026-03-02 10:00", roles=["inspector"]),
    )
    found = shop.find(Staff, "T01")
    assert found is not None
    assert (found.roles, found.team) == (["inspector"], "BLUE")


def test_g10_the_latest_timecard_counts_as_a_whole(shop: Simulator) -> None:
    shop.post(
        tell(
            "staff.timecard_recorded",
            "T01",
            "2026-03-02 18:00",
            work_date="2026-03-02",
            attended_hours=8,
            clocked_hours="7.5",
            team="RED",
        ),
        tell(
            "staff.timecard_recorded",
            "T01",
            "2026-03-03 08:00",
            work_date="2026-03-02",
            attended_hours=6,
        ),
        tell(
            "staff.timecard_recorded",
            "T01",
            "2026-03-03 18:00",
            work_date="2026-03-03",
            attended_hours=1,
        ),
    )
    card = shop.find(Timecard, "T01/2026-03-02")
    assert card is not None
    assert (card.staff_no, card.work_date) == ("T01", date(2026, 3, 2))
    assert (card.attended_hours, card.clocked_hours, card.team) == (Decimal(6), None, None)


@pytest.mark.parametrize(
    ("evolve", "state"),
    [
        (vehicle.evolve, Vehicle(vin=VIN)),
        (staff.evolve_staff, Staff(staff_no="T01")),
        (staff.evolve_timecard, Timecard(key="T01/2026-03-02")),
    ],
)
def test_an_event_of_another_subject_is_a_defect(evolve: object, state: Subject) -> None:
    event = event_of(tell("customer.merged", "K1", "2026-03-02 10:00", into="K2"))
    assert callable(evolve)
    with pytest.raises(TypeError, match=r"customer\.merged"):
        evolve(state, event)


def test_a_state_is_kept_as_json_without_its_defaults() -> None:
    assert encode(Staff(staff_no="T01")) == b'{"staff_no":"T01"}'
    card = Timecard(key="k", attended_hours=Decimal("7.50"), work_date=date(2026, 3, 2))
    assert b'"7.50"' in encode(card)
    assert decode(Timecard, encode(card)) == card
