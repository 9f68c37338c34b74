"""A chain on the terminal: step by step, faults in colour."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.text import Text

from callsmith.chain import Chain, Step, Verdict
from callsmith.cli.common import visible
from callsmith.functions import format_call, render_value


def show_step(step: Step, number: int) -> Text:
    """One turn: its calls with their results, or its words and its fault."""
    lines = Text()
    prefix = f"{number:>2} "
    for call, result in zip(step.calls, step.results, strict=False):
        lines.append(prefix, style="dim")
        lines.append(format_call(call), style="cyan")
        if result.fault:
            lines.append(f"\n   ✗ {result.fault.kind}: {result.fault.message}", style="red")
        elif call.name not in ("answer", "reasoning"):
            lines.append(" → ", style="dim")
            lines.append(render_value(result.value), style="green")
        if result.note:
            lines.append(f"  ({result.note})", style="yellow")
        lines.append("\n")
        prefix = "   "
    if step.fault:
        lines.append(prefix, style="dim")
        lines.append(step.text.strip() or "(nothing)", style="magenta")
        lines.append(f"\n   ✗ {step.fault.kind}: {step.fault.message}\n", style="red")
    lines.rstrip()
    lines.plain = visible(lines.plain)
    return lines


def show_chain(chain: Chain, verdict: Verdict | None = None) -> RenderableType:
    """The whole chain: problem, steps, answer, verdict."""
    parts: list[RenderableType] = [Text(visible(chain.problem.text)), Text()]
    parts += [show_step(step, number) for number, step in enumerate(chain.steps, 1)]
    parts.append(Text())
    parts.append(show_end(chain, verdict))
    title = f"{chain.run or chain.setup.model} · {chain.problem.key[:8]} · attempt {chain.attempt}"
    return Panel(Group(*parts), title=escape(title), title_align="left", border_style="dim")


def show_end(chain: Chain, verdict: Verdict | None = None) -> Text:
    """How the chain ended, in one line."""
    end = Text()
    if chain.stop == "answer":
        end.append("answer ", style="bold").append(render_value(chain.answer), style="bold cyan")
    else:
        end.append(f"no answer: stopped by {chain.stop}", style="bold yellow")
        end.append(f" ({chain.note})" if chain.note else "", style="yellow")
    if verdict:
        mark, style = ("correct", "green") if verdict.correct else ("wrong", "red")
        end.append(f"  {mark}", style=f"bold {style}")
        if verdict.correct and not verdict.grounded:
            end.append(" but guessed: no call gave it", style="yellow")
        if verdict.reason:
            end.append(f" ({verdict.reason})", style="dim")
    tokens = chain.usage.total
    spent = [f"{len(chain.steps)} steps", f"{len(chain.calls)} calls"]
    spent += [f"{tokens:,} tokens"] if tokens else []
    end.append(f"  {', '.join(spent)}, {chain.seconds:.2f} s", style="dim")
    end.plain = visible(end.plain)
    return end
