from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callsmith_logic.evidence import Evidence, shown
from callsmith_logic.sentences import read_world
from callsmith_logic.worlds import VARIABLE, Literal, Rule, World

THINGS = ("cow", "fox")
LITERALS = st.builds(
    Literal,
    st.sampled_from(["red", "big", "old"]),
    st.sampled_from([(thing,) for thing in (*THINGS, VARIABLE)]),
    st.booleans(),
) | st.builds(
    Literal,
    st.just("likes"),
    st.tuples(st.sampled_from([*THINGS, VARIABLE]), st.sampled_from(THINGS)),
    st.booleans(),
)
FACTS = LITERALS.filter(lambda literal: VARIABLE not in literal.args)
RULES = st.builds(Rule, st.lists(LITERALS, min_size=1, max_size=2).map(tuple), LITERALS).filter(
    lambda rule: (
        VARIABLE not in rule.conclusion.args or any(VARIABLE in c.args for c in rule.conditions)
    )
)
WORLDS = st.builds(
    World,
    st.lists(FACTS, max_size=4).map(lambda facts: (*facts, *map(mentioned, THINGS))),
    st.lists(RULES, max_size=6).map(tuple),
)


def mentioned(thing: str) -> Literal:
    """A fact that is good for nothing but that the thing is known."""
    return Literal("animal", (thing,))


@given(WORLDS)
def test_chaining_derives_all_that_rules_give_and_nothing_else(world: World) -> None:
    known = set(world.facts)
    while (
        new := {
            made.conclusion
            for rule in world.rules
            for made in map(rule.of, THINGS)
            if known.issuperset(made.conditions)
        }
        - known
    ):
        known |= new
    assert world.closure.hops.keys() == known


@given(WORLDS)
def test_a_proof_applies_one_rule_of_the_text_after_another(world: World) -> None:
    for goal in world.closure.hops:
        known = set(world.facts)
        for literal in world.closure.proof(goal):
            made, rule = world.closure.by[literal]
            assert rule in world.rules
            assert known.issuperset(made.conditions)
            assert made.conclusion == literal
            known.add(literal)
        assert goal in known


def test_hops_are_the_rules_that_follow_one_another() -> None:
    world = read_world(
        "Max is a yumpus. Each yumpus is a dumpus. Each dumpus is a wumpus. Each yumpus is red. "
        "If something is red and it is a wumpus then it is big."
    )
    hops = {str(literal): hops for literal, hops in world.closure.hops.items()}
    assert hops == {
        "yumpus(Max)": 0,
        "dumpus(Max)": 1,
        "red(Max)": 1,
        "wumpus(Max)": 2,
        "big(Max)": 3,
    }


def test_nothing_is_read_backwards_or_told_apart_by_cases() -> None:
    world = read_world(
        "Max is not sour. Each yumpus is sour. Each dumpus is red. "
        "If something is not a dumpus then it is red."
    )
    assert world.closure.label(Literal("yumpus", ("Max",))) == "Unknown"
    assert world.closure.label(Literal("red", ("Max",))) == "Unknown"


# ---- what look-ups show -------------------------------------------------------------------------

NAMES = st.lists(st.sampled_from(["cow", "fox", "red", "big", "old", "likes"]), unique=True)
STATEMENTS = st.lists(FACTS.filter(lambda literal: literal.positive).map(str), max_size=4)


@given(WORLDS, FACTS, NAMES, NAMES, STATEMENTS)
def test_look_ups_never_show_more_than_follows(
    world: World, goal: Literal, facts: list[str], to: list[str], statements: list[str]
) -> None:
    label = shown(world, Evidence([], facts, to, statements), goal)
    if label == "Unknown":
        assert world.closure.label(goal) == "Unknown"
    elif label:
        assert (goal if label == "True" else -goal) in world.facts


@given(WORLDS, FACTS)
def test_all_look_ups_and_all_that_follows_show_the_label(world: World, goal: Literal) -> None:
    derived = [str(literal) for literal in world.closure.hops]
    everything = Evidence(derived, list(THINGS), [*world.predicates, goal.predicate])
    assert shown(world, everything, goal) == world.closure.label(goal)


def test_rules_in_a_circle_rule_each_other_out() -> None:
    world = read_world("Max is red. Each yumpus is a dumpus. Each dumpus is a yumpus.")
    goal = Literal("yumpus", ("Max",))
    assert shown(world, Evidence(facts=["Max"], to=["yumpus"]), goal) is None
    assert shown(world, Evidence(facts=["Max"], to=["yumpus", "dumpus"]), goal) == "Unknown"
