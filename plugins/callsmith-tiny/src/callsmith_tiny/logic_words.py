"""What is one token for the logic models: words, and the pieces of formulas and of sentences.

A word is the same token in a sentence and in a formula: the blanks beside it belong to the pieces
between words. So a name or an invented kind is copied in one. A kind as a condition is one token
with its arrow, and a denied word one with its ``not``, so a rule is four, ``forall x (``,
``yumpus(x) -> ``, ``not sour``, ``(x))``: what it leads to stands right behind what it needs, where
a small model finds it most easily. A statement is two, ``not sour`` and ``(Max)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from callsmith.functions import Function
from callsmith_tiny.tokenizer import call_pieces

FORMULAS = (
    *('["', '", "', '"]', "[]"),
    *("forall x (", "(x) -> ", "(x) and ", "(x))", "not "),
    *("(x, ", ") -> ", ") and ", "))", " and ", ", "),
    *("True", "False", "Unknown"),
)
SENTENCES = (
    "Is the following statement true, false or unknown? ",
    "Is the following statement true, false, or unknown? ",
    "Is the following statement true or false? ",
    "Based on the above information, is the following statement true, false, or unknown? ",
    *("Every ", "Each ", "All ", "The ", "the ", "If ", " then ", ". "),
    *(" is a ", " is an ", " is ", " is not a ", " is not an ", " is not "),
    *(" are ", " are not ", " does not ", " do not ", " people", " things"),
    *("something is ", "someone is ", "something", "someone", "they are ", "it is "),
)


def whole_tokens(
    kinds: Sequence[str], words: Sequence[str], functions: Mapping[str, Function]
) -> Sequence[str]:
    """The kinds and other words, as they stand and capitalised, and all pieces."""
    opened = [f"{piece}'" for piece in call_pieces(functions)]
    followed = [f"'{piece}" for piece in opened if piece.startswith(",")]
    conditions = [f"{kind}(x) -> " for kind in kinds]
    named = (*kinds, *words)
    denied = [f"not {word}" for word in named]
    things = [f"({word})" for word in words if word[0].isupper()]
    found = (*FORMULAS, *SENTENCES, *opened, *followed, "')", *conditions, *denied, *things)
    return list(dict.fromkeys([*found, *named, *(word.capitalize() for word in named)]))
