from __future__ import annotations

from pathlib import Path

import pytest

from callsmith.configs import RolloutConfig, TrainConfig
from callsmith.errors import CallsmithError, DataError, PluginError
from callsmith.pairs import PairConfig
from callsmith.plugins import load_registry
from callsmith.recipe import EvalPart, Recipe, load_recipe, plan_recipe

WHOLE = """
name = "whole"
description = "Everything once"
task = "sums.jsonl"
seed = 7
dialect = "text"
steps = 5

[task_options]
answer = "number"

[[teach]]
run = "teacher"
model = "reference"
limit = 10

[[teach]]
run = "student"
model = "hf:student"
limit = 10
attempts = 8
temperature = 1
seed = 8

[[pairs]]
name = "first"
runs = ["teacher", "student"]
config = { per_problem = 2, rejected = ["wrong"] }

[[train]]
name = "dpo"
student = "hf:student"
pairs = "first"
config = { beta = 1.0 }

[[train]]
name = "sft"
trainer = "sft"
student = "dpo"
runs = ["teacher"]
equal_steps_to = "dpo"

[[eval]]
split = "test"
baseline = "before"
models = [
  { label = "before", model = "hf:student" },
  { label = "after DPO!", model = "dpo", functions = [] },
]
"""


def read(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "r.toml"
    path.write_text(text)
    return load_recipe(str(path), load_registry())


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(DataError) as raised:
        read(tmp_path, text)
    sentence = str(raised.value)
    assert "\n" not in sentence
    return sentence.replace(f"{tmp_path}/", "")


def test_every_part_has_its_own_keys_and_those_that_are_shared(tmp_path: Path) -> None:
    recipe = read(tmp_path, WHOLE)
    shared = {"task": "sums.jsonl", "task_options": {"answer": "number"}, "dialect": "text"}
    assert (recipe.name, recipe.description) == ("whole", "Everything once")
    assert recipe.teach == (
        RolloutConfig(**shared, run="teacher", model="reference", limit=10, seed=7, steps=5),
        RolloutConfig(
            **shared,
            run="student",
            model="hf:student",
            limit=10,
            attempts=8,
            temperature=1.0,
            seed=8,
            steps=5,
        ),
    )
    (pairs,) = recipe.pairs
    assert pairs.runs == ("teacher", "student")
    assert pairs.config == PairConfig(per_problem=2, rejected=("wrong",))
    assert recipe.train == (
        TrainConfig(
            **shared, name="dpo", student="hf:student", pairs="first", config={"beta": 1.0}
        ),
        TrainConfig(
            **shared,
            name="sft",
            trainer="sft",
            student="dpo",
            runs=("teacher",),
            equal_steps_to="dpo",
        ),
    )


def test_models_that_are_judged_together_share_their_eval_and_the_baseline_has_none(
    tmp_path: Path,
) -> None:
    before, after = read(tmp_path, WHOLE).eval
    common = {
        "task": "sums.jsonl",
        "task_options": {"answer": "number"},
        "dialect": "text",
        "seed": 7,
        "steps": 5,
        "split": "test",
    }
    assert before == EvalPart(
        **common,  # type: ignore[arg-type]
        label="before",
        model="hf:student",
        run="eval-whole-before",
    )
    assert after == EvalPart(
        **common,  # type: ignore[arg-type]
        label="after DPO!",
        model="dpo",
        functions=(),
        baseline="before",
        run="eval-whole-after-DPO",
    )


TASK = 'task = "sums.jsonl"\n'
TEACH = TASK + '[[teach]]\nmodel = "reference"\n'
RUN = TEACH + 'run = "a"\n'
PAIRS = RUN + '[[pairs]]\nname = "p"\nruns = ["a"]\n'
TRAIN = PAIRS + '[[train]]\nname = "t"\nstudent = "hf:s"\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = = 3", "the recipe r.toml is no valid TOML: Invalid value (at line 1, column 5)"),
        ("sed = 3", "r.toml has an unknown key 'sed': did you mean 'seed'?"),
        (TEACH + "limt = 3", "r.toml, teach 1 has an unknown key 'limt': did you mean 'limit'?"),
        (PAIRS + "config = {per_problm = 3}", "pairs 1, config has an unknown key 'per_problm'"),
        (TASK + "[[teach]]\nlimit = 3", "r.toml, teach 1: model: field required"),
        ('[[teach]]\nmodel = "reference"', "r.toml, teach 1: task: field required"),
        (TASK + '[teach]\nmodel = "reference"', "teach is a list of tables: write [[teach]]"),
        (TASK + "teach = [3]", "r.toml, teach 1 is no table of keys and values"),
        (TEACH + 'limit = "300"', "limit: input should be a valid integer, not '300'"),
        (TEACH + "attempts = true", "attempts: input should be a valid integer, not True"),
        (TEACH + "seed = 1.5", "seed: input should be a valid integer, not 1.5"),
        (TEACH + 'temperature = "hot"', "temperature: input should be a valid number, not 'hot'"),
        (TEACH + 'dialect = "txt"', "dialect: input should be 'auto', 'text', 'native' or 'json'"),
        (TEACH + "limit = 0", "r.toml, teach 1: limit must be at least 1, not 0"),
        (TEACH + "temperature = -1", "r.toml, teach 1: temperature must be at least 0, not -1.0"),
        (PAIRS + "config = {per_problem = 0}", "pairs 1: pairs per problem must be at least 1"),
        (PAIRS + 'config = {method = "x"}', "config.method: input should be 'chain', 'fault'"),
        (RUN + "[[teach]]" + RUN.partition("[[teach]]")[2], "there are two runs called 'a'"),
        (PAIRS + PAIRS.partition(RUN)[2], "there are two sets of pairs called 'p'"),
        (PAIRS.replace('["a"]', "[]"), "pairs p: it names no runs"),
        (PAIRS.replace('["a"]', '["b"]'), "pairs p: there is no run 'b' (there is a)"),
        (TRAIN, "train t: it learns either from pairs or from runs: say one"),
        (TRAIN + 'pairs = "p"\nruns = ["a"]', "it learns either from pairs or from runs: say one"),
        (TRAIN + 'pairs = "q"', "train t: there is no set of pairs 'q' (there is p)"),
        (TRAIN + 'pairs = "p"\nequal_steps_to = "u"', "train t: there is no earlier training 'u'"),
        (TRAIN.replace("hf:s", "t") + 'pairs = "p"', "there is no earlier training 't'"),
        (TASK + '[[eval]]\nmodel = "reference"', "an [[eval]] has models = [{ label = …"),
        (TASK + '[[eval]]\nmodels = [{model = "reference"}]', "eval 1: label: field required"),
        (
            TASK + '[[eval]]\nmodels = [{label = "a", model = "dpo"}]',
            "r.toml, eval a: there is no training 'dpo' (there is none)",
        ),
        (
            TASK + '[[eval]]\nbaseline = "b"\nmodels = [{label = "a", model = "reference"}]',
            "r.toml, eval a: there is no eval with label 'b' (there is a)",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_file_part_and_key(
    tmp_path: Path, text: str, sentence: str
) -> None:
    assert sentence in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("source", "error", "sentence"),
    [
        ("nowhere.toml", DataError, "the recipe nowhere.toml can't be read: No such file"),
        ("tinny", PluginError, "there is no recipe 'tinny'; "),
    ],
)
def test_a_recipe_that_is_not_there(
    source: str, error: type[CallsmithError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        load_recipe(source, load_registry())


def test_a_recipe_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(DataError, match="it is not UTF-8 text"):
        load_recipe(str(path), load_registry())


def test_recipes_of_plugins_go_by_name() -> None:
    registry = load_registry()
    for name in registry.names("recipes"):
        assert load_recipe(name, registry).name == name


def test_a_plan_says_what_would_run_and_what_is_missing(tmp_path: Path) -> None:
    def count(part: RolloutConfig) -> int:
        if part.split == "test":
            raise DataError("there is no split test")
        return 10

    recipe = read(
        tmp_path,
        WHOLE.replace("hf:student", "nothing:student").replace('trainer = "sft"', 'trainer = "x"'),
    )
    plan = plan_recipe(recipe, load_registry(), count)
    assert plan.lines[:3] == (
        ("teach", "teacher with reference", "10 problems × 1 = 10 chains, at most 50 turns"),
        ("teach", "student with nothing:student", "10 problems × 8 = 80 chains, at most 400 turns"),
        ("pairs", "first", "from teacher, student"),
    )
    assert " ".join(kind for kind, *_ in plan.lines) == "teach teach pairs train train eval eval"
    assert plan.turns == 450
    missing = " / ".join(plan.missing)
    assert "there is no backend 'nothing'" in missing
    assert "there is no trainer 'x'" in missing
    assert "there is no split test" in missing
    assert len(plan.missing) == 3, "each is said once"
