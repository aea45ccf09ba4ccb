"""Streams and requests to measure with, the same on every machine and in every run.

A stream is a list of payloads, the JSON of one event each, as a busy server of this API family writes them: token-like
pieces of prose and code in many scripts, with the escapes that JSON needs, in an envelope of about 300 bytes. Beside
the payloads stands what a reader must make of them, so that a contender that loses text is found out.
"""

import base64
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

MODEL = "deepseek-v4-flash"
KEY = "sk-benchmark"
MESSAGES = [{"role": "user", "content": "hello"}]
DONE_EVENT = b"data: [DONE]\n\n"

# Pieces as a tokenizer cuts them: with the blank in front, inside words, with quotes, newlines, tabs and backslashes;
# accents, other scripts, emoji (one of several code points), and the separators that text-splitting parsers trip over.
_PIECES = (
    *(" the", " of", " and", "ing", " to", " stream", " token", "s", ",", ".", " is", " a", " in", "tion", "ed"),
    *(" that", " it", "er", " for", " server", " with", " answer", " chunk", "ly", " as", " be", " one", " event"),
    *("\n\n", "\n", '"', "\\", "\t", "```python\n", "    return", "()", ":\n", " = {", "}", "</", '":'),
    *(" naïve", " Größe", " déjà", " привет", " мир", "你好", "世界", "ありがとう", " नमस्ते", " مرحبا"),
    *("🙂", "👩\u200d💻", "\u2028", "\u0085", " €", " ½", "→"),
)
# Most tokens of an answer are plain words.
_WEIGHTS = tuple(12 if piece.isascii() and piece.strip(" ,.").isalpha() else 1 for piece in _PIECES)

TOOL_CALLS = 8


@dataclass(frozen=True)
class Answer:
    """A stream, and what it says.

    Attributes:
        payloads: The JSON of each event, in order; without ``[DONE]``.
        content: All of the content.
        reasoning: All of the reasoning_content.
        tool_calls: (id, name, arguments) of each call.
    """

    payloads: list[bytes]
    content: str = ""
    reasoning: str = ""
    tool_calls: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def events(self) -> list[bytes]:
        """The events as they are on the wire, ``[DONE]`` included."""
        return [b"data: %b\n\n" % payload for payload in self.payloads] + [DONE_EVENT]


def text_answer(chunks: int, *, seed: int = 1) -> Answer:
    """An answer of prose in *chunks* chunks: the role, the pieces, the finish_reason, the usage."""
    envelope = _Envelope(random.Random(seed))
    pieces = envelope.pieces(chunks - 3)
    payloads = [
        envelope.chunk({"role": "assistant", "content": ""}),
        *(envelope.chunk({"content": piece}) for piece in pieces),
        envelope.chunk({}, "stop"),
        envelope.usage_chunk(len(pieces)),
    ]
    return Answer(payloads, content="".join(pieces))


def tools_answer(chunks: int, *, seed: int = 2) -> Answer:
    """An answer in *chunks* chunks: half reasoning, a tenth content, the rest pieces of ``TOOL_CALLS`` calls."""
    envelope = _Envelope(random.Random(seed))
    reasoning, content = envelope.pieces(chunks // 2), envelope.pieces(chunks // 10)
    per_call, odd = divmod(chunks - len(reasoning) - len(content) - 3, TOOL_CALLS)
    content += envelope.pieces(odd)
    payloads = [
        envelope.chunk({"role": "assistant", "content": None, "reasoning_content": ""}),
        *(envelope.chunk({"reasoning_content": piece}) for piece in reasoning),
        *(envelope.chunk({"content": piece}) for piece in content),
    ]
    tool_calls: list[tuple[str, str, str]] = []
    for index in range(TOOL_CALLS):
        call_id, arguments = f"call_{envelope.random.getrandbits(96):024x}", envelope.arguments(per_call - 1)
        tool_calls.append((call_id, "write_file", "".join(arguments)))
        payloads.extend(_call_chunks(envelope, index, call_id, arguments))
    payloads += [envelope.chunk({}, "tool_calls"), envelope.usage_chunk(chunks - 3)]
    return Answer(payloads, "".join(content), "".join(reasoning), tool_calls)


def whole_answer(content_bytes: int, *, seed: int = 3) -> tuple[bytes, str]:
    """The body of a non-streamed answer with about *content_bytes* of content; and the content."""
    envelope = _Envelope(random.Random(seed))
    pieces: list[str] = []
    size = 0
    while size < content_bytes:
        pieces += envelope.pieces(1)
        size += len(pieces[-1].encode())
    content = "".join(pieces)
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = envelope.fields("chat.completion") | {"choices": [choice], "usage": _usage(content_bytes // 4)}
    return _json(body), content


def big_answer(content_bytes: int, *, seed: int = 5) -> Answer:
    """An answer in one chunk whose content is *content_bytes* of base64, as a picture or a file comes."""
    envelope = _Envelope(random.Random(seed))
    content = base64.b64encode(envelope.random.randbytes(content_bytes * 3 // 4 + 3)).decode()[:content_bytes]
    return Answer([envelope.chunk({"role": "assistant", "content": content}, "stop")], content=content)


def conversation(messages: int, *, seed: int = 4) -> list[dict[str, Any]]:
    """A conversation of *messages* messages of about 200 characters, as a service keeps it."""
    envelope = _Envelope(random.Random(seed))
    roles = ("user", "assistant")
    told = [{"role": roles[i % 2], "content": "".join(envelope.pieces(48))} for i in range(messages)]
    told[0]["role"] = "system" if messages > 1 else "user"
    return told


def in_http_chunks(parts: Iterable[bytes]) -> bytes:
    """A body in HTTP's chunked framing, one HTTP chunk for each of *parts*."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def cut(data: bytes, size: int) -> list[bytes]:
    """*data* in pieces of *size* bytes, the last one shorter."""
    return [data[start : start + size] for start in range(0, len(data), size)]


class _Envelope:
    """What all chunks of one answer have in common."""

    def __init__(self, rng: random.Random) -> None:
        self.random = rng
        self._id = f"chatcmpl-{rng.getrandbits(116):029x}"

    def pieces(self, count: int) -> list[str]:
        return self.random.choices(_PIECES, _WEIGHTS, k=count)

    def arguments(self, count: int) -> list[str]:
        """The arguments of a call, JSON text in *count* pieces."""
        escaped = [json.dumps(piece, ensure_ascii=False)[1:-1] for piece in self.pieces(count - 2)]
        return ['{"text":"', *escaped, '"}']

    def fields(self, kind: str) -> dict[str, Any]:
        fingerprint, created = "fp_8802369eaa_prod0623_fp8_kvcache", 1_790_000_000
        return {"id": self._id, "object": kind, "created": created, "model": MODEL, "system_fingerprint": fingerprint}

    def chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _json(self.fields("chat.completion.chunk") | {"choices": [choice], "usage": None})

    def usage_chunk(self, tokens: int) -> bytes:
        return _json(self.fields("chat.completion.chunk") | {"choices": [], "usage": _usage(tokens)})


def _call_chunks(envelope: _Envelope, index: int, call_id: str, arguments: list[str]) -> list[bytes]:
    begin = {"index": index, "id": call_id, "type": "function", "function": {"name": "write_file", "arguments": ""}}
    deltas = [begin, *({"index": index, "function": {"arguments": piece}} for piece in arguments)]
    return [envelope.chunk({"tool_calls": [delta]}) for delta in deltas]


def _usage(tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": 1000,
        "completion_tokens": tokens,
        "total_tokens": tokens + 1000,
        "prompt_tokens_details": {"cached_tokens": 896},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
