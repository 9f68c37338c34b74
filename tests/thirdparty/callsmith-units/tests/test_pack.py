"""The pack keeps to what callsmith relies on, and computes what it should."""

from datetime import date

import pytest

from callsmith.testing import check_pack
from callsmith_units.functions import Period, add_to_date, convert, minutes_between, weekday


def test_the_pack_is_a_good_one() -> None:
    check_pack("units", fuzz=30).raise_if_failed()


@pytest.mark.parametrize(
    ("value", "unit", "to", "result"),
    [
        (5, "km", "m", 5000),
        (1, "mile", "km", 1.609344),
        (0.1, "Liters", "ml", 100),
        (36, "km/h", "m/s", 10),
        (100, "celsius", "F", 212),
        (-40, "F", "C", -40),
    ],
)
def test_values_are_converted(value: float, unit: str, to: str, result: float) -> None:
    assert convert(value, unit, to) == result


def test_a_fault_says_how_to_mend_the_call() -> None:
    with pytest.raises(ValueError, match="no unit 'kilometrs': did you mean kilometre"):
        convert(1, "kilometrs", "m")
    with pytest.raises(ValueError, match="convert kg to one of kg, g, mg"):
        convert(1, "kg", "m")
    with pytest.raises(ValueError, match="write HH:MM"):
        minutes_between("half past nine", "10:00")


def test_dates_know_short_months_and_leap_years() -> None:
    assert add_to_date(date(2024, 2, 29), 1, Period.YEARS) == date(2025, 2, 28)
    assert add_to_date(date(2024, 3, 31), -1, Period.MONTHS) == date(2024, 2, 29)
    assert weekday(date(2000, 1, 1)) == "Saturday"
    with pytest.raises(ValueError, match="years 1 to 9999"):
        add_to_date(date(9999, 12, 31), 1, Period.DAYS)
