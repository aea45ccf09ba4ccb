"""The composer: turns a `Reply` into one completion, or into the chunks of a stream. No I/O, no clock.

Everything is composed as plain dicts, on purpose without the Structs that the client decodes into: a test of the client
against this server compares two independent readings of the API.

A stream is, per choice, a list of deltas: the role, then reasoning, text and refusal in token-like pieces, then the
tool calls in fragments. The choices take turns, as they do in the real API; the finish chunks follow, then usage if it
was asked for. The pieces of a text put together are the text, whatever it holds.

The same input always gives the same output, ids included.

See https://platform.openai.com/docs/api-reference/chat/streaming
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, TypeAlias, cast

import msgspec

from opeai_async.testing.script.reply import Reply, ScriptedToolCall

WireObject: TypeAlias = dict[str, Any]

DONE = b"data: [DONE]\n\n"

# A word with the space before it, cut at 12 characters; or white space by itself. Every character is in one of the two.
_PIECE = re.compile(r" ?\S{1,12}|\s{1,12}")

_TOKENS_PER_MESSAGE = 3


@dataclass(frozen=True, slots=True)
class Envelope:
    """The fields that every chunk of one answer repeats.

    Attributes:
        id: The completion's id.
        created: Seconds since the epoch.
        model: Model name for answers that do not name one.
    """

    id: str = "chatcmpl-1"
    created: int = 0
    model: str = "opeai-test"


def pieces(text: str) -> list[str]:
    """Return token-like pieces of *text*; joined they are *text*."""
    return _PIECE.findall(text)


def count_tokens(text: str) -> int:
    """Return the number of tokens that this server counts in *text*: words, and not those of a real tokenizer."""
    return len(pieces(text))


def encode_event(chunk: WireObject) -> bytes:
    """Return *chunk* as one server-sent event."""
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def completion(reply: Reply, request: Mapping[str, Any] | None = None, envelope: Envelope | None = None) -> WireObject:
    """Return the whole answer as one ``chat.completion`` object.

    Args:
        reply: The answer.
        request: The request's body; ``n``, ``messages``, ``logprobs`` and ``top_logprobs`` matter.
        envelope: Id, time and model name.
    """
    request, envelope = request or {}, envelope or Envelope()
    choices = _choices(reply, request, envelope)
    return {
        **_head(reply, envelope, "chat.completion"),
        "choices": [
            {
                "index": choice.index,
                "message": choice.message(),
                "logprobs": choice.logprobs,
                "finish_reason": choice.finish_reason,
            }
            for choice in choices
        ],
        "usage": _usage(reply, request, choices),
    }


def stream_chunks(
    reply: Reply, request: Mapping[str, Any] | None = None, envelope: Envelope | None = None
) -> list[WireObject]:
    """Return the chunks of the streamed answer, without ``[DONE]``; arguments as for `completion`.

    The usage chunk is there if the request has ``stream_options.include_usage``; then all others carry ``usage: null``.
    """
    request, envelope = request or {}, envelope or Envelope()
    choices = _choices(reply, request, envelope)
    head = _head(reply, envelope, "chat.completion.chunk")
    with_usage = _wants_usage(request)
    if with_usage:
        head["usage"] = None
    # zip_longest lets the choices take turns, and gives None for those that have ended.
    turns = chain.from_iterable(zip_longest(*(choice.deltas() for choice in choices)))
    parts = [turn for turn in turns if turn is not None]
    parts += [_part(choice.index, {}, None, choice.finish_reason) for choice in choices]
    chunks = [{**head, "choices": [part]} for part in parts]
    if with_usage:
        chunks.append({**head, "choices": [], "usage": _usage(reply, request, choices)})
    return chunks


def before_finish(chunks: Sequence[WireObject]) -> list[WireObject]:
    """Return the chunks that come before the first finish_reason."""
    for k, chunk in enumerate(chunks):
        if any(part["finish_reason"] is not None for part in chunk["choices"]):
            return list(chunks[:k])
    return list(chunks)


# --- one choice ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Choice:
    index: int
    content: str | None
    reasoning: str | None
    refusal: str | None
    tool_calls: list[WireObject]
    finish_reason: str
    logprobs: WireObject | None

    def message(self) -> WireObject:
        """Return the message of a completion."""
        message: WireObject = {"role": "assistant", "content": self.content, "refusal": self.refusal}
        if self.reasoning is not None:
            message["reasoning_content"] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        return message

    def deltas(self) -> Iterator[WireObject]:
        """Yield the choice's part of each chunk, without the one that finishes it."""
        yield _part(self.index, {"role": "assistant", "content": None if self.content is None else ""})
        for piece in pieces(self.reasoning or ""):
            yield _part(self.index, {"reasoning_content": piece})
        words = pieces(self.content or "")
        for k, piece in enumerate(words):
            yield _part(self.index, {"content": piece}, _logprobs_of_piece(self.logprobs, k, last=k == len(words) - 1))
        for piece in pieces(self.refusal or ""):
            yield _part(self.index, {"refusal": piece})
        for k, call in enumerate(self.tool_calls):
            for fragment in _tool_call_deltas(k, call):
                yield _part(self.index, {"tool_calls": [fragment]})

    def texts(self) -> Iterator[str]:
        """Yield all texts that count as completion tokens."""
        yield self.reasoning or ""
        yield self.content or ""
        yield self.refusal or ""
        for call in self.tool_calls:
            body, field = _call_body(call)
            yield body.get("name", "")
            yield body[field]


