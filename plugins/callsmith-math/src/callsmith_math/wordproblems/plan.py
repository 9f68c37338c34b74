"""Plans: how a problem is solved, written as arithmetic over the names of a template's slots.

``"total - boxes * each"`` is two steps; ``"child = age * 3; age + child"`` names one to use it
twice. Division must come out even. A plan is run on a problem's numbers to give the steps, and
the steps are kept with the problem as JSON, from which the reference chain is made.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import NamedTuple, TypeAlias

from callsmith.backends import Previous
from callsmith.chain import JSON, Call
from callsmith.errors import DataError

Number: TypeAlias = int | Decimal

LARGEST = 10_000
"""Every result on the way is above 0 and below this."""

FUNCTIONS = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide"}


class Unfit(Exception):
    """The numbers drawn don't suit the plan: draw again."""


class Made(NamedTuple):
    """A number that an earlier step gave."""

    step: int
    number: Number


Operand: TypeAlias = Number | Made


class Step(NamedTuple):
    """One call to make."""

    function: str
    a: Operand
    b: Operand


class Operation(NamedTuple):
    """One step of a plan: its operands are names of slots, constants or names of results."""

    function: str
    a: str | int
    b: str | int
    result: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan's steps in order; ``result`` names what it gives."""

    operations: tuple[Operation, ...]
    result: str

    @property
    def slots(self) -> set[str]:
        """The names that the story has to give a number for."""
        operands = {name for step in self.operations for name in (step.a, step.b)}
        names = {name for name in {*operands, self.result} if isinstance(name, str)}
        return names - {step.result for step in self.operations}

    def run(self, given: Mapping[str, Operand], steps: list[Step]) -> Operand:
        """Append the plan's steps to those before it, and give the result. Raises Unfit."""
        made: dict[str, Operand] = {}

        def operand(name: str | int) -> Operand:
            if isinstance(name, int):
                return name
            return made[name] if name in made else given[name]

        for operation in self.operations:
            a, b = operand(operation.a), operand(operation.b)
            result = calculate(operation.function, number(a), number(b))
            made[operation.result] = Made(len(steps), result)
            steps.append(Step(operation.function, a, b))
        return operand(self.result)


@cache
def parse(text: str) -> Plan:
    """A plan from its text. Raises DataError if it is no plan."""
    operations: list[Operation] = []

    def operand(node: ast.expr, result: str = "") -> str | int:
        match node:
            case ast.Name(id=name):
                return name
            case ast.Constant(value=int(constant)):
                return constant
            case ast.BinOp(left=left, op=op, right=right) if type(op) in FUNCTIONS:
                a, b = operand(left), operand(right)
                result = result or f"#{len(operations)}"
                operations.append(Operation(FUNCTIONS[type(op)], a, b, result))
                return result
        raise DataError(f"the plan {text!r} may only have names, integers, + - * / and brackets")

    last: str | int = 0
    for statement in ast.parse(text).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                last = operand(value, name)
            case ast.Expr(value=value):
                last = operand(value)
    if not isinstance(last, str):
        raise DataError(f"the plan {text!r} gives nothing that depends on the story")
    return Plan(tuple(operations), last)


def calculate(function: str, a: Number, b: Number) -> Number:
    """One step. Raises Unfit if it doesn't come out even, or out of bounds."""
    if function == "divide":
        if a % b:
            raise Unfit
        result = a // b
    elif function == "multiply":
        result = a * b
    elif function == "add":
        result = a + b
    else:
        result = a - b
    if not 0 < result < LARGEST:
        raise Unfit
    return result


def number(operand: Operand) -> Number:
    return operand.number if isinstance(operand, Made) else operand


def to_json(steps: Sequence[Step]) -> list[JSON]:
    """Steps as ``{"call": "add", "a": 3, "b": {"previous": 1}}``: the last result but n - 1."""

    def written(operand: Operand, place: int) -> JSON:
        if isinstance(operand, Made):
            return {"previous": place - operand.step}
        return plain(operand)

    return [
        {"call": step.function, "a": written(step.a, place), "b": written(step.b, place)}
        for place, step in enumerate(steps)
    ]


def to_calls(plan: Sequence[JSON]) -> list[Call]:
    """The calls of a plan in JSON, ending in the answer: what the last of them gives."""

    def read(operand: JSON) -> JSON:
        return Previous(operand["previous"]) if isinstance(operand, Mapping) else operand

    calls = [Call(step["call"], {"a": read(step["a"]), "b": read(step["b"])}) for step in plan]
    return [*calls, Call("answer", {"value": Previous()})]


def tidy(value: Number) -> Number:
    """As people write it: 5.5 for 5.50, and 5 for 5.00."""
    return int(value) if value == int(value) else Decimal(value).normalize()


def plain(value: Number) -> int | float:
    """A number as JSON has it."""
    return int(value) if value == int(value) else float(value)
