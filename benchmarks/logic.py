"""Logic: entailments per second beside plain z3, and propositional functions beside plain sympy.

    python benchmarks/logic.py [--data FOLDER] [--limit N] [--json]

Each premise of a FOLIO story is asked of the others (train.jsonl in the folder given with --data,
or where CALLSMITH_DATA points), and the question of each `deduction` problem of its text. Plain z3
gets the same formulas in its own language, and answers with one solver that keeps the premises.
Plain sympy gets expressions that are already built. What we do besides is read the text, check it,
and write the result. CPU time, both sides in turn, the median of several rounds.
"""

from __future__ import annotations

import json
import operator
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import click
import z3
from rich.console import Console
from rich.table import Table
from sympy import Symbol
from sympy.logic import boolalg, inference

from callsmith.errors import DataError
from callsmith_logic.deduction import Deduction
from callsmith_logic.errors import ContradictoryPremises, LogicError
from callsmith_logic.evidence import to_formula, world_of
from callsmith_logic.firstorder import entails
from callsmith_logic.folio import FOLIO
from callsmith_logic.formulas import Atom, Formula, Not, Operation
from callsmith_logic.functions import propositional as functions
from callsmith_logic.grammar import parse, statement
from callsmith_logic.printing import show
from callsmith_logic.propositional import to_sympy
from callsmith_logic.sentences import goal_of
from callsmith_logic.smt import Symbols

ROUNDS = 5
LETTERS = "pqrstu"
Side: TypeAlias = Callable[[], list[Any]]
console = Console(highlight=False)


@dataclass(frozen=True)
class Question:
    """Premises and conclusion as text, and all of them as plain z3 has it."""

    premises: tuple[str, ...]
    conclusion: str
    smt: str


@dataclass(frozen=True)
class Measured:
    """Seconds for each side in the median round, and the number of answers that differ."""

    name: str
    count: int
    ours: float
    plain: float
    differing: int = 0

    @property
    def ratio(self) -> float:
        return self.ours / self.plain


