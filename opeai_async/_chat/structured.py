"""Answers that are values of a Python type: awaited, asked for again if they are not valid, or streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Generic, Self, TypeVar

import msgspec

from opeai_async._chat.stream import ChatCompletionStream
from opeai_async._core.answer.outcome import Outcome
from opeai_async._core.answer.usage import added
from opeai_async._core.call.prepare import PreparedCall
from opeai_async._core.json import is_object
from opeai_async._core.partial.values import Path, keys_of
from opeai_async._core.policy.checks import checked_kind
from opeai_async._core.schema.output_format import OutputFormat, rows_of, with_values
from opeai_async._core.schema.schema import WRAPPER_FIELD
from opeai_async._io.exchange import Wiring
from opeai_async._public import claim
from opeai_async.errors import InvalidOutputError, RequestValidationError
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.events import FunctionArgumentsDeltaEvent, StreamEvent
from opeai_async.types.parsed import ParsedChatCompletion

T = TypeVar("T")


class ParsedChatCompletionStream(ChatCompletionStream[ChatCompletionChunk], Generic[T]):
    """A stream whose ``completion()`` has the value: ``client.chat.completions.stream(..., response_format=T)``."""

    def __init__(
        self,
        wiring: Wiring,
        call: PreparedCall,
        output: OutputFormat[T],
    ) -> None:
        super().__init__(wiring, call, ChatCompletionChunk)
        self._output = output

    def text(self, *, choice: int = 0) -> AsyncIterator[str]:
        """Iterate over the text of the value as it arrives: the content, or in mode "tool" the call's arguments."""
        if self._output.tool is None:
            return super().text(choice=choice)
        return _ArgumentTexts(self.events(), self._output.tool, choice)

    def partials(self, *, choice: int = 0, tool: int | str | None = None) -> AsyncIterator[Any]:
        """Iterate over the value so far, once per read that changed it; see ``ChatCompletionStream.partials``.

        A value that is no object, such as a list, travels in one: what comes here is the value itself.
        """
        if tool is not None:
            return super().partials(choice=choice, tool=tool)
        partials = super().partials(choice=choice, tool=self._output.tool)
        return _Unwrapped(partials) if self._output.is_wrapped else partials

    def field(self, path: Path, *, choice: int = 0, tool: int | str | None = None) -> AsyncIterator[str]:
        """Iterate over the text of one field of the value as it grows; see ``ChatCompletionStream.field``.

        For a list, ``"0"`` is its first item.
        """
        if tool is not None:
            return super().field(path, choice=choice, tool=tool)
        if self._output.is_wrapped:
            path = (WRAPPER_FIELD, *keys_of(path))
        return super().field(path, choice=choice, tool=self._output.tool)

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


class RunOutput(Generic[T]):
    """The value that a run of tools comes to."""

    def __init__(self, output: OutputFormat[T], *, repair: bool, retries: int) -> None:
        if output.tool is not None:
            raise RequestValidationError(
                "mode is 'tool', expected 'json_schema' or 'json_object': a run ends with an answer, not with a call",
                field="mode",
            )
        checked_kind("retries_on_invalid", retries, int, "a whole number")
        if retries < 0:
            raise RequestValidationError(
                f"retries_on_invalid is {retries}, expected 0 or more", field="retries_on_invalid"
            )
        self._output = output
        self._repair = repair
        self._retries = retries
        self._rejected: list[ChatCompletion] = []

    def asked(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return *params* with what asks for the value."""
        return self._output.asked(params)

    def review(self, completion: ChatCompletion, may_follow: bool) -> ChatCompletion | list[Any]:
        """Return the last answer with its value; or what to say to the model, which may try again.

        Raises:
            InvalidOutputError: If it is not of the type, and no other round may follow.
        """
        try:
            return self._output.parsed(completion, repair=self._repair)
        except InvalidOutputError as exc:
            exc.rejected = tuple(self._rejected)
            # What was cut or filtered would be so again.
            if not may_follow or len(self._rejected) == self._retries or type(exc) is not InvalidOutputError:
                raise
            self._rejected.append(completion)
            return self._output.corrections(exc)[1:]


class _ArgumentTexts:
    """The pieces of the arguments of one tool."""

    def __init__(self, events: AsyncIterator[StreamEvent], tool: str, choice: int) -> None:
        self._events = events
        self._tool = tool
        self._choice = choice

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        async for event in self._events:
            if not isinstance(event, FunctionArgumentsDeltaEvent) or event.choice != self._choice:
                continue
            if event.name == self._tool and event.delta:
                return event.delta
        raise StopAsyncIteration


class _Unwrapped:
    """What is in the field of the wrapper, once there is anything."""

    def __init__(self, partials: AsyncIterator[Any]) -> None:
        self._partials = partials

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        async for whole in self._partials:
            if is_object(whole) and WRAPPER_FIELD in whole:
                return whole[WRAPPER_FIELD]
        raise StopAsyncIteration


async def parse(
    create: Callable[..., Awaitable[ChatCompletion]],
    params: Mapping[str, Any],
    output: OutputFormat[T],
    *,
    repair: bool,
    retries: int,
) -> ParsedChatCompletion[T]:
    """The answer to *params* with its value; see ``Completions.parse``."""
    checked_kind("retries_on_invalid", retries, int, "a whole number")
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


claim(__name__)
