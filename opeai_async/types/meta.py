"""What is known about an exchange beside its body: attempts, headers, times."""

from typing import Any

from msgspec import Struct

from opeai_async._public import claim


class AttemptRecord(Struct, frozen=True, kw_only=True, gc=False):
    """One try of a request: how it went, and how long was waited before it.

    Attributes:
        number: 1 for the first try.
        status_code: HTTP status, or None when no response came.
        error: Name of the error that ended the try, or None for success.
        delay_s: Seconds waited before this try.
        elapsed_s: Seconds from sending to the response's head, or to the failure.
        endpoint: Name of the endpoint that was asked, where the client has several.
    """

    number: int
    status_code: int | None = None
    error: str | None = None
    delay_s: float = 0.0
    elapsed_s: float = 0.0
    endpoint: str | None = None


class ContinuedRecord(Struct, frozen=True, kw_only=True):
    """Where an answer broke off, and how it was gone on with.

    Attributes:
        after_chars: How many characters of content had been handed out.
        endpoint: Name of the endpoint that went on.
        way: ``"prefix"``, ``"continue_final_message"``, ``"assistant_last"``, or ``"anew"`` where it was asked the same
            question again, and its answer began with what had been handed out.
        calls_anew: Names of the tools whose calls were cut, in order: nothing of them was handed out, and they are
            begun anew. Arguments are never joined.
    """

    after_chars: int
    endpoint: str
    way: str
    calls_anew: tuple[str, ...] = ()


class ResponseMeta(Struct, frozen=True, kw_only=True):
    """What is known about the exchange beside its body.

    Attributes:
        request_id: The server's id for this request (``x-request-id``), or None.
        status_code: HTTP status of the response; 0 if there was none.
        headers: The response's headers, names in lower case, repeated ones joined by ``", "``.
        attempts: One record per try; the last one brought this response.
        quirks: Names of the dialect rules that were needed to read it.
    """

    request_id: str | None = None
    status_code: int = 0
    headers: dict[str, str] = {}
    attempts: tuple[AttemptRecord, ...] = ()
    quirks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        # Without the headers, of which there are many, and some are cookies.
        shown = f"request_id={self.request_id!r}, status_code={self.status_code}, attempts={len(self.attempts)}"
        return f"<{type(self).__name__} {shown}, quirks={self.quirks}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # Rich would ask Struct, which shows the headers too.
        shown = [("request_id", self.request_id), ("status_code", self.status_code), ("attempts", len(self.attempts))]
        return [*shown, ("quirks", self.quirks)]


NO_META = ResponseMeta()


class StreamTiming(Struct, frozen=True, kw_only=True):
    """When what came, in seconds from the call; None for what has not come.

    Attributes:
        first_byte_s: First byte of the body.
        first_content_s: First chunk with content, reasoning or a tool call.
        total_s: End of the stream.
        tokens_per_s: Completion tokens, as the server counted them, per second from the first content to the end;
            None where one read brought both.
    """

    first_byte_s: float | None = None
    first_content_s: float | None = None
    total_s: float | None = None
    tokens_per_s: float | None = None


claim(__name__)
