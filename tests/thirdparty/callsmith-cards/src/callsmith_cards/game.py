"""The rules of the game, and how a problem writes it down."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Self

WORTH = {"A": 1, **{str(pips): pips for pips in range(2, 11)}, "J": 10, "Q": 10, "K": 10}
# So that a search through all ways of playing ends soon.
MOST_CARDS, MOST_BURIES = 20, 5


@dataclass(frozen=True)
class Game:
    """A game as it stands. The top card of the deck comes first."""

    target: int
    deck: tuple[str, ...]
    buries: int
    hand: tuple[str, ...] = ()
    stood: bool = False

    @classmethod
    def read(cls, context: str) -> Self:
        """The game that a problem begins with, from lines such as ``deck: 7 K A``.

        Raises ValueError if there is none.
        """
        pairs = (line.partition(":") for line in context.splitlines()[:20])
        lines = {name.strip(): text.split() for name, _, text in pairs}
        try:
            [target], deck, [buries] = lines["target"], lines["deck"], lines["buries"]
            game = cls(int(target), tuple(deck), int(buries))
        except (KeyError, ValueError):
            game = cls(0, (), 0)
        cards_are_known = game.deck and all(card in WORTH for card in game.deck)
        if not cards_are_known or len(game.deck) > MOST_CARDS or game.buries > MOST_BURIES:
            raise ValueError("this problem has no game of cards: look, draw, bury need one")
        return game

    @classmethod
    def restored(cls, state: Any) -> Self | None:
        """The game in a chain's state, if one was begun."""
        if not isinstance(state, dict) or "cards" not in state:
            return None
        kept = state["cards"]
        return cls(**{**kept, "deck": tuple(kept["deck"]), "hand": tuple(kept["hand"])})

    def kept(self) -> dict[str, Any]:
        """The game as JSON."""
        return {**asdict(self), "deck": list(self.deck), "hand": list(self.hand)}

    @property
    def total(self) -> int:
        return sum(WORTH[card] for card in self.hand)

    def draw(self) -> Self:
        """Raises ValueError if that is against the rules, as the other moves do."""
        self._must_go_on()
        return replace(self, deck=self.deck[1:], hand=(*self.hand, self.deck[0]))

    def bury(self) -> Self:
        self._must_go_on()
        if not self.buries:
            raise ValueError("no burying is left: draw or stand")
        return replace(self, deck=(*self.deck[1:], self.deck[0]), buries=self.buries - 1)

    def stand(self) -> Self:
        if self.stood:
            raise ValueError("you stand already: give your answer")
        return replace(self, stood=True)

    def _must_go_on(self) -> None:
        if self.stood:
            raise ValueError("you stand, so the game has ended: give your answer")
        if self.total > self.target:
            raise ValueError(f"the hand is worth {self.total}, too much: all you can do is stand")
        if not self.deck:
            raise ValueError("the deck is empty: all you can do is stand")


def winning_moves(game: Game) -> tuple[str, ...] | None:
    """The names of moves that win the game, as few as there are; None if it can't be won."""
    lines: list[tuple[tuple[str, ...], Game]] = [((), game)]
    for moves, reached in lines:
        if reached.total == reached.target:
            return (*moves, "stand")
        if reached.total > reached.target or not reached.deck:
            continue
        lines.append(((*moves, "draw"), reached.draw()))
        if reached.buries:
            lines.append(((*moves, "bury"), reached.bury()))
    return None
