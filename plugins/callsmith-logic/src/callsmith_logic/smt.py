"""Formulas as text in SMT-LIB 2, the language that z3 reads fastest.

All things are of one sort, which has at least one. Every name is replaced by one of our own, so
that nothing of what a model wrote reaches the solver as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from callsmith_logic.errors import FormulaError
from callsmith_logic.formulas import (
    Atom,
    Equal,
    Formula,
    Not,
    Operation,
    Quantified,
    Term,
    Truth,
)

_OPERATORS = {"and": "and", "or": "or", "xor": "xor", "->": "=>", "<->": "="}


class Symbols:
    """The names in some formulas, with the symbols that stand for them.

    ``predicates`` and ``functions`` (constants are those without arguments) map a name to its
    symbol and the number of its arguments. With a ``domain``, there are that many things, e0, e1
    and so on, and quantifiers are written out for each of them.
    """

    def __init__(self, domain: int = 0) -> None:
        self.predicates: dict[str, tuple[str, int]] = {}
        self.functions: dict[str, tuple[str, int]] = {}
        self.domain = domain
        self._variables = 0

    @property
    def constants(self) -> dict[str, str]:
        return {name: symbol for name, (symbol, arity) in self.functions.items() if not arity}

    @property
    def things(self) -> list[str]:
        return [f"e{number}" for number in range(self.domain)]

    def declarations(self) -> str:
        lines = ["(declare-sort T 0)"]
        lines += [f"(declare-fun {thing} () T)" for thing in self.things]
        for symbol, arity in self.predicates.values():
            lines.append(f"(declare-fun {symbol} ({'T ' * arity}) Bool)")
        for symbol, arity in self.functions.values():
            lines.append(f"(declare-fun {symbol} ({'T ' * arity}) T)")
        return "".join(lines)

    def write(self, formula: Formula, bound: Mapping[str, str] | None = None) -> str:
        """The formula. Raises FormulaError for a name with different numbers of arguments."""
        bound = bound or {}
        match formula:
            case Truth(value):
                return "true" if value else "false"
            case Atom(name, args):
                return self._apply(self.predicates, "p", name, args, bound)
            case Equal(left, right):
                return f"(= {self._term(left, bound)} {self._term(right, bound)})"
            case Not(body):
                return f"(not {self.write(body, bound)})"
            case Operation(operator, parts):
                inner = " ".join([self.write(part, bound) for part in parts])
                return f"({_OPERATORS[operator]} {inner})"
            case Quantified(quantifier, variable, body):
                if self.domain:
                    each = [self.write(body, {**bound, variable: e}) for e in self.things]
                    return f"({'and' if quantifier == 'forall' else 'or'} {' '.join(each)})"
                self._variables += 1
                symbol = f"v{self._variables}"
                inner = self.write(body, {**bound, variable: symbol})
                return f"({quantifier} (({symbol} T)) {inner})"

    def _term(self, term: Term, bound: Mapping[str, str]) -> str:
        if not term.args and term.name in bound:
            return bound[term.name]
        return self._apply(self.functions, "f", term.name, term.args, bound)

    def _apply(
        self,
        known: dict[str, tuple[str, int]],
        kind: str,
        name: str,
        args: Sequence[Term],
        bound: Mapping[str, str],
    ) -> str:
        symbol, arity = known.setdefault(name, (f"{kind}{len(known)}", len(args)))
        if arity != len(args):
            raise FormulaError(
                f"{name} is used with {arity} and with {len(args)} arguments: give it the same "
                "number everywhere, or use two names"
            )
        if not args:
            return symbol
        return f"({symbol} {' '.join([self._term(arg, bound) for arg in args])})"
