"""What does importing cost, and the first request of a fresh process? CPU, less that of one that imports nothing.

The promise: ``import opeai_async`` loads no aiohttp and costs at most twice ``import msgspec``. ``AsyncOpeAI`` is what
the first use of the client adds; aiohttp is loaded by the first request, whose limit imports aiohttp, msgspec and anyio
and posts by hand.

Found (two busy cores): ``import opeai_async`` is 0.36 of ``import msgspec``, which it does not even load before a name
is used. ``AsyncOpeAI`` is 2.9 times msgspec, asyncio alone 1.6, aiohttp, msgspec and anyio 6.3, groq and mistralai 10,
openai 24, litellm 83. aiohttp is loaded by neither of ours. The first request is 1.14 of its limit, which loads anyio,
too; groq 2.0, mistralai 2.6, openai 4.3, litellm 12. It adds 100 million instructions to 1,120 million: 80 for
modules and their classes, 20 for the twins and decoders of an answer. It was 127 with dataclasses, with regular
expressions that few streams need, and with annotations as strings, which msgspec compiles one by one.
"""

import asyncio
import functools
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial

from benchmarks.lab.generators import KEY, MESSAGES, MODEL
from benchmarks.lab.lab import CPU, ROOT, Contender, Lab, Question, Target, python
from benchmarks.lab.peers import PEERS, installed

STATEMENTS = {
    "msgspec": "import msgspec",
    "opeai_async": "import opeai_async",
    "opeai_async, AsyncOpeAI": "from opeai_async import AsyncOpeAI",
    "asyncio": "import asyncio",
    "aiohttp + msgspec + anyio": "import aiohttp, msgspec, anyio",
}
# An answer awaited from BASE_URL: as little as can be written, and ours.
FIRST_REQUESTS = {
    "limit": f"""
import asyncio, aiohttp, anyio, msgspec
async def main():
    body = msgspec.json.encode({{"model": {MODEL!r}, "messages": {MESSAGES!r}}})
    headers = {{"Authorization": "Bearer {KEY}", "Content-Type": "application/json"}}
    async with aiohttp.ClientSession() as session:
        async with session.post(BASE_URL + "/chat/completions", data=body, headers=headers) as response:
            assert msgspec.json.decode(await response.read())["choices"]
asyncio.run(main())
""",
    "opeai_async": f"""
import asyncio
from opeai_async import AsyncOpeAI
async def main():
    async with AsyncOpeAI({KEY!r}, base_url=BASE_URL) as client:
        completion = await client.chat.completions.create(model={MODEL!r}, messages={MESSAGES!r})
        assert completion.choices
asyncio.run(main())
""",
}
PROCESSES = 2
PEERS_ROUNDS = 1
ANSWER_BYTES = 1024
_SHOW_MODULES = "import sys; before = set(sys.modules); {}; print(*sorted(set(sys.modules) - before))"


@functools.cache
def _bytecode() -> tempfile.TemporaryDirectory[str]:
    """Where it is; filled by the round that does not count."""
    return tempfile.TemporaryDirectory()


def cpu_of(command: Sequence[str]) -> float:
    """CPU seconds of that command, with the bytecode of all modules at hand, as after an installation."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": _bytecode().name}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{command[-1]!r} ended with {done.returncode}: {done.stderr.decode()[-300:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def modules_of(statement: str) -> list[str]:
    """The modules that *statement* loads."""
    command = (sys.executable, "-c", _SHOW_MODULES.format(statement))
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()


async def _contenders(lab: Lab) -> Sequence[Contender]:
    base_url, times = lab.base_url("whole", ANSWER_BYTES), lab.scaled(PROCESSES)

    def contender(group: str, name: str, code: str) -> Contender:
        run = partial(_run, python(code), times)
        rounds = PEERS_ROUNDS if name in PEERS else None
        return Contender(name=name, run=run, units=times, group=group, is_peer=name in PEERS, rounds=rounds)

    peers = [peer for peer in installed(lab.peers, lab.note) if peer.package != "aiohttp"]
    requests = {name: f"BASE_URL = {base_url!r}\n{code}" for name, code in FIRST_REQUESTS.items()}
    for peer in peers:
        requests[peer.name] = (
            f"from benchmarks.lab.peers import first_request; first_request({peer.name!r}, {base_url!r})"
        )
    return [
        *(contender("import", name, code) for name, code in STATEMENTS.items()),
        *(contender("import", peer.name, peer.import_code) for peer in peers if peer.name == peer.package),
        *(contender("first request", name, code) for name, code in requests.items()),
    ]


async def _run(command: Sequence[str], times: int) -> dict[str, float]:
    def measured() -> float:
        # A bare interpreter and the importing one take turns.
        return sum(cpu_of(command) - cpu_of(python("pass")) for _ in range(times))

    return {CPU: await asyncio.to_thread(measured) / times * 1e6}


def _notes() -> list[str]:
    notes: list[str] = []
    for statement in (STATEMENTS["opeai_async"], STATEMENTS["opeai_async, AsyncOpeAI"]):
        modules = modules_of(statement)
        packages = sorted({name.partition(".")[0] for name in modules} - sys.stdlib_module_names)
        notes.append(f"`{statement}` loads {len(modules)} modules; packages: {', '.join(packages)}")
    return notes


QUESTION = Question(
    name="imports",
    title="importing, and one request, in a fresh interpreter",
    unit="process",
    bases=("msgspec", "limit"),
    contenders=_contenders,
    targets=(
        Target(of="import, opeai_async", to="import, msgspec", at_most=2.0),
        Target(of="first request, opeai_async", to="first request, limit", at_most=1.15),
    ),
    notes=_notes,
    needs_loop=False,
)
