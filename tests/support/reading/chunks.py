"""Chunks of a stream as they are on the wire."""

import msgspec

DONE = b"data: [DONE]\n\n"


def event(content: str | None = None, *, finish: str | None = None, index: int = 0, **fields: object) -> bytes:
    """One chunk as a Server-Sent Event; *fields* go to its top level."""
    choice = {"index": index, "delta": {} if content is None else {"content": content}, "finish_reason": finish}
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **fields}
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def events(*contents: str) -> bytes:
    """One event per content."""
    return b"".join(map(event, contents))


FINISH = event(finish="stop")
ANSWER = events("a", "b", "c") + FINISH + DONE
COMPLETION = msgspec.json.encode(
    {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "abc"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4},
    }
)
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