def _part(
    index: int, delta: WireObject, logprobs: WireObject | None = None, finish_reason: str | None = None
) -> WireObject:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}


def _head(reply: Reply, envelope: Envelope, kind: str) -> WireObject:
    return {
        "id": envelope.id,
        "object": kind,
        "created": envelope.created,
        "model": reply.model or envelope.model,
        "system_fingerprint": "fp_opeai_test",
    }


def _choices(reply: Reply, request: Mapping[str, Any], envelope: Envelope) -> list[_Choice]:
    # One text answers all choices that were asked for; a list says itself how many there are.
    texts = [reply.content] * (request.get("n") or 1) if _is_one(reply.content) else list(reply.content or ())
    calls = len(reply.tool_calls)
    return [
        _Choice(
            index=index,
            content=text,
            reasoning=reply.reasoning,
            refusal=reply.refusal,
            tool_calls=[
                _tool_call(call, f"call_{envelope.id.removeprefix('chatcmpl-')}_{index * calls + k}")
                for k, call in enumerate(reply.tool_calls)
            ],
            finish_reason=reply.finish_reason or ("tool_calls" if calls else "stop"),
            logprobs=_logprobs(reply, request, text),
        )
        for index, text in enumerate(cast("list[str | None]", texts))
    ]


def _is_one(content: str | Sequence[str] | None) -> bool:
    return content is None or isinstance(content, str)


# --- tool calls ------------------------------------------------------------------------------------------------------


def _tool_call(call: ScriptedToolCall, made_up_id: str) -> WireObject:
    if isinstance(call, Mapping):
        return {"id": made_up_id, "type": "function", **call}
    name, arguments = call
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return {"id": made_up_id, "type": "function", "function": {"name": name, "arguments": text}}


def _call_body(call: WireObject) -> tuple[WireObject, str]:
    """Return the part of a call that streams, and the name of the field that comes in fragments."""
    return (call["custom"], "input") if "custom" in call else (call["function"], "arguments")


def _tool_call_deltas(index: int, call: WireObject) -> Iterator[WireObject]:
    body, field = _call_body(call)
    kind = "custom" if "custom" in call else "function"
    yield {"index": index, "id": call["id"], "type": call["type"], kind: {**body, field: ""}}
    for piece in pieces(body[field]):
        yield {"index": index, kind: {field: piece}}


# --- logprobs and usage ----------------------------------------------------------------------------------------------


def _logprobs(reply: Reply, request: Mapping[str, Any], text: str | None) -> WireObject | None:
    if reply.logprobs is not None:
        return dict(reply.logprobs)
    if not request.get("logprobs"):
        return None
    rivals = request.get("top_logprobs") or 0
    return {"content": [_logprob(piece, rivals) for piece in pieces(text or "")], "refusal": None}


def _logprob(piece: str, rivals: int) -> WireObject:
    """Make up a probability of *piece*; rival k is the piece in k pairs of angle brackets, less likely each time."""
    return {
        **_token(piece, -0.125),
        # The first rival is the piece itself, as in the real API.
        "top_logprobs": [_token("<" * k + piece + ">" * k, -0.125 - k) for k in range(rivals)],
    }


def _token(text: str, logprob: float) -> WireObject:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def _logprobs_of_piece(logprobs: WireObject | None, k: int, *, last: bool) -> WireObject | None:
    """Return entry *k* of each list, so that each piece has its own; the last piece has all that remain."""
    if logprobs is None:
        return None
    return {name: entries and entries[k : None if last else k + 1] for name, entries in logprobs.items()}


def _wants_usage(request: Mapping[str, Any]) -> bool:
    options = request.get("stream_options")
    return isinstance(options, Mapping) and bool(cast("Mapping[str, Any]", options).get("include_usage"))


def _usage(reply: Reply, request: Mapping[str, Any], choices: Sequence[_Choice]) -> WireObject:
    if reply.usage is not None:
        return cast("WireObject", msgspec.to_builtins(reply.usage))
    prompt = sum(_message_tokens(message) for message in request.get("messages", ()))
    answer = sum(count_tokens(text) for choice in choices for text in choice.texts())
    thought = sum(count_tokens(choice.reasoning or "") for choice in choices)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def _message_tokens(message: Mapping[str, Any]) -> int:
    return _TOKENS_PER_MESSAGE + count_tokens(text_of(message.get("content")))


def text_of(content: object) -> str:
    """Return the text in a message's content: the content itself, or its text parts joined by line breaks."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [cast("dict[str, object]", part) for part in cast("list[object]", content) if isinstance(part, dict)]
    return "\n".join(str(part["text"]) for part in parts if "text" in part)
