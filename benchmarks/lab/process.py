"""What the lab asks of the process it runs in: its memory, and its limit of open files."""

import asyncio
import multiprocessing
import os
import resource
from multiprocessing.connection import Connection
from typing import Any

SPAWN = multiprocessing.get_context("spawn")


class Peer:
    """Another process, which answers what it is asked; ``with Peer(run, ...) as peer``."""

    def __init__(self, run: Any, *args: Any) -> None:
        self._pipe, other = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_run, args=(run, other, *args), daemon=True)
        self._process.start()
        other.close()  # so that a peer that dies is an EOFError, not silence

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.send(None)
        self._process.join()
        self._process.close()
        self._pipe.close()

    def ask(self, what: object = "address") -> Any:
        """Its answer."""
        self._pipe.send(what)
        return self._pipe.recv()


def _run(run: Any, pipe: Connection, *args: Any) -> None:
    asyncio.run(run(pipe, *args))


_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MIB = 1024 * 1024


def rss_mib() -> float:
    """Resident memory of this process."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE_BYTES / _MIB


def raise_file_limit() -> int:
    """Let this process open as many files as it may; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
