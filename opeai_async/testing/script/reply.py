"""The answers that the testing server can give to one request.

An answer is plain data, decided before any byte moves: `Reply` (a model's answer, whole or broken off), `Failure` (an
error status), `Raw` (bytes as they are), `Drop` (no response at all) and `Faulty` (a reply spoilt by a fault of the
server or the network). `compose` turns a `Reply` into wire objects and `player` sends it; neither decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, TypeAlias, TypedDict

from opeai_async.testing.faults import fault_named
from opeai_async.testing.quirks import quirks_named
from opeai_async.types.common import CompletionUsage

Ending: TypeAlias = Literal["finish", "clean", "fin", "rst", "stall"]
"""The end of a reply: proper, a clean end of the body too early, FIN or RST inside an HTTP chunk, or silence."""

BreakKind: TypeAlias = Literal["fin", "rst", "clean"]

ScriptedToolCall: TypeAlias = tuple[str, object] | Mapping[str, Any]
"""``(name, arguments)``, with arguments as an object or as JSON text; or a tool call in the API's own shape."""


class ReplyOptions(TypedDict, total=False):
    """The keyword fields of `Reply`, which explains each, for methods that pass them on."""

    reasoning: str | None
    tool_calls: Sequence[ScriptedToolCall]
    refusal: str | None
    usage: CompletionUsage | Mapping[str, Any] | None
    finish_reason: str | None
    model: str | None
    logprobs: Mapping[str, Any] | None
    delay_s: float
    token_delay_s: float | None
    headers: Mapping[str, str]
    quirks: Sequence[str]


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer, sent as a stream or as one body, whichever the request asks for.

    Attributes:
        content: The text. A list of texts gives that many choices; one text gives as many as the request's ``n``.
        reasoning: Reasoning, sent as ``reasoning_content`` before the text.
        tool_calls: Calls in order, each ``(name, arguments)``; arguments given as text are sent unchecked.
        refusal: A refusal, sent as ``refusal`` after the text.
        usage: Token counts as sent; None counts the words of prompt and answer.
        finish_reason: None gives ``"tool_calls"`` if there are any, else ``"stop"``.
        model: Name of the model in the answer; None repeats the request's.
        logprobs: ``{"content": [...]}`` of the first choice on; None makes some up if the request asks for them.
        delay_s: Seconds before the response's head.
        token_delay_s: Seconds between two chunks of a stream; None takes the server's.
        headers: Further response headers.
        quirks: Names of `opeai_async.testing.QUIRKS`: oddities of real servers that this answer shall have, applied in
            order.
        ending: The end; anything but ``"finish"`` breaks off before the first finish_reason.
        after: The number of chunks before it breaks off, the first being the one that only names the role; None sends
            all the content. For a request that does not stream, 0 sends the head and anything else half of the body.
    """

    content: str | Sequence[str] | None = None
    _: KW_ONLY
    reasoning: str | None = None
    tool_calls: Sequence[ScriptedToolCall] = ()
    refusal: str | None = None
    usage: CompletionUsage | Mapping[str, Any] | None = None
    finish_reason: str | None = None
    model: str | None = None
    logprobs: Mapping[str, Any] | None = None
    delay_s: float = 0.0
    token_delay_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    quirks: Sequence[str] = ()
    ending: Ending = "finish"
    after: int | None = None

    def __post_init__(self) -> None:
        # A misspelt name is better refused here, where it was written, than when the answer is sent.
        quirks_named(self.quirks)


@dataclass(frozen=True, slots=True)
class Failure:
    """An error status with the documented body ``{"error": {"message", "type", "param", "code"}}``.

    Attributes:
        status: 400 to 599.
        message, type, code: None takes what the API usually sends with this status.
        param: The field at fault, or None.
        headers: Further response headers, such as ``retry-after``.
        delay_s: Seconds before the response's head.
    """

    status: int
    _: KW_ONLY
    message: str | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay_s: float = 0.0

    def body(self) -> dict[str, Any]:
        """Return the error body, with the defaults of this status filled in."""
        message, type_, code = _USUAL.get(self.status, _SERVER_FAULT if self.status >= 500 else _REQUEST_FAULT)
        return error_body(
            self.message if self.message is not None else message,
            type=self.type if self.type is not None else type_,
            param=self.param,
            code=self.code if self.code is not None else code,
        )


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes exactly as given, each item in an HTTP chunk of its own.

    Attributes:
        chunks: The body. With a ``content-length`` header it is sent without chunked framing.
        status: HTTP status.
        headers: Response headers. Unless given, ``content-type`` is an event stream's or JSON's, as was asked for.
        delay_s: Seconds before the response's head.
        chunk_delay_s: Seconds between two items.
    """

    chunks: tuple[bytes, ...]
    _: KW_ONLY
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay_s: float = 0.0
    chunk_delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Drop:
    """A connection that is closed after the request was read, without a byte of response, by FIN or by RST."""

    how: Literal["fin", "rst"] = "fin"
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Faulty:
    """A reply that a fault strikes.

    Attributes:
        name: The name of one of `opeai_async.testing.FAULTS`, of any stage but ``connect``.
        reply: The answer that is spoilt. Its ``after`` says how many chunks arrive whole before the fault; None sends
            all the content, but no finish_reason. For a request that does not stream, 0 sends nothing of the body, and
            anything else half of it. Faults of the stages ``head`` and ``status`` leave nothing of it.
        gap_s: Seconds between two repetitions of what the fault repeats, and before what needs a packet of its own.
    """

    name: str
    reply: Reply = Reply("This answer meets a fault.")
    _: KW_ONLY
    gap_s: float = 0.05

    def __post_init__(self) -> None:
        if fault_named(self.name).stage == "connect":
            raise ValueError(f"{self.name!r} strikes before there is a request; use Endpoint({self.name!r})")
        if self.reply.ending != "finish":
            raise ValueError(
                f"the reply ends by {self.reply.ending!r} already, expected one without a fault of its own"
            )

    @property
    def delay_s(self) -> float:
        """Seconds before the response's head."""
        return self.reply.delay_s


Answer: TypeAlias = Reply | Failure | Raw | Drop | Faulty


def error_body(
    message: str, *, type: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """Return the documented error body. See https://platform.openai.com/docs/guides/error-codes"""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


_REQUEST_FAULT = ("The request was refused.", "invalid_request_error", None)
_SERVER_FAULT = ("The server had an error while processing your request.", "server_error", None)

# (message, type, code) that usually come with a status.
_USUAL: dict[int, tuple[str, str, str | None]] = {
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    403: ("You are not allowed to do this.", "permission_error", "permission_denied"),
    404: ("The model does not exist or you do not have access to it.", "invalid_request_error", "model_not_found"),
    408: ("The request took too long to arrive.", "invalid_request_error", "request_timeout"),
    429: ("Rate limit reached for requests.", "requests", "rate_limit_exceeded"),
    503: ("The engine is currently overloaded, please try again later.", "server_error", "overloaded"),
}
