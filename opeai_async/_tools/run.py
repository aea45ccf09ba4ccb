"""A run of tools as users see it: events, frames for a browser, and the result.

The loop itself is in ``_tools/rounds.py``: ask the model, run the tools that it calls, ask again with their results,
until it has answered. Here its items become events, and its end a result.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, Unpack

from opeai_async._core.answer.events import EventMaker
from opeai_async._core.json import is_object
from opeai_async._core.schema.sendable import NOT_RUN, open_calls, sendable
from opeai_async._io.observe.run import RunWatch
from opeai_async._io.stream.stream import ChunkStream
from opeai_async._names.async_only import async_only
from opeai_async._public import claim
from opeai_async._relay.websocket import Receive, RelayOptions, RelayResult, Send, relay
from opeai_async._tools.result import RunResult
from opeai_async._tools.rounds import Rounds, RunItem
from opeai_async._tools.run_frames import RunFrames
from opeai_async._tools.tool import RunTool
from opeai_async._tools.toolbox import Toolbox
from opeai_async.errors import RequestValidationError
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.events import (
    RoundStartedEvent,
    RunEvent,
    RunReason,
)
from opeai_async.types.request import MessageParam
from opeai_async.types.run_options import Approvals

if TYPE_CHECKING:
    from opeai_async._tools.result import RunOptions


if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")

# The results that stand for calls that were not run. The reasons that are missing leave the calls to the caller.
_NOT_RUN: dict[RunReason, str] = {
    "completed": NOT_RUN,
    "max_rounds": NOT_RUN,
    "max_calls": "not run: as many calls as were allowed had been made",
    "max_total_tokens": NOT_RUN,
    "deadline": "not run: the time for it was over",
    "length": "not run: the answer reached its greatest length",
    "content_filter": "not run: a content filter ended the answer",
    "truncated": "not run: the answer was cut",
    "cancelled": "not run: the run was cancelled",
    "failed": "not run: the run ended with an error",
    "running": "not run yet",
}


class Output(Protocol):
    """The way to ask for the value of a run, and to read it."""

    def asked(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return *params* with the parameters that ask for the value."""
        ...

    def review(self, completion: ChatCompletion, may_follow: bool) -> ChatCompletion | list[MessageParam]:
        """Return the last answer with its value, or messages with which the model is asked again."""
        ...


