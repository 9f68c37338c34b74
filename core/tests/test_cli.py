"""The command line as a person meets it, with a small plugin of a task, models and a trainer."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from callsmith import cli
from callsmith.cli import main
from callsmith.cli.common import console
from callsmith.plugins import HOMES, load_registry

TOY = '''
    import json
    from pathlib import Path

    from callsmith.backends import Capabilities, Completion, ModelInfo, split_url
    from callsmith.chain import Call, Problem, Usage
    from callsmith.errors import ContextOverflow, DataError, Rejected, Unavailable
    from callsmith.functions import FunctionPack, function
    from callsmith.hookspecs import hookimpl
    from callsmith.tasks import BaseTask
    from callsmith.training import TrainedModel
    from callsmith.verifiers import NumberVerifier

    @hookimpl
    def callsmith_functions():
        return {"toy": "callsmith_toy:pack"}

    @hookimpl
    def callsmith_tasks():
        return {"doubling": "callsmith_toy:Doubling"}

    @hookimpl
    def callsmith_backends():
        return {"toy": "callsmith_toy:Model", "served": "callsmith_toy:Server"}

    @hookimpl
    def callsmith_trainers():
        return {"toy": "callsmith_toy:Trainer"}

    @function(examples=[{"a": 1, "b": 2}], inline=True)
    def add(a: float, b: float) -> float:
        """Add b to a. Not [bold]."""
        return a + b

    pack = FunctionPack("Numbers.", [add])

    class Doubling(BaseTask):
        name = "doubling"
        description = "what two of a number make [/red]"
        functions = ("toy.add",)
        splits = ("train", "test", "nothing")
        verifier = NumberVerifier()

        def __init__(self, size=10, broken=False):
            self.size, self.broken = size, broken

        def problems(self, split):
            first = {"train": 0, "test": 1000, "nothing": 2000}[split]
            count = 0 if split == "nothing" else self.size
            return [Problem(f"[/b] 2 × {n}?", 2 * n) for n in range(first, first + count)]

        def judge(self, problem, chain):
            if self.broken:
                raise KeyError("gold")
            return super().judge(problem, chain)

        def reference(self, problem):
            n = problem.gold / 2
            return [Call("add", {"a": n, "b": n}), Call("answer", {"value": problem.gold})]

    class Model:
        capabilities = Capabilities(dialects=("text",))

        def __init__(self, name, *, task, loud=False):
            if name not in ("right", "wrong", "mixed", "silly", "short", "away", "refusing"):
                raise Rejected(f"there is no model toy:{name}")
            self.name, self.kind, self.weights = f"toy:{name}", name, "/nowhere"
            self.asked = False

        async def prepare(self):
            pass

        async def complete(self, request):
            n = int(request.problem.question.split()[-1][:-1])
            if self.kind == "short" and request.steps:
                raise ContextOverflow("it has 90 tokens, the model reads 80")
            if self.kind == "away" and not self.asked:
                self.asked = True
                raise Unavailable("it is [away]", retry_after=0.0)
            if self.kind == "refusing":
                raise Rejected("the server wants another turn")
            if self.kind == "silly":
                return Completion("[/b] \\x1b[31mhm")
            if not request.steps:
                return Completion(f"add({n}, {n})")
            right = self.kind == "right" or (self.kind == "mixed" and request.seed % 2)
            return Completion(f"answer({2 * n if right else 2 * n + 1})")

        async def close(self):
            pass

    class Server(Model):
        """A server with models; one of them has to be pulled first. Makes faults if it may."""

        capabilities = Capabilities(
            dialects=("native", "text", "json"), constrains=("json",), reason="toys take tools"
        )
        pulled = False

        def __init__(self, name, *, task, key_env=""):
            model, url = split_url(name)
            self.name, self.url = f"served:{model}", url

        async def prepare(self):
            if self.name == "served:far" and not Server.pulled:
                raise Rejected("there is no model far: fetch it with --pull")

        async def models(self):
            found = ModelInfo("near", 4_661_224_676, 8192, True, self.url)
            if self.url == "http://mixed":
                embeds = ModelInfo("embeds", tools=False, detail="1B", chats=False)
                return [embeds, ModelInfo("talks", tools=False), ModelInfo("able", tools=True)]
            return [found, ModelInfo("far")] if self.url != "http://empty" else []

        async def pull(self, on_progress):
            on_progress("far", 1, 2)
            Server.pulled = True

        async def complete(self, request):
            n = int(request.problem.question.split()[-1][:-1])
            if not request.steps and not request.constraint:
                return Completion("hm", usage=Usage(100, 10))
            call = {"name": "answer", "arguments": {"value": 2 * n}}
            return Completion(json.dumps({"call": call}), usage=Usage(1000, 200, 900, 50))

    class Trainer:
        needs = "pairs"

        def check(self, config):
            if set(config) - {"rate"}:
                raise DataError(f"there is no setting {min(set(config) - {'rate'})!r}")

        def train(self, student, data, config, out, progress, resume=False):
            self.check(config)
            if resume and (out / "callsmith.json").exists():
                return TrainedModel(out, 1, 0.1, {"loss": 0.5})
            out.mkdir(parents=True)
            progress({"step": 1, "steps": 1, "loss": 0.5})
            marker = {"steps": 1, "seconds": 0.1, "metrics": {"loss": 0.5}, "facts": data.facts}
            (out / "callsmith.json").write_text(json.dumps(marker, default=str))
            return TrainedModel(out, 1, 0.1, {"loss": 0.5}, ("it fell [/b]",))
'''


class Done(NamedTuple):
    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        return json.loads(self.output)


Run = Callable[[str], Done]


def install(folder: Path, distribution: str, code: str) -> None:
    module = distribution.replace("-", "_")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[callsmith]\n{module} = {module}\n")
    (folder / f"{module}.py").write_text(textwrap.dedent(code))


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Runs ``callsmith`` with arguments written as in a shell, in an empty folder of its own."""
    site = tmp_path / "site"
    site.mkdir()
    install(site, "callsmith-toy", TOY)
    monkeypatch.syspath_prepend(site)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.delenv("CALLSMITH_HOME", raising=False)
    monkeypatch.delenv("CALLSMITH_DISABLE", raising=False)
    # One of ours that is not installed.
    monkeypatch.setitem(HOMES["backends"], "away", "callsmith-away")
    monkeypatch.setitem(HOMES["tasks"], "gone", "callsmith-away")
    load_registry.cache_clear()

    def start(line: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["callsmith", *shlex.split(line)])
        code: Any = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        assert isinstance(code, int)
        return Done(code, *capsys.readouterr())

    yield start
    load_registry.cache_clear()
    for module in [name for name in sys.modules if name.startswith("callsmith_toy")]:
        del sys.modules[module]


