"""The functions of the math pack, called as a model calls them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callsmith.calls import run_call
from callsmith.chain import Call, Result
from callsmith.functions import Context, Function
from callsmith.isolation import Workers
from callsmith_math import symbolic
from callsmith_math.functions import GROUPS, pack

FUNCTIONS = pack.named("math")


def call(name: str, **arguments: Any) -> Any:
    """The value for arguments that fit the function's schema."""
    assert FUNCTIONS[name].check(arguments) == ""
    return FUNCTIONS[name](**arguments)


@pytest.mark.parametrize("function", pack.functions, ids=lambda function: function.name)
def test_every_example_executes_and_the_help_shows_its_result(function: Function) -> None:
    assert function.examples
    assert len(function.results) == len(function.examples)
    assert function.help.count("Example: ") == len(function.examples)


def test_every_function_is_in_one_group_and_only_sympy_needs_a_worker() -> None:
    assert len(FUNCTIONS) == len(pack.functions)
    isolated = {function.name for function in pack.functions if not function.inline}
    algebra = {function.name for name in ("algebra", "calculus") for function in GROUPS[name]}
    assert isolated == algebra | {"check_equal"}
    assert {function.name for function in pack.functions if function.role == "verify"} == {
        "check",
        "check_solution",
        "check_equal",
    }


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("add", {"a": 0.1, "b": 0.2}, 0.3),
        ("subtract", {"a": 1.1, "b": 1}, 0.1),
        ("multiply", {"a": 19.99, "b": 100}, 1999),
        ("divide", {"a": 7, "b": 2}, 3.5),
        ("power", {"base": 1.1, "exponent": 2}, 1.21),
        ("power", {"base": 8, "exponent": 0.333333333333}, 2),
        ("root", {"a": 0.25}, 0.5),
        ("root", {"a": -27, "degree": 3}, -3),
        ("root", {"a": 10**298}, 10**149),
        ("quotient", {"a": -7, "b": 2}, -4),
        ("remainder", {"a": -7, "b": 2}, 1),
        ("remainder", {"a": 5.5, "b": 2}, 1.5),
        ("round", {"a": 2.5}, 3),
        ("round", {"a": -2.5}, -3),
        ("round", {"a": 2.675, "digits": 2}, 2.68),
        ("round", {"a": 1250, "digits": -2}, 1300),
        ("percent", {"rate": 12.5, "of": 80}, 10),
        ("as_percent", {"part": 1, "whole": 8}, 12.5),
        ("percent_change", {"old": 50, "new": 40}, -20),
        ("proportion", {"a": 2, "b": 3, "c": 5}, 7.5),
        ("fraction", {"expression": "0.375 + 1/8"}, "1/2"),
        ("fraction", {"expression": "6/3"}, "2"),
        ("compare", {"a": "1/3", "b": 0.333333333333}, "equal"),
        ("compare", {"a": "2/3", "b": "3/4"}, "less"),
        ("sum", {"values": [0.1] * 10}, 1),
        ("mean", {"values": [1, 2]}, 1.5),
        ("gcd", {"a": 12.0, "b": 18}, 6),
        ("lcm", {"a": 21, "b": 6}, 42),
        ("combinations", {"n": 52, "k": 5}, 2_598_960),
        ("check", {"expression": "100/3", "value": 33.3333333333}, True),
        ("check", {"expression": "100/3", "value": 33.33}, False),
        ("check", {"expression": "1/2 + 1/3", "value": "5/6"}, True),
        ("check_solution", {"equation": "x^2 = 2", "values": {"x": 1.41421356237}}, True),
        ("check_solution", {"equation": "x + y = 5", "values": {"x": 2, "y": "6/2"}}, True),
        ("check_solution", {"equation": "x = 1000000001", "values": {"x": 1000000000}}, False),
    ],
)
def test_results_are_exact(name: str, arguments: dict[str, Any], value: Any) -> None:
    result = call(name, **arguments)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("divide", {"a": 1, "b": 0}, "division by zero"),
        ("remainder", {"a": 1, "b": 0}, "division by zero"),
        ("power", {"base": 9, "exponent": 1e300}, "too large"),
        ("power", {"base": 0.5, "exponent": 5000}, "too small"),
        ("power", {"base": 0, "exponent": -1}, "divide by zero"),
        ("power", {"base": -2, "exponent": 0.5}, "no real even root"),
        ("root", {"a": -4}, "no real even root"),
        ("add", {"a": math.inf, "b": 1}, "not a finite number"),
        ("add", {"a": 10**5000, "b": 1}, "too large"),
        ("multiply", {"a": 1e200, "b": 1e200}, "too large"),
        ("factorial", {"n": 10**7}, "too large"),
        ("factorial", {"n": -1}, "whole numbers from 0 on"),
        ("combinations", {"n": 10**9, "k": 10**8}, "n <= 1000"),
        ("fraction", {"expression": "sqrt(2)"}, "irrational"),
        ("check_solution", {"equation": "x + y = 2", "values": {"x": 1}}, "y has no value"),
        ("solve", {"equation": "2x + 1", "variable": "x"}, "needs one ="),
        ("solve", {"equation": "y = 4", "variable": "x"}, "x is not in the equation"),
        ("solve", {"equation": "x + x = 2x", "variable": "x"}, "every value of x"),
        ("solve", {"equation": "x = 1", "variable": "x; import os"}, "no name for a variable"),
        ("expand", {"expression": "((x + 1)^100)^100"}, "too high"),
        ("simplify", {"expression": "9^9^9"}, "too large"),
        ("simplify", {"expression": "factorial(sqrt(10^14))"}, "too large"),
        ("integrate", {"expression": "1/x", "variable": "x", "lower": 0, "upper": 1}, "finite"),
        ("integrate", {"expression": "x", "variable": "x", "lower": 0}, "both lower and upper"),
    ],
)
def test_what_can_not_be_computed_is_refused_in_one_sentence(
    name: str, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        call(name, **arguments)
    assert "\n" not in str(caught.value)


def test_lists_have_a_length_that_is_bounded() -> None:
    assert "non-empty" in FUNCTIONS["max"].check({"values": []})
    assert FUNCTIONS["sum"].check({"values": [1] * 1000})


# ---- sympy --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("equation", "solutions"),
    [
        ("2x + 3 = 11", [4]),
        ("3x = 1", ["1/3"]),
        ("0.1x = 0.35", [3.5]),
        ("x^2 = 2", ["-sqrt(2)", "sqrt(2)"]),
        ("x^2 + 1 = 0", []),
        ("(x - 1)^2 = 0", [1]),
        ("(x^2 - 1)/(x - 1) = 2", []),
        ("abs(x - 1) = 3", [-2, 4]),
        ("x + 1 = x + 2", []),
        ("a x = b", ["b/a"]),
        ("2^x = 8", [3]),
    ],
)
def test_solve_gives_the_real_solutions(equation: str, solutions: list[Any]) -> None:
    assert call("solve", equation=equation, variable="x") == solutions


