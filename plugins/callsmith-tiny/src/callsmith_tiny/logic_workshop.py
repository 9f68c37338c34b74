"""What the logic models are made with: ``deduction``, and a tokenizer of its words.

Problems with a long proof are shown more often than they are made: of all that a chain asks of the
model, finding again a rule that was looked up earlier is the last that it learns. Questions are put
in the words of the public sets too: a word that a model never saw can undo all that it learnt.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from callsmith.chain import Call, Problem
from callsmith.control import answer_function
from callsmith.dialects import Prompt
from callsmith.plugins import load_registry
from callsmith_logic.deduction import QUESTION, Deduction
from callsmith_logic.prontoqa import ProntoQA
from callsmith_logic.stories import KINDS, NAMES, PROPERTIES
from callsmith_logic.worldtasks import read_problem
from callsmith_tiny.logic_words import whole_tokens
from callsmith_tiny.searching import search
from callsmith_tiny.tokenizer import make_tokenizer
from callsmith_tiny.workshop import ENDLESS, Workshop

VOCABULARY = 400
"""Special tokens, bytes, and what BPE merges in sentences; words and pieces come on top."""

TOKENIZER_PROBLEMS = 2_000

SHORT = 3
"""The most hops, and the most that leads astray, of the stories shown first."""

WARM_UP = 3_000
"""How many these are."""

UNKNOWN = 0.5
"""The share of problems that are kept of those that are Unknown."""

QUESTIONS = (QUESTION, f"Based on the above information, {QUESTION[0].lower()}{QUESTION[1:]}")
"""As `deduction` and ProofWriter ask. Of what is decided, ProntoQA's question can be asked too."""

PROOFWRITER_NAMES = ("Anne", "Bob", "Charlie", "Dave", "Erin", "Fiona", "Gary", "Harry")
PROOFWRITER_PROPERTIES = (
    *("big", "blue", "cold", "furry", "green", "kind", "nice", "quiet", "red", "rough", "round"),
    *("smart", "white", "young"),
)
PROOFWRITER = (
    *PROOFWRITER_NAMES,
    *PROOFWRITER_PROPERTIES,
    *("bald_eagle", "bear", "cat", "cow", "dog", "lion", "mouse", "rabbit", "squirrel", "tiger"),
    *("chases", "eats", "likes", "needs", "sees", "visits"),
)
"""Words that only ProofWriter has: the tokenizer knows them, so that it can be trained on."""


def open_logic_workshop() -> Workshop:
    """The workshop of ``tiny:logic-teacher`` and ``tiny:logic-student``."""
    task = Deduction()
    answer = {"answer": answer_function(task.answer)}
    offered = load_registry().functions(task.functions) | answer
    texts = (problem.text for problem in islice(logic_problems(7_100), TOKENIZER_PROBLEMS))
    return Workshop(
        task,
        problems=logic_problems,
        reference=solution,
        prompt=Prompt(task.instructions, offered, tool_role=True),
        direct=Prompt(task.instructions, answer, tool_role=True),
        tokenizer=make_tokenizer(
            texts,
            offered,
            whole=whole_tokens(KINDS, (*PROPERTIES, *NAMES, *PROOFWRITER), offered),
            vocabulary=VOCABULARY,
            template="logic_template.jinja",
        ),
        chains=(1,),
    )


def logic_problems(seed: int) -> Iterator[Problem]:
    """Fresh problems of deduction's train split: short stories first, and then of all lengths,
    those with a long proof more often."""
    dice = random.Random(seed)
    short = Deduction(seed=seed, size=ENDLESS, hops=SHORT, extras=SHORT)
    yield from islice(_weighted(short, dice), WARM_UP)
    yield from _weighted(Deduction(seed=seed, size=ENDLESS), dice)


def _weighted(task: Deduction, dice: random.Random) -> Iterator[Problem]:
    for problem in task.problems("train"):
        unknown = problem.gold == "Unknown"
        if dice.random() < (UNKNOWN if unknown else (problem.meta["hops"] + 1) / (task.hops + 1)):
            asked = dice.choice(QUESTIONS if unknown else (*QUESTIONS, ProntoQA.question))
            yield replace(problem, question=problem.question.replace(QUESTION, asked))


def solution(problem: Problem) -> Sequence[Call]:
    """The calls that a logic model is to learn for a problem."""
    return search(*read_problem(problem))
