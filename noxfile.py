"""The checks of this project: `python -m nox` runs lint, types, tests and examples; `python -m nox -l` lists all.

Tests and examples run against the built wheel, as users get it, and not against the source tree.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2026.8.17"  # finds interpreters by running them, so a broken shim is skipped
nox.options.sessions = ["lint", "types", "tests", "examples"]
nox.options.default_venv_backend = "venv"
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml("pyproject.toml")
SUPPORTED = ["3.11", "3.12", "3.13", "3.14"]
# The interpreter that runs nox, as long as the package can live on it.
ONE_PYTHON = None if sys.version_info >= (3, 11) else ">=3.11"
TYPED = PYPROJECT["tool"]["pyright"]["include"]
EXAMPLE_LIMIT_S = 60
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CORE_MIN_COVERAGE = 100
PACKAGE_MIN_COVERAGE = 95
# A third of the time of a run is real waiting, so there are more workers than cores.
SIDE_BY_SIDE = ("-n", str(3 * (os.cpu_count() or 2)), "--dist", "worksteal")
LAB = "tests/benchmarks"
ALL_BUT_THE_LAB = f"--ignore={LAB}"
LOOPS = ["asyncio", "uvloop", "eager"]
# Other parts of aiohttp than a usual run uses: the variable that chooses one, and the tests that run with it.
PARTS = {
    "python-parser": ("AIOHTTP_NO_EXTENSIONS", ("tests/io/net", "tests/promises/faults")),
    "own-bodies": ("OPEAI_ASYNC_BODIES_OF_AIOHTTP", ("tests/io/net", "--ignore=tests/io/net/test_body.py")),
    "own-requests": ("OPEAI_ASYNC_REQUESTS_OF_AIOHTTP", ("tests/io/net", "--ignore=tests/io/net/test_post.py")),
}
# What is run over `compat.AsyncOpenAI`, or has a model of ours: each in an environment of its own, as they want other
# releases of openai.
FRAMEWORKS = {
    "haystack": ("haystack-ai>=2",),
    "instructor": ("instructor>=1.17",),
    "langchain": ("langchain-openai>=1", "langchain-tests>=1"),
    "litellm": ("litellm>=1.80",),
    "llama-index": ("llama-index-llms-openai-like>=0.5",),
    "openai-agents": ("openai-agents>=0.6",),
    "pydantic-ai": ("pydantic-ai-slim[openai]>=2",),
}
# What runs on uvloop in each check: its tests see the loop, all others see it only through these.
OF_THE_LOOP = (
    "tests/io",
    "tests/promises/endings",
    "tests/promises/faults",
    "tests/relay",
    "tests/testing/server/test_endpoint.py",
    "tests/testing/test_faults.py",
    "tests/testing/server/test_lifetime.py",
    "tests/promises/endings/test_cancellation_scopes.py",
    "tests/relay/test_event_stream.py",
    "tests/promises/endings/test_leaks.py",
)


@nox.session(python=ONE_PYTHON)
def lint(session: nox.Session) -> None:
    """Style and likely bugs: ruff check, ruff format."""
    session.install(*_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.log("PASSED: lint")


@nox.session(python=ONE_PYTHON)
def types(session: nox.Session) -> None:
    """Type checks: mypy and pyright in strict mode, and a public surface that is typed to 100 %."""
    _install_wheel(session, "types")
    if shutil.which("node") is None:  # pyright is a JavaScript program
        session.install("pyright[nodejs]")
    session.run("mypy", *(path for path in TYPED if (ROOT / path).exists()))
    # Named, because pyright would prefer a stray pyrightconfig.json in any directory above this one.
    pyright = ("pyright", "--project", str(ROOT / "pyproject.toml"), "--pythonpath", f"{session.bin}/python")
    session.run(*pyright)
    with session.chdir(session.create_tmp()):  # out of the source tree, so that the installed package is meant
        session.run(*pyright, "--verifytypes", "opeai_async", "--ignoreexternal")
    session.log("PASSED: types")


@nox.session(python=ONE_PYTHON)
def tests(session: nox.Session) -> None:
    """All tests on one interpreter; arguments after -- go to pytest, which then runs them one after the other."""
    version = _install_for_all_tests(session)
    _pytest(session, *(session.posargs or (*SIDE_BY_SIDE, ALL_BUT_THE_LAB)))
    session.log(f"PASSED: all tests against the wheel of opeai_async {version}")


@nox.session(python=ONE_PYTHON)
def tests_lab(session: nox.Session) -> None:
    """The tests of the benchmarks' own code: a package that measures wrongly is not broken."""
    version = _install_wheel(session, "test")
    _pytest(session, *(session.posargs or SIDE_BY_SIDE), LAB)
    session.log(f"PASSED: the tests of the benchmarks against the wheel of opeai_async {version}")


