"""What type checkers make of `create` and `stream`. Checked by mypy and pyright in strict mode, never run."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from typing import Literal, assert_type

from opeai_async import (
    AsyncOpeAI,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    ChatCompletionStream,
    CompletionUsage,
    Timeouts,
    ToolCall,
)
from opeai_async.types.meta import ResponseMeta


class MyCompletion(ChatCompletion):
    """A completion with a vendor's field."""

    cost: float | None = None


class MyChunk(ChatCompletionChunk):
    """A chunk with a vendor's field."""

    cost: float | None = None


async def narrowing(client: AsyncOpeAI, flag: bool) -> None:
    """`stream` decides about the type of the result."""
    create = client.chat.completions.create
    assert_type(await create(model="m", messages=[]), ChatCompletion)
    assert_type(await create(model="m", messages=[], stream=False), ChatCompletion)
    assert_type(await create(model="m", messages=[], stream=None), ChatCompletion)
    assert_type(await create(model="m", messages=[], stream=True), ChatCompletionStream[ChatCompletionChunk])
    assert_type(
        await create(model="m", messages=[], stream=flag), ChatCompletion | ChatCompletionStream[ChatCompletionChunk]
    )


async def own_types(client: AsyncOpeAI) -> None:
    """A user's own Structs come back as themselves."""
    create = client.chat.completions.create
    completion = await create(model="m", messages=[], completion_type=MyCompletion)
    assert_type(completion, MyCompletion)
    assert_type(completion.cost, float | None)
    opened = await create(model="m", messages=[], stream=True, chunk_type=MyChunk)
    assert_type(opened, ChatCompletionStream[MyChunk])
    async for chunk in opened:
        assert_type(chunk, MyChunk)
    stream = client.chat.completions.stream(model="m", messages=[], chunk_type=MyChunk)
    assert_type(stream, ChatCompletionStream[MyChunk])
    assert_type(client.chat.completions.stream(model="m", messages=[]), ChatCompletionStream[ChatCompletionChunk])


async def reading(client: AsyncOpeAI) -> None:
    """Every field has the type that it may have, and no other."""
    completion = await client.chat.completions.create(model="m", messages=[])
    message = completion.choices[0].message
    assert_type(message, ChatCompletionMessage)
    assert_type(message.content, str | None)
    assert_type(message.reasoning_content, str | None)
    assert_type(message.tool_calls, list[ToolCall] | None)
    for call in message.tool_calls or []:
        assert_type(call.function.arguments, str)
    assert_type(completion.usage, CompletionUsage | None)
    assert_type(completion.choices[0].finish_reason, str | None)
    assert_type(completion.choices[0].finish, Literal["stop", "length", "tool_calls", "content_filter", "error"] | None)
    assert_type(completion.meta, ResponseMeta)
    assert_type(completion.meta.request_id, str | None)


async def streaming(client: AsyncOpeAI) -> None:
    """Chunks, text and the whole, from an opened stream and in a block."""
    async for chunk in await client.chat.completions.create(model="m", messages=[], stream=True):
        for choice in chunk.choices:
            assert_type(choice.finish, Literal["stop", "length", "tool_calls", "content_filter", "error"] | None)
            assert_type(choice.delta.content, str | None)
            assert_type(choice.delta.reasoning_content, str | None)
    async with client.chat.completions.stream(model="m", messages=[]) as stream:
        assert_type(stream, ChatCompletionStream[ChatCompletionChunk])
        async for text in stream.text():
            assert_type(text, str)
        assert_type(await stream.completion(), ChatCompletion)


async def options(client: AsyncOpeAI) -> None:
    """What a call may set beside the API's parameters, None included."""
    await client.chat.completions.create(
        model="m",
        messages=[],
        extra_body={"top_k": 40, "provider": {"order": ["a"]}},
        extra_headers={"X-A": "b"},
        extra_query={"a": "b"},
        timeouts=Timeouts(total_s=5, connect_s=None),
        max_retries=0,
        dialect="strict",
        on_truncated="return",
        reasoning_tags="think",
    )
    await client.chat.completions.create(
        model="m", messages=[], extra_body=None, extra_headers=None, extra_query=None, timeouts=None, max_retries=None
    )


async def mistakes(client: AsyncOpeAI, completion: ChatCompletion) -> None:
    """A comment that ignores an error which is not there is an error itself, in both type checkers."""
    create = client.chat.completions.create
    await create(model="m", messages=[], temprature=1)  # type: ignore[call-overload]
    await create(messages=[])  # type: ignore[call-overload]
    await create(model="m")  # type: ignore[call-overload]
    await create(model=5, messages=[])  # type: ignore[call-overload]
    await create(model="m", messages="hi")  # type: ignore[arg-type]
    await create(model="m", messages=[], dialect="other")  # type: ignore[call-overload]
    await create(model="m", messages=[], reasoning_tags="all")  # type: ignore[call-overload]
    client.chat.completions.stream(model="m", messages=[], stream=True)  # type: ignore[call-overload]
    AsyncOpeAI(timeout=5)
    AsyncOpeAI(http_client=5)  # type: ignore[arg-type]
    Timeouts(read_s=5)  # type: ignore[call-arg]
    completion.choices[0].message.text  # type: ignore[attr-defined]  # noqa: B018
