"""A real browser before the chat page, and a line between them that can be cut."""

import asyncio
import importlib.util
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from examples.websocket_chat.__main__ import serving
from opeai_async.testing import OpeAIServer

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
async def browser():
    """Chromium, headless; skips where there is none."""
    if not importlib.util.find_spec("playwright"):
        pytest.skip("playwright is not installed; run `python -m nox -s browser`")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        path = next(filter(None, map(shutil.which, CHROMIUMS)), playwright.chromium.executable_path)
        if not Path(path).exists():
            pytest.skip("there is no Chromium here: `apt-get install chromium` or `playwright install chromium`")
        # As root, which is usual in containers, Chromium's own sandbox cannot be set up.
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        browser = await playwright.chromium.launch(executable_path=path, args=sandbox)
        yield browser
        await browser.close()


@pytest.fixture
async def upstream() -> AsyncIterator[OpeAIServer]:
    async with OpeAIServer(token_delay_s=0.01) as server:
        yield server


class Line:
    """A TCP proxy before the service.

    Attributes:
        url: What the browser opens.
    """

    def __init__(self, port: int) -> None:
        self.url = ""
        self._port = port
        self._pipes: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_cut = False

    def cut(self) -> None:
        """Reset all connections, and every new one."""
        self._is_cut = True
        for writer in self._pipes:
            writer.transport.abort()

    def mend(self) -> None:
        """Let new connections through."""
        self._is_cut = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        there, onward = await asyncio.open_connection("127.0.0.1", self._port)
        self._pipes |= {writer, onward}
        await asyncio.gather(_pump(reader, onward), _pump(there, writer))
        self._pipes -= {writer, onward}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


@asynccontextmanager
async def line_to(port: int) -> AsyncGenerator[Line]:
    line = Line(port)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    line.url = "http://{}:{}/".format(*server.sockets[0].getsockname())
    try:
        yield line
    finally:
        line.cut()
        server.close()


@pytest.fixture
async def line(upstream: OpeAIServer) -> AsyncIterator[Line]:
    """The chat service, before the `upstream`, behind a line."""
    async with upstream.client(max_retries=0) as client, serving(client) as url:
        async with line_to(int(url.rstrip("/").rpartition(":")[2])) as line:
            yield line


@pytest.fixture
async def page(browser, line: Line):
    """The chat page, open; fails if it has errors, or asks anybody else for anything."""
    context = await browser.new_context()
    page = await context.new_page()
    page.set_default_timeout(15_000)
    complaints: list[str] = []

    def note(what: object) -> None:
        complaints.append(str(what))

    page.on("pageerror", note)
    page.on("dialog", note)
    # Chromium itself reports each connection that is lost.
    page.on("console", lambda said: None if said.text.startswith("WebSocket connection to") else note(said.text))
    page.on("request", lambda asked: None if asked.url.startswith((line.url, "data:")) else note(asked.url))
    await page.goto(line.url)
    yield page
    await context.close()
    assert complaints == []
