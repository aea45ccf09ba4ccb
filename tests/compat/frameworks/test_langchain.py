"""LangChain's model for openai over `compat.AsyncOpenAI`; see `opeai_async.langchain` for one of ours."""

import pytest

pytest.importorskip("langchain_openai", reason="langchain-openai is not installed; `nox -s frameworks` has it")

import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

from tests.compat.frameworks.contract import TOOL, Contract, Joke, get_weather


def model(client):
    completions = client.chat.completions
    return ChatOpenAI(
        model="m",
        async_client=completions,
        root_async_client=client,
        client=completions,
        root_client=client,
        api_key="-",
    )


class TestLangChain(Contract):
    """Its chat model."""

    status_error = openai.RateLimitError

    async def ask(self, client):
        return (await model(client).ainvoke("hello")).content

    async def pieces(self, client):
        async for chunk in model(client).astream("hello"):
            if chunk.content:
                yield chunk.content

    async def ask_with_tool(self, client):
        with_tool = model(client).bind_tools([TOOL])
        message = await with_tool.ainvoke("hello")
        result = ToolMessage(get_weather(**message.tool_calls[0]["args"]), tool_call_id=message.tool_calls[0]["id"])
        return (await with_tool.ainvoke([HumanMessage("hello"), message, result])).content

    async def value(self, client):
        return await model(client).with_structured_output(Joke).ainvoke("hello")
