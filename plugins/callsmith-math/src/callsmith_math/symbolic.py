"""Expressions as sympy objects and back, and what the algebra functions need of sympy.

sympy is given objects built from our own tree, never a text: its `sympify` and `parse_expr` run
code from the text even with builtins removed. Building is bounded; what sympy then does with the
object is not, so the functions that use this module run in a worker process with a time limit.
Variables stand for real numbers, and only real solutions are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import isfinite
from typing import Any, TypeAlias

from callsmith_math import exact
from callsmith_math.errors import ExpressionError
from callsmith_math.expressions import (
    Name,
    Node,
    Number,
    parse,
    parse_equation,
    variable,
)

Expression: TypeAlias = Any
"""A sympy expression. Any, since importing sympy takes longer than everything else here."""

TIMEOUT = 10.0
"""Seconds for a call: a worker's first one spends a second or two on importing sympy."""

MAX_POWER = 200
"""The largest whole power of something with a variable in it."""


def read(text: str, values: Mapping[str, int | float | str] | None = None) -> Expression:
    """The expression, with values in the place of variables. Raises ValueError."""
    return _build(parse(text), _read_values(values or {}))


def symbol(name: str) -> Expression:
    """The real variable of that name. Raises ExpressionError for what can't be one."""
    import sympy

    return sympy.Symbol(variable(name), real=True)


def show(expression: Expression) -> int | float | str:
    """A number where one can be written exactly, else text in our own grammar.

    Raises ValueError for infinities, and for integrals that sympy left undone.
    """
    import sympy

    if expression.has(sympy.oo, -sympy.oo, sympy.zoo, sympy.nan):
        raise ValueError("the result is not a finite number")
    if expression.has(sympy.Integral, sympy.Derivative):
        raise ValueError("no closed form was found")
    if expression.is_Float:
        return exact.number(Fraction(str(expression)))
    if expression.is_Rational:
        value = Fraction(expression.p, expression.q)
        decimal = exact.number(value)
        return decimal if exact.exact(decimal) == value and _terminates(value) else str(value)
    return str(_printer().doprint(expression)).replace("**", "^")


def solve(equation: str, name: str) -> list[Expression]:
    """The real solutions. Raises ValueError if every number is one, or no method finds them."""
    import sympy

    unknown = symbol(name)
    left, right = (_build(side, {}) for side in parse_equation(equation))
    difference = sympy.together(left - right)
    if difference.free_symbols and unknown not in difference.free_symbols:
        raise ValueError(f"{name} is not in the equation once it is simplified")
    if sympy.simplify(difference) == 0:
        raise ValueError(f"the equation holds for every value of {name}")
    numerator, denominator = sympy.fraction(difference)
    polynomial = numerator.as_poly(unknown)
    if polynomial is not None and polynomial.domain in (sympy.ZZ, sympy.QQ):
        # Only here are all real solutions found for sure, those without a formula included.
        found = [_settle(root) for root in dict.fromkeys(polynomial.real_roots())]
    else:
        try:
            found = sympy.solve(difference, unknown)
        except NotImplementedError as error:
            raise ValueError(f"no method was found to solve {equation[:60]!r}") from error
    return [root for root in found if denominator.subs(unknown, root) != 0]


def solve_system(equations: Sequence[str], names: Sequence[str]) -> list[dict[str, Expression]]:
    """The real solutions, each a value by name. Raises ValueError if no method finds them."""
    import sympy

    unknowns = {symbol(name): name for name in names}
    sides = [[_build(side, {}) for side in parse_equation(equation)] for equation in equations]
    try:
        found = sympy.solve([left - right for left, right in sides], list(unknowns), dict=True)
    except NotImplementedError as error:
        raise ValueError("no method was found to solve these equations") from error
    return [
        {unknowns[unknown]: value for unknown, value in solution.items()}
        for solution in found
        if all(value.is_real is not False for value in solution.values())
    ]


def integrate(text: str, name: str, bounds: Sequence[int | float | str]) -> Expression:
    """The antiderivative, or with two bounds the definite integral, by numbers if need be."""
    import sympy

    if not bounds:
        return sympy.integrate(read(text), symbol(name))
    lower, upper = (_read_value(bound) for bound in bounds)
    result = sympy.integrate(read(text), (symbol(name), lower, upper))
    return result.evalf() if result.has(sympy.Integral) and not result.free_symbols else result


