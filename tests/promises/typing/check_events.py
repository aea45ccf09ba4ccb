"""What type checkers make of events. Checked by mypy and pyright in strict mode, never run."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from typing import assert_never, assert_type

from opeai_async import (
    ChatCompletionChunk,
    ChatCompletionStream,
    ChunkEvent,
    ContentDeltaEvent,
    ContentDoneEvent,
    FinishEvent,
    FunctionArgumentsDoneEvent,
    ReasoningDeltaEvent,
    StreamEvent,
)


async def matching(stream: ChatCompletionStream) -> None:
    """`match` narrows events by their class."""
    async for event in stream.events():
        assert_type(event, StreamEvent)
        match event:
            case ChunkEvent(chunk=chunk):
                assert_type(chunk, ChatCompletionChunk)
            case ContentDeltaEvent(delta=delta) | ReasoningDeltaEvent(delta=delta):
                assert_type(delta, str)
            case FunctionArgumentsDoneEvent(name=name, arguments=arguments):
                assert_type((name, arguments), tuple[str, str])
            case FinishEvent(finish_reason=reason):
                assert_type(reason, str | None)
            case _:
                pass


async def tags(stream: ChatCompletionStream) -> None:
    """`type` narrows them as well."""
    async for event in stream.events():
        if event.type == "content.done":
            assert_type(event, ContentDoneEvent)


def exhaustive(event: ContentDeltaEvent | ReasoningDeltaEvent) -> str:
    """A checker knows when all kinds were named."""
    if event.type == "content.delta":
        return event.delta
    if event.type == "reasoning.delta":
        return event.delta
    assert_never(event)
