"""One call: attempts, until a response is open or the last error is raised.

The decisions are ``RetryPolicy.next_delay`` and, where a server has named a wait, ``Throttle``; this file only acts on
them. Every attempt carries the same ``Idempotency-Key`` and its number. All attempts, and the waits between them, lie
inside the call's total limit: a wait that would reach past it is not begun. A stream whose first event has not been
handed out yet may come back here for another attempt.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from opeai_async._core.call.http import Request, ResponseHead
from opeai_async._core.call.named_waits import parse_should_retry
from opeai_async._core.call.prepare import Asked, PreparedCall
from opeai_async._core.call.redact import Secret, masked_values, redact, scrub
from opeai_async._core.call.retry import Cause, Failure, RetryBudget, no_budget, too_long_a_wait
from opeai_async._core.call.settings import IDEMPOTENCY_HEADER
from opeai_async._core.decode.body_kind import not_followed
from opeai_async._core.decode.parser import StreamParser
from opeai_async._core.dialect.api_errors import status_error
from opeai_async._io.gate import Gate, Gates, Leave, NoTurn, Place
from opeai_async._io.keys import CallKey
from opeai_async._io.loops import running_loop
from opeai_async._io.observe.call import BodyWaits, Watch, begin, counts_only, plain_url
from opeai_async._io.observe.observers import Observers
from opeai_async._io.patience import Patience, Pauses
from opeai_async._io.reader import BodyReader, error_body
from opeai_async._io.transport import (
    HeldError,
    Response,
    SendError,
    Transport,
    has_ambiguous_length,
    headers_timeout,
)
from opeai_async.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    InvalidResponseError,
    OpeAIError,
    PoolTimeoutError,
    QuotaExceededError,
    StreamError,
)
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.meta import AttemptRecord, ContinuedRecord, ResponseMeta, StreamTiming
from opeai_async.types.options import AskForKey
from opeai_async.types.records import CallOutcome, CallRecord

ATTEMPT_HEADER = "X-Opeai-Attempt"
UNAUTHORIZED = 401
_NO_HEADERS: dict[str, str] = {}


ChunkT = TypeVar("ChunkT", bound=ChatCompletionChunk)


class ReadsChunks(Protocol[ChunkT]):
    """Reads one body; a ``StreamParser``, or what watches one."""

    head: ResponseHead
    error: OpeAIError | None
    done: bool

    def feed(self, data: bytes) -> list[ChunkT]:
        """Return the chunks that *data* completes."""
        ...

    def end(self) -> list[ChunkT]:
        """Return the chunks that the end of the body completes."""
        ...

    def rest(self) -> list[ChunkT]:
        """Return what was held back, where the reading stops before the end."""
        ...


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """What all calls of a client share, and what tests replace.

    Attributes:
        jitter: Returns a random number from 0 to 1.
        sleep: Waits that many seconds.
        pauses: Where it does so, for the client's end to cut it short.
        gates: Where calls stand in line for a server that has asked to wait.
        pool: The client's endpoints, where it has several.
        observers: Who listens to all of them.
        ask_for_key: Gives the key of each attempt; None if each request has it already, which is *secret*.
    """

    transport: Transport
    secret: Secret | None
    budget: RetryBudget
    jitter: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    pauses: Pauses = msgspec.field(default_factory=Pauses)
    gates: Gates = msgspec.field(default_factory=Gates)
    pool: object = None  # of a floor above
    observers: Observers = msgspec.field(default_factory=Observers)
    ask_for_key: AskForKey | None = None


class Failed(NamedTuple):
    """An attempt that brought no usable response."""

    error: OpeAIError
    failure: Failure
    status: int | None = None


class Exchange:
    """One call.

    Args:
        call: Its request is sent as it is, with the attempt's headers added.

    Attributes:
        continued: Where the answer broke off and was gone on with; never, with one endpoint.
    """

    continued: Sequence[ContinuedRecord] = ()

    __slots__ = (
        "_asked",
        "_attempts",
        "_call_id",
        "_delay_s",
        "_key",
        "_limits",
        "_named_s",
        "_number",
        "_place",
        "_policy",
        "_refusal",
        "_refused_at",
        "_request",
        "_resume_at",
        "_spent",
        "_uncounted",
        "_watch",
        "_wiring",
        "loop",
        "observers",
        "started_at",
    )

    def __init__(self, wiring: Wiring, call: PreparedCall) -> None:
        self._wiring = wiring
        self._request = call.request
        self._limits = call.limits
        self._policy = call.policy
        self._asked: Asked | None = call.asked
        self.observers: Observers = wiring.observers
        self._watch: Watch | None = None
        self._call_id: str = os.urandom(16).hex()
        self._attempts: list[AttemptRecord] = []
        self._number = 0  # of the attempt that is under way
        self._delay_s = 0.0
        self._resume_at: float | None = None
        self._spent = 0
        self._key = None if wiring.ask_for_key is None else CallKey(wiring.ask_for_key)
        self._place: Place | None = None  # in the line, once there was one
        self._refusal: OpeAIError | None = None  # what is raised if its end cannot be waited for
        self._refused_at: float | None = None
        self._named_s = 0.0  # waits that servers named, outside of the line
        self._uncounted = 0  # attempts after which the server has named a wait
        self.loop = running_loop()
        self.started_at: float = self.loop.time()

    def begin(self, run_id: str | None = None) -> None:
        """Tell those who listen that the call begins, as a round of the run *run_id*; first, and once."""
        asked, self._asked = self._asked, None  # it holds the prompt
        if asked is not None:
            self._watch = begin(self.observers, asked, self._request, self._call_id, run_id)

    @property
    def call_id(self) -> str:
        """Names the call; it is the same for all of its attempts."""
        return self._call_id

    async def open(self) -> BodyReader:
        """An open response with a status below 300.

        Raises:
            OpeAIError: The last attempt's error, if no attempt brought one.
        """
        goes_there_again = False
        while True:
            if self._resume_at is not None:  # a pause was cancelled; what is left of it still holds
                await self._pause(max(0.0, self._resume_at - self.loop.time()))
            if not goes_there_again:
                self._aim()
            goes_there_again = False
            if (gate := self._wiring.gates.find(self._request)) is not None:
                await self._take_turn(gate)
            try:
                result = await self._attempt()
            except HeldError:
                self._was_held()
                continue
            self._refusal = None
            if isinstance(result, BodyReader):
                return result
            if await self._has_new_key(result):
                goes_there_again = True
                continue
            await self._wait_or_raise(result.error, result.failure)

    def _aim(self) -> None:
        """Decide where the next attempt goes."""

    async def _has_new_key(self, result: Failed) -> bool:
        """Tell whether the key was refused, and the function that gives it has another one now."""
        return self._key is not None and result.status == UNAUTHORIZED and await self._key.is_renewed()

    async def reopen(self, error: OpeAIError, failure: Failure) -> BodyReader:
        """Another open response, after the one before failed with *error* and nothing of it was handed out.

        Raises:
            OpeAIError: *error*, if there shall be no other attempt; or the last attempt's.
        """
        self._blame(error)
        await self._wait_or_raise(error, failure)
        return await self.open()

    def _blame(self, error: OpeAIError) -> None:
        """The last attempt's head was good, but what came after it was not."""
        self._attempts[-1] = msgspec.structs.replace(self._attempts[-1], error=type(error).__name__)

    def succeeded(self) -> None:
        """The call brought something to hand out: what its retries had cost goes back to the budget.

        There will be no other attempt, so what was asked is let go of: a prompt may be large, and the answer long.
        """
        self._refund()
        self._request = msgspec.structs.replace(self._request, headers=_NO_HEADERS, body=b"")

    def _refund(self) -> None:
        self._wiring.budget.refund(self._spent)
        self._spent = 0

    def meta(self, head: ResponseHead, quirks: tuple[str, ...] = ()) -> ResponseMeta:
        """What is known about the exchange that brought *head*."""
        headers = masked_values(head.headers, self._keys)
        request_id = head.request_id  # which is one of the headers
        return ResponseMeta(
            request_id=request_id if headers is head.headers else self._without_key(request_id),
            status_code=head.status,
            headers=headers,
            attempts=tuple(self._attempts),
            quirks=quirks,
        )

    def final(self, error: OpeAIError) -> OpeAIError:
        """*error* with the attempts, and without the key, wherever a server may have echoed it."""
        if self._attempts and self._attempts[-1].error is None:
            self._blame(error)
        if isinstance(error, (APIConnectionError, APIStatusError, InvalidResponseError, StreamError)):
            error.attempts = tuple(self._attempts)
        for key in self._keys:
            scrub(error, key)
        return error

    @property
    def endpoint(self) -> str | None:
        """Name of the endpoint that is asked, where there are several."""
        return None

    @property
    def watch(self) -> Watch | None:
        """Who is told what becomes of the call; None if nobody listens."""
        return self._watch

    def ended(
        self,
        outcome: CallOutcome,
        error: str | None,
        reader: BodyReader | None,
        *,
        timing: StreamTiming,
        answer: ChatCompletion,
        finish_reasons: tuple[str, ...] = (),
        first_chunk_at: float | None = None,
        chunks: int = 0,
        quirks: tuple[str, ...] = (),
        completion: ChatCompletion | None = None,
    ) -> None:
        """Tell those who listen that the call is over; once.

        Args:
            outcome: How it ended.
            error: Name of the error's class, where it ended in one.
            reader: What brought the answer, if anything did.
            timing: When what came.
            answer: The answer's envelope: id, model, usage; its choices are not looked at.
            finish_reasons: One per choice.
            first_chunk_at: When a stream brought its first chunk, in loop time.
            chunks: How many it has handed out.
            quirks: Names of the rules that were needed.
            completion: The whole answer, for those who ask for it.
        """
        watch, self._watch = self._watch, None
        if watch is None:
            return
        now = self.loop.time()
        body = BodyWaits() if reader is None else BodyWaits(reader.opened_at, *reader.waited_s(now))
        told = self._without_key  # a server may echo the key wherever it likes
        record = CallRecord(
            call=watch.call,
            outcome=outcome,
            error=error,
            status_code=None if reader is None else reader.head.status,
            request_id=None if reader is None else told(reader.head.request_id),
            response_id=told(answer.id) or None,
            response_model=told(answer.model) or None,
            service_tier=told(answer.service_tier),
            system_fingerprint=told(answer.system_fingerprint),
            finish_reasons=tuple(told(reason) or "" for reason in finish_reasons),
            usage=counts_only(answer.usage),
            timing=timing,
            first_chunk_s=None if first_chunk_at is None else first_chunk_at - self.started_at,
            waits=watch.waits(self._in_turn(), body, now),
            duration_s=now - self.started_at,
            attempts=tuple(self._attempts),
            quirks=quirks,
            chunks=chunks,
            bytes_read=0 if reader is None else reader.bytes_read,
            endpoint=self.endpoint,
            url=None if self.endpoint is None else plain_url(self._request.url),
            continued=tuple(self.continued),
        )
        watch.ended(record, completion)

    def _in_turn(self) -> Sequence[AttemptRecord]:
        """Return the attempts that were made one after the other."""
        return self._attempts

    # --- what another endpoint could do, where there is one; see endpoints/routed.py ---------------------------------

    def watched(self, parser: StreamParser[ChunkT], reader: BodyReader) -> ReadsChunks[ChunkT]:
        """Return what reads the chunks of *reader*: *parser*, or what keeps an eye on it."""
        return parser

    def goes_elsewhere(self, error: OpeAIError) -> bool:
        """Tell whether the call may go elsewhere after *error*, as long as nothing was handed out."""
        return False

    def goes_on(self, error: OpeAIError, answer: ChatCompletion, *, is_unseen: bool) -> bool:
        """Tell whether *answer*, which broke off by *error*, may be gone on with.

        Args:
            is_unseen: Whether nobody has seen it yet, so that another answer does as well.
        """
        return False

    def restarts(self) -> bool:
        """Tell whether an answer of which nothing was seen may be begun anew."""
        return False

    async def go_on(self, error: OpeAIError, failure: Failure, answer: ChatCompletion) -> BodyReader:
        """Return an open response that goes on with *answer*.

        Raises:
            OpeAIError: *error*, if there is none.
        """
        raise error

    # --- one attempt -----------------------------------------------------------------------------------------------

    async def _attempt(self) -> BodyReader | Failed:
        begun_at = self.loop.time()
        try:
            sent = await self._send()
            result = sent if isinstance(sent, Failed) else await self._checked(sent)
        except asyncio.CancelledError:
            self._attempts.append(record := self._record(begun_at, error="CancelledError"))
            self._tell_attempt(record)
            raise
        if isinstance(result, Failed):
            record = self._record(begun_at, result.status, type(result.error).__name__)
        else:
            record = self._record(begun_at, result.head.status)
        self._attempts.append(record)
        self._tell_attempt(record, result)
        return result

    def _tell_attempt(self, record: AttemptRecord, result: BodyReader | Failed | None = None) -> None:
        if self._watch is None:
            return
        answer = result.error if isinstance(result, Failed) else result and result.head
        slot_s = result.slot_s if isinstance(result, BodyReader) else 0.0
        if isinstance(answer, PoolTimeoutError):
            slot_s = record.elapsed_s
        self._watch.attempt_ended(record, self._without_key(getattr(answer, "request_id", None)), slot_s)

    def _record(self, begun_at: float, status: int | None = None, error: str | None = None) -> AttemptRecord:
        delay_s, self._delay_s = self._delay_s, 0.0
        return AttemptRecord(
            number=self._number,
            status_code=status,
            error=error,
            delay_s=delay_s,
            elapsed_s=self.loop.time() - begun_at,
        )

    @property
    def _keys(self) -> set[str]:
        secret = self._wiring.secret
        return {*self._request.secrets} if secret is None else {secret.reveal(), *self._request.secrets}

    def _without_key(self, text: str | None) -> str | None:
        return None if text is None else redact(text, *self._keys)

    async def _send(self) -> Response | Failed:
        now = self.loop.time()
        total_left_s = self.started_at + self._limits.total_s - now
        limits, transport, head_s = self._limits, self._wiring.transport, self._limits.response_headers_s
        waits_s = math.inf if transport.keeps_limits else limits.pool_s + limits.connect_s + head_s
        # Each clock costs a timer: none for what another one ends before.
        request = self._numbered(head_s if head_s < total_left_s else math.inf)
        try:
            with Patience(min(total_left_s, waits_s)):
                if self._key is not None:
                    request = await self._key.keyed(request)
                    self._request = msgspec.structs.replace(self._request, secrets=request.secrets)
                return await transport.send(request, connect_s=limits.connect_s, pool_s=limits.pool_s)
        except TimeoutError:
            if waits_s < total_left_s:
                late = headers_timeout(head_s)
                return Failed(late.error, Failure(late.cause))
            message = f"no response within {limits.total_s:g} s (total_s={limits.total_s:g})"
            return Failed(APITimeoutError(message, phase="total", timeout_s=limits.total_s), Failure(Cause.FINAL))
        except ConfigurationError as exc:  # of the function that gives the key
            return Failed(exc, Failure(Cause.FINAL))
        except SendError as exc:
            return Failed(exc.error, Failure(exc.cause))

    def _next_number(self) -> int:
        return len(self._attempts) + 1

    def _numbered(self, head_s: float) -> Request:
        """The request of the next attempt."""
        number = self._number = self._next_number()
        headers = {**self._request.headers, ATTEMPT_HEADER: str(number)}
        headers.setdefault(IDEMPOTENCY_HEADER, self._call_id)
        if self._watch is not None:
            headers = {**self._watch.attempt_started(number, self._delay_s, headers, self.endpoint)}
        return msgspec.structs.replace(self._request, headers=headers, head_s=head_s, is_held=self._is_held)

    def _reader(self, response: Response) -> BodyReader:
        return BodyReader(response, self._limits, self.started_at)

    async def _checked(self, response: Response) -> BodyReader | Failed:
        reader = self._reader(response)
        head = response.head
        if has_ambiguous_length(head):
            reader.abort()
            # Nothing of such a head is to be believed, its status neither.
            error = InvalidResponseError(f"{head.host} answered with malformed HTTP: its body has more than one length")
            return Failed(error, Failure(Cause.FINAL))
        if 200 <= head.status < 300:
            return reader
        if head.status < 400:
            reader.abort()  # told at once: the body has nothing to say, and may never come
            return Failed(not_followed(head), Failure(Cause.FINAL), head.status)
        body = await error_body(reader)
        refusal = status_error(head, body, now=time.time())
        failure = Failure(
            Cause.STATUS,
            status=head.status,
            is_quota=isinstance(refusal, QuotaExceededError),
            should_retry=parse_should_retry(head.headers),
            retry_after_s=refusal.retry_after_s,
        )
        return Failed(refusal, failure, head.status)

    # --- between attempts ------------------------------------------------------------------------------------------

    async def _wait_or_raise(self, error: OpeAIError, failure: Failure) -> None:
        counted = len(self._attempts) - self._uncounted
        delay_s = self._policy.next_delay(failure, counted, self._wiring.jitter(), self._waited_s)
        now = self.loop.time()
        # For the others it holds even if this call gives up.
        gate = self._refused(error, failure, now) if failure.pauses and self._may_wait(failure) else None
        if delay_s is None:
            if self._policy.max_retries and failure.pauses and self._policy.is_retryable(failure):
                error.add_note(too_long_a_wait(failure, self._policy, self._waited_s))
            raise self.final(error)
        if gate is not None:
            delay_s = gate.throttle.due_in_s(now)
        if now + delay_s >= self.started_at + self._limits.total_s:
            error.add_note(f"not retried: waiting {delay_s:.1f} s would pass total_s={self._limits.total_s:g}")
            raise self.final(error)
        self._spend_or_raise(error, failure)
        if self._watch is not None:
            self._watch.retry_scheduled(error, len(self._attempts) + 1, delay_s)
        if gate is not None:
            self._uncounted += 1
            self._refusal, self._refused_at = error, now
        else:
            self._named_s += delay_s if failure.retry_after_s is not None else 0.0
            self._delay_s, self._resume_at = delay_s, now + delay_s
            await self._pause(delay_s)

    def _spend_or_raise(self, error: OpeAIError, failure: Failure) -> None:
        """Take the cost of a retry from the client's budget."""
        cost = self._wiring.budget.spend(failure)
        if cost is None:
            error.add_note(no_budget(failure, self._wiring.budget, len(self._attempts)))
            raise self.final(error)
        self._spent += cost

    @property
    def _waited_s(self) -> float:
        """How many seconds this call has waited because servers asked for it."""
        return self._named_s + (0.0 if self._place is None else self._place.waited_s)

    def _may_wait(self, failure: Failure) -> bool:
        """Tell whether *failure* names a wait that calls sit through, instead of each hearing of it for itself."""
        return (failure.retry_after_s or 0.0) <= self._policy.max_wait_s and self._policy.is_retryable(failure)

    def _refused(self, error: OpeAIError, failure: Failure, now: float) -> Gate:
        """Begin, or prolong, the pause that the server has asked for."""
        gate = self._wiring.gates.make(self._request)
        gate.status = failure.status or gate.status
        begins = gate.refuse(
            now,
            failure.retry_after_s or 0.0,
            epoch=0 if self._place is None else self._place.epoch,
            reply_s=self._attempts[-1].elapsed_s,
            jitter=self._wiring.jitter(),
        )
        if begins and self._watch is not None:
            self._watch.pause_begun(error, gate.throttle.paused_for_s(now))
        return gate

    async def _take_turn(self, gate: Gate) -> None:
        """Wait in line until the pause is over, and this call may go.

        Raises:
            OpeAIError: If it cannot wait for so long: its last refusal, or one that says it was not sent.
        """
        deadline = self.started_at + self._limits.total_s
        place = self._place = self._place or Place(self.started_at, deadline)
        place.max_wait_s = self._policy.max_wait_s - self._named_s
        now, self._refused_at = self._refused_at or self.loop.time(), None
        try:
            with Patience(max(0.0, deadline - now)):
                leave, waited_s = await gate.wait(place, now, self._wiring.sleep)
        except TimeoutError:
            leave, waited_s = Leave.TOO_LATE, self.loop.time() - now
        if leave is not Leave.GO:
            raise self.final(self._refusal_or(gate, leave))
        self._delay_s += waited_s

    def _refusal_or(self, gate: Gate, leave: Leave) -> OpeAIError:
        """Return the last refusal, with the reason why it is the last; or an error that says it was not sent."""
        left_s = gate.throttle.paused_for_s(self.loop.time())
        reason = NoTurn(leave, left_s, self._policy, self._limits, self._request)
        if self._refusal is None:
            return reason.error(gate.status)
        self._refusal.add_note(reason.note(self._waited_s))
        return self._refusal

    def _was_held(self) -> None:
        """Take back the turn that this call had, and could not use."""
        gate = self._wiring.gates.find(self._request)
        if gate is not None and self._place is not None:
            gate.throttle.take_back(self._place.epoch)

    def _is_held(self) -> bool:
        """Tell whether a pause has begun since this call had its turn."""
        gate = self._wiring.gates.find(self._request)
        return gate is not None and gate.throttle.epoch != (0 if self._place is None else self._place.epoch)

    async def _pause(self, seconds: float) -> None:
        """Wait for the time of the next attempt."""
        await self._wiring.pauses.make(self._wiring.sleep(seconds))
        self._resume_at = None
