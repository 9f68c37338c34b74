"""Worlds with few things in which formulas are true: small enough to read, and proof enough.

z3 is asked about worlds of one size after the other, with the quantifiers written out, so that it
always comes to an end. Not every formula that can be true is so in a small world.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import z3

from callsmith_logic.errors import SolverTimeout
from callsmith_logic.formulas import Formula, Quantified, Term, children, fresh_name
from callsmith_logic.printing import show_term
from callsmith_logic.smt import Symbols

MAX_THINGS = 8
"""Things in a world, beyond those that have a name."""

MAX_SIZE = 4_000
"""Parts of the formulas with their quantifiers written out, and entries of a world's tables."""


@dataclass(frozen=True, slots=True)
class World:
    """What there is, and all that is true of it. Things without a name are called thing1, ..."""

    things: tuple[str, ...]
    true: tuple[str, ...]


def find_world(formulas: Sequence[Formula], deadline: float) -> World | None:
    """A small world where the formulas are true, and little else is; None if none is found.

    If it can be, things with different names are different. Raises SolverTimeout if the time
    ``deadline`` passes, on the clock of `time.monotonic`.
    """
    for size, distinct in _kinds(formulas):
        search = _Search(formulas, size, distinct, deadline)
        if search.found():
            return search.world()
    return None


def _kinds(formulas: Sequence[Formula]) -> Iterator[tuple[int, bool]]:
    """The number of things to try, and whether all names are names of different things."""
    symbols = Symbols(1)
    for formula in formulas:
        symbols.write(formula)
    named = len(symbols.constants)
    largest = max(named + 2, MAX_THINGS)
    # Where names have to share things, no more than needed, as long as there are few.
    few = min(named - 1, MAX_THINGS)
    shared = [*range(few, 0, -1), *range(few + 1, largest + 1)] if named > 1 else []
    for distinct, sizes in ((True, range(max(named, 1), largest + 1)), (False, shared)):
        for size in sizes:
            tables = [*symbols.predicates.values(), *symbols.functions.values()]
            entries = sum(size**arity for _, arity in tables)
            if entries + sum(_written_out(formula, size) for formula in formulas) > MAX_SIZE:
                continue
            yield size, distinct


def _written_out(formula: Formula, size: int) -> int:
    """The number of parts once quantifiers are written out."""
    inner = 1 + sum(_written_out(part, size) for part in children(formula))
    return inner * size if isinstance(formula, Quantified) else inner


class _Row(NamedTuple):
    """A line in the table of a predicate, or with ``value`` of a function: things by number."""

    name: str
    args: tuple[int, ...]
    text: str
    value: int | None = None


class _Search:
    """The question whether there is a world of one size."""

    def __init__(
        self, formulas: Sequence[Formula], size: int, distinct: bool, deadline: float
    ) -> None:
        self.size = size
        self.deadline = deadline
        symbols = Symbols(size)
        asserted = [symbols.write(formula) for formula in formulas]
        asserted += _there_are(symbols, distinct)
        self.rows = [
            *_rows(symbols.predicates, symbols.things),
            *(
                row._replace(text=f"(= {row.text} {thing})", value=number)
                for row in _rows(symbols.functions, symbols.things)
                for number, thing in enumerate(symbols.things)
            ),
        ]
        # The rows are not asserted: z3 reads them along with what is.
        lines = [*asserted, *(row.text for row in self.rows)]
        text = symbols.declarations() + "".join(f"(assert {line})" for line in lines)
        read = list(z3.parse_smt2_string(text))
        self.atoms = read[len(asserted) :]
        self.solver = z3.SimpleSolver()
        self.solver.add(read[: len(asserted)])

    def found(self, *assumed: Any) -> bool:
        left = self.deadline - time.monotonic()
        if left > 0:
            self.solver.set("timeout", max(1, int(left * 1000)))
            answer = self.solver.check(*assumed)
            if answer != z3.unknown:
                return bool(answer == z3.sat)
        raise SolverTimeout("no small world was found in time where the formulas are true")

    def world(self) -> World:
        """The world that was found, after all has been made false in it that can be."""
        model, true = self.solver.model(), []
        for row, atom in zip(self.rows, self.atoms, strict=True):
            holds = z3.is_true(model.eval(atom, model_completion=True))
            if row.value is None and holds and self.found(z3.Not(atom)):
                model, holds = self.solver.model(), False
            if row.value is None:
                self.solver.add(atom if holds else z3.Not(atom))
            if holds:
                true.append(row)
        return _describe(true, self.size)


def _there_are(symbols: Symbols, distinct: bool) -> Iterator[str]:
    """That the things differ, and that functions give nothing but them."""
    if symbols.domain > 1:
        yield f"(distinct {' '.join(symbols.things)})"
    for number, constant in enumerate(symbols.constants.values()):
        # Of worlds that differ in nothing but the order of things, one is enough.
        possible = symbols.things[number:] if distinct else symbols.things
        yield _one_of(constant, possible[:1] if distinct else possible[: number + 1])
    if symbols.domain < len(symbols.constants):
        for thing in symbols.things:
            yield _one_of(thing, list(symbols.constants.values()))
    for row in _rows(symbols.functions, symbols.things):
        if row.args:
            yield _one_of(row.text, symbols.things)


def _one_of(term: str, things: Sequence[str]) -> str:
    return f"(or {' '.join(f'(= {term} {thing})' for thing in things)})"


def _rows(symbols: Mapping[str, tuple[str, int]], things: Sequence[str]) -> Iterator[_Row]:
    for name, (symbol, arity) in symbols.items():
        for args in product(range(len(things)), repeat=arity):
            inner = "".join(f" {things[arg]}" for arg in args)
            yield _Row(name, args, f"({symbol}{inner})" if args else symbol)


def _describe(rows: Sequence[_Row], size: int) -> World:
    """What is true, in words: each thing by the first constant that stands for it."""
    names: dict[int, str] = {}
    for row in rows:
        if row.value is not None and not row.args:
            names.setdefault(row.value, row.name)
    for thing in range(size):
        if thing not in names:
            names[thing] = fresh_name("thing", names.values())
    true = []
    for row in rows:
        shown = show_term(Term(row.name, tuple(Term(names[arg]) for arg in row.args)))
        if row.value is None:
            true.append(shown)
        elif shown != names[row.value]:
            true.append(f"{shown} = {names[row.value]}")
    return World(tuple(names[thing] for thing in range(size)), tuple(true))
