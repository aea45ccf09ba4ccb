"""Runs against the oddities of real servers: the same tools run, with the same arguments, and the same is sent back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from opeai_async import AsyncOpeAI, OpeAIError
from opeai_async.testing import QUIRKS, OpeAIServer
from tests.support.reading.chunks import BODY

CALLS = [("add", {"a": 1, "b": 22}), ("greet", {"name": "Ada Lovelace"}), ("nothing", {})]
# Answers that say that they were broken off; their calls do not run.
BROKEN_OFF = {
    *("finish_max_tokens", "finish_sensitive", "finish_max_output_tokens", "finish_model_armor", "finish_language"),
    *("finish_image_safety", "finish_repetition", "finish_error_limit", "finish_error_toxic"),
}
ENDS_WELL = ("same", "changed", "unlabelled")
GOOD = [name for name in QUIRKS if name not in BROKEN_OFF and QUIRKS[name].expects(stream=True) in ENDS_WELL]
BAD = [name for name in QUIRKS if QUIRKS[name].expects(stream=True) not in ENDS_WELL]


class Desk:
    """Tools that note how they were called."""

    def __init__(self) -> None:
        self.called: list[tuple[str, Any]] = []

    async def add(self, a: int, b: int) -> int:
        """Add."""
        self.called.append(("add", {"a": a, "b": b}))
        return a + b

    async def greet(self, name: str) -> str:
        """Greet."""
        self.called.append(("greet", {"name": name}))
        return f"Hello {name}"

    async def nothing(self) -> None:
        """Do nothing."""
        self.called.append(("nothing", {}))

    @property
    def tools(self) -> list[Any]:
        return [self.add, self.greet, self.nothing]


@pytest.fixture
async def client(server: OpeAIServer) -> AsyncIterator[AsyncOpeAI]:
    async with server.client(max_retries=0) as client:
        yield client


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("name", GOOD)
async def test_every_call_is_understood(server: OpeAIServer, client: AsyncOpeAI, name: str, eager: bool) -> None:
    """Each runs once; each result bears the id that the model's message has for its call."""
    desk = Desk()
    server.reply("I count.", reasoning="One.", tool_calls=CALLS, quirks=[name])
    server.reply("Done.")
    result = await client.chat.completions.run(tools=desk.tools, eager=eager, **BODY)
    assert desk.called == CALLS
    assert (result.reason, result.text) == ("completed", "Done.")
    _, assistant, *results = server.requests[-1].json["messages"]
    assert [message["content"] for message in results] == ["23", "Hello Ada Lovelace", "null"]
    assert [message["tool_call_id"] for message in results] == [call["id"] for call in assistant["tool_calls"]]
    assert len({message["tool_call_id"] for message in results}) == 3


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("name", BAD)
async def test_no_error_is_missed(server: OpeAIServer, client: AsyncOpeAI, name: str, eager: bool) -> None:
    """Nothing is sent back to a server that has failed, and nothing runs that was not started early."""
    desk = Desk()
    server.reply("I count.", tool_calls=CALLS, quirks=[name])
    with pytest.raises(OpeAIError):
        await client.chat.completions.run(tools=desk.tools, eager=eager, **BODY)
    assert len(server.requests) == 1
    assert desk.called == ([] if not eager else CALLS[: len(desk.called)])
