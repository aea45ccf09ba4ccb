"""The testing server behind TLS, in a thread and an event loop of its own, whatever the loop of the test is."""

import asyncio
import ssl
import tempfile

from opeai_async.testing import OpeAIServer, certificates
from opeai_async.testing.server.connections import ConnectionLedger


def trust() -> ssl.SSLContext:
    """What a client needs to trust it."""
    return ssl.create_default_context(cadata=certificates.LOCALHOST)


class TLSServer(OpeAIServer):
    """``with TLSServer() as server``; its ``base_url`` begins with ``https://localhost``."""

    async def start(self) -> None:
        """Listen; what is said over TLS is what the server says."""
        if self._listener is not None:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(certificates.KEY + certificates.LOCALHOST)
            file.flush()
            context.load_cert_chain(file.name)
        self._loop = asyncio.get_running_loop()
        self._ledger = ConnectionLedger(self._serve, self._notify)
        self._listener = await self._loop.create_server(self._ledger, self._host, self._port, ssl=context)
        self._address = self._listener.sockets[0].getsockname()[:2]

    @property
    def base_url(self) -> str:
        return f"https://localhost:{self._address[1]}/v1"
