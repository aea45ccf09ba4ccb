"""Programs that end in the middle of an answer, seen from outside: they end, and say no more than they must."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import opeai_async
from opeai_async.testing import OpeAIServer
from tests.support.loops.loops import prologue

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGINT and fork of POSIX")

BEGIN = """
import asyncio, gc, os, signal, sys
from opeai_async import AsyncOpeAI

signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where the tests run
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
client = AsyncOpeAI("sk-test", base_url=sys.argv[1])

def ready():
    print("ready", flush=True)

async def begin():
    stream = client.chat.completions.stream(**BODY)
    await anext(stream)
    return stream
"""
UNCLOSED = "unclosed <ChatCompletionStream open"
LIMIT_S = 60


@pytest.fixture
def server():
    with OpeAIServer() as server:
        yield server


def begin(server, program):
    """*program* in a process of its own, all of whose warnings are shown."""
    return subprocess.Popen(
        [sys.executable, "-W", "default", "-c", prologue() + BEGIN + program, server.base_url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(opeai_async.__file__).parents[1])},
    )


def end(process):
    """What it has written, once it has ended by itself."""
    try:
        return process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()


def is_quiet(stderr):
    """Whether there is no traceback, no exception that nobody could catch, and nothing of asyncio or aiohttp."""
    troubles = ("Traceback", "Exception ignored", "loop is closed", "never awaited", "was destroyed", "Unclosed")
    return not any(trouble in stderr for trouble in troubles)


# --- the end of the loop, and of the interpreter ---------------------------------------------------------------------

ENDS = {
    "an open stream in a global": """
async def main():
    global stream
    stream = await begin()
""",
    "an open stream in a cycle": """
gc.disable()
async def main():
    stream = await begin()
    stream.me = stream
""",
    "a text view": """
async def main():
    global view
    view = client.chat.completions.stream(**BODY).text()
    await anext(view)
""",
    "a view of batches": """
async def main():
    global view
    view = client.chat.completions.stream(**BODY).batches()
    await anext(view)
""",
    "a generator around a view": """
async def tokens():
    async with client.chat.completions.stream(**BODY) as stream:
        async for text in stream.text():
            yield text

async def main():
    global generator
    generator = tokens()
    await anext(generator)
""",
    "a task that reads": """
async def main():
    asyncio.create_task((await begin()).completion())
    await asyncio.sleep(0.05)
""",
    "sys.exit in the loop over a stream": """
async def main():
    async with client, client.chat.completions.stream(**BODY) as stream:
        async for _ in stream:
            sys.exit(0)
""",
}
WITH_A_WARNING = ("an open stream in a global", "an open stream in a cycle", "a text view", "a view of batches")


@pytest.mark.parametrize("name", ENDS)
def test_a_program_that_ends_in_the_middle(name, server):
    """It ends by itself, without a traceback, and the server sees the connection go."""
    server.stall("one two three", after=3)
    process = begin(server, f"{ENDS[name]}\nasyncio.run(main())")
    _, stderr = end(process)
    assert process.returncode == 0
    assert is_quiet(stderr), stderr
    assert (UNCLOSED in stderr) == (name in WITH_A_WARNING), stderr
    assert asyncio.run(server.wait_closed()).outcome == "client_gone"
    asyncio.run(server.wait_disconnected())


def test_a_client_that_is_never_closed(server):
    """A pooled connection at the end of the loop is no reason for a word."""
    server.reply("Hi")
    process = begin(server, "asyncio.run(client.chat.completions.create(**BODY))")
    _, stderr = end(process)
    assert (process.returncode, stderr) == (0, "")
    asyncio.run(server.wait_disconnected())


# --- Ctrl-C ----------------------------------------------------------------------------------------------------------

READS = {
    "a loop over a stream": """
    async for chunk in client.chat.completions.stream(**BODY):
        ready()
""",
    "a block": """
    async with client, client.chat.completions.stream(**BODY) as stream:
        async for _ in stream:
            ready()
""",
    "a text view": """
    async for text in client.chat.completions.stream(**BODY).text():
        ready()
