from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from callsmith.agent import Limits, solve, worked_examples
from callsmith.backends import ReplayBackend, open_reference
from callsmith.chain import Call, Chain, Problem
from callsmith.control import answer_function, reasoning
from callsmith.dialects import Prompt
from callsmith.errors import DataError
from callsmith.functions import Function
from callsmith.isolation import Workers
from callsmith.testing import check_task
from callsmith_logic import deduction, stories
from callsmith_logic.deduction import OUTCOMES, SPLITS, Deduction
from callsmith_logic.pack import pack
from callsmith_logic.sentences import read_world, split_sentences
from callsmith_logic.worldtasks import read_problem


def functions() -> dict[str, Function]:
    names = [str(name).removeprefix("logic.") for name in Deduction.functions]
    chosen = {name: pack.named("logic")[name] for name in names}
    return {**chosen, "reasoning": reasoning, "answer": answer_function(Deduction.answer)}


PROMPT = Prompt(Deduction.instructions, functions(), dialect="native")


async def run(problem: Problem, *calls: Call) -> Chain:
    """The chain of these calls, one a turn."""
    backend = ReplayBackend("plan", lambda problem, attempt: calls)
    async with Workers(1) as workers:
        return await solve(problem, backend, PROMPT, workers)


def problems(split: str = "train", count: int = 300, **options: Any) -> list[Problem]:
    return list(islice(Deduction(**options).problems(split), count))


# ---- problems -----------------------------------------------------------------------------------


def test_every_label_is_what_follows_from_the_text() -> None:
    for split in SPLITS:
        for problem in problems(split, 200):
            world, goal = read_problem(problem)
            assert world.closure.label(goal) == problem.gold


def test_labels_and_hops_are_equally_frequent_and_independent() -> None:
    seen = Counter((problem.gold, problem.meta["hops"]) for problem in problems(count=1_800))
    assert seen.keys() == {(label, hops) for label in OUTCOMES for hops in range(1, 7)}
    assert all(70 <= count <= 130 for count in seen.values())


def test_neither_a_not_nor_a_fact_in_the_question_gives_the_label_away() -> None:
    negated = Counter(p.gold for p in problems(count=1_800) if " not " in p.question[50:])
    assert all(0.42 < count / 600 < 0.58 for count in negated.values())
    stated = [p for p in problems() if p.question.rpartition("? ")[2] in p.context]
    assert stated == []


def test_hops_are_the_rules_of_the_shortest_proof() -> None:
    for split, hops in (("train", range(1, 7)), ("longer", range(7, 9))):
        for problem in problems(split, 200):
            world, goal = read_problem(problem)
            assert problem.meta["hops"] in hops
            if problem.gold != "Unknown":
                proven = goal if problem.gold == "True" else -goal
                assert world.closure.hops[proven] == problem.meta["hops"]


def test_no_text_contradicts_itself() -> None:
    for problem in problems():
        derived = read_world(problem.context).closure.hops
        assert not any(-literal in derived for literal in derived)


def test_short_stories_are_short_and_long_ones_have_branches() -> None:
    short = problems(hops=2, extras=2)
    assert max(len(split_sentences(problem.context)) for problem in short) <= 5
    branching = 0
    for problem in problems():
        world = read_world(problem.context)
        kinds = {rule.conclusion.predicate for rule in world.rules}
        branching += any(len(world.rules_to(kind)) > 1 for kind in kinds)
    assert branching > 100


def test_splits_share_no_story_whatever_the_options() -> None:
    def stories(split: str, **options: Any) -> set[tuple[str, ...]]:
        found = set()
        for problem in problems(split, 200, **options):
            world = read_world(problem.context)
            found.add(tuple(sorted(map(str, (*world.facts, *world.rules)))))
        return found

    # Stories so short that seeds are bound to draw the same ones.
    options = ({"hops": 1, "extras": 0, "seed": seed} for seed in (1, 2, 3))
    by_split = {split: set[tuple[str, ...]]() for split in SPLITS if split != "longer"}
    for chosen in options:
        for split, found in by_split.items():
            found |= stories(split, **chosen)
    for split, found in by_split.items():
        others = set().union(*(by_split[other] for other in by_split if other != split))
        assert not found & others


