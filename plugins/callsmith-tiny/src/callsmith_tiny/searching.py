"""The chains that the logic teacher learns: look up what could show the goal, then derive it.

Breadth first and backwards from the goal: look up what the text says to it, then each condition
of the rules found, in the order in which they were shown. Where every rule has one condition the
search ends at the first that leads back to a fact; elsewhere, when nothing is left to look up.
Then the rules are applied forwards, up to the goal, and it is concluded. The last of them is looked
up once more: others say the contrary of the goal, and of two words that differ in a ``not`` alone a
small model copies the nearest.
"""

from __future__ import annotations

from collections.abc import Sequence

from callsmith.backends import Previous
from callsmith.chain import Call
from callsmith_logic.worlds import Literal, Rule, World


def search(world: World, goal: Literal) -> Sequence[Call]:
    """The calls that settle the goal in the world, the answer among them."""
    looked_up, shown = _look_ups(world, goal)
    calls = [Call("look_up", {"statement": str(literal)}) for literal in looked_up]
    facts = tuple(fact for fact in world.facts if {fact, -fact} & set(looked_up))
    closure = World(facts, shown).closure
    label = closure.label(goal)
    if label != "Unknown":
        for literal in closure.proof(goal if label == "True" else -goal):
            instance, rule = closure.by[literal]
            if literal in (goal, -goal):
                ends = {"of": rule.conditions[0].predicate, "to": goal.predicate}
                calls.append(Call("rules", ends))
            fact = " and ".join(str(condition) for condition in instance.conditions)
            calls.append(Call("modus_ponens", {"rule": str(rule), "fact": fact}))
    calls.append(Call("conclude", {"statement": str(goal)}))
    calls.append(Call("answer", {"value": Previous()}))
    return calls


def _look_ups(world: World, goal: Literal) -> tuple[Sequence[Literal], tuple[Rule, ...]]:
    """The literals to look up, in order, and the rules that this shows."""
    exhaustive = any(len(rule.conditions) > 1 for rule in world.rules)
    waiting = [goal]
    asked = {_unsigned(goal)}
    shown: dict[Rule, None] = {}
    for literal in waiting:  # grows while it is walked along
        if literal in world.facts and (not exhaustive or literal == goal):
            break
        if literal == goal and -goal in world.facts:
            break
        # A rule that says nothing of what its variable stands for may be met once for each thing.
        found = [each for side in (literal, -literal) for each in world.instances_to(side)]
        for made, rule in sorted(found, key=lambda each: world.rules.index(each.rule)):
            shown[rule] = None
            new = dict.fromkeys(c for c in made.conditions if _unsigned(c) not in asked)
            asked.update(map(_unsigned, new))
            waiting += new
    looked_up = waiting[: waiting.index(literal) + 1]
    return looked_up, tuple(shown)


def _unsigned(literal: Literal) -> Literal:
    return literal if literal.positive else -literal
