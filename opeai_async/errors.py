"""The errors of this package, grouped by what a caller can do about them.

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
    +-- APIConnectionError              never answered: try again later
    |   +-- TLSError                    the certificate or the handshake was refused: fix the trust, do not retry
    |   +-- LocalResourceError          this process is out of file descriptors, ports or memory
    |   +-- APITimeoutError             ran out of time; ``phase`` says waiting for what
    |       +-- PoolTimeoutError        all slots of this client were taken
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
        +-- StreamDecodeError           an event is no chunk
        +-- StreamTooLargeError         a limit of the client was hit
        +-- StreamServerError           the server reported an error in the middle of the stream

Every error pickles, carries its facts as attributes, and has a ``hint``: what to do next, also shown as a note below
the traceback. No error holds a key, a header, a prompt or a live object.
A refusal is an answer, in ``message.refusal``, and not an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from opeai_async._public import claim

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
        message: What was wrong, where, and what was expected.
        hint: What to do about it; the class has a default.
    """

    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self._hint = ""
        self.hint = self.default_hint if hint is None else hint

    @property
    def hint(self) -> str:
        """What to do next; setting it changes the note below the traceback too."""
        return self._hint

    @hint.setter
    def hint(self, hint: str) -> None:
        notes: list[str] = getattr(self, "__notes__", [])
        if self._hint:
            notes.remove(f"hint: {self._hint}")
        self._hint = hint
        if hint:
            self.add_note(f"hint: {hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        # Not the inherited way, which would call __init__ again, with the message only, and share the list of notes.
        facts = vars(self).copy()
        if "__notes__" in facts:
            facts["__notes__"] = list(facts["__notes__"])
        return _rebuilt, (type(self), self.args), facts


def _rebuilt(cls: type[OpeAIError], args: tuple[Any, ...]) -> OpeAIError:
    return cls.__new__(cls, *args)


class ConfigurationError(OpeAIError):
    """The client cannot work as it was set up: no key, a malformed base URL, a bad header."""

    default_hint = "correct the argument or the environment variable which the message names"


class RequestValidationError(OpeAIError, ValueError):
    """The request was refused here, before anything was sent.

    Attributes:
        field: The parameter, with its path inside the body, such as ``messages[3].content``.
    """

    default_hint = "correct the field, or pass it through extra_body to send it unchecked"

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class ConcurrentReadError(OpeAIError, RuntimeError):
    """A second task read a stream while the first was waiting on it; the stream is unharmed."""

    default_hint = "iterate a stream from one task, and let that task fan out to the others"


class ClientClosedError(OpeAIError, RuntimeError):
    """The client or the stream was closed, so this call cannot be served."""

    default_hint = "open a new client or a new stream; `async with` shows how long one lives"


class InvalidJSONError(OpeAIError, ValueError):
    """A model's text is not the JSON it should be.

    Attributes:
        offset: How many characters before the wrong place are right; the length of the text if it ended too early; 0
            if it is JSON, but not the JSON that was asked for.
        line, column: The same place, both counted from 1.
        expected: What could have stood there.
    """

    default_hint = "models err: ask again, or make the server keep to JSON with response_format"

    def __init__(
        self, message: str, *, offset: int = 0, line: int = 1, column: int = 1, expected: str = "", **facts: Any
    ) -> None:
        super().__init__(message, **facts)
        self.offset = offset
        self.line = line
        self.column = column
        self.expected = expected


class APIConnectionError(OpeAIError):
    """No response: the connection could not be made, or broke before the status line.

    Attributes:
        attempts: One record per try, the last being the one that raised this.
    """

    default_hint = "check the network and the base URL; the call is safe to repeat"

    def __init__(self, message: str, *, attempts: tuple[AttemptRecord, ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.attempts = attempts


class TLSError(APIConnectionError):
    """The TLS handshake failed or the certificate was not trusted; never retried."""

    default_hint = "check the certificate and the host name; pass ssl_context= to trust a private authority"


class LocalResourceError(APIConnectionError):
    """This process ran out of file descriptors, ports or buffers; never retried."""

    default_hint = "raise the limit (ulimit -n), or lower max_connections"


class APITimeoutError(APIConnectionError):
    """A clock ran out before the response began.

    Attributes:
        phase: What was waited for: ``connect``, ``pool``, ``response_headers``, ``body`` or ``total``; for a stream
            also ``first_content``, ``idle_bytes`` and ``idle_content``.
        timeout_s: The limit that was hit, in seconds.
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
    """Every slot of ``max_connections`` stayed taken for ``Timeouts.pool_s`` seconds; never retried."""

    default_hint = "close streams that are no longer read, raise max_connections, or set pool_s=None"


class InvalidResponseError(OpeAIError):
    """What answered does not speak this API: HTML, a redirect, a body that is no JSON, malformed HTTP.

    Attributes:
        status_code: The HTTP status, or None where no status line could be read.
        content_type: The response's media type as sent, or None.
        excerpt: The beginning of the body, at most 4 KiB.
        request_id: The server's id for this request, or None.
        attempts: One record per try.
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


class APIStatusError(OpeAIError):
    """The server answered with an error status.

    Attributes:
        status_code: HTTP status, 400 and above.
        code, type, param: The fields of the error object, or None; see
            https://platform.openai.com/docs/guides/error-codes
        request_id: The server's id for this request: quote it to support.
        retry_after_s: Seconds the server asked to wait, or None.
        headers: Those of the response that tell about limits and waiting, names in lower case.
        attempts: One record per try.
        body: The decoded error body, or the beginning of it as text.
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
        self.headers: dict[str, str] = headers or {}
        self.attempts = attempts
        self.body: Any = body


class BadRequestError(APIStatusError):
    """400: a field is missing or wrong; ``param`` names it where the server says so."""

    default_hint = "correct the request; `param` and the message name the field"


class AuthenticationError(APIStatusError):
    """401: the key is missing, wrong or revoked."""

    default_hint = "check OPEAI_API_KEY, or the api_key= given to the client"


class PermissionDeniedError(APIStatusError):
    """403: the key is valid but may not do this."""

    default_hint = "check what this key's project may use: the model, the region, the feature"


class NotFoundError(APIStatusError):
    """404: no such path or model."""

    default_hint = "check the model's name, and that base_url ends where /chat/completions begins"


class ConflictError(APIStatusError):
    """409: the request collided with another."""

    default_hint = "repeat the call"


class UnprocessableEntityError(APIStatusError):
    """422: well-formed, but not acceptable to this server."""

    default_hint = "correct the request; the message names the field"


class RateLimitError(APIStatusError):
    """429: too many requests or tokens; ``retry_after_s`` says how long to wait."""

    default_hint = "send fewer requests at a time, or wait retry_after_s seconds"


class QuotaExceededError(RateLimitError):
    """429 because the budget is used up: waiting does not help, so it is never retried."""

    default_hint = "top up the account or raise its spending limit"


class InternalServerError(APIStatusError):
    """500 and above: the fault is the server's."""

    default_hint = "repeat the call later; quote request_id to support if it persists"


class StreamError(OpeAIError):
    """The stream ended badly after it had begun. Nothing that had arrived is lost.

    Attributes:
        partial: All that arrived, rebuilt as a completion; None if no chunk had come.
        usage: Token counts, if they had arrived.
        finish_reason: Of choice 0, if it had arrived.
        request_id: The server's id for this request.
        attempts: What each try came to; the last one brought this stream.
        events: How many chunks had been decoded.
        bytes: How many bytes of the body had been read.
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
    """The connection broke, or the body ended before its announced length."""


class StreamTruncatedError(StreamError):
    """The body ended cleanly without ``[DONE]`` and without a finish_reason: something cut the answer."""

    default_hint = "`partial` holds what arrived; pass on_truncated='return' if this server always ends so"


class StreamTimeoutError(StreamError, APITimeoutError):
    """The server fell silent, or the deadline of the whole call passed; ``phase`` says which clock."""

    default_hint = "`partial` holds what arrived; raise this clock with timeouts=Timeouts(...)"

    def __init__(
        self,
        message: str,
        *,
        phase: str = "total",
        timeout_s: float | None = None,
        partial: ChatCompletion | None = None,
        usage: CompletionUsage | None = None,
        finish_reason: str | None = None,
        request_id: str | None = None,
        attempts: tuple[AttemptRecord, ...] = (),
        events: int = 0,
        bytes: int = 0,
        hint: str | None = None,
    ) -> None:
        OpeAIError.__init__(self, message, hint=hint)
        self.phase = phase
        self.timeout_s = timeout_s
        self.attempts = attempts
        self.partial = partial
        self.usage = usage
        self.finish_reason = finish_reason
        self.request_id = request_id
        self.events = events
        self.bytes = bytes


class StreamDecodeError(StreamError):
    """An event could not be understood as a chunk.

    Attributes:
        excerpt: The beginning of the offending data, at most 200 bytes.
        rule: The dialect rule that refused it, in ``dialect="strict"``; else None.
    """

    default_hint = "`excerpt` shows the event; the server, or a proxy before it, sends malformed data"

    def __init__(self, message: str, *, excerpt: str = "", rule: str | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.excerpt = excerpt
        self.rule = rule


class StreamTooLargeError(StreamError):
    """An event, an index or the whole stream passed a limit of this client.

    Attributes:
        limit: The limit's name and value in its unit, such as ``max_event_bytes=16777216``.
        pending: What the same read had completed before the limit was hit.
    """

    default_hint = "raise the limit named in `limit` if such a stream is legitimate"

    def __init__(self, message: str, *, limit: str = "", pending: tuple[Any, ...] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.limit = limit
        self.pending = pending


class StreamServerError(StreamError):
    """The server reported an error inside a stream whose HTTP status had been 200.

    Attributes:
        status_code: The status the error stands for: one that it names, else what its words mean, else 500.
        code, type, param: The fields of the error object, or None.
        body: All that the server said of it, as decoded JSON (as text where that is large), or None.
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
        **facts: Any,
    ) -> None:
        super().__init__(message, **facts)
        self.status_code = status_code
        self.code = code
        self.type = type
        self.param = param
        self.body = body


class InvalidOutputError(OpeAIError, ValueError):
    """The answer is not of the type that was asked for.

    Attributes:
        reason: What is wrong with it.
        path: Where, such as ``$.items[0].price``; ``$`` for the whole.
        text: What the model gave, as it gave it; empty if nothing.
        choice: The index of the choice.
        completion: The whole answer.
        rejected: The answers before this one, where ``retries_on_invalid`` sent errors back.
        usage: What all of them cost together, as far as the server said.
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
    """The answer was cut before its JSON was complete: the limit of tokens was reached."""

    default_hint = "raise max_tokens or max_completion_tokens, or ask for less; `text` holds what arrived"


class OutputFilteredError(InvalidOutputError):
    """A content filter ended the answer before its JSON was complete."""

    default_hint = "the provider's content filter objects: change the prompt; `text` holds what arrived"


claim(__name__)
