from __future__ import annotations

import re
from typing import Any

import pytest

from callsmith.calls import run_call
from callsmith.chain import JSON, Call, Problem, Result
from callsmith.functions import Context
from callsmith.isolation import Workers
from callsmith_logic.pack import pack

FUNCTIONS = pack.named("logic")
RIDDLE = Problem(
    "Is the following statement true, false, or unknown? Max is sour.",
    context="Max is a yumpus. Anne likes Max. Each yumpus is a dumpus. Dumpuses are not sour. "
    "Every impus is sour. Each lempus is an impus. Cold, mean things are red.",
)
STORY = Problem("Is it true? Max is sour.", context="It was a dark and stormy night.")

Request = tuple[str, dict[str, Any]]


async def run(*calls: Request, problem: Problem = RIDDLE) -> list[Result]:
    """The results of calls that belong to one chain."""
    context = Context(problem)
    async with Workers(1) as workers:
        return [
            await run_call(Call(name, arguments), FUNCTIONS, context, workers)
            for name, arguments in calls
        ]


async def value(*calls: Request) -> JSON:
    """What the last call gives."""
    results = await run(*calls)
    assert not any(result.fault for result in results)
    return results[-1].value


async def fault(*calls: Request, problem: Problem = RIDDLE) -> str:
    """The message of the last call, the only one that goes wrong."""
    *before, last = await run(*calls, problem=problem)
    assert not any(result.fault for result in before)
    assert last.fault
    assert last.fault.kind == "function_error"
    return last.fault.message


def facts(of: str) -> Request:
    return "facts", {"of": of}


def rules(**arguments: str) -> Request:
    return "rules", arguments


def look_up(statement: str) -> Request:
    return "look_up", {"statement": statement}


def apply(rule: str, fact: str) -> Request:
    return "modus_ponens", {"rule": rule, "fact": fact}


def conclude(statement: str) -> Request:
    return "conclude", {"statement": statement}


DUMPUS = apply("forall x (yumpus(x) -> dumpus(x))", "yumpus(Max)")
NOT_SOUR = apply("forall x (dumpus(x) -> not sour(x))", "dumpus(Max)")


async def test_facts_are_those_that_name_a_thing_or_a_predicate() -> None:
    assert await value(facts("Max")) == ["yumpus(Max)", "likes(Anne, Max)"]
    assert await value(facts("likes")) == ["likes(Anne, Max)"]
    assert await value(facts("sour")) == []


async def test_rules_are_found_by_what_they_need_and_by_what_they_lead_to() -> None:
    assert await value(rules(of="mean")) == ["forall x (cold(x) and mean(x) -> red(x))"]
    assert await value(rules(to="sour")) == [
        "forall x (dumpus(x) -> not sour(x))",
        "forall x (impus(x) -> sour(x))",
    ]
    assert await value(rules(to="lempus")) == []
    assert await value(rules(of="dumpus", to="sour")) == ["forall x (dumpus(x) -> not sour(x))"]
    assert await value(rules(of="mean", to="sour")) == []


async def test_a_statement_is_looked_up_with_its_fact_and_the_rules_to_it_or_its_negation() -> None:
    assert await value(look_up("not sour(Max)")) == await value(rules(to="sour"))
    assert await value(look_up("yumpus(Max)")) == ["yumpus(Max)"]
    assert await value(look_up("yumpus(Anne)")) == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (facts("yumpuss"), r"no name 'yumpuss': did you mean yumpus\?"),
        (rules(to="qqq"), r"no name 'qqq': it has Anne, Max, "),
        (rules(), r"give of= or to="),
        (rules(of="dumpus", to="qqq"), r"no name 'qqq': it has Anne, Max, "),
        (look_up("sour(Maxx)"), r"no name 'Maxx': did you mean Max\?"),
        (look_up("sour(Max) or red(Max)"), r"is no plain statement such as not sour\(Max\)"),
        (conclude("Max is sour"), r"character"),
    ],
)
async def test_a_look_up_that_finds_nothing_says_what_to_write(call: Request, message: str) -> None:
    assert re.search(message, await fault(call))


async def test_a_text_of_another_kind_names_the_sentence_that_cant_be_read() -> None:
    assert "'It was a dark and stormy night.' is no sentence" in await fault(
        facts("Max"), problem=STORY
    )
    assert "states no facts and rules" in await fault(facts("Max"), problem=Problem("Why?"))


async def test_a_step_needs_premises_that_the_text_has_or_that_were_derived() -> None:
    assert await value(DUMPUS, NOT_SOUR) == "not sour(Max)"
    assert "dumpus(Max) is not known" in await fault(NOT_SOUR)
    invented = apply("forall x (yumpus(x) -> sour(x))", "yumpus(Max)")
    assert "forall x (yumpus(x) -> sour(x)) is not known" in await fault(invented)


async def test_each_part_of_a_joined_fact_must_be_known() -> None:
    both = apply("forall x (cold(x) and mean(x) -> red(x))", "cold(Max) and mean(Max)")
    assert "cold(Max) is not known" in await fault(both)


async def test_a_premise_may_be_written_in_another_way() -> None:
    assert await value(apply("∀y (yumpus(y) → dumpus(y))", "yumpus(Max)")) == "dumpus(Max)"


async def test_outside_a_world_a_step_takes_the_premises_it_is_given() -> None:
    (result,) = await run(DUMPUS, problem=STORY)
    assert result.value == "dumpus(Max)"


# ---- conclude -----------------------------------------------------------------------------------


async def test_what_was_derived_or_looked_up_is_concluded() -> None:
    assert await value(DUMPUS, NOT_SOUR, conclude("not sour(Max)")) == "True"
    assert await value(DUMPUS, NOT_SOUR, conclude("sour(Max)")) == "False"
    assert await value(facts("Max"), conclude("yumpus(Max)")) == "True"


async def test_what_follows_is_not_concluded_before_it_was_derived() -> None:
    looked = (facts("Max"), rules(to="sour"), rules(to="dumpus"), rules(to="yumpus"))
    assert "nothing is shown of sour(Max) yet: apply the rules" in await fault(
        *looked, rules(to="impus"), rules(to="lempus"), conclude("sour(Max)")
    )
    assert "nothing is shown" in await fault(conclude("yumpus(Max)"))


async def test_unknown_is_concluded_once_all_that_could_lead_there_was_looked_up() -> None:
    sought = conclude("impus(Max)")
    assert "look at the facts of Max" in await fault(sought)
    assert "look at the rules to impus" in await fault(facts("Max"), sought)
    assert "look at the rules to lempus" in await fault(facts("Max"), rules(to="impus"), sought)
    looked = (facts("Max"), rules(to="impus"), rules(to="lempus"))
    assert await value(*looked, sought) == "Unknown"
    assert await value(look_up("impus(Max)"), look_up("lempus(Max)"), sought) == "Unknown"


async def test_of_several_conditions_one_that_cant_be_had_is_enough() -> None:
    looked = (facts("Max"), rules(to="red"), rules(to="mean"))
    assert await value(*looked, conclude("red(Max)")) == "Unknown"


async def test_a_call_with_a_fault_shows_nothing() -> None:
    results = await run(rules(to="impuss"), facts("Max"), conclude("impus(Max)"))
    assert results[0].fault
    assert results[-1].fault
