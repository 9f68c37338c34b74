"""One formula as an instance of another: what to put for the variables of a rule."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from callsmith_logic.errors import StepError
from callsmith_logic.formulas import (
    Atom,
    Equal,
    Formula,
    Not,
    Operation,
    Quantified,
    Term,
    conjuncts,
    joined,
)
from callsmith_logic.printing import show

Values: TypeAlias = Mapping[str, Term]
"""What stands for the variables of a rule."""

MAX_TRIES = 2_000
"""Ways to match facts with a rule that are tried before a step is refused."""

_Pairs: TypeAlias = tuple[tuple[str, str], ...]
"""The bound variables of pattern and formula that belong together, the innermost first."""


class Matcher:
    """Matches patterns with some variables. Bound variables may have other names in a formula."""

    def __init__(self, variables: Collection[str]) -> None:
        self.variables = variables
        self.tries = 0

    def match(
        self, pattern: Formula, formula: Formula, values: Values | None = None
    ) -> Values | None:
        """The values, with those added that make the formula of the pattern; None if none do."""
        return self._formulas(pattern, formula, values or {}, ())

    def satisfy(
        self, needs: Sequence[Formula], facts: Sequence[Formula], values: Values | None = None
    ) -> Values | None:
        """Values that make every need one of the facts, or for an ``or``, one part of it.

        Raises StepError if there are too many ways to try.
        """
        values = values or {}
        if not needs:
            return values
        for pattern in (needs[0], *_alternatives(needs[0])):
            for fact in facts:
                self.tries += 1
                if self.tries > MAX_TRIES:
                    raise StepError("there are too many ways to use these facts: give fewer")
                found = self.match(pattern, fact, values)
                found = None if found is None else self.satisfy(needs[1:], facts, found)
                if found is not None:
                    return found
        return None

    def missing(self, needs: Sequence[Formula], facts: Sequence[Formula]) -> str:
        """Why the facts don't satisfy the needs, in words."""
        for need in needs:
            if self.satisfy([need], facts) is None:
                return f"the rule needs {show(need)}, and the fact does not give it"
        return f"the rule needs {show(joined('and', needs))} of the same things"

    def _formulas(
        self, pattern: Formula, formula: Formula, values: Values, bound: _Pairs
    ) -> Values | None:
        match pattern, formula:
            case Atom(a, own), Atom(b, others) if a == b:
                return self._terms(own, others, values, bound)
            case Equal(a, b), Equal(c, d):
                return self._terms((a, b), (c, d), values, bound)
            case Not(body), Not(other):
                return self._formulas(body, other, values, bound)
            case Quantified(a, name, body), Quantified(b, other_name, other) if a == b:
                return self._formulas(body, other, values, ((name, other_name), *bound))
            case Operation(a), Operation(b) if a == b:
                parts, others = _parts(pattern), _parts(formula)
                found: Values | None = values if len(parts) == len(others) else None
                for part, other in zip(parts, others, strict=False):
                    found = None if found is None else self._formulas(part, other, found, bound)
                return found
        return values if pattern == formula else None

    def _terms(
        self, patterns: Sequence[Term], terms: Sequence[Term], values: Values, bound: _Pairs
    ) -> Values | None:
        found: Values | None = values if len(patterns) == len(terms) else None
        for pattern, term in zip(patterns, terms, strict=False):
            found = None if found is None else self._term(pattern, term, found, bound)
        return found

    def _term(self, pattern: Term, term: Term, values: Values, bound: _Pairs) -> Values | None:
        for own, other in bound:
            if pattern == Term(own) or term == Term(other):
                return values if (pattern, term) == (Term(own), Term(other)) else None
        if not pattern.args and pattern.name in self.variables:
            if pattern.name in values:
                return values if values[pattern.name] == term else None
            # What is bound within the formula has no name outside of it.
            escapes = any(_mentions(term, other) for _, other in bound)
            return None if escapes else {**values, pattern.name: term}
        if pattern.name != term.name:
            return None
        return self._terms(pattern.args, term.args, values, bound)


def _parts(operation: Operation) -> Sequence[Formula]:
    """The parts, those of an ``and`` within an ``and`` among them."""
    if operation.operator not in ("and", "or"):
        return operation.parts
    return conjuncts(operation) if operation.operator == "and" else _alternatives(operation)


def _alternatives(formula: Formula) -> tuple[Formula, ...]:
    """The parts of an ``or``, flattened; none for another formula."""
    if not isinstance(formula, Operation) or formula.operator != "or":
        return ()
    return tuple(inner for part in formula.parts for inner in _alternatives(part) or (part,))


def _mentions(term: Term, name: str) -> bool:
    return term == Term(name) or any(_mentions(arg, name) for arg in term.args)
