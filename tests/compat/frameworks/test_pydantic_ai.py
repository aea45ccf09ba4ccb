"""pydantic-ai over `compat.AsyncOpenAI`."""

import pytest

pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed; `nox -s frameworks` has it")

from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from opeai_async.pydantic_ai import OpeAIModel
from tests.compat.frameworks.contract import Contract, Joke, get_weather


def agent(client, **options):
    return Agent(OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client)), **options)


class TestPydanticAI(Contract):
    """Agents, which run tools by themselves."""

    status_error = ModelHTTPError

    async def ask(self, client):
        return (await agent(client).run("hello")).output

    async def pieces(self, client):
        async with agent(client).run_stream("hello") as result:
            async for piece in result.stream_text(delta=True, debounce_by=None):
                yield piece

    async def ask_with_tool(self, client):
        return (await agent(client, tools=[get_weather]).run("hello")).output

    async def value(self, client):
        return (await agent(client, output_type=NativeOutput(Joke)).run("hello")).output


class TestValuesByTool(TestPydanticAI):
    """Its usual way to ask for a value."""

    value_reply = "final_result"

    async def value(self, client):
        return (await agent(client, output_type=Joke).run("hello")).output


class TestModelOfOurs(Contract):
    """The same without openai's client."""

    status_error = ModelHTTPError

    @pytest.fixture
    async def client(self, server):
        async with server.client() as client:
            yield client

    def agent(self, client, **options):
        return Agent(OpeAIModel("m", client=client), **options)

    async def ask(self, client):
        return (await self.agent(client).run("hello")).output

    async def pieces(self, client):
        async with self.agent(client).run_stream("hello") as result:
            async for piece in result.stream_text(delta=True, debounce_by=None):
                yield piece

    async def ask_with_tool(self, client):
        return (await self.agent(client, tools=[get_weather]).run("hello")).output

    async def value(self, client):
        return (await self.agent(client, output_type=NativeOutput(Joke)).run("hello")).output
