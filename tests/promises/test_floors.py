"""The floors of the house, the shape of the repository, and who may import what, held by reading the source.

`ROOMS` is the whole plan: of each package, what it may import. A room that is not in it may not exist. `violations`
judges one module by its source alone; at the end of the file it is itself tested, on made-up sources. Modules are named
from the package's root, and a package by its `__init__`: "errors", "types.__init__", "__init__".
"""

import ast
import graphlib
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

import opeai_async

ROOT = Path(__file__).parents[2]
PACKAGE = Path(opeai_async.__file__).parent
TOP_LEVEL = {"opeai_async", "tests", "benchmarks", "examples", "pyproject.toml", "noxfile.py", "README.md"}
MAX_LINES = 600
MAX_ENTRIES = 12
# What is imported by a name of its own, and by nothing else here: it is not counted among the rooms.
DOORS = {"compat", "langchain", "pydantic_ai", "ray.py", "redis_store.py", "vendors.py"}

# Ground first. `x?` is what only annotations may use: it is imported below `if TYPE_CHECKING`.
ROOMS: dict[str, str] = {
    "_version": "",
    "_public": "",
    "_names": "",
    "types": "_public _names",
    "errors": "_public _names types?",
    "vendors": "",
    "_core": "_public types errors vendors _names",
    "_io": "_public types errors _core",
    "_relay": "_public _names types errors _core _io",
    "redis_store": "_relay",
    "_tools": "_public _names types errors _core _io _relay.frames _relay.websocket",
    "bulk": "_public _names types errors _core _io.observe _io.endpoints",
    "telemetry": "_version types errors _io.observe",
    "_chat": "_public _version types errors _names _core _io _relay _tools bulk telemetry",
    "__init__": "_public _version _names types? errors? _core? _io? _relay? _tools? _chat?",
    "compat": "_chat _core types errors",
    "langchain": "_chat _core types errors",
    "pydantic_ai": "_chat _core types errors",
    "ray": "__init__ errors types bulk",
    "testing": "__init__ types errors vendors _core _io.loops _io.transport _io.net.parts.certificate",
    "_cli": "__init__ _version types errors _core _io.transport _io.net bulk testing",
    "__main__": "_version _cli",
}
# The rooms of a room, ground first: one imports from those before it, and not from its neighbours.
STOREYS: dict[str, tuple[str, ...]] = {
    "_core": (
        "json limits",
        "sse content_blocks",
        "policy",
        "call",
        "policy.endpoints dialect",
        "decode schema",
        "answer",
        "frames partial",
    ),
    "_io": (
        "loops",
        "patience observe transport",
        "net reader gate keys",
        "exchange",
        "endpoints",
        "stream",
        "complete",
    ),
}

EXPERIMENTS = ("lab", "crowds", "reading requests relay soak", "picture", "__main__ __init__")

DEPENDENCIES = {"aiohttp", "anyio", "msgspec"}
OPTIONAL_DEPENDENCIES = {
    "bulk.drawing": {"rich"},
    "compat": {"openai", "httpx2", "pydantic"},
    "langchain": {"langchain_core", "pydantic"},
    "pydantic_ai": {"pydantic_ai"},
    "_cli.terminal": {"rich"},
    "_relay.redis": {"redis"},
    "_io.endpoints.redis_limits": {"redis"},
    "telemetry": {"opentelemetry", "prometheus_client"},
    "testing.pytest": {"pytest"},
}
# `types` and `_core` are data and decisions: no await, no I/O, no clock, no chance.
PURE = ("types", "_core")
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
AIOHTTP = {"_io.net": "aiohttp", "testing.server": "aiohttp.web"}

T = TypeVar("T")

only_in_nox = pytest.mark.skipif(
    "OPEAI_ASYNC_TEST_WHEEL" not in os.environ, reason="only the nox sessions install a wheel"
)


