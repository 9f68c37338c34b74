"""What is checked of a function pack, each check by the sentence that should hold."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from callsmith.chain import JSON, Dialect, Problem, Result
from callsmith.control import answer_function, reasoning
from callsmith.dialects import Prompt
from callsmith.functions import Function
from callsmith.isolation import Workers
from callsmith.testing.fuzz import Fuzzed, Progress, fuzz, guarded, outcome
from callsmith.testing.imports import measure_import
from callsmith.testing.projects import FoundPack
from callsmith.testing.prompts import DIALECTS, check_fit
from callsmith.testing.report import Failed, Skipped, fail_if
from callsmith.worker import MAX_REPLY

MAX_IMPORT = 1.0
"""Seconds of CPU that importing a pack may take: whatever lists functions waits for it."""


Outcome: TypeAlias = tuple[Function, Result, JSON]
"""What an example's function gave, and the state that it left."""


@dataclass
class PackTrial:
    """A pack on trial: what was found, and how hard it is tried."""

    found: FoundPack
    calls: int
    seed: int
    context: int
    progress: Progress
    _fuzzed: dict[str, Fuzzed] = field(default_factory=dict)
    _outcomes: list[Outcome] = field(default_factory=list)

    @property
    def functions(self) -> list[Function]:
        return list(self.found.functions.values())

    async def fuzzed(self) -> dict[str, Fuzzed]:
        """What the functions did in the fuzz, which is made once."""
        if not self.calls:
            raise Skipped("no fuzz was wanted")
        if not self._fuzzed:
            self._fuzzed = await fuzz(self.functions, self.calls, self.seed, self.progress)
        return self._fuzzed

    async def examples_run(self) -> list[Outcome]:
        """What the examples give, which are run once."""
        if not self._outcomes:
            (self._outcomes,) = await _run_examples(self.functions, 1)
        return self._outcomes

    # ---- the checks -----------------------------------------------------------------------------

    async def check_import(self) -> str:
        plugin, modules = self.found.plugin, list(self.found.modules)
        if not modules:
            raise Skipped("it is in no module that a fresh process could import")
        if plugin:
            (entry,) = plugin.manager.get_plugins()
            modules.insert(0, entry.__name__)
        cost = await asyncio.to_thread(measure_import, modules)
        slow = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in cost.slowest)
        if cost.heavy:
            raise Failed(
                f"it imports {', '.join(cost.heavy)}: import them inside the functions that need "
                f"them ({cost.seconds:.2f} s of CPU in all; {slow})"
            )
        if cost.seconds > MAX_IMPORT:
            raise Failed(f"it takes {cost.seconds:.2f} s of CPU, over {MAX_IMPORT:g}: {slow}")
        return f"{cost.seconds:.2f} s of CPU"

    async def check_schemas(self) -> str:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError

        findings = []
        for function in self.functions:
            name, schema = function.name, function.parameters
            try:
                Draft202012Validator.check_schema(schema)
            except SchemaError as error:
                findings.append(f"{name}: {error.message}")
            if schema.get("type") != "object":
                findings.append(f"{name}: its parameters are no object")
            if not re.fullmatch(r"[A-Za-z_][\w-]{0,63}", name, re.ASCII):
                findings.append(f"{name}: OpenAI's servers allow letters, digits, _ and - only")
        fail_if(findings)
        return f"{len(self.functions)} functions"

    async def check_documented(self) -> str:
        findings = [f"{f.name} has no description" for f in self.functions if not f.description]
        findings += [
            f"{f.name} has no example: write @function(examples=[{{...}}])"
            for f in self.functions
            if not f.examples
        ]
        fail_if(findings, most=20)
        return f"{sum(len(f.examples) for f in self.functions)} examples"

    async def check_examples(self) -> str:
        findings = []
        for function, result, _ in await self.examples_run():
            if result.fault:
                findings.append(f"{result.fault.kind}: {result.fault.message}")
            elif result.note:
                findings.append(f"{function.name} gives an example too long to be shown")
        fail_if(findings)
        return ""

    async def check_survival(self) -> str:
        fuzzed = await self.fuzzed()
        findings = _a_few(one.broken for one in fuzzed.values())
        for name, one in fuzzed.items():
            if one.stopped_too_often:
                findings.append(f"{name} was stopped at its limits {one.stopped} times: no more")
            elif not one.valid:
                findings.append(f"{name} was never called: {one.unmade}")
        fail_if(findings, most=20)
        unmade = [one.unmade for one in fuzzed.values() if one.unmade]
        valid = sum(one.valid for one in fuzzed.values())
        invalid = sum(one.invalid for one in fuzzed.values())
        stopped = sum(one.stopped for one in fuzzed.values())
        seen = [f"{valid:,} valid and {invalid:,} invalid argument sets, seed {self.seed}"]
        seen += [f"{stopped:,} calls were stopped at their limits"] if stopped else []
        return "\n".join([*seen, *unmade])

    async def check_results(self) -> str:
        fuzzed = await self.fuzzed()
        fail_if(_a_few(one.unfit for one in fuzzed.values()), most=20)
        return f"under {MAX_REPLY:,} characters of JSON"

    async def check_faults(self) -> str:
        fuzzed = await self.fuzzed()
        fail_if(_a_few(one.unhelpful for one in fuzzed.values()), most=20)
        return ""

    async def check_repeats(self) -> str:
        # In another process, and there twice: neither may remember anything.
        first, *again = await self.examples_run(), *await _run_examples(self.functions, 2)
        findings = [
            f"{function.name} gave two different results"
            for other in again
            for (function, *a), (_, *b) in zip(first, other, strict=True)
            if (a[0].value, a[1]) != (b[0].value, b[1])
        ]
        if self.calls:
            findings += _a_few(one.unsteady for one in (await self.fuzzed()).values())
        fail_if(list(dict.fromkeys(findings)), most=20)
        return ""

    async def check_names(self) -> str:
        findings = [
            f"{name} is the name of a built-in function: rename it"
            for name in ("answer", "reasoning")
            if name in self.found.functions
        ]
        plugin = self.found.plugin
        if plugin:
            own = f" {plugin.distribution} ("
            findings += [clash for clash in self.found.registry.clashes if own in clash]
        fail_if(findings)
        return self._shared_names()

    def _shared_names(self) -> str:
        """Functions that can't be offered together with another pack's, which is no mistake."""
        seen = []
        registry = self.found.registry
        for pack in registry.names("functions"):
            if pack == self.found.name:
                continue
            try:
                shared = sorted(self.found.functions.keys() & registry.pack(pack).keys())
            except Exception:  # another's failure is not this pack's
                continue
            if shared:
                seen.append(f"{pack} has functions of these names too: {', '.join(shared)}")
        return "\n".join(seen)

    async def check_prompt(self) -> str:
        offered = {**self.found.functions, "reasoning": reasoning, "answer": answer_function({})}
        prompts: dict[Dialect, Prompt] = {
            dialect: Prompt("Solve the problem.", offered, dialect=dialect) for dialect in DIALECTS
        }
        return check_fit(prompts, Problem("?"), self.context)


