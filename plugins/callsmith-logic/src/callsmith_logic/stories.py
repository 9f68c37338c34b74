"""Stories about invented kinds, drawn at random: what `deduction` tells, and asks about.

A story has one chain of rules that matters. An Unknown one is made in the same way, and then a
link of its chain is broken, so that nothing but the chain tells the labels apart. All else in it
leads astray: other kinds that lead to the chain's or come from them, properties, other things.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from callsmith_logic.worlds import VARIABLE, Label, Literal, Rule, World

Item = TypeVar("Item")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


KINDS = _words(
    "yumpus wumpus zumpus dumpus rompus numpus tumpus vumpus impus jompus lorpus lempus gorpus "
    "sterpus grimpus shumpus brimpus borpus calpus delpus felpus hilpus kerpus mulpus nirpus "
    "polpus quimpus tarpus velpus wolpus yerpus zelpus"
)
PROPERTIES = _words(
    "aggressive amenable angry bitter blue bright brown cold discordant dull earthy fast feisty "
    "floral fruity happy hot kind large liquid loud luminous mean melodic metallic moderate "
    "muffled nervous opaque orange red shy slow small sour spicy sweet temperate transparent "
    "wooden"
)
NAMES = _words("Alex Fae Max Polly Rex Sally Sam Stella Wren")

KIND_GOALS = 0.25
"""The share of stories that ask for a kind and not for a property."""


@dataclass(frozen=True, slots=True)
class Story:
    """A world and the statement to judge, which is meant to be as its ``label`` says. ``hops`` is
    the length of its chain, which for an Unknown one is broken; ``extras`` the number of facts and
    rules beside it."""

    world: World
    goal: Literal
    label: Label
    hops: int
    extras: int

    @property
    def is_sound(self) -> bool:
        """Whether it came out as it was meant: about one in four does not, since what leads astray
        may lead to the goal."""
        closure = self.world.closure
        return (
            closure.label(self.goal) == self.label
            and not any(-literal in closure.hops for literal in closure.hops)
            and (self.label == "Unknown" or self.hops in map(closure.hops.get, self.sides))
            and all(rule.conclusion not in rule.conditions for rule in self.world.rules)
            and len(set(self.world.rules)) == len(self.world.rules)
            and len(set(self.world.facts)) == len(self.world.facts)
        )

    @property
    def sides(self) -> tuple[Literal, Literal]:
        """The goal and its negation."""
        return self.goal, -self.goal


def draw(dice: random.Random, hops: int, extras: int, label: Label) -> Story:
    """A story that is meant to have this label.

    ``hops`` is the number of rules that the goal takes, less than `len(KINDS)`; ``extras`` the
    number of facts and rules that lead astray.
    """
    return _Drawing(dice, hops).story(extras, label)


class _Drawing:
    """One try. The chain is ``path[0]`` to ``path[-1]`` and then, unless that is it, the goal."""

    def __init__(self, dice: random.Random, hops: int) -> None:
        self.dice = dice
        self.hops = hops
        self.thing, *self.others = dice.sample(NAMES, 3)
        self.unused = dice.sample(KINDS, len(KINDS))
        self.properties = dice.sample(PROPERTIES, 12)
        self.path = [self.unused.pop() for _ in range(hops)]
        ends = self.unused if dice.random() < KIND_GOALS and self.unused else self.properties
        # As often negated as not, so that the question's own words tell nothing of its label.
        self.target = Literal(ends.pop(), (VARIABLE,), dice.random() < 0.5)
        self.facts = [Literal(self.path[0], (self.thing,))]
        self.rules = [_rule(a, b) for a, b in zip(self.path, self.path[1:], strict=False)]
        self.rules.append(Rule((_is(self.path[-1]),), self.target))
        self.aside: list[str] = []  # kinds that are not on the path

    def story(self, extras: int, label: Label) -> Story:
        goal = self.target.of(self.thing)
        if label == "Unknown":
            self._break()
            goal = self.dice.choice([goal, -goal])
        elif label == "False":
            goal = -goal
        for _ in range(extras):
            self._lead_astray()
        world = World(tuple(self._shuffled(self.facts)), tuple(self._ordered()))
        return Story(world, goal, label, self.hops, extras)

    def _break(self) -> None:
        """Let one rule of the chain need another kind, turn it round, or leave it out."""
        place = self.dice.randrange(self.hops)
        rule = self.rules[place]
        how = self.dice.random()
        if how < 0.5 and self.unused:
            self.rules[place] = Rule((_is(self._another()),), rule.conclusion)
        elif how < 0.75 and place + 1 < self.hops:
            self.rules[place] = _rule(self.path[place + 1], self.path[place])
        elif how < 0.9 or len(self.rules) == 1:
            # The chain is whole, and the thing is none of the kinds on it.
            self.facts = [Literal(self._another(), (self.thing,))]
        else:
            del self.rules[place]

    def _lead_astray(self) -> None:
        """One more fact or rule."""
        kinds = [*self.path, *self.aside]
        kind = self.dice.choice(kinds)
        match self.dice.choices(range(6), (4, 4, 5, 5, 1, 1))[0]:
            case 0:  # a branch off the chain, or off another branch
                self.rules.append(_rule(kind, self._another()))
            case 1:  # a kind that leads to it
                self.rules.append(_rule(self._another(), kind))
            case 2:
                self.rules.append(Rule((_is(kind),), self._property()))
            case 3:  # another way to what is asked, for which the thing is of the wrong kind
                # Mostly the contrary, or a chain could be ended without reading its last rule.
                target = -self.target if self.dice.random() < 0.75 else self.target
                self.rules.append(Rule((_is(self._another()),), target))
            case 4:
                other = self.dice.choice(self.others)
                self.facts.append(Literal(self.dice.choice([kind, self._another()]), (other,)))
            case 5:
                self.facts.append(self._property().of(self.thing))

    def _another(self) -> str:
        """A kind that is not on the path: a new one while there are any, so that no two ways lead
        from one kind to another, then one used before."""
        if self.unused:
            self.aside.append(self.unused.pop())
            return self.aside[-1]
        return self.dice.choice(self.aside or self.path)

    def _property(self) -> Literal:
        name = self.dice.choice(self.properties)
        return Literal(name, (VARIABLE,), self.dice.random() < 0.6)

    def _ordered(self) -> Sequence[Rule]:
        """Kind by kind, or in no order at all."""
        if self.dice.random() < 0.5:
            return self._shuffled(self.rules)
        names = [*self.path, *self.aside]
        return sorted(self.rules, key=lambda rule: names.index(rule.conditions[0].predicate))

    def _shuffled(self, items: Sequence[Item]) -> Sequence[Item]:
        return self.dice.sample(items, len(items))


def _is(kind: str) -> Literal:
    return Literal(kind, (VARIABLE,))


def _rule(kind: str, above: str) -> Rule:
    return Rule((_is(kind),), _is(above))


# ---- telling ------------------------------------------------------------------------------------


def tell(story: Story, dice: random.Random) -> str:
    """The story's sentences: its facts before the rules, after them, or among them."""
    rules = [_rule_sentence(rule, dice) for rule in story.world.rules]
    facts = [tell_fact(fact) for fact in story.world.facts]
    match dice.randrange(3):
        case 0:
            sentences = [*facts, *rules]
        case 1:
            sentences = [*rules, *facts]
        case _:
            sentences = rules
            for fact in facts:
                sentences.insert(dice.randrange(len(sentences) + 1), fact)
    return " ".join(sentences)