@settings(max_examples=30)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=4))
def test_solve_finds_the_roots_that_a_polynomial_was_made_of(roots: list[int]) -> None:
    equation = "".join(f"(x - ({root}))" for root in roots) + " = 0"
    assert call("solve", equation=equation, variable="x") == sorted(set(roots))


def test_roots_without_a_formula_are_given_as_decimals() -> None:
    [root] = call("solve", equation="x^5 - x - 1 = 0", variable="x")
    assert root**5 - root - 1 == pytest.approx(0, abs=1e-9)
    assert call("check_solution", equation="x^5 - x - 1 = 0", values={"x": root})


def test_a_system_s_solutions_satisfy_each_equation() -> None:
    equations = ["x^2 + y^2 = 25", "x + y = 7"]
    solutions = call("solve_system", equations=equations, variables=["x", "y"])
    assert solutions == [{"x": 3, "y": 4}, {"x": 4, "y": 3}]
    for solution in solutions:
        assert all(call("check_solution", equation=e, values=solution) for e in equations)
    assert call("solve_system", equations=["x + y = 1", "x + y = 2"], variables=["x", "y"]) == []


@pytest.mark.parametrize(
    "expression", ["x^3 - 2x", "sin(2x) e^x", "sqrt(x + 1)/x", "ln(x)^2", "x^x", "abs(x)", "7"]
)
def test_derivatives_agree_with_difference_quotients(expression: str) -> None:
    at, step = 1.7, 1e-5

    def value(text: Any, x: float) -> float:
        return float(symbolic.read(str(text), {"x": x}))

    derivative = call("differentiate", expression=expression, variable="x")
    quotient = (value(expression, at + step) - value(expression, at - step)) / (2 * step)
    assert value(derivative, at) == pytest.approx(quotient, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("expression", ["x^2 + 1", "sin(x)", "x e^x", "1/(1 + x^2)", "sin(x)^x"])
def test_integrals_agree_with_sums_of_rectangles(expression: str) -> None:
    def value(text: Any, **values: float) -> float:
        return float(symbolic.read(str(text), values))

    integral = call("integrate", expression=expression, variable="x", lower="1/2", upper=2)
    pieces = 300
    width = 1.5 / pieces
    middles = (0.5 + (i + 0.5) * width for i in range(pieces))
    rectangles = sum(value(expression, x=x) * width for x in middles)
    assert value(integral) == pytest.approx(rectangles, rel=1e-4)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("(x + y)^2", "x^2 + 2x y + y^2", True),
        ("sin(2x)", "2 sin(x) cos(x)", True),
        ("ln(x^2)", "2 ln(x)", True),
        ("sqrt(x^2)", "x", False),
        ("sqrt(x^2)", "abs(x)", True),
        ("x + 1", "x + 1.0001", False),
        ("1/3", "0.3333", False),
        ("sqrt(-1 - x^2)", "sqrt(-1 - x^2)", True),
        ("sqrt(-1 - x^2)", "2 sqrt(-1 - x^2)", False),
    ],
)
def test_equality_of_expressions(a: str, b: str, same: bool) -> None:
    assert call("check_equal", a=a, b=b) is same


