"""The pipeline as a Python API: teach, pairs, train, evaluate, in one folder that remembers.

The command line and recipes stand on this. Every method can be called again and goes on from what
is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from heapq import merge
from pathlib import Path
from typing import Any, Literal, TypeVar

from callsmith import agent
from callsmith.backends import Backend, OnPull, split_url
from callsmith.chain import (
    JSON,
    Chain,
    PreferencePair,
    Problem,
    Setup,
    Step,
    Verdict,
)
from callsmith.claims import claim
from callsmith.configs import PromptConfig, RolloutConfig, TrainConfig, check_name
from callsmith.dialects import Prompt
from callsmith.errors import DataError, Rejected
from callsmith.evaluation import Evaluation, evaluate
from callsmith.executors import Maker, MakerSpec
from callsmith.functions import functions_hash
from callsmith.isolation import Workers
from callsmith.models import ModelFolder, trained_names, weights_hash
from callsmith.pairs import (
    PairConfig,
    PairMaker,
    PairStatistics,
    chosen_chains,
    refuse_judged,
    usable,
)
from callsmith.patience import PatientBackend, Tally
from callsmith.plugins import Registry, load_registry
from callsmith.preparing import describe_choice, make_prompt, make_ready
from callsmith.recording import OnRecord
from callsmith.rollout import Rollout
from callsmith.runs import Run
from callsmith.store import Store, home_folder
from callsmith.tasks import BaseTask, FunctionRef, Task, problems_of
from callsmith.training import TrainedModel, TrainingData
from callsmith.waiting import Watch

T = TypeVar("T")


@dataclass(frozen=True)
class RunReport:
    """A run after a start of it. ``warnings`` are what a person should look at."""

    run: Run
    problems: int
    tally: Tally
    warnings: tuple[str, ...] = ()


class AskTask(BaseTask):
    """A question of one's own: any answer, and no problems to run over."""

    name = "ask"
    description = "a question of one's own"
    answer: JSON = {}  # noqa: RUF012 - a JSON Schema, read only
    splits: Sequence[str] = ()


