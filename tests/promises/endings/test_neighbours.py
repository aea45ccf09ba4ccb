"""Beside libraries that change how a process runs: gevent, nest_asyncio, aiodns.

Each program is a process of its own, and is skipped where its library is not installed; none is a dependency.
"""

import importlib.util
import os
import subprocess
import sys

import pytest

from opeai_async.testing import OpeAIServer
from tests.support.loops.loops import prologue

LIMIT_S = 60

BEGIN = """
import asyncio, sys, warnings
from opeai_async import APIConnectionError, AsyncOpeAI

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}

async def use(client):
    assert (await client.chat.completions.create(**BODY)).choices[0].message.content == "one two"
    async with client.chat.completions.stream(**BODY) as stream:
        assert "".join([text async for text in stream.text()]) == "one two"

async def main(url=sys.argv[1]):
    async with AsyncOpeAI("sk-test", base_url=url) as client:
        await asyncio.gather(*(use(client) for _ in range(3)))
"""

GEVENT = """
import gevent
from gevent import monkey
monkey.patch_all()
"""

PROGRAMS = {
    "gevent: asyncio in the main greenlet of a patched process": (
        "gevent",
        GEVENT + BEGIN + "asyncio.run(main())",
    ),
    "gevent: asyncio in a real thread of a patched process": (
        "gevent",
        GEVENT
        + BEGIN
        + """
pool = gevent.get_hub().threadpool
beats = []
def beat():
    while True:
        beats.append(1)
        gevent.sleep(0.001)
gevent.spawn(beat)
pool.apply(asyncio.run, (main(),))
assert beats, "the greenlets stood still"
""",
    ),
    "nest_asyncio: a run inside of a run": (
        "nest_asyncio",
        BEGIN
        + """
warnings.simplefilter("ignore")
import nest_asyncio
nest_asyncio.apply()

async def outer():
    asyncio.run(main())
    asyncio.get_event_loop().run_until_complete(main())
    await main()

asyncio.run(outer())
""",
    ),
    "aiodns: aiohttp looks names up by it": (
        "aiodns",
        BEGIN
        + """
from aiohttp.resolver import AsyncResolver, DefaultResolver
assert DefaultResolver is AsyncResolver

async def named():
    await main(sys.argv[1].replace("127.0.0.1", "localhost"))
    async with AsyncOpeAI("sk-test", base_url="http://nobody.invalid/v1", max_retries=0) as client:
        try:
            await client.chat.completions.create(**BODY)
        except APIConnectionError as exc:
            assert "nobody.invalid" in str(exc), exc
        else:
            sys.exit("it was found")

asyncio.run(named())
""",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_beside(name: str) -> None:
    """Calls and streams work, and nothing is said."""
    module, program = PROGRAMS[name]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    with OpeAIServer() as server:
        for _ in range(24):
            server.reply("one two")
        done = subprocess.run(
            [sys.executable, "-W", "default", "-c", prologue() + program, server.base_url],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "opeai_async" not in done.stderr, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
