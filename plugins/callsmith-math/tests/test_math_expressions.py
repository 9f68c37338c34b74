"""The expression parser, exact values, and plans of calls."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callsmith.backends import Previous
from callsmith.chain import Call
from callsmith_math import ExpressionError, evaluate, plan
from callsmith_math.arithmetic import fraction
from callsmith_math.exact import exact, number
from callsmith_math.expressions import parse, parse_equation
from callsmith_math.functions import pack

FUNCTIONS = pack.named("math")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("48/2", 24),
        ("0.1 + 0.2", 0.3),
        ("1,200 × 20% + .5", 240.5),
        ("0.50", 0.5),
        ("(1/2)*3", 1.5),
        ("5+-2", 3),
        ("60*+2", 120),
        ("-2^2", -4),
        ("2^-1", 0.5),
        ("2**3**2", 512),
        ("2(3)", 6),
        ("1/2(4)", 2),
        ("6 ÷ 2 − 1", 2),
        ("10²³ / 10^22", 10),
        ("5! / 3!", 20),
        ("17 // 5", 3),
        ("√16 + sqrt(9)", 7),
        ("(-8)^(2/3)", 4),
        ("log10(1000) + ln(e)", 4),
        ("abs(-7) * sign(-7) + floor(2.5) - ceil(2.5)", -8),
        ("1/3", 0.333333333333),
        ("1/3 * 3", 1),
        ("0.333333333333 * 3", 1),
        ("sqrt(2)^2 - 2", 0),
        ("sin(pi)", 0),
        ("1.0025^3600", 8012.5850426),
        ("123456789012.35 + 0", 123456789012.35),
    ],
)
def test_an_expression_has_the_value_that_a_person_would_give_it(text: str, value: float) -> None:
    result = evaluate(text)
    assert result == value
    assert isinstance(result, int) == float(value).is_integer()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("2 +", "missing at the end"),
        ("(2 + 3", r"a \) is missing"),
        ("2 + 3)", r"'\)' is unexpected"),
        ("1 1/2", "operator is missing before 1"),
        ("17 % 5", "percent, not a remainder"),
        ("17 % (2 + 3)", "percent, not a remainder"),
        ("max(1, 2)", "comma can only group thousands"),
        ("foo(2)", "there is no function 'foo'"),
        ("sin 3", "sin needs brackets"),
        ("2x + 1", "x has no value"),
        ("48/2 = 24", "'=' is unexpected"),
        ("1/0", "division by zero"),
        ("0^-1", "divide by zero"),
        ("sqrt(-1)", "no real even root"),
        ("ln(0)", "no finite real value"),
        ("tan(pi/2)", "no finite real value"),
        ("x.__class__", "'.' has no meaning"),
        ("__import__('os')", '"\'" has no meaning'),
    ],
)
def test_what_has_no_value_is_refused_in_one_sentence(text: str, reason: str) -> None:
    with pytest.raises(ExpressionError, match=reason) as caught:
        evaluate(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    [
        "9**9**9",
        "9^9^9^9^9^9",
        "factorial(10**7)",
        "10000000!",
        "((((9!)!)!)!)!",
        "1.000001^10^12",
        "exp(exp(exp(10)))",
        "e^10^300",
        "1e999999999",
        "9" * 1000,
        "-" * 200_000 + "1",
        "(" * 100_000 + "1" + ")" * 100_000,
        "-" * 900 + "1",
        "(" * 490 + "1" + ")" * 490,
        "sin(" * 200 + "1" + ")" * 200,
        "2^" * 300 + "2",
        "1" + "0" * 10_000_000,
        "+".join(f"1/{n}" for n in range(1009, 1170)),
        "*".join(["99999.99999"] * 80),
    ],
)
def test_hostile_expressions_are_answered_fast(text: str) -> None:
    started = time.perf_counter()
    try:
        answer = str(evaluate(text))
    except ExpressionError as error:
        answer = str(error)
    assert time.perf_counter() - started < 5
    assert len(answer) <= 300


def test_equations_have_two_sides() -> None:
    assert parse_equation("2x == x + 3") == (parse("2x"), parse("x + 3"))
    with pytest.raises(ExpressionError, match="needs one ="):
        parse_equation("2x")
    with pytest.raises(ExpressionError, match="'=' is unexpected"):
        parse_equation("x = y = 3")


# ---- properties ---------------------------------------------------------------------------------

decimals = st.builds(
    lambda whole, digits: f"{whole}.{digits}" if digits else str(whole),
    st.integers(0, 9999),
    st.text("0123456789", max_size=4),
)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> tuple[str, Fraction]:
    """A text with brackets wherever needed, and its value by Python's own fractions."""
    if depth == 0 or draw(st.booleans()):
        text = draw(decimals)
        return text, Fraction(text)
    left, a = draw(expressions(depth=depth - 1))
    right, b = draw(expressions(depth=depth - 1))
    operators = {"+": a + b, "-": a - b, "*": a * b, "×": a * b}
    if b:
        operators |= {"/": a / b, "÷": a / b}
    operator = draw(st.sampled_from(sorted(operators)))
    space = draw(st.sampled_from(["", " "]))
    return f"({left}{space}{operator}{space}{right})", operators[operator]


