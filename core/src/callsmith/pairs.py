"""From verified chains to preference pairs.

Method ``chain`` is the paper's (arXiv 2410.18890): a correct against an incorrect chain of one
problem. Method ``fault`` compares single turns: a valid turn against the faulted one that it
mended, after the same prefix. Equal chains count once, with their number as the pair's support.
The same chains, in whatever order, and the same seed give the same pairs.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
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


class PairMaker:
    """Makes pairs problem by problem, and counts what they are made of; nothing else is kept."""

    def __init__(self, config: PairConfig) -> None:
        self._config = config
        self._drift = 0  # how much longer the chosen chains are by now, in sum
        self._problems = 0
        self._both = 0
        self._chains: Counter[str] = Counter()
        self._pairs: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._sizes: Counter[str] = Counter()

    def pairs(self, records: Iterable[tuple[Chain, Verdict]]) -> Iterator[PreferencePair]:
        """The pairs of these chains, all chains of a problem standing together, by its key."""
        config = self._config
        for key, group in groupby(records, key=lambda record: record[0].problem.key):
            attempts: Attempts | None = None
            for chain, verdict in group:
                attempts = attempts or Attempts(chain.problem)
                attempts.add(chain, verdict, config)
                self._chains["correct" if verdict.correct else why_incorrect(chain)] += 1
            assert attempts
            self._problems += 1
            self._both += len(attempts.seen) == 2
            rng, made = random.Random(f"{config.seed}/{key}"), []
            if config.method != "fault":
                made = attempts.chain_pairs(config, rng, self._drift)
                self._drift += sum(length(pair.chosen) - length(pair.rejected) for pair in made)
            if config.method != "chain":
                made += attempts.fault_pairs(config, rng)
            for pair in made:
                self._count(pair)
                yield pair

    def _count(self, pair: PreferencePair) -> None:
        self._pairs[pair.method] += 1
        self._rejected[_why_rejected(pair)] += 1
        for side, steps in (("chosen", pair.chosen), ("rejected", pair.rejected)):
            self._sizes[f"{side}_steps"] += len(steps)
            self._sizes[f"{side}_calls"] += sum(len(step.calls) for step in steps)
        longer = length(pair.chosen) - length(pair.rejected)
        self._sizes["chosen_shorter"] += longer < 0
        self._sizes["chosen_longer"] += longer > 0

    def statistics(self) -> PairStatistics:
        """What was counted. Raises DataError, and says why, if there were no pairs."""
        count, sizes = self._pairs.total(), self._sizes
        if not count:
            raise DataError(f"no pairs: {self._why_none()}")
        return PairStatistics(
            problems=self._problems,
            correct=self._chains["correct"],
            incorrect=self._chains.total() - self._chains["correct"],
            both=self._both,
            causes={c: self._chains[c] for c in get_args(Cause) if self._chains[c]},
            pairs=dict(self._pairs),
            rejected=dict(self._rejected.most_common()),
            chosen_steps=sizes["chosen_steps"] / count,
            rejected_steps=sizes["rejected_steps"] / count,
            chosen_calls=sizes["chosen_calls"] / count,
            rejected_calls=sizes["rejected_calls"] / count,
            chosen_shorter=sizes["chosen_shorter"],
            chosen_longer=sizes["chosen_longer"],
        )

    def _why_none(self) -> str:
        chains, correct = self._chains.total(), self._chains["correct"]
        if not chains:
            return "there are no chains"
        if correct == 0:
            return f"all {chains} chains are incorrect; make more attempts, or take a better model"
        if self._config.method == "fault":
            return f"none of {correct} correct chains has a turn that failed and was then mended"
        if correct == chains:
            return (
                f"all {chains} chains are correct; make more attempts at a higher temperature, "
                f"or take a weaker model"
            )
        if not self._both:
            return (
                f"none of {self._problems} problems has both a correct and an incorrect chain; "
                f"make more attempts at each, at a temperature above 0"
            )
        return "what was asked for (models, rejected causes, grounded answers only) leaves none"


def build_pairs(
    records: Iterable[tuple[Chain, Verdict]], config: PairConfig, forbidden: Collection[str] = ()
) -> tuple[list[PreferencePair], PairStatistics]:
    """The pairs of these chains, by problem key, and what they were made of.

    ``forbidden`` are keys of problems to be judged on. Raises DataError if one of them is among
    the chains, or if no pair can be made, and says why.
    """
    ordered = sorted(records, key=lambda record: record[0].problem.key)
    refuse_judged({chain.problem.key for chain, _ in ordered}, forbidden)
    maker = PairMaker(config)
    return list(maker.pairs(ordered)), maker.statistics()


def refuse_judged(keys: Collection[str], forbidden: Collection[str]) -> None:
    """Raise DataError if problems to make pairs of are among those to be judged on."""
    if judged := len(set(keys) & set(forbidden)):
        raise DataError(
            f"{judged} of the {len(keys)} problems are to be judged on, so no pairs are made of "
            f"them: take runs over another split"
        )


def usable(pair: PreferencePair, dialect: Dialect) -> bool:
    """Whether the pair says in this dialect what it says in its own.

    A turn that could not be read exists only as text, in the dialect that it was written in.
    """
    ours, theirs = (written == dialect for written in pair.dialects)
    foreign = (() if ours else pair.prefix + pair.chosen) + (() if theirs else pair.rejected)
    return all(step.fault is None for step in foreign)


def _why_rejected(pair: PreferencePair) -> str:
    faults = [fault.kind for step in pair.rejected for fault in step.faults]
    if pair.method == "fault":
        return faults[0]
    if pair.rejected[-1].answers:
        return "wrong"
    return "fault" if faults else "limit"


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
