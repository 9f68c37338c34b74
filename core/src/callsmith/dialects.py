"""How calls are written: what a model is shown of the functions, and how its turns are read.

A `Prompt` is everything that stands before a problem, and the one renderer that turns a chain's
steps into messages; rollout, evaluation and training all use it. Chains know nothing of dialects:
one made with the server's tool calls (``native``) renders as text for a student that writes
``name(arg=value)`` (``text``) or JSON (``json``), and the other way round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from callsmith.backends import Completion, Constraint, Message
from callsmith.chain import JSON, Call, Chain, Dialect, Fault, Problem, Step, digest
from callsmith.functions import Function, format_call, format_json_call, render_value
from callsmith.jsoncalls import MAX_TURN, read_json_calls
from callsmith.reading import before_calls, read_calls
from callsmith.values import exceeds, plain, readable

TEXT_RULES = """\
Work in steps. In each turn write one call, and nothing else:
name(argument=value)
You are given its result, then it is your turn again. End with a call of answer."""

JSON_RULES = """\
Work in steps. In each turn write one call as JSON, and nothing else:
{"call": {"name": "…", "arguments": {…}}}
You are given its result, then it is your turn again. End with a call of answer."""

NATIVE_RULES = """\
Work in steps: call a function, look at its result, go on. End with a call of answer."""


@dataclass(frozen=True)
class Prompt:
    """Everything before the problem, for one dialect.

    ``functions`` are by the names that the model sees; ``examples`` few-shot chains that were
    really executed. ``tool_role`` says that the model's template has a role for results. With
    ``forget_faults`` failed turns are not shown to the model again, as in the paper's own loop;
    with ``constrained`` the server is asked to let the model write nothing but valid calls.
    """

    instructions: str
    functions: Mapping[str, Function]
    examples: tuple[Chain, ...] = ()
    dialect: Dialect = "text"
    tool_role: bool = False
    forget_faults: bool = False
    constrained: bool = False

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """The system message and the few-shot chains."""
        parts = [self.instructions]
        if self.dialect == "native":
            parts.append(NATIVE_RULES)
        else:
            helps = "\n\n".join(f.help_with(self._write) for f in self.functions.values())
            rules = JSON_RULES if self.dialect == "json" else TEXT_RULES
            parts += [f"You can call these functions:\n\n{helps}", rules]
        messages: list[Message] = [{"role": "system", "content": "\n\n".join(filter(None, parts))}]
        shown = 0
        for chain in self.examples:
            written = chain.setup.dialect
            messages += self._from_problem(chain.problem, chain.steps, written, shown)
            shown += len(chain.steps)
        return tuple(messages)

    @cached_property
    def tools(self) -> tuple[Mapping[str, JSON], ...]:
        """The functions' schemas as servers want them; empty where calls are written as text."""
        if self.dialect != "native":
            return ()
        return tuple(function.schema for function in self.functions.values())

    @cached_property
    def constraint(self) -> Constraint | None:
        """What the server is asked to hold the model's turns to, if anything."""
        if not self.constrained:
            return None
        from callsmith.constraints import constraint

        return constraint(self.functions, self.dialect)

    @cached_property
    def hash(self) -> str:
        """16 hex digits of all that the model is shown before the problem."""
        return digest([self.messages, self.tools, self.tool_role])

    def conversation(
        self, problem: Problem, steps: Iterable[Step] = (), written: Dialect | None = None
    ) -> list[Message]:
        """The whole conversation after these steps, for the next turn or to train on.

        ``written`` is the dialect that the steps were written in, if not this one.
        """
        begun = self._from_problem(problem, steps, written or self.dialect, self._example_steps)
        return [*self.messages, *begun]

    @cached_property
    def _example_steps(self) -> int:
        return sum(len(chain.steps) for chain in self.examples)

    def _from_problem(
        self, problem: Problem, steps: Iterable[Step], written: Dialect, first: int
    ) -> list[Message]:
        messages: list[Message] = [{"role": "user", "content": problem.text}]
        steps = list(steps)
        for index, step in enumerate(steps):
            if self.shows(step) or index == len(steps) - 1:
                messages += self._render(step, first + index, written)
        return messages

    def shows(self, step: Step) -> bool:
        """Whether later turns see this one."""
        return not (self.forget_faults and step.faults)

    def turn(self, step: Step, index: int, written: Dialect | None = None) -> list[Message]:
        """The problem's step of this index as messages: the model's turn, then what came back."""
        return self._render(step, self._example_steps + index, written or self.dialect)

    def _render(self, step: Step, number: int, written: Dialect) -> list[Message]:
        """``number`` is the step's in the whole conversation, worked examples included."""
        beside = _beside(step, written)
        if self.dialect != "native":
            lines = [self._write(call, self.functions.get(call.name)) for call in step.calls]
            # Prose beside a native call stays; a text turn is its own words, calls included.
            verbatim = written == self.dialect
            text = step.text if verbatim else "\n".join(filter(None, [beside, *lines]))
            back = [_render_result(step, i) for i in range(len(step.results))]
            if step.fault:
                back.append(f"Error: {step.fault.message}")
            if step.answers:
                back = []  # the chain is over: a template may want the user's turns to alternate
            role = "tool" if self.tool_role else "user"
            reply: list[Message] = [{"role": role, "content": "\n".join(back)}] if back else []
            return [{"role": "assistant", "content": text}, *reply]
        # Nine letters and digits: Mistral's templates take no other id.
        ids = [call.id or f"c{number:05}{i:03}" for i, call in enumerate(step.calls)]
        message: Message = {"role": "assistant", "content": beside}
        if ids:
            message["tool_calls"] = [
                {
                    "id": id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": dict(call.arguments)},
                }
                for id, call in zip(ids, step.calls, strict=True)
            ]
        messages = [message]
        for i, (id, call, _) in enumerate(zip(ids, step.calls, step.results, strict=False)):
            content = _render_result(step, i)
            messages.append(
                {"role": "tool", "tool_call_id": id, "name": call.name, "content": content}
            )
        if step.fault:
            messages.append({"role": "user", "content": f"Error: {step.fault.message}"})
        return messages

    def _write(self, call: Call, function: Function | None) -> str:
        return (format_json_call if self.dialect == "json" else format_call)(call, function)

    def read(self, completion: Completion) -> tuple[tuple[Call, ...], Fault | None]:
        """The calls in a model's turn, and its fault if it can't be read, or not to its end."""
        calls, fault = _sound(completion.calls)
        if not calls and not fault and self.dialect != "text":
            calls, fault = read_json_calls(completion.text)
        if not calls and not fault:
            calls, fault = read_calls(completion.text, self.functions)
        if completion.finish == "length" and (fault or not calls):
            return calls, Fault("truncated", "the turn was cut off: write a shorter one")
        if not calls and not fault:
            names = ", ".join(self.functions)
            return (), Fault("no_call", f"there is no call in that; call one of {names}")
        return calls, fault


