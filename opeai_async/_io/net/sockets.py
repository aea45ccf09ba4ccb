"""Options of sockets: TCP keep-alive, so that an idle connection survives the wait for a model, or is known to be lost.

While a model thinks, its connection is idle, for minutes perhaps. A NAT gateway, a firewall or a load balancer forgets
such a flow after a while (AWS: 350 s, Azure: 240 s), mostly without telling anybody, and the answer never arrives. So
the operating system is asked to look after a connection that has been idle for ``IDLE_S``: this keeps the flow in
memory there, and if it is lost all the same, the stream ends as interrupted after about a minute.

``TCP_USER_TIMEOUT`` would also notice a peer that vanishes while a request is sent. It is not set, because it ends
connections whose peer is alive but slow to read a large body (its window is closed), which is not a fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket

from opeai_async._io.net.sending import Address

IDLE_S = 30
INTERVAL_S = 10
PROBES = 3

# By their names, as not every system has them: Linux has the first, macOS the second.
_INTERVALS = {"TCP_KEEPIDLE": IDLE_S, "TCP_KEEPALIVE": IDLE_S, "TCP_KEEPINTVL": INTERVAL_S, "TCP_KEEPCNT": PROBES}
_OPTIONS = tuple((getattr(socket, name), value) for name, value in _INTERVALS.items() if hasattr(socket, name))


def new_socket(address: Address) -> socket.socket:
    """Return a socket for a connection to *address*, on which the system sends probes while it is idle."""
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    with contextlib.suppress(OSError):  # a system that refuses one of these (a sandbox) keeps to its own ways
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _OPTIONS:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return sock


def discard(transport: asyncio.Transport) -> None:
    """Close the descriptor of *transport*, whose event loop is closed and can do nothing any more.

    uvloop has closed it by itself. asyncio leaves it to the collector, which warns of a transport that the caller has
    never seen, so what its loop would have called is called here. That is not public: where it is missing, the
    collector does it.
    """
    below = getattr(getattr(transport, "_ssl_protocol", None), "_transport", transport)
    for end in (transport.close, functools.partial(getattr(below, "_call_connection_lost", _nothing), None)):
        with contextlib.suppress(RuntimeError):  # of the loop; it has done its part by then
            end()


def _nothing(_: object) -> None:
    """Do nothing."""
