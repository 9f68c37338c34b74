"""A recipe: one TOML file that names teacher, pairs, student and evaluation; read and checked.

The parts run in the order teach, pairs, train, eval. Each remembers what it did, so a recipe that
was cut off is gone on with by being run again.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from callsmith.chain import JSON
from callsmith.configs import RolloutConfig, TrainConfig
from callsmith.errors import CallsmithError, DataError, PluginError
from callsmith.pairs import PairConfig
from callsmith.plugins import Registry


@dataclass(frozen=True, kw_only=True)
class PairsPart:
    """A set of preference pairs: from which runs, and how."""

    name: str
    runs: tuple[str, ...]
    config: PairConfig = field(default_factory=PairConfig)


@dataclass(frozen=True, kw_only=True)
class EvalPart(RolloutConfig):
    """A model to judge. ``label`` names it in tables; ``baseline`` the label it is held against.

    In the file, models that are judged on the same problems share one ``[[eval]]``, each a table
    in its ``models``.
    """

    label: str
    baseline: str = ""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What `load_recipe` read. Each part has the recipe's task, options and seed unless it says."""

    name: str
    description: str = ""
    teach: tuple[RolloutConfig, ...] = ()
    pairs: tuple[PairsPart, ...] = ()
    train: tuple[TrainConfig, ...] = ()
    eval: tuple[EvalPart, ...] = ()


PARTS: Mapping[str, type] = {
    "teach": RolloutConfig,
    "pairs": PairsPart,
    "train": TrainConfig,
    "eval": EvalPart,
}

SHARED = (
    "task",
    "task_options",
    "seed",
    "dialect",
    "shots",
    "forget_faults",
    "max_tokens",
    "steps",
)
"""Keys at the top of the file that every part takes over where it has them."""


def load_recipe(source: str, registry: Registry) -> Recipe:
    """Read a recipe by its name or from a TOML file.

    Raises DataError that names the file, the part and the key for whatever is wrong in it, and
    PluginError for an unknown name.
    """
    path = Path(source)
    if path.suffix == ".toml" or path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise DataError(f"the recipe {source} can't be read: {why}") from error
    else:
        text = registry.resolve("recipes", source).read_text(encoding="utf-8")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"the recipe {source} is no valid TOML: {error}") from error
    return read_recipe(table, source)


def read_recipe(table: Mapping[str, Any], source: str) -> Recipe:
    """A recipe from the parsed TOML; ``source`` is for messages."""
    known = [*SHARED, *PARTS, "name", "description"]
    _refuse_unknown(table, known, source)
    shared = {key: table[key] for key in SHARED if key in table}
    parts: dict[str, Any] = {}
    for key, kind in PARTS.items():
        entries = table.get(key, [])
        if not isinstance(entries, list):
            raise DataError(f"{source}: {key} is a list of tables: write [[{key}]]")
        if kind is EvalPart:
            entries = [model for entry in entries for model in _judged_models(entry, source)]
        parts[key] = tuple(
            _read_part(kind, shared, entry, f"{source}, {key} {number}")
            for number, entry in enumerate(entries, 1)
        )
    if not any(parts.values()):
        raise DataError(f"{source} has nothing to do: it needs a [[teach]], say, or an [[eval]]")
    name = str(table.get("name", Path(source).stem))
    # Named after the recipe too: several may be run in one workspace.
    parts["eval"] = tuple(
        replace(part, run=part.run or f"eval-{_slug(name)}-{_slug(part.label)}")
        for part in parts["eval"]
    )
    recipe = Recipe(name=name, description=str(table.get("description", "")), **parts)
    _check_names(recipe, source)
    return recipe


def _slug(text: str) -> str:
    return re.sub(r"\W+", "-", text).strip("-")