def _sound(calls: tuple[Call, ...]) -> tuple[tuple[Call, ...], Fault | None]:
    """The calls that a server told apart, up to one whose arguments can't be recorded.

    Ids that it gave twice are dropped, so that each result finds its call.
    """
    sound: list[Call] = []
    ids = Counter(call.id for call in calls) if len(calls) > 1 else {}
    for call in calls:
        try:
            # As in a text: a million numbers would hold up every other chain while they are read.
            if exceeds(call.arguments, MAX_TURN):
                raise ValueError(f"its arguments are longer than {MAX_TURN:,} characters")
            name, arguments = readable(call.name), plain(call.arguments)
            id = call.id if ids.get(call.id, 1) == 1 else ""
            sound.append(Call(name, arguments, id, call.expected))
        except ValueError as error:
            message = f"{call.name[:64]}(…) can't be read: {error}"
            return tuple(sound), Fault("unparsable", message)
    return tuple(sound), None


def _beside(step: Step, written: Dialect) -> str:
    """What a turn says beside its calls. Were they shown with it, a model would read them twice."""
    if written != "native":
        return "" if step.calls else step.text
    return before_calls(step.text) if step.from_text else step.text


def _render_result(step: Step, index: int) -> str:
    result = step.results[index]
    return f"Error: {result.fault.message}" if result.fault else render_value(result.value)