@nox.session(python=ONE_PYTHON)
@nox.parametrize("part", list(PARTS), ids=list(PARTS))
def tests_parts(session: nox.Session, part: str) -> None:
    """The tests of connections and faults with another part of aiohttp: its Python parser, or what we put aside."""
    version = _install_wheel(session, "test")
    variable, paths = PARTS[part]
    _pytest(session, *(session.posargs or SIDE_BY_SIDE), *paths, env={variable: "1"})
    session.log(f"PASSED: the tests of connections with {part} against the wheel of opeai_async {version}")


@nox.session(python=ONE_PYTHON)
def coverage(session: nox.Session) -> None:
    """All tests again, under branch coverage, with the gates of the core and of the package."""
    version = _install_for_all_tests(session)
    # A helper process of multiprocessing ends, and writes its data, when pytest has ended.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as data:
        session.env["COVERAGE_FILE"] = f"{data}/coverage"
        _pytest(session, *SIDE_BY_SIDE, ALL_BUT_THE_LAB, under=("coverage", "run"))
        session.run("coverage", "combine", "--quiet")
        session.run(
            "coverage", "report", "--include=*opeai_async/_core/*", f"--fail-under={CORE_MIN_COVERAGE}", "--precision=1"
        )
        session.run("coverage", "report", f"--fail-under={PACKAGE_MIN_COVERAGE}", "--precision=1")
    session.log(f"PASSED: coverage gates, against the wheel of opeai_async {version}")


@nox.session(python=SUPPORTED)
def tests_all(session: nox.Session) -> None:
    """All tests on each supported interpreter that is here; the others are skipped."""
    version = _install_for_all_tests(session)
    _pytest(session, *(session.posargs or SIDE_BY_SIDE))
    session.log(f"PASSED: all tests against the wheel of opeai_async {version} on Python {session.python}")


@nox.session(python=SUPPORTED)
@nox.parametrize("loop", LOOPS, ids=LOOPS)
def tests_loops(session: nox.Session, loop: str) -> None:
    """All tests on each event loop, on each supported interpreter that is here; arguments after -- go to pytest."""
    _skip_without(session, loop)
    version = _install_for_all_tests(session)
    _pytest(session, f"--loop={loop}", *(session.posargs or SIDE_BY_SIDE))
    session.log(f"PASSED: all tests on {loop} against the wheel of opeai_async {version} on Python {session.python}")


@nox.session(python=ONE_PYTHON)
def tests_uvloop(session: nox.Session) -> None:
    """The tests on uvloop of what differs by the loop: connections, streams, their faults and ends, relays, TLS."""
    _skip_without(session, "uvloop")
    version = _install_wheel(session, "test")
    _pytest(session, "--loop=uvloop", *SIDE_BY_SIDE, *(session.posargs or OF_THE_LOOP))
    session.log(f"PASSED: the tests of connections on uvloop against the wheel of opeai_async {version}")


@nox.session(python=ONE_PYTHON)
def examples(session: nox.Session) -> None:
    """Every example as a user runs it, without a key: it must finish by itself, in time, with exit code 0."""
    _install_wheel(session, "examples")
    folder = ROOT / "examples"
    scripts = sorted([*folder.glob("[!_]*.py"), *(main.parent for main in folder.glob("*/__main__.py"))])
    if not scripts:
        session.error("examples/ holds no script")
    for script in scripts:
        _run_example(session, script)
    session.log(f"PASSED: {len(scripts)} examples")


@nox.session(python=ONE_PYTHON)
def browser(session: nox.Session) -> None:
    """The chat page in a real browser; skipped where there is no Chromium and none can be installed."""
    version = _install_wheel(session, "browser")
    if not any(map(shutil.which, CHROMIUMS)):
        try:
            session.run("playwright", "install", "chromium", silent=True)
        except CommandFailed:
            session.skip("there is no Chromium here; `apt-get install chromium` brings one")
    _pytest(session, "tests/relay/browser", *session.posargs)
    session.log(f"PASSED: the chat page in Chromium, with the wheel of opeai_async {version}")


@nox.session(python=ONE_PYTHON)
def ui(session: nox.Session) -> None:
    """The protocols of browsers, read by the npm packages `ai` and `@ag-ui/client` in node; skipped without."""
    version = _install_wheel(session, "test")
    if not all(map(shutil.which, ("node", "npm"))):
        session.skip("there is no node with npm here; nodejs.org has it")
    _pytest(session, "tests/relay/ui", *session.posargs, env={"OPEAI_ASYNC_TEST_UI": "1"})
    session.log(f"PASSED: the readers of other people's browsers, with the wheel of opeai_async {version}")