@click.command(help=__doc__)
@click.option("--data", help="The folder with FOLIO's files.")
@click.option("--limit", default=400, show_default=True, help="Questions of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def main(data: str | None, limit: int, as_json: bool) -> None:
    entailments: list[Measured] = []
    try:
        questions = sample(folio_questions(data), limit)
        entailments.append(measure_entailments("FOLIO", questions, fresh=False))
        entailments.append(measure_entailments("FOLIO, every formula read anew", questions, True))
    except DataError as error:
        console.print(f"skipped: {error}")
    questions = sample(deduction_questions(limit), limit)
    entailments.append(measure_entailments("deduction", questions, fresh=False))
    propositions = measure_propositions(min(limit, 100))
    if as_json:
        rows = [
            {**vars(row), "ratio": round(row.ratio, 3)} for row in (*entailments, *propositions)
        ]
        print(json.dumps(rows, indent=2))
        return
    show_table("first order, beside z3", entailments)
    show_table("propositional, beside sympy", propositions)


def folio_questions(data: str | None) -> Iterator[Question]:
    task = FOLIO(data)
    if not task.files:
        raise DataError("FOLIO, which needs --data or CALLSMITH_DATA")
    stories = {
        problem.meta["story"]: problem.meta["formulas"]
        for split in task.splits
        for problem in task.problems(split)
        if not problem.meta["malformed"]
    }
    for formulas in stories.values():
        for place, conclusion in enumerate(formulas):
            yield from _question([*formulas[:place], *formulas[place + 1 :]], conclusion)


def deduction_questions(limit: int) -> Iterator[Question]:
    for problem in Deduction(size=limit).problems("test"):
        world, goal = world_of(problem), goal_of(problem)
        assert world is not None
        assert goal is not None
        premises = [show(to_formula(part)) for part in (*world.facts, *world.rules)]
        yield from _question(premises, str(goal))


def _question(premises: Sequence[str], conclusion: str) -> Iterator[Question]:
    symbols = Symbols()
    try:
        lines = [f"(assert {symbols.write(parse(text))})" for text in (*premises, conclusion)]
    except LogicError:
        return  # a name with two numbers of arguments, which z3 would take for two names
    yield Question(tuple(premises), conclusion, symbols.declarations() + "".join(lines))


def sample(questions: Iterator[Question], limit: int) -> list[Question]:
    found = list(questions)
    # Those of one story stay together, as they are asked.
    start = random.Random(0).randrange(max(1, len(found) - limit))
    return found[start : start + limit]


def ours(question: Question) -> str:
    try:
        return entails(question.premises, question.conclusion, timeout=60)
    except ContradictoryPremises:
        return "contradictory"


def plain_z3(question: Question) -> str:
    """As one would write it with z3 alone."""
    *premises, conclusion = z3.parse_smt2_string(question.smt)
    solver = z3.Solver()
    solver.add(premises)
    solver.push()
    solver.add(z3.Not(conclusion))
    can_fail = solver.check() == z3.sat
    solver.pop()
    solver.add(conclusion)
    can_hold = solver.check() == z3.sat
    if can_fail and can_hold:
        return "Unknown"
    return "True" if can_hold else "False" if can_fail else "contradictory"


def forget() -> None:
    """Have every formula read anew."""
    parse.cache_clear()
    statement.cache_clear()


def measure_entailments(name: str, questions: Sequence[Question], fresh: bool) -> Measured:
    """With ``fresh``, no formula is remembered from one question to the next."""

    def ask() -> list[str]:
        forget()
        answers = []
        for question in questions:
            if fresh:
                forget()
            answers.append(ours(question))
        return answers

    return compare(name, len(questions), ask, lambda: [plain_z3(each) for each in questions])


def measure_propositions(count: int) -> list[Measured]:
    rng = random.Random(0)
    formulas = [_formula(rng, 3) for _ in range(count)]
    symbols = {Atom(letter): Symbol(letter) for letter in LETTERS}
    texts = [show(formula) for formula in formulas]
    built = [to_sympy(formula, symbols) for formula in formulas]
    pairs = list(zip(texts, texts[1:] + texts[:1], strict=True))
    both = list(zip(built, built[1:] + built[:1], strict=True))
    can = partial(inference.satisfiable, algorithm="dpll2")

    def means(text: str) -> Any:
        return to_sympy(parse(text), symbols)

    def alike(a: Any, b: Any) -> bool:
        return can(boolalg.Xor(means(a), b)) is False

    return [
        compare(
            "simplify",
            count,
            lambda: [functions.simplify(text) for text in texts],
            lambda: [boolalg.simplify_logic(each) for each in built],
            alike,
        ),
        compare(
            "normal_form, cnf",
            count,
            lambda: [functions.normal_form(text, "cnf") for text in texts],
            lambda: [boolalg.to_cnf(each, simplify=True) for each in built],
            alike,
        ),
        compare(
            "satisfiable",
            count,
            lambda: [functions.satisfiable(text) is not False for text in texts],
            lambda: [can(each) is not False for each in built],
        ),
        compare(
            "valid",
            count,
            lambda: [functions.valid(text) for text in texts],
            lambda: [can(boolalg.Not(each)) is False for each in built],
        ),
        compare(
            "equivalent",
            count,
            lambda: [functions.equivalent(a, b) for a, b in pairs],
            lambda: [can(boolalg.Not(boolalg.Equivalent(a, b))) is False for a, b in both],
        ),
    ]


def compare(
    name: str,
    count: int,
    ours: Side,
    plain: Side,
    same: Callable[[Any, Any], bool] = operator.eq,
) -> Measured:
    """Both sides in turn, so that what else the machine does falls on both."""
    sides = (ours, plain)
    seconds: list[list[float]] = [[], []]
    answers: list[list[Any]] = [[], []]
    for _ in range(ROUNDS):
        for number, side in enumerate(sides):
            began = time.process_time()
            answers[number] = side()
            seconds[number].append(time.process_time() - began)
    differing = sum(not same(a, b) for a, b in zip(*answers, strict=True))
    return Measured(name, count, *map(statistics.median, seconds), differing)


def show_table(title: str, rows: Sequence[Measured]) -> None:
    table = Table(title, "n", "ours, per s", "plain, per s", "ratio of times", "differing")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.count:,}",
            f"{row.count / row.ours:,.0f}",
            f"{row.count / row.plain:,.0f}",
            f"{row.ratio:.2f}",
            str(row.differing),
        )
    console.print(table)


def _formula(rng: random.Random, depth: int) -> Formula:
    if not depth:
        return Atom(rng.choice(LETTERS))
    if rng.random() < 0.2:
        return Not(_formula(rng, depth - 1))
    connective = rng.choice(("and", "or", "xor", "->", "<->"))
    return Operation(connective, (_formula(rng, depth - 1), _formula(rng, depth - 1)))


if __name__ == "__main__":
    main()
