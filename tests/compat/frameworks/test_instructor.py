"""instructor over `compat.AsyncOpenAI`."""

import pytest

pytest.importorskip("instructor", reason="instructor is not installed; `nox -s frameworks` has it")

import instructor
import openai

from tests.compat.frameworks.contract import TOOL, Contract, Joke, get_weather

HELLO = [{"role": "user", "content": "hello"}]


class TestInstructor(Contract):
    """Its patched client: without a model of pydantic it is openai's."""

    status_error = openai.RateLimitError
    value_reply = "Joke"

    async def ask(self, client):
        create = instructor.from_openai(client).chat.completions.create
        completion = await create(model="m", response_model=None, messages=HELLO)
        return completion.choices[0].message.content

    async def pieces(self, client):
        create = instructor.from_openai(client).chat.completions.create
        async for chunk in await create(model="m", response_model=None, messages=HELLO, stream=True):
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    async def ask_with_tool(self, client):
        create = instructor.from_openai(client).chat.completions.create
        completion = await create(model="m", response_model=None, messages=HELLO, tools=[TOOL])
        message = completion.choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": get_weather("Paris")}
        completion = await create(
            model="m",
            response_model=None,
            messages=[*HELLO, message.model_dump(exclude_unset=True), result],
            tools=[TOOL],
        )
        return completion.choices[0].message.content

    async def value(self, client):
        create = instructor.from_openai(client).chat.completions.create
        return await create(model="m", response_model=Joke, messages=HELLO)


class TestValuesBySchema(TestInstructor):
    """Its other way to ask for a value, and values that grow."""

    value_reply = "text"

    async def value(self, client):
        patched = instructor.from_openai(client, mode=instructor.Mode.JSON_SCHEMA)
        partials = patched.chat.completions.create_partial(model="m", response_model=Joke, messages=HELLO)
        return Joke(**[partial async for partial in partials][-1].model_dump())
