"""What a reader makes of server-sent events."""

import msgspec

from opeai_async import Frame, ServerSentEvent, SSEDecoder, sse

PING = b": ping\n\n"


def decoded(data: bytes) -> list[ServerSentEvent]:
    """What a reader gets of *data*."""
    return SSEDecoder().feed(data)


def frames_in(data: bytes) -> list[Frame]:
    return [msgspec.json.decode(event.data, type=Frame) for event in decoded(data)]


async def all_of(source, **options) -> bytes:
    return b"".join([data async for data in sse(source, **options)])
