"""The responses that are one write: all bytes are made before they are asked for, and the server is idle after."""

import functools
from collections.abc import Callable

from benchmarks.lab.generators import Answer, big_answer, cut, in_http_chunks, text_answer, tools_answer, whole_answer

FRAME_BYTES = 16 * 1024
BIG_CUTS_KIB = (16, 64, 1024)

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Request-Id: req_bench\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def one_http_chunk_per_event(answer: Answer) -> bytes:
    """A response in which each event is one HTTP chunk, as servers that flush each token write it."""
    return STREAM_HEAD + in_http_chunks(answer.events)


def in_frames(answer: Answer, frame_bytes: int = FRAME_BYTES) -> bytes:
    """A response in frames that do not care where events end, as proxies write it."""
    return STREAM_HEAD + in_http_chunks(cut(b"".join(answer.events), frame_bytes))


def whole(body: bytes) -> bytes:
    """A response that is one JSON body."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req_bench\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def _big(cut_kib: int, content_bytes: int) -> bytes:
    return in_frames(big_answer(content_bytes), cut_kib * 1024)


# What a size counts is the maker's business: chunks, or bytes of content.
RESPONSES: dict[str, Callable[[int], bytes]] = {
    "burst": lambda chunks: one_http_chunk_per_event(text_answer(chunks)),
    "frames": lambda chunks: in_frames(text_answer(chunks)),
    "tools": lambda chunks: one_http_chunk_per_event(tools_answer(chunks)),
    "whole": lambda content_bytes: whole(whole_answer(content_bytes)[0]),
    **{f"big-{kib}": functools.partial(_big, kib) for kib in BIG_CUTS_KIB},
}


@functools.lru_cache(maxsize=8)
def response_to(name: str, size: int) -> bytes:
    """The prebuilt response of that name and size."""
    return RESPONSES[name](size)
