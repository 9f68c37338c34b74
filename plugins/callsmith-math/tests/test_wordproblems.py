from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from itertools import combinations, islice
from typing import Any

import pytest

from callsmith.backends import Previous
from callsmith.chain import Call, Chain, Problem, dump, load_problem
from callsmith.errors import DataError
from callsmith.tasks import Task, problems_of
from callsmith_math.functions import pack
from callsmith_math.wordproblems import WordProblems
from callsmith_math.wordproblems.plan import Made, Step, Unfit, parse, to_calls, to_json
from callsmith_math.wordproblems.template import Passage, stories, templates
from callsmith_math.wordproblems.words import Noun, people

FUNCTIONS = {function.name: function for function in pack.functions}


@cache
def made(split: str, seed: int = 0, size: int = 500) -> list[Problem]:
    return list(WordProblems(seed, size).problems(split))


def execute(calls: Sequence[Call]) -> Any:
    """What a chain answers, its calls made with the real functions."""
    results: list[Any] = []
    for call in calls:
        arguments = {
            name: results[-value.back] if isinstance(value, Previous) else value
            for name, value in call.arguments.items()
        }
        if call.name == "answer":
            return arguments["value"]
        results.append(FUNCTIONS[call.name](**arguments))
    raise AssertionError("the chain never answers")


def passages() -> list[Passage]:
    whole = [template.passage for template in templates()]
    return whole + [
        passage for story in stories() for passage in (story.opening, *story.events, story.question)
    ]


def pattern(wordings: Sequence[str]) -> re.Pattern[str]:
    """What matches every text that one of the wordings can give."""

    def one(wording: str) -> str:
        parts = re.split(r"\s*(\[[^\]]*\]|\{[^}]*\})\s*", wording)
        return r"\s*".join(
            ".*?" if part[:1] in ("[", "{") else re.escape(part) for part in parts if part
        )

    return re.compile("|".join(one(wording) for wording in wordings))


@pytest.mark.parametrize("split", WordProblems.splits)
def test_reference_chains_executed_by_the_real_functions_give_the_gold_answer(split: str) -> None:
    task = WordProblems()
    for problem in made(split):
        answer = execute(task.reference(problem))
        assert answer == problem.gold, problem
        assert type(answer) is type(problem.gold)
        assert task.judge(problem, Chain(problem, stop="answer", answer=answer)).correct


def test_no_problem_is_in_two_splits_whatever_the_seed() -> None:
    keys = {
        split: {problem.key for seed in (0, 1, 7) for problem in made(split, seed)}
        for split in WordProblems.splits
    }
    for one, other in combinations(WordProblems.splits, 2):
        assert not keys[one] & keys[other], f"{one} and {other}"


def test_the_judged_splits_have_sets_of_numbers_that_were_never_trained_on() -> None:
    def numbers(split: str, size: int) -> set[tuple[Any, ...]]:
        return {
            tuple(
                sorted(
                    operand
                    for step in problem.meta["plan"]
                    for operand in (step["a"], step["b"])
                    if not isinstance(operand, dict)
                )
            )
            for problem in made(split, size=size)
        }

    trained = numbers("train", 4_000)
    for split in ("validation", "test", "wording", "longer"):
        assert not numbers(split, 500) & trained, split


def test_a_split_is_the_same_every_time_and_the_beginning_of_a_larger_one() -> None:
    first = list(WordProblems(size=50).problems("test"))
    assert first == list(WordProblems(size=50).problems("test"))
    assert first == made("test")[:50]
    assert first != made("test", seed=1)[:50]


def test_no_problem_is_twice_in_a_split_and_sizes_are_kept() -> None:
    assert len({problem.key for problem in made("train", size=4_000)}) == 4_000
    assert len(problems_of(WordProblems(), "train")) == 5_000
    assert len(problems_of(WordProblems(), "test")) == 1_000


