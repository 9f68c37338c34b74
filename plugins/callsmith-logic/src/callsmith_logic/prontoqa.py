"""ProntoQA: deduction over invented kinds, always decided, with a gold proof for each problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from callsmith.backends import Previous
from callsmith.chain import JSON, Call, Problem
from callsmith.errors import DataError
from callsmith_logic.errors import SentenceError
from callsmith_logic.labels import TRUE_OR_FALSE
from callsmith_logic.proofs import Plan
from callsmith_logic.sentences import read_sentence
from callsmith_logic.worldfiles import WorldFiles
from callsmith_logic.worlds import Instance, Literal, Rule
from callsmith_logic.worldtasks import read_problem


class ProntoQA(WorldFiles):
    __doc__ = f"""{WorldFiles.__doc__}
    Its ``explanation``, where the row has one, is the gold proof, sentence by sentence.
    """
    name = "prontoqa"
    hub_name = "renma/ProntoQA"
    description = "deduction over invented kinds (ProntoQA), from its public files"
    instructions = (
        "Decide whether the statement is True or False from the facts and rules alone. Look up the "
        "facts about the statement's subject, and rules that lead from them to the statement or "
        "its negation. Apply them one at a time, conclude, and give the result with answer."
    )
    question = "Is the following statement true or false?"
    verifier = TRUE_OR_FALSE
    examples = (
        (
            Problem(
                "Is the following statement true or false? Tom is not heavy.",
                context="Every borpus is a calpus. Calpuses are heavy. Each calpus is a delpus. "
                "Felpuses are not heavy. Tom is a borpus.",
            ),
            (
                Call("facts", {"of": "Tom"}),
                Call("rules", {"of": "borpus"}),
                Call(
                    "modus_ponens",
                    {"rule": "forall x (borpus(x) -> calpus(x))", "fact": "borpus(Tom)"},
                ),
                Call("rules", {"of": "calpus"}),
                Call(
                    "modus_ponens",
                    {"rule": "forall x (calpus(x) -> heavy(x))", "fact": Previous(2)},
                ),
                Call("conclude", {"statement": "not heavy(Tom)"}),
                Call("answer", {"value": Previous()}),
            ),
        ),
    )

    def problem(self, row: Mapping[str, JSON], where: str) -> Problem:
        problem = super().problem(row, where)
        proof = row.get("explanation")
        if proof is None:
            return problem
        if not isinstance(proof, list) or not all(isinstance(line, str) for line in proof):
            raise DataError(f"{where}: 'explanation' is no list of sentences")
        problem = replace(problem, meta={**problem.meta, "explanation": proof})
        try:
            self.reference(problem)
        except SentenceError as error:
            raise DataError(f"{where}: the explanation is no proof: {error}") from error
        return problem

    def reference(self, problem: Problem) -> Sequence[Call]:
        """The gold proof's steps, each rule looked up and applied; without one, a search for it.

        Raises SentenceError for a proof with a sentence that can't be read, or that follows from
        none before it.
        """
        proof = problem.meta.get("explanation")
        if not proof:
            return super().reference(problem)
        world, goal = read_problem(problem)
        plan = Plan()
        known: list[Literal] = []
        rules: list[Rule] = []
        for sentence in proof:
            found = read_sentence(sentence)
            if isinstance(found, Rule):
                plan.rules_of(found.conditions[0].predicate)
                rules.append(found)
                continue
            if found in world.facts:
                plan.facts(found.subject)
            else:
                plan.apply(_step(found, rules, known, sentence))
            known.append(found)
        return plan.end(goal)


def _step(
    conclusion: Literal, rules: Sequence[Rule], known: Sequence[Literal], sentence: str
) -> Instance:
    """The rule, the last one named, that gives the conclusion from what is known."""
    for rule in reversed(rules):
        made = rule.of(conclusion.subject)
        if made.conclusion == conclusion and all(c in known for c in made.conditions):
            return Instance(made, rule)
    raise SentenceError(f"{sentence!r} does not follow from the sentences before it")
