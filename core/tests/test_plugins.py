"""Each test installs tiny distributions: a .dist-info folder and a module, as pip would."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest

from callsmith.backends import ReplayBackend
from callsmith.chain import Chain, Problem
from callsmith.discovery import discover
from callsmith.errors import DataError, PluginError, Rejected
from callsmith.functions import function
from callsmith.plugins import Registry

GOOD = """
    from callsmith.hookspecs import hookimpl

    @hookimpl
    def callsmith_tasks():
        return {"chess": "json:loads"}
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution on the import path; its module is named after it."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def put(
        distribution: str,
        code: str = GOOD,
        requires: str = "callsmith>=0.1,<0.2",
        name: str = "",
    ) -> None:
        module = distribution.replace("-", "_")
        # The real one, where it is installed, may have been imported by another test.
        monkeypatch.delitem(sys.modules, module, raising=False)
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir()
        requirement = f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n{requirement}"
        )
        (info / "entry_points.txt").write_text(f"[callsmith]\n{name or module} = {module}\n")
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(code))

    yield put
    for imported in set(sys.modules) - before:
        del sys.modules[imported]


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Registry]:
    """The registry of what was installed, under callsmith 0.1.0."""

    def make(disable: tuple[str, ...] = ()) -> Registry:
        distributions = metadata.distributions(path=[str(tmp_path)])
        return Registry(discover(distributions, "0.1.0", disable))

    return make


Load = Callable[..., Registry]


def test_a_plugin_is_found_and_what_it_provides_is_listed(install: Install, load: Load) -> None:
    install("callsmith-chess", name="chess")
    registry = load()
    plugin = registry.plugins[-1]
    assert (plugin.name, plugin.distribution, plugin.version) == ("chess", "callsmith-chess", "1.2")
    assert plugin.provides == {"tasks": ["chess"]}
    assert "chess" in registry.names("tasks")
    assert registry.versions["callsmith-chess"] == "1.2"
    assert not registry.broken


def test_built_in_parts_come_through_the_same_hooks(load: Load) -> None:
    registry = load()
    assert registry.names("backends") == ["langchain", "reference"]
    assert registry.plugins[0].distribution == "callsmith"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("raise BaseException", "BaseException"),
        ("def f(:", "SyntaxError"),
        ("class E(Exception):\n  def __str__(self): raise E\nraise E", "E"),
        (GOOD.replace("callsmith_tasks", "callsmith_taks"), "unknown hook 'callsmith_taks'"),
        (GOOD.replace("tasks()", "tasks(game)"), "game"),
        (GOOD.replace('return {"chess": "json:loads"}', "1 / 0"), "ZeroDivisionError"),
        (GOOD.replace('{"chess": "json:loads"}', "['chess']"), "not a mapping"),
        (GOOD.replace('{"chess": "json:loads"}', "None"), "not a mapping"),
        (GOOD.replace('"json:loads"', "dict"), "gave <class 'dict'> for 'chess'"),
        (GOOD.replace("json:loads", "json.loads"), "gave 'json.loads' for 'chess'"),
        (GOOD.replace('"chess"', "7"), "gave 7 as a name"),
        (GOOD.replace('"chess"', "'a:b'"), "gave 'a:b' as a name"),
    ],
)
def test_a_broken_plugin_is_named_with_its_reason_and_breaks_nothing_else(
    install: Install, load: Load, code: str, expected: str
) -> None:
    install("another", GOOD.replace("chess", "go"))
    install("broken-one", code)
    install("still-another", GOOD.replace("chess", "shogi"))
    registry = load()
    (broken,) = registry.broken
    assert (broken.distribution, broken.version) == ("broken-one", "1.2")
    assert expected in broken.reason
    assert "\n" not in broken.reason
    assert {"go", "shogi"} <= set(registry.names("tasks"))
    assert "chess" not in registry.names("tasks")


@pytest.mark.parametrize("requires", ["callsmith>=0.2", "CallSmith<0.1", "callsmith!=0.1.0"])
def test_an_unmet_requirement_is_seen_before_the_import(
    install: Install, load: Load, requires: str, capfd: pytest.CaptureFixture[str]
) -> None:
    install("future", "print('imported')", requires)
    (broken,) = load().broken
    assert "it needs callsmith" in broken.reason
    assert "this is callsmith 0.1.0" in broken.reason
    assert "imported" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "requires", ["", "other>=9", "callsmith>=9; python_version < '3'", "callsmith; extra == 'x'"]
)
def test_a_requirement_that_does_not_apply_is_no_hindrance(
    install: Install, load: Load, requires: str
) -> None:
    install("fine", requires=requires)
    assert not load().broken


