"""The pack keeps to what callsmith relies on, and to the rules of the game."""

import pytest

from callsmith import Context, Problem
from callsmith.testing import check_pack
from callsmith_cards.functions import bury, draw, look, stand


def begin() -> Context:
    return Context(Problem("Make 12.", context="target: 12\ndeck: 9 K 3 5\nburies: 1"))


def test_the_pack_is_a_good_one() -> None:
    check_pack("cards", fuzz=30).raise_if_failed()


def test_a_game_is_played_move_by_move() -> None:
    ctx = begin()
    assert draw(ctx)["hand"] == ["9"]
    assert bury(ctx)["deck"] == ["3", "5", "K"]
    assert draw(ctx)["worth"] == 12
    assert stand(ctx) == 12
    assert look(ctx)["buries_left"] == 0


def test_what_is_against_the_rules_is_refused() -> None:
    ctx = begin()
    bury(ctx)
    with pytest.raises(ValueError, match="no burying is left"):
        bury(ctx)
    draw(ctx)
    draw(ctx)
    with pytest.raises(ValueError, match="worth 13, too much"):
        draw(ctx)
    stand(ctx)
    with pytest.raises(ValueError, match="the game has ended"):
        draw(ctx)


def test_a_problem_without_a_game_is_told() -> None:
    with pytest.raises(ValueError, match="no game of cards"):
        draw(Context(Problem("What is 2 + 2?")))


def test_another_packs_state_is_left_alone() -> None:
    ctx = begin()
    ctx.state = {"chess": "e4"}
    draw(ctx)
    assert ctx.state["chess"] == "e4"
