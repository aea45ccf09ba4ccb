"""What a fuzzer drives: bytes through framing, decoding and accumulation, and what must hold whatever they are.

The first byte says how the rest is cut into reads, so that a fuzzer finds cuts as it finds bytes. Both ways to read a
body are tried: as the stream it should be, and as the answer to a call that was awaited.
"""

from __future__ import annotations

import pickle

import msgspec

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.answer.whole_body import read_completion
from opeai_async._core.call.http import ResponseHead
from opeai_async._core.decode.parser import StreamParser
from opeai_async._core.dialect.dialect import Dialect
from opeai_async.errors import OpeAIError, StreamTooLargeError
from opeai_async.testing import QUIRKS, Reply, speak
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.completion import ChatCompletion

HEAD = ResponseHead(200, "fuzz", {})
REPLIES = (Reply("世", tool_calls=[("f", {})]), Reply("a", reasoning="b"))


def corpus() -> list[bytes]:
    """Inputs for every quirk that a body can show, streamed and awaited."""
    names = [name for name, quirk in QUIRKS.items() if quirk.expect != "status_error"]
    bodies = [b"".join(speak(reply, [name])) for reply in REPLIES for name in names]
    bodies += [b"".join(speak(REPLIES[0], [name], stream=False)) for name in names]
    return [bytes([step]) + body for body in bodies if len(body) < 10_000 for step in (0, 57)]


def check(data: bytes) -> None:
    """Accepted, or refused with a documented error; nothing else.

    Raises:
        AssertionError: If something else came out.
    """
    step, body = (data[0] or len(data)) if data else 1, data[1:]
    _check_stream([body[at : at + step] for at in range(0, len(body), step)])
    _check_completion(body)


def _check_stream(reads: list[bytes]) -> None:
    parser = StreamParser(HEAD, ChatCompletionChunk, Dialect())
    accumulator = Accumulator()
    try:
        for read in reads:
            accumulator.extend(parser.feed(read))
        accumulator.extend(parser.end())
    except StreamTooLargeError:
        return
    assert msgspec.json.encode(accumulator.snapshot)
    assert parser.error is None or isinstance(parser.error, OpeAIError)
    assert parser.error is None or str(pickle.loads(pickle.dumps(parser.error))) == str(parser.error)


def _check_completion(body: bytes) -> None:
    try:
        completion = read_completion(HEAD, body, ChatCompletion, Dialect())
    except OpeAIError:
        return
    assert msgspec.json.encode(completion)