def tell_fact(fact: Literal) -> str:
    """``Max is a yumpus.``, ``Max is not sour.``"""
    return f"{fact.subject} is {_predicate(fact)}."


def _rule_sentence(rule: Rule, dice: random.Random) -> str:
    kind = rule.conditions[0].predicate
    first = dice.choice(("Each", "Every", "plural"))
    if first != "plural":
        return f"{first} {kind} is {_predicate(rule.conclusion)}."
    conclusion = rule.conclusion
    if conclusion.predicate not in KINDS:
        return f"{_plural(kind).capitalize()} are {_predicate(conclusion)}."
    no = "" if conclusion.positive else "not "
    return f"{_plural(kind).capitalize()} are {no}{_plural(conclusion.predicate)}."


def _predicate(literal: Literal) -> str:
    no = "" if literal.positive else "not "
    if literal.predicate not in KINDS:
        return f"{no}{literal.predicate}"
    article = "an" if literal.predicate[0] in "aeiou" else "a"
    return f"{no}{article} {literal.predicate}"


def _plural(kind: str) -> str:
    return f"{kind}es"


def names_in(story: Story) -> Iterator[str]:
    """What is said in it, in one fixed order and whatever its wording."""
    yield from sorted(map(str, story.world.facts))
    yield from sorted(map(str, story.world.rules))