@async_only
class Run(Generic[T]):
    """One stream over all rounds: ``async for event in run``, then ``await run.result()``; or only ``await run``.

    Made by ``client.chat.completions.run(...)``. Nothing is sent before the first read. Read it from one task. A run
    that is not read to its end must be closed: leave its ``async with`` block, call ``aclose()``, or ``cancel()`` from
    anywhere. Then the upstream is closed and running tools are cancelled; ``aclose`` and the block wait for async tools
    to end, as a task group does, while a sync one is left to run to its end in its thread.
    """

    def __init__(
        self,
        stream: Callable[..., ChunkStream[Any]],
        params: Mapping[str, Any],
        tools: Iterable[RunTool],
        options: RunOptions,
        output: Output | None = None,
        watch: RunWatch | None = None,
    ) -> None:
        options.check()
        _check_params(params)
        toolbox = Toolbox(tools)
        plain = dict(params)
        messages = plain.pop("messages", ())
        if options.approvals is not None:
            messages = list(messages)
            _check_approvals(options.approvals, messages)

        def ask(messages: Sequence[MessageParam], number: int, tool_choice: Any) -> ChunkStream[Any]:
            choice = params.get("tool_choice")
            choice = choice if number == 1 and options.approvals is None else later_tool_choice(choice)
            asked = {
                **plain,
                "messages": sendable(messages),
                "tool_choice": choice if tool_choice is None else tool_choice,
            }
            made = stream(tools=toolbox.params or None, **(asked if output is None else output.asked(asked)))
            made.run_id = None if watch is None else watch.run_id
            return made

        # Events of the last read that were not handed out yet.
        self._ready: deque[RunEvent] = deque()
        self._maker = EventMaker()
        self._rounds = Rounds(
            ask,
            lambda call: toolbox.answer(call, on_error=options.on_error, limit_s=options.call_timeout),
            messages,
            limits=options,
            needs_approval=toolbox.needs_approval,
            approvals=options.approvals,
            review=None if output is None else output.review,
            watch=watch,
        )

    # --- reading -----------------------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[RunEvent]:
        return self

    async def __anext__(self) -> RunEvent:
        """Return the next event: of a stream, of a round or of a tool; see ``types/events.py``.

        Raises:
            OpeAIError: The error that ended the run; ``result_so_far`` holds what had been done.
            Exception: The error of a tool, if ``on_error`` lets it end the run.
            ConcurrentReadError: If another task is reading.
            ClientClosedError: If the run was closed before its end.
        """
        while not self._ready:
            items = await self._rounds.read()
            if not items:
                raise StopAsyncIteration
            for item in items:
                self._take(item)
        return self._ready.popleft()

    def _take(self, item: RunItem) -> None:
        if isinstance(item, list):
            for chunk in item:
                self._ready.extend(self._maker.add(chunk))
        elif isinstance(item, ChatCompletion):
            self._ready.extend(self._maker.end(item))
        else:
            # Each round is a message of its own, so its events start with nothing known.
            if isinstance(item, RoundStartedEvent):
                self._maker = EventMaker()
            self._ready.append(item)

    async def result(self, *, closed: bool = True) -> RunResult[T]:
        """Read to the end, and return the result; after ``cancel()``, it holds what had been done.

        Args:
            closed: True for messages that a server accepts, see ``RunResult``; False for those of the model as they
                came, and no others.

        Raises:
            OpeAIError: The error that ended the run; and all others that reading an event raises.
        """
        self._ready.clear()  # events that were not read are skipped
        while await self._rounds.read():
            pass
        return self._result(closed=closed)

    def __await__(self) -> Generator[Any, None, RunResult[T]]:
        return self._whole().__await__()

    async def _whole(self) -> RunResult[T]:
        async with self:
            return await self.result()

    def frames(self, *, results: bool = False) -> RunFrames:
        """Return all rounds as frames for a browser, to be read instead of the events, by ``sse`` or a session.

        Args:
            results: True if the browser may see what the tools return.
        """
        return RunFrames(self, self._rounds, results=results)

    async def relay(
        self, send: Send, receive: Receive | None = None, *, results: bool = False, **options: Unpack[RelayOptions]
    ) -> RelayResult:
        """Send all rounds to a client, such as a browser at a websocket, and return how that went.

        See `opeai_async.relay` for the options; ``result_so_far`` has the messages afterwards.

        Args:
            send, receive: As for a stream.
            results: True if the client may see what the tools return.
            options: As for a stream.

        Raises:
            Exception: Any error of ``relay``; and the error of a tool, if ``on_error`` lets it end the run.
        """
        frames = self.frames(results=results)
        result = await relay(frames, send, receive, **options)
        if frames.failure is not None:
            raise frames.failure
        return result

    # --- ending ------------------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """End the run now: the upstream is closed, tools are cancelled, a loop over it ends quietly; from any thread.

        ``result_so_far`` keeps what was done.
        """
        self._ready.clear()
        self._rounds.cancel()

    async def aclose(self) -> None:
        """Close the run, if it is not at its end; later reads raise ``ClientClosedError``. May be called again."""
        if self._rounds.reason == "running":
            self._ready.clear()
        await self._rounds.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        # There is none if the arguments were refused. The way to warn is an argument because, at the end of the
        # interpreter, modules are emptied before the last objects are finalized.
        rounds: Rounds | None = getattr(self, "_rounds", None)
        if rounds is None or rounds.reason != "running":
            return
        shown = repr(self) if rounds.is_unclosed else None
        rounds.cancel()
        if shown is not None:
            _warn(f"unclosed {shown}: use `async with`, aclose() or cancel()", ResourceWarning, source=self)

    # --- what is known -----------------------------------------------------------------------------------------------

    @property
    def result_so_far(self) -> RunResult[T]:
        """The result as far as the run has come: all messages and results so far, also after an error."""
        return self._result(closed=True)

    def _result(self, *, closed: bool) -> RunResult[T]:
        rounds = self._rounds
        why = _NOT_RUN.get(rounds.reason) if closed else None
        return RunResult(
            reason=rounds.reason,
            messages=rounds.messages if why is None else sendable(rounds.messages, why=why),
            new_messages=rounds.new_messages if why is None else sendable(rounds.new_messages, why=why),
            completions=list(rounds.completions),
            usage=rounds.usage,
            open_calls=rounds.open_calls,
            pending_calls=rounds.unapproved,
        )

    @property
    def stream(self) -> ChunkStream[Any]:
        """The stream of this round, or of the last one: its ``meta``, ``timing``, ``quirks``. Do not read it."""
        return self._rounds.stream

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._rounds.reason}, {len(self._rounds.completions)} rounds>"


def later_tool_choice(choice: Any) -> Any:
    """Return the ``tool_choice`` for the rounds after the first: without force, or the model could never answer."""
    if isinstance(choice, str):
        return choice if choice in ("auto", "none") else None
    if is_object(choice) and is_object(allowed := choice.get("allowed_tools")):
        return {**choice, "allowed_tools": {**allowed, "mode": "auto"}}
    return None


def _check_approvals(approvals: Approvals, messages: list[MessageParam]) -> None:
    ids = [call.id for call in open_calls(messages)]
    for call_id in approvals:
        if call_id not in ids:
            raise RequestValidationError(
                f"approvals names {call_id!r}, expected calls without a result at the end of messages: "
                f"{', '.join(map(repr, ids)) or 'there is none'}",
                field="approvals",
                hint="pass the messages of the run that ended with reason 'approval'",
            )


def _check_params(params: Mapping[str, Any]) -> None:
    if params.get("n") not in (None, 1):
        raise RequestValidationError(f"n is {params['n']!r}, expected 1: a run goes on with one answer", field="n")
    for name in ("functions", "function_call"):
        if params.get(name) is not None:
            raise RequestValidationError(
                f"{name} is the API's older form, which a run does not know", field=name, hint="use tools"
            )


claim(__name__)
