"""Clients that nobody closes: for frameworks, whose model objects are made, copied and dropped without an end.

Each event loop has one client per address, and model objects take it with options of their own, so they share its
connections. It is closed by the end of its loop, as every client is; the one for programs without a loop lives as long
as the process. A client per model object was rejected: it would be dropped unclosed, with a warning, and a program that
makes its models anew for each request would connect anew each time.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from typing import NamedTuple, TypeVar

from opeai_async._chat.client import AsyncOpeAI
from opeai_async._chat.sync import OpeAI
from opeai_async._io.loops import running_loop
from opeai_async.types.options import AskForKey

ClientT = TypeVar("ClientT", AsyncOpeAI, OpeAI)

# In place of a key: each model object brings its own.
_NO_KEY = "-"


class Address(NamedTuple):
    """Where to, and whose key.

    Attributes:
        base_url: As a client takes it; None for the default.
        allow_insecure_http: Whether it may be ``http://`` to another machine.
        api_key: As a client takes it.
    """

    base_url: str | None
    allow_insecure_http: bool
    api_key: str | AskForKey


_of_loops: dict[asyncio.AbstractEventLoop, dict[tuple[str | None, bool], AsyncOpeAI]] = {}
# By the process too: the thread of a loop does not live on in a fork.
_of_processes: dict[tuple[int, str | None, bool], OpeAI] = {}


def shared_client(address: Address) -> AsyncOpeAI:
    """Return a client for *address* on the running event loop; closing it closes nothing.

    Raises:
        ConfigurationError: If the address or the key cannot be used, or no event loop of asyncio is running.
    """
    loop = running_loop()
    if loop not in _of_loops:
        for ended in [known for known in list(_of_loops) if known.is_closed()]:
            _of_loops.pop(ended, None)
    clients, place = _of_loops.setdefault(loop, {}), address[:2]
    if place not in clients:
        clients[place] = _made(AsyncOpeAI, address)
    return clients[place].with_options(api_key=address.api_key)


def shared_sync_client(address: Address) -> OpeAI:
    """Return a client for *address* for programs without an event loop; closing it closes nothing.

    Raises:
        ConfigurationError: If the address or the key cannot be used.
    """
    place = (os.getpid(), *address[:2])
    if place not in _of_processes:
        _of_processes[place] = made = _made(OpeAI, address)
        # At exit, what was registered last runs first, and weakref registers with its first finalizer: with this one
        # here, `close` comes before those that warn of connections that nobody closed.
        weakref.finalize(made, _nothing)
        atexit.register(_close_in, place[0], made)
    return _of_processes[place].with_options(api_key=address.api_key)


def _made(client: type[ClientT], address: Address) -> ClientT:
    return client(_NO_KEY, base_url=address.base_url, allow_insecure_http=address.allow_insecure_http)


def _nothing() -> None: ...


def _close_in(process: int, client: OpeAI) -> None:
    if os.getpid() == process:
        client.close()