def sources(folder: Path) -> dict[str, str]:
    """The text of each module below *folder*."""
    return {
        ".".join(path.relative_to(folder).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.py"))
    }


SOURCES = sources(PACKAGE)


# The package


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_keeps_to_its_floor(module: str) -> None:
    """A module imports only what lies below it, and only what its floor may use."""
    found = violations(SOURCES[module], module)
    assert not found, "\n".join(found)


def test_the_plan_goes_upwards() -> None:
    """A room of the plan names only rooms that stand above it in the table; so there is no circle of rooms."""
    rooms = list(ROOMS)
    for number, (room, below) in enumerate(ROOMS.items()):
        assert {name.rstrip("?").partition(".")[0] for name in below.split()} <= set(rooms[:number]), room


def test_no_module_imports_itself_by_a_detour() -> None:
    """There is no circle of modules, imports for type checkers included; a lazy list of names counts as none."""
    graph = {
        module: {found.target for found in imports_of(source, module, SOURCES) if found.is_own}
        for module, source in SOURCES.items()
    }
    for door in ("__init__", "testing.__init__"):
        graph[door] = set()
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("module", SOURCES)
def test_a_file_can_be_read_at_a_sitting(module: str) -> None:
    """No file of the package is longer than 600 lines."""
    assert len(SOURCES[module].splitlines()) <= MAX_LINES


@pytest.mark.parametrize("top", ["opeai_async", "benchmarks", "tests"])
def test_a_folder_can_be_seen_at_a_glance(top: str) -> None:
    """No folder has more than 12 modules and folders, `__init__`, `conftest` and their like not counted."""
    if not (ROOT / top).exists():
        pytest.skip("not a checkout")
    # The root has a door for each extra too; what is behind them is one module each.
    crowded = {
        str(folder.relative_to(ROOT)): entries
        for folder in [ROOT / top, *(ROOT / top).rglob("*/")]
        if folder.is_dir() and len(entries := [name for name in entries_of(folder) if name not in DOORS]) > MAX_ENTRIES
    }
    assert crowded == {}


def entries_of(folder: Path) -> list[str]:
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if (
            entry.suffix == ".py"
            and not entry.name.startswith("__")
            and entry.name not in {"conftest.py", "_version.py", "_public.py"}
        )
        or (entry.is_dir() and any(entry.rglob("*.py")))
    )


def test_import_loads_neither_aiohttp_nor_the_package(tmp_path: Path) -> None:
    """`import opeai_async` costs next to nothing: what is not used is not loaded."""
    loaded = modules_loaded_by("import opeai_async", tmp_path)
    assert {name for name in loaded if name.partition(".")[0] == "opeai_async"} <= {
        "opeai_async",
        "opeai_async._version",
    }
    assert "aiohttp" not in loaded


# The benchmarks


def test_benchmarks_keep_to_their_floors() -> None:
    """Experiments use the lab, and how crowds of streams are read, but not each other."""
    if not (ROOT / "benchmarks").exists():
        pytest.skip("not a checkout")
    floor_of = {room: floor for floor, rooms in enumerate(EXPERIMENTS) for room in rooms.split()}
    found = [
        f"benchmarks.{module} imports {name}"
        for module, source in sources(ROOT / "benchmarks").items()
        for node in ast.walk(ast.parse(source))
        for name in imported_names(node, module)
        if name.startswith("benchmarks.")
        and (there := name.split(".")[1]) != (here := room_of(module))
        and floor_of[there] >= floor_of[here]
    ]
    assert found == []


# The repository and the wheel


def test_the_top_level_of_the_repository_is_fixed() -> None:
    """The repository shows seven entries."""
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
    assert {file for file in files if file.endswith(".py")} == {
        f"opeai_async/{path.relative_to(ROOT / 'opeai_async').as_posix()}"
        for path in (ROOT / "opeai_async").rglob("*.py")
    }


# How it is judged


@dataclass(frozen=True)
class Import:
    """One imported module: of this package by its name from the root, any other by its full name."""

    target: str
    line: int
    is_own: bool
    is_for_types: bool  # below `if TYPE_CHECKING`, never run


