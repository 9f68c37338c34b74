from __future__ import annotations

import json
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, wilcoxon

from callsmith.chain import Call, Chain, Fault, Problem, Result, Step, Usage, Verdict
from callsmith.errors import DataError
from callsmith.evaluation import Evaluation, compare, evaluate

TABLES = st.lists(st.lists(st.booleans(), min_size=1, max_size=5), min_size=1, max_size=12)


def measured(table: Sequence[Sequence[bool | int]], first: int = 0) -> Evaluation:
    """Of a table with a row for each problem: whether its attempts were right."""
    return evaluate(
        (Chain(Problem(f"question {first + n}"), attempt=attempt), Verdict(bool(correct)))
        for n, row in enumerate(table)
        for attempt, correct in enumerate(row)
    )


def test_what_chains_show() -> None:
    bad = Step("add(", fault=Fault("unparsable", "no"), usage=Usage(100, 10))
    good = Step("add()", (Call("add"),), (Result(3),), usage=Usage(110, 10))
    answer = Step("answer()", (Call("answer"),), (Result(3),), usage=Usage(120, 10))
    p, q = Problem("p"), Problem("q")
    found = evaluate(
        [
            (
                Chain(p, steps=(bad, good, answer), stop="answer", seconds=3),
                Verdict(True, grounded=True),
            ),
            (Chain(p, steps=(answer,), stop="answer", attempt=1, seconds=1), Verdict(True)),
            (Chain(q, steps=(bad, bad), stop="gave_up", seconds=2), Verdict(False)),
        ]
    )
    assert (found.problems, found.chains, found.attempts) == (2, 3, 1)
    assert (found.accuracy, found.grounded, found.guessed) == (0.5, 0.25, 0.25)
    assert found.stops == {"answer": 2, "gave_up": 1}
    assert found.faults == {"unparsable": 3}
    assert found.fault_rate == 3 / 6
    assert (found.steps, found.calls, found.seconds) == (2, 1, 2)
    assert found.tokens == (360 + 130 + 220) / 3
    assert found.outcomes == {p.key: (True, True), q.key: (False,)}
    assert json.loads(json.dumps(found.to_json()))["pass_at"] == {"1": 0.5}


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_single_attempts_is_wilsons(counts: tuple[int, int]) -> None:
    right, n = counts
    found = measured([[index < right] for index in range(n)])
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert found.interval == pytest.approx((expected.low, expected.high))


def test_repeated_attempts_narrow_the_interval_as_far_as_they_differ() -> None:
    rng = random.Random(0)
    single = [[rng.random() < 0.5] for _ in range(100)]
    varied = [[rng.random() < 0.5 for _ in range(4)] for _ in range(100)]
    copied = [row * 4 for row in single]

    def width(found: Evaluation) -> float:
        return found.interval[1] - found.interval[0]

    assert width(measured(copied)) == pytest.approx(width(measured(single)), rel=0.01)
    # Independent attempts tell nearly as much as 400 problems would: half the width.
    assert 0.45 < width(measured(varied)) / width(measured(single)) < 0.6


@given(TABLES)
def test_shares_stay_shares(table: list[list[bool]]) -> None:
    found = measured(table)
    low, high = found.interval
    assert 0 <= low <= found.accuracy <= high <= 1
    assert found.pass_at[1] == pytest.approx(found.accuracy)
    chances = list(found.pass_at.values())
    assert chances == sorted(chances)
    assert max(found.pass_at) <= found.attempts < 2 * max(found.pass_at)


