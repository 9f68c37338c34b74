"""Training curves: from a trained model's ``metrics.jsonl`` to small SVGs."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Point = tuple[float, float]

WIDTH, HEIGHT = 252, 137
"""A chart's size, in units of its view box."""

ROW = 4
"""Charts of one training, at most."""

POINTS = 240
"""Points drawn of a line, at most: more can't be told apart at this size."""


@dataclass(frozen=True)
class Curve:
    """One small chart. ``lines`` are the metrics in it; ``last`` is the first one's last value."""

    title: str
    lines: tuple[tuple[Point, ...], ...]
    svg: str

    @property
    def last(self) -> float:
        return self.lines[0][-1][1]

    @property
    def first(self) -> float:
        return self.lines[0][0][1]


CHARTS = (
    ("loss", ("loss",)),
    ("reward accuracy", ("reward_accuracy",)),
    ("margin of rewards", ("margin",)),
    ("log p of chosen", ("logp_chosen", "logp_rejected")),
    ("token accuracy", ("token_accuracy",)),
)
"""The charts' titles, and the metrics in them. The first four that were logged are shown: they
stand in one row, and beside rewards the tokens' accuracy says little."""

# Drawn in these colours, which the page then replaces by its own, light or dark.
_INK, _RULE, _FIRST, _SECOND = "#000001", "#000002", "#000003", "#000004"
_COLOURS = {
    _INK: "var(--muted)",
    _RULE: "var(--rule)",
    _FIRST: "var(--blue)",
    _SECOND: "var(--orange)",
}


def training_curves(metrics: Path) -> list[Curve]:
    """A chart for each metric that was logged; none where the file is not there."""
    logged = _read(metrics)
    found: list[Curve] = []
    for title, names in CHARTS:
        if len(found) == ROW:
            break
        lines = tuple(
            tuple((line["step"], line[name]) for line in logged if name in line) for name in names
        )
        lines = tuple(_thinned(line) for line in lines if line)
        if lines:
            found.append(Curve(title, lines, _draw(lines)))
    return found


def _read(path: Path) -> list[dict[str, float]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines()]


def _thinned(line: Sequence[Point]) -> tuple[Point, ...]:
    stride = -(-len(line) // POINTS)
    return (*line[:-1:stride], line[-1])


def _draw(lines: Sequence[Sequence[Point]]) -> str:
    """Lines over steps as SVG without sizes, ids or colours of its own."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.16, right=0.96, top=0.95, bottom=0.16)
    for place, line in enumerate(lines):
        colour, style = ((_FIRST, "-"), (_SECOND, (0, (3, 2))))[place % 2]
        marker = "o" if len(line) == 1 else ""
        steps, values = zip(*line, strict=True)
        axes.plot(
            steps, values, color=colour, linestyle=style, linewidth=1.6, marker=marker,
            clip_on=False,
        )  # fmt: skip
    axes.spines[:].set_visible(False)
    axes.grid(axis="y", color=_RULE, linewidth=0.8, clip_on=False)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(left=False, bottom=False, labelcolor=_INK, labelsize=11, pad=4)
    made = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(made, format="svg", transparent=True, metadata=nothing)
    return _bare(made.getvalue())


def _bare(svg: str) -> str:
    """What is inside the ``<svg>``, with the page's fonts and colours."""
    inner = svg[svg.index("</defs>") + len("</defs>") : svg.rindex("</svg>")]
    inner = re.sub(r"font-family: [^;\"]*", "font-family: inherit", inner)
    inner = re.sub(r' (?:id|clip-path)="[^"]*"', "", inner)
    inner = re.sub(r"<defs>.*?</defs>", "", inner, flags=re.DOTALL)
    inner = re.sub(r"(\d+\.\d\d)\d+", r"\1", inner)
    for drawn, shown in _COLOURS.items():
        inner = inner.replace(drawn, shown)
    return re.sub(r"\s*\n\s*", " ", inner)