def violations(source: str, module: str, modules: Collection[str] = SOURCES) -> list[str]:
    """List what *source*, as the text of *module*, does that the plan does not allow; *modules* are all there are."""
    if room_of(module) not in ROOMS:
        return [f"{module} is in no room: give it one in tests/promises/test_floors.py and in the README"]
    if storey_of(module) is None:
        return [f"{module} has no storey in {room_of(module)}: give it one in tests/promises/test_floors.py"]
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
        return "only _io/net knows aiohttp (and testing/server its aiohttp.web)"
    if top == "typing_extensions" and imported.is_for_types:
        return None  # every type checker brings it along
    if top not in sys.stdlib_module_names | DEPENDENCIES | value_for(module, OPTIONAL_DEPENDENCIES, set()):
        return "not a declared dependency"
    return None


def objection_to_own(imported: Import, module: str) -> str | None:
    here, there = room_of(module), room_of(imported.target)
    if here == there:
        return objection_within(imported.target, module)
    for allowed in ROOMS[here].split():
        name = allowed.rstrip("?")
        if f"{imported.target}.".startswith(f"{name}.") and (imported.is_for_types or not allowed.endswith("?")):
            return None
    return f"{here} may import {ROOMS[here] or 'nothing'}"


def objection_within(target: str, module: str) -> str | None:
    here, there = storey_of(module), storey_of(target)
    if here is None or there is None or inner_room(module) == inner_room(target) or there < here:
        return None
    return f"{inner_room(module)} is not above {inner_room(target)}"


def room_of(module: str) -> str:
    return module.partition(".")[0]


def inner_room(module: str) -> str:
    return storey_and_name(module)[1]


def storey_of(module: str) -> int | None:
    return storey_and_name(module)[0]


def storey_and_name(module: str) -> tuple[int | None, str]:
    """The storey of *module* in its room, and the inner room by which it has it; None if it should have one."""
    room, _, rest = module.partition(".")
    if room not in STOREYS or rest == "__init__":
        return -1, room
    found = [
        (storey, name)
        for storey, names in enumerate(STOREYS[room])
        for name in names.split()
        if f"{rest}.".startswith(f"{name}.")
    ]
    if found:
        return max(found, key=lambda place: len(place[1]))  # a room in a room may have a storey of its own
    is_package = rest.endswith(".__init__")
    return (-1 if is_package else None), rest


def is_pure(module: str) -> bool:
    return room_of(module) in PURE


def may_use_aiohttp(module: str, target: str) -> bool:
    allowed = value_for(module, AIOHTTP, "")
    return bool(allowed) and f"{target}.".startswith(f"{allowed}.")