@pytest.mark.parametrize(
    ("requires", "met"),
    [
        *(("callsmith>=0.1", True), ("callsmith >= 0.1, < 0.2", True), ("callsmith (<0.2)", True)),
        *(("callsmith<0.1", False), ("callsmith>=0.1.1", False), ("callsmith>=0.1,<0.1.0", False)),
        *(("callsmith", True), ("callsmith~=0.1", True), ("callsmith==0.1.*", True)),
        *(("callsmith>0.1", False), ("Call_Smith>=9", True), ("callsmith-math>=9", True)),
        ("callsmith>=0.1.0.0 ; python_version > '3'", True),
    ],
)
def test_requirements_are_read_as_packaging_reads_them(
    install: Install, load: Load, requires: str, met: bool
) -> None:
    install("picky", requires=requires)
    assert (not load().broken) == met


def test_metadata_that_can_not_be_read_is_reported(
    install: Install, load: Load, tmp_path: Path
) -> None:
    install("nameless")
    install("garbled", requires="callsmith>=>1")
    install("mangled")
    install("fine")
    (tmp_path / "mangled-1.2.dist-info" / "entry_points.txt").write_text("[callsmith]\nmangled\n")
    (tmp_path / "nameless-1.2.dist-info" / "METADATA").unlink()
    registry = load()
    names = sorted(broken.distribution for broken in registry.broken)
    assert names == [f"a distribution in {tmp_path}", "garbled", "mangled"]
    assert registry.names("tasks") == ["chess", "jsonl"]


@pytest.mark.parametrize("name", ["go", "Dist_Of.Go", " dist-of-go"])
def test_a_disabled_plugin_is_not_imported(
    install: Install, load: Load, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    install("dist-of-go", "print('imported')", name="go")
    registry = load(disable=(name,))
    assert [disabled.distribution for disabled in registry.disabled] == ["dist-of-go"]
    assert not registry.broken
    assert "imported" not in "".join(capfd.readouterr())


def test_what_is_printed_while_loading_and_resolving_leaves_stdout_alone(
    install: Install, load: Load, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    install("noisy", GOOD.replace("json:loads", "target:it") + "\n    print('on import')")
    (tmp_path / "target.py").write_text("print('on use'); it = dict")
    load().resolve("tasks", "chess")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "on import" in shown.err
    assert "on use" in shown.err


def test_targets_are_imported_only_on_use(install: Install, load: Load, tmp_path: Path) -> None:
    install("lazy", GOOD.replace("json:loads", "lazy_target:thing.part"))
    (tmp_path / "lazy_target.py").write_text("class thing: part = dict")
    registry = load()
    assert "lazy_target" not in sys.modules
    assert registry.resolve("tasks", "chess") is dict


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("no_such:thing", "ModuleNotFoundError: No module named 'no_such'"),
        ("json:no_such", "no attribute 'no_such'"),
        ("quits:thing", "SystemExit: 3"),
    ],
)
def test_a_target_that_fails_names_its_distribution(
    install: Install, load: Load, tmp_path: Path, target: str, expected: str
) -> None:
    install("holder", GOOD.replace("json:loads", target))
    (tmp_path / "quits.py").write_text("raise SystemExit(3)")
    with pytest.raises(PluginError, match=expected) as raised:
        load().resolve("tasks", "chess")
    assert "task 'chess' of plugin holder 1.2 can't be used" in str(raised.value)


def test_of_two_claims_the_distribution_of_that_name_wins(install: Install, load: Load) -> None:
    install("callsmith-chess", GOOD.replace("json:loads", "json:dumps"))
    install("aaa", GOOD)
    registry = load()
    assert registry.resolve("tasks", "chess").__name__ == "dumps"
    (clash,) = registry.clashes
    assert "aaa (aaa)" in clash
    assert clash.endswith(": callsmith-chess keeps it")


def test_without_a_rightful_owner_nobody_has_the_name(install: Install, load: Load) -> None:
    install("one", GOOD)
    install("two", GOOD)
    registry = load()
    assert "chess" not in registry.names("tasks")
    with pytest.raises(PluginError, match="neither has it") as raised:
        registry.resolve("tasks", "chess")
    assert "one (one)" in str(raised.value)
    assert "two (two)" in str(raised.value)


def test_nobody_takes_a_built_in_name(install: Install, load: Load) -> None:
    install("callsmith-reference", GOOD.replace("tasks", "backends").replace("chess", "reference"))
    registry = load()
    assert registry.resolve("backends", "reference").__module__ == "callsmith.backends"
    assert "callsmith keeps it" in registry.clashes[0]


