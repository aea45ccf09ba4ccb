"""``-X dev`` and ``PYTHONASYNCIODEBUG=1``: no warning is ours, and nothing that is logged shows a key or a prompt."""

import os
import subprocess
import sys

from opeai_async.testing import OpeAIServer
from tests.support.loops.loops import prologue

LIMIT_S = 60
KEY = "sk-debugged-0123456789"
PROMPT = "a prompt that is nobody's business"

PROGRAM = """
import asyncio, gc, logging, sys, time
from opeai_async import AsyncOpeAI, OpeAIError, sse

logging.basicConfig(level=logging.DEBUG)
logging.getLogger("opeai_async").setLevel(logging.DEBUG)
BODY = {"model": "m", "messages": [{"role": "user", "content": sys.argv[3]}]}

async def swallow(message):
    pass

async def stay(stream):
    async for _ in stream:
        pass

async def main():
    loop = asyncio.get_running_loop()
    assert loop.get_debug()
    loop.slow_callback_duration = 0.0  # every callback is a slow one
    async with AsyncOpeAI(sys.argv[2], base_url=sys.argv[1]) as client:
        calls = client.chat.completions
        assert (await calls.create(**BODY)).choices
        async with calls.stream(**BODY) as stream:
            assert [text async for text in stream.text()]
        assert (await calls.stream(**BODY).relay(send=swallow)).reason == "completed"
        assert [data async for data in sse(calls.stream(**BODY))]
        await asyncio.gather(*(calls.create(**BODY) for _ in range(5)))
        for how in ("failure", "cut"):
            try:
                await calls.stream(**BODY, max_retries=0).completion()
                sys.exit(f"no {how}")
            except OpeAIError as exc:
                assert sys.argv[2] not in repr(exc)
        reading = asyncio.create_task(stay(calls.stream(**BODY)))
        await asyncio.sleep(0.1)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()

asyncio.run(main())
gc.collect()
print("ended")
"""


def run_in_debug_mode(server: OpeAIServer, *options: str) -> tuple[str, str]:
    """What the program writes, with every debugging help there is."""
    for _ in range(9):
        server.reply("one two")
    server.fail(500)
    server.cut("one two", after=2)
    server.stall("one", after=1)
    done = subprocess.run(
        [sys.executable, "-X", "dev", *options, "-c", prologue() + PROGRAM, server.base_url, KEY, PROMPT],
        env={**os.environ, "PYTHONASYNCIODEBUG": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout, done.stderr


def test_debug_mode_says_nothing_of_ours() -> None:
    """All kinds of ends, each callback logged as slow: no warning, no key, no prompt."""
    with OpeAIServer(api_key=KEY) as server:
        stdout, stderr = run_in_debug_mode(server, "-W", "error::ResourceWarning")
    assert stdout == "ended\n"
    assert "Warning" not in stderr
    assert "was never retrieved" not in stderr
    assert "never awaited" not in stderr
    assert "Traceback" not in stderr
    for secret in (KEY, PROMPT):
        assert secret not in stderr
    assert "Executing <" in stderr, "debug mode was not on"
