"""A fault: one way in which a server, a proxy or the network breaks HTTP, and what a right client does about it.

A quirk is an oddity that a client must read; a fault is one that it can only survive. A coroutine plays it, in bytes
on the `Wire`, past all code that would frame them well.

A fault strikes at a *stage*:

===========  ===========================================================================================
stage        where
===========  ===========================================================================================
``connect``  before a request can be sent; played by an `Endpoint`, because there is nothing to answer
``head``     before the response's head is whole
``status``   the head is whole, and its status is an error
``body``     in the framing of the body: it breaks off, stalls, or holds what no decoder should unpack
``content``  in the content: the bytes arrive, but they are not an answer, or never end
``after``    behind the answer, which is whole
===========  ===========================================================================================
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Literal, Never, Protocol, TypeAlias

Stage: TypeAlias = Literal["connect", "head", "status", "body", "content", "after"]

Retried: TypeAlias = Literal["never", "always", "before_content", "either"]
"""The rule for another attempt: ``before_content`` makes one as long as no chunk was handed out; ``either`` leaves it
open, because it depends on how the client came to see the fault.
"""

Connection: TypeAlias = Literal["kept", "closed", "either"]
"""The fate of the connection: ``kept`` for the next request; ``closed``, and never used again; or ``either``, where the
framing is sound, but the answer is not the API's, or not a good one.
"""

DELIVERED = "delivered"


class Wire(Protocol):
    """The server's end of one connection, as faults use it; see ``testing/server/wire.py``.

    Attributes:
        is_stream: True if the answer is a stream of events.
        parts: The whole answer; each item is an event of a stream.
        before: The items that arrive before anything breaks.
        rest: The item that comes next, or what is left of it.
        gap_s: Seconds between two repetitions of what a fault repeats.
    """

    gap_s: float
    is_stream: bool
    parts: tuple[bytes, ...]
    before: tuple[bytes, ...]
    rest: bytes

    @property
    def content_type(self) -> str:
        """The media type of the good answer."""
        ...

    @property
    def port(self) -> int:
        """The server's own port."""
        ...

    async def send(self, *data: bytes) -> None:
        """Write *data* as it is, and wait while the client takes nothing."""
        ...

    async def send_head(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Write a whole head. The body is chunked, unless *headers* have ``content-length`` or ``connection``."""
        ...

    async def send_parts(self, *parts: bytes) -> None:
        """Write each of *parts* as an HTTP chunk of its own, and count it."""
        ...

    async def begin(self, headers: Mapping[str, str] | None = None) -> None:
        """Write a good head, and the part of a good body that shall arrive."""
        ...

    async def send_whole(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Write a good response that holds *body*, and note that it is complete."""
        ...

    def item(self, payload: bytes) -> bytes:
        """Return *payload* as an event of a stream, or as a body by itself."""
        ...

    def end(self, outcome: Literal["completed", "cut", "dropped"]) -> None:
        """Note how the exchange ended; the first call counts."""
        ...

    def release(self) -> object:
        """Note that the answer is whole; return what the handler must return to get the next request."""
        ...

    async def pause(self) -> None:
        """Wait for one gap."""
        ...

    async def hold(self) -> Never:
        """Keep the connection open, in silence, until the client closes it."""
        ...

    async def hang_up(self, how: Literal["fin", "rst"], outcome: Literal["cut", "dropped"] = "cut") -> Never:
        """Close the connection once all that was written has left this process; it does not return."""
        ...


Play: TypeAlias = Callable[[Wire], Awaitable[object]]
"""A coroutine function that plays a fault; only the server uses what it returns."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The behaviour of a right client when it meets a fault.

    Attributes:
        result: Name of the error in `opeai_async.errors` that it raises when it gives up (where `retried` is
            ``"either"``, it may be one of a class derived from it); or ``"delivered"``, because the answer is whole.
        retried: The rule by which it tries again by itself, see `Retried`.
        clock: The field of `Timeouts` that ends it, which a test sets low; None if the fault shows by itself.
        connection: The fate of the connection, see `Connection`.
    """

    result: str
    retried: Retried = "never"
    clock: str | None = None
    connection: Connection = "closed"

    @property
    def is_delivered(self) -> bool:
        """True if the caller gets the whole answer, and no error."""
        return self.result == DELIVERED


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        name: The name by which a script asks for it.
        meaning: One sentence on what the server does.
        stage: The stage at which it strikes.
        stream: The verdict on a client that asked for a stream, and got chunks before (if the stage allows it).
        whole: The verdict on a client that asked for a completion in one piece.
        play: The coroutine function that plays it; None for the stage ``connect``.
    """

    name: str
    meaning: str
    stage: Stage
    stream: Verdict
    whole: Verdict
    _: KW_ONLY
    play: Play | None = None

    def verdict(self, *, stream: bool) -> Verdict:
        """Return the verdict on a client that asked for a stream, or for a completion in one piece."""
        return self.stream if stream else self.whole


def http_chunk(data: bytes) -> bytes:
    """Return *data* as one HTTP chunk (RFC 9112 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def begun_chunk(data: bytes) -> bytes:
    """Return *data* announced as one HTTP chunk, of which only half is there."""
    return b"%x\r\n%b" % (len(data), data[: len(data) // 2])
