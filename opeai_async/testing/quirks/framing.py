"""Quirks of the event stream itself: how its bytes are put into lines and events.

See https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle

from opeai_async.testing.quirks.changes import add_content, append_raw, insert_before_finish, is_object, objects, raw
from opeai_async.testing.quirks.quirk import Quirk, Speech

DONE = b"data: [DONE]\n\n"

# Unicode's line ends, which do not end a line of an event stream; str.splitlines would cut here.
_SEPARATORS = "a\u2028b\u2029c\u0085d"
# A character that is cut, bytes that never occur in UTF-8, and a surrogate.
_MALFORMED = b"caf\xc3 \xff\xf0\x9f\x98 \xed\xa0\x80."
_BIG_BYTES = 1024 * 1024

_Events = list[bytes]


def _each(change: Callable[[bytes], bytes]) -> Callable[[_Events], _Events]:
    return lambda events: [change(event) for event in events]


def _between(*extras: bytes) -> Callable[[_Events], _Events]:
    """Put one of *extras* before each event, in turn, and one after the last but one."""

    def apply(events: _Events) -> _Events:
        return [part for extra, event in zip(cycle(extras), events, strict=False) for part in (extra, event)]

    return apply


def _comments_inside(event: bytes) -> bytes:
    return b": ping\n" + event.removesuffix(b"\n") + b":\n\n"


def _mixed_line_ends(events: _Events) -> _Events:
    ends = cycle((b"\r\n", b"\n", b"\r"))
    return [b"".join(line + next(ends) for line in event.split(b"\n")[:-1]) for event in events]


def _data_in_lines(event: bytes) -> bytes:
    """Each comma between two fields of the outermost object is a place for a line end, but not those inside text."""
    head, separator, rest = event.partition(b",")
    return head + separator + b"\ndata: " + rest if separator and head.startswith(b'data: {"') else event


def _unterminated(events: _Events) -> _Events:
    # [DONE] goes too: behind an unterminated event it would be a line of that.
    kept = [event for event in events if not _is_done(event)]
    return [*kept[:-1], kept[-1].rstrip(b"\r\n")] if kept else []


def _done(*instead: bytes) -> Callable[[_Events], _Events]:
    return lambda events: [part for event in events for part in (instead if _is_done(event) else (event,))]


def _is_done(event: bytes) -> bool:
    return event.removeprefix(b"data:").strip() == b"[DONE]"


def _big_event(items: list[object]) -> list[object]:
    for item in items:
        if is_object(item):
            for choice in objects(item.get("choices")):
                choice["delta"]["audio"] = {"id": "audio_1", "data": "A" * _BIG_BYTES}
            break
    return items


def _hold_open(speech: Speech) -> Speech:
    return replace(speech, held_open=True)


def _white_space_first(speech: Speech) -> Speech:
    return replace(speech, parts=(b"\n", b"\r\n \n", *speech.parts))


_LATE = b'data: {"id":"other","choices":[{"index":0,"delta":{"content":"not part of the answer"}}]}\n\n'

# Rows are written in few lines, one below the other, so that the table can be read as one; hence the fmt: skip.
FRAMING = (
    Quirk(
        "comments", "events",
        _between(b": keep-alive\n\n", b": OPENROUTER PROCESSING\n\n", b":\n\n", b": ping - 1\n\n"),
        "comments between the events", "DeepSeek, OpenRouter, xAI, vLLM",
    ),
    Quirk("comments_inside", "events", _each(_comments_inside), "comments before and after the data of an event",
          "the standard allows it"),
    Quirk(
        "comment_in_data", "events", _between(b"data: : OPENROUTER PROCESSING\n\n"),
        "a comment that was wrapped as data again", "gateways", rule="comment_in_data",
    ),
    Quirk(
        "comment_after_id", "events", _between(b"id: 7\n: ping\n\n", b"id: 8\n\n: ping\n\n"),
        "an id, then a comment and a blank line, without data", "gateways",
    ),
    Quirk(
        "events_without_data", "events", _between(b"id: 7\n\n", b"event: ping\n\n", b"retry: 3000\n\n", b"\n\n"),
        "events of only an id, a name, or a retry time", "gateways",
    ),
    Quirk(
        "empty_data", "events", _between(b"data:\n\n", b"data: \n\n", b"data\n\n"),
        "events whose data is empty", "gateways", rule="empty_data",
    ),
    Quirk(
        "data_null", "events", _between(b"data: null\n\n", b"data: {}\n\n"),
        "data that is null or an empty object", "several", rule="empty_data",
    ),
    Quirk(
        "other_fields", "events", _each(lambda event: b"id: 1\nevent: message\nretry: 3000\nfoo: bar\n" + event),
        "id, event, retry and unknown fields before the data", "DashScope, Spring",
    ),
    Quirk(
        "named_event", "events", _each(lambda event: b"event: completion.chunk\n" + event),
        "an event name of their own for chunks", "gateways", rule="named_event",
    ),
    Quirk(
        "foreign_event", "events", _between(b'event: ping\ndata: {"type": "ping"}\n\n'),
        "named events that are no chunks", "Anthropic style gateways", rule="foreign_event",
    ),
    Quirk(
        "no_space", "events", _each(lambda event: event.replace(b"data: ", b"data:", 1)),
        "`data:` without the space", "Spring proxies, SageMaker, LongCat",
    ),
    Quirk("crlf", "events", _each(lambda event: event.replace(b"\n", b"\r\n")), "lines end with CR LF", "many"),
    Quirk("cr", "events", _each(lambda event: event.replace(b"\n", b"\r")), "lines end with CR",
          "the standard allows it"),
    Quirk("mixed_line_ends", "events", _mixed_line_ends, "CR LF, LF and CR in turn", "the standard allows it"),
    Quirk("data_in_lines", "events", _each(_data_in_lines), "the data of an event in two lines",
          "the standard allows it"),
    Quirk("bom", "events", lambda events: [b"\xef\xbb\xbf", *events], "a byte order mark first", "Mistral"),
    Quirk(
        "unicode_separators", "chunks", insert_before_finish({"content": _SEPARATORS}),
        "U+2028, U+2029 and U+0085 as they are, inside the text", "many",
        expect="changed", right=add_content(_SEPARATORS), whole=add_content(_SEPARATORS),
    ),
    Quirk(
        "invalid_utf8", "chunks", insert_before_finish({"content": raw(b'"' + _MALFORMED + b'"')}),
        "text that is not UTF-8; each malformed sequence is U+FFFD", "proxies that cut",
        rule="loose_json", expect="changed", right=add_content(_MALFORMED.decode("utf-8", "replace")),
        whole=append_raw(_MALFORMED),
    ),
    Quirk(
        "big_event", "chunks", _big_event,
        "1 MiB on one line, with base64 audio", "Gemini, audio models",
        expect="changed",
        right=lambda completion: [
            choice["message"].update(audio={"id": "audio_1", "data": "A" * _BIG_BYTES, "transcript": ""})
            for choice in completion["choices"][:1]
        ],
    ),
    Quirk("done_spaced", "events", _done(b"data:   [DONE]  \n\n"), "spaces around [DONE]", "gateways"),
    Quirk("done_missing", "events", _done(), "no [DONE]", "several", rule="done_missing"),
    Quirk("done_named", "events", _done(b"event: done\n" + DONE), "an event name on [DONE]", "gateways"),
    Quirk(
        "done_followed", "events", _done(DONE, DONE, b": bye\n\n", _LATE),
        "[DONE] twice, and more after it, which is no part of the answer", "gateways",
    ),
    Quirk(
        "done_held_open", "response", _hold_open,
        "the body is not ended after [DONE]", "gateways", needs_http=True,
    ),
    Quirk(
        "unterminated_event", "events", _unterminated,
        "no [DONE], and no blank line after the last event", "proxies that strip", rule="unterminated_event",
        more_rules=("done_missing",),
    ),
    Quirk(
        "leading_white_space", "response", _white_space_first,
        "blank lines before the body, to keep the connection alive", "DeepSeek, OpenRouter",
    ),
)  # fmt: skip
"""The quirks of framing."""
