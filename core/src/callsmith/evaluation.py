"""How good a model is, and whether another is better.

A problem is the unit: attempts at one problem are averaged first, so that no problem weighs more
than another. Intervals are 95%. Tables are for the command line and the report.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist, correlation, fmean, variance
from typing import TypeAlias

from callsmith.chain import JSON, Chain, Usage, Verdict
from callsmith.errors import DataError

Interval: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost, read and written, in whatever currency."""

    read: float
    written: float

    def of(self, usage: Usage) -> float:
        """What these tokens cost; those that the server had cached at the full price."""
        return (self.read * usage.prompt + self.written * usage.completion) / 1e6


Outcomes: TypeAlias = Sequence[tuple[bool, ...]]
"""For each problem, whether its attempts were right."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What chains over some problems show.

    Shares are of 1. ``attempts`` is the fewest at any problem. ``accuracy`` is ``grounded`` (right
    by an answer that a call gave) plus ``guessed``. ``pass_at[k]``: the chance that one of k
    attempts is right (Chen et al. 2021, arXiv 2107.03374). ``fault_rate`` is the share of turns
    with a fault; ``steps``, ``calls``, ``tokens`` and ``seconds`` are means over chains, and
    ``usage`` the tokens of all of them.
    ``outcomes`` has for each problem's key whether its attempts were right, in order.
    """

    problems: int
    chains: int
    attempts: int
    accuracy: float
    interval: Interval
    grounded: float
    guessed: float
    pass_at: Mapping[int, float]
    stops: Mapping[str, int]
    faults: Mapping[str, int]
    fault_rate: float
    steps: float
    calls: float
    tokens: float
    seconds: float
    usage: Usage
    outcomes: Mapping[str, tuple[bool, ...]]

    def to_json(self) -> dict[str, JSON]:
        by_k = {str(k): chance for k, chance in self.pass_at.items()}
        return asdict(self) | {"pass_at": by_k}


@dataclass(frozen=True, slots=True)
class Comparison:
    """``b`` against ``a`` on the problems that both have; ``left_out`` counts the others.

    ``difference`` and its ``interval`` are in percentage points, positive where b is better.
    ``better`` problems only b's first attempt solves, ``worse`` ones only a's: ``mcnemar_p`` is
    McNemar's exact test on these. ``wilcoxon_p`` is Wilcoxon's signed-rank test on the problems'
    means over repeated attempts; None where a problem has but one.
    """

    problems: int
    left_out: int
    accuracy_a: float
    accuracy_b: float
    difference: float
    interval: Interval
    better: int
    worse: int
    mcnemar_p: float
    wilcoxon_p: float | None

    @property
    def note(self) -> str:
        """What a reader must know of the problems; empty where both have the same."""
        if not self.left_out:
            return ""
        return f"on the {self.problems} problems that both have; {self.left_out} are left out"

    def to_json(self) -> dict[str, JSON]:
        return asdict(self)


def evaluate(records: Iterable[tuple[Chain, Verdict]]) -> Evaluation:
    """Measure chains of one model, of one run or several. Raises DataError if there are none."""
    outcomes: dict[str, dict[tuple[str, int], Verdict]] = {}
    stops: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    seconds = 0.0
    usage = Usage()
    for chain, verdict in records:
        outcomes.setdefault(chain.problem.key, {})[chain.run, chain.attempt] = verdict
        stops[chain.stop] += 1
        faults.update(fault.kind for fault in chain.faults)
        sums["steps"] += len(chain.steps)
        sums["faulted"] += sum(bool(step.faults) for step in chain.steps)
        sums["calls"] += len(chain.calls)
        usage += chain.usage
        seconds += chain.seconds
    if not outcomes:
        raise DataError("there are no chains to evaluate")
    chains = stops.total()
    ordered = {
        key: [verdict for _, verdict in sorted(made.items(), key=lambda item: item[0])]
        for key, made in sorted(outcomes.items())
    }
    correct = {key: tuple(v.correct for v in made) for key, made in ordered.items()}
    accuracy = fmean(map(fmean, correct.values()))
    grounded = fmean(fmean(v.correct and v.grounded for v in made) for made in ordered.values())
    return Evaluation(
        problems=len(correct),
        chains=chains,
        attempts=min(map(len, correct.values())),
        accuracy=accuracy,
        interval=wilson(accuracy, _effective_size(list(correct.values()))),
        grounded=grounded,
        guessed=accuracy - grounded,
        pass_at=_pass_at(list(correct.values())),
        stops=dict(stops.most_common()),
        faults=dict(faults.most_common()),
        fault_rate=sums["faulted"] / max(1, sums["steps"]),
        steps=sums["steps"] / chains,
        calls=sums["calls"] / chains,
        tokens=usage.total / chains,
        seconds=seconds / chains,
        usage=usage,
        outcomes=correct,
    )


