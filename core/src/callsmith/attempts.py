"""The attempts at one problem, and the preference pairs among them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from callsmith.chain import JSON, Chain, Dialect, PreferencePair, Problem, Step, Verdict, digest

if TYPE_CHECKING:
    from callsmith.pairs import PairConfig

Cause: TypeAlias = Literal["wrong", "fault", "limit"]
"""Why a chain is incorrect: a wrong answer; no answer, after faults; no answer, without any."""


def why_incorrect(chain: Chain) -> Cause:
    """What went wrong in a chain that is known to be incorrect."""
    if chain.stop == "answer":
        return "wrong"
    return "fault" if chain.faults else "limit"


@dataclass(slots=True)
class _Same:
    """Chains of one problem with the same turns: one of them, and how many there are."""

    steps: tuple[Step, ...]
    dialect: Dialect
    source: str
    count: int = 0

    @property
    def length(self) -> int:
        return length(self.steps)


@dataclass(slots=True)
class Attempts:
    """What is kept of all attempts at one problem. Groups are by what their turns say."""

    problem: Problem
    correct: dict[str, _Same] = field(default_factory=dict)
    incorrect: dict[str, _Same] = field(default_factory=dict)
    mended: dict[str, PreferencePair] = field(default_factory=dict)
    seen: set[bool] = field(default_factory=set)

    def add(self, chain: Chain, verdict: Verdict, config: PairConfig) -> None:
        self.seen.add(verdict.correct)
        model = chain.setup.model
        may_choose = not config.chosen_models or model in config.chosen_models
        may_reject = not config.rejected_models or model in config.rejected_models
        if not verdict.correct:
            if may_reject and chain.steps and why_incorrect(chain) in config.rejected:
                _count(self.incorrect, chain, chain.steps)
        elif may_choose and (verdict.grounded or not config.grounded_only):
            # Nobody should learn the failed turns of a chain that came right in the end.
            _count(self.correct, chain, tuple(s for s in chain.steps if not _skippable(s, chain)))
            if may_reject and config.method != "chain":
                self._add_mended(chain)

    def _add_mended(self, chain: Chain) -> None:
        """Each turn that only failed, against the next valid one.

        Only of chains that came right: a valid turn need not be a good one. A turn that also got
        results is left alone, since what follows may rest on them.
        """
        for index, failed in enumerate(chain.steps):
            rest = chain.steps[index + 1 :]
            valid = next((step for step in rest if not _only_failed(step)), None)
            if not _only_failed(failed) or valid is None or valid.faults:
                continue
            forget = chain.setup.forget_faults
            prefix = tuple(s for s in chain.steps[:index] if not (forget and s.faults))
            dialect, source = chain.setup.dialect, _source(chain)
            pair = PreferencePair(
                chain.problem,
                prefix,
                chosen=(valid,),
                rejected=(failed,),
                method="fault",
                sources=(source, source),
                dialects=(dialect, dialect),
            )
            key = digest([_said(part) for part in (prefix, pair.chosen, pair.rejected)])
            if known := self.mended.get(key):
                first = min(known, pair, key=lambda one: one.sources)
                pair = replace(first, support=known.support + 1)
            self.mended[key] = pair

    def chain_pairs(
        self, config: PairConfig, rng: random.Random, drift: int
    ) -> list[PreferencePair]:
        """Up to ``per_problem`` pairs, each chain used about as often as the others."""
        # The same turns judged both ways tell nothing.
        unclear = self.correct.keys() & self.incorrect.keys()
        correct = _shuffled(self.correct, unclear, rng)
        incorrect = _shuffled(self.incorrect, unclear, rng)
        if config.chosen == "shortest":
            correct = sorted(correct, key=lambda same: same.length)[:1]
        enough = 4 * config.per_problem  # to choose from: bounds the work for many attempts
        could_be = [
            (chosen, rejected) for rejected in incorrect[:enough] for chosen in correct[:enough]
        ]
        used: Counter[str] = Counter()

        def cost(pair: tuple[_Same, _Same]) -> tuple[int, int]:
            chosen, rejected = pair
            longer = drift + chosen.length - rejected.length if config.balance_lengths else 0
            return used[chosen.source] + used[rejected.source], abs(longer)

        made: list[PreferencePair] = []
        while could_be and len(made) < config.per_problem:
            chosen, rejected = best = min(could_be, key=cost)
            could_be.remove(best)
            used.update((chosen.source, rejected.source))
            drift += chosen.length - rejected.length
            made.append(
                PreferencePair(
                    self.problem,
                    (),
                    chosen=chosen.steps,
                    rejected=rejected.steps,
                    method="chain",
                    support=chosen.count + rejected.count,
                    sources=(chosen.source, rejected.source),
                    dialects=(chosen.dialect, rejected.dialect),
                )
            )
        return made

    def fault_pairs(self, config: PairConfig, rng: random.Random) -> list[PreferencePair]:
        """Up to ``per_problem`` pairs, the mistakes that were made most often first."""
        found = [self.mended[key] for key in sorted(self.mended)]
        rng.shuffle(found)
        return sorted(found, key=lambda pair: -pair.support)[: config.per_problem]


def _count(groups: dict[str, _Same], chain: Chain, steps: tuple[Step, ...]) -> None:
    dialect, source = chain.setup.dialect, _source(chain)
    same = groups.setdefault(digest([dialect, _said(steps)]), _Same(steps, dialect, source))
    same.count += 1
    if source < same.source:  # the same one whatever the order that chains come in
        same.steps, same.source = steps, source


def _shuffled(
    groups: Mapping[str, _Same], unclear: Collection[str], rng: random.Random
) -> list[_Same]:
    """In the order in which attempts drawn at random would show them: the frequent early."""
    keys = sorted((rng.expovariate(groups[key].count), key) for key in sorted(groups))
    return [groups[key] for _, key in keys if key not in unclear]


def _only_failed(step: Step) -> bool:
    return bool(step.faults) and all(result.fault for result in step.results)


def _skippable(step: Step, chain: Chain) -> bool:
    """Whether the turns after this one are the same without it."""
    return _only_failed(step) or bool(step.faults and chain.setup.forget_faults)


def _said(steps: Sequence[Step]) -> JSON:
    """What the model wrote, without what varies from run to run."""
    return [
        [step.text.strip(), [[call.name, call.arguments] for call in step.calls]] for step in steps
    ]


def length(steps: Sequence[Step]) -> int:
    """In calls; a turn without one counts as one."""
    return sum(max(1, len(step.calls)) for step in steps)


def _source(chain: Chain) -> str:
    return f"{chain.run}/{chain.problem.key}/{chain.attempt}"
