"""Haystack over `compat.AsyncOpenAI`."""

import asyncio

import pytest

pytest.importorskip("haystack", reason="Haystack is not installed; `nox -s frameworks` has it")

import openai
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import create_tool_from_function
from haystack.utils import Secret

from tests.compat.frameworks.contract import Contract, Joke, get_weather

HELLO = ChatMessage.from_user("hello")


def generator(client, **options):
    made = OpenAIChatGenerator(api_key=Secret.from_token("-"), model="m", **options)
    made.async_client = client
    return made


class TestHaystack(Contract):
    """Its chat generator."""

    status_error = openai.RateLimitError

    async def ask(self, client):
        return (await generator(client).run_async([HELLO]))["replies"][0].text

    async def pieces(self, client):
        chunks = asyncio.Queue()

        async def put(chunk):
            await chunks.put(chunk.content)

        running = asyncio.ensure_future(generator(client).run_async([HELLO], streaming_callback=put))
        running.add_done_callback(lambda _: chunks.put_nowait(None))
        try:
            while (piece := await chunks.get()) is not None:
                if piece:
                    yield piece
        finally:
            running.cancel()
            await asyncio.wait([running])

    async def ask_with_tool(self, client):
        made = generator(client, tools=[create_tool_from_function(get_weather)])
        message = (await made.run_async([HELLO]))["replies"][0]
        (call,) = message.tool_calls
        result = ChatMessage.from_tool(get_weather(**call.arguments), origin=call)
        return (await made.run_async([HELLO, message, result]))["replies"][0].text

    async def value(self, client):
        made = generator(client, generation_kwargs={"response_format": Joke})
        return Joke.model_validate_json((await made.run_async([HELLO]))["replies"][0].text)
