"""A SIGTERM under real servers, with an upstream behind TLS: answers end with a last frame, and nothing is left."""

import asyncio
import contextlib
import importlib.util
import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.support.servers.ports import free_port
from tests.support.servers.tls_server import TLSServer

LIMIT_S = 25.0  # for a process to start, or to end, on a busy machine
HERE = Path(__file__).parent
NEEDS = {"gunicorn": ("gunicorn", "uvicorn_worker"), "uvicorn": ("uvicorn",)}

pytestmark = pytest.mark.time_limit(90)


def uvicorn(port, loop):
    return ["app:app", "--port", str(port), "--loop", loop, "--timeout-graceful-shutdown", "3"]


def uvicorn_workers(port, loop):
    return [*uvicorn(port, loop), "--workers", "2"]


def gunicorn(port, loop):
    worker = "UvicornWorker" if loop == "uvloop" else "UvicornH11Worker"  # that is the one on plain asyncio
    return ["app:app", "--preload", "-k", f"uvicorn_worker.{worker}", "-b", f"127.0.0.1:{port}", "-w", "2"]


def hypercorn(port, loop):
    # With workers, hypercorn tells only its main process of the signal.
    return ["app:app", "-b", f"127.0.0.1:{port}", "-k", loop, "--workers", "0"]


def granian(port, loop):
    return ["--interface", "asgi", "--port", str(port), "--loop", loop, "--workers-kill-timeout", "5", "app:app"]


SERVERS = {server.__name__: server for server in (uvicorn, uvicorn_workers, gunicorn, hypercorn, granian)}


@dataclass
class Service:
    """A server in a process of its own, with the application of ``app.py``.

    Attributes:
        process: The one that is sent the signal.
        port: Where it listens.
        log: What it and its workers write.
    """

    process: subprocess.Popen
    port: int
    log: Path

    def end(self):
        """Ask it to end, as a container's runtime does."""
        self.process.send_signal(signal.SIGTERM)

    async def ended(self):
        """Wait for its end; returns what it has written."""
        await asyncio.to_thread(self.process.wait, LIMIT_S)
        return self.log.read_text()


@pytest.fixture
def upstream():
    with TLSServer() as server:
        yield server


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request):
    if request.param == "uvloop" and not importlib.util.find_spec("uvloop"):
        pytest.skip("uvloop is not installed")
    return request.param


@pytest.fixture
def start(upstream, tmp_path):
    """Starts a server, and waits until it listens."""
    processes = []

    async def start(name, loop, wait_s=0.0):
        program = name.removesuffix("_workers")
        for module in NEEDS.get(program, (program,)):
            if not importlib.util.find_spec(module):
                pytest.skip(f"{module} is not installed")
        port = free_port()
        path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        env = {**os.environ, "PYTHONPATH": path, "UPSTREAM": upstream.base_url, "WAIT_S": str(wait_s)}
        log = tmp_path / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", program, *SERVERS[name](port, loop)],
                env={**env, "HOME": str(tmp_path)},  # gunicorn has a socket there
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        processes.append(process)
        async with asyncio.timeout(LIMIT_S):
            while not await accepts(port):
                assert process.poll() is None, log.read_text()
                await asyncio.sleep(0.02)
        return Service(process, port, log)

    yield start
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers, too
        process.wait()


async def accepts(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def websocket(service, on_content):
    """Read a relay to its end; *on_content* is called after the first content. Returns the types of its frames."""
    frames = []
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"http://127.0.0.1:{service.port}/chat") as ws:
            async for message in ws:
                frames.append(message.json())
                if frames[-1]["type"] == "content" and on_content is not None:
                    on_content()
                    on_content = None
    return frames


async def event_stream(service, on_content):
    """Read server-sent events to their end, in the same way."""
    frames = []
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{service.port}/events") as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    frames.append(json.loads(line[6:]))
                    if frames[-1]["type"] == "content" and on_content is not None:
                        on_content()
                        on_content = None
    return frames


CUTS = ("granian", websocket)  # it drops them with the signal


def nothing_is_left(log, loop):
    """Whether the log of a service says so, and has no complaint."""
    ended = [line for line in log.splitlines() if line.startswith("LIFESPAN ENDED")]
    assert set(ended) == {f"LIFESPAN ENDED {loop} 0"}, log
    assert "Traceback" not in log, log
    assert "never retrieved" not in log, log
    assert "was destroyed" not in log, log


@pytest.mark.parametrize(
    ("server", "read"),
    [(server, read) for server in SERVERS for read in (websocket, event_stream) if (server, read) != CUTS],
)
async def test_answers_end_with_a_last_frame(start, upstream, server, read, loop):
    """Also while the model is silent; the upstream is closed, no task is left, and the process ends."""
    upstream.stall("one two", after=3)
    service = await start(server, loop)
    frames = await read(service, service.end)
    # The words may come in one frame or in several.
    assert [kind for kind, _ in itertools.groupby(frame["type"] for frame in frames)] == ["start", "content", "error"]
    log = await service.ended()
    assert (await upstream.wait_closed(0)).outcome == "client_gone"
    nothing_is_left(log, loop)


async def test_a_server_that_drops_its_websockets(start, upstream, loop):
    """The client is told nothing, but the upstream is closed all the same, and no task is left."""
    upstream.stall("one two", after=3)
    service = await start("granian", loop)
    frames = await websocket(service, service.end)
    assert [frame["type"] for frame in frames][:2] == ["start", "content"]
    log = await service.ended()
    assert (await upstream.wait_closed(0)).outcome == "client_gone"
    if "thread 'tokio-rt-worker'" in log:
        pytest.xfail("granian sometimes panics when it stops, before the application has ended")
    nothing_is_left(log, loop)


@pytest.mark.parametrize("read", [websocket, event_stream])
@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
async def test_open_answers_may_end(start, upstream, server, read):
    """With ``wait``, the server gets the signal when they are whole."""
    upstream.reply("word " * 20, token_delay_s=0.02)
    service = await start(server, "asyncio", wait_s=60.0)
    frames = await read(service, service.end)
    assert "".join(frame["text"] for frame in frames if frame["type"] == "content") == "word " * 20
    assert (frames[-1]["type"], frames[-1]["reason"]) == ("done", "completed")
    nothing_is_left(await service.ended(), "asyncio")


async def test_a_second_signal_does_not_wait(start, upstream):
    upstream.stall("one two", after=3)
    service = await start("uvicorn", "asyncio", wait_s=60.0)

    def end_twice():
        service.end()
        asyncio.get_running_loop().call_later(0.5, service.end)

    with contextlib.suppress(aiohttp.ClientError):
        await event_stream(service, end_twice)
    await service.ended()
    assert (await upstream.wait_closed(0)).outcome == "client_gone"