def refused(run: Run, line: str) -> str:
    """The one sentence that a command fails with."""
    done = run(line)
    assert done.code == 2, done
    sentence = done.errors.strip().splitlines()[-1]
    assert sentence.startswith("Error: ")
    assert "Traceback" not in done.errors
    usage = done.errors.startswith("Usage: ")
    assert usage or len(done.errors.strip().splitlines()) == 1, done.errors
    return sentence.removeprefix("Error: ")


TEACH = "teach -t doubling -m toy:mixed"


# ---- the whole way ------------------------------------------------------------------------------


def test_a_run_is_made_listed_shown_exported_and_judged_again(run: Run, tmp_path: Path) -> None:
    done = run(f"{TEACH} --attempts 4 --temperature 1")
    assert done.code == 0
    assert "doubling-train-toy-mixed: 40 chains over 10 problems (40 new" in done.output
    assert "Next: callsmith pairs NAME doubling-train-toy-mixed" in done.output
    again = run(f"{TEACH} --attempts 4 --temperature 1 --json").json
    assert (again["new"], again["chains"]) == (0, 40)

    (listed,) = run("runs --json").json
    assert (listed["name"], listed["chains"], listed["state"]) == (
        ("doubling-train-toy-mixed", 40, "complete")
    )
    assert "doubling-train-toy-mixed" in run("runs").output

    shown = run("show doubling-train-toy-mixed --wrong -n 3")
    assert shown.output.count("✗") == 3
    assert "[/b] 2 × " in shown.output
    chains = run("show doubling-train-toy-mixed -n 2 --json").output.splitlines()
    key = json.loads(chains[0])["problem"]["question"].split()[-1]
    assert len(chains) == 2
    assert key.endswith("?")
    digits = shown.output.split("callsmith show doubling-train-toy-mixed ")[1][:8]
    one = run(f"show doubling-train-toy-mixed {digits} --attempt 1")
    assert "add(a=" in one.output
    assert "answer " in one.output
    assert json.loads(run(f"show doubling-train-toy-mixed {digits} --json").output)["steps"]

    exported = run("export doubling-train-toy-mixed out/chains.jsonl --json").json
    assert exported["chains"] == 40
    assert len(Path("out/chains.jsonl").read_text().splitlines()) == 40
    run("export doubling-train-toy-mixed out/chains.parquet")
    assert Path("out/chains.parquet").read_bytes()[:4] == b"PAR1"

    assert run("rescore doubling-train-toy-mixed --json").json == {
        "chains": 40,
        "to_correct": 0,
        "to_wrong": 0,
        "mended": 0,
    }


