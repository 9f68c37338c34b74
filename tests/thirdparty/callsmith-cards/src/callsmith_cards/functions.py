"""What a model may call: look at the game, and the three moves.

The game is kept in the chain's state, under the pack's name, so that other packs can keep theirs
beside it.
"""

from typing import TypedDict

from callsmith import Context, Example, Problem, function
from callsmith_cards.game import Game

BEGUN = Problem("Make a hand worth exactly 8.", context="target: 8\ndeck: 7 K A 5\nburies: 1")
SEVEN_DRAWN = {"cards": Game.read(BEGUN.context).draw().kept()}


class Table(TypedDict):
    """What a player sees."""

    hand: list[str]
    worth: int
    target: int
    deck: list[str]
    buries_left: int


def current(ctx: Context) -> Game:
    """The chain's game; the problem's, where nothing was played yet."""
    return Game.restored(ctx.state) or Game.read(ctx.problem.context)


def keep(ctx: Context, game: Game) -> Table:
    """Keep the game in the chain's state, and show it."""
    others = ctx.state if isinstance(ctx.state, dict) else {}
    ctx.state = {**others, "cards": game.kept()}
    return show(game)


def show(game: Game) -> Table:
    return Table(
        hand=list(game.hand),
        worth=game.total,
        target=game.target,
        deck=list(game.deck),
        buries_left=game.buries,
    )


@function(examples=[Example({}, BEGUN)], inline=True)
def look(ctx: Context) -> Table:
    """Look at the hand, what it is worth, and the deck, top card first."""
    return show(current(ctx))


@function(examples=[Example({}, BEGUN)], inline=True)
def draw(ctx: Context) -> Table:
    """Take the top card of the deck into the hand."""
    return keep(ctx, current(ctx).draw())


@function(examples=[Example({}, BEGUN, SEVEN_DRAWN)], inline=True)
def bury(ctx: Context) -> Table:
    """Put the top card of the deck under it. That can be done as often as buries_left says."""
    return keep(ctx, current(ctx).bury())


@function(examples=[Example({}, BEGUN, SEVEN_DRAWN)], inline=True)
def stand(ctx: Context) -> int:
    """End the game with the hand as it is. Gives what the hand is worth."""
    return keep(ctx, current(ctx).stand())["worth"]
