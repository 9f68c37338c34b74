"""The function pack ``logic``: what a model may call, in groups that a task picks from.

What is cheap and bounded by construction runs inline; what needs a solver, or a table that may be
long, runs in a worker process that can be killed. A LogicError's message is written for the model
to read.
"""

from __future__ import annotations

from callsmith.functions import Function, FunctionPack
from callsmith_logic import lookup
from callsmith_logic.functions import checks, firstorder, propositional, steps

GROUPS: dict[str, tuple[Function, ...]] = {
    "lookup": (lookup.facts, lookup.rules, lookup.look_up, lookup.conclude),
    "steps": (
        steps.modus_ponens,
        steps.modus_tollens,
        steps.instantiate,
        steps.conjunction,
        steps.take_part,
        steps.eliminate,
        steps.chain,
    ),
    "propositional": (
        propositional.truth_value,
        propositional.truth_table,
        propositional.simplify,
        propositional.normal_form,
        propositional.satisfiable,
        propositional.valid,
        propositional.equivalent,
        propositional.implies,
    ),
    "first order": (
        firstorder.normalise,
        firstorder.entails,
        firstorder.consistent,
        firstorder.counter_model,
    ),
    "checks": (checks.well_formed, checks.supported),
}
"""Every function once."""

pack = FunctionPack(
    "deduction step by step, and provers for propositional and first-order logic",
    [function for group in GROUPS.values() for function in group],
)