def test_from_chains_to_pairs_to_a_student_that_is_judged_on_other_problems(run: Run) -> None:
    run(f"{TEACH} --attempts 8 --temperature 1 --run r")
    paired = run("pairs first r --per-problem 2")
    assert paired.code == 0
    assert "first: " in paired.output
    assert "Next: callsmith train NAME --student MODEL --pairs first" in paired.output
    assert run("pairs second r --json").json["pairs"]["chain"] > 0

    trained = run("train dpo --student toy:mixed --trainer toy --pairs first -s rate=0.1")
    assert trained.code == 0, trained
    assert "dpo: 1 steps in 0.1 s" in trained.output
    assert "it fell [/b]" in trained.errors
    assert Path(".callsmith/models/dpo/callsmith.json").is_file()
    again = run("train dpo --student toy:mixed --trainer toy --pairs first -s rate=0.1")
    assert "dpo: trained before, 1 steps in 0.1 s" in again.output

    judged = run("eval -t doubling -m toy:mixed --against toy:right --and-without-functions --json")
    assert judged.code == 0
    assert judged.json["models"]["toy:right"]["accuracy"] == 1.0
    assert set(judged.json["comparisons"]) == {"toy:right", "toy:mixed without functions"}
    shown = run("eval -t doubling -m toy:mixed --against toy:right")
    assert "toy:mixed against toy:right: " in shown.output
    assert "McNemar" in shown.output


def test_ask_shows_every_step_and_the_end(run: Run) -> None:
    done = run("ask -t doubling -m toy:right --problem 3")
    assert done.output.splitlines()[0] == "[/b] 2 × 3?"
    assert "1 add(a=3, b=3) → 6" in done.output
    assert "answer 6  correct" in done.output
    chain = run("ask 'What is 2 × 7?' -m toy:wrong -f toy.add --json").json
    assert (chain["stop"], chain["answer"]) == ("answer", 15)
    assert chain["problem"] == {"question": "What is 2 × 7?"}


def test_what_a_model_says_cannot_write_to_the_terminal(run: Run) -> None:
    done = run("ask '2 × 1?' -m toy:silly")
    assert done.code == 0
    assert "\x1b[31m" not in done.output
    assert "[/b] " in done.output
    assert "no answer: stopped by gave_up" in done.output


def test_functions_and_tasks_are_listed_and_shown(run: Run) -> None:
    assert "Not [bold]." in run("functions").output
    assert "Example: add(a=1, b=2) -> 3" in run("functions toy.add").output
    (described,) = run("functions 'toy.*' --json").json
    assert described["schema"]["parameters"]["required"] == ["a", "b"]
    rows = {row["name"]: row for row in run("tasks --json").json}
    assert rows["doubling"]["splits"] == ["train", "test", "nothing"]
    assert "needs the option 'path'" in rows["jsonl"]["description"]
    assert "what two of a number make [/red]" in run("tasks").output
    shown = run("tasks doubling -n 1").output
    assert "gold 0" in shown
    assert "add(a=0.0, b=0.0)" in shown
    assert len(run("tasks doubling --split test -n 4 --json").json) == 4
    checked = run("check-task doubling")
    assert checked.code == 0
    assert "10 of 10 reference chains give the gold answer" in checked.output


def test_a_task_with_something_wrong_in_it_fails_its_check(run: Run) -> None:
    Path("p.jsonl").write_text('{"question": "2 + 2?", "answer": 4}\n' * 2)
    assert run("check-task p.jsonl").code == 0
    Path("p.jsonl").write_text(
        '{"question": "2 + 2?", "answer": 4}\n{"question": "2 + 2?", "answer": 4, "split": "test"}'
    )
    done = run("check-task p.jsonl")
    assert done.code == 2
    assert "train and test share 1 problems" in done.output
    assert run("check-task p.jsonl --json").code == 2