class Workspace:
    """A folder with the store, trained models and reports: ``./.callsmith`` unless told."""

    def __init__(self, home: Path | str | None = None, registry: Registry | None = None) -> None:
        self.home = home_folder(Path(home) if home else None)
        self.registry = registry or load_registry()

    def store(self) -> Store:
        """The database, open; to be closed by the caller, in the thread that opened it."""
        return Store(self.home)

    # ---- parts --------------------------------------------------------------------------------

    def task(self, config: PromptConfig) -> Task:
        """The task of this name, of this JSONL file, or none but a question."""
        if not config.task:
            return AskTask()
        if config.task.endswith(".jsonl"):
            return self.registry.task("jsonl", path=config.task, **config.task_options)
        return self.registry.task(config.task, **config.task_options)

    def backend(
        self, model: str, task: Task | None = None, options: Mapping[str, JSON] | None = None
    ) -> Backend:
        """The backend of ``scheme:name``, or of a model trained here by its name alone."""
        self.check_model(model)
        return self.registry.backend(self._spec(model), task=task, **(options or {}))

    def check_model(self, model: str) -> None:
        """Raise DataError or PluginError for a name that no model can go by here."""
        if ":" in self._spec(model):
            self.registry.resolve("backends", self._spec(model).partition(":")[0])
        elif model not in self.registry.names("backends"):
            why = self.registry.why_missing("backends", model, trained_names(self.home))
            raise DataError(f"there is no trained model {model!r} in {self.home}, and {why}")

    async def maker(
        self,
        config: RolloutConfig,
        task: Task | None = None,
        model: str = "",
        on_pull: OnPull | None = None,
        on_ready: Callable[[str], None] = lambda _: None,
    ) -> Maker:
        """What makes the chains of this configuration; its backend, ready, is yours to close.

        ``task`` and ``model`` stand in for those that ``config`` names; with ``on_pull`` the model
        is fetched first, and ``on_ready`` is told of a server that is waited for. Raises what
        opening the backend and making the prompt raise.
        """
        task = task or self.task(config)
        backend = self.backend(model or config.model, task, config.model_options)
        try:
            await make_ready(backend, on_pull, config.max_retries, on_ready)
            async with Workers() as workers:
                prompt = await make_prompt(
                    self.registry, config, task, backend, workers, config.constrain
                )
            setup = self.setup(config, prompt)
            spec = MakerSpec(
                replace(config, dialect=prompt.dialect), model or self._spec(config.model), setup
            )
            named = all(isinstance(function, str) for function in config.functions or ())
            return Maker(
                backend,
                prompt,
                setup,
                sampling=config.sampling,
                limits=config.limits,
                run=config.name,
                concurrency=config.concurrency or backend.capabilities.concurrency,
                max_retries=config.max_retries,
                timeout=config.timeout,
                spec=spec if named else None,
            )
        except BaseException:
            await backend.close()
            raise

    # ---- the pipeline -------------------------------------------------------------------------

    def solve(
        self,
        problem: Problem,
        config: RolloutConfig,
        on_step: Callable[[Step], None] = lambda _: None,
        on_text: Callable[[str], None] | None = None,
        on_ready: Callable[[str], None] = lambda _: None,
        on_pull: OnPull | None = None,
    ) -> Chain:
        """One problem, one chain; nothing is recorded in the store.

        ``on_step`` sees each turn and ``on_text`` its text as it is written; ``on_ready`` and
        ``on_pull`` are as in `teach`, and ``on_ready`` is told as well of waits for the server.
        """

        async def work() -> Chain:
            task = self.task(config)
            backend = self.backend(config.model, task, config.model_options)
            try:
                await make_ready(backend, on_pull, config.max_retries, on_ready)
                async with Workers() as workers:
                    prompt = await make_prompt(
                        self.registry, config, task, backend, workers, config.constrain
                    )
                    on_ready(describe_choice(config, prompt, backend))
                    return await agent.solve(
                        problem,
                        PatientBackend(
                            backend, config.max_retries, config.timeout, watch=Watch(on_ready)
                        ),
                        prompt,
                        workers,
                        sampling=config.sampling,
                        limits=config.limits,
                        setup=self.setup(config, prompt),
                        seed=config.seed,
                        on_step=on_step,
                        on_text=on_text,
                    )
            finally:
                await backend.close()

        with self.registry.keeping_packs_open():
            return run_to_end(work())

    def teach(
        self,
        config: RolloutConfig,
        on_record: OnRecord = lambda *_: None,
        purpose: Literal["teach", "eval"] = "teach",
        on_ready: Callable[[str], None] = lambda _: None,
        on_pull: OnPull | None = None,
    ) -> RunReport:
        """Make the chains that the run still owes. ``on_record`` is called after each commit.

        ``on_ready`` is told, before the first chain, that a server is waited for which is still
        loading, and which dialect was chosen and why (empty if it was asked for). With
        ``on_pull`` the model is fetched first, where the backend can, and it is told how far.

        Raises StoreError if the run's name is taken by another configuration or is under way in
        another process, DataError for an empty split, and what `Rollout.record` raises; the same
        call goes on afterwards.
        """

        async def work() -> RunReport:
            task = self.task(config)
            problems = problems_of(task, config.split, config.limit, config.seed)
            if purpose == "eval":
                self._refuse_trained_on(config, problems)
            executor = self.registry.executor(config.executor, **config.executor_options)
            maker = await self.maker(config, task, on_pull=on_pull, on_ready=on_ready)
            try:
                with self.store() as store, claim(self.home, config.name):
                    run = self._begin(store, config, maker, purpose)
                    on_ready(describe_choice(config, maker.prompt, maker.backend))
                    rollout = Rollout(task, maker, executor, config.seed, config.until_both)
                    owed = store.owed(run, problems, config.attempts)

                    def tell(tally: Tally, batch: Sequence[tuple[Chain, Verdict]]) -> None:
                        for chain, _ in batch:
                            self.registry.notify(chain)
                        on_record(tally, batch)

                    tally = await rollout.record(store, run, owed, tell)
                    warnings = run.warnings
                    samples = maker.backend.capabilities.samples
                    if config.attempts > 1 and not config.temperature and samples:
                        warnings += ("at temperature 0 the attempts are alike: sample higher",)
                    return RunReport(run, len(problems), tally, warnings)
            finally:
                await maker.backend.close()

        with self.registry.keeping_packs_open():
            return run_to_end(work())

    def evaluate(
        self,
        config: RolloutConfig,
        on_record: OnRecord = lambda *_: None,
        on_ready: Callable[[str], None] = lambda _: None,
        on_pull: OnPull | None = None,
    ) -> Evaluation:
        """Run the model over the split as `teach` does, and measure it on just these problems.

        From then on these problems are refused when pairs are built.
        """
        self.teach(config, on_record, "eval", on_ready, on_pull)
        return self.measure(config)

    def measure(self, config: RolloutConfig) -> Evaluation:
        """How the recorded run did on the problems and attempts that the config asks for."""
        problems = problems_of(self.task(config), config.split, config.limit, config.seed)
        keys = {problem.key for problem in problems}
        with self.store() as store:
            return evaluate(
                record
                for record in store.records(store.run(config.name))
                if record[0].problem.key in keys and record[0].attempt < config.attempts
            )

    def pairs(
        self,
        name: str,
        runs: Sequence[str],
        config: PairConfig | None = None,
        forbidden: Collection[str] = (),
    ) -> PairStatistics:
        """Build preference pairs of these runs' chains and save them under ``name``.

        ``forbidden`` are keys of problems to be judged on, beside those that a model has been
        judged on in this workspace. Raises DataError if there are none to build, or for a name that
        a file could not have.
        """
        check_name(name, "pairs")
        config = config or PairConfig()
        with self.store() as store:
            sources = [store.run(run) for run in dict.fromkeys(runs)]
            every = [store.run(summary.name) for summary in store.runs()]
            judged = [run for run in every if run.config["purpose"] == "eval"]
            forbidden = set(forbidden).union(*(store.problem_keys(run) for run in judged))
            refuse_judged(set().union(*map(store.problem_keys, sources)), forbidden)
            records = merge(*map(store.records, sources), key=lambda one: one[0].problem.key)
            maker = PairMaker(config)
            facts: dict[str, JSON] = {
                "runs": [run.name for run in sources],
                "task": sources[0].identity["task"],
                "config": asdict(config),
            }

            def made() -> Iterator[PreferencePair]:
                yield from maker.pairs(records)
                facts["statistics"] = maker.statistics().to_json()  # known only now

            store.save_pairs(name, made(), facts)
        return maker.statistics()

    def train(
        self,
        config: TrainConfig,
        progress: Callable[[Mapping[str, float]], None] = lambda _: None,
    ) -> TrainedModel:
        """Train the student; the result stands under ``models/NAME`` of the workspace.

        A training that was finished with the same configuration is not done again; one that was
        cut off goes on from its newest checkpoint. Raises DataError for a name that holds another
        training, or for data that the trainer refuses.
        """
        folder = ModelFolder(self.home, config.name)
        trainer = self.registry.trainer(config.trainer)

        async def prompt() -> tuple[Prompt, str]:
            task = self.task(config)
            backend = self.backend(config.student, task)
            weights = getattr(backend, "weights", None)
            if weights is None:
                raise Rejected(
                    f"{config.student} can't be trained: only local weights can (hf:PATH)"
                )
            try:
                await backend.prepare()
                async with Workers() as workers:
                    shown = await make_prompt(self.registry, config, task, backend, workers)
                    return shown, str(weights)
            finally:
                await backend.close()

        with self.registry.keeping_packs_open():
            shown, weights = run_to_end(prompt())
        pairs, chains, facts = self._training_data(config, shown)
        settings = dict(config.config)
        if config.equal_steps_to:
            settings["steps"] = ModelFolder(self.home, config.equal_steps_to).marker()["steps"]
        if config.equal_compute_to:
            other = ModelFolder(self.home, config.equal_compute_to)
            settings["compute"] = other.marker()["metrics"]["compute"]
        facts |= {
            "student": config.student,
            "student_weights": weights_hash(weights),
            "trainer": config.trainer,
            "functions": functions_hash(shown.functions.values()),
            "prompt": shown.hash,
            "dialect": shown.dialect,
            "shots": len(shown.examples),
            "plugins": self.registry.versions,
        }
        data = TrainingData(
            shown,
            pairs if trainer.needs == "pairs" else (),
            chains if trainer.needs == "chains" else (),
            facts,
        )
        return trainer.train(weights, data, settings, folder.path, progress, resume=True)

    # ---- inside -------------------------------------------------------------------------------

    def _spec(self, model: str) -> str:
        """A model trained here as ``hf:`` and its folder, any other as it is."""
        folder = ModelFolder(self.home, model)
        trained = ":" not in model and folder.is_finished
        return f"hf:{folder.path.absolute()}" if trained else model

    def _training_data(
        self, config: TrainConfig, prompt: Prompt
    ) -> tuple[list[PreferencePair], list[Chain], dict[str, JSON]]:
        """Pairs, chains, and where they came from."""
        with self.store() as store:
            if config.pairs:
                found = store.pairs(config.pairs)
                pairs = [pair for pair in found if usable(pair, prompt.dialect)]
                chains = chosen_chains(pairs)
                facts: dict[str, JSON] = {"pairs": config.pairs, "pair_count": len(pairs)}
                facts |= dict(store.pair_set(config.pairs).facts)
            else:
                pairs = []
                chains = [
                    chain
                    for name in config.runs
                    for chain, _ in store.records(store.run(name), correct=True)
                ]
                facts = {"runs": list(config.runs), "chain_count": len(chains)}
            if not chains:
                raise DataError(f"training {config.name} has nothing to learn from")
        facts["task"] = config.task
        facts["trained_on"] = sorted({chain.problem.key for chain in chains})
        return pairs, chains, facts

    def _refuse_trained_on(self, config: RolloutConfig, problems: Sequence[Problem]) -> None:
        """A model is not judged on what it learned from."""
        folder = ModelFolder(self.home, config.model)
        if not folder.is_finished:
            return
        learned = set(folder.marker()["facts"]["trained_on"])
        shared = sum(problem.key in learned for problem in problems)
        if shared:
            raise DataError(
                f"{config.model} was trained on {shared} of the {len(problems)} problems of "
                f"{config.task}/{config.split}: judge it on another split"
            )

    def _begin(self, store: Store, config: RolloutConfig, maker: Maker, purpose: str) -> Run:
        prompt = maker.prompt
        weights = getattr(maker.backend, "weights", None)
        identity = {
            "task": config.task,
            # Where the data lies may change; problems are known by their content.
            "task_options": {k: v for k, v in config.task_options.items() if k != "data"},
            "split": config.split,
            "model": split_url(config.model)[0],
            "weights": weights_hash(weights) if weights else "",
            "dialect": prompt.dialect,
            "sampling": asdict(config.sampling),
            "forget_faults": config.forget_faults,
            "constrained": config.constrain,
            "functions": functions_hash(prompt.functions.values()),
            "prompt": prompt.hash,
            "seed": config.seed,
        }
        changeable = {
            "purpose": purpose,
            "limit": config.limit,
            "attempts": config.attempts,
            "limits": asdict(config.limits),
            "concurrency": config.concurrency,
            "model": config.model,
            "executor": config.executor,
            "until_both": config.until_both,
        }
        shown = {"messages": list(prompt.messages), "tools": list(prompt.tools)}
        return store.begin(config.name, identity, changeable, shown, self.registry.versions)

    def setup(self, config: RolloutConfig, prompt: Prompt) -> Setup:
        """What a chain records of how it was made."""
        return Setup(
            model=split_url(config.model)[0],
            task=config.task,
            split=config.split,
            dialect=prompt.dialect,
            sampling=config.sampling,
            forget_faults=config.forget_faults,
            constrained=prompt.constrained,
            functions=functions_hash(prompt.functions.values()),
            prompt=prompt.hash,
            plugins=self.registry.versions,
        )


def solve(
    question: str | Problem,
    *,
    model: str,
    task: str = "",
    functions: Sequence[FunctionRef] | None = None,
    **settings: Any,
) -> Chain:
    """Let a model solve one problem with these functions, and return the chain.

    ``model`` is ``scheme:name``; ``functions`` are qualified names, packs (``math.*``,
    ``mcp:COMMAND``) or Function objects, those of ``task`` if None; ``settings`` are those of
    `RolloutConfig`. Raises CallsmithError for what the user can mend; a model's mistakes are on the
    chain.
    """
    problem = question if isinstance(question, Problem) else Problem(question)
    chosen = None if functions is None else tuple(functions)
    config = RolloutConfig(task=task, model=model, functions=chosen, **settings)
    return Workspace().solve(problem, config)


def run_to_end(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end, in a thread of its own where a loop is running already (a notebook)."""
    if not _in_a_loop():
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def _in_a_loop() -> bool:
    # Apart from `run_to_end`, so that an error there does not show this one as its context.
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
