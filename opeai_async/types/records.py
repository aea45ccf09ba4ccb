"""What observers are told: one small record per event of a call, a run of tools or prompts, a relay or a session.

In the order in which a call makes them, where every one has the same ``call``::

    CallStarted
        AttemptStarted            once per try; the two of a hedge overlap
        AttemptEnded              the head of a response has come, or the try has failed
        RetryScheduled            only where another try follows, after ``delay_s``
        PauseBegun                only where the server has asked for a wait, which holds for other calls too
        FirstContent              only for a stream, when it brings anything that the model has said
    CallRecord                    once, whatever ends the call

None of them holds a header, a key, or a query. A prompt and an answer are there only for an observer that asks for
them, see ``CallStarted.prompt``.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from opeai_async._public import claim
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.meta import AttemptRecord, ContinuedRecord, StreamTiming

ObserverName = Literal["otel", "prometheus"]
ObserversParam: TypeAlias = ObserverName | Iterable[object]
"""Who listens: objects with methods of ``Observer``, names of ours, or one name."""

CallOutcome = Literal["complete", "unlabelled", "truncated", "failed", "cancelled", "dropped"]
"""Those of a stream, see ``Outcome``; and ``dropped``, for a stream that was forgotten before its end."""


class Prompt(Struct, frozen=True, kw_only=True):
    """What a call asks, as it was given.

    Attributes:
        messages: The conversation.
        tools: What the model may call.
    """

    messages: Sequence[Any] = ()
    tools: Sequence[Any] = ()

    def __repr__(self) -> str:
        return f"<Prompt of {len(self.messages)} messages, {len(self.tools)} tools>"


class CallStarted(Struct, frozen=True, kw_only=True):
    """A call begins: one question, however many tries it will take.

    Attributes:
        call_id: Names the call in all of its records.
        model: The model that is asked for.
        url: Of the endpoint, without query and user; of the first one, where the client has several.
        host: Its host.
        port: Its port.
        stream: Whether a stream was asked for.
        operation: What is done, ``"chat"``.
        choices: How many answers are asked for.
        output_type: ``"json"``, ``"text"`` or ``"speech"`` where the request says which; else None.
        params: Other parameters of the request by name, as far as they hold no content; see ``PARAMS``.
        conversation_id: What the call's option of this name says.
        run_id: The run of tools that this call is a round of, or the bulk run that it belongs to; or None.
        custom_id: The name of the request in its bulk run, or None.
        prompt: What is asked, only for an observer whose ``wants_content`` is true.
    """

    call_id: str
    model: str
    url: str
    host: str
    port: int
    stream: bool
    operation: str = "chat"
    choices: int = 1
    output_type: str | None = None
    params: dict[str, Any] = {}
    conversation_id: str | None = None
    run_id: str | None = None
    custom_id: str | None = None
    prompt: Prompt | None = None


# Names of parameters that say how to answer, not what: none of them can hold a prompt, a key or a person.
PARAMS = (
    "frequency_penalty",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning_effort",
    "seed",
    "service_tier",
    "stop",
    "temperature",
    "top_k",
    "top_logprobs",
    "top_p",
    "verbosity",
)


class AttemptStarted(Struct, frozen=True, kw_only=True):
    """A try begins. ``Observer.attempt_started`` may return headers for it.

    Attributes:
        call: The call that it belongs to.
        number: 1 for the first.
        delay_s: Seconds waited before it.
        endpoint: Name of the endpoint that is asked, where the client has several.
    """

    call: CallStarted
    number: int
    delay_s: float = 0.0
    endpoint: str | None = None


class AttemptEnded(Struct, frozen=True, kw_only=True):
    """A try has brought the head of a response, or has failed.

    Attributes:
        call: The call that it belongs to.
        attempt: How it went.
        request_id: The server's id for it, if it sent one.
        slot_s: How many seconds it waited because ``max_connections`` answers were open.
    """

    call: CallStarted
    attempt: AttemptRecord
    request_id: str | None = None
    slot_s: float = 0.0


class RetryScheduled(Struct, frozen=True, kw_only=True):
    """Another try will follow.

    Attributes:
        call: The call that it belongs to.
        number: The number of that try.
        delay_s: Seconds until it begins.
        error: Name of the error that the one before ended with.
        status_code: The status that the one before brought, or None.
    """

    call: CallStarted
    number: int
    delay_s: float
    error: str
    status_code: int | None = None


class PauseBegun(Struct, frozen=True, kw_only=True):
    """A server has asked for a wait: all calls to it wait, not only this one.

    Attributes:
        call: The call that was told so.
        error: Name of its error.
        seconds: How long the pause is.
    """

    call: CallStarted
    error: str
    seconds: float


class FirstContent(Struct, frozen=True, kw_only=True):
    """A stream has brought the first content, reasoning or tool call.

    Attributes:
        call: The call that it belongs to.
        elapsed_s: Seconds since the call began.
    """

    call: CallStarted
    elapsed_s: float


class Waits(Struct, frozen=True, kw_only=True):
    """Where the time of a call went, in seconds; the parts add up to its length, but for what this client takes itself.

    Attributes:
        slot_s: Waiting in all tries for one of ``max_connections``.
        retry_s: Waiting between tries.
        head_s: From then to the head of the response, connecting included; in all tries.
        first_content_s: From the head to the first content; waiting for the server only.
        server_s: The server's pauses after the first content.
        consumer_s: Between reads, after the head: nobody was waiting for the server. That is the code that reads the
            stream, and whatever else ran on its loop.
    """

    slot_s: float = 0.0
    retry_s: float = 0.0
    head_s: float = 0.0
    first_content_s: float = 0.0
    server_s: float = 0.0
    consumer_s: float = 0.0


class CallRecord(Struct, frozen=True, kw_only=True):
    """A call is over. There is one for each ``CallStarted``.

    Attributes:
        call: How it began.
        outcome: How it ended, as the stream tells it. A completion that was awaited is ``complete``, ``failed`` or
            ``cancelled``.
        error: Name of the error's class, or None. ``truncated`` has one even where ``on_truncated`` is ``"return"``.
        status_code: Status of the response that brought the answer; None if none did.
        request_id: The server's id for it.
        response_id: ``id`` of the answer.
        response_model: ``model`` of the answer.
        service_tier: As the server told it.
        system_fingerprint: As the server told it.
        finish_reasons: One per choice, ``"error"`` for a choice that was cut; empty if no answer came.
        usage: Token counts, a vendor's own among them; None if they did not come.
        timing: When what came.
        first_chunk_s: Seconds from the call to the first chunk of a stream, whatever it held.
        waits: Where the time went.
        duration_s: Seconds from the call to its end.
        attempts: One record per try.
        quirks: Names of the dialect's rules that were needed.
        chunks: How many chunks a stream has handed out.
        bytes_read: Length of the last response's body, as far as it was read.
        completion: The answer, as far as it was read; only for an observer whose ``wants_content`` is true.
        endpoint: Name of the endpoint that brought the answer, or was asked last, where the client has several.
        url: Its URL, without query and user, in place of the call's; None with one endpoint.
        continued: Where the answer broke off and was gone on with.
    """

    call: CallStarted
    outcome: CallOutcome
    error: str | None = None
    status_code: int | None = None
    request_id: str | None = None
    response_id: str | None = None
    response_model: str | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    finish_reasons: tuple[str, ...] = ()
    usage: CompletionUsage | None = None
    timing: StreamTiming = StreamTiming()
    first_chunk_s: float | None = None
    waits: Waits = Waits()
    duration_s: float = 0.0
    attempts: tuple[AttemptRecord, ...] = ()
    quirks: tuple[str, ...] = ()
    chunks: int = 0
    bytes_read: int = 0
    completion: ChatCompletion | None = None
    endpoint: str | None = None
    url: str | None = None
    continued: tuple[ContinuedRecord, ...] = ()

    @property
    def call_id(self) -> str:
        """Name of the call."""
        return self.call.call_id

    @property
    def is_error(self) -> bool:
        """Tell whether it ended in an error: a stream that its reader left or cancelled did not."""
        return self.error is not None

    def __repr__(self) -> str:
        return f"<CallRecord {self.call_id} {self.outcome}, {len(self.attempts)} attempts, {self.chunks} chunks>"


class RunStarted(Struct, frozen=True, kw_only=True):
    """A run of tools begins; its rounds are calls with the same ``run_id``."""

    run_id: str
    model: str
    conversation_id: str | None = None


class RunRecord(Struct, frozen=True, kw_only=True):
    """A run of tools is over.

    Attributes:
        run: How it began.
        reason: Why it ended, see ``RunReason``; ``dropped`` if it was forgotten.
        rounds: How often the model was asked.
        tool_calls: How many tools were run.
        usage: Token counts of all rounds, as far as they came.
        duration_s: Seconds from its first read to its end.
        error: Name of the error's class, or None.
    """

    run: RunStarted
    reason: str
    rounds: int = 0
    tool_calls: int = 0
    usage: CompletionUsage | None = None
    duration_s: float = 0.0
    error: str | None = None


class ToolStarted(Struct, frozen=True, kw_only=True):
    """A tool is called, in the task in which it runs.

    Attributes:
        run_id: The run that it belongs to.
        number: Counts the tools of the run, from 1.
        tool_call_id: What the model calls this call.
        name: Name of the tool.
        kind: ``"function"`` or ``"custom"``.
        arguments: What the model gave it; only for an observer whose ``wants_content`` is true.
    """

    run_id: str
    number: int
    tool_call_id: str
    name: str
    kind: str = "function"
    arguments: str | None = None

    def __repr__(self) -> str:
        return f"<ToolStarted {self.name}>"


class ToolRecord(Struct, frozen=True, kw_only=True):
    """A tool has ended.

    Attributes:
        tool: How it began.
        duration_s: Seconds that it ran.
        error: What the model is told that went wrong in one word, such as the exception's type; or None.
        is_cancelled: Whether it was cancelled, with the run or because it was asked for no more.
        result: What the model is told; only for an observer whose ``wants_content`` is true.
    """

    tool: ToolStarted
    duration_s: float
    error: str | None = None
    is_cancelled: bool = False
    result: str | None = None

    def __repr__(self) -> str:
        return f"<ToolRecord {self.tool.name} {self.error or 'ok'}>"


class BulkStarted(Struct, frozen=True, kw_only=True):
    """A bulk run begins; its calls have the same ``run_id``, and the ``custom_id`` of the request they answer.

    Attributes:
        run_id: Names the run.
        model: The model that all requests share by ``defaults``, or None.
        total: How many requests there are; None while that is unknown.
    """

    run_id: str
    model: str | None = None
    total: int | None = None


class BulkRecord(Struct, frozen=True, kw_only=True):
    """A bulk run is over.

    Attributes:
        run: How it began.
        done: Requests that were answered in this run.
        failed: Those that ended with an error.
        resumed: Those that an earlier run had finished.
        shared: Those of *done* and *failed* that shared the request of another.
        changed: Those whose request had changed since the journal was written.
        retries: Attempts after the first ones.
        prompt_tokens, completion_tokens: As the server counted them.
        cost: By ``price``; 0 without it.
        reasons: How often which error ended a request, by its name and status.
        duration_s: Seconds from the begin of the run to its end.
        stopped: Why the rest was not run, such as ``"deadline"``; None if it was.
        error: Name of the class of the error that ended the run, or None.
    """

    run: BulkStarted
    done: int = 0
    failed: int = 0
    resumed: int = 0
    shared: int = 0
    changed: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    reasons: dict[str, int] = {}
    duration_s: float = 0.0
    stopped: str | None = None
    error: str | None = None


class RelayRecord(Struct, frozen=True, kw_only=True):
    """A relay to a client, such as a browser, is over.

    Attributes:
        call_id: The call whose answer was sent on; None if the frames came from elsewhere.
        reason: How it went, see ``RelayResult.reason``; ``"failed"`` if it raised.
        frames: How many frames were sent.
        bytes: How many bytes were sent.
        duration_s: Seconds from its begin to its end.
        sending_s: How many of them it waited for the client to take what was sent.
    """

    call_id: str | None
    reason: str
    frames: int
    bytes: int
    duration_s: float
    sending_s: float


class SessionRecord(Struct, frozen=True, kw_only=True):
    """The answer of a session is over, which clients may still read.

    Attributes:
        call_id: The call whose answer it keeps; None if the frames came from elsewhere.
        outcome: How its frames end: ``done`` or ``error``.
        reason: Why it is done, see ``DoneFrame``; None where it ended in an error.
        duration_s: Seconds from its start to the end of the answer.
    """

    call_id: str | None
    outcome: str
    duration_s: float
    reason: str | None = None


claim(__name__)