def test_there_are_forty_templates_and_each_is_used_in_train_validation_test_and_wording() -> None:
    names = {source.name for source in (*templates(), *stories())}
    assert len(templates()) >= 40
    assert len(names) == len(templates()) + len(stories())
    for split in ("train", "validation", "test", "wording"):
        used = Counter(problem.meta["template"] for problem in made(split, size=1_000))
        assert used.keys() == names
        assert min(used.values()) >= 4


def test_only_longer_has_more_than_four_steps() -> None:
    for split in WordProblems.splits:
        steps = {problem.meta["steps"] for problem in made(split)}
        assert steps == ({5, 6} if split == "longer" else {1, 2, 3, 4})


def test_longer_tells_stories_that_train_tells_too() -> None:
    names = {problem.meta["template"] for problem in made("train")}
    assert {problem.meta["template"] for problem in made("longer")} <= names


def test_every_passage_has_wordings_of_its_own_that_are_reserved() -> None:
    for passage in passages():
        assert len(passage.wordings) >= 2
        assert passage.reserved
    trained = {wording for passage in passages() for wording in passage.wordings}
    assert not trained & {wording for passage in passages() for wording in passage.reserved}


def test_no_wording_belongs_to_two_templates() -> None:
    wordings = Counter(
        wording
        for template in templates()
        for wording in template.passage.wordings + template.passage.reserved
    )
    assert max(wordings.values()) == 1


def test_the_wording_split_uses_reserved_wordings_and_the_others_never_do() -> None:
    by_name = {template.name: template.passage for template in templates()}
    for split in ("train", "validation", "test", "wording"):
        for problem in made(split):
            if problem.meta["template"] in by_name:
                passage = by_name[problem.meta["template"]]
                reserved = pattern(passage.reserved).fullmatch(problem.question)
                trained = pattern(passage.wordings).fullmatch(problem.question)
                assert bool(reserved) == (split == "wording"), problem.question
                assert bool(trained) == (split != "wording"), problem.question


def test_every_wording_tells_all_that_its_plan_needs() -> None:
    for passage in passages():
        if passage.plan is None:
            continue
        for wording in passage.wordings + passage.reserved:
            always = re.sub(r"\[[^\]]*\]", "", wording)
            told = set(re.findall(r"\{(\w+)[}.]", always))
            assert passage.plan.slots - {"total"} <= told, wording
            assert not re.search(r"\d", re.sub(r"\{[^}]*\}", "", always)), wording


def test_the_text_holds_every_number_of_the_plan_but_constants_that_words_stand_for() -> None:
    # half, twice the sides, percent, legs and wheels
    constants = {"2", "4", "3", "100"}
    for problem in made("train"):
        told = set(re.findall(r"\d+(?:\.\d+)?", problem.question))
        needed = {
            f"{operand:g}"
            for step in problem.meta["plan"]
            for operand in (step["a"], step["b"])
            if not isinstance(operand, dict)
        }
        assert needed - told <= constants, problem.question


def test_distractors_are_numbers_of_the_text_that_no_step_uses() -> None:
    problems = made("train", size=4_000)[:2_000]
    with_some = [problem for problem in problems if problem.meta["distractors"]]
    assert 0.1 < len(with_some) / len(problems) < 0.4
    for problem in with_some:
        used = [value for call in execute_arguments(problem) for value in call]
        for number in problem.meta["distractors"]:
            assert f"{number:g}" in problem.question
            assert number not in used


def execute_arguments(problem: Problem) -> list[list[Any]]:
    return [list(call.arguments.values()) for call in WordProblems().reference(problem)]


def test_texts_are_clean() -> None:
    for split in WordProblems.splits:
        for problem in made(split):
            assert not re.search(r"[{}\[\]|_#]|\s[.,?:]|\s\s|\bNone\b", problem.question)
            assert problem.question[0].isupper() or problem.question[0].isdigit()
            assert re.search(r"[.?]$", problem.question)
            assert not re.search(r"\ba [aeio]\w|\ban (?!hour)[^aeiou]", problem.question)


