"""What the models are made with: a task, its prompts, its tokenizer, and problems without end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from callsmith.chain import Call, Problem
from callsmith.control import answer_function, reasoning
from callsmith.dialects import Prompt
from callsmith.plugins import load_registry
from callsmith.tasks import BaseTask
from callsmith_tiny.corpus import CHAINS
from callsmith_tiny.tokenizer import make_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ENDLESS = 10**9
TOKENIZER_PROBLEMS = 6_000


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all models of one task are made with.

    ``problems`` gives fresh problems of the train split from a seed, ``reference`` the right calls
    of one. ``prompt`` offers the task's functions, ``direct`` none but ``answer``. ``chains`` are
    how many there may be in one training example.
    """

    task: BaseTask
    problems: Callable[[int], Iterator[Problem]]
    reference: Callable[[Problem], Sequence[Call]]
    prompt: Prompt
    direct: Prompt
    tokenizer: PreTrainedTokenizerFast
    chains: Sequence[int] = CHAINS


def open_workshop() -> Workshop:
    """The workshop of ``tiny:teacher`` and ``tiny:student``."""
    from callsmith_math.wordproblems import WordProblems

    task = WordProblems()
    answer = {"answer": answer_function(task.answer)}
    offered = load_registry().functions(task.functions) | {"reasoning": reasoning} | answer
    texts = (p.question for p in islice(endless_problems(7_000), TOKENIZER_PROBLEMS))
    return Workshop(
        task,
        problems=endless_problems,
        reference=task.reference,
        prompt=Prompt(task.instructions, offered, tool_role=True),
        direct=Prompt(task.instructions, answer, tool_role=True),
        tokenizer=make_tokenizer(texts, offered),
    )


def endless_problems(seed: int) -> Iterator[Problem]:
    """Fresh word problems of the train split."""
    from callsmith_math.wordproblems import WordProblems

    return WordProblems(seed=seed, size=ENDLESS).problems("train")
