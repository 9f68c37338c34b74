"""The functions that belong to the pack."""

from callsmith import FunctionPack
from callsmith_cards import functions

pack = FunctionPack(
    "A patience: make a hand of cards worth exactly the target.",
    [functions.look, functions.draw, functions.bury, functions.stand],
)
