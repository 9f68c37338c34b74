"""Solutions with calculator annotations, ``48/2 = <<48/2=24>>24 clips``, as calls to make.

The annotations are GSM8K's (Cobbe et al., 2021, "Training Verifiers to Solve Math Word Problems",
section 2). They stand in its gold solutions, and in those of models that were trained on it, which
write them wrongly at times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from callsmith.backends import Previous
from callsmith.chain import JSON, Call
from callsmith.numerals import Quantity, read_number
from callsmith_math.errors import ExpressionError
from callsmith_math.plans import plan

ANSWER_LINE = re.compile(r"^(?:A:|####)(.*)$", re.MULTILINE)
"""The line that holds the answer: ``#### 72`` in the problem sets, ``A: 72`` of models."""

_ANNOTATION = re.compile(r"<<([^<>]*)>>")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One ``<<48/2=24>>``: its place in the solution, the expression, and the recorded value.

    ``value`` is None where what is recorded is no number; ``expression`` is the part just before
    the last ``=``.
    """

    start: int
    end: int
    text: str
    expression: str
    value: int | float | None


@dataclass(frozen=True, slots=True)
class Script:
    """A solution as calls to make: each with the prose before it, the call to ``answer`` last.

    ``left_out`` are the annotations that no call can be made of; they stay in the prose.
    """

    turns: tuple[tuple[str, Call], ...]
    left_out: tuple[Annotation, ...]

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(call for _, call in self.turns)


def read_annotations(solution: str) -> list[Annotation]:
    """The calculator annotations in a solution, in order, well made or not."""
    found = []
    for match in _ANNOTATION.finditer(solution):
        # The calculator was Python: one gold solution writes 560//10, and means the quotient.
        *parts, value = _THOUSANDS.sub("", match[1]).replace("//", "/").split("=")
        expression = parts[-1] if parts else ""
        found.append(
            Annotation(match.start(), match.end(), match[0], expression, plain_number(value))
        )
    return found


def plain_number(text: str) -> int | float | None:
    """The number in a text, if there is one to be sure of."""
    found = read_number(text)
    if not isinstance(found, Quantity):
        return None
    return int(found.value) if found.value.denominator == 1 else float(found.value)


@lru_cache(maxsize=1024)
def reference_script(solution: str) -> Script:
    """A gold solution as calls: its annotations, then `answer` with the last call's result."""
    return _script(solution, Previous())


@lru_cache(maxsize=1024)
def recorded_script(solution: str) -> Script:
    """A model's solution as calls: its annotations, then `answer` with its own ``A:`` line.

    What stands in that line is kept as a text if it is no number. A solution without the line,
    cut off before its end, does not answer.
    """
    lines = ANSWER_LINE.findall(solution)
    if not lines:
        return _script(solution, None)
    own = lines[-1].strip()
    number = plain_number(own)
    return _script(solution, own if number is None else number)


def _script(solution: str, answer: JSON) -> Script:
    """``answer`` is the value to answer with, None for no answer."""
    turns: list[tuple[str, Call]] = []
    left_out: list[Annotation] = []
    made: dict[str, int] = {}
    told = 0
    for annotation in read_annotations(solution):
        calls = _calls(annotation, made, len(turns))
        if not calls:
            left_out.append(annotation)
            continue
        prose = solution[told : annotation.start]
        turns += zip([prose] + [""] * (len(calls) - 1), calls, strict=True)
        told = annotation.end
    if answer is not None and (turns or not isinstance(answer, Previous)):
        rest = ANSWER_LINE.split(solution[told:])[0]
        turns.append((rest, Call("answer", {"value": answer})))
    return Script(tuple(turns), tuple(left_out))


def _calls(annotation: Annotation, made: dict[str, int], start: int) -> list[Call]:
    """The calls of one annotation, the first being the ``start``-th of the chain; none if it can't.

    ``made`` holds the calls so far with their places. A part that was computed before, the second
    1/4 of a solution, is not computed again: its result is used. The annotation's own result is
    always computed, and compared with what is recorded.
    """
    try:
        planned, whole = plan(annotation.expression)
    except ExpressionError:
        return []
    if annotation.value is None:
        return []
    if not planned:
        # <<5=5>> states a number; adding it to nothing gives the chain a result to go on from.
        planned = [Call("add", {"a": whole, "b": 0})]
    calls: list[Call] = []
    places: list[int] = []  # of each planned call's result, in the whole chain
    for index, call in enumerate(planned):
        operands = {
            name: _Place(places[index - value.back]) if isinstance(value, Previous) else value
            for name, value in call.arguments.items()
        }
        key, last = f"{call.name} {operands}", index == len(planned) - 1
        if key in made and not last:
            places.append(made[key])
            continue
        at = start + len(calls)
        arguments = {
            name: Previous(at - value.index) if isinstance(value, _Place) else value
            for name, value in operands.items()
        }
        calls.append(Call(call.name, arguments, expected=annotation.value if last else None))
        places.append(at)
        made[key] = at
    return calls


@dataclass(frozen=True, slots=True)
class _Place:
    """A result by its place in the chain, where Previous counts from the call that needs it."""

    index: int
