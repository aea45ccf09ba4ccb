"""Ports for servers in processes of their own, which are told where to listen.

A port that was free a moment ago may be taken when such a server gets to it, and while it starts, whoever polls it may
reach another test's server. So these lie below the ports that Linux and macOS give to sockets that ask for none, and no
two workers of a test run have the same. There is room for a second port 10,000 above each, as a node of Redis has it.
"""

import itertools
import os
import socket

FIRST, COUNT = 20_000, 2_700
PER_WORKER = 100

_tried = itertools.count()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens, and which no other test takes."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    # The process is in it, because two runs of the tests may share a machine.
    begin = (os.getppid() * 10 + worker) * PER_WORKER
    for number in itertools.islice(_tried, PER_WORKER):
        port = FIRST + (begin + number % PER_WORKER) % COUNT
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError(f"{PER_WORKER} ports from {FIRST + begin % COUNT} on are all taken")