def test_pass_at_k_is_the_chance_that_one_of_k_is_right() -> None:
    found = measured([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    # Of the 6 ways to take two attempts, 3 and 5 have a right one.
    assert found.pass_at == {
        1: pytest.approx((1 / 4 + 2 / 4 + 0) / 3),
        2: pytest.approx((3 / 6 + 5 / 6 + 0) / 3),
        4: pytest.approx(2 / 3),
    }


def test_runs_taken_together_are_repeated_attempts() -> None:
    p = Problem("p")
    found = evaluate((Chain(p, run=run), Verdict(run == "a")) for run in ("c", "a", "b"))
    assert (found.problems, found.attempts) == (1, 3)
    assert found.outcomes == {p.key: (True, False, False)}


def test_nothing_to_evaluate_or_to_compare_is_said() -> None:
    with pytest.raises(DataError, match="no chains"):
        evaluate([])
    with pytest.raises(DataError, match="no problem in common"):
        compare(measured([[1]]), measured([[1]], first=1))


def test_two_models_are_compared_by_mcnemar_on_the_same_problems() -> None:
    a = measured([[1]] * 40 + [[0]] * 20 + [[1]] * 5 + [[0]] * 35)
    b = measured([[1]] * 40 + [[1]] * 20 + [[0]] * 5 + [[0]] * 35)
    found = compare(a, b)
    assert (found.better, found.worse, found.problems, found.left_out) == (20, 5, 100, 0)
    assert found.mcnemar_p == pytest.approx(binomtest(5, 25).pvalue)
    assert found.difference == pytest.approx(15)
    assert found.wilcoxon_p is None
    assert found.note == ""
    back = compare(b, a)
    assert back.difference == pytest.approx(-15)
    assert back.interval == pytest.approx((-found.interval[1], -found.interval[0]))


def test_the_interval_is_newcombes() -> None:
    """Newcombe 1998: 36 both, 12 and 2 only one, 0 neither give an interval of 0.0569 to 0.3404."""
    a = measured([[1]] * 36 + [[1]] * 12 + [[0]] * 2)
    b = measured([[1]] * 36 + [[0]] * 12 + [[1]] * 2)
    low, high = compare(b, a).interval
    assert (low / 100, high / 100) == pytest.approx((0.0569, 0.3404), abs=2e-4)


def test_repeated_runs_are_compared_by_wilcoxon_over_problems() -> None:
    rng = random.Random(3)
    ours = [[rng.random() < 0.4 for _ in range(4)] for _ in range(60)]
    theirs = [[rng.random() < 0.6 for _ in range(4)] for _ in range(60)]
    found = compare(measured(ours), measured(theirs))
    expected = wilcoxon(*[[sum(row) / 4 for row in table] for table in (theirs, ours)]).pvalue
    keys = measured(ours).outcomes
    assert len(keys) == 60
    assert found.wilcoxon_p == pytest.approx(expected)
    assert found.wilcoxon_p < 0.01
    assert found.interval[0] > 0


def test_other_problems_are_left_out_and_said() -> None:
    found = compare(measured([[1]] * 10), measured([[0]] * 10, first=4))
    assert (found.problems, found.left_out, found.worse) == (6, 8, 6)
    assert found.note == "on the 6 problems that both have; 8 are left out"


@pytest.mark.parametrize("table", [[[1]], [[0]], [[1, 1]], [[1]] * 30, [[0, 1], [1, 0]]])
def test_a_model_compared_with_itself_differs_by_nothing(table: list[list[int]]) -> None:
    found = compare(measured(table), measured(table))
    assert (found.difference, found.mcnemar_p) == (0, 1)
    assert found.wilcoxon_p in (None, 1)
    low, high = found.interval
    assert -100 <= low <= 0 <= high <= 100


@given(TABLES, st.randoms(use_true_random=False))
def test_comparing_never_fails_and_contains_its_difference(
    table: list[list[bool]], rng: random.Random
) -> None:
    other = [[rng.random() < 0.5 for _ in row] for row in table]
    found = compare(measured(table), measured(other))
    low, high = found.interval
    assert -100.001 <= low <= found.difference <= high <= 100.001
    assert 0 <= found.mcnemar_p <= 1
    json.dumps(found.to_json(), allow_nan=False)
