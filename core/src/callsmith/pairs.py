"""From verified chains to preference pairs.

Method ``chain`` is the paper's (arXiv 2410.18890): a correct against an incorrect chain of one
problem. Method ``fault`` compares single turns: a valid turn against the faulted one that it
mended, after the same prefix. Equal chains count once, with their number as the pair's support.
The same chains, in whatever order, and the same seed give the same pairs.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from callsmith.attempts import Attempts, Cause, length, why_incorrect
from callsmith.chain import JSON, Chain, Dialect, PreferencePair, Setup, Verdict
from callsmith.errors import DataError

Method: TypeAlias = Literal["chain", "fault", "both"]


@dataclass(frozen=True, slots=True)
class PairConfig:
    """Which pairs to make.

    ``per_problem`` holds for each method. ``chosen`` is which of a problem's correct chains, and
    ``rejected`` which incorrect ones; ``chosen_models`` and ``rejected_models`` are whose (empty:
    anybody's). ``grounded_only`` leaves out right answers that no call gave. ``balance_lengths``
    takes, of the pairs that could be made, those that keep chosen and rejected chains equally long
    in sum, so that a student doesn't learn mere brevity. Raises DataError for what can't be.
    """

    method: Method = "chain"
    per_problem: int = 4
    chosen: Literal["shortest", "random"] = "shortest"
    rejected: tuple[Cause, ...] = ("wrong", "fault", "limit")
    chosen_models: tuple[str, ...] = ()
    rejected_models: tuple[str, ...] = ()
    grounded_only: bool = False
    balance_lengths: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise DataError(
                f"there is no method {self.method!r} of making pairs: chain, fault, both"
            )
        if self.chosen not in ("shortest", "random"):
            raise DataError(f"chosen can be 'shortest' or 'random', not {self.chosen!r}")
        if self.per_problem < 1:
            raise DataError(f"pairs per problem must be at least 1, not {self.per_problem}")
        if unknown := set(self.rejected) - set(get_args(Cause)):
            raise DataError(
                f"rejected can be wrong, fault, limit, not {', '.join(sorted(unknown))}"
            )


@dataclass(frozen=True, slots=True)
class PairStatistics:
    """What the pairs were made of, to be read before training on them.

    ``correct`` and ``incorrect`` count chains, ``both`` the problems that have some of each, and
    ``causes`` incorrect chains by cause. ``pairs`` is by method, ``rejected`` by the cause or the
    first fault's kind. Lengths are means over pairs of what is compared, in turns and in calls;
    ``chosen_shorter`` and ``chosen_longer`` count pairs, by calls.
    """

    problems: int
    correct: int
    incorrect: int
    both: int
    causes: Mapping[str, int]
    pairs: Mapping[str, int]
    rejected: Mapping[str, int]
    chosen_steps: float
    rejected_steps: float
    chosen_calls: float
    rejected_calls: float
    chosen_shorter: int
    chosen_longer: int

    def to_json(self) -> dict[str, JSON]:
        return asdict(self)


def build_pairs(
    records: Iterable[tuple[Chain, Verdict]], config: PairConfig, forbidden: Collection[str] = ()
) -> tuple[list[PreferencePair], PairStatistics]:
    """The pairs of these chains, by problem key, and what they were made of.

    ``forbidden`` are keys of problems to be judged on. Raises DataError if one of them is among
    the chains, or if no pair can be made, and says why.
    """
    found: dict[str, Attempts] = {}
    counts: Counter[str] = Counter()
    for chain, verdict in records:
        key = chain.problem.key
        found.setdefault(key, Attempts(chain.problem)).add(chain, verdict, config)
        counts["correct" if verdict.correct else why_incorrect(chain)] += 1
    if judged := len(found.keys() & set(forbidden)):
        raise DataError(
            f"{judged} of the {len(found)} problems are to be judged on, so no pairs are made of "
            f"them: take runs over another split"
        )
    pairs: list[PreferencePair] = []
    drift = 0  # how much longer the chosen chains are by now, in sum
    for key in sorted(found):
        attempts, rng = found[key], random.Random(f"{config.seed}/{key}")
        if config.method != "fault":
            made = attempts.chain_pairs(config, rng, drift)
            drift += sum(length(pair.chosen) - length(pair.rejected) for pair in made)
            pairs += made
        if config.method != "chain":
            pairs += attempts.fault_pairs(config, rng)
    if not pairs:
        raise DataError(f"no pairs: {_why_none(found, counts, config)}")
    return pairs, _statistics(found, counts, pairs)


def usable(pair: PreferencePair, dialect: Dialect) -> bool:
    """Whether the pair says in this dialect what it says in its own.

    A turn that could not be read exists only as text, in the dialect that it was written in.
    """
    ours, theirs = (written == dialect for written in pair.dialects)
    foreign = (() if ours else pair.prefix + pair.chosen) + (() if theirs else pair.rejected)
    return all(step.fault is None for step in foreign)


def _why_none(found: Mapping[str, Attempts], counts: Counter[str], config: PairConfig) -> str:
    chains, correct = counts.total(), counts["correct"]
    if not chains:
        return "there are no chains"
    if correct == 0:
        return f"all {chains} chains are incorrect; make more attempts, or take a better model"
    if config.method == "fault":
        return f"none of {correct} correct chains has a turn that failed and was then mended"
    if correct == chains:
        return (
            f"all {chains} chains are correct; make more attempts at a higher temperature, "
            f"or take a weaker model"
        )
    if not any(len(attempts.seen) == 2 for attempts in found.values()):
        return (
            f"none of {len(found)} problems has both a correct and an incorrect chain; "
            f"make more attempts at each, at a temperature above 0"
        )
    return "what was asked for (models, rejected causes, grounded answers only) leaves none"


def _statistics(
    found: Mapping[str, Attempts], counts: Counter[str], pairs: Sequence[PreferencePair]
) -> PairStatistics:
    def rejected(pair: PreferencePair) -> str:
        faults = [fault.kind for step in pair.rejected for fault in step.faults]
        if pair.method == "fault":
            return faults[0]
        if pair.rejected[-1].answers:
            return "wrong"
        return "fault" if faults else "limit"

    def mean(values: Iterable[int]) -> float:
        return sum(values) / len(pairs)

    longer = [length(pair.chosen) - length(pair.rejected) for pair in pairs]
    return PairStatistics(
        problems=len(found),
        correct=counts["correct"],
        incorrect=counts.total() - counts["correct"],
        both=sum(len(attempts.seen) == 2 for attempts in found.values()),
        causes={cause: counts[cause] for cause in get_args(Cause) if counts[cause]},
        pairs=dict(Counter(pair.method for pair in pairs)),
        rejected=dict(Counter(rejected(pair) for pair in pairs).most_common()),
        chosen_steps=mean(len(pair.chosen) for pair in pairs),
        rejected_steps=mean(len(pair.rejected) for pair in pairs),
        chosen_calls=mean(sum(len(step.calls) for step in pair.chosen) for pair in pairs),
        rejected_calls=mean(sum(len(step.calls) for step in pair.rejected) for pair in pairs),
        chosen_shorter=sum(difference < 0 for difference in longer),
        chosen_longer=sum(difference > 0 for difference in longer),
    )


def chosen_chains(pairs: Sequence[PreferencePair]) -> list[Chain]:
    """The chosen sides of the pairs as chains, each once: what an SFT control learns from."""
    chains = [
        Chain(
            pair.problem,
            Setup(dialect=pair.dialects[0]),
            pair.prefix + pair.chosen,
            stop="answer",
        )
        for pair in pairs
    ]
    unique: dict[Any, Chain] = {}
    for chain in chains:
        turns = tuple(step.text or repr(step.calls) for step in chain.steps)
        unique.setdefault((chain.problem.key, turns), chain)
    return list(unique.values())
