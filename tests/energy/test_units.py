"""Plain units: what they mean, what is refused, and that nothing is lost on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.units import DURATION, ENERGY, ENT, EUR, PRICE, RATE, Unit, parse, render
from tangle.errors import InvalidError
from tangle.transaction import MAX_INTEGER

UNITS = (ENT, EUR, ENERGY, PRICE, RATE, DURATION)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("7.35 ENT", ENT, 7_350_000),
        ("0.000001 ENT", ENT, 1),
        ("10 kWh", ENERGY, 10_000),
        ("7.857 kWh", ENERGY, 7_857),
        ("12 Wh", ENERGY, 12),
        ("1 MWh", ENERGY, 1_000_000),
        ("0.5 EUR/ENT", PRICE, 500_000),
        ("8.1 EUR", EUR, 8_100_000),
        ("0.05", RATE, 50_000),
        ("2h", DURATION, 7_200_000),
        ("15min", DURATION, 900_000),
        ("1.5 h", DURATION, 5_400_000),
        ("-3 ENT", ENT, -3_000_000),
    ],
)
def test_a_quantity_is_read_exactly(text: str, unit: Unit, value: int) -> None:
    assert parse(text, unit) == value


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        pytest.param("7.35", ENT, id="no unit"),
        pytest.param("7.35 kWh", ENT, id="another unit"),
        pytest.param("0.0000001 ENT", ENT, id="finer than a base unit"),
        pytest.param("0.5 Wh", ENERGY, id="half a watt-hour"),
        pytest.param("1,000 ENT", ENT, id="a comma"),
        pytest.param("1e3 ENT", ENT, id="an exponent"),
        pytest.param(".5 ENT", ENT, id="no digit before the point"),
        pytest.param("5. ENT", ENT, id="no digit after the point"),
        pytest.param("5  ENT", ENT, id="two spaces"),
        pytest.param("٣ ENT", ENT, id="digits of another script"),
        pytest.param("9223372036854775808 ENT", ENT, id="beyond the range"),
        pytest.param("", RATE, id="nothing"),
    ],
)
def test_what_is_no_quantity_is_refused(text: str, unit: Unit) -> None:
    with pytest.raises(InvalidError, match=unit.name):
        parse(text, unit)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2_143_000, ENT, "2.143 ENT"),
        (0, ENT, "0 ENT"),
        (-1, ENT, "-0.000001 ENT"),
        (2_143, ENERGY, "2.143 kWh"),
        (50_000, RATE, "0.05"),
        (0, RATE, "0"),
        (7_200_000, DURATION, "2h"),
        (86_400_000, DURATION, "1d"),
        (90_000, DURATION, "90s"),
        (1, DURATION, "1ms"),
    ],
)
def test_a_quantity_is_written_as_short_as_it_can_be(value: int, unit: Unit, text: str) -> None:
    assert render(value, unit) == text


@given(st.integers(-MAX_INTEGER, MAX_INTEGER), st.sampled_from(UNITS))
def test_what_is_written_is_read_back(value: int, unit: Unit) -> None:
    assert parse(render(value, unit), unit) == value
