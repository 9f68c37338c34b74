"""What SECURITY.md says of our own sources, and of where a model's words end up."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

import click
import pytest

from callsmith.agent import Limits
from callsmith.chain import Call, Chain, Problem, Result, Step, Verdict
from callsmith.cli import callsmith
from callsmith.store import Store

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("core/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")])

BUILTINS = {"eval", "exec", "compile", "__import__", "execfile"}
METHODS = {
    *(
        "sympify",
        "parse_expr",
        "lambdify",
        "nsimplify",
        "literal_eval",
        "format_map",
        "from_string",
    ),
    *("system", "popen", "create_subprocess_shell", "Markup"),
}
BY_NAME = {"getattr", "setattr", "delattr", "import_module", "attrgetter", "methodcaller"}
PROCESSES = {"Popen", "run", "check_output", "check_call", "create_subprocess_exec"}
MODULES = {"pickle", "marshal", "shelve", "yaml", "code", "codeop"}

EXPORTS = "the names of a package's own exports"
REGISTERED = "a plugin says where its thing is, and an installed plugin is code that you trust"
FIELDS = "the fields of a dataclass of ours"

ALLOWED = {
    "core/callsmith/__init__.py: getattr": EXPORTS,
    "core/callsmith/__init__.py: import_module": EXPORTS,
    "core/callsmith/langchain/__init__.py: getattr": EXPORTS,
    "core/callsmith/langchain/__init__.py: import_module": EXPORTS,
    "callsmith-dpo/callsmith_dpo/__init__.py: getattr": EXPORTS,
    "callsmith-logic/callsmith_logic/__init__.py: getattr": EXPORTS,
    "callsmith-logic/callsmith_logic/__init__.py: import_module": EXPORTS,
    "callsmith-math/callsmith_math/__init__.py: getattr": EXPORTS,
    "callsmith-math/callsmith_math/__init__.py: import_module": EXPORTS,
    "core/callsmith/cli/__init__.py: getattr": "a command of ours, from a fixed table",
    "core/callsmith/cli/__init__.py: import_module": "a command of ours, from a fixed table",
    "core/callsmith/plugins.py: getattr": REGISTERED,
    "core/callsmith/plugins.py: import_module": REGISTERED,
    "core/callsmith/discovery.py: getattr": "the hooks of hookspecs, from a fixed list",
    "core/callsmith/isolation.py: getattr": "where a function that was registered is to be found",
    "core/callsmith/isolation.py: Popen": "starts worker.py, by a list of arguments, no shell",
    "core/callsmith/worker.py: getattr": "the function that the parent names, never a model",
    "core/callsmith/worker.py: import_module": "the function that the parent names, never a model",
    "core/callsmith/langchain/models.py: getattr": "the factory that the user names as the model",
    "core/callsmith/langchain/models.py: import_module": "the factory that the user names",
    "core/callsmith/configs.py: getattr": FIELDS,
    "core/callsmith/testing/wire_checks.py: getattr": FIELDS,
    "core/callsmith/testing/trial.py: format": "the log's own formatter, given a record",
    "callsmith-dpo/callsmith_dpo/settings.py: getattr": FIELDS,
    "core/callsmith/reading.py: literal_eval": "after a scanner that lets only literals through",
    "core/callsmith/tables.py: execute": "the schema, and two numbers of ours",
    "callsmith-math/callsmith_math/arithmetic.py: getattr": "one of FUNCTIONS, as the parser says",
    "callsmith-math/callsmith_math/symbolic.py: getattr": "one of FUNCTIONS, as the parser says",
    "callsmith-math/callsmith_math/wordproblems/template.py: format_map": "templates of ours",
    "core/callsmith/testing/imports.py: run": "python, on the module of a pack to be checked",
    "callsmith-mcp/callsmith_mcp/watch.py: Popen": "ends the server that the user named, no shell",
    "callsmith-report/callsmith_report/page.py: getattr": "filters of ours, by name",
    "callsmith-tiny/callsmith_tiny/card.py: format": "a text of ours",
    "callsmith-transformers/callsmith_transformers/exporting.py: getattr": "from a list",
    "callsmith-transformers/callsmith_transformers/modelfile.py: getattr": "settings, from a list",
}
"""What our sources do that could run text, each with the reason why no model's text gets there."""