async def _run_examples(functions: Iterable[Function], times: int) -> list[list[Outcome]]:
    """Run all examples so many times, in one process."""
    async with Workers(1) as workers:
        return [
            [
                (function, *await outcome(function, example.arguments, example, workers))
                for function in map(guarded, functions)
                for example in function.examples
            ]
            for _ in range(times)
        ]


def _a_few(findings: Iterable[list[str]]) -> list[str]:
    """The first findings of each function: more of them say no more."""
    return [finding for found in findings for finding in dict.fromkeys(found[:2])]


PackCheck = Callable[[PackTrial], Awaitable[str]]

PACK_CHECKS: Mapping[str, PackCheck] = {
    "importing it is light": PackTrial.check_import,
    "its names clash with no other plugin's": PackTrial.check_names,
    "schemas are valid (JSON Schema 2020-12)": PackTrial.check_schemas,
    "every function is described, with an example": PackTrial.check_documented,
    "every example runs": PackTrial.check_examples,
    "the prompt with all its functions leaves room for the work": PackTrial.check_prompt,
    "functions survive a fuzz within their limits": PackTrial.check_survival,
    "results are JSON values of a bounded size": PackTrial.check_results,
    "fault messages help": PackTrial.check_faults,
    "the same problem, state and arguments give the same result": PackTrial.check_repeats,
}
"""In the order that they are made."""
