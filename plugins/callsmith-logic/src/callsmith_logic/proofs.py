"""Reference chains: the look-ups and steps of inference that settle a goal, as calls to make.

No label is known here. A chain ends by asking `conclude` what it has shown, and answers with that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from callsmith.backends import Previous
from callsmith.chain import Call
from callsmith_logic.worlds import Instance, Literal, World


class Plan:
    """Calls to make, each once."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}

    def facts(self, of: str) -> None:
        self._add(Call("facts", {"of": of}))

    def rules_of(self, predicate: str) -> None:
        self._add(Call("rules", {"of": predicate}))

    def rules_to(self, predicate: str) -> None:
        self._add(Call("rules", {"to": predicate}))

    def apply(self, instance: Instance) -> None:
        """Derive the conclusion of a rule whose conditions are known."""
        fact = " and ".join(map(str, instance.made.conditions))
        arguments = {"rule": str(instance.rule), "fact": fact}
        self._add(Call("modus_ponens", arguments, expected=str(instance.made.conclusion)))

    def end(self, goal: Literal) -> Sequence[Call]:
        """All the calls, the last ones to conclude and to answer."""
        conclude = Call("conclude", {"statement": str(goal)})
        return (*self._calls.values(), conclude, Call("answer", {"value": Previous()}))

    def _add(self, call: Call) -> None:
        self._calls.setdefault(f"{call.name} {call.arguments}", call)


def prove(world: World, goal: Literal) -> Sequence[Call]:
    """From the goal: look up the rules that lead to it or its negation, then those that lead to
    their conditions, down to the facts; then the steps from there to the goal.

    Rules and conditions are tried in the text's order, each until it fails, so that what to do next
    can be seen from the calls so far and needs no looking ahead.
    """
    search = _Search(world)
    found = search.find((goal, -goal), frozenset())
    for instance in search.steps(found):
        search.plan.apply(instance)
    return search.plan.end(goal)


class _Search:
    """Depth first. ``how`` has the rule found for each literal that is shown to follow."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.plan = Plan()
        self.how: dict[Literal, Instance | None] = dict.fromkeys(world.facts)
        self.failed: set[Literal] = set()

    def find(self, goals: Sequence[Literal], above: frozenset[Literal]) -> Literal | None:
        """Which of the goals, a literal or it and its negation, follows: the first that is met. A
        goal is not looked for within the search for itself."""
        self.plan.facts(goals[0].subject)
        for goal in goals:
            if goal in self.how:
                return goal
        goals = [goal for goal in goals if goal not in self.failed and goal not in above]
        if not goals:
            return None
        self.plan.rules_to(goals[0].predicate)
        for instance in self._candidates(goals):
            within = above | {instance.made.conclusion}
            if all(self.find([condition], within) for condition in instance.made.conditions):
                self.how[instance.made.conclusion] = instance
                return instance.made.conclusion
        # What fails within the search for something else may follow outside it.
        self.failed |= {goal for goal in goals if goal not in self.world.closure.hops}
        return None

    def steps(self, literal: Literal | None) -> Iterator[Instance]:
        """The rules to apply, in order."""
        instance = self.how[literal] if literal else None
        if instance:
            for condition in instance.made.conditions:
                yield from self.steps(condition)
            yield instance

    def _candidates(self, goals: Sequence[Literal]) -> Iterable[Instance]:
        """The rules to try, in the text's order."""
        found = [instance for goal in goals for instance in self.world.instances_to(goal)]
        return sorted(found, key=lambda instance: self.world.rules.index(instance.rule))