@pytest.mark.parametrize(
    "expression",
    ["(x^2 - 1)/(x - 1)", "sqrt(8) x", "e x + pi", "abs(x) + ceil(x/2)", "ln(3x)", "1/3 x^-2"],
)
def test_what_is_shown_can_be_read_back(expression: str) -> None:
    for name in ("simplify", "expand", "factor"):
        assert call("check_equal", a=str(call(name, expression=expression)), b=expression)


def test_substitute_takes_expressions() -> None:
    assert call("substitute", expression="x^2 + y", values={"x": "a + 1", "y": 0.5}) in (
        "(a + 1)^2 + 1/2",
        "a^2 + 2*a + 3/2",
    )


async def test_sympy_runs_in_a_worker_that_is_killed_when_it_takes_too_long() -> None:
    endless = {"expression": "(x + y + z + w)^199"}
    functions = {**FUNCTIONS, "expand": replace(FUNCTIONS["expand"], timeout=1.0)}

    async def run(name: str, arguments: dict[str, Any]) -> Result:
        return await run_call(Call(name, arguments), functions, Context(), workers)

    async with Workers(1) as workers:
        solved = await run("solve", {"equation": "x^2 = 9", "variable": "x"})
        stopped = await run("expand", endless)
        refused = await run("simplify", {"expression": "1/0"})
    assert solved.value == [-3, 3]
    assert stopped.fault is not None
    assert stopped.fault.kind == "timeout"
    assert refused.fault is not None
    assert refused.fault.message == "simplify: division by zero has no result"
