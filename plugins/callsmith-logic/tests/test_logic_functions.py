"""The functions of the logic pack, called as a model calls them: checked, bounded, explained."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from callsmith.calls import run_call
from callsmith.chain import Call, Result
from callsmith.functions import Context, Function
from callsmith.isolation import Workers
from callsmith_logic.pack import GROUPS, pack

FUNCTIONS = pack.named("logic")

ISOLATED = {
    *("truth_table", "simplify", "normal_form", "satisfiable", "valid", "equivalent", "implies"),
    *("entails", "consistent", "counter_model", "supported"),
}


def call(name: str, **arguments: Any) -> Any:
    """The value for arguments that fit the function's schema."""
    assert FUNCTIONS[name].check(arguments) == ""
    return FUNCTIONS[name].invoke(arguments, Context())


async def run(name: str, functions: dict[str, Function] = FUNCTIONS, **arguments: Any) -> Result:
    async with Workers(1) as workers:
        return await run_call(Call(name, arguments), functions, Context(), workers)


@pytest.mark.parametrize("function", pack.functions, ids=lambda function: function.name)
def test_every_example_executes_and_the_help_shows_its_result(function: Function) -> None:
    assert function.examples
    assert function.help.count("Example: ") == len(function.examples)


def test_every_function_is_in_one_group_and_what_may_run_long_is_isolated() -> None:
    assert len(FUNCTIONS) == len(pack.functions) == sum(map(len, GROUPS.values()))
    assert all(len(group) <= 8 for group in GROUPS.values())
    assert {function.name for function in pack.functions if not function.inline} == ISOLATED
    checks = {function.name for function in pack.functions if function.role == "verify"}
    assert checks >= {"well_formed", "supported"}


def test_steps_take_and_give_text() -> None:
    rule = "∀x (Dog(x) → Animal(x))"
    assert call("modus_ponens", rule=rule, fact="Dog(rex)") == "Animal(rex)"
    assert call("modus_tollens", rule=rule, fact="¬Animal(rex)") == "not Dog(rex)"
    assert call("instantiate", rule=rule, names=["rex"]) == "Dog(rex) -> Animal(rex)"
    assert call("conjunction", facts=["p", "~q"]) == "p and not q"
    assert call("take_part", fact="p & ~q", part="¬q") == "not q"
    assert call("eliminate", choice="p | q", fact="!p") == "q"
    assert call("chain", rules=["p -> q", "q -> r"]) == "p -> r"
    assert call("normalise", formula="∀x Dog(x) ⇒ Animal(x).") == "forall x (Dog(x) -> Animal(x))"


def test_values_are_given_by_the_text_of_a_proposition() -> None:
    values = {"Dog(rex)": True, "q": False}
    assert call("truth_value", formula="Dog( rex ) -> q", values=values) is False
    with pytest.raises(ValueError, match="'not q' is no proposition: give values to p or Dog"):
        call("truth_value", formula="q", values={"not q": True})


def test_checks_say_yes_or_what_is_wrong() -> None:
    assert call("well_formed", formula="p and (q or r)") == "yes"
    assert call("well_formed", formula="p and (q or r") == (
        "no: there is no ) for this (, at character 7, after 'p and'"
    )
    premises = ["p -> q", "p"]
    assert call("supported", premises=premises, steps=["q"], conclusion="q or r") == "yes"
    assert call("supported", premises=premises, steps=["r"], conclusion="q").startswith(
        "no: step 1, r, does not follow"
    )


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("modus_ponens", {"rule": "p -> q", "fact": "{}"}),
        ("chain", {"rules": ["p -> q", "{}"]}),
        ("well_formed", {"formula": "{}"}),
        ("normalise", {"formula": "{}"}),
        ("truth_value", {"formula": "{}", "values": {}}),
        ("truth_table", {"formula": "{}"}),
        ("entails", {"premises": ["p"], "conclusion": "{}"}),
        ("consistent", {"premises": ["p", "{}"]}),
    ],
)
@pytest.mark.parametrize(
    "text",
    ["p & " * 25_000 + "p", "(" * 10_000 + "p" + ")" * 10_000, "forall (P(x))", "∃", "p q", ""],
    ids=["long", "deep", "forall", "exists", "two", "empty"],
)
async def test_bad_formulas_are_answered_in_one_short_sentence(
    name: str, arguments: dict[str, Any], text: str
) -> None:
    def fill(value: Any) -> Any:
        if isinstance(value, list):
            return [fill(item) for item in value]
        return text if value == "{}" else value

    inline = {**FUNCTIONS, name: replace(FUNCTIONS[name], inline=True)}
    filled = {key: fill(value) for key, value in arguments.items()}
    result = await run_call(Call(name, filled), inline, Context(), Workers())
    message = result.fault.message if result.fault else str(result.value)
    assert result.fault is None or result.fault.kind == "function_error"
    assert len(message) < 300
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        # More clauses than there is time or memory for: 2 to the power of 29, and of 30.
        ("satisfiable", {"formula": " xor ".join(f"p{n}" for n in range(30))}),
        (
            "normal_form",
            {"formula": " and ".join(f"(p{n} or q{n})" for n in range(30)), "form": "dnf"},
        ),
    ],
)
async def test_no_formula_hangs_the_loop_or_takes_the_machine_down(
    name: str, arguments: dict[str, Any]
) -> None:
    short = {**FUNCTIONS, name: replace(FUNCTIONS[name], timeout=2.0, memory_mb=200)}
    stopped = await run(name, short, **arguments)
    assert stopped.fault is not None
    assert stopped.fault.kind in ("timeout", "memory")


async def test_what_the_solver_refuses_comes_back_from_its_worker_as_a_fault() -> None:
    contradictory = await run("entails", premises=["p", "not p"], conclusion="q")
    undecided = await run(
        "entails",
        premises=["forall x (s(x) != zero)", "forall x forall y (s(x) = s(y) -> x = y)"],
        conclusion="P(zero)",
    )
    proven = await run("entails", premises=["p", "p -> q"], conclusion="q")
    assert contradictory.fault is not None
    assert contradictory.fault.message == (
        "entails: the premises contradict each other, so nothing can be concluded: p; not p"
    )
    assert undecided.fault is not None
    assert "could not be decided within the limits" in undecided.fault.message
    assert proven.value == "True"


def test_finding_the_plugin_imports_nothing_heavy() -> None:
    code = (
        "import sys, callsmith_logic, callsmith_logic.plugin;"
        "print(sorted({'z3', 'sympy', 'lark', 'pydantic'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
