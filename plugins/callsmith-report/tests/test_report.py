from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from callsmith.chain import Call, Chain, Fault, Problem, Result, Setup, Step, Verdict
from callsmith.cli import main
from callsmith.configs import RolloutConfig, TrainConfig
from callsmith.evaluation import compare, evaluate
from callsmith.pairs import build_pairs
from callsmith.pipeline import Outcome, load_outcome, outcome_path
from callsmith.recipe import EvalPart, PairsPart, Recipe
from callsmith.training import TrainedModel
from callsmith.workspace import Workspace
from callsmith_report import render
from callsmith_report.curves import POINTS, training_curves
from callsmith_report.examples import typical
from callsmith_report.results import arrange, headline

EVIL = "<script>alert('x')</script>"
RIGHT = Step("add(a=2, b=2)", (Call("add", {"a": 2, "b": 2}),), (Result(4),))
BROKEN = Step(f"add({EVIL}", fault=Fault("unparsable", f"can't read {EVIL}"))
REFUSED = Step(
    "add(a='x')", (Call("add", {"a": EVIL}),), (Result(fault=Fault("bad_arguments", "b?")),)
)


def answered(value: object) -> Step:
    return Step(f"answer(value={value!r})", (Call("answer", {"value": value}),), (Result(value),))


def made(part: RolloutConfig, rights: Sequence[bool]) -> list[tuple[Chain, Verdict]]:
    """A chain for each problem, right or wrong as told; the wrong ones with faults."""
    records = []
    for number, right in enumerate(rights):
        problem = Problem(f"What is 2 + 2, said {number} times? {EVIL}", gold=4)
        steps = (RIGHT, answered(4)) if right else (BROKEN, REFUSED, answered(EVIL))
        for attempt in range(part.attempts):
            chain = Chain(
                problem,
                Setup(part.model, part.task, part.split, "text"),
                steps,
                stop="answer",
                answer=4 if right else EVIL,
                run=part.name,
                attempt=attempt,
            )
            records.append((chain, Verdict(right, float(right), grounded=right)))
    return records


def judged(label: str, model: str, baseline: str = "", **other: object) -> EvalPart:
    return EvalPart(
        task="sums",
        split="test",
        label=label,
        model=model,
        baseline=baseline,
        **other,  # type: ignore[arg-type]
    )


BEFORE = judged("student before", "tiny:student")
EVALS = (
    judged(f"teacher {EVIL}", "tiny:teacher"),
    BEFORE,
    judged("after DPO", "preferred", "student before"),
    judged("after SFT", "imitated", "student before"),
    judged("no functions", "tiny:student", "student before", functions=()),
)
RIGHTS = {
    "tiny:teacher": [True] * 38 + [False] * 2,
    "tiny:student": [True] * 10 + [False] * 30,
    "preferred": [True] * 5 + [False] * 5 + [True] * 20 + [False] * 10,
    "imitated": [True] * 34 + [False] * 6,
}
"""Which problems a model solves with functions; without, none."""

DPO = TrainConfig(task="sums", name="preferred", student="tiny:student", pairs="mine")
SFT = TrainConfig(
    task="sums", name="imitated", student="tiny:student", trainer="sft", pairs="mine",
    equal_steps_to="preferred",
)  # fmt: skip
TEACH = RolloutConfig(task="sums", model="tiny:student", run="samples", attempts=2)
WHOLE = Recipe(
    name="sums",
    description=f"Sums, and {EVIL}",
    teach=(TEACH,),
    pairs=(PairsPart(name="mine", runs=("samples",)),),
    train=(DPO, SFT),
    eval=EVALS,
)


