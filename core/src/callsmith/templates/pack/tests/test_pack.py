"""The pack keeps to what callsmith relies on, and computes what it should."""

import pytest
from callsmith import Context, Problem
from callsmith.testing import check_pack

from callsmith_packname.functions import price, total

MENU = Context(Problem("What is a tea?", context="Today:\ntea: 2.50\ncake: 3"))


def test_the_pack_is_a_good_one() -> None:
    check_pack("packname").raise_if_failed()


def test_prices_are_looked_up_in_the_problem() -> None:
    assert price("tea", MENU) == 2.5
    with pytest.raises(ValueError, match="'milk' is not on the list, which has tea, cake"):
        price("milk", MENU)


def test_a_total_is_exact_to_the_cent() -> None:
    assert total([0.1, 0.2], [1, 1]) == 0.3
    with pytest.raises(ValueError, match="2 prices and 1 counts"):
        total([1, 2], [1])
