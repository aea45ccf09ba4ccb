"""What holds for aiohttp's C parser holds for its Python parser: every case again, in a process that has only that."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ONLY_PYTHON = {"AIOHTTP_NO_EXTENSIONS": "1"}


@pytest.mark.skipif(os.environ.get("AIOHTTP_NO_EXTENSIONS") == "1", reason="this process has only the Python parser")
@pytest.mark.time_limit(170)
@pytest.mark.parametrize("file", ["test_streams.py", "test_retries.py", "test_whole.py", "test_details.py"])
async def test_with_the_python_parser(file: str) -> None:
    """aiohttp takes its choice when it is imported, so the cases of one file share a process of their own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / file)),
        env={**os.environ, **ONLY_PYTHON},
        cwd=HERE.parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()[-3000:]


def test_the_python_parser_is_what_the_process_gets() -> None:
    """The variable still means what it did."""
    code = "from aiohttp import http_parser as p; assert p.HttpResponseParser is p.HttpResponseParserPy"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **ONLY_PYTHON}, check=True)