def ran(home: Path, recipe: Recipe = WHOLE) -> Workspace:
    """A workspace in which the recipe was run: chains, pairs, metrics and outcome."""
    workspace, outcome = Workspace(home), Outcome(recipe)
    with workspace.store() as store:
        for part in (*recipe.teach, *recipe.eval):
            if part is TEACH:  # of two attempts at each problem, the second is wrong
                both = zip(made(part, [True] * 5), made(part, [False] * 5), strict=True)
                records = [(wrong if right[0].attempt else right) for right, wrong in both]
            else:
                rights = RIGHTS[part.model] if part.functions is None else [False] * 40
                records = made(part, rights)
            identity = {"task": "sums", "model": part.model, "dialect": "text"}
            identity |= {
                "functions": "f00d",
                "prompt": "cafe" if part.functions is None else "bare",
            }
            prompt = {"messages": [{"role": "system", "content": f"Add {EVIL}"}], "tools": []}
            run = store.begin(part.name, identity, {"purpose": "eval"}, prompt, {})
            store.add(run, records)
            if isinstance(part, EvalPart):
                outcome.evaluations[part.label] = evaluate(records)
        for pairs in recipe.pairs:
            found, statistics = build_pairs(store.records(store.run("samples")), pairs.config)
            store.save_pairs(pairs.name, found, {})
            outcome.pairs[pairs.name] = statistics
    for training in recipe.train:
        folder = home / "models" / training.name
        folder.mkdir(parents=True)
        metric = "reward_accuracy" if training.trainer == "dpo" else "token_accuracy"
        lines = ({"step": step, "loss": 1 / step, metric: 0.5} for step in range(1, 1001))
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        warnings = ("it fell",) if training is DPO else ()
        outcome.trained[training.name] = TrainedModel(folder, 1000, 12.5, {}, warnings)
    for part in recipe.eval:
        if part.baseline:
            a, b = outcome.evaluations[part.baseline], outcome.evaluations[part.label]
            outcome.comparisons[part.label] = compare(a, b)
    outcome.seconds = {"teach samples": 75.4}
    outcome.finished, outcome.versions = "2026-01-02T03:04:05+00:00", {"python": "3.11.1"}
    path = outcome_path(workspace, recipe.name)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(outcome.to_json()))
    assert load_outcome(workspace, recipe.name) == outcome
    return workspace


class Page(HTMLParser):
    """Tags, attributes and visible text; fails where tags are not closed in order."""

    VOID = ("meta", "br")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def test_the_page_is_whole_and_says_what_the_outcome_says(tmp_path: Path) -> None:
    workspace = ran(tmp_path)
    html = render(workspace, "sums")
    page = Page(html)
    for part in EVALS:
        assert page.text.count(part.label) >= 3  # strip, table, faults
    assert "after SFT is right on 85.0%, where student before is right on 25.0%" in page.text
    low, high = load_outcome(workspace, "sums").comparisons["after SFT"].interval
    interval = f"+{low:.1f} to +{high:.1f}"
    assert f"(+60.0 points, 95% interval {interval}, McNemar p < 0.0001)" in page.text
    assert "It gained most of the 2 trained models" in page.text
    assert "after SFT solves 24 problems that student before does not" in page.text
    assert "▲ it fell" in page.text
    assert "5, 5 with right and wrong chains" in page.text
    assert "2 January 2026, 03:04 UTC" in page.text
    assert "1 min 15 s" in page.text
    assert "python 3.11.1" in page.text
    assert all(f"<code>{digest}</code>" in html for digest in ("f00d", "cafe", "bare"))
    assert "✗ bad arguments: b?" in page.text
    assert "→ 4" in page.text


def test_what_models_and_recipes_say_is_escaped_and_nothing_is_loaded(tmp_path: Path) -> None:
    html = render(ran(tmp_path), "sums")
    page = Page(html)
    assert page.text.count(EVIL) > 10
    assert not page.tags & {"script", "link", "img", "iframe", "object", "base"}
    names = {name for name, _ in page.attributes}
    assert not names & {"src", "href", "xlink:href", "srcset", "data", "action"}
    assert not [name for name in names if name.startswith("on")]
    assert "url(" not in html
    assert "@import" not in html
    assert "http" not in html


def test_a_training_stands_beside_its_control(tmp_path: Path) -> None:
    outcome = load_outcome(ran(tmp_path), "sums")
    (group,) = arrange(outcome)
    (control,) = group.controls
    assert (control.model.label, control.control.label, control.equal) == (
        "after DPO",
        "after SFT",
        "steps",
    )
    assert control.comparison.difference == pytest.approx(-22.5)  # 62.5 against 85
    assert "Against the controls" in render(Workspace(tmp_path), "sums")


