"""A quirk: one oddity of real servers, as a change of what the testing server would have sent.

An answer goes from JSON objects (the chunks of a stream, or one completion) to encoded events to a response. A quirk
changes it at one of these stages, its *level*, and quirks of one level apply in the order in which they were named:

=============  ============================================  ===================================================
level          its function gets                             and applies to
=============  ============================================  ===================================================
``request``    the request's body                            every answer; gives a `Speech` instead of it, or None
``kind``       whether a stream was asked for                every answer; it says whether to stream
``chunks``     the list of chunks; gives another             streams; ``whole`` is the same for a completion
``envelope``   a chunk or a completion, to change in place   each of them
``usage``      the token counts, to change in place          wherever there are some
``choice``     an item of ``choices``, to change in place    each
``delta``      a delta or a message, to change in place      each
``tool_call``  a tool call or a piece, to change in place    each
``json``       an encoded object; gives another              each, also the only one of a completion
``events``     the list of encoded events; gives another     streams; the last event is ``[DONE]``
``response``   a `Speech`; gives another                     every answer
=============  ============================================  ===================================================

Some combinations mean nothing: if one quirk takes away what another needs (the index of calls whose pieces alternate),
no reading is right, and the result of `expected` does not hold.

Among the chunks there may be ``bytes``: an event as it is, with its blank line.

A quirk also says what it means. ``expect`` says how the reading must end. ``right`` takes the completion as it would be
without the quirk, and changes it into the one that a right client must read (or, if the reading ends with an
error, into the part that must have arrived before it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

JSONObject: TypeAlias = dict[str, Any]
Item: TypeAlias = JSONObject | bytes
Change: TypeAlias = Callable[[JSONObject], object]
"""A function that changes an object in place; what it returns does not matter."""

Level: TypeAlias = Literal[
    "request", "kind", "chunks", "envelope", "usage", "choice", "delta", "tool_call", "json", "events", "response"
]

Expect: TypeAlias = Literal[
    "same",
    "changed",
    "unlabelled",
    "truncated",
    "failed",
    "server_error",
    "status_error",
    "decode_error",
    "too_large",
    "invalid_response",
]
"""The way the reading of an answer must end.

- ``same``: with the completion that the plain answer has, field by field.
- ``changed``: with another completion, see ``right``; vendor fields in it are a subset of what arrives in ``extra``.
- ``unlabelled``: with the completion, although no finish_reason came.
- ``truncated``, ``failed``: with an error, because the body ended too early, or a finish_reason says so.
- ``server_error``: with the error that the server put into the body; ``error`` has its fields.
- ``status_error``: with the error that the status stands for.
- ``decode_error``, ``too_large``: with an error of the reader, because something was no chunk, or out of bounds.
- ``invalid_response``: with the error for a body that is not this API's at all.
"""


@dataclass(frozen=True, slots=True)
class Speech:
    """A response as it goes out.

    Attributes:
        parts: The body, each item an HTTP chunk.
        headers: Response headers; a value of None leaves out what would be sent by itself.
        status: HTTP status.
        held_open: True if the body is left open after its last part.
        is_whole: True if the body is one thing of a known length, and not a stream.
    """

    parts: tuple[bytes, ...]
    headers: Mapping[str, str | None]
    status: int = 200
    held_open: bool = False
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Quirk:
    """One oddity; see the top of this file.

    Attributes:
        name: A short name that says what is odd.
        level: The stage at which it applies, and so what ``apply`` gets.
        apply: The change. It must cope with what other quirks have left.
        what: The oddity in a sentence.
        who: Servers that were seen to do so.
        rule: The name that ``stream.quirks`` has for it; None if an ordinary reading is right.
        more_rules: Names of other rules that the same bytes need.
        expect: The way the reading of a stream must end.
        right: The change, in place, from the plain completion to the one that a right client must read.
        whole: For a level that is of streams only: the change of a completion; None leaves it plain.
        expect_whole: The way the reading of a completion must end; None if it is that of ``expect``.
        error: Fields that the error has, such as ``status_code``, ``code`` and ``type``.
        needs_http: True if headers or the connection matter, so that the bytes of the body alone do not show it.
    """

    name: str
    level: Level
    apply: Callable[[Any], Any]
    what: str
    who: str
    rule: str | None = None
    more_rules: tuple[str, ...] = ()
    expect: Expect = "same"
    right: Change | None = None
    whole: Change | None = None
    expect_whole: Expect | None = None
    error: Mapping[str, Any] = field(default_factory=dict[str, Any])
    needs_http: bool = False

    def touches(self, *, stream: bool) -> bool:
        """Tell whether it changes streams, or completions, at all."""
        return stream or self.whole is not None or self.level not in ("chunks", "events")

    def expects(self, *, stream: bool) -> Expect:
        """Return the way the reading of a stream, or of a completion, must end."""
        if not self.touches(stream=stream):
            return "same"
        return self.expect if stream or self.expect_whole is None else self.expect_whole


# --- looking around ---------------------------------------------------------------------------------------------------


# --- changes, and changes of lists of chunks --------------------------------------------------------------------------
