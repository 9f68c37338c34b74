from __future__ import annotations

import random
from dataclasses import replace

import pytest

from callsmith.chain import (
    Call,
    Chain,
    Dialect,
    Fault,
    PreferencePair,
    Problem,
    Result,
    Setup,
    Step,
    Verdict,
)
from callsmith.errors import DataError
from callsmith.pairs import PairConfig, build_pairs, usable

BAD = Fault("bad_arguments", "b must be a number")
Record = tuple[Chain, Verdict]


def call(name: str, *, fault: Fault | None = None) -> Step:
    return Step(f"{name}()", (Call(name),), (Result(1, fault=fault),))


UNREADABLE = Step("add(1, ", fault=Fault("unparsable", "a ')' is missing"))
ANSWER = call("answer")


def record(
    question: str,
    steps: str | tuple[Step, ...],
    correct: bool = True,
    *,
    attempt: int = 0,
    model: str = "teacher",
    dialect: Dialect = "text",
    grounded: bool = True,
    forget: bool = False,
) -> Record:
    """A chain of the steps, or of one call for each letter and an answer."""
    made = (*(call(letter) for letter in steps), ANSWER) if isinstance(steps, str) else steps
    setup = Setup(model, dialect=dialect, forget_faults=forget)
    stop = "answer" if made and made[-1] == ANSWER else "steps"
    chain = Chain(Problem(question), setup, made, stop, run="r", attempt=attempt)  # type: ignore[arg-type]
    return chain, Verdict(correct, grounded=grounded)


def several(question: str, correct: list[str], incorrect: list[str]) -> list[Record]:
    made = [(steps, True) for steps in correct] + [(steps, False) for steps in incorrect]
    return [record(question, steps, right, attempt=n) for n, (steps, right) in enumerate(made)]


def compared(pairs: list[PreferencePair]) -> list[tuple[str, str]]:
    """The pairs as text: ``("ab", "c")`` for calls of a, b against a call of c."""

    def letters(steps: tuple[Step, ...]) -> str:
        return "".join(step.text[0] for step in steps[:-1])

    return [(letters(pair.chosen), letters(pair.rejected)) for pair in pairs]


def test_a_correct_chain_is_preferred_to_an_incorrect_one_of_the_same_problem() -> None:
    records = [*several("p", ["ab"], ["c"]), *several("q", ["d"], []), *several("r", [], ["e"])]
    (pair,), statistics = build_pairs(records, PairConfig())
    assert pair.problem == Problem("p")
    assert (pair.prefix, pair.chosen, pair.rejected) == (
        (),
        records[0][0].steps,
        records[1][0].steps,
    )
    key = pair.problem.key
    assert pair.sources == (f"r/{key}/0", f"r/{key}/1")
    assert (pair.method, pair.dialects) == ("chain", ("text", "text"))
    assert (statistics.problems, statistics.both) == (3, 1)
    assert (statistics.correct, statistics.incorrect) == (2, 2)
    assert statistics.pairs == {"chain": 1}
    assert (statistics.chosen_calls, statistics.rejected_calls) == (3, 2)
    assert (statistics.chosen_shorter, statistics.chosen_longer) == (0, 1)


def test_equal_chains_make_one_pair_with_their_number_as_support() -> None:
    (pair,), _ = build_pairs(several("p", ["a", "a", "a"], ["b", "b"]), PairConfig())
    assert pair.support == 5


def test_the_shortest_or_any_correct_chain_against_each_incorrect_one() -> None:
    records = several("p", ["aaa", "a", "aa"], ["b", "c", "d"])
    shortest, _ = build_pairs(records, PairConfig())
    assert sorted(compared(shortest)) == [("a", "b"), ("a", "c"), ("a", "d")]
    anyone, _ = build_pairs(records, PairConfig(chosen="random", balance_lengths=False))
    assert len(anyone) == 4
    assert len(set(compared(anyone))) == 4
    # Each is used before one is used again.
    assert {chosen for chosen, _ in compared(anyone)[:3]} == {"a", "aa", "aaa"}
    assert {rejected for _, rejected in compared(anyone)[:3]} == {"b", "c", "d"}


