"""Errors of this package, grouped by what a caller can do about them.

::

    OpeAIError
    +-- ConfigurationError              you: the client cannot work as it was set up
    +-- RequestValidationError          you: the request was refused before it was sent (also a ValueError)
    +-- ConcurrentReadError             you: two tasks read one stream at once (also a RuntimeError)
    +-- ClientClosedError               you: the client or the stream was closed already (also a RuntimeError)
    +-- InvalidJSONError                the model's text is not the JSON it should be (also a ValueError)
    +-- InvalidOutputError              the answer is not of the type that was asked for (also a ValueError)
    |   +-- OutputTruncatedError        because it was cut: the limit of tokens was reached
    |   +-- OutputFilteredError         because a content filter ended it
    +-- APIConnectionError              no response came: try again later
    |   +-- TLSError                    the certificate or the handshake was refused: fix the trust, do not retry
    |   +-- LocalResourceError          this process is out of file descriptors, ports or memory
    |   +-- APITimeoutError             time ran out; ``phase`` says what was waited for
    |       +-- PoolTimeoutError        all connections of this client were in use
    +-- InvalidResponseError            what answered is not this API (HTML, a redirect, garbage)
    +-- APIStatusError                  the server said no; ``status_code`` says why
    |   +-- BadRequestError             400
    |   +-- AuthenticationError         401
    |   +-- PermissionDeniedError       403
    |   +-- NotFoundError               404
    |   +-- ConflictError               409
    |   +-- UnprocessableEntityError    422
    |   +-- RateLimitError              429: slow down
    |   |   +-- QuotaExceededError      429: the money is gone, waiting does not help
    |   +-- InternalServerError         500 and above
    +-- StreamError                     the answer had begun; ``partial`` holds what arrived
        +-- StreamInterruptedError      the connection broke
        +-- StreamTruncatedError        the body ended cleanly, but the answer did not
        +-- StreamTimeoutError          silence, or the deadline (also an APITimeoutError)
        +-- StreamDecodeError           an event is not a chunk
        +-- StreamTooLargeError         a limit of the client was hit
        +-- StreamServerError           the server reported an error in the middle of the stream

Every error pickles, carries its facts as attributes, and has a ``hint``: what to do next, also shown as a note below
the traceback. No error holds a key, a header, a prompt or a live object.
A refusal is an answer, in ``message.refusal``, and not an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, Unpack

from opeai_async._names.former import ERRORS, with_former_names
from opeai_async._public import claim

# For type checkers only: these modules import msgspec, which would make ``import opeai_async`` slow.
if TYPE_CHECKING:
    from opeai_async.types.common import CompletionUsage
    from opeai_async.types.completion import ChatCompletion
    from opeai_async.types.meta import AttemptRecord


__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "ConcurrentReadError",
    "ConfigurationError",
    "ConflictError",
    "InternalServerError",
    "InvalidJSONError",
    "InvalidResponseError",
    "LocalResourceError",
    "NotFoundError",
    "OpeAIError",
    "PermissionDeniedError",
    "PoolTimeoutError",
    "QuotaExceededError",
    "RateLimitError",
    "RequestValidationError",
    "StreamDecodeError",
    "StreamError",
    "StreamInterruptedError",
    "StreamServerError",
    "StreamTimeoutError",
    "StreamTooLargeError",
    "StreamTruncatedError",
    "TLSError",
    "UnprocessableEntityError",
    "InvalidOutputError",
    "OutputFilteredError",
    "OutputTruncatedError",
]


class OpeAIError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        message: What is wrong, where, and what was expected.
        hint: What to do about it; None for the default of the class.
    """

    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        # Empty first: the setter removes the note of the hint before.
        self._hint = ""
        self.hint = self.default_hint if hint is None else hint

    @property
    def hint(self) -> str:
        """Advice on what to do next; setting it changes the note below the traceback, too."""
        return self._hint

    @hint.setter
    def hint(self, hint: str) -> None:
        # The notes of PEP 678, which tracebacks show; users may have added their own.
        notes: list[str] = getattr(self, "__notes__", [])
        if self._hint:
            notes.remove(f"hint: {self._hint}")
        self._hint = hint
        if hint:
            self.add_note(f"hint: {hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        # The inherited way would call __init__ again, with the message only, and share the list of notes.
        facts = vars(self).copy()
        if "__notes__" in facts:
            facts["__notes__"] = list(facts["__notes__"])
        return _rebuilt, (type(self), self.args), facts


# Without __init__: the attributes are set from the pickled ones.
def _rebuilt(cls: type[OpeAIError], args: tuple[Any, ...]) -> OpeAIError:
    return cls.__new__(cls, *args)


class ConfigurationError(OpeAIError):
    """Raised if the client cannot work as it was set up: no key, a malformed base URL, a bad header."""

    default_hint = "correct the argument or the environment variable which the message names"


class RequestValidationError(OpeAIError, ValueError):
    """Raised if the request is invalid, before anything is sent.

    Attributes:
        field: Path of the parameter in the request, such as ``messages[3].content``.
    """

    default_hint = "correct the field, or pass it through extra_body to send it unchecked"

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class ConcurrentReadError(OpeAIError, RuntimeError):
    """Raised in a second task that reads a stream while the first waits for it; the stream is unharmed."""

    default_hint = "iterate a stream from one task, and let that task fan out to the others"


class ClientClosedError(OpeAIError, RuntimeError):
    """Raised if the client or the stream is closed already."""

    default_hint = "open a new client or a new stream; `async with` shows how long one lives"


class InvalidJSONError(OpeAIError, ValueError):
    """Raised if a model's text is not the JSON it should be.

    Attributes:
        offset: Index of the first invalid character: the text's length if it ended early, 0 if it is valid JSON of
            another shape.
        line, column: The same place, both counted from 1.
        expected: What the grammar allows there.
    """

    default_hint = "models err: ask again, or make the server keep to JSON with response_format"

    def __init__(
        self,
        message: str,
        *,
        offset: int = 0,
        line: int = 1,
        column: int = 1,
        expected: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.offset = offset
        self.line = line
        self.column = column
        self.expected = expected


class APIConnectionError(OpeAIError):
    """Raised if there was no response: the connection could not be made, or broke before the status line.

    Attributes:
        attempts: One record per attempt; the last one raised this error.
    """

    default_hint = "check the network and the base URL; the call is safe to repeat"

    def __init__(self, message: str, *, attempts: tuple[AttemptRecord, ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.attempts = attempts


class TLSError(APIConnectionError):
    """Raised if the TLS handshake failed or the certificate is not trusted; never retried."""

    default_hint = "check the certificate and the host name; pass ssl_context= to trust a private authority"


class LocalResourceError(APIConnectionError):
    """Raised if this process has run out of file descriptors, ports or buffers; never retried."""

    default_hint = "raise the limit (ulimit -n), or lower max_connections"


class APITimeoutError(APIConnectionError):
    """Raised if a time limit passed before the response began.

    Attributes:
        phase: What was waited for: ``connect``, ``pool``, ``response_headers``, ``body`` or ``total``; for a stream
            also ``first_content``, ``idle_bytes`` and ``idle_content``.
        timeout_s: The limit that passed, in seconds.
    """

    default_hint = "raise the limit of this phase with timeouts=Timeouts(...), per client or per call"

    def __init__(
        self,
        message: str,
        *,
        phase: str = "total",
        timeout_s: float | None = None,
        attempts: tuple[AttemptRecord, ...] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, attempts=attempts, hint=hint)
        self.phase = phase
        self.timeout_s = timeout_s


class PoolTimeoutError(APITimeoutError):
    """Raised if all ``max_connections`` connections stayed in use for ``Timeouts.pool_s`` seconds; never retried."""

    default_hint = "close streams that are no longer read, raise max_connections, or set pool_s=None"


class InvalidResponseError(OpeAIError):
    """Raised if the response is not of this API: HTML, a redirect, a body that is not JSON, malformed HTTP.

    Attributes:
        status_code: The HTTP status; None if no status line could be read.
        content_type: The response's media type as sent, or None.
        excerpt: The beginning of the body, at most 4 KiB.
        request_id: The server's id for this request, or None.
        attempts: One record per attempt.
    """

    default_hint = "check that base_url points at the API's root, such as https://host/v1"

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        content_type: str | None = None,
        excerpt: str = "",
        request_id: str | None = None,
        attempts: tuple[AttemptRecord, ...] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status_code = status_code
        self.content_type = content_type
        self.excerpt = excerpt
        self.request_id = request_id
        self.attempts = attempts


@with_former_names(ERRORS)
class APIStatusError(OpeAIError):
    """Raised if the server answered with an error status.

    Attributes:
        status_code: HTTP status, 400 and above.
        code, type, param: The fields of the error object, or None; see
            https://platform.openai.com/docs/guides/error-codes
        request_id: The server's id for this request: quote it to support.
        retry_after_s: Seconds that the server asked to wait, or None.
        headers: The response's headers about limits and waiting, names in lower case.
        attempts: One record per attempt.
        body: The decoded error body, or its beginning as text.
    """

    default_hint = "`status_code`, `code` and the message say why; quote request_id to the server's support"

    def __init__(
        self,
        message: str,
        *,
        status_code: int = 0,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        headers: dict[str, str] | None = None,
        attempts: tuple[AttemptRecord, ...] = (),
        body: Any = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status_code = status_code
        self.code = code
        self.type = type
        self.param = param
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        # Only headers about limits and waiting: others may contain a cookie or a key.
        self.headers: dict[str, str] = headers or {}
        self.attempts = attempts
        self.body: Any = body


class BadRequestError(APIStatusError):
    """Raised for 400: a field is missing or wrong; ``param`` names it if the server does."""

    default_hint = "correct the request; `param` and the message name the field"


class AuthenticationError(APIStatusError):
    """Raised for 401: the key is missing, wrong or revoked."""

    default_hint = "check OPEAI_API_KEY, or the api_key= given to the client"


class PermissionDeniedError(APIStatusError):
    """Raised for 403: the key is valid but may not do this."""

    default_hint = "check what this key's project may use: the model, the region, the feature"


class NotFoundError(APIStatusError):
    """Raised for 404: there is no such path or model."""

    default_hint = "check the model's name, and that base_url ends where /chat/completions begins"


class ConflictError(APIStatusError):
    """Raised for 409: the request collided with another."""

    default_hint = "repeat the call"


class UnprocessableEntityError(APIStatusError):
    """Raised for 422: the request is well-formed, but this server does not accept it."""

    default_hint = "correct the request; the message names the field"


class RateLimitError(APIStatusError):
    """Raised for 429: too many requests or tokens; ``retry_after_s`` says how long to wait."""

    default_hint = "send fewer requests at a time, or wait retry_after_s seconds"


class QuotaExceededError(RateLimitError):
    """Raised for 429 if the budget is used up: waiting does not help, so the call is never retried."""

    default_hint = "top up the account or raise its spending limit"


class InternalServerError(APIStatusError):
    """Raised for 500 and above: the fault is the server's."""

    default_hint = "repeat the call later; quote request_id to support if it persists"


class _StreamFacts(TypedDict, total=False):
    """The keywords of StreamError, which its subclasses take besides their own."""

    partial: ChatCompletion | None
    usage: CompletionUsage | None
    finish_reason: str | None
    request_id: str | None
    attempts: tuple[AttemptRecord, ...]
    events: int
    bytes: int
    hint: str | None


class StreamError(OpeAIError):
    """Raised if a stream broke after it had begun; nothing that had arrived is lost.

    Attributes:
        partial: All that arrived, rebuilt as a completion; None if no chunk had come.
        usage: Token counts, if they had arrived.
        finish_reason: Reason of choice 0, if it had arrived.
        request_id: The server's id for this request.
        attempts: One record per attempt; the last one brought this stream.
        events: Number of chunks that were decoded.
        bytes: Number of bytes of the body that were read.
    """

    default_hint = "`partial` holds what arrived; repeat the call, or continue from it"

    def __init__(
        self,
        message: str,
        *,
        partial: ChatCompletion | None = None,
        usage: CompletionUsage | None = None,
        finish_reason: str | None = None,
        request_id: str | None = None,
        attempts: tuple[AttemptRecord, ...] = (),
        events: int = 0,
        bytes: int = 0,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.attempts = attempts
        self.partial = partial
        self.usage = usage
        self.finish_reason = finish_reason
        self.request_id = request_id
        self.events = events
        self.bytes = bytes


class StreamInterruptedError(StreamError):
    """Raised if the connection broke, or the body ended before its announced length."""


class StreamTruncatedError(StreamError):
    """Raised if the body ended cleanly, but without ``[DONE]`` and a finish_reason: something cut the answer."""

    default_hint = "`partial` holds what arrived; pass on_truncated='return' if this server always ends so"


class StreamTimeoutError(StreamError, APITimeoutError):
    """Raised if the server fell silent, or the deadline of the call passed; ``phase`` says which limit it was."""

    default_hint = "`partial` holds what arrived; raise this clock with timeouts=Timeouts(...)"

    def __init__(
        self,
        message: str,
        *,
        phase: str = "total",
        timeout_s: float | None = None,
        **facts: Unpack[_StreamFacts],
    ) -> None:
        # StreamError passes on to APITimeoutError what that knows, which sets both to its defaults.
        super().__init__(message, **facts)
        self.phase = phase
        self.timeout_s = timeout_s


class StreamDecodeError(StreamError):
    """Raised if an event cannot be read as a chunk.

    Attributes:
        excerpt: The beginning of its data, at most 200 bytes.
        rule: The rule of the dialect that refused it, with ``dialect="strict"``; else None.
    """

    default_hint = "`excerpt` shows the event; the server, or a proxy before it, sends malformed data"

    def __init__(
        self, message: str, *, excerpt: str = "", rule: str | None = None, **facts: Unpack[_StreamFacts]
    ) -> None:
        super().__init__(message, **facts)
        self.excerpt = excerpt
        self.rule = rule


class StreamTooLargeError(StreamError):
    """Raised if an event, an index or the whole stream exceeds a limit of this client.

    Attributes:
        limit: Name and value of the limit, such as ``max_event_bytes=16777216``.
        pending: Events that the same read had completed before the limit was exceeded.
    """

    default_hint = "raise the limit named in `limit` if such a stream is legitimate"

    def __init__(
        self, message: str, *, limit: str = "", pending: tuple[Any, ...] = (), **facts: Unpack[_StreamFacts]
    ) -> None:
        super().__init__(message, **facts)
        # They are complete: a reader hands them out before it raises the error.
        self.limit = limit
        self.pending = pending


class StreamServerError(StreamError):
    """Raised if the server reported an error inside a stream whose HTTP status was 200.

    Attributes:
        status_code: Status of the error: the one it names, else the one its code or type means, else 500.
        code, type, param: The fields of the error object, or None.
        body: The whole error as decoded JSON, or its beginning as text if it is large; None if there is none.
    """

    default_hint = "the fault is the server's; `partial` holds what arrived, and the call may be repeated"

    def __init__(
        self,
        message: str,
        *,
        status_code: int = 500,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        body: object = None,
        **facts: Unpack[_StreamFacts],
    ) -> None:
        super().__init__(message, **facts)
        self.status_code = status_code
        self.code = code
        self.type = type
        self.param = param
        self.body = body


class InvalidOutputError(OpeAIError, ValueError):
    """Raised if the answer is not of the type that was asked for.

    Attributes:
        reason: What is wrong with it.
        path: Place of the fault, such as ``$.items[0].price``; ``$`` for the whole.
        text: The text of the answer, unchanged; empty if there is none.
        choice: Index of the choice.
        completion: The whole answer.
        rejected: Earlier answers, if ``retries_on_invalid`` sent their errors back.
        usage: Token counts of all of them together, as far as the server sent them.
    """

    default_hint = "models err: pass retries_on_invalid=1, describe the field better, or use a stronger model"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        path: str = "$",
        text: str = "",
        choice: int = 0,
        completion: ChatCompletion | None = None,
        rejected: tuple[ChatCompletion, ...] = (),
        usage: CompletionUsage | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.path = path
        self.text = text
        self.choice = choice
        self.completion = completion
        self.rejected = rejected
        self.usage = usage


class OutputTruncatedError(InvalidOutputError):
    """Raised if the limit of tokens cut the answer before its JSON was complete."""

    default_hint = "raise max_tokens or max_completion_tokens, or ask for less; `text` holds what arrived"


class OutputFilteredError(InvalidOutputError):
    """Raised if a content filter ended the answer before its JSON was complete."""

    default_hint = "the provider's content filter objects: change the prompt; `text` holds what arrived"


claim(__name__)
