"""The trainers ``dpo`` and ``sft``: settings and data in, a folder with a student out.

Both follow `callsmith.training.Trainer`; what they share is in `fitting`. Their settings are
documented in `settings`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from callsmith.chain import JSON
from callsmith.training import TrainedModel, TrainingData
from callsmith_dpo.data import (
    collator,
    encode_chains,
    encode_pairs,
    fit_length,
    language_dataset,
    preference_dataset,
)
from callsmith_dpo.fitting import Plan, Training, run
from callsmith_dpo.settings import DPOSettings, SFTSettings, read

if TYPE_CHECKING:
    from callsmith_dpo.students import Student


class DPO:
    """Fits a student on preference pairs (Rafailov et al. 2023), with TRL's DPOTrainer.

    Tool results are no part of the loss. The reference's log-probabilities are computed once,
    before the first step, so that no second model is held in memory.
    """

    needs: Literal["pairs", "chains"] = "pairs"

    def check(self, config: Mapping[str, JSON]) -> None:
        """Raise DataError for settings that can't be, without loading anything."""
        read(DPOSettings, config)

    def train(
        self,
        student: str,
        data: TrainingData,
        config: Mapping[str, JSON],
        out: Path,
        progress: Callable[[Mapping[str, float]], None],
        resume: bool = False,
    ) -> TrainedModel:
        """Train ``student`` on the pairs and write it to ``out``; see `Trainer` in callsmith.

        ``progress`` gets ``reward_accuracy`` and ``margin``, ``logp_chosen``, ``logp_rejected``
        and ``logp_chosen_change``, what the chosen chains have gained since before training.
        """
        settings = read(DPOSettings, config)
        from callsmith_dpo.students import load_renderer, window

        renderer = load_renderer(student)
        examples, warnings = encode_pairs(data, renderer)
        limit = settings.max_length or window(student)
        examples, dropped = fit_length(examples, limit, settings.too_long)
        plan = Plan.of(examples, settings)
        wanted = plan.steps * plan.per_step
        if wanted < len(examples):
            # The reference reads every example once: leave out those that no step will see.
            sample = random.Random(settings.seed).sample(examples, wanted)
            plan = replace(Plan.of(sample, settings), steps=plan.steps)
        reference = sum(sum(example.lengths) for example in plan.examples)

        def build(loaded: Student, arguments: dict[str, Any]) -> Any:
            from trl import DPOConfig

            from callsmith_dpo.engines import PairsEngine

            both = settings.sft_weight > 0
            return PairsEngine(
                model=loaded.model,
                sampler=plan.sampler(settings.seed),
                processing_class=loaded.tokenizer,
                peft_config=loaded.peft_config,
                train_dataset=preference_dataset(plan.examples),
                data_collator=collator(loaded.pad),
                args=DPOConfig(
                    **arguments,
                    beta=settings.beta,
                    loss_type=["sigmoid", "sft"] if both else ["sigmoid"],
                    loss_weights=[1.0, settings.sft_weight] if both else None,
                    precompute_ref_log_probs=True,
                ),
            )

        training = Training(
            "dpo", student, settings, plan, data.facts, warnings + dropped, reference
        )
        return run(training, build, out, progress, resume)


class SFT:
    """Fits a student on chains, the assistant's turns only, with TRL's SFTTrainer.

    Given pairs, it learns their chosen sides: the control for DPO on the same pairs, at equal
    steps (``steps``) or equal compute (``compute``).
    """

    needs: Literal["pairs", "chains"] = "chains"

    def check(self, config: Mapping[str, JSON]) -> None:
        """Raise DataError for settings that can't be, without loading anything."""
        read(SFTSettings, config)

    def train(
        self,
        student: str,
        data: TrainingData,
        config: Mapping[str, JSON],
        out: Path,
        progress: Callable[[Mapping[str, float]], None],
        resume: bool = False,
    ) -> TrainedModel:
        """Train ``student`` on the chains and write it to ``out``; see `Trainer` in callsmith.

        ``progress`` gets ``token_accuracy``, the share of the tokens that the student would have
        written itself.
        """
        settings = read(SFTSettings, config)
        from callsmith_dpo.students import load_renderer, window

        renderer = load_renderer(student)
        examples, warnings = encode_chains(data, renderer)
        limit = settings.max_length or window(student)
        examples, dropped = fit_length(examples, limit, settings.too_long)
        plan = Plan.of(examples, settings, settings.compute)

        def build(loaded: Student, arguments: dict[str, Any]) -> Any:
            from trl import SFTConfig

            from callsmith_dpo.engines import ChainsEngine

            return ChainsEngine(
                model=loaded.model,
                sampler=plan.sampler(settings.seed),
                processing_class=loaded.tokenizer,
                peft_config=loaded.peft_config,
                train_dataset=language_dataset(plan.examples),
                args=SFTConfig(
                    **arguments,
                    packing=False,
                    dataset_kwargs={"skip_prepare_dataset": True},
                ),
            )

        training = Training("sft", student, settings, plan, data.facts, warnings + dropped)
        return run(training, build, out, progress, resume)
