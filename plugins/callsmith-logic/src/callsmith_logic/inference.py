"""Small steps of inference, each granted only if it follows by its rule.

A rule is an implication, with ``forall`` in front or without: a step finds the instance that it
needs by itself, so that ``Dog(rex)`` and ``forall x (Dog(x) -> Animal(x))`` give ``Animal(rex)``.
What has to agree must be the same formula but for the names of bound variables; no solver is
asked, and every step ends at once. Each raises StepError if it can't be granted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from callsmith_logic.errors import StepError
from callsmith_logic.formulas import (
    Formula,
    Operation,
    Quantified,
    Term,
    conjuncts,
    free_names,
    fresh_name,
    joined,
    negated,
    same,
    size,
    substitute,
)
from callsmith_logic.matching import Matcher, Values
from callsmith_logic.printing import show

MAX_SIZE = 1_000
"""Names and operators in a formula that is granted: what can be read fits in."""


def instantiate(rule: Formula, values: Sequence[Term]) -> Formula:
    """A universal formula with terms for its first variables."""
    for value in values:
        if not isinstance(rule, Quantified) or rule.quantifier != "forall":
            raise StepError(
                f"{show(rule)} has no forall in front, so nothing can be put for a variable of it"
            )
        rule = _bounded(substitute(rule.body, {rule.variable: value}))
    return rule


def modus_ponens(rule: Formula, fact: Formula) -> Formula:
    """What the rule concludes from the fact, an ``and`` where the rule needs several."""
    facts = (fact, *conjuncts(fact))
    missing = ""
    for variables, condition, conclusion in _implications(rule, free_names(fact)):
        matcher, needs = Matcher(variables), conjuncts(condition)
        values = matcher.satisfy(needs, facts)
        if values is not None:
            return _close(conclusion, variables, values)
        missing = missing or matcher.missing(needs, facts)
    raise StepError(missing)


def modus_tollens(rule: Formula, fact: Formula) -> Formula:
    """That the rule's condition is false, since the fact denies what the rule would conclude."""
    needed = ""
    for variables, condition, conclusion in _implications(rule, free_names(fact)):
        for part in (conclusion, *conjuncts(conclusion)):
            values = Matcher(variables).match(negated(part), fact)
            if values is not None:
                return _close(negated(condition), variables, values)
        needed = needed or show(negated(conclusion))
    raise StepError(f"{show(fact)} does not deny what the rule concludes: it needs {needed}")


def conjunction(facts: Sequence[Formula]) -> Formula:
    """The facts, joined by ``and``."""
    return _bounded(joined("and", facts))


def part(whole: Formula, wanted: Formula) -> Formula:
    """One of the formulas that an ``and`` is made of."""
    if any(same(wanted, own) for own in conjuncts(whole)):
        return wanted
    raise StepError(f"{show(wanted)} is no part of {show(whole)}")


def eliminate(choice: Formula, fact: Formula) -> Formula:
    """What is left of an ``or`` or ``xor`` once the fact has decided one of its parts."""
    variables, body = _open(choice, free_names(fact))
    if not isinstance(body, Operation) or body.operator not in ("or", "xor"):
        raise StepError(f"{show(choice)} is no choice: an or or an xor is needed")
    matcher = Matcher(variables)
    for place, own in enumerate(body.parts):
        others = (*body.parts[:place], *body.parts[place + 1 :])
        values = matcher.match(negated(own), fact)
        if values is not None:
            return _close(joined("or", others), variables, values)
        values = matcher.match(own, fact) if body.operator == "xor" else None
        if values is not None:
            return _close(negated(others[0]), variables, values)
    needed = show(negated(body.parts[0]))
    raise StepError(f"{show(fact)} decides no part of the choice: {needed} would")


def chain(rules: Sequence[Formula]) -> Formula:
    """One rule from the condition of the first to the conclusion of the last."""
    first, *others = rules
    for second in others:
        first = _chained(first, second)
    return first


def _chained(first: Formula, second: Formula) -> Formula:
    needed = ""
    for variables, condition, conclusion in _implications(first, free_names(second)):
        for names, following, end in _implications(second, free_names(first) | {*variables}):
            values = Matcher(names).match(following, conclusion)
            if values is not None:
                rule = Operation("->", (condition, _bounded(substitute(end, values))))
                return _close(rule, [*variables, *names], {})
            needed = needed or show(following)
    raise StepError(f"{show(first)} does not lead to {needed}, which the next rule needs")


def _bounded(formula: Formula) -> Formula:
    """The formula, unless terms put into terms have made it too large."""
    if size(formula, MAX_SIZE) > MAX_SIZE:
        raise StepError(f"the result has more than {MAX_SIZE:,} parts: take smaller steps")
    return formula


def _open(rule: Formula, taken: Collection[str]) -> tuple[list[str], Formula]:
    """The variables of the quantifiers in front, and what stands behind them.

    A variable whose name is taken, or that has two quantifiers, gets another name.
    """
    variables: list[str] = []
    while isinstance(rule, Quantified) and rule.quantifier == "forall":
        name, body = rule.variable, rule.body
        used = {*taken, *variables}
        if name in used:
            name = fresh_name(name, used | free_names(body))
            body = substitute(body, {rule.variable: Term(name)})
        variables.append(name)
        rule = body
    return variables, rule


def _implications(
    rule: Formula, taken: Collection[str]
) -> Iterator[tuple[list[str], Formula, Formula]]:
    """The variables, condition and conclusion of a rule, both ways round for ``<->``."""
    variables, body = _open(rule, taken)
    if not isinstance(body, Operation) or body.operator not in ("->", "<->"):
        raise StepError(f"{show(rule)} is no rule: write forall x (Dog(x) -> Animal(x)), say")
    left, right = body.parts
    yield variables, left, right
    if body.operator == "<->":
        yield variables, right, left


def _close(formula: Formula, variables: Sequence[str], values: Values) -> Formula:
    """The formula with the values put in, and ``forall`` for the variables that have none."""
    formula = _bounded(substitute(formula, values))
    for name in reversed(variables):
        if name not in values and name in free_names(formula):
            formula = Quantified("forall", name, formula)
    return _bounded(formula)