def test_an_unknown_name_is_answered_with_the_nearest(install: Install, load: Load) -> None:
    install("any")
    with pytest.raises(PluginError, match=r"no task 'ches'; did you mean chess\?"):
        load().task("ches")
    with pytest.raises(PluginError, match="no trainer 'x'; no plugin provides any"):
        load().trainer("x")


def test_our_own_plugins_that_are_missing_are_answered_with_the_way_to_get_them(load: Load) -> None:
    with pytest.raises(PluginError, match=r"pip install callsmith-ollama$"):
        load().backend("ollama:llama3.1:70b")
    with pytest.raises(PluginError, match=r"pip install callsmith-math$"):
        load().functions(["math.add"])
    with pytest.raises(PluginError, match="no task 'dpo'; there are jsonl"):
        load().task("dpo")


def test_a_name_is_missed_for_the_reason_its_plugin_is(install: Install, load: Load) -> None:
    install("callsmith-math", "import no_such_module", name="math")
    with pytest.raises(PluginError, match=r"callsmith-math 1\.2 is broken: ModuleNotFoundError"):
        load().task("gsm8k")
    with pytest.raises(PluginError, match="CALLSMITH_DISABLE disables callsmith-math"):
        load(("math",)).task("gsm8k")


PACK = """
    from callsmith.hookspecs import hookimpl
    from callsmith.functions import FunctionPack, function

    @hookimpl
    def callsmith_functions():
        return {"NAME": "MODULE:pack"}

    @function
    def add(a: float, b: float) -> float:
        \"\"\"Add.\"\"\"
        return a + b

    @function
    def NAME_only() -> int:
        \"\"\"Give 1.\"\"\"
        return 1

    pack = FunctionPack("Some.", [add, NAME_only])
"""


def test_functions_are_chosen_by_name_by_pack_or_as_they_are(install: Install, load: Load) -> None:
    install("one", PACK.replace("NAME", "sums").replace("MODULE", "one"))

    @function
    def mine(x: int) -> int:
        """Mine."""
        return x

    registry = load()
    assert list(registry.functions(["sums.add"])) == ["add"]
    chosen = registry.functions(["sums.add", "sums.*", mine])
    assert list(chosen) == ["add", "sums_only", "mine"]
    assert chosen["add"].qualified_name == "sums.add"
    assert chosen["add"](2, 3) == 5
    assert registry.functions(["sums.add"])["add"] is chosen["add"]


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("sums.ad", r"no function 'ad' in sums; did you mean add\?"),
        ("sum.add", r"no function pack 'sum'; did you mean sums\?"),
        ("add", r"no function pack 'add'; there are sums \(did you mean sums.add\?\)"),
        ("./sums", r"no function pack './sums'; did you mean sums\? \(write PACK, PACK.NAME or"),
    ],
)
def test_a_wrong_function_is_answered_with_the_nearest(
    install: Install, load: Load, ref: str, expected: str
) -> None:
    install("one", PACK.replace("NAME", "sums").replace("MODULE", "one"))
    with pytest.raises(PluginError, match=expected):
        load().functions([ref])


def test_two_functions_of_one_name_are_refused(install: Install, load: Load) -> None:
    install("one", PACK.replace("NAME", "sums").replace("MODULE", "one"))
    install("two", PACK.replace("NAME", "more").replace("MODULE", "two"))
    with pytest.raises(PluginError, match=r"sums\.add and more\.add .* leave one out, or rename"):
        load().functions(["sums.*", "more.add"])


def test_two_functions_of_one_name_in_a_pack_are_refused(install: Install, load: Load) -> None:
    code = PACK.replace("NAME", "sums").replace("MODULE", "one").replace("sums_only]", "add]")
    install("one", code)
    with pytest.raises(PluginError, match=r"'sums' of .* has two functions called add"):
        load().functions(["sums.*"])


def test_a_pack_must_be_one(install: Install, load: Load) -> None:
    install("one", GOOD.replace("tasks", "functions"))
    with pytest.raises(PluginError, match=r"function pack 'chess' of .* it is <function loads"):
        load().functions(["chess.*"])


MAKERS = """
    from callsmith.hookspecs import hookimpl
    from callsmith.tasks import BaseTask

    @hookimpl
    def callsmith_tasks():
        return {"toy": "makers:Toy", "half": "makers:Half", "bad": "makers:bad"}

    @hookimpl
    def callsmith_backends():
        return {"echo": "makers:Echo", "half": "makers:open_half"}

    class Toy(BaseTask):
        name = "toy"
        def __init__(self, path, size: "int | str" = 3, loud: bool = False):
            self.size = size
        def problems(self, split):
            return []

    class Half:
        name = "half"

    def bad():
        1 / 0

    class Echo:
        def __init__(self, name, *, task=None, heat=0):
            self.opened = (name, task, heat)
        async def prepare(self): ...
        async def complete(self, request): ...
        async def close(self): ...

    def open_half(name, *, task=None):
        return name
"""


