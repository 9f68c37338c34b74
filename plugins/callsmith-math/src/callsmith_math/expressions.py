"""Text that a model wrote, read as mathematics by a small grammar of our own.

Nothing is ever evaluated here, and no part of the text reaches `eval`, `sympify` or Python's own
parser. What comes out is a tree of three kinds of node, which `arithmetic` turns into a number,
`symbolic` into a sympy object and `plans` into calls. Every text is answered at once, since what
is too long is refused by `scanning`, and what is nested deeper than `MAX_DEPTH` here.

The grammar, from loose to tight:

    equation    a = b
    sum         a + b, a - b
    product     a * b, a / b, a × b, a ÷ b, a // b (whole quotient), and by juxtaposition
                2x, 2(x + 1), x sin(x)
    sign        -a, +a
    power       a ^ b, a ** b, a², from right to left
    postfix     20% (20/100), 5! (factorial)
    atom        12, 1,234.5, .5, 6e3, names, pi, e, f(a) for the functions below, √a, (a)

Products are read from left to right, juxtaposed or not: 1/2x is (1/2)x, as in sympy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from callsmith_math.errors import ExpressionError
from callsmith_math.scanning import END, Token, read_number, scan, shorten

MAX_DEPTH = 50

CONSTANTS = frozenset({"pi", "e"})
_ALGEBRAIC = {"sqrt", "cbrt", "abs", "sign", "floor", "ceil", "factorial"}
_EXPONENTIAL = {"exp", "ln", "log", "log2", "log10"}
_CIRCULAR = {"sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"}
FUNCTIONS = frozenset(_ALGEBRAIC | _EXPONENTIAL | _CIRCULAR)
"""What may be applied as ``f(a)``. ``log`` is the natural logarithm, as ``ln`` is."""


@dataclass(frozen=True, slots=True)
class Number:
    """A literal, as exact as it was written (see `exact.restore` for decimals that were cut)."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, or one of `CONSTANTS`."""

    name: str


@dataclass(frozen=True, slots=True)
class Operation:
    """``operator`` is one of ``+ - * / // ^``, ``neg``, ``%`` (percent) or of `FUNCTIONS`."""

    operator: str
    operands: tuple[Node, ...]


Node: TypeAlias = Number | Name | Operation


def parse(text: str) -> Node:
    """The tree of an expression. Raises ExpressionError, and nothing else, for any text."""
    parser = _Parser(text)
    tree = parser.expression(0)
    parser.end()
    return tree


def parse_equation(text: str) -> tuple[Node, Node]:
    """The two sides of an equation. Raises ExpressionError if there is not exactly one ``=``."""
    parser = _Parser(text)
    left = parser.expression(0)
    if not parser.take("="):
        raise parser.error("an equation needs one =")
    right = parser.expression(0)
    parser.end()
    return left, right


def variable(name: str) -> str:
    """The name of a variable, if that is what it is. Raises ExpressionError."""
    name = name.strip()
    if not re.fullmatch(r"[A-Za-z_][A-Za-z_0-9]{0,30}", name) or name in CONSTANTS | FUNCTIONS:
        raise ExpressionError(f"{name[:30]!r} is no name for a variable: use a letter such as x")
    return name


_SUM, _PRODUCT, _SIGN, _POWER, _POSTFIX = 10, 20, 30, 40, 50

_BINARY = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "//": _PRODUCT, "^": _POWER}


class _Parser:
    """Precedence climbing over the tokens (Pratt, "Top down operator precedence", 1973)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = scan(text)
        self.position = 0
        self.depth = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.position] if self.position < len(self.tokens) else END

    def take(self, symbol: str) -> bool:
        """Step over the next token if it is that symbol."""
        token = self.next
        found = token.kind == "symbol" and token.text == symbol
        self.position += found
        return found

    def error(self, what: str) -> ExpressionError:
        return ExpressionError(f"{what} in {shorten(self.text)}")

    def end(self) -> None:
        if self.next is not END:
            raise self.error(f"{self.next.text!r} is unexpected")

    def expression(self, tightness: int) -> Node:
        """An expression whose operators bind more tightly than that."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(
                f"brackets and signs are nested more than {MAX_DEPTH} deep: simplify in parts"
            )
        left = self.operand()
        while True:
            kind, text = self.next
            if kind == "end":
                break
            binding = _BINARY.get(text, 0) if kind == "symbol" else 0
            if binding:
                if binding <= tightness:
                    break
                self.position += 1
                # Powers group from the right: their right side may be a power too.
                right = self.expression(binding - 1 if binding == _POWER else binding)
                left = Operation(text, (left, right))
            elif text in ("%", "!"):
                if tightness >= _POSTFIX:
                    break
                self.position += 1
                left = Operation("factorial" if text == "!" else "%", (left,))
            elif kind in ("number", "name") or text in ("(", "√"):
                if tightness >= _PRODUCT:
                    break
                self.check_product()
                left = Operation("*", (left, self.expression(_PRODUCT)))
            else:
                break
        self.depth -= 1
        return left

    def check_product(self) -> None:
        """Side by side, 2x is a product; 1 1/2 and 17 % 5 are meant otherwise."""
        if self.tokens[self.position - 1].text == "%":
            raise self.error("% is percent, not a remainder: an operator is missing after it")
        if self.next.kind == "number":
            raise self.error(f"an operator is missing before {self.next.text}")

    def operand(self) -> Node:
        kind, text = self.next
        self.position += 1
        if kind == "number":
            return Number(read_number(text))
        if kind == "name":
            return self.name(text)
        if text == "(":
            return self.bracket()
        if text == "-":
            operand = self.expression(_SIGN)
            return Operation("neg", (operand,))
        if text == "+":
            return self.expression(_SIGN)
        if text == "√":
            return Operation("sqrt", (self.expression(_POWER),))
        if kind == "end":
            raise self.error("something is missing at the end")
        raise self.error(f"{text!r} is unexpected")

    def bracket(self) -> Node:
        inner = self.expression(0)
        if not self.take(")"):
            raise self.error("a ) is missing")
        return inner

    def name(self, name: str) -> Node:
        called = self.next.text == "("
        if name in FUNCTIONS:
            if not called:
                raise self.error(f"{name} needs brackets, {name}(x),")
            self.position += 1
            return Operation(name, (self.bracket(),))
        # x(x + 1) is a product; f(2) and foo(2) are functions that nobody has defined.
        if called and (len(name) > 1 or name in "fgh"):
            known = ", ".join(sorted(FUNCTIONS))
            raise ExpressionError(f"there is no function {name[:30]!r} here; there are {known}")
        return Name(name)
