from __future__ import annotations

import torch

from callsmith_transformers.batches import Past
from callsmith_transformers.memory import Memory


def past(*ids: int) -> Past:
    """With 32 bytes for each token."""
    states = torch.zeros(1, len(ids), 4)
    return Past(list(ids), [(states, states)])


def test_a_past_is_found_by_its_conversation_and_held_against_the_prompt() -> None:
    memory = Memory(limit=1_000)
    mine, other = past(1, 2, 3), past(1, 2, 9)
    memory.keep("mine", mine)
    memory.keep("other", other)
    assert memory.find("mine", [1, 2, 3, 4]) == (mine, 3)
    assert memory.find("other", [1, 2, 9]) == (other, 2), "the last token must be read anew"
    assert memory.find("new", [1, 2, 5]) == (other, 2), "the beginning of another conversation"
    assert memory.find("new", [7, 8]) == (None, 0)


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    memory = Memory(limit=200)
    first, second, third = past(1, 2, 3), past(4, 5, 6), past(7, 8, 9)
    memory.keep("first", first)
    memory.keep("second", second)
    memory.keep("third", third)  # 288 bytes would be too many
    assert memory.find("first", [1, 2, 3, 4]) == (None, 0)
    assert memory.find("second", [4, 5, 6, 7]) == (second, 3)
    memory.clear()
    assert memory.find("third", [7, 8, 9, 1]) == (None, 0)
