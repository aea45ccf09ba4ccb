"""A transport without sockets, for unit tests of code that uses a client: ``AsyncOpeAI(transport=...)``.

A response is a status, headers, and the steps of its body: bytes, each item one read; `Pause`, silence; `Break`, a
connection that breaks. Time is the event loop's, and nothing runs in a task of its own.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from opeai_async._core.call.http import Request, ResponseHead
from opeai_async._core.call.retry import Cause
from opeai_async._io.transport import BodyError, SendError, headers_timeout
from opeai_async.errors import APIConnectionError, ClientClosedError, OpeAIError

FailureCause: TypeAlias = Literal["not sent", "ambiguous", "final"]
"""The conclusion for a retry: the server saw nothing; it may have; another try would end the same way."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A silence of the body, for so many seconds; None for ever."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Break:
    """A break of the connection, with this reason."""

    reason: str = "the connection broke"


Step: TypeAlias = bytes | Pause | Break


@dataclass(frozen=True, slots=True)
class _Answer:
    head: ResponseHead
    steps: tuple[Step, ...]
    delay_s: float | None


@dataclass(frozen=True, slots=True)
class _Refusal:
    error: OpeAIError
    cause: Cause
    delay_s: float | None


class ScriptedTransport:
    """A transport that answers requests from a script, in order.

    Attributes:
        requests: The requests that were sent, in order.
        responses: The responses to them, in order; see `ScriptedResponse.end`.
        keeps_limits: False, because only the limit for the head is kept here.
    """

    keeps_limits: bool = False

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.responses: list[ScriptedResponse] = []
        self._script: deque[_Answer | _Refusal] = deque()
        self._closed = asyncio.Event()

    def respond(
        self, *steps: Step, status: int = 200, headers: Mapping[str, str] | None = None, delay_s: float | None = 0.0
    ) -> None:
        """Answer the next request.

        Args:
            *steps: The steps of the body, after which it ends cleanly.
            status: HTTP status.
            headers: Response headers; the content-type is that of an event stream unless they name another.
            delay_s: Seconds before the head; None for ever.
        """
        fields = {name.lower(): value for name, value in (headers or {}).items()}
        head = ResponseHead(status, "scripted", {"content-type": "text/event-stream", **fields})
        self._script.append(_Answer(head, steps, delay_s))

    def fail(
        self,
        error: OpeAIError | None = None,
        *,
        cause: FailureCause = "not sent",
        delay_s: float | None = 0.0,
    ) -> None:
        """Fail the next request without a response: with *error*, or as if no server listened."""
        self._script.append(_Refusal(error or APIConnectionError("no connection: scripted"), Cause(cause), delay_s))

    @property
    def open_responses(self) -> int:
        """The number of responses that are neither released nor aborted."""
        return sum(response.end is None for response in self.responses)

    async def send(self, request: Request, *, connect_s: float, pool_s: float) -> ScriptedResponse:
        """Answer *request* with the next item of the script; only its limit for the head is kept."""
        self.requests.append(request)
        # A test that forgot an answer should see that at once, and not as a connection that is tried again.
        if not self._script and not self._closed.is_set():
            message = f"the script holds no answer for request number {len(self.requests)}"
            raise SendError(APIConnectionError(message), Cause.FINAL)
        item = self._script.popleft() if self._script else None
        is_late = item is not None and (math.inf if item.delay_s is None else item.delay_s) > request.head_s
        delay_s = request.head_s if is_late else None if item is None else item.delay_s
        if item is None or await _happened(self._closed, _due(delay_s)):
            raise SendError(ClientClosedError("the client is closed"), Cause.FINAL)
        if is_late:
            raise headers_timeout(request.head_s)
        if isinstance(item, _Refusal):
            raise SendError(item.error, item.cause)
        response = ScriptedResponse(item.head, item.steps)
        self.responses.append(response)
        return response

    async def aclose(self) -> None:
        """Abort every open response, and refuse further requests."""
        self._closed.set()
        for response in self.responses:
            response.abort(BodyError("the client was closed", Cause.FINAL))


class ScriptedResponse:
    """A response of a `ScriptedTransport`.

    Attributes:
        head: Status and headers.
        end: ``"released"`` or ``"aborted"``, as the client ended it; None while it is open.
    """

    def __init__(self, head: ResponseHead, steps: tuple[Step, ...]) -> None:
        self.head = head
        self.end: Literal["released", "aborted"] | None = None
        # The steps that are left.
        self._steps = deque(steps)
        self._aborted = asyncio.Event()
        # Raised by every read from now on; None while the body is sound.
        self._error: BodyError | None = None
        # The loop time at which the present pause ends; None if there is none, or it is for ever.
        self._due: float | None = None

    def read_nowait(self) -> bytes | None:
        """Return the next bytes, ``b""`` at the end; None if a pause comes before them."""
        self._pass_what_is_over()
        if self._error is None and self._steps and isinstance(self._steps[0], Break):
            self._error = BodyError(self._steps[0].reason)
        if self._error is not None:
            raise self._error
        if self._steps and isinstance(self._steps[0], bytes):
            return self._take()
        return None if self._steps else b""

    def wait(self) -> Awaitable[bool] | None:
        """Return what to await until the pause before the next bytes is over; None if there is no pause."""
        self._pass_what_is_over()
        is_paused = bool(self._steps) and isinstance(self._steps[0], Pause) and self._error is None
        return _happened(self._aborted, self._due) if is_paused else None

    def hold(self) -> None:
        """Do nothing: bytes arrive here only when they are read."""

    def release(self) -> None:
        """Note that the client ended it properly."""
        self.end = self.end or "released"

    def abort(self, error: BodyError | None = None) -> None:
        """Note that the client cut it off, and wake a waiting read."""
        if self.end is None:
            self.end = "aborted"
            self._error = self._error or error or BodyError("the response was aborted")
            self._aborted.set()

    def _pass_what_is_over(self) -> None:
        """Begin the next pause, and skip those that are over."""
        while self._steps and isinstance(pause := self._steps[0], Pause):
            if self._due is None:
                self._due = _due(pause.seconds)
            if self._due is None or asyncio.get_running_loop().time() < self._due:
                return
            self._steps.popleft()
            self._due = None

    def _take(self) -> bytes:
        data = self._steps.popleft()
        assert isinstance(data, bytes)
        return data


def _due(delay_s: float | None) -> float | None:
    return None if delay_s is None else asyncio.get_running_loop().time() + delay_s


async def _happened(event: asyncio.Event, due: float | None) -> bool:
    """Wait for *event* until loop time *due*, or for ever; return True if it happened."""
    if due is not None and due <= asyncio.get_running_loop().time():
        # No timeout, whose exception would keep the callers' frames, and with them a dropped stream, until the next
        # cyclic collection (CPython since 3.12).
        await asyncio.sleep(0)
        return event.is_set()
    try:
        async with asyncio.timeout_at(due):
            await event.wait()
    except TimeoutError:
        pass
    return event.is_set()
