"""The floors of the house, the shape of the repository, and who may import what, held by reading the source.

`violations` judges one module by its source alone; at the end of the file it is itself tested, on made-up sources.
Modules are named from the package's root, and a package by its `__init__`: "client", "types.__init__", "__init__".
"""

import ast
import graphlib
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import opeai_async

ROOT = Path(__file__).parents[1]
PACKAGE = Path(opeai_async.__file__).parent
SOURCES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}
TOP_LEVEL = {"opeai_async", "tests", "benchmarks", "examples", "pyproject.toml", "noxfile.py", "README.md"}
MAX_LINES = 600

# Ground first. An exact name goes before a pattern.
FLOORS = (
    ("_version",),
    ("errors", "output_errors", "types.common"),
    ("types.*", "_core.json_types"),
    ("_core.http", "_core.sse", "_core.timeouts", "_core.partial_json", "_core.partial_values", "_core.redact"),
    ("_core.*",),
    ("_io.transport",),
    ("_io.*",),
    (
        "ag_ui",
        "call_options",
        "client",
        "completions",
        "conversation",
        "draining",
        "event_stream",
        "frames",
        "partials",
        "racing",
        "redis_store.*",
        "relay",
        "runner",
        "session",
        "session_store",
        "stream",
        "structured",
        "tools",
    ),
    ("testing.*", "_cli.*", "__main__"),
    ("__init__",),
)
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}

DEPENDENCIES = {"aiohttp", "anyio", "msgspec"}
OPTIONAL_DEPENDENCIES = {"_cli.terminal": {"rich"}, "redis_store.store": {"redis"}, "testing.pytest": {"pytest"}}
# `types` and `_core` are data and decisions: no await, no I/O, no clock, no chance.
IMPURE = {
    "aiohttp",
    "anyio",
    "asyncio",
    "random",
    "secrets",
    "select",
    "selectors",
    "socket",
    "ssl",
    "threading",
    "time",
}

only_in_nox = pytest.mark.skipif(
    "OPEAI_ASYNC_TEST_WHEEL" not in os.environ, reason="only the nox sessions install a wheel"
)


# The package


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_keeps_to_its_floor(module: str) -> None:
    """A module imports only what lies below it, and only what its floor may use."""
    found = violations(SOURCES[module], module)
    assert not found, "\n".join(found)


def test_no_module_imports_itself_by_a_detour() -> None:
    """Modules of one floor may know each other, but not in a circle."""
    graph = {
        module: {
            found.target for found in imports_of(source, module, SOURCES) if found.is_own and not found.is_for_types
        }
        for module, source in SOURCES.items()
    }
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("module", SOURCES)
def test_a_file_holds_one_idea(module: str) -> None:
    """No file of the package is longer than 600 lines."""
    assert len(SOURCES[module].splitlines()) <= MAX_LINES


def test_import_loads_neither_aiohttp_nor_the_package(tmp_path: Path) -> None:
    """`import opeai_async` costs next to nothing: what is not used is not loaded."""
    loaded = modules_loaded_by("import opeai_async", tmp_path)
    assert {name for name in loaded if name.partition(".")[0] == "opeai_async"} <= {
        "opeai_async",
        "opeai_async._version",
    }
    assert "aiohttp" not in loaded


# The repository and the wheel


