"""The function pack ``math``: what a model may call, in groups that a task picks from.

What is cheap and bounded by construction runs inline; everything that needs sympy runs in a worker
process that can be killed. Numbers follow `callsmith_math.exact`, expressions
`callsmith_math.expressions`; a ValueError's message is written for the model to read.
"""

from __future__ import annotations

from callsmith.functions import Function, FunctionPack
from callsmith_math.functions import algebra, calculus, checks, numbers, operations, rational

GROUPS: dict[str, tuple[Function, ...]] = {
    "operations": (operations.add, operations.subtract, operations.multiply, operations.divide),
    "arithmetic": (
        operations.power,
        operations.root,
        operations.quotient,
        operations.remainder,
        operations.round_number,
        operations.absolute,
        rational.percent,
        rational.as_percent,
        rational.percent_change,
        rational.rate,
        rational.proportion,
        rational.fraction,
        rational.compare,
        rational.evaluate,
    ),
    "numbers": (
        numbers.minimum,
        numbers.maximum,
        numbers.total,
        numbers.mean,
        numbers.gcd,
        numbers.lcm,
        numbers.factorial,
        numbers.combinations,
    ),
    "algebra": (
        algebra.simplify,
        algebra.expand,
        algebra.factor,
        algebra.substitute,
        algebra.solve,
        algebra.solve_system,
    ),
    "calculus": (calculus.differentiate, calculus.integrate),
    "checks": (checks.check, checks.check_solution, checks.check_equal),
}
"""Every function once. The paper's small set is ``operations`` and ``check``."""

pack = FunctionPack(
    "exact arithmetic, algebra and calculus, and checks of results",
    [function for group in GROUPS.values() for function in group],
)