def test_plain_files_do_for_functions_and_problems(run: Run) -> None:
    Path("mine.py").write_text(
        'def add(a: float, b: float) -> float:\n    """Add b to a."""\n    return a + b\n'
    )
    rows = [{"question": f"2 × {n}?", "answer": str(2 * n)} for n in range(4)]
    Path("mine.jsonl").write_text("\n".join(map(json.dumps, rows)))

    assert "mine.add" in run("functions mine.py").output
    assert "gold 6" in run("tasks mine.jsonl --answer text -n 4").output
    assert run("check-task mine.jsonl --answer label").code == 0
    asked = run("ask 'What is 2 × 7?' -m toy:right -f mine.py --json")
    assert json.loads(asked.output)["steps"][0]["results"][0]["value"] == 14

    line = "--problems mine.jsonl --answer number -f mine.py -m toy:right --json"
    assert run(f"teach {line}").json["accuracy"] == 1
    measured = run(f"eval {line} --split train --run judged").json
    assert measured["models"]["toy:right"]["grounded"] == 1
    assert json.loads(run(f"ask {line} --problem 3").output)["answer"] == 6

    # What the functions do is part of what the run is.
    Path("mine.py").write_text(Path("mine.py").read_text() + "\n# Rounded.\n")
    assert "functions was" in refused(run, f"teach {line}")


def test_a_pack_is_named_alone_or_with_a_star(run: Run) -> None:
    one, other = run("functions toy --json").json, run("functions 'toy.*' --json").json
    assert [f["name"] for f in one] == ["toy.add"]
    assert one == other


def test_plugins_and_what_is_wrong_with_them(run: Run, tmp_path: Path) -> None:
    install(tmp_path / "site", "callsmith-bad", "raise ValueError('no [/luck]')")
    load_registry.cache_clear()
    done = run("plugins")
    assert done.code == 0
    assert "backends served, toy" in done.output
    assert "broken: callsmith-bad 1.0: ValueError: no [/luck]" in done.output
    assert run("plugins --strict").code == 2
    listed = run("plugins --json").json
    assert [broken["distribution"] for broken in listed["broken"]] == ["callsmith-bad"]
    assert set(listed) == {"plugins", "broken", "clashes", "slow", "disabled"}


def test_a_pack_that_cannot_be_imported_keeps_no_other_from_being_listed(
    run: Run, tmp_path: Path
) -> None:
    code = """
        from callsmith.hookspecs import hookimpl

        @hookimpl
        def callsmith_functions():
            return {"half": "callsmith_half.missing:pack"}
    """
    install(tmp_path / "site", "callsmith-half", code)
    load_registry.cache_clear()
    done = run("functions")
    assert done.code == 0
    assert "toy.add" in done.output
    assert "half" in done.errors
    assert run("plugins").code == 0
    strict = run("plugins --strict")
    assert strict.code == 2
    assert "callsmith-half" in strict.errors


def test_a_recipe_is_planned_and_run(run: Run) -> None:
    Path("r.toml").write_text(
        'name = "small"\ntask = "doubling"\n[[teach]]\nrun = "a"\nmodel = "toy:mixed"\n'
        "attempts = 4\ntemperature = 1.0\n"
        '[[pairs]]\nname = "p"\nruns = ["a"]\n'
        '[[train]]\nname = "t"\nstudent = "toy:mixed"\ntrainer = "toy"\npairs = "p"\n'
        '[[eval]]\nsplit = "test"\nmodels = [{ label = "before", model = "toy:mixed" }]\n'
    )
    plan = run("run r.toml --dry-run --json").json
    assert plan["missing"] == []
    assert plan["turns"] == 24 * 50
    assert not Path(".callsmith").exists(), "a plan touches nothing"
    assert "Nothing is missing." in run("run r.toml --dry-run").output
    done = run("run r.toml")
    assert done.code == 0, done
    assert "a: 40 chains of toy:mixed (40 new)" in done.output
    assert Path(".callsmith/outcomes/small.json").is_file()
    assert "made anew" not in done.output
    again = run("run r.toml")
    assert "a: 40 chains of toy:mixed (0 new)" in again.output
    assert "t: trained before" in again.output
    assert "all was done before, nothing was made anew" in again.output
    # Another recipe may judge models under the same labels, in the same workspace.
    Path("other.toml").write_text(
        'name = "other"\ntask = "doubling"\nseed = 1\n'
        '[[eval]]\nsplit = "test"\nmodels = [{ label = "before", model = "toy:right" }]\n'
    )
    assert run("run other.toml").code == 0


