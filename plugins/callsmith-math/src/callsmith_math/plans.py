"""Arithmetic expressions as chains of function calls, one call for each operator.

    plan("(48 + 2) / 5")
    ->  [Call("add", {"a": 48, "b": 2}), Call("divide", {"a": Previous(1), "b": 5})], Previous(1)

`Previous(n)` is the n-th last result at the time of the call, so a plan may follow any calls made
before it. A number alone needs no call: ``plan("72")`` is ``([], 72)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from callsmith.backends import Previous
from callsmith.chain import Call
from callsmith_math import exact
from callsmith_math.errors import ExpressionError, explaining
from callsmith_math.expressions import (
    Name,
    Node,
    Number,
    Operation,
    parse,
)

Operand: TypeAlias = int | float | Previous

_FUNCTIONS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "//": "quotient"}


def plan(text: str) -> tuple[list[Call], int | float | Previous]:
    """The calls that compute an expression, in order: add, subtract, multiply, divide, ...

    Beside them, what the whole is worth: ``Previous(1)``, the last call's result, or the number
    itself if the expression is one. A sign or a percent sign on a number is part of the number;
    ``^`` becomes a call of power and ``//`` one of quotient. Raises ExpressionError for what is
    no expression, or has a variable or a function such as sqrt.
    """
    planner = _Planner()
    with explaining():
        whole = planner.visit(parse(text))
    return planner.calls, planner.operand(whole)


@dataclass(frozen=True, slots=True)
class _ResultOf:
    """The result of the call at that place in the plan."""

    index: int


@dataclass
class _Planner:
    calls: list[Call] = field(default_factory=list)

    def operand(self, value: int | float | _ResultOf) -> Operand:
        """The value as an argument of the next call."""
        return Previous(len(self.calls) - value.index) if isinstance(value, _ResultOf) else value

    def call(
        self, name: str, first: int | float | _ResultOf, second: int | float | _ResultOf
    ) -> _ResultOf:
        keys = ("base", "exponent") if name == "power" else ("a", "b")
        operands = (self.operand(first), self.operand(second))
        self.calls.append(Call(name, dict(zip(keys, operands, strict=True))))
        return _ResultOf(len(self.calls) - 1)

    def visit(self, node: Node) -> int | float | _ResultOf:
        match node:
            case Number(value):
                return exact.number(value)
            case Name(name):
                raise ExpressionError(f"{name[:30]} has no value here: put a number in its place")
            case Operation("neg", (Number(value),)):
                return exact.number(-value)
            case Operation("%", (Number(value),)):
                return exact.number(value / 100)
            case Operation("neg", (inner,)):
                return self.call("multiply", -1, self.visit(inner))
            case Operation("%", (inner,)):
                return self.call("divide", self.visit(inner), 100)
            case Operation("^", (base, exponent)):
                return self.call("power", self.visit(base), self.visit(exponent))
            case Operation(operator, (left, right)):
                return self.call(_FUNCTIONS[operator], self.visit(left), self.visit(right))
            case Operation(operator, _):
                raise ExpressionError(f"{operator} can't be planned: only + - * / and powers can")
