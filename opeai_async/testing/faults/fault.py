"""What a fault is: one way in which a server, a proxy or the network breaks HTTP, and what a right client makes of it.

A quirk is an oddity that must be read; a fault is something that can only be survived. It is played in bytes, past
everything that would frame them well, by a coroutine that gets the `Wire`.

A fault strikes at a *stage*:

===========  ===========================================================================================
stage        where
===========  ===========================================================================================
``connect``  before a request can be sent; played by an `Endpoint`, because there is nothing to answer
``head``     before the response's head is whole
``status``   the head is whole, and says no
``body``     the framing of the body: it breaks off, stalls, or holds what no decoder should unpack
``content``  the bytes arrive, but they are no answer, or never end
``after``    the answer is whole; what comes behind it is not
===========  ===========================================================================================
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Literal, Never, Protocol, TypeAlias

Stage: TypeAlias = Literal["connect", "head", "status", "body", "content", "after"]

Retried: TypeAlias = Literal["never", "always", "before_content", "either"]
"""Whether another attempt is made: ``before_content`` means as long as no chunk was handed out, and ``either`` that it
depends on how the client came to see the fault.
"""

Connection: TypeAlias = Literal["kept", "closed", "either"]
"""What becomes of the connection: ``kept`` for the next request; ``closed``, and never used again; or ``either``, where
the framing is sound, but what answered is not the API, or has not answered well.
"""

DELIVERED = "delivered"


class Wire(Protocol):
    """The server's end of one connection, as faults use it; see ``testing/server/wire.py``.

    Attributes:
        is_stream: Whether the answer is a stream of events.
        parts: The whole answer; each item is an event of a stream.
        before: What of it arrives before anything breaks.
        rest: The item that comes next, or what is left of it.
        gap_s: Seconds between two of what is repeated.
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
        """Write a good head, and as much of a good body as shall arrive."""
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
        """Return what the handler returns for a response that was sent already."""
        ...

    async def pause(self) -> None:
        """Wait for one gap."""
        ...

    async def hold(self) -> Never:
        """Keep the connection open, in silence, until the client closes it."""
        ...

    async def hang_up(self, how: Literal["fin", "rst"], outcome: Literal["cut", "dropped"] = "cut") -> Never:
        """Close the connection once all that was written has left this process; does not return."""
        ...


Play: TypeAlias = Callable[[Wire], Awaitable[object]]
"""Plays a fault; what it returns is the server's own."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a right client makes of a fault.

    Attributes:
        result: Name of the error in `opeai_async.errors` that it raises when it gives up (where `retried` is
            ``"either"``, it may be one of a class derived from it); or ``"delivered"``, because the answer is whole.
        retried: Whether it tries again by itself.
        clock: The field of `Timeouts` that ends it, which a test sets low; None if it shows by itself.
        connection: What it does with the connection, see `Connection`.
    """

    result: str
    retried: Retried = "never"
    clock: str | None = None
    connection: Connection = "closed"

    @property
    def is_delivered(self) -> bool:
        """Whether the caller gets the whole answer, and no error."""
        return self.result == DELIVERED


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        name: How a script asks for it.
        meaning: What the server does, in one sentence.
        stage: Where it strikes.
        stream: What a client makes of it that asked for a stream, and got chunks before (where the stage allows it).
        whole: What a client makes of it that asked for a completion in one piece.
        play: Plays it; None for the stage ``connect``.
    """

    name: str
    meaning: str
    stage: Stage
    stream: Verdict
    whole: Verdict
    _: KW_ONLY
    play: Play | None = None

    def verdict(self, *, stream: bool) -> Verdict:
        """What a right client makes of it."""
        return self.stream if stream else self.whole


def http_chunk(data: bytes) -> bytes:
    """*data* as one HTTP chunk (RFC 9112 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def begun_chunk(data: bytes) -> bytes:
    """*data* announced as one HTTP chunk, of which half is there."""
    return b"%x\r\n%b" % (len(data), data[: len(data) // 2])
