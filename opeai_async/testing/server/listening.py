"""The end of listening, so that no accepted connection is lost on its way in."""

from __future__ import annotations

import asyncio

# A transport is made in one turn of the loop, connection_made is called in the next.
_TURNS_OF_AN_ACCEPT = 2


async def stop_accepting(listener: asyncio.Server) -> None:
    """Close *listener* so that no connection is lost: ``connection_made`` was called for all that were accepted.

    A plain ``listener.close()`` leaves two kinds behind, whose clients would wait for ever:

    - on asyncio's loop, a socket that accept() has returned, and that has no transport yet, is forgotten
      (python/cpython#109564, open in 2026); so accepting ends first, and closing comes when all have theirs;
    - on uvloop, which accepts until the end, a connection has its transport at once, and
      ``connection_made`` comes after the close.
    """
    try:
        _accept_no_more(listener)
        await _turn(_TURNS_OF_AN_ACCEPT)
    finally:
        listener.close()
    await _turn(_TURNS_OF_AN_ACCEPT)


def _accept_no_more(listener: asyncio.Server) -> None:
    """Stop the loop from accepting, if it accepts by a reader that can be removed."""
    loop = asyncio.get_running_loop()
    try:
        for sock in listener.sockets:
            loop.remove_reader(sock.fileno())
    except NotImplementedError:  # pragma: no cover - Windows: the proactor loop has no readers
        pass


async def _turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)
