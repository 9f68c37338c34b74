"""What the tasks over worlds of facts and rules have in common: functions, reference chains, and
verdicts that look behind the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from callsmith.chain import Call, Chain, Problem, Verdict
from callsmith.errors import DataError
from callsmith.tasks import BaseTask
from callsmith_logic.errors import SentenceError
from callsmith_logic.evidence import evidence_in, shown, world_of
from callsmith_logic.labels import LABELS
from callsmith_logic.proofs import prove
from callsmith_logic.sentences import goal_of, read_world, theory_of
from callsmith_logic.worlds import Literal, World


class WorldTask(BaseTask):
    """Problems whose text states facts and rules, and asks about one statement.

    A verdict is ``grounded`` if the chain's own look-ups and steps show what it answered: the
    statement, or its negation, stands among the facts that it looked up or was derived from the
    text's facts and rules; or, for Unknown, both are ruled out by what it looked up. Calls with
    a fault show nothing, and nor does a label that a call gave.
    """

    instructions = (
        "Decide whether the statement is True, False or Unknown from the facts and rules alone. "
        "What does not follow from them, and nor does its negation, is Unknown. Look up the facts "
        "about the statement's subject and the rules that lead to the statement, then the rules "
        "that lead to their conditions, until you reach facts. Then apply the rules from there, "
        "one at a time, conclude, and give the result with answer."
    )
    functions = (
        "logic.facts",
        "logic.rules",
        "logic.look_up",
        "logic.modus_ponens",
        "logic.conclude",
    )
    verifier = LABELS

    def reference(self, problem: Problem) -> Sequence[Call]:
        """The calls that settle it. Raises DataError for a problem that is none of this kind."""
        world, goal = read_problem(problem)
        return prove(world, goal)

    def judge(self, problem: Problem, chain: Chain) -> Verdict:
        """Compare the labels; see the class for when a verdict is grounded."""
        return replace(super().judge(problem, chain), grounded=self._is_shown(problem, chain))

    def _is_shown(self, problem: Problem, chain: Chain) -> bool:
        if chain.stop != "answer" or not chain.steps:
            return False
        world, goal = world_of(problem), goal_of(problem)
        if world is None or goal is None:
            return False
        label = shown(world, evidence_in(chain.steps[-1].state), goal)
        return label is not None and self.verifier.compare(chain.answer, label)[0]


def read_problem(problem: Problem) -> tuple[World, Literal]:
    """The facts and rules of a problem, and the statement to judge. Raises DataError."""
    name = problem.id or problem.key
    try:
        world = read_world(theory_of(problem))
    except SentenceError as error:
        raise DataError(f"problem {name} can't be read: {error}") from error
    goal = goal_of(problem)
    if goal is None or not (world.facts or world.rules):
        raise DataError(
            f"problem {name} can't be read: it needs a text of facts and rules, and a question "
            "that ends with the statement to judge, such as 'Is this true? Max is not sour.'"
        )
    return world, goal
