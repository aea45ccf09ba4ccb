"""Documents whose Python blocks run, one after the other, against the embedded server."""

import ast
import asyncio
import inspect
from pathlib import Path
from typing import Any

from sybil import Document
from sybil.parsers.markdown import CodeBlockParser

from opeai_async import AsyncOpeAI
from opeai_async.testing import OpeAIServer


def snippets(path: Path) -> list[tuple[int, str]]:
    """(line, source) of each Python block."""
    text = path.read_text(encoding="utf-8")
    document = Document(text, str(path))
    parser = CodeBlockParser(language="python", evaluator=lambda _: None)
    return [(text.count("\n", 0, region.start) + 2, str(region.parsed)) for region in parser(document)]


async def run(source: str, path: Path, line: int, namespace: dict[str, Any]) -> None:
    """Run a snippet that may await, with the document's own line numbers in its tracebacks."""
    padded = "\n" * (line - 1) + source
    if "asyncio.run(" in source:  # a whole program: it has no loop around it
        await asyncio.to_thread(exec, compile(padded, str(path), "exec"), namespace)
        return
    code = compile(padded, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, namespace)
    if inspect.isawaitable(result):
        await result


async def run_all(path: Path, monkeypatch: Any) -> None:
    """Run every block of *path*; names of one are there in the next, and so are ``client`` and ``messages``."""
    async with OpeAIServer() as server:
        monkeypatch.setenv("OPEAI_API_KEY", str(server.api_key))
        monkeypatch.setenv("OPEAI_BASE_URL", server.base_url)
        async with AsyncOpeAI() as client:
            messages = [{"role": "user", "content": "What is the weather in Paris?"}]
            namespace: dict[str, Any] = {"messages": messages}
            for line, source in snippets(path):
                namespace["client"] = client  # a snippet may have closed the one it made
                await run(source, path, line, namespace)
        assert all(request.outcome in ("completed", "client_gone") for request in server.requests)