def equal(a: str, b: str) -> bool:
    """Whether two expressions agree wherever both have a real value. Raises ValueError.

    Decided by numbers: to 15 digits at a dozen points, positive and negative (two different
    expressions of school mathematics never agree there), and by algebra if neither has a value.
    """
    import sympy

    first, second = read(a), read(b)
    difference = first - second
    symbols = sorted(difference.free_symbols, key=str)
    agree = False
    for point in range(-6, 6):
        values = {x: sympy.Rational(13 * point + 5 * i + 4, 11) for i, x in enumerate(symbols)}
        sizes = [_real(expression.subs(values)) for expression in (first, second, difference)]
        if None in sizes:
            continue
        left, right, distance = (abs(size) for size in sizes if size is not None)
        if distance > 1e-15 * max(1.0, left, right):
            return False
        agree = True
    return agree or sympy.simplify(difference) == 0


def _real(expression: Expression) -> float | None:
    """The value of an expression without variables, computed with 30 digits, if it is real."""
    try:
        value = complex(expression.evalf(30, maxn=200))
    except (TypeError, OverflowError):
        return None
    return value.real if isfinite(value.real) and abs(value.imag) < 1e-15 else None


def _settle(root: Expression) -> Expression:
    """A root that only its polynomial defines, as a decimal."""
    import sympy

    return root.evalf(15) if root.has(sympy.CRootOf) else root


def _terminates(value: Fraction) -> bool:
    """Whether it is a decimal of a few digits: powers of 2 and 5 alone in the denominator."""
    return 10**12 % value.denominator == 0


def _read_values(values: Mapping[str, int | float | str]) -> dict[str, Expression]:
    return {variable(name): _read_value(value) for name, value in values.items()}


def _read_value(value: int | float | str) -> Expression:
    return _build(parse(value) if isinstance(value, str) else Number(exact.exact(value)), {})


# ---- from the tree ------------------------------------------------------------------------------


def _build(node: Node, values: Mapping[str, Expression]) -> Expression:
    import sympy

    if isinstance(node, Number):
        return _rational(node.value)
    if isinstance(node, Name):
        constants = {"pi": sympy.pi, "e": sympy.E}
        found = constants.get(node.name) or values.get(node.name)
        return symbol(node.name) if found is None else found
    operands = [_build(operand, values) for operand in node.operands]
    if len(operands) == 2:
        return _build_binary(node.operator, *operands)
    return _build_unary(node.operator, *operands)


def _rational(value: Fraction) -> Expression:
    import sympy

    return sympy.Rational(value.numerator, value.denominator)


def _fraction(expression: Expression) -> Fraction:
    return exact.bounded(Fraction(expression.p, expression.q))


def _build_binary(operator: str, left: Expression, right: Expression) -> Expression:
    import sympy

    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if operator == "^":
        return _power(left, right)
    if right == 0:
        raise ExpressionError("division by zero has no result")
    return sympy.floor(left / right) if operator == "//" else left / right


def _power(base: Expression, exponent: Expression) -> Expression:
    if base.is_Rational and exponent.is_Rational:
        value = exact.power(_fraction(base), _fraction(exponent))
        if value is not None:
            return _rational(value)
        if exponent.q == 1:
            raise ExpressionError("the result is too long to be written exactly: use evaluate")
    result = base**exponent
    # Asked of the result, since (x^100)^100 becomes one power.
    if result.is_Pow and result.exp.is_Integer and abs(result.exp) > MAX_POWER:
        raise ExpressionError(f"the power {result.exp} is too high: at most {MAX_POWER}")
    return result


def _build_unary(operator: str, operand: Expression) -> Expression:
    import sympy

    match operator:
        case "neg":
            return -operand
        case "%":
            return operand / 100
        case "sqrt" | "cbrt":
            return _power(operand, sympy.Rational(1, 2 if operator == "sqrt" else 3))
        case "factorial" if operand.is_Rational:
            return _rational(exact.factorial(_fraction(operand)))
        case "ln":
            return sympy.log(operand)
        case "log2" | "log10":
            return sympy.log(operand, int(operator[3:]))
        case "abs":
            return sympy.Abs(operand)
        case "ceil":
            return sympy.ceiling(operand)
    return getattr(sympy, operator)(operand)


def _printer() -> Any:
    from sympy.printing.str import StrPrinter

    class Printer(StrPrinter):  # type: ignore[misc]
        """Names as our grammar has them, so that what is shown can be read back."""

        def _print_Exp1(self, expression: Expression) -> str:
            return "e"

        def _print_Abs(self, expression: Expression) -> str:
            return f"abs({self._print(expression.args[0])})"

        def _print_ceiling(self, expression: Expression) -> str:
            return f"ceil({self._print(expression.args[0])})"

    return Printer()
