"""Chains per second of a local model: batched, beside one `generate` at a time for each step.

The tiny teacher on wordproblems at temperature 1, in this process, on the CPU. All sides run the
same loop on the same problems: turns read, functions called, chains judged and recorded.

- callsmith: requests of chains under way are batched, and what a chain has read is kept.
- batched, nothing kept: the same, but each turn reads its whole conversation again.
- one at a time: `model.generate` of transformers on the conversation, a turn after the other.

Chains per second, and per second of CPU, which a busy machine disturbs less. Each round is a
process of its own, rounds are interleaved, medians shown.

    python benchmarks/local_generation.py [--model tiny:teacher] [--chains 512] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SIDES = ("callsmith", "batched, nothing kept", "one at a time")
LEAST = 8.0
"""Times the chains per second of one `generate` at a time."""
SLOW = 8
"""Of so many chains, one at a time makes but one: it takes long enough."""


def measure(side: str, model: str, chains: int) -> dict[str, float]:
    from shared.rollouts import roll_out

    from callsmith.plugins import load_registry
    from callsmith.tasks import problems_of

    registry = load_registry()
    task = registry.task("wordproblems")
    problems = problems_of(task, "train", chains, 0)
    backend: Any = registry.backend(model, task=task)
    # Weights are read at the first turn: before the meter starts.
    engine = backend._engine = backend._load()
    settings: dict[str, Any] = {"temperature": 1.0, "max_tokens": 48}
    if side == "batched, nothing kept":
        engine.memory.find = lambda key, prompt: (None, 0)
        engine.memory.keep = lambda key, past: None
    if side == "one at a time":
        backend.complete = one_at_a_time(engine)
        settings["concurrency"] = 1
    with tempfile.TemporaryDirectory() as home:
        return roll_out(Path(home), problems, task, backend, **settings)


def one_at_a_time(engine: Any) -> Any:
    """A backend's `complete` by transformers' own generate."""
    import torch

    from callsmith.backends import Completion, Request
    from callsmith.chain import Usage

    torch.set_num_threads(1)  # for a model this small, faster than two

    async def complete(request: Request) -> Completion:
        prompt = engine.renderer.encode(request.messages, request.tools)
        torch.manual_seed(request.turn_seed)
        ids = torch.tensor([prompt], device=engine.model.device)
        with torch.inference_mode():
            whole = engine.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=request.sampling.temperature > 0,
                temperature=request.sampling.temperature,
                top_k=0,
                max_new_tokens=request.sampling.max_tokens,
                eos_token_id=sorted(engine.ends),
                pad_token_id=0,
            )
        written = whole[0, len(prompt) :].tolist()
        ended = written[-1] in engine.ends
        text = engine.renderer.decode(written[:-1] if ended else written)
        usage = Usage(len(prompt), len(written))
        return Completion(text, finish="stop" if ended else "length", usage=usage)

    return complete


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="tiny:teacher")
    parser.add_argument("--chains", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the medians as JSON")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(measure(arguments.side, arguments.model, arguments.chains)))
        return

    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(arguments.rounds):
        for side in SIDES:
            chains = arguments.chains // (SLOW if side == "one at a time" else 1)
            command = [sys.executable, __file__, "--side", side, "--model", arguments.model]
            done = subprocess.run([*command, "--chains", str(chains)], check=True, stdout=-1)
            facts = json.loads(done.stdout.splitlines()[-1])
            found[side].append({name: chains / facts[name] for name in ("seconds", "cpu")})
    shown = {
        side: {name: statistics.median(one[name] for one in rounds) for name in ("seconds", "cpu")}
        for side, rounds in found.items()
    }
    if arguments.json:
        print(json.dumps(shown))
        return

    from rich.console import Console
    from rich.table import Table

    console = Console()
    title = f"{arguments.model}, {arguments.chains} chains of wordproblems"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("generation")
    for column in ("chains/s", "×", "chains/CPU s", "×"):
        table.add_column(column, justify="right")
    slow = shown["one at a time"]
    for side, facts in shown.items():
        cells = []
        for name in ("seconds", "cpu"):
            cells += [f"{facts[name]:.1f}", f"{facts[name] / slow[name]:.1f}"]
        table.add_row(side, *cells)
    console.print(table)
    ours, whole = shown["callsmith"], shown["batched, nothing kept"]
    ratio = ours["seconds"] / slow["seconds"]
    verdict = "[green]reached[/]" if ratio >= LEAST else "[red]not reached[/]"
    console.print(f"chains/s, callsmith / one at a time: {ratio:.1f} (at least {LEAST}: {verdict})")
    kept = ours["cpu"] / whole["cpu"]
    console.print(f"chains per CPU second, callsmith / nothing kept: {kept:.2f}")


if __name__ == "__main__":
    main()
