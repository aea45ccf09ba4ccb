"""A `Reply` with quirks as bytes (`speak`), and as what a right client reads from them (`expected`). No I/O.

See ``testing/quirks/quirk.py`` for the stages. ::

    parts = speak(Reply("Hello"), ["tool_index_missing", "crlf"])
    expected(Reply("Hello"), ["tool_index_missing", "crlf"]).completion["choices"][0]["message"]["content"]
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opeai_async.testing.quirks import quirks_named
from opeai_async.testing.quirks.changes import calls_of, choices_of, deltas_of, dumps, is_object
from opeai_async.testing.quirks.quirk import Expect, Item, JSONObject, Level, Quirk, Speech
from opeai_async.testing.script import compose as script
from opeai_async.testing.script.reply import Reply

_EVENT_STREAM = "text/event-stream; charset=utf-8"
_JSON = "application/json"

_ASKS_FOR_USAGE: Mapping[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}

_ENVELOPE = script.Envelope(created=1_700_000_000)

_Quirks = Sequence[Quirk]


@dataclass(frozen=True, slots=True)
class Expected:
    """The result that a right client gets from an answer.

    Attributes:
        ends: The way the reading ends; see `opeai_async.testing.quirks.quirk.Expect`.
        completion: The completion, as JSON, or the part that arrives before an error; None if nothing is promised.
        error: Fields of the error.
        rules: Names that ``stream.quirks`` holds at least, unless quirks that are combined hide each other.
    """

    ends: Expect
    completion: JSONObject | None
    error: Mapping[str, Any]
    rules: frozenset[str]


def speak(
    reply: Reply, quirks: Iterable[str] = (), *, stream: bool = True, request: Mapping[str, Any] | None = None
) -> list[bytes]:
    """Return the exact body of the response; each item is an HTTP chunk.

    Args:
        reply: The answer.
        quirks: Names of quirks, applied in order after those that *reply* has itself.
        stream: True if a stream is asked for.
        request: The request's body, as for `script.completion`; by default one that asks for usage.

    Raises:
        ValueError: If there is no quirk of that name.
    """
    return list(speech_of(reply, _request(stream, request), quirks=quirks).parts)


def speech_of(
    reply: Reply,
    request: Mapping[str, Any],
    envelope: script.Envelope = _ENVELOPE,
    *,
    quirks: Iterable[str] = (),
) -> Speech:
    """Return the whole response to *request*; a reply that is to break off ends before its first finish_reason."""
    chosen = quirks_named([*reply.quirks, *quirks])
    refusals = _refusals(request, chosen)
    if refusals:
        return refusals[0][1]
    asked = bool(request.get("stream"))
    if _streams(asked, chosen):
        request = request if asked else {**request, **_ASKS_FOR_USAGE}  # a completion has its usage always
        speech = Speech(tuple(_events(reply, request, envelope, chosen)), {"content-type": _EVENT_STREAM})
    else:
        speech = Speech((_body(reply, request, envelope, chosen),), {"content-type": _JSON}, is_whole=True)
    for quirk in _of("response", chosen):
        speech = quirk.apply(speech)
    return speech


def expected(
    reply: Reply,
    quirks: Iterable[str] = (),
    *,
    stream: bool = True,
    request: Mapping[str, Any] | None = None,
    envelope: script.Envelope = _ENVELOPE,
) -> Expected:
    """Return the result that a right client must get from that answer; arguments as for `speak`.

    If several quirks change how it ends, the last one counts. An answer of the server has another *envelope* than one
    of `speak`.
    """
    chosen = quirks_named([*reply.quirks, *quirks])
    refusals = _refusals(request or {}, chosen)
    if refusals:
        return Expected("status_error", None, refusals[0][0].error, frozenset())
    streams = _streams(stream, chosen)
    touching = [quirk for quirk in chosen if quirk.touches(stream=streams)]
    completion = copy.deepcopy(script.completion(reply, _request(stream, request), envelope))
    ends: Expect = "same"
    error: dict[str, Any] = {}
    for quirk in touching:
        # Copied after each change, for a quirk may put one object into two places.
        if quirk.right is not None:
            quirk.right(completion)
            completion = copy.deepcopy(completion)
        if quirk.expects(stream=streams) != "same":
            ends = quirk.expects(stream=streams)
            error.update(quirk.error)
    is_nothing = ends in _NOTHING_ARRIVES or (ends == "server_error" and not streams)
    rules = frozenset(
        rule
        for quirk in touching
        for rule in (quirk.rule, *quirk.more_rules)
        if rule and (streams or quirk.level == "kind") and _shows(quirk, reply, _request(stream, request))
    )
    return Expected(ends, None if is_nothing else completion, error, rules)


def _refusals(request: Mapping[str, Any], quirks: _Quirks) -> list[tuple[Quirk, Speech]]:
    """Return the quirks that answer this request otherwise, with their answers."""
    answers = [(quirk, quirk.apply(request)) for quirk in _of("request", quirks)]
    return [(quirk, speech) for quirk, speech in answers if speech is not None]


def _shows(quirk: Quirk, reply: Reply, request: Mapping[str, Any]) -> bool:
    """Tell whether *reply* has anything that the quirk changes."""
    plain = replace(reply, quirks=())
    return speech_of(plain, request) != speech_of(plain, request, quirks=[quirk.name])


def _streams(asked: bool, quirks: _Quirks) -> bool:
    for quirk in _of("kind", quirks):
        asked = quirk.apply(asked)
    return asked


_NOTHING_ARRIVES = ("too_large", "invalid_response", "status_error")


def _request(stream: bool, request: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return {**_ASKS_FOR_USAGE, **(request or {})} if stream else {**(request or {}), "stream": False}


def _of(level: Level, quirks: _Quirks) -> list[Quirk]:
    return [quirk for quirk in quirks if quirk.level == level]


# --- a stream ---------------------------------------------------------------------------------------------------------


def _events(reply: Reply, request: Mapping[str, Any], envelope: script.Envelope, quirks: _Quirks) -> list[bytes]:
    chunks = script.stream_chunks(reply, request, envelope)
    if reply.ending != "finish":
        chunks = script.before_finish(chunks)
    items: list[Item] = list(chunks)
    if quirks:
        items = list(copy.deepcopy(chunks))  # the reply's own objects are in them
        for quirk in _of("chunks", quirks):
            # The next quirks change items in place, so no object may be in two of them, or belong to a quirk.
            items = [copy.deepcopy(item) for item in quirk.apply(items)]
        for item in items:
            if is_object(item):
                _change_object(item, quirks)
    events = [_event(item, quirks) for item in items]
    events += [script.DONE] if reply.ending == "finish" and not _is_cut(quirks) else []
    for quirk in _of("events", quirks):
        events = quirk.apply(events)
    return events


def _event(item: Item, quirks: _Quirks) -> bytes:
    return item if isinstance(item, bytes) else b"data: " + _encoded(item, quirks) + b"\n\n"


def _is_cut(quirks: _Quirks) -> bool:
    return any(quirk.expect == "truncated" for quirk in quirks)


# --- a completion -----------------------------------------------------------------------------------------------------


def _body(reply: Reply, request: Mapping[str, Any], envelope: script.Envelope, quirks: _Quirks) -> bytes:
    completion = script.completion(reply, request, envelope)
    if quirks:
        completion = copy.deepcopy(completion)
        for quirk in quirks:
            if quirk.whole is not None:
                quirk.whole(completion)
                completion = copy.deepcopy(completion)
        _change_object(completion, quirks, skip=[quirk for quirk in quirks if quirk.whole is not None])
    return _encoded(completion, quirks)


# --- a chunk or a completion ------------------------------------------------------------------------------------------


def _encoded(item: JSONObject, quirks: _Quirks) -> bytes:
    text = dumps(item)
    for quirk in _of("json", quirks):
        text = quirk.apply(text)
    return text


def _usages(body: JSONObject) -> list[JSONObject]:
    usage = body.get("usage")
    return [usage] if is_object(usage) and usage else []


def _calls(body: JSONObject) -> list[JSONObject]:
    return [call for delta in deltas_of(body) for call in calls_of(delta)]


# The objects of a chunk or a completion that each level changes; innermost first, so that no change hides another's.
_TARGETS: dict[Level, Callable[[JSONObject], list[JSONObject]]] = {
    "tool_call": _calls,
    "delta": deltas_of,
    "choice": choices_of,
    "usage": _usages,
    "envelope": lambda body: [body],
}


def _change_object(body: JSONObject, quirks: _Quirks, skip: _Quirks = ()) -> None:
    """Apply the quirks that change one kind of object to all such objects in *body*."""
    for level, targets in _TARGETS.items():
        for quirk in _of(level, quirks):
            if quirk not in skip:
                for target in targets(body):
                    quirk.apply(target)
