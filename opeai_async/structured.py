"""Answers that are values of a Python type: awaited, asked for again if they are not valid, or streamed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from opeai_async._core.outcome import Outcome
from opeai_async._core.output_format import OutputFormat, rows_of, with_values
from opeai_async._core.usage import added
from opeai_async._io.exchange import Exchange
from opeai_async._io.read_options import ReadOptions
from opeai_async.errors import RequestValidationError
from opeai_async.output_errors import InvalidOutputError
from opeai_async.stream import ChatCompletionStream
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.parsed import ParsedChatCompletion

T = TypeVar("T")


class ParsedChatCompletionStream(ChatCompletionStream[ChatCompletionChunk], Generic[T]):
    """A stream whose ``completion()`` has the value: ``client.chat.completions.stream(..., response_format=T)``."""

    def __init__(
        self,
        make_exchange: Callable[[], Exchange],
        options: ReadOptions[ChatCompletionChunk],
        output: OutputFormat[T],
    ) -> None:
        super().__init__(make_exchange, options)
        self._output = output

    async def completion(self) -> ParsedChatCompletion[T]:
        """Read to the end; returns the whole message with its usage, and the value in ``parsed``.

        After ``cancel()``, it is the message as far as it was read, and ``parsed`` is None.

        Raises:
            InvalidOutputError: If the answer is not of the type that was asked for.
            StreamError: If the stream ended badly; ``partial`` holds all that arrived.
            ConcurrentReadError: If another task is reading.
        """
        completion = await super().completion()
        if self.outcome is Outcome.CANCELLED:
            return with_values(completion, [None] * len(completion.choices))
        return self._output.parsed(completion, repair=self._options.dialect == "repair")


async def parse(
    create: Callable[..., Awaitable[ChatCompletion]],
    params: Mapping[str, Any],
    output: OutputFormat[T],
    *,
    repair: bool,
    retries: int,
) -> ParsedChatCompletion[T]:
    """The answer to *params* with its value; see ``Completions.parse``."""
    if retries < 0 or (retries and (params.get("n") or 1) > 1):
        raise RequestValidationError(
            f"retries_on_invalid is {retries} with n={params.get('n') or 1}, expected 0 or more, and 0 if n is above 1",
            field="retries_on_invalid",
            hint="send a single question again, or check each of n answers yourself",
        )
    if params.get("stream"):
        raise RequestValidationError(
            "stream is True, expected none: parse awaits the whole answer",
            field="stream",
            hint="use chat.completions.stream(response_format=...)",
        )
    asked = output.asked(params)
    messages = rows_of(asked.get("messages"))
    if messages is not None:
        asked["messages"] = messages
    rejected: list[ChatCompletion] = []
    usage: CompletionUsage | None = None
    while True:
        completion = await create(**asked)
        usage = added(usage, completion.usage)
        try:
            parsed = output.parsed(completion, repair=repair)
        except InvalidOutputError as exc:
            exc.rejected, exc.usage = tuple(rejected), usage
            # What was cut or filtered would be so again.
            if len(rejected) == retries or type(exc) is not InvalidOutputError:
                raise
            messages = [*(messages or ()), *output.corrections(exc)]
            asked = {**asked, "messages": messages}
            rejected.append(completion)
        else:
            return msgspec.structs.replace(parsed, usage=usage, rejected=tuple(rejected))