def test_results_are_positive_and_below_ten_thousand() -> None:
    for problem in made("train") + made("longer"):
        results: list[float] = []
        for call in WordProblems().reference(problem)[:-1]:
            a, b = (
                results[-value.back] if isinstance(value, Previous) else value
                for value in call.arguments.values()
            )
            results.append(FUNCTIONS[call.name](a, b))
        assert all(0 < result < 10_000 for result in results)
        assert all(round(result, 2) == result for result in results)


def test_the_reference_survives_the_store() -> None:
    task = WordProblems()
    for split in task.splits:
        for problem in islice(task.problems(split), 100):
            again = load_problem(dump(problem))
            assert again == problem
            assert task.reference(again) == task.reference(problem)


def test_the_reference_never_looks_at_the_gold_answer() -> None:
    problem = made("test", size=1)[0]
    other = Problem(problem.question, gold=-1, meta=problem.meta)
    assert WordProblems().reference(other) == WordProblems().reference(problem)


def test_it_is_a_task_whose_examples_are_right_and_in_no_split() -> None:
    task = WordProblems()
    assert isinstance(task, Task)
    assert task.answer == {"type": "number"}
    assert [execute(calls) for _, calls in task.examples] == [25, 166]
    shown = {problem.key for problem, _ in task.examples}
    assert not shown & {problem.key for split in task.splits for problem in made(split)}


def test_mistakes_are_refused_in_one_sentence() -> None:
    with pytest.raises(DataError, match=r"no split 'dev': it has train, validation, test"):
        WordProblems().problems("dev")
    with pytest.raises(DataError, match="at least 1: not 0"):
        WordProblems(size=0)
    with pytest.raises(DataError, match="its own problems alone"):
        WordProblems().reference(Problem("How many?", gold=1))


def test_a_plan_refers_to_earlier_results_by_how_far_back_they_are() -> None:
    steps: list[Step] = []
    result = parse("b = a * 3; a + b + (b - 4)").run({"a": 5}, steps)
    assert result == Made(3, 31)
    assert to_calls(to_json(steps)) == [
        Call("multiply", {"a": 5, "b": 3}),
        Call("add", {"a": 5, "b": Previous(1)}),
        Call("subtract", {"a": Previous(2), "b": 4}),
        Call("add", {"a": Previous(2), "b": Previous(1)}),
        Call("answer", {"value": Previous(1)}),
    ]


@pytest.mark.parametrize("plan", ["a / b", "b - a", "a * 5000", "a - 3"])
def test_numbers_that_do_not_come_out_even_or_in_bounds_are_unfit(plan: str) -> None:
    with pytest.raises(Unfit):
        parse(plan).run({"a": 3, "b": 2}, [])


def test_decimals_stay_exact() -> None:
    assert parse("a * 3 + b").run({"a": Decimal("0.1"), "b": Decimal("0.2")}, []) == Made(
        1, Decimal("0.5")
    )


@pytest.mark.parametrize("plan", ["a ** 2", "f(a)", "1 + 'x'", "3"])
def test_what_is_no_plan_is_refused(plan: str) -> None:
    with pytest.raises(DataError, match="the plan"):
        parse(plan)


@pytest.mark.parametrize(
    ("noun", "plural", "article"),
    [
        ("box", "boxes", "a box"),
        ("cherry", "cherries", "a cherry"),
        ("toy", "toys", "a toy"),
        ("orange", "oranges", "an orange"),
        ("brush", "brushes", "a brush"),
        ("scarf", "scarves", "a scarf"),
        ("mango", "mangos", "a mango"),
        ("quiz", "quizzes", "a quiz"),
    ],
)
def test_nouns(noun: str, plural: str, article: str) -> None:
    assert (Noun(noun).s, Noun(noun).a) == (plural, article)


def test_pronouns_are_those_of_the_first_person() -> None:
    for seed in range(50):
        who = people(random.Random(seed))
        assert len({who["name"], who["other"], who["third"]}) == 3
        if who["name"] == "Mia":
            assert who["He"] == "She"
