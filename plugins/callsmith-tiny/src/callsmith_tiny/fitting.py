"""Fitting the tiny models: plain torch on one core, Muon for matrices and AdamW for the rest.

Half the steps run at the full rate, then it falls linearly to nearly nothing; of all the choices
made here that decay is worth the most. Muon: Jordan et al. 2024, "Muon: An optimizer for hidden
layers in neural networks".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

MATRIX_RATE = 1e-2
OTHER_RATE = 4e-3
WARM_UP = 20
FLOOR = 0.01
WIDTH, HEADS = 128, 4


def make_model(tokenizer: PreTrainedTokenizerFast, layers: int, seed: int) -> LlamaForCausalLM:
    """A Llama-architecture model with fresh weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=tokenizer.model_max_length,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


async def fit(
    model: LlamaForCausalLM,
    batches: AsyncIterator[tuple[Tensor, Tensor]],
    steps: int,
    progress: Callable[[int, float], None],
) -> None:
    """Train in place for ``steps`` batches of ids and the mask of the ids to learn."""
    import torch
    from torch.nn.functional import cross_entropy
    from torch.optim.lr_scheduler import LambdaLR

    matrices: list[Parameter] = []
    others: list[Parameter] = []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and "embed" not in name
        (matrices if is_matrix else others).append(parameter)
    optimizers = [
        torch.optim.Muon(matrices, lr=MATRIX_RATE),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.95), weight_decay=0.0),
    ]

    def rate(step: int) -> float:
        return min(1.0, (step + 1) / WARM_UP, max(FLOOR, 2 * (1 - step / steps)))

    schedules = [LambdaLR(optimizer, rate) for optimizer in optimizers]
    model.train()
    for step in range(1, steps + 1):
        ids, learn = await anext(batches)
        # Padding is on the right of causal attention, so it needs no mask; and only what the model
        # is to write goes through the vocabulary.
        hidden = model.model(ids, use_cache=False).last_hidden_state[:, :-1]
        wanted = learn[:, 1:]
        loss = cross_entropy(model.lm_head(hidden[wanted]), ids[:, 1:][wanted])
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
        progress(step, loss.item())
    model.eval()
