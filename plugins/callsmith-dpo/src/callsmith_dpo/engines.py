"""TRL's trainers, without what they prepare, cache, report and print behind one's back."""

from __future__ import annotations

from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import PrinterCallback
from trl import DPOTrainer, SFTTrainer

from callsmith_dpo.sampling import LikeLengths


class _Plain:
    """No usage reports, no card of its own at each checkpoint, nothing printed; our own order."""

    def __init__(self, *, sampler: LikeLengths, **kwargs: Any) -> None:
        self.sampler = sampler
        super().__init__(**kwargs)
        self.remove_callback(PrinterCallback)  # type: ignore[attr-defined]

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> LikeLengths:
        return self.sampler

    def _send_telemetry(self) -> None: ...

    def create_model_card(self, *args: Any, **kwargs: Any) -> None: ...


class PairsEngine(_Plain, DPOTrainer):  # type: ignore[misc]
    """DPOTrainer on ready token ids and masks."""

    def _prepare_dataset(self, dataset: Dataset, *args: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        # TRL's own keeps these in a cache that is keyed by dataset and weights only: another
        # collator, hence other masks, would read the old values.
        batches = self.accelerator.prepare(
            DataLoader(dataset, batch_size=batch_size, collate_fn=self.data_collator)
        )
        found = [self.compute_ref_log_probs(self.model, batch) for batch in batches]
        for column, parts in zip(
            ("ref_chosen_logps", "ref_rejected_logps"), zip(*found, strict=True), strict=True
        ):
            dataset = dataset.add_column(column, torch.cat(parts).float().tolist())
        return dataset


class ChainsEngine(_Plain, SFTTrainer):  # type: ignore[misc]
    """SFTTrainer on ready token ids and labels."""