@given(expressions())
def test_arithmetic_is_that_of_fractions(case: tuple[str, Fraction]) -> None:
    text, value = case
    assert fraction(text) == value
    assert evaluate(text) == number(value)


@given(expressions())
def test_a_plan_computes_what_the_expression_is_worth(case: tuple[str, Fraction]) -> None:
    text, value = case
    calls, whole = plan(text)
    results: list[float] = []

    def fill(operand: float | Previous) -> float:
        return results[-operand.back] if isinstance(operand, Previous) else operand

    for call in calls:
        arguments = {name: fill(operand) for name, operand in call.arguments.items()}
        try:
            results.append(FUNCTIONS[call.name](**arguments))
        except ValueError:
            # A difference that is only zero once its operands are cut to 12 digits.
            assert call.name == "divide"
            return
    scale = max([1, *map(abs, results)])
    assert fill(whole) == pytest.approx(float(value), rel=1e-9, abs=1e-9 * scale)
    assert len(calls) == sum(text.count(operator) for operator in "+-*×/÷")


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e250, max_value=1e250))
def test_numbers_are_shown_with_12_digits_and_read_back(value: float) -> None:
    if 0 < abs(value) < 1e-250:
        return
    shown = number(exact(value))
    assert shown == pytest.approx(value, rel=1e-11)
    assert number(exact(shown)) == shown


@given(st.integers(-5000, 5000), st.integers(1, 3000))
def test_a_quotient_taken_back_gives_the_whole_number(a: int, b: int) -> None:
    assert FUNCTIONS["multiply"](FUNCTIONS["divide"](a, b), b) == a


alphabet = st.text("0123456789.,+-*/^()%!=√×÷²πe xysqrtlnico\t\n'\"[]{}é\x00", max_size=120)


@settings(max_examples=500)
@given(alphabet | st.text(max_size=40))
def test_no_text_raises_anything_but_an_expression_error(text: str) -> None:
    for read in (evaluate, fraction, plan, parse_equation):
        with contextlib.suppress(ExpressionError):
            read(text)


# ---- plans --------------------------------------------------------------------------------------


def test_a_plan_has_one_call_for_each_operator() -> None:
    assert plan("(48 + 2) / (6 - 1)") == (
        [
            Call("add", {"a": 48, "b": 2}),
            Call("subtract", {"a": 6, "b": 1}),
            Call("divide", {"a": Previous(2), "b": Previous(1)}),
        ],
        Previous(1),
    )
    assert plan("50000 * 5%") == ([Call("multiply", {"a": 50000, "b": 0.05})], Previous(1))
    assert plan("2^3") == ([Call("power", {"base": 2, "exponent": 3})], Previous(1))
    assert plan("-(1 + 2)")[0][1] == Call("multiply", {"a": -1, "b": Previous(1)})


def test_a_number_alone_needs_no_call() -> None:
    assert plan("(1,200)") == ([], 1200)
    assert plan("-0.50") == ([], -0.5)
    assert plan("20%") == ([], 0.2)


@pytest.mark.parametrize("text", ["x + 1", "sqrt(4)", "2 +", "9" * 99 + "e300"])
def test_what_can_not_be_planned_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        plan(text)


def test_importing_the_package_and_its_functions_imports_nothing_heavy() -> None:
    code = """
import sys
import callsmith_math, callsmith_math.plugin
assert not {"pydantic", "jsonschema", "sympy", "mpmath"} & set(sys.modules)
import callsmith_math.functions
callsmith_math.evaluate("1/3 + 2^10")
assert not {"sympy", "mpmath"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
