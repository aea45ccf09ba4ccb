"""What users do with a stream: take its chunks, batches or text, or hand it on to somebody else.

How it is read, and how it ends, is the business of ``_io/stream/stream.py``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from operator import length_hint
from typing import TYPE_CHECKING, Any, Never, Unpack

from opeai_async._chat.spelled_out import spelled_out
from opeai_async._io.stream.stream import ChunkStream, ChunkT
from opeai_async._io.stream.views import Texts
from opeai_async._names.former import STREAM, usable_names, with_former_names
from opeai_async._public import claim

if TYPE_CHECKING:  # what few streams need is loaded when it is first used
    from opeai_async._core.partial.answer import PartialAnswer
    from opeai_async._core.partial.values import Path
    from opeai_async._io.stream.partials import StreamReader
    from opeai_async._relay.websocket import Receive, RelayOptions, RelayResult, Send
    from opeai_async.types.events import StreamEvent


@spelled_out
@with_former_names(STREAM)
class ChatCompletionStream(ChunkStream[ChunkT]):
    """The chunks of one answer, as they arrive: ``async for chunk in stream``.

    Made by ``client.chat.completions.create(..., stream=True)``, already open, or by ``.stream(...)``, which opens with
    ``async with`` or at the first read. Read it from one task. A stream that is not read to its end must be closed:
    leave its ``async with`` block, call ``aclose()``, or ``cancel()`` from anywhere.
    """

    # One class in two files: what users do with an answer is here, how it is read and ends is in its base; they share
    # `_ready`, `_more`, `_batch` and `_accumulated`, which nobody else touches.

    _partial_answers: dict[tuple[int, int | str | None], PartialAnswer] | None = None

    def __dir__(self) -> list[str]:
        # Without what only other modules of this package use.
        return [name for name in usable_names(self) if name not in ("hold", "observed", "open_or_cancel", "run_id")]

    # What is tried by mistake, in the words of the mistake.

    def __iter__(self) -> Never:
        raise TypeError("a stream is read with `async for`, not with `for`; opeai_async.OpeAI has streams for `for`")

    def __enter__(self) -> Never:
        raise TypeError("a stream is opened with `async with`, not with `with`")

    def __exit__(self, *_: object) -> None: ...  # without it, `with` does not ask __enter__

    def __await__(self) -> Never:
        raise TypeError(
            "a stream is not awaited: `async with ...stream(...) as stream`, or `await ...create(..., stream=True)`"
        )

    def text(self, *, choice: int = 0) -> AsyncIterator[str]:
        """The content of one choice as it arrives, in pieces as the server cut them; never an empty one."""
        return Texts(lambda: self._ready, self._more, choice)

    def events(self) -> AsyncIterator[StreamEvent]:
        """What each chunk says as typed events, and at a good end what is done: see ``types/events.py``.

        A stream that was cut raises its error after the last delta, and has no ``done`` event.
        """
        from opeai_async._io.stream.views import Events

        return Events(self, lambda: self._ready, self._more)

    def partials(self, *, choice: int = 0, tool: int | str | None = None) -> AsyncIterator[Any]:
        """The JSON value of the content so far, once per read that changed it: see `opeai_async.PartialJSON`.

        Objects and arrays are the same ones each time and go on growing: copy what is to be kept as it is now, and
        change nothing. A Markdown code fence around the JSON is passed over. Without any text, nothing comes.

        Args:
            choice: Index of the choice.
            tool: For the arguments of a tool call instead: its position, or the name of its function, the first so
                named.

        Raises:
            InvalidJSONError: After all that was right, where the text is no JSON, or where the stream ended well and
                the JSON did not. A stream that was cancelled ends quietly.
        """
        from opeai_async._io.stream.partials import Partials

        return Partials(*self._partial_view(choice, tool))

    def field(self, path: Path, *, choice: int = 0, tool: int | str | None = None) -> AsyncIterator[str]:
        """The text of one field of the content's JSON value as it grows, decoded: new text only, never an empty one.

        It ends with the field, so that another may be read next. Nothing comes where the field is null or missing.

        Args:
            path: ``"answer"``, ``"steps.0.title"``, or ``("steps", 0, "title")``, also for names with dots.
            choice, tool: As for ``partials``.

        Raises:
            InvalidJSONError: Where the field is no string, or where ``partials`` raises it.
        """
        from opeai_async._io.stream.partials import FieldText

        return FieldText(*self._partial_view(choice, tool), path)

    def _partial_view(self, choice: int, tool: int | str | None) -> tuple[PartialAnswer, StreamReader]:
        from opeai_async._core.partial.answer import PartialAnswer
        from opeai_async._io.stream.partials import StreamReader

        if self._partial_answers is None:
            self._partial_answers = {}
        answer = self._partial_answers.setdefault((choice, tool), PartialAnswer(choice, tool))
        return answer, StreamReader(self, lambda: self._ready, self._more, self._taken)

    def _taken(self) -> int:
        """How many chunks somebody has taken."""
        return self._accumulator.chunks - self._accumulated + len(self._batch) - length_hint(self._ready)

    async def relay(self, send: Send, receive: Receive | None = None, **options: Unpack[RelayOptions]) -> RelayResult:
        """Send the answer on to a client, such as a browser at a websocket; returns how that went.

        ``await stream.relay(ws.send_text, ws.receive_text)`` is all that a handler needs: it gathers tokens within
        ``window`` seconds, watches for the client's leaving and for its ``stop``, gives up on one that never reads,
        and closes the stream in any case. See `opeai_async.relay` for what can be set, and for what is raised.
        """
        from opeai_async._relay.websocket import relay

        return await relay(self, send, receive, **options)


claim(__name__)
