"""A client for scripts and notebooks: the same names without ``await``, over one event loop in a thread.

Each call runs there, by anyio's blocking portal; Ctrl-C while it is waited for cancels it there, which closes its
connection. Chunks are fetched by the batch, so a hop between threads is paid per wake-up of the loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import wraps
from threading import Lock
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Self, TypeVar, Unpack, cast, overload

from opeai_async._chat.client import AsyncOpeAI
from opeai_async._chat.spelled_out import spelled_out
from opeai_async._core.answer.outcome import Outcome
from opeai_async._core.call.params import ClientOptions, CreateParams, ListOptions, ParseParams
from opeai_async._io.loops import LoopThread
from opeai_async._names.former import CHAT, CLIENT, COMPLETIONS, STREAM, with_former_names
from opeai_async._public import claim
from opeai_async.errors import ClientClosedError
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.completion import ChatCompletion, ModelList
from opeai_async.types.meta import ResponseMeta
from opeai_async.types.options import OutputMode
from opeai_async.types.parsed import ParsedChatCompletion

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from opeai_async._tools.result import RunResult

P = ParamSpec("P")
T = TypeVar("T")


class _Loop:
    """An event loop in a thread, which begins with the first call."""

    def __init__(self) -> None:
        self._context: LoopThread | None = None
        self._portal: BlockingPortal | None = None
        self._lock = Lock()
        self._is_closed = False

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what *work* returns on the loop; cancel it there where the wait for it is interrupted."""
        if self._is_closed:
            raise ClientClosedError("the client is closed")
        with self._lock:  # two threads may make the first call
            if self._portal is None:
                self._context = LoopThread("opeai_async loop")
                self._portal = self._context.__enter__()
        future = self._portal.start_task_soon(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self, last: Callable[[], Awaitable[None]]) -> None:
        """Run *last*, and end the thread."""
        if not self._is_closed and self._context is not None:
            try:
                self.run(last)
            finally:
                self._is_closed = True
                self._context.__exit__(None, None, None)
        self._is_closed = True


class _Closing(AbstractContextManager[Any]):
    close: Callable[[], None]

    def __exit__(self, *_: object) -> None:
        self.close()


def _like(other: Callable[P, object]) -> Callable[[Callable[..., None]], Callable[Concatenate[OpeAI, P], None]]:
    """Return a decorator that gives the constructor the parameters of the class *other*."""
    return lambda init: cast("Any", wraps(cast("Any", other).__init__, assigned=())(init))


@spelled_out
@with_former_names(CLIENT)
class OpeAI(_Closing):
    """`AsyncOpeAI` for programs without an event loop: ``with OpeAI() as client``, or end it with ``client.close()``.

    It takes the same arguments, and its methods are of the same names. It may be used from any thread.
    """

    @_like(AsyncOpeAI)
    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._set_up(AsyncOpeAI(*arguments, **options), _Loop())

    def _set_up(self, client: AsyncOpeAI, loop: _Loop) -> None:
        self._client, self._loop = client, loop
        self.base_url: str = client.base_url
        self.chat: SyncChat = SyncChat(SyncCompletions(client.chat.completions, loop))
        self.models: SyncModels = SyncModels(client.models, loop)

    def with_options(self, **options: Unpack[ClientOptions]) -> Self:
        """Return a client with other defaults, which shares loop and connections; see `AsyncOpeAI.with_options`."""
        other = object.__new__(type(self))
        other._set_up(self._client.with_options(**options), self._loop)
        return other

    def close(self) -> None:
        """Close every stream and connection, and end the thread; one that ``with_options`` has made closes nothing."""
        if self._client.owns_pool:
            self._loop.close(self._client.aclose)

    def __repr__(self) -> str:
        return repr(self._client).replace(type(self._client).__name__, type(self).__name__, 1)


class _OnLoop:
    def __init__(self, source: Any, loop: _Loop) -> None:
        self._source = source
        self._loop = loop


@with_former_names(CHAT)
class SyncChat:
    """``client.chat``."""

    def __init__(self, completions: SyncCompletions) -> None:
        self.completions: SyncCompletions = completions


