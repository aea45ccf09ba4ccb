"""litellm over `compat.AsyncOpenAI`."""

import pytest

pytest.importorskip("litellm", reason="litellm is not installed; `nox -s frameworks` has it")

import litellm

from opeai_async.testing import OpeAIServer
from tests.compat.frameworks.contract import TOOL, Contract, Joke, get_weather

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture
async def server():
    """A server, without a look at what is left behind: litellm keeps a task of its own for its logs."""
    async with OpeAIServer() as server:
        yield server


def ask(client, messages=HELLO, **params):
    return litellm.acompletion("openai/m", messages=messages, client=client, max_retries=0, **params)


class TestLiteLLM(Contract):
    """Its completions."""

    status_error = litellm.RateLimitError

    async def ask(self, client):
        return (await ask(client)).choices[0].message.content

    async def pieces(self, client):
        async for chunk in await ask(client, stream=True):
            if chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    async def ask_with_tool(self, client):
        message = (await ask(client, tools=[TOOL])).choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": get_weather("Paris")}
        return (await ask(client, [*HELLO, message, result], tools=[TOOL])).choices[0].message.content

    async def value(self, client):
        answer = await ask(client, response_format=Joke)
        return Joke.model_validate_json(answer.choices[0].message.content)
