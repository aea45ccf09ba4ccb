"""LlamaIndex over `compat.AsyncOpenAI`."""

import pytest

pytest.importorskip("llama_index.llms.openai_like", reason="LlamaIndex is not installed; `nox -s frameworks` has it")

import openai
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

from tests.compat.frameworks.contract import Contract, Joke, get_weather

HELLO = ChatMessage(role="user", content="hello")


def model(client):
    return OpenAILike(
        model="m",
        api_key="-",
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
        async_openai_client=client,
    )


class TestLlamaIndex(Contract):
    """Its model for servers that are like openai's."""

    status_error = openai.RateLimitError
    value_reply = "Joke"

    async def ask(self, client):
        return (await model(client).achat([HELLO])).message.content

    async def pieces(self, client):
        async for answer in await model(client).astream_chat([HELLO]):
            if answer.delta:
                yield answer.delta

    async def ask_with_tool(self, client):
        llm, tool = model(client), FunctionTool.from_defaults(get_weather)
        answer = await llm.achat_with_tools([tool], chat_history=[HELLO])
        (call,) = llm.get_tool_calls_from_response(answer)
        more = {"tool_call_id": call.tool_id}
        result = ChatMessage(role="tool", content=get_weather(**call.tool_kwargs), additional_kwargs=more)
        return (await llm.achat([HELLO, answer.message, result])).message.content

    async def value(self, client):
        return await model(client).astructured_predict(Joke, PromptTemplate("hello"))
