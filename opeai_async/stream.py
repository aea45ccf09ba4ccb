"""What users do with a stream: take its chunks, batches or text, or hand it on to somebody else.

How it is read, and how it ends, is the business of ``_io/stream.py``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Unpack

from opeai_async._io.event_view import Events
from opeai_async._io.stream import ChunkStream, ChunkT
from opeai_async._io.views import Texts
from opeai_async.relay import Receive, RelayOptions, RelayResult, Send, relay
from opeai_async.types.events import StreamEvent


class ChatCompletionStream(ChunkStream[ChunkT]):
    """The chunks of one answer, as they arrive: ``async for chunk in stream``.

    Made by ``client.chat.completions.create(..., stream=True)``, already open, or by ``.stream(...)``, which opens with
    ``async with`` or at the first read. Read it from one task. A stream that is not read to its end must be closed:
    leave its ``async with`` block, call ``aclose()``, or ``cancel()`` from anywhere.
    """

    def text(self, *, choice: int = 0) -> AsyncIterator[str]:
        """The content of one choice as it arrives, in pieces as the server cut them; never an empty one."""
        return Texts(lambda: self._ready, self._more, choice)

    def events(self) -> AsyncIterator[StreamEvent]:
        """What each chunk says as typed events, and at a good end what is done: see ``types/events.py``.

        A stream that was cut raises its error after the last delta, and has no ``done`` event.
        """
        return Events(self, lambda: self._ready, self._more)

    async def relay(self, send: Send, receive: Receive | None = None, **options: Unpack[RelayOptions]) -> RelayResult:
        """Send the answer on to a client, such as a browser at a websocket; returns how that went.

        ``await stream.relay(ws.send_text, ws.receive_text)`` is all that a handler needs: it gathers tokens within
        ``window`` seconds, watches for the client's leaving and for its ``stop``, gives up on one that never reads,
        and closes the stream in any case. See `opeai_async.relay.relay` for what can be set, and for what is raised.
        """
        return await relay(self, send, receive, **options)
