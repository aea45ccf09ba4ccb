"""What one call tells those who listen to it: observers, and the log, which is the first of them.

A call that nobody listens to has no `Watch`, and costs a comparison where one would be told. What is told is made
here, of facts that the call has anyway; nothing is told per chunk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec

from opeai_async._core.call.http import Request
from opeai_async._core.call.prepare import Asked
from opeai_async._core.call.settings import check_headers
from opeai_async._core.json import is_object
from opeai_async._io.observe import log
from opeai_async._io.observe.bulk import current_request
from opeai_async._io.observe.observers import Observers
from opeai_async.errors import OpeAIError
from opeai_async.types.common import NO_EXTRA, CompletionUsage
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.meta import AttemptRecord
from opeai_async.types.records import (
    PARAMS,
    AttemptEnded,
    AttemptStarted,
    CallRecord,
    CallStarted,
    FirstContent,
    PauseBegun,
    Prompt,
    RetryScheduled,
    Waits,
)

_DEFAULT_PORTS = {"https": 443, "http": 80}


class Watch:
    """Tells what becomes of one call.

    Attributes:
        call: How it began.
        wants_content: Whether anybody asks for the answer.
    """

    __slots__ = ("_observers", "_slot_s", "call", "wants_content")

    def __init__(self, observers: Observers, call: CallStarted, request: Request) -> None:
        self.call = call
        self.wants_content: bool = observers.wants_content
        self._observers = observers
        self._slot_s = 0.0
        with_content = None
        if self.wants_content:
            with_content = msgspec.structs.replace(call, prompt=_prompt_of(request.body))
        observers.tell("call_started", call, with_content)

    def attempt_started(
        self, number: int, delay_s: float, headers: Mapping[str, str], endpoint: str | None
    ) -> Mapping[str, str]:
        """Tell that a try begins; returns its *headers* with those that observers add."""
        started = AttemptStarted(call=self.call, number=number, delay_s=delay_s, endpoint=endpoint)
        added = self._observers.ask("attempt_started", started, _checked_headers)
        if not added:
            return headers
        known = {name.lower() for name in headers}
        more: dict[str, str] = {}
        for answer in added:
            for name, value in answer.items():
                if name.lower() not in known:
                    known.add(name.lower())
                    more[name] = value
        return {**headers, **more}

    def attempt_ended(self, attempt: AttemptRecord, request_id: str | None, slot_s: float) -> None:
        """Tell how a try went."""
        self._slot_s += slot_s
        ended = AttemptEnded(call=self.call, attempt=attempt, request_id=request_id, slot_s=slot_s)
        self._observers.tell("attempt_ended", ended)

    def retry_scheduled(self, error: OpeAIError, number: int, delay_s: float) -> None:
        """Tell that try *number* follows after *error*, in *delay_s* seconds."""
        status = getattr(error, "status_code", None)
        retry = RetryScheduled(
            call=self.call, number=number, delay_s=delay_s, error=type(error).__name__, status_code=status or None
        )
        self._observers.tell("retry_scheduled", retry)

    def pause_begun(self, error: OpeAIError, seconds: float) -> None:
        """Tell that all calls wait, because this one was told to."""
        self._observers.tell("pause_begun", PauseBegun(call=self.call, error=type(error).__name__, seconds=seconds))

    def first_content(self, elapsed_s: float) -> None:
        """Tell that the first content has come."""
        if self._observers.listens_to("first_content"):
            self._observers.tell("first_content", FirstContent(call=self.call, elapsed_s=elapsed_s))

    def ended(self, record: CallRecord, completion: ChatCompletion | None) -> None:
        """Tell that the call is over, and to those that ask for it what was answered."""
        with_content = None
        if self.wants_content and completion is not None:
            with_content = msgspec.structs.replace(record, completion=completion)
        self._observers.tell("call_ended", record, with_content)

    def waits(self, attempts: Sequence[AttemptRecord], body: BodyWaits, now: float) -> Waits:
        """Return where the time until *now* went."""
        tried_s = sum(attempt.elapsed_s for attempt in attempts)
        reading_s = 0.0 if body.opened_at is None else now - body.opened_at
        return Waits(
            slot_s=self._slot_s,
            retry_s=sum(attempt.delay_s for attempt in attempts),
            head_s=max(0.0, tried_s - self._slot_s),
            first_content_s=body.first_content_s,
            server_s=body.server_s,
            consumer_s=max(0.0, reading_s - body.first_content_s - body.server_s),
        )


class BodyWaits(NamedTuple):
    """How long reads of a body have waited.

    Attributes:
        opened_at: When its head had come, in loop time; None if there is no body.
        first_content_s: Seconds that reads waited until the first content.
        server_s: Seconds that they waited after that.
    """

    opened_at: float | None = None
    first_content_s: float = 0.0
    server_s: float = 0.0


def begin(observers: Observers, asked: Asked, request: Request, call_id: str, run_id: str | None) -> Watch | None:
    """Tell that a call begins; returns who tells the rest, or None if nobody listens."""
    if log.is_on():
        observers = observers.after(log.LISTENER)
    if not observers:
        return None
    return Watch(observers, _call(asked, request, call_id, run_id), request)


def plain_url(url: str) -> str:
    """Return *url* without query and user, either of which may hold a key."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def counts_only(usage: CompletionUsage | None) -> CompletionUsage | None:
    """Return *usage* with no vendor fields but counts of tokens: in any other, a server may echo the key."""
    if usage is None:
        return None
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return msgspec.structs.replace(
        usage,
        extra=_numbers(usage.extra),
        prompt_tokens_details=prompt and msgspec.structs.replace(prompt, extra=_numbers(prompt.extra)),
        completion_tokens_details=completion and msgspec.structs.replace(completion, extra=_numbers(completion.extra)),
    )


