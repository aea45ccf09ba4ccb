"""A call that several endpoints may answer: each attempt goes to the one that is chosen for it.

A *round* asks each endpoint at most once, without waiting in between; only when all have failed, the retry policy is
asked, as after one attempt at a lone endpoint. Every attempt but the first costs the client's retry budget, so that an
outage of all does not multiply the load.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from opeai_async._core.call.http import ResponseHead
from opeai_async._core.call.named_waits import named_wait
from opeai_async._core.call.retry import Cause, Failure
from opeai_async._core.decode.parser import StreamParser
from opeai_async._core.policy.concurrency import Sample, headroom
from opeai_async._core.policy.endpoints.fate import Fate, fate_of
from opeai_async._core.policy.endpoints.going_on import Way, can_go_on, way_of
from opeai_async._core.policy.endpoints.joint import Joint
from opeai_async._core.policy.endpoints.lacks import context_of, lack_of
from opeai_async._core.policy.endpoints.routes import GoingOn, RoutedCall
from opeai_async._io.endpoints.leg import LegReader
from opeai_async._io.endpoints.pool import Leg, Pool, Route
from opeai_async._io.endpoints.watched import UNCERTAIN, WatchedParser
from opeai_async._io.exchange import ChunkT, Exchange, Failed, ReadsChunks, Wiring
from opeai_async._io.gate import Place
from opeai_async._io.keys import CallKey
from opeai_async._io.reader import BodyReader
from opeai_async._io.transport import HeldError, Response
from opeai_async.errors import (
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    OpeAIError,
    PoolTimeoutError,
    QuotaExceededError,
    RateLimitError,
    StreamDecodeError,
    StreamTooLargeError,
)
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.meta import AttemptRecord, ContinuedRecord

REFUSALS = frozenset({429, 503, 529})
QUOTA_PAUSE_S = 60.0
"""An endpoint whose budget is used up is asked after all others for so long."""
AGAIN = Fate(elsewhere=True, is_blamed=False)
"""The same endpoint may be asked again, in another way."""
ELSEWHERE = Fate(elsewhere=True, is_blamed=False)


class Fallen(NamedTuple):
    """An attempt of this round that failed."""

    error: OpeAIError
    failure: Failure


def is_uncertain(error: OpeAIError) -> bool:
    """Tell whether *error* is that of a joint which was not certain."""
    return isinstance(error, StreamDecodeError) and error.message == UNCERTAIN


def sample_of(begun_at: float, failed: Failed) -> Sample:
    """Return what an attempt that failed says about the load of its endpoint."""
    is_late = isinstance(failed.error, APITimeoutError) and failed.error.phase == "response_headers"
    is_refused = failed.status in REFUSALS or is_late
    # A request that is refused for itself (400) is work done, too.
    return Sample(begun_at, 0.0 if failed.status is None or is_refused else 1.0, is_refused)


class RoutedExchange(Exchange):
    """One call.

    Attributes:
        continued: Where the answer broke off and was gone on with.
        last_record: Of the last attempt that ended.
    """

    __slots__ = (
        "_answer", "_asked_keys", "_beside", "_blamed", "_break", "_call", "_call_keys", "_calls_cut", "_fallen",
        "_is_trying", "_joint", "_judged", "_least_context", "_leg", "_numbers", "_partner", "_places", "_pool",
        "_rounds", "_route", "_tried", "_watched", "_way", "continued", "last_record",
    )  # fmt: skip

    def __init__(self, wiring: Wiring, call: RoutedCall, pool: Pool) -> None:
        super().__init__(wiring, call)
        self._call = call
        self._pool = pool
        self._route = pool.routes[0]
        self._places: dict[int, Place] = {}  # in the lines of other endpoints
        self._call_keys: dict[int, CallKey] = {}  # of endpoints whose key is a function
        self._asked_keys: frozenset[str] = call.request.secrets  # no error may show them, whoever echoes them
        self._tried: set[int] = set()  # endpoints that this round has asked in vain
        self._fallen: list[Fallen] = []  # how they failed
        self._rounds = 1
        self._least_context: int | None = None  # after a refusal because of the length
        self._leg: Leg | None = None  # the attempt's stay at its endpoint
        self._judged: Leg | None = None  # the last one of which its endpoint's health was told
        self._blamed: Leg | None = None
        self._break: OpeAIError | None = None  # what the answer broke off by
        self._answer: ChatCompletion | None = None  # what was handed out, if it broke off
        self._way: Way | None = None  # how the last attempt was asked to go on with it
        self._joint: Joint | None = None
        self._watched: Callable[[], tuple[str, ...]] | None = None  # tells which calls its body has begun
        self._calls_cut: tuple[str, ...] = ()
        self._numbers: set[int] = set()  # of the attempts that this one made
        self._beside: set[int] = set()  # of those that were made meanwhile, in vain
        self._partner: RoutedExchange | None = None  # an attempt of the same call beside this one
        self._is_trying = False
        self.continued: Sequence[ContinuedRecord] = ()
        self.last_record: AttemptRecord | None = None  # of the last attempt

    # --- one attempt -----------------------------------------------------------------------------------------------

    def _aim(self) -> None:
        self._aim_at(self._next_route())

    def _aim_at(self, route: Route) -> None:
        """Prepare the request for *route*; the call's place in the line there is its own."""
        if self._place is not None:
            self._places[self._route.index] = self._place
        self._route = route
        self._place = self._places.get(route.index)
        self._way = self._way_at(route)
        going_on = None if self._way is None or self._answer is None else GoingOn(self._way, self._answer)
        self._joint = None if going_on is None else Joint(going_on.way, going_on.answer)
        self._request = self._call.prepared_for(route.index, going_on).request
        self._key = self._call_key(route)

    def _call_key(self, route: Route) -> CallKey | None:
        """Return what asks for the key of *route*, where that is a function: one for all attempts there."""
        ask = route.endpoint.api_key
        if isinstance(ask, str):
            return None
        if route.index not in self._call_keys:
            self._call_keys[route.index] = CallKey(ask)
        return self._call_keys[route.index]

    async def _has_new_key(self, result: Failed) -> bool:
        try:
            return await super()._has_new_key(result)
        except ConfigurationError:  # the refusal stands, and another endpoint has another key
            return False

    async def _attempt(self) -> BodyReader | Failed:
        self._leg = None
        if (not_sent := await self._admitted()) is not None:
            return not_sent
        route, now = self._route, self.loop.time()
        self._leg = leg = Leg(route, now, is_probe=route.health.begin(now))
        route.slots.began(now)
        self._is_trying = True
        try:
            result = await super()._attempt()
        except BaseException:
            self._leave(leg)
            raise
        finally:
            self._is_trying = False
            self._asked_keys |= self._request.secrets
        self.last_record = self._attempts[-1]
        if isinstance(result, Failed):
            self._leave(leg, sample_of(leg.begun_at, result))
        else:
            self._heed(route, result.head)
        return result

    def _heed(self, route: Route, head: ResponseHead) -> None:
        """Where the endpoint says that none of its limit is left, let others be asked first until it is renewed."""
        wait_s = named_wait(head.headers, head.status, time.time())
        if wait_s is not None:
            route.paused_until = max(route.paused_until, self.loop.time() + wait_s)

    # --- beside another one, see hedged.py ---

    @property
    def wants_stream(self) -> bool:
        """Whether a stream is asked for."""
        return self._call.wants_stream

    def share_with(self, other: RoutedExchange, tried: set[int]) -> None:
        """Be an attempt of the call of *other*, at an endpoint that is not among *tried*."""
        self._delay_s = self.loop.time() - other.started_at
        self._attempts = other._attempts
        self._call_id = other._call_id
        self._watch = other._watch
        self.started_at = other.started_at
        self._tried = tried
        self._partner, other._partner = other, self

    def take_over(self, other: RoutedExchange) -> None:
        """Go on with the attempt of *other*."""
        if self._place is not None:
            self._places[self._route.index] = self._place
        self._route, self._place, self._key = other._route, other._place, other._key
        self._call_keys |= other._call_keys
        self._leg, self._judged, self._blamed = other._leg, other._judged, other._blamed
        self._numbers, other._numbers = other._numbers, self._numbers
        self._request, self.last_record = other._request, other.last_record

    def was_beside(self, other: RoutedExchange) -> None:
        """Take note that the attempts of *other* were made while this one's were."""
        self._beside |= other._numbers

    def part(self) -> None:
        """Be alone again; what the other one was answered may hold its keys."""
        if (other := self._partner) is not None:
            self._asked_keys |= other._asked_keys
            self._partner = other._partner = None

    def _in_turn(self) -> Sequence[AttemptRecord]:
        return [attempt for attempt in self._attempts if attempt.number not in self._beside]

    def _next_number(self) -> int:
        is_beside = self._partner is not None and self._partner._is_trying
        return super()._next_number() + is_beside

    @property
    def endpoint(self) -> str:
        return self._route.label

    async def attempt_once(self) -> BodyReader | Failed:
        """Make one attempt; tell the endpoint's health if it fails."""
        self._aim()
        try:
            result = await self._attempt()
            if isinstance(result, Failed) and await self._has_new_key(result):
                result = await self._attempt()
        except HeldError:
            held = RateLimitError("not sent: the endpoint has asked for a pause", status_code=429)
            return Failed(held, Failure(Cause.NOT_SENT))
        if isinstance(result, Failed):
            self._judge(result.error)
        return result

    def _next_route(self) -> Route:
        prefer = None if self._answer is None else self._can_continue
        now = self.loop.time()
        route = self._pool.choose(self._call, now, tried=self._tried, least_context=self._least_context, prefer=prefer)
        return route or self._pool.routes[0]

    def _can_continue(self, route: Route) -> bool:
        return self._way_at(route) is not Way.ANEW

    def _way_at(self, route: Route) -> Way | None:
        if self._answer is None:
            return None
        return way_of(self._answer, self._call.params, route.endpoint.capabilities, route.doubted)

    async def _admitted(self) -> Failed | None:
        """Take a slot, and what the endpoint's limit allows; or return why that is not possible in time."""
        while True:
            route, now = self._route, self.loop.time()
            until = self.started_at + self._limits.total_s
            place = await route.slots.take(min(self._limits.pool_s, until - now))
            if place:
                return self._no_slot(route, place, now)
            try:
                due_s = await self._limited(route)
                if not due_s:
                    return None
            except BaseException:
                route.slots.give_back()
                raise
            route.slots.give_back()
            now = self.loop.time()
            route.paused_until = max(route.paused_until, now + due_s)
            other = self._next_route()
            if other is not route and other.paused_until <= now:
                self._aim_at(other)
            elif now + due_s >= until:
                message = (
                    f"not sent to {route.label}: its limit allows no request within total_s={self._limits.total_s:g}"
                )
                return Failed(RateLimitError(message, status_code=429), Failure(Cause.FINAL))
            else:
                await self._wiring.pauses.make(self._wiring.sleep(due_s))

    async def _limited(self, route: Route) -> float:
        """In how many seconds the endpoint's limit allows this call; 0, and it is counted, if it does so now."""
        limiter = route.limiter(self.loop.time)
        return 0.0 if limiter is None else await limiter.take(self.loop.time(), self._call.tokens())

    def _no_slot(self, route: Route, place: int, since: float) -> Failed:
        message = (
            f"all {route.slots.bound:g} slots of {route.label} stayed taken for "
            f"{self.loop.time() - since:.1f} s; this call was number {place} in line"
        )
        error = PoolTimeoutError(message, phase="pool", timeout_s=self._limits.pool_s)
        return Failed(error, Failure(Cause.FINAL))

    def _leave(self, leg: Leg, sample: Sample | None = None) -> None:
        if leg.has_left:
            return
        leg.has_left, now = True, self.loop.time()
        leg.route.health.leave(now, is_probe=leg.is_probe)
        leg.route.slots.ended(now, sample or Sample(leg.begun_at, work=0.0))

    def _reader(self, response: Response) -> BodyReader:
        leg = self._leg
        if leg is None or not 200 <= response.head.status < 300:
            return super()._reader(response)  # `_attempt` leaves, when it has failed

        def on_end(is_good: bool) -> None:
            if is_good:
                self._spoke(leg)
            work = 1.0 if is_good else 0.0
            self._leave(leg, Sample(leg.begun_at, work, headroom=headroom(response.head.headers)))

        return LegReader(response, self._limits, self.started_at, on_end)

    def _record(self, begun_at: float, status: int | None = None, error: str | None = None) -> AttemptRecord:
        record = super()._record(begun_at, status, error)
        self._numbers.add(record.number)
        return record if self._leg is None else msgspec.structs.replace(record, endpoint=self._leg.route.label)

    @property
    def _keys(self) -> set[str]:
        return super()._keys | self._asked_keys

    # --- what became of it -----------------------------------------------------------------------------------------

    def succeeded(self) -> None:
        """Take note that there is something to hand out; what was asked is kept where it may be asked again."""
        if self._leg is not None:
            self._spoke(self._leg)
        if self._pool.on_break == "raise":
            super().succeeded()
            self._call = msgspec.structs.replace(self._call, params={})
        else:
            self._refund()

    def _spoke(self, leg: Leg) -> None:
        """Tell the endpoint's health that it has brought content; the first time counts."""
        if leg is self._judged:
            return
        self._judged = leg
        now = self.loop.time()
        leg.route.health.succeed(now - leg.begun_at, is_probe=leg.is_probe)
        self._pool.check_paces(now, leg.route.endpoint.tier)

    def _judge(self, error: OpeAIError) -> Fate:
        """Return what *error* says about the endpoint of the last attempt, and tell its health; once per attempt."""
        fate, leg = fate_of(error), self._leg
        wait_s = getattr(error, "retry_after_s", None)
        if leg is None:
            return fate
        if wait_s or isinstance(error, QuotaExceededError):
            pause_s = wait_s or QUOTA_PAUSE_S
            leg.route.paused_until = max(leg.route.paused_until, self.loop.time() + pause_s)
        if self._way not in (None, Way.ANEW) and self._refuses_way(error):
            leg.route.doubted |= {self._way}
            return AGAIN
        if is_uncertain(error):
            return ELSEWHERE
        if fate.needs_context:
            self._learn_context(leg.route, error)
        elif lack := lack_of(error, self._call.needs()):
            leg.route.learn_lack(self._call.model, lack, self.loop.time())
            return ELSEWHERE
        if fate.is_blamed and self._blamed is not leg:
            self._blamed = self._judged = leg
            leg.route.health.fail(self.loop.time(), is_probe=leg.is_probe)
        return fate

    def _learn_context(self, route: Route, error: OpeAIError) -> None:
        model = self._call.model
        if told := context_of(error):
            route.contexts[model] = told
        self._least_context = route.context_tokens(model)

    def _refuses_way(self, error: OpeAIError) -> bool:
        """Whether *error* says that the endpoint did not go on as it was asked to, though it may answer anew."""
        return is_uncertain(error) or (isinstance(error, APIStatusError) and error.status_code in (400, 422))

    def goes_elsewhere(self, error: OpeAIError) -> bool:
        return fate_of(error).elsewhere

    def restarts(self) -> bool:
        return self._pool.on_break != "raise"

    async def reopen(self, error: OpeAIError, failure: Failure) -> BodyReader:
        self._answer = self._break = None  # what had been read of an answer is begun anew
        return await super().reopen(error, failure)

    def goes_on(self, error: OpeAIError, answer: ChatCompletion, *, is_unseen: bool) -> bool:
        # An answer that is longer than the user allows is no better when it gets longer.
        is_too_long = isinstance(error, StreamTooLargeError) and "max_stream_bytes" in (error.limit or "")
        may = self._pool.on_break == "continue" and not is_too_long
        if not (may and fate_of(error).elsewhere and can_go_on(answer)):
            return False
        return not is_unseen or any(
            way_of(answer, self._call.params, route.endpoint.capabilities, route.doubted) is not Way.ANEW
            for route in self._pool.routes
        )

    async def go_on(self, error: OpeAIError, failure: Failure, answer: ChatCompletion) -> BodyReader:
        self._blame(error)
        if not is_uncertain(error) or self._break is None:
            self._break = error
        if self._watched is not None and (cut := self._watched()):
            self._calls_cut = cut
        self._answer, broken_off = answer, self._break
        try:
            await self._wait_or_raise(error, failure)
            reader = await self.open()
        except OpeAIError as exc:
            if exc is not broken_off:
                broken_off.add_note(f"not gone on with: {exc}")
            raise self.final(broken_off) from None
        self._note_continued(answer)
        return reader

    def _note_continued(self, answer: ChatCompletion) -> None:
        if self._leg is not None and self._way is not None:
            chars = sum(len(choice.message.content or "") for choice in answer.choices)
            record = ContinuedRecord(
                after_chars=chars, endpoint=self._leg.route.label, way=self._way.value, calls_anew=self._calls_cut
            )
            self._calls_cut = ()
            # One before it that brought nothing is not worth telling.
            self.continued = (*(told for told in self.continued if told.after_chars < chars), record)

    def watched(self, parser: StreamParser[ChunkT], reader: BodyReader) -> ReadsChunks[ChunkT]:
        watched = WatchedParser(
            parser,
            joint=self._joint,
            holds_calls=self._pool.on_break == "continue",
            may_leave=self._may_leave,
            on_progress=reader.saw_content,
        )
        self._watched = watched.held_calls
        return watched

    def _may_leave(self) -> bool:
        """Whether there is an endpoint that was not asked in this round."""
        return self._left_of_round(here=True) is not None

    # --- between attempts ------------------------------------------------------------------------------------------

    async def _wait_or_raise(self, error: OpeAIError, failure: Failure) -> None:
        fate = self._judge(error)
        if failure.pauses and self._may_wait(failure) and self._attempts:  # for the others, even if this call gives up
            self._refused(error, failure, self.loop.time())
            self._refusal = error
        if not fate.elsewhere:
            raise self.final(error)
        if fate is not AGAIN:
            self._tried.add(self._route.index)
        self._fallen.append(Fallen(error, failure))
        if self._left_of_round() is not None:
            self._spend_or_raise(error, failure)
            if self._watch is not None:
                self._watch.retry_scheduled(error, len(self._attempts) + 1, 0.0)
            return
        await self._next_round(error)

    def _left_of_round(self, *, here: bool = False) -> Route | None:
        tried = {*self._tried, self._route.index} if here else self._tried
        return self._pool.choose(self._call, self.loop.time(), tried=tried, least_context=self._least_context)

    async def _next_round(self, error: OpeAIError) -> None:
        """Wait until it is time to ask all endpoints again.

        Raises:
            OpeAIError: *error*, if none of this round's failures may pass by waiting.
        """
        jitter = self._wiring.jitter()
        delays = [
            (delay_s, fallen.failure)
            for fallen in self._fallen
            if (delay_s := self._policy.next_delay(fallen.failure, self._rounds, jitter, self._waited_s)) is not None
        ]
        if not delays:
            raise self.final(error)
        delay_s, failure = min(delays, key=lambda delay: delay[0])
        now = self.loop.time()
        if now + delay_s >= self.started_at + self._limits.total_s:
            error.add_note(f"not retried: waiting {delay_s:.1f} s would pass total_s={self._limits.total_s:g}")
            raise self.final(error)
        self._spend_or_raise(error, failure)
        self._tried, self._fallen = set(), []
        if self._watch is not None:
            self._watch.retry_scheduled(error, len(self._attempts) + 1, delay_s)
        if failure.pauses:  # the gate of the endpoint that is asked first is where this call waits
            return
        self._rounds += 1
        self._named_s += delay_s if failure.retry_after_s is not None else 0.0
        self._delay_s, self._resume_at = delay_s, now + delay_s
        await self._pause(delay_s)

    def final(self, error: OpeAIError) -> OpeAIError:
        if self._leg is not None:
            self._judge(error)
        return super().final(error)
