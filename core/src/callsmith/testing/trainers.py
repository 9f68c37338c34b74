"""The conformance kit for trainers: a real student, trained for a few steps on a few sums."""

from __future__ import annotations

import hashlib
import io
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path

from callsmith.backends import Backend, Request
from callsmith.chain import JSON, Call, Chain, PreferencePair, Problem, Result, Sampling, Step
from callsmith.dialects import Prompt
from callsmith.errors import CallsmithError, DataError
from callsmith.functions import function
from callsmith.models import ModelFolder
from callsmith.plugins import load_registry
from callsmith.testing.asking import one_sentence
from callsmith.testing.report import Failed, Report, Skipped, make_check
from callsmith.training import TrainedModel, Trainer, TrainingData
from callsmith.workspace import run_to_end

UNKNOWN_SETTING = "no_such_setting"


def check_trainer(
    trainer: Trainer | str,
    student: str | Path,
    config: Mapping[str, JSON],
    *,
    open_model: Callable[[str], Backend] | None = None,
) -> Report:
    """Try a trainer, or the installed one of this name, and return what holds.

    ``student`` is a folder with a small student, that can be trained in seconds; ``config`` the
    trainer's settings for a training of at least two steps. ``open_model`` opens the folder of a
    trained model, as ``hf:`` does by default.
    """
    found = load_registry().trainer(trainer) if isinstance(trainer, str) else trainer
    with tempfile.TemporaryDirectory() as home:
        trial = TrainerTrial(found, str(student), config, Path(home), open_model or _open)
        checks = [make_check(name, partial(check, trial)) for name, check in CHECKS.items()]
    name = trainer if isinstance(trainer, str) else type(trainer).__name__
    return Report(f"trainer {name}", tuple(checks))


def _open(folder: str) -> Backend:
    return load_registry().backend(f"hf:{folder}")


class TrainerTrial:
    """A trainer on trial, and what it was seen to do."""

    def __init__(
        self,
        trainer: Trainer,
        student: str,
        config: Mapping[str, JSON],
        home: Path,
        open_model: Callable[[str], Backend],
    ) -> None:
        self.trainer = trainer
        self.student = student
        self.config = dict(config)
        self.home = home
        self.open_model = open_model
        self.trained: TrainedModel | None = None
        self.seen: list[Mapping[str, float]] = []
        self.printed = ""

    def folder(self, name: str) -> ModelFolder:
        folder = ModelFolder(self.home, name)
        folder.path.parent.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def model(self) -> TrainedModel:
        if self.trained is None:
            raise Skipped("nothing was trained")
        return self.trained

    def train(
        self,
        name: str,
        progress: Callable[[Mapping[str, float]], None] = lambda metrics: None,
        resume: bool = False,
    ) -> TrainedModel:
        return self.trainer.train(
            self.student, self._data, self.config, self.folder(name).path, progress, resume
        )

    @property
    def _data(self) -> TrainingData:
        return DATA if self.trainer.needs == "pairs" else replace(DATA, pairs=(), chains=CHAINS)

    # ---- the checks -----------------------------------------------------------------------------

    def check_needs(self) -> str:
        if self.trainer.needs not in ("pairs", "chains"):
            raise Failed(f"its `needs` is {self.trainer.needs!r}, not 'pairs' or 'chains'")
        return self.trainer.needs

    def check_config(self) -> None:
        self.trainer.check(self.config)

    def check_unknown_setting(self) -> str:
        with _refused(UNKNOWN_SETTING) as said:
            self.trainer.check({**self.config, UNKNOWN_SETTING: 1})
        return said[0]

    def check_training(self) -> str:
        before = _files(Path(self.student))
        printed = io.StringIO()
        with redirect_stdout(printed):
            trained = self.train("first", lambda metrics: self.seen.append(dict(metrics)))
        self.printed = printed.getvalue()
        if not isinstance(trained, TrainedModel):
            raise Failed(f"train() gave a {type(trained).__name__}, not a TrainedModel")
        folder = self.folder("first")
        if trained.path != folder.path:
            raise Failed(f"its path is {trained.path}, not the folder that was asked for")
        if trained.steps < 2:
            raise Failed(f"it counts {trained.steps} steps: configure at least 2")
        wrong = [name for name, value in trained.metrics.items() if not math.isfinite(value)]
        if wrong:
            raise Failed(f"{wrong[0]} is {trained.metrics[wrong[0]]}")
        if before != _files(Path(self.student)):
            raise Failed("the student's own folder was changed")
        self.trained = trained
        return f"{trained.steps} steps in {trained.seconds:.1f} s"

    def check_progress(self) -> str:
        if not self.model or not self.seen:
            raise Failed("it told nothing")
        if any("step" not in metrics or "steps" not in metrics for metrics in self.seen):
            raise Failed(f"it does not tell `step` and `steps`: {dict(self.seen[0])}")
        steps = [metrics["step"] for metrics in self.seen]
        if steps != sorted(set(steps)) or steps[-1] != self.model.steps:
            raise Failed(f"it told of the steps {steps}, of {self.model.steps}")
        return ", ".join(name for name in self.seen[-1] if name not in ("step", "steps"))

    def check_silence(self) -> None:
        assert self.model
        if self.printed.strip():
            raise Failed(f"it printed {self.printed.strip()[:100]!r}")

    def check_folder(self) -> str:
        marker = self._marker("first")
        facts = marker.get("facts")
        if facts != dict(DATA.facts):
            raise Failed(f"callsmith.json says under `facts` {facts}, not {dict(DATA.facts)}")
        if marker.get("steps") != self.model.steps:
            raise Failed(f"callsmith.json says {marker.get('steps')} steps")
        card = self.model.path / "README.md"
        if not card.is_file() or str(DATA.facts["task"]) not in card.read_text("utf-8"):
            raise Failed("README.md, its model card, does not say which task it was trained on")
        return ", ".join(sorted(path.name for path in self.model.path.iterdir()))

    def _marker(self, name: str) -> dict[str, JSON]:
        assert self.model
        folder = self.folder(name)
        if not folder.is_finished:
            raise Failed("it lacks callsmith.json, by which callsmith knows that it is whole")
        return folder.marker()

    def check_answer(self) -> str:
        folder = str(self.model.path)

        async def ask() -> str:
            backend = self.open_model(folder)
            try:
                await backend.prepare()
                request = Request(
                    messages=PROMPT.conversation(PROBLEM),
                    sampling=Sampling(max_tokens=16),
                    problem=PROBLEM,
                )
                return (await backend.complete(request)).text
            finally:
                await backend.close()

        return f"{run_to_end(ask())[:60]!r}"

    def check_overwriting(self) -> str:
        before = _files(self.model.path)
        with _refused() as said:
            self.train("first")
        if _files(self.model.path) != before:
            raise Failed("it was refused, and the folder was changed all the same")
        return said[0]

    def check_finished(self) -> None:
        before = _files(self.model.path)
        again: list[Mapping[str, float]] = []
        trained = self.train("first", again.append, resume=True)
        if again or _files(self.model.path) != before:
            raise Failed("it was trained a second time")
        if (trained.path, trained.steps) != (self.model.path, self.model.steps):
            raise Failed(f"it gave another model: {trained}")

    def check_interruption(self) -> None:
        assert self.model

        def interrupt(metrics: Mapping[str, float]) -> None:
            raise KeyboardInterrupt

        try:
            self.train("second", interrupt)
        except KeyboardInterrupt:
            pass
        else:
            raise Failed("it went on after a KeyboardInterrupt")
        if self.folder("second").is_finished:
            raise Failed("half a training looks finished")
        trained = self.train("second", resume=True)
        if trained.steps != self.model.steps or not self.folder("second").is_finished:
            raise Failed(f"it ended after {trained.steps} of {self.model.steps} steps")

    def check_no_data(self) -> str:
        return self._refuses_to_train(self.student, TrainingData(PROMPT), DataError)

    def check_no_student(self) -> str:
        return self._refuses_to_train(str(self.home / "nowhere"), self._data, CallsmithError)

    def _refuses_to_train(
        self, student: str, data: TrainingData, kind: type[CallsmithError]
    ) -> str:
        out = self.folder("third").path
        with _refused(kind=kind) as said:
            self.trainer.train(student, data, self.config, out, lambda metrics: None)
        left = [path.name for path in out.parent.glob("third*")]
        if left:
            raise Failed(f"it left {', '.join(left)} behind")
        return said[0]