def test_the_top_level_of_the_repository_is_fixed() -> None:
    """Whoever opens the repository sees seven entries."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip(f"git cannot list the files: {listed.stderr.strip()}")
    top_level = {file.partition("/")[0] for file in listed.stdout.splitlines()}
    assert {entry for entry in top_level if not entry.startswith(".")} == TOP_LEVEL


@only_in_nox
def test_the_installed_package_is_what_is_tested() -> None:
    """The nox sessions test the wheel, so that a file the wheel lacks is missed."""
    assert PACKAGE != ROOT / "opeai_async"


@only_in_nox
def test_the_wheel_holds_only_the_package() -> None:
    """Installing adds `opeai_async` and its metadata, with the licence and the typing marker, and nothing else."""
    files = {file.as_posix() for file in importlib.metadata.files("opeai_async") or ()}
    assert {file.partition("/")[0].partition("-")[0] for file in files} == {"opeai_async"}
    assert {"opeai_async/py.typed", "opeai_async/LICENSE"} <= files


# How it is judged


@dataclass(frozen=True)
class Import:
    """One imported module: of this package by its name from the root, any other by its full name."""

    target: str
    line: int
    is_own: bool
    is_for_types: bool  # below `if TYPE_CHECKING`, never run


def violations(source: str, module: str, modules: Collection[str] = SOURCES) -> list[str]:
    """What *source*, as the text of *module*, does that its floor does not allow; *modules* are all there are."""
    if floor_of(module) is None:
        return [f"{module} has no floor: give it one in tests/test_architecture.py and in the README"]
    found = [
        f"{module}:{imported.line} imports {imported.target}: {reason}"
        for imported in imports_of(source, module, modules)
        if (reason := objection_to(imported, module))
    ]
    if is_pure(module):
        found += [
            f"{module}:{node.lineno} is async, but awaiting belongs to _io"
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await)
        ]
    return found


def objection_to(imported: Import, module: str) -> str | None:
    if imported.is_own:
        return objection_to_own(imported, module)
    top = imported.target.partition(".")[0]
    if is_pure(module) and top in IMPURE:
        return "no I/O, clock or chance in types and _core"
    if top == "aiohttp" and not may_use_aiohttp(module, imported.target):
        return "only _io/aiohttp_*.py know aiohttp (and testing its aiohttp.web)"
    if top == "typing_extensions" and imported.is_for_types:
        return None  # every type checker brings it along
    if top not in sys.stdlib_module_names | DEPENDENCIES | OPTIONAL_DEPENDENCIES.get(module, set()):
        return "not a declared dependency"
    return None


def objection_to_own(imported: Import, module: str) -> str | None:
    # The wire types are the vocabulary of the whole house: an annotation may use them on every floor.
    if imported.is_for_types and imported.target.startswith("types."):
        return None
    here, there = floor_of(module), floor_of(imported.target)
    if there is None or here is None or there > here:
        return f"from floor {here} up to floor {there}"
    return None


def floor_of(module: str) -> int | None:
    return FLOOR_OF.get(module, FLOOR_OF.get(f"{module.partition('.')[0]}.*"))


def is_pure(module: str) -> bool:
    return module.startswith(("types.", "_core."))


def may_use_aiohttp(module: str, target: str) -> bool:
    if module.startswith("testing."):
        return f"{target}.".startswith("aiohttp.web.")
    return module.startswith("_io.aiohttp_")


def imports_of(source: str, module: str, modules: Collection[str]) -> Iterator[Import]:
    """Every import in *source*, at any depth, `import_module("...")` included."""
    for node, is_for_types in nodes_below(ast.parse(source), is_for_types=False):
        for name in imported_names(node, module):
            top, _, rest = name.partition(".")
            is_own = top == "opeai_async"
            yield Import(own_module(rest, modules) if is_own else name, node.lineno, is_own, is_for_types)


def nodes_below(node: ast.AST, *, is_for_types: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Every node at or below *node*, and whether it is only there for type checkers."""
    yield node, is_for_types
    guarded = node.body if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING") else []
    for child in ast.iter_child_nodes(node):
        yield from nodes_below(child, is_for_types=is_for_types or child in guarded)


