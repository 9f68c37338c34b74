"""The logic models: the chains they learn, what they are shown, and that they do what they say."""

from __future__ import annotations

import asyncio
import random
from itertools import islice

import pytest

from callsmith.agent import Limits, solve
from callsmith.chain import Problem, Sampling
from callsmith.isolation import Workers
from callsmith_logic.deduction import Deduction
from callsmith_tiny.backend import MODELS, open_backend
from callsmith_tiny.corpus import Corpus
from callsmith_tiny.logic_habits import logic_student_plan, logic_teacher_plan
from callsmith_tiny.logic_workshop import logic_problems, open_logic_workshop, solution
from callsmith_tiny.workshop import Workshop

LOGIC = ("logic-teacher", "logic-student")
STORY = Problem(
    "Is the following statement true, false, or unknown? Max is not sour.",
    context="Max is a yumpus. Each yumpus is a dumpus. Numpuses are sour. Dumpuses are not sour.",
)


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    return open_logic_workshop()


def written(problem: Problem) -> list[str]:
    return [" ".join(map(str, (c.name, *c.arguments.values()))) for c in solution(problem)[:-1]]


def test_a_search_goes_back_to_a_fact_and_derives_the_statement_from_it():
    assert written(STORY) == [
        "look_up not sour(Max)",
        "look_up numpus(Max)",
        "look_up dumpus(Max)",
        "look_up yumpus(Max)",
        "modus_ponens forall x (yumpus(x) -> dumpus(x)) yumpus(Max)",
        "rules dumpus sour",
        "modus_ponens forall x (dumpus(x) -> not sour(x)) dumpus(Max)",
        "conclude not sour(Max)",
    ]


def test_where_nothing_leads_to_the_statement_every_way_is_looked_up():
    story = Problem(
        STORY.question, context="Max is a yumpus. Numpuses are sour. Dumpuses are sour."
    )
    looked_up = ["look_up not sour(Max)", "look_up numpus(Max)", "look_up dumpus(Max)"]
    assert written(story) == [*looked_up, "conclude not sour(Max)"]


def test_a_condition_is_looked_up_once_however_many_rules_have_it():
    rules = "Numpuses are sour. Numpuses are dumpuses. Dumpuses are sour. Sour things are numpuses."
    story = Problem(STORY.question, context=f"Max is a yumpus. {rules}")
    looked_up = written(story)[:-1]
    assert looked_up == ["look_up not sour(Max)", "look_up numpus(Max)", "look_up dumpus(Max)"]


def test_with_two_conditions_all_is_looked_up_and_both_are_given():
    text = "Bob is quiet. Bob is red. Red things are cold. Quiet, cold things are smart."
    story = Problem("Is it true, false, or unknown? Bob is smart.", context=text)
    assert written(story) == [
        "look_up smart(Bob)",
        "look_up quiet(Bob)",
        "look_up cold(Bob)",
        "look_up red(Bob)",
        "modus_ponens forall x (red(x) -> cold(x)) red(Bob)",
        "rules quiet smart",
        "modus_ponens forall x (quiet(x) and cold(x) -> smart(x)) quiet(Bob) and cold(Bob)",
        "conclude smart(Bob)",
    ]


def test_a_rule_that_any_thing_may_meet_is_looked_up_for_each():
    text = "The dog is red. The cow eats the dog. If something eats the dog then the dog is cold."
    story = Problem("Is it true, false, or unknown? The dog is cold.", context=text)
    assert written(story) == [
        "look_up cold(dog)",
        "look_up eats(dog, dog)",
        "look_up eats(cow, dog)",
        "rules eats cold",
        "modus_ponens forall x (eats(x, dog) -> cold(dog)) eats(cow, dog)",
        "conclude cold(dog)",
    ]


async def chains(workshop: Workshop, planner, count: int = 60):
    corpus = Corpus(
        workshop.tokenizer,
        workshop.prompt,
        workshop.direct,
        workshop.reference,
        logic_problems(5),
        planner,
        Workers(),
        random.Random(5),
    )
    return [await corpus.chain() for _ in range(count)]


async def test_the_teacher_learns_chains_that_are_right_and_shown(workshop):
    for chain in await chains(workshop, logic_teacher_plan):
        verdict = workshop.task.judge(chain.problem, chain)
        assert verdict.correct
        assert verdict.grounded
        assert not chain.faults


async def test_the_student_learns_right_chains_and_others(workshop):
    made = await chains(workshop, logic_student_plan)
    verdicts = [workshop.task.judge(chain.problem, chain) for chain in made]
    right = sum(verdict.correct and verdict.grounded for verdict in verdicts)
    assert 15 < right < 50
    assert any(chain.faults for chain in made)


def test_a_rule_is_four_tokens_and_a_word_the_same_one_everywhere(workshop):
    rule = "forall x (yumpus(x) -> dumpus(x))"
    pieces = ["forall x (", "yumpus(x) -> ", "dumpus", "(x))"]
    assert workshop.tokenizer.tokenize(rule) == pieces
    assert "dumpus" in workshop.tokenizer.tokenize("Each yumpus is a dumpus.")


def test_with_functions_it_is_shown_the_question_alone(workshop):
    def shown(prompt):
        return workshop.tokenizer.apply_chat_template(prompt.conversation(STORY), tokenize=False)

    assert shown(workshop.prompt) == f"<|functions|><|user|>{STORY.question}<|end|>"
    assert shown(workshop.direct) == f"<|direct|><|user|>{STORY.text}<|end|>"


@pytest.mark.parametrize("name", LOGIC)
def test_the_shipped_tokenizer_is_the_one_that_is_made(name, workshop):
    from transformers import AutoTokenizer

    shipped = AutoTokenizer.from_pretrained(MODELS / name)
    assert shipped.get_vocab() == workshop.tokenizer.get_vocab()
    assert shipped.chat_template == workshop.tokenizer.chat_template


async def solved(name: str, workshop: Workshop, direct: bool = False) -> tuple[int, int]:
    """Of 50 test problems, how many the model answers rightly, and how many it also shows."""
    backend = open_backend(name)
    prompt = workshop.direct if direct else workshop.prompt
    task = Deduction()
    problems = list(islice(task.problems("test"), 50))
    sampling, limits = Sampling(max_tokens=64), Limits(steps=40)
    async with Workers() as workers:
        made = await asyncio.gather(
            *(
                solve(p, backend, prompt, workers, sampling=sampling, limits=limits)
                for p in problems
            )
        )
    await backend.close()
    verdicts = [task.judge(p, c) for p, c in zip(problems, made, strict=True)]
    shown = [v.correct and v.grounded for v in verdicts]
    return sum(v.correct for v in verdicts), sum(shown)


async def test_the_teacher_settles_most_new_stories_and_shows_it(workshop):
    right, shown = await solved("logic-teacher", workshop)
    assert right >= 40
    assert shown >= 40


async def test_the_student_settles_some(workshop):
    right, shown = await solved("logic-student", workshop)
    assert 10 <= right <= 35
    assert shown < right


async def test_without_functions_the_student_guesses(workshop):
    right, shown = await solved("logic-student", workshop, direct=True)
    assert right <= 35
    assert shown == 0
