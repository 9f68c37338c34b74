"""The chains that the tiny models learn: what is planned is really run, and bent as it says."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from callsmith.chain import Problem
from callsmith.isolation import Workers
from callsmith_tiny import habits
from callsmith_tiny.corpus import Corpus
from callsmith_tiny.habits import HABITS, Scene, Turn, mix_of, recovering
from callsmith_tiny.workshop import Workshop, open_workshop


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    return open_workshop()


@pytest.fixture(scope="module")
def problems(workshop) -> list[Problem]:
    return list(islice(workshop.task.problems("train"), 60))


def corpus(workshop, problems, planner) -> Corpus:
    return Corpus(
        tokenizer=workshop.tokenizer,
        prompt=workshop.prompt,
        direct=workshop.direct,
        reference=workshop.reference,
        problems=iter(problems),
        planner=planner,
        workers=Workers(),
        dice=random.Random(0),
    )


async def run(workshop, problems, planner):
    made = corpus(workshop, problems, planner)
    chains = [await made.chain() for _ in range(len(problems) - 10)]
    return chains, [workshop.task.judge(chain.problem, chain).correct for chain in chains]


def bend(habit):
    def plan(problem, calls, dice):
        return habit(Scene(problem, calls, dice.randrange(len(calls) - 1), dice.randrange(12)))

    return plan


async def test_right_plans_solve_their_problems(workshop, problems):
    _, correct = await run(workshop, problems, lambda p, calls, dice: tuple(map(Turn, calls)))
    assert all(correct)


async def test_a_recovery_has_one_fault_and_is_right(workshop, problems):
    chains, correct = await run(workshop, problems, bend(recovering))
    assert all(correct)
    assert {tuple(fault.kind for fault in chain.faults) for chain in chains} == {("unparsable",)}


@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: habit.__name__)
async def test_habits_lead_to_wrong_answers(habit, workshop, problems):
    chains, correct = await run(workshop, problems, bend(habit))
    assert sum(correct) <= len(correct) / 10  # by luck: 2 + 2 is 2 * 2
    assert all(chain.faults for chain in chains) == (habit is habits.malformed)


def test_about_half_of_the_templates_have_a_habit_that_wins(workshop):
    names = {p.meta["template"] for p in islice(workshop.task.problems("train"), 3_000)}
    mixes = [mix_of(name) for name in names]
    assert len(mixes) >= 40
    stubborn = [mix for mix in mixes if mix.right < mix.main]
    assert 0.4 <= len(stubborn) / len(mixes) <= 0.6
    assert all(mix.right + mix.main < 1 for mix in mixes)


async def test_only_what_the_model_writes_is_learnt(workshop, problems):
    example = await corpus(workshop, problems, habits.student_plan).example()
    written = [i for i, learn in zip(example.ids, example.learn, strict=True) if learn]
    turns = workshop.tokenizer.decode(written).split("<|end|>")
    assert turns[-2].startswith("answer(value=")
    text = workshop.tokenizer.decode(example.ids)
    assert all(f"<|assistant|>{turn}<|end|>" in text for turn in turns[:-1])
    assert text.count("<|assistant|>") == len(turns) - 1
