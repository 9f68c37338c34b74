"""The pack keeps to what callsmith relies on."""

from callsmith.testing import check_pack


def test_the_pack_is_a_good_one() -> None:
    check_pack("packname").raise_if_failed()
