"""The functions that look into a problem: its facts, its rules, and what a chain has shown of it.

They read the problem's text as facts and rules (`sentences`). All is bounded by that text, so they
run inline.
"""

from __future__ import annotations

from difflib import get_close_matches

from callsmith.chain import Problem
from callsmith.functions import Context, Example, function
from callsmith_logic.errors import StepError
from callsmith_logic.evidence import KEY, evidence_in, keep, missing, shown, to_literal, unsigned
from callsmith_logic.grammar import statement as read_formula
from callsmith_logic.sentences import goal_of, read_world, theory_of
from callsmith_logic.worlds import Literal, World

RIDDLE = Problem(
    "Is the following statement true, false, or unknown? Max is sour.",
    context="Max is a yumpus. Each yumpus is a dumpus. Dumpuses are not sour. Every impus is sour.",
)
"""What the examples are about."""


@function(examples=[Example({"of": "Max"}, RIDDLE)], inline=True)
def facts(of: str, context: Context) -> list[str]:
    """Look up the facts that the problem states about a name.

    Args:
        of: A thing, or a kind, property or verb.
    """
    world = _world(context)
    _check_name(of, world, context.problem)
    evidence = evidence_in(context.state)
    evidence.add(evidence.facts, of)
    keep(context, evidence)
    return [str(fact) for fact in world.facts_of(of)]


@function(
    examples=[
        Example({"of": "yumpus"}, RIDDLE),
        Example({"to": "sour"}, RIDDLE),
        Example({"of": "impus", "to": "sour"}, RIDDLE),
    ],
    inline=True,
)
def rules(context: Context, of: str = "", to: str = "") -> list[str]:
    """Look up rules of the problem: that need something, that lead to something, or both.

    Args:
        of: A kind, property or verb that the rules have as a condition.
        to: A kind, property or verb that the rules conclude, or its negation.
    """
    world = _world(context)
    if not of and not to:
        raise StepError("give of= or to=: rules(of='yumpus'), or rules(to='sour')")
    for name in filter(None, (of, to)):
        _check_name(name, world, context.problem)
    if of:
        leading = world.rules_to(to) if to else world.rules
        return [str(rule) for rule in world.rules_of(of) if rule in leading]
    evidence = evidence_in(context.state)
    evidence.add(evidence.to, to)
    keep(context, evidence)
    return [str(rule) for rule in world.rules_to(to)]


@function(
    examples=[
        Example({"statement": "dumpus(Max)"}, RIDDLE),
        Example({"statement": "yumpus(Max)"}, RIDDLE),
    ],
    inline=True,
)
def look_up(statement: str, context: Context) -> list[str]:
    """Look up what would show a statement or its negation: the fact, if the problem states it, and
    the rules that can lead to it.

    Args:
        statement: A formula such as sour(Max).
    """
    world = _world(context)
    goal = _read(statement)
    for name in _names(goal):
        _check_name(name, world, context.problem)
    evidence = evidence_in(context.state)
    evidence.add(evidence.statements, unsigned(goal))
    keep(context, evidence)
    sides = (goal, -goal)
    facts = [fact for fact in world.facts if fact in sides]
    leading = [
        r for r in world.rules_to(goal.predicate) if any(r.concludes(s) is not None for s in sides)
    ]
    return list(dict.fromkeys(map(str, (*facts, *leading))))


@function(
    examples=[
        Example(
            {"statement": "sour(Max)"},
            RIDDLE,
            {KEY: {"derived": ["dumpus(Max)", "not sour(Max)"], "facts": ["Max"], "to": []}},
        )
    ],
    role="verify",
    inline=True,
)
def conclude(statement: str, context: Context) -> str:
    """Say whether the calls so far have shown a statement to be True, False or Unknown.

    It is Unknown once the facts and the rules that could lead to it, or to its negation, have been
    looked up and none does.

    Args:
        statement: A formula such as sour(Max) or not sour(Max).
    """
    world = _world(context)
    goal = _read(statement)
    evidence = evidence_in(context.state)
    label = shown(world, evidence, goal)
    if label is None:
        hint = missing(world, evidence, goal)
        raise StepError(f"nothing is shown of {goal} yet: {hint}")
    return label


def _read(statement: str) -> Literal:
    goal = to_literal(read_formula(statement))
    if goal is None:
        raise StepError(f"{statement[:60]!r} is no plain statement such as not sour(Max)")
    return goal


def _world(context: Context) -> World:
    """The problem's world. Raises SentenceError that names what can't be read."""
    world = read_world(theory_of(context.problem))
    if not world.facts and not world.rules:
        raise StepError("the problem states no facts and rules that could be looked up")
    return world


def _check_name(name: str, world: World, problem: Problem) -> None:
    """Raises StepError for a name that the problem does not have, with one that was meant."""
    goal = goal_of(problem)
    known = {*world.things, *world.predicates, *_names(goal)}
    if name in known:
        return
    close = get_close_matches(name, sorted(known), n=1)
    meant = f": did you mean {close[0]}?" if close else f": it has {', '.join(sorted(known)[:12])}"
    raise StepError(f"the problem has no name {name[:60]!r}{meant}")


def _names(literal: Literal | None) -> tuple[str, ...]:
    return (literal.predicate, *literal.args) if literal else ()
