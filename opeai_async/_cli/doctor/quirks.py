"""The names of an endpoint's oddities, what they mean, and how to recognize them.

A quirk comes from one of these sources:

====================  ==========================================================================
``stream.quirks``     those that the client repairs: by a rule of RULES, or on the way (`NOTES`)
`OBSERVED`            those that need no repair, and show only in the bytes
`quirks_of_error`     those of how a server reports an error
====================  ==========================================================================

They bear the names that ``opeai_async.testing.QUIRKS`` has for them, so that the testing server can be asked to behave
as an endpoint that was examined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from opeai_async._cli.doctor.watch import Seen
from opeai_async._core.decode.body_kind import BodyKind
from opeai_async._core.dialect.rules import RULES
from opeai_async._core.json import is_array, is_object
from opeai_async.errors import (
    APIStatusError,
    InvalidResponseError,
    OpeAIError,
    StreamDecodeError,
    StreamServerError,
)
from opeai_async.testing.quirks import QUIRKS

if TYPE_CHECKING:
    from opeai_async._cli.doctor.advice import Facts


REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_details")


class Explanation(NamedTuple):
    """The meaning of a quirk, and servers that have it; *is_repaired* if ``dialect="strict"`` would refuse it."""

    what: str
    who: str
    is_repaired: bool


# Quirks that are in `stream.quirks` without a row in RULES: those of the framing, and those repaired on the way.
NOTES: dict[str, tuple[str, str]] = {
    "empty_data": ("an event without data, or of null or {}: left out", "gateways"),
    "comment_in_data": ("a comment that was wrapped as data again: left out", "gateways"),
    "named_event": ("an event name of their own for chunks: read as chunks", "gateways"),
    "foreign_event": ("named events that are no chunks: left out", "Anthropic style gateways"),
    "error_event": ("an error as an event or a field of that name: raised", "Anthropic style, llama.cpp"),
    "loose_json": ("NaN, malformed UTF-8 or half a surrogate pair in the JSON: read loosely", "several"),
    "tool_index_missing": ("tool calls without index: told apart by id, name and order", "Gemini, Ollama"),
    "field_of_other_type": ("a field of an unexpected type: moved to `extra`", "gateways"),
    "unterminated_event": ("no blank line after the last event: read all the same", "proxies"),
    "events_glued": ("events without a blank line between them: told apart by line", "gateways"),
    "done_odd": ("[DONE] in other letters, in quotes, or with more on its line: the end all the same", "gateways"),
    "reasoning_details_only": ("reasoning only as details: read as reasoning", "OpenRouter"),
    "json_for_stream": ("one JSON body although a stream was asked for: read as one chunk", "gateways"),
    "done_missing": ("no [DONE] after the answer: its end is known from finish_reason", "several"),
    "finish_missing": ("no finish_reason: the answer is taken as whole at [DONE]", "Ollama, old Gemini"),
    "finish_empty": ('finish_reason "": read as null', "Ollama, SGLang, GLM routes"),
    "finish_early": ("a finish_reason before the end of its choice: taken back by what comes after it", "gateways"),
    "finish_changed": ("a less grave finish_reason after the first: the first one stays", "routers"),
    "usage_zero": ("token counts of 0 after the real ones: left out", "servers in Go"),
    "data_in_text": ("a chunk as JSON in a JSON string: read all the same", "gateways"),
    "tool_index_changed": ("another index in later pieces of a tool call: they are of the latest call", "gateways"),
    "tool_index_gap": ("indexes of tool calls with holes: kept apart, none made up", "several"),
    "tool_index_shared": ("one index for several tool calls: told apart by id, or name", "Ollama, Dynamo, Gemini"),
    "tool_id_missing": ("tool calls without id: one is made up", "GLM via gateways"),
    "tool_id_empty": ('id "" in pieces of a tool call: read as absent', "DashScope, GLM"),
    "tool_id_repeated": ("the id in each piece of a tool call: read once", "DashScope, gateways"),
    "tool_name_late": ("the tool's name after the first piece: read all the same", "several"),
    "tool_name_pieces": ("the tool's name in pieces: joined", "several"),
    "tool_name_repeated": ("the tool's name in each piece: read once", "several"),
    "events_for_json": ("an event stream although none was asked for: read to its end", "gateways"),
    "done_after_json": ("[DONE] after a JSON body: left out", "9router"),
    "data_twice": ("`data: data: {...}`: read as if it stood there once", "aprender, gateways"),
    "line_without_data": ("a chunk on a line without `data:`: read all the same", "GPUStack"),
    "heartbeat_in_data": ("a heartbeat in words, or a time, as data: left out", "gateways"),
    "surrogate_split": ("the two halves of a character in two deltas: joined", "eliza"),
    "text_so_far": ("the whole text so far in each delta: only what is new is read", "DashScope, OpenJarvis"),
    "message_for_delta": ("the answer in `message` beside an empty delta: read from there", "gateways"),
    "usage_null_count": ("token counts that are absent or null: None, until another chunk tells them", "gateways"),
    "annotations_repeated": ("annotations that come again: counted once", "OpenRouter"),
    "audio_empty": ("audio without anything in it: absent", "servers in Go"),
    "tool_call_empty": ("a tool call without name and arguments: absent", "servers in Go"),
    "tool_id_shared": ("one id for several tool calls: made distinct, for results to find their call", "nanobot"),
    "tool_id_changed": ("another id in later pieces of a tool call: the first counts", "Poolside"),
    "tool_arguments_so_far": ("the arguments so far in each piece: only what is new is read", "Hermes"),
    "tool_arguments_repeated": ("arguments that come again after they are whole: read once", "OpenCode, eliza"),
}

# Quirks of errors, and of values, for which the testing server has several names or none.
_OTHERS: dict[str, str] = {
    "finish_unusual": "a finish_reason that is not of the API: kept as it was sent",
    "error_in_200": "an error inside of a response with status 200: raised",
    "event_no_chunk": "an event that is no chunk, and cannot be made one: raised",
    "status_html": "an error status with an HTML page: raised",
}


def explain(name: str) -> Explanation:
    """Return the explanation of the quirk *name*."""
    if name in NOTES:
        return Explanation(*NOTES[name], is_repaired=name != "error_event")
    for rule in RULES:
        if rule.name == name:
            return Explanation(rule.what, rule.who, is_repaired=True)
    if name in QUIRKS:
        return Explanation(QUIRKS[name].what, QUIRKS[name].who, is_repaired=False)
    return Explanation(_OTHERS.get(name, "not described"), "several", is_repaired=False)


# --- what shows in the bytes only -------------------------------------------------------------------------------------


def _begins(*beginnings: bytes) -> Callable[[Seen], bool]:
    return lambda seen: any(line.startswith(beginnings) for line in seen.lines)


def _has_no_space(seen: Seen) -> bool:
    return any(line.startswith(b"data:") and line[5:6] not in (b" ", b"") for line in seen.lines)


def _has_wrong_type(seen: Seen) -> bool:
    # A text/plain and a missing type are quirks of their own.
    usual = "application/json" if seen.kind is BodyKind.JSON else "text/event-stream"
    return seen.head.content_type not in (usual, "text/plain", None)


def _reasons(seen: Seen) -> list[str]:
    reasons = (choice.get("finish_reason") for choice in seen.choices)
    return [reason for reason in reasons if isinstance(reason, str)]


def _is_cut(seen: Seen) -> bool:
    return _is_undone(seen) and not any(_reasons(seen))


def _is_undone(seen: Seen) -> bool:
    return seen.kind is BodyKind.EVENTS and seen.has_ended and not seen.has_done and bool(seen.choices)


def _stops_with_tools(seen: Seen) -> bool:
    return bool(seen.tool_calls) and "stop" in _reasons(seen)


def _first_content(seen: Seen) -> str:
    """Return the content of all deltas, as far as it is text."""
    texts = (delta.get("content") for delta in seen.deltas)
    return "".join(text for text in texts if isinstance(text, str))


def _has_tags(seen: Seen) -> bool:
    return _first_content(seen).lstrip().startswith("<think>")


def _has_closing_tag_only(seen: Seen) -> bool:
    text = _first_content(seen)
    return "</think>" in text and "<think>" not in text


def _changes_id(seen: Seen) -> bool:
    return len({str(item["id"]) for item in seen.objects if item.get("id")}) > 1


OBSERVED: tuple[tuple[str, Callable[[Seen], bool]], ...] = (
    ("bom", lambda seen: seen.body.startswith(b"\xef\xbb\xbf")),
    ("leading_white_space", lambda seen: seen.body[:1] in (b"\n", b"\r", b" ")),
    ("comments", _begins(b":")),
    ("other_fields", _begins(b"id:", b"retry:")),
    ("no_space", _has_no_space),
    ("crlf", lambda seen: bool(seen.lines) and b"\r\n" in seen.body),
    ("cr", lambda seen: bool(seen.lines) and b"\r" in seen.body.replace(b"\r\n", b"")),
    ("content_type_missing", lambda seen: bool(seen.objects) and seen.head.content_type is None),
    ("content_type_text", lambda seen: bool(seen.objects) and seen.head.content_type == "text/plain"),
    ("content_type_wrong", lambda seen: bool(seen.objects) and _has_wrong_type(seen)),
    ("gzip", lambda seen: "gzip" in seen.head.headers.get("content-encoding", "")),
    ("truncated", _is_cut),
    ("finish_stop_with_tools", _stops_with_tools),
    ("usage_on_every_chunk", lambda seen: len(seen.usages(with_choices=True)) > 1),
    ("usage_with_choices", lambda seen: len(seen.usages(with_choices=True)) == 1),
    ("usage_repeated", lambda seen: len(seen.usages(with_choices=False)) > 1),
    ("prompt_filter_first", lambda seen: any("prompt_filter_results" in item for item in seen.objects)),
    ("id_changes", _changes_id),
    ("reasoning_details", lambda seen: any(delta.get("reasoning_details") for delta in seen.deltas)),
    ("think_tags", _has_tags),
    ("think_opener_missing", _has_closing_tag_only),
    ("tool_id_null", lambda seen: any("id" in call and call["id"] is None for call in seen.tool_calls)),
    ("empty_body", lambda seen: seen.has_ended and not seen.body.strip()),
)
"""A test for each quirk that needs no repair; each looks at one response."""

_USUAL_REASONS = ("", "stop", "length", "tool_calls", "content_filter", "function_call")
_NAMED_REASONS = {
    "STOP": "finish_upper",
    "MAX_TOKENS": "finish_max_tokens",
    "end_turn": "finish_end_turn",
    "eos": "finish_eos",
    "sensitive": "finish_sensitive",
    "error": "finish_error",
    "abort": "finish_abort",
    "network_error": "finish_network_error",
}


def quirks_of_response(seen: Seen, facts: Facts) -> set[str]:
    """Return the names of the quirks in the bytes of a response, and note in *facts* what else it shows."""
    # The body of another status is an error, for `quirks_of_error`.
    facts.longest_silence_s = max(facts.longest_silence_s, seen.longest_silence_s)
    if seen.head.status != 200:
        return set()
    names = {name for name, is_there in OBSERVED if is_there(seen)}
    odd_reasons = [reason for reason in _reasons(seen) if reason not in _USUAL_REASONS]
    facts.think_tags |= names & {"think_tags", "think_opener_missing"}
    return names | {_NAMED_REASONS.get(reason, "finish_unusual") for reason in odd_reasons}


# --- errors -----------------------------------------------------------------------------------------------------------


def error_shape(error: APIStatusError) -> str:
    """Return the shape of an error's body: ``error object``, or what there is instead."""
    body: object = error.body
    if not is_object(body):
        text = str(body).lstrip()
        return "HTML" if text.startswith("<") else "plain text" if text else "an empty body"
    if is_object(body.get("error")):
        return "error object"
    if "error" in body:
        return "an error as text"
    if "detail" in body:
        return "a list of details" if is_array(body["detail"]) else "a detail"
    return "flat fields"


_SHAPES = {
    "plain text": "status_text",
    "a list of details": "status_detail_list",
    "a detail": "status_detail",
    "flat fields": "status_flat",
}


def quirks_of_error(error: OpeAIError) -> set[str]:
    """Return the names of the quirks in how the server reports *error*."""
    if isinstance(error, APIStatusError):
        shape = error_shape(error)
        if shape == "HTML":
            named = f"html_{error.status_code}"
            return {named if named in QUIRKS else "status_html"}
        return {_SHAPES[shape]} if shape in _SHAPES else set()
    if isinstance(error, StreamServerError):
        return {"error_in_200"}
    if isinstance(error, StreamDecodeError):
        return {"event_no_chunk"}
    if isinstance(error, InvalidResponseError):
        return {"html_page"} if error.excerpt.lstrip().startswith("<") else set()
    return set()


# --- what to set ------------------------------------------------------------------------------------------------------
