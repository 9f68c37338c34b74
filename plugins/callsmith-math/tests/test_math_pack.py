"""The pack as a whole, held to what anybody's is held to."""

from __future__ import annotations

from callsmith.testing import check_pack


def test_the_pack_and_its_tasks_check_out() -> None:
    # `callsmith check-pack math` tries ten times as many.
    check_pack("math", fuzz=100).raise_if_failed()
