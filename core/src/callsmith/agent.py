"""The loop: one problem, step by step, until the model answers or a limit is reached.

Everything around it (many chains at once, waiting for a server, recording) is `rollout`'s.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from callsmith.backends import Backend, Completion, ReplayBackend, Request
from callsmith.calls import run_call
from callsmith.chain import (
    JSON,
    Call,
    Chain,
    Fault,
    Problem,
    Result,
    Sampling,
    Setup,
    Step,
    Stop,
)
from callsmith.dialects import Prompt
from callsmith.errors import (
    BackendError,
    ContextOverflow,
    ModelFault,
    PluginError,
    Rejected,
    describe,
)
from callsmith.functions import Context
from callsmith.values import readable

if TYPE_CHECKING:
    from callsmith.isolation import Workers


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a chain ends without an answer.

    ``steps`` are model turns; ``tokens`` those that the model wrote; ``seconds`` the time between
    its turns, which functions take: how long a turn may take is the rollout's time-out, since a
    queue at the server is not the model's fault. ``repeats`` is how often the same call may give
    the same result with nothing new in between; ``idle`` how many turns in a row may have no call.
    """

    steps: int = 24
    calls: int = 64
    tokens: int = 16_384
    seconds: float = 600.0
    repeats: int = 3
    idle: int = 2


@dataclass(slots=True)
class _Progress:
    """What the limits are held against."""

    calls: int = 0
    tokens: int = 0
    idle: int = 0
    began: float = field(default_factory=time.perf_counter)
    asking: float = 0.0
    waited: float = 0.0
    seen: set[str] = field(default_factory=set)
    again: Counter[str] = field(default_factory=Counter)

    def add(self, step: Step) -> None:
        self.calls += len(step.calls)
        self.tokens += step.usage.completion
        self.idle = 0 if step.calls else self.idle + 1
        for call, result in zip(step.calls, step.results, strict=False):
            given = result.fault.message if result.fault else result.value
            # Something new (a call, what it gave, the state it led to) is progress, and what was
            # called before it may be called again: solutions do recompute a value, and a card may
            # be drawn thrice. A chain that goes round in a circle brings nothing new.
            made = repr((call.name, sorted(call.arguments.items()), given, step.state))
            if made not in self.seen:
                self.seen.add(made)
                self.again.clear()
            self.again[made] += 1

    @property
    def seconds(self) -> float:
        """Since the beginning, without those that the server was away: they are not the model's."""
        return time.perf_counter() - self.began - self.waited

    def stop(self, limits: Limits, steps: int) -> Stop | None:
        if self.idle >= limits.idle:
            return "gave_up"
        if self.again and max(self.again.values()) >= limits.repeats:
            return "repeated"
        if steps >= limits.steps:
            return "steps"
        if self.calls >= limits.calls:
            return "calls"
        if self.tokens >= limits.tokens:
            return "tokens"
        if time.perf_counter() - self.began - self.asking >= limits.seconds:
            return "seconds"
        return None


