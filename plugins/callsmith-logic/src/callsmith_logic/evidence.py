"""What a chain has looked up and derived, and what that shows of a statement.

Look-ups and steps of inference keep it in the chain's state, as JSON under `KEY`. Only functions
write there, and only what they gave, so it is what the problem's own facts and rules support.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache

from callsmith.chain import JSON, Problem
from callsmith.functions import Context
from callsmith_logic.errors import SentenceError, StepError
from callsmith_logic.formulas import Atom, Formula, Not, Operation, Quantified, Term, canonical
from callsmith_logic.formulas import conjuncts as parts_of
from callsmith_logic.grammar import parse
from callsmith_logic.printing import show
from callsmith_logic.sentences import read_world, theory_of
from callsmith_logic.worlds import VARIABLE, Label, Literal, Rule, World

KEY = "logic"


@dataclass
class Evidence:
    """``derived`` formulas; names whose ``facts`` were looked up, and whose rules: those that
    conclude it (``to``); ``statements``, without their sign, for which both were."""

    derived: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    to: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)

    def add(self, names: list[str], name: str) -> None:
        """Note it once."""
        if name not in names:
            names.append(name)


def evidence_in(state: JSON) -> Evidence:
    """What the state of a chain holds; nothing if it is no evidence."""
    kept = state.get(KEY) if isinstance(state, Mapping) else None
    if not isinstance(kept, Mapping):
        return Evidence()
    return Evidence(**{f.name: list(kept.get(f.name, ())) for f in fields(Evidence)})


def keep(context: Context, evidence: Evidence) -> None:
    """Put it into the chain's state, beside what else is there."""
    others = context.state if isinstance(context.state, Mapping) else {}
    context.state = {**others, KEY: asdict(evidence)}


def admit(context: Context, premises: Iterable[Formula]) -> None:
    """Let a step have its premises. Where the problem's text is a world, each must be stated there,
    or have been derived in the chain; StepError is raised for one that is neither."""
    world = world_of(context.problem)
    if world is None:
        return
    derived = {canonical(parse(text)) for text in evidence_in(context.state).derived}
    for premise in premises:
        for part in parts_of(premise):
            if canonical(part) not in derived and canonical(part) not in _stated(world):
                raise StepError(
                    f"{show(part)} is not known: it is no fact or rule of the problem, and was not "
                    "derived before"
                )


def record(context: Context, conclusion: Formula) -> None:
    """Keep what a step has derived, for later steps."""
    evidence = evidence_in(context.state)
    evidence.add(evidence.derived, show(conclusion))
    keep(context, evidence)


def world_of(problem: Problem) -> World | None:
    """The facts and rules that a problem states; None if its text states anything else."""
    try:
        world = read_world(theory_of(problem))
    except SentenceError:
        return None
    return world if world.facts or world.rules else None


# ---- what it shows ------------------------------------------------------------------------------


def shown(world: World, evidence: Evidence, goal: Literal) -> Label | None:
    """What the evidence shows the goal to be; None if it shows nothing yet.

    True and False need the goal or its negation as a fact that was looked up, or derived. Unknown
    needs both to be ruled out: see `ruled_out`.
    """
    if _holds(world, evidence, goal):
        return "True"
    if _holds(world, evidence, -goal):
        return "False"
    if {goal, -goal} <= ruled_out(world, evidence, goal):
        return "Unknown"
    return None


def ruled_out(world: World, evidence: Evidence, goal: Literal) -> set[Literal]:
    """Which of the goal, its negation, and all that rules need for them, can't be derived, as far
    as the look-ups show.

    A literal is ruled out if it is not stated where the facts of one of its names were looked up,
    and the rules to its predicate were, and each of these has a condition that is ruled out.
    """
    out: dict[Literal, list[Rule]] = {}
    waiting = [goal, -goal]
    while waiting:
        literal = waiting.pop()
        if literal in out or not _searched(world, evidence, literal):
            continue
        out[literal] = [instance.made for instance in world.instances_to(literal)]
        waiting += [c for rule in out[literal] for c in rule.conditions]

    # Rules in a circle rule each other out, so the largest such set is looked for: from all that
    # were searched, leave out what a rule may still lead to, until nothing changes.
    def is_open(literal: Literal) -> bool:
        return any(not any(c in out for c in rule.conditions) for rule in out[literal])

    while still_open := [literal for literal in out if is_open(literal)]:
        for literal in still_open:
            del out[literal]
    return set(out)


def missing(world: World, evidence: Evidence, goal: Literal) -> str:
    """What to do next, in words, where the evidence shows nothing yet."""
    out = ruled_out(world, evidence, goal)
    seen: set[Literal] = set()
    waiting = [-goal, goal]
    while waiting:
        literal = waiting.pop()
        if literal in seen or literal in out or literal in world.facts:
            continue
        seen.add(literal)
        if not _looked_at(evidence, literal):
            return f"look at the facts of {literal.subject}"
        if not _rules_seen(evidence, literal):
            return f"look at the rules to {literal.predicate}"
        for instance in world.instances_to(literal):
            waiting += reversed(instance.made.conditions)
    return "apply the rules that lead to it"


def _holds(world: World, evidence: Evidence, literal: Literal) -> bool:
    stated = literal in world.facts and _looked_at(evidence, literal)
    return stated or str(literal) in evidence.derived


def _searched(world: World, evidence: Evidence, literal: Literal) -> bool:
    """Whether it is not there where it would be stated, and the rules to it were looked up."""
    return (
        literal not in world.facts
        and _looked_at(evidence, literal)
        and _rules_seen(evidence, literal)
    )


def _looked_at(evidence: Evidence, literal: Literal) -> bool:
    named = any(name in evidence.facts for name in (*literal.args, literal.predicate))
    return named or unsigned(literal) in evidence.statements


def _rules_seen(evidence: Evidence, literal: Literal) -> bool:
    return literal.predicate in evidence.to or unsigned(literal) in evidence.statements


def unsigned(literal: Literal) -> str:
    """The literal as text, without its ``not``."""
    return str(literal if literal.positive else -literal)


# ---- formulas and literals ----------------------------------------------------------------------


def to_formula(part: Literal | Rule) -> Formula:
    """The formula that the text of a literal or rule stands for."""
    if isinstance(part, Literal):
        atom = Atom(part.predicate, tuple(Term(arg) for arg in part.args))
        return atom if part.positive else Not(atom)
    conditions = [to_formula(condition) for condition in part.conditions]
    whole = conditions[0] if len(conditions) == 1 else Operation("and", tuple(conditions))
    rule = Operation("->", (whole, to_formula(part.conclusion)))
    return Quantified("forall", VARIABLE, rule) if part.general else rule


def to_literal(formula: Formula) -> Literal | None:
    """The literal that a formula is, if it is one."""
    match formula:
        case Not(Atom() as atom):
            literal = to_literal(atom)
            return -literal if literal else None
        case Atom(name, args) if args and not any(arg.args for arg in args):
            return Literal(name, tuple(arg.name for arg in args))
    return None


@lru_cache(maxsize=64)
def _stated(world: World) -> frozenset[Formula]:
    parts: list[Literal | Rule] = [*world.facts, *world.rules]
    return frozenset(canonical(to_formula(part)) for part in parts)
