"""pydantic-ai over `compat.AsyncOpenAI`."""

import pytest

pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed; `nox -s frameworks` has it")
pytest.importorskip("openai", reason="openai is not installed")

from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

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