def test_a_seed_gives_the_same_problems_and_a_smaller_split_is_a_beginning() -> None:
    assert problems(count=50) == problems(count=50) == problems(size=50)
    assert problems(count=50) != problems(count=50, seed=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": "x"}, "seed must be a whole number, not 'x'"),
        ({"size": 0}, "size must be a whole number from 1, not 0"),
        ({"hops": 13}, "hops must be a whole number from 1 to 12, not 13"),
        ({"extras": True}, "extras must be a whole number from 0 to 40, not True"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Deduction(**options)


def test_a_split_that_is_none_is_refused() -> None:
    with pytest.raises(DataError, match="no split 'dev': it has train, validation, test, longer"):
        Deduction().problems("dev")


def test_more_problems_than_there_can_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deduction, "TRIES", 500)
    monkeypatch.setattr(stories, "KINDS", ("yumpus", "wumpus"))
    monkeypatch.setattr(stories, "PROPERTIES", ("sour",) * 12)
    with pytest.raises(
        DataError, match=r"can make no more than \d+ different problems of its split"
    ):
        problems(hops=1, extras=0, size=10_000, count=10_000)


# ---- chains -------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
async def test_reference_chains_really_show_their_answers(split: str) -> None:
    task = Deduction()
    async with Workers(1) as workers:
        for problem in problems(split, 150):
            chain = await solve(
                problem, open_reference("", task=task), PROMPT, workers, limits=Limits(steps=40)
            )
            assert not chain.faults
            assert not any(result.note for result in chain.results)
            verdict = task.judge(problem, chain)
            assert verdict.correct
            assert verdict.grounded


def test_a_reference_chain_is_the_same_whatever_gold_says() -> None:
    for problem in problems(count=30):
        other = replace(problem, gold="no label at all", meta={})
        assert Deduction().reference(other) == Deduction().reference(problem)


async def test_the_task_checks_out_and_its_examples_run() -> None:
    check_task(Deduction(size=60)).raise_if_failed()
    async with Workers(1) as workers:
        chains = await worked_examples(Deduction.examples, PROMPT, workers)
    assert [chain.answer for chain in chains] == ["False", "Unknown"]


def test_a_problem_of_another_kind_has_no_reference_chain() -> None:
    with pytest.raises(DataError, match="can't be read: it needs a text of facts and rules"):
        Deduction().reference(Problem("What is 2 + 2?"))
    with pytest.raises(DataError, match=r"'Max is a bit odd\.' is no sentence"):
        Deduction().reference(replace(RIDDLE, context="Max is a bit odd."))


# ---- verdicts -----------------------------------------------------------------------------------

RIDDLE = Problem(
    "Is the following statement true, false, or unknown? Max is not sour.",
    "True",
    "Max is a yumpus. Each yumpus is a dumpus. Dumpuses are not sour. Every impus is sour.",
)
FIRST = Call("modus_ponens", {"rule": "forall x (yumpus(x) -> dumpus(x))", "fact": "yumpus(Max)"})
SECOND = Call(
    "modus_ponens", {"rule": "forall x (dumpus(x) -> not sour(x))", "fact": "dumpus(Max)"}
)
FACTS = Call("facts", {"of": "Max"})
CONCLUDE = Call("conclude", {"statement": "not sour(Max)"})


def answer(value: Any) -> Call:
    return Call("answer", {"value": value})


async def judged(problem: Problem, *calls: Call) -> tuple[bool, bool]:
    """Correct, and grounded."""
    verdict = Deduction().judge(problem, await run(problem, *calls))
    return verdict.correct, verdict.grounded


async def test_an_answer_is_grounded_by_the_steps_that_lead_to_it() -> None:
    assert await judged(RIDDLE, FIRST, SECOND, answer("True")) == (True, True)
    assert await judged(RIDDLE, FACTS, FIRST, SECOND, CONCLUDE, answer("True")) == (True, True)


@pytest.mark.parametrize(
    "calls",
    [
        (),
        (FIRST,),
        (FACTS, FACTS, FIRST, Call("rules", {"to": "sour"}), Call("rules", {"of": "dumpus"})),
        (FACTS, FIRST, Call("conclude", {"statement": "dumpus(Max)"})),
        (SECOND, FIRST),
        (
            Call("modus_ponens", {"rule": "yumpus(Max) -> not sour(Max)", "fact": "yumpus(Max)"}),
            CONCLUDE,
        ),
        (Call("reasoning", {"thought": "not sour(Max)"}),),
    ],
)
async def test_no_number_of_calls_grounds_what_they_do_not_show(calls: tuple[Call, ...]) -> None:
    assert await judged(RIDDLE, *calls, answer("True")) == (True, False)


async def test_a_wrong_answer_is_not_grounded_by_a_proof_of_the_right_one() -> None:
    assert await judged(RIDDLE, FIRST, SECOND, answer("False")) == (False, False)
    assert await judged(RIDDLE, FIRST, SECOND) == (False, False)


async def test_unknown_is_grounded_by_looking_at_all_that_could_decide_it() -> None:
    problem = replace(RIDDLE, context=RIDDLE.context.replace("Max is", "Sam is"), gold="Unknown")
    problem = replace(problem, context=f"Max is red. {problem.context}")
    looked = [Call("rules", {"to": name}) for name in ("sour", "dumpus", "yumpus", "impus")]
    assert await judged(problem, FACTS, *looked, answer("Unknown")) == (True, True)
    for place in range(4):
        some = (*looked[:place], *looked[place + 1 :])
        assert await judged(problem, FACTS, *some, answer("Unknown")) == (True, False)
    assert await judged(problem, *looked, answer("Unknown")) == (True, False)
    assert await judged(problem, answer("Unknown")) == (True, False)


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        *[(text, "True") for text in ("True", "true.", "A", "(A)", "A) True", "yes", True)],
        *[(text, "False") for text in ("False", "FALSE", "B", "B) False", "no", False)],
        *[(text, "Unknown") for text in ("Unknown", "Uncertain", "C", "C)", "undetermined")],
    ],
)
def test_labels_are_read_in_the_usual_spellings(answer: Any, gold: str) -> None:
    chain = Chain(RIDDLE, stop="answer", answer=answer)
    for label in OUTCOMES:
        verdict = Deduction().judge(replace(RIDDLE, gold=label), chain)
        assert verdict.correct == (label == gold)