def imported_names(node: ast.AST, module: str) -> list[str]:
    """The full names that *node* imports; `from a import b` gives a.b, whatever b is."""
    match node:
        case ast.Import(names):
            return [alias.name for alias in names]
        case ast.ImportFrom(base, names, level):
            return [absolute("." * (level or 0) + f"{base}." * bool(base) + alias.name, module) for alias in names]
        case ast.Call(
            func=ast.Name("import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(str(name)), *_],
        ):
            return [absolute(name, module)]
    return []


def absolute(name: str, module: str) -> str:
    """*name* with its leading dots, if any, resolved as seen from *module*."""
    below = name.lstrip(".")
    level = len(name) - len(below)
    return ".".join([*f"opeai_async.{module}".split(".")[:-level], below]) if level else name


def own_module(name: str, modules: Collection[str]) -> str:
    """The module of this package in which *name* lies: the longest part of it that is one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        for candidate in (".".join(parts[:end]), ".".join([*parts[:end], "__init__"])):
            if candidate in modules:
                return candidate
    return "__init__"


def modules_loaded_by(code: str, cwd: Path) -> set[str]:
    """What is in `sys.modules` after *code*, in a fresh interpreter that sees the same opeai_async as this one."""
    report = (
        f"import json, sys\nbefore = set(sys.modules)\n{code}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    env = os.environ | {"PYTHONPATH": str(PACKAGE.parent), "PYTHONSAFEPATH": "1"}
    done = subprocess.run([sys.executable, "-c", report], cwd=cwd, env=env, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


# The judge, judged

MADE_UP = {
    "__init__", "__main__", "_version", "client", "errors",
    "_core.__init__", "_core.decode", "_core.retry", "_core.sse",
    "_io.__init__", "_io.aiohttp_transport", "_io.stream", "_io.transport",
    "testing.__init__", "testing.pytest", "testing.server",
    "types.__init__", "types.chunk", "types.common",
}  # fmt: skip


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("client", "from ._io.stream import ChunkStream"),
        ("client", "from . import _version, errors"),
        ("_core.decode", "import msgspec, json, datetime\nfrom opeai_async._core.retry import RetryPolicy"),
        ("_core.decode", "from opeai_async import errors"),
        ("types.__init__", "from .chunk import ChatCompletionChunk"),
        (
            "errors",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .types.chunk import ChatCompletionChunk",
        ),
        ("_io.aiohttp_transport", "import aiohttp, asyncio"),
        ("testing.server", "from aiohttp import web\nfrom aiohttp.web import Request"),
        ("testing.pytest", "import pytest"),
        ("_cli.terminal", "def table():\n    import rich.table"),
        ("__init__", "if TYPE_CHECKING:\n    from .client import AsyncOpeAI"),
    ],
)
def test_allowed(module: str, source: str) -> None:
    assert violations(source, module, MADE_UP) == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("errors", "from .types.chunk import ChatCompletionChunk", "imports types.chunk: from floor 1 up to floor 2"),
        (
            "errors",
            "from .types import common, ChatCompletionChunk",
            "imports types.__init__: from floor 1 up to floor 2",
        ),
        ("_core.sse", "import opeai_async._core.decode", "imports _core.decode: from floor 3 up to floor 4"),
        ("_core.sse", "from . import decode", "imports _core.decode: from floor 3 up to floor 4"),
        (
            "_io.transport",
            "if TYPE_CHECKING:\n    from . import stream",
            "imports _io.stream: from floor 5 up to floor 6",
        ),
        ("_io.stream", "from opeai_async.client import AsyncOpeAI", "imports client: from floor 6 up to floor 7"),
        ("_io.stream", "import_module('opeai_async.client')", "imports client: from floor 6 up to floor 7"),
        (
            "_io.stream",
            "importlib.import_module('..client', __package__)",
            "imports client: from floor 6 up to floor 7",
        ),
        ("client", "def late():\n    from .testing.server import Server", "imports testing.server: from floor 7 up"),
        ("client", "from opeai_async import AsyncOpeAI", "imports __init__: from floor 7 up to floor 9"),
        ("_core.retry", "import random", "no I/O, clock or chance"),
        ("_core.retry", "from time import monotonic", "no I/O, clock or chance"),
        ("types.chunk", "import asyncio.streams", "no I/O, clock or chance"),
        ("_core.decode", "if TYPE_CHECKING:\n    import aiohttp", "no I/O, clock or chance"),
        ("_core.decode", "async def decode(): ...", "_core.decode:1 is async"),
        ("client", "if typing.TYPE_CHECKING:\n    from aiohttp import ClientSession", "only _io/aiohttp_"),
        ("testing.server", "import aiohttp", "only _io/aiohttp_*.py"),
        ("client", "import httpx", "not a declared dependency"),
        ("client", "import typing_extensions", "not a declared dependency"),
        ("client", "import rich", "not a declared dependency"),
        ("utils", "", "utils has no floor"),
    ],
)
def test_refused(module: str, source: str, complaint: str) -> None:
    found = violations(source, module, MADE_UP)
    assert len(found) == 1
    assert complaint in found[0]


def test_the_other_branch_of_type_checking_runs() -> None:
    source = "if TYPE_CHECKING:\n    import a\nelse:\n    import b"
    assert [(found.target, found.is_for_types) for found in imports_of(source, "client", ())] == [
        ("a", True),
        ("b", False),
    ]


def test_a_circle_is_seen() -> None:
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter({"client": {"tools"}, "tools": {"client"}}).prepare()