@nox.session(python=ONE_PYTHON)
@nox.parametrize("framework", list(FRAMEWORKS), ids=list(FRAMEWORKS))
def frameworks(session: nox.Session, framework: str) -> None:
    """Frameworks over `compat.AsyncOpenAI`, and LangChain's own tests; skipped what cannot be installed."""
    try:
        session.install(*FRAMEWORKS[framework], *_group("frameworks"), silent=True)
    except CommandFailed:
        session.skip(f"{framework} cannot be installed here")
    version = _install_wheel(session)
    # langchain-tests brings a second plugin for async tests.
    _pytest(session, "-p", "no:asyncio", "tests/compat/frameworks", *session.posargs)
    session.log(f"PASSED: {framework} over the wheel of opeai_async {version}")


@nox.session(python=ONE_PYTHON)
def bulk(session: nox.Session) -> None:
    """Bulk runs at length: 300 times `kill -9`, and 20,000 prompts at a server that allows 200 a second."""
    version = _install_wheel(session, "test")
    env = {"OPEAI_KILLS": "300", "OPEAI_PROMPTS": "20000"}
    files = ("tests/chat/bulk/test_killed.py", "tests/chat/bulk/test_limited.py")
    _pytest(session, *files, *session.posargs, env=env)
    session.log(f"PASSED: bulk runs at length, with the wheel of opeai_async {version}")


@nox.session(python=ONE_PYTHON)
def ray(session: nox.Session) -> None:
    """Batches on a local Ray with two actors; skipped where Ray has no wheel."""
    version = _install_wheel(session, "test")
    try:
        session.install("ray[data]>=2.40", silent=True)
    except CommandFailed:
        session.skip("there is no wheel of ray for this interpreter and system")
    _pytest(session, "tests/chat/bulk/test_ray.py", *session.posargs)
    session.log(f"PASSED: batches on a local Ray, with the wheel of opeai_async {version}")


@nox.session(python=ONE_PYTHON)
def bench(session: nox.Session) -> None:
    """The benchmarks; arguments after -- go to `python -m benchmarks`."""
    _install_wheel(session, "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(python=ONE_PYTHON)
def bench_peers(session: nox.Session) -> None:
    """The benchmarks with other SDKs beside this one; arguments after --, such as --picture benchmarks/ratios.svg."""
    _install_wheel(session, "bench", "bench-peers")
    session.run("python", "-m", "benchmarks", *session.posargs)


def _group(*names: str) -> tuple[str, ...]:
    """The requirements of dependency groups; older pip has no --group."""
    return nox.project.dependency_groups(PYPROJECT, *names)


@functools.cache
def _build_directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="opeai-async-wheel-")


def _wheel(session: nox.Session) -> Path:
    """The wheel, built once per run of nox."""
    directory = Path(_build_directory().name)
    if not any(directory.glob("*.whl")):
        session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(directory), str(ROOT))
    return next(directory.glob("*.whl"))


def _install_wheel(session: nox.Session, *groups: str) -> str:
    """Install the wheel of this tree and the requirements of *groups*; return the version."""
    wheel = _wheel(session)
    session.install(str(wheel), *_group(*groups))
    # The version does not change with every edit, so in a reused environment pip would keep the old wheel.
    session.run("python", "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", str(wheel))
    return wheel.name.split("-")[1]


def _install_for_all_tests(session: nox.Session) -> str:
    """Install the wheel, what its tests need, and the frameworks, if they agree with these; return the version."""
    version = _install_wheel(session, "test")
    try:
        session.install(*_group("test", "test-frameworks"), silent=True)
    except CommandFailed:
        session.warn("the frameworks cannot be installed beside the rest: their tests are skipped")
    return version


def _pytest(
    session: nox.Session, *args: str, under: tuple[str, ...] = (), env: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Run pytest so that neither the working directory nor a script's directory comes before the installed wheel."""
    # Without bytecode each worker, and each program that a test starts, would compile all tests again.
    env = {"PYTHONSAFEPATH": "1", "OPEAI_ASYNC_TEST_WHEEL": "1", "PYTHONDONTWRITEBYTECODE": "", **env}
    session.run(*under, f"{session.bin}/pytest", *args, env=env)


def _skip_without(session: nox.Session, loop: str) -> None:
    """Skip the session where its interpreter or its system has no such loop."""
    if loop == "uvloop" and sys.platform == "win32":
        session.skip("there is no uvloop on Windows")
    version = session.run("python", "-c", "import sys; print(sys.version_info.minor)", silent=True)
    if loop == "eager" and int(str(version)) < 12:
        session.skip("eager tasks need Python 3.12 or later")


def _run_example(session: nox.Session, script: Path) -> None:
    session.log(f"python {script.relative_to(ROOT)}")
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPEAI_")}
    command = [f"{session.bin}/python", str(script)]
    try:
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, timeout=EXAMPLE_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        session.error(f"{script.name} did not finish in {EXAMPLE_LIMIT_S} s")
    if done.returncode:
        session.error(f"{script.name} ended with exit code {done.returncode}, expected 0")