def test_no_more_pairs_than_asked_for() -> None:
    records = several("p", ["a", "aa"], list("bcdefgh"))
    for method in ("shortest", "random"):
        pairs, _ = build_pairs(records, PairConfig(chosen=method, per_problem=3))  # type: ignore[arg-type]
        assert len(pairs) == 3


def test_lengths_are_balanced_over_all_problems() -> None:
    # Each problem offers a rejected chain that is shorter than the chosen one and one longer.
    records = [
        one for n in range(200) for one in several(f"p{n}", ["aa"], ["b", "cccc", "ddd", "eeee"])
    ]
    config = PairConfig(per_problem=1)
    _, balanced = build_pairs(records, config)
    _, loose = build_pairs(records, replace(config, balance_lengths=False))
    assert abs(balanced.chosen_calls - balanced.rejected_calls) < 0.05
    assert loose.rejected_calls - loose.chosen_calls > 0.5


def test_the_order_of_chains_does_not_matter_and_the_seed_does() -> None:
    records = [
        one
        for n in range(20)
        for one in several(f"p{n}", ["a", "aa", "aaa", "a"], ["b", "bb", "c", "d", "e", "b"])
    ]
    shuffled = random.Random(1).sample(records, len(records))
    config = PairConfig(chosen="random", per_problem=2)
    assert build_pairs(records, config) == build_pairs(shuffled, config)
    assert build_pairs(records, config) != build_pairs(records, replace(config, seed=1))


def test_incorrect_chains_are_chosen_by_cause() -> None:
    records = [
        record("p", "a"),
        record("p", "w", False, attempt=1),
        record("p", (call("f", fault=BAD), call("f", fault=BAD)), False, attempt=2),
        record("p", (call("l"), call("l")), False, attempt=3),
    ]
    for cause, first in (("wrong", "w"), ("fault", "f"), ("limit", "l")):
        (pair,), statistics = build_pairs(records, PairConfig(rejected=(cause,)))  # type: ignore[arg-type]
        assert pair.rejected[0].text == f"{first}()"
        assert statistics.rejected == {cause: 1}
        assert statistics.causes == {"wrong": 1, "fault": 1, "limit": 1}


def test_chains_are_chosen_by_model_and_by_ground() -> None:
    records = [
        record("p", "a", model="teacher"),
        record("p", "b", attempt=1, model="student", grounded=False),
        record("p", "c", False, attempt=2, model="teacher"),
        record("p", "d", False, attempt=3, model="student"),
    ]
    config = PairConfig(chosen="random", chosen_models=("teacher",), rejected_models=("student",))
    assert compared(build_pairs(records, config)[0]) == [("a", "d")]
    grounded = PairConfig(chosen="random", grounded_only=True)
    assert {chosen for chosen, _ in compared(build_pairs(records, grounded)[0])} == {"a"}


def test_failed_turns_are_not_chosen_and_are_rejected() -> None:
    mended = (call("a"), UNREADABLE, call("b", fault=BAD), ANSWER)
    failed = (call("a"), UNREADABLE)
    records = [record("p", mended), record("p", failed, False, attempt=1)]
    (pair,), _ = build_pairs(records, PairConfig())
    assert pair.chosen == (call("a"), ANSWER)
    assert pair.rejected == failed


def test_the_same_turns_judged_both_ways_make_no_pair() -> None:
    with pytest.raises(DataError, match="leaves none"):
        build_pairs(several("p", ["a"], ["a"]), PairConfig())