def _judged_models(entry: JSON, source: str) -> list[JSON]:
    """One ``[[eval]]`` as a table for each of its models; the baseline is held against none."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("models"), list):
        raise DataError(f"{source}: an [[eval]] has models = [{{ label = …, model = … }}, …]")
    common = {key: value for key, value in entry.items() if key != "models"}
    made: list[JSON] = [
        {**common, **model} if isinstance(model, Mapping) else model for model in entry["models"]
    ]
    for model in made:
        if isinstance(model, dict) and model.get("label") == model.get("baseline"):
            model.pop("baseline", None)
    return made


def _read_part(kind: type, shared: Mapping[str, JSON], entry: JSON, where: str) -> Any:
    from pydantic import TypeAdapter, ValidationError

    own = {field.name for field in fields(kind)}
    _refuse_unknown(entry, own, where)
    values = {key: value for key, value in shared.items() if key in own} | dict(entry)
    if isinstance(values.get("config"), dict) and kind is PairsPart:
        _refuse_unknown(values["config"], [f.name for f in fields(PairConfig)], f"{where}, config")
    try:
        # As JSON, where a list is a tuple, but "3" is no number.
        return TypeAdapter(kind).validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "it"
        given = f", not {first['input']!r}" if first["type"] != "missing" else ""
        raise DataError(f"{where}: {key}: {first['msg'].lower()}{given}") from error
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _refuse_unknown(table: JSON, known: Sequence[str] | set[str], where: str) -> None:
    if not isinstance(table, Mapping):
        raise DataError(f"{where} is no table of keys and values")
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            meant = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(known)}"
            raise DataError(f"{where} has an unknown key {key!r}: {meant}")


def _check_names(recipe: Recipe, source: str) -> None:
    """No name is given twice, and every one that a part refers to is made by an earlier part."""
    labels = {part.label for part in recipe.eval}
    for kind, names in (
        ("runs", [part.name for part in (*recipe.teach, *recipe.eval)]),
        ("sets of pairs", [part.name for part in recipe.pairs]),
        ("trainings", [part.name for part in recipe.train]),
        ("evals", [part.label for part in recipe.eval]),
    ):
        for name in names:
            if names.count(name) > 1:
                raise DataError(f"{source}: there are two {kind} called {name!r}: rename one")
    runs = {part.name for part in recipe.teach}
    pairs = {part.name for part in recipe.pairs}
    trained: set[str] = set()

    def check(name: str, known: set[str], what: str, where: str) -> None:
        if name and name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise DataError(f"{source}, {where}: there is no {what} {name!r} (there is {there})")

    for part in recipe.pairs:
        if not part.runs:
            raise DataError(f"{source}, pairs {part.name}: it names no runs to be made of")
        for run in part.runs:
            check(run, runs, "run", f"pairs {part.name}")
    for training in recipe.train:
        where = f"train {training.name}"
        if bool(training.pairs) == bool(training.runs):
            raise DataError(f"{source}, {where}: it learns either from pairs or from runs: say one")
        check(training.pairs, pairs, "set of pairs", where)
        for run in training.runs:
            check(run, runs, "run", where)
        for name in (training.equal_steps_to, training.equal_compute_to):
            check(name, trained, "earlier training", where)
        if ":" not in training.student:
            check(training.student, trained, "earlier training", where)
        trained.add(training.name)
    for judged in recipe.eval:
        check(judged.baseline, labels, "eval with label", f"eval {judged.label}")
        if ":" not in judged.model and judged.model != "reference":
            check(judged.model, trained, "training", f"eval {judged.label}")


def check_training(training: TrainConfig, registry: Registry) -> None:
    """Raise DataError for a setting that its trainer refuses, PluginError without the trainer."""
    try:
        registry.trainer(training.trainer).check(training.config)
    except DataError as error:
        raise DataError(f"train {training.name}: {error}") from error


@dataclass(frozen=True)
class Plan:
    """What a recipe would do: a line for each part, and what is missing to do it."""

    lines: tuple[tuple[str, str, str], ...]
    missing: tuple[str, ...]
    turns: int


def plan_recipe(recipe: Recipe, registry: Registry, count: Callable[[RolloutConfig], int]) -> Plan:
    """What running the recipe would mean, with nothing run.

    ``count`` gives the number of problems of a rollout; where it raises CallsmithError, the reason
    is among what is missing. Raises DataError for a trainer's setting that can't be.
    """
    lines: list[tuple[str, str, str]] = []
    missing: list[str] = []
    turns = 0
    for kind, parts in (("teach", recipe.teach), ("eval", recipe.eval)):
        for part in parts:
            try:
                problems = count(part)
            except CallsmithError as error:
                problems = part.limit or 0
                missing.append(str(error))
            scheme = part.model.partition(":")[0]
            if ":" in part.model or scheme == "reference":
                try:
                    registry.resolve("backends", scheme)
                except CallsmithError as error:
                    missing.append(str(error))
            chains = problems * part.attempts
            turns += chains * part.steps
            detail = f"{problems:,} problems × {part.attempts} = {chains:,} chains"
            detail += f", at most {chains * part.steps:,} turns"
            lines.append((kind, f"{part.name} with {part.model}", detail))
    for pairs in recipe.pairs:
        lines.append(("pairs", pairs.name, f"from {', '.join(pairs.runs)}"))
    for training in recipe.train:
        try:
            check_training(training, registry)
        except PluginError as error:
            missing.append(str(error))
        source = training.pairs or ", ".join(training.runs)
        lines.append(
            ("train", training.name, f"{training.trainer} of {training.student} on {source}")
        )
    order = {kind: place for place, kind in enumerate(PARTS)}
    lines.sort(key=lambda line: order[line[0]])
    return Plan(tuple(lines), tuple(dict.fromkeys(missing)), turns)