@spelled_out
class SyncModels(_OnLoop):
    """``client.models``."""

    def list(self, **options: Unpack[ListOptions]) -> ModelList:
        """Return all models; ``for model in client.models.list()``."""
        return cast("ModelList", self._loop.run(lambda: self._source.list(**options)))


@spelled_out
@with_former_names(COMPLETIONS)
class SyncCompletions(_OnLoop):
    """``client.chat.completions``; see `AsyncOpeAI` for what each method takes and raises."""

    @overload
    def create(self, *, stream: Literal[False] | None = False, **params: Unpack[CreateParams]) -> ChatCompletion: ...
    @overload
    def create(self, *, stream: Literal[True], **params: Unpack[CreateParams]) -> SyncStream: ...
    def create(self, *, stream: bool | None = False, **params: Unpack[CreateParams]) -> Any:
        """Ask for an answer: whole, or with ``stream=True`` as a stream that is open when this returns."""
        answer = self._loop.run(lambda: self._source.create(stream=stream, **params))
        return SyncStream(answer, self._loop) if stream else answer

    def parse(
        self,
        *,
        response_format: type[T],
        mode: OutputMode = "json_schema",
        strict: bool = True,
        retries_on_invalid: int = 0,
        **params: Unpack[ParseParams],
    ) -> ParsedChatCompletion[T]:
        """Ask for a value of a Python type; ``completion.parsed`` has it, checked."""
        asked = {"response_format": response_format, "mode": mode, "strict": strict, **params}
        return self._loop.run(lambda: self._source.parse(retries_on_invalid=retries_on_invalid, **asked))

    def stream(self, **params: Unpack[CreateParams]) -> SyncStream:
        """Return a stream that opens with ``with`` or at the first read, and asks the server for usage."""
        return SyncStream(self._source.stream(**params), self._loop)

    def run(self, *, tools: Iterable[Any], **params: Any) -> SyncRun:
        """Run tools as one stream of events over all rounds."""
        return SyncRun(self._source.run(tools=tools, **params), self._loop)


class _Each(_OnLoop, Iterator[T]):
    """What an async iterator brings, fetched on its loop."""

    def __next__(self) -> T:
        async def step() -> list[T]:
            async for item in self._source:  # not anext: a StopAsyncIteration must not come out of a coroutine
                return [item]
            return []

        for item in self._loop.run(step):
            return item
        raise StopIteration


class _Entered(_OnLoop, _Closing):
    """A stream, or a run, that ends with its block."""

    def __enter__(self) -> Self:
        self._loop.run(self._source.__aenter__)
        return self

    def close(self) -> None:
        """End it, and close its connection."""
        self._loop.run(self._source.aclose)


@with_former_names(STREAM)
class SyncStream(_Entered):
    """The chunks of one answer as they arrive: ``for chunk in stream``. Leave its block, or call ``close()``."""

    def __iter__(self) -> Iterator[ChatCompletionChunk]:
        for chunks in _Each[list[ChatCompletionChunk]](self._source.batches(), self._loop):
            yield from chunks

    def text(self, *, choice: int = 0) -> Iterator[str]:
        """Return the content of one choice as it arrives."""
        return _Each(self._source.text(choice=choice), self._loop)

    def events(self) -> Iterator[Any]:
        """Return what each chunk says as typed events."""
        return _Each(self._source.events(), self._loop)

    def completion(self) -> ChatCompletion:
        """Read to the end, and return the whole message."""
        return cast("ChatCompletion", self._loop.run(self._source.completion))

    @property
    def snapshot(self) -> ChatCompletion:
        """The message so far."""
        return cast("ChatCompletion", self._source.snapshot)

    @property
    def outcome(self) -> Outcome:
        """How the stream ended."""
        return cast("Outcome", self._source.outcome)

    @property
    def meta(self) -> ResponseMeta:
        """What is known of the exchange."""
        return cast("ResponseMeta", self._source.meta)


class SyncRun(_Entered):
    """A run of tools: ``for event in run``, then ``run.result()``."""

    def __iter__(self) -> Iterator[Any]:
        return _Each(aiter(self._source), self._loop)

    def result(self) -> RunResult[Any]:
        """Read to the end, and return what came of it."""
        return self._loop.run(self._source.result)


claim(__name__)