CHECKS: Mapping[str, Callable[[TrainerTrial], str | None]] = {
    "it says what it needs": TrainerTrial.check_needs,
    "it takes the settings": TrainerTrial.check_config,
    "a setting that it does not have is refused in one sentence": (
        TrainerTrial.check_unknown_setting
    ),
    "it trains a student, and leaves the original as it was": TrainerTrial.check_training,
    "it tells of every step": TrainerTrial.check_progress,
    "it prints nothing": TrainerTrial.check_silence,
    "the folder says what was trained, and on what": TrainerTrial.check_folder,
    "the trained model loads and answers": TrainerTrial.check_answer,
    "a finished model is not written over": TrainerTrial.check_overwriting,
    "a finished training is given as it is when it is resumed": TrainerTrial.check_finished,
    "an interrupted training looks unfinished, and is gone on with": (
        TrainerTrial.check_interruption
    ),
    "no data is refused in one sentence, and nothing is left": TrainerTrial.check_no_data,
    "a student that is not there is refused, and nothing is left": TrainerTrial.check_no_student,
}
"""Each by the sentence that should hold, in the order that they are made."""


@contextmanager
def _refused(*named: str, kind: type[CallsmithError] = DataError) -> Iterator[list[str]]:
    """Something that must raise an error of this kind in one sentence; gives that sentence."""
    said: list[str] = []
    try:
        yield said
    except kind as error:
        one_sentence(error, *named)
        said.append(str(error))
    else:
        raise Failed("it was not refused")


def _files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# ---- what is trained on -------------------------------------------------------------------------


@function(inline=True, examples=[{"a": 1, "b": 2}])
def add(a: float, b: float) -> float:
    """Add b to a."""
    return a + b


@function(inline=True, role="control", examples=[{"value": 3}])
def answer(value: float) -> float:
    """Answer."""
    return value


PROMPT = Prompt("Solve it.", {"add": add, "answer": answer}, dialect="text")

PROBLEM = Problem("What is 7 and 8?", gold=15)


def _step(name: str, **arguments: JSON) -> Step:
    inner = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    value = sum(arguments.values())
    return Step(f"{name}({inner})", (Call(name, arguments),), (Result(value),))


def _pair(a: int, b: int) -> PreferencePair:
    return PreferencePair(
        Problem(f"What is {a} and {b}?", gold=a + b),
        (),
        chosen=(_step("add", a=a, b=b), _step("answer", value=a + b)),
        rejected=(_step("answer", value=a),),
        dialects=("text", "text"),
    )


PAIRS = tuple(_pair(a, b) for a in range(1, 5) for b in range(2, 6))

CHAINS = tuple(
    Chain(pair.problem, steps=pair.chosen, stop="answer", answer=pair.problem.gold)
    for pair in PAIRS
)

DATA = TrainingData(PROMPT, PAIRS, facts={"task": "sums", "run": "kit"})