def test_a_recipe_is_refused_before_anything_runs(run: Run) -> None:
    """What would otherwise be found out after a night of teaching."""
    text = (
        'name = "small"\ntask = "doubling"\n[[teach]]\nrun = "a"\nmodel = "toy:mixed"\n'
        '[[pairs]]\nname = "p"\nruns = ["a"]\n'
        '[[train]]\nname = "t"\nstudent = "toy:mixed"\ntrainer = "toy"\npairs = "p"\n'
        '[[eval]]\nsplit = "train"\nmodels = [{ label = "before", model = "toy:mixed" }]\n'
    )
    Path("same.toml").write_text(text)
    for line in ("run same.toml", "run same.toml --dry-run"):
        assert "10 problems of teach a are to be judged on by an eval" in refused(run, line)
    Path("gone.toml").write_text(
        text.replace('"train"\nmodels', '"test"\nmodels').replace(
            'label = "before", model = "toy', 'label = "before", model = "away'
        )
    )
    assert "pip install callsmith-away" in refused(run, "run gone.toml")
    assert not Path(".callsmith/callsmith.db").exists()


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("teech", "there is no command 'teech'; did you mean teach?"),
        ("teach -t doublin -m toy:right", "there is no task 'doublin'; did you mean doubling?"),
        ("teach -t gone -m toy:right", "install it with: pip install callsmith-away"),
        ("teach -t doubling -m tyo:right", "there is no backend 'tyo'; did you mean toy"),
        ("teach -t doubling -m toy:left", "there is no model toy:left"),
        ("teach -t doubling -m away:x", "pip install callsmith-away"),
        ("teach -t doubling -m nobody", "there is no trained model 'nobody' in .callsmith, and"),
        (f"{TEACH} -f toy.ad", "there is no function 'ad' in toy; did you mean add?"),
        (f"{TEACH} -f tyo.add", "there is no function pack 'tyo'; did you mean toy?"),
        (f"{TEACH} -f add", "toy.add?)"),
        (f"{TEACH} -f addition", "(write PACK, PACK.NAME or FILE.py)"),
        (f"{TEACH} --dialect native", "toy:mixed does not do the native dialect"),
        (f"{TEACH} --split tst", "has no split 'tst': did you mean test?"),
        (f"{TEACH} --split nothing", "split 'nothing' of task doubling is empty"),
        (f"{TEACH} -O sise=3", "task 'doubling' has no option 'sise'; did you mean size?"),
        (f"{TEACH} -O size", "the option 'size' has no value: write KEY=VALUE"),
        (f"{TEACH} -o lout=1", "backend 'toy' has no option 'lout'; did you mean loud?"),
        (f"{TEACH} -O broken=true", "the verifier of task doubling failed on '[/b] 2 × "),
        (f"{TEACH} -n 0", "0 is not in the range x>=1"),
        (f"{TEACH} --home site.txt/x", "the folder site.txt/x can't be made (Not a directory)"),
        ("runs --home site.txt", "'site.txt' is a file"),
        ("runs --home /proc/here", "the folder /proc/here can't be made"),
        ("show nothing", "there is no run 'nothing' in .callsmith/callsmith.db; there are none"),
        ("rescore nothing", "there is no run 'nothing'"),
        ("export nothing x.jsonl", "there is no run 'nothing'"),
        ("pairs p nothing", "there is no run 'nothing'"),
        ("train t --student toy:right --pairs p", "there are no pairs called 'p'"),
        ("train t --student toy:right", "give --pairs NAME or --runs RUN"),
        ("functions toy.sub", "there is no function 'sub' in toy; there are add"),
        ("tasks doubling --split tst", "has no split 'tst'"),
        ("check-task doublin", "there is no task 'doublin'; did you mean doubling?"),
        ("ask -m toy:right", "give a question, or --problem N of a task"),
        ("ask -m toy:right --problem 1", "--problem N is of a task: say which with --task"),
        ("teach -m toy:right", "say which problems: --task NAME, or --problems FILE"),
        ("eval -m toy:right", "say which problems: --task NAME, or --problems FILE"),
        ("teach -t good.jsonl -m toy:right", "give a file as --problems good.jsonl"),
        (f"{TEACH} --problems good.jsonl", "give --task NAME or --problems FILE, not both"),
        (f"{TEACH} --answer text", "--answer says how answers in a file are compared"),
        ("teach --problems site.txt -m toy:right", "called something.jsonl, not site.txt"),
        ("tasks good.jsonl -O answer=text", "say --answer text"),
        ("check-task doubling --answer text", "--answer says how answers in a file"),
        (f"{TEACH} -f absent.py", "can't read absent.py: No such file"),
        ("functions good.py", "good.py has no functions: write a typed one"),
        ("ask -m toy:right -t doubling --problem 10", "train has problems 0 to 9"),
        ("ask 'What?' -m reference", "the model 'reference' needs reference chains"),
        ("run nothing", "there is no recipe 'nothing'"),
        ("run nothing.toml", "the recipe nothing.toml can't be read: No such file or directory"),
        ("run site.txt", "site.txt is no valid TOML"),
        ("run empty.toml", "empty.toml has nothing to do"),
        ("teach --problems absent.jsonl -m toy:right", "can't read absent.jsonl: No such file"),
        ("teach --problems broken.jsonl -m toy:right", "broken.jsonl, line 2: the line is no JSON"),
        (
            "teach --problems gold.jsonl -m toy:right",
            "gold.jsonl, line 1: the problem has no 'answer'",
        ),
        ("teach --problems empty.jsonl -m toy:right", "empty.jsonl is empty: it needs a line"),
        (
            "teach --problems half.jsonl -m toy:right",
            "half.jsonl, line 1: the answer can't be used",
        ),
        (
            "teach --problems nan.jsonl -m toy:right",
            "nan.jsonl, line 1: the line is no JSON (a number",
        ),
        (
            "teach --problems bytes.jsonl -m toy:right",
            "can't read bytes.jsonl: it is not UTF-8 text",
        ),
        (
            "teach --problems good.jsonl -m toy:right -O anwser=text",
            "no option 'anwser'; did you mean answer",
        ),
        ("eval -t doubling -m toy:right --against nobody", "there is no trained model 'nobody'"),
        ("pairs a/b some-run", "pairs can't be called 'a/b'"),
        ("export some-run -", "for a pipe there is callsmith show RUN --json"),
        ("ask -t doublin -m toy:right", "there is no task 'doublin'; did you mean doubling?"),
        (f"{TEACH} --run 'a/b c'", "a run can't be called 'a/b c'"),
    ],
)
def test_bad_input_is_answered_in_one_sentence(run: Run, line: str, sentence: str) -> None:
    Path("site.txt").write_text("no recipe, and no folder")
    Path("empty.toml").write_text("")
    good = '{"question": "2 + 2?", "answer": 4}\n'
    Path("good.jsonl").write_text(good)
    Path("good.py").write_text("import os")
    Path("broken.jsonl").write_text(f'{good}{{"question": }}\n')
    Path("gold.jsonl").write_text('{"question": "2 + 2?"}\n')
    Path("empty.jsonl").write_text("\n")
    Path("half.jsonl").write_text('{"question": "2 + 2?", "answer": "a few"}\n')
    Path("nan.jsonl").write_text('{"question": "2 + 2?", "answer": NaN}\n')
    Path("bytes.jsonl").write_bytes(b'{"question": "\xff"}\n')
    assert sentence in refused(run, line)


