"""A blocking server in threads: whatever loop the client runs on, the server is the same, and takes no turns of it."""

import contextlib
import fcntl
import re
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from opeai_async.testing import certificates

PATIENCE_S = 10.0


class Line:
    """One connection, as the server's thread sees it.

    Attributes:
        number: Of the connection, from 1.
        requests: Head and body of each request so far.
        gone: Set when the client has closed it.
    """

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.sock = sock
        self.requests: list[tuple[bytes, bytes]] = []
        self.gone = threading.Event()
        self._unread = b""

    def secure(self, context: ssl.SSLContext) -> None:
        """Shake hands."""
        self.sock = context.wrap_socket(self.sock, server_side=True)

    def read_request(self) -> bool:
        """Wait for the next request; False if the client has hung up instead."""
        head = self._read_until(lambda data: data.find(b"\r\n\r\n") + 4 if b"\r\n\r\n" in data else None)
        if head is None:
            return False
        found = re.search(rb"(?i)content-length: *(\d+)", head)
        length = int(found[1]) if found else 0
        body = self._read_until(lambda data: length if len(data) >= length else None)
        if body is None:
            return False
        self.requests.append((head, body))
        return True

    def read_some(self, size: int = 1000) -> bytes:
        """Wait for the beginning of a request."""
        return self.sock.recv(size)

    def send(self, *parts: bytes) -> None:
        """Send bytes as they are; blocks while the client takes no more."""
        for part in parts:
            self.sock.sendall(part)

    def wait_until_received(self) -> None:
        """Wait until the client's kernel has acknowledged all that was sent."""
        deadline = time.monotonic() + PATIENCE_S
        while any(fcntl.ioctl(self.sock.fileno(), termios.TIOCOUTQ, bytes(4))):
            assert time.monotonic() < deadline, "the client does not take what was sent"
            time.sleep(0.001)

    def reset(self) -> None:
        """Close it with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def say_goodbye(self, wait_s: float = 0.05) -> None:
        """Close it as the protocol has it: TLS with close_notify, TCP with a FIN; the client has *wait_s* to do so."""
        self.sock.settimeout(wait_s)
        with contextlib.suppress(OSError):
            if isinstance(self.sock, ssl.SSLSocket):
                self.sock.unwrap()
            else:
                self.sock.shutdown(socket.SHUT_WR)
                self.sock.recv(1)
        self.sock.close()

    def _read_until(self, end_of: Callable[[bytes], int | None]) -> bytes | None:
        while (end := end_of(self._unread)) is None:
            data = self.sock.recv(65536)
            if not data:
                return None
            self._unread += data
        data, self._unread = self._unread[:end], self._unread[end:]
        return data


class ThreadServer:
    """Calls *answer* for each request, in a thread per connection; ``with ThreadServer(answer) as server``.

    An answer that closes the connection itself ends its thread.

    Args:
        answer: Gets the line of a request that was read.
        tls: For https.
        reads_requests: False to have *answer* called once per connection, with nothing read yet.

    Attributes:
        lines: All connections, in order.
    """

    def __init__(
        self,
        answer: Callable[[Line], None],
        *,
        tls: ssl.SSLContext | None = None,
        reads_requests: bool = True,
    ) -> None:
        self.lines: list[Line] = []
        self._answer = answer
        self._tls = tls
        self._reads_requests = reads_requests
        self._threads: list[threading.Thread] = []

    @property
    def base_url(self) -> str:
        return f"http{'s' if self._tls else ''}://localhost:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> Self:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(512)
        self._start(self._accept)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        for line in self.lines:
            with contextlib.suppress(OSError):
                line.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

    def _start(self, run: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = Line(len(self.lines) + 1, sock)
            self.lines.append(line)
            self._start(self._serve, line)

    def _serve(self, line: Line) -> None:
        try:
            if self._tls is not None:
                line.secure(self._tls)
            if not self._reads_requests:
                self._answer(line)
            while self._reads_requests and line.sock.fileno() >= 0 and line.read_request():
                self._answer(line)
        except OSError:
            pass
        finally:
            line.gone.set()
            line.sock.close()


def tls_contexts(where: Path, version: ssl.TLSVersion | None = None) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a server of the TLS *version*, or any, and for a client that trusts it; *where* is a folder."""
    cert, key = where / "cert.pem", where / "key.pem"
    cert.write_text(certificates.LOCALHOST)
    key.write_text(certificates.KEY)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(cert, key)
    if version is not None:
        server.minimum_version = server.maximum_version = version
    return server, ssl.create_default_context(cafile=str(cert))
