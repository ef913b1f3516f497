"""From parts to wire values: J2, J3, J7, G4, G5, G9."""

from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.kpis.registry import KPIS
from app.domain.kpis.values import (
    NO_VALUE,
    Value,
    decimal_text,
    growth,
    median,
    ratio,
    total,
    value_of,
)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("118", "118"),
        ("1200", "1200"),
        ("1E+3", "1000"),
        ("1.10", "1.1"),
        ("750.00", "750"),
        ("0.00", "0"),
        ("-0.0", "0"),
        ("-12.50", "-12.5"),
        ("0.000001", "0.000001"),
        ("1E-9", "0.000000001"),
    ],
)
def test_j3_parts_are_exact_plain_texts(number: str, text: str) -> None:
    assert decimal_text(Decimal(number)) == text


def test_the_example_of_the_wire_form() -> None:
    assert ratio(Decimal(118), Decimal(124)) == Value("118", "124", "0.951613")


@pytest.mark.parametrize(
    ("numerator", "denominator", "value"),
    [
        ("1", "2000000", "0.000001"),
        ("1", "2000001", "0.000000"),
        ("-1", "2000000", "-0.000001"),
        ("-1", "3000000", "0.000000"),
        ("2", "3", "0.666667"),
        ("-2", "3", "-0.666667"),
        ("2", "-3", "-0.666667"),
        ("12345678.9", "0.1", "123456789.000000"),
    ],
)
def test_j3_rounded_half_up_to_6_places(numerator: str, denominator: str, value: str) -> None:
    assert ratio(Decimal(numerator), Decimal(denominator)).value == value


def test_g4_only_a_denominator_of_0_is_null() -> None:
    assert ratio(Decimal(0), Decimal("0.00")) == Value("0", "0", None)
    assert ratio(Decimal(5), Decimal(-10)).value == "-0.500000"


def test_j2_a_sum_is_its_own_value_and_0_where_nothing_is() -> None:
    assert total(Decimal("750.50")) == Value("750.5", None, "750.5")
    assert value_of(KPIS["visits_settled"], None, None) == Value("0", None, "0")
    assert value_of(KPIS["on_time_delivery_rate"], None, None) == Value("0", "0", None)


@pytest.mark.parametrize(
    ("lower", "upper", "unit", "value"),
    [
        ("3600", "3600", "hours", "1.00"),
        ("3600", "7200", "hours", "1.50"),
        ("18", "18", "hours", "0.01"),
        ("17.999999", "18", "hours", "0.00"),
        ("750", "750", "minutes", "12.50"),
        ("0.3", "0.3", "minutes", "0.01"),
        ("0", "0", "minutes", "0.00"),
    ],
)
def test_g9_a_median_is_exact_and_rounded_once(
    lower: str, upper: str, unit: str, value: str
) -> None:
    code = "repair_cycle_hours" if unit == "hours" else "dispatch_minutes"
    assert value_of(KPIS[code], Decimal(lower), Decimal(upper)) == Value(None, None, value)


def test_j7_no_samples_no_value() -> None:
    assert median(None, None, "hours") == NO_VALUE


@pytest.mark.parametrize(
    ("now", "before", "value"),
    [
        ("110", "100", "0.100000"),
        ("90", "120", "-0.250000"),
        (None, "100", "-1.000000"),
        ("100", "0", None),
        ("100", None, None),
        (None, None, None),
        ("50", "-100", "-1.500000"),
    ],
)
def test_g5_growth(now: str | None, before: str | None, value: str | None) -> None:
    parts = [None if text is None else Decimal(text) for text in (now, before)]
    assert growth(parts[0], parts[1]) == Value(None, None, value)
    assert value_of(KPIS["revenue_growth"], parts[0], parts[1]).value == value


amounts = st.decimals(-(10**9), 10**9, places=4)


@given(amounts, amounts.filter(bool))
def test_a_ratio_is_what_decimal_gives_at_high_precision(
    numerator: Decimal, denominator: Decimal
) -> None:
    with localcontext() as context:
        context.prec = 80
        exact = numerator / denominator
        expected = exact.quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP)
    value = ratio(numerator, denominator).value
    assert value is not None
    assert Decimal(value) == expected
    assert not value.startswith("-0.000000")


@given(amounts)
def test_exact_texts_lose_nothing(number: Decimal) -> None:
    assert Decimal(decimal_text(number)) == number
