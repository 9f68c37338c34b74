"""What follows from what in first-order logic, decided by z3.

An answer is given only if it is proven: a conclusion that is "Unknown" has been shown to be true in
one world where the premises are, and false in another. What can't be shown within the limits is a
SolverTimeout, and premises that can't all be true are ContradictoryPremises; neither is an answer.

The limit that is met first counts z3's steps: so a busy machine gives the answers of an idle one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import z3

from callsmith_logic.errors import ContradictoryPremises, SolverTimeout
from callsmith_logic.formulas import Formula, Truth, negated
from callsmith_logic.grammar import statement
from callsmith_logic.models import World, find_world
from callsmith_logic.printing import show
from callsmith_logic.smt import Symbols

Label: TypeAlias = Literal["True", "False", "Unknown"]

TIMEOUT = 8.0
"""Seconds for a question, by the clock."""

STEPS = (100_000, 500_000)
"""z3's own measure of its work: for the first try at a question, and for the last. The larger one
takes it one to four seconds."""

MEMORY_MB = 800

_TURN = threading.Lock()
"""z3 must not be used by two threads at a time."""


def entails(premises: Sequence[str], conclusion: str, timeout: float = TIMEOUT) -> Label:
    """Whether a conclusion is "True" or "False" if the premises are true, or "Unknown": either.

    Formulas are given as text. Raises FormulaError for what is none, ContradictoryPremises, and
    SolverTimeout if ``timeout`` seconds or the steps of `STEPS` are not enough.
    """
    with _TURN:
        question = _Question(_read(premises), statement(conclusion), timeout)
        can_fail = question.is_possible(False)
        can_hold = question.is_possible(True)
        if can_fail and can_hold:
            return "Unknown"
        if not can_fail and not can_hold:
            raise question.contradiction()
    return "True" if can_hold else "False"


def consistent(premises: Sequence[str], timeout: float = TIMEOUT) -> bool:
    """Whether all premises can be true together. Raises FormulaError and SolverTimeout."""
    with _TURN:
        return _Question(_read(premises), Truth(True), timeout).is_possible(True)


def counter_model(
    premises: Sequence[str], conclusion: str, timeout: float = TIMEOUT
) -> World | None:
    """A small world where the premises are true and the conclusion is not; None if it follows.

    Raises FormulaError, ContradictoryPremises, and SolverTimeout, also for a conclusion that fails
    in large worlds only.
    """
    with _TURN:
        question = _Question(_read(premises), statement(conclusion), timeout)
        if not question.is_possible(False):
            if not question.is_possible(True):
                raise question.contradiction()
            return None
        world = question.world(False)
    if world is None:
        raise SolverTimeout("it does not follow, but fails only in worlds too large to be shown")
    return world


def unsupported(
    premises: Sequence[str], steps: Sequence[str], conclusion: str, timeout: float = TIMEOUT
) -> str:
    """The first of the steps, or the conclusion, that does not follow, in words; empty if all do.

    Each must follow from the premises and the steps before it. Raises FormulaError,
    ContradictoryPremises and SolverTimeout.
    """
    deadline = time.monotonic() + timeout
    known = [premises] if isinstance(premises, str) else list(premises)
    for number, step in enumerate((*steps, conclusion), 1):
        name = f"step {number}" if number <= len(steps) else "the conclusion"
        answer = entails(known, step, max(0.0, deadline - time.monotonic()))
        if answer != "True":
            how = "is denied by" if answer == "False" else "does not follow from"
            return f"{name}, {show(statement(step))}, {how} what stands before it"
        known.append(step)
    return ""


def _read(premises: Sequence[str]) -> list[Formula]:
    # A text is a sequence of texts too, and each of its letters would be a formula.
    given = [premises] if isinstance(premises, str) else premises
    return [statement(premise) for premise in given]


class _Question:
    """Premises that are given, and a goal that may be true or false beside them."""

    def __init__(self, premises: Sequence[Formula], goal: Formula, timeout: float) -> None:
        self.premises = premises
        self.goal = goal
        self.timeout = timeout
        self.deadline = time.monotonic() + timeout
        symbols = Symbols()
        asserted = [f"(assert {symbols.write(formula)})" for formula in (*premises, goal)]
        *self.given, self.asked = z3.parse_smt2_string(symbols.declarations() + "".join(asserted))
        # The solver that one gets without asking for this one prepares each question at length,
        # which takes far longer than answering it.
        self.solver = z3.SimpleSolver()
        self.solver.add(self.given)

    def is_possible(self, holds: bool) -> bool:
        """Whether the goal can hold, or fail to, where the premises are true."""
        for steps in STEPS:
            self.solver.push()
            self.solver.add(self.asked if holds else z3.Not(self.asked))
            answer = self._check(self.solver, steps)
            self.solver.pop()
            if answer is not None:
                return answer
            # Where the search for a proof has no end, a world may yet be found.
            if steps == STEPS[0] and self.world(holds):
                return True
        raise SolverTimeout(
            f"this could not be decided within the limits, {self.timeout:g} s and {STEPS[1]:,} "
            "steps of the solver: ask for a smaller step, with fewer premises"
        )

    def world(self, holds: bool) -> World | None:
        """A small world where the premises are true, and the goal is or is not."""
        goal = self.goal if holds else negated(self.goal)
        return find_world([*self.premises, goal], self.deadline)

    def contradiction(self) -> ContradictoryPremises:
        """Which premises can't be true together, in words."""
        solver = z3.SimpleSolver()
        solver.set("core.minimize", True)
        for place, premise in enumerate(self.given):
            solver.assert_and_track(premise, f"premise {place}")
        found = "some of them"
        if self._check(solver, STEPS[0]) is False:
            core = {str(name) for name in solver.unsat_core()}
            found = "; ".join(
                show(premise)
                for place, premise in enumerate(self.premises)
                if f"premise {place}" in core
            )
        return ContradictoryPremises(
            f"the premises contradict each other, so nothing can be concluded: {found}"
        )

    def _check(self, solver: Any, steps: int) -> bool | None:
        """Whether what the solver holds can be true; None if it can't tell."""
        left = int((self.deadline - time.monotonic()) * 1000)
        if left <= 0:
            return None
        solver.set(timeout=left, rlimit=steps, max_memory=MEMORY_MB)
        answer = solver.check()
        if answer == z3.unknown and "interrupted" in solver.reason_unknown():
            raise KeyboardInterrupt
        return None if answer == z3.unknown else bool(answer == z3.sat)