def _numbers(extra: dict[str, Any]) -> dict[str, Any]:
    if not extra:
        return NO_EXTRA
    return {name: count for name, count in extra.items() if isinstance(count, int) and name.endswith("_tokens")}


def _call(asked: Asked, request: Request, call_id: str, run_id: str | None) -> CallStarted:
    params = {**asked.params, **asked.extra_body} if asked.extra_body else asked.params
    url = urlsplit(request.url)
    choices, of_bulk = params.get("n"), current_request()
    return CallStarted(
        call_id=call_id,
        model=str(params.get("model", "")),
        url=plain_url(request.url),
        host=url.hostname or "",
        port=url.port or _DEFAULT_PORTS.get(url.scheme, 0),
        stream=request.wants_stream,
        choices=choices if isinstance(choices, int) and choices > 0 else 1,
        output_type=_output_type(params),
        params={name: params[name] for name in PARAMS if params.get(name) is not None},
        conversation_id=asked.conversation_id,
        run_id=of_bulk.run_id if run_id is None and of_bulk is not None else run_id,
        custom_id=None if of_bulk is None else of_bulk.custom_id,
    )


def _output_type(params: Mapping[str, Any]) -> str | None:
    """Return which kind of output the request asks for; None where it leaves that to the model."""
    if "audio" in (params.get("modalities") or ()):
        return "speech"
    wanted: object = params.get("response_format")
    if isinstance(wanted, msgspec.Struct):
        kind: object = wanted.__struct_config__.tag
    else:
        kind = wanted.get("type") if is_object(wanted) else None
    return {"json_schema": "json", "json_object": "json", "text": "text"}.get(str(kind))


def _prompt_of(body: bytes) -> Prompt:
    """Return what is sent, out of what is sent: the caller's own may be an iterator that is used up."""
    sent = msgspec.json.decode(body)
    if not is_object(sent):
        return Prompt()
    messages, tools = sent.get("messages"), sent.get("tools")
    return Prompt(
        messages=messages if isinstance(messages, list) else (),  # pyright: ignore[reportUnknownArgumentType]
        tools=tools if isinstance(tools, list) else (),  # pyright: ignore[reportUnknownArgumentType]
    )


def _checked_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return what an observer adds, if it may stand in a request."""
    return check_headers(headers, "attempt_started")
