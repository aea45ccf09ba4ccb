"""What does importing cost? CPU of a fresh interpreter, less that of one that imports nothing.

The promise: ``import opeai_async`` loads no aiohttp and costs at most twice ``import msgspec``. ``AsyncOpeAI`` is what
the first use of the client adds; aiohttp is loaded by the first request.

Found: ``import opeai_async`` is 0.4 to 0.5 of ``import msgspec``, which it does not even load before a name is used.
``AsyncOpeAI`` is 4.2 to 4.5 times msgspec, asyncio alone 1.6 to 1.8. aiohttp is loaded by neither.
"""

import asyncio
import resource
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.lab import ROOT, Contender, Lab, Question

STATEMENTS = {
    "msgspec": "import msgspec",
    "opeai_async": "import opeai_async",
    "opeai_async, AsyncOpeAI": "from opeai_async import AsyncOpeAI",
    "asyncio": "import asyncio",
    "aiohttp + msgspec + anyio": "import aiohttp, msgspec, anyio",
}
PROCESSES = 2
_SHOW_MODULES = "import sys; before = set(sys.modules); {}; print(*sorted(set(sys.modules) - before))"


def cpu_of(statement: str) -> float:
    """CPU seconds of an interpreter that runs *statement*."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run((sys.executable, "-c", statement), cwd=ROOT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def modules_of(statement: str) -> list[str]:
    """The modules that *statement* loads."""
    command = (sys.executable, "-c", _SHOW_MODULES.format(statement))
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()


async def _contenders(lab: Lab) -> Sequence[Contender]:
    contenders = [_import(name, statement) for name, statement in STATEMENTS.items()]
    try:
        import openai  # noqa: F401
    except ImportError:
        lab.skip("openai: not installed (dependency group bench-peers)")
    else:
        contenders.append(_import("openai", "import openai"))
    return contenders


def _import(name: str, statement: str) -> Contender:
    async def run() -> float:
        # A bare interpreter and the importing one take turns.
        return await asyncio.to_thread(lambda: sum(cpu_of(statement) - cpu_of("pass") for _ in range(PROCESSES)))

    return Contender(name=name, run=run, units=PROCESSES)


def _notes() -> list[str]:
    notes: list[str] = []
    for statement in (STATEMENTS["opeai_async"], STATEMENTS["opeai_async, AsyncOpeAI"]):
        modules = modules_of(statement)
        packages = sorted({name.partition(".")[0] for name in modules} - sys.stdlib_module_names)
        notes.append(f"`{statement}` loads {len(modules)} modules; packages: {', '.join(packages)}")
    return notes


QUESTION = Question(
    name="imports",
    title="importing, in a fresh interpreter",
    unit="import",
    bases=("msgspec",),
    contenders=_contenders,
    notes=_notes,
)
