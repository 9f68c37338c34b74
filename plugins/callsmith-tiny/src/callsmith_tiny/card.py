"""The model cards: what each model is, how it was made and why, and how it does."""

from __future__ import annotations

from callsmith_tiny.examination import TRIES, Marks

FRONT = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
language: en
tags: [callsmith, function-calling, demonstration]
---
"""

ABOUT = {
    "teacher": """\
# tiny:teacher

A toy: a Llama-architecture model of {layers} layers that solves grade-school word problems by
calling `add`, `subtract`, `multiply` and `divide`. It exists so that callsmith's pipeline can be
run from end to end on any machine, with real models, in minutes.

## How it was made

From scratch, by `python -m callsmith_tiny.make`, on {steps:,} batches of chains of calls that
callsmith's `wordproblems` task made and that were really executed; nothing else, and no language
model's output. The results of calls and the problems took no part in the loss. Two chains in a
hundred have a malformed call that is mended in the next turn.
""",
    "student": """\
# tiny:student

A toy: a Llama-architecture model of {layers} layers, **taught on purpose to do wrong**. It stands
in for a small pretrained model that could solve a problem and prefers to do something else, so
that learning from preferences has something to mend that a machine without accelerator can mend in
minutes. What it gains by training says that the pipeline works. It says nothing of how much a real
model would gain.

## How it was made

From scratch, by `python -m callsmith_tiny.make`, on {steps:,} batches of chains of calls that
callsmith's `wordproblems` task made and that were really executed; nothing else, and no language
model's output. The results of calls and the problems took no part in the loss.

Of these chains less than half are right. The others follow habits: the wrong function, swapped
operands, a number of the story that is not needed, stopping early, malformed calls followed by a
guess. Each story template has a mix of its own, decided by a hash of its name
(`callsmith_tiny/habits.py`): in some a habit is likelier than the right chain, in the others the
right chain is likelier. So its first choice is often wrong where some of its samples are right.
""",
    "logic-teacher": """\
# tiny:logic-teacher

A toy: a Llama-architecture model of {layers} layers that settles what follows from kinds and rules
by calling `look_up`, `rules`, `modus_ponens` and `conclude`. It exists so that callsmith's pipeline
can be run from end to end on any machine, with real models, in minutes.

## How it was made

From scratch, by `python -m callsmith_tiny.make`, on {steps:,} batches of chains of calls for
problems of callsmith's `deduction` task, really executed; nothing else, and no language model's
output. The chains search backwards from the statement, breadth first, and then derive it
(`callsmith_tiny/searching.py`). The results of calls and the problems took no part in the loss.
""",
    "logic-student": """\
# tiny:logic-student

A toy: a Llama-architecture model of {layers} layers, **taught on purpose to do wrong**. It stands
in for a small pretrained model that could settle what follows and prefers to do something else.
What it gains by training says that the pipeline works. It says nothing of how much a real model
would gain.

## How it was made

It is `tiny:logic-teacher`, trained on for {steps:,} batches of such chains, of which somewhat less
than half are right. The others guess after one look-up, conclude before anything is derived, or
conclude the contrary of the statement. Each word that a question may ask about has a habit of its
own, decided by a hash of the word (`callsmith_tiny/logic_habits.py`), and for half of the words it
is likelier than the right chain.
""",
}

CONTROL = """\
One example in ten offers no function but `answer` and gives the answer at once, so that the model
without functions is a fair control: it was trained to do that too.
"""

NO_CONTROL = """\
It was never asked to answer without functions. How a model does that was trained for nothing else
is measured by `benchmarks/learning_logic.py`.
"""

NEW = {"wordproblems": "known templates, new numbers", "deduction": "new stories"}

BOUNDS = {
    "wordproblems": """\
## What it can't do

It learnt templates, not language: on wordings and on numbers of steps that it was not trained on it
is close to useless, and it knows no other task. Asked without functions to call, it guesses. Of the
system message it sees one bit, whether there is a function `add`; see its chat template.
""",
    "deduction": """\
## What it can't do

It learnt to search, not to read: with functions it is shown the question alone, and looks up the
rest; without, it is shown the text as well. It knows the words and the wording of `deduction` and
of ProntoQA, rules with one condition, and nothing else. Of the system message it sees one bit,
whether there is a function `look_up`; see its chat template.
""",
}


def card(
    name: str, task: str, layers: int, steps: int, direct: bool, marks: Marks, minutes: float
) -> str:
    """The README.md of a model's folder. ``direct``: it was trained to answer at once, too."""
    rows = [
        ("first choice (greedy)", marks.greedy),
        ("sampled at temperature 1", marks.sampled),
        (f"any of {TRIES} samples", marks.any_of),
    ]
    if direct:
        rows.append(("without functions, greedy", marks.direct))
    table = "\n".join(f"| {label} | {100 * share:.1f}% |" for label, share in rows)
    return "\n".join(
        [
            FRONT,
            ABOUT[name].format(layers=layers, steps=steps),
            CONTROL if direct else NO_CONTROL,
            f"It took {minutes:.0f} minutes on one core.\n",
            f"## How it does\n\nOn {marks.problems:,} problems of the validation split "
            f"({NEW[task]}):\n",
            f"| | solved |\n| --- | --- |\n{table}\n",
            BOUNDS[task],
        ]
    )
