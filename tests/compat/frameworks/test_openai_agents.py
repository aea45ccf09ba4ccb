"""openai-agents over `compat.AsyncOpenAI`."""

import pytest

pytest.importorskip("agents", reason="openai-agents is not installed; `nox -s frameworks` has it")

import openai
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled

from tests.compat.frameworks.contract import Contract, Joke, get_weather

set_tracing_disabled(True)


def agent(client, **options):
    return Agent(name="a", model=OpenAIChatCompletionsModel(model="m", openai_client=client), **options)


class TestOpenAIAgents(Contract):
    """Its agents, which run tools by themselves."""

    status_error = openai.RateLimitError

    async def ask(self, client):
        return (await Runner.run(agent(client), "hello")).final_output

    async def pieces(self, client):
        result = Runner.run_streamed(agent(client), "hello")
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                yield event.data.delta

    async def ask_with_tool(self, client):
        return (await Runner.run(agent(client, tools=[function_tool(get_weather)]), "hello")).final_output

    async def value(self, client):
        return (await Runner.run(agent(client, output_type=Joke), "hello")).final_output
