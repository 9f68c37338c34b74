"""The facts and rules of a problem as data, and everything that follows from them.

A world is what ProntoQA, ProofWriter and `deduction` tell in sentences: literals about named
things, and rules whose conditions and conclusion are literals. What follows is what forward
chaining derives, with negation as just another literal: a rule is not read backwards
(contraposition), cases are not told apart, and nothing is false because it can't be shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal as OneOf
from typing import NamedTuple, TypeAlias

VARIABLE = "x"
"""What a rule says of any thing. No thing may be called so."""

Label: TypeAlias = OneOf["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True, order=True)
class Literal:
    """``yumpus(Max)``, ``not likes(cow, lion)``: a predicate of things, or its negation."""

    predicate: str
    args: tuple[str, ...]
    positive: bool = True

    @property
    def subject(self) -> str:
        """The thing that it is about."""
        return self.args[0]

    def __neg__(self) -> Literal:
        return Literal(self.predicate, self.args, not self.positive)

    def of(self, thing: str) -> Literal:
        """The literal with a thing in the place of the variable."""
        args = tuple(thing if arg == VARIABLE else arg for arg in self.args)
        return Literal(self.predicate, args, self.positive)

    def __str__(self) -> str:
        return f"{'' if self.positive else 'not '}{self.predicate}({', '.join(self.args)})"


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """If all conditions hold, so does the conclusion; for any thing, if it has the variable."""

    conditions: tuple[Literal, ...]
    conclusion: Literal

    @property
    def general(self) -> bool:
        """Whether it speaks of any thing, and not of named ones alone."""
        return any(VARIABLE in part.args for part in (*self.conditions, self.conclusion))

    def of(self, thing: str) -> Rule:
        """The rule for one thing."""
        return Rule(tuple(c.of(thing) for c in self.conditions), self.conclusion.of(thing))

    def concludes(self, goal: Literal) -> dict[str, str] | None:
        """What its variable must stand for to conclude the goal; None if it never does."""
        found = self.conclusion
        if (found.predicate, found.positive, len(found.args)) != (
            goal.predicate,
            goal.positive,
            len(goal.args),
        ):
            return None
        binding: dict[str, str] = {}
        for ours, theirs in zip(found.args, goal.args, strict=True):
            if (binding.setdefault(VARIABLE, theirs) if ours == VARIABLE else ours) != theirs:
                return None
        return binding

    def __str__(self) -> str:
        text = f"{' and '.join(map(str, self.conditions))} -> {self.conclusion}"
        return f"forall {VARIABLE} ({text})" if self.general else text


class Instance(NamedTuple):
    """A rule for one thing, and as the text has it."""

    made: Rule
    rule: Rule


@dataclass(frozen=True)
class World:
    """What a text states: its facts and rules, in its order."""

    facts: tuple[Literal, ...]
    rules: tuple[Rule, ...]

    @cached_property
    def things(self) -> tuple[str, ...]:
        """All that is named, in order."""
        named: dict[str, None] = {}
        for literal in (
            *self.facts,
            *(p for r in self.rules for p in (*r.conditions, r.conclusion)),
        ):
            named.update(dict.fromkeys(literal.args))
        named.pop(VARIABLE, None)
        return tuple(named)

    @cached_property
    def predicates(self) -> tuple[str, ...]:
        """All that is said of things, in order."""
        parts = (p for r in self.rules for p in (*r.conditions, r.conclusion))
        return tuple(dict.fromkeys(literal.predicate for literal in (*self.facts, *parts)))

    def facts_of(self, name: str) -> tuple[Literal, ...]:
        """The stated facts in which a thing or a predicate is named."""
        return tuple(f for f in dict.fromkeys(self.facts) if name in (f.predicate, *f.args))

    def rules_of(self, predicate: str) -> tuple[Rule, ...]:
        """The rules that have the predicate among their conditions."""
        return tuple(
            dict.fromkeys(
                rule
                for rule in self.rules
                if any(condition.predicate == predicate for condition in rule.conditions)
            )
        )

    def rules_to(self, predicate: str) -> tuple[Rule, ...]:
        """The rules that conclude something with the predicate, or its negation."""
        return tuple(
            dict.fromkeys(rule for rule in self.rules if rule.conclusion.predicate == predicate)
        )

    def instances_to(self, goal: Literal) -> Iterator[Instance]:
        """The rules that conclude the goal, each for the things that make it do so."""
        for rule in self.rules_to(goal.predicate):
            binding = rule.concludes(goal)
            if binding is None:
                continue
            if binding or not rule.general:
                yield Instance(rule.of(binding.get(VARIABLE, "")), rule)
            else:  # "If something likes the cow then the cow is red.": whatever thing it is
                yield from (Instance(rule.of(thing), rule) for thing in self.things)

    @cached_property
    def closure(self) -> Closure:
        """Everything that follows, and how."""
        return close(self)


@dataclass(frozen=True)
class Closure:
    """All that is stated or derived. ``by`` has the rule that first derived a literal, ``hops`` how
    many rules had to be applied one after another for it: 0 for a fact."""

    hops: Mapping[Literal, int]
    by: Mapping[Literal, Instance]

    def label(self, goal: Literal) -> Label:
        """True if the goal was derived, False if its negation was, else Unknown."""
        if goal in self.hops:
            return "True"
        return "False" if -goal in self.hops else "Unknown"

    def proof(self, goal: Literal) -> Sequence[Literal]:
        """What has to be derived for the goal, in order, the goal last; facts are not named.
        Raises KeyError if it does not follow."""
        order: dict[Literal, None] = {}
        waiting = [(goal, False)]
        while waiting:
            literal, done = waiting.pop()
            if self.hops[literal] == 0 or literal in order:
                continue
            if done:
                order[literal] = None
                continue
            waiting.append((literal, True))
            waiting += [(c, False) for c in reversed(self.by[literal].made.conditions)]
        return tuple(order)


def close(world: World) -> Closure:
    """Forward chaining to the end, in rounds: a literal is derived in as few rounds as it can be.

    Takes as many steps as there are instances of rules, so it is for texts a person could read.
    """
    hops = dict.fromkeys(world.facts, 0)
    by: dict[Literal, Instance] = {}
    missing: list[int] = []  # conditions of each instance that don't hold yet
    instances: list[Instance] = []
    needing: dict[Literal, list[int]] = defaultdict(list)
    for instance in _instances(world):
        conditions = set(instance.made.conditions)
        for condition in conditions:
            needing[condition].append(len(instances))
        instances.append(instance)
        missing.append(len(conditions))
    new = list(hops)
    while new:
        ready: list[int] = []
        for literal in new:
            for index in needing[literal]:
                missing[index] -= 1
                if not missing[index]:
                    ready.append(index)
        new = []
        for index in sorted(ready):
            made = instances[index].made
            if made.conclusion not in hops:
                hops[made.conclusion] = 1 + max(hops[c] for c in made.conditions)
                by[made.conclusion] = instances[index]
                new.append(made.conclusion)
    return Closure(hops, by)


def _instances(world: World) -> Iterator[Instance]:
    for rule in world.rules:
        if rule.general:
            yield from (Instance(rule.of(thing), rule) for thing in world.things)
        else:
            yield Instance(rule, rule)
