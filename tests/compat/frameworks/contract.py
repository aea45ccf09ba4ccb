"""What each framework does over `compat.AsyncOpenAI`, on real sockets: six things, told in its own words."""

import asyncio
import json
from abc import ABC, abstractmethod

import pydantic
import pytest

CALL = ("get_weather", {"city": "Paris"})
VALUE = {"setup": "a", "punchline": "b"}


class Joke(pydantic.BaseModel):
    """A joke."""

    setup: str
    punchline: str


def get_weather(city: str) -> str:
    """Return the weather in a city."""
    return f"20 C in {city}"


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Return the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Contract(ABC):
    """The six; a framework's own class says how each is done there.

    Attributes:
        status_error: What it raises for status 429.
        value_reply: What the model must answer for a value: text, or the name of the tool that takes it.
    """

    status_error: type[Exception] | tuple[type[Exception], ...]
    value_reply: str = "text"

    @abstractmethod
    async def ask(self, client) -> str:
        """Return the answer to "hello"."""

    @abstractmethod
    def pieces(self, client):
        """Iterate over the answer to "hello" as it comes."""

    @abstractmethod
    async def ask_with_tool(self, client) -> str:
        """Return the answer to "hello" after the model has called `get_weather`."""

    @abstractmethod
    async def value(self, client) -> Joke:
        """Return a value."""

    async def test_a_completion(self, server, client):
        """By our engine."""
        server.reply("Hi", reasoning="Hm")
        assert await self.ask(client) == "Hi"
        assert server.requests[0].headers["user-agent"].startswith("opeai_async/")
        assert server.requests[0].json["messages"][-1]["role"] == "user"

    async def test_a_stream(self, server, client):
        """In pieces as they come, none lost."""
        server.reply("one two three four")
        pieces = [piece async for piece in self.pieces(client)]
        assert "".join(pieces) == "one two three four"
        assert len(pieces) > 1
        assert server.requests[0].json["stream"] is True

    async def test_tools(self, server, client):
        """The call is run, and the model has its result."""
        server.reply(tool_calls=[CALL])
        server.reply("It is mild.")
        assert await self.ask_with_tool(client) == "It is mild."
        first, second = server.requests
        assert first.json["tools"][0]["function"]["name"] == "get_weather"
        call, result = second.json["messages"][-2:]
        assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == CALL[1]
        assert (result["role"], result["tool_call_id"]) == ("tool", call["tool_calls"][0]["id"])
        assert "20 C in Paris" in str(result["content"])

    async def test_a_value(self, server, client):
        """Of a pydantic model."""
        if self.value_reply == "text":
            server.reply(json.dumps(VALUE))
        else:
            server.reply(tool_calls=[(self.value_reply, VALUE)])
        value = await self.value(client)
        assert isinstance(value, Joke)
        assert value.model_dump() == VALUE

    async def test_an_error(self, server, client):
        """As the framework raises that of openai."""
        server.fail(429, message="Too fast.", times=9)
        with pytest.raises(self.status_error) as caught:
            await self.ask(client.with_options(max_retries=0))
        assert "Too fast." in str(caught.value)

    async def test_cancelling(self, server, client):
        """Nothing is left behind, of a call and of a stream."""
        server.stall("one two", after=0)
        task = asyncio.ensure_future(self.ask(client))
        await server.wait_received()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await server.wait_closed()).outcome == "client_gone"
        server.stall("one two three", after=2)
        task = asyncio.ensure_future(self._read(client, begun := asyncio.Event()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await server.wait_closed()).outcome == "client_gone"

    async def _read(self, client, begun):
        async for _ in self.pieces(client):
            begun.set()
