"""A process that was frozen for longer than a clock, while its bytes arrived, is told of them and not of the clock."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.loops.event_loops import LOOPS
from tests.support.reading.chunks import DONE, FINISH, event
from tests.support.servers.raw_server import HEAD, chunked
from tests.support.servers.thread_server import ThreadServer, tls_contexts

CLIENT = """
import asyncio, ssl, sys
from opeai_async import AsyncOpeAI, OpeAIError, Timeouts
loop, url, cafile = sys.argv[1:]
limits = Timeouts(idle_bytes_s=0.4, idle_content_s=0.4, first_content_s=0.4, response_headers_s=0.4)
async def main():
    trusts = ssl.create_default_context(cafile=cafile) if url.startswith("https") else None
    async with AsyncOpeAI("sk-x", base_url=url, ssl_context=trusts, max_retries=0) as client:
        messages = [{"role": "user", "content": "hi"}]
        stream = client.chat.completions.stream(model="m", messages=messages, timeouts=limits)
        try:
            async for text in stream.text():
                print(text, flush=True)
        except OpeAIError as exc:
            print(type(exc).__name__, exc)
if loop == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("before", ["body", "head"])
def test_bytes_that_arrive_while_the_process_is_frozen(loop, tls, before, tmp_path):
    """It is frozen while it waits, and goes on when its clock is over and the rest of the answer is there."""
    accepts, _ = tls_contexts(tmp_path)
    clients = []

    def answer(line):
        if before == "body":
            line.send(HEAD + chunked(event("one")))
        while not clients:
            time.sleep(0.005)
        time.sleep(0.05)  # until it waits
        os.kill(clients[0].pid, signal.SIGSTOP)
        if before == "head":
            line.send(HEAD + chunked(event("one")))
        line.send(chunked(event("two") + FINISH + DONE) + b"0\r\n\r\n")
        time.sleep(1.2)
        os.kill(clients[0].pid, signal.SIGCONT)

    with ThreadServer(answer, tls=accepts if tls else None) as server:
        clients.append(
            subprocess.Popen(
                [sys.executable, "-c", CLIENT, loop, server.base_url, str(tmp_path / "cert.pem")],
                cwd=Path(__file__).parents[4],
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        said, _ = clients[0].communicate(timeout=30)
    assert said.split() == ["one", "two"]
