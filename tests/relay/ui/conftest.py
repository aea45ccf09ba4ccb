"""The readers of other people's browsers, as npm packages in node, and the services that they talk to."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

HERE = Path(__file__).parent
# Where they are installed is named as they are asked for: the newest of each, and the last that refuses finishReason.
PACKAGES = {
    "ai-5.0.91": "npm:ai@5.0.91",
    "ai-5": "npm:ai@5",
    "ai-6": "npm:ai@6",
    "ai-7": "npm:ai@7",
    "@ag-ui/client": "1",
}
FRESH_S = 7 * 24 * 3600


@pytest.fixture(scope="session")
def packages() -> Path:
    """A directory with the packages in node_modules, outside of the repository; it is kept for a week."""
    if "OPEAI_ASYNC_TEST_UI" not in os.environ:
        pytest.skip("these tests install npm packages; run `python -m nox -s ui`")
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program} here")
    manifest = json.dumps({"private": True, "dependencies": PACKAGES})
    name = hashlib.sha256(manifest.encode()).hexdigest()[:12]
    root = Path(tempfile.gettempdir()) / f"opeai-async-npm-{name}"
    marker = root / "installed"
    if marker.exists() and time.time() - marker.stat().st_mtime < FRESH_S:
        return root
    root.mkdir(exist_ok=True)
    (root / "package.json").write_text(manifest)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=150, check=False)
    if done.returncode:
        pytest.skip(f"npm could not install the packages: {done.stderr[-300:]}")
    marker.touch()
    return root


async def run_node(script: str, *args: str):
    """What *script*, a file beside this one, prints as JSON."""
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / script), *args, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return json.loads(out)


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """The URL at which *handler* answers, whatever the method and the path."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    finally:
        await runner.cleanup()