def test_tasks_are_made_with_their_options(install: Install, load: Load) -> None:
    install("makers", MAKERS)
    registry = load()
    assert registry.task("toy", path="x", size=5).size == 5  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"task 'toy' has no option 'siz'; did you mean size\?"):
        registry.task("toy", path="x", siz=5)
    with pytest.raises(DataError, match="option 'size' of task 'toy' is a whole number or text"):
        registry.task("toy", path="x", size=[5])
    with pytest.raises(DataError, match="option 'loud' of task 'toy' is true or false, not 1"):
        registry.task("toy", path="x", loud=1)
    with pytest.raises(DataError, match=r"option 'size' of task 'toy' is .*, not True"):
        registry.task("toy", path="x", size=True)
    with pytest.raises(DataError, match="task 'toy' needs the option 'path'"):
        registry.task("toy")
    with pytest.raises(PluginError, match=r"makers 1\.2 can't be used: ZeroDivisionError"):
        registry.task("bad")
    with pytest.raises(PluginError, match="task 'half' is incomplete: it lacks description"):
        registry.task("half")


def test_backends_are_opened_by_scheme_and_name(install: Install, load: Load) -> None:
    install("makers", MAKERS)
    registry = load()
    assert registry.backend("echo:llama3.1:70b", heat=2).opened == ("llama3.1:70b", None, 2)
    assert registry.backend("echo").opened == ("", None, 0)
    with pytest.raises(PluginError, match="'half' is incomplete: it lacks prepare, complete"):
        registry.backend("half:x")
    with pytest.raises(DataError, match=r"backend 'echo' has no option 'hat'; did you mean heat\?"):
        registry.backend("echo:x", hat=1)
    with pytest.raises(DataError, match="backend 'reference' has no option 'heat'; it has none"):
        registry.backend("reference", heat=1)
    with pytest.raises(Rejected, match="replays chains, so name a task"):
        registry.backend("reference")
    with pytest.raises(PluginError, match=r"no backend 'ehco'; did you mean echo\?"):
        registry.backend("ehco:x")


def test_reference_replays_the_task(install: Install, load: Load) -> None:
    install("makers", MAKERS)
    registry = load()
    task = registry.task("toy", path="")
    task.reference = lambda problem: []  # type: ignore[attr-defined]
    assert isinstance(registry.backend("reference", task), ReplayBackend)


def test_recipes_are_files_of_a_package(install: Install, load: Load, tmp_path: Path) -> None:
    install("cook", GOOD.replace("tasks", "recipes").replace("json:loads", "kitchen:r/soup.toml"))
    (tmp_path / "kitchen" / "r").mkdir(parents=True)
    (tmp_path / "kitchen" / "__init__.py").touch()
    with pytest.raises(PluginError, match=r"kitchen has no file r/soup\.toml"):
        load().resolve("recipes", "chess")
    (tmp_path / "kitchen" / "r" / "soup.toml").write_text("salt = 1")
    assert load().resolve("recipes", "chess").read_text() == "salt = 1"


def test_observers_see_chains_and_their_errors_are_only_logged(
    install: Install, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    observer = """
        from callsmith.hookspecs import hookimpl
        seen = []

        @hookimpl
        def callsmith_on_chain(chain):
            seen.append(chain)
            ERROR
    """
    install("angry", observer.replace("ERROR", "raise SystemExit('no')"))
    install("calm", observer.replace("ERROR", ""))
    chain = Chain(Problem("1 + 1?"))
    with caplog.at_level(logging.WARNING):
        load().notify(chain)
    assert sys.modules["angry"].seen == sys.modules["calm"].seen == [chain]
    assert "angry failed on a chain: SystemExit: no" in caplog.text


def test_loading_what_is_installed_here_is_light_and_obeys_the_environment(
    install: Install, tmp_path: Path
) -> None:
    install("go-player", name="go")
    install("shogi-player", GOOD.replace("chess", "shogi"), name="shogi")
    code = """
        import sys
        from callsmith.plugins import load_registry
        registry = load_registry()
        assert registry is load_registry()
        assert [disabled.name for disabled in registry.disabled] == ["go"]
        assert "shogi" in registry.names("tasks")
        assert not {"torch", "transformers", "pydantic", "sympy", "asyncio"} & set(sys.modules)
    """
    environment = {"CALLSMITH_DISABLE": "nothing, go-player,", "PYTHONPATH": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=os.environ | environment, check=True
    )