def test_conversations_that_do_not_fit_are_counted_and_say_why(run: Run) -> None:
    said = run("teach -t doubling -m toy:short --run r -n 3").output
    assert "no answer: stopped by context 3" in said
    key = re.search(r"show r (\w+)", run("show r").output)
    assert key
    shown = run(f"show r {key[1]}").output
    assert "no answer: stopped by context (it has 90 tokens, the model reads 80)" in shown


def test_a_server_that_was_away_is_told_of_in_the_log_and_at_the_end(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsmith.waiting.QUIET", 0.0)
    done = run("teach -t doubling -m toy:away --run r -n 2")
    assert re.match(r"\d\d:\d\d:\d\d waiting for the server: it is \[away\]\n", done.errors)
    assert re.search(r"\n\d\d:\d\d:\d\d the server is back after 0:00:0\d\n", done.errors)
    assert "retries 1, the last since it is [away]" in done.output
    told = run("teach -t doubling -m toy:away --run s -n 2 --json").json
    assert (told["retries"], told["trouble"]) == (1, "it is [away]")


def test_a_start_that_is_refused_does_not_take_the_runs_name(run: Run) -> None:
    sentence = "top_p is no extra of sampling: it is a setting of its own"
    assert refused(run, f"{TEACH} --run r -n 2 --extra top_p=0.5") == sentence
    assert "another turn" in refused(run, "teach -t doubling -m toy:refusing --run r -n 2")
    assert "2 chains over 2 problems" in run(f"{TEACH} --run r -n 2").output


def test_a_run_that_exists_with_another_configuration_is_refused_with_the_difference(
    run: Run,
) -> None:
    run(f"{TEACH} --run r -n 2")
    assert refused(run, f"{TEACH} --run r --seed 5 --top-p 0.5") == (
        "run 'r' exists with another configuration: sampling.top_p was 1.0, now 0.5; "
        "seed was 0, now 5; choose another name with --run, another folder with --home, or start "
        "it as it was"
    )
    shots = refused(run, "teach -t doubling -m toy:right --run r")
    assert 'model was "toy:mixed", now "toy:right"' in shots
    changeable = run(f"{TEACH} --run r -n 5 --attempts 2 --steps 9 -j 3 --max-retries 1 --json")
    assert changeable.json["new"] == 8


@pytest.mark.parametrize(
    ("model", "why"),
    [("right", "all 10 chains are correct"), ("wrong", "all 10 chains are incorrect")],
)
def test_without_pairs_it_is_said_why(run: Run, model: str, why: str) -> None:
    run(f"teach -t doubling -m toy:{model} --run r")
    assert why in refused(run, "pairs p r")


def test_a_training_that_cannot_be_is_refused_before_it_begins(run: Run) -> None:
    run(f"{TEACH} --attempts 8 --temperature 1 --run r")
    run("pairs p r")
    train = "--student toy:mixed --pairs p"
    for line, sentence in [
        (f"train t {train} --trainer tyo", "there is no trainer 'tyo'; did you mean toy?"),
        (f"train t {train} --trainer toy -s rat=1", "there is no setting 'rat'"),
        (f"train a/b {train} --trainer toy", "a model can't be called 'a/b'"),
        (f"train .. {train} --trainer toy", "a model can't be called '..'"),
        ("train t --student reference --pairs p --trainer toy", "reference can't be trained"),
        (f"train t {train} --trainer toy --equal-steps-to u", "no trained model 'u' in .callsmith"),
        ("train t --student toy:mixed --runs q --trainer toy", "there is no run 'q'"),
    ]:
        assert sentence in refused(run, line), line
    assert not Path(".callsmith/models").exists()


def test_a_model_is_not_judged_on_what_it_learned_from(run: Run) -> None:
    run(f"{TEACH} --attempts 8 --temperature 1 --run r")
    run("pairs p r")
    run("train t --student toy:mixed --trainer toy --pairs p")
    sentence = refused(run, "eval -t doubling -m t --split train")
    assert sentence.startswith("t was trained on ")
    assert sentence.endswith(" of the 10 problems of doubling/train: judge it on another split")


def test_problems_that_a_model_was_judged_on_make_no_pairs(run: Run) -> None:
    run("eval -t doubling -m toy:right")
    run(f"{TEACH} --split test --attempts 8 --temperature 1 --run leak")
    assert "judged" in refused(run, "pairs p leak")


def test_a_full_disk_is_said_in_one_sentence(run: Run, tmp_path: Path) -> None:
    """Files can't grow past a limit: what a full disk does, without filling one."""
    program = [sys.executable, "-m", "callsmith", "teach", "-t", "doubling", "-m", "toy:right"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))

    done = subprocess.run(
        [*program, "-O", "size=3000"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
    )
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "callsmith.db" in done.stderr


# ---- the terminal -------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 130])
def test_tables_fit_the_terminal_with_a_line_for_each_row(
    run: Run, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "width", width)
    long = "a-run-with-a-name-that-is-far-longer-than-anybody-would-want-it-to-be"
    run(f"{TEACH} --run {long} --attempts 3 --temperature 1")
    run(f"{TEACH} --run short")
    for line, rows in [("runs", 2), (f"show {long} -n 7", 7)]:
        lines = run(line).output.splitlines()
        table = lines[
            : next(n for n, said in enumerate(lines) if "Next:" in said or " shown" in said)
        ]
        assert len(table) == rows + 1, lines
        assert all(len(said) <= width for said in table)
    lines = run("eval -t doubling -m toy:mixed --against toy:right").output.splitlines()
    table = [said for said in lines if "%" in said and " – " in said]
    assert len(table) == 2
    assert all(len(said) <= width for said in table)


def test_a_pipe_is_given_whole_names() -> None:
    code = "from callsmith.cli.common import console; print(console.width)"
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert int(done.stdout) >= 160


def test_every_command_has_help_with_an_example_that_it_understands(run: Run) -> None:
    whole = run("--help").output
    for name, line in cli.COMMANDS.items():
        assert name in whole
        assert line in whole
        shown = run(f"{name} --help")
        assert shown.code == 0
        assert "Example" in shown.output
        assert f"callsmith {name}" in shown.output
        options = {word for word in shown.output.split() if word.startswith("--")}
        examples = shown.output.partition("Example")[2].partition("Options:")[0]
        used = {word for word in examples.split() if word.startswith("--")}
        assert used <= {option.rstrip(",") for option in options}


# ---- starting -----------------------------------------------------------------------------------

HEAVY = "torch transformers trl peft datasets sympy z3 scipy matplotlib pydantic jsonschema lark"


@pytest.mark.parametrize("arguments", [["--help"], ["plugins"], ["teach", "--help"]])
def test_the_help_and_the_list_of_plugins_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, time\n"
        "from callsmith.cli import main\n"
        f"sys.argv = ['callsmith', *{arguments!r}]\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    found = set({HEAVY!r}.split()) & set(sys.modules)\n"
        "    print(sorted(found), time.process_time(), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, _, seconds = done.stderr.strip().rpartition(" ")
    print(f"callsmith {' '.join(arguments)}: {float(seconds):.2f} s of CPU")
    allowed = {"teach --help": {"pydantic", "jsonschema"}}.get(" ".join(arguments), set())
    assert set(json.loads(heavy.replace("'", '"'))) <= allowed
    assert float(seconds) < 3


# ---- servers ------------------------------------------------------------------------------------


def test_the_models_of_a_server_are_listed(run: Run) -> None:
    shown = run("models served@http://h:1/v1").output
    assert re.search(r"near +4\.7 GB +8,192 +yes +http://h:1/v1", shown)
    assert "-m served:near@http://h:1/v1" in shown
    assert [model["name"] for model in run("models served --json").json] == ["near", "far"]
    assert "no models on served@http://empty" in run("models served@http://empty").output
    assert refused(run, "models reference").startswith("the model 'reference' is no server")


def test_the_model_to_try_next_is_one_that_can_and_is_asked_with_the_same_options(run: Run) -> None:
    shown = run("models served@http://mixed -o key_env=MY_KEY").output
    assert re.search(r"embeds +no +1B, does not chat", shown)
    assert "-m served:able@http://mixed -o key_env=MY_KEY asks one" in shown


def test_models_trained_here_are_listed_with_what_they_were_made_of(run: Run) -> None:
    assert "no models trained in" in run("models").output
    run(f"{TEACH} --attempts 8 --temperature 1 --run r")
    run("pairs p r")
    run("train mine --trainer toy --student toy:right --pairs p -t doubling")
    assert re.search(r"mine .*toy of toy:right", run("models").output)


def test_a_model_is_fetched_first_if_that_is_asked_for(run: Run) -> None:
    line = "teach -t doubling -m served:far --dialect json"
    assert refused(run, line) == "there is no model far: fetch it with --pull"
    assert run(f"{line} --pull").code == 0
    assert "toy:right can't be fetched" in refused(run, "ask '2 × 1?' -m toy:right --pull")


def test_auto_says_what_it_chose_and_why_before_the_first_problem(run: Run) -> None:
    line = "teach -t doubling -m served:near"
    assert run(line).errors.strip() == "dialect native: toys take tools"
    assert run(f"{line} --dialect text --run text").errors.strip() == ""


def test_tokens_are_added_up_and_priced(run: Run) -> None:
    line = "teach -t doubling -m served:near"
    done = run(f"{line} --price 0.5,2")
    spent = "11,000 tokens read (9,000 cached), 2,100 written (500 to reason)"
    assert f"{spent}; cost 0.0097" in done.output
    report = run(f"{line} --price 0.5,2 --json").json
    assert report["cost"] == pytest.approx(0.0097)
    assert report["usage"] == {
        "prompt": 11_000,
        "completion": 2_100,
        "cached": 9_000,
        "reasoning": 500,
    }
    assert "cost" not in run(f"{line} --json").json
    for wrong in ("1", "a,b", "1,2,3", "-1,2", "inf,1"):
        assert "as 0.4,1.6" in refused(run, f"{line} --price {wrong}")


def test_the_effect_of_constraining_is_measured_on_the_same_problems(run: Run) -> None:
    done = run("eval -t doubling -m served:near --constrain --and-unconstrained")
    assert "turns with a fault: 50.0% unconstrained, 0.0% constrained" in done.output
    chain = json.loads(run("show doubling-test-served-near-constrained-free -n 1 --json").output)
    assert chain["setup"]["dialect"] == "json"
    assert chain["steps"][0]["fault"]["kind"] == "no_call"
    held = json.loads(run("show doubling-test-served-near-constrained -n 1 --json").output)
    assert held["setup"]["constrained"] is True
    assert "can't hold a model to valid calls" in refused(run, f"{TEACH} --constrain")
    text = "teach -t doubling -m served:near --constrain --dialect text"
    assert "use --dialect json" in refused(run, text)


def test_what_is_passed_to_the_server_is_recorded(run: Run) -> None:
    run("teach -t doubling -m served:near -n 1 --extra top_k=20 --extra mode=fast --stop ; --run r")
    sampling = json.loads(run("show r --json").output)["setup"]["sampling"]
    assert sampling["extra"] == {"top_k": 20, "mode": "fast"}
    assert sampling["stop"] == [";"]


def test_a_url_with_a_password_is_refused_before_it_is_recorded(run: Run) -> None:
    line = "teach -t doubling -m served:near@http://me:secret@h/v1"
    assert "must not hold a user or a password" in refused(run, line)
    assert not Path(".callsmith").exists()