""",
    "completion": """
    stream = await begin()
    ready()
    await stream.completion()
""",
    "create": """
    asyncio.get_running_loop().call_soon(ready)
    await client.chat.completions.create(**BODY)
""",
}
INTERRUPTED = """
try:
    asyncio.run(main())
except KeyboardInterrupt:
    sys.exit(7)
"""


@pytest.mark.parametrize("name", READS)
def test_ctrl_c(name, server):
    """KeyboardInterrupt comes out of ``asyncio.run``, and nothing else comes with it."""
    server.stall("one two three", after=3)
    process = begin(server, f"async def main():{READS[name]}{INTERRUPTED}")
    assert process.stdout.readline() == "ready\n"
    asyncio.run(server.wait_received(timeout_s=LIMIT_S))
    process.send_signal(signal.SIGINT)
    _, stderr = end(process)
    assert process.returncode == 7
    assert is_quiet(stderr), stderr
    assert asyncio.run(server.wait_closed()).outcome == "client_gone"


OWN_LOOP = """
loop = asyncio.new_event_loop()

async def main():
    stream = await begin()
    ready()
    await stream.completion()

try:
    loop.run_until_complete(main())
except KeyboardInterrupt:
    loop.close()
    sys.exit(7)
"""


def test_ctrl_c_under_a_loop_of_the_programs_own(server):
    """Without ``asyncio.run`` nobody tidies up; the warnings name what was left open, and nothing raises."""
    server.stall("one two three", after=3)
    process = begin(server, OWN_LOOP)
    assert process.stdout.readline() == "ready\n"
    # uvloop swallows a Ctrl-C that hits while it calls a protocol; a person presses it again.
    for _ in range(LIMIT_S // 2):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
            break
    _, stderr = end(process)
    assert process.returncode == 7
    assert "Exception ignored" not in stderr
    assert "loop is closed" not in stderr


# --- fork ------------------------------------------------------------------------------------------------------------

FORK = """
def in_child(use, *makes):
    asyncio._set_running_loop(None)  # as multiprocessing has it in the children that it forks
    for make in makes:
        try:
            print("child", type(asyncio.new_event_loop().run_until_complete(make())).__name__, flush=True)
        except Exception as exc:
            print("child", type(exc).__name__, exc, flush=True)
    use()

async def main():
    await client.chat.completions.create(**BODY)
    stream = await begin()
    pid = os.fork()
    if pid == 0:
        try:
            CHILD
        finally:
            os._exit(0)
    await asyncio.to_thread(os.waitpid, pid, 0)
    print("parent", (await stream.completion()).choices[0].message.content, flush=True)
    await client.chat.completions.create(**BODY)
    await client.aclose()

asyncio.run(main())
"""
IN_USE = "in use by another event loop"
CHILDREN = {
    "does nothing": ("pass", []),
    "drops everything": ("del stream; globals().pop('client'); gc.collect()", []),
    "ends the stream": ("in_child(stream.cancel, stream.aclose)", ["NoneType"]),
    "reads on": ("in_child(int, stream.completion, stream.__anext__)", [IN_USE, IN_USE]),
    "uses the client": (
        "in_child(int, lambda: client.chat.completions.create(**BODY), client.aclose)",
        [IN_USE, IN_USE],
    ),
    "makes a client": (
        "in_child(int, lambda: AsyncOpeAI('sk-test', base_url=sys.argv[1]).chat.completions.create(**BODY))",
        ["ChatCompletion"],
    ),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", CHILDREN)
def test_a_forked_child(name, server):
    """It gets clear errors, or an answer; the parent's stream goes on, on the same connection."""
    child, expected = CHILDREN[name]
    server.reply("Hi")
    server.reply("one two three four five six", token_delay_s=0.3)
    process = begin(server, FORK.replace("CHILD", child))
    stdout, stderr = end(process)
    *of_child, of_parent = stdout.splitlines()
    assert of_parent == "parent one two three four five six", stderr
    assert len(of_child) == len(expected)
    assert all(words in line for words, line in zip(expected, of_child, strict=True)), stdout
    assert process.returncode == 0, stderr