def value_for(module: str, table: Mapping[str, T], default: T) -> T:
    """What *table* has for *module* or for a package around it."""
    return next((value for name, value in table.items() if f"{module}.".startswith(f"{name}.")), default)


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
    "__init__", "__main__", "_public", "_version", "errors",
    "_chat.__init__", "_chat.client",
    "_core.__init__", "_core.call.__init__", "_core.call.retry", "_core.decode.__init__", "_core.decode.decoder",
    "_core.sse",
    "_io.__init__", "_io.exchange", "_io.net.transport", "_io.stream.stream", "_io.transport",
    "_relay.frames", "_relay.session", "_tools.run",
    "testing.__init__", "testing.pytest", "testing.server.server",
    "types.__init__", "types.chunk", "types.common",
}  # fmt: skip


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("_chat.client", "from .._io.stream.stream import ChunkStream"),
        ("_chat.client", "from .. import _version, errors"),
        (
            "_core.decode.decoder",
            "import msgspec, json, datetime\nfrom opeai_async._core.call.retry import RetryPolicy",
        ),
        ("_core.decode.decoder", "from opeai_async import errors"),
        ("types.__init__", "from .chunk import ChatCompletionChunk"),
        (
            "errors",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .types.chunk import ChatCompletionChunk",
        ),
        ("_io.net.transport", "import aiohttp, asyncio"),
        ("_io.stream.stream", "from opeai_async._io.exchange import Exchange"),
        ("_tools.run", "from opeai_async._relay.frames import StreamFrames"),
        ("testing.server.server", "from aiohttp import web\nfrom aiohttp.web import Request"),
        ("testing.server.server", "from opeai_async import AsyncOpeAI"),
        ("testing.pytest", "import pytest"),
        ("_cli.terminal", "def table():\n    import rich.table"),
        ("_relay.redis.store", "import redis.asyncio"),
        ("__init__", "if TYPE_CHECKING:\n    from ._chat.client import AsyncOpeAI"),
    ],
)
def test_allowed(module: str, source: str) -> None:
    assert violations(source, module, MADE_UP) == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("errors", "from .types.chunk import ChatCompletionChunk", "imports types.chunk: errors may import"),
        ("errors", "from .types import ChatCompletionChunk", "imports types.__init__: errors may import"),
        ("types.chunk", "from opeai_async import errors", "imports errors: types may import"),
        (
            "_core.sse",
            "import opeai_async._core.decode.decoder",
            "imports _core.decode.decoder: sse is not above decode",
        ),
        ("_core.sse", "from .decode import decoder", "imports _core.decode.decoder: sse is not above decode"),
        ("_core.call.retry", "if TYPE_CHECKING:\n    from ..decode import decoder", "call is not above decode"),
        ("_io.transport", "if TYPE_CHECKING:\n    from .stream import stream", "transport is not above stream"),
        (
            "_io.stream.stream",
            "from opeai_async._chat.client import AsyncOpeAI",
            "imports _chat.client: _io may import",
        ),
        ("_io.stream.stream", "import_module('opeai_async._chat.client')", "imports _chat.client: _io may import"),
        (
            "_io.exchange",
            "importlib.import_module('.._chat.client', __package__)",
            "imports _chat.client: _io may import",
        ),
        ("_chat.client", "def late():\n    from ..testing.server.server import Server", "_chat may import"),
        ("_chat.client", "from opeai_async import AsyncOpeAI", "imports __init__: _chat may import"),
        (
            "_tools.run",
            "from opeai_async._relay.session import StreamSession",
            "imports _relay.session: _tools may import",
        ),
        ("_relay.session", "from opeai_async._tools.run import Run", "imports _tools.run: _relay may import"),
        ("testing.pytest", "from opeai_async._chat.client import AsyncOpeAI", "testing may import"),
        ("__init__", "from opeai_async import errors", "imports errors: __init__ may import"),
        ("_core.call.retry", "import random", "no I/O, clock or chance"),
        ("_core.call.retry", "from time import monotonic", "no I/O, clock or chance"),
        ("types.chunk", "import asyncio.streams", "no I/O, clock or chance"),
        ("_core.sse", "if TYPE_CHECKING:\n    import aiohttp", "no I/O, clock or chance"),
        ("_core.sse", "async def decode(): ...", "_core.sse:1 is async"),
        ("_chat.client", "if typing.TYPE_CHECKING:\n    from aiohttp import ClientSession", "only _io/net"),
        ("_io.exchange", "import aiohttp", "only _io/net"),
        ("testing.server.server", "import aiohttp", "only _io/net"),
        ("_chat.client", "import httpx", "not a declared dependency"),
        ("_chat.client", "import typing_extensions", "not a declared dependency"),
        ("_chat.client", "import rich", "not a declared dependency"),
        ("utils", "", "utils is in no room"),
        ("_core.utils", "", "_core.utils has no storey in _core"),
    ],
)
def test_refused(module: str, source: str, complaint: str) -> None:
    found = violations(source, module, MADE_UP)
    assert len(found) == 1
    assert complaint in found[0]


def test_the_other_branch_of_type_checking_runs() -> None:
    source = "if TYPE_CHECKING:\n    import a\nelse:\n    import b"
    assert [(found.target, found.is_for_types) for found in imports_of(source, "_chat.client", ())] == [
        ("a", True),
        ("b", False),
    ]


def test_a_circle_is_seen() -> None:
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter({"client": {"tools"}, "tools": {"client"}}).prepare()


def test_a_crowd_is_seen(tmp_path: Path) -> None:
    for name in ("__init__", "conftest", "one", "two"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "three.py").touch()
    (tmp_path / "__pycache__").mkdir()
    assert entries_of(tmp_path) == ["one.py", "room", "two.py"]