@pytest.mark.parametrize(("better", "clear"), [(7, True), (6, False)])
def test_the_best_of_several_is_called_better_only_if_chance_hardly_makes_it_so(
    tmp_path: Path, better: int, clear: bool
) -> None:
    # McNemar on 7 against 0 gives 0.016, on 6 against 0 gives 0.031: too much for the best of two.
    workspace = ran(tmp_path)
    outcome = load_outcome(workspace, "sums")
    before = outcome.evaluations["student before"]
    after = evaluate(made(EVALS[2], [True] * (10 + better) + [False] * (30 - better)))
    for label in ("after DPO", "after SFT"):
        outcome.evaluations[label] = after
        outcome.comparisons[label] = compare(before, after)
    best = headline(arrange(outcome))
    assert best is not None
    assert best.comparison.interval[0] > 0
    assert best.clear is clear
    outcome_path(workspace, "sums").write_text(json.dumps(outcome.to_json()))
    text = Page(render(workspace, "sums")).text
    assert ("no trained model is clearly better than its baseline" in text) is not clear
    assert f"solves {better} problems" in text


def test_models_sampled_differently_are_not_put_side_by_side(tmp_path: Path) -> None:
    warm = replace(BEFORE, label="sampled", run="sampled", temperature=1.0, attempts=4)
    workspace = ran(tmp_path, replace(WHOLE, eval=(*EVALS, warm)))
    first, second = arrange(load_outcome(workspace, "sums"))
    assert [one.label for one in second.models] == ["sampled"]
    assert (first.attempts, second.attempts) == ([], [1, 2, 4])
    assert "k = 4" in Page(render(workspace, "sums")).text


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(name="sums", eval=(BEFORE,)),
        Recipe(name="sums", teach=(TEACH,)),
        replace(WHOLE, eval=()),
        Recipe(name="sums"),
    ],
    ids=["only judged", "only taught", "not judged", "empty"],
)
def test_a_recipe_without_some_parts_has_a_report_too(tmp_path: Path, recipe: Recipe) -> None:
    text = Page(render(ran(tmp_path, recipe), "sums")).text
    assert ("student before is right on 25.0%" in text) == bool(recipe.eval)
    assert ("Chosen" in text) == bool(recipe.pairs)
    assert ("Training" in text) == bool(recipe.train)


def test_curves_are_small_and_take_the_pages_colours(tmp_path: Path) -> None:
    ran(tmp_path)
    curves = training_curves(tmp_path / "models" / "preferred" / "metrics.jsonl")
    assert [curve.title for curve in curves] == ["loss", "reward accuracy"]
    loss = curves[0]
    assert (loss.first, loss.last) == (1.0, 1 / 1000)
    assert len(loss.lines[0]) <= POINTS + 1
    assert "var(--blue)" in loss.svg
    assert not re.search(r"#[0-9a-f]{6}| id=|font-family: (?!inherit)", loss.svg)
    assert len(loss.svg) < 20_000
    assert training_curves(tmp_path / "models" / "none" / "metrics.jsonl") == []


def test_examples_are_of_several_kinds_and_of_usual_size() -> None:
    items = ["a" * 4, "a" * 5, "a" * 5, "b" * 90, "a" * 400]
    assert typical(items, lambda one: one[0], len) == ["a" * 5, "b" * 90, "a" * 5]
    assert typical([], str, len) == []


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["callsmith", *arguments])
    with pytest.raises(SystemExit) as exit:
        main()
    return int(exit.value.code or 0)


def test_the_command_names_the_file_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(tmp_path)
    monkeypatch.setattr(sys, "argv", ["callsmith", "report", "sums", "--home", str(tmp_path)])
    main()
    written = tmp_path / "reports" / "sums.html"
    assert str(written) in capsys.readouterr().out.replace("\n", "")
    assert "after SFT" in written.read_text()
    occupied = tmp_path / "callsmith.db" / "report.html"
    out = call(monkeypatch, "report", "sums", "--home", str(tmp_path), "--out", str(occupied))
    assert out == 2
    assert f"can't write {occupied}" in capsys.readouterr().err


def test_a_recipe_that_was_not_run_is_said_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(tmp_path)
    assert call(monkeypatch, "report", "sum", "--home", str(tmp_path)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "(did you mean sums?)" in said
    assert "did you mean sums?" in said


def test_the_plugin_is_imported_without_what_only_a_report_needs() -> None:
    code = "import sys, callsmith_report.plugin; print({'jinja2', 'matplotlib'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
