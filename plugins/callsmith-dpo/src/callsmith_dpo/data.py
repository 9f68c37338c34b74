"""Pairs and chains as token ids and masks, and the collator that hands the masks to TRL.

Everything is rendered by the renderer that the rollout uses, so that what is trained on is what
the student saw and will see. Nothing is cut, dropped or mended in silence: what can't be trained
on is refused in one sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from callsmith.backends import Message
from callsmith.chain import Dialect, PreferencePair, Problem, Step
from callsmith.dialects import Prompt
from callsmith.errors import DataError
from callsmith.training import TrainingData

if TYPE_CHECKING:
    from datasets import Dataset

    from callsmith_transformers.rendering import Renderer

Tokens: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Completion:
    """What follows a prompt: ids, and a mask that is 1 where the student itself wrote."""

    ids: Tokens
    mask: Tokens


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt with the completion to learn, and, in a pair, the one to prefer it to."""

    prompt: Tokens
    chosen: Completion
    rejected: Completion | None = None

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each whole conversation."""
        sides = [self.chosen] if self.rejected is None else [self.chosen, self.rejected]
        return tuple(len(self.prompt) + len(side.ids) for side in sides)


class Encoder:
    """Turns steps into ids for one student and one prompt."""

    def __init__(self, renderer: Renderer, prompt: Prompt) -> None:
        self.renderer = renderer
        self.prompt = prompt

    def pair(self, pair: PreferencePair) -> Example:
        before = self._shown(pair.prefix)
        ids, messages = self._before(pair.problem, before, pair.dialects[0])
        sides = (
            self._completion(pair.problem, before, steps, written, ids, messages)
            for steps, written in zip((pair.chosen, pair.rejected), pair.dialects, strict=True)
        )
        chosen, rejected = sides
        return Example(ids, chosen, rejected)

    def chain(
        self, problem: Problem, before: Sequence[Step], steps: Sequence[Step], written: Dialect
    ) -> Example:
        before = self._shown(before)
        ids, messages = self._before(problem, before, written)
        return Example(ids, self._completion(problem, before, steps, written, ids, messages))

    def _shown(self, steps: Iterable[Step]) -> tuple[Step, ...]:
        return tuple(step for step in steps if self.prompt.shows(step))

    def _before(
        self, problem: Problem, before: Sequence[Step], written: Dialect
    ) -> tuple[Tokens, list[Message]]:
        messages = self.prompt.conversation(problem, before, written)
        return tuple(self.renderer.encode(messages, self.prompt.tools)), messages

    def _completion(
        self,
        problem: Problem,
        before: Sequence[Step],
        steps: Sequence[Step],
        written: Dialect,
        prompt: Tokens,
        messages: list[Message],
    ) -> Completion:
        # The prefix is one conversation for both sides of a pair, whichever dialect each is in.
        after = self.prompt.conversation(problem, (*before, *steps), written)[len(messages) :]
        whole = self.renderer.conversation([*messages, *after], self.prompt.tools)
        # What comes back after the student's last turn teaches nothing.
        new = slice(len(prompt), max(i for i, bit in enumerate(whole.mask) if bit) + 1)
        return Completion(tuple(whole.ids[new]), tuple(whole.mask[new]))


def encode_pairs(data: TrainingData, renderer: Renderer) -> tuple[list[Example], list[str]]:
    """Every pair as an Example, and warnings. Raises DataError for what can't be trained on."""
    if not data.pairs:
        raise DataError("there are no preference pairs to train on")
    encoder = Encoder(renderer, data.prompt)
    for pair in data.pairs:
        for side, steps in (("chosen", pair.chosen), ("rejected", pair.rejected)):
            if not steps:
                raise DataError(_empty(f"the {side} side of a pair", pair.problem))
    examples = [encoder.pair(pair) for pair in data.pairs]
    different = [example for example in examples if example.chosen != example.rejected]
    same = len(examples) - len(different)
    if not different:
        raise DataError("chosen and rejected read the same for this student in every pair")
    if same:
        return different, [f"{same:,} pairs whose sides read the same for this student left out"]
    return different, []


def encode_chains(data: TrainingData, renderer: Renderer) -> tuple[list[Example], list[str]]:
    """Every chain, and the chosen side of every pair, as an Example.

    Of a pair, only the turns after its prefix are learnt, as in DPO: so the same pairs give the
    control on the same chosen chains.
    """
    if not data.chains and not data.pairs:
        raise DataError("there are no chains to train on")
    encoder = Encoder(renderer, data.prompt)
    sources = [
        *((chain.problem, (), chain.steps, chain.setup.dialect) for chain in data.chains),
        *((pair.problem, pair.prefix, pair.chosen, pair.dialects[0]) for pair in data.pairs),
    ]
    for problem, _, steps, _ in sources:
        if not steps:
            raise DataError(_empty("a chain", problem))
    return [encoder.chain(*source) for source in sources], []


def fit_length(
    examples: list[Example], limit: int, too_long: Literal["refuse", "drop"]
) -> tuple[list[Example], list[str]]:
    """The examples that fit in ``limit`` tokens whole. Raises DataError if that isn't all of them.

    With ``drop`` they are left out, with a warning; none left is still refused.
    """
    fitting = [example for example in examples if max(example.lengths) <= limit]
    over = len(examples) - len(fitting)
    if not over:
        return examples, []
    longest = max(max(example.lengths) for example in examples)
    what = f"{over:,} of {len(examples):,} examples have more than {limit:,} tokens"
    if too_long == "refuse" or not fitting:
        raise DataError(
            f"{what}, the longest {longest:,}: raise max_length if the student can read that much, "
            "or leave them out with too_long = 'drop'"
        )
    return fitting, [f"{what} and were left out"]


def preference_dataset(examples: Sequence[Example]) -> Dataset:
    """The columns that TRL's DPO trainer and `collator` read."""
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "prompt_ids": list(example.prompt),
                "chosen_ids": list(example.chosen.ids),
                "chosen_mask": list(example.chosen.mask),
                "rejected_ids": list(example.rejected.ids),
                "rejected_mask": list(example.rejected.mask),
            }
            for example in examples
            if example.rejected
        ]
    )


def language_dataset(examples: Sequence[Example]) -> Dataset:
    """The columns that TRL's SFT trainer reads: -100 marks what is not learnt."""
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "input_ids": [*example.prompt, *example.chosen.ids],
                "labels": [-100] * len(example.prompt)
                + [
                    token if bit else -100
                    for token, bit in zip(example.chosen.ids, example.chosen.mask, strict=True)
                ],
            }
            for example in examples
        ]
    )


def collator(pad: int) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
    """TRL's preference collator, with tool results out of the loss.

    TRL makes ``completion_mask`` in its collator, 1 on everything after the prompt; ours is that,
    times the masks of the examples.
    """
    import torch
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    plain = DataCollatorForPreference(pad_token_id=pad)

    def collate(examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = plain(examples)
        masks = [
            [0] * len(example["prompt_ids"]) + example[side]
            for side in ("chosen_mask", "rejected_mask")
            for example in examples
        ]
        width = batch["completion_mask"].shape[1]
        batch["completion_mask"] *= torch.tensor([row + [0] * (width - len(row)) for row in masks])
        return batch

    return collate


def _empty(what: str, problem: Problem) -> str:
    return f"{what} has no turn to learn from (problem {problem.key}: {problem.question[:60]!r})"