def _called(call: ast.Call) -> str:
    function = call.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _risk(node: ast.AST) -> str:
    """The name of what could run text, if the node is such; empty for all else."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        named = {alias.name.partition(".")[0] for alias in node.names}
        named |= {(node.module or "") if isinstance(node, ast.ImportFrom) else ""}
        return ", ".join(sorted(named & MODULES))
    if isinstance(node, ast.keyword) and node.arg == "shell":
        return "shell"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        # A template that is no constant, filled by %: numbers are not divided by these.
        filled = isinstance(node.right, ast.Tuple | ast.Dict)
        return "%" if filled and not isinstance(node.left, ast.Constant) else ""
    if not isinstance(node, ast.Call):
        return ""
    name, bare = _called(node), isinstance(node.func, ast.Name)
    constant = [isinstance(argument, ast.Constant) for argument in node.args]
    if (bare and name in BUILTINS) or name in METHODS:
        return name
    if name in BY_NAME and not (
        constant[0] if name == "import_module" else constant[1:2] == [True]
    ):
        return name
    if not bare and name == "format" and isinstance(node.func, ast.Attribute):
        return "" if isinstance(node.func.value, ast.Constant) else name
    if name in ("execute", "executemany", "executescript") and node.args:
        ours = isinstance(node.args[0], ast.Attribute) and name_of(node.args[0]) == "tables"
        return "" if constant[0] or ours else name
    if name in PROCESSES and not bare and name_of(node.func) in ("subprocess", "asyncio"):
        return "" if name_of(node.func) == "asyncio" and name == "run" else name
    return ""


def name_of(node: ast.AST) -> str:
    value = getattr(node, "value", None)
    return value.id if isinstance(value, ast.Name) else ""


def risks(source: str) -> set[str]:
    return {risk for node in ast.walk(ast.parse(source)) if (risk := _risk(node))}


def test_nothing_that_could_run_text_is_in_our_sources_but_what_is_explained() -> None:
    found = set()
    for path in SOURCES:
        package, _, module = path.relative_to(ROOT).as_posix().partition("/src/")
        for risk in risks(path.read_text(encoding="utf-8")):
            found.add(f"{package.removeprefix('plugins/')}/{module}: {risk}")
    assert found - ALLOWED.keys() == set(), "say in ALLOWED why no model's text gets there"
    assert ALLOWED.keys() - found == set(), "these are gone"


@pytest.mark.parametrize(
    "source",
    [
        *(
            "eval(x)",
            "exec(x)",
            "sympy.sympify(x)",
            "parse_expr(x)",
            "getattr(a, x)",
            "x.format(y)",
        ),
        *("import_module(x)", "os.system(x)", "run(x, shell=True)", "db.execute(f'SELECT {x}')"),
        *("db.execute(x)", "import pickle", "from yaml import load", "x % (y,)", "x.format_map(y)"),
        *("subprocess.run(x)", "Markup(x)", "ast.literal_eval(x)", "db.execute('a' + x)"),
    ],
)
def test_each_would_be_found(source: str) -> None:
    assert risks(source)


def test_templates_escape_all_but_what_is_made_here() -> None:
    pages = [page for page in ROOT.glob("plugins/*/src/**/*.html") if ".venv" not in page.parts]
    assert pages
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "autoescape" not in text
        unescaped = [line for line in text.splitlines() if "|safe" in line.replace(" ", "")]
        # Our own drawings and style sheet.
        assert all("svg" in line or "style" in line for line in unescaped), unescaped


def test_the_database_keeps_any_text_as_it_is(tmp_path: Path) -> None:
    evil = "'); DROP TABLE chains; -- \" %s ? :run \x00 {0} `"
    problem = Problem(evil, gold=evil, context=evil, id=evil)
    step = Step(evil, (Call(evil, {evil: evil}),), (Result(evil),))
    with Store(tmp_path) as store:
        run = store.begin(evil, {"task": evil, "model": evil}, {}, {}, {evil: evil})
        store.add(run, [(Chain(problem, steps=(step,), stop="answer", answer=evil), Verdict(True))])
        ((chain, _),) = store.records(run)
    assert chain.problem == problem
    assert chain.steps[0].calls[0].arguments == {evil: evil}


@pytest.mark.parametrize("command", ["ask", "teach", "eval"])
def test_every_total_of_a_chain_has_an_option(command: str) -> None:
    assert isinstance(callsmith, click.Group)
    found = callsmith.get_command(click.Context(callsmith), command)
    assert found is not None
    options = {parameter.name: parameter.default for parameter in found.params}
    totals = {f.name: f.default for f in fields(Limits) if f.name not in ("repeats", "idle")}
    assert totals.keys() == {"steps", "calls", "tokens", "seconds"}
    assert {name: options.get(name) for name in totals} == totals