async def solve(
    problem: Problem,
    backend: Backend,
    prompt: Prompt,
    workers: Workers,
    *,
    sampling: Sampling | None = None,
    limits: Limits | None = None,
    setup: Setup | None = None,
    seed: int = 0,
    attempt: int = 0,
    run: str = "",
    on_step: Callable[[Step], None] = lambda _: None,
    on_text: Callable[[str], None] | None = None,
) -> Chain:
    """Let the model work through the problem, and return the whole record.

    ``on_step`` is called with each step as it is made, ``on_text`` with each piece of a turn's
    text as it is written, by backends that can stream.
    A model's mistakes are on the chain. Raises what `Backend.complete` raises, but for
    ModelFault and ContextOverflow, which are data as well; and Rejected for a prompt that does not
    fit into the model's window, whatever the problem.
    """
    sampling, limits, setup = sampling or Sampling(), limits or Limits(), setup or Setup()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    context, progress = Context(problem.hidden()), _Progress()
    steps: list[Step] = []
    messages = prompt.conversation(problem)
    answer: JSON = None
    note = ""
    while (stop := progress.stop(limits, len(steps))) is None:
        request = Request(
            messages=tuple(messages),
            tools=prompt.tools,
            sampling=sampling,
            seed=seed,
            problem=problem,
            attempt=attempt,
            steps=tuple(steps),
            constraint=prompt.constraint,
            on_text=on_text,
        )
        turn_began, waited = time.perf_counter(), progress.waited
        try:
            completion = await backend.complete(request)
            progress.waited += completion.waited
            calls, fault = prompt.read(completion)
        except ModelFault as error:
            progress.waited += error.waited
            completion = error.turn or Completion()
            calls, fault = (), Fault("model", describe(error))
        except ContextOverflow as error:
            if not steps:
                await _check_prompt(prompt, backend, request)
            stop, note = "context", describe(error)
            break
        progress.asking += time.perf_counter() - turn_began
        allowed = calls[: max(0, limits.calls - progress.calls)]
        turn_began += progress.waited - waited
        until = progress.began + progress.asking + limits.seconds
        step = await _run_turn(
            completion, allowed, fault, prompt, context, workers, turn_began, until
        )
        steps.append(step)
        progress.add(step)
        on_step(step)
        if prompt.shows(step):
            messages += prompt.turn(step, len(steps) - 1)
        if step.answers:
            answer, stop = step.results[-1].value, "answer"
            break
    took = progress.seconds
    made = tuple(steps)
    return Chain(problem, setup, made, stop, answer, run, attempt, seed, started, took, note)


async def _check_prompt(prompt: Prompt, backend: Backend, request: Request) -> None:
    """Raise Rejected if it is not the problem that is too long, but what comes before it.

    Then no chain could ever have a turn, and the user must act: so the model is asked again, with
    a problem that fits if any does.
    """
    messages = tuple(prompt.conversation(Problem("?")))
    try:
        await backend.complete(replace(request, messages=messages, on_text=None))
    except ContextOverflow as error:
        raise Rejected(
            "the instructions, functions and worked examples do not fit by themselves "
            f"({describe(error)}): give the model a larger window (-o num_ctx=N for Ollama, "
            "--ctx-size for llama.cpp), or show fewer examples with --shots"
        ) from error
    except BackendError:
        pass  # it tells nothing of the prompt


async def _run_turn(
    completion: Completion,
    calls: Sequence[Call],
    fault: Fault | None,
    prompt: Prompt,
    context: Context,
    workers: Workers,
    began: float,
    until: float,
) -> Step:
    """Run a turn's calls in order; those after an answer, or too late, are not run or recorded."""
    results: list[Result] = []
    for call in calls:
        if results and time.perf_counter() >= until:
            break
        results.append(await run_call(call, prompt.functions, context, workers))
        if call.name == "answer" and not results[-1].fault:
            fault = None
            break
    return Step(
        text=readable(completion.text),
        calls=tuple(calls[: len(results)]),
        results=tuple(results),
        fault=fault,
        finish=completion.finish,
        reasoning=readable(completion.reasoning),
        usage=completion.usage,
        seconds=time.perf_counter() - began,
        state=context.state,
        model=completion.model,
        from_text=bool(prompt.tools) and bool(calls) and not completion.calls,
    )


async def worked_examples(
    examples: Iterable[tuple[Problem, Sequence[Call]]], prompt: Prompt, workers: Workers
) -> tuple[Chain, ...]:
    """Few-shot chains, made by executing a task's examples.

    Raises PluginError for an example that does not come to its answer.
    """
    chains = []
    for problem, calls in examples:
        backend = ReplayBackend("examples", _always(calls))
        chain = await solve(problem, backend, prompt, workers)
        if chain.stop != "answer" or chain.faults:
            reason = chain.faults[0].message if chain.faults else f"it stops by {chain.stop}"
            raise PluginError(f"the worked example {problem.question[:60]!r} fails: {reason}")
        chains.append(chain)
    return tuple(chains)


def _always(calls: Sequence[Call]) -> Callable[[Problem, int], Sequence[Call]]:
    return lambda problem, attempt: calls
