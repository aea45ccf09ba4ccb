"""``client.chat.completions``: what can be asked, and how it is answered."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast, overload

import msgspec

from opeai_async._chat.observers import observer_list
from opeai_async._chat.spelled_out import spelled_out
from opeai_async._chat.stream import ChatCompletionStream
from opeai_async._core.call.params import (
    CreateParams,
    OutputMode,
    ParseParams,
    RunParams,
    UnformattedRunParams,
    hidden_params,
    split_run_params,
)
from opeai_async._core.call.prepare import CallDefaults, PreparedCall, prepare, retry_policy
from opeai_async._core.policy.checks import checked_class, checked_flag, checked_mapping
from opeai_async._io.complete import complete
from opeai_async._io.endpoints import exchange_for
from opeai_async._io.exchange import Wiring
from opeai_async._names.former import COMPLETIONS, with_former_names
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.completion import ChatCompletion

if TYPE_CHECKING:
    # Loaded when they are first used.
    from opeai_async._chat.structured import ParsedChatCompletionStream
    from opeai_async._io.observe.run import RunWatch
    from opeai_async._tools.run import Run
    from opeai_async._tools.tool import RunTool
    from opeai_async.bulk.options import BulkParams
    from opeai_async.bulk.results import BulkResults
    from opeai_async.types.parsed import ParsedChatCompletion

CompletionT = TypeVar("CompletionT", bound=ChatCompletion)
ChunkT = TypeVar("ChunkT", bound=ChatCompletionChunk)
T = TypeVar("T")


@spelled_out
@with_former_names(COMPLETIONS)
class Completions:
    """``client.chat.completions``.

    See https://platform.openai.com/docs/api-reference/chat/create
    """

    def __init__(self, defaults: CallDefaults, wiring: Wiring) -> None:
        self._defaults = defaults
        self._wiring = wiring

    @overload
    async def create(
        self, *, stream: Literal[False] | None = False, **params: Unpack[CreateParams]
    ) -> ChatCompletion: ...

    @overload
    async def create(
        self, *, stream: Literal[True], **params: Unpack[CreateParams]
    ) -> ChatCompletionStream[ChatCompletionChunk]: ...

    @overload
    async def create(
        self, *, stream: bool, **params: Unpack[CreateParams]
    ) -> ChatCompletion | ChatCompletionStream[ChatCompletionChunk]: ...

    @overload
    async def create(
        self,
        *,
        completion_type: type[CompletionT],
        stream: Literal[False] | None = False,
        **params: Unpack[CreateParams],
    ) -> CompletionT: ...

    @overload
    async def create(
        self, *, chunk_type: type[ChunkT], stream: Literal[True], **params: Unpack[CreateParams]
    ) -> ChatCompletionStream[ChunkT]: ...

    async def create(
        self,
        *,
        stream: bool | None = False,
        completion_type: type[Any] = ChatCompletion,
        chunk_type: type[Any] = ChatCompletionChunk,
        **params: Unpack[CreateParams],
    ) -> Any:
        """Ask for an answer: awaited whole, or with ``stream=True`` as a stream that is open when this returns.

        Args:
            stream: Whether to stream.
            completion_type: A Struct that extends ``ChatCompletion``, to read vendor fields typed.
            chunk_type: The same for chunks.
            params: The API's parameters by name, see ``CompletionParams``, and the call's options, see ``CallOptions``.

        Raises:
            RequestValidationError: If a parameter is wrong; nothing was sent.
            ConfigurationError: If an option of the call cannot be used; nothing was sent.
            APIStatusError: If the server refused, after the retries.
            APIConnectionError: If it was not reached, or not in time.
            InvalidResponseError: If what answered is not this API.
            StreamServerError: If the body of a 200 reports an error.
        """
        params = hidden_params(params)
        if stream and checked_flag("stream", stream):
            opened = self._stream(params, chunk_type, usage=False)
            await opened.open_or_cancel()
            return opened
        checked_class("chunk_type", chunk_type, ChatCompletionChunk)
        checked_class("completion_type", completion_type, ChatCompletion)
        call = self._prepared(params, stream=False)
        return await complete(exchange_for(self._wiring_of(params), call), completion_type, call.reading)

    @overload
    async def parse(
        self,
        *,
        response_format: type[T],
        mode: OutputMode = "json_schema",
        strict: bool = True,
        retries_on_invalid: int = 0,
        **params: Unpack[ParseParams],
    ) -> ParsedChatCompletion[T]: ...

    @overload
    async def parse(
        self,
        *,
        response_format: Any,
        mode: OutputMode = "json_schema",
        strict: bool = True,
        retries_on_invalid: int = 0,
        **params: Unpack[ParseParams],
    ) -> ParsedChatCompletion[Any]: ...

    async def parse(
        self,
        *,
        response_format: Any,
        mode: OutputMode = "json_schema",
        strict: bool = True,
        retries_on_invalid: int = 0,
        **params: Unpack[ParseParams],
    ) -> ParsedChatCompletion[Any]:
        """Ask for a value of a Python type; ``completion.parsed`` has it, checked.

        Args:
            response_format: The type: a Struct, dataclass, TypedDict, attrs class or pydantic model, or a list, union,
                literal or enum. A field with a default is asked for all the same, where *strict* holds; one that may
                be missing is ``X | None``.
            mode: How to ask: ``"json_schema"``; ``"json_object"``, with the schema in the prompt, for models which know
                no schemas; ``"tool"``, a call that the model must make, whose arguments are the value.
            strict: Whether the server is to hold the model to the schema. A type that this cannot express, such as one
                with a dict in it, is refused then.
            retries_on_invalid: How often to send an answer that is not valid back to the model, with what is wrong.
            params: As for ``create``, without ``response_format``.

        Raises:
            RequestValidationError: If the type cannot be asked for, or a parameter is wrong; nothing was sent.
            InvalidOutputError: If the answer is not of that type. A refusal is no error: ``parsed`` is None then.
            OpeAIError: As ``create`` does.
        """
        from opeai_async._chat.structured import parse
        from opeai_async._core.schema.output_format import OutputFormat

        output: OutputFormat[Any] = OutputFormat(response_format, mode=mode, strict=strict)
        repair = params.get("dialect", self._defaults.reading.dialect) == "repair"
        create = cast("Callable[..., Awaitable[ChatCompletion]]", self.create)
        return await parse(create, hidden_params(params), output, repair=repair, retries=retries_on_invalid)

    @overload
    def stream(self, **params: Unpack[CreateParams]) -> ChatCompletionStream[ChatCompletionChunk]: ...

    @overload
    def stream(self, *, chunk_type: type[ChunkT], **params: Unpack[CreateParams]) -> ChatCompletionStream[ChunkT]: ...

    @overload
    def stream(
        self,
        *,
        response_format: type[T],
        mode: OutputMode = "json_schema",
        strict: bool = True,
        **params: Unpack[ParseParams],
    ) -> ParsedChatCompletionStream[T]: ...

    @overload
    def stream(
        self,
        *,
        response_format: Any,
        mode: OutputMode = "json_schema",
        strict: bool = True,
        **params: Unpack[ParseParams],
    ) -> ParsedChatCompletionStream[Any]: ...

    def stream(
        self,
        *,
        chunk_type: type[Any] = ChatCompletionChunk,
        response_format: Any = None,
        mode: OutputMode = "json_schema",
        strict: bool = True,
        **params: Unpack[ParseParams],
    ) -> ChatCompletionStream[Any]:
        """A stream that opens with ``async with`` or at the first read, and asks the server for usage.

        Args:
            chunk_type: A Struct that extends ``ChatCompletionChunk``, to read vendor fields typed.
            response_format: In the API's own form; or a Python type, see ``parse``: ``completion()`` has its value.
            mode: How to ask for a value, see ``parse``.
            strict: Whether the server is to hold the model to the schema, see ``parse``.
            params: As for ``create``.

        Raises:
            RequestValidationError: If a parameter is wrong; nothing was sent.
            ConfigurationError: If an option of the call cannot be used; nothing was sent.
        """
        hidden = hidden_params(params)
        if response_format is None or isinstance(response_format, (Mapping, msgspec.Struct)):
            plain = cast("CreateParams", {**hidden, "response_format": response_format})
            return self._stream(plain, chunk_type, usage=True)
        from opeai_async._chat.structured import ParsedChatCompletionStream
        from opeai_async._core.schema.output_format import OutputFormat

        output: OutputFormat[Any] = OutputFormat(response_format, mode=mode, strict=strict)
        asked = cast("CreateParams", output.asked(hidden))
        call = self._prepared(asked, stream=True, usage=True)
        return ParsedChatCompletionStream(self._wiring_of(asked), call, output)

    @overload
    def run(self, *, tools: Iterable[RunTool], **params: Unpack[RunParams]) -> Run[None]: ...

    @overload
    def run(
        self,
        *,
        tools: Iterable[RunTool],
        response_format: type[T],
        mode: OutputMode = "json_schema",
        strict: bool = True,
        retries_on_invalid: int = 0,
        **params: Unpack[UnformattedRunParams],
    ) -> Run[T]: ...

    @overload
    def run(
        self,
        *,
        tools: Iterable[RunTool],
        response_format: Any,
        mode: OutputMode = "json_schema",
        strict: bool = True,
        retries_on_invalid: int = 0,
        **params: Unpack[UnformattedRunParams],
    ) -> Run[Any]: ...

    def run(
        self,
        *,
        tools: Iterable[RunTool],
        response_format: Any = None,
        mode: OutputMode = "json_schema",
        strict: bool = True,
        retries_on_invalid: int = 0,
        **params: Unpack[UnformattedRunParams],
    ) -> Run[Any]:
        """Run tools as one stream over all rounds: the model is asked, what it calls is run, it is told the results.

        Args:
            tools: Functions, ``@tool`` or plain ones; and definitions in the API's own form: a call of one of these
                ends the run, with ``reason`` ``"tool_calls"``, after all others were run.
            response_format: In the API's own form; or a Python type, see ``parse``: ``result.parsed`` has the value of
                the last answer, checked.
            mode, strict: How to ask for a value, see ``parse``; ``"tool"`` is not for runs.
            retries_on_invalid: How often to send a last answer that is not valid back to the model.
            params: As for ``stream``, and the options of a run, see ``RunOptionParams``. A ``tool_choice`` that
                forces a call holds in the first round only. Timeouts and retries are those of each request.

        Raises:
            RequestValidationError: If a parameter is wrong, or a function cannot be a tool; nothing was sent.
            ConfigurationError: If an option cannot be used; nothing was sent.
        """
        from opeai_async._tools.result import RunOptions
        from opeai_async._tools.run import Run

        plain, chosen = split_run_params(hidden_params(params))
        options = RunOptions(**chosen)
        watch = self._run_watch(plain)
        if response_format is None or isinstance(response_format, (Mapping, msgspec.Struct)):
            return Run(self.stream, {**plain, "response_format": response_format}, tools, options, watch=watch)
        from opeai_async._chat.structured import RunOutput
        from opeai_async._core.schema.output_format import OutputFormat

        repair = params.get("dialect", self._defaults.reading.dialect) == "repair"
        asked: OutputFormat[Any] = OutputFormat(response_format, mode=mode, strict=strict)
        output = RunOutput(asked, repair=repair, retries=retries_on_invalid)
        return Run(self.stream, plain, tools, options, output, watch)

    def _run_watch(self, params: Mapping[str, Any]) -> RunWatch | None:
        """Return who tells what becomes of a run; None if nobody listens."""
        from opeai_async._io.observe.run import RunWatch

        observers = self._wiring_of(params).observers
        return RunWatch(observers, str(params.get("model")), params.get("conversation_id")) if observers else None

    def map(
        self,
        requests: Iterable[object] | AsyncIterable[object],
        *,
        response_format: Any = None,
        mode: OutputMode = "json_schema",
        strict: bool = True,
        retries_on_invalid: int = 0,
        **options: Unpack[BulkParams],
    ) -> BulkResults:
        """Run many requests, as many at once as the server takes: ``async for result in ...map(requests)``.

        Args:
            requests: Parameters of calls, as dicts, each with an optional ``custom_id``; or lines of the Batch format.
                Any iterable or async iterable, read as far as it is needed.
            response_format: In the API's own form; or a Python type, see ``parse``: ``result.parsed`` has its value.
            mode, strict, retries_on_invalid: How to ask for a value, see ``parse``.
            options: How to run, see ``BulkParams``.

        Raises:
            ConfigurationError: If an option cannot be used.
            RequestValidationError: If the type cannot be asked for.
        """
        from opeai_async._io.observe.bulk import bulk_watch
        from opeai_async.bulk.options import MAX_RETRIES
        from opeai_async.bulk.results import bulk_results

        given: dict[str, Any] = {**options, "response_format": response_format}
        if response_format is not None and not isinstance(response_format, (Mapping, msgspec.Struct)):
            given |= {"mode": mode, "strict": strict, "retries_on_invalid": retries_on_invalid}
        # Settled once, and not with each of a million calls.
        policy = retry_policy(self._defaults.retry, given.pop("max_retries", MAX_RETRIES))
        calls = Completions(msgspec.structs.replace(self._defaults, retry=policy), self._wiring)
        shared = checked_mapping("defaults", given.get("defaults") or {})
        watch = bulk_watch(self._wiring_of(shared).observers, shared.get("model"))
        return bulk_results(
            calls.create, calls.parse, requests, given, dialect=self._defaults.reading.dialect, watch=watch
        )

    def _stream(self, params: CreateParams, chunk_type: type[ChunkT], *, usage: bool) -> ChatCompletionStream[ChunkT]:
        checked_class("chunk_type", chunk_type, ChatCompletionChunk)
        call = self._prepared(params, stream=True, usage=usage)
        return ChatCompletionStream(self._wiring_of(params), call, chunk_type)

    def _prepared(self, params: CreateParams, *, stream: bool, usage: bool = False) -> PreparedCall:
        if self._wiring.pool is None:
            return prepare(self._defaults, params, stream=stream, usage=usage)
        from opeai_async._core.policy.endpoints.routes import routed

        return routed(self._defaults, params, stream=stream, usage=usage)

    def _wiring_of(self, params: Mapping[str, Any]) -> Wiring:
        """Return the client's wiring, with the call's own observers beside its own."""
        more = params.get("observers")
        if not more:
            return self._wiring
        observers = self._wiring.observers.plus(observer_list(more))
        return msgspec.structs.replace(self._wiring, observers=observers)
