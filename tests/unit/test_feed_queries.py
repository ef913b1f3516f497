"""What a consumer of the log may ask for."""

import pytest

from app.domain.errors import InvalidInputError
from app.domain.event_feed import check_position, seq_of, types_wanted
from app.domain.events.catalog import CATALOG


def test_types_and_families_may_be_mixed() -> None:
    assert types_wanted([]) is None
    wanted = types_wanted(["feed.*", "repair_order.opened"])
    assert wanted is not None
    assert set(wanted) == {"feed.silent", "feed.resumed", "repair_order.opened"}
    orders = types_wanted(["repair_order.*"])
    assert orders is not None
    assert set(orders) == {name for name in CATALOG if name.startswith("repair_order.")}


@pytest.mark.parametrize("text", ["repair_order", "repair*", "*", "repair_order.", "no.such", ""])
def test_a_filter_that_names_nothing_is_a_fault(text: str) -> None:
    with pytest.raises(InvalidInputError, match="neither an event type nor a family"):
        types_wanted(["repair_order.opened", text])


@pytest.mark.parametrize("text", ["", "x", "-1", "1.0", "1" * 19, "١"])
def test_a_seq_is_decimal_digits(text: str) -> None:
    with pytest.raises(InvalidInputError, match="decimal digits"):
        seq_of(text, "/query/after")
    assert seq_of("1041", "/query/after") == 1041


def test_a_position_beyond_the_log_is_of_another_log() -> None:
    check_position(7, 7, "/query/after")
    with pytest.raises(InvalidInputError, match="The log ends at 7"):
        check_position(8, 7, "/query/after")