def compare(a: Evaluation, b: Evaluation) -> Comparison:
    """Whether b is better than a. Raises DataError if they have no problem in common."""
    from scipy.stats import binomtest

    shared = sorted(a.outcomes.keys() & b.outcomes.keys())
    if not shared:
        raise DataError("the two have no problem in common, so they can't be compared")
    ours, theirs = [a.outcomes[key] for key in shared], [b.outcomes[key] for key in shared]
    better = sum(y[0] and not x[0] for x, y in zip(ours, theirs, strict=True))
    worse = sum(x[0] and not y[0] for x, y in zip(ours, theirs, strict=True))
    means_a, means_b = list(map(fmean, ours)), list(map(fmean, theirs))
    repeated = min(map(len, ours + theirs)) > 1
    low, high = _difference_interval(ours, theirs)
    return Comparison(
        problems=len(shared),
        left_out=len(a.outcomes.keys() | b.outcomes.keys()) - len(shared),
        accuracy_a=fmean(means_a),
        accuracy_b=fmean(means_b),
        difference=100 * (fmean(means_b) - fmean(means_a)),
        interval=(100 * low, 100 * high),
        better=better,
        worse=worse,
        mcnemar_p=float(binomtest(better, better + worse).pvalue) if better + worse else 1.0,
        wilcoxon_p=_wilcoxon(means_a, means_b) if repeated else None,
    )


_Z = NormalDist().inv_cdf(0.975)


def _wilcoxon(a: Sequence[float], b: Sequence[float]) -> float:
    from scipy.stats import wilcoxon

    # Where nothing differs there is nothing to rank.
    return float(wilcoxon(b, a).pvalue) if a != b else 1.0


def _pass_at(outcomes: Outcomes) -> dict[int, float]:
    """For 1, 2, 4, ... up to the fewest attempts: 1 - C(n - c, k) / C(n, k), the problems' mean."""
    fewest = min(map(len, outcomes))
    chances = {}
    for k in (1 << power for power in range(fewest.bit_length())):
        chances[k] = fmean(
            1 - math.comb(made.count(False), k) / math.comb(len(made), k) for made in outcomes
        )
    return chances


def wilson(share: float, size: float) -> Interval:
    """Wilson's score interval (1927). Not scipy's, which takes whole successes only."""
    middle = (share + _Z**2 / (2 * size)) / (1 + _Z**2 / size)
    half = _Z * math.sqrt(share * (1 - share) / size + _Z**2 / (4 * size**2)) / (1 + _Z**2 / size)
    return min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))


def _effective_size(outcomes: Outcomes) -> float:
    """How many single attempts at different problems tell as much.

    That is the number of problems for one attempt each, and more the more that attempts at one
    problem differ; at most all attempts (Korn and Graubard 1998).
    """
    means = list(map(fmean, outcomes))
    problems, share, spread = len(means), fmean(means), variance(means) if means[1:] else 0.0
    if spread == 0:
        return problems
    size = problems * share * (1 - share) / spread
    return min(max(size, problems), sum(map(len, outcomes)))


def _difference_interval(a: Outcomes, b: Outcomes) -> Interval:
    """For b's share minus a's, in pairs: Newcombe's square-and-add of two Wilson intervals.

    Newcombe 1998, Statistics in Medicine 17:2635, method 8; for means over attempts as in Zou and
    Donner 2008, Statistics in Medicine 27:1693. Simulated coverage is 0.94 to 0.95 from 50
    problems on, for 1 to 8 attempts.
    """
    means_a, means_b = list(map(fmean, a)), list(map(fmean, b))
    share_a, share_b = fmean(means_a), fmean(means_b)
    low_a, high_a = wilson(share_a, _effective_size(a))
    low_b, high_b = wilson(share_b, _effective_size(b))
    vary = len(set(means_a)) > 1 and len(set(means_b)) > 1
    rho = correlation(means_a, means_b) if vary else 0.0

    def reach(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one**2 - 2 * rho * one * other + other**2))

    difference = share_b - share_a
    return (
        difference - reach(share_b - low_b, high_a - share_a),
        difference + reach(high_b - share_b, share_a - low_a),
    )