def test_a_valid_turn_is_preferred_to_the_failed_one_that_it_mended() -> None:
    steps = (call("a"), UNREADABLE, call("x", fault=BAD), call("b"), ANSWER)
    pairs, statistics = build_pairs([record("p", steps)], PairConfig(method="fault"))
    by_prefix = {len(pair.prefix): pair for pair in pairs}
    assert by_prefix[1].prefix == steps[:1]
    assert (by_prefix[1].chosen, by_prefix[1].rejected) == ((call("b"),), (UNREADABLE,))
    # The model saw its first failure when it made the second.
    assert by_prefix[2].prefix == steps[:2]
    assert (by_prefix[2].chosen, by_prefix[2].rejected) == ((call("b"),), (steps[2],))
    assert statistics.rejected == {"unparsable": 1, "bad_arguments": 1}

    forgetful, _ = build_pairs([record("p", steps, forget=True)], PairConfig(method="fault"))
    assert [pair.prefix for pair in forgetful] == [steps[:1], steps[:1]]


def test_a_failed_turn_counts_only_if_nothing_rests_on_it() -> None:
    half = Step("a() x(", (Call("a"),), (Result(1),), fault=Fault("unparsable", "no"))
    wrong = record("p", (UNREADABLE, ANSWER), False)
    unmended = record("p", (ANSWER, UNREADABLE))
    through_half = record("p", (UNREADABLE, half, ANSWER))
    for one in (record("p", (half, ANSWER)), wrong, unmended, through_half):
        with pytest.raises(DataError, match="no pairs: "):
            build_pairs([one], PairConfig(method="fault"))


def test_the_mistakes_made_most_often_come_first() -> None:
    rare, often = call("x", fault=BAD), UNREADABLE
    records = [record("p", (rare, ANSWER))]
    records += [record("p", (often, ANSWER), attempt=n) for n in (1, 2, 3)]
    pairs, _ = build_pairs(records, PairConfig(method="fault", per_problem=1))
    assert [(pair.rejected, pair.support) for pair in pairs] == [((often,), 3)]


def test_both_methods_give_the_pairs_of_each() -> None:
    records = [record("p", (UNREADABLE, ANSWER)), record("p", "w", False, attempt=1)]
    pairs, statistics = build_pairs(records, PairConfig(method="both"))
    assert [pair.method for pair in pairs] == ["chain", "fault"]
    assert statistics.pairs == {"chain": 1, "fault": 1}


def test_problems_to_be_judged_on_are_refused() -> None:
    records = [*several("p", ["a"], ["b"]), *several("q", ["a"], ["b"])]
    with pytest.raises(DataError, match="1 of the 2 problems are to be judged on"):
        build_pairs(records, PairConfig(), {Problem("Q ").key, Problem("other").key})


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ([], "there are no chains"),
        (several("p", ["a", "b"], []), "all 2 chains are correct"),
        (several("p", [], ["a", "b"]), "all 2 chains are incorrect"),
        (several("p", ["a"], []) + several("q", [], ["b"]), "none of 2 problems has both"),
    ],
)
def test_where_no_pair_can_be_made_it_says_why(records: list[Record], why: str) -> None:
    with pytest.raises(DataError, match=f"no pairs: {why}"):
        build_pairs(records, PairConfig())


def test_raw_text_is_used_only_in_the_dialect_that_wrote_it() -> None:
    records = [
        record("p", "a", dialect="native"),
        record("p", (UNREADABLE, UNREADABLE), False, attempt=1, dialect="text"),
    ]
    (pair,), _ = build_pairs(records, PairConfig())
    assert pair.dialects == ("native", "text")
    assert usable(pair, "text")
    assert not usable(pair, "native")
    assert usable(replace(pair, rejected=(call("b", fault=BAD),)), "native")


def test_a_config_that_can_not_be_is_refused() -> None:
    for wrong in (
        {"method": "step"},
        {"chosen": "best"},
        {"rejected": ("lazy",)},
        {"per_problem": 0},
    ):
        with pytest.raises(DataError):
            PairConfig(**wrong)  # type: ignore[arg-type]
